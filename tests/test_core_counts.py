"""Cumulative counts against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core import DAY
from vetrina.core.counts import CumulativeCounts

#: (key, seconds, weight)
Happened = list[tuple[int, int, int]]

happened: st.SearchStrategy[Happened] = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 20 * DAY), st.integers(1, 3)), max_size=30
)
moments = st.integers(-2 * DAY, 25 * DAY)


def counted(rows: Happened) -> CumulativeCounts:
    key, time, weight = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(3))
    return CumulativeCounts.count(key, time, weight.astype(np.float64))


def literal(rows: Happened, key: int, first_day: float, last_day: float) -> int:
    """Weights of the events of whole days in [first_day, last_day)."""
    return sum(weight for k, time, weight in rows if k == key and first_day <= time // DAY < last_day)


@given(happened, moments)
def test_until_counts_whole_days_before_the_day(rows: Happened, time: int) -> None:
    counts = counted(rows)
    got = counts.until(np.arange(-1, 7), time)
    assert got.dtype == np.float32
    assert got.tolist() == [literal(rows, key, -np.inf, time // DAY) for key in range(-1, 7)]


@given(happened, st.integers(0, 21), st.sampled_from([1, 2, 7, 30]))
def test_within_counts_the_days_before_the_day(rows: Happened, day: int, days: int) -> None:
    # Up to the day after the last event: what is asked later is another test.
    last = max((time // DAY for _, time, _ in rows), default=0) + 1
    day = min(day, last)
    got = counted(rows).within(np.arange(6), day * DAY, days)
    assert got.tolist() == [literal(rows, key, day - days, day) for key in range(6)]


@given(happened, happened, st.integers(0, 20 * DAY))
def test_what_happens_later_changes_nothing_before(rows: Happened, more: Happened, now: int) -> None:
    later = [(key, now + time, weight) for key, time, weight in more]
    one, other = counted(rows), counted([*rows, *later])
    np.testing.assert_array_equal(one.until(np.arange(6), now), other.until(np.arange(6), now))


def test_asked_later_than_the_last_count_the_last_days_are_still_the_last_known() -> None:
    counts = counted([(1, 3 * DAY, 2), (1, 5 * DAY + 7, 1)])
    assert counts.within(np.array([1]), 300 * DAY, 2).tolist() == [1]
    assert counts.within(np.array([1]), 300 * DAY, 3).tolist() == [3]
    assert counts.until(np.array([1]), 300 * DAY).tolist() == [3]


def test_without_weights_each_event_counts_one_and_times_broadcast() -> None:
    counts = CumulativeCounts.count(np.array([3, 3, 0]), np.array([0, DAY, DAY]))
    got = counts.until(np.array([[0, 3, 9]]), np.array([[0], [DAY], [2 * DAY]]))
    assert got.tolist() == [[0, 0, 0], [0, 1, 0], [1, 2, 0]]


@pytest.mark.parametrize("rows", [[], [(2, 5, 1)], [(0, 0, 1), (4, 19 * DAY, 2)]])
def test_saved_as_arrays_and_read_again(rows: Happened) -> None:
    counts = counted(rows)
    again = CumulativeCounts.from_arrays(counts.arrays())
    for time in (0, DAY, 20 * DAY, 40 * DAY):
        np.testing.assert_array_equal(again.until(np.arange(6), time), counts.until(np.arange(6), time))
        np.testing.assert_array_equal(again.within(np.arange(6), time, 7), counts.within(np.arange(6), time, 7))


def test_memory_grows_with_what_happened_and_not_with_time() -> None:
    counts = CumulativeCounts.count(np.array([0, 10_000_000]), np.array([0, 36_500 * DAY]))
    assert len(counts.places) == len(counts.totals) == 2
    assert counts.until(np.array([10_000_000, 5]), 40_000 * DAY).tolist() == [1, 0]
