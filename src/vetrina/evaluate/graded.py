"""Measure search on queries that people graded: cross-validated, beside a tuned BM25.

Every query is answered by an engine that has learned from the grades of the other folds'
queries alone; BM25's field weights are chosen on those too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items, Progress, Silent
from vetrina.engine import Encoded, Engine, Replay, ShopConfig, fit_stages, learn_ranker
from vetrina.evaluate.baselines import BM25
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.tables import ENGINE, SHOWN, K, Table, compare

__all__ = ["measure_judged"]

_FOLDS = 5
_REPEATS = 3


def measure_judged(
    encoded: Encoded,
    log: EventLog,
    judged: Replay,
    config: ShopConfig,
    progress: Progress | None = None,
    *,
    tuned: bool = True,
) -> list[Table]:
    """Cross-validate over graded queries: the order of what was judged, and of the whole catalogue.

    Parameters
    ----------
    encoded : Encoded
    log : EventLog
        What the engine learns from besides; may be empty.
    judged : Replay
        One request per query, with the grades as gains.
    config : ShopConfig
    progress : Progress, optional
    tuned : bool
        Choose BM25's field weights on each fold's training queries too.

    Returns
    -------
    list of Table
        "judged pool" orders the judged products alone. "whole catalogue" also has products that
        nobody judged, which count as not relevant: its notes say what share was judged.
    """
    shown = progress or Silent()
    n = len(judged.requests)
    pools = [judged.truth.item[a:b] for a, b in zip(judged.truth.offsets[:-1], judged.truth.offsets[1:], strict=True)]
    rng = np.random.default_rng(config.build.seed)
    folds = [rng.permutation(n) % _FOLDS for _ in range(_REPEATS)]
    values: dict[str, dict[str, list[ItemList]]] = {"pool": {}, "whole": {}}
    with shown.step("Fitting candidate sources"):
        stages = fit_stages(encoded.items, log, config, encoded.encoders)
    with shown.step("Cross-validating on graded queries", _FOLDS * _REPEATS) as step:
        for fold in folds:
            pool, whole = _folded(stages, log, judged, pools, fold, config, step.advance)
            values["pool"].setdefault(ENGINE, []).append(pool)
            values["whole"].setdefault(ENGINE, []).append(whole)
    with shown.step("Baseline: BM25"):
        tried = _bm25_tried(encoded.items, log, judged, pools, tuned=tuned)
        for fold in folds:
            pool, whole = _bm25_chosen(tried, judged, fold)
            values["pool"].setdefault("BM25", []).append(pool)
            values["whole"].setdefault("BM25", []).append(whole)
    tables = []
    for name, title in (("pool", "judged pool"), ("whole", "whole catalogue")):
        scores = {system: _mean(lists, judged) for system, lists in values[name].items()}
        table = compare(
            f"{config.shop.name}: graded queries, {title}, {_FOLDS}-fold cross-validation × {_REPEATS}",
            scores,
            None,
            ENGINE,
            simulated=False,
        )
        if name == "whole":
            shares = [
                f"{system} {np.mean([_judged_share(one, pools) for one in lists]):.0%}"
                for system, lists in values[name].items()
            ]
            table = replace(
                table, notes=(f"judged among the first {K}: {', '.join(shares)}; the rest counts as not relevant",)
            )
        tables.append(table)
    return tables


def _folded(
    stages: Engine,
    log: EventLog,
    judged: Replay,
    pools: list[npt.NDArray[np.int32]],
    fold: npt.NDArray[np.integer],
    config: ShopConfig,
    advance: Callable[[int], None],
) -> tuple[ItemList, ItemList]:
    """(order of the judged products, order of the catalogue), each query by an engine that has not seen its grades."""
    pool: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)] * len(pools)
    whole = list(pool)
    for number in range(_FOLDS):
        engine = learn_ranker(stages, log, config, judged.take(np.flatnonzero(fold != number)))
        asked = np.flatnonzero(fold == number)
        requests = judged.take(asked).requests
        given = engine.rank(requests, K, [pools[row] for row in asked]).lists
        found = engine.rank(requests, K).lists
        for place, row in enumerate(asked):
            pool[row], whole[row] = given.list_of(place), found.list_of(place)
        advance(1)
    return ItemList.from_lists(pool), ItemList.from_lists(whole)


def _bm25_tried(
    items: Items, log: EventLog, judged: Replay, pools: list[npt.NDArray[np.int32]], *, tuned: bool
) -> list[tuple[ItemList, ItemList]]:
    """The same of BM25, for each point of its grid."""
    allowed = np.zeros((len(pools), len(items)), dtype=bool)
    for row, pool in enumerate(pools):
        allowed[row, pool] = True
    grid = BM25.grid if tuned else {}
    fitted, tried = BM25().fit(items, log), []
    for point in product(*grid.values()):
        baseline = fitted.weighted(**dict(zip(grid, point, strict=True)))
        tried.append((baseline.rank(judged.requests, K, allowed), baseline.rank(judged.requests, K)))
    return tried


def _bm25_chosen(
    tried: list[tuple[ItemList, ItemList]], judged: Replay, fold: npt.NDArray[np.integer]
) -> tuple[ItemList, ItemList]:
    """For each query what the point does that is the best on the queries of the other folds."""
    n = len(judged.requests)
    result: tuple[list[npt.NDArray[np.int32]], list[npt.NDArray[np.int32]]] = ([], [])
    for side in (0, 1):
        scores = [measure(lists[side], judged.truth, K, ["ndcg"]) for lists in tried]
        ndcg = np.zeros((len(tried), n))
        for number, score in enumerate(scores):
            ndcg[number, score.requests] = score.values[f"ndcg@{K}"]
        best = [int(ndcg[:, fold != number].sum(axis=1).argmax()) for number in range(_FOLDS)]
        result[side].extend(tried[best[int(fold[row])]][side].list_of(row) for row in range(n))
    return ItemList.from_lists(result[0]), ItemList.from_lists(result[1])


def _mean(lists: Sequence[ItemList], judged: Replay) -> Scores:
    """Metrics of each query, averaged over the repetitions."""
    scores = [measure(one, judged.truth, K, SHOWN) for one in lists]
    values = {name: np.mean([one.values[name] for one in scores], axis=0) for name in scores[0].values}
    return replace(scores[0], values=values)


def _judged_share(lists: ItemList, pools: list[npt.NDArray[np.int32]]) -> float:
    """Share of the listed items that somebody judged."""
    known = [np.isin(lists.list_of(row), pool) for row, pool in enumerate(pools)]
    return float(np.concatenate(known).mean()) if known else 0.0
