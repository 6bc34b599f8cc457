"""Fewer dimensions for the same vectors: principal components, truncated SVD, random projection.

Rows come in parts, so that the vectors of a large catalogue, which may lie in a
file, are never all in memory.

Sources: I. Jolliffe, Principal Component Analysis (2002); N. Halko, P.-G. Martinsson and J. Tropp,
Finding structure with randomness (SIAM Review 2011); D. Achlioptas, Database-friendly random
projections (JCSS 2003); P. Li, T. Hastie and K. Church, Very sparse random projections (KDD 2006).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Component, Config, register
from vetrina.core.errors import DataError

__all__ = ["PCA", "SVD", "PCAConfig", "RandomProjection", "RandomProjectionConfig", "Reducer", "SVDConfig", "parts_of"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Rows worked on at once.
_PART = 16_384


class PCAConfig(Config):
    """How many dimensions are kept: no more than ``dim``, and no more than explain ``explained``."""

    dim: int = Field(default=128, ge=1)
    explained: float = Field(default=1.0, gt=0, le=1, description="Share of the variance that is enough.")
    whiten: bool = Field(default=False, description="Scale every dimension to the same variance.")


class SVDConfig(PCAConfig):
    """As of PCA, and a seed."""

    seed: int = Field(default=0, ge=0)


class RandomProjectionConfig(Config):
    """How many dimensions are kept, and what is drawn."""

    dim: int = Field(default=128, ge=1)
    drawn: Literal["gaussian", "sparse"] = Field(
        default="gaussian", description="Numbers of a normal distribution, or mostly zeros."
    )
    seed: int = Field(default=0, ge=0)


class _Moments(NamedTuple):
    """Of the rows that are not zero: how many, their mean (n_features,), the mean of their outer products."""

    n: int
    mean: Doubles
    second: Doubles

    @property
    def covariance(self) -> Doubles:
        return self.second - np.outer(self.mean, self.mean)


class Reducer(Component):
    """Rows made shorter by a matrix, and scaled to unit length again.

    Rows of zeros (items of which nothing is known) are not learned from and stay zero.

    Learned: ``mean_`` (n_features,), what is taken off first, ``components_`` (n_features, dim), and
    ``explained_`` (dim,), the share of the variance that each dimension adds.
    """

    kind = "reducer"
    mean_: Floats
    components_: Floats
    explained_: Floats

    def fit(self, rows: Floats) -> Self:
        """Learn from ``rows``, float32 of shape (n_items, n_features), which may be a memory-mapped file.

        Raises
        ------
        DataError
            When a value is not finite.
        """
        return self.fit_parts(rows.shape[1], lambda: parts_of(rows))

    def fit_parts(self, n_features: int, parts: Callable[[], Iterable[npt.NDArray[np.floating]]]) -> Self:
        """Learn from rows that ``parts`` gives some at a time; called once."""
        n, total, second = 0, np.zeros(n_features), np.zeros((n_features, n_features))
        for part in parts():
            if not np.isfinite(part).all():
                raise DataError(
                    f"{self.name}: a vector has a value that is not a finite number. Encode the items again."
                )
            known = part[np.any(part != 0, axis=1)].astype(np.float64)
            n += len(known)
            total += known.sum(axis=0)
            second += known.T @ known
        self._learn(_Moments(n, total / max(n, 1), second / max(n, 1)))
        return self

    @abstractmethod
    def _learn(self, moments: _Moments) -> None:
        """Set what is learned."""

    def transform(self, rows: npt.NDArray[np.floating]) -> Floats:
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
            raise DataError(
                f"{self.name}: rows have {rows.shape[1]} features. Expected {len(self.mean_)}, as in fitting."
            )
        reduced = np.empty((len(rows), self.components_.shape[1]), dtype=np.float32)
        for start in range(0, len(rows), _PART):
            part = rows[start : start + _PART]
            shorter = (part - self.mean_) @ self.components_
            length = np.linalg.norm(shorter, axis=1, keepdims=True)
            known = np.any(part != 0, axis=1, keepdims=True) & (length > 1e-9)
            reduced[start : start + _PART] = shorter / np.where(known, length, np.inf)
        return reduced

    def _keep(self, mean: Doubles, components: Doubles, explained: Doubles) -> None:
        # The sign of a direction is arbitrary: its largest entry is made positive.
        signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])])
        self.mean_ = mean.astype(np.float32)
        self.components_ = np.ascontiguousarray(components * np.where(signs == 0, 1, signs), dtype=np.float32)
        self.explained_ = explained.astype(np.float32)


@register("reducer", "pca")
class PCA(Reducer):
    """Principal components: the directions in which the rows vary most.

    Where there is no variance at all, as in a shop of one item, the rows are not centred, so that
    they do not vanish.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 0]], dtype=np.float32)
    >>> reducer = PCA(dim=2).fit(rows)
    >>> reducer.transform(rows).shape, float(reducer.explained_.sum().round(6))
    ((4, 2), 1.0)
    """

    config_type = PCAConfig

    def _learn(self, moments: _Moments) -> None:
        mean, covariance = moments.mean, moments.covariance
        if np.trace(covariance) < 1e-9:
            mean, covariance = np.zeros_like(mean), moments.second
        variance, directions = np.linalg.eigh(covariance)
        variance, directions = np.maximum(variance[::-1], 0), directions[:, ::-1]
        share = variance / max(float(variance.sum()), 1e-12)
        dim = _enough(share, self.config)
        components = directions[:, :dim]
        if self.config.whiten:
            components = components / np.sqrt(np.maximum(variance[:dim], 1e-12))
        self._keep(mean, components, share[:dim])


@register("reducer", "svd")
class SVD(Reducer):
    """Truncated singular value decomposition: as PCA, but rows are not centred, so that cosines stay what they are.

    By scikit-learn's ``randomized_svd``, of the rows' second moments, which have the same right singular
    vectors as the rows and need not be held one by one.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 0]], dtype=np.float32)
    >>> shorter = SVD(dim=2).fit(rows).transform(rows)
    >>> np.allclose(shorter @ shorter.T, rows @ rows.T, atol=1e-6)
    True
    """

    config_type = SVDConfig

    def _learn(self, moments: _Moments) -> None:
        from sklearn.utils.extmath import randomized_svd

        most = min(self.config.dim, len(moments.mean))
        directions, squares, _ = randomized_svd(
            moments.second, n_components=most, n_iter=7, random_state=self.config.seed
        )
        # Of the variance, not of the squares: what the mean of the rows is made of explains nothing.
        along = np.einsum("fd,fg,gd->d", directions, moments.covariance, directions)
        share = np.maximum(along, 0) / max(float(np.trace(moments.covariance)), 1e-12)
        real = int(np.sum(squares > 1e-9 * max(float(squares.sum()), 1e-12))) or 1
        dim = min(real, _first_enough(share, self.config.explained))
        components = directions[:, :dim]
        if self.config.whiten:
            components = components / np.sqrt(np.maximum(squares[:dim], 1e-12))
        self._keep(np.zeros_like(moments.mean), components, share[:dim])


@register("reducer", "random")
class RandomProjection(Reducer):
    """Random directions, which keep distances nearly; nothing is learned of the rows but what they explain.

    Rows that are not longer than ``dim`` stay as they are. By scikit-learn's ``GaussianRandomProjection``
    and ``SparseRandomProjection``.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.eye(4, dtype=np.float32)
    >>> RandomProjection(dim=2).fit(rows).transform(rows).shape
    (4, 2)
    """

    config_type = RandomProjectionConfig

    def _learn(self, moments: _Moments) -> None:
        from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

        n_features, dim = len(moments.mean), self.config.dim
        if n_features <= dim:
            components = np.eye(n_features)
        else:
            kind = {"gaussian": GaussianRandomProjection, "sparse": SparseRandomProjection}[self.config.drawn]
            drawn = kind(dim, random_state=self.config.seed).fit(np.zeros((1, n_features))).components_
            components = np.asarray(drawn.todense() if hasattr(drawn, "todense") else drawn).T
        # What the span of the first directions holds of the variance: each adds what it has beyond those before it.
        basis, _ = np.linalg.qr(components)
        along = np.einsum("fd,fg,gd->d", basis, moments.covariance, basis)
        share = np.maximum(along, 0) / max(float(np.trace(moments.covariance)), 1e-12)
        self._keep(np.zeros(n_features), components, share)


def _enough(share: Doubles, config: PCAConfig) -> int:
    """How many of the dimensions, best first, are kept."""
    real = int(np.sum(share > 1e-9)) or 1
    return min(config.dim, real, _first_enough(share, config.explained))


def _first_enough(share: Doubles, explained: float) -> int:
    return min(int(np.searchsorted(np.cumsum(share), explained - 1e-9)) + 1, len(share))


def parts_of(rows: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    """Some rows at a time."""
    for start in range(0, len(rows), _PART):
        yield rows[start : start + _PART]
