"""What graded queries teach: which of all that a search finds belongs in the first places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from engine_shop import built_shop
from vetrina.core import EVENT_COLUMNS, EventLog, ItemList
from vetrina.engine.judged import judged_replay
from vetrina.engine.learn import learn_ranker
from vetrina.engine.rows import ranker_rows
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


def test_all_that_a_graded_query_finds_is_learned_from(tmp_path: Path) -> None:
    """What nobody judged is most of what a search has to keep out of the first places: none of it is left out."""
    shop = built_shop(tmp_path)
    engine, config = shop.engine, shop.config
    judged = judged_replay(GRADES, engine.items)
    assert judged is not None
    few = config.model_copy(update={"rank": config.rank.model_copy(update={"negatives": 1})})
    log = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), engine.items)
    rows = ranker_rows(engine, log, few, judged)
    requests = engine.encode_queries(judged.requests)
    found = engine.candidates(requests)
    assert rows.names == engine.feature_names
    assert rows.sizes.tolist() == found.sizes.tolist()
    assert found.sizes.min() > 4
    np.testing.assert_array_equal(rows.features, engine.compute_features(requests, found))
    grades = {(query, item): grade for query, item, grade in GRADES.iter_rows()}
    asked = [judged.requests.queries[row].text for row in found.row.tolist()]
    pairs = zip(asked, found.item.tolist(), strict=True)
    assert rows.gain.tolist() == [grades.get((text, engine.items.ids[item]), 0) for text, item in pairs]
    assert rows.gain.max() == 3


def test_judged_products_alone_are_learned_from_for_lists(tmp_path: Path) -> None:
    shop = built_shop(tmp_path)
    engine, config = shop.engine, shop.config
    judged = judged_replay(GRADES, engine.items)
    assert judged is not None
    log = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), engine.items)
    lists = config.model_copy(update={"rank": config.rank.model_copy(update={"graded": "lists"})})
    searches, both = (ranker_rows(engine, log, one, judged) for one in (config, lists))
    n, rows = len(judged.requests), len(searches.gain)
    np.testing.assert_array_equal(both.features[:rows], searches.features)
    assert both.sizes[n:].tolist() == np.diff(judged.truth.offsets).tolist() == [1, 2, 2]
    assert both.gain[rows:].tolist() == judged.truth.gain.tolist()
    requests = engine.encode_queries(judged.requests)
    alone = ItemList(judged.truth.offsets, judged.truth.item)
    add_scores(engine.sources, requests, alone)
    np.testing.assert_array_equal(both.features[rows:], engine.compute_features(requests, alone))


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
