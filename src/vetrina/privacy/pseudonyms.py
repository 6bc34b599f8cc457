"""Keyed pseudonyms: what stands in for a shopper's id everywhere behind the door.

A plain hash of an id can be undone by hashing every likely id (customer numbers,
e-mail addresses) and comparing. HMAC (RFC 2104) with a secret key cannot, without
the key; so the key lives in a file of its own, which only its owner may read, and
which is not part of a backup of the data. Deleting the key makes every pseudonym
meaningless.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

import polars as pl

from vetrina.core.errors import ConfigError, MissingFile

__all__ = ["KEY_BYTES", "Pseudonyms"]

#: As long as the output of SHA-256, which RFC 2104 recommends.
KEY_BYTES = 32

# 128 of the 256 bits are kept: two of a billion shoppers meet with a probability
# of about 1e-21, and ids stay half as long in every file and index.
_HEX_DIGITS = 32


class Pseudonyms:
    """HMAC-SHA256 of shopper ids under one secret key.

    An id is hashed as it is written, in UTF-8: the same id gives the same pseudonym
    always. Ids are hashed once, where they enter; a pseudonym hashed again is another.

    Parameters
    ----------
    key : bytes
        At least 16 bytes, from a cryptographic source.

    Raises
    ------
    ConfigError
        When the key is shorter.

    Examples
    --------
    >>> Pseudonyms(b"an example key, never to be used").of("ana")
    'c7adda1eaf0b5f302a1a99383a9a5e9e'
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ConfigError(
                f"The key for pseudonyms has {len(key)} bytes; at least 16 are needed, {KEY_BYTES} are usual."
            )
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(key=hidden)"

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """The key kept in ``path``; one is made there, with mode 600, when there is none.

        Raises
        ------
        ConfigError
            When the file can be read by others than its owner, or holds no key.
        """
        try:
            return cls.load(path)
        except MissingFile:
            path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole under another name, then linked into place: of two processes that
        # start at once one wins, and neither ever reads half a key.
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(KEY_BYTES) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key kept in ``path``.

        Raises
        ------
        MissingFile
            When there is none.
        ConfigError
            When the file can be read by others than its owner, or holds no key.
        """
        try:
            with path.open(encoding="ascii") as stream:
                mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
                # Windows keeps rights elsewhere; its mode bits say nothing.
                if os.name == "posix" and mode & 0o077:
                    raise ConfigError(
                        f"{path}: others can read this key (mode {mode:o}; 600 was expected). "
                        f"Run: chmod 600 {path}. If others may have read it, delete it and ingest again."
                    )
                text = stream.read(1024).strip()
        except FileNotFoundError:
            raise MissingFile(f"There is no key file {path}. It is made on the first ingest.") from None
        except UnicodeDecodeError:
            text = ""
        except OSError as error:
            raise ConfigError(f"{path}: the key cannot be read ({error.strerror}).") from error
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigError(
                f"{path}: holds no key ({2 * KEY_BYTES} hex digits were expected). "
                "Restore it from a backup; with another key, known shoppers become new ones."
            )
        return cls(key)

    def of(self, shopper: str) -> str:
        """The pseudonym of one shopper: 32 hex digits."""
        return hmac.digest(self._key, shopper.encode(), "sha256").hex()[:_HEX_DIGITS]

    def of_column(self, shoppers: pl.Series) -> pl.Series:
        """Pseudonyms of a column of ids; each distinct id is hashed once, null stays null.

        Parameters
        ----------
        shoppers : Series of text or whole numbers

        Examples
        --------
        >>> names = Pseudonyms(b"an example key, never to be used")
        >>> column = names.of_column(pl.Series(["ana", None, "ana"]))
        >>> column.to_list() == [names.of("ana"), None, names.of("ana")]
        True
        """
        text = shoppers.cast(pl.String)
        distinct = text.drop_nulls().unique()
        hashed = pl.Series([self.of(one) for one in distinct], dtype=pl.String)
        return text.replace_strict(distinct, hashed, default=None, return_dtype=pl.String)
