"""What the shop imposes: who may be shown at all, and how the ranked list is finished."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from vetrina.core import HAD, Config, EventKind, ItemList, Items, Requests

__all__ = ["PolicyConfig", "allowed_items", "finish"]


class PolicyConfig(Config):
    """Rules of the shop."""

    in_stock_only: bool = Field(default=True, description="Leave out what cannot be bought now.")
    no_duplicates: list[str] = Field(
        default=["title", "brand", "colour", "price"],
        description="Of items equal in all these columns only the best ranked is shown; empty: show all.",
    )
    brand_cap: int = Field(default=0, ge=0, description="Most items of one brand in a row of results; 0: no cap.")


def allowed_items(items: Items, requests: Requests, config: PolicyConfig) -> npt.NDArray[np.bool_]:
    """What each request may show: bool of shape (batch, n_items).

    On sale at the time of the request, in stock, inside the query's filters,
    not hidden by the shopper, not bought before when the query says so, not
    one that the query leaves out, and never the very item that similar ones are asked for.
    """
    allowed = items.available_at[None, :] <= requests.now[:, None]
    if config.in_stock_only:
        allowed &= items.in_stock
    for row, query in enumerate(requests.queries):
        mask = query.filters.mask(items)
        if mask is not None:
            allowed[row] &= mask
        if query.like >= 0:
            allowed[row, query.like] = False
        if query.exclude:
            allowed[row, list(query.exclude)] = False
    windows = requests.windows
    hidden = windows.kind == EventKind.hide
    allowed[windows.row[hidden], windows.item[hidden]] = False
    only_new = np.array([query.exclude_purchased for query in requests.queries], dtype=bool)
    bought = np.isin(windows.kind, HAD) & only_new[windows.row]
    allowed[windows.row[bought], windows.item[bought]] = False
    return allowed


def finish(lists: ItemList, items: Items, config: PolicyConfig, k: int) -> ItemList:
    """Lists sorted by their column "score", rules applied, cut at ``k``.

    An item over the brand cap is not lost: it follows after those within it.
    """
    lists = lists.sorted_by("score")
    if config.no_duplicates:
        lists = lists.take(_first_of(lists, _same(items, config.no_duplicates)))
    if config.brand_cap:
        brand, _ = items.codes("brand")
        turn = _occurrence(lists, brand[lists.item])
        over = (turn >= config.brand_cap) & (brand[lists.item] >= 0)
        lists = lists.take(np.lexsort((np.arange(len(lists.item)), over, lists.row)))
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    return lists.take(np.flatnonzero(place < k))


#: Codes of :func:`_same` by catalogue and columns: working them out takes as long as ranking a page.
_codes: WeakKeyDictionary[Items, dict[tuple[str, ...], npt.NDArray[np.int64]]] = WeakKeyDictionary()


def _same(items: Items, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """A code that equal items share. Items without a word in any of these columns are not equal, but unknown."""
    known = _codes.setdefault(items, {})
    if tuple(columns) not in known:
        known[tuple(columns)] = _count_same(items, columns)
    return known[tuple(columns)]


def _count_same(items: Items, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    names = [name for name in columns if name in items.table.columns]
    code = items.table.select(pl.struct(names).rank("dense").cast(pl.Int64)).to_series().to_numpy()
    texts = [name for name in names if items.table.schema[name] == pl.String()]
    if not texts:
        return code
    wordless = items.table.select(pl.all_horizontal(pl.col(texts).fill_null("") == "")).to_series().to_numpy()
    return np.where(wordless, -1 - np.arange(len(code)), code)


def _occurrence(lists: ItemList, code: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """How many rows before this one in its list have the same code."""
    order = np.lexsort((np.arange(len(code)), code, lists.row))
    row, sorted_code = lists.row[order], code[order]
    new = np.r_[True, (row[1:] != row[:-1]) | (sorted_code[1:] != sorted_code[:-1])] if len(order) else order > 0
    start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0)) if len(order) else order
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order)) - start
    return turn


def _first_of(lists: ItemList, same: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    return np.flatnonzero(_occurrence(lists, same[lists.item]) == 0)
