"""The same fair chance for every baseline: a plain grid, judged on a slice of the past."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from vetrina.core import EventLog, Items
from vetrina.core.errors import ConfigError
from vetrina.engine.replay import Replay
from vetrina.evaluate.baselines import Baseline
from vetrina.evaluate.metrics import measure

__all__ = ["Tuned", "tune"]


class Tuned(NamedTuple):
    """What came out of a grid.

    Attributes
    ----------
    options : dict
        Those of the best trial; of equals the first.
    trials : DataFrame
        One row per point of the grid: its options as text, the metric (null where the time
        ran out before it) and the seconds it took.
    """

    options: dict[str, Any]
    trials: pl.DataFrame


def tune(
    make: Callable[..., Baseline],
    grid: Mapping[str, Sequence[Any]],
    items: Items,
    train: EventLog,
    observed: EventLog,
    validations: Sequence[Replay],
    metric: str = "ndcg@10",
    seconds: float | None = None,
) -> list[Tuned]:
    """Try every point of a grid: learn from ``train`` once, judge on each of ``validations``.

    Parameters
    ----------
    make : callable
        Makes a baseline from options, such as the class.
    grid : mapping of str to sequence
        The values to try of each option; their product is tried, in order.
    items : Items
    train : EventLog
        Events before the validation requests.
    observed : EventLog
        The log whose popularity may be read as the validation passes; end it before the test.
    validations : sequence of Replay
        Requests later than ``train`` and earlier than the test; each has its own best point.
    metric : str
        With its cut-off, such as ``"ndcg@10"``.
    seconds : float, optional
        No further point is begun after so long; the first always is.

    Returns
    -------
    list of Tuned
        One for each of ``validations``.

    Raises
    ------
    ConfigError
        When the metric is unknown, the grid is empty, or no request of a validation has a right answer.

    Examples
    --------
    ::

        grid = {"half_life_days": [None, 90, 30]}
        (best,) = tune(OwnFrequency, grid, items, train, before_test, [validation])
        baseline = OwnFrequency(**best.options).fit(items, before_test)
    """
    name, _, cut = metric.partition("@")
    if not cut.isdecimal():
        raise ConfigError(f"metric: give its cut-off, such as 'ndcg@10'. Got {metric!r}.")
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if not points:
        raise ConfigError("grid: an option has no values to try; give each at least one.")
    if not all(one.truth.n_relevant.any() for one in validations):
        raise ConfigError("validations: no request has a relevant item; take a longer slice.")

    began = time.monotonic()
    values: list[list[float | None]] = [[] for _ in validations]
    took: list[float] = []
    for number, options in enumerate(points):
        start = time.monotonic()
        if number and seconds is not None and start - began > seconds:
            for column in values:
                column.append(None)
        else:
            baseline = make(**options).fit(items, train).observe(observed)
            for column, validation in zip(values, validations, strict=True):
                lists = baseline.rank(validation.requests, int(cut))
                column.append(measure(lists, validation.truth, int(cut), [name]).mean(metric))
        took.append(time.monotonic() - start)
    shown = {option: [str(point[option]) for point in points] for option in grid}
    return [Tuned(points[_best(one)], pl.DataFrame({**shown, metric: one, "seconds": took})) for one in values]


def _best(values: Sequence[float | None]) -> int:
    """Place of the largest; of equals the first; what was not tried is never it."""
    return max(range(len(values)), key=lambda number: -1.0 if (value := values[number]) is None else value)
