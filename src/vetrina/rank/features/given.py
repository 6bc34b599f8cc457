"""Features of where an item stood in the list that the caller gave to be ranked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Requests, register
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Given"]


@register("features", "given")
class Given(FeatureFamily):
    """1/position and ln(position) in the incoming list, whose first item is 1; not known where Vetrina finds its own.

    The engine carries a caller's order as the lists' column ``given_position`` (``POST /v1/rank``,
    :meth:`vetrina.Shop.rank`). Rows replayed from a log have no such list, so trees learn nothing of it: a
    ranker heeds it by a weight that the shop gives, such as ``given_reciprocal`` of ``match_score``.

    Examples
    --------
    >>> from vetrina.testing import sample_requests, small_shop
    >>> items, log = small_shop()
    >>> lists = ItemList.from_lists([np.array([4, 2, 9], dtype=np.int32)])
    >>> lists.columns["given_position"] = np.array([1, 2, 3], dtype=np.int32)
    >>> Given().fit(items, log).compute(sample_requests(items, log).slice(0, 1), lists)[:, 0].round(2).tolist()
    [1.0, 0.5, 0.33000001311302185]
    """

    reason = "given"
    reads = ("given",)
    names_ = ["given_reciprocal", "given_log"]

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        self.require_fitted("items_")
        position = lists.columns.get("given_position")
        if position is None:
            return np.full((len(lists.item), 2), np.nan, dtype=np.float32)
        place = np.asarray(position, dtype=np.float32)
        return np.stack([1 / place, np.log(place)], axis=1)
