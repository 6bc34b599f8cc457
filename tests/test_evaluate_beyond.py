"""Coverage, Gini, novelty, diversity and popularity lift: against other libraries, written out, and their intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import entropy
from scipy.stats import t as student
from sklearn.metrics import auc as area

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import BEYOND, Interval, Table, beyond

N_ITEMS = 9
items = st.integers(0, N_ITEMS - 1)


def lists_of(*rankings: list[int]) -> ItemList:
    return ItemList.from_lists([np.array(one, dtype=np.int32) for one in rankings])


def truth_of(*chosen: list[int]) -> Truth:
    return Truth.from_lists([dict.fromkeys(one, 1.0) for one in chosen])


def values_of(table: Table, system: str = "ours") -> dict[str, Interval]:
    row = next(row for row in table.rows if row.system == system)
    return {name.partition("@")[0]: value for name, value in row.values.items()}


@pytest.mark.slow
@settings(deadline=None, max_examples=1000)
@given(
    st.lists(st.lists(items, max_size=6), min_size=1, max_size=5),  # empty, short, with repetitions
    st.lists(st.integers(0, 50), min_size=N_ITEMS, max_size=N_ITEMS),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_scipy_and_scikit_learn(ranked: list[list[int]], popularity: list[int], k: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(N_ITEMS, 3))
    truth = truth_of(*([number % N_ITEMS] for number in range(len(ranked))))
    table = beyond("", {"ours": lists_of(*ranked)}, popularity=np.array(popularity), truth=truth, vectors=vectors, k=k)
    found = {name: value.mean for name, value in values_of(table).items()}
    shown = [item for one in ranked for item in one[:k]]
    exposure = np.bincount(shown, minlength=N_ITEMS).astype(float)
    assert found["coverage"] == pytest.approx(len(set(shown)) / N_ITEMS, abs=1e-9)
    if not shown:
        assert np.isnan([found["gini"], found["novelty"], found["popularity_lift"]]).all()
        return
    lorenz = np.concatenate([[0], np.cumsum(np.sort(exposure))]) / len(shown)
    assert found["gini"] == pytest.approx(1 - 2 * area(np.linspace(0, 1, N_ITEMS + 1), lorenz), abs=1e-9)
    # The mean information of what is shown is the cross-entropy: its own entropy and the divergence.
    cross = entropy(exposure, base=2) + entropy(exposure, np.array(popularity) + 1, base=2)
    assert found["novelty"] == pytest.approx(cross, abs=1e-9)
    apart = [pdist(vectors[one[:k]], "cosine").mean() for one in ranked if len(one[:k]) > 1]
    assert found["diversity"] == pytest.approx(np.mean(apart) if apart else np.nan, abs=1e-9, nan_ok=True)
    usual = np.mean([popularity[number % N_ITEMS] for number in range(len(ranked))])
    lift = np.average(popularity, weights=exposure) / usual - 1 if usual else np.nan
    assert found["popularity_lift"] == pytest.approx(lift, abs=1e-9, nan_ok=True)


def test_arithmetic_written_out() -> None:
    # Item 3 was never chosen; the places: item 0 twice, 1 and 2 once.
    popularity, vectors = np.array([5, 2, 1, 0]), np.array([[1.0, 0], [0, 2.0], [3.0, 0], [0, 0]])
    table = beyond(
        "", {"ours": lists_of([0, 1], [0, 2])}, popularity=popularity, truth=truth_of([0], [2]), vectors=vectors, k=2
    )
    found = {name: value.mean for name, value in values_of(table).items()}
    assert tuple(found) == BEYOND
    assert found["coverage"] == 3 / 4
    # Exposure 0, 1, 1, 2: the sum of (2 i - n - 1) x over n times the total.
    assert found["gini"] == pytest.approx((-1 * 1 + 1 * 1 + 3 * 2) / (4 * 4))
    shares = {0: 6 / 12, 1: 3 / 12, 2: 2 / 12}  # of 8 choices, with one more for each of four items
    assert found["novelty"] == pytest.approx(np.mean([-np.log2(shares[item]) for item in (0, 1, 0, 2)]))
    assert found["diversity"] == pytest.approx((1 + 0) / 2)  # at right angles; in one direction
    assert found["popularity_lift"] == pytest.approx(((5 + 2 + 5 + 1) / 4) / ((5 + 1) / 2) - 1)


def test_extremes() -> None:
    even = {"ours": lists_of([0, 1], [2, 3])}
    one = {"ours": lists_of([3], [3])}
    truth = truth_of([3], [3])
    found = values_of(beyond("", even, popularity=np.ones(4), truth=truth, vectors=np.eye(4)))
    assert [found[name].mean for name in BEYOND] == [1.0, 0.0, 2.0, 1.0, 0.0]
    found = values_of(beyond("", one, popularity=np.ones(4), truth=truth, vectors=np.eye(4)))
    assert [found[name].mean for name in ("coverage", "gini", "novelty")] == [0.25, 0.75, 2.0]
    assert np.isnan(found["diversity"].mean)
    assert found["diversity"].n == 0


def test_padding_and_vectors_of_zeros_count_for_nothing() -> None:
    padded = values_of(
        beyond("", {"ours": lists_of([-1, 1, -1], [2])}, popularity=np.ones(4), truth=truth_of([1], [1]))
    )
    plain = values_of(beyond("", {"ours": lists_of([1], [2])}, popularity=np.ones(4), truth=truth_of([1], [1])))
    assert padded == plain
    zeros = beyond(
        "", {"ours": lists_of([0, 1])}, popularity=np.ones(2), truth=truth_of([1]), vectors=np.array([[0.0], [1.0]])
    )
    assert values_of(zeros)["diversity"].mean == 1.0


def literal_jackknife(ranked: list[list[int]], n_items: int) -> float:
    """Standard error of coverage, leaving one request out after the other."""
    without = [
        len({item for number, one in enumerate(ranked) if number != left for item in one}) / n_items
        for left in range(len(ranked))
    ]
    n = len(ranked)
    return float(np.sqrt((n - 1) / n * np.sum((np.array(without) - np.mean(without)) ** 2)))


def test_intervals_are_those_of_a_literal_jackknife() -> None:
    rng = np.random.default_rng(0)
    ranked = [rng.choice(40, 3, replace=False).tolist() for _ in range(30)]
    found = values_of(beyond("", {"ours": lists_of(*ranked)}, popularity=np.ones(40), truth=truth_of(*([0],) * 30)))
    error = literal_jackknife(ranked, 40)
    assert error > 0
    half = student.ppf(0.975, 29) * error
    assert found["coverage"].high == pytest.approx(min(found["coverage"].mean + half, 1))
    assert found["coverage"].low == pytest.approx(found["coverage"].mean - half)


def test_without_a_group_is_what_is_computed_without_its_shoppers() -> None:
    # Two systems on 8 shoppers with several requests each: eight groups, so each can be left out by hand.
    rng = np.random.default_rng(2)
    shopper = rng.integers(0, 8, 60)
    systems = {name: [rng.choice(30, 4).tolist() for _ in shopper] for name in ("ours", "theirs")}
    truth = truth_of(*([int(one)] for one in rng.integers(0, 30, 60)))
    given: dict[str, Any] = {"popularity": rng.integers(0, 90, 30), "vectors": rng.normal(size=(30, 4))}
    table = beyond("", {n: lists_of(*one) for n, one in systems.items()}, shopper, "ours", truth=truth, **given)
    lead = table.rows[1].lead
    assert lead is not None
    assert (table.n, table.n_shoppers, lead["gini@10"].n_clusters) == (60, 8, 8)
    for metric in table.metrics:
        name, without = metric.partition("@")[0], []
        for left in range(8):
            kept = np.flatnonzero(shopper != left)
            part = {n: lists_of(*(one[row] for row in kept)) for n, one in systems.items()}
            smaller = beyond("", part, truth=truth.take(kept), **given)
            without.append(values_of(smaller, "ours")[name].mean - values_of(smaller, "theirs")[name].mean)
        error = np.sqrt(7 / 8 * np.sum((np.array(without) - np.mean(without)) ** 2))
        effective = 60**2 / (np.bincount(shopper) ** 2).sum()
        assert 6 < effective < 8
        half = (lead[metric].high - lead[metric].low) / 2
        assert half == pytest.approx(student.ppf(0.975, effective - 1) * error), metric
        assert (lead[metric].p_value < 0.05) == lead[metric].excludes_zero


@pytest.mark.slow
def test_intervals_hold_the_truth_on_simulated_shoppers() -> None:
    rng = np.random.default_rng(0)
    n_items, n_shoppers, runs = 100, 60, 400
    attraction = rng.pareto(1.0, n_items) + 0.05
    popularity = (attraction * 100).astype(np.int64)

    def shown(boost: float) -> npt.NDArray[np.int64]:
        """Simulated: two lists of five for each shopper, who has a taste of her own, drawn without replacement."""
        taste = attraction**boost * rng.pareto(1.2, (n_shoppers, n_items))
        noise = rng.gumbel(size=(2, n_shoppers, n_items))
        return np.argpartition(-(np.log(taste) + noise), 5, axis=2)[:, :, :5].reshape(2 * n_shoppers, 5)

    shopper, truth = np.tile(np.arange(n_shoppers), 2), truth_of(*([0],) * 2 * n_shoppers)
    offsets = np.arange(0, 10 * n_shoppers + 1, 5)
    found: dict[str, list[Interval]] = {}
    leads: dict[str, list[Interval]] = {}
    for _ in range(runs):
        systems = {
            name: ItemList(offsets, shown(1.0).ravel().astype(np.int32)) for name in ("ours", "theirs")
        }  # the same policy: no true difference
        table = beyond("", systems, shopper, "ours", popularity=popularity, truth=truth, k=5)
        for name, value in values_of(table).items():
            found.setdefault(name, []).append(value)
        for name, lead in (table.rows[1].lead or {}).items():
            leads.setdefault(name, []).append(lead)
    for name, values in found.items():
        expected = np.mean([value.mean for value in values])
        held = np.mean([value.low <= expected <= value.high for value in values])
        # Of 400 runs; of what is no mean the jackknife errs on the wide side.
        assert 0.92 <= held <= (1 if name in ("coverage", "gini") else 0.98), (name, held)
    for name, values in leads.items():
        assert np.mean([value.p_value < 0.05 for value in values]) <= 0.07, name


def test_lead_of_a_system_over_itself_is_nothing() -> None:
    lists = lists_of([0, 1], [1, 2], [3])
    table = beyond("", {"a": lists, "b": lists}, None, "a", popularity=np.arange(4), truth=truth_of([1], [2], [3]))
    for lead in (table.rows[1].lead or {}).values():
        assert (lead.mean, lead.low, lead.high, lead.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_table_says_how_its_intervals_are_made() -> None:
    lists = lists_of([0, 1], [1, 2], [3], [0])
    given: dict[str, Any] = {"popularity": np.arange(4), "truth": truth_of([1], [2], [3], [0])}
    table = beyond("Toys", {"a": lists, "b": lists}, np.array([0, 0, 1, -1]), "a", simulated=True, leaks=True, **given)
    text = table.text()
    assert text.startswith("Toys (at 10; 4 requests of 3 shoppers; SIMULATED shoppers; LEAKS")
    assert "intervals by a jackknife over 3 groups of shoppers" in text
    assert "popularity_lift" in text
    assert len(table.cells()[1]) == 2 * 4  # without vectors there is no diversity
    one = beyond("Toys", {"a": lists_of([0])}, popularity=np.arange(4), truth=truth_of([1]))
    assert "nan" not in one.text()


def test_wrong_input_is_named() -> None:
    given: dict[str, Any] = {"popularity": np.ones(3), "truth": truth_of([1])}
    with pytest.raises(ConfigError, match="at least one system"):
        beyond("", {}, **given)
    with pytest.raises(ConfigError, match="Did you mean 'ours'"):
        beyond("", {"ours": lists_of([1])}, None, "our", **given)
    with pytest.raises(ConfigError, match="Got 0"):
        beyond("", {"ours": lists_of([1])}, k=0, **given)
    with pytest.raises(DataError, match="'ours' has 2 lists for the truth of 1 requests"):
        beyond("", {"ours": lists_of([1], [2])}, **given)
    with pytest.raises(DataError, match="'ours' lists item 7, but popularity holds 3 items"):
        beyond("", {"ours": lists_of([7])}, **given)
    with pytest.raises(DataError, match="item 4 was chosen"):
        beyond("", {"ours": lists_of([1])}, popularity=np.ones(3), truth=truth_of([4]))
    with pytest.raises(DataError, match="2 shoppers were given for 1 requests"):
        beyond("", {"ours": lists_of([1])}, np.array([1, 2]), **given)
    with pytest.raises(DataError, match="2 vectors were given for 3 items"):
        beyond("", {"ours": lists_of([1])}, vectors=np.ones((2, 2)), **given)
