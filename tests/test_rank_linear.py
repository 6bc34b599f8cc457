"""The linear ranker: against scikit-learn, finite differences, and planted weights."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from vetrina.core.errors import DataError
from vetrina.rank import Linear, TrainingRows
from vetrina.rank.pairs import RowPairs
from vetrina.testing import sample_rows


def planted(seed: int, unknown: float = 0.0, weight: bool = False) -> TrainingRows:
    """Chosen with log-odds of 2a − b on scales far apart; c is noise. Of b so many are not known."""
    rng = np.random.default_rng(seed)
    standard = rng.normal(size=(3000, 3))
    chosen = rng.random(3000) < 1 / (1 + np.exp(-(2 * standard[:, 0] - standard[:, 1])))
    features = (standard * [100, 0.01, 1] + [500, 3, -1]).astype(np.float32)
    features[rng.random(3000) < unknown, 1] = np.nan
    weights = rng.uniform(0.2, 5, 3000).astype(np.float32) if weight else None
    return TrainingRows(features, chosen.astype(np.float32), np.full(300, 10), ["a", "b", "c"], weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_against_scikit_learn(weighted: bool) -> None:
    rows = planted(0, weight=weighted)
    l2 = 0.01
    ranker = Linear(loss="logistic", l2=l2).fit(rows)
    standard = (rows.features.astype(float) - rows.features.mean(0, dtype=float)) / rows.features.std(0, dtype=float)
    weight = np.ones(3000) if rows.weight is None else rows.weight.astype(float)
    # Theirs is the sum over rows plus |w|² / 2C, ours the mean plus l2 |w|².
    theirs = LogisticRegression(C=1 / (2 * l2 * weight.sum()), tol=1e-10, max_iter=1000)
    theirs.fit(standard, rows.gain, sample_weight=weight)
    np.testing.assert_allclose(ranker.weights_, theirs.coef_[0], atol=2e-3)
    assert ranker.bias_[0] == pytest.approx(theirs.intercept_[0], abs=2e-3)
    np.testing.assert_allclose(ranker.score(rows.features), theirs.decision_function(standard), atol=5e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_pairwise_is_logistic_regression_on_differences(weighted: bool) -> None:
    """By scikit-learn on every pair's difference, once either way round, without an intercept."""
    rows = planted(1, weight=weighted).take(np.arange(60))
    l2 = 0.02
    ranker = Linear(loss="pairwise", l2=l2).fit(rows)
    standard = (rows.features.astype(float) - rows.features.mean(0, dtype=float)) / rows.features.std(0, dtype=float)
    pairs = RowPairs.of(rows)
    apart = standard[pairs.better] - standard[pairs.worse]
    theirs = LogisticRegression(C=1 / (2 * l2 * pairs.weight.sum()), fit_intercept=False, tol=1e-10, max_iter=1000)
    both, which = np.concatenate([apart, -apart]), np.repeat([1, 0], len(apart))
    theirs.fit(both, which, sample_weight=np.tile(pairs.weight / 2, 2))
    np.testing.assert_allclose(ranker.weights_, theirs.coef_[0], atol=2e-3)
    assert ranker.bias_[0] == 0


@pytest.mark.parametrize("loss", ["pairwise", "logistic"])
def test_planted_weights_are_found(loss: str) -> None:
    weights = Linear(loss=loss, l2=0.0).fit(planted(2)).weights_
    np.testing.assert_allclose(weights, [2, -1, 0], atol=0.15)


@pytest.mark.parametrize("loss", ["pairwise", "logistic"])
def test_what_is_not_known_has_a_weight_of_its_own(loss: str) -> None:
    """Chosen more often where b is not known: the mean would say nothing of that."""
    rows = planted(3, unknown=0.3)
    unknown = np.isnan(rows.features[:, 1])
    told = TrainingRows(
        rows.features, np.where(unknown & (np.arange(3000) % 2 == 0), 1, rows.gain), rows.sizes, rows.names
    )
    ranker = Linear(loss=loss).fit(told)
    assert ranker.unknown_[1] > 0.5
    assert ranker.unknown_[[0, 2]].tolist() == [0, 0]  # always known there
    row = rows.features[unknown][:1]
    x = (row[0, [0, 2]] - ranker.mean_[[0, 2]]) / ranker.scale_[[0, 2]]
    wanted = x @ ranker.weights_[[0, 2]] + ranker.unknown_[1] + ranker.bias_[0]
    assert ranker.score(row)[0] == pytest.approx(wanted, abs=1e-4)
    assert ranker.contributions(row)[0, 1] == pytest.approx(ranker.unknown_[1])


@pytest.mark.parametrize("loss", ["pairwise", "logistic"])
def test_graded_gains_come_in_their_order(loss: str) -> None:
    rows = planted(4)
    grade = np.digitize(rows.features[:, 0], [400, 500, 620]).astype(np.float32)
    ranker = Linear(loss=loss).fit(TrainingRows(rows.features, grade, rows.sizes, rows.names))
    means = [ranker.score(rows.features)[grade == one].mean() for one in range(4)]
    assert np.all(np.diff(means) > 0)
    assert max(ranker.importance(), key=lambda name: ranker.importance()[name]) == "a"


@pytest.mark.parametrize("loss", ["pairwise", "logistic"])
def test_the_training_curve_falls_to_the_minimum(loss: str) -> None:
    rows = sample_rows()
    points = Linear(loss=loss).fit(rows).curves_["loss by iterations"]
    assert [step for step, _ in points] == list(range(len(points)))
    assert points[0][1] == pytest.approx(np.log(2))
    assert np.all(np.diff([value for _, value in points]) <= 0)


def test_nothing_to_tell_apart_is_said() -> None:
    rows = sample_rows(5)
    with pytest.raises(DataError, match="nothing to learn"):
        Linear().fit(TrainingRows(rows.features, np.ones_like(rows.gain), rows.sizes, rows.names))
    gain = np.repeat(np.arange(5) % 2, rows.sizes).astype(np.float32)  # all of a request or nothing of it
    with pytest.raises(DataError, match="nothing to learn"):
        Linear(loss="pairwise").fit(TrainingRows(rows.features, gain, rows.sizes, rows.names))
