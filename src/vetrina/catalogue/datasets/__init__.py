"""Public data sets in canonical form, each read through the same mapping and ingest as a shop's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from vetrina.catalogue.datasets.chorus import load_chorus
from vetrina.catalogue.datasets.fashion import load_fashion
from vetrina.catalogue.datasets.movielens import load_movielens
from vetrina.catalogue.datasets.online_retail import load_online_retail
from vetrina.catalogue.datasets.phones_search import load_phones_search
from vetrina.catalogue.datasets.source import Dataset, cache_folder, data_folder, download, find
from vetrina.catalogue.datasets.toys import load_toys
from vetrina.core.errors import DataError, nearest
from vetrina.core.progress import Progress

__all__ = ["DATASETS", "Dataset", "cache_folder", "data_folder", "download", "find", "load"]

#: Names of the data sets; each is a folder of that name under ``VETRINA_DATA`` or in the cache.
DATASETS = ("fashion", "online-retail", "chorus-electronics", "movielens-100k", "toys", "amazon-phones-search")


def load(
    name: str,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
    pseudonym: Callable[[pl.Series], pl.Series] | None = None,
) -> Dataset:
    """One public data set.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.
    progress : Progress, optional
    folder : Path, optional
        Where its files are; looked for, and downloaded if need be, when absent.
    pseudonym : callable, optional
        What turns the column of shoppers into pseudonyms. When absent they stay as
        they are, since the makers of these sets have put numbers for names already.

    Raises
    ------
    MissingFile
        When it is neither there nor to be had.
    DataError
        When there is no data set of that name.
    """
    if name not in DATASETS:
        raise DataError(f"There is no data set {name!r}.{nearest(name, DATASETS)} Known: {', '.join(DATASETS)}.")
    place = folder or find(name, progress)
    hide = pseudonym or _as_it_is
    if name == "fashion":
        return load_fashion(place, progress)
    if name == "online-retail":
        return load_online_retail(place, hide, progress)
    if name == "chorus-electronics":
        return load_chorus(place, progress)
    if name == "movielens-100k":
        return load_movielens(place, hide, progress)
    if name == "amazon-phones-search":
        return load_phones_search(place, hide, progress)
    return load_toys(place, progress)


def _as_it_is(shoppers: pl.Series) -> pl.Series:
    return shoppers
