"""Products that nobody has met yet: ranked by what they are like, and measured as they would be on their first day."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from planted import NOW, asked, items_of, log_of, unit
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import DAY, EventKind, EventLog, Items
from vetrina.engine import Engine, ShopConfig, fit_stages, learn, ranker_rows
from vetrina.engine.config import RankConfig, SourceConfig
from vetrina.evaluate.cold import LIKENESS, measure_cold
from vetrina.evaluate.tables import ENGINE

#: Items 0-19 are of one kind and 20-39 of another; the last of each has just been added.
KINDS, EACH = 2, 20
NEW = (EACH - 1, 2 * EACH - 1)
BUY, VIEW = EventKind.purchase, EventKind.view

CONFIG = ShopConfig(
    items=ItemMapping(file="p.csv", item="id"),
    retrieve={name: SourceConfig(k=40) for name in ("vector", "item_item", "popular")},
    rank=RankConfig(options={"trees": 40, "min_rows_in_leaf": 5}, features=["looks", "people", "popularity"]),
)


def shop(days: int = 40, seed: int = 0) -> tuple[Items, EventLog]:
    """Every shopper buys of one kind alone; within it, of whatever there is."""
    rng = np.random.default_rng(seed)
    # Two directions with a little of each item's own.
    vectors = (
        np.repeat(np.eye(KINDS, 8), EACH, axis=0) + np.c_[np.zeros((KINDS * EACH, 2)), rng.normal(0, 0.3, (40, 6))]
    )
    items = items_of(KINDS * EACH, {"text": unit(vectors), "fused": unit(vectors)})
    old = [np.arange(kind * EACH, (kind + 1) * EACH - 1) for kind in range(KINDS)]
    events = [
        (day + 0.3 + 0.01 * step, f"s{shopper}", kind, int(rng.choice(old[shopper % KINDS])))
        for day in range(-days, 0)
        for shopper in rng.choice(30, 12, replace=False)
        for step, kind in enumerate((VIEW, BUY, BUY))
    ]
    return items, log_of(items, events)


def places(engine: Engine, items: Items) -> dict[int, int]:
    """Where each item stands for somebody who bought two of the first kind."""
    requests = asked([[(0, BUY, 3.0), (1, BUY, 1.0)]])
    listed = engine.rank(requests, len(items)).lists.item.tolist()
    return {item: listed.index(item) for item in listed}


def test_a_new_product_stands_where_its_likes_do() -> None:
    """Above the new one of the other kind, and above everything known of the other kind: on its first day."""
    items, log = shop()
    place = places(learn(items, log, CONFIG, {}), items)
    assert place[NEW[0]] < place[NEW[1]]
    others = [place[item] for item in range(EACH, 2 * EACH - 1)]
    assert place[NEW[0]] < min(others)
    assert place[NEW[0]] < EACH, "among its own kind, and not after it"


def test_without_such_requests_to_learn_from_it_would_stand_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the test above can fail: nobody has ever chosen what nobody has met."""
    items, log = shop()
    aware = places(learn(items, log, CONFIG, {}), items)[NEW[0]]
    monkeypatch.setattr(import_module("vetrina.engine.lessons"), "_NEW_REQUESTS", 0.0)
    assert places(learn(items, log, CONFIG, {}), items)[NEW[0]] > aware


def test_rows_hold_requests_in_which_some_products_are_new() -> None:
    """Their counts are unknown, they are chosen and left, and nothing that nobody met in truth is among them."""
    items, log = shop()
    engine = fit_stages(items, log, CONFIG, {})
    rows = ranker_rows(engine, log, CONFIG)
    unmet = np.isnan(rows.features[:, list(rows.names).index("bought_ever")])
    share = (rows.gain[unmet] > 0).mean()
    assert 0.02 < unmet.mean() < 0.1, "a fifth of the products in a quarter of the requests"
    assert 0 < share < 1
    again = ranker_rows(engine, log, CONFIG)
    np.testing.assert_array_equal(rows.features, again.features)
    fused = items.vectors["fused"]
    met = log.first_met(len(items))
    assert met[list(NEW)].tolist() == [np.iinfo(np.int64).max] * 2
    # Window cosines tell items apart: no row is of a product that was never met.
    window = rows.features[:, list(rows.names).index("like_fused")]
    assert np.isnan(window).all()
    assert len(fused) == len(items)


def test_items_met_first_are_told_by_the_log() -> None:
    items = items_of(3)
    log = log_of(items, [(0.0, "a", EventKind.impression, 1), (1.0, "a", BUY, 0), (2.0, "b", BUY, 1)])
    assert log.first_met(3).tolist() == [NOW + DAY, NOW, np.iinfo(np.int64).max]


def test_products_that_are_new_in_truth_are_asked_for_where_there_are_enough() -> None:
    items, log = shop()
    cut = NOW - 13 * DAY
    # In the last days the last of each kind is bought by those who like its kind.
    later = np.flatnonzero((log.time >= cut) & (log.kind == BUY))[::2]
    item = log.item.copy()
    item[later] = np.where(item[later] < EACH, NEW[0], NEW[1])
    log = replace(log, item=item)
    engine = learn(items, log.before(cut), CONFIG, {})
    every, alone = measure_cold(engine, log, CONFIG, cut)
    assert "without an event before the test" in every.title
    assert every.n >= 50
    figures = {row.system: row.values["ndcg@10"].mean for row in alone.rows}
    # Of two new products one is of the shopper's kind: who looks at likeness never fails.
    assert figures[ENGINE] == figures[LIKENESS] == pytest.approx(1)
    assert figures["popularity"] < 1


def test_else_some_are_held_back_as_if_they_were_and_it_is_said() -> None:
    items, log = shop()
    cut = NOW - 8 * DAY
    engine = learn(items, log.before(cut), CONFIG, {})
    every, alone = measure_cold(engine, log, CONFIG, cut)
    assert "20% of the products as if new" in every.title
    assert {row.system for row in every.rows} == {ENGINE, LIKENESS, "popularity"}
    figures = {row.system: row.values["ndcg@10"].mean for row in alone.rows}
    assert figures[ENGINE] > figures["popularity"]


def test_nothing_to_ask_is_no_table() -> None:
    items, log = shop(days=10)
    engine = learn(items, log, CONFIG, {})
    assert measure_cold(engine, log, CONFIG, int(log.time[-1]) + 1) == []
