"""Features of how well an item fits the words of the query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items, Requests, register
from vetrina.core.items import attribute_texts
from vetrina.core.text import analyse, phrases
from vetrina.rank.features.base import FeatureFamily, by_group_max
from vetrina.rank.features.postings import Postings, Token, heads

__all__ = ["Words"]

Floats = npt.NDArray[np.float32]

_K1, _B = 1.2, 0.75
# Fields of the index; the fourth are the shop's own attributes.
_TITLE, _DESCRIPTION, _OTHER = 0, 1, 2
# Of each modality: cosine with the query, cosine with the prototypes ("": not asked).
_COSINES = {
    "text": ("meaning", "like_heads"),
    "photo": ("looks_like_words", ""),
    "attributes": ("", "like_heads_attributes"),
}
_PROTOTYPES = 20


@register("features", "words")
class Words(FeatureFamily):
    """Text match: BM25 by field, share of the query's words found, what the item is, meaning, category.

    Words weigh by inverse document frequency, ln(1 + (N - n + 0.5)/(n + 0.5)).

    ``bm25_joined`` takes title, description, category, brand and colour as one field.

    Three features keep a laptop bag from being taken for a laptop. ``category_intent``
    is the share that the candidate's category has among the best lexical matches.
    ``head`` is the share of the query's words that say what the item is
    (:func:`vetrina.rank.features.postings.heads`). ``like_heads`` is pseudo-relevance
    feedback (J. Rocchio, Relevance feedback in information retrieval, 1971): the cosine
    of the item's text with the mean of those candidates that match best and are what
    the query names; ``like_heads_attributes`` the same of attributes.
    """

    reason = "words"
    reads = ("query", "items", "sources")
    names_ = [
        "bm25",
        "bm25_of_best",
        "title_coverage",
        "coverage",
        "title_share",
        "starts_title",
        "meaning",
        "meaning_of_best",
        "category_intent",
        "looks_like_words",
        "query_words",
        "bm25_joined",
        "bm25_joined_of_best",
        "head",
        "like_heads",
        "like_heads_attributes",
        "title_words",
        "description_words",
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        table = items.table
        colours = frozenset(word for colour in table["colour"].unique() for word in analyse(colour))
        rest = zip(table["category"], table["brand"], table["colour"], strict=True)
        fields = [
            (heads(phrases(text), colours) for text in table["title"]),
            (heads(phrases(text), colours) for text in table["description"]),
            (_plain(" ".join(parts)) for parts in rest),
            (_plain(text) for text in attribute_texts(items)),
        ]
        self.vocabulary_: dict[str, int] = {}
        self._keep(Postings.of(fields, self.vocabulary_))
        first = (analyse(title)[:1] for title in table["title"])
        self.first_ = np.array([self.vocabulary_[words[0]] if words else -1 for words in first], dtype=np.int32)
        return self.bind(items)

    def _keep(self, postings: Postings) -> None:
        """Keep an index as arrays that are saved; of a memory-mapped one, plain views, which are quicker to slice."""
        self.postings = Postings(*map(np.asarray, vars(postings).values()))
        self.starts_, self.item_, self.counts_, self.head_, self.length_ = vars(self.postings).values()

    def bind(self, items: Items) -> Self:
        n_items, found = len(items), self.postings.found
        self._idf = np.log1p((n_items - found + 0.5) / (found + 0.5)).astype(np.float32)
        length = self.length_[:, : _OTHER + 1].sum(axis=1)
        self._damping = (_K1 * (1 - _B + _B * length / max(float(length.mean()) if n_items else 1.0, 1e-9))).astype(
            np.float32
        )
        titled = self.item_[self.counts_[:, _TITLE] > 0]
        self._title_terms = np.maximum(np.bincount(titled, minlength=n_items), 1).astype(np.float32)
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        return self.compute_some(requests, lists, np.arange(len(lists.item)))

    def compute_some(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp]) -> Floats:
        self.require_fitted("vocabulary_")
        wanted, columns = rows, np.full((len(lists.item), len(self.names_)), np.nan, dtype=np.float32)
        terms = [list(dict.fromkeys(analyse(query.text))) if query.text else [] for query in requests.queries]
        n_words = np.array([len(one) for one in terms], dtype=np.float32)
        columns[:, self.names_.index("query_words")] = n_words[lists.row]
        asked = np.array([bool(query.text) for query in requests.queries])
        rows = np.flatnonzero(asked[lists.row])
        if not len(rows):
            return columns[wanted]
        some = lists.take(rows)
        chosen = np.zeros(len(lists.item), dtype=bool)
        chosen[wanted] = True
        known = self._matches(terms, some)
        lexical = some.columns.get("lexical")  # a shop may do without that source
        bm25 = np.zeros(len(rows), dtype=np.float32) if lexical is None else np.nan_to_num(lexical.astype(np.float32))
        if lexical is not None:
            known["bm25"] = bm25
            known["bm25_of_best"] = by_group_max(bm25, some)
        known["category_intent"] = self._category_intent(some, bm25)
        known["bm25_joined_of_best"] = by_group_max(known["bm25_joined"], some)
        known |= self._likeness(requests, some, known["bm25_joined_of_best"] * known["head"], chosen[rows])
        if "meaning" in known:
            known["meaning_of_best"] = by_group_max(np.maximum(known["meaning"], 0), some)
        known["title_words"] = self.length_[some.item, _TITLE]
        known["description_words"] = np.log1p(self.length_[some.item, _DESCRIPTION])
        for name, values in known.items():
            columns[rows, self.names_.index(name)] = values
        return columns[wanted]

    def _matches(self, terms: list[list[str]], lists: ItemList) -> dict[str, Floats]:
        """What follows from which words of the query each row has, and where."""
        n_rows, rarest = len(lists.item), float(self._idf.max(initial=1.0))
        total = np.ones(len(terms), dtype=np.float32)
        rows, places, words = [], [], []
        for number, query in enumerate(terms):
            codes = [self.vocabulary_.get(term, -1) for term in query]
            if codes:
                total[number] = sum(float(self._idf[code]) if code >= 0 else rarest for code in codes)
            start, stop = int(lists.offsets[number]), int(lists.offsets[number + 1])
            for code in codes if stop > start else ():
                if code >= 0:
                    place = self.postings.places(code, lists.item[start:stop])
                    having = np.flatnonzero(place >= 0)
                    rows.append(having + start)
                    places.append(place[having])
                    words.append(np.full(len(having), code))
        empty = [np.empty(0, dtype=np.int64)]
        row, place, word = (np.concatenate(empty + parts) for parts in (rows, places, words))
        counts, head, idf = self.counts_[place], self.head_[place], self._idf[word]
        often = counts[:, : _OTHER + 1].sum(axis=1, dtype=np.float32)
        in_title = counts[:, _TITLE] > 0

        def add(values: npt.NDArray[np.generic]) -> Floats:
            return np.bincount(row, weights=values, minlength=n_rows).astype(np.float32)

        whole = total[lists.row]
        return {
            "title_coverage": add(idf * in_title) / whole,
            "coverage": add(idf) / whole,
            "title_share": add(in_title) / self._title_terms[lists.item],
            "starts_title": add(word == self.first_[lists.item[row]]),
            "bm25_joined": add(idf * often * (_K1 + 1) / (often + self._damping[lists.item[row]])),
            "head": add(idf * head) / whole,
        }

    def _likeness(
        self, requests: Requests, lists: ItemList, fit: Floats, wanted: npt.NDArray[np.bool_]
    ) -> dict[str, Floats]:
        """Cosines with the query's vectors, and with the mean of the candidates that fit best.

        By one product for each list: a gather of all rows' vectors for each cosine would take longer. Of the rows
        that are not ``wanted`` only the meaning is known, with which that of the wanted is compared.
        """
        best = self._prototypes(lists, fit)
        found: dict[str, Floats] = {}
        for modality, (of_query, of_best) in _COSINES.items():
            vectors = self.items_.vectors.get(modality)
            queries = requests.query_vectors.get(modality) if of_query else None
            if vectors is None or (queries is None and not of_best):
                continue
            names = [of_query] * (queries is not None) + [of_best] * bool(of_best)
            cosine = np.full((len(lists.item), len(names)), np.nan, dtype=np.float32)
            for number in np.flatnonzero(lists.sizes):
                every = np.arange(lists.offsets[number], lists.offsets[number + 1])
                some = every[wanted[every]]
                if queries is not None:
                    rows = every if of_query == "meaning" else some
                    cosine[rows, 0] = np.einsum("ij,j->i", vectors[lists.item[rows]], queries[number])
                if of_best and len(best[number]):
                    rows = every[best[number]]
                    mean = fit[rows] @ vectors[lists.item[rows]]
                    mean /= max(float(np.linalg.norm(mean)), 1e-9)
                    cosine[some, -1] = np.einsum("ij,j->i", vectors[lists.item[some]], mean)
            found |= dict(zip(names, cosine.T, strict=True))
        return found

    @staticmethod
    def _prototypes(lists: ItemList, fit: Floats) -> list[npt.NDArray[np.intp]]:
        """Places, within each list, of the rows that fit best; rows that do not fit at all are not among them."""
        best = []
        for start, stop in zip(lists.offsets[:-1], lists.offsets[1:], strict=True):
            order = np.argsort(-fit[start:stop], kind="stable")[:_PROTOTYPES]
            best.append(order[fit[start:stop][order] > 0])
        return best

    def _category_intent(self, lists: ItemList, bm25: Floats) -> Floats:
        category, names = self.items_.codes("category")
        if not names:
            return np.full(len(bm25), np.nan, dtype=np.float32)
        row, code = lists.row, category[lists.item]
        # Only the lists' best matches vote: their score above half of the best one.
        vote = np.maximum(by_group_max(bm25, lists) - 0.5, 0)
        place = row.astype(np.int64) * (len(names) + 1) + code + 1
        places, inverse = np.unique(place, return_inverse=True)
        votes = np.bincount(inverse, weights=vote, minlength=len(places))[inverse]
        whole = np.bincount(row, weights=vote, minlength=len(lists))[row]
        return np.where((code >= 0) & (whole > 0), votes / np.where(whole > 0, whole, 1), np.nan).astype(np.float32)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "vocabulary.json").write_text(
            json.dumps(list(self.vocabulary_), ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        family = super().load(folder)
        terms = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        family.vocabulary_ = {term: code for code, term in enumerate(terms)}
        family._keep(Postings(family.starts_, family.item_, family.counts_, family.head_, family.length_))
        return family


def _plain(text: str) -> list[Token]:
    """Words of a list, among which none is a head."""
    return [(word, False) for word in analyse(text)]
