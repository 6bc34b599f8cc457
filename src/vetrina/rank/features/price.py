"""Features of how the item's price fits what the shopper looks at and pays."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Items, Requests, register
from vetrina.core.leaning import log_prices, price_levels, usual
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Price"]

Floats = npt.NDArray[np.float32]
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.0], dtype=np.float32)


@register("features", "price")
class Price(FeatureFamily):
    """Logarithm of the price, its place in the list, and its distance from the window's prices.

    Prices are compared by their logarithms and relative to their category, for
    whoever buys dear shoes also buys dear bags.
    """

    reason = "price"
    reads = ("window", "items")
    names_ = ["price", "price_place", "price_level", "price_from_usual", "price_distance"]

    def bind(self, items: Items) -> Self:
        self._price, self._level = log_prices(items), price_levels(items)
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        return self.compute_some(requests, lists, np.arange(len(lists.item)))

    def compute_some(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp]) -> Floats:
        self.require_fitted("items_")
        price, level = self._price, self._level
        windows = requests.windows
        weight = np.exp2(-requests.age / 60) * _WEIGHT[windows.kind]
        # Only the place depends on what else is in the list.
        place = _place(price[lists.item], lists)[rows]
        row, item = lists.row[rows], lists.item[rows]
        away = level[item] - usual(windows, weight, level)[row]
        columns: list[npt.NDArray[np.floating]] = [price[item], place, level[item], away, np.abs(away)]
        return np.stack(columns, axis=1).astype(np.float32)


def _place(values: Floats, lists: ItemList) -> Floats:
    """Place of each value in its list, 0 the lowest to 1 the highest; NaN stays NaN."""
    order = np.lexsort((values, lists.row))
    place = np.empty(len(values), dtype=np.float32)
    starts = np.repeat(lists.offsets[:-1], lists.sizes)
    place[order] = (np.arange(len(values)) - starts) / np.maximum(np.repeat(lists.sizes, lists.sizes) - 1, 1)
    return np.where(np.isfinite(values), place, np.float32(np.nan))
