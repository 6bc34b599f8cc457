"""Features of what people who chose the same things also chose."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, ItemList, Items, Requests, register
from vetrina.rank.features.base import FeatureFamily, by_group_max

__all__ = ["People", "PeopleConfig"]

Floats = npt.NDArray[np.float32]


class PeopleConfig(Config):
    """Which sources' scores are read."""

    sources: list[str] = Field(
        default=["item_item"],
        description="Sources that learn from who chose what. The engine names those that the shop has.",
    )


@register("features", "people")
class People(FeatureFamily):
    """The score of each source that learns from the log: ln(1 + score), and relative to the best of the list.

    A score below 0, or unknown, counts as 0: the source says nothing for the item. Of a source that no list
    has asked, nothing is known.

    Examples
    --------
    >>> from vetrina.testing import small_shop
    >>> People(sources=["ease", "als"]).fit(*small_shop()).names_
    ['ease', 'ease_of_best', 'als', 'als_of_best']
    """

    reason = "people"
    reads = ("sources",)
    config_type = PeopleConfig

    def bind(self, items: Items) -> Self:
        self.names_ = [name for source in self.config.sources for name in (source, f"{source}_of_best")]
        return super().bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("items_")
        features = np.full((len(lists.item), len(self.names_)), np.nan, dtype=np.float32)
        for place, source in enumerate(self.config.sources):
            column = lists.columns.get(source)
            if column is not None:
                affinity: Floats = np.maximum(np.nan_to_num(np.asarray(column, dtype=np.float32)), np.float32(0))
                features[:, 2 * place] = np.log1p(affinity)
                features[:, 2 * place + 1] = by_group_max(affinity, lists)
        return features
