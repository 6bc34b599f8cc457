"""Rates of few trials, pulled towards a mean as strongly as the data say: Beta-binomial smoothing by day."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY
from vetrina.core.counts import CumulativeCounts

__all__ = ["SmoothedRates"]

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

# Before anything is known: once in twenty, by twenty trials' worth.
_USUAL, _WORTH = 0.05, 20.0
# From fewer keys than this a prior's strength is not estimated; and how strong one may be.
_ENOUGH = 30
_WEAKEST, _STRONGEST = 2.0, 1000.0
_PARTS = ("places", "tried", "came", "days", "mean", "strength")


class SmoothedRates:
    """k of n trials by key until each day, with the overall rate and the worth of a prior as they were on that day.

    The rate of a key is the mean of a Beta posterior, (k + m r)/(n + m), with r given by the caller. The
    worth m = 1/γ - 1 is that of a Beta-binomial whose intraclass correlation γ is estimated by moments:
    with p = Σk/Σn, N = Σn and I keys that have been tried,

        γ = (Σ k²/n - pΣk - p(1 - p)(I - 1)) / (p(1 - p)(N - Σn²/N - (I - 1))).

    The sums change only where counts do, so they are kept up from day to day.

    Source: J. Kleinman, Proportions with extraneous variance: single and independent samples (JASA
    1973), with each key weighted by its trials.

    Parameters
    ----------
    arrays : dict of str to ndarray
        As :meth:`arrays` gives them.
    """

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        first, n_days = (int(day) for day in arrays["days"])
        places: Ints = np.asarray(arrays["places"], dtype=np.int64)
        self.tried = CumulativeCounts(places, np.asarray(arrays["tried"], dtype=np.float32), first, n_days)
        self.came = CumulativeCounts(places, np.asarray(arrays["came"], dtype=np.float32), first, n_days)
        self.mean, self.strength = np.asarray(arrays["mean"]), np.asarray(arrays["strength"])

    @classmethod
    def count(cls, tried: tuple[Ints, Ints], came: tuple[Ints, Ints], least: int = 1) -> Self:
        """From the (keys, times) of trials and of successes; keys below 0 are nobody's.

        A key counts from the day on which it has been tried ``least`` times; those that never are take no memory.
        """
        key, time = (np.concatenate(both).astype(np.int64) for both in zip(tried, came, strict=True))
        trial = np.arange(len(key)) < len(tried[0])
        known, code = np.unique(key, return_inverse=True)
        kept = ((np.bincount(code, trial, len(known)) >= least) & (known >= 0))[code]
        key, time, trial = key[kept], time[kept], trial[kept]
        counted = CumulativeCounts.count(key, time, trial.astype(np.float64))
        successes = CumulativeCounts.count(key, time, (~trial).astype(np.float64))
        mean, strength = _priors(counted, successes, least)
        return cls(
            {
                "places": counted.places,
                "tried": counted.totals,
                "came": successes.totals,
                "days": np.array([counted.first_day, counted.n_days]),
                "mean": mean,
                "strength": strength,
            }
        )

    def overall(self, now: Ints) -> Doubles:
        """The rate of all keys together until the day of ``now``; NaN where nothing had been tried."""
        return np.asarray(self.mean[self._day(now)], dtype=np.float64)

    def rate(self, key: Ints, now: Ints, towards: Doubles, least: int = 1) -> Doubles:
        """The smoothed rate of each key until the day of ``now``: float64, the shape of ``key``."""
        # Both change at the same places, so one search finds both.
        place, known = self.tried.latest(key, now)
        n, k = np.zeros(key.shape), np.zeros(key.shape)
        if len(self.tried.places):
            n, k = (np.where(known, counts.totals[place], 0).astype(np.float64) for counts in (self.tried, self.came))
        n = np.where(n >= least, n, 0)
        worth = self.strength[self._day(now)]
        rate: Doubles = (np.minimum(k, n) + worth * towards) / (n + worth)
        return rate

    def _day(self, now: Ints) -> Ints:
        return np.clip(now // DAY - self.tried.first_day, 0, self.tried.n_days)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For saving, by name."""
        days = np.array([self.tried.first_day, self.tried.n_days])
        values = (self.tried.places, self.tried.totals, self.came.totals, days, self.mean, self.strength)
        return dict(zip(_PARTS, values, strict=True))

    @staticmethod
    def parts() -> tuple[str, ...]:
        """The names of :meth:`arrays`."""
        return _PARTS


def _priors(tried: CumulativeCounts, came: CumulativeCounts, least: int) -> tuple[Doubles, Doubles]:
    """Overall rate and worth of a prior before each day, the one after the last included: float64 of (n_days + 1,)."""
    key, day = np.divmod(tried.places, tried.n_days)
    n = tried.totals.astype(np.float64)
    n = np.where(n >= least, n, 0)
    k = np.minimum(came.totals, n)
    sums = np.stack([n > 0, n, n**2, k, np.divide(k**2, n, out=np.zeros(len(n)), where=n > 0)])
    # What a key adds on a day is what it is then, less what it was at its last change before.
    same = np.r_[False, key[1:] == key[:-1]] if len(key) else np.empty(0, dtype=bool)
    added = sums - np.where(same, np.roll(sums, 1, axis=1), 0)
    by_day = np.stack([np.bincount(day, row, tried.n_days) for row in added])
    keys, trials, squares, successes, spread = np.pad(np.cumsum(by_day, axis=1), ((0, 0), (1, 0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        p = successes / trials
        noise = p * (1 - p)
        within = trials - squares / trials - (keys - 1)
        correlation = (spread - p * successes - noise * (keys - 1)) / (noise * within)
        worth = np.clip(1 / np.maximum(correlation, 1e-9) - 1, _WEAKEST, _STRONGEST)
    estimated = (keys >= _ENOUGH) & np.isfinite(correlation) & (within > 0)
    mean = np.where(trials > 0, (successes + _USUAL * _WORTH) / (trials + _WORTH), np.nan)
    return mean, np.where(estimated, worth, _WORTH)
