"""Vector candidates: the items nearest to an item, to a shopper's window, or to an encoded query.

Up to ``exact_below`` items every one is compared (NumPy); above, a faiss
inverted file looks at the cells nearest to the query only. A filter that leaves
no more than ``exact_below`` is answered by comparing every allowed item, and
whenever the cells hold fewer than k allowed items all are compared, so that a
filter never loses a result.

Sources: J. Rocchio, Relevance feedback in information retrieval (1971), for
the window's mean with what was hidden taken off; M. Douze et al., The Faiss
library (2024).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, EventLog, ItemList, Items, Requests, register
from vetrina.core.errors import MissingExtra, SnapshotError
from vetrina.core.leaning import preferences
from vetrina.core.similarity import dot_of_pairs
from vetrina.retrieve.base import Allowed, Found, Retriever, top_k

__all__ = ["PhotoVector", "TextVector", "Vector", "VectorConfig", "WindowVectorConfig"]

Floats = npt.NDArray[np.float32]

#: How much an event of each kind says about what a shopper wants; hiding says the opposite.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, -0.5], dtype=np.float32)

#: Scores held at once: bounds the memory of a batch over many items.
_CELLS_AT_ONCE = 16_000_000


class VectorConfig(Config):
    """When an approximate index takes over, and how hard it looks."""

    exact_below: int = Field(default=100_000, ge=1, description="Up to this many items all are compared.")
    searched: float = Field(default=0.125, gt=0, le=1, description="Share of the index's cells that is searched.")


class WindowVectorConfig(VectorConfig):
    """Also how the window is weighed."""

    half_life_days: float = Field(default=30.0, gt=0, description="An event of this age counts half.")


class _Nearest(Retriever):
    """Shared by the vector retrievers: search by cosine among one modality's vectors.

    Subclasses say which vectors (``modality``) and what is sought (:meth:`_sought`).
    """

    modality: ClassVar[str]
    answers_query = True
    config_type = VectorConfig
    _index: Any = None

    def fit(self, items: Items, log: EventLog) -> Self:
        self.bind(items)
        self._index = None
        if len(self._rows) > self.config.exact_below:
            self._index = self._build()
        return self

    def bind(self, items: Items) -> Self:
        vectors = items.vectors.get(self.modality)
        self._vectors = np.zeros((len(items), 1), dtype=np.float32) if vectors is None else vectors
        #: Items that have the modality at all; the others are never candidates.
        self._rows = np.flatnonzero(np.any(self._vectors != 0, axis=1))
        return super().bind(items)

    def _build(self) -> Any:
        faiss = _faiss()
        rows = np.ascontiguousarray(self._vectors[self._rows], dtype=np.float32)
        n_items, dim = rows.shape
        cells = max(1, int(4 * np.sqrt(n_items)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, faiss.METRIC_INNER_PRODUCT)
        sample = rows[np.linspace(0, n_items - 1, min(n_items, 64 * cells)).astype(np.int64)]
        index.train(sample)
        index.add_with_ids(rows, self._rows.astype(np.int64))
        return index

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._index is not None:
            _faiss().write_index(self._index, str(folder / "index.faiss"))

    @classmethod
    def load(cls, folder: Path) -> Self:
        retriever = super().load(folder)
        path = folder / "index.faiss"
        if path.exists():
            faiss = _faiss()
            try:
                retriever._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
            except RuntimeError as error:
                raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return retriever

    def _sought(self, requests: Requests) -> Floats:
        """Unit vector sought by each request: (batch, dim), zero where it seeks nothing."""
        raise NotImplementedError

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("items_")
        sought = self._sought(requests)
        like = np.array([query.like for query in requests.queries], dtype=np.int64)
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        asking = np.flatnonzero(np.any(sought != 0, axis=1))
        if not len(asking) or not len(self._rows) or not k:
            return ids, scores
        if self._index is None:
            together = max(1, _CELLS_AT_ONCE // len(self._vectors))
            for start in range(0, len(asking), together):
                part = asking[start : start + together]
                some = None if allowed is None else allowed[part]
                ids[part], scores[part] = self._exact(sought[part], like[part], k, some)
        elif allowed is None:
            ids[asking], scores[asking] = self._approximate(sought[asking], like[asking], k, None)
        else:
            for row in asking:
                one = slice(int(row), int(row) + 1)
                strict = np.count_nonzero(allowed[row]) <= self.config.exact_below
                search = self._exact if strict else self._approximate
                ids[one], scores[one] = search(sought[one], like[one], k, allowed[one])
        return ids, scores

    def _exact(self, sought: Floats, like: npt.NDArray[np.int64], k: int, allowed: Allowed) -> Found:
        """Compare all rows, or those alone that some request of the batch allows."""
        rows = self._rows
        if allowed is not None:
            rows = rows[np.any(allowed[:, rows], axis=0)]
        every = len(rows) == len(self._vectors)
        cosine = sought @ (self._vectors if every else self._vectors[rows]).T
        keep = np.ones(cosine.shape, dtype=bool) if allowed is None else allowed[:, rows].copy()
        keep &= rows != like[:, None]
        if not len(rows):
            return np.full((len(sought), k), -1, dtype=np.int32), np.full((len(sought), k), -np.inf, dtype=np.float32)
        found, scores = top_k(cosine, k, keep, above=-np.inf)
        return np.where(found >= 0, rows[found], -1).astype(np.int32), scores

    def _approximate(self, sought: Floats, like: npt.NDArray[np.int64], k: int, allowed: Allowed) -> Found:
        """Search the nearest cells of the index; with ``allowed``, of one request."""
        faiss = _faiss()
        width = min(k + 1, len(self._rows))  # one more, for the item itself is not an answer
        options: dict[str, Any] = {"nprobe": max(1, round(self._index.nlist * self.config.searched))}
        if allowed is not None:
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed[0], bitorder="little"))
        parameters = faiss.SearchParametersIVF(**options)
        cosine, found = self._index.search(np.ascontiguousarray(sought), width, params=parameters)
        cosine = np.where((found < 0) | (found == like[:, None]), -np.inf, cosine)
        order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        cosine = np.take_along_axis(cosine, order, axis=1)
        found = np.where(np.isfinite(cosine), np.take_along_axis(found, order, axis=1), -1)
        missing = ((0, 0), (0, k - found.shape[1]))
        ids = np.pad(found, missing, constant_values=-1).astype(np.int32)
        scores = np.pad(cosine, missing, constant_values=-np.inf).astype(np.float32)
        for row in np.flatnonzero(ids[:, -1] < 0):  # the cells searched held too few: compare all
            one = slice(int(row), int(row) + 1)
            ids[one], scores[one] = self._exact(sought[one], like[one], k, allowed)
        return ids, scores

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        """Cosine of what each request seeks and each row's item; 0 where either is unknown."""
        self.require_fitted("items_")
        sought = self._sought(requests)
        if not sought.any():
            return np.zeros(len(lists.item), dtype=np.float32)
        return dot_of_pairs(sought, self._vectors, lists.row, lists.item)


@register("retriever", "vector")
class Vector(_Nearest):
    """Nearest by fused vector to the item asked about, or else to the shopper's recent events.

    The window is one vector: the mean of its items', weighted by what was done
    (a purchase says more than a view, hiding says the opposite) and halved with
    every ``half_life_days``. Words are not read here: a request with text finds
    nothing by :meth:`retrieve` unless it also names an item, while :meth:`score`
    always compares with the window, for ranking needs that.
    """

    modality = "fused"
    config_type = WindowVectorConfig

    def _sought(self, requests: Requests) -> Floats:
        windows = requests.windows
        weights = _WEIGHT[windows.kind] * np.exp2(-requests.age / self.config.half_life_days)
        sought = preferences(windows, weights, self._vectors)
        shown = requests.shown(self.modality, self._vectors)
        if shown is not None:
            named = np.any(shown != 0, axis=1)
            sought[named] = _unit(shown[named])
        return sought

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, allowed)
        # Words alone are not answered from the window, nor is a photo of which nothing is known here.
        shown = requests.shown(self.modality, self._vectors)
        blank = np.ones(len(requests), dtype=bool) if shown is None else ~np.any(shown != 0, axis=1)
        asked = np.array([bool(query.text) or query.by_example for query in requests.queries], dtype=bool)
        unread = blank & asked
        ids[unread], scores[unread] = -1, -np.inf
        return ids, scores


class _QueryVector(_Nearest):
    """Nearest to what a query shows in the same modality, or else to what its words say there."""

    def _sought(self, requests: Requests) -> Floats:
        sought = np.zeros((len(requests), self._vectors.shape[1]), dtype=np.float32)
        for vectors in (requests.query_vectors.get(self.modality), requests.examples.get(self.modality)):
            if vectors is not None and vectors.shape[1] == sought.shape[1]:
                sought = np.where(np.any(vectors != 0, axis=1, keepdims=True), vectors, sought)
        return _unit(sought)


@register("retriever", "text_vector")
class TextVector(_QueryVector):
    """Nearest by text vector to the query's words, or to the item it names."""

    modality = "text"


@register("retriever", "photo_vector")
class PhotoVector(_QueryVector):
    """Nearest by photo vector to the query's photo, to the item it names, or to what its words say of photos."""

    modality = "photo"


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 1e-6, length, np.inf)).astype(np.float32)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra(
            "More items than retrieve.exact_below need an index: install faiss-cpu, or raise exact_below."
        ) from error
    return faiss
