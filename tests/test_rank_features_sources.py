"""Late fusion by reciprocal rank: as a feature, and as the whole order of an engine that learned nothing."""

from __future__ import annotations

import numpy as np
import pytest

from planted import NOW, asked, items_of, lists_of, log_of, nothing, unit
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import DAY, EventKind, EventLog, Items, Query, Requests
from vetrina.engine import Engine, ShopConfig, explain, learn
from vetrina.engine.config import RankConfig, SourceConfig
from vetrina.rank.features import Sources
from vetrina.retrieve import reciprocal_rank

TITLES = ["red dress", "red shoe", "blue dress", "blue shoe", "red hat", "bag", "sock", "tie"]


def shop() -> tuple[Items, EventLog]:
    vectors = {"fused": unit(np.random.default_rng(0).normal(size=(8, 3)))}
    items = items_of(8, vectors, title=TITLES)
    return items, log_of(items, [(-1.0, "a", EventKind.purchase, item) for item in (4, 4, 4, 5, 5, 6)])


@pytest.fixture(scope="module")
def engine() -> Engine:
    config = ShopConfig(
        items=ItemMapping(file="p.csv", item="id"),
        retrieve={name: SourceConfig(k=5) for name in ("lexical", "vector", "popular")},
        rank=RankConfig(ranker="match_score", features=["sources"], options={"weights": {"rrf_of_best": 1.0}}),
    )
    return learn(*shop(), config, {})


def requests(queries: list[Query]) -> Requests:
    return asked([[(0, EventKind.view, 1.0)]] * len(queries), queries, now=NOW + DAY)


def test_of_the_best_of_each_list() -> None:
    items = items_of(4)
    lists = lists_of([0, 1, 2], [3], [], rrf=[0.02, 0.04, 0.01, 0.03])
    found = Sources().fit(items, nothing(items)).compute(asked([[]] * 3), lists)
    np.testing.assert_allclose(found[:, 0], [0.5, 1, 0.25, 1])


def test_an_engine_ranks_by_reciprocal_rank_alone(engine: Engine) -> None:
    asks = requests([Query(text="red"), Query(text="shoe"), Query()])
    wanted = reciprocal_rank([source.retrieve(asks, 5, None)[0] for source in engine.sources.values()])
    ranked = engine.rank(asks, 8)
    for row in range(3):
        of = dict(zip(wanted.list_of(row).tolist(), wanted.columns["rrf"][wanted.row == row].tolist(), strict=True))
        listed = ranked.lists.list_of(row).tolist()
        assert set(listed) == set(of)
        places = [of[item] for item in listed]
        assert places == sorted(places, reverse=True)
    for reasons in explain(engine, asks, ranked):
        assert {reason.kind for reason in reasons} == {"sources", "common"}
    (first, *_) = explain(engine, asks, ranked)[0]
    assert first.kind == "sources"
    assert first.share == pytest.approx(1)
    assert set(first.evidence["sources"]) <= set(engine.sources)


def test_a_list_of_the_callers_is_ranked_by_each_sources_scores(engine: Engine) -> None:
    asks, given = requests([Query(text="red")]), np.array([0, 3, 5, 7], dtype=np.int32)
    ranked = engine.rank(asks, 4, [given])
    rrf = dict.fromkeys(given.tolist(), 0.0)
    for source in engine.sources.values():
        scores = source.score(asks, lists_of(given.tolist()))
        order = sorted(range(4), key=lambda at: (-scores[at], given[at]))
        for place, at in enumerate(order, start=1):
            rrf[int(given[at])] += (1 / (60 + place)) * bool(scores[at] > 0)
    assert ranked.lists.item.tolist() == sorted(rrf, key=lambda item: -rrf[item])
