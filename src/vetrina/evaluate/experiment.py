"""Measure a shop's engine beside the usual baselines, on a part of its log that was held out and on graded queries.

It goes through the engine that serves. Everything learns from what the protocol gives it,
and then answers every request that was held out with the window that its shopper had by
then; nothing is learned from the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vetrina.core import EventLog, ItemList, Items, Progress, Silent
from vetrina.core.errors import ConfigError, DataError, NoSupport, nearest
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
    fit_ranker,
    fit_stages,
    learn,
    unfitted_ranker,
)
from vetrina.engine.rows import rows_of
from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.cold import measure_cold
from vetrina.evaluate.comparing import DEPTH, Comparer
from vetrina.evaluate.counterfactual import estimate_ctr
from vetrina.evaluate.evaluation import Comparison, Evaluation
from vetrina.evaluate.graded import measure_judged
from vetrina.evaluate.modalities import ModalityTable, measure_modalities
from vetrina.evaluate.protocols import PROTOCOLS, Holdout, check_protocol, hold_out
from vetrina.evaluate.rates import rates
from vetrina.evaluate.report import learning_curve, training_curves
from vetrina.evaluate.tables import ENGINE, K
from vetrina.evaluate.tuning import TRIALS, told, tune, tune_engine, with_options

__all__ = ["answers", "evaluate_shop", "learn_from", "measure_holdout", "measuring"]


class _Rival(NamedTuple):
    """A baseline as it enters a table: with options that stay ({}: it is tuned)."""

    name: str
    make: type[Baseline]
    fixed: Mapping[str, Any] = {}


_FOR_SEARCH = (_Rival("BM25", BM25), _Rival("item-kNN", ItemKNN), _Rival("popularity", Popularity))
_FOR_RECOMMENDATION = (
    _Rival("own frequency", OwnFrequency),
    _Rival("ALS", ALS),
    _Rival("item-kNN", ItemKNN),
    _Rival("popularity, best span", Popularity),
    _Rival("popularity, 14 days", Popularity, {"days": 14}),
    _Rival("popularity, ever", Popularity, {"days": None}),
)
_RIVALS = (
    (_FOR_SEARCH, ("Searches",)),
    (_FOR_RECOMMENDATION, ("Recommendations", "New products", "New products alone")),
)
#: What the table of modalities asks.
_BY_LIKENESS = ("Searches", "Recommendations")
_TITLES = {
    "Searches": "searches",
    "Recommendations": "recommendations, all products",
    "New products": "recommendations, products new to the shopper",
    "New products alone": "recommendations, among new products alone",
}


def evaluate_shop(
    shop: Shop,
    progress: Progress | None = None,
    *,
    protocol: str = "time",
    trials: int = TRIALS,
    engine_trials: int = 0,
    baseline: str = "",
) -> Evaluation:
    """Read a shop's files, learn from what the protocol gives, and measure: nothing is published.

    Parameters
    ----------
    shop : Shop
    progress : Progress, optional
    protocol : str
        Of :data:`vetrina.evaluate.PROTOCOLS`: how the log is divided.
    trials : int
        Settings tried of each baseline, on a part that was held out before the test; 0 leaves
        them as they are.
    engine_trials : int
        The same of the engine's ranker; what came out stands in the evaluation's ``options``.
    baseline : str
        The system whose lead over the others is tested; the engine when "".

    Raises
    ------
    ConfigError
        When there is no such protocol or baseline.
    DataError
        When the shop has neither a log nor graded queries to measure on.
    """
    check_protocol(protocol)
    found: list[Evaluation] = []
    measure = measuring(
        found,
        progress,
        protocol=protocol,
        trials=trials,
        engine_trials=engine_trials,
        baseline=baseline,
        photos=shop.root,
    )
    shop.measure(measure, progress)
    (evaluation,) = found
    if not evaluation.comparisons:
        raise DataError(
            f"{shop.root}: nothing to measure on: no graded query, and the protocol {protocol!r} finds nothing to ask "
            f"in the log ({PROTOCOLS[protocol].summary}). Name a file of events or of judgements in shop.toml, take "
            "another protocol, or say under [rank] gains what a choice is."
        )
    return evaluation


def measuring(
    found: list[Evaluation],
    progress: Progress | None = None,
    *,
    protocol: str = "time",
    trials: int = TRIALS,
    engine_trials: int = 0,
    baseline: str = "",
    photos: Path | None = None,
) -> Measure:
    """What :meth:`vetrina.engine.Shop.build` takes to measure what it builds: also appends to ``found``.

    Parameters
    ----------
    found : list of Evaluation
    progress, protocol, trials, engine_trials, baseline
        As for :func:`evaluate_shop`.
    photos : Path, optional
        The shop's folder, for the photos of examples.
    """
    check_protocol(protocol)
    _check_baseline(baseline)
    shown = progress or Silent()

    def measure(canonical: Canonical, encoded: Encoded, judged: Replay | None, config: ShopConfig) -> dict[str, Any]:
        log = canonical.log
        untuned = f"{config.rank.ranker} is not tuned: there is no log to tune it on."
        evaluation = Evaluation(notes=(untuned,) if engine_trials else ())
        engine: Engine | None = None
        asked: dict[str, Replay] = {}
        words = ""
        if len(log):
            title = f"{config.shop.name}: rates of the log"
            evaluation = replace(evaluation, rates=tuple(rates(log, title, config.shop.simulated)))
            cut = cut_of(log, config.build.test_days)
            held = hold_out(log, protocol, config, cut=cut)
            if held.parts:
                options, notes = _tuned_engine(encoded, held, config, engine_trials, shown)
                config = with_options(config, options)
                evaluation = replace(evaluation, options=options, notes=notes)
                engine = learn_from(held, encoded, config, shown)
                comparer = Comparer(encoded.items, held, config, baseline or ENGINE, photos)
                comparisons = tuple(measure_holdout(engine, comparer, shown, trials=trials))
                evaluation = replace(evaluation, comparisons=comparisons, training=training_curves(engine))
                if protocol == "time":
                    evaluation = _estimated(evaluation, engine, log, cut, config, shown)
                    evaluation = replace(evaluation, cold=tuple(measure_cold(engine, log, config, cut, shown)))
                asked = {name.lower(): held.parts[name] for name in _BY_LIKENESS if name in held.parts}
                words = f", {held.words}"
        if judged is not None:
            graded = measure_judged(
                encoded, log, judged, config, shown, trials=trials, raters=canonical.raters, photos=photos
            )
            evaluation = replace(evaluation, comparisons=(*evaluation.comparisons, *graded))
            asked["graded queries"] = judged
        if asked:
            evaluation = replace(
                evaluation, modalities=_modalities(engine, encoded, asked, canonical, config, words, shown)
            )
        found.append(evaluation)
        return evaluation.as_dict()

    return measure


def _modalities(
    engine: Engine | None,
    encoded: Encoded,
    asked: dict[str, Replay],
    canonical: Canonical,
    config: ShopConfig,
    words: str,
    progress: Progress,
) -> ModalityTable | None:
    """The table of modalities; where no engine learned from a log, of the catalogue alone."""
    with progress.step("Measuring: modalities"):
        if engine is None:
            nothing = canonical.log.take(slice(0, 0))
            engine = fit_stages(encoded.items, nothing, config, encoded.encoders, encoded.fuser)
        return measure_modalities(
            engine,
            asked,
            f"{config.shop.name}: modalities, NDCG@{K} of the order by likeness alone, not the ranker’s{words}",
            simulated=config.shop.simulated,
            quarantine=canonical.quarantine,
        )


def learn_from(held: Holdout, encoded: Encoded, config: ShopConfig, progress: Progress | None = None) -> Engine:
    """An engine that has learned from the training part of a holdout.

    It learns its order from a replay of the last training days, as a build does. Under "random"
    that would be another task than the one it is asked: sessions of shoppers of whom little is
    known, instead of one request with all that is left of a shopper. So there it learns its order
    from the validation part, of which its stages have seen nothing, and on which others are tuned.

    Parameters
    ----------
    held : Holdout
    encoded : Encoded
        The shop's items with their vectors.
    config : ShopConfig
    progress : Progress, optional
    """
    if held.protocol != "random" or held.validation is None:
        return learn(encoded.items, held.train, config, encoded.encoders, None, progress, encoded.fuser)
    shown = progress or Silent()
    with shown.step("Fitting candidate sources"):
        stages = fit_stages(encoded.items, held.train, config, encoded.encoders, encoded.fuser)
    return fit_ranker(stages, rows_of(stages, held.validation.parts["Recommendations"], config), config, shown)


def measure_holdout(
    engine: Engine, comparer: Comparer, progress: Progress | None = None, *, trials: int = TRIALS
) -> list[Comparison]:
    """Ask an engine and the usual baselines all that was held out.

    Parameters
    ----------
    engine : Engine
        Must have learned from the holdout's training part and nothing else.
    comparer : Comparer
        With the holdout.
    progress : Progress, optional
    trials : int
        As for :func:`evaluate_shop`.
    """
    shown, held, config = progress or Silent(), comparer.held, comparer.config
    observed = engine.observe(held.observed)
    comparisons = []
    for rivals, names in _RIVALS:
        wanted = {name: held.parts[name] for name in names if name in held.parts}
        lists: dict[str, dict[str, ItemList]] = {}
        notes: dict[str, list[str]] = {name: [held.leak] if held.leaks else [] for name in wanted}
        for name in wanted:
            if trials and (held.validation is None or name not in held.validation.parts):
                notes[name].append("baselines are not tuned: nothing to ask could be held out before the test")
        for name, test in wanted.items():
            with shown.step(f"Measuring: {name.lower()}", len(test.requests)) as step:
                lists[name] = {ENGINE: answers(observed, test, step.advance)}
        for rival in rivals if wanted else ():
            with shown.step(f"Baseline: {rival.name}"):
                found = _tuned(rival, engine.items, held, config, list(wanted), trials) if trials else {}
                fitted: dict[str, Baseline] = {}
                for name, test in wanted.items():
                    options = {**rival.fixed, **found.get(name, {})}
                    system = fitted.get(repr(options))
                    if system is None:
                        system = rival.make(_gains(config), **options)
                        system = system.fit(engine.items, held.train).observe(held.observed)
                        fitted[repr(options)] = system
                    lists[name][rival.name] = system.rank(test.requests, DEPTH)
                for name, options in found.items():
                    notes[name].append(f"{rival.name} tuned to {told(options)}")
        for name, test in wanted.items():
            title = f"{config.shop.name}: {_TITLES[name]}, {held.words}"
            with shown.step(f"Comparing: {name.lower()}"):
                comparison = comparer.compare(
                    title + ("" if trials else ", baselines not tuned"), lists[name], test, tuple(notes[name])
                )
                comparisons.append(replace(comparison, learning=learning_curve(observed, test)))
    return comparisons


def _estimated(
    evaluation: Evaluation, engine: Engine, log: EventLog, cut: int, config: ShopConfig, progress: Progress
) -> Evaluation:
    """With what other orders would have got, or why the log cannot tell."""
    try:
        return replace(evaluation, estimates=tuple(estimate_ctr(engine, log, cut, config, progress=progress)))
    except (NoSupport, DataError) as error:
        return replace(evaluation, notes=(*evaluation.notes, f"CTR of other orders: {error}"))


def _tuned_engine(
    encoded: Encoded, held: Holdout, config: ShopConfig, trials: int, progress: Progress
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the best options of the ranker, {} where they are not tuned or stay as they are; what to say of it)."""
    inner, ranker = held.validation, config.rank.ranker
    if not trials:
        return {}, ()
    if inner is None or not inner.parts:
        return {}, (f"{ranker} is not tuned: no part is held out before the test to tune on.",)
    if held.protocol == "random":
        return {}, (f"{ranker} is not tuned: it learns its order from the part that it would be tuned on.",)
    if not unfitted_ranker(config).space:
        return {}, (f"{ranker} is not tuned: it declares no space of options to try.",)
    parts = list(inner.parts.values())
    seed = config.build.seed
    try:
        best = tune_engine(
            encoded, inner.train, inner.observed, parts, config, trials=trials, rng=seed, progress=progress
        )
    except DataError as error:
        return {}, (f"{ranker} is not tuned: {error}",)
    values = best.trials["ndcg@10"].to_list()
    if not best.chosen:
        most = f"ndcg@10 {values[0]:.3f} before the test, {max(values):.3f} at most"
        return {}, (f"{ranker} stays as it is: no trial is ahead by more than a standard error ({most}).",)
    gained = f"ndcg@10 {values[best.chosen]:.3f} before the test, {values[0]:.3f} as it was"
    return best.options, (f"{ranker} tuned to {told(best.options)}: {gained}.",)


def _tuned(
    rival: _Rival, items: Items, held: Holdout, config: ShopConfig, names: Sequence[str], trials: int
) -> dict[str, dict[str, Any]]:
    """The best options for each of the tables ``names`` that has a part to tune on."""
    inner = held.validation
    judges = {name: inner.parts[name] for name in names if name in inner.parts} if inner and not rival.fixed else {}
    if inner is None or not judges:
        return {}
    kind = rival.make

    def make(**options: Any) -> Baseline:
        return kind(_gains(config), **options)

    best = tune(
        make,
        kind.space,
        items,
        inner.train,
        inner.observed,
        list(judges.values()),
        trials=trials,
        rng=config.build.seed,
        starts=kind.starts,
    )
    return {name: one.options for name, one in zip(judges, best, strict=True)}


def answers(engine: Engine, replay: Replay, advance: Callable[[int], None]) -> ItemList:
    """What an engine answers to a replay, :data:`DEPTH` deep, with column "score"; in parts, so that progress shows."""
    sizes, items, scores = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.float32)]
    for start in range(0, len(replay.requests), 256):
        part = replay.requests.slice(start, min(start + 256, len(replay.requests)))
        ranked = engine.rank(part, DEPTH).lists
        sizes.append(ranked.sizes)
        items.append(ranked.item)
        scores.append(np.asarray(ranked.columns["score"], dtype=np.float32))
        advance(len(ranked))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    return ItemList(offsets, np.concatenate(items), {"score": np.concatenate(scores)})


def _check_baseline(name: str) -> None:
    known = [ENGINE, *dict.fromkeys(rival.name for rivals, _ in _RIVALS for rival in rivals)]
    if name and name not in known:
        raise ConfigError(
            f"baseline: there is no {name!r}.{nearest(name, known)} Known: {', '.join(map(repr, known))}."
        )


def _gains(config: ShopConfig) -> Gains:
    return Gains(**config.rank.gains)
