"""Features of how lately everyone chose the item, and how new it is: popularity that fades with time."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventKind, EventLog, ItemList, Items, Requests, register
from vetrina.core.counts import CumulativeCounts
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["Freshness"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

#: How much an event of each kind says that an item is wanted, by EventKind.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.0], dtype=np.float32)
_HALF_LIVES = (3, 14, 60)
_NEW = 14.0  # days in which newness halves


@register("features", "freshness")
class Freshness(FeatureFamily):
    """Choices that count half after 3, 14 and 60 days; days since the last and the first; newness.

    With w the weight of a choice (view, click and rating 1, cart 2, purchase 3) made on day t, the fading
    popularity of day d is ln(1 + Σ w 2^((t - d)/h)) over the days before d. ``faded_trend`` is the logarithm
    of that with half-life 3 over that with 60, each as a rate per day. ``newness`` is 2^(-a/14), with a the days
    since the item came on sale, or was first met where the catalogue does not say. What nobody has met yet is new,
    and else not known.

    Where ``popularity`` counts in windows, that a day moves out of at once, here every day fades alike.

    Source: E. Cohen and M. Strauss, Maintaining time-decaying stream aggregates (PODS 2003): an
    exponentially fading sum is known from what it was at its last change.
    """

    learns = "counts"
    reason = "popularity"
    reads = ("items", "counts", "now")
    names_ = [
        *(f"faded_{days}d" for days in _HALF_LIVES),
        "faded_14d_of_best",
        "faded_trend",
        "last_chosen_days",
        "last_bought_days",
        "first_chosen_days",
        "newness",
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        kept = log.take((_WEIGHT[log.kind] > 0) & (log.item >= 0))
        self.chosen_ = CumulativeCounts.count(kept.item, kept.time, _WEIGHT[kept.kind])
        self.faded_ = _faded(self.chosen_)
        bought = log.of_kinds(EventKind.purchase)
        self.bought_ = CumulativeCounts.count(bought.item, bought.time)
        self.first_chosen_ = kept.first_met(len(items))
        self.first_seen_ = log.first_met(len(items))
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("first_seen_")
        # An item is looked up once for each day, however many requests it is in.
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        n_items = max(len(self.items_), 1)
        places, back = np.unique(day[lists.row] * n_items + lists.item, return_inverse=True)
        columns = self._by_day(places % n_items, days[places // n_items])[back]
        best = self.names_.index("faded_14d_of_best")
        columns[:, best] = by_group_max(np.expm1(columns[:, self.names_.index("faded_14d")]), lists)
        item, now = lists.item, requests.now[lists.row]
        columns[self.first_seen_[item] >= now] = np.nan
        since = self.items_.available_at[item]
        since = np.where(since == np.iinfo(np.int64).min, self.first_seen_[item], since)
        columns[:, self.names_.index("newness")] = np.exp2(-np.maximum(now - np.minimum(since, now), 0) / DAY / _NEW)
        return columns

    def _by_day(self, item: Ints, day: Ints) -> Floats:
        """The columns that depend on item and day: float32 of shape (len(item), n_features)."""
        place, known = self.chosen_.latest(item, day * DAY)
        since = _days_since(self.chosen_, place, known, day)
        faded = self.faded_[place] if len(self.faded_) else np.zeros((len(item), len(_HALF_LIVES)), dtype=np.float32)
        half_lives = np.array(_HALF_LIVES)
        now = np.where(known[:, None], faded * np.exp2(-np.nan_to_num(since)[:, None] / half_lives), 0)
        # Of one choice a day for ever the sum is near h/ln 2.
        rate = now * np.log(2) / half_lives
        first = day - self.first_chosen_[item] // DAY
        columns = [
            *np.log1p(now).T,
            np.zeros(len(item)),
            np.log((rate[:, 0] + 0.01) / (rate[:, -1] + 0.01)),
            since,
            _days_since(self.bought_, *self.bought_.latest(item, day * DAY), day),
            np.where(first > 0, first, np.nan),
            np.zeros(len(item)),
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        counts = {"chosen": self.chosen_, "bought": self.bought_}
        saved = {f"{name}_{part}": value for name, one in counts.items() for part, value in one.arrays().items()}
        return {"faded": self.faded_, "first_chosen": self.first_chosen_, "first_seen": self.first_seen_, **saved}

    def bind(self, items: Items) -> Self:
        for name in ("chosen", "bought"):
            if not hasattr(self, f"{name}_"):
                parts = {part: getattr(self, f"{name}_{part}_") for part in ("places", "totals", "days")}
                setattr(self, f"{name}_", CumulativeCounts.from_arrays(parts))
        return super().bind(items)


def _faded(counts: CumulativeCounts) -> Floats:
    """Σ w 2^((t - d)/h) at each change d, for each half-life h: float32 of shape (n_changes, n_half_lives)."""
    key, day = np.divmod(counts.places, counts.n_days)
    totals = counts.totals.astype(np.float64)
    new = np.r_[True, key[1:] != key[:-1]] if len(key) else np.empty(0, dtype=bool)
    faded = np.repeat((totals - np.where(new, 0, np.roll(totals, 1)))[:, None], len(_HALF_LIVES), axis=1)
    starts = np.flatnonzero(new)
    changes = np.diff(np.append(starts, len(key)))
    # The second change of every item at once, then the third: each fades what stood before.
    for step in range(1, int(changes.max(initial=0))):
        at = starts[changes > step] + step
        faded[at] += faded[at - 1] * np.exp2(-(day[at] - day[at - 1])[:, None] / np.array(_HALF_LIVES))
    return faded.astype(np.float32)


def _days_since(
    counts: CumulativeCounts, place: Ints, known: npt.NDArray[np.bool_], day: Ints
) -> npt.NDArray[np.floating]:
    """Days from the change at ``place`` until ``day``; NaN where none is known."""
    if not len(counts.places):
        return np.full(len(day), np.nan)
    return np.where(known, day - counts.first_day - counts.places[place] % counts.n_days, np.nan)
