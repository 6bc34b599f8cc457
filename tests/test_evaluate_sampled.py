"""Drawn candidates: even, never the right ones twice, and as misleading as the literature says."""

import numpy as np
import pytest

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import measure, sample_candidates


def test_holds_the_right_items_and_others_evenly_drawn() -> None:
    truth = Truth.from_lists([{3: 1.0, 7: 2.0, 5: 0.0}] * 4000)
    seen = [np.array([1, 2])] * 4000
    found = sample_candidates(truth, 20, 6, rng=1, seen=seen)
    counts = np.bincount(np.concatenate(found), minlength=20)
    assert {len(one) for one in found} == {len(np.unique(one)) for one in found} == {8}
    assert counts[[3, 7]].tolist() == [4000, 4000]
    assert counts[[1, 2]].tolist() == [0, 0]
    others = np.delete(counts, [1, 2, 3, 7])
    # Each of 16 is drawn with chance 6/16: 1,500 times, with a standard deviation of 31.
    assert abs(others - 1500).max() < 4 * 31
    assert all((np.diff(one) > 0).all() for one in found), "the order must not tell which are right"


def test_the_same_seed_draws_the_same() -> None:
    truth = Truth.from_lists([{3: 1.0}, {}])
    first, second, other = (sample_candidates(truth, 500, 20, rng=seed) for seed in (4, 4, 5))
    assert [one.tolist() for one in first] == [one.tolist() for one in second] != [one.tolist() for one in other]


def test_sampled_figures_put_systems_in_another_order() -> None:
    # After Krichene and Rendle: of 10,000 items one system always puts the right one in place 100, the other in
    # place 2 once and far down four times.
    n_items, n_runs = 10_000, 40
    places = {"steady": [100] * 5, "daring": [2, 3000, 5000, 7000, 9000]}
    hits: dict[str, tuple[float, float]] = {}
    for name, at in places.items():
        # Item i stands in place i + 1 of both systems, but for the right one of each request.
        truth = Truth.from_lists([{place - 1: 1.0} for place in at * n_runs])
        full = ItemList.from_lists([np.arange(10, dtype=np.int32)] * len(truth))
        few = ItemList.from_lists([one[:10] for one in sample_candidates(truth, n_items, 99)])
        hits[name] = tuple(measure(one, truth, 10, ["hit_rate"]).mean("hit_rate@10") for one in (full, few))  # type: ignore[assignment]
    assert hits["steady"][0] == 0
    assert hits["daring"][0] == 0.2
    assert hits["steady"][1] > 0.95
    assert hits["daring"][1] < 0.3


def test_wrong_input_is_named() -> None:
    truth = Truth.from_lists([{3: 1.0}])
    with pytest.raises(ConfigError, match="Got 0"):
        sample_candidates(truth, 10, 0)
    with pytest.raises(DataError, match="Request 0: 10 candidates cannot be drawn from 10 items of which 1"):
        sample_candidates(truth, 10, 10)
    with pytest.raises(DataError, match="2 lists of seen items were given for 1 requests"):
        sample_candidates(truth, 10, 2, seen=[np.array([1]), np.array([2])])
