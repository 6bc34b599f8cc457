"""What a family of ranking features is."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, EventLog, ItemList, Items, Requests

__all__ = ["FeatureFamily", "by_group_max", "group_share"]

Floats = npt.NDArray[np.float32]


class FeatureFamily(Component):
    """Some features of (window, query, candidate, now), computed for all rows of a batch at once.

    ``reason`` names the group under which the family's share of a score is
    explained. ``names_`` are the features' names, in the order of the columns.
    """

    reason: ClassVar[str] = ""
    items_: Items
    names_: list[str]

    def bind(self, items: Items) -> Self:
        """Give a loaded family the catalogue of its snapshot."""
        self.items_ = items
        return self

    def fit(self, items: Items, log: EventLog) -> Self:
        """Learn what is to be known of items; most families learn nothing."""
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        """Features of every row: float32 of shape (n_rows, n_features); NaN where not known.

        Reads the requests (windows cut at ``now``), the lists and their source
        columns, and nothing else, so a replay of the past computes what a live
        request would have.
        """
        raise NotImplementedError


def by_group_max(values: Floats, lists: ItemList) -> Floats:
    """Each value divided by the largest of its list (0 where that is not positive)."""
    return group_share(values, lists, np.maximum)


def group_share(values: Floats, lists: ItemList, fold: np.ufunc) -> Floats:
    """Each value divided by ``fold`` (``np.maximum``, ``np.add``) over its list."""
    sizes = lists.sizes
    filled = np.nan_to_num(values, nan=0.0).astype(np.float32)
    if not len(filled):
        return filled
    whole = np.zeros(len(lists), dtype=np.float32)
    # reduceat needs strictly valid starts: only lists that hold something take part.
    some = sizes > 0
    whole[some] = fold.reduceat(filled, lists.offsets[:-1][some])
    divisor = np.repeat(whole, sizes)
    return np.where(divisor > 0, filled / np.where(divisor > 0, divisor, 1), 0).astype(np.float32)
