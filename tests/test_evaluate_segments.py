"""Parts of what was asked: who and what belongs to which, on a log written out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core import EventKind, EventLog, Truth
from vetrina.engine import Gains, requests_from_log
from vetrina.evaluate.segments import common, searches, segments_of
from written_log import Event, log_of, logs

SHOES, DRESS, HAT = 0, 1, 2


def right(parts: Mapping[str, Truth]) -> dict[str, list[tuple[int, int]]]:
    """(request, item) pairs that are right, by part."""
    return {
        name: list(zip(truth.row[truth.gain > 0].tolist(), truth.item[truth.gain > 0].tolist(), strict=True))
        for name, truth in parts.items()
    }


def test_who_asks_what_and_what_they_choose() -> None:
    asked_before = [
        *(Event(n, shopper=0, kind=EventKind.search, query=SHOES, request=n) for n in range(3)),
        *(Event(10 + n, shopper=1, kind=EventKind.search, query=DRESS, request=10 + n) for n in range(2)),
        *(Event(20 + n, shopper=0, item=0, request=20 + n) for n in range(3)),
        *(Event(30 + n, shopper=1, item=1 + n, request=30 + n) for n in range(2)),
    ]
    now = 10_000
    test = [
        Event(now, shopper=0, kind=EventKind.click, item=0, query=SHOES, request=100),
        Event(now + 1, shopper=1, kind=EventKind.click, item=1, query=DRESS, request=101),
        Event(now + 1, shopper=1, kind=EventKind.click, item=0, query=DRESS, request=101),
        Event(now + 2, shopper=2, kind=EventKind.click, item=4, query=HAT, request=102),
        Event(now + 3, shopper=-1, kind=EventKind.click, item=0, query=SHOES, request=103),
    ]
    log = log_of(*asked_before, *test, queries=["shoes", "Red  dress", "hat"])
    replay = requests_from_log(log, now, now + 10)
    assert right(segments_of(replay, log.before(now), Gains())) == {
        "New shoppers": [(2, 4)],  # of nobody it is not known whether they are new
        "Returning shoppers": [(0, 0), (1, 0), (1, 1)],
        "Head queries": [(0, 0), (3, 0)],
        "Tail queries": [(1, 0), (1, 1)],
        "Unseen queries": [(2, 4)],
        "Head products": [(0, 0), (1, 0), (3, 0)],
        "Tail products": [(1, 1), (2, 4)],
    }


def test_a_part_that_is_everything_is_none() -> None:
    log = log_of(*(Event(n * 10_000, shopper=0, item=0) for n in range(5)))
    assert right(segments_of(requests_from_log(log, 10_000, 50_000), log.before(10_000), Gains())) == {}


@given(logs)
def test_parts_of_a_kind_share_nothing_and_lose_nothing(log: EventLog) -> None:
    replay = requests_from_log(log, 18_000, 10**6)
    parts = right(segments_of(replay, log.before(18_000), Gains()))
    for kind in ("shoppers", "queries", "products"):
        pairs = [pair for name, part in parts.items() if name.endswith(kind) for pair in part]
        assert len(pairs) == len(set(pairs))
        if kind == "products" and pairs:
            assert len(pairs) == int((replay.truth.gain > 0).sum())


def test_a_search_is_counted_once_however_many_events_tell_of_it() -> None:
    log = log_of(
        Event(1, kind=EventKind.search, query=0, request=0),
        Event(1, kind=EventKind.impression, item=1, query=0, request=0),
        Event(9, kind=EventKind.click, item=1, query=0, request=0),
        Event(20, kind=EventKind.search, query=1),
        Event(20, kind=EventKind.impression, item=1, query=1),
        Event(30, kind=EventKind.search, query=2),
        queries=["shoes", "hat", "SHOES "],
    )
    assert searches(log) == {"shoes": 2, "hat": 1}


@given(st.lists(st.integers(0, 20), max_size=12))
def test_the_common_half_is_the_smallest_that_is_one(counts: list[int]) -> None:
    values = np.array(counts, dtype=np.int64)
    head = common(values)
    if not values.sum():
        assert not head.any()
        return
    assert values[head].sum() * 2 >= values.sum()
    assert values[head].min() > values[~head].max(initial=-1)
    least = values[head] == values[head].min()
    assert values[head][~least].sum() * 2 < values.sum()
