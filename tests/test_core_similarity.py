"""Similarities: the article's right numbers, an independent library, and what has no direction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from vetrina.core.errors import DataError
from vetrina.core.similarity import cosine, dot_of_pairs, euclidean, pearson, similarity_from_distance

X, Y = np.array([[1, 2, 3, 4, 5.0]]), np.array([[2, 3, 4, 5, 6.0]])


def test_the_articles_right_numbers() -> None:
    """It prints 0.917 for both of the first two: the design says why that is wrong."""
    assert cosine(X, Y)[0, 0] == pytest.approx(70 / np.sqrt(55 * 90), abs=1e-12)
    assert round(float(cosine(X, Y)[0, 0]), 4) == 0.9949
    assert pearson(X, Y)[0, 0] == pytest.approx(1.0, abs=1e-12)
    assert euclidean(X, Y)[0, 0] == pytest.approx(np.sqrt(5), abs=1e-12)
    assert round(float(euclidean(X, Y)[0, 0]), 3) == 2.236


@given(
    hnp.arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3, width=32)),
    hnp.arrays(np.float64, (2, 3), elements=st.floats(-1e3, 1e3, width=32)),
)
def test_against_scipy(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(euclidean(x, y), cdist(x, y), atol=1e-4)
    lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
    some = lengths > 1e-6  # SciPy's cosine of nothing is NaN, and of next to nothing rounding
    np.testing.assert_allclose(cosine(x, y)[some], (x @ y.T)[some] / lengths[some], atol=1e-9)
    assert np.all(np.abs(cosine(x, y)) <= 1)
    assert np.all(np.abs(pearson(x, y)) <= 1)


def test_pearson_against_numpy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 7)), rng.normal(size=(3, 7))
    np.testing.assert_allclose(pearson(x, y), np.corrcoef(x, y)[:5, 5:], atol=1e-12)


def test_what_has_no_direction_is_like_nothing() -> None:
    rows = np.array([[0.0, 0, 0], [0.1, 0.1, 0.1], [1, 2, 3]])
    assert cosine(rows, rows)[0].tolist() == [0, 0, 0]
    assert pearson(rows, rows)[:2].tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_very_small_and_very_large_numbers(scale: float) -> None:
    assert cosine(X * scale, Y * scale)[0, 0] == pytest.approx(70 / np.sqrt(55 * 90), abs=1e-12)


def test_a_distance_becomes_a_similarity_that_falls_with_it() -> None:
    distance = np.array([0.0, 0.5, 2.236, 1e9])
    similarity = similarity_from_distance(distance)
    assert similarity[0] == 1
    assert similarity[2] == pytest.approx(1 / 3.236)
    assert np.all(np.diff(similarity) < 0)
    assert np.all(similarity > 0)
    with pytest.raises(DataError, match="0 or more"):
        similarity_from_distance(np.array([-0.1]))


@pytest.mark.parametrize("function", [cosine, pearson, euclidean])
def test_rows_of_unequal_length_are_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(DataError, match=r"\(1, 5\) and \(1, 4\)"):
        function(X, Y[:, :4])
    with pytest.raises(DataError):
        function(X[0], Y)


def test_dots_of_pairs_are_those_of_the_rows_whatever_else_is_asked() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 33)).astype(np.float32), rng.normal(size=(500, 33)).astype(np.float32)
    row_x, row_y = rng.integers(0, 7, 40_000), rng.integers(0, 500, 40_000)
    dots = dot_of_pairs(x, y, row_x, row_y)
    np.testing.assert_allclose(dots, (x.astype(np.float64) @ y.T.astype(np.float64))[row_x, row_y], atol=1e-4)
    alone = [dot_of_pairs(x, y, row_x[n : n + 1], row_y[n : n + 1])[0] for n in range(300)]
    assert alone == dots[:300].tolist()
    assert dot_of_pairs(x, y, row_x[:0], row_y[:0]).shape == (0,)
