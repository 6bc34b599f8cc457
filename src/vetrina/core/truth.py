"""What is right for each request of a batch: what people chose, or how they graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError

__all__ = ["Truth"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is right for every request of a batch, as one ragged array.

    Attributes
    ----------
    offsets : int64 of shape (batch + 1,)
        The right items of request ``b`` are ``offsets[b]:offsets[b + 1]`` of the flat arrays.
    item : int32 of shape (n_rows,)
        Dense item indices, each at most once in a request.
    gain : float64 of shape (n_rows,)
        How right, >= 0; 0 means judged and not relevant.
    kinds : uint8 of shape (n_rows,), optional
        What was done with the item, where a log tells: the sum of ``1 << kind`` over its kinds of
        event, each once. 0, or absent: not known.

    Raises
    ------
    DataError
        When a gain is negative or not finite, an item is named twice in a request, or the
        arrays do not fit together.

    Examples
    --------
    >>> truth = Truth.from_lists([{4: 1.0, 7: 3.0}, {}])
    >>> len(truth), truth.item.tolist(), truth.n_relevant.tolist()
    (2, [4, 7], [2, 0])
    """

    offsets: Ints
    item: npt.NDArray[np.int32]
    gain: Floats
    kinds: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.item), len(self.gain), len(self.item if self.kinds is None else self.kinds)}
        if len(lengths) > 1 or not len(self.offsets) or self.offsets[-1] != len(self.item):
            raise DataError(
                f"Truth: {len(self.item)} items, {len(self.gain)} gains and offsets that end at "
                f"{self.offsets[-1] if len(self.offsets) else 'nothing'} do not fit; give one gain per item "
                "and offsets that begin at 0 and end at their number."
            )
        if len(self.gain) and not (np.isfinite(self.gain).all() and self.gain.min() >= 0):
            worst = int(np.flatnonzero(~(np.isfinite(self.gain) & (self.gain >= 0)))[0])
            raise DataError(
                f"Truth: row {worst} has gain {self.gain[worst]}; a gain is a finite number of 0 or more. "
                "Drop the row or give it 0."
            )
        keys = np.sort(self.row * self._span + (self.item.astype(np.int64) + 1))
        if np.any(keys[1:] == keys[:-1]):
            twice = keys[1:][keys[1:] == keys[:-1]][0]
            raise DataError(
                f"Truth: request {twice // self._span} names item {twice % self._span - 1} twice; "
                "give each item one gain per request."
            )

    @classmethod
    def from_lists(cls, lists: Sequence[dict[int, float]]) -> Self:
        """From one mapping of item to gain per request."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
        return cls(
            offsets,
            np.array([item for one in lists for item in one], dtype=np.int32),
            np.array([gain for one in lists for gain in one.values()], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def row(self) -> Ints:
        """Which request each row belongs to: int64 of shape (n_rows,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))

    @property
    def n_relevant(self) -> Ints:
        """Items with a gain above 0, by request: int64 of shape (batch,)."""
        return np.bincount(self.row[self.gain > 0], minlength=len(self)).astype(np.int64)

    @property
    def _span(self) -> int:
        return int(self.item.max(initial=-1)) + 2

    def slice(self, start: int, stop: int) -> Truth:
        """The truth of requests ``start:stop``."""
        return self.take(np.arange(len(self))[start:stop])

    def take(self, requests: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Truth:
        """The truth of the requests at ``requests`` (indices, or a mask of shape (batch,)), in that order."""
        chosen = np.arange(len(self))[requests]
        sizes = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])
        kinds = self.kinds[rows] if self.kinds is not None else None
        return Truth(offsets, self.item[rows], self.gain[rows], kinds)
