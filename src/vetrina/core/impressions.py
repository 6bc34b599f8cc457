"""What a log shows: each list, each item of it once, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vetrina.core.log import EventKind, EventLog

__all__ = ["Impressions"]

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Impressions:
    """Items that were shown, as parallel arrays in order of list and item.

    Events with the same ``request`` and shopper are one list. An item of it was clicked, put into
    the cart or bought where the list has such an event on it.

    Attributes
    ----------
    row : int64 of shape (n_rows,)
        Which list each item is of.
    item, position : int32 of shape (n_rows,)
        Of an item that was sent twice, the first position; 0 where unknown.
    propensity : float32 of shape (n_rows,), NaN where unknown
    clicked, carted, bought : bool of shape (n_rows,)
    asked : int64 of shape (n_lists,)
        Epoch seconds of the first event of each list.
    shopper, query : int32 of shape (n_lists,)
        Codes in the log, -1 unknown or none.
    whole : bool of shape (n_lists,)
        Whether positions are 1, 2, 3, … without gaps, each with one item of the catalogue.
    loose : mapping of EventKind to int
        Impressions that name no request; clicks, carts and purchases on nothing that their list showed.
    """

    row: Ints
    item: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    propensity: npt.NDArray[np.float32]
    clicked: Mask
    carted: Mask
    bought: Mask
    asked: Ints
    shopper: npt.NDArray[np.int32]
    query: npt.NDArray[np.int32]
    whole: Mask
    loose: Mapping[EventKind, int]

    @classmethod
    def of(cls, log: EventLog) -> Impressions:
        """All lists of a log. Impressions that name no request, or no item of the catalogue, are not among the rows."""
        impression, on_item = log.kind == EventKind.impression, log.item >= 0
        coded = np.flatnonzero(log.request >= 0)
        pair = log.request[coded].astype(np.int64) * (len(log.shoppers) + 1) + log.shopper[coded] + 1
        # Rows are in order of time, so the first of each list tells when it was asked for.
        _, first, number = np.unique(pair, return_index=True, return_inverse=True)
        shows = np.bincount(number, impression[coded]) > 0  # a basket does not
        first = coded[first[shows]]
        list_ = np.full(len(log), -1, dtype=np.int64)
        list_[coded] = np.where(shows, np.cumsum(shows) - 1, -1)[number]
        key = np.where((list_ >= 0) & on_item, list_ * (int(log.item.max(initial=0)) + 1) + log.item, -1)
        sent = np.flatnonzero((list_ >= 0) & impression)
        rows = sent[on_item[sent]]
        distinct, once = np.unique(key[rows], return_index=True)
        rows = rows[once]
        query = np.full(len(first), -1, dtype=np.int32)
        worded = np.flatnonzero((list_ >= 0) & (log.query >= 0))[::-1]
        query[list_[worded]] = log.query[worded]  # the last writer wins, so the first words stand
        became, loose = {}, {EventKind.impression: int((impression & on_item & (list_ < 0)).sum())}
        for kind in (EventKind.click, EventKind.cart, EventKind.purchase):
            keys = key[(log.kind == kind) & on_item]
            place = np.searchsorted(distinct, keys)
            met = np.append(distinct, -2)[place] == keys  # the last is for keys beyond all
            became[kind] = np.zeros(len(rows), dtype=bool)
            became[kind][place[met]] = True
            loose[kind] = int((~met).sum())
        return cls(
            row=list_[rows],
            item=log.item[rows],
            position=log.position[rows],
            propensity=log.propensity[rows],
            clicked=became[EventKind.click],
            carted=became[EventKind.cart],
            bought=became[EventKind.purchase],
            asked=log.time[first],
            shopper=log.shopper[first],
            query=query,
            whole=_whole(list_[sent], list_[rows], log.position[rows], len(first)),
            loose=loose,
        )

    @property
    def cluster(self) -> Ints:
        """What is alike: the shopper of each row; the list, where nobody knows whose it is."""
        shopper = self.shopper[self.row].astype(np.int64)
        return np.where(shopper >= 0, shopper, int(self.shopper.max(initial=0)) + 1 + self.row)

    @property
    def randomised(self) -> Mask:
        """Lists whose chances are known: whole, and each impression with a propensity; bool of shape (n_lists,)."""
        unknown = np.bincount(self.row[np.isnan(self.propensity)], minlength=len(self.asked)) > 0
        shown = np.bincount(self.row, minlength=len(self.asked)) > 0
        return np.asarray(shown & ~unknown & self.whole)

    def places(self, score: npt.NDArray[np.floating]) -> Ints:
        """The place of every row, from 1, were its list in descending order of ``score``.

        Ties go by item and never by how the list was shown: an order that followed chance could not be estimated by it.
        """
        order = np.lexsort((self.item, -score, self.row))
        row = self.row[order]
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(1, len(order) + 1) - np.searchsorted(row, row)
        return place

    def take(self, rows: Mask | npt.NDArray[np.integer]) -> Impressions:
        """Only the impressions at ``rows``; the lists keep their numbers."""
        names = ("row", "item", "position", "propensity", "clicked", "carted", "bought")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def _whole(sent: Ints, row: Ints, position: npt.NDArray[np.int32], n_lists: int) -> Mask:
    """Lists of which every impression is a row, and whose positions are 1 to as many as there are."""
    size = np.bincount(row, minlength=n_lists)
    inside = (position >= 1) & (position <= size[row])
    span = int(size.max(initial=0)) + 1
    filled = np.bincount(np.unique(row[inside] * span + position[inside]) // span, minlength=n_lists)
    return np.asarray((np.bincount(sent, minlength=n_lists) == size) & (filled == size))
