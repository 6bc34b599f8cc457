"""Lexical candidates: BM25 over titles, brands, categories and descriptions, in tantivy.

Source: S. Robertson and H. Zaragoza, The Probabilistic Relevance Framework:
BM25 and Beyond (2009). tantivy fixes k1 = 1.2 and b = 0.75.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import tantivy
from pydantic import Field

from vetrina.core import Config, EventLog, ItemList, Items, Requests, register
from vetrina.core.items import attribute_texts
from vetrina.core.text import analyse
from vetrina.retrieve.base import Allowed, Found, Retriever

__all__ = ["Lexical", "LexicalConfig"]

Hits = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]

_FEW = 50_000
_FIELDS = ("title", "category", "brand", "colour", "attributes", "description")


class LexicalConfig(Config):
    """Weights of the fields in a match; 0 leaves a field out."""

    title: float = Field(default=1.0, ge=0)
    category: float = Field(default=1.0, ge=0)
    brand: float = Field(default=1.0, ge=0)
    colour: float = Field(default=1.0, ge=0)
    attributes: float = Field(default=0.5, ge=0)
    description: float = Field(default=1.0, ge=0)


@register("retriever", "lexical")
class Lexical(Retriever):
    """Items whose words match the query's; a query need not match with all its words.

    Words are cut by :func:`vetrina.core.text.analyse` before they enter the
    index, so the index itself only splits at spaces.
    """

    answers_query = True
    config_type = LexicalConfig
    _origin: Lexical | None = None

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        builder = tantivy.SchemaBuilder()
        for name in _FIELDS:
            builder.add_text_field(name, tokenizer_name="whitespace", index_option="freq")
        builder.add_unsigned_field("position", fast=True)
        # An index in memory cannot be saved. The folder goes with the retriever, and without a warning.
        self._folder = tempfile.mkdtemp(prefix="vetrina-lexical-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.index_ = tantivy.Index(builder.build(), path=self._folder)
        writer = self.index_.writer(heap_size=64_000_000, num_threads=1)
        columns = [items.table[name].to_list() for name in ("title", "category", "brand", "colour", "description")]
        extra = attribute_texts(items)
        for position, (title, category, brand, colour, description) in enumerate(zip(*columns, strict=True)):
            document = tantivy.Document()
            texts = (title, category, brand, colour, extra[position], description)
            for name, text in zip(_FIELDS, texts, strict=True):
                document.add_text(name, " ".join(analyse(text)))
            document.add_unsigned("position", position)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        self.index_.reload()
        self.searcher_ = self.index_.searcher()
        return self

    def weighted(self, **weights: float) -> Self:
        """The same index searched with other weights of the fields, those not named as they are by default.

        Raises
        ------
        ConfigError
            When there is no such field, or a weight is negative.
        """
        self.require_fitted("searcher_")
        other = copy(self)
        other.config = LexicalConfig.parse(weights, f"{self.kind}.{self.name}")
        other._origin = self  # when it goes, so does the index's folder
        return other

    def _query(self, text: str) -> tantivy.Query | None:
        terms = sorted(set(analyse(text)))
        schema = self.index_.schema
        clauses = []
        for term in terms:
            fields = [
                tantivy.Query.boost_query(tantivy.Query.term_query(schema, name, term, index_option="freq"), weight)
                for name in _FIELDS
                if (weight := getattr(self.config, name)) > 0
            ]
            # A word counts where it fits best, and a little for every other field it is in.
            clauses.append((tantivy.Occur.Should, tantivy.Query.disjunction_max_query(fields, tie_breaker=0.3)))
        return tantivy.Query.boolean_query(clauses) if clauses else None

    def _all(self, text: str, requests: Requests) -> Hits:
        """All items that match: looked for once for all requests with the same words."""
        return requests.once(self, lambda: self._search(text, len(self.items_)), text)

    def _search(self, text: str, limit: int) -> Hits:
        query = self._query(text)
        if query is None:
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        hits = self.searcher_.search(query, limit=max(limit, 1), count=False).hits
        positions = self.searcher_.fast_field_values("position", [address for _, address in hits])
        return np.array(positions, dtype=np.int32), np.array([score for score, _ in hits], dtype=np.float32)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("searcher_")
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        n_items = len(self.items_)
        for row, query in enumerate(requests.queries):
            if not query.text:
                continue
            # Of few items all are found at once, for :meth:`score` asks for them as well.
            limit = n_items if n_items <= _FEW else min(k, n_items)
            while True:
                whole = limit == n_items
                found, values = self._all(query.text, requests) if whole else self._search(query.text, limit)
                keep = allowed[row, found] if allowed is not None else np.ones(len(found), dtype=bool)
                # With a strict filter the best k may all be filtered away: look further down.
                if keep.sum() >= k or len(found) < limit or limit >= n_items:
                    break
                limit = min(limit * 4, n_items)
            found, values = found[keep][:k], values[keep][:k]
            ids[row, : len(found)], scores[row, : len(found)] = found, values
        return ids, scores

    def score(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
        """BM25 of given rows; 0 where no word matches."""
        self.require_fitted("searcher_")
        result = np.zeros(len(lists.item), dtype=np.float32)
        dense = np.zeros(len(self.items_), dtype=np.float32)
        for row, query in enumerate(requests.queries):
            if not query.text:
                continue
            found, values = self._all(query.text, requests)
            dense[found] = values
            rows = slice(int(lists.offsets[row]), int(lists.offsets[row + 1]))
            result[rows] = dense[lists.item[rows]]
            dense[found] = 0
        return result

    def save(self, folder: Path) -> None:
        super().save(folder)
        shutil.copytree(self._folder, folder / "index", ignore=shutil.ignore_patterns("*.lock"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        lexical = super().load(folder)
        lexical._folder = str(folder / "index")
        lexical.index_ = tantivy.Index.open(lexical._folder)
        lexical.searcher_ = lexical.index_.searcher()
        return lexical
