"""Replays and protocols: against a slow literal replay, and nothing of the future in any request."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import Vetrina
from vetrina.core import EventKind, EventLog
from vetrina.core.errors import ConfigError, DataError
from vetrina.engine import Gains, Replay, ShopConfig, requests_at, requests_from_log
from vetrina.evaluate import PROTOCOLS, Holdout, hold_out
from written_log import QUERIES, Event, log_of, logs


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
    with pytest.raises(ConfigError, match="Got -1, 1800 and 0"):
        requests_from_log(log, 0, 10, window_size=-1)
    with pytest.raises(ConfigError, match="Got 9, 1800 and -1"):
        requests_from_log(log, 0, 10, window_size=9, at_most=-1)
    with pytest.raises(ConfigError, match="Got -2"):
        requests_at(log, 0, 10, window_size=-2)
    with pytest.raises(ConfigError, match="purchase"):
        Gains.parse({"purchase": -1}, "gains")


def test_an_empty_log_has_no_requests() -> None:
    for replay in (requests_from_log(log_of(), 0, 10), requests_at(log_of(), 0, 10)):
        assert len(replay.requests) == len(replay.truth) == len(replay.shopper) == 0


# --- protocols ------------------------------------------------------------------

CONFIG = ShopConfig.parse(
    {
        "items": {"file": "products.csv", "item": "sku", "title": "name"},
        "build": {"test_days": 0.15},
        "rank": {"window": 6},
    },
    "",
)


def levels(held: Holdout) -> list[Holdout]:
    """The test, and the validation inside its training part."""
    return [held, *([held.validation] if held.validation else [])]


def asked(held: Holdout) -> list[tuple[str, int, int, list[int], list[int]]]:
    """(table, shopper, now, window, right items) of every request."""
    return [
        (
            name,
            int(replay.shopper[b]),
            int(replay.requests.now[b]),
            replay.requests.windows.slice(b, b + 1).item.tolist(),
            replay.truth.slice(b, b + 1).item[replay.truth.slice(b, b + 1).gain > 0].tolist(),
        )
        for name, replay in held.parts.items()
        for b in range(len(replay.requests))
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None, max_examples=60)
@given(log=logs, seed=st.integers(0, 9))
def test_nothing_that_is_asked_was_learned_from(protocol: str, log: EventLog, seed: int) -> None:
    if not len(log):
        return
    config = CONFIG.model_copy(update={"build": CONFIG.build.model_copy(update={"seed": seed})})
    held = hold_out(log, protocol, config)
    assert held.protocol == protocol
    for level in levels(held):
        train = level.train
        assert np.all(np.diff(train.time) >= 0)
        for replay in level.parts.values():
            windows = replay.requests.windows
            assert np.all(windows.time < replay.requests.now[windows.row])
            assert np.all(replay.truth.n_relevant > 0)
        for _, shopper, now, window, right in asked(level):
            own = train.take(train.shopper == shopper) if shopper >= 0 else train.take(slice(0))
            if protocol in ("time", "time-frozen", "cold-shoppers"):
                assert now >= train.time.max(initial=0)
            if protocol == "cold-shoppers":
                assert not len(own)
                assert shopper >= 0
            if protocol == "time-frozen":
                assert len(own)
            if protocol == "last":
                assert np.all(own.time < now)
                source = log if level is held else held.train
                every = requests_from_log(source, 0, 10**9)
                assert now == every.requests.now[every.shopper == shopper].max()
            if protocol == "shoppers":
                assert not len(own)
                assert shopper >= 0
            if protocol == "cold-items":
                assert not np.isin(right, [*train.item, *level.observed.item, *window]).any()
            if protocol == "random":
                assert not np.isin(right, own.item).any()
                assert set(window) <= set(own.item.tolist())
    if held.validation:
        # What is tuned on was there to be learned from, but for the tenth that is kept for it.
        for _, shopper, _, _, right in asked(held.validation):
            if protocol != "random":
                pairs = set(zip(held.train.shopper.tolist(), held.train.item.tolist(), strict=True))
                assert {(shopper, item) for item in right} <= pairs


def held_of(protocol: str, *events: Event, shoppers: int = 3, **build: float) -> Holdout:
    config = CONFIG.model_copy(update={"build": CONFIG.build.model_copy(update=build)})
    return hold_out(log_of(*events, shoppers=shoppers), protocol, config)


def test_by_time_everything_before_the_cut_and_every_request_after_it() -> None:
    events = [Event(hour * 3600, shopper=hour % 2, item=hour % 5) for hour in range(24)]
    log = log_of(*events)
    held = hold_out(log, "time", CONFIG, cut=20 * 3600)
    assert held.train.time.tolist() == log.time[:20].tolist()
    assert held.observed is log
    assert [(now, window, right) for _, _, now, window, right in asked(held)] == [
        (hour * 3600, [item % 5 for item in range(hour % 2, hour, 2)][-6:], [hour % 5]) for hour in range(20, 24)
    ]
    # As long before the cut as the test days are long (0.15 days), and all that is learned from is before that.
    assert held.validation is not None
    assert held.validation.train.time.tolist() == log.time[:17].tolist()
    assert [now // 3600 for _, _, now, _, _ in asked(held.validation)] == [17, 18, 19]


def test_the_last_request_of_each_shopper_who_asked_before() -> None:
    events = [Event(10 + 5000 * n, shopper=n % 2, item=n) for n in range(5)]
    held = held_of("last", *events, Event(90_000, shopper=2, item=3), Event(99_000, kind=EventKind.view, item=1))
    assert asked(held) == [("Recommendations", 1, 15_010, [1], [3]), ("Recommendations", 0, 20_010, [0, 2], [4])]
    # The view afterwards is the tested shopper's own, and not learned from; the later event of another is.
    assert held.train.time.tolist() == [10, 5010, 10_010, 90_000]
    assert held.leaks
    assert "other shoppers" in held.leak


def test_all_events_of_a_fifth_of_the_shoppers() -> None:
    events = [Event(5000 * n, shopper=n % 50 - 1, item=n % 5) for n in range(400)]
    held = held_of("shoppers", *events, shoppers=49)
    tested = {shopper for _, shopper, *_ in asked(held)}
    assert 4 <= len(tested) <= 16
    assert not tested & set(held.train.shopper.tolist())
    assert -1 in held.train.shopper, "what nobody in particular did is learned from"
    whose = held.parts["Recommendations"].shopper.tolist()
    assert all(whose.count(shopper) == 8 for shopper in tested), "every request of theirs"


def test_shoppers_never_seen_before_the_cut() -> None:
    old = [Event(5000 * n, shopper=0, item=n % 5) for n in range(10)]
    new = [Event(50_000 + 5000 * n, shopper=n % 3 - 1, item=n % 5) for n in range(6)]
    held = hold_out(log_of(*old, *new), "cold-shoppers", CONFIG, cut=50_000)
    assert asked(held) == [("Recommendations", 1, 60_000, [], [2]), ("Recommendations", 1, 75_000, [2], [0])]


def test_items_of_which_nothing_is_known() -> None:
    events = [Event(5000 * n, shopper=n % 3, item=n % 10) for n in range(60)]
    held = held_of("cold-items", *events, test_days=1.0)
    cold = set(range(10)) - set(held.train.item.tolist())
    assert 1 <= len(cold) <= 4
    assert {item for *_, right in asked(held) for item in right} == cold
    alone, every = held.parts["New products alone"], held.parts["Recommendations"]
    assert described(alone) == described(every)
    assert all(set(query.exclude) == set(range(10)) - cold for query in alone.requests.queries)
    assert held.validation is not None
    colder = {item for *_, right in asked(held.validation) for item in right}
    assert colder
    assert not colder & cold, "what is tuned on is drawn among the others"


def test_eight_tenths_one_tenth_and_one_tenth_of_each_shopper() -> None:
    """Sizes as RecBole's ratio split gives them; both events of a pair are on one side."""
    sizes = [1, 2, 3, 9, 10, 19, 20, 37]
    events = [
        Event(1000 * again + 10 * item, shopper=who, item=item)
        for who, size in enumerate(sizes)
        for item in range(size)
        for again in (0, 1)
    ]
    held = held_of("random", *events, shoppers=len(sizes))
    assert held.validation is not None
    tests, tunes = ({one[1]: one for one in asked(level)} for level in levels(held))
    assert {who: len(one[4]) for who, one in tests.items()} == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 3}
    assert {who: len(one[4]) for who, one in tunes.items()} == {2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 3}
    learned = {(int(who), int(item)) for who, item in zip(held.train.shopper, held.train.item, strict=True)}
    assert len(held.train) == 2 * len(learned)
    for level, apart in ((held, 1), (held.validation, 0)):
        replay = level.parts["Recommendations"]
        for query, (_, who, _, _, right) in zip(replay.requests.queries, asked(level), strict=True):
            known = {item for shopper, item in learned if shopper == who}
            known |= set(tunes[who][4]) if apart and who in tunes else set()
            assert set(query.exclude) == known, "what was met is left out of the candidates"
            assert not known & set(right)
    assert held.leaks


@pytest.mark.parametrize("how", ["deleted", "shuffled", "moved"])
@settings(deadline=None, max_examples=60)
@given(
    log=logs, protocol=st.sampled_from(["time", "time-frozen", "cold-shoppers", "cold-items"]), step=st.integers(0, 60)
)
def test_what_comes_after_the_cut_changes_nothing_before_it(how: str, log: EventLog, protocol: str, step: int) -> None:
    """Neither what is learned from nor what is tuned on."""
    cut = step * 600
    if not len(log.before(cut)):
        return
    other = altered(log, cut, how)
    for one, two in zip(
        *([level.train for level in levels(hold_out(each, protocol, CONFIG, cut=cut))] for each in (log, other)),
        strict=True,
    ):
        assert contents(one) == contents(two)
    one, two = (hold_out(each, protocol, CONFIG, cut=cut).validation for each in (log, other))
    assert (one is None) == (two is None)
    if one and two:
        assert contents(one.observed) == contents(two.observed)
        assert {name: described(part) for name, part in one.parts.items()} == {
            name: described(part) for name, part in two.parts.items()
        }


def altered(log: EventLog, time: int, how: str) -> EventLog:
    """The same until ``time``; from then on nothing, or the same events with their parts drawn anew, or later ones."""
    if how == "deleted":
        return log.before(time)
    later = np.flatnonzero(log.time >= time)
    if how == "moved":
        return replace(log, time=np.where(log.time >= time, log.time + 86_400, log.time))
    mixed = {name: getattr(log, name).copy() for name in ("item", "shopper", "kind", "request", "query")}
    for number, column in enumerate(mixed.values()):
        column[later] = column[np.random.default_rng(number).permutation(later)]
    return replace(log, **mixed)


def contents(log: EventLog) -> list[tuple[object, ...]]:
    return list(
        zip(*(getattr(log, name).tolist() for name in ("time", "shopper", "kind", "item", "query")), strict=True)
    )


def test_an_unknown_protocol_and_an_empty_log_are_named() -> None:
    with pytest.raises(ConfigError, match=r"there is no 'cold-item'\. Did you mean 'cold-items'.*time-frozen"):
        hold_out(log_of(Event(1, item=0)), "cold-item", CONFIG)
    with pytest.raises(DataError, match="log is empty"):
        hold_out(log_of(), "time", CONFIG)


def test_every_protocol_has_a_heading_in_the_docs_and_stands_in_the_help(vetrina: Vetrina) -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "protocols.md").read_text(encoding="utf-8")
    told = vetrina("evaluate", "--help").out
    for name in PROTOCOLS:
        assert f"\n## {name}\n" in page
        assert f"({'#'}{name})" in page, "in the table at the top"
        assert name in told
