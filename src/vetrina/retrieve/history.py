"""Candidates from the shopper's own past: what was chosen before may be wanted again."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, EventLog, ItemList, Items, Requests, register
from vetrina.retrieve.base import Allowed, Found, Retriever, pick, top_k_of_sparse

__all__ = ["History", "HistoryConfig"]

_WEIGHT = np.array([0, 0, 0.3, 0.5, 1.0, 3.0, 0.5, 0.0], dtype=np.float32)


class HistoryConfig(Config):
    """How the past is weighed."""

    half_life_days: float = Field(default=90.0, gt=0, description="An event of this age counts half.")


@register("retriever", "history")
class History(Retriever):
    """The window's own items, by decayed weight of what was done with them."""

    config_type = HistoryConfig

    def fit(self, items: Items, log: EventLog) -> Self:
        return self.bind(items)

    def _scores(self, requests: Requests) -> sparse.csr_array:
        self.require_fitted("items_")
        weight = np.exp2(-requests.age / self.config.half_life_days) * _WEIGHT[requests.windows.kind]
        return requests.windows.weighted(weight, len(self.items_))

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return top_k_of_sparse(requests.once(self, lambda: self._scores(requests)), k, allowed)

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return pick(requests.once(self, lambda: self._scores(requests)), lists)
