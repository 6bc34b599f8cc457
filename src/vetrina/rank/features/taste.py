"""Features of the shopper's leaning towards the item's category, brand, colour and other attributes."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, ItemList, Items, Requests, register
from vetrina.core.leaning import text_columns, value_weights
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Taste", "TasteConfig"]

_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.0], dtype=np.float32)


class TasteConfig(Config):
    """How the window is weighed, and what counts as an attribute."""

    half_life_days: float = Field(default=30.0, gt=0, description="An event of this age counts half.")
    most_values: int = Field(default=500, ge=2, description="Attributes with more distinct values are left out.")
    smoothing: float = Field(default=2.0, gt=0, description="Events' worth of the shop's average mixed in.")


@register("features", "taste")
class Taste(FeatureFamily):
    """Share of the window that has the candidate's value, against the value's share in the catalogue.

    For each attribute ln((w + s p)/((W + s) p)): w is the decayed weight of
    the window's events with the value, W that of all, p the value's share of
    the catalogue and s the smoothing. 0 says: no more and no less than anyone.
    """

    reason = "taste"
    reads = ("window", "items")
    by_itself = True
    config_type = TasteConfig

    def bind(self, items: Items) -> Self:
        self.columns = text_columns(items, self.config.most_values)
        self.names_ = [f"taste_{name}" for name in self.columns]
        self._shares = [_shares(*items.codes(name)) for name in self.columns]
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        self.require_fitted("items_")
        windows = requests.windows
        weight = np.exp2(-requests.age / self.config.half_life_days) * _WEIGHT[windows.kind]
        row, item = lists.row, lists.item
        smoothing = self.config.smoothing
        result = np.full((len(item), len(self.columns)), np.nan, dtype=np.float32)
        for place, name in enumerate(self.columns):
            codes, share = self.items_.codes(name)[0], self._shares[place]
            table = value_weights(windows, weight, codes, len(share))
            whole = table.sum(axis=1)
            code = codes[item]
            has = code >= 0
            p = share[code[has]]
            lean = np.log((table[row[has], code[has]] + smoothing * p) / ((whole[row[has]] + smoothing) * p))
            result[has, place] = lean
        return result


def _shares(codes: npt.NDArray[np.int32], names: list[str]) -> npt.NDArray[np.floating]:
    """Share of the catalogue that has each value, of half an item more than there are."""
    counts = np.bincount(codes + 1, minlength=len(names) + 1)[1:]
    return (counts + 0.5) / (len(codes) + 0.5 * len(names))
