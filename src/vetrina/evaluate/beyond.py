"""What lists are like besides being right: coverage, Gini, novelty, diversity, popularity lift.

Coverage and Gini are properties of all lists together, not means over requests,
so there is nothing to bootstrap request by request, and a resample with
replacement, which repeats shoppers and leaves others out, covers less of the
catalogue than the sample did. Their intervals come from a delete-a-group
jackknife: shoppers are dealt into up to a hundred groups, everything is
computed again without each group in turn, and the variance is (G - 1)/G times
the sum of squares of the G results around their mean. Intervals take Student's
quantile. Systems are compared by the same groups (a paired test): the
difference is computed without each group too.

Sources: J. Herlocker et al., Evaluating Collaborative Filtering Recommender
Systems (TOIS 2004), for coverage; D. Fleder and K. Hosanagar, Blockbuster
Culture's Next Rise or Fall (Management Science 2009), for Gini; P. Castells et
al., Novelty and Diversity in Recommender Systems (Recommender Systems Handbook
2015), for novelty; C.-N. Ziegler et al., Improving Recommendation Lists
Through Topic Diversification (WWW 2005), for diversity; H. Abdollahpouri et
al., The Unfairness of Popularity Bias in Recommendation (RMSE 2019), for the
lift; P. Kott, The Delete-a-Group Jackknife (Journal of Official Statistics
2001), and B. Efron and C. Stein, The Jackknife Estimate of Variance (Annals of
Statistics 1981), who show that it errs on the wide side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.evaluate.significance import Interval
from vetrina.evaluate.tables import K, Row, Table, corrected

__all__ = ["BEYOND", "beyond"]

#: Names of the metrics, in the order of the table.
BEYOND = ("coverage", "gini", "novelty", "diversity", "popularity_lift")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_GROUPS = 100
_LIMITS = {"coverage": (0.0, 1.0), "gini": (0.0, 1.0), "novelty": (0.0, math.inf), "diversity": (0.0, 2.0)}
_CHUNK = 4_000_000  # numbers of item vectors held at a time


def beyond(
    title: str,
    lists: Mapping[str, ItemList],
    shopper: npt.NDArray[np.integer] | None = None,
    reference: str = "",
    *,
    popularity: npt.NDArray[np.number],
    truth: Truth,
    vectors: npt.NDArray[np.floating] | None = None,
    k: int = K,
    simulated: bool = False,
    leaks: bool = False,
) -> Table:
    """Set what systems show side by side, whether or not it is right.

    Parameters
    ----------
    title : str
    lists : mapping of str to ItemList
        By system, in the order of the rows; all of the same requests, best first.
    shopper : int of shape (batch,), optional
        Who asked each request, -1 unknown: intervals are over shoppers. Requests count as
        independent without it.
    reference : str
        The system whose lead over the others is to be shown; "" for none.
    popularity : number of shape (n_items,)
        How often each item of the catalogue had been chosen before: in training, not in the test.
    truth : Truth
        What was chosen, for the popularity lift.
    vectors : float of shape (n_items, dim), optional
        Of the items, for diversity, which is left out without them.
    k : int
        Lists are cut at it.
    simulated, leaks : bool
        Said in the heading.

    Returns
    -------
    Table
        Every metric with its interval and its lead: ``coverage``, the share of the catalogue that
        is in any list; ``gini`` of how often each item of the catalogue is shown, 0 when all are
        shown alike and near 1 when a few have all places; ``novelty``, the mean of -log2 of the
        shown items' shares of all choices, in bits; ``diversity``, 1 - the mean cosine of two
        items of a list; ``popularity_lift``, how much more popular what is shown is than what was
        chosen (0.5: by half).

    Raises
    ------
    ConfigError
        When there is no system, the reference is not one, or ``k`` is below 1.
    DataError
        When lists, truth, shoppers and items do not fit together.

    Examples
    --------
    >>> one, two = (ItemList.from_lists([np.array(a), np.array(b)]) for a, b in [([0, 1], [0, 1]), ([0, 1], [2, 3])])
    >>> truth = Truth.from_lists([{0: 1.0}, {3: 1.0}])
    >>> table = beyond("Toys", {"one": one, "two": two}, popularity=np.array([6, 3, 3, 0]), truth=truth)
    >>> {row.system: round(row.values["coverage@10"].mean, 3) for row in table.rows}
    {'one': 0.5, 'two': 1.0}
    """
    batch = _check(lists, shopper, reference, popularity, truth, vectors, k)
    groups = _Groups.of(batch, shopper)
    counts = np.asarray(popularity, dtype=np.float64)
    found = {name: _measured(one, groups, counts, truth, vectors, k) for name, one in lists.items()}
    values = {
        name: {metric: one.interval(groups, metric) for metric, one in all_.items()} for name, all_ in found.items()
    }
    leads = {
        name: {metric: found[reference][metric].minus(one).interval(groups) for metric, one in all_.items()}
        for name, all_ in found.items()
        if reference and name != reference
    }
    rows = corrected(
        [Row(name, _at(k, values[name]), _at(k, leads[name]) if name in leads else None) for name in lists]
    )
    return Table(
        title,
        tuple(rows[0].values),
        rows,
        reference,
        batch,
        None if shopper is None else groups.n_clusters,
        0,
        simulated=simulated,
        leaks=leaks,
        notes=(f"intervals by a jackknife over {groups.n} groups of {'requests' if shopper is None else 'shoppers'}",),
        every_interval=True,
    )


def _at(k: int, values: dict[str, Interval]) -> dict[str, Interval]:
    return {f"{name}@{k}": value for name, value in values.items()}


def _check(
    lists: Mapping[str, ItemList],
    shopper: npt.NDArray[np.integer] | None,
    reference: str,
    popularity: npt.NDArray[np.number],
    truth: Truth,
    vectors: npt.NDArray[np.floating] | None,
    k: int,
) -> int:
    """The number of requests."""
    if not lists:
        raise ConfigError("lists: there is nothing to measure; give the lists of at least one system.")
    if reference and reference not in lists:
        raise ConfigError(f"reference: {reference!r} was not measured.{nearest(reference, lists)}")
    if k < 1:
        raise ConfigError(f"k: a cut-off is 1 or more. Got {k}.")
    batch, n_items = len(truth), len(popularity)
    for name, one in lists.items():
        if len(one) != batch:
            raise DataError(f"{name!r} has {len(one)} lists for the truth of {batch} requests; give one per request.")
        if one.item.max(initial=-1) >= n_items:
            raise DataError(
                f"{name!r} lists item {one.item.max()}, but popularity holds {n_items} items; give one number per item."
            )
    if truth.item.max(initial=-1) >= n_items:
        raise DataError(
            f"truth: item {truth.item.max()} was chosen, but popularity holds {n_items}; give one number per item."
        )
    if shopper is not None and len(shopper) != batch:
        raise DataError(f"{len(shopper)} shoppers were given for {batch} requests; give one per request, -1 unknown.")
    if vectors is not None and len(vectors) != n_items:
        raise DataError(f"{len(vectors)} vectors were given for {n_items} items; give one per item.")
    return batch


@dataclass(frozen=True)
class _Groups:
    """Requests dealt into groups, a shopper's all into one."""

    of_request: Ints
    n: int
    n_clusters: int
    degrees: float

    @classmethod
    def of(cls, batch: int, shopper: npt.NDArray[np.integer] | None) -> _Groups:
        own = -1 - np.arange(batch)
        clusters = own if shopper is None else np.where(shopper >= 0, shopper, own)
        names, code = np.unique(clusters, return_inverse=True)
        n = min(_GROUPS, len(names))
        dealt = np.random.default_rng(0).permutation(len(names)) % max(n, 1)
        of_request = dealt[code].astype(np.int64)
        sizes = np.bincount(of_request, minlength=n).astype(np.float64)
        # As many as there would be of one size: a group of a very busy shopper weighs for several.
        effective = float(sizes.sum() ** 2 / (sizes**2).sum()) if batch else 0.0
        return cls(of_request, n, len(names), max(effective - 1, 0.5))

    def sums(self, request: Ints, values: Floats | None = None) -> Floats:
        """By group; of 1 without ``values``."""
        return np.bincount(self.of_request[request], values, self.n).astype(np.float64)


@dataclass(frozen=True)
class _Found:
    """A number, the same without each group, and of how many requests it is."""

    value: float
    without: Floats
    n: int

    @classmethod
    def ratio(cls, above: Floats, below: Floats, n: int) -> _Found:
        """Of sums by group."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value, without = above.sum() / below.sum(), (above.sum() - above) / (below.sum() - below)
        return cls(float(value), without, n)

    def minus(self, other: _Found) -> _Found:
        with np.errstate(invalid="ignore"):  # both endless, where nothing that was chosen had been before
            return _Found(self.value - other.value, self.without - other.without, min(self.n, other.n))

    def interval(self, groups: _Groups, metric: str = "") -> Interval:
        """With the p-value of being 0."""
        from scipy.special import stdtr, stdtrit

        nan = float("nan")
        if groups.n < 2 or not (math.isfinite(self.value) and np.isfinite(self.without).all()):
            return Interval(self.value if math.isfinite(self.value) else nan, nan, nan, self.n, groups.n_clusters, nan)
        spread = ((self.without - self.without.mean()) ** 2).sum()
        error = math.sqrt((groups.n - 1) / groups.n * float(spread))
        half = float(stdtrit(groups.degrees, 0.975)) * error
        low, high = _LIMITS.get(metric, (-math.inf, math.inf))
        if error > _TINY:
            p_value = 2 * float(stdtr(groups.degrees, -abs(self.value) / error))
        else:
            p_value = 1.0 if abs(self.value) <= _TINY else 0.0
        return Interval(
            self.value, max(self.value - half, low), min(self.value + half, high), self.n, groups.n_clusters, p_value
        )


_TINY = 1e-12  # a difference of equal sums may come out a rounding error away from 0


def _measured(
    lists: ItemList,
    groups: _Groups,
    popularity: Floats,
    truth: Truth,
    vectors: npt.NDArray[np.floating] | None,
    k: int,
) -> dict[str, _Found]:
    """The metrics of one system."""
    lists = _cut(lists, k)
    request, item = lists.row.astype(np.int64), lists.item.astype(np.int64)
    n = int((lists.sizes > 0).sum())
    bits = -np.log2((popularity + 1) / (popularity.sum() + len(popularity)))  # + 1: none was chosen never for sure
    coverage, gini = _exposure(groups.of_request[request], item, groups.n, len(popularity))
    found = {
        "coverage": _Found(coverage[0], coverage[1], n),
        "gini": _Found(gini[0], gini[1], n),
        "novelty": _Found.ratio(groups.sums(request, bits[item]), groups.sums(request), n),
    }
    if vectors is not None:
        several = np.flatnonzero(lists.sizes > 1)
        distance = 1 - _cosine(lists, several, vectors)
        found["diversity"] = _Found.ratio(groups.sums(several, distance), groups.sums(several), len(several))
    right = truth.gain > 0
    chosen, by = truth.item[right], truth.row[right]
    shown = _Found.ratio(groups.sums(request, popularity[item]), groups.sums(request), n)
    usual = _Found.ratio(groups.sums(by, popularity[chosen]), groups.sums(by), n)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = _Found(float(np.divide(shown.value, usual.value)) - 1, shown.without / usual.without - 1, n)
    return found | {"popularity_lift": lift}


def _cut(lists: ItemList, k: int) -> ItemList:
    """The first ``k`` results of each, without padding."""
    lists = ItemList(lists.offsets, lists.item)
    if lists.item.min(initial=0) < 0:
        lists = lists.take(np.flatnonzero(lists.item >= 0))
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    return lists if place.max(initial=0) < k else lists.take(np.flatnonzero(place < k))


def _exposure(group: Ints, item: Ints, n_groups: int, n_items: int) -> list[tuple[float, Floats]]:
    """Coverage and Gini of how often each item is shown: of all, and without each group.

    Without a group the counts of its own items alone change. So the histogram of counts is
    corrected for these, and both are read from it: nothing is sorted a hundred times.
    """
    counts = np.bincount(item, minlength=n_items)
    histogram = np.bincount(counts)
    order = np.argsort(group, kind="stable")
    left = []
    for part in np.split(item[order], np.searchsorted(group[order], np.arange(1, n_groups))):
        own, times = np.unique(part, return_counts=True)
        after = np.bincount(counts[own] - times, minlength=len(histogram))
        left.append(histogram + after - np.bincount(counts[own], minlength=len(histogram)))
    return [(of(histogram), np.array([of(one) for one in left])) for of in (_coverage, _gini)]


def _coverage(histogram: Ints) -> float:
    n_items = histogram.sum()
    return float((n_items - histogram[0]) / n_items) if n_items else float("nan")


def _gini(histogram: Ints) -> float:
    """From how many items are shown 0, 1, 2 … times: twice the area between the Lorenz curve and equality."""
    times, n_items = np.arange(len(histogram)), histogram.sum()
    total = (times * histogram).sum()
    if not total:
        return float("nan")
    # Sum of (2 i - n - 1) x_i over items in order of x; those of one count stand beside each other.
    before = np.cumsum(histogram) - histogram
    ranks = histogram * (2 * before + histogram + 1.0 - (n_items + 1))
    return float((ranks * times).sum() / (n_items * total))


def _cosine(lists: ItemList, several: Ints, vectors: npt.NDArray[np.floating]) -> Floats:
    """Mean cosine of two items of each list of ``several``, which have at least two; 0 with a vector of zeros."""
    sizes = lists.sizes[several]
    means = np.empty(len(several))
    step = max(1, _CHUNK // max(1, vectors.shape[1] * int(sizes.max(initial=1))))
    for start in range(0, len(several), step):
        part = several[start : start + step]
        length = sizes[start : start + step]
        begin = np.cumsum(length) - length
        rows = np.repeat(lists.offsets[part] - begin, length) + np.arange(length.sum())
        found = vectors[lists.item[rows]].astype(np.float64)
        norm = np.linalg.norm(found, axis=1, keepdims=True)
        unit = found / np.where(norm > 0, norm, 1.0)
        # The square of a sum is the sum of squares and every pair twice.
        own = np.add.reduceat((norm[:, 0] > 0).astype(np.float64), begin)
        pairs = (np.add.reduceat(unit, begin) ** 2).sum(axis=1) - own
        means[start : start + step] = pairs / (length * (length - 1))
    return means
