"""Requests that were won and lost against the best rival, to look at: figures say how often, these say how.

What shoppers typed may say who they are, so in a shop of real people a query is quoted only
where some different shoppers typed the same; else it is "a search". Nobody's id is in an example.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items
from vetrina.core.text import clean_query
from vetrina.engine import Replay
from vetrina.evaluate.evaluation import Example, Shown
from vetrina.evaluate.metrics import Scores

__all__ = ["examples_of", "quotable"]

_EACH = 4
_PLACES = 5
_SHOPPERS = 3


def quotable(log: EventLog, shoppers: int = _SHOPPERS) -> set[str]:
    """Queries that at least so many different shoppers typed: none of them tells of one person.

    Parameters
    ----------
    log : EventLog
    shoppers : int
    """
    spoken = np.flatnonzero((log.query >= 0) & (log.shopper >= 0))
    pairs = np.unique(np.column_stack([log.query[spoken], log.shopper[spoken]]), axis=0)
    who: dict[str, set[int]] = defaultdict(set)
    for query, shopper in pairs.tolist():
        who[_same(log.queries[query])].add(shopper)
    return {query for query, typed in who.items() if len(typed) >= shoppers}


def examples_of(
    ours: ItemList,
    theirs: ItemList,
    scores: tuple[Scores, Scores],
    replay: Replay,
    items: Items,
    *,
    rival: str,
    photos: Path | None = None,
    quoted: Collection[str] | None = None,
    graded: bool = False,
) -> tuple[Example, ...]:
    """The requests on which the engine is furthest ahead of a rival, and furthest behind.

    Parameters
    ----------
    ours, theirs : ItemList
        Lists of the engine and of the rival, one for each request of ``replay``.
    scores : (Scores, Scores)
        What both were worth; the first metric decides.
    replay : Replay
    items : Items
    rival : str
        Its name.
    photos : Path, optional
        Where relative photo paths begin; no photos when left out.
    quoted : collection of str, optional
        Queries that may be quoted, see :func:`quotable`; all of them when left out, which is right
        for simulated shoppers and for queries that were chosen to be graded.
    graded : bool
        Whether people judged: what the truth does not name was then judged by nobody, and not passed over.

    Returns
    -------
    tuple of Example
        Four won and four lost at most, the most extreme first; those won come first. A query is
        shown once, and before one that may not be quoted.
    """
    first = next(iter(scores[0].values))
    values = [one.values[first] for one in scores]
    lead = values[0] - values[1]
    texts = [replay.requests.queries[request].text for request in scores[0].requests]
    allowed = np.array([not text or quoted is None or _same(text) in quoted for text in texts], dtype=bool)
    chosen: list[int] = []
    for side in (1, -1):
        order = np.lexsort((-side * lead, ~allowed)) if len(lead) else np.empty(0, dtype=np.intp)
        chosen += _distinct([place for place in order.tolist() if side * lead[place] > 0], texts)
    found = []
    for place in chosen:
        request = int(scores[0].requests[place])
        part = slice(int(replay.truth.offsets[request]), int(replay.truth.offsets[request + 1]))
        gains = dict(zip(replay.truth.item[part].tolist(), replay.truth.gain[part].tolist(), strict=True))
        other = math.nan if graded else 0.0
        lists = [_shown(one.list_of(request), gains, other, items, photos) for one in (ours, theirs)]
        query = texts[place] if allowed[place] else None
        found.append(Example(query, rival, float(values[0][place]), float(values[1][place]), *lists))
    return tuple(found)


def _same(query: str) -> str:
    """What two ways to type a query have in common."""
    return clean_query(query).casefold()


def _distinct(order: Sequence[int], texts: Sequence[str]) -> list[int]:
    """The first few, each query once; recommendations have none to be equal in."""
    kept: list[int] = []
    seen: set[str] = set()
    for place in order:
        text = _same(texts[place])
        if text not in seen:
            kept.append(place)
            seen |= {text} - {""}
        if len(kept) == _EACH:
            break
    return kept


def _shown(
    listed: npt.NDArray[np.int32], gains: dict[int, float], other: float, items: Items, photos: Path | None
) -> tuple[Shown, ...]:
    shown = []
    for item in listed[:_PLACES].tolist():
        name, title, photo = (str(items.table[column][item] or "") for column in ("item", "title", "photo"))
        path = photos / photo if photos is not None and photo else None
        shown.append(Shown(name, title, path, gains.get(item, other)))
    return tuple(shown)
