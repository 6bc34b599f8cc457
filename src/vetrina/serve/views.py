"""What a shop holds, as the answers show it."""

from __future__ import annotations

from collections import Counter
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from vetrina.engine import Items, Shop, pseudonyms
from vetrina.serve.bodies import Facet, Facets, ItemCard, PastEvent, ShopperState

__all__ = ["FacetCache", "item_card", "shopper_state"]

_SEPARATOR = " > "
_KINDS = ("impression", "search", "view", "click", "cart", "purchase", "rate", "hide")


def item_card(items: Items, item: str) -> ItemCard:
    """One product as the catalogue has it; :class:`UnknownItem` when it has not."""
    row = items.table.row(items.find(item), named=True)
    own = {name: row[name] for name in items.attributes if row[name] not in (None, "") and row[name] == row[name]}
    return ItemCard(
        item=row["item"],
        title=row["title"] or row["item"],
        description=row["description"],
        category=[level for level in row["category"].split(_SEPARATOR) if level],
        brand=row["brand"],
        colour=row["colour"],
        price=row["price"],
        in_stock=row["in_stock"],
        photo=bool(row["photo"]),
        attributes=own,
    )


def shopper_state(shop: Shop, shopper: str, k: int) -> ShopperState:
    """The last ``k`` events of a shopper's window, newest first."""
    items = shop.items
    window = shop.store.windows([pseudonyms(shop.root).of(shopper)], items, k)
    newest = slice(None, None, -1)
    rows = items.table.select("item", "title", "photo")[window.item[newest].astype(np.uint32)].rows()
    events = [
        PastEvent(item=item, title=title or item, photo=bool(photo), kind=_KINDS[kind], time=time)
        for (item, title, photo), kind, time in zip(
            rows, window.kind[newest].tolist(), window.time[newest].tolist(), strict=True
        )
    ]
    return ShopperState(shopper=shopper, events=events)


class FacetCache:
    """Facets of a catalogue, counted once and forgotten with it."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Items, Facets] = WeakKeyDictionary()

    def of(self, items: Items) -> Facets:
        """The facets of ``items``."""
        if items not in self._known:
            self._known[items] = _count(items)
        return self._known[items]


def _count(items: Items) -> Facets:
    levels: Counter[str] = Counter()
    for path, count in items.table["category"].value_counts().iter_rows():
        parts = path.split(_SEPARATOR) if path else []
        for depth in range(1, len(parts) + 1):
            levels[_SEPARATOR.join(parts[:depth])] += count
    price = items.table["price"].drop_nulls().drop_nans()
    ends = (price.min(), price.max())
    low, high = (float(end) if isinstance(end, float) else None for end in ends)
    return Facets(
        categories=[Facet(value=value, count=levels[value]) for value in sorted(levels)],
        colours=_values(items.table["colour"]),
        brands=_values(items.table["brand"]),
        price_min=low,
        price_max=high,
        in_stock=int(items.table["in_stock"].sum()),
    )


def _values(column: pl.Series) -> list[Facet]:
    counts = column.filter(column != "").value_counts().sort(["count", column.name], descending=[True, False])
    return [Facet(value=value, count=count) for value, count in counts.iter_rows()]
