"""Pointwise trees: how much gain each row is expected to bring, judged by itself.

Sources: J. Friedman, Greedy function approximation: a gradient boosting machine
(Annals of Statistics 2001); trees by LightGBM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from vetrina.core import Choice, register
from vetrina.rank.base import TrainingRows
from vetrina.rank.trees import Loss, Trees, TreesConfig

__all__ = ["Pointwise", "PointwiseConfig"]


class PointwiseConfig(TreesConfig):
    """Options of the trees, and which loss they lower."""

    loss: Literal["cross_entropy", "mse"] = "cross_entropy"


@register("ranker", "pointwise")
class Pointwise(Trees):
    """Gradient-boosted trees that predict each row's gain, whatever else is in its list.

    The target y is the gain divided by the largest gain of all rows, so that it lies in [0, 1]. With
    s the score and w the row's weight, times the candidates that it stands for, Σ w · loss / Σ w is lowered, where

    - ``cross_entropy``: loss = −y ln ŷ − (1 − y) ln(1 − ŷ) with ŷ = 1/(1 + e^−s); the score is the log-odds;
    - ``mse``: loss = (y − s)²; the score is the expected y itself.

    Both are least where the score says the expected y, so scores can be compared between lists too. What
    is 0 for a whole list counts as much as what decides an order.

    Examples
    --------
    >>> from vetrina.testing import sample_rows
    >>> rows = sample_rows()
    >>> ranker = Pointwise(loss="mse", trees=10, threads=1).fit(rows)
    >>> bool(ranker.score(rows.features)[rows.gain == 3].mean() > ranker.score(rows.features)[rows.gain == 0].mean())
    True
    """

    config_type = PointwiseConfig
    space = {**Trees.space, "loss": Choice("cross_entropy", "mse")}

    def fit(self, rows: TrainingRows) -> Self:
        return super().fit(replace(rows, weight=rows.alone, stands_for=None))

    def _loss(self, rows: TrainingRows) -> Loss:
        loss = self.config.loss
        name = {"cross_entropy": "cross_entropy", "mse": "l2"}[loss]
        options = {"objective": name, "metric": name}
        return Loss(rows.gain / rows.gain.max(), options, loss, lambda booster: float(booster.eval_train()[0][2]))
