"""Measure search on queries that people graded: cross-validated, beside a tuned BM25.

Every query is answered by an engine that has learned from the grades of the other folds'
queries alone; BM25's field weights are chosen on those too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import EventLog, ItemList, Items, Progress, Silent
from vetrina.engine import Encoded, Engine, Replay, ShopConfig, fit_stages, learn_ranker
from vetrina.evaluate.baselines import BM25
from vetrina.evaluate.evaluation import Comparison
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.raters import agreement, ceiling, rater_table
from vetrina.evaluate.report import examples_of
from vetrina.evaluate.tables import ENGINE, SHOWN, K, Table, compare
from vetrina.evaluate.tuning import TRIALS, search_space, starting_points

__all__ = ["answer_judged", "measure_judged"]

_FOLDS = 5
_REPEATS = 3


def measure_judged(
    encoded: Encoded,
    log: EventLog,
    judged: Replay,
    config: ShopConfig,
    progress: Progress | None = None,
    *,
    trials: int = TRIALS,
    raters: pl.DataFrame | None = None,
    photos: Path | None = None,
) -> list[Comparison]:
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
    trials : int
        The budget for BM25's field weights, which are chosen on each fold's training queries too; 0: they
        stay as they are by default.
    raters : DataFrame, optional
        query, item, rater, grade: what each person said, where several did.
    photos : Path, optional
        Where relative photo paths begin, for the photos of examples.

    Returns
    -------
    list of Comparison
        "judged pool" orders the judged products alone. "whole catalogue" also has products that
        nobody judged, which count as not relevant: its notes say what share was judged. Where there
        are raters, a third one sets a rater beside the systems, all judged by the other raters.
    """
    shown = progress or Silent()
    pools = _pools(judged)
    folds = _divisions(len(judged.requests), config.build.seed)
    values: dict[str, dict[str, list[ItemList]]] = {"pool": {}, "whole": {}}
    with shown.step("Fitting candidate sources"):
        stages = fit_stages(encoded.items, log, config, encoded.encoders, encoded.fuser)
    with shown.step("Cross-validating on graded queries", _FOLDS * _REPEATS) as step:
        for fold in folds:
            pool, whole = _folded(stages, log, judged, pools, fold, config, step.advance)
            values["pool"].setdefault(ENGINE, []).append(pool)
            values["whole"].setdefault(ENGINE, []).append(whole)
    with shown.step("Baseline: BM25"):
        weighted = _bm25_weighted(encoded.items, log, judged, pools)
        for fold in folds:
            pool, whole = _bm25_chosen(weighted, fold, trials, config.build.seed)
            values["pool"].setdefault("BM25", []).append(pool)
            values["whole"].setdefault("BM25", []).append(whole)
    tables, examples = [], []
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
        # Of the first division: queries that were chosen to be graded tell of nobody, and may all be quoted.
        ours, theirs = (values[name][system][0] for system in (ENGINE, "BM25"))
        pair = measure(ours, judged.truth, K, SHOWN), measure(theirs, judged.truth, K, SHOWN)
        examples.append(
            examples_of(ours, theirs, pair, judged, encoded.items, rival="BM25", photos=photos, graded=True)
        )
    if raters is not None:
        tables = _beside_raters(tables, raters, judged, encoded.items, values["pool"])
    examples += [()] * (len(tables) - len(examples))
    return [Comparison(table, examples=some) for table, some in zip(tables, examples, strict=True)]


def answer_judged(
    encoded: Encoded, log: EventLog, judged: Replay, config: ShopConfig, progress: Progress | None = None
) -> ItemList:
    """The catalogue ranked for each graded query by an engine that has not seen its grades: one cross-validation.

    Parameters are those of :func:`measure_judged`, whose first division into folds this is.
    """
    shown = progress or Silent()
    with shown.step("Fitting candidate sources"):
        stages = fit_stages(encoded.items, log, config, encoded.encoders, encoded.fuser)
    fold = _divisions(len(judged.requests), config.build.seed)[0]
    with shown.step("Cross-validating on graded queries", _FOLDS) as step:
        return _folded(stages, log, judged, _pools(judged), fold, config, step.advance)[1]


def _divisions(n: int, seed: int) -> list[npt.NDArray[np.integer]]:
    """Into which fold each query goes, for every repetition."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(n) % _FOLDS for _ in range(_REPEATS)]


def _pools(judged: Replay) -> list[npt.NDArray[np.int32]]:
    """The judged items of each query."""
    truth = judged.truth
    return [truth.item[a:b] for a, b in zip(truth.offsets[:-1], truth.offsets[1:], strict=True)]


def _beside_raters(
    tables: list[Table], raters: pl.DataFrame, judged: Replay, items: Items, pool: Mapping[str, Sequence[ItemList]]
) -> list[Table]:
    """The tables with what people would have come to: notes below the first, and a table of their own."""
    agree = agreement(raters)
    notes = [agree.words] if agree is not None else []
    beside = rater_table(f"{tables[0].title}, judged by the other raters", raters, judged, items, pool)
    if beside is not None:
        notes.append(ceiling(beside))
    first = replace(tables[0], notes=(*tables[0].notes, *notes))
    return [first, *tables[1:], *([beside] if beside is not None else [])]


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
    most = max(map(len, pools))  # of the judged products all, as raters may have judged a few of them
    pool: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)] * len(pools)
    whole = list(pool)
    for number in range(_FOLDS):
        engine = learn_ranker(stages, log, config, judged.take(np.flatnonzero(fold != number)))
        asked = np.flatnonzero(fold == number)
        requests = judged.take(asked).requests
        given = engine.rank(requests, most, [pools[row] for row in asked]).lists
        found = engine.rank(requests, K).lists
        for place, row in enumerate(asked):
            pool[row], whole[row] = given.list_of(place), found.list_of(place)
        advance(1)
    return ItemList.from_lists(pool), ItemList.from_lists(whole)


class _Weighted(NamedTuple):
    """What BM25 does under some weights of its fields: for the judged pool and for the whole catalogue."""

    lists: tuple[ItemList, ItemList]
    ndcg: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]  # of every query; 0 where there is no right answer


def _bm25_weighted(
    items: Items, log: EventLog, judged: Replay, pools: list[npt.NDArray[np.int32]]
) -> Callable[[Mapping[str, Any]], _Weighted]:
    """BM25, indexed once, under any weights; what was asked before is not worked out again."""
    allowed = np.zeros((len(pools), len(items)), dtype=bool)
    for row, pool in enumerate(pools):
        allowed[row, pool] = True
    fitted, most = BM25().fit(items, log), max(map(len, pools))
    known: dict[str, _Weighted] = {}

    def ndcg(lists: ItemList) -> npt.NDArray[np.float64]:
        score = measure(lists, judged.truth, K, ["ndcg"])
        values = np.zeros(len(pools))
        values[score.requests] = score.values[f"ndcg@{K}"]
        return values

    def weighted(weights: Mapping[str, Any]) -> _Weighted:
        key = repr(dict(weights))
        if key not in known:
            baseline = fitted.weighted(**weights)
            pool, whole = baseline.rank(judged.requests, most, allowed), baseline.rank(judged.requests, K)
            known[key] = _Weighted((pool, whole), (ndcg(pool), ndcg(whole)))
        return known[key]

    return weighted


def _bm25_chosen(
    weighted: Callable[[Mapping[str, Any]], _Weighted], fold: npt.NDArray[np.integer], trials: int, seed: int
) -> tuple[ItemList, ItemList]:
    """For each query what BM25 does under the weights that are the best on the queries of the other folds."""
    lists: list[list[npt.NDArray[np.int32]]] = [[np.empty(0, np.int32)] * len(fold) for _ in range(2)]
    for number in range(_FOLDS):
        learned = fold != number

        def judge(weights: Mapping[str, Any], learned: npt.NDArray[np.bool_] = learned) -> list[float]:
            return [float(ndcg[learned].mean()) for ndcg in weighted(weights).ndcg]

        done = search_space(
            "BM25", BM25.space, starting_points(BM25(), BM25.space, BM25.starts), judge, trials=max(trials, 1), rng=seed
        )
        for side in range(2):
            best = max(done, key=lambda trial: trial.values[side])
            found = weighted(best.options).lists[side]
            for row in np.flatnonzero(~learned):
                lists[side][row] = found.list_of(int(row))
    return ItemList.from_lists(lists[0]), ItemList.from_lists(lists[1])


def _mean(lists: Sequence[ItemList], judged: Replay) -> Scores:
    """Metrics of each query, averaged over the repetitions."""
    scores = [measure(one, judged.truth, K, SHOWN) for one in lists]
    values = {name: np.mean([one.values[name] for one in scores], axis=0) for name in scores[0].values}
    return replace(scores[0], values=values)


def _judged_share(lists: ItemList, pools: list[npt.NDArray[np.int32]]) -> float:
    """Share of the listed items that somebody judged."""
    known = [np.isin(lists.list_of(row), pool) for row, pool in enumerate(pools)]
    return float(np.concatenate(known).mean()) if known else 0.0
