"""Replays and protocols: against a slow literal replay, and nothing of the future in any request."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.core import EventKind, EventLog
from vetrina.core.errors import ConfigError
from vetrina.engine import Gains, Replay, requests_at, requests_from_log

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


def log_of(*events: Event, shoppers: int = 3) -> EventLog:
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
        queries=QUERIES,
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


def literal_groups(log: EventLog, gap: int) -> list[list[int]]:
    """Rows of each request, one event at a time."""
    coded: dict[tuple[int, int], list[int]] = defaultdict(list)
    sessions: dict[int, list[list[int]]] = defaultdict(list)
    for row in range(len(log)):
        shopper = int(log.shopper[row])
        if log.request[row] >= 0:
            coded[int(log.request[row]), shopper].append(row)
        elif shopper >= 0:
            own = sessions[shopper]
            if not own or log.time[row] - log.time[own[-1][-1]] > gap or log.kind[row] == EventKind.search:
                own.append([])
            own[-1].append(row)
    return [*coded.values(), *(rows for own in sessions.values() for rows in own)]


def literal_replay(log: EventLog, since: int, until: int, size: int, only_new: bool) -> list[tuple[object, ...]]:
    """(now, shopper, window items, words, truth) of every request, sorted."""
    gains = {EventKind.click: 1.0, EventKind.cart: 2.0, EventKind.purchase: 3.0}
    found = []
    for rows in literal_groups(log, 1800):
        now, shopper = int(log.time[rows[0]]), int(log.shopper[rows[0]])
        past = [row for row in range(len(log)) if log.shopper[row] == shopper >= 0 and log.time[row] < now]
        bought = {int(log.item[row]) for row in past if log.kind[row] == EventKind.purchase}
        truth: dict[int, float] = {}
        for row in rows:
            item, gain = int(log.item[row]), gains.get(EventKind(int(log.kind[row])), 0.0)
            if item >= 0 and gain > 0 and not (only_new and item in bought):
                truth[item] = max(truth.get(item, 0.0), gain)
        window = [int(log.item[r]) for r in past if log.item[r] >= 0 and log.kind[r] != EventKind.impression]
        words = next((QUERIES[log.query[row]] for row in rows if log.query[row] >= 0), "")
        if truth and since <= now < until:
            found.append((now, shopper, window[-size:] if size else [], words, sorted(truth.items())))
    return sorted(found, key=repr)


def described(replay: Replay) -> list[tuple[object, ...]]:
    requests, truth = replay.requests, replay.truth
    rows: list[tuple[object, ...]] = []
    for b in range(len(requests)):
        window = requests.windows.slice(b, b + 1).item.tolist()
        one = truth.slice(b, b + 1)
        right = sorted(zip(one.item.tolist(), one.gain.tolist(), strict=True))
        rows.append((int(requests.now[b]), int(replay.shopper[b]), window, requests.queries[b].text, right))
    return rows


@settings(deadline=None, max_examples=150)
@given(logs, st.integers(0, 40_000), st.integers(0, 40_000), st.integers(0, 5), st.booleans())
def test_replay_is_what_a_literal_replay_gives(
    log: EventLog, since: int, until: int, size: int, only_new: bool
) -> None:
    replay = requests_from_log(log, since, until, window_size=size, only_new=only_new)
    assert sorted(described(replay), key=repr) == literal_replay(log, since, until, size, only_new)
    assert np.all(np.diff(replay.requests.now) >= 0)
    assert all(query.exclude_purchased == only_new for query in replay.requests.queries)


@settings(deadline=None, max_examples=100)
@given(logs, st.booleans(), st.data())
def test_nothing_at_or_after_a_request_changes_it(log: EventLog, only_new: bool, data: st.DataObject) -> None:
    replay = requests_from_log(log, 0, 10**9, window_size=5, only_new=only_new)
    if not len(replay.requests):
        return
    b = data.draw(st.integers(0, len(replay.requests) - 1))
    now, wanted = int(replay.requests.now[b]), described(replay)[b]
    # The request's own events say what was asked and chosen. Dropping all others from then on changes nothing ...
    asked_then = [rows for rows in literal_groups(log, 1800) if log.time[rows[0]] == now]
    alike = [rows for rows in asked_then if described(_only(log, rows, now, only_new)) == [wanted]]
    assert alike
    # ... nor does making something else of them (but for the searches, which end a session).
    others = np.setdiff1d(np.flatnonzero(log.time >= now), alike[0])
    others = others[log.kind[others] != EventKind.search]
    altered = replace(log, item=log.item.copy(), kind=log.kind.copy())
    altered.item[others] = data.draw(st.integers(0, 4))
    altered.kind[others] = EventKind.purchase
    assert wanted in described(requests_from_log(altered, 0, 10**9, window_size=5, only_new=only_new))


def _only(log: EventLog, rows: list[int], now: int, only_new: bool) -> Replay:
    """The requests asked at ``now`` when nothing but ``rows`` happened from then on."""
    kept = np.union1d(np.flatnonzero(log.time < now), rows)
    return requests_from_log(log.take(kept), now, now + 1, window_size=5, only_new=only_new)


def test_new_means_never_bought_before_even_outside_the_window() -> None:
    old = [Event(time, item=2) for time in (10, 20)] + [Event(30, item=item) for item in (0, 1)]
    log = log_of(*old, Event(40_000, item=2, request=1), Event(40_000, item=3, request=1))
    everything = requests_from_log(log, 30_000, 50_000, window_size=2)
    new = requests_from_log(log, 30_000, 50_000, window_size=2, only_new=True)
    assert everything.truth.item.tolist() == [2, 3]
    assert new.truth.item.tolist() == [3]
    assert new.requests.windows.item.tolist() == [0, 1]
    assert new.requests.queries[0].exclude_purchased


def test_what_counts_as_chosen_is_a_setting() -> None:
    log = log_of(
        Event(1, kind=EventKind.rate, item=0, request=0, rating=5.0),
        Event(1, kind=EventKind.rate, item=1, request=0, rating=3.0),
        Event(1, kind=EventKind.rate, item=2, request=0),
        Event(1, kind=EventKind.view, item=3, request=0),
        Event(2, kind=EventKind.click, item=4, request=0),
        Event(3, kind=EventKind.cart, item=4, request=0),
    )
    default = requests_from_log(log, 0, 10).truth
    assert (default.item.tolist(), default.gain.tolist()) == ([4], [2.0])
    rated = requests_from_log(log, 0, 10, gains=Gains(rate=1, rating_from=3, view=0.5, click=0, cart=0)).truth
    assert (rated.item.tolist(), rated.gain.tolist()) == ([0, 1, 3], [1.0, 1.0, 0.5])


def test_a_search_begins_a_request_of_its_own() -> None:
    log = log_of(
        Event(0, kind=EventKind.click, item=0),
        Event(60, kind=EventKind.search, query=1),
        Event(90, kind=EventKind.click, item=1),
    )
    replay = requests_from_log(log, 0, 100)
    assert [query.text for query in replay.requests.queries] == ["", "red dress"]
    assert replay.requests.now.tolist() == [0, 60]
    assert replay.requests.windows.offsets.tolist() == [0, 0, 1]


def test_frozen_requests_ask_once_per_known_shopper() -> None:
    log = log_of(
        Event(10, shopper=0, item=0),
        Event(20, shopper=1, item=1),
        Event(100, shopper=0, item=0, request=1),
        Event(200, shopper=0, item=2, request=2),
        Event(150, shopper=2, item=3),
        Event(120, shopper=-1, item=3, request=9),
        Event(300, shopper=1, item=4),
    )
    replay = requests_at(log, 100, 300)
    assert described(replay) == [(100, 0, [0], "", [(0, 3.0), (2, 3.0)])]
    assert described(requests_at(log, 100, 300, only_new=True)) == [(100, 0, [0], "", [(2, 3.0)])]


def test_part_of_a_replay() -> None:
    log = log_of(*(Event(time * 10_000, shopper=time % 2, item=time % 5) for time in range(9)))
    replay = requests_from_log(log, 0, 10**9, window_size=3)
    rows = np.array([1, 4, 8])
    assert described(replay.take(rows)) == [described(replay)[row] for row in rows]


def test_wrong_input_is_named() -> None:
    log = log_of(Event(1, item=0))
    with pytest.raises(ConfigError, match="Got -1 and 1800"):
        requests_from_log(log, 0, 10, window_size=-1)
    with pytest.raises(ConfigError, match="Got -2"):
        requests_at(log, 0, 10, window_size=-2)
    with pytest.raises(ConfigError, match="purchase"):
        Gains.parse({"purchase": -1}, "gains")


def test_an_empty_log_has_no_requests() -> None:
    for replay in (requests_from_log(log_of(), 0, 10), requests_at(log_of(), 0, 10)):
        assert len(replay.requests) == len(replay.truth) == len(replay.shopper) == 0
