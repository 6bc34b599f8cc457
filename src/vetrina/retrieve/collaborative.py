"""What the collaborative sources share: who chose what by the log, and what a window says of its shopper."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, EventKind, EventLog, ItemList, Requests
from vetrina.retrieve.base import Allowed, Found, Retriever, pick, top_k_of_sparse

__all__ = ["Collaborative", "CollaborativeConfig", "Parts"]


class CollaborativeConfig(Config):
    """How the window is weighed, and which events are learned from."""

    half_life_days: float = Field(default=30.0, gt=0, description="An event of this age counts half.")
    search_sessions: bool = Field(
        default=True, description="Also learn from views and clicks, not from purchases alone."
    )


#: Items, and beside them a row of numbers for each.
Parts = tuple[npt.NDArray[np.int32], npt.NDArray[np.floating]]

#: How much an event of each kind says about a shopper's interest; what is hidden says nothing of other items.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.0], dtype=np.float32)


class Collaborative(Retriever):
    """Base of the sources that learn from who chose what, and ask with the window.

    Subclasses learn in ``fit`` from :meth:`_chosen`, answer in :meth:`_scores`, and take a score apart in
    :meth:`_parts` where they can.
    """

    learns = "log"
    config_type = CollaborativeConfig

    def _chosen(self, log: EventLog, n_items: int) -> sparse.csr_array:
        """Shoppers by items, float32: log(1 + weight of all that each did with each). Who did nothing has no row."""
        kinds = [EventKind.purchase]
        if self.config.search_sessions:
            kinds += [EventKind.view, EventKind.click, EventKind.cart, EventKind.rate]
        kept = log.of_kinds(*kinds)
        kept = kept.take(kept.shopper >= 0)  # what nobody known did goes together with nothing
        counts = sparse.csr_array(
            (_WEIGHT[kept.kind], (kept.shopper, kept.item)), shape=(max(len(log.shoppers), 1), n_items)
        )
        counts.sum_duplicates()
        counts.data = np.log1p(counts.data)
        # Shoppers who come later are in the code book, and must not count, nor take a place.
        there = np.diff(counts.indptr) > 0
        return counts[there] if there.any() else counts[:1]

    def _weights(self, requests: Requests) -> npt.NDArray[np.float32]:
        """What each event of the windows says: by its kind, halved with every ``half_life_days`` of its age."""
        decay = np.exp2(-requests.age / self.config.half_life_days)
        return np.asarray(_WEIGHT[requests.windows.kind] * decay, dtype=np.float32)

    def _profiles(self, requests: Requests, n_items: int) -> sparse.csr_array:
        """The windows as rows that compare with those of :meth:`_chosen`: log(1 + decayed weight)."""
        profiles = requests.windows.weighted(self._weights(requests), n_items)
        profiles.data = np.log1p(profiles.data)
        return profiles

    def _scores(self, requests: Requests) -> sparse.csr_array:
        """Scores of shape (batch, n_items), 0 where nothing is said."""
        raise NotImplementedError

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return top_k_of_sparse(requests.once(self, lambda: self._scores(requests)), k, allowed)

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return pick(requests.once(self, lambda: self._scores(requests)), lists)

    def strongest(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.int32]:
        """The past item that speaks most for each row (-1 for none): the evidence of an explanation."""
        best = np.full(len(lists.item), -1, dtype=np.int32)
        for row in range(len(requests)):
            rows = slice(int(lists.offsets[row]), int(lists.offsets[row + 1]))
            items = lists.item[rows]
            past, parts = self._parts(requests.slice(row, row + 1), items)
            if parts.size:
                parts = np.where(past[:, None] == items, 0, parts)  # no item is chosen because of itself
                best[rows] = np.where(parts.max(axis=0) > 0, past[parts.argmax(axis=0)], -1)
        return best

    def _parts(self, request: Requests, items: npt.NDArray[np.int32]) -> Parts:
        """(The items of one window, what each adds to the score of each of ``items``: one row for each).

        None, for a source that cannot say.
        """
        return np.empty(0, dtype=np.int32), np.empty((0, len(items)))
