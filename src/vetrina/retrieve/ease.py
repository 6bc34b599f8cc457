"""EASE: a linear model of what is chosen by what else was chosen, learned in closed form.

Source: H. Steck, Embarrassingly shallow autoencoders for sparse data (WWW 2019).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import EventLog, Items, Real, Requests, register
from vetrina.core.errors import ConfigError
from vetrina.retrieve.collaborative import Collaborative, CollaborativeConfig, Parts

__all__ = ["Ease", "EaseConfig", "closed_form"]

Floats = npt.NDArray[np.float32]

#: Cells of the Gram matrix that are made at once: as a sparse product they take several times their place.
_CELLS_AT_ONCE = 4_000_000


class EaseConfig(CollaborativeConfig):
    """How much is learned, and how the window is weighed: what is older than in other sources still says something."""

    half_life_days: float = Field(default=90.0, gt=0, description="An event of this age counts half.")
    regularisation: float = Field(
        default=200.0, ge=1, description="Ridge penalty λ: the larger, the less two rare items say of each other."
    )
    items: int = Field(
        default=4_000,
        ge=1,
        description="Items that most shoppers chose, of which it learns: memory grows with the square "
        "(10,000 need 0.4 GB in the snapshot, and twice that to learn), time with the cube.",
    )


def closed_form(gram: Floats, regularisation: float) -> Floats:
    """Weights that say each item best by the others: B = I - P·diag(1/diag(P)), P = (G + λI)⁻¹.

    The minimum of ‖X - XB‖² + λ‖B‖² over all B whose diagonal is 0, where G = XᵀX.

    Parameters
    ----------
    gram : float32 of shape (n, n)
        XᵀX. What it holds is gone afterwards: the inverse is made in its place.
    regularisation : float
        λ, above 0.

    Returns
    -------
    float32 of shape (n, n)
        Row i holds what item i says of every other.

    Raises
    ------
    ConfigError
        When λ is so small beside ``gram`` that float32 cannot invert the sum.

    Examples
    --------
    Of two items and four shoppers, two of whom chose both:

    >>> chosen = np.array([[1, 1], [1, 1], [1, 0], [0, 1]], dtype=np.float32)
    >>> closed_form(chosen.T @ chosen, regularisation=1.0).round(3)
    array([[0. , 0.5],
           [0.5, 0. ]], dtype=float32)
    """
    from scipy.linalg import lapack

    if not len(gram):
        return gram
    # What is lost in rounding the largest must be less than the penalty, or the sum is as good as singular.
    lost = float(np.finfo(np.float32).eps * np.diagonal(gram).max())
    gram.flat[:: len(gram) + 1] += np.float32(regularisation)
    # The matrix is symmetric: its transpose is itself, in the order of columns that LAPACK works on in place.
    factor, failed = lapack.spotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    if failed or lost > regularisation:
        raise ConfigError(
            f"retriever.ease.regularisation: {regularisation:g} is too small for so many shoppers to be computed with. "
            "Take one ten times as large."
        )
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    weights: Floats = np.ascontiguousarray(inverse.T)  # which has what was below the diagonal above it
    for row in range(1, len(weights)):
        weights[row, :row] = weights[:row, row]
    weights /= -np.diagonal(weights).copy()
    np.fill_diagonal(weights, 0)
    return weights


@register("retriever", "ease")
class Ease(Collaborative):
    """Sum over the window of what each past item says of every other, by ridge regression of each item on all others.

    Unlike a similarity, a weight says what an item adds to the others, and may be below 0. It is learned of the
    ``items`` that most shoppers chose; others are never candidates, and say nothing.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = Ease(regularisation=10.0).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = EaseConfig
    space = {"regularisation": Real(10, 5000, log=True), "half_life_days": Real(7, 365, log=True)}
    #: Weights, and the item that each of their rows and columns stands for, ascending.
    weights_: Floats
    inside_: npt.NDArray[np.int32]

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        chosen = self._chosen(log, len(items))
        shoppers = np.bincount(chosen.indices, minlength=len(items))
        most = np.argsort(-shoppers, kind="stable")[: self.config.items]
        self.inside_ = np.sort(most[shoppers[most] > 0]).astype(np.int32)
        self.weights_ = closed_form(_gram(chosen[:, self.inside_]), self.config.regularisation)
        return self

    def _scores(self, requests: Requests) -> sparse.csr_array:
        self.require_fitted("weights_")
        n_items, batch, width = len(self.items_), len(requests), len(self.inside_)
        scores = np.asarray(self._profiles(requests, n_items)[:, self.inside_] @ self.weights_, dtype=np.float32)
        places = (np.tile(self.inside_, batch), np.arange(batch + 1) * width)
        return sparse.csr_array((scores.ravel(), *places), shape=(batch, n_items))

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        self.require_fitted("weights_")
        window = self._profiles(request, len(self.items_))
        of_past, of_items = self._places(window.indices), self._places(items)
        parts = np.zeros((len(of_past), len(of_items)))
        known = np.ix_(of_past >= 0, of_items >= 0)
        parts[known] = self.weights_[np.ix_(of_past[of_past >= 0], of_items[of_items >= 0])]
        return window.indices, parts * window.data[:, None]

    def _places(self, items: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """The row of each item in ``weights_``; -1 of one that was not learned of."""
        place = np.minimum(np.searchsorted(self.inside_, items), max(len(self.inside_) - 1, 0))
        return np.where(self.inside_[place] == items, place, -1) if len(self.inside_) else np.full(len(items), -1)


def _gram(rows: sparse.csr_array) -> Floats:
    """XᵀX as a dense matrix, made by parts."""
    width = rows.shape[1]
    gram = np.empty((width, width), dtype=np.float32)
    columns = sparse.csr_array(rows.T)
    at_once = max(1, _CELLS_AT_ONCE // max(width, 1))
    for start in range(0, width, at_once):
        gram[start : start + at_once] = (columns[start : start + at_once] @ rows).toarray()
    return gram
