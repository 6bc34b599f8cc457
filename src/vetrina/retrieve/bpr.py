"""Matrix factorisation learned from pairs: what a shopper chose stands above what they did not.

Source: S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme, BPR: Bayesian personalized ranking from
implicit feedback (UAI 2009); learned by the library ``implicit``.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse
from scipy.special import expit
from threadpoolctl import threadpool_limits

from vetrina.core import EventLog, Items, Real, Requests, Whole, register
from vetrina.core.errors import ConfigError
from vetrina.retrieve.collaborative import CollaborativeConfig, Parts
from vetrina.retrieve.factors import Factorisation, Floats

__all__ = ["Bpr", "BprConfig"]


class BprConfig(CollaborativeConfig):
    """How much is learned, and how the window is weighed."""

    factors: int = Field(default=64, ge=1, description="Numbers by which an item is described, beside its popularity.")
    learning_rate: float = Field(default=0.05, gt=0, description="How far a pair moves the factors.")
    regularisation: float = Field(default=0.01, ge=0, description="Penalty λ of all factors.")
    iterations: int = Field(default=100, ge=1, description="Passes, of as many drawn pairs as there are choices.")
    seed: int = Field(default=0, ge=0, description="Of the first factors and of the pairs, which are drawn.")


@register("retriever", "bpr")
class Bpr(Factorisation):
    """Items and shoppers as factors whose product orders a shopper's choices above the rest.

    Factors maximise Σ ln σ(x·yᵢ + bᵢ - x·yⱼ - bⱼ) - λ(‖x‖² + ‖yᵢ‖² + ‖yⱼ‖² + bᵢ² + bⱼ²) over pairs of an item i
    that a shopper chose and an item j, drawn from all choices, that they did not. Who asks is not looked up, for
    that would miss the present purchase, and there is no closed form to solve for x anew: it is the mean of the
    window's yᵢ, weighted by the logarithm of what was done. The score of an item is the chance
    σ(x·y + b - m) that it is chosen rather than one that people choose, of which m is the mean.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = Bpr(factors=4).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = BprConfig
    space = {
        "factors": Whole(16, 128, log=True),
        "learning_rate": Real(0.01, 0.1, log=True),
        "regularisation": Real(0.001, 0.1, log=True),
        "iterations": Whole(30, 300, log=True),
        "half_life_days": Real(7, 365, log=True),
    }
    #: The mean of the factors of what was chosen, which is taken off ``factors_``: float32 of shape (factors + 1,)
    usual_: Floats

    def fit(self, items: Items, log: EventLog) -> Self:
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from implicit.recommender_base import ModelFitError

        chosen = self._chosen(log, len(items))
        # The last factor is the item's own, and that of every shopper for it is 1.
        self.factors_ = np.zeros((len(items), self.config.factors + 1), dtype=np.float32)
        self.usual_ = np.zeros(self.config.factors + 1, dtype=np.float32)
        if chosen.nnz:
            # One thread: several write the same factors as they come, and no two runs would be alike.
            model = BayesianPersonalizedRanking(
                factors=self.config.factors,
                learning_rate=self.config.learning_rate,
                regularization=self.config.regularisation,
                iterations=self.config.iterations,
                num_threads=1,
                random_state=self.config.seed,
            )
            try:
                with threadpool_limits(1, "blas"):
                    model.fit(sparse.csr_matrix(chosen), show_progress=False)
            except ModelFitError:
                raise ConfigError(
                    f"retriever.bpr: with learning_rate {self.config.learning_rate:g} and regularisation "
                    f"{self.config.regularisation:g} the factors grew beyond all numbers. Take them ten times smaller."
                ) from None
            times = np.bincount(chosen.indices, minlength=len(items))
            self.usual_ = (times @ model.item_factors.astype(np.float64) / times.sum()).astype(np.float32)
            self.factors_[times > 0] = model.item_factors[times > 0] - self.usual_
        return self.bind(items)

    def _asking(self, requests: Requests) -> Floats:
        window = self._window(requests)
        known = np.diff(window.indptr)[:, None] > 0
        asking = np.where(known, window @ self.factors_ + self.usual_, np.float32(0))
        asking[:, -1:] = known
        return np.asarray(asking, dtype=np.float32)

    def _window(self, requests: Requests) -> sparse.csr_array:
        """What each known item of the windows weighs in their means."""
        window = self._profiles(requests, len(self.factors_))
        window.data *= self._chosen_ever[window.indices]
        window.eliminate_zeros()
        whole = np.asarray(window.sum(axis=1), dtype=np.float32)
        window.data /= np.repeat(whole, np.diff(window.indptr))
        return window

    def _liking(self, products: Floats) -> Floats:
        return np.asarray(expit(products.astype(np.float64)), dtype=np.float32)

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        self.require_fitted("factors_")
        window = self._window(request)
        liked = (self.factors_[window.indices, :-1] + self.usual_[:-1]) * window.data[:, None]
        return window.indices, liked @ self.factors_[items, :-1].T
