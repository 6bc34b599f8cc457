"""Measure a shop's engine beside the usual baselines, on the last days of its log and on graded queries.

It goes through the engine that serves. Everything learns from what was before a cut in
time, and then answers every later request with the window that its shopper had by then;
nothing is learned from the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

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
    learn,
    requests_from_log,
)
from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.graded import measure_judged
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.tables import ENGINE, SHOWN, K, Table, compare
from vetrina.evaluate.tuning import tune

__all__ = ["evaluate_shop", "measure_log", "measure_shop", "measuring"]

#: Share of choices that must have been bought before for products new to the shopper to have a table of their own.
_REPEATED = 0.1


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
            "query. Name a file of events or of judgements in shop.toml; gains under [rank] says what is a choice."
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
        wanted = {name: tests[name] for name in names if name in tests}
        scores: dict[str, dict[str, Scores]] = {}
        notes: dict[str, list[str]] = {name: [] for name in wanted}
        for name, test in wanted.items():
            with shown.step(f"Measuring: {name.lower()}", len(test.requests)) as step:
                scores[name] = {ENGINE: _measured(observed, test, step.advance)}
        for rival in rivals if wanted else ():
            with shown.step(f"Baseline: {rival.name}"):
                judges = {name: validations[name] for name in wanted if tuned and rival.grid and name in validations}
                found = _tuned(rival, gains, engine.items, train.before(since), train, judges)
                fitted: dict[str, Baseline] = {}
                for name, test in wanted.items():
                    options = {**rival.fixed, **found.get(name, {})}
                    baseline = fitted.get(repr(options))
                    if baseline is None:
                        baseline = rival.make(gains, **options).fit(engine.items, train).observe(log)
                        fitted[repr(options)] = baseline
                    scores[name][rival.name] = measure(baseline.rank(test.requests, K), test.truth, K, SHOWN)
                for name, options in found.items():
                    notes[name].append(f"{rival.name} tuned to {_told(options)}")
        for name, test in wanted.items():
            table = compare(
                f"{config.shop.name}: {_TITLES[name]}, {title}",
                scores[name],
                test.shopper,
                ENGINE,
                simulated=config.shop.simulated,
            )
            tables.append(replace(table, notes=tuple(notes[name])))
    return tables


def _tuned(
    rival: _Rival, gains: Gains, items: Items, train: EventLog, observed: EventLog, judges: Mapping[str, Replay]
) -> dict[str, dict[str, Any]]:
    """The best options for each of ``judges``."""
    if not judges:
        return {}

    def make(**options: Any) -> Baseline:
        return rival.make(gains, **rival.fixed, **options)

    best = tune(make, rival.grid, items, train, observed, list(judges.values()))
    return {name: one.options for name, one in zip(judges, best, strict=True)}


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


def _told(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'–' if value is None else value}" for name, value in options.items())
