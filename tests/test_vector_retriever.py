"""Vector retrievers from outside: against a literal search, with filters, exact and by index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from planted import asked, nothing
from vetrina.core import (
    EventKind,
    ItemList,
    Items,
    Query,
    component_class,
)
from vetrina.core.errors import NotFitted
from vetrina.retrieve.vector import PhotoVector, TextVector, Vector

N = 60

Floats = npt.NDArray[np.float32]


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    length: npt.NDArray[np.floating] = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / length, dtype=np.float32)


def catalogue(n: int = N, dim: int = 8, seed: int = 0) -> Items:
    rng = np.random.default_rng(seed)
    vectors = {name: unit(rng.normal(size=(n, dim))) for name in ("fused", "text", "photo")}
    vectors["photo"][::3] = 0  # every third has no photo
    return Items(pl.DataFrame({"item": [str(row) for row in range(n)]}), vectors)


def literal(items: Items, modality: str, sought: Floats, k: int, allowed: set[int], leave: int = -1) -> list[int]:
    """The slow way: every allowed item that has the modality, by cosine, one at a time."""
    rows = items.vectors[modality]
    cosine = {row: float(rows[row] @ sought) for row in sorted(allowed) if rows[row].any() and row != leave}
    return sorted(cosine, key=lambda row: -cosine[row])[:k]


@pytest.fixture(scope="module")
def items() -> Items:
    return catalogue()


@pytest.fixture(scope="module")
def vector(items: Items) -> Vector:
    return Vector(half_life_days=10.0).fit(items, nothing(items))


def test_like_an_item_gives_its_neighbours_without_itself(items: Items, vector: Vector) -> None:
    ids, scores = vector.retrieve(asked([[], []], [Query(like=3), Query(like=9, text="and words")]), 7, None)
    for row, like in enumerate((3, 9)):
        sought = items.vectors["fused"][like]
        assert ids[row].tolist() == literal(items, "fused", sought, 7, set(range(N)), leave=like)
        np.testing.assert_allclose(scores[row], items.vectors["fused"][ids[row]] @ sought, atol=1e-6)
    assert ids.dtype == np.int32
    assert scores.dtype == np.float32


def test_the_window_is_a_decayed_weighted_mean(items: Items, vector: Vector) -> None:
    """Written out: a purchase 10 days old counts 3 / 2, a view of now 1, a hide of now -1/2."""
    requests = asked([[(4, EventKind.purchase, 10), (5, EventKind.view, 0), (6, EventKind.hide, 0)]])
    rows = items.vectors["fused"]
    sought = unit((1.5 * rows[4] + 1.0 * rows[5] - 0.5 * rows[6])[None])[0]
    ids, scores = vector.retrieve(requests, 10, None)
    assert ids[0].tolist() == literal(items, "fused", sought, 10, set(range(N)))
    np.testing.assert_allclose(scores[0], rows[ids[0]] @ sought, atol=1e-5)


def test_nothing_sought_nothing_found(vector: Vector) -> None:
    ids, scores = vector.retrieve(asked([[], [(4, EventKind.view, 1)]], [Query(), Query(text="shoes")]), 5, None)
    assert np.all(ids == -1)
    assert np.all(np.isneginf(scores))
    ids, _ = vector.retrieve(asked([]), 5, None)
    assert ids.shape == (0, 5)


@pytest.mark.parametrize("k", [0, 1, N - 1, N + 40])
def test_any_k_is_answered_and_padded(items: Items, vector: Vector, k: int) -> None:
    ids, scores = vector.retrieve(asked([[]], [Query(like=0)]), k, None)
    assert ids.shape == scores.shape == (1, k)
    expected = literal(items, "fused", items.vectors["fused"][0], k, set(range(N)), leave=0)
    assert ids[0, : len(expected)].tolist() == expected
    assert np.all(ids[0, len(expected) :] == -1)
    assert np.all(np.isneginf(scores[0, len(expected) :]))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("options", [{}, {"exact_below": 10, "searched": 0.05}], ids=["exact", "index"])
def test_a_filter_loses_nothing(items: Items, share: float, options: dict[str, Any]) -> None:
    retriever = Vector(**options).fit(items, nothing(items))
    rng = np.random.default_rng(1)
    likes = [0, 7, 21, 33]
    allowed = rng.random((len(likes), N)) < share
    ids, _ = retriever.retrieve(asked([[]] * 4, [Query(like=like) for like in likes]), N, allowed)
    for row, like in enumerate(likes):
        kept = set(np.flatnonzero(allowed[row]).tolist())
        assert set(ids[row][ids[row] >= 0].tolist()) == kept - {like}


def test_an_encoded_query_finds_by_its_modality(items: Items) -> None:
    sought = unit(np.random.default_rng(2).normal(size=(3, 8)))
    sought[1] = 0
    requests = asked([[], [(1, EventKind.view, 0)], []], vectors={"text": sought, "photo": sought})
    for retriever, modality in ((TextVector(), "text"), (PhotoVector(), "photo")):
        ids, _ = retriever.fit(items, nothing(items)).retrieve(requests, 50, None)
        assert np.all(ids[1] == -1)
        for row in (0, 2):
            expected = literal(items, modality, sought[row], 50, set(range(N)))
            assert ids[row, : len(expected)].tolist() == expected
            assert np.all(ids[row, len(expected) :] == -1)  # items without a photo are no candidates


def test_without_vectors_of_the_modality_nothing_is_found() -> None:
    bare = Items(catalogue().table)
    requests = asked([[(1, EventKind.view, 0)]], vectors={"text": unit(np.ones((1, 8)))})
    for retriever in (Vector(), TextVector()):
        retriever.fit(bare, nothing(bare))
        assert np.all(retriever.retrieve(requests, 4, None)[0] == -1)
        assert retriever.score(requests, ItemList.from_lists([np.array([0, 1], dtype=np.int32)])).tolist() == [0, 0]


def test_batch_equals_single(items: Items, vector: Vector) -> None:
    rng = np.random.default_rng(3)
    histories = [[(int(item), EventKind.click, 1.0) for item in rng.integers(0, N, size)] for size in (1, 3, 0, 5)]
    requests = asked(histories, [Query(), Query(like=2), Query(), Query()])
    allowed = rng.random((4, N)) < 0.6
    ids, scores = vector.retrieve(requests, 9, allowed)
    for row in range(4):
        one, value = vector.retrieve(requests.slice(row, row + 1), 9, allowed[row : row + 1])
        np.testing.assert_array_equal(one[0], ids[row])
        np.testing.assert_allclose(value[0], scores[row], atol=1e-5)


def test_score_is_the_cosine_of_given_rows(items: Items, vector: Vector) -> None:
    requests = asked([[(4, EventKind.view, 0)], []], [Query(text="words do not matter here"), Query()])
    lists = ItemList.from_lists([np.array([4, 8], dtype=np.int32), np.array([1], dtype=np.int32)])
    rows = items.vectors["fused"]
    np.testing.assert_allclose(vector.score(requests, lists), [1, rows[4] @ rows[8], 0], atol=1e-5)


def test_the_index_finds_nearly_what_comparing_all_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(40, 16))
    rows = unit(centres[rng.integers(0, 40, 4_000)] + 0.4 * rng.normal(size=(4_000, 16)))
    large = Items(pl.DataFrame({"item": [str(row) for row in range(4_000)]}), {"fused": rows})
    requests = asked([[]] * 50, [Query(like=like) for like in range(50)])
    best, _ = Vector().fit(large, nothing(large)).retrieve(requests, 20, None)
    retriever = Vector(exact_below=1_000, searched=0.125).fit(large, nothing(large))
    found, scores = retriever.retrieve(requests, 20, None)
    recall = np.mean([len(set(one) & set(other)) / 20 for one, other in zip(found, best, strict=True)])
    assert recall > 0.9
    assert np.all(np.diff(scores, axis=1) <= 0)
    retriever.save(tmp_path / "vector")
    assert (tmp_path / "vector" / "index.faiss").exists()
    loaded = component_class("retriever", "vector").load(tmp_path / "vector")
    assert isinstance(loaded, Vector)
    again, values = loaded.bind(large).retrieve(requests, 20, None)
    np.testing.assert_array_equal(again, found)
    np.testing.assert_array_equal(values, scores)
    second = Vector(exact_below=1_000, searched=0.125).fit(large, nothing(large))
    np.testing.assert_array_equal(second.retrieve(requests, 20, None)[0], found)


def test_saved_and_loaded_without_an_index(items: Items, vector: Vector, tmp_path: Path) -> None:
    vector.save(tmp_path)
    loaded = Vector.load(tmp_path)
    with pytest.raises(NotFitted, match="vector"):
        loaded.retrieve(asked([[]]), 3, None)
    requests = asked([[(4, EventKind.view, 0)]])
    np.testing.assert_array_equal(
        loaded.bind(items).retrieve(requests, 5, None)[0], vector.retrieve(requests, 5, None)[0]
    )
