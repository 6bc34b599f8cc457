"""What a ranker is: features in, one score per row out, and each feature's share of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component

__all__ = ["Ranker", "TrainingRows"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainingRows:
    """What a ranker learns from.

    Attributes
    ----------
    features : float32 of shape (n_rows, n_features)
    gain : float32 of shape (n_rows,)
        0 for what was not chosen; more for a purchase than for a click.
    sizes : int64 of shape (n_groups,)
        Rows of each request, in order.
    names : sequence of str
        Names of the features.
    """

    features: Floats
    gain: Floats
    sizes: npt.NDArray[np.int64]
    names: Sequence[str]

    @classmethod
    def none(cls, names: Sequence[str]) -> Self:
        """No rows of features with these ``names``."""
        nothing = np.empty((0, len(names)), dtype=np.float32)
        return cls(nothing, np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64), names)


class Ranker(Component):
    """Orders candidates by their features."""

    names_: list[str]

    def fit(self, rows: TrainingRows) -> Self:
        """Learn from rows that a replay of the log produced."""
        raise NotImplementedError

    def score(self, features: Floats) -> Floats:
        """Score of each row: float32 of shape (n_rows,); higher is better within a request."""
        raise NotImplementedError

    def staged(self, features: Floats) -> Iterator[tuple[int, Floats]]:
        """(steps, scores of the rows as they were after so many steps of learning), about ten times, the last whole.

        Nothing, for a ranker that does not learn in steps or does not keep them.
        """
        yield from ()

    def contributions(self, features: Floats) -> Floats:
        """Each feature's additive share: float32 of shape (n_rows, n_features + 1).

        The last column is what every row has in common; rows sum to :meth:`score`.
        """
        raise NotImplementedError
