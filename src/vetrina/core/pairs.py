"""Which items the same shopper chose close in time: what behaviour says of two items, as arrays."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vetrina.core.log import EventKind, EventLog

__all__ = ["Pairs", "chosen_together"]

#: How much an event of each kind says about a wish, by EventKind.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, 0], dtype=np.float32)


class Pairs(NamedTuple):
    """Pairs of different items, each once.

    Attributes
    ----------
    left, right : int64 of shape (n_pairs,)
        Dense item indices, the smaller one left.
    weight : float32 of shape (n_pairs,)
        How often they were chosen together, and how surely; above 0.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]

    @classmethod
    def none(cls) -> Self:
        """What an empty log says."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(nothing, nothing, np.empty(0, dtype=np.float32))


def chosen_together(log: EventLog, minutes: float = 30.0, reach: int = 5) -> Pairs:
    """Items that a shopper viewed, clicked, put into the cart, bought or rated one soon after the other.

    A pair of events counts the geometric mean of what its kinds say: a purchase 3, a cart 2, all others 1.

    Parameters
    ----------
    log : EventLog
    minutes : float
        How far apart in time the two may be.
    reach : int
        How many events of the same shopper on they may be apart.

    Examples
    --------
    >>> import polars as pl
    >>> from vetrina.core import EVENT_COLUMNS, Items
    >>> events = pl.DataFrame({"time": [0, 60, 9_000], "shopper": "ana", "kind": "click", "item": ["a", "b", "c"]})
    >>> events = events.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in EVENT_COLUMNS.items()
    ...     if name not in events.columns)
    >>> log = EventLog.from_table(events, Items(pl.DataFrame({"item": ["a", "b", "c"]})))
    >>> pairs = chosen_together(log)
    >>> pairs.left.tolist(), pairs.right.tolist(), pairs.weight.tolist()
    ([0], [1], [1.0])
    """
    kinds = (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate)
    chosen = log.of_kinds(*kinds)
    rows = np.flatnonzero(chosen.shopper >= 0)  # what nobody known did goes together with nothing
    rows = rows[np.argsort(chosen.shopper[rows], kind="stable")]
    shopper, time, item = chosen.shopper[rows], chosen.time[rows], chosen.item[rows].astype(np.int64)
    said = np.sqrt(_WEIGHT[chosen.kind[rows]])
    keys, weights = [], []
    width = int(item.max(initial=0)) + 1
    for step in range(1, min(reach, len(rows) - 1) + 1):
        near = (shopper[:-step] == shopper[step:]) & (time[step:] - time[:-step] <= minutes * 60)
        near &= item[:-step] != item[step:]
        first, second = item[:-step][near], item[step:][near]
        keys.append(np.minimum(first, second) * width + np.maximum(first, second))
        weights.append((said[:-step] * said[step:])[near])
    if not keys:
        return Pairs.none()
    names, place = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.bincount(place, np.concatenate(weights), len(names)).astype(np.float32)
    return Pairs(names // width, names % width, total)
