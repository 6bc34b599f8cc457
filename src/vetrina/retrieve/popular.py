"""Popular candidates: what shoppers chose most, the last days counting most."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import DAY, Config, EventLog, ItemList, Items, Requests, register
from vetrina.core.counts import CumulativeCounts
from vetrina.retrieve.base import Allowed, Found, Retriever, top_k

__all__ = ["Popular", "PopularConfig"]

#: A purchase says more than a cart, a cart more than a click or a view.
_WEIGHT = np.array([0, 0, 0.5, 1.0, 3.0, 5.0, 1.0, 0], dtype=np.float32)


class PopularConfig(Config):
    """Over which times popularity is counted."""

    days: float = Field(default=14.0, gt=0, description="What happened in the last days counts fully.")
    background: float = Field(default=0.1, ge=0, le=1, description="Share at which everything older counts.")


@register("retriever", "popular")
class Popular(Retriever):
    """Weighted events of the last days, plus a small share of all that came before."""

    learns = "counts"
    config_type = PopularConfig

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        kept = log.take((_WEIGHT[log.kind] > 0) & (log.item >= 0))
        self.counts_ = CumulativeCounts.count(kept.item, kept.time, _WEIGHT[kept.kind])
        return self

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self.counts_.arrays()

    def bind(self, items: Items) -> Self:
        self.counts_ = CumulativeCounts.from_arrays(
            {name: getattr(self, f"{name}_") for name in ("places", "totals", "days")}
        )
        return super().bind(items)

    def _at(self, item: npt.NDArray[np.integer], now: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        recent = self.counts_.within(item, now, self.config.days)
        return recent + np.float32(self.config.background) * self.counts_.until(item, now)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("counts_")
        items = np.arange(len(self.items_))
        days, day_of = np.unique(requests.now // DAY, return_inverse=True)
        by_day = self._at(items[None, :], (days * DAY)[:, None])
        # Below zero, so that a shop without events still has candidates, in catalogue order.
        return top_k(by_day[day_of], k, allowed, above=-1.0)

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        self.require_fitted("counts_")
        return self._at(lists.item, (requests.now // DAY * DAY)[lists.row])
