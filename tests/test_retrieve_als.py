"""ALS against the library's own solution, and against the normal equations written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from planted import asked, items_of, lists_of, log_of
from vetrina.core import EventKind, EventLog
from vetrina.retrieve import Als, factors
from vetrina.retrieve.factors import least_squares

N = 12
ITEMS = items_of(N)
BUY, VIEW = EventKind.purchase, EventKind.view
Doubles = npt.NDArray[np.float64]
OPTIONS: dict[str, Any] = {"factors": 5, "regularisation": 2.0, "alpha": 3.0, "iterations": 8}


def people(seed: int = 0) -> tuple[EventLog, Doubles]:
    """(log, shoppers × items): log(1 + weight) of what thirty shoppers viewed or bought of the first eleven items."""
    rng = np.random.default_rng(seed)
    done = np.where(rng.random((30, N)) < 0.3, rng.choice([1.0, 3.0], (30, N)), 0)
    done[:, N - 1] = 0
    events = [
        (0.0, f"s{who:02d}", BUY if done[who, item] > 1 else VIEW, int(item))
        for who, item in zip(*np.nonzero(done), strict=True)
    ]
    return log_of(ITEMS, events), np.log1p(done)


def library(chosen: Doubles) -> AlternatingLeastSquares:
    """implicit's model of the same shoppers, in the order in which the log knows them."""
    confidence = sparse.csr_matrix(np.where(chosen > 0, 1 + 3.0 * chosen, 0).astype(np.float32))
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=5, regularization=2.0, alpha=1.0, iterations=8, random_state=0)
        model.fit(confidence, show_progress=False)
    return model


def literal(item_factors: Doubles, done: Doubles) -> Doubles:
    """The factors of one shopper by the paper's normal equations, with one diagonal matrix for all items."""
    confidence = np.diag(1 + 3.0 * done)
    left = item_factors.T @ confidence @ item_factors + 2.0 * np.eye(item_factors.shape[1])
    return np.asarray(np.linalg.solve(left, item_factors.T @ confidence @ (done > 0)), dtype=np.float64)


def test_item_factors_are_those_of_the_library() -> None:
    log, chosen = people()
    order = [int(name[1:]) for name in log.shoppers]
    source = Als(**OPTIONS).fit(ITEMS, log)
    np.testing.assert_allclose(source.factors_, library(chosen[order]).item_factors, atol=1e-6)
    assert not source.factors_[N - 1].any()


def test_a_window_is_folded_in_by_the_papers_half_step() -> None:
    log, _ = people()
    source = Als(**OPTIONS, half_life_days=10.0).fit(ITEMS, log)
    windows = [[(0, BUY, 10.0), (3, VIEW, 0.0), (3, BUY, 20.0)], [(5, BUY, 0.0)], [], [(N - 1, BUY, 0.0)]]
    done = np.zeros((4, N))
    done[0, [0, 3]], done[1, 5] = np.log1p([1.5, 1.75]), np.log1p(3)
    expected = np.array([source.factors_ @ literal(source.factors_.astype(float), row) for row in done])
    got = source.score(asked(windows), lists_of(*[range(N)] * 4)).reshape(4, N)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got[:2].any(axis=1).all()
    assert not got[2:].any()
    ids, _ = source.retrieve(asked(windows), N, None)
    assert [set(row[row >= 0].tolist()) for row in ids] == [set(np.flatnonzero(row > 0).tolist()) for row in expected]


def test_the_half_step_of_everybody_is_that_of_the_librarys_solvers() -> None:
    """Its Cholesky factorisation in full, and its conjugate gradients to within what they leave."""
    _, chosen = people(1)
    model = library(chosen)
    extra = sparse.csr_array(3.0 * chosen)
    factors_ = model.item_factors.astype(float)
    got = least_squares(model.item_factors, factors_.T @ factors_ + 2.0 * np.eye(5), extra)
    confidence = sparse.csr_matrix((extra.data + 1, extra.indices, extra.indptr), shape=extra.shape).astype(np.float32)
    rows = np.arange(len(chosen))
    with threadpool_limits(1, "blas"):
        model.use_cg = False
        np.testing.assert_allclose(got, model.recalculate_user(rows, confidence), atol=2e-5)
        model.use_cg, model.cg_steps = True, 40
        np.testing.assert_allclose(got, model.recalculate_user(rows, confidence), atol=2e-4)
    assert got.all(axis=1).any()


def test_long_windows_are_solved_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = people(2)
    source = Als(**OPTIONS).fit(ITEMS, log)
    requests = asked([[(item, BUY, 1.0) for item in range(count)] for count in (0, 9, 2, 0, 5)])
    lists = lists_of(*[range(N)] * 5)
    whole = source.score(requests, lists)
    monkeypatch.setattr(factors, "_CELLS_AT_ONCE", 2 * 9 * 5)  # two requests at once
    np.testing.assert_allclose(source.score(requests, lists), whole, rtol=1e-6)
    assert whole.any()


def test_the_seed_alone_decides() -> None:
    log, _ = people()
    first, again, other = (Als(factors=3, iterations=1, seed=seed).fit(ITEMS, log).factors_ for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_evidence_is_the_item_that_adds_most_to_the_product() -> None:
    """With the confidences as they are, a score is the sum of what it is with each past item's preference alone."""
    log, _ = people(3)
    source = Als(**OPTIONS).fit(ITEMS, log)
    factors_ = source.factors_.astype(float)
    requests = asked([[(0, BUY, 1.0), (4, VIEW, 0.0), (7, BUY, 40.0)]])
    done = np.zeros(N)
    done[[0, 4, 7]] = np.log1p([3 * 2 ** (-1 / 30), 1, 3 * 2 ** (-40 / 30)])
    confidence = np.diag(1 + 3.0 * done)
    left = factors_.T @ confidence @ factors_ + 2.0 * np.eye(5)
    parts = np.array([factors_ @ np.linalg.solve(left, factors_[one] * confidence[one, one]) for one in (0, 4, 7)])
    every = lists_of(range(N))
    np.testing.assert_allclose(parts.sum(axis=0), source.score(requests, every), atol=1e-5)
    parts[[0, 1, 2], [0, 4, 7]] = 0  # no item is its own reason
    expected = np.where(parts.max(axis=0) > 0, np.array([0, 4, 7])[parts.argmax(axis=0)], -1)
    assert source.strongest(requests, every).tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 2
