"""Candidates by content: items like what the shopper chose, by each modality and each attribute.

Sources: M. Pazzani and D. Billsus, Content-based recommendation systems (in The Adaptive Web, 2007), for the
shopper's profile; J. Rocchio, Relevance feedback in information retrieval (1971), for the mean of what was
chosen with what was hidden taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, EventLog, ItemList, Items, Real, Requests, register
from vetrina.core.leaning import preferences, price_levels, text_columns, usual, value_weights
from vetrina.core.similarity import dot_of_pairs, similarity_from_distance
from vetrina.retrieve.base import Allowed, Found, Retriever, top_k

__all__ = ["Content", "ContentConfig"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: How much an event of each kind says about what a shopper wants; hiding says the opposite.
_WEIGHT = np.array([0, 0, 1.0, 1.0, 2.0, 3.0, 1.0, -0.5], dtype=np.float32)

#: Vectors that say nothing of their own: all modalities together, and the attributes, which are compared one by one.
_SAID_ELSEWHERE = ("fused", "attributes")

#: Scores held at once: bounds the memory of a batch over many items.
_CELLS_AT_ONCE = 4_000_000


class ContentConfig(Config):
    """Weight of each similarity, and how the window is weighed."""

    half_life_days: float = Field(default=30.0, gt=0, description="An event of this age counts half.")
    vectors: float = Field(default=1.0, ge=0, description="Weight of the likeness in each modality: text, photo …")
    category: float = Field(default=0.5, ge=0, description="Weight of the category's share in the window.")
    brand: float = Field(default=0.25, ge=0, description="Weight of the brand's share in the window.")
    colour: float = Field(default=0.25, ge=0, description="Weight of the colour's share in the window.")
    own: float = Field(default=0.1, ge=0, description="Weight of the share of each of the shop's own text attributes.")
    price: float = Field(default=0.25, ge=0, description="Weight of the nearness of the price.")


@register("retriever", "content")
class Content(Retriever):
    """Weighted mean of similarities to what the shopper chose, decayed by age and weighted by what was done.

    - In each modality the shopper has a preference vector, the weighted mean of the vectors of the window's items;
      the similarity is its cosine with the item's vector.
    - For category, brand, colour and each of the shop's own text attributes: the share of the window's
      weight that has the item's value.
    - For the price: 1/(1 + d), where d is the distance between the logarithm of the item's price, beside the
      mean of its category, and the weighted mean of the same over the window.

    What is not known of an item or of the window adds nothing, and an item whose sum is not above 0 is no
    candidate. A distance never enters the sum as it is: that would reward being far. Every item is compared, so
    a product is found from its first day; in a large catalogue `vector`, which has an index, is quicker.

    Examples
    --------
    >>> from vetrina.core import Query
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = Content(price=0).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> ids, scores = source.retrieve(requests, k=3, allowed=None)
    >>> ids.shape
    (1, 3)
    """

    config_type = ContentConfig
    space = {
        "half_life_days": Real(7, 365, log=True),
        "category": Real(0, 2),
        "brand": Real(0, 2),
        "colour": Real(0, 2),
        "own": Real(0, 1),
        "price": Real(0, 2),
    }

    def fit(self, items: Items, log: EventLog) -> Self:
        return self.bind(items)

    def bind(self, items: Items) -> Self:
        options = self.config
        named = {"category": options.category, "brand": options.brand, "colour": options.colour}
        modalities = [name for name in sorted(items.vectors) if name not in _SAID_ELSEWHERE and options.vectors]
        self._modalities = [items.vectors[name] for name in modalities]
        columns = {name: named.get(name, options.own) for name in text_columns(items)}
        self._columns = [(items.codes(name)[0], len(items.codes(name)[1]), w) for name, w in columns.items() if w]
        self._levels = price_levels(items)
        priced = options.price if np.isfinite(self._levels).any() else 0.0
        self._price = priced
        whole = options.vectors * len(modalities) + sum(w for *_, w in self._columns) + priced
        self._whole = whole or 1.0
        return super().bind(items)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("items_")
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        scores = np.full((len(requests), k), -np.inf, dtype=np.float32)
        at_once = max(1, _CELLS_AT_ONCE // max(len(self.items_), 1))
        for start in range(0, len(requests), at_once):
            part = slice(start, min(start + at_once, len(requests)))
            some = None if allowed is None else allowed[part]
            every = self._every(requests.slice(part.start, part.stop))
            ids[part], scores[part] = top_k(every, k, some)
        return ids, scores

    def _every(self, requests: Requests) -> Floats:
        """Scores of all items: (batch, n_items)."""
        total = np.zeros((len(requests), len(self.items_)))
        for preference, vectors in self._preferences(requests):
            total += self.config.vectors * (preference @ vectors.T)
        for shares, codes, weight in self._shares(requests):
            total += weight * np.where(codes >= 0, shares[:, codes], 0)
        if self._price:
            total += self._price * _nearness(self._levels - self._usual(requests)[:, None])
        return (total / self._whole).astype(np.float32)

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        row, item = lists.row, lists.item
        total = np.zeros(len(item))
        for preference, vectors in self._preferences(requests):
            total += self.config.vectors * dot_of_pairs(preference, vectors, row, item)
        for shares, codes, weight in self._shares(requests):
            total += weight * np.where(codes[item] >= 0, shares[row, codes[item]], 0)
        if self._price:
            total += self._price * _nearness(self._levels[item] - self._usual(requests)[row])
        return (total / self._whole).astype(np.float32)

    def _preferences(self, requests: Requests) -> Iterator[tuple[Floats, Floats]]:
        """(Unit vector of each shopper's preference, zero where unknown; the items' vectors) by modality."""
        weights = _WEIGHT[requests.windows.kind] * self._decay(requests)
        for vectors in self._modalities:
            yield preferences(requests.windows, weights, vectors), vectors

    def _shares(self, requests: Requests) -> Iterator[tuple[Doubles, npt.NDArray[np.int32], float]]:
        """(Share of each value in the windows, the items' values, the weight) by attribute."""
        weights = self._chosen(requests)
        for codes, n_values, weight in self._columns:
            table = value_weights(requests.windows, weights, codes, n_values)
            whole = table.sum(axis=1, keepdims=True)
            yield table / np.where(whole > 0, whole, 1), codes, weight

    def _usual(self, requests: Requests) -> Doubles:
        return usual(requests.windows, self._chosen(requests), self._levels)

    def _chosen(self, requests: Requests) -> Floats:
        """Weights of the events by which something was chosen: what was hidden has no share, and no usual price."""
        return np.maximum(_WEIGHT[requests.windows.kind], 0) * self._decay(requests)

    def _decay(self, requests: Requests) -> Floats:
        return np.asarray(np.exp2(-requests.age / self.config.half_life_days), dtype=np.float32)


def _nearness(difference: npt.NDArray[np.floating]) -> Doubles:
    """1/(1 + |difference|), 0 where it is not known."""
    known = np.isfinite(difference)
    return np.where(known, similarity_from_distance(np.where(known, np.abs(difference), 0)), 0)
