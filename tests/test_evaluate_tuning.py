"""Tuning: the best of a grid on the validation slice, nothing of the test, every point accounted for."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from vetrina.core import DAY, EVENT_COLUMNS, ITEM_COLUMNS, EventLog, Items
from vetrina.core.errors import ConfigError
from vetrina.engine import Replay, requests_from_log
from vetrina.evaluate import OwnFrequency, Popularity, measure, tune


def catalogue() -> Items:
    rows: dict[str, list[Any]] = {name: [""] * 6 for name in ITEM_COLUMNS}
    rows |= {"item": list("abcdef"), "price": [1.0] * 6, "in_stock": [True] * 6, "available_at": [None] * 6}
    return Items(pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in ITEM_COLUMNS.items()}))


def log_of(purchases: list[tuple[float, str, str]], items: Items) -> EventLog:
    rows: dict[str, list[Any]] = {name: [None] * len(purchases) for name in EVENT_COLUMNS}
    rows["time"] = [int(day * DAY) for day, *_ in purchases]
    rows["shopper"] = [shopper for _, shopper, _ in purchases]
    rows["kind"] = ["purchase"] * len(purchases)
    rows["item"] = [item for *_, item in purchases]
    table = pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in EVENT_COLUMNS.items()})
    return EventLog.from_table(table, items)


def fashions() -> tuple[Items, EventLog, Replay]:
    """What sells changes every ten days, so popularity of the last days is better than all-time popularity."""
    items = catalogue()
    rng = np.random.default_rng(0)
    purchases = [(day + 0.5, f"s{n}", "abcdef"[day // 10]) for day in range(55) for n in rng.integers(0, 9, 4)]
    log = log_of(purchases, items)
    return items, log, requests_from_log(log, 42 * DAY, 50 * DAY)


def test_the_best_point_is_found_and_every_trial_told() -> None:
    items, log, validation = fashions()
    train, past = log.before(42 * DAY), log.before(50 * DAY)
    grid = {"days": [None, 20, 1]}
    ((best, trials),) = tune(Popularity, grid, items, train, past, [validation], "mrr@3")
    assert best == {"days": 1}
    assert trials["days"].to_list() == ["None", "20", "1"]
    for days, value in zip(grid["days"], trials["mrr@3"], strict=True):
        lists = Popularity(days=days).fit(items, train).observe(past).rank(validation.requests, 3)
        assert value == pytest.approx(measure(lists, validation.truth, 3).mean("mrr@3"))


def test_the_grid_is_a_product_in_order_and_of_equals_the_first_wins() -> None:
    items, log, validation = fashions()
    past = log.before(50 * DAY)
    ((best, trials),) = tune(OwnFrequency, {"half_life_days": [5, 6], "days": [1, 2]}, items, past, past, [validation])
    assert list(zip(trials["half_life_days"], trials["days"], strict=True)) == [
        ("5", "1"),
        ("5", "2"),
        ("6", "1"),
        ("6", "2"),
    ]
    top = int(np.argmax(trials["ndcg@10"].to_numpy()))
    assert best == {"half_life_days": [5, 5, 6, 6][top], "days": [1, 2, 1, 2][top]}


def test_what_comes_after_the_validation_changes_nothing() -> None:
    items, log, validation = fashions()
    train, grid = log.before(42 * DAY), {"days": [None, 20, 1]}
    (with_test,) = tune(Popularity, grid, items, train, log, [validation])
    (without,) = tune(Popularity, grid, items, train, log.before(50 * DAY), [validation])
    assert with_test.trials["ndcg@10"].to_list() == without.trials["ndcg@10"].to_list()


def test_out_of_time_the_rest_is_untried_and_says_so() -> None:
    items, log, validation = fashions()
    ((best, trials),) = tune(Popularity, {"days": [3, 2, 1]}, items, log, log, [validation], seconds=0)
    assert best == {"days": 3}
    assert trials["ndcg@10"].is_null().to_list() == [False, True, True]


def test_wrong_input_is_named() -> None:
    items, log, validation = fashions()
    with pytest.raises(ConfigError, match=r"such as 'ndcg@10'\. Got 'ndcg'"):
        tune(Popularity, {}, items, log, log, [validation], "ndcg")
    with pytest.raises(ConfigError, match="no values to try"):
        tune(Popularity, {"days": []}, items, log, log, [validation])
    with pytest.raises(ConfigError, match="take a longer slice"):
        tune(Popularity, {}, items, log, log, [requests_from_log(log, 0, 0)])
    with pytest.raises(ConfigError, match="Did you mean 'ndcg'"):
        tune(Popularity, {}, items, log, log, [validation], "ndgc@5")
    with pytest.raises(ConfigError, match="Did you mean 'days'"):
        tune(Popularity, {"dayz": [1]}, items, log, log, [validation])


def test_each_validation_has_its_own_best() -> None:
    items, log, late = fashions()
    early = requests_from_log(log, 30 * DAY, 31 * DAY)  # the day on which what sells has just changed
    grid = {"days": [None, 20, 1]}
    both = tune(Popularity, grid, items, log.before(30 * DAY), log, [late, early])
    for validation, one in zip((late, early), both, strict=True):
        (alone,) = tune(Popularity, grid, items, log.before(30 * DAY), log, [validation])
        assert one.options == alone.options
        assert one.trials["ndcg@10"].to_list() == alone.trials["ndcg@10"].to_list()
