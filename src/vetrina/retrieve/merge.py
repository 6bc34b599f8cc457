"""Several sources' candidates as one list per request, with every source's score beside each.

This is late fusion: what words, vectors and other shoppers find is found by each for itself, and the
ranker weighs their scores. Reciprocal rank, which needs no learning and no common scale, is beside them:
the features "sources" read it.

Source: G. Cormack, C. Clarke and S. Buettcher, Reciprocal rank fusion outperforms Condorcet and
individual rank learning methods (SIGIR 2009).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Requests
from vetrina.retrieve.base import Allowed, Retriever

__all__ = ["merge", "reciprocal_rank"]

#: The constant of the paper: how little the first places count for more than those after them.
_CONSTANT = 60
_DENSE = 16


def merge(sources: Mapping[str, Retriever], requests: Requests, k: Mapping[str, int], allowed: Allowed) -> ItemList:
    """The union of all sources' best, once each, in order of item.

    Parameters
    ----------
    sources : mapping of str to Retriever
    requests : Requests
    k : mapping of str to int
        How many candidates each source may bring. Where a request shows a photo or an item, only those
        that answer the query bring any.
    allowed : bool of shape (batch, n_items), or None

    Returns
    -------
    ItemList
        One column per source: its score of every candidate, also of those that
        another source brought; and "rrf", their reciprocal ranks.
    """
    found = {name: source.retrieve(requests, k[name], allowed)[0] for name, source in sources.items()}
    # Who asks for what is like something is not answered with what is popular, unless nothing is known to be like it.
    shows = np.array([query.by_example for query in requests.queries], dtype=bool)
    if shows.any():
        answering = [name for name, source in sources.items() if source.answers_query]
        shows &= np.any(
            [np.zeros(len(requests), bool), *((found[name] >= 0).any(axis=1) for name in answering)], axis=0
        )
        for name in found.keys() - set(answering):
            found[name] = np.where(shows[:, None], -1, found[name])
    lists = reciprocal_rank(found.values())
    add_scores(sources, requests, lists)
    return lists


def reciprocal_rank(rankings: Collection[npt.NDArray[np.integer]]) -> ItemList:
    """The union of several rankings, in order of item, with column "rrf": the sum of 1/(60 + rank) over them.

    Parameters
    ----------
    rankings : collection of int arrays of shape (batch, k)
        Items best first, padded with -1, of the same requests; one at least.

    Examples
    --------
    >>> words, photos = np.array([[4, 7, -1]]), np.array([[7, 2]])
    >>> reciprocal_rank([words, photos]).sorted_by("rrf").item.tolist()
    [7, 4, 2]
    """
    batch = len(next(iter(rankings)))
    rows, items, places = [], [], []
    for ids in rankings:
        row, place = np.nonzero(ids >= 0)
        rows.append(row)
        items.append(ids[row, place])
        places.append(place)
    row, item = np.concatenate(rows).astype(np.int64), np.concatenate(items).astype(np.int64)
    width = int(item.max(initial=0)) + 1
    weight = 1 / (_CONSTANT + 1 + np.concatenate(places))
    if batch * width <= _DENSE * len(item):
        # Counted where they lie: with few items this is sooner done than sorting the pairs.
        pairs = np.flatnonzero(np.bincount(row * width + item, minlength=1))
        rrf = np.bincount(row * width + item, weight)[pairs].astype(np.float32)
    else:
        pairs, pair = np.unique(row * width + item, return_inverse=True)
        rrf = np.bincount(pair, weight, len(pairs)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs // width, minlength=batch))]).astype(np.int64)
    return ItemList(offsets, (pairs % width).astype(np.int32), {"rrf": rrf})


def add_scores(sources: Mapping[str, Retriever], requests: Requests, lists: ItemList) -> None:
    """Write every source's score of the lists' rows as a column; and "rrf" by those scores, where it is not there."""
    for name, source in sources.items():
        lists.columns[name] = source.score(requests, lists)
    if "rrf" not in lists.columns:
        lists.columns["rrf"] = _by_scores(lists, sources)


def _by_scores(lists: ItemList, names: Collection[str]) -> npt.NDArray[np.float32]:
    """Reciprocal ranks in lists that nobody retrieved: by each source's scores above 0, equal ones in order of item."""
    rrf = np.zeros(len(lists.item))
    for name in names:
        scores = np.nan_to_num(lists.columns[name])
        order = np.lexsort([lists.item, -scores, lists.row])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - lists.offsets[lists.row[order]]
        rrf += np.where(scores > 0, 1 / (_CONSTANT + 1 + place), 0)
    return rrf.astype(np.float32)
