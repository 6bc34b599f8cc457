"""The article's worked examples, with the right results; several were printed wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vetrina.core import create
from vetrina.core.similarity import cosine, euclidean, pearson, similarity_from_distance
from vetrina.rank import MatchScore, TrainingRows
from vetrina.rank.network import binary_cross_entropy, cross_entropy, relu

X, Y = np.array([[1.0, 2, 3, 4, 5]]), np.array([[2.0, 3, 4, 5, 6]])


def test_cosine_similarity_is_70_over_the_root_of_55_times_90() -> None:
    by_hand = (2 + 6 + 12 + 20 + 30) / math.sqrt((1 + 4 + 9 + 16 + 25) * (4 + 9 + 16 + 25 + 36))
    assert by_hand == pytest.approx(70 / math.sqrt(55 * 90))
    assert cosine(X, Y)[0, 0] == pytest.approx(by_hand)
    assert round(float(cosine(X, Y)[0, 0]), 4) == 0.9949


def test_pearson_correlation_of_a_shifted_row_is_one() -> None:
    assert pearson(X, Y)[0, 0] == pytest.approx(1.0, abs=1e-12)
    assert pearson(X, Y)[0, 0] == pytest.approx(np.corrcoef(X[0], Y[0])[0, 1])


def test_euclidean_distance_is_the_root_of_five() -> None:
    assert euclidean(X, Y)[0, 0] == pytest.approx(math.sqrt(5))


def test_relu_of_the_example_is_nine() -> None:
    assert relu(np.array([2.0 * 1 + 3 * 2 + 1, -9.0])).tolist() == [9, 0]


def test_cross_entropies_of_the_example() -> None:
    truth, chance = np.array([1, 0, 1, 0, 1.0]), np.array([0.2, 0.8, 0.9, 0.1, 0.3])
    happened = -(math.log(0.2) + math.log(0.9) + math.log(0.3))
    did_not = -(math.log(1 - 0.8) + math.log(1 - 0.1))
    assert cross_entropy(truth, chance) == pytest.approx(happened)
    assert round(cross_entropy(truth, chance), 3) == 2.919
    assert binary_cross_entropy(truth, chance) == pytest.approx((happened + did_not) / 5)
    assert round(binary_cross_entropy(truth, chance), 3) == 0.927


def test_a_match_score_rewards_being_near_and_adding_the_distance_itself_would_not() -> None:
    query = np.array([[0.0, 0.0]])
    items = np.array([[3.0, 4.0], [0.3, 0.4]])  # the far one first
    distance = euclidean(query, items)[0]
    assert distance.tolist() == pytest.approx([5.0, 0.5])
    rows = TrainingRows(np.empty((0, 1), np.float32), np.empty(0, np.float32), np.empty(0, np.int64), ["nearness"])
    match = create("ranker", "match_score", {"weights": {"nearness": 1.0}})
    assert isinstance(match, MatchScore)
    match.fit(rows)
    right = match.score(similarity_from_distance(distance)[:, None].astype(np.float32))
    assert right.tolist() == pytest.approx([1 / 6, 1 / 1.5])
    wrong = match.score(distance[:, None].astype(np.float32))  # as printed: the distance itself
    assert (np.argsort(-right).tolist(), np.argsort(-wrong).tolist()) == ([1, 0], [0, 1])
