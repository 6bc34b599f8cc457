"""What graded queries teach: rows of a search, and rows of the graded products alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from engine_shop import built_shop
from vetrina.core import EVENT_COLUMNS, EventLog, ItemList
from vetrina.engine.judged import judged_replay
from vetrina.engine.learn import learn_ranker
from vetrina.engine.rows import graded_rows
from vetrina.retrieve.merge import add_scores

GRADES = pl.DataFrame(
    [
        ("red hat", "p02", 3),
        ("red hat", "p00", 0),
        ("black shoe", "p07", 2),
        ("black shoe", "p11", 1),
        ("bag", "p03", 0),
    ],
    schema=["query", "item", "grade"],
    orient="row",
)


def test_graded_products_alone_are_rows_as_the_engine_would_order_them(tmp_path: Path) -> None:
    engine = built_shop(tmp_path).engine
    judged = judged_replay(GRADES, engine.items)
    assert judged is not None
    (rows,) = graded_rows(engine, judged)
    assert rows.names == engine.feature_names
    assert rows.gain.tolist() == judged.truth.gain.tolist()
    assert rows.sizes.tolist() == np.diff(judged.truth.offsets).tolist() == [1, 2, 2]
    requests = engine.encode_queries(judged.requests)
    lists = ItemList(judged.truth.offsets, judged.truth.item)
    add_scores(engine.sources, requests, lists)
    np.testing.assert_array_equal(rows.features, engine.compute_features(requests, lists))


def test_a_shop_with_grades_and_no_log_learns_what_they_say(tmp_path: Path) -> None:
    """The cheapest are graded best, whatever the words: no match score would say so."""
    shop = built_shop(tmp_path)
    items = shop.engine.items
    rng = np.random.default_rng(0)
    price = items.price
    rows = []
    for number in range(60):
        pool = rng.permutation(len(items))[:8]
        cheap = set(pool[np.argsort(price[pool])][:3].tolist())
        word = ["red", "black", "shoe", "bag"][number % 4]
        rows += [(f"{word} {number}", items.ids[item], 3 * (item in cheap)) for item in pool]
    judged = judged_replay(pl.DataFrame(rows, schema=["query", "item", "grade"], orient="row"), items)
    assert judged is not None
    log = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), items)
    engine = learn_ranker(shop.engine, log, shop.config, judged.take(np.arange(50)))
    test = judged.take(np.arange(50, 60))
    bounds = zip(test.truth.offsets[:-1], test.truth.offsets[1:], strict=True)
    pools = [test.truth.item[start:stop] for start, stop in bounds]
    lists = engine.rank(test.requests, 3, pools).lists
    found = [price[lists.list_of(row)].mean() for row in range(10)]
    cheapest = [np.sort(price[pool])[:3].mean() for pool in pools]
    average = [price[pool].mean() for pool in pools]
    assert np.mean(found) < (np.mean(cheapest) + np.mean(average)) / 2
