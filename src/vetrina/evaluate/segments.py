"""Parts of what was asked: newcomers and regulars, common queries and rare ones, what sells and what does not.

One mean hides who gains and who loses: a system may please the regulars and fail every
newcomer. Parts are told apart by what was known when the request was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, Truth
from vetrina.engine import Gains, Replay

__all__ = ["common", "folded", "searches", "segments_of"]

Mask = npt.NDArray[np.bool_]

#: What is common: the fewest that together make this share of all.
_HEAD = 0.5


def segments_of(test: Replay, train: EventLog, gains: Gains) -> dict[str, Truth]:
    """Parts of a test that are not all of it, by name.

    Parameters
    ----------
    test : Replay
    train : EventLog
        Says which queries and products are common.
    gains : Gains
        Say which events of it are choices.

    Returns
    -------
    dict of str to Truth
        Of all requests of the test each; what is not of the part is not right in it.

        - "New shoppers": known by a name, of whom the window holds nothing yet; "Returning
          shoppers": all whose window holds something.
        - "Head queries": the commonest searches of ``train`` that together make half of them;
          "Tail queries": the others that were asked there; "Unseen queries": all others.
        - "Head products": the most chosen of ``train`` that together make half of its choices;
          "Tail products": all others. A request that chose from both is in both, with what it
          chose of each.
    """
    truth = test.truth
    known = np.diff(test.requests.windows.offsets) > 0
    parts: list[dict[str, Mask]] = [
        {"New shoppers": (~known & (test.shopper >= 0))[truth.row], "Returning shoppers": known[truth.row]},
        {name: rows[truth.row] for name, rows in _by_query(test, train).items()},
    ]
    chosen = train.item[(train.item >= 0) & (gains.of(train.kind, train.rating) > 0)]
    head = common(np.bincount(chosen, minlength=int(truth.item.max(initial=0)) + 1))[truth.item]
    parts.append({"Head products": head, "Tail products": ~head})
    right = truth.gain > 0
    found = {}
    for part in parts:
        there = {name: rows for name, rows in part.items() if (rows & right).any()}
        if len(there) > 1 or any(not rows[right].all() for rows in there.values()):
            found.update({name: replace(truth, gain=np.where(rows, truth.gain, 0)) for name, rows in there.items()})
    return found


def _by_query(test: Replay, train: EventLog) -> Mapping[str, Mask]:
    asked = [folded(query.text) for query in test.requests.queries]
    worded = np.array([bool(text) for text in asked], dtype=bool)
    if not worded.any():
        return {}
    counts = searches(train)
    texts = list(counts)
    head = {text for text, is_common in zip(texts, common(np.array([*counts.values()])), strict=True) if is_common}
    of_head = np.array([text in head for text in asked], dtype=bool)
    seen = np.array([text in counts for text in asked], dtype=bool)
    return {
        "Head queries": worded & of_head,
        "Tail queries": worded & seen & ~of_head,
        "Unseen queries": worded & ~seen,
    }


def searches(log: EventLog) -> Counter[str]:
    """How often each query was asked; once where several events belong to one request."""
    rows = np.flatnonzero(log.query >= 0)
    # Without a request, events of one shopper at one time are one search.
    loose = np.where(log.request[rows] >= 0, -1, log.time[rows])
    keys = np.column_stack([log.query[rows], log.shopper[rows], log.request[rows], loose])
    codes, times = np.unique(np.unique(keys, axis=0)[:, 0], return_counts=True)
    counts: Counter[str] = Counter()
    for code, n in zip(codes.tolist(), times.tolist(), strict=True):
        counts[folded(log.queries[code])] += n
    return counts


def common(counts: npt.NDArray[np.integer]) -> Mask:
    """Which of the counted things make the first half of all, the commonest first; of equal ones all.

    Examples
    --------
    >>> common(np.array([5, 1, 3, 3, 0])).tolist()
    [True, False, True, True, False]
    """
    falling = np.sort(counts)[::-1]
    if not falling.sum():
        return np.zeros(len(counts), dtype=bool)
    last = int(np.searchsorted(np.cumsum(falling), falling.sum() * _HEAD))
    is_common: Mask = counts >= falling[last]
    return is_common


def folded(text: str) -> str:
    """The same for queries that differ in case and spaces alone."""
    return " ".join(text.casefold().split())
