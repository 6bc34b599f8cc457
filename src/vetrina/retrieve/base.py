"""What a retriever is: requests in, the best k candidates of one source out."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import Component, EventLog, ItemList, Items, Requests

__all__ = ["Allowed", "Found", "Retriever", "largest", "pick", "side_by_side", "top_k", "top_k_of_sparse"]

Allowed = npt.NDArray[np.bool_] | None
Found = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


class Retriever(Component):
    """One candidate source.

    ``items_`` is the catalogue it works on: set by :meth:`fit`, and by
    :meth:`bind` after loading, so that vectors and columns are held once.
    """

    #: Whether it looks for what the query says or shows, and not only for what suits the shopper.
    answers_query: ClassVar[bool] = False

    items_: Items

    def bind(self, items: Items) -> Self:
        """Give a loaded retriever the catalogue of its snapshot."""
        self.items_ = items
        return self

    def fit(self, items: Items, log: EventLog) -> Self:
        """Learn from the catalogue and from what shoppers did."""
        raise NotImplementedError

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        """The best ``k`` items of every request.

        Parameters
        ----------
        requests : Requests
        k : int
        allowed : bool of shape (batch, n_items), or None when every item is

        Returns
        -------
        ids : int32 of shape (batch, k)
            Descending by score, padded with -1.
        scores : float32 of shape (batch, k)
            -inf where padded.
        """
        raise NotImplementedError

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        """The source's score of given (request, item) rows: float32 of shape (n_rows,)."""
        raise NotImplementedError


def top_k(scores: npt.NDArray[np.float32], k: int, allowed: Allowed, above: float = 0.0) -> Found:
    """The best ``k`` of dense scores, row by row.

    Parameters
    ----------
    scores : float32 of shape (batch, n_items)
    k : int
    allowed : bool of shape (batch, n_items), or None
    above : float
        Items that do not score above this are not candidates at all.

    Returns
    -------
    ids, scores
        As :meth:`Retriever.retrieve`; ties go to the lower item index.
    """
    batch, n_items = scores.shape
    keep = scores > above
    if allowed is not None:
        keep &= allowed
    scores = np.where(keep, scores, -np.inf).astype(np.float32)
    width = min(k, n_items)
    if width < n_items:
        part = np.sort(largest(scores, width), axis=1)
    else:
        part = np.broadcast_to(np.arange(n_items), (batch, n_items))
    best = np.take_along_axis(scores, part, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    ids = np.where(np.isfinite(best), np.take_along_axis(part, order, axis=1), -1).astype(np.int32)
    if width < k:
        ids = np.pad(ids, ((0, 0), (0, k - width)), constant_values=-1)
        best = np.pad(best, ((0, 0), (0, k - width)), constant_values=-np.inf)
    return ids, best


def top_k_of_sparse(scores: sparse.csr_array, k: int, allowed: Allowed) -> Found:
    """The best ``k`` of each row of sparse scores, as :func:`top_k` finds them above 0.

    Examples
    --------
    >>> scores = sparse.csr_array(np.array([[0, 2, 5, 2], [0, 0, 0, 1]], dtype=np.float32))
    >>> top_k_of_sparse(scores, 2, None)[0].tolist()
    [[2, 1], [3, -1]]
    """
    batch, n_items = scores.shape
    if 2 * int(np.diff(scores.indptr).max(initial=0)) > n_items:
        return top_k(scores.toarray(), k, allowed)
    scores.sum_duplicates()  # in order of item, by which ties are broken
    row, place, width = side_by_side(scores)
    values = scores.data if allowed is None else scores.data * allowed[row, scores.indices]
    shape = (batch, max(width, 1))
    found, items = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int32)
    found[row, place], items[row, place] = values, scores.indices
    ids, best = top_k(found, k, None)
    return np.where(ids >= 0, np.take_along_axis(items, np.maximum(ids, 0), axis=1), np.int32(-1)), best


def side_by_side(matrix: sparse.csr_array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], int]:
    """Where the entries of a sparse matrix stand in a dense one that holds only what is there: (row, place, width).

    Examples
    --------
    >>> row, place, width = side_by_side(sparse.csr_array(np.array([[0, 7, 0, 8], [0, 0, 9, 0]])))
    >>> row.tolist(), place.tolist(), width
    ([0, 0, 1], [0, 1, 0], 2)
    """
    sizes = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(sizes)), sizes)
    return row, np.arange(len(row)) - np.repeat(matrix.indptr[:-1], sizes), int(sizes.max(initial=0))


def largest(scores: npt.NDArray[np.floating], width: int) -> npt.NDArray[np.intp]:
    """Places of the ``width`` largest of each row, in any order; of finite equal ones the first."""
    part = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    if not width:
        return part
    least = np.take_along_axis(scores, part, axis=1).min(axis=1, keepdims=True)
    tied = scores == least
    # Which of several equal ones argpartition takes is its own affair: those rows are cut anew.
    rows = np.flatnonzero(np.isfinite(least[:, 0]) & (np.count_nonzero(tied, axis=1) > 1))
    above, tied = scores[rows] > least[rows], tied[rows]
    missing = width - np.count_nonzero(above, axis=1, keepdims=True)
    chosen = above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= missing))
    part[rows] = np.nonzero(chosen)[1].reshape(len(rows), width)
    return part


def pick(matrix: sparse.csr_array, lists: ItemList) -> npt.NDArray[np.float32]:
    """Entries of a sparse (batch, n_items) matrix at the rows of ``lists``."""
    if not len(lists.item):
        # SciPy would give a sparse array for no places at all.
        return np.empty(0, dtype=np.float32)
    if matrix.shape[0] * matrix.shape[1] <= _DENSE * len(lists.item):
        return np.asarray(matrix.toarray()[lists.row, lists.item], dtype=np.float32)
    matrix.sum_duplicates()  # in order, entries are found by halving
    return np.asarray(matrix[lists.row, lists.item], dtype=np.float32).ravel()


# A dense array of so many cells for each one wanted is still filled sooner than a sparse one is searched.
_DENSE = 64
