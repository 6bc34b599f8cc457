"""Checksums: how a build knows that what it reads is what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["checksum", "file_checksum"]

_SIZE = 16  # bytes; against damage, not against an enemy, who could write the checksum too


def checksum(content: bytes) -> str:
    """BLAKE2b of ``content``: 32 hex digits."""
    return hashlib.blake2b(content, digest_size=_SIZE).hexdigest()


def file_checksum(path: Path) -> str:
    """:func:`checksum` of a file, read part by part."""
    digest = hashlib.blake2b(digest_size=_SIZE)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
