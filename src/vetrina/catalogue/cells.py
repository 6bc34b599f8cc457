"""What a cell of text means: numbers, times, yes and no. Null is what could not be read."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import polars as pl

__all__ = ["booleans", "clean", "column_words", "epoch_seconds", "listed", "numbers", "plain_ids", "plausible_unit"]

_CURRENCY = (
    r"(?:(?:A|AU|C|CA|HK|NT|NZ|R|S|US)?\$|[£€¥￥₹₽₩₺元円원]|"
    r"AUD|BRL|CAD|CHF|CNY|DKK|EUR|GBP|HKD|INR|JPY|KRW|MXN|NOK|PLN|RMB|Rs\.?|SEK|TRY|USD|kr|zł)"
)

# Seconds in a unit's one, and the name that a message gives it.
_UNITS = {"s": (1.0, "seconds"), "ms": (1e3, "milliseconds"), "us": (1e6, "microseconds"), "ns": (1e9, "nanoseconds")}

# Nothing was sold online before 1990; 2100 leaves room for dates in the future, as of pre-orders.
_EARLIEST, _LATEST = 631_152_000, 4_102_444_800

_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M%z",
)


@cache
def _answers() -> dict[str, bool]:
    """Words for yes and no, and for being in stock or not."""
    words = column_words()["answers"]
    return {word.strip(): name == "yes" for name in ("yes", "no") for word in words[name].split(";")}


@cache
def column_words() -> dict[str, dict[str, str]]:
    """What columns, kinds of events, yes and no are usually called: ``column_words.toml``."""
    text = files("vetrina.catalogue").joinpath("column_words.toml").read_text(encoding="utf-8")
    words: dict[str, dict[str, str]] = tomllib.loads(text)
    return words


def clean(column: str) -> pl.Expr:
    """A text column without control characters and outer spaces; empty cells null."""
    text = pl.col(column).str.replace_all(r"[\x00-\x08\x0b-\x1f\x7f]", " ").str.strip_chars()
    return pl.when(text != "").then(text).alias(column)


def plain_ids(cells: pl.Series) -> tuple[pl.Series, bool]:
    """Ids without the ``.0`` that spreadsheets and data frames add to whole numbers: (ids, whether any lost it).

    Only when every id of the column ends so: where one does not, ``.0`` means something.

    Examples
    --------
    >>> plain_ids(pl.Series(["17850.0", "13047.0", None]))[0].to_list()
    ['17850', '13047', None]
    >>> plain_ids(pl.Series(["1.0", "1.1"]))[0].to_list()
    ['1.0', '1.1']
    """
    whole = cells.str.contains(r"^\d+\.0$").drop_nulls()
    if len(whole) and whole.all():
        return cells.str.head(-2), True
    return cells, False


def numbers(cells: pl.Series) -> pl.Series:
    """Numbers as people and programs write them: float64, null where a cell is none (or not finite).

    Where any cell of the column has a decimal comma, dots before three digits part thousands in all of them.

    Examples
    --------
    >>> numbers(pl.Series(["9.5", "£1,234.50", "12,99 €", "1.234,50", "NaN", "free"])).to_list()
    [9.5, 1234.5, 12.99, 1234.5, None, None]
    >>> numbers(pl.Series(["1.250", "999,50"])).to_list()
    [1250.0, 999.5]
    """
    direct = cells.cast(pl.Float64, strict=False)
    if (direct.is_null() & cells.is_not_null()).any():
        text = cells.str.replace(rf"^\s*{_CURRENCY}\s*", "").str.replace(rf"\s*{_CURRENCY}\s*$", "")
        text = text.str.replace_all("[\u00a0\u202f ']", "")
        name = text.name
        comma = bool(text.str.contains(r"^-?(\d{1,3}(\.\d{3})+|\d+),\d{1,2}$").any())
        thousands = text.str.contains(r"^-?\d{1,3}(\.\d{3})+$") if comma else text.is_null()
        direct = direct.set(thousands.fill_null(value=False), None)
        rewritten = pl.select(
            pl.when(text.str.contains(r"^-?\d{1,3}(,\d{3})+(\.\d+)?$"))
            .then(text.str.replace_all(",", ""))
            .when(thousands | text.str.contains(r"^-?(\d{1,3}(\.\d{3})+|\d+),\d{1,2}$"))
            .then(text.str.replace_all(".", "", literal=True).str.replace(",", "."))
            .otherwise(text)
            .cast(pl.Float64, strict=False)
            .alias(name)
        ).to_series()
        direct = direct.fill_null(rewritten)
    return direct.set(~direct.is_finite(), None)


def booleans(cells: pl.Series) -> pl.Series:
    """Yes and no in the usual words, or a count above zero; null where it is neither.

    Examples
    --------
    >>> booleans(pl.Series(["yes", "Out of stock", "12", "0", "maybe"])).to_list()
    [True, False, True, False, None]
    """
    words = cells.str.to_lowercase().replace_strict(_answers(), default=None, return_dtype=pl.Boolean)
    return words.fill_null(numbers(cells) > 0)


def listed(cells: pl.Series, between: str) -> pl.Series:
    """Text, never null; a JSON list becomes its parts with ``between`` between them.

    Examples
    --------
    >>> listed(pl.Series(['["red", "blue"]', "red", None]), "; ").to_list()
    ['red; blue', 'red', '']
    """
    cells = cells.fill_null("")
    is_list = cells.str.contains(r'^\[+\s*".*"\s*\]+$|^\[\s*\]$')
    if not is_list.any():
        return cells
    parts = cells.str.replace_all(r'^\[+\s*"?|"?\s*\]+$', "").str.replace_all(r'"\s*\]?\s*,\s*\[?\s*"', between)
    return pl.select(pl.when(is_list).then(parts).otherwise(cells).alias(cells.name)).to_series()


def plausible_unit(values: pl.Series) -> str | None:
    """The unit in which most of the numbers are times between 1990 and 2100, if there is one."""
    known = values.drop_nulls()
    shares = {
        unit: (known / scale).is_between(_EARLIEST, _LATEST, closed="left").sum() / max(len(known), 1)
        for unit, (scale, _) in _UNITS.items()
    }
    best = max(shares, key=lambda unit: shares[unit])
    return best if shares[best] > 0.5 else None


def epoch_seconds(cells: pl.Series, time_format: str = "auto") -> tuple[pl.Series, pl.Series]:
    """Times as whole seconds since 1970, and why a cell is none.

    Parameters
    ----------
    cells : Series of text
    time_format : str
        "auto", a unit of epoch numbers ("s", "ms", "us", "ns"), or a ``strptime`` pattern.
        A time that names no offset is taken as UTC.

    Returns
    -------
    seconds : int64 Series, null where the cell is no time between 1990 and 2100
    reason : text Series, null where there is nothing to say

    Examples
    --------
    >>> epoch_seconds(pl.Series(["2011-12-09 12:50:00", "2011-12-09T12:50Z"]))[0].to_list()
    [1323435000, 1323435000]
    >>> epoch_seconds(pl.Series(["1323435000", "1323435000000"]), "s")[1].to_list()[1]
    'before 1990 or after 2100 when read as seconds; as milliseconds it would be plausible'
    """
    values = cells.cast(pl.Float64, strict=False)
    present = len(cells) - cells.null_count()
    numeric = present - int((values.is_null() & cells.is_not_null()).sum())
    if time_format in _UNITS:
        return _from_numbers(cells, values, time_format)
    if time_format == "auto" and numeric * 2 > present:
        return _from_numbers(cells, values, plausible_unit(values) or "s")
    seconds = _from_text(cells, _FORMATS) if time_format == "auto" else _from_text(cells, (time_format,))
    expected = "ISO 8601 such as 2011-12-09 12:50:00 was expected; else set time_format"
    if time_format != "auto":
        expected = f"{time_format} was expected"
    plausible = seconds.is_between(_EARLIEST, _LATEST, closed="left")
    reason = pl.select(
        pl.when(cells.is_null())
        .then(None)
        .when(seconds.is_null())
        .then(pl.lit(f"not a time: {expected}"))
        .when(~plausible)
        .then(pl.lit("before 1990 or after 2100"))
    ).to_series()
    return seconds.set(~plausible, None), reason


def _from_numbers(cells: pl.Series, values: pl.Series, unit: str) -> tuple[pl.Series, pl.Series]:
    scale, name = _UNITS[unit]
    seconds = (values / scale).floor()
    plausible = seconds.is_between(_EARLIEST, _LATEST, closed="left").fill_null(value=False)
    outside = f"before 1990 or after 2100 when read as {name}"
    reasons = [pl.when(values.is_null()).then(pl.lit(f"not a time: a number of {name} since 1970 was expected"))]
    for other, (other_scale, other_name) in _UNITS.items():
        if other != unit:
            fits = (values / other_scale).is_between(_EARLIEST, _LATEST, closed="left").fill_null(value=False)
            reasons.append(pl.when(fits).then(pl.lit(f"{outside}; as {other_name} it would be plausible")))
    dates = cells.str.to_datetime("%Y%m%d", strict=False).dt.year().is_between(1990, 2100).fill_null(value=False)
    reasons.append(pl.when(dates).then(pl.lit(f'{outside}; with time_format = "%Y%m%d" it would be plausible')))
    told = pl.select(
        pl.when(cells.is_null() | plausible).then(None).otherwise(pl.coalesce(*reasons, pl.lit(outside)))
    ).to_series()
    return seconds.set(~plausible, None).cast(pl.Int64), told


def _from_text(cells: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Seconds since 1970 by the first format that fits each cell."""
    text = cells
    if len(formats) > 1:
        text = text.str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", "${1}-${2}-${3}")
        text = text.str.replace(r"^(\d{4}-\d{1,2}-\d{1,2})[Tt]", "${1} ").str.replace(r"\s*(Z|UTC|GMT)$", "")
        text = text.str.replace(r"([+-]\d{2})$", "${1}00") if text.str.contains(r":\d{2}.*[+-]\d{2}$").any() else text
    seconds = pl.Series(cells.name, [None] * len(cells), dtype=pl.Int64)
    for pattern in formats:
        left = seconds.is_null() & text.is_not_null()
        if not left.any():
            break
        read = text.str.to_datetime(pattern, strict=False, time_unit="us")
        seconds = seconds.fill_null(read.dt.epoch("s"))
    return seconds
