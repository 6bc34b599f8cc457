"""How good ranked lists are: precision, recall, F1, NDCG, reciprocal rank, hit rate, average precision and AUC at k.

All metrics at all cut-offs are computed for a whole batch at once from the
rows that are hits, so their cost is that of finding the hits.

Sources: K. Järvelin and J. Kekäläinen, Cumulated Gain-Based Evaluation of IR
Techniques (TOIS 2002), for NDCG; C. Burges et al., Learning to Rank using
Gradient Descent (ICML 2005), for the exponential gain; S. Rendle et al., BPR:
Bayesian Personalized Ranking from Implicit Feedback (UAI 2009), for AUC by
request; E. Voorhees and D. Harman, TREC (2005), for the rest. The conventions
are those of trec_eval:

- the order of a list is the ranking; scores are not looked at again;
- a row with item -1 is padding: it is no result and takes no place;
- an item that stands twice in a list counts where it stands first; the
  repetition takes a place and earns nothing;
- precision divides by ``k`` even when a list is shorter, recall and average
  precision by the number of relevant items even when that is more than ``k``;
- an item is relevant when its gain is above 0; what the truth does not name is not;
- a request without a relevant item has no right answer: it is left out of
  every metric, and counted;
- for AUC, candidates that are not in the list are tied below it, and a tie
  counts half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError, nearest

__all__ = ["METRICS", "Gain", "Scores", "measure"]

#: Names of the metrics, in the order in which reports show them. One more, "auc", needs to be
#: told how many candidates there were.
METRICS = ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate", "average_precision")

Gain = Literal["linear", "exponential"]
_KNOWN = (*METRICS, "auc")
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
    lists: ItemList,
    truth: Truth,
    k: int | Sequence[int] = 10,
    metrics: Sequence[str] = METRICS,
    gain: Gain = "linear",
    *,
    n_items: int | Ints | None = None,
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
        the first ``k`` (0 when there is none), ``hit_rate`` is 1 when there is one. Also
        ``auc``, the chance that a relevant candidate stands above one that is not, of lists
        cut at ``k``: give a ``k`` as large as the longest for that of whole lists. It is 0.5
        when every candidate is relevant.
    gain : {"linear", "exponential"}
        What NDCG sums: the gain itself (the default, as in trec_eval), or ``2**gain - 1``.
    n_items : int, or int of shape (batch,)
        For ``auc``: how many candidates each request had, listed or not.

    Returns
    -------
    Scores

    Raises
    ------
    ConfigError
        When a metric, gain or cut-off is not one of those above, or ``auc`` lacks ``n_items``.
    DataError
        When lists and truth are of different batches, or hold more items than there were candidates.

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
    if "auc" in metrics and n_items is None:
        raise ConfigError("n_items: auc counts the candidates that are not listed too; say how many there were in all.")
    if len(lists) != len(truth):
        raise DataError(f"{len(lists)} lists were given for the truth of {len(truth)} requests; give one per request.")
    if gain == "exponential" and truth.gain.max(initial=0) > 100:
        raise DataError(
            f"Gain {truth.gain.max():g} is above 100, too large for gain='exponential' (2 to its power); use 'linear'."
        )
    if lists.item.min(initial=0) < 0:
        lists = ItemList(lists.offsets, lists.item).take(np.flatnonzero(lists.item >= 0))
    right, longest = _Right.of(truth), max(cuts, default=1)
    totals = _Totals(_hits(lists, right, longest), right, cuts, gain)
    if "auc" in metrics and n_items is not None:
        totals.candidates = _Candidates.of(lists, totals, longest, n_items)
    kept = np.flatnonzero(right.sizes)
    values = {f"{name}@{cut}": totals.metric(name, cut)[kept] for cut in cuts for name in metrics}
    return Scores(values, kept, len(truth) - len(kept))


def _check(cuts: Sequence[int], metrics: Sequence[str], gain: str) -> None:
    for cut in cuts:
        if cut < 1:
            raise ConfigError(f"k: a cut-off is 1 or more. Got {cut}.")
    for name in metrics:
        if name not in _KNOWN:
            raise ConfigError(f"There is no metric {name!r}.{nearest(name, _KNOWN)} Known: {', '.join(_KNOWN)}.")
    if gain not in ("linear", "exponential"):
        raise ConfigError(f"gain is 'linear' or 'exponential'. Got {gain!r}.")


@dataclass(frozen=True)
class _Right:
    """The relevant items of a batch, without what was judged and not relevant."""

    offsets: Ints
    item: npt.NDArray[np.int32]
    gain: Floats

    @classmethod
    def of(cls, truth: Truth) -> _Right:
        relevant = truth.gain > 0
        if relevant.all():
            return cls(truth.offsets, truth.item, truth.gain)
        offsets = np.concatenate([[0], np.cumsum(relevant)])[truth.offsets]
        return cls(offsets, truth.item[relevant], truth.gain[relevant])

    @cached_property
    def sizes(self) -> Ints:
        return np.diff(self.offsets)

    @cached_property
    def row(self) -> Ints:
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def falling(self) -> Floats:
        """Gains in the order of the best possible lists."""
        starts = np.zeros(len(self.gain) + 1, dtype=bool)
        starts[self.offsets[:-1]] = True
        rises = np.flatnonzero(self.gain[1:] > self.gain[:-1]) + 1
        if starts[rises].all():
            return self.gain
        return self.gain[np.lexsort((-self.gain, self.row))]


# --- finding hits ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The first places of some lists: which rows they are (None: all), and the request and place of each."""

    sizes: Ints
    rows: Ints | None
    request: Ints
    place: Ints
    base: Ints

    @classmethod
    def of(cls, sizes: Ints, k: int, width: int) -> _Rows:
        counts = np.minimum(sizes, k)
        request = np.repeat(np.arange(len(sizes)), counts)
        place = np.arange(len(request)) - (np.cumsum(counts) - counts)[request]
        rows = None if np.array_equal(counts, sizes) else (np.cumsum(sizes) - sizes)[request] + place
        return cls(sizes, rows, request, place, request * width)


def _parts(lists: ItemList, k: int, step: int, width: int) -> Iterator[tuple[int, int, _Rows, npt.NDArray[np.int32]]]:
    """(start, stop, rows, items) of ``step`` requests at a time: of their first ``k`` places."""
    every, rows = lists.sizes, _Rows.of(np.empty(0, dtype=np.int64), k, width)
    for start in range(0, len(lists), step):
        stop = min(start + step, len(lists))
        sizes = every[start:stop]
        if not np.array_equal(sizes, rows.sizes):  # most often each list is as long as the one before
            rows = _Rows.of(sizes, k, width)
        item = lists.item[lists.offsets[start] : lists.offsets[stop]]
        yield start, stop, rows, item if rows.rows is None else item[rows.rows]


_CELLS = 1 << 17  # of a table, and about as many rows looked up in it at a time: both stay in the cache
_SPARSE = 16  # cells for each relevant item, so that few share one


def _step(lists: ItemList, k: int, width: int) -> int:
    """How many requests to take at a time."""
    longest = min(k, len(lists.item) // max(len(lists), 1) + 1)
    return max(1, min(_CELLS // width, _CELLS // longest))


@dataclass(frozen=True)
class _Hits:
    """Every relevant item among the first places, in order of the lists: request, place from 0, gain."""

    request: Ints
    place: Ints
    gain: Floats


def _hits(lists: ItemList, right: _Right, k: int) -> _Hits:
    """Look up the item of every row among its request's relevant ones, in a hash table of some requests at a time.

    A cell holds one relevant item. The few that another has driven out of theirs are
    searched for among the rows that came upon it.
    """
    n_right, none = len(right.item), np.empty(0, dtype=np.int64)
    width = 1 << min(max((_SPARSE * n_right // max(len(lists), 1)).bit_length(), 4), 17)
    step = _step(lists, k, width)
    table = np.full(step * width, -1, dtype=np.int32)
    requests, places, found = [none], [none], [none]
    for start, stop, rows, item in _parts(lists, k, step, width) if n_right else ():
        first, last = right.offsets[start], right.offsets[stop]
        wanted, owner = right.item[first:last], right.row[first:last] - start
        own = np.arange(last - first, dtype=np.int32)
        cell = owner * width + (wanted & (width - 1))
        table[cell] = own
        lost = np.flatnonzero(table[cell] != own)
        met = table[rows.base + (item & (width - 1))]
        table[cell] = -1
        near = np.flatnonzero(met >= 0)
        met, item, request = met[near].astype(np.int64), item[near], rows.request[near]
        other = np.flatnonzero(wanted[met] != item)
        met[other] = _search(owner[lost], wanted[lost], lost, request[other], item[other])
        same = np.flatnonzero(met >= 0)
        requests.append(request[same] + start)
        places.append(rows.place[near[same]])
        found.append(met[same] + first)
    request, place, which = np.concatenate(requests), np.concatenate(places), np.concatenate(found)
    # A repetition earns nothing: of those that name one relevant item the first is the last to be written.
    order, first = np.arange(len(which)), np.empty(n_right, dtype=np.int64)
    first[which[::-1]] = order[::-1]
    once = first[which] == order
    return _Hits(request[once], place[once], right.gain[which[once]])


def _search(
    owner: Ints, wanted: npt.NDArray[np.int32], which: Ints, request: Ints, item: npt.NDArray[np.int32]
) -> Ints:
    """The ``which`` of every (request, item) among (owner, wanted), or -1."""
    if not len(which):
        return np.full(len(item), -1)
    keys = (owner << 32) + wanted
    order = np.argsort(keys)
    asked = (request << 32) + item
    nearest_ = order[np.minimum(np.searchsorted(keys, asked, sorter=order), len(keys) - 1)]
    return np.where(keys[nearest_] == asked, which[nearest_], -1)


def _repeated(lists: ItemList, k: int) -> tuple[Ints, Ints]:
    """(request, place) of the rows among the first ``k`` places whose item stands earlier in its list, in order."""
    requests, places = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start, _, rows, item in _parts(lists, k, _step(lists, k, 1), 1 << 32):
        keys = rows.base + item
        ordered = np.sort(keys)
        if (ordered[1:] == ordered[:-1]).any():  # seldom, and the order in which they stand is dearer
            order = np.argsort(keys, kind="stable")
            again = np.sort(order[1:][keys[order[1:]] == keys[order[:-1]]])
            requests.append(rows.request[again] + start)
            places.append(rows.place[again])
    return np.concatenate(requests), np.concatenate(places)


# --- from hits to metrics -------------------------------------------------------------------------


class _Totals:
    """Metrics of a batch from its hits, at all cut-offs at once; each is float64 of shape (batch,)."""

    candidates: _Candidates

    def __init__(self, hits: _Hits, right: _Right, cuts: Sequence[int], gain: Gain) -> None:
        self.hits, self.right, self.gain = hits, right, gain
        self.cuts = sorted(set(cuts))
        # A request without relevant items is left out by the caller; 1 avoids dividing by 0.
        self.n_right = np.maximum(right.sizes, 1)

    def metric(self, name: str, k: int) -> Floats:
        values: Floats = getattr(self, name)(k, self.cuts.index(k))
        return values

    def precision(self, k: int, at: int) -> Floats:
        return self.counts[at] / k

    def recall(self, k: int, at: int) -> Floats:
        return self.counts[at] / self.n_right

    def f1(self, k: int, at: int) -> Floats:
        # The harmonic mean of hits/k and hits/relevant.
        score: Floats = 2 * self.counts[at] / (k + self.n_right)
        return score

    def hit_rate(self, k: int, at: int) -> Floats:
        return (self.counts[at] > 0).astype(np.float64)

    def mrr(self, k: int, at: int) -> Floats:
        return np.where(self.counts[at] > 0, self.reciprocal, 0.0)

    def average_precision(self, k: int, at: int) -> Floats:
        return self.precisions[at] / self.n_right

    def ndcg(self, k: int, at: int) -> Floats:
        best = self.best[at]
        return self.achieved[at] / np.where(best > 0, best, 1.0)

    def auc(self, k: int, at: int) -> Floats:
        known, hits = self.candidates, self.counts[at]
        wrong = known.n - self.right.sizes
        # A hit is above the wrong ones that are not before it; a relevant one that is not listed
        # is tied with the wrong ones that are not.
        above = hits * wrong - known.wrong_before[at]
        tied = (self.right.sizes - hits) * (wrong - (known.listed[at] - hits))
        return np.where(wrong > 0, (above + tied / 2) / np.maximum(self.n_right * wrong, 1), 0.5)

    # What the metrics share: an array of shape (batch,) for each cut-off.

    def within(self, request: Ints, place: Ints, weights: Floats | None = None) -> list[Floats]:
        """Sums by request of the rows inside each cut-off: by the first that holds a row, then cumulated."""
        batch, cuts = len(self.right.sizes), len(self.cuts)
        if cuts == 1 and place.max(initial=-1) < self.cuts[0]:
            return [np.bincount(request, weights, batch).astype(np.float64)]
        beyond = min(int(place.max(initial=0)), max(self.cuts, default=0))
        first = np.searchsorted(self.cuts, np.arange(beyond + 1), side="right")
        cell = (first * batch)[np.minimum(place, beyond)] + request
        sums = np.bincount(cell, weights, (cuts + 1) * batch).reshape(cuts + 1, batch)
        return list(np.cumsum(sums[:cuts], axis=0, dtype=np.float64))

    @cached_property
    def counts(self) -> list[Floats]:
        return self.within(self.hits.request, self.hits.place)

    @cached_property
    def before(self) -> Ints:
        """How many hits of its request stand before each hit."""
        starts = np.searchsorted(self.hits.request, np.arange(len(self.right.sizes)))
        return np.arange(len(self.hits.request)) - starts[self.hits.request]

    @cached_property
    def reciprocal(self) -> Floats:
        """Of the place of the first hit, of shape (batch,); 0 where there is none."""
        values, leading = np.zeros(len(self.right.sizes)), self.before == 0
        values[self.hits.request[leading]] = 1 / (self.hits.place[leading] + 1)
        return values

    @cached_property
    def precisions(self) -> list[Floats]:
        return self.within(self.hits.request, self.hits.place, (self.before + 1) / (self.hits.place + 1))

    @cached_property
    def achieved(self) -> list[Floats]:
        return self.within(self.hits.request, self.hits.place, self._discounted(self.hits.gain, self.hits.place))

    @cached_property
    def best(self) -> list[Floats]:
        place = np.arange(len(self.right.row)) - self.right.offsets[self.right.row]
        return self.within(self.right.row, place, self._discounted(self.right.falling, place))

    def _discounted(self, gain: Floats, place: Ints) -> Floats:
        worth = gain if self.gain == "linear" else np.exp2(gain) - 1
        discounted: Floats = worth / np.log2(np.arange(place.max(initial=0) + 1) + 2.0)[place]
        return discounted


@dataclass(frozen=True)
class _Candidates:
    """What AUC needs besides.

    Attributes
    ----------
    n : int64 of shape (batch,)
        How many candidates there were.
    listed, wrong_before : float64 of shape (batch,), for each cut-off
        How many different ones are listed, and the sum over hits of the wrong ones before each.
    """

    n: Ints
    listed: list[Floats]
    wrong_before: list[Floats]

    @classmethod
    def of(cls, lists: ItemList, totals: _Totals, k: int, n_items: int | Ints) -> _Candidates:
        batch, hits = len(lists), totals.hits
        given = np.asarray(n_items, dtype=np.int64)
        if given.shape not in ((), (batch,)):
            raise DataError(f"n_items: give one number, or one for each of the {batch} requests; got {given.shape}.")
        n = np.broadcast_to(given, batch)

        request, place = _repeated(lists, k)  # no candidates of their own
        again = totals.within(request, place)
        listed = [np.minimum(lists.sizes, cut) - again[at] for at, cut in enumerate(totals.cuts)]
        keys = (request << 32) + place
        here = (hits.request << 32) + hits.place
        repeated = np.searchsorted(keys, here) - np.searchsorted(keys, hits.request << 32)
        wrong = (hits.place - totals.before - repeated).astype(np.float64)
        needed = listed[-1] + totals.right.sizes - totals.counts[-1] if totals.cuts else n
        if (needed > n).any():
            worst = int(np.argmax(needed > n))
            raise DataError(
                f"n_items: request {worst} lists {int(needed[worst])} different items or has them in its truth, "
                f"but {n[worst]} candidates were given. Count every item that could have been listed."
            )
        return cls(n, listed, totals.within(hits.request, hits.place, wrong))
