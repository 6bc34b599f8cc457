"""A linear ranker: a weighted sum of standardised features, its weights learned by logistic regression.

Sources: D. Cox, The regression analysis of binary sequences (JRSS B 1958), for ``logistic``; R. Herbrich,
T. Graepel and K. Obermayer, Large margin rank boundaries for ordinal regression (2000), for learning a linear
order from differences, here under the loss of RankNet. Minimised by L-BFGS (R. Byrd et al., SIAM J. Sci.
Comput. 1995), which SciPy implements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Choice, Config, Real, register
from vetrina.core.errors import DataError
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.pairs import RowPairs
from vetrina.rank.standard import mean_and_scale, standardised

__all__ = ["Linear", "LinearConfig"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
#: Loss of all rows' scores, and its gradient by each of them.
Loss = Callable[[Doubles], tuple[float, Doubles]]


class LinearConfig(Config):
    """Which loss, and how far weights are held back."""

    loss: Literal["pairwise", "logistic"] = "pairwise"
    l2: float = Field(default=1e-4, ge=0, description="This times the sum of squared weights is added to the loss.")
    iterations: int = Field(default=100, ge=1, description="Steps of L-BFGS at most.")


@register("ranker", "linear")
class Linear(Ranker):
    """Weighted sum of features, standardised; of each that is not always known, also of whether it is unknown.

    The score is s = b + Σ w(f) x(f) + Σ v(f) [f is not known], where x has mean 0 and standard deviation 1 in the
    rows learned from and is 0 where not known. Lowered is ``l2`` · (Σ w² + Σ v²) plus

    - ``pairwise``: Σ u ln(1 + e^−(s(i) − s(j))) over the pairs of rows of one request of which ``i`` has the larger
      gain, divided by Σ u, with u = w(i)w(j)/W of the rows' weights w and the largest of the request, W; b is 0;
    - ``logistic``: the weighted mean over all rows of −y ln ŷ − (1 − y) ln(1 − ŷ), with ŷ = 1/(1 + e^−s) and y the
      gain divided by the largest gain of all rows.

    Learned: ``mean_``, ``scale_``, ``weights_`` and ``unknown_`` (v), each of shape (n_features,), and ``bias_`` (1,).

    Examples
    --------
    >>> rows = TrainingRows(np.array([[0.0, 1], [1, 0], [2, 1], [3, 0]], np.float32),
    ...                     np.array([0, 1, 0, 1], np.float32), np.array([2, 2]), ["liked", "other"])
    >>> ranker = Linear(loss="pairwise").fit(rows)
    >>> ranker.score(rows.features).argsort().tolist()
    [0, 2, 1, 3]
    """

    config_type = LinearConfig
    space = {"loss": Choice("pairwise", "logistic"), "l2": Real(1e-6, 1e-1, log=True)}

    def fit(self, rows: TrainingRows) -> Self:
        """Learn.

        Raises
        ------
        DataError
            When no row was chosen before others: there is nothing to tell apart.
        """
        from scipy.optimize import OptimizeResult, minimize

        if not rows.gain.size or rows.gain.min() == rows.gain.max():
            raise DataError("The rows hold no choice of some before others: nothing to learn from.")
        loss = _pairwise(rows) if self.config.loss == "pairwise" else _logistic(rows)
        self.names_ = list(rows.names)
        self.mean_, self.scale_ = mean_and_scale(rows.features)
        unknown = ~np.isfinite(rows.features)
        partly = np.flatnonzero(unknown.any(axis=0) & ~unknown.all(axis=0))
        # What is the same for all rows orders no pair.
        constant = np.full((len(unknown), 1), self.config.loss == "logistic")
        parts = (standardised(rows.features, self.mean_, self.scale_), unknown[:, partly], constant)
        columns = np.concatenate(parts, axis=1, dtype=np.float64)
        n_features, l2 = rows.features.shape[1], self.config.l2

        def value(weights: Doubles) -> tuple[float, Doubles]:
            found, by_row = loss(columns @ weights)
            slope = columns.T @ by_row
            slope[:-1] += 2 * l2 * weights[:-1]
            return found + l2 * float(weights[:-1] @ weights[:-1]), slope

        start = np.zeros(columns.shape[1])
        losses = [value(start)[0]]

        def look(intermediate_result: OptimizeResult) -> None:  # SciPy goes by the parameter's name
            losses.append(float(intermediate_result.fun))

        found = minimize(
            value, start, method="L-BFGS-B", jac=True, callback=look, options={"maxiter": self.config.iterations}
        )
        self.curves_ = {"loss by iterations": list(enumerate(losses))}
        self.weights_ = found.x[:n_features].astype(np.float32)
        self.unknown_ = np.zeros(n_features, dtype=np.float32)
        self.unknown_[partly] = found.x[n_features:-1]
        self.bias_ = found.x[-1:].astype(np.float32)
        return self

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("bias_")
        standard = standardised(features, self.mean_, self.scale_)
        return np.asarray(standard @ self.weights_ + ~np.isfinite(features) @ self.unknown_ + self.bias_, np.float32)

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("bias_")
        shares = np.empty((len(features), len(self.names_) + 1), dtype=np.float32)
        standard = standardised(features, self.mean_, self.scale_)
        shares[:, :-1] = standard * self.weights_ + ~np.isfinite(features) * self.unknown_
        shares[:, -1] = self.bias_
        return shares

    def importance(self) -> dict[str, float]:
        """Share of the sum of abs(w): how far a standard deviation of each feature moves the score."""
        self.require_fitted("bias_")
        size = np.abs(self.weights_)
        return dict(zip(self.names_, (size / max(float(size.sum()), 1e-12)).tolist(), strict=True))


def _pairwise(rows: TrainingRows) -> Loss:
    pairs = RowPairs.of(rows)
    whole = float(pairs.weight.sum())
    if not whole:
        raise DataError("The rows hold no choice of some before others: nothing to learn from.")
    return lambda score: (pairs.loss(score), pairs.derivatives(score)[0] / whole)


def _logistic(rows: TrainingRows) -> Loss:
    target = rows.gain.astype(np.float64) / rows.gain.max()
    weight = np.ones(len(target)) if rows.alone is None else rows.alone.astype(np.float64)
    weight /= weight.sum()

    def value(score: Doubles) -> tuple[float, Doubles]:
        # −y ln ŷ − (1 − y) ln(1 − ŷ) = ln(1 + e^s) − y s
        found = weight @ (np.logaddexp(0, score) - target * score)
        return float(found), weight * (0.5 * (1 + np.tanh(0.5 * score)) - target)

    return value
