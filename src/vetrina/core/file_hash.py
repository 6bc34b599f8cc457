"""Hashes of files' contents, remembered so that a file that did not change is not read again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import polars as pl
from polars.exceptions import PolarsError

__all__ = ["file_hash", "remembered_hashes"]

# A file that changed so lately may change again within one tick of the file system's clock, and look the same.
_SETTLED = 2_000_000_000


class _Seen(NamedTuple):
    """A file as it was, and the hash of what it held."""

    size: int
    written: int  # nanoseconds
    changed: int
    inode: int
    hash: str


class _Memory(NamedTuple):
    """What was known before by path, and of it and of what is new what was asked for."""

    known: dict[str, _Seen]
    asked: dict[str, _Seen]


# Whoever is in a ``with`` block, the innermost last.
_memories: list[_Memory] = []


def file_hash(path: str | os.PathLike[str]) -> str:
    """Hash of a file's bytes (BLAKE2b, 32 hexadecimal digits); "" when it cannot be read.

    Within :func:`remembered_hashes` a file is read once and then only looked at: its size, its inode, and
    the times when it was last written and last changed in any way. The latter is the kernel's and
    cannot be set back, so a file that was replaced by an older one of equal size is read again.

    Examples
    --------
    >>> file_hash("no/such/photo.jpg")
    ''
    """
    memory = _memories[-1] if _memories else None
    try:
        if memory is None:
            return _read(path)[1]
        name = os.path.abspath(path)
        seen = memory.asked.get(name) or memory.known.get(name)
        if seen is None or seen[:4] != _state(os.stat(name)):
            state, digest = _read(name)
            if max(state[1:3]) > time.time_ns() - _SETTLED:
                return digest
            seen = _Seen(*state, digest)
        memory.asked[name] = seen
        return seen.hash
    except (OSError, ValueError):
        return ""


def _read(path: str | os.PathLike[str]) -> tuple[tuple[int, int, int, int], str]:
    """(how the file was just before it was read, hash)."""
    with open(path, "rb") as file:
        state = _state(os.fstat(file.fileno()))
        return state, hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _state(told: os.stat_result) -> tuple[int, int, int, int]:
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino & (2**63 - 1)


@contextmanager
def remembered_hashes(path: Path) -> Iterator[None]:
    """For the ``with`` block, :func:`file_hash` knows what ``path`` has kept, and keeps there what it learns.

    What nobody asked for in the block is dropped. A ``path`` that is damaged or copied from elsewhere
    costs the reading of the files, and nothing else.
    """
    known = _load(path)
    memory = _Memory(known, {})
    _memories.append(memory)
    try:
        yield
    finally:
        _memories.remove(memory)
    if memory.asked != known:
        rows = [(name, *seen) for name, seen in sorted(memory.asked.items())]
        beside = path.with_name(f"{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(beside)
        os.replace(beside, path)


_NUMBERS = ("size", "written", "changed", "inode")
_SCHEMA = {"path": pl.String(), **dict.fromkeys(_NUMBERS, pl.Int64()), "hash": pl.String()}


def _load(path: Path) -> dict[str, _Seen]:
    with suppress(OSError, PolarsError):
        table = pl.read_parquet(path)
        if table.schema == _SCHEMA:
            return {name: _Seen(*rest) for name, *rest in table.iter_rows()}
    return {}
