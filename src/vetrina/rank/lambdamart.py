"""LambdaMART: boosted trees that learn the order of a list.

Source: C. Burges, From RankNet to LambdaRank to LambdaMART (MSR-TR-2010-82);
trees by LightGBM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from vetrina.core import Whole, register
from vetrina.rank.base import TrainingRows
from vetrina.rank.trees import Loss, Trees, TreesConfig

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["LambdaMART", "LambdaMARTConfig"]

_CUT = 10


class LambdaMARTConfig(TreesConfig):
    """Options of the trees, and of the loss."""

    truncation: int = Field(default=20, ge=1, description="How deep into a list a swap counts.")


@register("ranker", "lambdamart")
class LambdaMART(Trees):
    """Gradient-boosted trees under the LambdaRank loss: a pair of rows counts by what swapping them would change.

    Each tree follows the gradient of Σ ΔNDCG(i, j) · ln(1 + e^−(s(i) − s(j))) over the pairs of a request
    of which ``i`` has the larger gain. ΔNDCG(i, j), 0 or more, is how much NDCG would change if the two changed
    places in the order by the present scores, and counts as a constant; only pairs that reach into the
    first ``truncation`` places are looked at. NDCG takes a row's gain as it is. As LightGBM does by default,
    ΔNDCG is divided by 0.01 + abs(s(i) − s(j)), and a request's gradients x by Σx / log2(1 + Σx).
    """

    config_type = LambdaMARTConfig
    space = {**Trees.space, "truncation": Whole(5, 60, log=True)}

    def _loss(self, rows: TrainingRows) -> Loss:
        grades, grade = np.unique(rows.gain, return_inverse=True)
        chosen = float((np.add.reduceat(rows.gain, np.cumsum(rows.sizes) - rows.sizes) > 0).mean())
        options = {
            "objective": "lambdarank",
            "label_gain": grades.tolist(),
            "lambdarank_truncation_level": self.config.truncation,
            # Only looked at: trees grow as they would without.
            "metric": "ndcg",
            "eval_at": [_CUT],
        }

        def told(booster: lgb.Booster) -> float:
            # LightGBM gives 1 to a request of which nothing was chosen; it has no order to be right about.
            return float((booster.eval_train()[0][2] - 1) / chosen + 1)

        return Loss(grade, options, f"ndcg@{_CUT}", told)
