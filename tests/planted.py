"""Small catalogues, logs and requests written out by hand, whose right answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import (
    DAY,
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    EventKind,
    EventLog,
    ItemList,
    Items,
    Query,
    Requests,
    Windows,
)

Floats = npt.NDArray[np.float32]
#: (item, kind, age in days), oldest first
History = Sequence[tuple[int, EventKind, float]]

#: Midnight, so that a day of the log is a day of the calendar.
NOW = 1_700_006_400


def items_of(n_items: int, vectors: Mapping[str, Floats] | None = None, **columns: Sequence[Any]) -> Items:
    """A catalogue of items "0", "1", ... of which only ``columns`` are known."""
    blank: dict[str, Any] = {
        "item": [str(number) for number in range(n_items)],
        "price": [None] * n_items,
        "in_stock": [True] * n_items,
        "available_at": [None] * n_items,
        "more_photos": [[]] * n_items,
    }
    table = {name: blank.get(name, [""] * n_items) for name in ITEM_COLUMNS} | columns
    own = {name: pl.Series(values).dtype for name, values in columns.items() if name not in ITEM_COLUMNS}
    return Items(pl.DataFrame(table, schema={**ITEM_COLUMNS, **own}), vectors)


def unit(rows: npt.NDArray[np.floating]) -> Floats:
    """Rows of unit length."""
    length: npt.NDArray[np.floating] = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / length, dtype=np.float32)


def log_of(items: Items, events: Sequence[tuple[float, str, EventKind, int]]) -> EventLog:
    """A log of (days after NOW, shopper, kind, item)."""
    rows = [
        {
            "time": NOW + round(day * DAY),
            "shopper": shopper,
            "kind": EventKind(kind).name,
            "item": None if item < 0 else items.ids[item],
        }
        for day, shopper, kind, item in events
    ]
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items()]
    table = pl.DataFrame(rows, schema={name: EVENT_COLUMNS[name] for name in ("time", "shopper", "kind", "item")})
    return EventLog.from_table(table.with_columns(missing[4:]).select(list(EVENT_COLUMNS)), items)


def nothing(items: Items) -> EventLog:
    """A log in which nothing happened."""
    return log_of(items, [])


def asked(
    histories: Sequence[History],
    queries: Sequence[Query] | None = None,
    now: int = NOW,
    vectors: Mapping[str, Floats] | None = None,
    price: Sequence[float] | None = None,
    quantity: Sequence[float] | None = None,
) -> Requests:
    """Requests whose windows are ``histories``; price and quantity are of all their events, one after the other."""
    flat = [event for history in histories for event in history]
    unknown = np.full(len(flat), np.nan, dtype=np.float32)
    windows = Windows(
        offsets=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        item=np.array([item for item, _, _ in flat], dtype=np.int32),
        kind=np.array([kind for _, kind, _ in flat], dtype=np.int8),
        time=np.array([now - round(age * DAY) for _, _, age in flat], dtype=np.int64),
        price=unknown if price is None else np.array(price, dtype=np.float32),
        quantity=unknown if quantity is None else np.array(quantity, dtype=np.float32),
        rating=unknown,
    )
    n = len(histories)
    return Requests(windows, queries or [Query()] * n, np.full(n, now, dtype=np.int64), vectors or {})


def lists_of(*lists: Sequence[int], **columns: Sequence[float]) -> ItemList:
    """Lists of items, with source columns over all their rows."""
    made = ItemList.from_lists([np.array(one, dtype=np.int32) for one in lists])
    made.columns.update({name: np.array(values, dtype=np.float32) for name, values in columns.items()})
    return made
