"""How alike vectors are, each row of one array with each row of another.

A distance is not a similarity: it grows as things grow apart. Before it may be
added to a score it goes through :func:`similarity_from_distance`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError

__all__ = ["cosine", "dot_of_pairs", "euclidean", "pearson", "similarity_from_distance"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating]


def cosine(x: Rows, y: Rows) -> Floats:
    """Cosine of the angle between rows: x·y / (‖x‖ ‖y‖).

    Parameters
    ----------
    x, y : ndarray of shape (n, dim) and (m, dim)

    Returns
    -------
    float64 of shape (n, m)
        In [-1, 1]; 0 where a row is zero, which has no direction.

    Raises
    ------
    DataError
        When the rows differ in length.

    Examples
    --------
    >>> round(float(cosine(np.array([[1, 2, 3, 4, 5.0]]), np.array([[2, 3, 4, 5, 6.0]]))[0, 0]), 4)
    0.9949
    """
    x, y = _pair(x, y)
    return np.clip(_unit(x) @ _unit(y).T, -1, 1)


def pearson(x: Rows, y: Rows) -> Floats:
    """Correlation of rows: the cosine of what is left of each when its mean is taken off.

    Parameters and errors are those of :func:`cosine`; 0 where all entries of a row are equal.

    Examples
    --------
    >>> round(float(pearson(np.array([[1, 2, 3, 4, 5.0]]), np.array([[2, 3, 4, 5, 6.0]]))[0, 0]), 9)
    1.0
    """
    x, y = _pair(x, y)
    return np.clip(_unit(_centred(x)) @ _unit(_centred(y)).T, -1, 1)


def euclidean(x: Rows, y: Rows) -> Floats:
    """Straight distance between rows: √Σ(x − y)², of shape (n, m), 0 and above.

    Parameters and errors are those of :func:`cosine`. Distances below about 1e-8 of
    the rows' own length are lost to rounding.

    Examples
    --------
    >>> round(float(euclidean(np.array([[1, 2, 3, 4, 5.0]]), np.array([[2, 3, 4, 5, 6.0]]))[0, 0]), 3)
    2.236
    """
    x, y = _pair(x, y)
    squares = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y) - 2 * (x @ y.T)
    distances: Floats = np.sqrt(np.maximum(squares, 0))
    return distances


def similarity_from_distance(distance: Rows) -> Floats:
    """A distance as a similarity: 1/(1 + d), 1 at no distance and falling towards 0.

    Raises
    ------
    DataError
        When a distance is negative.

    Examples
    --------
    >>> similarity_from_distance(np.array([0.0, 1.0, 3.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    distance = np.asarray(distance, dtype=np.float64)
    if np.any(distance < 0):
        raise DataError(f"A distance is 0 or more. Got {distance.min():g}.")
    return 1 / (1 + distance)


def _pair(x: Rows, y: Rows) -> tuple[Floats, Floats]:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise DataError(f"Rows of equal length are compared, (n, dim) with (m, dim). Got {x.shape} and {y.shape}.")
    return x.astype(np.float64), y.astype(np.float64)


def _centred(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    # What rounding leaves of equal entries is not a direction.
    rounding = np.abs(rows).max(axis=1, keepdims=True, initial=0) * 1e-14
    return np.where(np.abs(centred) <= rounding, 0.0, centred)


def _unit(rows: Floats) -> Floats:
    # Scaled by the largest entry first, so that squares of very small or large numbers neither vanish nor overflow.
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True, initial=0), np.finfo(np.float64).tiny)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def dot_of_pairs(
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.float32],
    row_x: npt.NDArray[np.integer],
    row_y: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    """Dot products of chosen pairs of rows.

    A matrix product of all rows would be faster for many pairs, but it rounds each one
    by how many others there are: trees split on these numbers, and a request must be
    answered alike alone and in a batch.

    Parameters
    ----------
    x, y : float32 of shape (n, dim) and (m, dim)
    row_x, row_y : int of shape (n_pairs,)

    Returns
    -------
    float32 of shape (n_pairs,)
        The same to the last bit whatever the other pairs are.

    Examples
    --------
    >>> x, y = np.eye(2, dtype=np.float32), np.array([[3, 4], [5, 6]], dtype=np.float32)
    >>> dot_of_pairs(x, y, np.array([0, 1]), np.array([1, 0])).tolist()
    [5.0, 4.0]
    """
    dots = np.empty(len(row_x), dtype=np.float32)
    for start in range(0, len(dots), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        dots[part] = np.einsum("ij,ij->i", x[row_x[part]], y[row_y[part]])
    return dots


_PAIRS_AT_ONCE = 16_384  # bounds the memory of the gathered rows
