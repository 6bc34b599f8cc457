"""The caller's own order as a feature: carried by the engine, weighed by the shop, told in the reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.catalogue.mapping import ItemMapping
from vetrina.engine import Engine, Shop, ShopConfig, explain, learn
from vetrina.engine.config import RankConfig, SourceConfig
from vetrina.engine.create import create_from_tables
from vetrina.rank.features import Given

ITEMS = items_of(6, title=["red dress", "blue dress", "red hat", "bag", "sock", "tie"])


@pytest.fixture(scope="module")
def engine() -> Engine:
    config = ShopConfig(
        items=ItemMapping(file="p.csv", item="id"),
        retrieve={"lexical": SourceConfig(k=6), "popular": SourceConfig(k=6)},
        rank=RankConfig(ranker="match_score", features=["given"], options={"weights": {"given_reciprocal": 2.0}}),
    )
    return learn(ITEMS, nothing(ITEMS), config, {})


def test_position_and_its_logarithm() -> None:
    family = Given().fit(ITEMS, nothing(ITEMS))
    found = family.compute(asked([[], []]), lists_of([5, 2], [1], given_position=[1, 4, 1]))
    np.testing.assert_allclose(found, [[1, 0], [0.25, np.log(4)], [1, 0]], rtol=1e-6)
    assert np.isnan(family.compute(asked([[]]), lists_of([5, 2]))).all()


def test_an_engine_keeps_the_callers_order_where_that_is_all_that_counts(engine: Engine) -> None:
    given = [np.array(one, dtype=np.int32) for one in ([4, 0, 2], [], [3, 5])]
    requests = asked([[]] * 3)
    ranked = engine.rank(requests, 6, given)
    assert [ranked.lists.list_of(row).tolist() for row in range(3)] == [[4, 0, 2], [], [3, 5]]
    scores = np.asarray(ranked.lists.columns["score"], dtype=np.float32)
    np.testing.assert_allclose(scores, [2, 1, 2 / 3, 2, 1], rtol=1e-6)
    reasons = explain(engine, requests, ranked)
    (own,) = [one for one in reasons[1] if one.kind == "given"]
    assert own.text == "Number 2 of the list that was given"
    assert own.share == pytest.approx(1)
    assert own.evidence == {"position": 2}


def test_where_the_engine_finds_its_own_nothing_is_given(engine: Engine) -> None:
    requests = asked([[]])
    ranked = engine.rank(requests, 6)
    assert np.isnan(ranked.features).all()
    (own,) = [one for one in explain(engine, requests, ranked)[0] if one.kind == "given"]
    assert (own.share, own.text) == (0, "Not from a list that was given")


def test_a_shop_carries_the_order_of_ids(tmp_path: Path) -> None:
    rank = {"ranker": "match_score", "features": ["given"], "options": {"weights": {"given_reciprocal": 1.0}}}
    create_from_tables(
        tmp_path, items=ITEMS.table, events=None, judgements=None, photos_root=None, name="x",
        overrides={"rank": rank, "encode": {"photo": None}, "retrieve": {"lexical": {"k": 5}, "popular": {"k": 5}}},
    )  # fmt: skip
    shop = Shop.open(tmp_path)
    shop.build()
    ranking = shop.rank(["4", "0", "unknown", "2", "0", "1"])
    assert [result.item for result in ranking.results] == ["4", "0", "2", "1"]
    np.testing.assert_allclose([result.score for result in ranking.results], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)
