"""MovieLens 100K: real people's ratings of films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from vetrina.catalogue.datasets.source import Dataset
from vetrina.catalogue.ingest import items_from_table, read_events
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import Table, read_table
from vetrina.core.items import CATEGORY_SEPARATOR
from vetrina.core.progress import Progress

__all__ = ["EVENTS", "ITEMS", "load_movielens"]

ITEMS = ItemMapping(
    file="ml-100k.item", item="item_id", title="movie_title", category=("class",), numbers=("release_year",)
)

EVENTS = EventMapping(
    file="ml-100k.inter",
    time="timestamp:float",
    shopper="user_id:token",
    item="item_id:token",
    constant_kind="rate",
    rating="rating:float",
)


def load_movielens(
    folder: Path, pseudonym: Callable[[pl.Series], pl.Series], progress: Progress | None = None
) -> Dataset:
    """The set in ``folder``; a film's genres are the levels of its category."""
    table = read_table(folder / ITEMS.file)
    # RecBole writes the type of a column into its name.
    frame = table.frame.rename({column: column.partition(":")[0] for column in table.columns})
    frame = frame.with_columns(pl.col("class").str.replace_all(" ", CATEGORY_SEPARATOR, literal=True))
    named = Table(table.name, frame, frame.columns[:-1], table.quarantine)
    items = items_from_table(named, ITEMS, folder, progress)
    events = read_events(EVENTS, folder, items.table, pseudonym, progress)
    return Dataset(
        name="movielens-100k",
        description="100,000 ratings of 1,682 films by 943 people, September 1997 to April 1998",
        licence="GroupLens terms: research use, with acknowledgement",
        source="MovieLens 100K (Harper and Konstan, 2015), in the layout of github.com/RUCAIBox/RecBole",
        items=items.table,
        root=folder,
        events=events.table,
        quarantine=pl.concat([items.quarantine, events.quarantine]),
        notes=("Films, no products; there are no photos, prices or queries.",),
    )
