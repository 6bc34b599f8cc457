"""What cells mean: numbers, times, yes and no."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.catalogue.cells import booleans, epoch_seconds, numbers

MOMENT = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9.5", 9.5), ("1e3", 1000.0), ("-2", -2.0), (".5", 0.5), ("£1,234.50", 1234.5), ("$.50", 0.5),
        ("Rs. 1,299", 1299.0), ("￥39.00", 39.0), ("39元", 39.0), ("HK$ 1,200", 1200.0), ("US$5", 5.0), ("1.250", 1.25),
        ("12,99 €", 12.99), ("1.234,50", 1234.5), ("1 234,50", 1234.5), ("1,234,567", 1234567.0), ("USD 5", 5.0),
        ("NaN", None), ("inf", None), ("free", None), ("3 for 10", None), ("1,2,3", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_numbers(text: str | None, number: float | None) -> None:
    assert numbers(pl.Series([text], dtype=pl.String)).to_list() == [number]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_every_float_python_writes_is_read_back(values: list[float]) -> None:
    assert numbers(pl.Series([repr(value) for value in values], dtype=pl.String)).to_list() == values


def test_one_decimal_comma_says_what_the_dots_of_the_column_are() -> None:
    assert numbers(pl.Series(["1.250", "2.000.000", "999,50", "-1.250", "12.5"])).to_list() == [
        1250.0, 2e6, 999.5, -1250.0, 12.5,
    ]  # fmt: skip
    assert numbers(pl.Series(["1.250", "999.50"])).to_list() == [1.25, 999.5]


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ("ja", "nein"),
        ("oui", "non"),
        ("Sí", "agotado"),
        ("有货", "无货"),
        ("是", "否"),
        ("在庫あり", "在庫なし"),
        ("да", "нет"),
    ],
)
def test_yes_and_no_in_many_tongues(yes: str, no: str) -> None:
    assert booleans(pl.Series([yes, no])).to_list() == [True, False]


def test_booleans() -> None:
    cells = pl.Series(["TRUE", "no", "In Stock", "out_of_stock", "3", "0", "-1", "perhaps", None])
    assert booleans(cells).to_list() == [True, False, True, False, True, False, False, None, None]


@pytest.mark.parametrize(
    "text",
    [
        "2011-12-09 12:50:00", "2011-12-09T12:50:00", "2011-12-09T12:50:00Z", "2011-12-09 12:50:00.25",
        "2011-12-09 12:50",
        "2011/12/09 12:50:00", "2011-12-09T13:50:00+01:00", "2011-12-09 13:50:00+0100", "2011-12-09 05:50:00-07",
        str(SECONDS), f"{SECONDS}.75",
        str(SECONDS * 1000 + 250), str(SECONDS * 1_000_000), str(SECONDS * 1_000_000_000),
    ],
)  # fmt: skip
def test_the_usual_ways_to_write_one_moment(text: str) -> None:
    seconds, reason = epoch_seconds(pl.Series([text]))
    assert (seconds.to_list(), reason.to_list()) == ([SECONDS], [None])


@settings(max_examples=50, deadline=None)
@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2099, 12, 31)))  # noqa: DTZ001 (made UTC below)
def test_iso_times_agree_with_the_standard_library(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert epoch_seconds(pl.Series([aware.isoformat()]))[0].to_list() == [int(aware.timestamp() // 1)]


def test_a_pattern_and_a_day() -> None:
    assert epoch_seconds(pl.Series(["9.12.2011 12:50"]), "%d.%m.%Y %H:%M")[0].to_list() == [SECONDS]
    assert epoch_seconds(pl.Series(["20111209"]), "%Y%m%d")[0].to_list() == [SECONDS // 86_400 * 86_400]
    assert epoch_seconds(pl.Series(["2011-12-09"]))[0].to_list() == [SECONDS // 86_400 * 86_400]


@pytest.mark.parametrize(
    ("text", "time_format", "reason"),
    [
        (str(SECONDS * 1000), "s", "as milliseconds it would be plausible"),
        (str(SECONDS * 1_000_000), "s", "as microseconds it would be plausible"),
        (str(SECONDS), "ms", "read as milliseconds; as seconds it would be plausible"),
        ("20111209", "s", 'with time_format = "%Y%m%d" it would be plausible'),
        ("12", "s", "before 1990 or after 2100 when read as seconds"),
        ("1989-12-31", "auto", "before 1990 or after 2100"),
        ("yesterday", "auto", "not a time: ISO 8601"),
        ("yesterday", "s", "not a time: a number of seconds"),
        ("2011-12-09", "%d/%m/%Y", "not a time: %d/%m/%Y was expected"),
    ],
)
def test_what_is_no_time_says_why(text: str, time_format: str, reason: str) -> None:
    seconds, told = epoch_seconds(pl.Series([text]), time_format)
    assert seconds.to_list() == [None]
    assert reason in told.to_list()[0]


def test_one_time_in_another_unit_than_the_rest_is_refused() -> None:
    seconds, told = epoch_seconds(pl.Series([str(SECONDS), str(SECONDS + 1), str(SECONDS * 1000), None]))
    assert seconds.to_list() == [SECONDS, SECONDS + 1, None, None]
    assert told.to_list()[2].endswith("as milliseconds it would be plausible")
    assert told.to_list()[3] is None
