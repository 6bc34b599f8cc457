"""Photos: which of them can be read.

A photo that is missing, empty, damaged, no picture at all, or so large that
opening it would fill the memory goes to quarantine; its item stays, without a photo.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from vetrina.catalogue.tables import QUARANTINE_COLUMNS
from vetrina.core.errors import DataError
from vetrina.core.photo import open_photo
from vetrina.core.progress import Progress, Silent

__all__ = ["check_photos"]


def check_photos(
    root: Path,
    paths: Sequence[str],
    *,
    rows: Sequence[int] | None = None,
    name: str = "",
    progress: Progress | None = None,
) -> tuple[list[str], pl.DataFrame]:
    """Try every photo.

    Parameters
    ----------
    root : Path
        Folder that the paths start from.
    paths : sequence of str
        One per item; "" for an item that has none.
    rows : sequence of int, optional
        The items' rows in their file, for quarantine; counted from 1 when absent.
    name : str
        The items' file, for quarantine.
    progress : Progress, optional

    Returns
    -------
    kept : list of str
        The paths, "" where the photo cannot be read.
    quarantine : DataFrame
        One row for each unreadable photo; ``value`` is its path.
    """
    shown = progress or Silent()
    kept: list[str] = []
    bad: list[tuple[str, int, str, str, str]] = []
    numbers = range(1, len(paths) + 1) if rows is None else rows
    with shown.step("check photos", total=len(paths)) as step, ThreadPoolExecutor(os.cpu_count()) as pool:
        # Decoding leaves Python's lock, so that threads do use all cores.
        reasons = pool.map(lambda path: _trouble(root / path) if path else "", paths, chunksize=64)
        for path, row, reason in zip(paths, numbers, reasons, strict=True):
            kept.append("" if reason else path)
            if reason:
                bad.append((name, row, "photo", path, reason))
            step.advance()
    return kept, pl.DataFrame(bad, schema=QUARANTINE_COLUMNS, orient="row")


def _trouble(path: Path) -> str:
    """Why a photo cannot be used, or ""."""
    try:
        open_photo(path, 32)
    except DataError as error:
        return str(error).removeprefix(f"{path.name}: ")
    return ""
