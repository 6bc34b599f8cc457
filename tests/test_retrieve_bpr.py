"""BPR against the library's own factors, and a window's mean written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy import sparse

from planted import asked, items_of, lists_of, log_of
from vetrina.core import EventKind, EventLog
from vetrina.core.errors import ConfigError
from vetrina.retrieve import Bpr

N = 12
ITEMS = items_of(N)
BUY, VIEW = EventKind.purchase, EventKind.view
Doubles = npt.NDArray[np.float64]


def people(seed: int = 0) -> tuple[EventLog, Doubles]:
    """(log, shoppers × items): who bought what of the first eleven items."""
    rng = np.random.default_rng(seed)
    bought = rng.random((30, N)) < 0.3
    bought[:, N - 1] = False
    events = [(0.0, f"s{who:02d}", BUY, int(item)) for who, item in zip(*np.nonzero(bought), strict=True)]
    return log_of(ITEMS, events), bought.astype(np.float64)


def library(chosen: Doubles) -> Doubles:
    """implicit's factors of the items of the same shoppers, in the order in which the log knows them."""
    model = BayesianPersonalizedRanking(
        factors=4, learning_rate=0.05, regularization=0.01, iterations=20, num_threads=1, random_state=3
    )
    model.fit(sparse.csr_matrix(chosen.astype(np.float32)), show_progress=False)
    return np.asarray(model.item_factors, dtype=np.float64)


def test_scores_are_the_chance_against_what_people_choose() -> None:
    log, bought = people()
    learned = library(bought[[int(name[1:]) for name in log.shoppers]])
    source = Bpr(factors=4, iterations=20, seed=3, half_life_days=10.0).fit(ITEMS, log)
    usual = np.repeat(learned, bought.sum(axis=0).astype(int), axis=0).mean(axis=0)
    weight = np.log1p([1.5, 1.75])
    mean = (weight[0] * learned[0, :4] + weight[1] * learned[3, :4]) / weight.sum()
    expected = []
    for x in (mean, learned[5, :4]):
        above = learned[:, :4] @ x + learned[:, 4] - (usual[:4] @ x + usual[4])
        expected.append(np.where(np.arange(N) < N - 1, 1 / (1 + np.exp(-above)), 0))
    requests = asked([[(0, BUY, 10.0), (3, VIEW, 0.0), (3, BUY, 20.0), (N - 1, BUY, 0.0)], [(5, BUY, 99.0)], []])
    got = source.score(requests, lists_of(*[range(N)] * 3)).reshape(3, N)
    np.testing.assert_allclose(got[:2], expected, atol=1e-5)
    assert not got[2].any()
    ids, _ = source.retrieve(requests, N, None)
    assert (ids[0, 0], ids[1, 0]) == (np.argmax(expected[0]), np.argmax(expected[1]))
    assert np.count_nonzero(ids >= 0, axis=1).tolist() == [N - 1, N - 1, 0]


def test_the_evidence_is_the_item_that_adds_most_to_the_mean() -> None:
    log, bought = people(1)
    learned = library(bought[[int(name[1:]) for name in log.shoppers]])
    source = Bpr(factors=4, iterations=20, seed=3).fit(ITEMS, log)
    usual = np.repeat(learned, bought.sum(axis=0).astype(int), axis=0).mean(axis=0)
    past = [0, 4, 7]
    parts = np.log1p([[3], [1], [3]]) * (learned[past, :4] @ (learned[:, :4] - usual[:4]).T)
    parts[[0, 1, 2], past] = 0  # no item is its own reason
    expected = np.where(parts.max(axis=0) > 0, np.array(past)[parts.argmax(axis=0)], -1)
    window = asked([[(0, BUY, 0.0), (4, VIEW, 0.0), (7, BUY, 0.0)]])
    strongest = source.strongest(window, lists_of(range(N - 1)))
    assert strongest.tolist() == expected[: N - 1].tolist()
    assert len(set(strongest.tolist())) > 2


def test_the_seed_alone_decides() -> None:
    log, _ = people()
    first, again, other = (Bpr(factors=3, iterations=2, seed=seed).fit(ITEMS, log).factors_ for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_steps_too_large_are_an_error_of_ours() -> None:
    with pytest.raises(ConfigError, match=r"retriever\.bpr: with learning_rate 10000 .* ten times smaller"):
        Bpr(factors=3, learning_rate=1e4).fit(ITEMS, people()[0])
