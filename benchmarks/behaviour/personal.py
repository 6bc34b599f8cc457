"""Whether knowing the person improves search for words that nobody has searched with: amazon-phones-search.

The rankers learn from queries of the training part that are held out as those of the test are: five times a fifth of
those whose items all have another query is taken out of the log, with under a quarter of the purchases under them,
and the sources are fitted on what is left. The test is asked once, by engines whose sources have seen all of the
training part. Two more tables show the same systems on the held-out queries, by which they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue.datasets import load
from vetrina.core import DAY, EVENT_COLUMNS, EventLog, ItemList, Items, Truth
from vetrina.engine import Engine, Replay, ShopConfig, fit_ranker, fit_stages, requests_from_log
from vetrina.engine.rows import rows_of
from vetrina.evaluate import Table, compare, measure
from vetrina.evaluate.tables import K
from vetrina.rank import MatchScore, TrainingRows

__all__ = ["BM25", "BOTH", "WORDS", "tables"]

_SHOWN = ("ndcg", "mrr", "hit_rate")
_FOLDS, _SHARE, _MOST = 5, 0.23, 40
WORDS, BOTH, GATED = "words, learned", "words and person, learned", "words and person, gated"
#: By system: its sources, and its families of features. All learn with the same ranker.
_LEARNED = {
    GATED: (("query_item", "item_item", "als", "popular"), ("queries", "people", "popularity")),
    BOTH: (("query_item", "item_item", "als", "popular"), ("queries", "people", "popularity")),
    WORDS: (("query_item", "popular"), ("queries", "popularity")),
    "person, learned": (("item_item", "als", "popular"), ("people", "popularity")),
}
#: By system: the one feature that orders.
_ALONE = {"query_item alone": "query_item", "item_item alone": "item_item", "popularity": "bought_of_best"}
BM25 = "BM25 of the words, alone"
_ORACLE = "bound: kinds by the truth, popularity within"
_NOTES = (
    "Published for HEM (Ai and others, SIGIR 2017, not run here), which also reads the reviews: NDCG about .153.",
    "Items are bought under 1 to 7 queries, their only text; the truth of a request is what its shopper then bought.",
    "Rankers: linear, logistic, learned from held-out queries of the training part.",
)


@dataclass(frozen=True)
class _Asked:
    """Engines' stages fitted on a past, and what is asked after it."""

    engine: Engine
    titled: Engine
    replay: Replay


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Table]:
    """The test, by request and by query; the held-out queries of the training part."""
    dataset = load("amazon-phones-search")
    assert dataset.events is not None
    assert dataset.held_out is not None
    items = Items(dataset.items)
    log = EventLog.from_table(dataset.events, items)
    held = _held_out(log, seeds[0])[: 2 if quick else _FOLDS]
    folds = [_stages(items, _later(log, queries, number)) for number, queries in enumerate(held)]
    test = _stages(items, _with_test(dataset.events, dataset.held_out, items))
    rows = {system: [rows_of(_part(one.engine, system), one.replay, _config()) for one in folds] for system in _LEARNED}
    found = {**_lists(test, rows), _ORACLE: _oracle(log, test.replay)}
    yield from _compared("Phones search, queries never seen", [found], [test.replay])
    if len(folds) > 2:
        each = []
        for number, one in enumerate(folds):
            others = {system: [*parts[:number], *parts[number + 1 :]] for system, parts in rows.items()}
            each.append(_lists(one, others))
        yield from _compared("Phones search, queries held out of the training part", each, [f.replay for f in folds])


def _config(features: Sequence[str] = ("queries", "people", "popularity"), gate: bool = False) -> ShopConfig:
    sources = {"query_item": 600, "item_item": 100, "als": 50, "popular": 50}
    return ShopConfig.parse(
        {
            "items": {"file": "train.qrels", "item": "item"},
            "encode": {},
            "retrieve": {name: {"k": k} for name, k in sources.items()},
            "rank": {
                "features": list(features),
                "ranker": "linear",
                "options": {"loss": "logistic"},
                "negatives": 100,
                "gate": gate,
            },
        },
        "",
    )


def _held_out(log: EventLog, seed: int) -> list[list[int]]:
    """Queries of each fold: of no item all, as the set's makers held out theirs."""
    pairs = np.unique(np.stack([log.query, log.item]), axis=1)
    counts = np.bincount(pairs[1])
    of = [pairs[1][pairs[0] == query] for query in range(len(log.queries))]
    may = [query for query, found in enumerate(of) if (counts[found] > 1).all()]
    held: list[list[int]] = [[] for _ in range(_FOLDS)]
    left = [counts.copy() for _ in held]
    for place, query in enumerate(np.random.default_rng(seed).permutation(may).tolist()):
        for fold in [(place + step) % _FOLDS for step in range(_FOLDS)]:
            if (left[fold][of[query]] > 1).all():
                left[fold][of[query]] -= 1
                held[fold].append(query)
                break
    return held


def _later(log: EventLog, queries: Sequence[int], seed: int) -> EventLog:
    """The log as if nobody had asked ``queries`` yet, and then, a day later, some did: some people's purchases."""
    rng = np.random.default_rng(seed)
    inside = np.isin(log.query, queries)
    bought = log.shopper.astype(np.int64) * (int(log.item.max()) + 1) + log.item
    met = np.unique(bought[inside])
    chosen = np.isin(bought, met[rng.random(len(met)) < _SHARE])
    later = rng.permutation(np.flatnonzero(chosen & inside))
    later = later[np.argsort(log.query[later], kind="stable")]
    # The few queries that many ask shall not be all that is learned.
    later = later[np.arange(len(later)) - np.searchsorted(log.query[later], log.query[later]) < _MOST]
    earlier = np.flatnonzero(~chosen & ~inside)
    both = log.take(np.concatenate([earlier, np.sort(later)]))
    return replace(both, time=both.time + np.where(np.arange(len(both)) < len(earlier), 0, DAY))


def _with_test(events: pl.DataFrame, held_out: pl.DataFrame, items: Items) -> EventLog:
    """The training part, and a day later the test."""
    asked = held_out.with_columns(
        time=events["time"].max() + pl.lit(DAY, pl.Int64),
        kind=pl.lit("purchase"),
        request=pl.format("test {} {}", "shopper", "query"),
    )
    rest = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in asked.columns]
    return EventLog.from_table(pl.concat([events, asked.with_columns(rest).select(list(EVENT_COLUMNS))]), items)


def _stages(items: Items, log: EventLog) -> _Asked:
    """All that a fold needs: what is asked on the last day, and stages fitted on what was before."""
    cut = int(log.time[-1])
    past = log.before(cut)
    words: list[list[str]] = [[] for _ in range(len(items))]
    for item, query in np.unique(np.stack([past.item, past.query]), axis=1).T.tolist():
        words[item].append(log.queries[query])
    titled = Items(items.table.with_columns(title=pl.Series([" ".join(texts) for texts in words])))
    lexical = ShopConfig.parse(
        {
            "items": {"file": "train.qrels", "item": "item"},
            "encode": {},
            "retrieve": {"lexical": {"k": 400}},
            "rank": {"features": ["words"], "ranker": "match_score", "options": {"weights": {"bm25": 1.0}}},
        },
        "",
    )
    return _Asked(
        fit_stages(items, past, _config(), {}),
        fit_stages(titled, past, lexical, {}),
        requests_from_log(log, cut, cut + 1, only_new=True),
    )


def _part(engine: Engine, system: str) -> Engine:
    """The engine with the sources and features of a system alone."""
    sources, families = _LEARNED[system]
    return replace(
        engine,
        sources={name: engine.sources[name] for name in sources},
        k={name: engine.k[name] for name in sources},
        features=[family for family in engine.features if family.name in families],
    )


def _lists(asked: _Asked, rows: Mapping[str, Sequence[TrainingRows]]) -> dict[str, ItemList]:
    """What each system answers, learned from ``rows``."""
    requests, engine = asked.replay.requests, asked.engine
    found = {}
    for system, parts in rows.items():
        mine = _part(engine, system)
        config = _config(_LEARNED[system][1], gate=system == GATED)
        learned = fit_ranker(mine, TrainingRows.join(parts, mine.feature_names), config)
        found[system] = learned.rank(requests, K).lists
    for system, feature in _ALONE.items():
        ranker = MatchScore(weights={feature: 1.0}).fit(TrainingRows.none(engine.feature_names))
        found[system] = replace(engine, ranker=ranker).rank(requests, K).lists
    return {**found, BM25: asked.titled.rank(requests, K).lists}


def _oracle(log: EventLog, asked: Replay) -> ItemList:
    """What no ranker can do much better that knows of an item its words and its popularity, and nothing of people.

    A kind is all items with the same queries in the training part: words cannot tell them apart. Of each query the
    truth itself says which kinds come first; within one, the popular items do. What is taken next is the beginning of a
    kind of which the largest share is right.
    """
    pairs = np.unique(np.stack([log.item, log.query]), axis=1)
    queries: dict[int, list[int]] = {}
    for item, query in pairs.T.tolist():
        queries.setdefault(item, []).append(query)
    sales = np.bincount(log.item)
    kinds: dict[tuple[int, ...], list[int]] = {}
    for item in sorted(queries, key=lambda one: (-sales[one], one)):
        kinds.setdefault(tuple(queries[item]), []).append(item)
    texts = np.array([query.text for query in asked.requests.queries])
    right = asked.truth
    lists: list[npt.NDArray[np.int32]] = [np.empty(0, dtype=np.int32)] * len(texts)
    for text in np.unique(texts):
        rows = np.flatnonzero(texts == text)
        wanted = np.bincount(right.item[np.isin(right.row, rows)], minlength=len(sales))
        order = _best_first([np.array(kind) for kind in kinds.values() if wanted[kind].any()], wanted)
        for row in rows:
            past = asked.requests.windows.slice(int(row), int(row) + 1).item
            lists[row] = order[~np.isin(order, past)][:K]
    return ItemList.from_lists(lists)


def _best_first(kinds: Sequence[npt.NDArray[np.int64]], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Beginnings of kinds after one another, that of the largest mean next."""
    left, order = list(kinds), np.empty(0, dtype=np.int64)
    while left and len(order) < 3 * K:
        means = [np.cumsum(wanted[one]) / np.arange(1, len(one) + 1) for one in left]
        best = max(range(len(left)), key=lambda place: means[place].max())
        end = int(means[best].argmax()) + 1
        order = np.concatenate([order, left[best][:end]])
        left[best] = left[best][end:]
        left = [one for one in left if len(one)]
    return order.astype(np.int32)


def _compared(title: str, found: Sequence[Mapping[str, ItemList]], replays: Sequence[Replay]) -> Iterator[Table]:
    """Systems side by side, the reference that with the person; intervals over shoppers, and over queries."""
    truth = _joined([one.truth for one in replays])
    scores = {
        system: measure(
            ItemList.join([ItemList(one[system].offsets, one[system].item) for one in found]), truth, K, _SHOWN
        )
        for system in found[0]
    }
    shopper = np.concatenate([one.shopper for one in replays])
    texts = [query.text for one in replays for query in one.requests.queries]
    query: npt.NDArray[np.integer] = np.unique(texts, return_inverse=True)[1]
    by_request = compare(title, scores, shopper, BOTH)
    yield replace(by_request, notes=(*by_request.notes, *_NOTES))
    note = f"Intervals are over the {len(set(texts))} queries drawn anew: other queries would give other figures."
    by_query = compare(f"{title}; by query", scores, query, BOTH)
    yield replace(by_query, n_shoppers=None, notes=(note, *by_query.notes))


def _joined(parts: Sequence[Truth]) -> Truth:
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Truth(offsets, np.concatenate([one.item for one in parts]), np.concatenate([one.gain for one in parts]))
