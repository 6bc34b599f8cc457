"""The match score: a weighted sum of similarities, by hand."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from vetrina.core import components
from vetrina.core.errors import ConfigError
from vetrina.core.similarity import similarity_from_distance
from vetrina.rank import FeatureFamily, MatchScore, TrainingRows
from vetrina.testing import small_shop

NAMES = ["coverage", "not weighed", "window_fused"]
FEATURES = np.array([[1.0, 9.0, 0.5], [0.5, -9.0, np.nan], [np.nan, np.nan, -1.0]], dtype=np.float32)


def fitted(**weights: float) -> MatchScore:
    rows = TrainingRows(np.empty((0, 3), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), NAMES)
    return MatchScore(weights=weights).fit(rows)


def test_a_weighted_sum_in_which_the_unknown_adds_nothing() -> None:
    ranker = fitted(coverage=2.0, window_fused=0.5, of_another_shop=7.0)
    np.testing.assert_allclose(ranker.score(FEATURES), [2.25, 1.0, -0.5])
    shares = np.array([[2, 0, 0.25, 0], [1, 0, 0, 0], [0, 0, -0.5, 0]])
    np.testing.assert_allclose(ranker.contributions(FEATURES), shares)


def test_the_shipped_weights_are_of_features_that_there_are() -> None:
    weights = MatchScore().config.weights
    items, log = small_shop()
    families = (cast(FeatureFamily, cls()) for cls in components("features").values())
    named = {name for family in families for name in family.fit(items, log).names_}
    # those of vectors are named after the modalities that a shop has
    assert {name for name in weights if not name.endswith("_fused")} <= named
    assert all(weight > 0 for weight in weights.values())


def test_a_distance_rewards_being_far_unless_turned_into_a_similarity() -> None:
    """The article adds a Euclidean distance as it is: its example then ranks the farthest first."""
    distance = np.array([0.1, 2.236, 9.0])
    as_printed = 0.5 * distance
    as_meant = 0.5 * similarity_from_distance(distance)
    assert np.argsort(-as_printed).tolist() == [2, 1, 0]
    assert np.argsort(-as_meant).tolist() == [0, 1, 2]


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"match_score\.weights\.coverage"):
        MatchScore(weights={"coverage": float("nan")})
