"""Predicted chances: against scikit-learn, written out, and calibration of simulated clicks whose chances are known."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import auc, brier, calibrate, expected_calibration_error, log_loss

Floats = npt.NDArray[np.float64]

# Many ties, chances of 0 and 1, as few rows as one.
pairs = st.lists(
    st.tuples(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1)), st.booleans()),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=1000)
@given(pairs, st.integers(1, 12))
def test_agrees_with_scikit_learn(rows: list[tuple[float, bool]], bins: int) -> None:
    chances, labels = np.array([chance for chance, _ in rows]), np.array([label for _, label in rows])
    assert log_loss(chances, labels) == pytest.approx(metrics.log_loss(labels, chances, labels=[0, 1]), abs=1e-9)
    assert brier(chances, labels) == pytest.approx(metrics.brier_score_loss(labels, chances, pos_label=1), abs=1e-9)
    if labels.any() and not labels.all():
        assert auc(chances, labels) == pytest.approx(metrics.roc_auc_score(labels, chances), abs=1e-9)
    else:
        assert math.isnan(auc(chances, labels))
    # scikit-learn says what is predicted and observed in each bin; how many rows each has is counted here.
    observed, predicted = calibration_curve(labels, chances, n_bins=bins, strategy="quantile", pos_label=True)
    edges = np.percentile(chances, np.linspace(0, 1, bins + 1) * 100)
    _, sizes = np.unique(np.searchsorted(edges[1:-1], chances), return_counts=True)
    expected = np.average(np.abs(observed - predicted), weights=sizes)
    assert expected_calibration_error(chances, labels, bins) == pytest.approx(expected, abs=1e-9)


def test_arithmetic_written_out() -> None:
    chances, labels = np.array([0.2, 0.8, 0.9, 0.1, 0.3]), np.array([1, 0, 1, 0, 1])
    assert log_loss(chances, labels) == pytest.approx(
        -(math.log(0.2) + math.log(1 - 0.8) + math.log(0.9) + math.log(1 - 0.1) + math.log(0.3)) / 5
    )
    assert brier(chances, labels) == pytest.approx((0.8**2 + 0.8**2 + 0.1**2 + 0.1**2 + 0.7**2) / 5)
    # Of 3 × 2 pairs 0.9 wins both, 0.2 and 0.3 win against 0.1 alone.
    assert auc(chances, labels) == pytest.approx((2 + 1 + 1) / 6)
    # Halves: 0.1, 0.2, 0.3 with two of three; 0.8, 0.9 with one of two.
    error = 3 / 5 * abs(0.2 - 2 / 3) + 2 / 5 * abs(0.85 - 1 / 2)
    assert expected_calibration_error(chances, labels, bins=2) == pytest.approx(error)


def clicks(rng: np.random.Generator, n_shoppers: int) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Simulated: (true chance, whether clicked, shopper) of what shoppers of very different activity were shown."""
    shopper = np.repeat(np.arange(n_shoppers), rng.geometric(0.05, n_shoppers))
    chance = np.exp(rng.normal(-2, 0.8, len(shopper))).clip(0.001, 0.95)
    return chance, (rng.random(len(shopper)) < chance).astype(np.int64), shopper


def test_calibrated_scores_come_true_on_simulated_clicks() -> None:
    chance, clicked, shopper = clicks(np.random.default_rng(0), 800)
    score = 7 * np.log(chance) - 40  # the right order, on another scale
    found = calibrate("engine", score, clicked, shopper, "a click on what was shown (SIMULATED)")
    assert (found.system, found.n) == ("engine", len(chance))
    assert sum(one.n for one in found.bins) == found.n
    assert found.auc == pytest.approx(metrics.roc_auc_score(clicked, chance), abs=0.01)
    assert found.error < 0.01
    assert found.log_loss < found.base_log_loss - 0.02
    assert found.log_loss == pytest.approx(log_loss(chance, clicked), abs=0.005)  # next to what the truth itself loses
    assert found.base_rate == clicked.mean()
    share = clicked.mean()
    assert found.base_log_loss == pytest.approx(-share * np.log(share) - (1 - share) * np.log(1 - share))
    assert [one.predicted for one in found.bins] == sorted(one.predicted for one in found.bins)
    assert all(one.low <= one.observed <= one.high for one in found.bins)
    assert np.mean([one.low <= one.predicted <= one.high for one in found.bins]) >= 0.8


def test_no_shopper_calibrates_herself() -> None:
    # All that is known of one is what the other did, which is the opposite.
    shopper, score = np.repeat([7, 9], 50), np.repeat([0.0, 1.0], 50)
    found = calibrate("engine", score, score, shopper, "a click")
    assert found.log_loss > found.base_log_loss + 1
    assert calibrate("engine", score, score, None, "a click").log_loss < 0.05


def test_never_and_always_are_never_said() -> None:
    score, clicked = np.arange(100.0), (np.arange(100) >= 50).astype(np.int64)
    found = calibrate("engine", score, clicked, None, "a click", bins=4)
    assert 0 < found.bins[0].predicted < found.bins[-1].predicted < 1
    assert found.log_loss < 0.2
    assert found.bins[0].observed == 0
    assert found.bins[0].low == 0 < found.bins[0].high < 0.3


@pytest.mark.slow
def test_intervals_of_bins_hold_the_truth_on_simulated_shoppers() -> None:
    rng = np.random.default_rng(0)
    held = runs = 0
    for _ in range(250):
        # Simulated: shoppers of level beta(2, 8); equal scores, so there is one bin, and its truth is 0.2.
        shopper = np.repeat(np.arange(40), rng.geometric(0.2, 40))
        clicked = (rng.random(len(shopper)) < rng.beta(2, 8, 40)[shopper]).astype(np.int64)
        (one,) = calibrate("", np.zeros(len(shopper)), clicked, shopper, "a click", bins=1).bins
        held, runs = held + (one.low <= 0.2 <= one.high), runs + 1
        alone = calibrate("", np.zeros(len(shopper)), clicked, None, "a click", bins=1).bins[0]
        assert alone.high - alone.low < one.high - one.low
    assert 0.92 <= held / runs <= 0.98


def test_wrong_input_is_named() -> None:
    half = np.full(3, 0.5)
    with pytest.raises(DataError, match=r"\(2,\) labels were given for \(3,\) scores"):
        auc(half, np.ones(2))
    with pytest.raises(DataError, match="at least one score"):
        brier(np.empty(0), np.empty(0))
    with pytest.raises(DataError, match="Score 1 is nan"):
        auc(np.array([0.1, np.nan]), np.array([0, 1]))
    with pytest.raises(DataError, match=r"Label 2 is 3\.0"):
        auc(half, np.array([0.0, 1.0, 3.0]))
    with pytest.raises(DataError, match=r"Chance 1 is 1\.5"):
        log_loss(np.array([0.1, 1.5]), np.array([0, 1]))
    with pytest.raises(DataError, match="2 clusters were given for 3 scores"):
        calibrate("", half, np.array([0, 1, 1]), np.array([1, 2]), "")
    with pytest.raises(DataError, match="needs two or more; got 1"):
        calibrate("", half, np.array([0, 1, 1]), np.array([4, 4, 4]), "")
    with pytest.raises(ConfigError, match="Got 0"):
        expected_calibration_error(half, np.ones(3), 0)
