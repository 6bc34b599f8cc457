"""The network and its losses: the article's right numbers, an independent library, and planted choices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from vetrina.core.errors import DataError
from vetrina.rank import Network, TrainingRows
from vetrina.rank.network import _loss, binary_cross_entropy, cross_entropy, relu, sigmoid
from vetrina.testing import sample_rows

TRUTH = np.array([1, 0, 1, 0, 1.0])
CHANCE = np.array([0.2, 0.8, 0.9, 0.1, 0.3])


def test_the_articles_right_numbers() -> None:
    assert relu(np.array([2.0 * 1 + 3 * 2 + 1]))[0] == 9
    # printed as 1.386
    assert round(cross_entropy(TRUTH, CHANCE), 3) == 2.919
    assert cross_entropy(TRUTH, CHANCE) == pytest.approx(-np.log(0.2 * 0.9 * 0.3))
    assert round(binary_cross_entropy(TRUTH, CHANCE), 3) == 0.927
    assert binary_cross_entropy(TRUTH, CHANCE) == pytest.approx(-np.log(0.2 * 0.2 * 0.9 * 0.9 * 0.3) / 5)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=1, max_size=20))
def test_binary_cross_entropy_against_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    truth, chance = np.array([float(one) for one, _ in rows]), np.array([one for _, one in rows])
    assert binary_cross_entropy(truth, chance) == pytest.approx(log_loss(truth, chance, labels=[0, 1]))


def test_what_was_said_to_be_impossible_and_happened_is_infinite() -> None:
    assert cross_entropy(np.array([1.0]), np.array([0.0])) == np.inf
    assert cross_entropy(np.array([0.0]), np.array([0.0])) == 0


@pytest.mark.parametrize(("truth", "chance"), [([1.0], [1.1]), ([-0.1], [0.5]), ([1.0, 0], [0.5]), ([np.nan], [0.5])])
def test_what_is_no_chance_is_refused(truth: list[float], chance: list[float]) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        cross_entropy(np.array(truth), np.array(chance))


def test_sigmoid_does_not_overflow() -> None:
    got = sigmoid(np.array([-1e4, -1.0, 0.0, 1.0, 1e4]))
    np.testing.assert_allclose(got, [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(hidden=6, iterations=60, l2=1e-4).fit(sample_rows())


def test_a_score_is_one_hidden_layer_written_out(network: Network) -> None:
    rows = sample_rows(seed=1).features
    for row, score, chance in zip(rows, network.score(rows), network.chance(rows), strict=True):
        standard = [
            0.0 if np.isnan(x) else (x - m) / s for x, m, s in zip(row, network.mean_, network.scale_, strict=True)
        ]
        hidden = [max(0.0, sum(x * w for x, w in zip(standard, network.weights_[:, unit], strict=True)) + bias)
                  for unit, bias in enumerate(network.bias_)]  # fmt: skip
        out = sum(h * w for h, w in zip(hidden, network.out_[:-1], strict=True)) + network.out_[-1]
        assert score == pytest.approx(out, abs=1e-3)
        assert chance == pytest.approx(1 / (1 + np.exp(-out)), abs=1e-3)


def test_chances_are_as_often_right_as_they_say(network: Network) -> None:
    """At the minimum the output's bias has no gradient: the mean chance is the share that was chosen."""
    rows = sample_rows()
    assert network.chance(rows.features).mean() == pytest.approx((rows.gain > 0).mean(), abs=0.01)


@pytest.mark.parametrize(
    "chosen",
    [lambda x: x[:, 0] > 0.5, lambda x: np.abs(x[:, 1]) < 0.5, lambda x: x[:, 0] * x[:, 1] > 0],
    ids=["line", "band", "exclusive or"],
)
def test_a_planted_choice_is_learned(chosen: object) -> None:
    assert callable(chosen)

    def rows(seed: int) -> TrainingRows:
        features = np.random.default_rng(seed).normal(size=(600, 3)).astype(np.float32) * np.float32(20) + np.float32(5)
        gain = chosen((features - 5) / 20).astype(np.float32)
        return TrainingRows(features, gain, np.array([600]), ["a", "b", "c"])

    network = Network(l2=1e-5).fit(rows(0))
    fresh = rows(1)
    right: npt.NDArray[np.bool_] = (network.score(fresh.features) > 0) == (fresh.gain > 0)
    assert right.mean() > 0.93


def test_the_gradient_is_that_of_the_loss() -> None:
    """Against differences, one parameter after the other: a wrong gradient still descends, only worse."""
    rng = np.random.default_rng(0)
    features, truth = rng.normal(size=(30, 3)), (rng.random(30) < 0.4).astype(np.float64)
    shapes = ((3, 4), (4,), (5,))
    flat = rng.normal(size=21)
    _, gradient = _loss(flat, features, truth, shapes, 0.1)
    step = 1e-6 * np.eye(21)
    differences = [
        (_loss(flat + one, features, truth, shapes, 0.1)[0] - _loss(flat - one, features, truth, shapes, 0.1)[0]) / 2e-6
        for one in step
    ]
    np.testing.assert_allclose(gradient, differences, atol=1e-6)


def test_training_lowers_the_loss_below_that_of_the_share_alone() -> None:
    rows = sample_rows()
    truth = (rows.gain > 0).astype(np.float64)
    alone = binary_cross_entropy(truth, np.full(len(truth), truth.mean()))
    losses = [
        binary_cross_entropy(truth, Network(iterations=n, l2=1e-4).fit(rows).chance(rows.features)) for n in (2, 10, 60)
    ]
    assert losses[2] < losses[1] < losses[0]
    assert losses[2] < 0.5 * alone


def test_all_or_none_chosen_is_nothing_to_learn_from() -> None:
    rows = sample_rows(5)
    for gain in (0, 1):
        with pytest.raises(DataError, match="nothing to learn"):
            Network().fit(TrainingRows(rows.features, np.full_like(rows.gain, gain), rows.sizes, rows.names))


def test_the_training_curve_is_the_loss_and_falls() -> None:
    rows = sample_rows()
    network = Network(hidden=4, iterations=30, l2=0.01).fit(rows)
    points = network.curves_["loss by iterations"]
    assert [step for step, _ in points] == list(range(len(points)))
    assert np.all(np.diff([loss for _, loss in points]) <= 0)
    decay = 0.01 * (np.sum(network.weights_**2) + np.sum(network.out_[:-1] ** 2))
    loss = binary_cross_entropy((rows.gain > 0).astype(float), network.chance(rows.features)) + decay
    assert points[-1][1] == pytest.approx(loss, rel=1e-5)
