"""Matrix factorisation by alternating least squares, for choices that are counted and not graded.

Source: Y. Hu, Y. Koren and C. Volinsky, Collaborative filtering for implicit feedback datasets (ICDM 2008);
learned by the library ``implicit``.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse
from threadpoolctl import threadpool_limits

from vetrina.core import EventLog, Items, Real, Requests, Whole, register
from vetrina.retrieve.collaborative import CollaborativeConfig, Parts
from vetrina.retrieve.factors import Doubles, Factorisation, Floats, least_squares

__all__ = ["Als", "AlsConfig"]


class AlsConfig(CollaborativeConfig):
    """How much is learned, and how the window is weighed."""

    factors: int = Field(default=64, ge=1, description="Numbers by which an item is described.")
    regularisation: float = Field(default=20.0, gt=0, description="Ridge penalty λ of all factors.")
    alpha: float = Field(default=2.0, gt=0, description="Confidence α that what was done adds to that of nothing.")
    iterations: int = Field(default=15, ge=1, description="Times that all factors are solved anew.")
    seed: int = Field(default=0, ge=0, description="Of the first factors, which are drawn.")


@register("retriever", "als")
class Als(Factorisation):
    """Items and shoppers as factors whose product says who chooses what.

    With r the logarithm of what a shopper did with an item, p = 1 where that is above 0 and else 0, and
    c = 1 + α·r, factors minimise Σ c·(p - x·y)² + λ(Σ‖x‖² + Σ‖y‖²) over all shoppers and all items: items by
    shoppers and shoppers by items in turn. Who asks is not looked up: their factors are solved once more, from the
    window, by the same half step in closed form, x = (YᵀY + Yᵀ(C - I)Y + λI)⁻¹ YᵀCp.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = Als(factors=4).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = AlsConfig
    space = {
        "factors": Whole(16, 256, log=True),
        "regularisation": Real(0.1, 100, log=True),
        "alpha": Real(0.5, 40, log=True),
        "half_life_days": Real(7, 365, log=True),
    }
    #: YᵀY + λI, float64 of shape (factors, factors)
    gram_: Doubles

    def fit(self, items: Items, log: EventLog) -> Self:
        from implicit.cpu.als import AlternatingLeastSquares

        chosen = self._chosen(log, len(items))
        chosen.data = 1 + self.config.alpha * chosen.data
        self.factors_ = np.zeros((len(items), self.config.factors), dtype=np.float32)
        if chosen.nnz:
            # The library has threads of its own, and each solves rows of its own: their number changes nothing.
            with threadpool_limits(1, "blas"):
                model = AlternatingLeastSquares(
                    factors=self.config.factors,
                    regularization=self.config.regularisation,
                    alpha=1.0,
                    iterations=self.config.iterations,
                    random_state=self.config.seed,
                )
                model.fit(sparse.csr_matrix(chosen), show_progress=False)
            self.factors_ = np.asarray(model.item_factors, dtype=np.float32)
        factors = self.factors_.astype(np.float64)
        self.gram_ = factors.T @ factors + self.config.regularisation * np.eye(self.config.factors)
        return self.bind(items)

    def _asking(self, requests: Requests) -> Floats:
        return least_squares(self.factors_, self.gram_, self._extra(requests)).astype(np.float32)

    def _extra(self, requests: Requests) -> sparse.csr_array:
        """C - I of each window: the confidence that what was done adds to that of nothing."""
        extra = self._profiles(requests, len(self.factors_))
        extra.data *= self.config.alpha
        extra.eliminate_zeros()
        return extra

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        """As the paper explains a recommendation (its section 5): x·y = Σ c(i)·yᵢᵀWy over the window's i."""
        self.require_fitted("factors_")
        extra = self._extra(request)
        past = self.factors_[extra.indices].astype(np.float64)
        left = self.gram_ + (past * extra.data[:, None]).T @ past
        return extra.indices, (past * (1 + extra.data)[:, None]) @ np.linalg.solve(left, self.factors_[items].T)
