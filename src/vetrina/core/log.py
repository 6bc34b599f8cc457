"""What shoppers did: the event log as arrays, and windows cut out of it.

A shopper's state is a bounded window of recent events and nothing derived. To
rebuild the past, the window is cut at that time; serving reads the same shape
from a store. So no feature has an offline version and an online version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from vetrina.core.items import Items

__all__ = ["DAY", "EVENT_COLUMNS", "HAD", "EventKind", "EventLog", "Windows"]

DAY = 86_400

# When nothing at all happens for longer than this, the log was not kept: a file that ends months
# before the shop was first served, or a date that is wrong.
_PAUSE = 14 * DAY

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class EventKind(IntEnum):
    """What a shopper did, or was shown (``impression``)."""

    impression = 0
    search = 1
    view = 2
    click = 3
    cart = 4
    purchase = 5
    rate = 6
    hide = 7


#: Kinds of events that say that a shopper has had the item: nobody rates what they do not know.
HAD = (EventKind.purchase, EventKind.rate)

#: Columns of the canonical event table. ``shopper`` is already a pseudonym;
#: ``request`` ties together what belongs to one search or one basket.
EVENT_COLUMNS: dict[str, pl.DataType] = {
    "time": pl.Int64(),
    "shopper": pl.String(),
    "kind": pl.String(),
    "item": pl.String(),
    "query": pl.String(),
    "request": pl.String(),
    "position": pl.Int32(),
    "price": pl.Float64(),
    "quantity": pl.Float64(),
    "rating": pl.Float64(),
    "propensity": pl.Float64(),
}


@dataclass(frozen=True)
class EventLog:
    """Events in order of time, as parallel arrays of one length.

    Attributes
    ----------
    time : int64, epoch seconds, ascending
    shopper, item, query, request : int32 codes; -1 where none
    kind : int8, an :class:`EventKind`
    position : int32, 1 is the top of the list shown; 0 where unknown
    price, quantity, rating : float32, NaN where unknown
    propensity : float32, NaN where unknown
        Of an impression: the chance, in (0, 1], with which what made the list put this item into this position.
    shoppers, queries : the names behind the codes
    """

    time: Ints
    shopper: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    item: npt.NDArray[np.int32]
    query: npt.NDArray[np.int32]
    request: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    price: Floats
    quantity: Floats
    rating: Floats
    propensity: Floats
    shoppers: Sequence[str]
    queries: Sequence[str]

    @classmethod
    def from_table(cls, events: pl.DataFrame, items: Items) -> Self:
        """From a canonical event table (:data:`EVENT_COLUMNS`); sorted by time, ties as they stood."""
        events = events.sort("time", maintain_order=True)
        shoppers, shopper = _encode(events["shopper"])
        queries, query = _encode(events["query"])
        _, request = _encode(events["request"])
        kinds = {kind.name: int(kind) for kind in EventKind}
        return cls(
            time=events["time"].to_numpy(),
            shopper=shopper,
            kind=events["kind"].replace_strict(kinds, return_dtype=pl.Int8).to_numpy(),
            item=items.positions(events["item"].fill_null("").to_list()),
            query=query,
            request=request,
            position=events["position"].fill_null(0).to_numpy(),
            price=events["price"].fill_null(np.nan).cast(pl.Float32).to_numpy(),
            quantity=events["quantity"].fill_null(np.nan).cast(pl.Float32).to_numpy(),
            rating=events["rating"].fill_null(np.nan).cast(pl.Float32).to_numpy(),
            propensity=events["propensity"].fill_null(np.nan).cast(pl.Float32).to_numpy(),
            shoppers=shoppers,
            queries=queries,
        )

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> EventLog:
        """The events at ``rows`` (ascending), with the same code books."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def before(self, time: int) -> EventLog:
        """The events strictly before ``time``."""
        return self.take(slice(0, int(np.searchsorted(self.time, time, side="left"))))

    def between(self, start: int, stop: int) -> EventLog:
        """The events with start <= time < stop."""
        low, high = np.searchsorted(self.time, [start, stop], side="left")
        return self.take(slice(int(low), int(high)))

    def last_days(self, days: float, from_share: float) -> int:
        """When the last ``days`` of the log begin, but never before ``from_share`` of it has passed.

        A pause of more than two weeks in which nothing happened at all counts as one day:
        a click recorded months after a file of events ends does not push the file out of
        the last days, and one row with a wrong date does not stretch the log.

        Examples
        --------
        >>> from vetrina.core import Items
        >>> import polars as pl
        >>> days = [0, 1, 2, 3, 300]  # the last one long after the others
        >>> events = pl.DataFrame({"time": [day * DAY for day in days], "kind": "click"})
        >>> events = events.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in EVENT_COLUMNS.items()
        ...     if name not in events.columns)
        >>> log = EventLog.from_table(events, Items(pl.DataFrame({"item": ["a"]})))
        >>> log.last_days(3, 0.5) // DAY
        2
        """
        gaps = np.diff(self.time)
        # The same times without the pauses.
        active = self.time - np.concatenate([[0], np.cumsum(np.where(gaps > _PAUSE, gaps - DAY, 0))])
        first, last = int(active[0]), int(active[-1])
        start = max(last + 1 - int(days * DAY), first + int((last - first) * from_share))
        after = min(int(np.searchsorted(active, start)), len(active) - 1)
        return start + int(self.time[after] - active[after])

    def of_kinds(self, *kinds: EventKind) -> EventLog:
        """The events of these kinds that name an item."""
        return self.take(np.isin(self.kind, [int(kind) for kind in kinds]) & (self.item >= 0))

    def first_met(self, n_items: int) -> Ints:
        """When each item was first met, be it only shown: int64 of shape (n_items,), the largest integer if never."""
        first = np.full(n_items, np.iinfo(np.int64).max)
        rows = np.flatnonzero(self.item >= 0)[::-1]
        first[self.item[rows]] = self.time[rows]  # the last writer, which is the earliest, stands
        return first

    @cached_property
    def _by_shopper(self) -> tuple[npt.NDArray[np.intp], Ints, Ints]:
        """(rows sorted by shopper then time, first row of each shopper, times in that order)."""
        kept = np.flatnonzero((self.item >= 0) & (self.kind != EventKind.impression))
        order = kept[np.argsort(self.shopper[kept], kind="stable")]
        starts = np.searchsorted(self.shopper[order], np.arange(len(self.shoppers) + 1)).astype(np.int64)
        return order, starts, self.time[order]

    def windows(self, shopper: npt.NDArray[np.int32], until: Ints, size: int) -> Windows:
        """Each shopper's last ``size`` events on items strictly before ``until``.

        Parameters
        ----------
        shopper : int32 of shape (batch,)
            Codes; -1 for a shopper never seen, whose window is empty.
        until : int64 of shape (batch,)
        size : int
        """
        order, starts, times = self._by_shopper
        known = shopper >= 0
        first, last = (np.where(known, starts[np.where(known, shopper + end, 0)], 0) for end in (0, 1))
        # Binary search inside every shopper's slice at once: each step halves
        # all the intervals, so the loop runs log2(longest history) times.
        low, high = first.copy(), last.copy()
        while np.any(low < high):
            middle = (low + high) // 2
            open_ = low < high
            earlier = np.zeros(len(low), dtype=bool)
            earlier[open_] = times[middle[open_]] < until[open_]
            low = np.where(open_ & earlier, middle + 1, low)
            high = np.where(open_ & ~earlier, middle, high)
        begin = np.maximum(first, low - size)
        offsets = np.concatenate([[0], np.cumsum(low - begin)]).astype(np.int64)
        flat = np.repeat(begin - offsets[:-1], np.diff(offsets)) + np.arange(offsets[-1])
        rows = order[flat]
        return Windows(offsets=offsets, **{name: getattr(self, name)[rows] for name in _WINDOW_ARRAYS})


_ARRAYS = tuple(EVENT_COLUMNS)
_WINDOW_ARRAYS = ("item", "kind", "time", "price", "quantity", "rating")


def _encode(column: pl.Series) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct values of a text column, and the code of each row (-1 for null).

    In order of first sight, not of the alphabet: a pseudonym's place in the alphabet is an accident
    of the key, and what is learned from the same events must not depend on it.
    """
    names = column.drop_nulls().unique(maintain_order=True).to_list()
    if not names:
        return names, np.full(len(column), -1, dtype=np.int32)
    codes = column.replace_strict(names, list(range(len(names))), default=-1, return_dtype=pl.Int32)
    return names, codes.fill_null(-1).to_numpy()


@dataclass(frozen=True)
class Windows:
    """Recent events of a batch of shoppers, oldest first, as one ragged array.

    Attributes
    ----------
    offsets : int64 of shape (batch + 1,)
        Events of shopper ``b`` are ``offsets[b]:offsets[b + 1]`` of the flat arrays.
    item, kind, time, price, quantity, rating : flat arrays of shape (n_events,)
    """

    offsets: Ints
    item: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    time: Ints
    price: Floats
    quantity: Floats
    rating: Floats

    @classmethod
    def empty(cls, batch: int) -> Self:
        """Windows of ``batch`` shoppers who have done nothing yet."""
        none = np.empty(0, dtype=np.float32)
        return cls(
            offsets=np.zeros(batch + 1, dtype=np.int64),
            item=np.empty(0, dtype=np.int32),
            kind=np.empty(0, dtype=np.int8),
            time=np.empty(0, dtype=np.int64),
            price=none,
            quantity=none,
            rating=none,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def row(self) -> npt.NDArray[np.int32]:
        """Which shopper of the batch each event belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def slice(self, start: int, stop: int) -> Windows:
        """The windows of shoppers ``start:stop`` of the batch."""
        events = np.arange(self.offsets[start], self.offsets[stop])
        return self.gather(events, np.diff(self.offsets[start : stop + 1]))

    def gather(self, events: npt.NDArray[np.integer], sizes: Ints) -> Windows:
        """Windows of the chosen ``events``, in their order: ``sizes`` says how many each shopper has."""
        columns = {name: getattr(self, name)[events] for name in _WINDOW_ARRAYS}
        return Windows(offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), **columns)

    @classmethod
    def join(cls, parts: Sequence[Windows]) -> Windows:
        """The windows of several batches, one at least, after one another."""
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _WINDOW_ARRAYS}
        return cls(offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), **columns)

    def weighted(self, weights: npt.NDArray[np.floating], n_items: int) -> sparse.csr_array:
        """Sum of ``weights`` (one per event) by shopper and item: sparse, shape (batch, n_items)."""
        # Copies, because summing duplicates sorts the arrays in place.
        parts = (weights.astype(np.float32), self.item.copy(), self.offsets.copy())
        matrix = sparse.csr_array(parts, shape=(len(self), n_items))
        matrix.sum_duplicates()
        return matrix

    def latest(self, count: int) -> npt.NDArray[np.int32]:
        """The last ``count`` items of each shopper, newest first, padded with -1: shape (batch, count)."""
        steps = np.arange(1, count + 1)
        places = self.offsets[1:, None] - steps
        inside = places >= self.offsets[:-1, None]
        if not len(self.item):
            return np.full((len(self), count), -1, dtype=np.int32)
        return np.where(inside, self.item[np.where(inside, places, 0)], np.int32(-1))
