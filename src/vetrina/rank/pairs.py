"""Pairs of rows of one request of which one was worth more, and the loss of scores that order them wrongly.

Sources: C. Burges et al., Learning to rank using gradient descent (ICML 2005), RankNet; S. Rendle et al.,
BPR: Bayesian personalized ranking from implicit feedback (UAI 2009), whose criterion is the same sum.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vetrina.rank.base import TrainingRows

__all__ = ["RowPairs"]

Doubles = npt.NDArray[np.float64]


class RowPairs(NamedTuple):
    """All pairs of rows of the same request with different gains.

    Attributes
    ----------
    better, worse : int64 of shape (n_pairs,)
        Places of the rows; ``better`` has the larger gain.
    weight : float64 of shape (n_pairs,)
        The product of the two rows' weights, by the largest of their request: if all rows of a request weigh
        half as much, so do its pairs.
    """

    better: npt.NDArray[np.int64]
    worse: npt.NDArray[np.int64]
    weight: Doubles

    @classmethod
    def of(cls, rows: TrainingRows) -> Self:
        """The pairs of training rows, in order of the better one.

        Examples
        --------
        >>> gain = np.array([0, 1, 0, 0, 1, 2], dtype=np.float32)
        >>> rows = TrainingRows(np.zeros((6, 1), np.float32), gain, np.array([3, 3]), ["nothing"])
        >>> pairs = RowPairs.of(rows)
        >>> list(zip(pairs.better.tolist(), pairs.worse.tolist()))
        [(1, 0), (1, 2), (4, 3), (5, 3), (5, 4)]
        """
        # Each request's rows by gain: what is worse than a row are the first so many of its request.
        request = np.repeat(np.arange(len(rows.sizes)), rows.sizes)
        order = np.lexsort((rows.gain, request))
        gain, starts = rows.gain[order], (np.cumsum(rows.sizes) - rows.sizes)[request]
        begins = np.r_[True, (np.diff(gain) != 0) | (np.diff(request) != 0)][: len(gain)]
        level = np.maximum.accumulate(np.where(begins, np.arange(len(gain)), 0))
        worse = level - starts
        ends = np.cumsum(worse)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - worse, worse)
        better_rows, worse_rows = np.repeat(order, worse), order[np.repeat(starts, worse) + within]
        sort = np.lexsort((worse_rows, better_rows))
        better_rows, worse_rows = better_rows[sort], worse_rows[sort]
        if rows.weight is None:
            return cls(better_rows, worse_rows, np.ones(len(better_rows)))
        weight, largest = rows.weight.astype(np.float64), np.zeros(len(rows.sizes))
        np.maximum.at(largest, request, weight)
        within = weight / np.where(largest > 0, largest, 1)[request]
        return cls(better_rows, worse_rows, weight[better_rows] * within[worse_rows])

    def loss(self, score: npt.NDArray[np.floating]) -> float:
        """Σ w · ln(1 + e^−(s(better) − s(worse))) / Σ w: ln 2 where nothing is told apart, 0 where all is."""
        apart = score[self.better] - score[self.worse]
        return float(self.weight @ np.logaddexp(0, -apart) / max(self.weight.sum(), 1e-300))

    def derivatives(self, score: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
        """First and second derivatives by each row's score of the loss's sum, before it is divided by Σ w.

        With ρ = 1/(1 + e^(s(better) − s(worse))): −wρ and +wρ of the two rows, and wρ(1 − ρ) of both.
        """
        apart = score[self.better] - score[self.worse]
        rho = 0.5 * (1 - np.tanh(0.5 * apart))
        slope, bend = self.weight * rho, self.weight * rho * (1 - rho)
        n_rows = len(score)

        def add(rows: npt.NDArray[np.int64], values: Doubles) -> Doubles:
            return np.asarray(np.bincount(rows, weights=values, minlength=n_rows), dtype=np.float64)

        return add(self.worse, slope) - add(self.better, slope), add(self.worse, bend) + add(self.better, bend)
