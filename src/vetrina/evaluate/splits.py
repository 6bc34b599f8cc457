"""What to learn from and what to be tested on: splits of a log.

Source: Y. Ji et al., A Critical Study on Data Leakage in Recommender System
Offline Evaluation (TOIS 2023), for why the split is by time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vetrina.core import EventLog
from vetrina.core.errors import ConfigError

__all__ = ["Split", "split_at_random", "split_by_shopper", "split_by_time"]

Seed = int | np.random.Generator | None


@dataclass(frozen=True)
class Split:
    """A log in two.

    Attributes
    ----------
    train, test : EventLog
        With the same code books.
    protocol : str
        How it was divided, in words for a report.
    leaks : bool
        Whether training events tell about the shoppers' test events; reports say so.
    """

    train: EventLog
    test: EventLog
    protocol: str
    leaks: bool = False


def split_by_time(log: EventLog, cut: int) -> Split:
    """Everything before ``cut`` (epoch seconds) to learn from, the rest to be tested on: what a shop lives through."""
    start = int(log.time[0]) if len(log) else cut
    stop = int(log.time[-1]) + 1 if len(log) else cut
    return Split(log.before(cut), log.between(cut, max(stop, cut, start)), "split by time")


def split_by_shopper(log: EventLog, share: float = 0.2, rng: Seed = 0) -> Split:
    """A share of the shoppers to be tested on, all their events; the other shoppers' events to learn from.

    No shopper is in both, but other shoppers' events may be later than a test
    event: figures are for shoppers never seen, in a season already known.
    Events without a shopper are learned from.
    """
    _check_share(share)
    chosen = np.random.default_rng(rng).random(len(log.shoppers)) < share
    test = (log.shopper >= 0) & np.append(chosen, False)[log.shopper]
    return Split(log.take(~test), log.take(test), f"split by shopper ({share:.0%} held out)")


def split_at_random(log: EventLog, share: float = 0.2, rng: Seed = 0) -> Split:
    """A share of the events, at random, to be tested on.

    It leaks: what a shopper did just before, just after and in the same basket
    is learned from. Here to reproduce figures made this way, which are too high.
    """
    _check_share(share)
    test = np.random.default_rng(rng).random(len(log)) < share
    return Split(log.take(~test), log.take(test), f"split at random ({share:.0%} held out)", leaks=True)


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ConfigError(f"share: a share to hold out is between 0 and 1. Got {share}.")
