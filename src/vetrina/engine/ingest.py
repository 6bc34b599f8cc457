"""The door: a shop's files become canonical tables, and shoppers become pseudonyms."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vetrina.catalogue.ingest import read_events, read_items
from vetrina.catalogue.judgements import read_judgements, settled
from vetrina.catalogue.media import remembered_photos
from vetrina.core import EVENT_COLUMNS, EventLog, Items, Progress
from vetrina.core.errors import MissingFile
from vetrina.engine.config import ShopConfig
from vetrina.privacy import Pseudonyms
from vetrina.shoppers import WindowStore

__all__ = ["Canonical", "forget_in_files", "ingest", "pseudonyms", "read_canonical"]


@dataclass(frozen=True)
class Canonical:
    """The canonical tables of a shop.

    Attributes
    ----------
    items : Items
    events : DataFrame
        :data:`EVENT_COLUMNS`, in order of time, of the shop's files and of what was recorded live.
    judgements : DataFrame or None
        query, item, grade.
    raters : DataFrame or None
        query, item, rater, grade: what each person said, where several did.
    hashes : dict of str to str
        Of each table, for the manifest.
    quarantine : DataFrame or None
        What ingest set aside: file, row, column, value, reason.
    """

    items: Items
    events: pl.DataFrame
    judgements: pl.DataFrame | None
    raters: pl.DataFrame | None
    hashes: dict[str, str]
    quarantine: pl.DataFrame | None = None

    @property
    def log(self) -> EventLog:
        """The events as arrays."""
        return EventLog.from_table(self.events, self.items)


def pseudonyms(root: Path) -> Pseudonyms:
    """The shop's keyed pseudonyms; the key is made when absent, in a file of its own that only its owner may read."""
    return Pseudonyms.load_or_create(root / "shoppers.key")


def ingest(root: Path, config: ShopConfig, progress: Progress) -> dict[str, int]:
    """Read the shop's files into ``data/``; return how many rows they have, were kept and set aside.

    Bad rows and unreadable photos go to ``data/quarantine.parquet`` with file,
    row and reason. Files already there are replaced only when all is read.
    """
    data = root / "data"
    data.mkdir(exist_ok=True)
    with remembered_photos(root / "media" / "photos.parquet"):
        read = read_items(config.items, root, progress)
    quarantine = [read.quarantine]
    items = Items(read.table)
    counts = {"items": len(items), "events": 0, "judgements": 0, "item_rows": read.n_rows, "event_rows": 0}
    tables = {"items": read.table}
    events = pl.DataFrame(schema=EVENT_COLUMNS)
    if config.events is not None:
        found = read_events(config.events, root, read.table, pseudonyms(root).of_column, progress)
        events = _without_forgotten(data, found.table)
        counts["event_rows"] = found.n_rows
        quarantine.append(found.quarantine)
        for note in found.notes:
            progress.note(note)
    tables["events"] = events
    counts["events"] = events.height
    if config.judgements is not None:
        told = config.judgements
        ids = items.table["item"]
        columns = told.model_dump(exclude={"file"})
        grades = read_judgements(root, told.file, ids, **columns)
        tables["judgements"] = grades.table
        if told.rater:
            tables["judgements"] = settled(grades.table)
            tables["raters"] = grades.table.filter(pl.col("rater").is_not_null())
        quarantine.append(grades.quarantine)
        counts["judgements"] = tables["judgements"].height
    tables["quarantine"] = pl.concat(quarantine, how="vertical_relaxed")
    counts["quarantined"] = tables["quarantine"].height
    for note in read.notes:
        progress.note(note)
    for name, table in tables.items():
        _replace(data / f"{name}.parquet", table)
    for name in {"judgements", "raters"} - set(tables):
        (data / f"{name}.parquet").unlink(missing_ok=True)
    store = WindowStore(root / "shoppers.db")
    store.replace_copied(events, config.rank.window)
    store.close()
    return counts


def forget_in_files(root: Path, shopper: str, now: int) -> int:
    """Erase a shopper's rows of the canonical events; return how many there were.

    The shop's own files are not ours to change: what they hold of the shopper until ``now`` is
    left out of every later ingest. For that the pseudonym and the time are kept, and nothing else.

    Parameters
    ----------
    root : Path
    shopper : str
        The pseudonym.
    now : int
        Epoch seconds.
    """
    data = root / "data"
    data.mkdir(exist_ok=True)
    path = data / "forgotten.parquet"
    line = pl.DataFrame({"shopper": [shopper], "time": [now]}, schema={"shopper": pl.String, "time": pl.Int64})
    known = pl.concat([pl.read_parquet(path), line]) if path.exists() else line
    _replace(path, known.group_by("shopper", maintain_order=True).agg(pl.col("time").max()))
    if not (data / "events.parquet").exists():
        return 0
    events = pl.read_parquet(data / "events.parquet")
    kept = events.filter(pl.col("shopper") != shopper)
    if kept.height < events.height:
        _replace(data / "events.parquet", kept)
    return events.height - kept.height


def _without_forgotten(data: Path, events: pl.DataFrame) -> pl.DataFrame:
    """The events without those of shoppers who were forgotten after them."""
    path = data / "forgotten.parquet"
    if not path.exists():
        return events
    forgotten = pl.read_parquet(path).select("shopper", until="time")
    joined = events.join(forgotten, on="shopper", how="left", maintain_order="left")
    return joined.filter(pl.col("until").is_null() | (pl.col("time") > pl.col("until"))).drop("until")


def _replace(path: Path, table: pl.DataFrame) -> None:
    beside = path.with_name(f".{path.name}")
    table.write_parquet(beside, compression="zstd")
    os.replace(beside, path)


def read_canonical(root: Path) -> Canonical:
    """The canonical tables that :func:`ingest` wrote, with the events recorded live since.

    Raises
    ------
    MissingFile
        When nothing was ingested yet.
    """
    data = root / "data"
    if not (data / "items.parquet").exists():
        raise MissingFile(f"{data / 'items.parquet'} does not exist. Read the shop's files with: vetrina ingest {root}")
    items = Items(pl.read_parquet(data / "items.parquet"))
    store = WindowStore(root / "shoppers.db")
    live = store.live_events()
    store.close()
    events = pl.concat([pl.read_parquet(data / "events.parquet"), live]).sort("time", maintain_order=True)
    paths = [data / f"{name}.parquet" for name in ("judgements", "raters")]
    judgements, raters, quarantine = (
        pl.read_parquet(path) if path.exists() else None for path in [*paths, data / "quarantine.parquet"]
    )
    hashes = {name: _hash(data / f"{name}.parquet") for name in ("items", "events")}
    hashes["live"] = hashlib.blake2b(str(live.hash_rows(seed=0).sum()).encode(), digest_size=8).hexdigest()
    return Canonical(items, events, judgements, raters, hashes, quarantine)


def _hash(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
