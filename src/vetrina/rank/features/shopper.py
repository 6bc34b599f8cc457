"""Features of the shopper alone: how recently, how often and for how much they act (RFM)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, ItemList, Requests, register
from vetrina.rank.features.base import FeatureFamily, distinct_of_rows

__all__ = ["Shopper"]


@register("features", "shopper")
class Shopper(FeatureFamily):
    """Recency, frequency and monetary value of the window; the same for all candidates of a request.

    They cannot order a list by themselves: they tell a tree how far to trust
    what it knows of this shopper.
    """

    reason = "shopper"
    reads = ("window", "query")
    by_itself = True
    names_ = ["recency_days", "frequency", "monetary", "events", "repeat_share", "basket_size", "only_new"]

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        windows, age, n = requests.windows, requests.age, len(requests)
        row = windows.row
        bought = windows.kind == EventKind.purchase
        recency = np.full(n, np.inf, dtype=np.float32)
        np.minimum.at(recency, row, age)
        purchases = np.bincount(row[bought], minlength=n)
        spent = np.nan_to_num(windows.price) * np.nan_to_num(windows.quantity, nan=1.0)
        monetary = np.bincount(row[bought], weights=spent[bought], minlength=n)
        frequency = distinct_of_rows(row[bought], windows.time[bought], n)
        kinds = distinct_of_rows(row[bought], windows.item[bought], n)
        columns = [
            np.where(np.isfinite(recency), recency, np.nan),
            frequency,
            np.log1p(np.maximum(monetary, 0)),
            np.diff(windows.offsets),
            1 - kinds / np.maximum(purchases, 1),
            purchases / np.maximum(frequency, 1),
            np.array([query.exclude_purchased for query in requests.queries]),
        ]
        return np.stack(columns, axis=1).astype(np.float32)[lists.row]
