"""Files are hashed by their bytes; a file that did not change is looked at and not read."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import polars as pl
import pytest

from vetrina.core import file_hash as module
from vetrina.core.file_hash import file_hash, remembered


def literal(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read, in order."""
    found: list[str] = []
    read = module._read

    def watched(path: str | os.PathLike[str]) -> str:
        found.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(module, "_read", watched)
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written an hour ago: its last change is the kernel's to say, so the clock is moved."""
    now = time.time_ns()
    monkeypatch.setattr("vetrina.core.file_hash.time.time_ns", lambda: now + 3_600_000_000_000)


def test_a_settled_file_is_read_once(tmp_path: Path, reads: list[str], settled: None) -> None:
    file, kept = tmp_path / "a.jpg", tmp_path / "media" / "hashes.parquet"
    file.write_bytes(b"photo")
    for _ in range(3):
        with remembered(kept, "hash"):
            assert file_hash(file) == file_hash(str(file)) == literal(b"photo")
    assert reads == ["a.jpg"]
    # Outside of the block nothing is remembered.
    assert file_hash(file) == literal(b"photo")
    assert len(reads) == 2


@pytest.mark.parametrize("way", ["rewritten", "replaced", "set back"])
def test_a_changed_file_of_the_same_size_is_read_again(tmp_path: Path, settled: None, way: str) -> None:
    file, kept = tmp_path / "a.jpg", tmp_path / "hashes.parquet"
    file.write_bytes(b"before")
    told = file.stat()
    with remembered(kept, "hash"):
        assert file_hash(file) == literal(b"before")
    if way == "replaced":
        other = tmp_path / "b.jpg"
        other.write_bytes(b"behind")
        os.replace(other, file)
    else:
        file.write_bytes(b"behind")
    if way == "set back":
        os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
        assert file.stat().st_mtime_ns == told.st_mtime_ns
    with remembered(kept, "hash"):
        assert file_hash(file) == literal(b"behind")


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path, reads: list[str]) -> None:
    """It could be written again within the same tick of the clock."""
    file, kept = tmp_path / "a.jpg", tmp_path / "hashes.parquet"
    file.write_bytes(b"photo")
    for _ in range(2):
        with remembered(kept, "hash"):
            assert file_hash(file) == literal(b"photo")
    assert len(reads) == 2
    assert not kept.exists()


def test_what_nobody_asks_for_any_more_is_dropped(tmp_path: Path, settled: None) -> None:
    kept = tmp_path / "hashes.parquet"
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    with remembered(kept, "hash"):
        assert file_hash(tmp_path / "a") != file_hash(tmp_path / "b")
    with remembered(kept, "hash"):
        file_hash(tmp_path / "b")
    assert pl.read_parquet(kept)["path"].to_list() == [str(tmp_path / "b")]


def test_a_damaged_memory_costs_reading_and_nothing_else(tmp_path: Path, reads: list[str], settled: None) -> None:
    file, kept = tmp_path / "a.jpg", tmp_path / "hashes.parquet"
    file.write_bytes(b"photo")
    kept.write_bytes(b"PAR1 no table")
    with remembered(kept, "hash"):
        assert file_hash(file) == literal(b"photo")
    pl.DataFrame({"path": [str(file)], "hash": ["0"]}).write_parquet(kept)
    with remembered(kept, "hash"):
        assert file_hash(file) == literal(b"photo")
    assert len(reads) == 2


def test_what_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    with remembered(tmp_path / "hashes.parquet", "hash"):
        assert file_hash(tmp_path) == file_hash(tmp_path / "gone") == file_hash("a\0b") == ""
    assert file_hash(tmp_path) == file_hash("a\0b") == ""
