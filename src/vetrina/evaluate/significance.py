"""How sure a measured number is: bootstrap intervals of means, and of differences between two systems.

Requests of one shopper are alike, so shoppers are drawn, not requests: each
resample draws as many shoppers as there are, with replacement, and takes all
requests of each (the cluster bootstrap). Treating requests as independent
gives intervals that are too narrow.

Intervals are expanded percentile intervals. The plain ones are too narrow for
few shoppers: resamples vary by (n - 1)/n of what they should, and their spread
is taken as known, as if a normal quantile did where Student's belongs. So the
percentiles are moved outwards by both, with the effective number of shoppers
(sum of their requests, squared, over the sum of the squares) as n, since ten
shoppers one of whom made half of the requests are not ten. The p-value is that
of the same resamples by inversion: p < 0.05 where the 95% interval leaves out
0. What remains: of an outcome so rare that only a handful of shoppers had any,
no resample knows more than those.

Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993);
C. Field and A. Welsh, Bootstrapping clustered data (JRSS B 2007); T.
Hesterberg, What Teachers Should Know about the Bootstrap (American Statistician
2015), for the expansion; L. Kish, Survey Sampling (1965), for the effective
number; T. Sakai, Evaluating evaluation metrics based on the bootstrap (SIGIR
2006); N. Chamandy et al., Estimating Uncertainty for Massive Data Streams
(2012), for Poisson weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import ConfigError, DataError

__all__ = ["Interval", "bootstrap", "bootstrap_difference", "bootstrap_mean", "holm"]

Floats = npt.NDArray[np.float64]
Seed = int | np.random.Generator | None

# Up to this many draws are made exactly; beyond it weights are Poisson, which is
# the same to within 1/n_clusters and several times faster.
_EXACT_DRAWS = 50_000_000
_CHUNK = 1_000_000  # weights held at a time

# Poisson(1) by table look-up on 16 random bits: every probability is right to 2**-17.
_POISSON = np.searchsorted(
    np.round(np.cumsum([np.exp(-1) / f for f in (1, 1, 2, 6, 24, 120, 720, 5040)]) * 65536),
    np.arange(65536),
    side="right",
).astype(np.float32)


@dataclass(frozen=True)
class Interval:
    """A mean and how sure it is.

    Attributes
    ----------
    mean : float
        NaN when nothing was measured.
    low, high : float
        Ends of the interval; NaN with fewer than two clusters, from which nothing
        can be said about others.
    n : int
        Requests.
    n_clusters : int
        Shoppers (or requests, when no clusters were given).
    p_value : float
        Two-sided, of the mean being 0, in (0, 1]: meant for differences. NaN where low is.
    """

    mean: float
    low: float
    high: float
    n: int
    n_clusters: int
    p_value: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of 0."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(
    values: npt.NDArray[np.floating],
    clusters: npt.NDArray[np.integer] | None = None,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: Seed = 0,
) -> Interval:
    """Mean of ``values`` with a bootstrap interval.

    Parameters
    ----------
    values : float of shape (n,)
        One finite number per request.
    clusters : int of shape (n,), optional
        Which shopper asked each request; -1 (unknown) makes a cluster of each such request.
    resamples : int
    level : float, between 0 and 1
    rng : int, Generator or None
        0 by default: the same data give the same interval.

    Raises
    ------
    DataError
        When a value is not finite or ``clusters`` is of another length.
    ConfigError
        When ``resamples`` or ``level`` are out of range.

    Examples
    --------
    >>> interval = bootstrap_mean(np.array([0.0, 1.0, 1.0, 0.0]), resamples=1000)
    >>> interval.mean, interval.low, interval.high
    (0.5, 0.0, 1.0)
    """
    return bootstrap(values[:, None], clusters, resamples=resamples, level=level, rng=rng)[0]


def bootstrap_difference(
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    clusters: npt.NDArray[np.integer] | None = None,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: Seed = 0,
) -> Interval:
    """Mean of ``first - second``, request by request (paired), with a bootstrap interval and p-value.

    Parameters and errors are those of :func:`bootstrap_mean`.

    Examples
    --------
    >>> bootstrap_difference(np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.5, 0.6])).excludes_zero
    True
    """
    if first.shape != second.shape:
        raise DataError(
            f"A paired difference needs both systems on the same requests; got {len(first)} and {len(second)} values."
        )
    return bootstrap_mean(first - second, clusters, resamples=resamples, level=level, rng=rng)


def bootstrap(
    values: npt.NDArray[np.floating],
    clusters: npt.NDArray[np.integer] | None = None,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    rng: Seed = 0,
) -> list[Interval]:
    """Intervals of the means of many columns, all from the same resamples (which is most of the work).

    Parameters
    ----------
    values : float of shape (n, n_columns)
        One row per request; a column is a metric of a system, or a difference.
    clusters, resamples, level, rng
        As for :func:`bootstrap_mean`.

    Returns
    -------
    list of Interval, one per column
    """
    _check(values, clusters, resamples, level)
    n = len(values)
    if n == 0:
        return [Interval(*(float("nan"),) * 3, 0, 0, float("nan"))] * values.shape[1]
    means = values.mean(axis=0, dtype=np.float64)
    sums, counts = _by_cluster(values, clusters)
    n_clusters = len(counts)
    if n_clusters < 2:
        return [Interval(float(mean), *(float("nan"),) * 2, n, n_clusters, float("nan")) for mean in means]
    exact = n_clusters * resamples <= _EXACT_DRAWS
    centred: npt.NDArray[np.floating] = np.column_stack([sums - counts[:, None] * means, counts])
    if not exact:
        centred = centred.astype(np.float32)  # enough for the sums, since they are centred
    generator = np.random.default_rng(rng)
    drawn = np.vstack([weights @ centred for weights in _weights(n_clusters, resamples, exact, generator)])
    moves = drawn[:, :-1].astype(np.float64) / np.maximum(drawn[:, -1:], 1)
    expansion = _Expansion(float(counts.sum() ** 2 / (counts**2).sum()))
    tail = expansion.tail((1 - level) / 2)
    low, high = np.quantile(moves, [tail, 1 - tail], axis=0)
    replicas = moves + means
    below = (replicas <= _TINY).sum(axis=0)
    above = (replicas >= -_TINY).sum(axis=0)
    p_values = 2 * expansion.chance(np.minimum((np.minimum(below, above) + 1) / (resamples + 1), 0.5))
    return [
        Interval(float(mean), float(mean + down), float(mean + up), n, n_clusters, float(p))
        for mean, down, up, p in zip(means, low, high, p_values, strict=True)
    ]


def holm(p_values: npt.NDArray[np.floating]) -> Floats:
    """P-values of many tests, corrected so that the chance of any false alarm among them keeps its level.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none
    becomes smaller than one before it, nor larger than 1. Nothing is assumed of how the
    tests hang together. Source: S. Holm, A Simple Sequentially Rejective Multiple Test
    Procedure (Scandinavian Journal of Statistics 1979).

    Parameters
    ----------
    p_values : float of shape (n,)
        NaN is no test: it is not counted, and stays NaN.

    Returns
    -------
    float64 of shape (n,)

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(given), np.nan)
    order = np.argsort(given)[: int(np.isfinite(given).sum())]  # NaN comes last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


class _Expansion:
    """Between the tails of resamples and the chances that they stand for, with ``n`` clusters of one size."""

    def __init__(self, n: float) -> None:
        self.degrees = max(n - 1, 0.5)  # below two clusters' worth nothing can be said anyway
        self.scale = math.sqrt(1 + 1 / self.degrees)

    def tail(self, chance: float) -> float:
        """The share of resamples to cut off for a tail of ``chance``."""
        from scipy.special import ndtr, stdtrit

        return float(ndtr(self.scale * stdtrit(self.degrees, chance)))

    def chance(self, tail: Floats) -> Floats:
        """The reverse of :meth:`tail`."""
        from scipy.special import ndtri, stdtr

        return np.asarray(stdtr(self.degrees, ndtri(tail) / self.scale), dtype=np.float64)


_TINY = 1e-12  # a mean of exact zeros may come out a rounding error away from 0


def _check(
    values: npt.NDArray[np.floating], clusters: npt.NDArray[np.integer] | None, resamples: int, level: float
) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"resamples is 1 or more and level between 0 and 1. Got {resamples} and {level}.")
    if clusters is not None and len(clusters) != len(values):
        raise DataError(f"{len(clusters)} clusters were given for {len(values)} values; give one per value.")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"Value {bad} is {values[bad].tolist()}; only finite numbers have a mean. Leave it out.")


def _by_cluster(values: npt.NDArray[np.floating], clusters: npt.NDArray[np.integer] | None) -> tuple[Floats, Floats]:
    """(sums of shape (n_clusters, n_columns), sizes of shape (n_clusters,))."""
    if clusters is None:
        return values.astype(np.float64), np.ones(len(values))
    own = np.where(clusters >= 0, clusters, -1 - np.arange(len(clusters)))
    _, code, sizes = np.unique(own, return_inverse=True, return_counts=True)
    counts = sizes.astype(np.float64)
    sums = np.zeros((len(counts), values.shape[1]))
    for number, column in enumerate(values.T):
        sums[:, number] = np.bincount(code, weights=column)
    return sums, counts


def _weights(n: int, resamples: int, exact: bool, rng: np.random.Generator) -> Iterator[npt.NDArray[np.floating]]:
    """How often each cluster is drawn, in chunks of shape (some resamples, n): exactly in 64 bits, or Poisson in 32."""
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        if exact:
            drawn = rng.integers(0, n, size=(rows, n), dtype=np.uint32) + np.arange(rows, dtype=np.int64)[:, None] * n
            yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
        else:
            bits = np.frombuffer(rng.bytes(rows * n * 2), dtype=np.uint16)
            weights = np.empty(rows * n, dtype=np.float32)
            np.take(_POISSON, bits, out=weights, mode="clip")  # every index is in range: no need to check
            yield weights.reshape(rows, n)
