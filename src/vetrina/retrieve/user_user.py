"""User-to-user collaborative candidates: what those chose who choose as you do.

Sources: J. Herlocker, J. Konstan, A. Borchers and J. Riedl, An algorithmic framework for performing
collaborative filtering (SIGIR 1999), for Pearson correlation, neighbours and significance weighting;
J. Breese, D. Heckerman and C. Kadie, Empirical analysis of predictive algorithms for collaborative
filtering (UAI 1998), for cosine; R. Bell and Y. Koren, Scalable collaborative filtering with jointly
derived neighborhood interpolation weights (ICDM 2007), for the form of the shrinkage.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Choice, EventLog, Items, Real, Requests, Whole, register
from vetrina.retrieve.base import top_k
from vetrina.retrieve.collaborative import Collaborative, CollaborativeConfig, Parts

__all__ = ["UserUser", "UserUserConfig"]

Doubles = npt.NDArray[np.float64]

#: Similarities (request by shopper) held at once: bounds the memory of a batch in a log of many shoppers.
_CELLS_AT_ONCE = 4_000_000


class UserUserConfig(CollaborativeConfig):
    """How similarity between shoppers is measured, and how the window is weighed."""

    similarity: Literal["cosine", "pearson"] = "cosine"
    neighbours: int = Field(default=100, ge=1, description="Shoppers most alike that are asked.")
    shrinkage: float = Field(
        default=5.0, ge=0, description="With so many items in common a similarity counts half; 0 counts it as it is."
    )


@register("retriever", "user_user")
class UserUser(Collaborative):
    """Mean of what the shoppers most alike chose, weighted by how alike they are.

    Who asks is known by the window alone. It is compared with every shopper of the log it was fitted on, item by
    item, on a logarithmic scale of what was done; a shopper whose past holds all of the window is among their own
    neighbours, and so adds to what was chosen already and to nothing else. The similarity is ``cosine``, or ``pearson``
    over all items that anybody chose, with 0 for what one did not choose: among those that both chose, implicit
    events hardly vary. It is multiplied by n/(n + ``shrinkage``), where n is the number of items that both chose, and
    only what is above 0 makes a neighbour. The score of an item is Σ s(u)·x(u, item) / Σ s(u) over the neighbours u.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = UserUser(similarity="pearson", neighbours=5).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = UserUserConfig
    space = {
        "similarity": Choice("cosine", "pearson"),
        "neighbours": Whole(20, 1000, log=True),
        "shrinkage": Real(0, 50),
        "half_life_days": Real(7, 365, log=True),
    }

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        chosen = self._chosen(log, len(items))
        self.values_ = chosen.data.astype(np.float32)
        self.columns_ = chosen.indices.astype(np.int32)
        self.pointers_ = chosen.indptr.astype(np.int64)
        # The same by item, for from the window's items one comes to the shoppers.
        by_item = sparse.csr_array(chosen.T)
        self.item_values_ = by_item.data.astype(np.float32)
        self.item_shoppers_ = by_item.indices.astype(np.int32)
        self.item_pointers_ = by_item.indptr.astype(np.int64)
        self.means_, self.lengths_ = self._moments(chosen, self._n_chosen)
        return self

    @property
    def _n_chosen(self) -> int:
        """How many items anybody chose."""
        return int(np.count_nonzero(np.diff(self.item_pointers_)))

    def _moments(self, rows: sparse.csr_array, n_chosen: int) -> tuple[Doubles, Doubles]:
        """(mean, length of what differs from it) of each row, over the items that anybody chose."""
        values = rows.astype(np.float64)
        squares = np.asarray((values * values).sum(axis=1), dtype=np.float64)
        if self.config.similarity == "cosine":
            return np.zeros(rows.shape[0]), np.sqrt(squares)
        means = np.asarray(values.sum(axis=1), dtype=np.float64) / max(n_chosen, 1)
        left = squares - n_chosen * means**2
        # Who did the same with every item correlates with nobody; what is left of rounding is no variance.
        return means, np.sqrt(np.where(left > 1e-6 * squares, left, 0))

    def neighbours(self, requests: Requests) -> sparse.csr_array:
        """Similarity of each request's nearest shoppers: sparse, of shape (batch, shoppers of the log)."""
        self.require_fitted("values_")
        n_items, n_shoppers = len(self.item_pointers_) - 1, len(self.pointers_) - 1
        profiles = self._profiles(requests, n_items)
        profiles.data *= np.diff(self.item_pointers_)[profiles.indices] > 0  # what nobody chose is like nobody
        profiles.eliminate_zeros()
        at_once = max(1, _CELLS_AT_ONCE // n_shoppers)
        starts = range(0, max(len(requests), 1), at_once)
        parts = [self._nearest(profiles[start : start + at_once]) for start in starts]
        return sparse.csr_array(sparse.vstack(parts), shape=(len(requests), n_shoppers))

    def _nearest(self, profiles: sparse.csr_array) -> sparse.csr_array:
        """The most alike of some profiles, each compared with every shopper at once."""
        n_items, n_shoppers = len(self.item_pointers_) - 1, len(self.pointers_) - 1
        by_item = sparse.csr_array(
            (self.item_values_, self.item_shoppers_, self.item_pointers_), shape=(n_items, n_shoppers)
        )
        used, place = np.unique(profiles.indices, return_inverse=True)
        asking = sparse.csr_array((profiles.data, place, profiles.indptr), shape=(profiles.shape[0], len(used)))
        chosen = by_item[used]
        n_chosen = self._n_chosen
        means, lengths = self._moments(profiles, n_chosen)
        alike = (asking @ chosen).toarray().astype(np.float64)
        alike -= n_chosen * means[:, None] * self.means_
        divisor = lengths[:, None] * self.lengths_
        alike = np.divide(alike, divisor, out=np.zeros_like(alike), where=divisor > 0)
        if self.config.shrinkage:
            asking.data, chosen.data = np.ones_like(asking.data), np.ones_like(chosen.data)
            common = (asking @ chosen).toarray()
            alike *= common / (common + self.config.shrinkage)
        ids, similarity = top_k(alike.astype(np.float32), self.config.neighbours, None)
        found = ids >= 0
        pointers = np.concatenate([[0], np.cumsum(np.count_nonzero(found, axis=1))])
        return sparse.csr_array((similarity[found], ids[found], pointers), shape=alike.shape)

    def _scores(self, requests: Requests) -> sparse.csr_array:
        nearest = self.neighbours(requests)
        shape = (nearest.shape[1], len(self.item_pointers_) - 1)
        chosen = sparse.csr_array((self.values_, self.columns_, self.pointers_), shape=shape)
        scores = sparse.csr_array(nearest @ chosen)
        total = np.asarray(nearest.sum(axis=1), dtype=np.float32)
        scores.data /= np.repeat(total, np.diff(scores.indptr))
        return scores

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        nearest = self.neighbours(request)
        shape = (nearest.shape[1], len(self.item_pointers_) - 1)
        chosen = sparse.csr_array((self.values_, self.columns_, self.pointers_), shape=shape)[nearest.indices]
        window = self._profiles(request, shape[1])
        # A neighbour's say is divided by what the window has in common with them.
        common = chosen[:, window.indices].toarray() * window.data
        whole = common.sum(axis=1, keepdims=True)
        says = common * nearest.data[:, None] / np.where(whole > 0, whole, 1)
        return window.indices, says.T @ chosen[:, items].toarray()
