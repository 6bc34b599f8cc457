"""What was found out about files, remembered so that a file that did not change is not read again: hashes, mostly."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.exceptions import PolarsError

__all__ = ["file_hash", "recalled", "remembered"]

# A file that changed so lately may change again within one tick of the file system's clock, and look the same.
_SETTLED = 2_000_000_000


class _Seen(NamedTuple):
    """A file as it was, and what was found out about it."""

    size: int
    written: int  # nanoseconds
    changed: int
    inode: int
    found: str


class _Memory(NamedTuple):
    """What was known before by path, and of it and of what is new what was asked for."""

    what: str
    known: dict[str, _Seen]
    asked: dict[str, _Seen]


# Whoever is in a ``with`` block, the innermost last.
_memories: list[_Memory] = []


def file_hash(path: str | os.PathLike[str]) -> str:
    """Hash of a file's bytes (BLAKE2b, 32 hexadecimal digits); "" when it cannot be read.

    Within :func:`remembered` a file that did not change is read once.

    Examples
    --------
    >>> file_hash("no/such/photo.jpg")
    ''
    """
    try:
        return recalled(path, "hash", _read)
    except (OSError, ValueError):
        return ""


def _read(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def recalled(path: str | os.PathLike[str], what: str, find: Callable[[str | os.PathLike[str]], str]) -> str:
    """``find(path)``, or what it said within :func:`remembered` when the file was as it is now.

    A file is only looked at: its size, its inode, and the times when it was last written and last
    changed in any way. The latter is the kernel's and cannot be set back, so a file that was replaced
    by an older one of equal size is read again. Where ``find`` raises, nothing is remembered.

    Parameters
    ----------
    path : str or path
    what : str
        What ``find`` finds out: as in :func:`remembered`.
    find : callable
        Path to str.

    Raises
    ------
    Exception
        Whatever ``find`` raises.
    """
    memory = next((one for one in reversed(_memories) if one.what == what), None)
    if memory is None:
        return find(path)
    now = time.time_ns()
    try:
        name = os.path.abspath(path)
        state = _state(os.stat(name))  # before it is read: what is written while it is being read is another state
    except (OSError, ValueError):
        return find(path)
    seen = memory.asked.get(name) or memory.known.get(name)
    if seen is None or seen[:4] != state:
        seen = _Seen(*state, find(path))
        if max(seen.written, seen.changed) > now - _SETTLED:
            return seen.found
    memory.asked[name] = seen
    return seen.found


def _state(told: os.stat_result) -> tuple[int, int, int, int]:
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino & (2**63 - 1)


@contextmanager
def remembered(path: Path, what: str) -> Iterator[None]:
    """For the ``with`` block, :func:`recalled` knows what ``path`` has kept, and keeps there what it learns.

    What nobody asked for in the block is dropped. A ``path`` that is damaged, copied from elsewhere or of
    something else than ``what`` costs the reading of the files, and nothing else.

    Parameters
    ----------
    path : Path
        A table of Parquet; made where there is none.
    what : str
        What is found out about files ("hash" for :func:`file_hash`), and by which version of what it depends on.
    """
    known = _load(path, what)
    memory = _Memory(what, known, {})
    _memories.append(memory)
    try:
        yield
    finally:
        _memories.remove(memory)
    if memory.asked != known:
        rows = [(name, *seen) for name, seen in sorted(memory.asked.items())]
        beside = path.with_name(f"{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows, schema=_schema(what), orient="row").write_parquet(beside)
        os.replace(beside, path)


def _schema(what: str) -> dict[str, pl.DataType]:
    # What was found stands in a column of that name, so that a table of something else is not taken for it.
    numbers = dict.fromkeys(("size", "written", "changed", "inode"), pl.Int64())
    return {"path": pl.String(), **numbers, what: pl.String()}


def _load(path: Path, what: str) -> dict[str, _Seen]:
    with suppress(OSError, PolarsError):
        table = pl.read_parquet(path)
        if table.schema == _schema(what):
            return {name: _Seen(*rest) for name, *rest in table.iter_rows()}
    return {}
