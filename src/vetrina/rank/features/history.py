"""Features of the shopper's own past with this very item."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, ItemList, Requests, register
from vetrina.rank.features.base import FeatureFamily, distinct_of_rows

__all__ = ["History"]

Floats = npt.NDArray[np.float32]


_LOOKED = (EventKind.view, EventKind.click, EventKind.cart, EventKind.rate)


@register("features", "history")
class History(FeatureFamily):
    """How often and how lately the shopper bought or looked at the item; whether a next purchase is due.

    Who rates an item has looked at it.

    A basket is all purchases of one time. ``due`` is the time since the last
    purchase divided by the mean time between purchases of the item (1 means:
    about now), known from the second purchase on.
    """

    reason = "history"
    reads = ("window",)
    by_itself = True
    names_ = [
        "bought",
        "bought_decayed",
        "bought_share",
        "bought_days_ago",
        "in_last_basket",
        "due",
        "looked",
        "looked_decayed",
        "looked_days_ago",
        "quantity",
    ]

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        n_items = len(self.items_)
        windows, age = requests.windows, requests.age
        bought = (windows.kind == EventKind.purchase).astype(np.float32)
        looked = np.isin(windows.kind, _LOOKED).astype(np.float32)
        fresh = np.exp2(-age / 30)
        table = _Sums(windows.row, windows.item, n_items, lists)
        count, views = table.sum(bought), table.sum(looked)
        newest, oldest = table.lowest(age, bought > 0), -table.lowest(-age, bought > 0)
        seen = table.lowest(age, looked > 0)
        row = lists.row
        baskets, last_basket = _baskets(requests, bought > 0)
        in_last = np.isclose(newest, last_basket[row], atol=1e-4)
        gap = (oldest - newest) / np.maximum(count - 1, 1)
        quantity = table.sum(np.nan_to_num(windows.quantity, nan=1.0) * bought)
        columns: list[npt.NDArray[Any]] = [
            count,
            table.sum(bought * fresh),
            count / np.maximum(baskets[row], 1),
            np.where(np.isfinite(newest), newest, np.nan),
            np.where(np.isfinite(newest), in_last, np.nan),
            np.where((count > 1) & (gap > 0), newest / np.where(gap > 0, gap, 1), np.nan),
            views,
            table.sum(looked * np.exp2(-age / 7)),
            np.where(np.isfinite(seen), seen, np.nan),
            np.log1p(quantity),
        ]
        return np.stack(columns, axis=1).astype(np.float32)


class _Sums:
    """Sums and minima of window events over each (request, item) pair of the lists."""

    def __init__(self, row: npt.NDArray[np.int32], item: npt.NDArray[np.int32], n_items: int, lists: ItemList) -> None:
        place = row.astype(np.int64) * n_items + item
        self.places, self.inverse = np.unique(place, return_inverse=True)
        wanted = lists.row.astype(np.int64) * n_items + lists.item
        found = np.searchsorted(self.places, wanted)
        found = np.minimum(found, max(len(self.places) - 1, 0))
        self.hit = self.places[found] == wanted if len(self.places) else np.zeros(len(wanted), dtype=bool)
        self.found = found

    def sum(self, weights: Floats) -> Floats:
        sums = np.bincount(self.inverse, weights=weights, minlength=max(len(self.places), 1))
        return np.where(self.hit, sums[self.found], 0).astype(np.float32)

    def lowest(self, values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
        """The smallest value among the pair's events that ``where`` allows; infinite where none."""
        lowest = np.full(max(len(self.places), 1), np.inf, dtype=np.float32)
        np.minimum.at(lowest, self.inverse[where], values[where])
        return np.where(self.hit, lowest[self.found], np.float32(np.inf))


def _baskets(requests: Requests, bought: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(number of baskets, age of the last one in days or -1) of each request's window."""
    windows = requests.windows
    counts = distinct_of_rows(windows.row[bought], windows.time[bought], len(requests)).astype(np.float32)
    last = np.full(len(requests), np.inf, dtype=np.float32)
    np.minimum.at(last, windows.row[bought], requests.age[bought])
    return counts, np.where(np.isfinite(last), last, -1).astype(np.float32)
