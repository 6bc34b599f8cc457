"""Live windows: what each shopper did lately, appended by events and read by requests.

The store that needs no server is SQLite in write-ahead mode: many readers and
one writer at a time, over several processes, each commit durable. A shopper is
only ever a pseudonym here, and an item its id, so that windows outlive builds.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from vetrina.core import EVENT_COLUMNS, EventKind, Items, Windows

__all__ = ["WindowStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    shopper TEXT NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL, item TEXT, query TEXT, request TEXT,
    position INTEGER, price REAL, quantity REAL, rating REAL, propensity REAL,
    live INTEGER NOT NULL  -- 1: recorded while serving; 0: copied from the shop's files
);
CREATE INDEX IF NOT EXISTS by_shopper ON events (shopper, time, id);
CREATE INDEX IF NOT EXISTS by_live ON events (live, time);
"""
_NEWER = {"propensity": "REAL"}  # not in files of the first version
_COLUMNS = tuple(EVENT_COLUMNS)
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}, live) VALUES ({', '.join('?' * len(_COLUMNS))}, ?)"
# Only what says something of a taste enters a window: searches and impressions name no choice.
_IN_WINDOW = f"item IS NOT NULL AND kind NOT IN ('{EventKind.impression.name}', '{EventKind.search.name}')"


class WindowStore:
    """Events of shoppers in one SQLite file.

    Parameters
    ----------
    path : Path
        Made when absent.

    Examples
    --------
    >>> import tempfile
    >>> store = WindowStore(Path(tempfile.mkdtemp()) / "shoppers.db")
    >>> event = {"time": 10, "shopper": "a1", "kind": "click", "item": "shoe"}
    >>> store.append(pl.DataFrame([event]), live=True)
    1
    >>> store.count("a1")
    1
    >>> store.forget("a1")
    1
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        with self._connection() as connection:
            connection.executescript(_SCHEMA)
            _add_new_columns(connection)

    def _connection(self) -> sqlite3.Connection:
        """One connection for each thread, as SQLite wants it."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=30)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            # What is erased is overwritten, not only unlinked.
            connection.execute("PRAGMA secure_delete = ON")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def append(self, events: pl.DataFrame, *, live: bool) -> int:
        """Append events (columns of :data:`EVENT_COLUMNS`; missing ones are unknown); return how many.

        They are visible to every later read, of any process.
        """
        missing = [
            pl.lit(None, dtype=EVENT_COLUMNS[name]).alias(name) for name in _COLUMNS if name not in events.columns
        ]
        rows = events.with_columns(missing).select(*_COLUMNS, pl.lit(int(live))).rows()
        with self._connection() as connection:
            connection.executemany(_INSERT, rows)
        return len(rows)

    def replace_copied(self, events: pl.DataFrame, size: int) -> None:
        """Replace what was copied from the shop's files by each shopper's last ``size`` events of ``events``."""
        kinds = [EventKind.impression.name, EventKind.search.name]
        kept = events.filter(pl.col("item").is_not_null(), ~pl.col("kind").is_in(kinds)).sort(
            "time", maintain_order=True
        )
        kept = kept.group_by("shopper", maintain_order=True).tail(size)
        rows = kept.select(*_COLUMNS, pl.lit(0)).rows()
        with self._connection() as connection:
            connection.execute("DELETE FROM events WHERE live = 0")
            connection.executemany(_INSERT, rows)

    def windows(self, shoppers: Sequence[str | None], items: Items, size: int) -> Windows:
        """The last ``size`` events of each shopper, oldest first; empty for one never seen (or None)."""
        connection = self._connection()
        found: list[tuple[int, str, int, str, float | None, float | None, float | None]] = []
        for number, shopper in enumerate(shoppers):
            if shopper is None:
                continue
            events = connection.execute(
                f"SELECT item, time, kind, price, quantity, rating FROM events WHERE shopper = ? AND {_IN_WINDOW} "
                "ORDER BY time DESC, id DESC LIMIT ?",
                (shopper, size),
            ).fetchall()
            found.extend((number, *event) for event in reversed(events))
        position = items.positions(event[1] for event in found)
        # An item that left the catalogue is no longer something to compare with.
        kept = np.flatnonzero(position >= 0)
        row = np.array([found[place][0] for place in kept], dtype=np.int64)
        return Windows(
            offsets=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(shoppers)))]).astype(np.int64),
            item=position[kept],
            time=np.array([found[place][2] for place in kept], dtype=np.int64),
            kind=np.array([EventKind[found[place][3]] for place in kept], dtype=np.int8),
            price=np.array([found[place][4] for place in kept], dtype=np.float32),
            quantity=np.array([found[place][5] for place in kept], dtype=np.float32),
            rating=np.array([found[place][6] for place in kept], dtype=np.float32),
        )

    def live_events(self) -> pl.DataFrame:
        """All events recorded while serving, in order of time: what a build adds to the shop's own log."""
        rows = self._connection().execute(f"SELECT {', '.join(_COLUMNS)} FROM events WHERE live = 1 ORDER BY time, id")
        return pl.DataFrame(rows.fetchall(), schema=EVENT_COLUMNS, orient="row")

    def count(self, shopper: str) -> int:
        """How many events are kept of a shopper."""
        found = self._connection().execute("SELECT COUNT(*) FROM events WHERE shopper = ?", (shopper,)).fetchone()
        return int(found[0])

    def forget(self, shopper: str) -> int:
        """Erase everything kept of a shopper; return how many events that was."""
        with self._connection() as connection:
            return connection.execute("DELETE FROM events WHERE shopper = ?", (shopper,)).rowcount

    def expire(self, before: int) -> int:
        """Erase events before a time (epoch seconds); return how many."""
        with self._connection() as connection:
            return connection.execute("DELETE FROM events WHERE time < ?", (before,)).rowcount


def _add_new_columns(connection: sqlite3.Connection) -> None:
    """Columns that came after a file was made; what is in it has them empty."""
    if _missing(connection):
        connection.execute("BEGIN IMMEDIATE")  # of two processes that open it at once, one adds them
        for name in _missing(connection):
            connection.execute(f"ALTER TABLE events ADD COLUMN {name} {_NEWER[name]}")


def _missing(connection: sqlite3.Connection) -> list[str]:
    known = {row[1] for row in connection.execute("PRAGMA table_info(events)")}
    return [name for name in _NEWER if name not in known]
