"""Where public data sets are found: a folder that one has, or a download kept in a cache.

Nothing is shipped with Vetrina. A set is looked for in the folder that the environment
variable ``VETRINA_DATA`` names, then in the cache, then at the public address where its
makers or those who carry it keep it.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

import httpx
import polars as pl

from vetrina.catalogue.tables import empty_quarantine
from vetrina.core.errors import DataError, MissingFile
from vetrina.core.progress import Progress, Silent

__all__ = ["Dataset", "cache_folder", "data_folder", "download", "find"]

_GITHUB = "https://raw.githubusercontent.com"
_CHORUS = f"{_GITHUB}/querqy/chorus"
_RECBOLE = f"{_GITHUB}/RUCAIBox/RecBole"
_RETAIL = (
    f"{_GITHUB}/databricks/Spark-The-Definitive-Guide/fec0993e7d10521e948893e5296f1b69c420ef46/data/retail-data/by-day"
)
_RETAIL_LINES = 541_909
_PHONES = (
    f"{_GITHUB}/QingyaoAi/Amazon-Product-Search-Datasets/6fe07b5dd30211e24ca091205e7a7a336e3b2552"
    "/reviews_Cell_Phones_and_Accessories_5.json.gz"
)
_FASHION = (
    "https://codeload.github.com/TejaReddy255/Smart-AI-Ecommerce-with-AI-stylist-"
    "/zip/413a137d6e8688452c14191e5c4c0a9449fa503b"
)
_ICECAT = "https://querqy.org/datasets/icecat/icecat-products-w_price-19k-20201127.tar.gz"


_Archive = TypeVar("_Archive")


@dataclass(frozen=True)
class Dataset:
    """A public data set in canonical form.

    Attributes
    ----------
    name, description, licence, source : str
        What it is, under which terms, and where from: cite ``source`` with every figure.
    items : DataFrame
        :data:`~vetrina.core.items.ITEM_COLUMNS`, then attributes.
    events : DataFrame or None
        :data:`~vetrina.core.log.EVENT_COLUMNS`.
    judgements : DataFrame or None
        query, item, grade (float64, 0 to 3).
    raters : DataFrame or None
        query, item, rater, grade: what each person said.
    held_out : DataFrame or None
        shopper, query, item: choices that the set's makers keep for testing, later than all events.
    quarantine : DataFrame
        What was set aside, and why.
    root : Path
        Folder that ``photo`` paths start from.
    notes : sequence of str
        What to bear in mind when reading figures that rest on it.
    """

    name: str
    description: str
    licence: str
    source: str
    items: pl.DataFrame
    root: Path
    events: pl.DataFrame | None = None
    judgements: pl.DataFrame | None = None
    raters: pl.DataFrame | None = None
    held_out: pl.DataFrame | None = None
    quarantine: pl.DataFrame = field(default_factory=empty_quarantine)
    notes: tuple[str, ...] = ()

    @property
    def all_grades(self) -> pl.DataFrame | None:
        """The judgements, and below them what each rater said, as a shop's file of judgements may hold both."""
        if self.judgements is None or self.raters is None:
            return self.judgements
        return pl.concat([self.judgements, self.raters], how="diagonal_relaxed")


def data_folder() -> Path | None:
    """The folder that ``VETRINA_DATA`` names; None when it is not set.

    Raises
    ------
    MissingFile
        When it is set to what is no folder.
    """
    named = os.environ.get("VETRINA_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise MissingFile(
            f"VETRINA_DATA is {named!r}, which is no folder. Set it to the folder of data sets, or unset it."
        )
    return folder


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/vetrina/datasets``, or that under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vetrina" / "datasets"


def find(name: str, progress: Progress | None = None, client: httpx.Client | None = None) -> Path:
    """The folder of one data set, downloaded when it is nowhere yet.

    Parameters
    ----------
    name : str
        The set's folder name, such as ``fashion``.
    progress : Progress, optional
    client : httpx.Client, optional
        To download with; one with short timeouts when absent.

    Raises
    ------
    MissingFile
        When it is neither there nor to be had; the message says what to do.
    """
    given = data_folder()
    if given is not None and (given / name).is_dir():
        return given / name
    kept = cache_folder() / name
    if kept.is_dir():
        return kept
    return download(name, progress, client)


def download(name: str, progress: Progress | None = None, client: httpx.Client | None = None) -> Path:
    """Download one data set into the cache; return its folder there.

    The folder appears only when everything is there and has the expected number of rows.

    Raises
    ------
    MissingFile
        When there is no network, the address does not answer, or the set has no public address.
    DataError
        When what came is not what was expected.
    """
    advice = f"Put the data set into a folder {name!r}, and set VETRINA_DATA to the folder that holds it."
    if name not in _FETCHERS:
        raise MissingFile(f"The data set {name!r} is not here, and cannot be downloaded. {advice}")
    shown = progress or Silent()
    target = cache_folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{name}-", dir=target.parent))
    # Short to connect, so that a machine without network learns it at once; patient to read.
    own = client or httpx.Client(timeout=httpx.Timeout(60, connect=5), follow_redirects=True)
    try:
        with shown.step(f"download {name}"):
            _FETCHERS[name](own, draft)
        try:
            draft.rename(target)
        except OSError:
            # Another process was faster: its copy is as good.
            if not target.is_dir():
                raise
    except httpx.HTTPError as error:
        raise MissingFile(f"The data set {name!r} is not here, and the download failed ({error}). {advice}") from error
    finally:
        if client is None:
            own.close()
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _get(client: httpx.Client, address: str) -> bytes:
    reply = client.get(address)
    reply.raise_for_status()
    return reply.content


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"{what}: {found:,} rows came, {expected:,} were expected. The address may serve something else now."
        )


def _fetch_fashion(client: httpx.Client, folder: Path) -> None:
    """``data/styles.csv`` and ``data/images/*.jpg`` of an archive of the repository."""
    (folder / "photos").mkdir()
    photos = 0
    with _opened(_FASHION, lambda: zipfile.ZipFile(BytesIO(_get(client, _FASHION)))) as archive:
        for entry in archive.namelist():
            path = entry.partition("/")[2]
            if path == "data/styles.csv":
                (folder / "products.csv").write_bytes(archive.read(entry))
            elif path.startswith("data/images/") and path.endswith(".jpg"):
                # Only the last part of the name is used: an archive cannot write elsewhere.
                (folder / "photos" / Path(path).name).write_bytes(archive.read(entry))
                photos += 1
    if not (folder / "products.csv").exists() or not photos:
        raise DataError(f"{_FASHION}: the archive holds no data/styles.csv with photos in data/images.")


def _fetch_online_retail(client: httpx.Client, folder: Path) -> None:
    """One file for each day, joined. The shop is closed on Saturdays and some holidays: those days have no file."""
    first, last = date(2010, 12, 1), date(2011, 12, 9)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]

    def fetch(day: date) -> bytes:
        reply = client.get(f"{_RETAIL}/{day.isoformat()}.csv")
        if reply.status_code == httpx.codes.NOT_FOUND:
            return b""
        reply.raise_for_status()
        return reply.content

    # The first day by itself: without a network, one connection fails and not hundreds.
    head = fetch(days[0])
    with ThreadPoolExecutor(8) as pool:
        parts = [head, *pool.map(fetch, (day for day in days[1:] if day.isoweekday() != 6))]
    header = head.partition(b"\n")[0]
    lines = [line for part in parts for line in part.splitlines()[1:]]
    _expect("online-retail", len(lines), _RETAIL_LINES)
    (folder / "transactions.csv").write_bytes(b"\n".join([header, *lines]) + b"\n")


def _fetch_chorus(client: httpx.Client, folder: Path) -> None:
    grades = {
        "ratings.csv": ("5f7e67688bdd57a9b6769d60ad35bc4d95d0c6f3", "rated.csv"),
        "individual_ratings.csv": ("637b06285cafcc1453c24386f50ba5e54dd95cdb", "individual_ratings.csv"),
    }
    for name, (commit, file) in grades.items():
        (folder / name).write_bytes(_get(client, f"{_CHORUS}/{commit}/katas/Broad_Query_Set_{file}"))
    with _opened(_ICECAT, lambda: tarfile.open(fileobj=BytesIO(_get(client, _ICECAT)))) as archive:
        found = next((entry for entry in archive if entry.isfile() and entry.name.endswith(".json")), None)
        stream = archive.extractfile(found) if found else None
        if stream is None:
            raise DataError(f"{_ICECAT}: the archive holds no JSON file.")
        products = json.load(stream)
    _expect("chorus-electronics", len(products), 19_406)
    with (folder / "products.jsonl").open("w", encoding="utf-8") as lines:
        for product in products:
            lines.write(json.dumps(product, ensure_ascii=False) + "\n")


def _fetch_movielens(client: httpx.Client, folder: Path) -> None:
    files = {
        "ml-100k.inter": ("6af995d83513ebf16777fedf35bfa830680f5d88", 100_000),
        "ml-100k.item": ("6af995d83513ebf16777fedf35bfa830680f5d88", 1_682),
        "ml-100k.user": ("c6d0813443bee85d41148307a8e367a7360a73f7", 943),
    }
    for name, (commit, rows) in files.items():
        content = _get(client, f"{_RECBOLE}/{commit}/dataset/ml-100k/{name}")
        _expect(name, len(content.splitlines()) - 1, rows)
        (folder / name).write_bytes(content)


def _fetch_phones_search(client: httpx.Client, folder: Path) -> None:
    for name, rows in {"query_text.txt": 165, "train.qrels": 174_087, "test.qrels": 667}.items():
        address = f"{_PHONES}/{name}.gz"
        packed = _get(client, address)
        try:
            content = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{address}: what came is no gzip file ({error}).") from error
        _expect(name, len(content.splitlines()), rows)
        (folder / f"{name}.gz").write_bytes(packed)


def _opened(address: str, opener: Callable[[], _Archive]) -> _Archive:
    try:
        return opener()
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"{address}: what came is no archive ({error}).") from error


def first_of(folder: Path, names: Iterable[str]) -> str:
    """The first of ``names`` that the folder holds.

    Raises
    ------
    MissingFile
        When it holds none.
    """
    names = list(names)
    for name in names:
        if (folder / name).is_file():
            return name
    raise MissingFile(f"{folder} holds none of {', '.join(names)}. Is it the folder of that data set?")


_FETCHERS: dict[str, Callable[[httpx.Client, Path], None]] = {
    "fashion": _fetch_fashion,
    "online-retail": _fetch_online_retail,
    "chorus-electronics": _fetch_chorus,
    "movielens-100k": _fetch_movielens,
    "amazon-phones-search": _fetch_phones_search,
}
