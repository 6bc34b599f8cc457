"""Merging sources, and the helpers that sources share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from planted import NOW, asked, items_of, lists_of, log_of, nothing
from vetrina.core import DAY, EventKind, Query, Requests
from vetrina.retrieve import History, Lexical, Popular, Retriever, merge, reciprocal_rank
from vetrina.retrieve.base import pick, top_k, top_k_of_sparse

ITEMS = items_of(8, title=["red dress", "red shoe", "blue dress", "blue shoe", "hat", "bag", "sock", "tie"])
LOG = log_of(ITEMS, [(0.0, "a", EventKind.purchase, item) for item in (4, 4, 4, 5, 5, 6)])


@pytest.fixture(scope="module")
def sources() -> dict[str, Retriever]:
    made: dict[str, Retriever] = {"lexical": Lexical(), "history": History(), "popular": Popular()}
    return {name: source.fit(ITEMS, LOG) for name, source in made.items()}


def requests() -> Requests:
    histories = [[(7, EventKind.purchase, 1.0)], [], [(0, EventKind.view, 1.0), (5, EventKind.view, 1.0)]]
    return asked(histories, [Query(text="red"), Query(), Query(text="dress")], now=NOW + 2 * DAY)


@pytest.mark.parametrize("share", [None, 0.6])
def test_a_list_is_the_union_of_what_the_sources_found_with_every_sources_score(
    sources: dict[str, Retriever], share: float | None
) -> None:
    allowed = None if share is None else np.random.default_rng(0).random((3, 8)) < share
    k = {"lexical": 5, "history": 4, "popular": 2}
    lists = merge(sources, requests(), k, allowed)
    found = {name: source.retrieve(requests(), k[name], allowed)[0] for name, source in sources.items()}
    for row in range(3):
        union = {item for ids in found.values() for item in ids[row].tolist() if item >= 0}
        assert lists.list_of(row).tolist() == sorted(union)
    assert set(lists.columns) == {*sources, "rrf"}
    places = {row: dict.fromkeys(lists.list_of(row).tolist(), 0.0) for row in range(3)}
    for ids in found.values():
        for row in range(3):
            for rank, item in enumerate(ids[row][ids[row] >= 0].tolist(), start=1):
                places[row][item] += 1 / (60 + rank)
    wanted = [places[row][item] for row in range(3) for item in lists.list_of(row).tolist()]
    np.testing.assert_allclose(lists.columns["rrf"].astype(np.float64), wanted, rtol=1e-5)
    for name, source in sources.items():
        np.testing.assert_array_equal(lists.columns[name], source.score(requests(), lists))


def test_a_source_also_scores_what_another_brought(sources: dict[str, Retriever]) -> None:
    lists = merge(sources, requests().slice(0, 1), {"lexical": 1, "history": 0, "popular": 1}, None)
    assert lists.item.tolist() == [0, 4]
    assert lists.columns["popular"][1] > lists.columns["popular"][0] == 0
    assert lists.columns["lexical"][0] > lists.columns["lexical"][1] == 0


def test_what_two_rankings_agree_on_comes_first() -> None:
    """Written out: item 3 is second twice, 2/62; 0 and 9 are first once, 1/61; 5 is third once, 1/63."""
    lists = reciprocal_rank([np.array([[0, 3, -1], [-1, -1, -1]]), np.array([[9, 3, 5], [2, -1, -1]])])
    assert lists.offsets.tolist() == [0, 4, 5]
    assert lists.item.tolist() == [0, 3, 5, 9, 2]
    np.testing.assert_allclose(
        lists.columns["rrf"].astype(np.float64), [1 / 61, 2 / 62, 1 / 63, 1 / 61, 1 / 61], rtol=1e-6
    )
    assert lists.sorted_by("rrf", 2).item.tolist() == [3, 0, 2]


def test_nothing_found_and_nobody_asking(sources: dict[str, Retriever]) -> None:
    nobody = merge(sources, requests().slice(0, 0), dict.fromkeys(sources, 3), None)
    assert len(nobody) == len(nobody.item) == 0
    none = merge(sources, requests(), dict.fromkeys(sources, 3), np.zeros((3, 8), dtype=bool))
    assert none.sizes.tolist() == [0, 0, 0]
    assert {name: column.shape for name, column in none.columns.items()} == dict.fromkeys(["rrf", *sources], (0,))


def test_of_an_empty_catalogue() -> None:
    bare = items_of(0)
    source = {"popular": Popular().fit(bare, nothing(bare))}
    assert merge(source, asked([[], []]), {"popular": 4}, None).sizes.tolist() == [0, 0]


scores = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]),
)


@given(scores, st.integers(0, 9), st.booleans())
def test_top_k_against_sorting(dense: npt.NDArray[np.float32], k: int, filtered: bool) -> None:
    allowed = np.random.default_rng(k).random(dense.shape) < 0.5 if filtered else None
    ids, best = top_k(dense, k, allowed)
    assert ids.shape == best.shape == (len(dense), k)
    for row in range(len(dense)):
        items = [i for i in range(dense.shape[1]) if dense[row, i] > 0 and (allowed is None or allowed[row, i])]
        literal = sorted((-float(dense[row, item]), item) for item in items)[:k]  # of equal scores the lower item
        missing = k - len(literal)
        assert ids[row].tolist() == [item for _, item in literal] + [-1] * missing
        assert best[row].tolist() == [-score for score, _ in literal] + [-np.inf] * missing


@given(scores, st.integers(0, 9), st.booleans(), st.integers(0, 30))
def test_of_sparse_scores_the_same_are_found(
    dense: npt.NDArray[np.float32], k: int, filtered: bool, empty: int
) -> None:
    """With so many more items that nothing is said of, and so with few of each row there."""
    dense = np.concatenate([np.zeros((len(dense), empty), dtype=np.float32), dense], axis=1)
    allowed = np.random.default_rng(k).random(dense.shape) < 0.5 if filtered else None
    found, wanted = top_k_of_sparse(sparse.csr_array(dense), k, allowed), top_k(dense, k, allowed)
    for got, there in zip(found, wanted, strict=True):
        assert got.dtype == there.dtype
        np.testing.assert_array_equal(got, there)


def test_pick_reads_entries_of_a_sparse_matrix() -> None:
    matrix = sparse.csr_array(np.array([[0, 2, 0], [5, 0, 7]], dtype=np.float32))
    assert pick(matrix, lists_of([1, 2], [0, 2])).tolist() == [2, 0, 5, 7]
    assert pick(matrix, lists_of([], [])).shape == (0,)


@pytest.mark.parametrize("rows", [3, 2_000])
def test_pick_of_few_and_of_many_rows(rows: int) -> None:
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((20, 300)) < 0.1, rng.random((20, 300)), 0).astype(np.float32)
    lists = lists_of(*[rng.integers(0, 300, rows // 20 + 1).tolist() for _ in range(20)])
    np.testing.assert_array_equal(pick(sparse.csr_array(dense), lists), dense[lists.row, lists.item])
