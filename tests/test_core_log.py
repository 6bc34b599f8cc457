"""Event logs and windows against slow literal versions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import NOW, asked, items_of, log_of
from vetrina.core import DAY, EVENT_COLUMNS, EventKind, EventLog, Windows

N_ITEMS = 5
ITEMS = items_of(N_ITEMS)

events = st.lists(
    st.tuples(
        st.integers(0, 30),  # days: many events of one time
        st.sampled_from("abc"),
        st.sampled_from(EventKind),
        st.integers(-1, N_ITEMS - 1),
    ),
    max_size=40,
)


@given(events, st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 31)), max_size=6), st.integers(0, 7))
def test_windows_are_the_last_events_on_items_before_a_time(
    rows: list[tuple[int, str, EventKind, int]], asked_for: list[tuple[int, int]], size: int
) -> None:
    log = log_of(ITEMS, rows)
    asked_for = [(shopper, day) for shopper, day in asked_for if shopper < len(log.shoppers)]
    shopper = np.array([shopper for shopper, _ in asked_for], dtype=np.int32)
    until = np.array([NOW + day * DAY for _, day in asked_for], dtype=np.int64)
    windows = log.windows(shopper, until, size)
    assert len(windows) == len(asked_for)
    for number, (code, day) in enumerate(asked_for):
        name = log.shoppers[code] if code >= 0 else None
        literal = [
            (item, int(kind), NOW + when * DAY)
            for when, who, kind, item in sorted(rows, key=lambda row: row[0])  # stable, as the log is
            if who == name and when < day and item >= 0 and kind != EventKind.impression
        ]
        literal = literal[max(len(literal) - size, 0) :]
        flat = slice(windows.offsets[number], windows.offsets[number + 1])
        got = zip(windows.item[flat].tolist(), windows.kind[flat].tolist(), windows.time[flat].tolist(), strict=True)
        assert list(got) == literal


@given(events, st.integers(-1, 31), st.integers(-1, 31))
def test_before_and_between_cut_at_the_time_itself(
    rows: list[tuple[int, str, EventKind, int]], first: int, second: int
) -> None:
    log = log_of(ITEMS, rows)
    start, stop = NOW + min(first, second) * DAY, NOW + max(first, second) * DAY
    assert log.before(stop).time.tolist() == [time for time in log.time.tolist() if time < stop]
    assert log.between(start, stop).time.tolist() == [time for time in log.time.tolist() if start <= time < stop]


def test_a_table_is_sorted_by_time_and_ties_stay_as_they_stood() -> None:
    log = log_of(ITEMS, [(3, "b", EventKind.view, 0), (1, "a", EventKind.view, 1), (3, "a", EventKind.click, 2)])
    assert log.item.tolist() == [1, 0, 2]
    assert [log.shoppers[code] for code in log.shopper] == ["a", "b", "a"]


def test_what_a_table_does_not_say_is_unknown() -> None:
    row = {"time": NOW, "shopper": None, "kind": "view", "item": "left the shop", "query": "hat", "price": 2.5}
    missing = {name: None for name in EVENT_COLUMNS if name not in row}
    log = EventLog.from_table(pl.DataFrame([row | missing], schema=EVENT_COLUMNS), ITEMS)
    assert (log.shopper[0], log.item[0], log.request[0], log.position[0]) == (-1, -1, -1, 0)
    assert log.queries == ["hat"]
    assert log.price[0] == np.float32(2.5)
    assert np.isnan([log.quantity[0], log.rating[0], log.propensity[0]]).all()


@pytest.mark.parametrize(
    ("days", "since"),
    [
        ([0, 10, 20, 30, 40], 26),  # the last fourteen days
        ([0, 5, 10], 5),  # of a short log the latter half
        ([0, 10, 20, 30, 40, 400], 27),  # a click long after the file ends
        ([-9000, 0, 10, 20, 30, 40], 26),  # a date that is wrong
        ([0], 0),
    ],
)
def test_the_last_days_do_not_count_pauses(days: list[int], since: float) -> None:
    log = log_of(ITEMS, [(day, "a", EventKind.view, 0) for day in days])
    assert log.last_days(14, 0.5) == pytest.approx(NOW + since * DAY, abs=2)


def test_of_kinds_keeps_events_that_name_an_item() -> None:
    log = log_of(ITEMS, [(0, "a", EventKind.view, 1), (1, "a", EventKind.purchase, 2), (2, "a", EventKind.view, -1)])
    assert log.of_kinds(EventKind.view).item.tolist() == [1]
    assert log.of_kinds(EventKind.view, EventKind.purchase).item.tolist() == [1, 2]


histories = st.lists(
    st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.sampled_from(EventKind), st.floats(0, 9)), max_size=6),
    max_size=5,
)


@given(histories, st.integers(0, 4))
def test_batches_of_windows(histories: list[list[tuple[int, EventKind, float]]], count: int) -> None:
    windows = asked(histories).windows
    assert windows.row.tolist() == [row for row, history in enumerate(histories) for _ in history]
    # the last items, newest first
    literal = [[event[0] for event in reversed(history)][:count] for history in histories]
    assert windows.latest(count).tolist() == [one + [-1] * (count - len(one)) for one in literal]
    # sums by shopper and item
    weights = np.arange(1, len(windows.item) + 1, dtype=np.float32)
    before = windows.item.copy()
    dense = np.zeros((len(histories), N_ITEMS))
    for row, item, weight in zip(windows.row, windows.item, weights, strict=True):
        dense[row, item] += weight
    np.testing.assert_allclose(windows.weighted(weights, N_ITEMS).toarray(), dense)
    np.testing.assert_array_equal(windows.item, before)
    # a part of the batch
    start, stop = min(1, len(histories)), min(3, len(histories))
    part = windows.slice(start, stop)
    assert len(part) == stop - start
    assert part.item.tolist() == [event[0] for history in histories[start:stop] for event in history]


def test_windows_of_shoppers_who_did_nothing() -> None:
    windows = Windows.empty(3)
    assert len(windows) == 3
    assert windows.latest(2).tolist() == [[-1, -1]] * 3
    assert windows.weighted(np.empty(0), 4).shape == (3, 4)
    assert len(windows.slice(0, 2)) == 2


@pytest.mark.parametrize("size", [1, 3])
def test_adding_later_events_leaves_earlier_windows_as_they_were(size: int) -> None:
    rows = [(float(day), "a", EventKind.view, day % N_ITEMS) for day in range(10)]
    later = [*rows, *((float(day), "a", EventKind.purchase, 0) for day in range(10, 20))]
    shopper, until = np.zeros(1, dtype=np.int32), np.array([NOW + 10 * DAY], dtype=np.int64)
    one, other = (log_of(ITEMS, events).windows(shopper, until, size) for events in (rows, later))
    assert one.time.tolist() == other.time.tolist()
    assert one.item.tolist() == other.item.tolist()


def test_what_shoppers_are_called_does_not_matter() -> None:
    """Pseudonyms depend on a key: the same events under another key are the same arrays."""
    rows = [{"time": time, "shopper": name, "kind": "view", "item": "i1"} for time, name in enumerate("acbbadc")]
    table = pl.DataFrame(rows).with_columns(
        [pl.lit(None, dtype=kind).alias(name) for name, kind in EVENT_COLUMNS.items() if name not in rows[0]]
    )
    renamed = table.with_columns(pl.col("shopper").replace_strict({"a": "x", "b": "w", "c": "y", "d": "v"}))
    one, other = (EventLog.from_table(some.select(list(EVENT_COLUMNS)), ITEMS) for some in (table, renamed))
    assert one.shopper.tolist() == other.shopper.tolist()
    assert [one.shoppers[code] for code in one.shopper] == list("acbbadc")
