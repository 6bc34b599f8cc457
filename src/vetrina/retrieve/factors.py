"""What sources that factorise share: every item is a row of numbers, and so is who asks; a score is their product."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import ItemList, Items, Requests
from vetrina.core.similarity import dot_of_pairs
from vetrina.retrieve.base import Allowed, Found, top_k
from vetrina.retrieve.collaborative import Collaborative

__all__ = ["Doubles", "Factorisation", "Floats", "least_squares"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Numbers held at once while windows are worked on: bounds the memory of a batch of long ones.
_CELLS_AT_ONCE = 4_000_000


class Factorisation(Collaborative):
    """Base: subclasses learn ``factors_`` in ``fit``, bind the items, and say in :meth:`_asking` what a window is.

    Items that nobody chose have factors of zero: they are never candidates, and say nothing.
    """

    #: float32 of shape (n_items, factors)
    factors_: Floats

    def _asking(self, requests: Requests) -> Floats:
        """Factors of who asks: (batch, factors), zero for those of whom nothing is known."""
        raise NotImplementedError

    def _liking(self, products: Floats) -> Floats:
        """Scores, 0 or more for what may be proposed, of products of factors."""
        return products

    def bind(self, items: Items) -> Self:
        #: Items that somebody chose.
        self._chosen_ever = np.any(self.factors_ != 0, axis=1)
        return super().bind(items)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("factors_")
        asking = self._asked(requests)
        known = np.any(asking != 0, axis=1)
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        best = np.full((len(requests), k), -np.inf, dtype=np.float32)
        at_once = max(1, _CELLS_AT_ONCE // max(len(self.factors_), 1))
        for start in range(0, len(requests), at_once):
            part = slice(start, start + at_once)
            liking = self._liking(asking[part] @ self.factors_.T)
            scores = np.where(known[part, None] & self._chosen_ever, liking, np.float32(0))
            ids[part], best[part] = top_k(scores, k, None if allowed is None else allowed[part])
        return ids, best

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("factors_")
        asking = self._asked(requests)
        known = np.any(asking != 0, axis=1)[lists.row] & self._chosen_ever[lists.item]
        products = dot_of_pairs(asking, self.factors_, lists.row, lists.item)
        return np.where(known, self._liking(products), np.float32(0))

    def _asked(self, requests: Requests) -> Floats:
        return requests.once(self, lambda: self._asking(requests))


def least_squares(factors: Floats, gram: Doubles, extra: sparse.csr_array) -> Doubles:
    """Factors of those who chose, by those of what they chose: x = (G + Σ e·yyᵀ)⁻¹ Σ (1 + e)·y, for each row.

    Parameters
    ----------
    factors : float32 of shape (n_items, k)
        y of every item.
    gram : float64 of shape (k, k)
        G, which holds YᵀY and the penalty: what x is drawn to where nothing was chosen.
    extra : sparse of shape (n, n_items)
        e of what each chose, above 0.

    Returns
    -------
    float64 of shape (n, k)
        Zero for a row that is empty.
    """
    n, k = extra.shape[0], factors.shape[1]
    sizes = np.diff(extra.indptr)
    solved = np.zeros((n, k))
    longest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    start = 0
    while start < len(longest_first):
        # Rows of like length at once, each as wide as the longest of them, padded with what weighs nothing.
        width = int(sizes[longest_first[start]])
        rows = longest_first[start : start + max(1, _CELLS_AT_ONCE // (max(width, k) * k))]
        start += len(rows)
        part = extra[rows]
        there = np.arange(width) < sizes[rows][:, None]
        items, weights = np.zeros(there.shape, dtype=np.int64), np.zeros(there.shape)
        items[there], weights[there] = part.indices, part.data
        chosen = factors[items].astype(np.float64)
        left = gram + (chosen * weights[:, :, None]).swapaxes(1, 2) @ chosen
        right = ((weights + there)[:, None, :] @ chosen).swapaxes(1, 2)
        solved[rows] = np.linalg.solve(left, right)[:, :, 0]
    return solved
