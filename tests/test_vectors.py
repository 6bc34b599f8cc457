"""Fusing and reducing vectors, against literal arithmetic and an independent library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.decomposition
import sklearn.random_projection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vetrina.core.errors import ConfigError, DataError, NotFitted
from vetrina.vectors import PCA, SVD, RandomProjection, Reducer, fuse

Floats = npt.NDArray[np.float64]


def matrices(n: int, dim: int) -> st.SearchStrategy[Floats]:
    values = st.floats(-10, 10, allow_nan=False).map(lambda value: 0.0 if abs(value) < 1e-3 else value)
    return hnp.arrays(np.float64, (n, dim), elements=values)


def cosines(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1)
    return np.asarray(unit @ unit.T)


@settings(max_examples=60, deadline=None)
@given(matrices(4, 3), matrices(4, 2), st.floats(0.1, 5), st.floats(0.1, 5))
def test_dot_products_are_weighted_means_of_cosines(text: Floats, photo: Floats, first: float, second: float) -> None:
    fused = fuse({"text": text, "photo": photo}, {"text": first, "photo": second})
    has = np.stack([text.any(axis=1), photo.any(axis=1)])
    mass = np.array([first, second]) @ has  # per item, the weight of what it has
    expected = first * cosines(text) + second * cosines(photo)
    expected /= np.sqrt(np.where(mass > 0, mass, 1)[:, None] * np.where(mass > 0, mass, 1))
    np.testing.assert_allclose(fused @ fused.T, expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(matrices(5, 3), matrices(5, 4))
def test_rows_have_unit_length_unless_the_item_has_nothing(text: Floats, photo: Floats) -> None:
    fused = fuse({"text": text, "photo": photo}, {"text": 1.0, "photo": 0.3})
    assert fused.dtype == np.float32
    assert fused.shape == (5, 7)
    known = text.any(axis=1) | photo.any(axis=1)
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), known.astype(float), atol=1e-5)


def test_an_item_without_a_modality_is_not_shrunk() -> None:
    """Written out: same text, one without photo, equal weights: 1 * 1 / sqrt(2 * 1)."""
    fused = fuse({"text": np.array([[2.0], [3.0]]), "photo": np.array([[1.0], [0.0]])}, {"text": 1, "photo": 1})
    np.testing.assert_allclose(fused, [[np.sqrt(0.5), np.sqrt(0.5)], [1, 0]], atol=1e-6)


def test_a_modality_without_weight_is_left_out() -> None:
    rows = {"text": np.ones((2, 3)), "photo": np.ones((2, 5))}
    assert fuse(rows, {"text": 1.0}).shape == fuse(rows, {"text": 1.0, "photo": 0.0}).shape == (2, 3)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"txet": 1.0}, "Did you mean 'text'"),
        ({"text": -1.0}, "not below 0. Got -1.0"),
        ({"text": float("nan")}, "not below 0. Got nan"),
        ({"text": 0.0}, "no modality has a weight above 0"),
        ({}, "no modality has a weight above 0"),
    ],
)
def test_wrong_weights(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fuse({"text": np.ones((1, 1))}, weights)


def test_modalities_of_different_catalogues() -> None:
    with pytest.raises(DataError, match=r"'text': 2, 'photo': 3"):
        fuse({"text": np.ones((2, 1)), "photo": np.ones((3, 1))}, {"text": 1, "photo": 1})


@pytest.fixture
def rows() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(200, 4)) @ rng.normal(size=(4, 12)) + rng.normal(size=(200, 12))).astype(np.float32)


def test_pca_agrees_with_scikit_learn(rows: npt.NDArray[np.float32]) -> None:
    reducer = PCA(dim=5).fit(rows)
    other = sklearn.decomposition.PCA(5, svd_solver="full").fit(rows)
    np.testing.assert_allclose(reducer.explained_, other.explained_variance_ratio_, rtol=1e-4)
    theirs = other.transform(rows)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    ours = reducer.transform(rows)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4)


def test_dimensions_by_explained_variance(rows: npt.NDArray[np.float32]) -> None:
    every = PCA(dim=12).fit(rows).explained_
    assert every.sum() == pytest.approx(1, abs=1e-5)
    for share in (0.3, 0.8, 0.95):
        kept = PCA(dim=12, explained=share).fit(rows).explained_
        assert kept.sum() >= share - 1e-5
        assert kept[:-1].sum() < share


def test_svd_agrees_with_scikit_learn(rows: npt.NDArray[np.float32]) -> None:
    rows = rows + np.float32(2)  # where the mean is far from zero, PCA would give something else
    reducer = SVD(dim=5).fit(rows)
    other = sklearn.decomposition.TruncatedSVD(5, algorithm="arpack", random_state=0).fit(rows.astype(np.float64))
    np.testing.assert_allclose(reducer.explained_, other.explained_variance_ratio_, atol=1e-4)
    theirs = other.transform(rows)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    ours = reducer.transform(rows)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4)
    centred = PCA(dim=5).fit(rows).transform(rows)
    assert not np.allclose(ours @ ours.T, centred @ centred.T, atol=0.1)


def test_random_directions_are_those_of_scikit_learn(rows: npt.NDArray[np.float32]) -> None:
    kinds = {
        "gaussian": sklearn.random_projection.GaussianRandomProjection,
        "sparse": sklearn.random_projection.SparseRandomProjection,
    }
    for drawn, kind in kinds.items():
        theirs = np.asarray(kind(6, random_state=3).fit_transform(rows))
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        ours = RandomProjection(dim=6, drawn=drawn, seed=3).fit(rows).transform(rows)
        np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4)
    same = RandomProjection(dim=12).fit(rows)
    np.testing.assert_allclose(same.transform(rows), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)
    assert same.explained_.sum() == pytest.approx(1, abs=1e-5)


def test_what_random_directions_explain_is_the_variance_in_their_span(rows: npt.NDArray[np.float32]) -> None:
    reducer = RandomProjection(dim=4).fit(rows)
    basis = np.linalg.qr(reducer.components_.astype(np.float64))[0]
    centred = rows - rows.mean(axis=0)
    wanted = np.square(centred @ basis).sum() / np.square(centred).sum()
    assert reducer.explained_.sum() == pytest.approx(wanted, abs=1e-4)
    assert reducer.explained_.sum() < PCA(dim=4).fit(rows).explained_.sum()


@pytest.mark.parametrize("kind", [PCA, SVD])
def test_whitened_dimensions_vary_alike(kind: type[Reducer], rows: npt.NDArray[np.float32]) -> None:
    centred = rows - rows.mean(axis=0)
    reducer = kind(dim=5, whiten=True).fit(centred)
    scaled = centred @ reducer.components_
    np.testing.assert_allclose(scaled.T @ scaled / len(scaled), np.eye(5), atol=1e-3)
    theirs = sklearn.decomposition.PCA(5, whiten=True, svd_solver="full").fit_transform(centred)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    ours = reducer.transform(centred)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-3)


@pytest.mark.parametrize("kind", [PCA, SVD, RandomProjection])
def test_rows_are_read_in_parts(kind: type[Reducer], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)
    whole = kind(dim=3).fit(rows).transform(rows)
    monkeypatch.setattr("vetrina.vectors.reduce._PART", 64)
    np.testing.assert_allclose(kind(dim=3).fit(rows).transform(rows), whole, atol=1e-5)
    parts = kind(dim=3).fit_parts(6, lambda: iter(np.array_split(rows, 7)))
    np.testing.assert_allclose(parts.transform(rows), whole, atol=1e-5)


@pytest.mark.parametrize(
    "few", [np.zeros((0, 3)), np.zeros((2, 3)), np.array([[0.0, 0.6, 0.8]]), np.array([[1.0, 0, 0]] * 3)]
)
def test_few_rows_without_variance_do_not_vanish(few: Floats) -> None:
    rows = few.astype(np.float32)
    reduced = PCA().fit(rows).transform(rows)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), few.any(axis=1).astype(float), atol=1e-5)


def test_unit_rows_and_empty_items_stay_empty(rows: npt.NDArray[np.float32]) -> None:
    rows[7] = 0
    reduced = PCA(dim=3).fit(rows).transform(rows)
    assert not reduced[7].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(reduced, 7, axis=0), axis=1), 1, atol=1e-5)


def test_saved_and_loaded_is_identical(rows: npt.NDArray[np.float32], tmp_path: Path) -> None:
    reducer = PCA(dim=3).fit(rows)
    reducer.save(tmp_path)
    np.testing.assert_array_equal(PCA.load(tmp_path).transform(rows), reducer.transform(rows))


def test_misuse(rows: npt.NDArray[np.float32]) -> None:
    with pytest.raises(NotFitted, match="pca"):
        PCA().transform(rows)
    with pytest.raises(DataError, match=r"5 features\. Expected 12"):
        PCA().fit(rows).transform(rows[:, :5])
    rows[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        PCA().fit(rows)
