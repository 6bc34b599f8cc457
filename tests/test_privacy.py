"""Pseudonyms: HMAC-SHA256 under a key that only its owner can read."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.core.errors import ConfigError, MissingFile
from vetrina.privacy import Pseudonyms


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [
        # RFC 4231, test cases 1, 3 and 4, whose keys are of 20 bytes and more; all 256 bits are given there.
        (b"\x0b" * 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"\xaa" * 131, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    ],
)  # fmt: skip
def test_rfc_4231(key: bytes, data: str, digest: str) -> None:
    assert Pseudonyms(key).of(data) == digest[:32]


def hmac_by_hand(key: bytes, message: bytes) -> str:
    """RFC 2104, written out."""
    block = (key if len(key) <= 64 else hashlib.sha256(key).digest()).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=16, max_size=100), st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_column_agrees_with_rfc_2104_and_keeps_nulls(key: bytes, shoppers: list[str | None]) -> None:
    column = Pseudonyms(key).of_column(pl.Series(shoppers, dtype=pl.String))
    assert column.to_list() == [None if one is None else hmac_by_hand(key, one.encode())[:32] for one in shoppers]


def test_numbers_are_hashed_as_they_are_written() -> None:
    names = Pseudonyms(b"k" * 32)
    assert names.of_column(pl.Series([17850])).to_list() == [names.of("17850")]


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "shoppers.key"
    before = os.umask(0)
    try:
        first = Pseudonyms.load_or_create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Pseudonyms.load_or_create(path).of("ana") == first.of("ana")
    assert Pseudonyms.load_or_create(tmp_path / "other.key").of("ana") != first.of("ana")
    assert [one.name for one in path.parent.iterdir()] == ["shoppers.key"]


def test_many_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: Pseudonyms.load_or_create(tmp_path / "k").of("ana"), range(32)))
    assert len(set(names)) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k"
    Pseudonyms.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"mode {mode:o}; 600 was expected.*chmod 600"):
        Pseudonyms.load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"zz" * 32, b"ab" * 31, b"\xff\xfe" * 32])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no key"):
        Pseudonyms.load_or_create(path)


def test_loading_does_not_make_a_key(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no key file"):
        Pseudonyms.load(tmp_path / "k")


def test_a_short_key_is_refused_and_a_key_is_never_shown() -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        Pseudonyms(b"short")
    assert "secret" not in repr(Pseudonyms(b"a secret of some length"))
