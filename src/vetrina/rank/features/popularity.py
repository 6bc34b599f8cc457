"""Features of how much everyone chose the item, lately and before, and how new it is."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventKind, EventLog, ItemList, Items, Requests, register
from vetrina.core.counts import CumulativeCounts
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["Popularity"]

_DAYS = (1, 7, 14, 30, 90)
_CHOSEN = {
    "bought": (EventKind.purchase,),
    "looked": (EventKind.view, EventKind.click, EventKind.cart, EventKind.rate),
    "shown": (EventKind.impression,),
}
#: The columns that are the same for every request of a day.
_COUNTS = (
    *(f"bought_{days}d" for days in _DAYS),
    "bought_ever",
    "bought_trend",
    "looked_7d",
    "looked_30d",
    "looked_ever",
    "click_rate",
)


@register("features", "popularity")
class Popularity(FeatureFamily):
    """Counts over the last days read at ``now``; their trend; the share of shows that were chosen; days on sale.

    Counts of an item that nobody has met by then, be it only to be shown, are not known (NaN).
    """

    learns = "counts"
    reason = "popularity"
    reads = ("items", "counts", "now")
    names_ = [
        *(f"bought_{days}d" for days in _DAYS),
        "bought_ever",
        "bought_of_best",
        "bought_trend",
        "looked_7d",
        "looked_30d",
        "looked_ever",
        "click_rate",
        "days_on_sale",
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        self.counts_ = {}
        for name, kinds in _CHOSEN.items():
            kept = log.of_kinds(*kinds)
            self.counts_[name] = CumulativeCounts.count(kept.item, kept.time)
        self.first_seen_ = log.first_met(len(items))
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return self.compute_some(requests, lists, np.arange(len(lists.item)))

    def compute_some(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        self.require_fitted("first_seen_")
        # Counts change by the day: an item is looked up once for each day, however many requests it is in.
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        n_items = max(len(self.items_), 1)
        places = day[lists.row] * n_items + lists.item
        if len(days) * n_items <= len(places):
            pairs, back = np.arange(len(days) * n_items), places
        else:
            pairs, back = np.unique(places, return_inverse=True)
        by_pair = self._counts(pairs % n_items, days[pairs // n_items] * DAY)
        # Only this one depends on what else is in the list.
        of_best = by_group_max(np.expm1(by_pair[2][back]), lists)[rows]
        counts, item, now = by_pair[:, back[rows]], lists.item[rows], requests.now[lists.row[rows]]
        dated = self.items_.available_at[item]
        always = dated == np.iinfo(np.int64).min  # then since somebody first met it
        appeared = np.minimum(np.where(always, self.first_seen_[item], dated), now)
        columns = np.empty((len(item), len(self.names_)), dtype=np.float32)
        for place, name in enumerate(_COUNTS):
            columns[:, self.names_.index(name)] = counts[place]
        columns[:, self.names_.index("bought_of_best")] = of_best
        # What nobody has met yet is not unwanted: its counts are unknown, and not 0.
        columns[self.first_seen_[item] >= now] = np.nan
        columns[:, self.names_.index("days_on_sale")] = (now - appeared) / DAY
        return columns

    def _counts(self, item: npt.NDArray[np.int64], now: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The columns that depend on item and day alone: float32 of shape (len(_COUNTS), len(item))."""
        bought, looked, shown = (self.counts_[name] for name in _CHOSEN)
        recent = bought.within_each(item, now, _DAYS)
        looked_7, looked_30 = looked.within_each(item, now, (7, 30))
        seen, times_shown = looked.until(item, now), shown.until(item, now)
        # Smoothed towards 1 in 20, a usual rate of clicks, by 20 shows' worth.
        rate = (seen + 1) / (times_shown + 20)
        rows = [
            *(np.log1p(count) for count in recent),
            np.log1p(bought.until(item, now)),
            (recent[1] + 1) / (recent[3] * 7 / 30 + 1),
            np.log1p(looked_7),
            np.log1p(looked_30),
            np.log1p(seen),
            np.where(times_shown > 0, rate, np.nan),
        ]
        return np.stack(rows).astype(np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = {f"{name}_{part}": value for name, c in self.counts_.items() for part, value in c.arrays().items()}
        return {"first_seen": self.first_seen_, **arrays}

    def bind(self, items: Items) -> Self:
        if not hasattr(self, "counts_"):
            self.counts_ = {
                name: CumulativeCounts.from_arrays(
                    {part: getattr(self, f"{name}_{part}_") for part in ("places", "totals", "days")}
                )
                for name in _CHOSEN
            }
        return super().bind(items)
