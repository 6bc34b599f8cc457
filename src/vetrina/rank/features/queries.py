"""Features of what shoppers chose under the words of the query, and of how much they differ in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items, Requests, register
from vetrina.core.queries import choice_entropy, normal_query
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["Queries"]

Floats = npt.NDArray[np.float32]


@register("features", "queries")
class Queries(FeatureFamily):
    """The score of the source ``query_item``, as it is and of the list's best; the entropy of the query's choices.

    ``choice_entropy`` is in bits: 0 where everybody chooses the same item for the query, and the person says
    nothing; not known (NaN) of a query that nobody has asked. The source is among those of the shop, or its two
    features are not known.

    Source: J. Teevan, S. Dumais and D. Liebling, To personalize or not to personalize: modeling queries with
    variation in user intent (SIGIR 2008); :func:`vetrina.core.queries.choice_entropy`.

    Examples
    --------
    >>> from vetrina.testing import small_shop
    >>> Queries().fit(*small_shop()).names_
    ['query_item', 'query_item_of_best', 'choice_entropy']
    """

    reason = "words"
    learns = "log"
    reads = ("query", "log", "sources")
    names_ = ["query_item", "query_item_of_best", "choice_entropy"]
    entropy_: dict[str, float]

    def fit(self, items: Items, log: EventLog) -> Self:
        self.entropy_ = choice_entropy(log)
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("entropy_")
        features = np.full((len(lists.item), 3), np.nan, dtype=np.float32)
        column = lists.columns.get("query_item")
        if column is not None:
            score: Floats = np.maximum(np.nan_to_num(np.asarray(column, dtype=np.float32)), np.float32(0))
            features[:, 0], features[:, 1] = score, by_group_max(score, lists)
        known = {text: self.entropy_.get(normal_query(text), np.nan) for text in {q.text for q in requests.queries}}
        features[:, 2] = np.array([known[q.text] for q in requests.queries], dtype=np.float32)[lists.row]
        return features

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "entropy.json").write_text(json.dumps(self.entropy_, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        family = super().load(folder)
        family.entropy_ = json.loads((folder / "entropy.json").read_text(encoding="utf-8"))
        return family
