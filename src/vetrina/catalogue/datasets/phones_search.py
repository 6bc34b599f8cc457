"""Amazon phones search: what people bought under which words, for search that knows the person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from vetrina.catalogue.datasets.source import Dataset, first_of
from vetrina.catalogue.ingest import events_from_table, items_from_table
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import ROW, Table, empty_quarantine, read_text
from vetrina.core.errors import DataError
from vetrina.core.progress import Progress

__all__ = ["EVENTS", "ITEMS", "load_phones_search"]

ITEMS = ItemMapping(file="train.qrels", item="item")

EVENTS = EventMapping(
    file="train.qrels",
    time="time",
    shopper="shopper",
    item="item",
    constant_kind="purchase",
    query="query",
    request="request",
)

# The set says nothing of when anything happened. All events stand at the end of the reviews that it was made of.
_TIME = "2014-07-23"


def load_phones_search(
    folder: Path, pseudonym: Callable[[pl.Series], pl.Series], progress: Progress | None = None
) -> Dataset:
    """The set in ``folder``: purchases under queries, and requests with queries that no purchase was made under.

    A line says that somebody bought an item under a query; who bought a product that is in several categories has
    one line, and here one purchase, for each. Items have no text: what is known of them is the words under
    which they were bought.
    """
    queries = _lines(folder, "query_text.txt")["line"].to_list()
    train, test = (_read(folder, f"{part}.qrels", queries) for part in ("train", "test"))
    listed = train.frame.select("item", ROW).unique("item", keep="first", maintain_order=True).sort("item")
    items = items_from_table(Table(train.name, listed, ["item"]), ITEMS, folder, progress)
    events = events_from_table(train, EVENTS, items.table, pseudonym, progress)
    held_out = test.frame.select(pseudonym(test.frame["shopper"]).alias("shopper"), "query", "item")
    return Dataset(
        name="amazon-phones-search",
        description="174,087 purchases of 10,428 products by 27,879 people under 134 queries; 667 under 30 others",
        licence="not stated; made from Amazon reviews (McAuley et al.), for research",
        source=(
            "github.com/QingyaoAi/Amazon-Product-Search-Datasets (Ai, Zhang, Bi, Chen and Croft, SIGIR 2017), "
            "from Amazon reviews of cell phones and accessories (McAuley et al., 2015)"
        ),
        items=items.table,
        root=folder,
        events=events.table,
        held_out=held_out,
        quarantine=pl.concat([items.quarantine, events.quarantine]),
        notes=(
            "Queries are the names of the categories that a product is in; nobody typed them.",
            "There are no times: all events stand at one moment, and nothing that rests on time can be learned.",
            "Products have no text, price or photo.",
        ),
    )


def _read(folder: Path, name: str, queries: list[str]) -> Table:
    """Lines "shopper_query 0 item 1" as a table: who, under which words, bought what."""
    lines = _lines(folder, name)
    parts = lines["line"].str.strip_chars().str.extract_groups(r"^(?P<shopper>\S+)_(?P<code>\d+) 0 (?P<item>\S+) 1$")
    frame = lines.with_columns(parts.struct.unnest()).with_columns(pl.col("code").cast(pl.Int64, strict=False))
    bad = frame.filter(pl.col("code").is_null() | (pl.col("code") >= len(queries)))
    if bad.height:
        raise DataError(
            f"{name}, line {bad[ROW][0]}: {bad['line'][0]!r} is not 'shopper_query 0 item 1' with a query of 0 to "
            f"{len(queries) - 1}. Is it the file of that data set?"
        )
    frame = frame.select(
        "shopper",
        "item",
        pl.col("code").replace_strict(dict(enumerate(queries)), return_dtype=pl.String).alias("query"),
        pl.format("{}_{}", "shopper", "code").alias("request"),
        pl.lit(_TIME).alias("time"),
        ROW,
    )
    return Table(name, frame, [column for column in frame.columns if column != ROW], empty_quarantine())


def _lines(folder: Path, name: str) -> pl.DataFrame:
    """The lines of a file, numbered from 1, those without anything left out."""
    read = read_text(folder / first_of(folder, (name, f"{name}.gz")))
    assert read is not None  # it is no Parquet, by its name
    return (
        pl.read_lines(read[0], row_index_name=ROW, row_index_offset=1)
        .filter(pl.col("line") != "")
        .with_columns(pl.col(ROW).cast(pl.Int64))
    )
