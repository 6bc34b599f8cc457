"""What a family of ranking features is."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, EventLog, ItemList, Items, Requests

__all__ = ["READS", "FeatureFamily", "Read", "by_group_max", "distinct_of_rows", "group_share"]

Floats = npt.NDArray[np.float32]

#: What a family may read: the window's events and how old they are; the query; the catalogue; counts of the log, at
#: the time of the request; what else was learned of the log; the date and hour; sources' scores; the caller's order.
Read = Literal["window", "query", "items", "counts", "log", "now", "sources", "given"]
READS: tuple[Read, ...] = ("window", "query", "items", "counts", "log", "now", "sources", "given")


class FeatureFamily(Component):
    """Some features of (window, query, candidate, now), computed for all rows of a batch at once.

    ``reason`` names the group under which the family's share of a score is
    explained. ``names_`` are the features' names, in the order of the columns.
    ``reads`` says what they depend on, of :data:`READS`: what it leaves out may
    change, and the features stay as they are.
    """

    reason: ClassVar[str] = ""
    reads: ClassVar[tuple[Read, ...]] = READS
    #: Whether a row's features do not depend on which others are in its list.
    by_itself: ClassVar[bool] = False
    items_: Items
    names_: list[str]

    @classmethod
    def facts(cls) -> dict[str, str]:
        """What its features depend on."""
        return {"reads": ", ".join(cls.reads)}

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

    def compute_some(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp]) -> Floats:
        """Features of some ``rows`` of the lists, ascending, as they are among all: of a replay few rows are kept."""
        if self.by_itself:
            return self.compute(requests, lists.take(rows))
        return self.compute(requests, lists)[rows]


def distinct_of_rows(
    row: npt.NDArray[np.integer], value: npt.NDArray[np.integer], n_rows: int
) -> npt.NDArray[np.int64]:
    """How many different values each row has: int64 of shape (n_rows,).

    Examples
    --------
    >>> distinct_of_rows(np.array([0, 0, 0, 2]), np.array([7, 9, 7, 7]), 3).tolist()
    [2, 0, 1]
    """
    if not len(value):
        return np.zeros(n_rows, dtype=np.int64)
    least = int(value.min())
    span = int(value.max()) - least + 1
    pairs = np.sort(row.astype(np.int64) * span + (value - least))
    first = np.append(True, pairs[1:] != pairs[:-1])
    return np.bincount(pairs[first] // span, minlength=n_rows)


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
