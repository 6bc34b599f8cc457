"""Features of when it is asked, and of how much item and category are chosen at such an hour, weekday and month."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import DAY, Config, EventKind, EventLog, ItemList, Items, Requests, register
from vetrina.core.counts import CumulativeCounts
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Time", "TimeConfig"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

#: Parts of the calendar, and how many of each there are.
_CYCLES = {"hour": 24, "weekday": 7, "month": 12}
_CHOICES = (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate)


class TimeConfig(Config):
    """How much is known of how few."""

    smoothing: float = Field(
        default=50.0, gt=0, description="Choices' worth of the shop's own hours, weekdays and months mixed in."
    )


@register("features", "time")
class Time(FeatureFamily):
    """Hour, weekday and month as points of a circle; how far item and category are of that hour, weekday and month.

    The leaning of an item towards hour h is ln((n_h + s p_h)/((n + s) p_h)): n_h of its n choices on the
    days before fell into such an hour, p_h is the share of all choices that did (smoothed by one), and s the smoothing.
    0 says: no more and no less than anything. Weekdays, months and categories likewise. Times are UTC.

    The points, sin and cos of 2πh/24, are the same for all candidates of a request: they tell a tree
    when to heed what.
    """

    learns = "counts"
    reason = "popularity"
    reads = ("items", "counts", "now")
    by_itself = True
    config_type = TimeConfig
    names_ = [
        *(f"{name}_{part}" for name in _CYCLES for part in ("sin", "cos")),
        *(f"{of}_by_{name}" for of in ("item", "category") for name in _CYCLES),
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        kept = log.of_kinds(*_CHOICES)
        item = kept.item.astype(np.int64)
        category = items.codes("category")[0].astype(np.int64)[item]
        self.counts_ = {}
        for name, phase in _phases(kept.time).items():
            n = _CYCLES[name]
            keys = {
                "every": phase,
                "item": item * n + phase,
                "category": np.where(category >= 0, category * n + phase, -1),
            }
            for of, key in keys.items():
                self.counts_[f"{of}_{name}"] = CumulativeCounts.count(key[key >= 0], kept.time[key >= 0])
        self.counts_["item"] = CumulativeCounts.count(item, kept.time)
        some = category >= 0
        self.counts_["category"] = CumulativeCounts.count(category[some], kept.time[some])
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("counts_")
        row = lists.row
        columns: list[npt.NDArray[Any]] = []
        for name, phase in _phases(requests.now).items():
            turn = 2 * np.pi * phase / _CYCLES[name]
            columns += [np.sin(turn)[row], np.cos(turn)[row]]
        hours, hour = np.unique(requests.now // 3600, return_inverse=True)
        now = hours * 3600
        phases = _phases(now)
        share = {name: self._usual(name, phase, now) for name, phase in phases.items()}
        # An item is looked up once for each hour, and a category too.
        category = self.items_.codes("category")[0].astype(np.int64)
        for of, code in (("item", lists.item.astype(np.int64)), ("category", category[lists.item])):
            width = int(code.max(initial=0)) + 2
            places, back = np.unique(hour[row] * width + code + 1, return_inverse=True)
            moment, key = places // width, places % width - 1
            whole = self.counts_[of].until(key, now[moment])
            for name, phase in phases.items():
                usual, n = share[name][moment], _CYCLES[name]
                times = self.counts_[f"{of}_{name}"].until(np.where(key < 0, -1, key * n + phase[moment]), now[moment])
                s = self.config.smoothing
                leaning = np.log((times + s * usual) / ((whole + s) * usual))
                columns.append(np.where(key >= 0, leaning, np.nan)[back])
        return np.stack(columns, axis=1).astype(np.float32)

    def _usual(self, name: str, phase: Ints, now: Ints) -> npt.NDArray[np.float64]:
        """The share of all choices until the day of ``now`` that fell into such a phase; NaN where there are none."""
        n = _CYCLES[name]
        every = self.counts_[f"every_{name}"].until(np.arange(n)[None, :], now[:, None]).astype(np.float64)
        whole = every.sum(axis=1)
        share: npt.NDArray[np.float64] = (every[np.arange(len(now)), phase] + 1) / (whole + n)
        return np.where(whole > 0, share, np.nan)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {f"{name}_{part}": value for name, one in self.counts_.items() for part, value in one.arrays().items()}

    def bind(self, items: Items) -> Self:
        if not hasattr(self, "counts_"):
            names = [*(f"{of}_{name}" for of in ("every", "item", "category") for name in _CYCLES), "item", "category"]
            self.counts_ = {
                name: CumulativeCounts.from_arrays(
                    {part: getattr(self, f"{name}_{part}_") for part in ("places", "totals", "days")}
                )
                for name in names
            }
        return super().bind(items)


def _phases(time: Ints) -> dict[str, Ints]:
    """Hour 0-23, weekday 0-6 (Monday is 0) and month 0-11 of moments, UTC."""
    days = time // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    # The epoch began on a Thursday, in January.
    return {"hour": time % DAY // 3600, "weekday": (days + 3) % 7, "month": months % 12}
