"""Candidates by the words under which items were chosen: what shoppers searched for says what an item is.

Sources: N. Craswell and M. Szummer, Random walks on the click graph (SIGIR 2007), with words in the place of whole
queries, so that a query that nobody has asked is answered too; C. Zhai and J. Lafferty, A study of smoothing methods
for language models applied to ad hoc information retrieval (SIGIR 2001), section 2, for the score.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, EventLog, ItemList, Items, Real, Requests, register
from vetrina.core.queries import CHOICES, normal_query, queries_of
from vetrina.retrieve.base import Allowed, Found, Retriever, largest, pick, side_by_side, top_k_of_sparse

__all__ = ["QueryItem", "QueryItemConfig"]

#: Pairs of words worked on at once while learning: all of them are many times what is kept.
_CELLS_AT_ONCE = 4_000_000


class QueryItemConfig(Config):
    """How far words spread over the click graph, and how much it says that an item is often chosen."""

    walk: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Chance of two more steps, item to word and word to item: 0 finds only the very words.",
    )
    neighbours: int = Field(default=50, ge=1, description="Words that two more steps may lead to from each word.")
    smoothing: float = Field(
        default=0.1, gt=0, description="Weight of the word's share of all choices: the larger, the less a word says."
    )
    prior: float = Field(
        default=0.3, ge=0, description="Power of an item's number of choices that its score is multiplied by, as odds."
    )


@register("retriever", "query_item")
class QueryItem(Retriever):
    """Query likelihood of each item, its text being the words of the queries under which shoppers chose it.

    With n(i, w) the ln(1 + number of choices) of item i under queries with the word w, the click graph has the steps
    p(w | i) = n(i, w)/Σ_w n(i, w) and p(i | w) = n(i, w)/Σ_i n(i, w). The words of an item are
    p̂(w | i) = (1 - walk) p(w | i) + walk Σ_v p(v | i) Σ_j p(j | v) p(w | j): also those under which people
    chose what is chosen under the same words. The score is the sum over the query's words of
    ln(1 + p̂(w | i)/(smoothing · p(w))), p(w) the share of w in all n, plus prior · ln(1 + choices of i); 0 where the
    item has none of the words. A choice is a view, click, cart or purchase that names its query, or whose request does.

    Examples
    --------
    >>> from vetrina.core import Query, Windows
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = QueryItem().fit(items, log)
    >>> asked = Requests(Windows.empty(1), [Query(log.queries[0])], log.time[-1:])
    >>> ids, scores = source.retrieve(asked, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    answers_query = True
    learns = "log"
    config_type = QueryItemConfig
    space = {"walk": Real(0, 1), "smoothing": Real(0.01, 1, log=True), "prior": Real(0, 1)}
    #: Places of words in the table of scores.
    vocabulary_: dict[str, int]

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        names, query = queries_of(log)
        rows = np.flatnonzero(np.isin(log.kind, CHOICES) & (log.item >= 0) & (query >= 0))
        asked, code = np.unique(query[rows], return_inverse=True)
        words = [names[one].split() for one in asked.tolist()]
        terms = sorted({word for one in words for word in one})
        self.vocabulary_ = {word: place for place, word in enumerate(terms)}
        pairs = [(number, self.vocabulary_[word]) for number, one in enumerate(words) for word in one]
        has = _ones(np.array(pairs, dtype=np.int64).reshape(-1, 2).T, (len(words), len(terms)))
        choices = _ones(np.stack([log.item[rows].astype(np.int64), code]), (len(items), len(words)))
        scores = self._scored(sparse.csr_array(choices @ has))
        scores.sort_indices()
        self.values_ = scores.data.astype(np.float32)
        self.columns_ = scores.indices.astype(np.int32)
        self.pointers_ = scores.indptr.astype(np.int64)
        often = np.bincount(log.item[rows], minlength=len(items))
        self.prior_ = (self.config.prior * np.log1p(often)).astype(np.float32)
        return self

    def _scored(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Words by items: what each word adds to an item's score."""
        counts.data = np.log1p(counts.data)
        of_items, of_words = _by_row(counts), _by_row(sparse.csr_array(counts.T))
        walk = self.config.walk
        met = (1 - walk) * of_items
        if walk:
            met = met + walk * (of_items @ _nearest(of_words, of_items, self.config.neighbours))
        met = sparse.csr_array(sparse.csr_array(met).T)
        met.eliminate_zeros()
        share = np.asarray(counts.sum(axis=0)).ravel() / max(float(counts.sum()), 1e-12)
        met.data = np.log1p(met.data / (self.config.smoothing * np.repeat(share, np.diff(met.indptr))))
        return met

    def _scores(self, requests: Requests) -> sparse.csr_array:
        self.require_fitted("values_")
        shape = len(self.pointers_) - 1, len(self.prior_)
        table = sparse.csr_array((self.values_, self.columns_, self.pointers_), shape=shape)
        places = [
            (row, self.vocabulary_[word])
            for row, query in enumerate(requests.queries)
            for word in normal_query(query.text).split()
            if word in self.vocabulary_
        ]
        said = _ones(np.array(places, dtype=np.int64).reshape(-1, 2).T, (len(requests), shape[0]))
        scores = sparse.csr_array(said @ table)
        scores.data = (scores.data + self.prior_[scores.indices]).astype(np.float32)
        return scores

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return top_k_of_sparse(requests.once(self, lambda: self._scores(requests)), k, allowed)

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        return pick(requests.once(self, lambda: self._scores(requests)), lists)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "vocabulary.json").write_text(json.dumps(list(self.vocabulary_), ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        source = super().load(folder)
        terms = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        source.vocabulary_ = {word: place for place, word in enumerate(terms)}
        return source


def _ones(places: npt.NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_array:
    """How often each place is named: sparse, float64."""
    counts = sparse.csr_array((np.ones(places.shape[1]), (places[0], places[1])), shape=shape)
    counts.sum_duplicates()
    return counts


def _by_row(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows that sum to 1; those of nothing stay so."""
    whole = np.asarray(matrix.sum(axis=1)).ravel()
    result = matrix.copy()
    result.data = result.data / np.repeat(whole, np.diff(matrix.indptr))
    return result


def _nearest(of_words: sparse.csr_array, of_items: sparse.csr_array, count: int) -> sparse.csr_array:
    """The ``count`` words to which two steps lead most often from each word, and how often: words by words."""
    n_words = of_words.shape[0]
    at_once = max(1, _CELLS_AT_ONCE // max(n_words, 1))
    starts = range(0, max(n_words, 1), at_once)
    parts = [_kept(sparse.csr_array(of_words[start : start + at_once] @ of_items), count) for start in starts]
    return sparse.csr_array(sparse.vstack(parts))


def _kept(matrix: sparse.csr_array, count: int) -> sparse.csr_array:
    """The ``count`` largest of each row, all above 0, of equal ones those named first; what is left out is gone."""
    matrix.sum_duplicates()
    row, place, width = side_by_side(matrix)
    if width <= count:
        return matrix
    values = np.zeros((matrix.shape[0], width))
    values[row, place] = matrix.data
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, largest(values, count), True, axis=1)
    kept = chosen[row, place]
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(values)))])
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], pointers), shape=matrix.shape)
