"""How often things happened until a given day: cumulative counts in buckets of time.

Statistics of items are kept this way in a snapshot and read at ``now``, so that
a replay of the past reads what was known then and nothing later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core.log import DAY

__all__ = ["CumulativeCounts"]

Ints = npt.NDArray[np.int64]


class CumulativeCounts:
    """Cumulative weighted counts by key and day, kept only where they change.

    Memory grows with the number of (key, day) pairs on which something happened.

    Parameters
    ----------
    places : int64 of shape (n_changes,), ascending
        ``key * n_days + day`` of every change.
    totals : float32 of shape (n_changes,)
        The key's total up to and including that day.
    first_day, n_days : int
        Days are counted from ``first_day`` (days since the epoch).
    """

    def __init__(self, places: Ints, totals: npt.NDArray[np.float32], first_day: int, n_days: int) -> None:
        self.places, self.totals = places, totals
        self.first_day, self.n_days = first_day, n_days

    @classmethod
    def count(cls, key: npt.NDArray[np.integer], time: Ints, weight: npt.NDArray[np.floating] | None = None) -> Self:
        """Count events by key and day.

        Examples
        --------
        >>> import numpy as np
        >>> counts = CumulativeCounts.count(np.array([7, 7, 9]), np.array([0, 86_400, 86_400]))
        >>> counts.until(np.array([7, 7, 7]), np.array([0, 86_400, 900_000])).tolist()
        [0.0, 1.0, 2.0]
        """
        days = time // DAY
        first = int(days.min()) if len(days) else 0
        n_days = int(days.max()) - first + 1 if len(days) else 1
        places, inverse = np.unique(key.astype(np.int64) * n_days + (days - first), return_inverse=True)
        sums = np.bincount(inverse, weights=weight, minlength=len(places))
        running = np.cumsum(sums)
        keys = places // n_days
        new = np.r_[True, keys[1:] != keys[:-1]] if len(keys) else np.empty(0, dtype=bool)
        before = np.where(new, running - sums, 0.0)
        base = np.maximum.accumulate(before) if len(before) else before
        return cls(places, (running - base).astype(np.float32), first, n_days)

    def until(self, key: npt.NDArray[np.integer], time: Ints | int) -> npt.NDArray[np.float32]:
        """Totals of ``key`` over whole days before the day of ``time``: float32, shape of the broadcast."""
        found, inside = self.latest(key, time)
        if not len(self.places):
            return np.zeros(found.shape, dtype=np.float32)
        return np.asarray(np.where(inside, self.totals[found], 0), dtype=np.float32)

    def latest(self, key: npt.NDArray[np.integer], time: Ints | int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Where the last change of ``key`` before the day of ``time`` stands in ``places``, and whether there is one.

        Examples
        --------
        >>> counts = CumulativeCounts.count(np.array([7, 7]), np.array([0, 3 * 86_400]))
        >>> place, known = counts.latest(np.array([7, 7, 8]), np.array([86_400, 900_000, 900_000]))
        >>> counts.places[place] % counts.n_days, known
        (array([0, 3, 3]), array([ True,  True, False]))
        """
        key, days = np.broadcast_arrays(key, np.asarray(time) // DAY - self.first_day - 1)
        if not len(self.places):
            return np.zeros(key.shape, dtype=np.int64), np.zeros(key.shape, dtype=bool)
        place = key.astype(np.int64) * self.n_days + np.clip(days, -1, self.n_days - 1)
        found = np.searchsorted(self.places, place, side="right") - 1
        inside = (found >= 0) & (days >= 0) & (key >= 0)
        found = np.maximum(found, 0)
        return found, inside & (self.places[found] // self.n_days == key)

    def within(self, key: npt.NDArray[np.integer], time: Ints | int, days: float) -> npt.NDArray[np.float32]:
        """Totals of ``key`` over the ``days`` whole days before the day of ``time``.

        A ``time`` later than the last count reads as the day after it, so that a
        snapshot that is some days old still knows what was popular last.
        """
        return self.within_each(key, time, [days])[0]

    def within_each(
        self, key: npt.NDArray[np.integer], time: Ints | int, days: Sequence[float]
    ) -> list[npt.NDArray[np.float32]]:
        """Totals as :meth:`within` gives them for each of several ``days``."""
        last = (self.first_day + self.n_days) * DAY
        time = np.minimum(np.asarray(time), last)
        ever = self.until(key, time)
        return [np.maximum(ever - self.until(key, time - int(each * DAY)), np.float32(0)) for each in days]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For saving: places, totals, and (first day, number of days)."""
        return {"places": self.places, "totals": self.totals, "days": np.array([self.first_day, self.n_days])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """From arrays named places, totals and days, as :meth:`arrays` gives them."""
        days = arrays["days"]
        places: Ints = np.asarray(arrays["places"], dtype=np.int64)
        totals: npt.NDArray[np.float32] = np.asarray(arrays["totals"], dtype=np.float32)
        return cls(places, totals, int(days[0]), int(days[1]))
