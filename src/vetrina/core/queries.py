"""Under which words things were done: the queries of a log, told apart by their index terms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core.log import EventKind, EventLog
from vetrina.core.text import analyse

__all__ = ["CHOICES", "choice_entropy", "lists_of", "normal_query", "queries_of"]

Ints = npt.NDArray[np.int64]

#: Kinds of event by which an item is chosen for a query.
CHOICES = [int(kind) for kind in (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase)]


def normal_query(text: str) -> str:
    """A query as it is counted: its index terms, each once, in order of the alphabet."""
    return " ".join(sorted(set(analyse(text))))


def lists_of(log: EventLog) -> Ints:
    """Which list each event belongs to, by request and shopper: int64 of shape (n_events,), -1 for none."""
    pair = log.request.astype(np.int64) * (len(log.shoppers) + 1) + log.shopper + 1
    return np.where(log.request >= 0, pair, -1)


def queries_of(log: EventLog) -> tuple[list[str], Ints]:
    """(Normal form of every code, code of each event): an event without words has those that its list began with."""
    codes: dict[str, int] = {}
    normal = [codes.setdefault(words, len(codes)) if (words := normal_query(text)) else -1 for text in log.queries]
    spoken = np.array([*normal, -1], dtype=np.int64)[log.query]
    list_ = lists_of(log)
    worded = np.flatnonzero((spoken >= 0) & (list_ >= 0))
    lists, first = np.unique(list_[worded], return_index=True)
    place = np.minimum(np.searchsorted(lists, list_), max(len(lists) - 1, 0))
    if len(lists):
        begun = worded[first][place]
        # What the list is asked later says nothing of what it showed before.
        known = (lists[place] == list_) & (begun <= np.arange(len(log))) & (spoken < 0)
        spoken = np.where(known, spoken[begun], spoken)
    return list(codes), spoken


def choice_entropy(log: EventLog) -> dict[str, float]:
    """How much shoppers differ in what they choose for each query, in bits, by its normal form.

    -Σ p(i | q) log2 p(i | q), p the shares of the items in the query's views, clicks, carts and purchases,
    each item counted once for each list. 0 where all choose one item.

    Source: Z. Dou, R. Song and J.-R. Wen, A large-scale evaluation and analysis of personalized search strategies
    (WWW 2007), section 4.3, click entropy.
    """
    names, query = queries_of(log)
    rows = np.flatnonzero(np.isin(log.kind, CHOICES) & (log.item >= 0) & (query >= 0))
    list_ = lists_of(log)[rows]
    once = np.stack([np.where(list_ >= 0, list_, -2 - rows), query[rows], log.item[rows]])
    once = np.unique(once, axis=1)[1:]
    pairs, counts = np.unique(once, axis=1, return_counts=True)
    asked, code = np.unique(pairs[0], return_inverse=True)
    p = counts / np.bincount(code, weights=counts)[code] if len(code) else counts
    bits = np.bincount(code, weights=-p * np.log2(p), minlength=len(asked))
    return {names[one]: float(max(value, 0.0)) for one, value in zip(asked.tolist(), bits.tolist(), strict=True)}
