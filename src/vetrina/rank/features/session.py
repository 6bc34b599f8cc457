"""Features of what the shopper is after just now: the present session's kinds of items, and this one among them."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, EventKind, ItemList, Items, Requests, register
from vetrina.core.leaning import price_levels
from vetrina.rank.features.base import FeatureFamily

__all__ = ["Session", "SessionConfig"]

Floats = npt.NDArray[np.float32]

#: How much an event of each kind says about what is wanted, by EventKind.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0.0], dtype=np.float32)
_COLUMNS = ("category", "brand", "colour")


class SessionConfig(Config):
    """Where a session begins, and how it is weighed."""

    gap_minutes: float = Field(default=30.0, gt=0, description="A longer pause ends a session.")
    half_life_minutes: float = Field(default=15.0, gt=0, description="An event of this age counts half.")


@register("features", "session")
class Session(FeatureFamily):
    """Share of the present session that has the item's category, brand and colour; its price beside the session's.

    The present session is the window's events after the last pause longer than the gap, the one until ``now``
    included. The share of a value is Σ w of the session's events on items that have it, over Σ w of those on items
    of which the value is known; w is the weight of the event's kind, halved with each half-life of its age.
    ``session_price`` is how far the item's price lies from the session's weighted mean, up or down, both as
    logarithms and each relative to its category. ``session_looked`` and ``session_carted`` count this
    very item's events. Without a session all but ``session_events`` and ``session_minutes`` are not known.

    Source: D. Jannach, M. Ludewig and L. Lerche, Session-based item recommendation in e-commerce: on
    short-term intents, reminders, trends and discounts (UMUAI 2017).
    """

    reason = "taste"
    reads = ("window", "items")
    by_itself = True
    config_type = SessionConfig
    names_ = [
        *(f"session_{name}" for name in _COLUMNS),
        "session_price",
        "session_looked",
        "session_carted",
        "session_events",
        "session_minutes",
    ]

    def bind(self, items: Items) -> Self:
        self._level = price_levels(items)
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        windows, n = requests.windows, len(requests)
        events = np.flatnonzero(_present(requests, self.config.gap_minutes * 60))
        whose, past, kind = windows.row[events].astype(np.int64), windows.item[events], windows.kind[events]
        minutes = requests.age[events] * 1440
        weight = np.exp2(-minutes / self.config.half_life_minutes) * _WEIGHT[kind]
        row, item = lists.row, lists.item
        columns: list[npt.NDArray[np.floating]] = []
        for name in _COLUMNS:
            code, _ = self.items_.codes(name)
            some = code[past] >= 0
            whole = np.bincount(whose[some], weights=weight[some], minlength=n)[row]
            own = _sums(whose[some], code[past[some]], weight[some], row, code[item])
            columns.append(np.where((whole > 0) & (code[item] >= 0), own / np.where(whole > 0, whole, 1), np.nan))

        level = self._level[past]
        some = np.isfinite(level) & (weight > 0)
        whole = np.bincount(whose[some], weights=weight[some], minlength=n)
        total = np.bincount(whose[some], weights=(weight * level)[some], minlength=n)
        usual = np.where(whole > 0, total / np.where(whole > 0, whole, 1), np.nan)
        columns.append(np.abs(self._level[item] - usual[row]))

        count = np.bincount(whose, minlength=n)[row]
        for some in (np.isin(kind, [EventKind.view, EventKind.click]), kind == EventKind.cart):
            times = _sums(whose[some], past[some], np.ones(np.count_nonzero(some)), row, item)
            columns.append(np.where(count > 0, times, np.nan))
        longest = np.zeros(n, dtype=np.float32)
        np.maximum.at(longest, whose, minutes)
        columns += [np.log1p(count), longest[row]]
        return np.stack(columns, axis=1).astype(np.float32)


def _present(requests: Requests, gap: float) -> npt.NDArray[np.bool_]:
    """Events after which their shopper did not pause longer than ``gap`` seconds until ``now``: bool of (n_events,)."""
    windows = requests.windows
    if not len(windows.time):
        return np.empty(0, dtype=bool)
    last = windows.offsets[1:][np.diff(windows.offsets) > 0] - 1
    then = np.append(windows.time[1:], 0)
    then[last] = requests.now[windows.row[last]]
    # Pauses from each event to the end of all windows, less those of later windows.
    pauses = np.cumsum((then - windows.time > gap)[::-1])[::-1]
    later = np.append(pauses, 0)[windows.offsets[1:]]
    present: npt.NDArray[np.bool_] = pauses == later[windows.row]
    return present


def _sums(
    whose: npt.NDArray[np.int64],
    what: npt.NDArray[np.int32],
    weight: npt.NDArray[np.floating],
    row: npt.NDArray[np.int32],
    wanted: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """Sum of the weights of each row's request that are on what the row has: float64 of shape (n_rows,)."""
    width = int(max(what.max(initial=0), wanted.max(initial=0))) + 2
    places, place = np.unique(whose * width + what, return_inverse=True)
    if not len(places):
        return np.zeros(len(row))
    sums = np.bincount(place, weights=weight)
    key = row.astype(np.int64) * width + wanted
    found = np.minimum(np.searchsorted(places, key), len(places) - 1)
    return np.where(places[found] == key, sums[found], 0)
