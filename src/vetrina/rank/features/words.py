"""Features of how well an item fits the words of the query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import EventLog, ItemList, Items, Requests, register
from vetrina.core.items import document_texts
from vetrina.core.text import analyse
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["Words"]

Floats = npt.NDArray[np.float32]


@register("features", "words")
class Words(FeatureFamily):
    """Text match: BM25, share of the query's words found in the title or anywhere, meaning, category.

    Words weigh by inverse document frequency, ln(1 + (N - n + 0.5)/(n + 0.5)).
    ``category_intent`` is the share that the candidate's category has among the
    best lexical matches, so that a laptop bag is not taken for a laptop.
    """

    reason = "words"
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
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        titles = [analyse(title) for title in items.table["title"]]
        texts = [analyse(text) for text in document_texts(items)]
        self.vocabulary_ = {term: code for code, term in enumerate(sorted({t for text in texts for t in text}))}
        self.title_ = _postings(titles, self.vocabulary_)
        self.all_ = _postings(texts, self.vocabulary_)
        n_items = len(items)
        found = np.diff(self.all_.indptr)
        self.idf_ = np.log1p((n_items - found + 0.5) / (found + 0.5)).astype(np.float32)
        self.title_length_ = np.array([max(len(set(title)), 1) for title in titles], dtype=np.float32)
        self.first_ = np.array(
            [self.vocabulary_.get(title[0], -1) if title else -1 for title in titles], dtype=np.int32
        )
        return self.bind(items)

    def terms(self, text: str) -> list[int]:
        """Codes of the distinct words of a query; -1 for words that no item has."""
        return [self.vocabulary_.get(term, -1) for term in dict.fromkeys(analyse(text))]

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("vocabulary_")
        n_rows = len(lists.item)
        columns = np.full((n_rows, len(self.names_)), np.nan, dtype=np.float32)
        asked = np.array([bool(query.text) for query in requests.queries])
        row = lists.row
        rows = np.flatnonzero(asked[row])
        lengths = np.zeros(len(requests), dtype=np.float32)
        weights, counts, unknown = self._query_matrices(requests, lengths)
        columns[:, 10] = lengths[row]
        if not len(rows):
            return columns
        some = lists.take(rows)
        item, request = some.item, row[rows]
        lexical = some.columns.get("lexical")  # a shop may do without that source
        bm25 = np.zeros(len(rows), dtype=np.float32) if lexical is None else np.nan_to_num(lexical.astype(np.float32))
        total = np.asarray(weights.sum(axis=1)).ravel() + unknown
        if lexical is not None:
            columns[rows, 0] = bm25
            columns[rows, 1] = by_group_max(bm25, some)
        columns[rows, 2] = _pick(weights @ self.title_, request, item) / total[request]
        columns[rows, 3] = _pick(weights @ self.all_, request, item) / total[request]
        columns[rows, 4] = _pick(counts @ self.title_, request, item) / self.title_length_[item]
        first = self.first_[item]
        columns[rows, 5] = np.where(first >= 0, _pick(counts, request, np.maximum(first, 0)), 0)
        for place, modality in ((6, "text"), (9, "photo")):
            query = requests.query_vectors.get(modality)
            vectors = self.items_.vectors.get(modality)
            if query is not None and vectors is not None:
                columns[rows, place] = np.einsum("ij,ij->i", query[request], vectors[item])
        columns[rows, 7] = by_group_max(np.maximum(columns[rows, 6], 0), some)
        columns[rows, 8] = self._category_intent(some, bm25)
        return columns

    def _query_matrices(self, requests: Requests, lengths: Floats) -> tuple[sparse.csr_array, sparse.csr_array, Floats]:
        """(idf of each request's words, their presence, idf mass of its unknown words)."""
        place, term = [], []
        unknown = np.zeros(len(requests), dtype=np.float32)
        rarest = float(self.idf_.max(initial=1.0))
        for number, query in enumerate(requests.queries):
            codes = self.terms(query.text) if query.text else []
            lengths[number] = len(codes)
            known = [code for code in codes if code >= 0]
            unknown[number] = rarest * (len(codes) - len(known))
            place.extend([number] * len(known))
            term.extend(known)
        shape = (len(requests), max(len(self.vocabulary_), 1))
        codes_ = np.array(term, dtype=np.int64)
        weights = sparse.csr_array((self.idf_[codes_], (place, codes_)), shape=shape)
        counts = sparse.csr_array((np.ones(len(codes_), dtype=np.float32), (place, codes_)), shape=shape)
        # A request without a known word must not divide by zero.
        return weights, counts, np.where(lengths > 0, np.maximum(unknown, 1e-6), 1.0).astype(np.float32)

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
        for name, matrix in (("title", self.title_), ("all", self.all_)):
            sparse.save_npz(folder / f"{name}.npz", matrix)
        (folder / "vocabulary.json").write_text(
            json.dumps(list(self.vocabulary_), ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        family = super().load(folder)
        terms = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        family.vocabulary_ = {term: code for code, term in enumerate(terms)}
        family.title_, family.all_ = (sparse.csr_array(sparse.load_npz(folder / f"{n}.npz")) for n in ("title", "all"))
        return family


def _postings(texts: list[list[str]], vocabulary: dict[str, int]) -> sparse.csr_array:
    """Which item has which word: sparse (n_terms, n_items), one row per word."""
    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    terms = np.fromiter((vocabulary[term] for text in texts for term in text), dtype=np.int32)
    item = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    shape = (max(len(vocabulary), 1), len(texts))
    matrix = sparse.csr_array((np.ones(len(terms), dtype=np.float32), (terms, item)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _pick(matrix: sparse.csr_array, row: npt.NDArray[np.int32], column: npt.NDArray[np.int32]) -> Floats:
    return np.asarray(matrix[row, column], dtype=np.float32).ravel()
