"""Measure a shop's engine beside the usual baselines: on the last days of its log, and on graded queries.

Both go through the engine that serves. On a log, everything learns from what was
before a cut in time and then answers every later request with the window that its
shopper had by then; nothing is learned from the test. On graded queries, every
query is answered by an engine that has learned from the other folds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventLog, ItemList, Items, Progress, Silent
from vetrina.core.errors import DataError
from vetrina.engine import (
    Canonical,
    Encoded,
    Engine,
    Gains,
    Measure,
    Replay,
    Shop,
    ShopConfig,
    cut_of,
    fit_stages,
    learn,
    learn_ranker,
    requests_from_log,
)
from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.tables import Table, compare
from vetrina.evaluate.tuning import tune

__all__ = ["ENGINE", "SHOWN", "evaluate_shop", "measure_judged", "measure_log", "measure_shop", "measuring"]

#: Our own row in a table.
ENGINE = "Vetrina"

#: The metrics that a table shows.
SHOWN = ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate")

K = 10
_FOLDS = 5
#: Share of choices that must have been bought before for products new to the shopper to have a table of their own.
_REPEATED = 0.1
_REPEATS = 2


class _Rival(NamedTuple):
    """A baseline as it enters a table: options that stay, and the grid that is tuned ({}: nothing is)."""

    name: str
    make: type[Baseline]
    grid: Mapping[str, Sequence[Any]]
    fixed: Mapping[str, Any]


_FOR_SEARCH = (
    _Rival("BM25", BM25, BM25.grid, {}),
    _Rival("item-kNN", ItemKNN, ItemKNN.grid, {}),
    _Rival("popularity", Popularity, Popularity.grid, {}),
)
_FOR_RECOMMENDATION = (
    _Rival("own frequency", OwnFrequency, OwnFrequency.grid, {}),
    _Rival("ALS", ALS, ALS.grid, {}),
    _Rival("item-kNN", ItemKNN, ItemKNN.grid, {}),
    _Rival("popularity, best span", Popularity, Popularity.grid, {}),
    _Rival("popularity, 14 days", Popularity, {}, {"days": 14}),
    _Rival("popularity, ever", Popularity, {}, {"days": None}),
)


def evaluate_shop(shop: Shop, progress: Progress | None = None) -> list[Table]:
    """Read a shop's files, learn from what was before the last days, and measure: nothing is published.

    Parameters
    ----------
    shop : Shop
    progress : Progress, optional

    Returns
    -------
    list of Table
        Baselines are tuned on the days before the test.

    Raises
    ------
    DataError
        When the shop has neither a log nor graded queries to measure on.
    """
    tables: list[Table] = []
    shop.measure(measuring(tables, progress), progress)
    if not tables:
        raise DataError(
            f"{shop.root}: nothing to measure on: no choice of a shopper in the last days of a log, and no graded "
            "query. Name a file of events or of judgements in shop.toml."
        )
    return tables


def measuring(tables: list[Table], progress: Progress | None = None, *, tuned: bool = True) -> Measure:
    """What :meth:`vetrina.engine.Shop.build` takes to measure what it builds: also appends the tables to ``tables``."""

    def measure_(canonical: Canonical, encoded: Encoded, judged: Replay | None, config: ShopConfig) -> dict[str, Any]:
        found = measure_shop(canonical, encoded, judged, config, progress, tuned=tuned)
        tables.extend(found)
        return {"tables": [table.as_dict() for table in found]}

    return measure_


def measure_shop(
    canonical: Canonical,
    encoded: Encoded,
    judged: Replay | None,
    config: ShopConfig,
    progress: Progress | None = None,
    *,
    tuned: bool = True,
) -> list[Table]:
    """All tables that a shop has the data for.

    Parameters
    ----------
    canonical : Canonical
        The shop's tables.
    encoded : Encoded
        Its items with their vectors.
    judged : Replay or None
        Graded queries.
    config : ShopConfig
    progress : Progress, optional
    tuned : bool
        Tune the baselines, which takes longer.
    """
    shown = progress or Silent()
    log, tables = canonical.log, []
    if len(log):
        cut = cut_of(log, config.build.test_days)
        engine = learn(encoded.items, log.before(cut), config, encoded.encoders, None, shown)
        tables += measure_log(engine, log, cut, config, shown, tuned=tuned)
    if judged is not None:
        tables += measure_judged(encoded, log, judged, config, shown, tuned=tuned)
    return tables


def measure_log(
    engine: Engine, log: EventLog, cut: int, config: ShopConfig, progress: Progress | None = None, *, tuned: bool = True
) -> list[Table]:
    """Measure on every request from ``cut`` to the end of the log, windows filling as time passes.

    Searches, recommendations, and recommendations of products new to the shopper
    have a table each, where the log has any.

    Parameters
    ----------
    engine : Engine
        Must have learned from ``log.before(cut)`` and nothing else.
    log : EventLog
        The whole log.
    cut : int
        Epoch seconds.
    config : ShopConfig
    progress : Progress, optional
    tuned : bool
        Tune the baselines on as many days before the cut as the test has.
    """
    shown = progress or Silent()
    train, until = log.before(cut), int(log.time[-1]) + 1
    # Tuning may look back as far as the test does forward, and leaves at least half to learn from.
    since = max(cut - (until - cut), (int(log.time[0]) + cut) // 2)
    observed = engine.observe(log)
    gains = Gains(**config.rank.gains)
    days = (until - cut) / DAY
    title = f"last {days:.0f} days" + ("" if tuned else ", baselines not tuned")
    tests, validations = _parts(log, cut, until, config), _parts(train, since, cut, config)
    tables = []
    for rivals, names in ((_FOR_SEARCH, ("Searches",)), (_FOR_RECOMMENDATION, ("Recommendations", "New products"))):
        wanted = [name for name in names if name in tests]
        ranked: dict[str, dict[str, Scores]] = {name: {} for name in wanted}
        notes: dict[str, list[str]] = {name: [] for name in wanted}
        for name in wanted:
            with shown.step(f"Measuring: {name.lower()}", len(tests[name].requests)) as step:
                ranked[name][ENGINE] = _measured(observed, tests[name], step.advance)
        for rival in rivals if wanted else ():
            known = [name for name in wanted if name in validations]
            with shown.step(f"Baseline: {rival.name}"):
                options: dict[str, dict[str, Any]] = {name: dict(rival.fixed) for name in wanted}
                if tuned and rival.grid and known:
                    best = tune(
                        lambda rival=rival, **o: rival.make(gains, **rival.fixed, **o),
                        rival.grid,
                        engine.items,
                        train.before(since),
                        train,
                        [validations[name] for name in known],
                    )
                    for name, found in zip(known, best, strict=True):
                        options[name] |= found.options
                        notes[name].append(f"{rival.name} tuned to {_told(found.options)}")
                fitted: dict[str, Baseline] = {}
                for name in wanted:
                    key = repr(options[name])
                    if key not in fitted:
                        fitted[key] = rival.make(gains, **options[name]).fit(engine.items, train).observe(log)
                    lists = fitted[key].rank(tests[name].requests, K)
                    ranked[name][rival.name] = measure(lists, tests[name].truth, K, SHOWN)
        for name in wanted:
            table = compare(
                f"{config.shop.name}: {_TITLES[name]}, {title}",
                ranked[name],
                tests[name].shopper,
                ENGINE,
                simulated=config.shop.simulated,
            )
            tables.append(replace(table, notes=tuple(notes[name])))
    return tables


_TITLES = {
    "Searches": "searches",
    "Recommendations": "recommendations, all products",
    "New products": "recommendations, products new to the shopper",
}


def _parts(log: EventLog, since: int, until: int, config: ShopConfig) -> dict[str, Replay]:
    """Requests of the log by table; those without any are left out."""
    gains = Gains(**config.rank.gains)
    every = requests_from_log(log, since, until, window_size=config.rank.window, gains=gains)
    new = requests_from_log(log, since, until, window_size=config.rank.window, gains=gains, only_new=True)
    parts = {
        "Searches": _where(every, worded=True),
        "Recommendations": _where(every, worded=False),
        "New products": _where(new, worded=False),
    }
    chosen, new_chosen = (parts[name].truth.n_relevant.sum() for name in ("Recommendations", "New products"))
    if new_chosen > (1 - _REPEATED) * chosen:
        del parts["New products"]  # hardly anything is bought again: the same table twice
    return {name: part for name, part in parts.items() if part.truth.n_relevant.any()}


def _where(replay: Replay, *, worded: bool) -> Replay:
    return replay.take(np.flatnonzero([bool(query.text) == worded for query in replay.requests.queries]))


def _measured(engine: Engine, replay: Replay, advance: Callable[[int], None]) -> Scores:
    """Rank in parts, so that progress shows."""
    lists = []
    for start in range(0, len(replay.requests), 256):
        part = replay.requests.slice(start, min(start + 256, len(replay.requests)))
        ranked = engine.rank(part, K).lists
        lists += [ranked.list_of(row) for row in range(len(ranked))]
        advance(len(ranked))
    return measure(ItemList.from_lists(lists), replay.truth, K, SHOWN)


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
        for fold in folds:
            pool, whole = _bm25(encoded.items, log, judged, pools, fold, tuned=tuned)
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


def _bm25(
    items: Items,
    log: EventLog,
    judged: Replay,
    pools: list[npt.NDArray[np.int32]],
    fold: npt.NDArray[np.integer],
    *,
    tuned: bool,
) -> tuple[ItemList, ItemList]:
    """The same of BM25, whose field weights are the best on each fold's training queries."""
    allowed = np.zeros((len(pools), len(items)), dtype=bool)
    for row, pool in enumerate(pools):
        allowed[row, pool] = True
    grid = BM25.grid if tuned else {}
    tried = []
    for point in product(*grid.values()):
        baseline = BM25(**dict(zip(grid, point, strict=True))).fit(items, log)
        tried.append((baseline.rank(judged.requests, K, allowed), baseline.rank(judged.requests, K)))
    result: tuple[list[npt.NDArray[np.int32]], list[npt.NDArray[np.int32]]] = ([], [])
    for side in (0, 1):
        scores = [measure(lists[side], judged.truth, K, ["ndcg"]) for lists in tried]
        ndcg = np.zeros((len(tried), len(pools)))
        for number, score in enumerate(scores):
            ndcg[number, score.requests] = score.values[f"ndcg@{K}"]
        best = [int(ndcg[:, fold != number].sum(axis=1).argmax()) for number in range(_FOLDS)]
        result[side].extend(tried[best[int(fold[row])]][side].list_of(row) for row in range(len(pools)))
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


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'–' if value is None else value}" for name, value in options.items())
