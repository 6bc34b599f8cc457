"""Metrics: against trec_eval through ir_measures, against arithmetic written out, and at the edges."""

import math
from collections.abc import Callable

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from sklearn.metrics import f1_score, ndcg_score, roc_auc_score

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import METRICS, measure

items = st.integers(0, 14)
rankings = st.lists(st.lists(items, max_size=12), min_size=1, max_size=4)  # short, empty, with repetitions
gains = st.dictionaries(items, st.integers(0, 4), max_size=10)  # empty, all 0, equal ones
N_ITEMS = 18  # three are in no list and no truth


def lists_of(*rankings: list[int]) -> ItemList:
    return ItemList.from_lists([np.array(one, dtype=np.int32) for one in rankings])


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[list[int]], list[dict[int, int]]]:
    ranked = draw(rankings)
    return ranked, [draw(gains) for _ in ranked]


def places(ranking: list[int]) -> list[tuple[int, str]]:
    """(place, name) of a list for libraries that know no repetition: one takes its place under a name of its own."""
    return [(p, str(item) if item not in ranking[:p] else f"again {p}") for p, item in enumerate(ranking)]


@pytest.mark.slow
@settings(deadline=None, max_examples=1000)
@given(batches(), st.integers(1, 14))
def test_agrees_with_trec_eval(batch: tuple[list[list[int]], list[dict[int, int]]], k: int) -> None:
    ranked, truth = batch
    scores = measure(lists_of(*ranked), Truth.from_lists([dict(one) for one in truth]), k)
    oracles = {
        "ndcg": nDCG @ k,
        "precision": P @ k,
        "recall": R @ k,
        "mrr": RR @ k,
        "hit_rate": Success @ k,
        "average_precision": AP @ k,
    }
    qrels = [ir_measures.Qrel(str(q), str(i), g) for q, one in enumerate(truth) for i, g in one.items()]
    run = [ir_measures.ScoredDoc(str(q), name, -float(p)) for q, one in enumerate(ranked) for p, name in places(one)]
    expected = {(m.query_id, m.measure): m.value for m in ir_measures.iter_calc(oracles.values(), qrels, run)}
    kept = [q for q, one in enumerate(truth) if any(one.values())]
    assert scores.requests.tolist() == kept
    assert scores.n_left_out == len(truth) - len(kept)
    for name, oracle in oracles.items():
        wanted = [expected.get((str(q), oracle), 0.0) for q in kept]
        np.testing.assert_allclose(scores.values[f"{name}@{k}"], wanted, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.slow
@settings(deadline=None, max_examples=1000)
@given(batches(), st.integers(1, 14))
def test_f1_auc_and_exponential_ndcg_agree_with_scikit_learn(
    batch: tuple[list[list[int]], list[dict[int, int]]], k: int
) -> None:
    ranked, truth = batch
    metrics = ("f1", "auc", "ndcg")
    right = Truth.from_lists([dict(one) for one in truth])
    scores = measure(lists_of(*ranked), right, k, metrics, gain="exponential", n_items=N_ITEMS)
    for row, q in enumerate(scores.requests[:1]):
        # What is not listed stands in the last place, after as many fillers as a short list lacks.
        place = dict.fromkeys((str(item) for item in range(N_ITEMS)), 99)
        place |= {f"filler {p}": p for p in range(len(ranked[q]), k)}
        place |= {name: p for p, name in places(ranked[q]) if p < k}
        gain = [truth[q].get(int(name), 0) if name.isdecimal() else 0 for name in place]
        relevant = np.array(gain) > 0
        listed = np.array(list(place.values())) < k
        assert scores.values[f"f1@{k}"][row] == pytest.approx(f1_score(relevant, listed), abs=1e-9)
        order = -np.array(list(place.values()), dtype=float)
        ideal = ndcg_score([np.exp2(gain) - 1], [order], k=k, ignore_ties=True)
        assert scores.values[f"ndcg@{k}"][row] == pytest.approx(ideal, abs=1e-9)
        candidates = [number for number, name in enumerate(place) if name.isdecimal()]
        auc = roc_auc_score(relevant[candidates], order[candidates])
        assert scores.values[f"auc@{k}"][row] == pytest.approx(auc, abs=1e-9)


def test_arithmetic_written_out() -> None:
    # Ranked: 7 (gain 1), 8 (nothing), 9 (gain 3), 5 (past the cut). Never listed: 6 (gain 2).
    truth = Truth.from_lists([{9: 3.0, 7: 1.0, 6: 2.0, 8: 0.0, 5: 1.0}])
    scores = measure(lists_of([7, 8, 9, 5]), truth, 3)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert scores.mean("ndcg@3") == pytest.approx((1 / math.log2(2) + 3 / math.log2(4)) / ideal)
    assert scores.mean("precision@3") == pytest.approx(2 / 3)
    assert scores.mean("recall@3") == pytest.approx(2 / 4)
    assert scores.mean("f1@3") == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert scores.mean("mrr@3") == 1.0
    assert scores.mean("hit_rate@3") == 1.0
    assert scores.mean("average_precision@3") == pytest.approx((1 / 1 + 2 / 3) / 4)


def test_auc_written_out() -> None:
    # Right, wrong, right, wrong; of ten candidates two more are right, and stand among the six below.
    truth = Truth.from_lists([{7: 1.0, 9: 3.0, 6: 2.0, 5: 1.0}])
    scores = measure(lists_of([7, 8, 9, 4]), truth, [3, 4], ["auc"], n_items=10)
    # Pairs of a right and a wrong one: 4 × 6. 7 is above all six, 9 above five, 6 and 5 tied with the four unlisted.
    assert scores.mean("auc@4") == pytest.approx((6 + 5 + 2 * 4 / 2) / 24)
    assert scores.mean("auc@3") == pytest.approx((6 + 5 + 2 * 5 / 2) / 24)


def test_auc_of_requests_with_candidates_of_their_own() -> None:
    truth = Truth.from_lists([{0: 1.0}, {0: 1.0}, {0: 1.0, 1: 1.0}])
    scores = measure(lists_of([1], [0], [1]), truth, 5, ["auc"], n_items=np.array([2, 5, 2]))
    assert scores.values["auc@5"].tolist() == [0.0, 1.0, 0.5]
    with pytest.raises(ConfigError, match="say how many there were in all"):
        measure(lists_of([1]), Truth.from_lists([{1: 1.0}]), 5, ["auc"])
    with pytest.raises(DataError, match="request 1 lists 3 different items or has them in its truth, but 2 cand"):
        measure(lists_of([1], [1, 2, 1]), Truth.from_lists([{1: 1.0}, {0: 1.0}]), 5, ["auc"], n_items=2)
    with pytest.raises(DataError, match="one for each of the 1 requests"):
        measure(lists_of([1]), Truth.from_lists([{1: 1.0}]), 5, ["auc"], n_items=np.array([3, 3]))


def test_a_perfect_list_scores_one_and_a_wrong_one_zero() -> None:
    truth = Truth.from_lists([{3: 2.0, 1: 1.0}])
    perfect, wrong = measure(lists_of([3, 1]), truth, 2), measure(lists_of([0, 2]), truth, 2)
    assert {name: perfect.mean(f"{name}@2") for name in METRICS} == dict.fromkeys(METRICS, 1.0)
    assert {name: wrong.mean(f"{name}@2") for name in METRICS} == dict.fromkeys(METRICS, 0.0)


def test_padding_takes_no_place() -> None:
    truth = Truth.from_lists([{2: 1.0}, {5: 1.0}])
    padded = measure(lists_of([-1, 2, -1], [-1, -1]), truth, 1)
    plain = measure(lists_of([2], []), truth, 1)
    assert all(padded.values[name].tolist() == plain.values[name].tolist() for name in plain.values)
    assert padded.values["mrr@1"].tolist() == [1.0, 0.0]


def test_a_repeated_item_earns_once_and_takes_a_place() -> None:
    scores = measure(lists_of([4, 4, 6]), Truth.from_lists([{4: 1.0, 6: 1.0}]), 2)
    assert scores.mean("recall@2") == 0.5
    assert scores.mean("precision@2") == 0.5
    assert scores.mean("ndcg@2") < 1


def test_items_beyond_those_of_the_truth_do_not_hit_the_next_request() -> None:
    # With items encoded as request * span + item, item 3 of request 0 must not look like item 0 of request 1.
    truth = Truth.from_lists([{1: 1.0}, {0: 1.0, 1: 1.0}])
    scores = measure(lists_of(list(range(2, 40)), [5]), truth, 40)
    assert scores.values["hit_rate@40"].tolist() == [0.0, 0.0]


def test_finds_what_a_plain_search_finds_in_lists_and_truths_of_every_length() -> None:
    # Enough requests for several parts, some with far more relevant items than a table has cells for each.
    rng = np.random.default_rng(0)
    known = rng.integers(0, 2**31 - 1, 3000)  # far apart, so that some share a cell
    ranked = [rng.choice([-1, *known], rng.choice([0, 3, 100, 700])).tolist() for _ in range(900)]
    truth = [dict.fromkeys(rng.choice(known, rng.choice([0, 1, 5, 600])).tolist(), 1.0) for _ in ranked]
    scores = measure(lists_of(*ranked), Truth.from_lists(truth), [5, 400], ["recall", "mrr"])
    for row, q in enumerate(scores.requests):
        shown = [item for item in ranked[q] if item >= 0]
        for k in (5, 400):
            hits = [p for p, item in enumerate(shown[:k]) if item in truth[q]]
            assert scores.values[f"recall@{k}"][row] == len({shown[p] for p in hits}) / len(truth[q])
            assert scores.values[f"mrr@{k}"][row] == (1 / (hits[0] + 1) if hits else 0)


def test_cut_offs_together_are_those_alone_in_any_order() -> None:
    rng = np.random.default_rng(1)
    ranked = lists_of(*rng.integers(0, 40, (50, 20)).tolist())
    truth = Truth.from_lists([dict.fromkeys(one, 2.0) for one in rng.integers(0, 40, (50, 6)).tolist()])
    together = measure(ranked, truth, [10, 3, 10, 50], (*METRICS, "auc"), n_items=40)
    assert list(together.values)[:9] == [*(f"{name}@10" for name in (*METRICS, "auc")), "ndcg@3"]
    for k in (3, 10, 50):
        alone = measure(ranked, truth, k, (*METRICS, "auc"), n_items=40)
        for name, values in alone.values.items():
            np.testing.assert_allclose(together.values[name], values, rtol=0, atol=1e-12)


def test_nothing_to_measure() -> None:
    scores = measure(lists_of([1], []), Truth.from_lists([{}, {1: 0.0}]), 10)
    assert scores.n_left_out == 2
    assert math.isnan(scores.mean("ndcg@10"))
    empty = measure(lists_of(), Truth.from_lists([]), 10, ["ndcg", "auc"], n_items=5)
    assert len(empty.values["ndcg@10"]) == len(empty.values["auc@10"]) == 0
    assert measure(lists_of([1]), Truth.from_lists([{1: 1.0}]), []).values == {}


def test_a_huge_cut_off_is_the_whole_list() -> None:
    truth = Truth.from_lists([{2: 1.0}])
    assert measure(lists_of([1, 2]), truth, 10**9).mean(f"recall@{10**9}") == 1.0


@given(batches(), st.data())
@settings(deadline=None, max_examples=40)
def test_a_request_is_measured_alike_alone_and_in_a_batch(
    batch: tuple[list[list[int]], list[dict[int, int]]], data: st.DataObject
) -> None:
    ranked, truth = batch
    q = data.draw(st.integers(0, len(ranked) - 1))
    whole = Truth.from_lists([dict(one) for one in truth])
    together, alone = measure(lists_of(*ranked), whole, 5), measure(lists_of(ranked[q]), whole.slice(q, q + 1), 5)
    row = np.flatnonzero(together.requests == q)
    for name, values in alone.values.items():
        assert together.values[name][row].tolist() == values.tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda t: measure(lists_of([1]), t, 0), "1 or more. Got 0"),
        (lambda t: measure(lists_of([1]), t, 10, ["ndgc"]), "Did you mean 'ndcg'"),
        (lambda t: measure(lists_of([1]), t, 10, gain="log"), "'linear' or 'exponential'"),  # type: ignore[arg-type]
        (lambda t: measure(lists_of([1]), t, 10, ["mrr"]).mean("mrr@5"), "Did you mean 'mrr@10'"),
    ],
)
def test_wrong_options_are_named(wrong: Callable[[Truth], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrong(Truth.from_lists([{1: 1.0}]))


def test_wrong_data_are_named() -> None:
    with pytest.raises(DataError, match="truth of 2 requests"):
        measure(lists_of([1]), Truth.from_lists([{}, {}]))
    with pytest.raises(DataError, match="has gain -1"):
        Truth.from_lists([{1: 1.0}, {2: -1.0}])
    with pytest.raises(DataError, match="has gain nan"):
        Truth.from_lists([{1: math.nan}])
    with pytest.raises(DataError, match="request 1 names item 3 twice"):
        Truth(np.array([0, 1, 3]), np.array([3, 3, 3], dtype=np.int32), np.ones(3))
    with pytest.raises(DataError, match="do not fit"):
        Truth(np.array([0, 1]), np.array([3, 4], dtype=np.int32), np.ones(2))
    with pytest.raises(DataError, match="too large"):
        measure(lists_of([1]), Truth.from_lists([{1: 2000.0}]), gain="exponential")


def test_truth_can_be_cut() -> None:
    truth = Truth.from_lists([{1: 1.0}, {2: 2.0, 3: 0.0}, {}, {4: 4.0}])
    taken = truth.take(np.array([3, 1]))
    assert taken.offsets.tolist() == [0, 1, 3]
    assert taken.item.tolist() == [4, 2, 3]
    assert taken.gain.tolist() == [4.0, 2.0, 0.0]
    assert truth.take(np.array([False, True, True, False])).n_relevant.tolist() == [1, 0]
