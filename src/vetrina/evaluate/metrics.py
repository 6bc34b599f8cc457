"""How good ranked lists are: precision, recall, F1, NDCG, reciprocal rank, hit rate and average precision at k.

All metrics are computed for a whole batch at once from the rows that are hits,
so their cost is that of finding the hits.

Sources: K. Järvelin and J. Kekäläinen, Cumulated Gain-Based Evaluation of IR
Techniques (TOIS 2002), for NDCG; C. Burges et al., Learning to Rank using
Gradient Descent (ICML 2005), for the exponential gain; E. Voorhees and D.
Harman, TREC (2005), for the rest. The conventions are those of trec_eval:

- the order of a list is the ranking; scores are not looked at again;
- a row with item -1 is padding: it is no result and takes no place;
- an item that stands twice in a list counts where it stands first; the
  repetition takes a place and earns nothing;
- precision divides by ``k`` even when a list is shorter, recall and average
  precision by the number of relevant items even when that is more than ``k``;
- an item is relevant when its gain is above 0; what the truth does not name is not;
- a request without a relevant item has no right answer: it is left out of
  every metric, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError, nearest

__all__ = ["METRICS", "Gain", "Scores", "measure"]

#: Names of the metrics, in the order in which reports show them.
METRICS = ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate", "average_precision")

Gain = Literal["linear", "exponential"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Metrics of one system, request by request.

    Attributes
    ----------
    values : dict of str to float64 array of shape (n_scored,)
        By name, such as ``"ndcg@10"``, each in [0, 1].
    requests : int64 of shape (n_scored,)
        Which requests of the batch were scored; the same for every system measured on the
        same truth, so that systems can be compared request by request.
    n_left_out : int
        Requests without a relevant item.
    """

    values: dict[str, Floats]
    requests: Ints
    n_left_out: int

    def mean(self, name: str) -> float:
        """Mean of one metric; NaN when no request was scored.

        Raises
        ------
        ConfigError
            When it was not measured.
        """
        if name not in self.values:
            raise ConfigError(
                f"Metric {name!r} was not measured.{nearest(name, self.values)} Measured: {', '.join(self.values)}."
            )
        values = self.values[name]
        return float(values.mean()) if len(values) else float("nan")


def measure(
    lists: ItemList, truth: Truth, k: int | Sequence[int] = 10, metrics: Sequence[str] = METRICS, gain: Gain = "linear"
) -> Scores:
    """Measure ranked lists against the truth.

    Parameters
    ----------
    lists : ItemList
        One ranked list per request, best first.
    truth : Truth
        Of the same requests.
    k : int or sequence of int
        Cut-offs, each >= 1.
    metrics : sequence of str
        Of :data:`METRICS`: ``mrr`` is the reciprocal rank of the first relevant item among
        the first ``k`` (0 when there is none), ``hit_rate`` is 1 when there is one.
    gain : {"linear", "exponential"}
        What NDCG sums: the gain itself (the default, as in trec_eval), or ``2**gain - 1``.

    Returns
    -------
    Scores

    Raises
    ------
    ConfigError
        When a metric, gain or cut-off is not one of those above.
    DataError
        When lists and truth are of different batches.

    Examples
    --------
    >>> import numpy as np
    >>> lists = ItemList.from_lists([np.array([3, 1, 2], dtype=np.int32), np.array([5], dtype=np.int32)])
    >>> scores = measure(lists, Truth.from_lists([{1: 1.0}, {}]), k=2, metrics=["mrr", "precision"])
    >>> {name: values.tolist() for name, values in scores.values.items()}, scores.n_left_out
    ({'mrr@2': [0.5], 'precision@2': [0.5]}, 1)
    """
    cuts = [k] if isinstance(k, int) else list(k)
    _check(cuts, metrics, gain)
    if len(lists) != len(truth):
        raise DataError(f"{len(lists)} lists were given for the truth of {len(truth)} requests; give one per request.")
    if gain == "exponential" and truth.gain.max(initial=0) > 100:
        raise DataError(
            f"Gain {truth.gain.max():g} is above 100, too large for gain='exponential' (2 to its power); use 'linear'."
        )
    n_relevant = truth.n_relevant
    kept = np.flatnonzero(n_relevant)
    request, place, gains = _hits(lists, truth, max(cuts, default=1))
    hits = _Hits(request, place, gains, _ideal(truth), n_relevant, gain)
    values = {f"{name}@{cut}": hits.metric(name, cut)[kept] for cut in cuts for name in metrics}
    return Scores(values, kept.astype(np.int64), len(truth) - len(kept))


def _check(cuts: Sequence[int], metrics: Sequence[str], gain: str) -> None:
    for cut in cuts:
        if cut < 1:
            raise ConfigError(f"k: a cut-off is 1 or more. Got {cut}.")
    for name in metrics:
        if name not in METRICS:
            raise ConfigError(f"There is no metric {name!r}.{nearest(name, METRICS)} Known: {', '.join(METRICS)}.")
    if gain not in ("linear", "exponential"):
        raise ConfigError(f"gain is 'linear' or 'exponential'. Got {gain!r}.")


def _keys(row: npt.NDArray[np.integer], item: npt.NDArray[np.integer], span: int) -> Ints:
    """One integer per (request, item)."""
    return row.astype(np.int64) * span + (item.astype(np.int64) + 1)


def _hits(lists: ItemList, truth: Truth, k: int) -> tuple[Ints, Ints, Floats]:
    """(request, place from 0, gain) of every relevant item among the first ``k``, in order of the lists."""
    rows = np.flatnonzero(lists.item >= 0)
    request = lists.row[rows].astype(np.int64)
    place = np.arange(len(rows)) - np.searchsorted(request, np.arange(len(lists)))[request]
    near = place < k
    request, place, item = request[near], place[near], lists.item[rows[near]]

    relevant = np.flatnonzero(truth.gain > 0)
    span = truth._span
    keys = _keys(truth.row[relevant], truth.item[relevant], span)
    order = np.argsort(keys, kind="stable")
    keys, gains = keys[order], truth.gain[relevant][order]
    # Items past the largest one of the truth would run into the next request's keys.
    possible = np.flatnonzero(item < span - 1) if len(keys) else np.empty(0, dtype=np.int64)
    wanted = _keys(request[possible], item[possible], span)
    found = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    match = keys[found] == wanted
    found, possible = found[match], possible[match]
    first = np.sort(np.unique(found, return_index=True)[1])  # a repetition earns nothing
    return request[possible[first]], place[possible[first]], gains[found[first]]


def _ideal(truth: Truth) -> tuple[Ints, Ints, Floats]:
    """(request, place, gain) of the best possible lists."""
    relevant = np.flatnonzero(truth.gain > 0)
    row, gain = truth.row[relevant], truth.gain[relevant]
    order = np.lexsort((-gain, row))
    row, gain = row[order], gain[order]
    return row, np.arange(len(row)) - np.searchsorted(row, np.arange(len(truth)))[row], gain


class _Hits:
    """Metrics of a batch from its hits; every method returns float64 of shape (batch,)."""

    def __init__(
        self,
        request: Ints,
        place: Ints,
        gains: Floats,
        ideal: tuple[Ints, Ints, Floats],
        n_relevant: Ints,
        gain: Gain,
    ) -> None:
        self.request, self.place, self.gains = request, place, gains
        self.ideal, self.n_relevant, self.gain = ideal, n_relevant, gain
        # A request without relevant items is left out by the caller; 1 avoids dividing by 0.
        self.n_right = np.maximum(n_relevant, 1)

    def metric(self, name: str, k: int) -> Floats:
        values: Floats = getattr(self, name)(k)
        return values

    def _sum(self, weights: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
        summed = np.bincount(self.request[inside], weights=weights[inside], minlength=len(self.n_relevant))
        return summed.astype(np.float64)

    def _count(self, k: int) -> Floats:
        return np.bincount(self.request[self.place < k], minlength=len(self.n_relevant)).astype(np.float64)

    def precision(self, k: int) -> Floats:
        return self._count(k) / k

    def recall(self, k: int) -> Floats:
        return self._count(k) / self.n_right

    def f1(self, k: int) -> Floats:
        # The harmonic mean of hits/k and hits/relevant.
        score: Floats = 2 * self._count(k) / (k + self.n_right)
        return score

    def hit_rate(self, k: int) -> Floats:
        return (self._count(k) > 0).astype(np.float64)

    def mrr(self, k: int) -> Floats:
        rank = np.full(len(self.n_relevant), np.inf)
        inside = self.place < k
        np.minimum.at(rank, self.request[inside], self.place[inside] + 1.0)
        return 1 / rank

    def average_precision(self, k: int) -> Floats:
        # Hits stand in order, so the number of hits so far is the distance from a request's first.
        starts = np.searchsorted(self.request, np.arange(len(self.n_relevant)))
        so_far = np.arange(len(self.request)) - starts[self.request] + 1
        return self._sum(so_far / (self.place + 1), self.place < k) / self.n_right

    def ndcg(self, k: int) -> Floats:
        row, place, gain = self.ideal
        inside = place < k
        best = np.bincount(row[inside], weights=self._discounted(gain, place)[inside], minlength=len(self.n_relevant))
        achieved = self._sum(self._discounted(self.gains, self.place), self.place < k)
        return achieved / np.where(best > 0, best, 1.0)

    def _discounted(self, gain: Floats, place: Ints) -> Floats:
        worth = gain if self.gain == "linear" else np.exp2(gain) - 1
        discounted: Floats = worth / np.log2(place + 2.0)
        return discounted
