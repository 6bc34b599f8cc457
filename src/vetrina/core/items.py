"""The catalogue in memory: one row per item, items as dense integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core.errors import UnknownItem, nearest

__all__ = ["CATEGORY_SEPARATOR", "ITEM_COLUMNS", "Items", "attribute_texts", "document_texts"]

CATEGORY_SEPARATOR = " > "

#: Columns of the canonical items table, in order. Text is never null ("" means
#: none), nor is the list of further photos; a price of null is unknown;
#: ``available_at`` is in epoch seconds.
#: Every further column is an attribute of the shop's own.
ITEM_COLUMNS: dict[str, pl.DataType] = {
    "item": pl.String(),
    "title": pl.String(),
    "description": pl.String(),
    "category": pl.String(),
    "brand": pl.String(),
    "colour": pl.String(),
    "price": pl.Float64(),
    "in_stock": pl.Boolean(),
    "available_at": pl.Int64(),
    "photo": pl.String(),
    "more_photos": pl.List(pl.String()),
    "audio": pl.String(),
    "video": pl.String(),
}

Codes = npt.NDArray[np.int32]


class Items:
    """The catalogue as columns, and every item's vectors by modality.

    Parameters
    ----------
    table : DataFrame
        The columns of :data:`ITEM_COLUMNS`, then the shop's own attributes
        (text or numbers), one row per item, ids unique.
    vectors : mapping of str to ndarray of shape (n_items, dim), optional
        float32, rows of unit length or all zero where an item lacks the modality.
    """

    def __init__(self, table: pl.DataFrame, vectors: Mapping[str, npt.NDArray[np.float32]] | None = None) -> None:
        self.table = table
        self.vectors: dict[str, npt.NDArray[np.float32]] = dict(vectors or {})

    def __len__(self) -> int:
        return self.table.height

    @cached_property
    def ids(self) -> list[str]:
        """Item ids by dense index."""
        return self.table["item"].to_list()

    @cached_property
    def index(self) -> dict[str, int]:
        """Dense index by item id."""
        return {item: position for position, item in enumerate(self.ids)}

    def find(self, item: str) -> int:
        """Dense index of one item.

        Raises
        ------
        UnknownItem
            When the catalogue does not hold it.
        """
        position = self.index.get(item)
        if position is None:
            raise UnknownItem(
                f"No item {item!r} in the catalogue of {len(self):,} items.{nearest(item, self.ids[:20000])}"
            )
        return position

    def positions(self, items: Iterable[str]) -> Codes:
        """Dense indices of many ids; -1 where unknown."""
        return np.fromiter((self.index.get(item, -1) for item in items), dtype=np.int32)

    @property
    def attributes(self) -> list[str]:
        """Names of the shop's own attribute columns."""
        return [name for name in self.table.columns if name not in ITEM_COLUMNS]

    @cached_property
    def price(self) -> npt.NDArray[np.float32]:
        """Prices, NaN where unknown."""
        return self.table["price"].fill_null(np.nan).to_numpy().astype(np.float32)

    @cached_property
    def in_stock(self) -> npt.NDArray[np.bool_]:
        """Whether each item can be bought."""
        return self.table["in_stock"].to_numpy()

    @cached_property
    def available_at(self) -> npt.NDArray[np.int64]:
        """Epoch seconds since when each item is on sale; the smallest integer where always."""
        return self.table["available_at"].fill_null(np.iinfo(np.int64).min).to_numpy()

    def codes(self, column: str) -> tuple[Codes, list[str]]:
        """A text column as dense codes: (code per item, -1 where empty; the value of each code)."""
        if column not in self._codes:
            values = self.table[column].cast(pl.String).fill_null("")
            names = sorted(set(values.to_list()) - {""})
            lookup = {name: code for code, name in enumerate(names)}
            self._codes[column] = (
                np.fromiter((lookup.get(value, -1) for value in values), dtype=np.int32, count=len(self)),
                names,
            )
        return self._codes[column]

    @cached_property
    def _codes(self) -> dict[str, tuple[Codes, list[str]]]:
        return {}

    @cached_property
    def leaf_category(self) -> list[str]:
        """The last level of each item's category path ("" where none)."""
        return [path.rsplit(CATEGORY_SEPARATOR, 1)[-1] for path in self.table["category"]]


def document_texts(items: Items) -> list[str]:
    """Everything written about each item in one string: title, category, brand, colour, attributes, description."""
    own = [name for name in items.attributes if items.table.schema[name] == pl.String()]
    names = ["title", "category", "brand", "colour", *own, "description"]
    joined = pl.concat_str([pl.col(name).fill_null("") for name in names], separator=" ")
    return items.table.select(joined).to_series().to_list()


def attribute_texts(items: Items) -> list[str]:
    """The shop's own text attributes of each item in one string ("" where it has none)."""
    names = [name for name in items.attributes if items.table.schema[name] == pl.String()]
    if not names:
        return [""] * len(items)
    joined = pl.concat_str([pl.col(name).fill_null("") for name in names], separator=" ")
    return items.table.select(joined).to_series().to_list()
