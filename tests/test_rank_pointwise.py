"""Pointwise trees: scores against the losses written out, and planted gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vetrina.rank import Pointwise, TrainingRows
from vetrina.testing import sample_rows

Floats = npt.NDArray[np.float32]
SMALL: dict[str, Any] = {"leaves": 8, "min_rows_in_leaf": 20, "feature_share": 1.0, "threads": 1}


def one_split(gain: Floats, weight: Floats | None = None) -> TrainingRows:
    """Rows of one feature, 0 for the first half and 1 for the other: all that a tree can say is two numbers."""
    features = np.repeat([0, 1], len(gain) // 2).astype(np.float32)[:, None]
    return TrainingRows(features, gain, np.full(len(gain) // 10, 10), ["half"], weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_each_leaf_says_the_mean_target(weighted: bool) -> None:
    """The minimum of both losses, rows counting by their weight: the mean of y, and its log-odds."""
    rng = np.random.default_rng(0)
    gain = rng.choice([0, 0, 1, 2, 4], size=400).astype(np.float32)
    weight = rng.uniform(0.2, 5, size=400).astype(np.float32) if weighted else None
    rows = one_split(gain, weight)
    halves = (slice(0, 200), slice(200, 400))
    y = [np.average(gain[half] / 4, weights=None if weight is None else weight[half]) for half in halves]
    options = {**SMALL, "trees": 300, "learning_rate": 0.3, "l2": 0.0}
    steps = np.array([[0], [1]], dtype=np.float32)
    expected = Pointwise(**options, loss="mse").fit(rows).score(steps)
    np.testing.assert_allclose(expected, y, atol=1e-4)
    log_odds = Pointwise(**options).fit(rows).score(steps)
    np.testing.assert_allclose(log_odds, np.log(np.divide(y, np.subtract(1, y))), atol=1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_training_curve_is_the_loss_written_out(loss: str) -> None:
    rows = sample_rows()
    ranker = Pointwise(**SMALL, trees=25, loss=loss).fit(rows)
    told = dict(ranker.curves_[f"{loss} by trees"])
    staged = dict(ranker.staged(rows.features))
    y = rows.gain / rows.gain.max()
    for trees in staged.keys() & told.keys():
        score = staged[trees].astype(np.float64)
        chance = 1 / (1 + np.exp(-score))
        by_row = (y - score) ** 2 if loss == "mse" else -y * np.log(chance) - (1 - y) * np.log(1 - chance)
        assert told[trees] == pytest.approx(by_row.mean(), rel=1e-5)
    assert told[25] < told[1]


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_planted_gain_is_learned(loss: str) -> None:
    """What is in the middle of one feature, and above 0 in another, is worth most: no line can say it."""

    def rows(seed: int) -> TrainingRows:
        features = np.random.default_rng(seed).normal(size=(2000, 3)).astype(np.float32)
        gain = (np.abs(features[:, 0]) < 0.7).astype(np.float32) * (1 + 2 * (features[:, 2] > 0))
        return TrainingRows(features, gain, np.full(200, 10), ["a", "b", "c"])

    ranker, fresh = Pointwise(**SMALL, trees=60, loss=loss).fit(rows(0)), rows(1)
    order = np.argsort(ranker.score(fresh.features))
    n_best = int((fresh.gain == 3).sum())
    assert (fresh.gain[order[-n_best:]] == 3).mean() > 0.95
    assert (fresh.gain[order[: int((fresh.gain == 0).sum())]] == 0).mean() > 0.95
