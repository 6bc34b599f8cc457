"""How far down a list people look, found again where it was planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vetrina.rank import Linear, TrainingRows, from_chance, from_regression
from vetrina.rank.examination import smoothed

Floats = npt.NDArray[np.float64]

POWER: Floats = np.power(np.arange(1.0, 16), -0.7)
# No power of the position: a first screen of five, and whoever scrolls.
SCREENS = np.repeat([1.0, 0.55, 0.3], 5)
CURVES = pytest.mark.parametrize("curve", [POWER, SCREENS], ids=["power", "screens"])


class Shown:
    """Lists of 15 items, ordered by a noisy view of how attractive they are, or by lot; and the clicks."""

    def __init__(self, curve: Floats, seed: int, n_lists: int, *, by_lot: bool) -> None:
        rng = np.random.default_rng(seed)
        length = len(curve)
        self.words = rng.standard_normal((n_lists, length))  # what the shop orders by
        self.taste = rng.standard_normal((n_lists, length))  # and what it does not know
        # As logs are with few clicks: some in a hundred of what is looked at.
        self.attract = 1 / (1 + np.exp(2.2 - self.words - self.taste))
        score = rng.random((n_lists, length)) if by_lot else self.words + rng.standard_normal((n_lists, length))
        self.position = (np.argsort(np.argsort(-score, axis=1), axis=1) + 1).ravel()
        chance = curve[self.position - 1] * self.attract.ravel()
        self.clicked = rng.random(n_lists * length) < chance
        self.group = np.repeat(np.arange(n_lists), length)
        self.features = np.stack([self.words, self.taste], axis=-1).reshape(-1, 2).astype(np.float32)


@CURVES
@pytest.mark.parametrize("seed", range(3))
def test_lists_in_random_order_tell_the_planted_curve(curve: Floats, seed: int) -> None:
    shown = Shown(curve, seed, 10_000, by_lot=True)
    found = from_chance(shown.position, shown.clicked, shown.group, np.full(len(shown.group), 1 / 15))
    assert np.abs(found.at(np.arange(1, 11)) - curve[:10]).max() < 0.05
    assert found.n == 150_000


@pytest.mark.parametrize("seed", range(2))
def test_regression_tells_the_planted_curve_where_good_things_stand_first(seed: int) -> None:
    shown = Shown(POWER, seed, 2500, by_lot=False)
    found = from_regression(shown.position, shown.clicked, shown.features)
    assert np.abs(found.at(np.arange(1, 11)) - POWER[:10]).max() < 0.05
    # Clicks by position alone would be far off.
    clicks = np.bincount(shown.position, shown.clicked)[1:11]
    assert np.abs(clicks / clicks[0] - POWER[:10]).max() > 0.1


def test_regression_finds_what_the_papers_em_finds_slowly() -> None:
    """Four kinds of items, position 1 mostly for the best: EM with a table of attraction, each step written out."""
    rng = np.random.default_rng(0)
    curve, attract = np.array([1.0, 0.6, 0.35, 0.2]), np.array([0.5, 0.3, 0.15, 0.05])
    kind = np.argsort(rng.random((6000, 4)) * 5 + np.arange(4), axis=1).ravel()
    position = np.tile(np.arange(1, 5), 6000)
    clicked = rng.random(24_000) < curve[position - 1] * attract[kind]
    counts = {(k, a, c): int(((position == k + 1) & (kind == a) & (clicked == c)).sum())
              for k in range(4) for a in range(4) for c in (False, True)}  # fmt: skip
    theta, gamma = [0.5] * 4, [0.5] * 4
    for _ in range(2000):
        seen, wanted, of_position, of_kind = [0.0] * 4, [0.0] * 4, [0] * 4, [0] * 4
        for (k, a, c), n in counts.items():
            both = theta[k] * gamma[a]
            seen[k] += n * (1.0 if c else theta[k] * (1 - gamma[a]) / (1 - both))
            wanted[a] += n * (1.0 if c else gamma[a] * (1 - theta[k]) / (1 - both))
            of_position[k] += n
            of_kind[a] += n
        theta = [seen[k] / of_position[k] for k in range(4)]
        gamma = [wanted[a] / of_kind[a] for a in range(4)]
    slow = np.array(theta) / theta[0]
    found = from_regression(position, clicked, np.eye(4, dtype=np.float32)[kind])
    assert found.curve == pytest.approx(smoothed(slow, np.bincount(position - 1, clicked).astype(float)), abs=0.03)
    assert found.curve == pytest.approx(curve, abs=0.05)


def test_known_chances_need_not_be_equal() -> None:
    """The better of two items came first nine times in ten, and the log says so."""
    rng = np.random.default_rng(0)
    first = rng.random(20_000) < 0.9
    position = np.stack([np.where(first, 1, 2), np.where(first, 2, 1)], axis=1).ravel()
    chance = np.where(np.repeat(first, 2), 0.9, 0.1)
    clicked = rng.random(40_000) < np.tile([0.6, 0.1], 20_000) * np.where(position == 1, 1, 0.4)
    group = np.repeat(np.arange(20_000), 2)
    assert from_chance(position, clicked, group, chance).curve == pytest.approx([1, 0.4], abs=0.04)
    blind = from_chance(position, clicked, group, np.full(40_000, 0.5)).curve
    assert blind[1] < 0.2


def test_long_lists_and_short_ones_are_compared_with_themselves() -> None:
    """Who is shown four items likes them better than who is shown two: position 3 is looked at no more for that."""
    rng = np.random.default_rng(0)
    long = np.arange(30_000) < 10_000
    position = np.concatenate([np.tile(np.arange(1, 5), 10_000), np.tile([1, 2], 20_000)])
    group = np.concatenate([np.repeat(np.arange(10_000), 4), np.repeat(np.arange(10_000, 30_000), 2)])
    curve = np.array([1, 0.7, 0.5, 0.4])
    clicked = rng.random(len(group)) < np.where(long[group], 0.5, 0.1) * curve[position - 1]
    chance = np.where(long[group], 0.25, 0.5)
    assert from_chance(position, clicked, group, chance).curve == pytest.approx(curve, abs=0.05)


def test_unknown_positions_and_those_beyond() -> None:
    shown = Shown(POWER, 0, 300, by_lot=True)
    found = from_chance(shown.position, shown.clicked, shown.group, np.full(len(shown.group), 1 / 15))
    assert found.at(np.array([0])) == 1
    assert found.at(np.array([99])) == found.curve[-1]


def test_positions_that_the_log_does_not_have_are_filled_in() -> None:
    shown = Shown(POWER, 0, 3000, by_lot=True)
    there = ~np.isin(shown.position, [1, 4])
    position, clicked = shown.position[there], shown.clicked[there]
    chance = np.full(len(position), 1 / 15)
    for found in (
        from_chance(position, clicked, shown.group[there], chance),
        from_regression(position, clicked, shown.features[there]),
    ):
        assert found.curve[0] == 1
        assert found.curve == pytest.approx(POWER, abs=0.1)


@settings(max_examples=30)
@given(
    arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 1e-6]) | st.floats(0.001, 5)),
    st.integers(0, 2**32 - 1),
)
def test_a_smooth_curve_begins_at_one_and_never_rises(curve: Floats, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 1000, len(curve)).astype(np.float64)
    found = smoothed(curve, counts)
    assert found.shape == curve.shape
    assert found[0] == 1
    assert (np.diff(found) <= 0).all()
    assert (found > 0).all()


def test_smoothing_leaves_a_sure_curve_as_it_is_and_mends_an_unsure_one() -> None:
    assert smoothed(SCREENS, np.full(15, 1e6)) == pytest.approx(SCREENS, abs=0.01)
    rng = np.random.default_rng(0)
    rough: Floats = POWER * np.exp(rng.standard_normal(15) / 5)  # as with 25 clicks each
    assert np.abs(smoothed(rough, np.full(15, 25.0)) - POWER).mean() < np.abs(rough / rough[0] - POWER).mean()


@pytest.mark.slow
def test_what_was_passed_over_counting_as_it_was_looked_at_teaches_the_true_order() -> None:
    """A ranker on features, one of them what the shop orders by: against true attraction, over two seeds."""
    lead = []
    for seed in range(2):
        shown = Shown(1 / np.arange(1.0, 16), seed, 2500, by_lot=False)
        curve = from_regression(shown.position, shown.clicked, shown.features)
        weight = np.where(shown.clicked, 1, curve.at(shown.position)).astype(np.float32)
        naive, debiased = (_learned(shown, one) for one in (None, weight))
        test = Shown(POWER, seed + 10, 500, by_lot=False)
        lead.append(_ndcg(debiased, test) - _ndcg(naive, test))
    gained = np.concatenate(lead)
    assert gained.mean() > 3 * gained.std() / np.sqrt(len(gained))


def _learned(shown: Shown, weight: npt.NDArray[np.float32] | None) -> Callable[[npt.NDArray[np.float32]], Floats]:
    some = np.bincount(shown.group, shown.clicked) > 0
    rows = some[shown.group]
    gain = shown.clicked[rows].astype(np.float32)
    sizes = np.full(int(some.sum()), 15, dtype=np.int64)
    given_weight = None if weight is None else weight[rows]
    ranker = Linear().fit(TrainingRows(shown.features[rows], gain, sizes, ["words", "taste"], given_weight))
    return lambda features: ranker.score(features).astype(np.float64)


def _ndcg(score: Callable[[npt.NDArray[np.float32]], Floats], test: Shown) -> Floats:
    order = np.argsort(-score(test.features).reshape(test.attract.shape), axis=1)
    discount = 1 / np.log2(np.arange(2, 17))
    reached = np.take_along_axis(test.attract, order, axis=1) @ discount
    return np.asarray(reached / (-np.sort(-test.attract, axis=1) @ discount))
