"""Like this photo, but of another colour: what a photo, a word, and both of them find.

A fifth of the fashion products is held out and not indexed. Of fifty of them the photo is searched by, with the
name of a colour that the product has not, but at least three indexed products of its kind have. What is right is of
the photo's kind (``articleType``) and of the word's colour (``baseColour``). Nobody is known to the shop: no events.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from modalities import Outcome, Printable, over_seeds
from vetrina.catalogue.datasets import load
from vetrina.catalogue.datasets.fashion import MAPPING
from vetrina.core import EVENT_COLUMNS, EventLog, ItemList, Items, Query, Requests, Silent, Windows
from vetrina.engine import Engine, ShopConfig, learn
from vetrina.engine.config import EncoderConfig
from vetrina.engine.encoding import encode_items

__all__ = ["ASKED", "Case", "Index", "cases", "found", "index", "tables"]

K = 10
N_CASES = 50
#: So many indexed products must be right, or there would be nothing to find.
LEAST = 3
NOW = 1_750_000_000

#: Ways to ask.
ASKED = ("photo and word", "photo alone", "word alone")

#: Encoders beside, or instead of, the default ones: what they are called in the table, and the extra that they need.
ENCODERS: dict[str, tuple[dict[str, str], str]] = {
    "the default encoders": ({}, ""),
    "a colour signature beside them": ({"colour": "colour"}, ""),
    "catalogue-clip for photos": ({"photo": "catalogue-clip"}, "torch"),
}
#: A network is trained for each seed, which takes minutes: with no more than these many.
TRAINED_SEEDS = 2


@dataclass(frozen=True)
class Case:
    """One question: a product that is not indexed, its photo, and the colour that it should have instead."""

    row: int
    title: str
    kind: str
    photo: bytes
    colour: str

    def query(self, asked: str) -> Query:
        """One of :data:`ASKED`."""
        photo = self.photo if asked != "word alone" else b""
        return Query(photo=photo, text=self.colour.lower() if asked != "photo alone" else "")


@dataclass(frozen=True)
class Index:
    """A shop of four fifths of the products, and questions of the others."""

    engine: Engine
    cases: list[Case]

    def ranked(self, asked: str) -> ItemList:
        """The top ten of every question."""
        queries = [one.query(asked) for one in self.cases]
        now = np.full(len(queries), NOW, dtype=np.int64)
        return self.engine.rank(Requests(Windows.empty(len(queries)), queries, now), K).lists


def index(folder: Path, seed: int, encoders: Mapping[str, str], n_cases: int = N_CASES) -> Index:
    """Hold a fifth out by ``seed``, index the rest, and draw questions."""
    dataset = load("fashion", folder=folder)
    table = dataset.items.with_row_index("row")
    rng = np.random.default_rng(seed)
    out = np.zeros(len(table), dtype=bool)
    out[rng.choice(len(table), len(table) // 5, replace=False)] = True
    kept = table.filter(pl.Series(~out)).drop("row")
    config = ShopConfig(items=MAPPING)
    chosen = {name: EncoderConfig(encoder=encoder) for name, encoder in encoders.items()}
    config = config.model_copy(update={"encode": {**config.encode, **chosen}})
    with tempfile.TemporaryDirectory() as media:
        encoded = encode_items(Items(kept), dataset.root, Path(media), config, Silent())
        vectors = {name: np.array(one) for name, one in encoded.items.vectors.items()}  # the files go
    items = Items(kept, vectors)
    log = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), items)
    engine = learn(items, log, config, encoded.encoders, fuser=encoded.fuser)
    return Index(engine, cases(table.filter(pl.Series(out)), kept, dataset.root, rng, n_cases))


def cases(out: pl.DataFrame, kept: pl.DataFrame, root: Path, rng: np.random.Generator, most: int) -> list[Case]:
    """At most ``most`` questions of products that are not indexed, drawn at random."""
    counts = {(kind, colour): count for kind, colour, count in kept.group_by("articleType", "colour").len().iter_rows()}
    colours = sorted({colour for _, colour in counts if colour})
    made = []
    for row in out.filter(pl.col("photo") != "").sort("row").iter_rows(named=True):
        others = [
            colour
            for colour in colours
            if colour != row["colour"] and counts.get((row["articleType"], colour), 0) >= LEAST
        ]
        if others:
            colour = others[int(rng.integers(len(others)))]
            photo = root / row["photo"]
            made.append((row["row"], row["title"], row["articleType"], photo, colour))
    drawn = np.sort(rng.choice(len(made), min(most, len(made)), replace=False)).tolist()
    return [
        Case(row, title, kind, photo.read_bytes(), colour)
        for row, title, kind, photo, colour in map(made.__getitem__, drawn)
    ]


def found(shop: Index, asked: str) -> dict[str, npt.NDArray[np.float64]]:
    """For each question, how many of the top ten are right; of the photo's kind; of the word's colour."""
    lists, table = shop.ranked(asked), shop.engine.items.table
    kind, colour = table["articleType"].to_numpy()[lists.item], table["colour"].to_numpy()[lists.item]
    like = kind == np.array([one.kind for one in shop.cases])[lists.row]
    said = colour == np.array([one.colour for one in shop.cases])[lists.row]

    def count(right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.bincount(lists.row, weights=right.astype(np.float64), minlength=len(shop.cases)).astype(np.float64)

    return {"both": count(like & said), "kind": count(like), "colour": count(said)}


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Printable]:
    """One table for each choice of encoders, and the black T-shirt that should be red."""
    for name, (encoders, needs) in ENCODERS.items():
        if (quick and encoders) or (needs and find_spec(needs) is None):
            continue
        outcomes: list[Outcome] = []
        whose: list[npt.NDArray[np.int64]] = []
        examples: list[Example] = []
        for seed in seeds[:TRAINED_SEEDS] if needs else seeds:
            shop = index(data / "fashion", seed, encoders)
            outcomes.append({asked: found(shop, asked) for asked in ASKED})
            whose.append(np.array([one.row for one in shop.cases]))
            if not examples:
                examples.append(shown(shop, data / "fashion", seed, name))
        yield over_seeds(
            f"Like this photo, but of another colour: {name}",
            outcomes,
            whose,
            reference=ASKED[0],
            unit="photos of products that are not indexed",
            notes=(
                f"Of the top {K}: both = of the photo's kind and of the word's colour; kind, colour = of one of them.",
            ),
        )
        yield from examples


@dataclass(frozen=True)
class Example:
    """Three lists side by side."""

    title: str
    lists: dict[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        return {"title": self.title, "lists": self.lists}

    def text(self) -> str:
        width = 40
        cells = [[title[: width - 2].ljust(width) for title in titles] for titles in self.lists.values()]
        rows = ["".join(row).rstrip() for row in zip(*cells, strict=True)]
        return "\n".join([self.title, "".join(name.ljust(width) for name in self.lists).rstrip(), *rows])


def shown(shop: Index, folder: Path, seed: int, encoders: str) -> Example:
    """A black T-shirt that is not indexed, and "red"."""
    known = set(shop.engine.items.ids)
    table = load("fashion", folder=folder).items.with_row_index("row")
    black = table.filter(
        (pl.col("articleType") == "Tshirts") & (pl.col("colour") == "Black") & ~pl.col("item").is_in(list(known))
    )
    photo = (folder / black["photo"][0]).read_bytes()
    case = Case(int(black["row"][0]), black["title"][0], "Tshirts", photo, "Red")
    one = replace(shop, cases=[case])
    titles = shop.engine.items.table["title"]
    lists = {asked: titles[one.ranked(asked).item.astype(np.uint32)].to_list() for asked in ASKED}
    return Example(f"The photo of “{case.title}” and the word “red”: {encoders}, seed {seed}", lists)
