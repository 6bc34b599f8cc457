"""A feature of how high the candidate sources place an item: late fusion by reciprocal rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Requests, register
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["Sources"]

Floats = npt.NDArray[np.float32]


@register("features", "sources")
class Sources(FeatureFamily):
    """Reciprocal rank fusion of all candidate sources, Σ 1/(60 + rank), divided by that of the request's best item.

    Nothing of it is learned. With ``match_score`` and a weight for nothing else it is the order itself. Where the list
    is the caller's, an item's rank is that among the list's items by the source's score.

    Source: G. Cormack, C. Clarke and S. Buettcher, Reciprocal rank fusion outperforms Condorcet and
    individual rank learning methods (SIGIR 2009); :func:`vetrina.retrieve.reciprocal_rank`.
    """

    reason = "sources"
    reads = ("sources",)
    names_ = ["rrf_of_best"]

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        rrf = lists.columns.get("rrf")
        if rrf is None:  # a list that nobody has had sources look at
            return np.full((len(lists.item), 1), np.nan, dtype=np.float32)
        return by_group_max(np.asarray(rrf, dtype=np.float32), lists)[:, None]
