"""Item-to-item collaborative candidates: people who chose what you chose, chose this.

Sources: G. Linden, B. Smith and J. York, Amazon.com Recommendations (IEEE
Internet Computing 2003); M. Deshpande and G. Karypis, Item-based top-N
recommendation algorithms (ACM TOIS 2004) for conditional probability; the
similarity matrix is computed by the library ``implicit``.
"""

from __future__ import annotations

import warnings
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Choice, EventLog, Items, Real, Requests, Whole, register
from vetrina.retrieve.collaborative import Collaborative, CollaborativeConfig, Parts

__all__ = ["ItemItem", "ItemItemConfig"]


class ItemItemConfig(CollaborativeConfig):
    """How similarity between items is measured, and how the window is weighed."""

    similarity: Literal["cosine", "bm25", "tfidf", "conditional"] = "cosine"
    neighbours: int = Field(default=200, ge=1, description="Similar items kept for each item.")
    damping: float = Field(
        default=0.5, ge=0, le=1, description="Of conditional: power of popularity by which a popular item is held back."
    )


@register("retriever", "item_item")
class ItemItem(Collaborative):
    """Sum over the window of the similarity of each past item, decayed by age.

    Similarity is that of the items' audiences: ``cosine``, the same after ``bm25`` or ``tfidf`` weighting, or
    ``conditional``, the share of one item's shoppers who chose the other, divided by that other's number of
    shoppers to the power of ``damping``: n(i, j) / (n(i) · n(j)^damping). The largest is made 1.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = ItemItem(similarity="conditional").fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = ItemItemConfig
    space = {
        "similarity": Choice("cosine", "bm25", "tfidf", "conditional"),
        "neighbours": Whole(20, 1000, log=True),
        "damping": Real(0, 1),
        "half_life_days": Real(7, 365, log=True),
    }

    def fit(self, items: Items, log: EventLog) -> Self:
        from implicit.nearest_neighbours import (
            BM25Recommender,
            CosineRecommender,
            ItemItemRecommender,
            TFIDFRecommender,
        )
        from implicit.utils import ParameterWarning

        self.items_ = items
        counts = self._chosen(log, len(items))
        shoppers = np.maximum(np.bincount(counts.indices, minlength=len(items)), 1).astype(np.float64)
        conditional = self.config.similarity == "conditional"
        if conditional:
            # Both sides of a pair get the power here, which does not change an item's order of neighbours.
            counts.data = (shoppers**-self.config.damping)[counts.indices]
        makers = {"cosine": CosineRecommender, "bm25": BM25Recommender, "tfidf": TFIDFRecommender}
        maker = makers.get(self.config.similarity, ItemItemRecommender)
        # Each of its threads compares items of its own: their number changes nothing.
        model = maker(K=self.config.neighbours + 1)
        # An item that only a shopper of everything chose has a weight of 0, and is like nothing:
        # 0/0 there. implicit also warns of a matrix that it hands to itself.
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)
            model.fit(sparse.csr_matrix(counts), show_progress=False)
        similarity = sparse.csr_array(model.similarity)
        similarity.data = np.nan_to_num(similarity.data)
        if conditional:
            similarity.data *= np.repeat(shoppers ** (self.config.damping - 1), np.diff(similarity.indptr))
        similarity.setdiag(0)
        similarity.eliminate_zeros()
        largest = similarity.data.max(initial=0.0)
        self.values_ = (similarity.data / (largest or 1.0)).astype(np.float32)
        self.columns_ = similarity.indices.astype(np.int32)
        self.pointers_ = similarity.indptr.astype(np.int64)
        return self

    @property
    def similarity(self) -> sparse.csr_array:
        """Items by items, sparse: how alike their audiences are, 0 to 1."""
        n_items = len(self.pointers_) - 1
        return sparse.csr_array((self.values_, self.columns_, self.pointers_), shape=(n_items, n_items))

    def _scores(self, requests: Requests) -> sparse.csr_array:
        self.require_fitted("values_")
        n_items = len(self.pointers_) - 1
        window = requests.windows.weighted(self._weights(requests), n_items)
        return sparse.csr_array(window @ self.similarity)

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        self.require_fitted("values_")
        window = request.windows.weighted(self._weights(request), len(self.pointers_) - 1)
        return window.indices, self.similarity[window.indices][:, items].toarray() * window.data[:, None]
