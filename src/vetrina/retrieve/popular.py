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
    #: The day of the last requests, and the scores of all items then: they stay the same until midnight.
    _today: tuple[int, npt.NDArray[np.float32]] | None = None

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_, self._today = items, None
        kept = log.take((_WEIGHT[log.kind] > 0) & (log.item >= 0))
        self.counts_ = CumulativeCounts.count(kept.item, kept.time, _WEIGHT[kept.kind])
        return self

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self.counts_.arrays()

    def bind(self, items: Items) -> Self:
        if not hasattr(self, "counts_"):
            self.counts_ = CumulativeCounts.from_arrays(
                {name: getattr(self, f"{name}_") for name in ("places", "totals", "days")}
            )
        self._today = None
        return super().bind(items)

    def _at(self, item: npt.NDArray[np.integer], now: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        recent = self.counts_.within(item, now, self.config.days)
        return recent + np.float32(self.config.background) * self.counts_.until(item, now)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("counts_")
        by_day, day = requests.once(self, lambda: self._by_day(requests))
        # The best of each day, and some more, for not all may be shown to everyone.
        # Below zero, so that a shop without events still has candidates, in catalogue order.
        best, values = (found[day] for found in top_k(by_day, 4 * k, None, above=-1.0))
        may = best >= 0
        if allowed is not None and allowed.size:
            may &= np.take_along_axis(allowed, np.maximum(best, 0), axis=1)
        place = np.cumsum(may, axis=1)
        row, column = np.nonzero(may & (place <= k))
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        ids[row, place[row, column] - 1] = best[row, column]
        scores[row, place[row, column] - 1] = values[row, column]
        few = np.flatnonzero(np.count_nonzero(ids >= 0, axis=1) < k)
        if allowed is not None and len(few):
            ids[few], scores[few] = top_k(by_day[day[few]], k, allowed[few], above=-1.0)
        return ids, scores

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        self.require_fitted("counts_")
        if len(lists.item) < len(self.items_):
            return self._at(lists.item, (requests.now // DAY * DAY)[lists.row])
        by_day, day = requests.once(self, lambda: self._by_day(requests))
        return by_day[day[lists.row], lists.item]

    def _by_day(self, requests: Requests) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
        """(Scores of all items on each day on which requests are asked, the day of each request)."""
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        today = self._today
        if len(days) == 1 and today is not None and today[0] == days[0]:
            return today[1], day
        by_day = self._at(np.arange(len(self.items_))[None, :], (days * DAY)[:, None])
        if len(days) == 1:
            self._today = int(days[0]), by_day
        return by_day, day
