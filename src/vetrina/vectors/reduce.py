"""Fewer dimensions for the same vectors: principal component analysis.

Source: I. Jolliffe, Principal Component Analysis (2002).
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Component, Config
from vetrina.core.errors import DataError

__all__ = ["PCA", "PCAConfig"]

Floats = npt.NDArray[np.float32]


class PCAConfig(Config):
    """How many dimensions are kept: no more than ``dim``, and no more than explain ``explained``."""

    dim: int = Field(default=128, ge=1)
    explained: float = Field(default=1.0, gt=0, le=1, description="Share of the variance that is enough.")


class PCA(Component):
    """Principal components, rows scaled to unit length again.

    Rows of zeros (items of which nothing is known) are not learned from and stay
    zero. Where there is no variance at all, as in a shop of one item, the rows
    are not centred, so that they do not vanish.

    Learned: ``mean_`` (n_features,), ``components_`` (n_features, dim),
    ``explained_`` (dim,), the share of the variance of each.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 0]], dtype=np.float32)
    >>> reducer = PCA(dim=2).fit(rows)
    >>> reducer.transform(rows).shape, float(reducer.explained_.sum().round(6))
    ((4, 2), 1.0)
    """

    # Not in the registry: it is the one reducer there is, and no setting names it.
    kind, name = "reducer", "pca"
    config_type = PCAConfig

    def fit(self, rows: Floats) -> Self:
        """Learn from ``rows``, float32 of shape (n_items, n_features).

        Raises
        ------
        DataError
            When a value is not finite.
        """
        if not np.isfinite(rows).all():
            raise DataError("PCA: a vector has a value that is not a finite number. Encode the items again.")
        known = rows[np.any(rows != 0, axis=1)]
        n_rows, n_features = known.shape
        mean = known.mean(axis=0, dtype=np.float64) if n_rows else np.zeros(n_features)
        covariance = _scatter(known, mean)
        if n_rows and np.trace(covariance) < 1e-9 * n_rows:
            mean = np.zeros(n_features)
            covariance = _scatter(known, mean)
        variance, directions = np.linalg.eigh(covariance)
        variance, directions = np.maximum(variance[::-1], 0), directions[:, ::-1]
        share = variance / max(float(variance.sum()), 1e-12)
        real = int(np.sum(share > 1e-9)) or 1
        enough = int(np.searchsorted(np.cumsum(share), self.config.explained - 1e-9)) + 1
        dim = min(self.config.dim, real, enough)
        kept = directions[:, :dim]
        # The sign of an eigenvector is arbitrary: its largest entry is made positive.
        kept = kept * np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(dim)])
        self.mean_ = mean.astype(np.float32)
        self.components_ = np.ascontiguousarray(kept, dtype=np.float32)
        self.explained_ = share[:dim].astype(np.float32)
        return self

    def transform(self, rows: Floats) -> Floats:
        """Reduced rows of unit length, zero where the row is zero: float32 of shape (n_rows, dim).

        Raises
        ------
        NotFitted
            Before :meth:`fit`.
        DataError
            When the rows do not have the number of features learned from.
        """
        self.require_fitted("components_")
        if rows.shape[1] != len(self.mean_):
            raise DataError(f"PCA: rows have {rows.shape[1]} features. Expected {len(self.mean_)}, as in fitting.")
        reduced = (rows - self.mean_) @ self.components_
        length = np.linalg.norm(reduced, axis=1, keepdims=True)
        known = np.any(rows != 0, axis=1, keepdims=True) & (length > 1e-9)
        return (reduced / np.where(known, length, np.inf)).astype(np.float32)


def _scatter(rows: Floats, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum of outer products of the centred rows, part by part so that no second copy of all is held."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), 16_384):
        part = rows[start : start + 16_384] - mean
        total += part.T @ part
    return total
