"""The same fair chance for everybody: one budget of trials for each baseline, and for the engine's ranker.

Every trial learns from what was before the validation slice and is judged on that slice. A
tuner is never given the test. The points are chosen by Optuna's tree-structured Parzen
estimator (J. Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011); where a
fit is judged on several slices at once, by its version for several objectives (Y. Ozaki et al.,
GECCO 2020). The defaults are the first trial, so tuning never ends below them on the validation.
The best of many points is partly the luckiest: an earlier one is kept that is as good within a
standard error (L. Breiman et al., Classification and Regression Trees, 1984, section 3.4).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import optuna
import polars as pl
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from vetrina.core import Choice, EventLog, ItemList, Items, Progress, Range, Real, Silent, Space, Whole
from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.engine import (
    Encoded,
    Replay,
    ShopConfig,
    enough_to_learn,
    fit_ranker,
    fit_stages,
    ranker_rows,
    unfitted_ranker,
)
from vetrina.evaluate.baselines import Baseline
from vetrina.evaluate.metrics import measure

__all__ = ["TRIALS", "Trial", "Tuned", "search_space", "starting_points", "told", "tune", "tune_engine", "with_options"]

Rng = int | np.random.Generator | None
Floats = npt.NDArray[np.float64]

#: Trials of each baseline unless one asks for more.
TRIALS = 12

# Of these the first are drawn at random, before the estimator has enough to go by.
_AT_RANDOM = 8
# A point that was tried already is not tried again; after so many in a row there is hardly another.
_REPEATS = 20
# The engine is judged on so many requests of a slice at most: their candidates' features are kept in memory.
_JUDGES = 1000


class Tuned(NamedTuple):
    """What came out of a search.

    Attributes
    ----------
    options : dict
        Those of the first trial that the best one does not beat by more than one standard error of
        their difference, request by request.
    trials : DataFrame
        One row per trial, in order: its options as text, the metric and the seconds it took.
    chosen : int
        Which of the trials that is, from 0.
    """

    options: dict[str, Any]
    trials: pl.DataFrame
    chosen: int


class Trial(NamedTuple):
    """One point and what came of it.

    Attributes
    ----------
    options : dict
    values : list of float
        One for each objective; larger is better.
    seconds : float
    """

    options: dict[str, Any]
    values: list[float]
    seconds: float


def tune(
    make: Callable[..., Baseline],
    space: Space,
    items: Items,
    train: EventLog,
    observed: EventLog,
    validations: Sequence[Replay],
    *,
    metric: str = "ndcg@10",
    trials: int = TRIALS,
    seconds: float | None = None,
    rng: Rng = 0,
    starts: Sequence[Mapping[str, Any]] = (),
) -> list[Tuned]:
    """Search a space of options: learn from ``train`` once a trial, judge on each of ``validations``.

    The first trial is the point that ``make()`` stands at, the next are ``starts``, the rest is
    up to the sampler. A space of no more points than the budget is tried whole.

    Parameters
    ----------
    make : callable
        Makes a baseline from options, such as the class.
    space : mapping of str to Choice, Real or Whole
        What to try of each option, such as ``ItemKNN.space``; {} tries nothing but the defaults.
    items : Items
    train : EventLog
        Events before the validation requests.
    observed : EventLog
        The log whose popularity may be read as the validation passes; end it before the test.
    validations : sequence of Replay
        Requests later than ``train`` and earlier than the test; each has its own best point, all
        out of one search.
    metric : str
        With its cut-off, such as ``"ndcg@10"``.
    trials : int
        The budget: so many fits at most, the defaults among them.
    seconds : float, optional
        No further trial is begun after so long; the first always is. What then comes out hangs on
        the speed of the machine.
    rng : int, Generator or None
        The same seed gives the same trials; None draws one.
    starts : sequence of mapping
        Points known to be good, such as ``ItemKNN.starts``; what one leaves out stays the default.

    Returns
    -------
    list of Tuned
        One for each of ``validations``.

    Raises
    ------
    ConfigError
        When the metric, an option or the budget is wrong, when a trial fails (the message names
        its options), or when no request of a validation has a right answer.

    Examples
    --------
    ::

        space = {"half_life_days": Real(5, 500, log=True), "days": Choice(None, 30, 7)}
        (best,) = tune(OwnFrequency, space, items, train, before_test, [validation], trials=20)
        baseline = OwnFrequency(**best.options).fit(items, before_test)
    """
    name, k = _metric(metric)
    _require_answers(validations)
    first = make()
    points = starting_points(first, space, starts)

    judged: list[list[Floats]] = []

    def judge(options: Mapping[str, Any]) -> list[float]:
        baseline = make(**options).fit(items, train).observe(observed)
        lists = (baseline.rank(one.requests, k) for one in validations)
        scores = (measure(found, one.truth, k, [name]) for found, one in zip(lists, validations, strict=True))
        judged.append([one.values[metric] for one in scores])
        return [float(one.mean()) for one in judged[-1]]

    done = search_space(first.name, space, points, judge, trials=trials, seconds=seconds, rng=rng)
    return [_best(done, metric, side, [one[side] for one in judged]) for side in range(len(validations))]


def tune_engine(
    encoded: Encoded,
    train: EventLog,
    observed: EventLog,
    validations: Sequence[Replay],
    config: ShopConfig,
    *,
    metric: str = "ndcg@10",
    trials: int = TRIALS,
    seconds: float | None = None,
    rng: Rng = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Search the space that the shop's ranker declares; the shop's own options are the first trial.

    Sources and features are fitted on ``train``, and it is replayed for training rows, once. A
    trial then fits the ranker alone, and orders the candidates of ``validations`` by it. One
    ranker answers every request of a shop, so a point is worth its mean over ``validations``.

    Parameters
    ----------
    encoded : Encoded
        The shop's items with their vectors.
    train, observed, validations, metric, trials, seconds, rng
        As for :func:`tune`. Of a slice with more than 1,000 requests so many, evenly spread, are judged.
    config : ShopConfig
    progress : Progress, optional

    Returns
    -------
    Tuned
        Its options are for ``[rank.options]``.

    Raises
    ------
    ConfigError
        As of :func:`tune`; and when the ranker declares no space.
    DataError
        When the log holds too little before the validation slice for a ranker to learn.
    """
    shown = progress or Silent()
    name, k = _metric(metric)
    _require_answers(validations)
    own = unfitted_ranker(config)
    if not own.space:
        raise ConfigError(f"rank.ranker: {config.rank.ranker!r} declares no space, so there is nothing to tune.")
    with shown.step("Tuning: fitting candidate sources"):
        stages = fit_stages(encoded.items, train, config, encoded.encoders, encoded.fuser)
    rows = ranker_rows(stages, train, config, None, shown)
    if not enough_to_learn(rows):
        raise DataError("Before the validation slice the log holds too few choices to learn an order from.")
    asked = stages.observe(observed)
    judges = [_spread(one, _JUDGES) for one in validations]
    judged: list[Floats] = []
    with shown.step("Tuning: candidates of the validation", len(judges)) as step:
        gathered = []
        for one in judges:
            gathered.append(list(asked.gather(one.requests)))
            step.advance(1)

    with shown.step(f"Tuning: {config.rank.ranker}, {trials} trials", trials) as step:

        def judge(options: Mapping[str, Any]) -> list[float]:
            engine = fit_ranker(asked, rows, with_options(config, options))
            values = []
            for one, parts in zip(judges, gathered, strict=True):
                lists = [engine.order(part, k).lists for part in parts]
                rows_ = [part.list_of(row) for part in lists for row in range(len(part))]
                values.append(measure(ItemList.from_lists(rows_), one.truth, k, [name]).values[metric])
            # Every slice counts alike, however many requests it has.
            total = sum(map(len, values))
            judged.append(np.concatenate([one * (total / len(values) / len(one)) for one in values]))
            step.advance(1)
            return [float(judged[-1].mean())]

        points = starting_points(own, own.space)
        done = search_space(own.name, own.space, points, judge, trials=trials, seconds=seconds, rng=rng)
    return _best(done, metric, 0, judged)


def with_options(config: ShopConfig, options: Mapping[str, Any]) -> ShopConfig:
    """The same shop with these options of its ranker, and its other options as they are."""
    rank = config.rank.model_copy(update={"options": {**config.rank.options, **options}})
    return config.model_copy(update={"rank": rank})


class _Tunable(Protocol):
    """A baseline or a component."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Any: ...


def starting_points(thing: _Tunable, space: Space, starts: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Where ``thing`` stands in each option of the space, and then ``starts``, completed from there.

    Raises
    ------
    ConfigError
        When the space names what is not an option of it, or a start what is not in the space.
    """
    known = list(type(thing.config).model_fields)
    for option in space:
        if option not in known:
            hint = nearest(option, known) or f" Its options: {', '.join(known)}."
            raise ConfigError(f"space: {option!r} is not an option of {thing.name}.{hint}")
    for option in (option for start in starts for option in start):
        if option not in space:
            raise ConfigError(f"starts: {option!r} is not in the space of {thing.name}.{nearest(option, space)}")
    default = {option: _as_listed(getattr(thing.config, option), one) for option, one in space.items()}
    return [default, *({**default, **start} for start in starts)]


def _as_listed(value: Any, one: Choice | Range) -> Any:
    """A default as the choices write it: 7.0 is the 7 among them, and no other point."""
    return one.values[one.values.index(value)] if isinstance(one, Choice) and one.holds(value) else value


def search_space(
    what: str,
    space: Space,
    points: Sequence[Mapping[str, Any]],
    judge: Callable[[Mapping[str, Any]], Sequence[float]],
    *,
    trials: int = TRIALS,
    seconds: float | None = None,
    rng: Rng = 0,
) -> list[Trial]:
    """Judge ``points`` first and then whatever the sampler proposes, until the budget is spent.

    Parameters
    ----------
    what : str
        Whose options they are, for messages.
    space : mapping of str to Choice, Real or Whole
    points : sequence of mapping
        At least one. They may lie outside the space; the sampler learns from those that do not.
    judge : callable
        The values of a point, one for each objective.
    trials, seconds, rng
        As for :func:`tune`.

    Returns
    -------
    list of Trial
        In order; no point twice.
    """
    if trials < 1:
        raise ConfigError(f"trials: a budget is 1 or more. Got {trials}.")
    began = time.monotonic()
    done: dict[str, Trial] = {}

    def spent() -> bool:
        late = seconds is not None and time.monotonic() - began > seconds
        return len(done) >= trials or (late and bool(done))

    def try_(options: Mapping[str, Any]) -> Trial:
        key = repr(dict(options))
        if key not in done:
            done[key] = _tried(what, dict(options), judge)
        return done[key]

    few = _size(space) <= trials
    for point in [*points, *(_all_points(space) if few else [])]:
        if not spent():
            try_(point)
    study, repeats = None if few else _study(space, list(done.values()), rng), 0
    while study is not None and not spent() and repeats < _REPEATS:
        asked = study.ask(_distributions(space))
        before = len(done)
        trial = try_({option: _tidy(asked.params[option], one) for option, one in space.items()})
        study.tell(asked, trial.values)
        repeats = 0 if len(done) > before else repeats + 1
    return list(done.values())


def _tried(what: str, options: dict[str, Any], judge: Callable[[Mapping[str, Any]], Sequence[float]]) -> Trial:
    start = time.monotonic()
    try:
        values = [float(value) for value in judge(options)]
    except Exception as error:
        raise ConfigError(f"{what}: the trial {told(options) or 'of the defaults'} failed: {error}") from error
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"{what}: the trial {told(options)} came out as {values}: narrow the space.")
    return Trial(options, values, time.monotonic() - start)


def told(options: Mapping[str, Any]) -> str:
    """Options in a line, such as "factors 64, half_life_days –"."""
    return ", ".join(f"{name} {'–' if value is None else value}" for name, value in options.items())


def _study(space: Space, done: Sequence[Trial], rng: Rng) -> optuna.Study:
    """A study that knows what was tried already, as far as it lies in the space."""
    seed = int(np.random.default_rng(rng).integers(2**31))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_AT_RANDOM)
    with _quiet():
        study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(done[0].values))
    for options, values, _ in done:
        if all(one.holds(options[option]) for option, one in space.items()):
            known = optuna.create_trial(params=options, distributions=_distributions(space), values=values)
            study.add_trial(known)
    return study


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    found: dict[str, BaseDistribution] = {}
    for option, one in space.items():
        if isinstance(one, Choice):
            found[option] = CategoricalDistribution(one.values)
        elif isinstance(one, Whole):
            found[option] = IntDistribution(int(one.low), int(one.high), log=one.log)
        else:
            found[option] = FloatDistribution(one.low, one.high, log=one.log)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every study on standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _best(done: Sequence[Trial], metric: str, side: int, rows: Sequence[Floats]) -> Tuned:
    """The first trial that the best one does not beat by more than a standard error of their difference."""
    top = int(np.argmax([trial.values[side] for trial in done]))

    def as_good(number: int) -> bool:
        behind = rows[top] - rows[number]
        return bool(behind.mean() <= behind.std() / math.sqrt(max(len(behind) - 1, 1)))

    chosen = next(number for number in range(top + 1) if as_good(number))
    best = done[chosen]
    shown = {option: [str(trial.options[option]) for trial in done] for option in best.options}
    numbers = {metric: [trial.values[side] for trial in done], "seconds": [trial.seconds for trial in done]}
    return Tuned(best.options, pl.DataFrame({**shown, **numbers}), chosen)


def _metric(metric: str) -> tuple[str, int]:
    name, _, cut = metric.partition("@")
    if not cut.isdecimal():
        raise ConfigError(f"metric: give its cut-off, such as 'ndcg@10'. Got {metric!r}.")
    return name, int(cut)


def _require_answers(validations: Sequence[Replay]) -> None:
    if not validations:
        raise ConfigError("validations: give at least one slice to judge on.")
    if not all(one.truth.n_relevant.any() for one in validations):
        raise ConfigError("validations: no request has a relevant item; take a longer slice.")


def _size(space: Space) -> float:
    """Points in the space, infinite where an option is a real number."""
    return math.prod(math.inf if isinstance(one, Real) else len(_values(one)) for one in space.values())


def _all_points(space: Space) -> list[dict[str, Any]]:
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*map(_values, space.values()))]


def _values(one: Choice | Range) -> Sequence[Any]:
    return one.values if isinstance(one, Choice) else range(int(one.low), int(one.high) + 1)


def _tidy(value: Any, one: Choice | Range) -> Any:
    """Three digits of a real number: as much as any option is worth, and what a table shows is what was tried."""
    if isinstance(one, Choice | Whole):
        return value
    return min(max(float(f"{value:.3g}"), one.low), one.high)


def _spread(replay: Replay, most: int) -> Replay:
    n = len(replay.requests)
    return replay if n <= most else replay.take(np.linspace(0, n - 1, most).astype(np.int64))
