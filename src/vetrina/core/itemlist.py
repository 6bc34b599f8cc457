"""A batch of ranked lists, with the evidence that travels with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["ItemList"]

Ints = npt.NDArray[np.int64]


@dataclass
class ItemList:
    """Ragged lists of items, one list per request, as flat arrays.

    Attributes
    ----------
    offsets : int64 of shape (batch + 1,)
        The list of request ``b`` is ``offsets[b]:offsets[b + 1]`` of the flat arrays.
    item : int32 of shape (n_rows,)
        Dense item indices.
    columns : dict of str to ndarray of shape (n_rows,)
        What each stage knew: source scores, features' evidence, the final score.
    """

    offsets: Ints
    item: npt.NDArray[np.int32]
    columns: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)

    @classmethod
    def from_lists(cls, lists: list[npt.NDArray[np.int32]]) -> ItemList:
        """From one array of items per request."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
        items = np.concatenate(lists).astype(np.int32) if lists else np.empty(0, dtype=np.int32)
        return cls(offsets, items)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def row(self) -> npt.NDArray[np.int32]:
        """Which request each row belongs to: int32 of shape (n_rows,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.sizes)

    @property
    def sizes(self) -> Ints:
        """Length of each list: int64 of shape (batch,)."""
        return np.diff(self.offsets)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> ItemList:
        """The rows at ``rows``, which must keep each list's rows together and in batch order."""
        counts = np.bincount(self.row[rows], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return ItemList(offsets, self.item[rows], {name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def join(cls, parts: Sequence[ItemList]) -> ItemList:
        """The lists of several batches, one at least, after one another, with the columns that all of them have."""
        sizes = np.concatenate([part.sizes for part in parts])
        shared = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
        return cls(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([part.item for part in parts]),
            {name: np.concatenate([part.columns[name] for part in parts]) for name in shared},
        )

    def sorted_by(self, column: str, k: int | None = None) -> ItemList:
        """Each list in descending order of ``column`` (ties: lower item index first), cut at ``k``."""
        row = self.row
        order = np.lexsort((self.item, -self.columns[column].astype(np.float64), row))
        if k is not None:
            place = np.arange(len(order)) - np.repeat(self.offsets[:-1], self.sizes)
            order = order[place < k]
        return self.take(order)

    def list_of(self, request: int) -> npt.NDArray[np.int32]:
        """Items of one request, in order."""
        return self.item[self.offsets[request] : self.offsets[request + 1]]
