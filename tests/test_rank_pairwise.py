"""Pairs and pairwise trees: against loops over every pair, finite differences, and planted orders."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core.errors import DataError
from vetrina.rank import Pairwise, TrainingRows
from vetrina.rank.pairs import RowPairs
from vetrina.testing import sample_rows

Floats = npt.NDArray[np.float32]
SMALL: dict[str, Any] = {"trees": 60, "leaves": 8, "min_rows_in_leaf": 10, "feature_share": 1.0, "threads": 1}


def rows_of(gain: Any, sizes: Any, weight: Any = None) -> TrainingRows:
    weights = None if weight is None else np.asarray(weight, dtype=np.float32)
    features = np.zeros((len(gain), 1), dtype=np.float32)
    return TrainingRows(features, np.asarray(gain, dtype=np.float32), np.asarray(sizes, np.int64), ["a"], weights)


def every_pair(rows: TrainingRows) -> list[tuple[int, int, float]]:
    """(better, worse, weight) by two loops over each request."""
    found, start = [], 0
    weight = np.ones(len(rows.gain)) if rows.weight is None else rows.weight.astype(float)
    for size in rows.sizes.tolist():
        inside = range(start, start + size)
        largest = max(weight[i] for i in inside)
        found += [
            (i, j, weight[i] * (weight[j] / largest)) for i, j in product(inside, inside) if rows.gain[i] > rows.gain[j]
        ]
        start += size
    return found


@given(st.lists(st.lists(st.sampled_from([0.0, 1, 2.5]), min_size=1, max_size=6), max_size=5), st.booleans())
def test_pairs_are_those_of_two_loops(requests: list[list[float]], weighted: bool) -> None:
    gain = [one for request in requests for one in request]
    weight = np.random.default_rng(0).uniform(0.1, 3, len(gain)) if weighted else None
    rows = rows_of(gain, [len(request) for request in requests], weight)
    pairs = RowPairs.of(rows)
    found = list(zip(pairs.better.tolist(), pairs.worse.tolist(), pairs.weight.tolist(), strict=True))
    assert found == every_pair(rows)


def test_loss_and_derivatives_against_loops_and_differences() -> None:
    rng = np.random.default_rng(1)
    rows = rows_of(rng.choice([0, 0, 1, 3], size=24), [5, 1, 8, 10], rng.uniform(0.2, 4, 24))
    pairs, score = RowPairs.of(rows), rng.normal(size=24) * 2

    def literal(s: npt.NDArray[np.float64]) -> float:
        return float(sum(w * np.log(1 + np.exp(s[j] - s[i])) for i, j, w in every_pair(rows)))

    assert pairs.loss(score) == pytest.approx(literal(score) / sum(w for _, _, w in every_pair(rows)))
    slope, bend = pairs.derivatives(score)
    for row, step in enumerate(1e-5 * np.eye(24)):
        up, down = score + step, score - step
        assert slope[row] == pytest.approx((literal(up) - literal(down)) / 2e-5, abs=1e-6)
        change = pairs.derivatives(up)[0][row] - pairs.derivatives(down)[0][row]
        assert bend[row] == pytest.approx(change / 2e-5, abs=1e-6)


def test_a_request_of_thrice_the_weight_is_three_requests() -> None:
    rng = np.random.default_rng(3)
    one, other, score = rng.choice([0, 1, 3.0], 6), rng.choice([0, 1, 3.0], 6), rng.normal(size=(2, 6))
    heavy = RowPairs.of(rows_of([*one, *other], [6, 6], np.repeat([3, 1], 6)))
    thrice = RowPairs.of(rows_of([*one, *one, *one, *other], [6] * 4))
    assert heavy.loss(score.ravel()) == pytest.approx(thrice.loss(score[[0, 0, 0, 1]].ravel()))


def test_the_loss_of_far_scores_does_not_overflow() -> None:
    pairs = RowPairs.of(rows_of([1, 0], [2]))
    assert pairs.loss(np.array([1e6, 0.0])) == 0
    assert pairs.loss(np.array([0.0, 1e6])) == pytest.approx(1e6)
    assert np.all(np.isfinite(pairs.derivatives(np.array([0.0, 1e6]))))


def test_one_tree_takes_a_newton_step() -> None:
    """The first tree's leaf of rows with the feature at 1: −Σ slope / (Σ bend + l2), times the learning rate."""
    rng = np.random.default_rng(2)
    features = rng.integers(0, 2, size=(300, 1)).astype(np.float32)
    gain = (rng.random(300) < 0.2 + 0.5 * features[:, 0]).astype(np.float32)
    weight = rng.uniform(0.5, 2, 300).astype(np.float32)
    rows = TrainingRows(features, gain, np.full(30, 10), ["a"], weight)
    ranker = Pairwise(trees=1, leaves=2, min_rows_in_leaf=1, l2=3.0, learning_rate=0.1, threads=1).fit(rows)
    slope, bend = RowPairs.of(rows).derivatives(np.zeros(300))
    for value in (0, 1):
        inside = features[:, 0] == value
        wanted = -0.1 * slope[inside].sum() / (bend[inside].sum() + 3)
        assert ranker.score(np.array([[value]], dtype=np.float32))[0] == pytest.approx(wanted, rel=1e-4)


def test_the_training_curve_is_the_loss_of_the_stages() -> None:
    rows = sample_rows()
    ranker = Pairwise(**{**SMALL, "trees": 20}).fit(rows)
    told, pairs = dict(ranker.curves_["loss by trees"]), RowPairs.of(rows)
    for trees, score in ranker.staged(rows.features):
        if trees in told:
            assert told[trees] == pytest.approx(pairs.loss(score), rel=1e-5)
    assert told[20] < told[1] < np.log(2)


@pytest.mark.parametrize(
    "wanted",
    [lambda x: x[:, 1], lambda x: -np.abs(x[:, 0]), lambda x: np.minimum(x[:, 0], x[:, 2])],
    ids=["more", "middle", "both"],
)
def test_a_planted_order_is_learned_whatever_the_request_adds(wanted: Any) -> None:
    """A feature that is the same for all of a request and says how much was chosen there says nothing of its order."""

    def rows(seed: int) -> TrainingRows:
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(200, 10, 4)).astype(np.float32)
        features[:, :, 3] = rng.integers(0, 6, size=(200, 1))
        worth = wanted(features.reshape(-1, 4)).reshape(200, 10)
        place = np.argsort(np.argsort(-worth, axis=1), axis=1)
        gain = (place < features[:, :, 3]).astype(np.float32)
        return TrainingRows(features.reshape(-1, 4), gain.ravel(), np.full(200, 10), ["a", "b", "c", "chosen"])

    ranker, fresh = Pairwise(**SMALL).fit(rows(0)), rows(1)
    pairs, score = RowPairs.of(fresh), ranker.score(fresh.features)
    assert (score[pairs.better] > score[pairs.worse]).mean() > 0.9


def test_requests_of_which_all_was_chosen_say_nothing_of_an_order() -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        Pairwise(**SMALL).fit(rows_of([1, 1, 0, 0], [2, 2]))
