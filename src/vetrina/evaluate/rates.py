"""Click-through and conversion rates as the log has them, with intervals by shopper, overall and by part.

They are rates of the lists that were shown, by whatever made those lists: what another ranking
would have got is another question (:mod:`vetrina.evaluate.counterfactual`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, EventLog
from vetrina.evaluate.significance import bootstrap
from vetrina.evaluate.tables import Row, Table

__all__ = ["rates"]

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_METRICS = ("CTR", "cart rate", "CVR")
_RESAMPLES = 2_000  # of each part anew; the ends move by a fortieth of the width or so

# First and last position of each part; what is below the fold hardly differs.
_POSITIONS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, None))


@dataclass(frozen=True)
class _Shown:
    """Impressions, each item of a list once, and what became of them: arrays of one length."""

    list: Ints
    shopper: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    clicked: Mask
    carted: Mask
    bought: Mask
    searched: Mask
    known: Mask
    new: Mask
    head: Mask


def rates(log: EventLog, title: str, simulated: bool = False, *, resamples: int = _RESAMPLES) -> list[Table]:
    """CTR, cart rate and CVR of the lists that a log shows.

    An impression is one item of one list: events with the same ``request`` and shopper are one
    list, and an item of it counts once however often it was sent. It is clicked, put into the
    cart or bought when the same list has such an event on the same item.

    - CTR: impressions clicked, of all impressions.
    - Cart rate: clicked impressions put into the cart, of the clicked ones.
    - CVR: clicked impressions bought, of the clicked ones.

    Parameters
    ----------
    log : EventLog
    title : str
    simulated : bool
        Said in the heading.
    resamples : int
        Of the bootstrap by shopper; the seed is fixed.

    Returns
    -------
    list of Table
        One table, with a row for all and for each part: searches and browsing, positions, new and
        returning shoppers (new: nothing was known of what they like before the list), head and tail
        queries (head: the commonest, which together make half of the searches). Empty where the log
        has no impression that names its request.

    Examples
    --------
    ::

        for table in rates(log, "My shop: rates"):
            print(table.text())
    """
    shown, notes = _shown(log)
    if not len(shown.list):
        return []
    rows = []
    for name, part in _parts(shown):
        clicked = part & shown.clicked
        after = np.column_stack([shown.carted, shown.bought])
        ctr = bootstrap(shown.clicked[part][:, None].astype(np.float64), shown.shopper[part], resamples=resamples)
        later = bootstrap(after[clicked].astype(np.float64), shown.shopper[clicked], resamples=resamples)
        rows.append(Row(name, dict(zip(_METRICS, [*ctr, *later], strict=True))))
    lists = np.unique(shown.list, return_index=True)[1]
    who = shown.shopper[lists]
    return [
        Table(
            title,
            _METRICS,
            tuple(rows),
            reference="",
            n=len(lists),
            n_shoppers=len(np.unique(who[who >= 0])) + int((who < 0).sum()),
            n_left_out=0,
            simulated=simulated,
            notes=tuple(notes),
            every_interval=True,
            of="part",
            each_n=True,
        )
    ]


def _shown(log: EventLog) -> tuple[_Shown, list[str]]:
    """(impressions and what became of them, notes on what could not be joined)."""
    span = len(log.shoppers) + 1
    coded = np.flatnonzero(log.request >= 0)
    # The rows are in order of time, so the first of each list tells when it was asked for.
    _, first, list_ = np.unique(
        log.request[coded].astype(np.int64) * span + log.shopper[coded] + 1, return_index=True, return_inverse=True
    )
    asked = coded[first]
    key = np.full(len(log), -1, dtype=np.int64)
    named = log.item[coded] >= 0
    key[coded[named]] = list_[named].astype(np.int64) * (int(log.item.max(initial=0)) + 1) + log.item[coded[named]]
    list_of = np.full(len(log), -1, dtype=np.int64)
    list_of[coded] = list_

    impressions = np.flatnonzero((log.kind == EventKind.impression) & (key >= 0))
    rows = impressions[np.unique(key[impressions], return_index=True)[1]]
    events = {kind: key[(log.kind == kind) & (key >= 0)] for kind in _LATER}
    clicked, carted, bought = (np.isin(key[rows], events[kind]) for kind in _LATER)

    query = np.full(len(asked), -1, dtype=np.int64)
    worded = coded[log.query[coded] >= 0]
    query[list_of[worded[::-1]]] = _folded(log)[log.query[worded[::-1]]]  # the first of each list stands
    known = log.shopper[asked] >= 0
    before = np.diff(log.windows(log.shopper[asked], log.time[asked], 1).offsets) > 0
    of = list_of[rows]
    shown = _Shown(
        list=of,
        shopper=log.shopper[rows],
        position=log.position[rows],
        clicked=clicked,
        carted=carted,
        bought=bought,
        searched=query[of] >= 0,
        known=known[of],
        new=(known & ~before)[of],
        head=_head(query, np.unique(of))[of],
    )
    return shown, _notes(log, key, rows, clicked)


_LATER = (EventKind.click, EventKind.cart, EventKind.purchase)


def _folded(log: EventLog) -> Ints:
    """A code for each query, the same where only case and spaces differ."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(" ".join(text.casefold().split()), len(codes)) for text in log.queries] or [-1])


def _head(query: Ints, lists: Ints) -> Mask:
    """Which lists are of head queries: the commonest, as many as make half of the searches (ties all)."""
    asked = query[lists]
    counts = np.bincount(asked[asked >= 0], minlength=int(query.max(initial=0)) + 1)
    falling = np.sort(counts)[::-1]
    half = int(np.searchsorted(np.cumsum(falling), counts.sum() / 2))
    common = counts >= max(int(falling[min(half, len(falling) - 1)]), 1)
    head: Mask = np.append(common, False)[query]  # -1, no query, is the last
    return head


def _parts(shown: _Shown) -> Iterator[tuple[str, Mask]]:
    """(name, rows); of each way to divide only where there is something to compare."""
    yield "all", np.ones(len(shown.list), dtype=bool)
    position = shown.position
    ways: list[dict[str, Mask]] = [
        {"searches": shown.searched, "browsing": ~shown.searched},
        {
            _place(first, last): (position >= first) & ((position <= last) if last else True)
            for first, last in _POSITIONS
        },
        {"new shoppers": shown.new, "returning shoppers": shown.known & ~shown.new},
        {"head queries": shown.head, "tail queries": shown.searched & ~shown.head},
    ]
    for parts in ways:
        there = {name: rows for name, rows in parts.items() if rows.any()}
        if len(there) > 1:
            yield from there.items()


def _place(first: int, last: int | None) -> str:
    if last is None:
        return f"positions {first} and on"
    return f"position {first}" if first == last else f"positions {first}–{last}"


def _notes(log: EventLog, key: Ints, rows: npt.NDArray[np.intp], clicked: Mask) -> list[str]:
    notes = [
        "CTR: clicked, of what was shown; cart rate and CVR: put into the cart, and bought, of what was clicked, "
        "in the same list"
    ]
    loose = int(((log.kind == EventKind.impression) & (log.item >= 0) & (log.request < 0)).sum())
    if loose:
        notes.append(f"{loose:,} impressions name no request and are left out")
    # A click needs an impression to be counted, what comes after it a click.
    needed = {EventKind.click: key[rows], EventKind.cart: key[rows][clicked], EventKind.purchase: key[rows][clicked]}
    for kind, keys in needed.items():
        events = (log.kind == kind) & (log.item >= 0)
        missed = int((events & ~np.isin(key, keys)).sum())
        if missed:
            before = "shown" if kind == EventKind.click else "clicked"
            notes.append(
                f"{missed:,} of {int(events.sum()):,} {kind.name} events are on nothing that their request says was "
                f"{before}: they are not counted"
            )
    return notes
