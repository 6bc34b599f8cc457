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
        How many candidates each source may bring. Where a request shows a photo or an item, only those
        that answer the query bring any.
    allowed : bool of shape (batch, n_items), or None

    Returns
    -------
    ItemList
        One column per source: its score of every candidate, also of those that
        another source brought.
    """
    rows, items = [], []
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
