"""A small shop to check components with: little data, but every case that real data bring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
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
)

__all__ = ["frozen", "sample_lists", "sample_requests", "small_shop"]

Floats = npt.NDArray[np.float32]

_START = 1_700_006_400  # midnight, so that a day of the log is a day of the calendar
_DAYS = 30
_COLOURS = {"red": (200, 30, 30), "black": (20, 20, 20), "blue": (30, 60, 200), "green": (30, 140, 60)}
_KINDS = ("Shoes > Boots", "Shoes > Sandals", "Dresses", "Bags > Belt bags", "Hats")
_BRANDS = ("Nord", "Sud", "Est")


def small_shop(photos: Path | None = None, n_items: int = 40, n_shoppers: int = 12) -> tuple[Items, EventLog]:
    """A catalogue with vectors, and thirty days of events.

    Among the items are such without title, brand, price, photo or category, in
    two scripts, out of stock, and not yet on sale. On each day events of every
    kind happen, by shoppers who like one colour best.

    Parameters
    ----------
    photos : Path, optional
        A folder to draw the items' photos in; without it, items name none.
    n_items, n_shoppers : int

    Returns
    -------
    items : Items
        With unit vectors "fused", "text", "photo" and "attributes".
    log : EventLog

    Examples
    --------
    >>> items, log = small_shop()
    >>> len(items), len(log.shoppers), sorted(items.vectors)
    (40, 12, ['attributes', 'fused', 'photo', 'text'])
    """
    rng = np.random.default_rng(0)
    colours = list(_COLOURS)
    number = np.arange(n_items)
    colour = [colours[n % 4] for n in number]
    kind = [_KINDS[n % 5] for n in number]
    words = [path.rsplit(" ", 1)[-1].rstrip("s").lower() for path in kind]
    chinese = {"red": "红色", "black": "黑色", "blue": "蓝色", "green": "绿色"}
    title = [
        f"{chinese[c]}连衣裙" if n % 9 == 8 else f"{c.title()} {w}"
        for n, c, w in zip(number, colour, words, strict=True)
    ]
    price = np.round(10 + 90 * rng.random(n_items), 2)
    files = _draw(photos, [_COLOURS[c] for c in colour]) if photos else [""] * n_items
    table = pl.DataFrame(
        {
            "item": [f"p{n:02d}" for n in number],
            "title": ["" if n % 13 == 12 else text for n, text in enumerate(title)],
            "description": [f"A {c} one, for {w} lovers, no. {n}." for n, c, w in zip(number, colour, words)],  # noqa: B905
            "category": ["" if n % 11 == 10 else path for n, path in enumerate(kind)],
            "brand": ["" if n % 7 == 6 else _BRANDS[n % 3] for n in number],
            "colour": ["" if n % 17 == 16 else name for n, name in enumerate(colour)],
            "price": [None if n % 8 == 7 else float(value) for n, value in enumerate(price)],
            "in_stock": [bool(n % 10 != 9) for n in number],
            "available_at": [None if n % 3 else _START + int(n % 6) * 5 * DAY for n in number],
            "photo": ["" if n % 6 == 5 else file for n, file in enumerate(files)],
            "more_photos": [[files[(n + 4) % n_items]] if photos and n % 8 == 0 else [] for n in number],
            "audio": [""] * n_items,
            "video": [""] * n_items,
            "season": [["", "summer", "winter"][n % 3] for n in number],
            "weight": [None if n % 4 == 3 else float(n) for n in number],
        },
        schema={**ITEM_COLUMNS, "season": pl.String(), "weight": pl.Float64()},
    )
    items = Items(table, _vectors(rng, n_items))
    return frozen(items, EventLog.from_table(_events(rng, table, n_shoppers), items))


def _vectors(rng: np.random.Generator, n_items: int) -> dict[str, Floats]:
    """Vectors in which items of one colour, and of one kind, lie near one another."""
    vectors: dict[str, Floats] = {}
    for name, dim in (("fused", 16), ("text", 12), ("photo", 8), ("attributes", 10)):
        centres = rng.normal(size=(4, dim)), rng.normal(size=(5, dim))
        rows = centres[0][np.arange(n_items) % 4] + centres[1][np.arange(n_items) % 5]
        rows = rows + 0.3 * rng.normal(size=(n_items, dim))
        vectors[name] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    vectors["photo"][5::6] = 0
    return vectors


def _events(rng: np.random.Generator, items: pl.DataFrame, n_shoppers: int) -> pl.DataFrame:
    kinds = [kind.name for kind in EventKind]
    rows: list[dict[str, Any]] = []
    for day in range(_DAYS):
        # Every kind once, and more of what happens more.
        happened = [*kinds, *rng.choice(kinds[:6], size=14, p=[0.4, 0.05, 0.2, 0.15, 0.08, 0.12]).tolist()]
        for kind in happened:
            shopper = int(rng.integers(n_shoppers))
            item = int(rng.integers(items.height))
            if rng.random() < 0.7:
                item = (item - item % 4 + shopper % 4) % items.height
            price = items["price"][item]
            rows.append(
                {
                    "time": _START + day * DAY + int(rng.integers(DAY)),
                    "shopper": f"s{shopper:02d}",
                    "kind": kind,
                    "item": None if kind == "search" else items["item"][item],
                    "query": f"{items['colour'][item]} hat".strip() if kind == "search" else None,
                    "request": f"r{day}",
                    "position": int(rng.integers(1, 20)) if kind == "impression" else None,
                    "price": None if kind == "search" else price,
                    "quantity": float(rng.integers(1, 4)) if kind == "purchase" else None,
                    "rating": float(rng.integers(1, 6)) if kind == "rate" else None,
                }
            )
    return pl.DataFrame(rows, schema=EVENT_COLUMNS)


def _draw(folder: Path, colours: list[tuple[int, int, int]]) -> list[str]:
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"p{n:02d}.png" for n in range(len(colours))]
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        image = Image.new("RGB", (36, 48), "white")
        draw = ImageDraw.Draw(image)
        shape = draw.ellipse if number % 5 in (1, 3) else draw.rectangle
        shape((6, 8 + number % 5, 30, 40), fill=colour)
        image.save(folder / name)
    return names


def frozen(items: Items, log: EventLog) -> tuple[Items, EventLog]:
    """The same data as read-only arrays, as a snapshot's memory-mapped ones are: writing into them raises."""
    vectors = {name: _read_only(rows) for name, rows in items.vectors.items()}
    arrays: dict[str, Any] = {name: _read_only(a) for name, a in vars(log).items() if isinstance(a, np.ndarray)}
    return Items(items.table, vectors), replace(log, **arrays)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def sample_requests(items: Items, log: EventLog, batch: int = 24, seed: int = 0) -> Requests:
    """Questions of every form, asked at moments of the log with the windows of those moments.

    Every form meets shoppers with a past and shoppers never seen: words that
    items have, words that none has, no words, an item to find similar ones to,
    a photo, and recommendations without what was bought.
    """
    rng = np.random.default_rng(seed)
    n_items = len(items)
    moments = np.sort(rng.integers(0, len(log), batch)) if len(log) else np.empty(0, dtype=np.int64)
    now = log.time[moments] if len(log) else _START + DAY * np.arange(batch, dtype=np.int64)
    shopper = log.shopper[moments].copy() if len(log) else np.full(batch, -1, dtype=np.int32)
    shopper[::7] = -1
    windows = log.windows(shopper, now, 50)
    titles = [title for title in items.table["title"] if title] or ["red shoe"]
    queries = []
    for number in range(batch):
        text = titles[int(rng.integers(len(titles)))]
        like = int(rng.integers(n_items)) if n_items else -1
        forms = (
            Query(),
            Query(text=text),
            Query(like=like),
            Query(text=f"{text.split()[0]} zzqqxx"),
            Query(exclude_purchased=True),
            Query(text="qqzzxx 🙂"),
            Query(text=text, like=like),
        )
        queries.append(forms[number % 5 if number < 10 else int(rng.integers(len(forms)))])
    vectors = {}
    for name, asked in (("text", [bool(q.text) for q in queries]), ("photo", [n % 4 == 1 for n in range(batch)])):
        if name in items.vectors:
            rows = rng.normal(size=(batch, items.vectors[name].shape[1])) * np.array(asked)[:, None]
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            vectors[name] = _read_only((rows / np.where(length > 0, length, 1)).astype(np.float32))
    return Requests(windows, queries, now, vectors)


def sample_lists(requests: Requests, n_items: int, seed: int = 0) -> ItemList:
    """Lists of up to 15 items for each request, in order of item; some are empty, all when there are no items."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, min(15, n_items) + 1, len(requests))
    sizes[1::9] = 0
    return ItemList.from_lists(
        [np.sort(rng.choice(n_items, size, replace=False)).astype(np.int32) for size in sizes.tolist()]
    )
