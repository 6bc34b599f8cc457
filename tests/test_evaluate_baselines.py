"""Baselines: planted truth, slow literal versions, nothing read from the future, one equals many."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from vetrina.core import (
    DAY,
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    Choice,
    EventKind,
    EventLog,
    Filters,
    Items,
    Query,
    Requests,
    Windows,
)
from vetrina.core.errors import ConfigError, NotFitted
from vetrina.engine import Gains, requests_from_log
from vetrina.evaluate import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity, tune
from vetrina.evaluate.tuning import TRIALS

N_ITEMS = 20
EVERY: list[tuple[type[Baseline], dict[str, Any]]] = [
    (Popularity, {}),
    (Popularity, {"days": 5}),
    (OwnFrequency, {}),
    (OwnFrequency, {"half_life_days": 3, "days": 5}),
    (ItemKNN, {}),
    (ItemKNN, {"similarity": "cosine", "power": 0.5, "half_life_days": 3}),
    (ItemKNN, {"similarity": "tfidf", "neighbours": 5}),
    (ALS, {"factors": 4, "iterations": 3}),
    (BM25, {}),
]
every = pytest.mark.parametrize(("make", "options"), EVERY, ids=[f"{cls.name} {options}" for cls, options in EVERY])


def catalogue(n_items: int = N_ITEMS) -> Items:
    colours = ["red", "blue", "green", "black"]
    rows: dict[str, list[Any]] = {
        "item": [f"i{number}" for number in range(n_items)],
        "title": [f"{colours[number % 4]} thing" for number in range(n_items)],
        **{name: [""] * n_items for name in ("description", "category", "brand", "colour", "photo", "audio", "video")},
        "more_photos": [[]] * n_items,
        "price": [1.0] * n_items,
        "in_stock": [True] * n_items,
        "available_at": [None] * n_items,
    }
    return Items(pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in ITEM_COLUMNS.items()}))


def log_of(events: list[tuple[float, str, str, int]], items: Items) -> EventLog:
    """From (day, shopper, kind, item)."""
    rows: dict[str, list[Any]] = {name: [None] * len(events) for name in EVENT_COLUMNS}
    rows["time"] = [int(day * DAY) for day, *_ in events]
    rows["shopper"] = [shopper for _, shopper, *_ in events]
    rows["kind"] = [kind for _, _, kind, _ in events]
    rows["item"] = [f"i{item}" for *_, item in events]
    table = pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in EVENT_COLUMNS.items()})
    return EventLog.from_table(table, items)


def two_tribes(items: Items, seed: int = 0) -> EventLog:
    """Shoppers who buy only even or only odd items, for 40 days; one day to the next."""
    rng = np.random.default_rng(seed)
    events = []
    for number in range(40):
        for day in np.sort(rng.integers(0, 40, 15)):
            item = 2 * int(rng.integers(N_ITEMS // 2)) + number % 2
            events.append((day + number / 100, f"s{number:02}", str(rng.choice(["click", "purchase"])), item))
    return log_of(events, items)


def ask(log: EventLog, shoppers: list[int], day: float, query: Query = Query(), size: int = 100) -> Requests:  # noqa: B008
    now = np.full(len(shoppers), int(day * DAY), dtype=np.int64)
    return Requests(log.windows(np.array(shoppers, dtype=np.int32), now, size), [query] * len(shoppers), now)


@every
def test_every_baseline_gives_full_distinct_descending_lists(make: type[Baseline], options: dict[str, Any]) -> None:
    items = catalogue()
    log = two_tribes(items)
    lists = make(**options).fit(items, log).rank(ask(log, [-1, 0, 1, 5], 30), 7)
    assert lists.sizes.tolist() == [7] * 4
    for row in range(4):
        assert len(set(lists.list_of(row).tolist())) == 7
        scores = lists.columns["score"][lists.offsets[row] : lists.offsets[row + 1]]
        assert np.all(np.diff(scores) <= 0)
    assert lists.columns["score"].dtype == np.float32


@every
def test_one_equals_many_and_blocks_do_not_show(
    make: type[Baseline], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = catalogue()
    log = two_tribes(items)
    baseline = make(**options).fit(items, log)
    requests = ask(log, list(range(-1, 12)), 30, Query(text="red", exclude_purchased=True))
    allowed = np.random.default_rng(0).random((13, N_ITEMS)) < 0.6
    whole = baseline.rank(requests, 6, allowed)
    monkeypatch.setattr("vetrina.evaluate.baselines._CELLS", 5 * N_ITEMS)
    blocks = baseline.rank(requests, 6, allowed)
    assert blocks.item.tolist() == whole.item.tolist()
    assert blocks.offsets.tolist() == whole.offsets.tolist()
    for row in range(13):
        alone = baseline.rank(requests.slice(row, row + 1), 6, allowed[row : row + 1])
        assert alone.item.tolist() == whole.list_of(row).tolist()
        assert np.all(allowed[row, alone.item])


@every
def test_nothing_of_the_day_of_the_request_or_later_is_read(make: type[Baseline], options: dict[str, Any]) -> None:
    items = catalogue()
    log = two_tribes(items)
    train, day = log.before(15 * DAY), 25
    future = replace(log, item=np.where(log.time >= day * DAY, 3, log.item).astype(np.int32))
    past = log.before(day * DAY)
    wanted = make(**options).fit(items, train).observe(past).rank(ask(log, [-1, 0, 1], day), 10)
    for observed in (log, future):
        ranked = make(**options).fit(items, train).observe(observed).rank(ask(observed, [-1, 0, 1], day), 10)
        assert ranked.item.tolist() == wanted.item.tolist()


@every
def test_purchases_of_the_window_are_left_out_where_asked(make: type[Baseline], options: dict[str, Any]) -> None:
    items = catalogue()
    log = log_of([(1, "a", "purchase", 0), (1, "a", "purchase", 4), (1, "a", "click", 8), (2, "b", "click", 0)], items)
    baseline = make(**options).fit(items, log)
    query = Query(text="red", exclude_purchased=True)
    both = ask(log, [0, 0, 1], 5, query)
    requests = replace(both, queries=[query, Query(text="red"), query])
    lists = baseline.rank(requests, N_ITEMS)
    bought = [{0, 4} & set(lists.list_of(row).tolist()) for row in range(3)]
    assert bought == [set(), {0, 4}, {0, 4}]


@every
def test_items_that_the_query_names_are_left_out(make: type[Baseline], options: dict[str, Any]) -> None:
    items = catalogue()
    log = log_of([(1, "a", "purchase", 0), (1, "a", "purchase", 4)], items)
    asked = ask(log, [0, 0], 5, Query(text="red"))
    requests = replace(asked, queries=[Query(text="red", exclude=(0, 1)), Query(text="red")])
    lists = make(**options).fit(items, log).rank(requests, N_ITEMS)
    assert not {0, 1} & set(lists.list_of(0).tolist())
    assert 0 in lists.list_of(1)


@every
def test_shoppers_who_come_later_change_nothing(make: type[Baseline], options: dict[str, Any]) -> None:
    """They are in the code book of a log that was cut, but no event of theirs is."""
    items = catalogue()
    log = log_of([(day, "abcd"[day % 4], "purchase", day * 5 % N_ITEMS) for day in range(20)], items)
    longer = replace(log, shoppers=[*log.shoppers, *(f"later {number}" for number in range(50))])
    one, two = (make(**options).fit(items, each).rank(ask(each, [0, 1, -1], 30), 10) for each in (log, longer))
    assert one.item.tolist() == two.item.tolist()
    assert one.columns["score"].tolist() == two.columns["score"].tolist()


def test_popularity_counts_what_was_chosen_before_the_day_and_moves_on() -> None:
    items = catalogue(4)
    events = [(0.5, "a", "purchase", 0), (0.6, "b", "purchase", 0), (0.7, "c", "view", 3)]
    events += [(10.5, "a", "purchase", 1), (11.2, "a", "purchase", 2), (11.3, "b", "purchase", 2)]
    log = log_of(events, items)
    every_day = Popularity().fit(items, log.before(DAY)).observe(log)
    assert every_day.rank(ask(log, [-1], 11.9), 2).item.tolist() == [0, 1]  # day 11 itself is not read
    recent = Popularity(days=5).fit(items, log.before(DAY)).observe(log)
    assert recent.rank(ask(log, [-1], 11.9), 2).item.tolist() == [1, 0]
    assert recent.rank(ask(log, [-1], 12), 3).item.tolist() == [2, 1, 0]


def test_popularity_equals_a_literal_count() -> None:
    items = catalogue()
    log = two_tribes(items)
    gains = {EventKind.click: 1 / 3, EventKind.purchase: 1.0}
    for days in (None, 4):
        ranked = Popularity(days=days).fit(items, log).rank(ask(log, [-1], 21.4), N_ITEMS)
        count = np.zeros(N_ITEMS)
        for time, kind, item in zip(log.time, log.kind, log.item, strict=True):
            if (21 - days if days else 0) * DAY <= time < 21 * DAY:
                count[item] += gains[EventKind(int(kind))]
        assert count[ranked.item] == pytest.approx(np.sort(count)[::-1], abs=1e-4)


def test_own_frequency_is_the_window_then_popularity() -> None:
    items = catalogue(5)
    events = [(float(day), "a", "purchase", 1) for day in (1, 2, 3)] + [(4, "a", "purchase", 2)]
    events += [(5, "b", "purchase", 4)] * 5 + [(5, "b", "purchase", 0)]
    log = log_of(events, items)
    assert OwnFrequency().fit(items, log).rank(ask(log, [0], 9), 5).item.tolist() == [1, 2, 4, 0, 3]
    # With a half-life of a day, 1/2**6 + 1/2**7 + 1/2**8 is less than 1/2**5: the newest comes first.
    assert OwnFrequency(half_life_days=1).fit(items, log).rank(ask(log, [0], 9), 5).item.tolist() == [2, 1, 4, 0, 3]


def test_item_knn_equals_a_literal_sum_of_cosines() -> None:
    items = catalogue()
    log = two_tribes(items)
    baseline = ItemKNN(similarity="cosine", neighbours=N_ITEMS, gains=Gains(click=3)).fit(items, log)
    counts = np.zeros((len(log.shoppers), N_ITEMS))
    np.add.at(counts, (log.shopper, log.item), 1)
    unit = counts / np.linalg.norm(counts, axis=0)
    for shopper in (0, 3):
        window = log.item[(log.shopper == shopper) & (log.time < 20 * DAY)]
        expected = sum((unit.T @ unit)[item] for item in window)
        ranked = baseline.rank(ask(log, [shopper], 20), N_ITEMS)
        scores = expected[ranked.item] / expected.max()
        assert ranked.columns["score"] == pytest.approx(scores, abs=1e-5)


def test_als_equals_the_normal_equations() -> None:
    items = catalogue()
    log = two_tribes(items)
    baseline = ALS(factors=4, alpha=2, regularisation=0.3, gains=Gains(click=3)).fit(items, log)
    y = baseline.model_.item_factors.astype(float)
    window = log.item[(log.shopper == 2) & (log.time < 20 * DAY)]
    confidence = 1 + np.zeros(N_ITEMS)
    counts = np.bincount(window, minlength=N_ITEMS)
    # implicit takes the given number as the whole confidence of what was seen.
    confidence[counts > 0] = 2 * counts[counts > 0]
    x = np.linalg.solve(y.T * confidence @ y + 0.3 * np.eye(4), y.T @ (confidence * (counts > 0)))
    ranked = baseline.rank(ask(log, [2], 20), N_ITEMS)
    expected = y @ x
    assert ranked.columns["score"] == pytest.approx(expected[ranked.item] / expected.max(), abs=1e-3)


@pytest.mark.parametrize("make", [ItemKNN, ALS])
def test_people_of_a_kind_get_what_their_kind_buys(make: type[Baseline]) -> None:
    items = catalogue()
    log = two_tribes(items)
    options: dict[str, Any] = {"factors": 4} if make is ALS else {}
    both = [log.shoppers.index("s00"), log.shoppers.index("s01")]
    lists = make(**options).fit(items, log).rank(ask(log, both, 41), 8)
    assert set(lists.list_of(0).tolist()) <= set(range(0, N_ITEMS, 2))
    assert set(lists.list_of(1).tolist()) <= set(range(1, N_ITEMS, 2))


def test_bm25_finds_words_and_falls_back_to_popularity_without_any() -> None:
    items = catalogue()
    log = log_of([(0, "a", "purchase", 7)], items)
    baseline = BM25().fit(items, log)
    requests = ask(log, [-1, -1, -1], 3)
    requests = replace(requests, queries=[Query(text="blue"), Query(), Query(text="nowhere")])
    lists = baseline.rank(requests, 10)
    assert sorted(lists.list_of(0).tolist()) == [1, 5, 9, 13, 17]
    assert lists.list_of(1)[0] == 7
    assert lists.sizes.tolist() == [5, 10, 0]


def test_bm25_under_other_weights_is_as_one_made_with_them() -> None:
    items = catalogue()
    items = Items(items.table.with_columns(description=pl.Series([f"{c} blue" for c in items.ids])))
    log = log_of([(0, "a", "purchase", 7)], items)
    requests = replace(ask(log, [-1], 3), queries=[Query(text="blue thing")])
    weights: dict[str, Any] = {"title": 0.1, "description": 5.0}
    made, weighted = BM25(**weights).fit(items, log), BM25().fit(items, log).weighted(**weights)
    for one, other in zip(made.rank(requests, 10).item, weighted.rank(requests, 10).item, strict=True):
        assert one == other
    assert BM25().fit(items, log).rank(requests, 10).columns["score"].tolist() != (
        weighted.rank(requests, 10).columns["score"].tolist()
    )


@every
def test_a_log_without_events_gives_every_item_in_order(make: type[Baseline], options: dict[str, Any]) -> None:
    items = catalogue(3)
    empty = log_of([], items)
    now = np.array([DAY], dtype=np.int64)
    if make is ALS:
        options = {**options, "iterations": 1}
    lists = make(**options).fit(items, empty).rank(Requests(Windows.empty(1), [Query()], now), 10**9)
    assert lists.item.tolist() == [0, 1, 2]


def test_wrong_use_is_named() -> None:
    items = catalogue(3)
    log = log_of([(0, "a", "purchase", 1)], items)
    with pytest.raises(NotFitted, match=r"'item-kNN' has learned nothing yet: call fit"):
        ItemKNN().rank(ask(log, [0], 3), 5)
    with pytest.raises(ConfigError, match=r"1 or more\. Got 0"):
        Popularity().fit(items, log).rank(ask(log, [0], 3), 0)
    with pytest.raises(ConfigError, match="Did you mean 'half_life_days'"):
        OwnFrequency(half_live_days=3)
    with pytest.raises(ConfigError, match=r"popularity\.days"):
        Popularity(days=0)


def test_filters_are_the_callers_mask() -> None:
    items = catalogue()
    log = two_tribes(items)
    mask = Filters(price_max=0.5).mask(items)
    assert mask is not None
    lists = Popularity().fit(items, log).rank(ask(log, [0, 1], 20), 5, np.broadcast_to(mask, (2, N_ITEMS)))
    assert lists.sizes.tolist() == [0, 0]


@pytest.mark.parametrize("make", [Popularity, OwnFrequency, ItemKNN, ALS, BM25])
def test_spaces_hold_options_the_defaults_and_the_starts_and_are_tuned_by_default(make: type[Baseline]) -> None:
    items = catalogue()
    log = two_tribes(items)
    config = make().config
    for option, one in make.space.items():
        assert one.holds(getattr(config, option)), f"{option}: {one}"
    for start in make.starts:
        assert start
        assert all(make.space[option].holds(value) for option, value in start.items())
    space = {**make.space, "factors": Choice(2, 64), "iterations": Choice(1, 15)} if make is ALS else make.space
    starts = [] if make is ALS else make.starts
    validation = requests_from_log(log, 30 * DAY, 40 * DAY)
    (tuned,) = tune(make, space, items, log.before(30 * DAY), log, [validation], starts=starts)
    assert set(tuned.options) == set(space)
    assert tuned.trials.height == min(TRIALS, 7) if make is Popularity else TRIALS
