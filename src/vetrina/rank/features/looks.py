"""Features of how alike an item is to what the shopper viewed, clicked or bought."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, ItemList, Items, Requests, register
from vetrina.core.similarity import dot_of_pairs
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Looks", "LooksConfig"]

Floats = npt.NDArray[np.float32]

#: How much an event of each kind says about taste, by EventKind.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, -1.0], dtype=np.float32)


class LooksConfig(Config):
    """How the window is weighed."""

    half_life_days: float = Field(default=14.0, gt=0, description="An event of this age counts half.")
    session_minutes: float = Field(default=30.0, gt=0, description="How far back the present session reaches.")
    latest: int = Field(default=5, ge=1, description="How many last items are compared one by one.")


@register("features", "looks")
class Looks(FeatureFamily):
    """Cosine of the item's vectors with the window's weighted mean, with its last items, and with a named item."""

    reason = "looks"
    reads = ("window", "query", "items")
    by_itself = True
    config_type = LooksConfig

    def bind(self, items: Items) -> Self:
        self.modalities = sorted(items.vectors, key=lambda name: (name != "fused", name))
        self.names_ = [f"{kind}_{name}" for name in self.modalities for kind in ("window", "like")]
        if "fused" in items.vectors:
            self.names_ += ["session_fused", "nearest_fused", "last_fused"]
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        row, item = lists.row, lists.item
        windows = requests.windows
        decay = np.exp2(-requests.age / self.config.half_life_days) * _WEIGHT[windows.kind]
        taste = windows.weighted(decay, len(self.items_))
        columns: list[Floats] = []
        for name in self.modalities:
            vectors = self.items_.vectors[name]
            columns.append(_cosine(taste @ vectors, vectors, row, item))
            shown = requests.shown(name, vectors)
            if shown is None:
                columns.append(np.full(len(item), np.nan, dtype=np.float32))
            else:
                columns.append(_cosine(shown, vectors, row, item))
        if "fused" in self.modalities:
            vectors = self.items_.vectors["fused"]
            now = decay * (requests.age * 1440 <= self.config.session_minutes)
            columns.append(_cosine(windows.weighted(now, len(self.items_)) @ vectors, vectors, row, item))
            near = self.similarity_to_latest(requests, lists)
            columns += [_known(near.max(axis=1)), _known(near[:, 0])]
        return np.stack(columns, axis=1) if columns else np.empty((len(item), 0), dtype=np.float32)

    def similarity_to_latest(self, requests: Requests, lists: ItemList) -> Floats:
        """Cosine of each row's item with the shopper's last items: (n_rows, latest), NaN-free, -2 where none."""
        vectors = self.items_.vectors["fused"]
        latest = requests.windows.latest(self.config.latest)
        near = np.empty((len(lists.item), self.config.latest), dtype=np.float32)
        row = lists.row
        for place in range(self.config.latest if len(row) else 0):
            past = latest[:, place]
            dots = dot_of_pairs(vectors[np.maximum(past, 0)], vectors, row, lists.item)
            near[:, place] = np.where(past[row] >= 0, dots, -2)
        return near


def _known(values: Floats) -> Floats:
    return np.where(values < -1.5, np.nan, values).astype(np.float32)


def _cosine(query: Floats, vectors: Floats, row: npt.NDArray[np.int32], item: npt.NDArray[np.int32]) -> Floats:
    """Cosine of rows of ``query`` and of ``vectors`` (unit length or zero); NaN where the query is zero."""
    query = np.asarray(query, dtype=np.float32)
    length = np.linalg.norm(query, axis=1, keepdims=True)
    unit = np.where(length > 0, query / np.where(length > 0, length, 1), np.nan)
    return dot_of_pairs(unit.astype(np.float32), vectors, row, item)
