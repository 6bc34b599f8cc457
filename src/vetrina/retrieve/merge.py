"""Several sources' candidates as one list per request, with every source's score beside each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vetrina.core import ItemList, Requests
from vetrina.retrieve.base import Allowed, Retriever

__all__ = ["merge"]


def merge(sources: Mapping[str, Retriever], requests: Requests, k: Mapping[str, int], allowed: Allowed) -> ItemList:
    """The union of all sources' best, once each, in order of item.

    Parameters
    ----------
    sources : mapping of str to Retriever
    requests : Requests
    k : mapping of str to int
        How many candidates each source may bring. Where a request names an item, only "vector" brings any.
    allowed : bool of shape (batch, n_items), or None

    Returns
    -------
    ItemList
        One column per source: its score of every candidate, also of those that
        another source brought.
    """
    rows, items = [], []
    found = {name: source.retrieve(requests, k[name], allowed)[0] for name, source in sources.items()}
    # Who asks for items like one is not answered with what is popular, unless nothing is known to be like it.
    like = np.array([query.like >= 0 for query in requests.queries], dtype=bool)
    if like.any() and "vector" in found:
        like &= (found["vector"] >= 0).any(axis=1)
        for name, ids in found.items():
            found[name] = ids if name == "vector" else np.where(like[:, None], -1, ids)
    for ids in found.values():
        row, place = np.nonzero(ids >= 0)
        rows.append(row)
        items.append(ids[row, place])
    row, item = np.concatenate(rows).astype(np.int64), np.concatenate(items).astype(np.int64)
    width = int(item.max(initial=0)) + 1
    pairs = np.unique(row * width + item)
    sizes = np.bincount(pairs // width, minlength=len(requests))
    lists = ItemList(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), (pairs % width).astype(np.int32))
    add_scores(sources, requests, lists)
    return lists


def add_scores(sources: Mapping[str, Retriever], requests: Requests, lists: ItemList) -> None:
    """Write every source's score of the lists' rows as a column."""
    for name, source in sources.items():
        lists.columns[name] = source.score(requests, lists)
