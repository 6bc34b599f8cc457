"""Click-through and conversion rates as the log has them, with intervals by shopper, overall and by part.

They are rates of the lists that were shown, by whatever made those lists: what another ranking
would have got is another question (:mod:`vetrina.evaluate.counterfactual`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, EventLog, Impressions
from vetrina.evaluate.segments import common, folded
from vetrina.evaluate.significance import bootstrap
from vetrina.evaluate.tables import Row, Table

__all__ = ["rates"]

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_METRICS = ("CTR", "cart rate", "CVR")
_RESAMPLES = 2_000  # of each part anew; the ends move by a fortieth of the width or so

# First and last position of each part; what is below the fold hardly differs.
_POSITIONS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, None))


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
    shown = Impressions.of(log)
    if not len(shown.row):
        return []
    rows = []
    for name, part in _parts(log, shown):
        clicked = part & shown.clicked
        who = shown.cluster
        after = np.column_stack([shown.carted, shown.bought])
        ctr = bootstrap(shown.clicked[part][:, None].astype(np.float64), who[part], resamples=resamples)
        later = bootstrap(after[clicked].astype(np.float64), who[clicked], resamples=resamples)
        rows.append(Row(name, dict(zip(_METRICS, [*ctr, *later], strict=True))))
    return [
        Table(
            title,
            _METRICS,
            tuple(rows),
            reference="",
            n=len(np.unique(shown.row)),
            n_shoppers=rows[0].values["CTR"].n_clusters,
            n_left_out=0,
            simulated=simulated,
            notes=tuple(_notes(log, shown)),
            every_interval=True,
            of="part",
            each_n=True,
        )
    ]


def _folded(log: EventLog) -> Ints:
    """A code for each query, the same where only case and spaces differ."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(folded(text), len(codes)) for text in log.queries] or [-1])


def _head(log: EventLog, shown: Impressions) -> Mask:
    """Which lists are of head queries: the commonest, as many as make half of the searches (ties all)."""
    query = np.where(shown.query >= 0, _folded(log)[shown.query], -1)
    return np.asarray((query >= 0) & common(np.bincount(query[query >= 0], minlength=1))[query])


def _parts(log: EventLog, shown: Impressions) -> Iterator[tuple[str, Mask]]:
    """(name, rows); of each way to divide only where there is something to compare."""
    yield "all", np.ones(len(shown.row), dtype=bool)
    position, searched = shown.position, shown.query >= 0
    known = np.diff(log.windows(shown.shopper, shown.asked, 1).offsets) > 0
    head = _head(log, shown)
    ways: list[dict[str, Mask]] = [
        {"searches": searched[shown.row], "browsing": ~searched[shown.row]},
        {_place(first, last): (position >= first) & (position <= (last or position)) for first, last in _POSITIONS},
        {
            "new shoppers": ((shown.shopper >= 0) & ~known)[shown.row],
            "returning shoppers": ((shown.shopper >= 0) & known)[shown.row],
        },
        {"head queries": head[shown.row], "tail queries": (searched & ~head)[shown.row]},
    ]
    for parts in ways:
        there = {name: rows for name, rows in parts.items() if rows.any()}
        if len(there) > 1:
            yield from there.items()


def _place(first: int, last: int | None) -> str:
    if last is None:
        return f"positions {first} and on"
    return f"position {first}" if first == last else f"positions {first}–{last}"


def _notes(log: EventLog, shown: Impressions) -> list[str]:
    notes = [
        "CTR: clicked, of what was shown; cart rate and CVR: put into the cart, and bought, of what was clicked, "
        "in the same list"
    ]
    if shown.loose[EventKind.impression]:
        notes.append(f"{shown.loose[EventKind.impression]:,} impressions name no request and are left out")
    for kind in (EventKind.click, EventKind.cart, EventKind.purchase):
        if shown.loose[kind]:
            total = int(((log.kind == kind) & (log.item >= 0)).sum())
            notes.append(
                f"{shown.loose[kind]:,} of {total:,} {kind.name} events are on nothing that their request says was "
                "shown: they are not counted"
            )
    unclicked = int((shown.bought & ~shown.clicked).sum())
    if unclicked:
        notes.append(f"{unclicked:,} of {int(shown.bought.sum()):,} purchases in a list had no click: not in the CVR")
    return notes
