"""Features of what people who chose the same things also chose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Requests, register
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["People"]


@register("features", "people")
class People(FeatureFamily):
    """The item-to-item source's score, as it is and relative to the best of the list."""

    reason = "people"
    names_ = ["item_item", "item_item_of_best"]

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        column = lists.columns.get("item_item")
        if column is None:
            return np.full((len(lists.item), 2), np.nan, dtype=np.float32)
        affinity: npt.NDArray[np.float32] = np.maximum(
            np.nan_to_num(np.asarray(column, dtype=np.float32)), np.float32(0)
        )
        return np.stack([np.log1p(affinity), by_group_max(affinity, lists)], axis=1)
