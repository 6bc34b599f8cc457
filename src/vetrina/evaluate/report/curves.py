"""How learning went: what components say of it themselves, and what it was worth on requests that they had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vetrina.engine import Engine, Replay
from vetrina.evaluate.evaluation import Curve
from vetrina.evaluate.metrics import measure
from vetrina.evaluate.tables import K

__all__ = ["learning_curve", "training_curves"]

_SAMPLE = 400
_METRIC = f"ndcg@{K}"


def training_curves(engine: Engine) -> dict[str, Curve]:
    """What the engine's components say of their own learning, by component and figure.

    Parameters
    ----------
    engine : Engine
        Encoders that were kept from an earlier build bring their curves along.
    """
    found = {}
    for component, curves in engine.curves.items():
        for name, points in curves.items():
            y_label, _, x_label = name.partition(" by ")
            found[f"{component}: {name}"] = Curve(*_columns(points), x_label, y_label)
    return found


def learning_curve(engine: Engine, replay: Replay, *, most: int = _SAMPLE, rng: int = 0) -> dict[str, Curve]:
    """Quality after so many steps of the ranker's learning: on the test, and on the rows that it learned from.

    The two are not of one level: the ranker learns to order sampled candidates, while on the test it
    orders all of them, and what was chosen may not be among them. Their shapes are to be compared.

    Parameters
    ----------
    engine : Engine
    replay : Replay
        Requests with what was right, of which the engine has seen nothing.
    most : int
        Of so many requests at most, drawn at random.
    rng : int

    Returns
    -------
    dict of str to Curve
        "test" and, where the ranker tells it, "training"; empty for a ranker that does not learn in steps.
    """
    answerable = np.flatnonzero(replay.truth.n_relevant)
    if len(answerable) > most:
        answerable = np.sort(np.random.default_rng(rng).choice(answerable, most, replace=False))
    sample = replay.take(answerable)
    points = [
        (steps, float(measure(lists, sample.truth, K, ["ndcg"]).values[_METRIC].mean()))
        for steps, lists in engine.staged(sample.requests, K)
    ]
    if not points:
        return {}
    curves = {"test": Curve(*_columns(points), "steps", _METRIC)}
    for name, told in engine.ranker.curves_.items():
        y_label, _, x_label = name.partition(" by ")
        if y_label == _METRIC:
            curves = {
                "test": replace(curves["test"], x_label=x_label),
                "training": Curve(*_columns(told), x_label, _METRIC),
            }
    return curves


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
