"""Bootstrap: against a slow literal version, against simulated truth, and at the edges."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t, ttest_1samp

from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import bootstrap, bootstrap_difference, bootstrap_mean, holm, significance

Floats = npt.NDArray[np.float64]


def literal_bootstrap(values: Floats, clusters: npt.NDArray[np.int64], resamples: int, seed: int) -> Floats:
    """Draw shoppers with replacement and take all their requests, one resample at a time."""
    rng = np.random.default_rng(seed)
    groups = [values[clusters == name] for name in np.unique(clusters)]
    means = []
    for _ in range(resamples):
        drawn = [groups[place] for place in rng.integers(0, len(groups), len(groups))]
        means.append(np.concatenate(drawn).mean())
    return np.array(means)


def clustered(rng: np.random.Generator, n_clusters: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Values in [0, 1] with much in common inside a cluster, and clusters of very different sizes."""
    sizes = rng.geometric(0.3, n_clusters)
    level = rng.beta(1, 2, n_clusters)
    clusters = np.repeat(np.arange(n_clusters), sizes)
    return (rng.random(len(clusters)) < level[clusters]).astype(float), clusters


@pytest.mark.parametrize("exact", [True, False])
def test_agrees_with_the_literal_bootstrap(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = clustered(np.random.default_rng(1), 120)
    shuffled = np.random.default_rng(2).permutation(len(values))
    if not exact:
        monkeypatch.setattr(significance, "_EXACT_DRAWS", 0)
    monkeypatch.setattr(significance, "_CHUNK", 5000)  # several chunks, the last one short
    interval = bootstrap_mean(values[shuffled], clusters[shuffled], resamples=6001)
    low, high = np.quantile(literal_bootstrap(values, clusters, 6000, seed=3), [0.025, 0.975])
    assert interval.mean == pytest.approx(values.mean())
    # Two independent bootstraps of 6,000 differ by Monte Carlo error, about 0.02 standard errors at these quantiles.
    width = high - low
    assert interval.low == pytest.approx(low, abs=0.04 * width)
    assert interval.high == pytest.approx(high, abs=0.04 * width)
    assert (interval.n, interval.n_clusters) == (len(values), 120)


RUNS = 1000  # of which 95% are 950, give or take 7


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [30, 60, 250])
def test_interval_holds_the_truth_in_95_of_100_runs_on_simulated_shoppers(n_clusters: int) -> None:
    rng = np.random.default_rng(n_clusters)
    held = independent = 0
    for _ in range(RUNS):
        # Simulated: shoppers of level beta(1, 2), whose mean is 1/3, and sizes that do not depend on it.
        values, clusters = clustered(rng, n_clusters)
        by_shopper = bootstrap_mean(values, clusters, resamples=500, rng=rng)
        as_if_independent = bootstrap_mean(values, resamples=100, rng=rng)
        held += by_shopper.low <= 1 / 3 <= by_shopper.high
        independent += as_if_independent.low <= 1 / 3 <= as_if_independent.high
    assert 0.93 <= held / RUNS <= 0.97
    assert independent / RUNS < 0.9, "requests of one shopper are alike: without clusters the interval is too narrow"


def reciprocal_ranks(rng: np.random.Generator, level: Floats) -> Floats:
    """Simulated: one over the place, which is geometric with the given chance of a hit at each; 0 past the tenth."""
    place = rng.geometric(level)
    return np.where(place <= 10, 1 / place, 0)


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [30, 60, 250])
def test_equal_systems_are_called_different_in_at_most_6_of_100_runs_on_simulated_shoppers(n_clusters: int) -> None:
    rng = np.random.default_rng(n_clusters)
    different = 0
    for _ in range(RUNS):
        # Simulated: a request is easy or hard for both, a shopper likes the one or the other better, none in the mean.
        sizes = rng.geometric(0.3, n_clusters)
        clusters = np.repeat(np.arange(n_clusters), sizes)
        hard, liking = rng.beta(2, 4, len(clusters)), rng.normal(0, 0.1, n_clusters)[clusters]
        ours, theirs = (reciprocal_ranks(rng, np.clip(hard + side * liking, 0.02, 0.98)) for side in (1, -1))
        difference = bootstrap_difference(ours, theirs, clusters, resamples=500, rng=rng)
        different += difference.p_value < 0.05
    assert 0.02 <= different / RUNS <= 0.06


def test_a_few_shoppers_are_few() -> None:
    # Ten, nine of them with one request and one with a hundred: that one decides, and is alone.
    clusters = np.repeat(np.arange(10), [*(1,) * 9, 100])
    values = np.random.default_rng(0).random(109)
    many = bootstrap_mean(values, np.arange(109) % 10)
    uneven = bootstrap_mean(values, clusters)
    assert uneven.high - uneven.low > 3 * (many.high - many.low)


@pytest.mark.parametrize("n", [8, 20])
def test_of_normal_values_the_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).normal(size=(n, 200))
    found = bootstrap(values, resamples=20_000)
    halves = [(one.high - one.low) / 2 for one in found]
    student = t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    # Without the expansion it would be 0.93 of it for 20, and 0.77 for 8, whose sums are not quite normal.
    assert np.mean(halves / student) == pytest.approx(1, abs=0.01 if n == 20 else 0.04)
    assert np.abs(np.array([one.p_value for one in found]) - ttest_1samp(values, 0).pvalue).mean() < 0.02


def test_p_value_is_uniform_when_there_is_no_difference_on_simulated_data() -> None:
    rng = np.random.default_rng(0)
    p = np.array([
        bootstrap_difference(a, b, resamples=500, rng=rng).p_value
        for a, b in rng.random((600, 2, 50))
    ])  # fmt: skip
    assert 0.02 <= (p < 0.05).mean() <= 0.09
    assert 0.42 <= (p < 0.5).mean() <= 0.58


def test_interval_and_p_value_tell_the_same_story() -> None:
    rng = np.random.default_rng(4)
    for shift in np.linspace(0, 0.2, 21):
        difference = bootstrap_difference(rng.random(80) + shift, rng.random(80), resamples=4000)
        if abs(difference.p_value - 0.05) > 0.002:
            assert difference.excludes_zero == (difference.p_value < 0.05)


def test_pairing_removes_what_both_systems_share() -> None:
    rng = np.random.default_rng(5)
    hard = rng.random(300)
    first, second = hard + 0.01 + rng.normal(0, 0.02, 300), hard
    paired = bootstrap_difference(first, second, resamples=2000)
    assert paired.excludes_zero
    assert paired.p_value < 0.01
    assert not bootstrap_difference(first, rng.permutation(second), resamples=2000).excludes_zero


def test_holm_written_out() -> None:
    # In order 0.01, 0.011, 0.03, 0.6 times 4, 3, 2, 1; none below the one before it.
    assert holm(np.array([0.03, 0.01, 0.6, 0.011])).tolist() == pytest.approx([0.06, 0.04, 0.6, 0.04])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []
    assert holm(np.array([0.02])).tolist() == [0.02]
    with_none = holm(np.array([np.nan, 0.02, 0.5]))
    assert np.isnan(with_none[0])
    assert with_none[1:].tolist() == pytest.approx([0.04, 0.5])


def test_holm_keeps_false_alarms_rare_on_simulated_data() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((4000, 12))
    assert ((p < 0.05).any(axis=1)).mean() > 0.4
    alarms = np.mean([(holm(one) < 0.05).any() for one in p])
    assert 0.03 <= alarms <= 0.06


def test_equal_systems_do_not_differ() -> None:
    same = np.random.default_rng(6).random(50)
    difference = bootstrap_difference(same, same, resamples=200)
    assert (difference.mean, difference.low, difference.high, difference.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_columns_share_resamples_and_equal_single_ones() -> None:
    rng = np.random.default_rng(7)
    values, clusters = rng.random((90, 3)), rng.integers(-1, 20, 90)
    together = bootstrap(values, clusters, resamples=500, rng=1)
    for column, interval in enumerate(together):
        alone = bootstrap_mean(values[:, column], clusters, resamples=500, rng=1)
        assert alone.low == pytest.approx(interval.low)
        assert alone.high == pytest.approx(interval.high)
    assert together == bootstrap(values, clusters, resamples=500, rng=1)


def test_unknown_shoppers_are_clusters_of_their_own() -> None:
    interval = bootstrap_mean(np.arange(6.0), np.array([0, 0, 3, -1, -1, -1]), resamples=50)
    assert interval.n_clusters == 5


def test_too_little_data_says_so() -> None:
    one = bootstrap_mean(np.array([0.2, 0.4]), np.array([5, 5]))
    assert one.mean == pytest.approx(0.3)
    assert np.isnan([one.low, one.high, one.p_value]).all()
    assert not one.excludes_zero
    none = bootstrap_mean(np.empty(0))
    assert np.isnan(none.mean)
    assert none.n == 0


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match="3 clusters were given for 2 values"):
        bootstrap_mean(np.ones(2), np.arange(3))
    with pytest.raises(DataError, match=r"Value 1 is \[nan\]"):
        bootstrap_mean(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match="same requests"):
        bootstrap_difference(np.ones(2), np.ones(3))
    with pytest.raises(ConfigError, match=r"Got 0 and 0\.95"):
        bootstrap_mean(np.ones(2), resamples=0)
