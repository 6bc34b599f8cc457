"""Item-to-item collaborative candidates: people who chose what you chose, chose this.

Sources: G. Linden, B. Smith and J. York, Amazon.com Recommendations (IEEE
Internet Computing 2003); the similarity matrix is computed by the library
``implicit``.
"""

from __future__ import annotations

import warnings
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, EventKind, EventLog, ItemList, Items, Requests, register
from vetrina.core.log import Windows
from vetrina.retrieve.base import Allowed, Found, Retriever, pick, top_k

__all__ = ["ItemItem", "ItemItemConfig"]


class ItemItemConfig(Config):
    """How similarity between items is measured, and how the window is weighed."""

    similarity: Literal["cosine", "bm25", "tfidf"] = "cosine"
    neighbours: int = Field(default=200, ge=1, description="Similar items kept for each item.")
    half_life_days: float = Field(default=30.0, gt=0, description="An event of this age counts half.")
    search_sessions: bool = Field(
        default=True, description="Also learn from views and clicks, not from purchases alone."
    )


#: How much an event of each kind says about a shopper's interest.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, -1.0], dtype=np.float32)


@register("retriever", "item_item")
class ItemItem(Retriever):
    """Sum over the window of the similarity of each past item, decayed by age."""

    learns = "log"
    config_type = ItemItemConfig

    def fit(self, items: Items, log: EventLog) -> Self:
        from implicit.nearest_neighbours import (
            BM25Recommender,
            CosineRecommender,
            TFIDFRecommender,
        )
        from implicit.utils import ParameterWarning

        self.items_ = items
        n_items = len(items)
        kept = log.of_kinds(EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate)
        if not self.config.search_sessions:
            kept = log.of_kinds(EventKind.purchase)
        kept = kept.take(kept.shopper >= 0)  # what nobody known did goes together with nothing
        counts = sparse.csr_array(
            (_WEIGHT[kept.kind], (kept.shopper, kept.item)), shape=(max(len(log.shoppers), 1), n_items)
        )
        counts.sum_duplicates()
        counts.data = np.log1p(counts.data)
        # Shoppers who come later are in the code book, and must not count in an idf.
        there = np.diff(counts.indptr) > 0
        counts = counts[there] if there.any() else counts
        makers = {"cosine": CosineRecommender, "bm25": BM25Recommender, "tfidf": TFIDFRecommender}
        model = makers[self.config.similarity](K=self.config.neighbours + 1, num_threads=1)
        # An item that only a shopper of everything chose has a weight of 0, and is like nothing:
        # 0/0 there. implicit also warns of a matrix that it hands to itself.
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)
            model.fit(sparse.csr_matrix(counts), show_progress=False)
        similarity = sparse.csr_array(model.similarity)
        similarity.data = np.nan_to_num(similarity.data)
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

    def _weights(self, requests: Requests) -> npt.NDArray[np.float32]:
        windows: Windows = requests.windows
        decay = np.exp2(-requests.age / self.config.half_life_days)
        return np.asarray(np.maximum(_WEIGHT[windows.kind], 0) * decay, dtype=np.float32)

    def _scores(self, requests: Requests) -> sparse.csr_array:
        self.require_fitted("values_")
        n_items = len(self.pointers_) - 1
        window = requests.windows.weighted(self._weights(requests), n_items)
        return sparse.csr_array(window @ self.similarity)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return top_k(self._scores(requests).toarray(), k, allowed)

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return pick(self._scores(requests), lists)

    def strongest(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.int32]:
        """The past item that speaks most for each row (-1 for none): the evidence of an explanation."""
        self.require_fitted("values_")
        windows = requests.windows
        weights = self._weights(requests)
        best = np.full(len(lists.item), -1, dtype=np.int32)
        similarity = self.similarity
        for row in range(len(requests)):
            past = slice(int(windows.offsets[row]), int(windows.offsets[row + 1]))
            rows = slice(int(lists.offsets[row]), int(lists.offsets[row + 1]))
            if past.start == past.stop:
                continue
            share = similarity[windows.item[past]][:, lists.item[rows]].toarray() * weights[past, None]
            winner = share.argmax(axis=0)
            best[rows] = np.where(share.max(axis=0) > 0, windows.item[past][winner], -1)
        return best
