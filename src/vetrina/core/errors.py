"""Every error Vetrina raises, drawn as one tree.

VetrinaError
├── ConfigError          shop.toml or a component's options are wrong
├── DataError            a file, row or column is not what was expected
│   ├── MissingFile      a file or folder that was named does not exist
│   ├── MissingColumn    a table lacks a column that is needed
│   └── TooManyBadRows   more rows were quarantined than the shop allows
├── UnknownItem          an item id that the catalogue does not hold
├── NotFitted            a component was used before it had learned
├── SnapshotError        a snapshot is missing, damaged or of another version
├── RequestError         a request that cannot be answered as asked
├── NoSupport            a log that cannot tell what is asked of it
└── MissingExtra         an optional library is not installed

A message says what was wrong, where (file, row, column or key), what was
expected and what to do. The command line prints it as one line; the HTTP API
turns it into RFC 9457 problem+json.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "MissingColumn",
    "MissingExtra",
    "MissingFile",
    "NoSupport",
    "NotFitted",
    "RequestError",
    "SnapshotError",
    "TooManyBadRows",
    "UnknownItem",
    "VetrinaError",
    "nearest",
]


class VetrinaError(Exception):
    """Base of all errors that Vetrina raises on purpose."""


class ConfigError(VetrinaError):
    """shop.toml, or the options of a component, are wrong."""


class DataError(VetrinaError):
    """A file, row or column is not what was expected."""


class MissingFile(DataError):
    """A file or folder that was named does not exist."""


class MissingColumn(DataError):
    """A table lacks a column that is needed."""


class TooManyBadRows(DataError):
    """More rows were quarantined than the shop allows."""


class UnknownItem(VetrinaError):
    """An item id that the catalogue does not hold."""


class NotFitted(VetrinaError):
    """A component was used before it had learned."""


class SnapshotError(VetrinaError):
    """A snapshot is missing, damaged or written by another version."""


class RequestError(VetrinaError):
    """A request that cannot be answered as it was asked."""


class NoSupport(VetrinaError):
    """A log that cannot tell what is asked of it: what would be needed was never shown, or too rarely."""


class MissingExtra(VetrinaError):
    """An optional library is not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the known word nearest to a misspelt one.

    Returns
    -------
    str
        ``" Did you mean 'price'?"``, or an empty string when nothing is near.

    Examples
    --------
    >>> nearest("prcie", ["price", "brand"])
    " Did you mean 'price'?"
    >>> nearest("zzz", ["price", "brand"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
