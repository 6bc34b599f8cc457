"""A small neural network that judges each row by itself: one hidden layer of ReLU, trained on binary cross-entropy.

Pointwise, where :class:`vetrina.rank.LambdaMART` is listwise: it learns how
probable it is that a row is chosen, and so its scores are probabilities.

Sources: V. Nair and G. Hinton, Rectified Linear Units (ICML 2010); minimised by
L-BFGS (R. Byrd et al., SIAM J. Sci. Comput. 1995), which SciPy implements.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, register
from vetrina.core.errors import DataError
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.standard import mean_and_scale, standardised

__all__ = ["Network", "NetworkConfig", "binary_cross_entropy", "cross_entropy", "relu", "sigmoid"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating]


def relu(values: Numbers) -> Numbers:
    """What is above zero, else zero: max(0, v).

    Examples
    --------
    >>> relu(np.array([2.0 * 1 + 3 * 2 + 1, -4.0])).tolist()
    [9.0, 0.0]
    """
    return np.maximum(values, 0)


def sigmoid(values: Numbers) -> Doubles:
    """Log-odds as a probability: 1/(1 + e^−v), without overflow."""
    half: Doubles = 0.5 * (1 + np.tanh(0.5 * np.asarray(values, dtype=np.float64)))
    return half


def cross_entropy(truth: Numbers, chance: Numbers) -> float:
    """How surprised one is to see ``truth`` having expected ``chance``: −Σ y ln ŷ, in nats.

    A term with y = 0 is 0, whatever ŷ is; a chance of 0 for what happened is infinite.

    Parameters
    ----------
    truth, chance : float of one shape, in [0, 1]

    Raises
    ------
    DataError
        When the shapes differ or a value lies outside [0, 1].

    Examples
    --------
    >>> truth, chance = np.array([1, 0, 1, 0, 1.0]), np.array([0.2, 0.8, 0.9, 0.1, 0.3])
    >>> round(cross_entropy(truth, chance), 3)
    2.919
    """
    truth, chance = np.asarray(truth, dtype=np.float64), np.asarray(chance, dtype=np.float64)
    if truth.shape != chance.shape or not all(np.all((one >= 0) & (one <= 1)) for one in (truth, chance)):
        raise DataError(
            f"Cross-entropy: one chance for each truth, all between 0 and 1. Got {truth.shape} and {chance.shape}."
        )
    happened = truth > 0
    with np.errstate(divide="ignore"):
        return float(-np.sum(truth[happened] * np.log(chance[happened])))


def binary_cross_entropy(truth: Numbers, chance: Numbers) -> float:
    """Mean over all rows of −y ln ŷ − (1 − y) ln(1 − ŷ): what did not happen counts too.

    Parameters and errors are those of :func:`cross_entropy`; the arrays are not empty.

    Examples
    --------
    >>> truth, chance = np.array([1, 0, 1, 0, 1.0]), np.array([0.2, 0.8, 0.9, 0.1, 0.3])
    >>> round(binary_cross_entropy(truth, chance), 3)
    0.927
    """
    truth, chance = np.asarray(truth, dtype=np.float64), np.asarray(chance, dtype=np.float64)
    return (cross_entropy(truth, chance) + cross_entropy(1 - truth, 1 - chance)) / truth.size


class NetworkConfig(Config):
    """Size of the network."""

    hidden: int = Field(default=16, ge=1, description="Units of the hidden layer.")
    l2: float = Field(default=1e-3, ge=0, description="Weight decay: this times the sum of squared weights is added.")
    iterations: int = Field(default=200, ge=1, description="Steps of L-BFGS at most.")
    seed: int = Field(default=0, ge=0)


@register("ranker", "network")
class Network(Ranker):
    """Features, standardised; a hidden layer of ReLU; one output, the log-odds that the row is chosen.

    What is not known (NaN) is taken as the feature's mean. Rows count by their weight. Learned: ``mean_``,
    ``scale_`` (n_features,), ``weights_`` (n_features, hidden), ``bias_``
    (hidden,), ``out_`` (hidden + 1,), the last of which is the output's bias.

    Examples
    --------
    >>> rows = TrainingRows(np.array([[0.0], [1], [2], [3]], np.float32), np.array([0, 0, 1, 1], np.float32),
    ...                     np.array([4]), ["similarity"])
    >>> network = Network(hidden=2).fit(rows)
    >>> bool(np.all(np.diff(network.score(rows.features)) > 0))
    True
    """

    config_type = NetworkConfig

    def fit(self, rows: TrainingRows) -> Self:
        """Learn.

        Raises
        ------
        DataError
            When all rows were chosen, or none was: there is nothing to tell apart.
        """
        from scipy.optimize import OptimizeResult, minimize

        truth = (rows.gain > 0).astype(np.float64)
        if not 0 < truth.sum() < len(truth):
            raise DataError("The rows hold no choice of some before others: nothing to learn from.")
        self.names_ = list(rows.names)
        self.mean_, self.scale_ = mean_and_scale(rows.features)
        features = self._standard(rows.features).astype(np.float64)
        shapes = ((features.shape[1], self.config.hidden), (self.config.hidden,), (self.config.hidden + 1,))
        rng = np.random.default_rng(self.config.seed)
        start = np.concatenate([rng.normal(scale=np.sqrt(2 / shape[0]), size=shape).ravel() for shape in shapes])
        given = (features, truth, shapes, self.config.l2, rows.alone)
        losses: list[float] = [_loss(start, *given)[0]]

        def look(intermediate_result: OptimizeResult) -> None:  # SciPy goes by the parameter's name
            losses.append(float(intermediate_result.fun))

        found = minimize(
            _loss, start, given, "L-BFGS-B", jac=True, callback=look,
            options={"maxiter": self.config.iterations},
        )  # fmt: skip
        self.curves_ = {"loss by iterations": list(enumerate(losses))}
        self.weights_, self.bias_, self.out_ = (part.astype(np.float32) for part in _parts(found.x, shapes))
        return self

    def _standard(self, features: Floats) -> Floats:
        return standardised(features, self.mean_, self.scale_)

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Log-odds of each row: float32 of shape (n_rows,)."""
        self.require_fitted("out_")
        hidden = relu(self._standard(features) @ self.weights_ + self.bias_)
        return np.asarray(hidden @ self.out_[:-1] + self.out_[-1], dtype=np.float32)

    def chance(self, features: Floats) -> Doubles:
        """Probability that each row is chosen, among rows as those learned from."""
        return sigmoid(self.score(features))

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Each feature's share: exact, as between its kinks the network is linear. The last column is the biases'."""
        self.require_fitted("out_")
        standard = self._standard(features)
        active = (standard @ self.weights_ + self.bias_ > 0) * self.out_[:-1]
        shares = np.empty((len(features), len(self.names_) + 1), dtype=np.float32)
        shares[:, :-1] = standard * (active @ self.weights_.T)
        shares[:, -1] = active @ self.bias_ + self.out_[-1]
        return shares


Shapes = tuple[tuple[int, ...], ...]


def _parts(flat: Doubles, shapes: Shapes) -> list[Doubles]:
    """The weights, cut out of one vector."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)]


def _loss(
    flat: Doubles, features: Doubles, truth: Doubles, shapes: Shapes, l2: float, weight: Floats | None = None
) -> tuple[float, Doubles]:
    """Binary cross-entropy, rows counting by their weight, plus weight decay, and its gradient."""
    share = np.ones(len(truth)) if weight is None else weight.astype(np.float64)
    share /= share.sum()
    weights, bias, out = _parts(flat, shapes)
    hidden = relu(features @ weights + bias)
    # Kept off 0 and 1, where the logarithm has no end.
    chance = np.clip(sigmoid(hidden @ out[:-1] + out[-1]), 1e-12, 1 - 1e-12)
    surprise = truth * np.log(chance) + (1 - truth) * np.log(1 - chance)
    value = -share @ surprise + l2 * (np.sum(weights**2) + np.sum(out[:-1] ** 2))
    error = (chance - truth) * share
    back = np.outer(error, out[:-1]) * (hidden > 0)
    gradient = [
        (features.T @ back + 2 * l2 * weights).ravel(),
        back.sum(axis=0),
        np.append(hidden.T @ error + 2 * l2 * out[:-1], error.sum()),
    ]
    return float(value), np.concatenate(gradient)
