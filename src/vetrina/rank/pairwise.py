"""Pairwise trees: of two rows of one request, which is worth more.

Sources: C. Burges et al., Learning to rank using gradient descent (ICML 2005), RankNet; S. Rendle et al.,
BPR: Bayesian personalized ranking from implicit feedback (UAI 2009); trees by LightGBM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vetrina.core import register
from vetrina.core.errors import DataError
from vetrina.rank.base import TrainingRows
from vetrina.rank.pairs import RowPairs
from vetrina.rank.trees import Loss, Trees

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["Pairwise"]


@register("ranker", "pairwise")
class Pairwise(Trees):
    """Gradient-boosted trees under the logistic loss over pairs, which is RankNet's and BPR's.

    With s the score, Σ w(i)w(j)/W ln(1 + e^−(s(i) − s(j))) is lowered over all pairs of rows of one request
    of which ``i`` has the larger gain; w are the rows' weights, W the largest of the request. Unlike LambdaMART
    it cares as much for a pair far down in the list as for one at the top.

    Examples
    --------
    >>> from vetrina.testing import sample_rows
    >>> rows = sample_rows()
    >>> points = Pairwise(trees=10, threads=1).fit(rows).curves_["loss by trees"]
    >>> bool(points[-1][1] < points[0][1] < 0.7)  # ln 2 is where nothing is told apart
    True
    """

    def _loss(self, rows: TrainingRows) -> Loss:
        pairs = RowPairs.of(rows)
        if not len(pairs.weight):
            raise DataError("The rows hold no choice of some before others: nothing to learn from.")
        options = {"objective": lambda score, _: pairs.derivatives(score), "metric": "None"}

        def told(booster: lgb.Booster) -> float:
            return float(booster.eval_train(lambda score, _: ("loss", pairs.loss(score), False))[0][2])

        return Loss(rows.gain, options, "loss", told)
