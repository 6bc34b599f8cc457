"""Logs written out event by event, and drawn ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vetrina.core import EventKind, EventLog

QUERIES = ["black shoes", "red dress"]


@dataclass(frozen=True)
class Event:
    time: int
    shopper: int = 0
    kind: EventKind = EventKind.purchase
    item: int = -1
    query: int = -1
    request: int = -1
    rating: float = float("nan")


def log_of(*events: Event, shoppers: int = 3, queries: Sequence[str] = QUERIES) -> EventLog:
    events = tuple(sorted(events, key=lambda event: event.time))
    codes = {name: np.array([getattr(event, name) for event in events], dtype=np.int32) for name in _CODES}
    numbers = np.full(len(events), np.nan, dtype=np.float32)
    return EventLog(
        time=np.array([event.time for event in events], dtype=np.int64),
        kind=np.array([event.kind for event in events], dtype=np.int8),
        position=np.zeros(len(events), dtype=np.int32),
        price=numbers,
        quantity=numbers,
        rating=np.array([event.rating for event in events], dtype=np.float32),
        propensity=numbers,
        shoppers=[f"shopper {number}" for number in range(shoppers)],
        queries=list(queries),
        **codes,
    )


_CODES = ("shopper", "item", "query", "request")

logs = st.lists(
    st.builds(
        Event,
        time=st.integers(0, 60).map(lambda step: step * 600),
        shopper=st.integers(-1, 2),
        kind=st.sampled_from(list(EventKind)),
        item=st.integers(-1, 4),
        query=st.integers(-1, 1),
        request=st.integers(-1, 4),
        rating=st.sampled_from([1.0, 4.0, 5.0, float("nan")]),
    ),
    max_size=40,
).map(lambda events: log_of(*events))
