"""The match score: a weighted sum of similarities, for a shop that has no log to learn from yet."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, register
from vetrina.rank.base import Asked, Ranker, TrainingRows

__all__ = ["MatchScore", "MatchScoreConfig"]

Floats = npt.NDArray[np.float32]


class MatchScoreConfig(Config):
    """Weight of each feature; every one of them is a similarity or a share between -1 and 1."""

    weights: dict[str, float] = Field(
        default={
            "bm25_of_best": 1.0,
            "title_coverage": 1.0,
            "coverage": 0.5,
            "title_share": 0.3,
            "meaning": 0.7,
            "category_intent": 0.7,
            "like_fused": 1.0,
            "window_fused": 0.5,
            "session_fused": 0.3,
            "item_item_of_best": 0.5,
            "bought_of_best": 0.2,
        }
    )


@register("ranker", "match_score")
class MatchScore(Ranker):
    """Weighted sum of similarities. What is not known (NaN) adds nothing.

    A distance must be turned into a similarity before it enters, such as
    1/(1 + d): adding a distance would reward being far.
    """

    config_type = MatchScoreConfig

    def fit(self, rows: TrainingRows) -> Self:
        """Remember the features' order; the weights are given, not learned."""
        self.names_ = list(rows.names)
        self.weights_ = np.array([self.config.weights.get(name, 0.0) for name in self.names_], dtype=np.float32)
        return self

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("weights_")
        used = self.weights_ != 0
        return np.asarray(np.nan_to_num(features[:, used]) @ self.weights_[used], dtype=np.float32)

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("weights_")
        shares = np.zeros((len(features), len(self.names_) + 1), dtype=np.float32)
        shares[:, :-1] = np.where(self.weights_ != 0, np.nan_to_num(features) * self.weights_, 0)
        return shares
