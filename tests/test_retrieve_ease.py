"""EASE against an explicit constrained least squares, one item at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from planted import asked, items_of, lists_of, log_of
from vetrina.core import EventKind, EventLog
from vetrina.core.errors import ConfigError
from vetrina.retrieve import Ease, ease
from vetrina.retrieve.ease import closed_form

N = 12
ITEMS = items_of(N)
BUY, VIEW = EventKind.purchase, EventKind.view
Doubles = npt.NDArray[np.float64]


def people(seed: int = 0) -> tuple[EventLog, Doubles]:
    """(log, shoppers × items): who viewed (log 2) or bought (log 4) what of the first eleven items."""
    rng = np.random.default_rng(seed)
    done = np.where(rng.random((25, N)) < 0.3, rng.choice([1.0, 3.0], (25, N)), 0)
    done[:, N - 1] = 0
    events = [
        (0.0, f"s{who:02d}", BUY if done[who, item] > 1 else VIEW, int(item))
        for who, item in zip(*np.nonzero(done), strict=True)
    ]
    return log_of(ITEMS, events), np.log1p(done)


def literal(chosen: Doubles, penalty: float) -> Doubles:
    """Ridge regression of each column on all others, as least squares with a row for each penalty."""
    n_items = chosen.shape[1]
    weights = np.zeros((n_items, n_items))
    for item in range(n_items):
        others = np.delete(np.arange(n_items), item)
        left = np.vstack([chosen[:, others], np.sqrt(penalty) * np.eye(len(others))])
        right = np.concatenate([chosen[:, item], np.zeros(len(others))])
        weights[others, item] = np.linalg.lstsq(left, right, rcond=None)[0]
    return weights


@pytest.mark.parametrize("penalty", [1.0, 20.0])
def test_scores_are_those_of_the_constrained_least_squares(penalty: float) -> None:
    log, chosen = people()
    source = Ease(regularisation=penalty, half_life_days=10.0).fit(ITEMS, log)
    weights = literal(chosen, penalty)
    np.testing.assert_allclose(source.weights_, weights[: N - 1, : N - 1], atol=1e-5)
    requests = asked([[(0, BUY, 10.0), (3, VIEW, 0.0), (3, BUY, 20.0)], [(5, BUY, 10.0)], []])
    profiles = np.zeros((3, N))
    profiles[0, [0, 3]], profiles[1, 5] = np.log1p([1.5, 1.75]), np.log1p(1.5)
    expected = profiles @ weights
    got = source.score(requests, lists_of(*[range(N)] * 3)).reshape(3, N)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert expected.min() < -1e-3  # what goes against an item is said too, and never found
    ids, _ = source.retrieve(requests, N, None)
    assert [set(row[row >= 0].tolist()) for row in ids] == [set(np.flatnonzero(row > 0).tolist()) for row in expected]


def test_a_random_matrix_of_another_size_has_the_same_weights() -> None:
    chosen = np.random.default_rng(1).normal(size=(90, 61))
    gram = (chosen.T @ chosen).astype(np.float32)
    np.testing.assert_allclose(closed_form(gram, 7.0), literal(chosen, 7.0), atol=1e-4)


def test_what_a_third_item_explains_is_not_counted_twice() -> None:
    """Item 2 goes with 0, and 0 with 1: a cosine says that 2 is like 1 too, a regression that it is not."""
    rng = np.random.default_rng(0)
    middle = rng.random(400) < 0.5
    ends = [np.where(rng.random(400) < 0.8, middle, ~middle) for _ in range(2)]
    events = [
        (0.0, f"s{who:03d}", BUY, item)
        for item, column in ((0, middle), (1, ends[0]), (2, ends[1]))
        for who in np.flatnonzero(column)
    ]
    source = Ease(regularisation=1.0).fit(ITEMS, log_of(ITEMS, events))
    weights = source.weights_
    assert weights[0, 1] > 4 * abs(weights[2, 1])
    assert weights[0, 2] > 4 * abs(weights[1, 2])


def test_only_what_most_shoppers_chose_is_learned() -> None:
    log, chosen = people()
    source = Ease(items=4, regularisation=5.0).fit(ITEMS, log)
    shoppers = np.count_nonzero(chosen, axis=0)
    most = np.sort(np.argsort(-shoppers, kind="stable")[:4])
    assert source.inside_.tolist() == most.tolist()
    np.testing.assert_allclose(source.weights_, literal(chosen[:, most], 5.0), atol=1e-5)
    outside = np.setdiff1d(np.arange(N), most)
    said_outside = asked([[(int(item), BUY, 0.0) for item in outside]])
    assert source.retrieve(said_outside, 3, None)[0].tolist() == [[-1, -1, -1]]
    everything = asked([[(item, BUY, 0.0) for item in range(N)]])
    assert not source.score(everything, lists_of(outside.tolist())).any()
    assert source.score(everything, lists_of(most.tolist())).any()


def test_the_gram_matrix_is_made_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = people(2)
    whole = Ease().fit(ITEMS, log).weights_
    monkeypatch.setattr(ease, "_CELLS_AT_ONCE", 3 * (N - 1))
    np.testing.assert_array_equal(Ease().fit(ITEMS, log).weights_, whole)


def test_a_penalty_that_float32_does_not_see_is_an_error() -> None:
    gram = np.full((2, 2), 1e9, dtype=np.float32)
    with pytest.raises(ConfigError, match=r"ease\.regularisation: 1 is too small .* ten times"):
        closed_form(gram, 1.0)
    with pytest.raises(ConfigError, match="regularisation"):
        Ease(regularisation=0.5)
