"""One source of what suits a shopper beside `popular`: who is never seen and what is new are answered, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from planted import asked, items_of, log_of, unit
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import Config, EventKind, EventLog, ItemList, Items, Requests, components
from vetrina.engine import Engine, ShopConfig, explain, fit_stages
from vetrina.engine.config import BuildConfig, RankConfig, SourceConfig
from vetrina.rank import FeatureFamily, MatchScore, TrainingRows
from vetrina.retrieve.collaborative import Collaborative

N, NEW = 12, 11
BUY, VIEW = EventKind.purchase, EventKind.view
#: Even items are of one kind and odd ones of another, to see and by name; nobody has met the last two.
KIND = np.arange(N) % 2
SOURCES = ("item_item", "user_user", "ease", "als", "bpr", "content", "vector", "history")
every_source = pytest.mark.parametrize("name", SOURCES)


def shop() -> tuple[Items, EventLog]:
    """Twenty shoppers buy of one kind each, the first of each kind most."""
    rng = np.random.default_rng(0)
    vectors = unit(np.eye(2, 6)[KIND] + np.c_[np.zeros((N, 2)), rng.normal(0, 0.2, (N, 4))])
    colours = [("red", "blue")[kind] for kind in KIND]
    items = items_of(N, {"text": vectors, "fused": vectors}, colour=colours, price=[10.0 + n for n in range(N)])
    events = [
        (-who / 4 - 1, f"s{who:02d}", kind, item)
        for who in range(20)
        for item in range(who % 2, N - 2, 2)
        for kind in (VIEW, BUY)
        if item < 2 or rng.random() < 0.6
    ]
    return items, log_of(items, sorted(events))


def with_sources(*names: str, k: int = N, weights: Mapping[str, float] | None = None) -> Engine:
    """An engine whose candidates come from these sources; similarities are added up."""
    items, log = shop()
    config = ShopConfig(
        items=ItemMapping(file="p.csv", item="id"),
        retrieve={name: SourceConfig(k=k) for name in (*names, "popular")},
        rank=RankConfig(
            ranker="match_score",
            options={"weights": dict(weights)} if weights else {},
            features=["looks", "people", "popularity", "sources"],
        ),
    )
    return fit_stages(items, log, config, {})


def ranked(engine: Engine, requests: Requests, k: int = N) -> list[int]:
    found: list[int] = engine.rank(requests, k).lists.item.tolist()
    return found


def test_all_that_learn_from_the_log_are_asked_here() -> None:
    """A source that is added must be thought of; those that read order are trained, and have a file of their own."""
    mine = {n for (_, n), cls in components("retriever").items() if issubclass(cls, Collaborative)}
    assert {name for name in mine if name not in SOURCES} <= {"sasrec", "gru"}


@every_source
def test_a_shopper_never_seen_gets_what_is_popular(name: str) -> None:
    """All of it in the order of popularity: the first of each kind before all others."""
    engine, alone = with_sources(name), with_sources()
    nobody = asked([[]])
    got = ranked(engine, nobody)
    assert sorted(got) == list(range(N))
    assert set(got[:2]) == {0, 1}
    assert got == ranked(alone, nobody)


@every_source
def test_a_shopper_of_whom_only_the_unknown_is_known_is_answered(name: str) -> None:
    """They chose what nobody else has met: sources that learn from others say nothing, content tells its like."""
    engine = with_sources(name, weights={"rrf_of_best": 1.0})
    requests = asked([[(NEW, BUY, 0.5)]])
    got = ranked(engine, requests)
    assert sorted(got) == list(range(N))
    assert np.isfinite(engine.rank(requests, N).lists.columns["score"]).all()
    if name in ("content", "vector"):
        assert {KIND[item] for item in got[:2]} == {KIND[NEW]}
        assert got.index(NEW) < got.index(NEW - 1)
    elif name == "history":
        assert got[0] == NEW
    else:
        assert got == ranked(with_sources(weights={"rrf_of_best": 1.0}), requests), "what is popular"


@every_source
def test_a_new_product_is_proposed_by_what_it_is_like(name: str) -> None:
    """Popularity alone reaches it last; where content is compared, a few candidates hold it."""
    liked = asked([[(1, BUY, 3.0), (3, BUY, 1.0)]])
    everything = ranked(with_sources(name, weights={"window_fused": 1.0}), liked)
    assert everything.index(NEW) < everything.index(NEW - 1), "among all candidates its looks speak for it"
    few = with_sources(name, k=6).candidates(liked).item.tolist()
    assert (NEW in few) == (name in ("content", "vector"))


def test_sources_that_draw_have_the_seed_of_the_build() -> None:
    items, log = shop()
    sources = {"als": SourceConfig(k=5), "bpr": SourceConfig(k=5, options={"seed": 3})}
    file = ItemMapping(file="p.csv", item="id")
    made = fit_stages(items, log, ShopConfig(items=file, retrieve=sources, build=BuildConfig(seed=7)), {}).sources
    assert {name: source.config.seed for name, source in made.items()} == {"als": 7, "bpr": 3}


def test_the_source_that_adds_most_names_its_evidence() -> None:
    """The same rows, explained under weights by which one source or the other decides."""
    requests = asked([[(0, BUY, 5.0), (2, BUY, 1.0), (1, VIEW, 0.0)]])
    found: dict[str, list[str]] = {}
    for loud, other in (("ease", "item_item"), ("item_item", "ease")):
        engine = with_sources("item_item", "ease", weights={f"{loud}_of_best": 1.0, f"{other}_of_best": 0.01})
        result = engine.rank(requests, N)
        source = engine.sources[loud]
        assert isinstance(source, Collaborative)
        strongest = source.strongest(requests, result.lists)
        reasons = explain(engine, requests, result)
        told = [reason.evidence.get("item", "") for row in reasons for reason in row if reason.kind == "people"]
        best = [engine.items.ids[past] if past >= 0 else "" for past in strongest.tolist()]
        named = [one for one, past in zip(told, best, strict=True) if past]
        assert named == [past for past in best if past]
        assert len(set(named)) > 1
        found[loud] = told
    assert found["ease"] != found["item_item"]


def test_a_source_that_names_no_past_item_still_says_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = with_sources("als", weights={"als_of_best": 1.0})
    nobody: Callable[..., object] = lambda self, requests, lists: np.full(len(lists.item), -1, dtype=np.int32)  # noqa: E731
    monkeypatch.setattr(type(engine.sources["als"]), "strongest", nobody)
    requests = asked([[(0, BUY, 5.0), (2, BUY, 1.0)]])
    result = engine.rank(requests, N)
    texts = [r.text for row in explain(engine, requests, result) for r in row if r.kind == "people"]
    known = result.lists.columns["als"].astype(np.float32) > 0
    assert {text for text, says in zip(texts, known, strict=True) if says} == {
        "People who choose as you do chose this too"
    }
    assert {text for text, says in zip(texts, known, strict=True) if not says} == {
        "No one with your choices has chosen it yet"
    }


class Sale(FeatureFamily):
    """A family from elsewhere, with a word of its own for why: every third item is on sale."""

    reason = "sale"
    names_ = ["on_sale"]
    config_type = Config

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return np.asarray((lists.item % 3 == 0)[:, None], dtype=np.float32)


def test_a_reason_of_a_family_from_elsewhere_is_told_and_shares_sum_to_the_score() -> None:
    engine = with_sources("item_item")
    items, log = shop()
    engine = replace(engine, features=[*engine.features, Sale().fit(items, log)])
    engine = replace(engine, ranker=MatchScore(weights={"on_sale": 1.0}).fit(TrainingRows.none(engine.feature_names)))
    requests = asked([[(0, BUY, 1.0)]])
    result = engine.rank(requests, N)
    reasons = explain(engine, requests, result)
    for score, row in zip(result.lists.columns["score"].tolist(), reasons, strict=True):
        assert sum(reason.share for reason in row) == pytest.approx(score, abs=1e-6)
    assert reasons[0][0].kind == "sale"
    assert reasons[0][0].text == "For it: sale"
