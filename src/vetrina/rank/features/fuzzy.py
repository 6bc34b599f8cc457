"""Features of how much of the query an item has if slips of the keyboard are forgiven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items, Requests, register
from vetrina.core.items import document_texts
from vetrina.core.text import analyse
from vetrina.rank.features.base import FeatureFamily, by_group_max
from vetrina.rank.features.postings import Postings

__all__ = ["Fuzzy"]

Floats = npt.NDArray[np.float32]
Near = list[tuple[int, float]]

_MOST = 20  # words taken for what was meant
_LETTERS = 32  # into which all letters are counted, for a quick lower bound
_LONGEST = 24  # longer words have no slips forgiven


@register("features", "fuzzy")
class Fuzzy(FeatureFamily):
    """Share of the query's words found in the item, exactly or, where the shop has no such word, nearly.

    A word that no item has is taken for a slip of the nearest words there are: within one edit where it has
    three to five letters, two where it has more. An edit is a letter more, less, or another, or two neighbours
    swapped. ``fuzzy`` is Σ_t w_t s_t / Σ_t w_t over the query's words t: s_t is 1 for a word that the item has,
    1 - d/l for one d edits away from the word of l letters, the nearest counting, else 0; w_t is the inverse document
    frequency ln(1 + (N - n + 0.5)/(n + 0.5)), n = 0 for unknown words. ``misspelt`` is the share of the query's words
    that the shop lacks but has near ones of; it is the same for all candidates of a request.

    Candidates with only near words are found by the sources of vectors, whose parts of words survive a slip.

    Sources: F. Damerau, A technique for computer detection and correction of spelling errors (CACM 1964), for
    the edits; I. Bartolini, P. Ciaccia and M. Patella, String matching with metric trees using an approximate
    distance (SPIRE 2002), for the bound by letter counts that spares most comparisons.

    Examples
    --------
    >>> from vetrina.testing import sample_requests, small_shop
    >>> family = Fuzzy().fit(*small_shop())
    >>> [family.words[code] for code, _ in family.near("bluw")]
    ['blue']
    """

    reason = "words"
    reads = ("query", "items")
    names_ = ["fuzzy", "fuzzy_of_best", "misspelt"]

    def fit(self, items: Items, log: EventLog) -> Self:
        vocabulary: dict[str, int] = {}
        tokens = ([(word, False) for word in analyse(text)] for text in document_texts(items))
        postings = Postings.of([tokens], vocabulary)
        self.words = list(vocabulary)
        self.starts_, self.item_ = postings.starts, postings.item
        return self.bind(items)

    def bind(self, items: Items) -> Self:
        self._codes = {word: code for code, word in enumerate(self.words)}
        nothing = np.empty((0, 1))
        self._postings = Postings(
            np.asarray(self.starts_), np.asarray(self.item_), nothing.astype(np.uint8), nothing.astype(np.bool_)[:, 0],
            nothing.astype(np.int32),
        )  # fmt: skip
        self._idf = np.log1p((len(items) - self._postings.found + 0.5) / (self._postings.found + 0.5))
        self._rarest = float(np.log1p((len(items) + 0.5) / 0.5))
        # Words in order of length: those of nearly the same length are one slice.
        length = np.array([len(word) for word in self.words], dtype=np.int64)
        short = np.flatnonzero(length <= _LONGEST)
        self._order = short[np.argsort(length[short], kind="stable")]
        self._length = length[self._order]
        self._spelling = _spelling([self.words[code] for code in self._order])
        self._letters = _letters(self._spelling)
        return super().bind(items)

    def near(self, word: str) -> Near:
        """(Code of a word that the shop has, likeness in (0, 1]) of what a word may stand for, nearest first."""
        if word in self._codes:
            return [(self._codes[word], 1.0)]
        edits = 0 if len(word) < 3 or len(word) > _LONGEST else 1 if len(word) < 6 else 2
        if not edits:
            return []
        low, high = np.searchsorted(self._length, [len(word) - edits, len(word) + edits + 1])
        spelling = _spelling([word])
        apart = self._letters[low:high].astype(np.int16) - _letters(spelling)
        # An edit changes at most one count up and one down; a swap changes none.
        bound = np.maximum(np.maximum(apart, 0).sum(axis=1), np.maximum(-apart, 0).sum(axis=1))
        some = low + np.flatnonzero(bound <= edits)
        distance = _edits(spelling[0, : len(word)], self._spelling[some], self._length[some])
        order = np.argsort(distance, kind="stable")[:_MOST]
        return [
            (int(self._order[some[at]]), 1 - float(distance[at]) / len(word)) for at in order if distance[at] <= edits
        ]

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("starts_")
        columns = np.full((len(lists.item), len(self.names_)), np.nan, dtype=np.float32)
        found: dict[str, Near] = {}
        misspelt = np.full(len(requests), np.nan)
        rows, shares = [np.empty(0, dtype=np.int64)], [np.empty(0)]
        for number, query in enumerate(requests.queries):
            terms = list(dict.fromkeys(analyse(query.text))) if query.text else []
            if not terms:
                continue
            found |= {term: self.near(term) for term in terms if term not in found}
            misspelt[number] = np.mean([bool(found[term]) and term not in self._codes for term in terms])
            start, stop = int(lists.offsets[number]), int(lists.offsets[number + 1])
            if start == stop:
                continue
            share, whole = self._share([found[term] for term in terms], lists.item[start:stop])
            rows.append(np.arange(start, stop))
            shares.append(share / whole)
        columns[np.concatenate(rows), 0] = np.concatenate(shares)
        columns[:, 1] = np.where(np.isnan(columns[:, 0]), np.nan, by_group_max(columns[:, 0], lists))
        columns[:, 2] = misspelt[lists.row]
        return columns

    def _share(self, terms: list[Near], items: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.float64], float]:
        """(Σ w s of each item, Σ w) of one query's terms."""
        total, whole = np.zeros(len(items)), 0.0
        for meant in terms:
            # A word that the shop has stands for itself alone; any other is as rare as can be.
            weight = float(self._idf[meant[0][0]]) if meant and meant[0][1] == 1 else self._rarest
            best = np.zeros(len(items))
            for code, likeness in meant:
                best = np.maximum(best, likeness * (self._postings.places(code, items) >= 0))
            total += weight * best
            whole += weight
        return total, whole

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "words.json").write_text(json.dumps(self.words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        family = super().load(folder)
        family.words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        return family


def _spelling(words: list[str]) -> npt.NDArray[np.uint32]:
    """Code points of the words, 0 after their ends: uint32 of shape (n_words, longest)."""
    longest = max(map(len, words), default=1)
    return np.array(words, dtype=f"<U{longest}").view(np.uint32).reshape(len(words), longest)


def _letters(spelling: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """How often each word has letters of each class: uint8 of shape (n_words, 32)."""
    counts = np.zeros((len(spelling), _LETTERS), dtype=np.uint8)
    for column in spelling.T:
        rows = np.flatnonzero(column)
        counts[rows, column[rows] % _LETTERS] += 1
    return counts


def _edits(
    word: npt.NDArray[np.uint32], others: npt.NDArray[np.uint32], length: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Edits from one word to each of ``others`` of given length: int64 of shape (n_others,).

    Optimal string alignment: the table of Damerau and Levenshtein, a row for each letter of the word, for
    all others at once.
    """
    n, widest = others.shape
    before, above = np.zeros((n, widest + 1), dtype=np.int64), np.tile(np.arange(widest + 1), (n, 1))
    for place, letter in enumerate(word.tolist(), start=1):
        row = np.empty_like(above)
        row[:, 0] = place
        for at in range(1, widest + 1):
            other = others[:, at - 1]
            least = np.minimum(above[:, at], row[:, at - 1]) + 1
            least = np.minimum(least, above[:, at - 1] + (other != letter))
            if place > 1 and at > 1:
                swapped = (other == word[place - 2]) & (others[:, at - 2] == letter)
                least = np.where(swapped, np.minimum(least, before[:, at - 2] + 1), least)
            row[:, at] = least
        before, above = above, row
    return above[np.arange(n), length]
