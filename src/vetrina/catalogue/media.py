"""Photos, sound and video of items: which files they are, and which of them can be read."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import polars as pl

from vetrina.catalogue.cells import listed
from vetrina.catalogue.mapping import ItemMapping
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, ROW, empty_quarantine
from vetrina.core.errors import DataError, MissingFile
from vetrina.core.file_hash import recalled, remembered
from vetrina.core.media import can_read_clips, check_clip
from vetrina.core.photo import MAX_PIXELS, open_photo
from vetrina.core.progress import Progress, Silent

__all__ = ["as_on_disk", "check_files", "matching_files", "read_media", "remembered_photos", "several"]

Names = list[list[str]]
Kind = Literal["photo", "audio", "video"]

# Which photos can be read depends on the photo, and on this.
_OPENED = f"opened by Pillow {version('pillow')}, up to {MAX_PIXELS} pixels"


def read_media(
    frame: pl.DataFrame, mapping: ItemMapping, root: Path, name: str, shown: Progress
) -> tuple[dict[str, pl.Series], pl.DataFrame, list[str]]:
    """The columns ``photo``, ``more_photos``, ``audio`` and ``video`` of the canonical table.

    Parameters
    ----------
    frame : DataFrame
        The columns of the file, and the items' ids as ``__id``.
    mapping : ItemMapping
    root : Path
        The shop's folder.
    name : str
        The items' file, for quarantine.
    shown : Progress

    Returns
    -------
    columns : dict of str to Series
        Paths seen from ``root``, of files that can be read. Where the photo cannot, the first further one that can
        takes its place.
    quarantine : DataFrame
        One row for each file that cannot.
    notes : list of str
    """
    notes: list[str] = []
    rows = frame[ROW].to_list()
    photos = _photos(frame, mapping, root, notes)
    more = _more_photos(frame, mapping, root, photos, notes)
    kept, quarantine = photos, [empty_quarantine()]
    if any(photos):
        kept, bad = check_files(root, photos, rows=rows, name=name, progress=shown)
        quarantine.append(bad)
    flat = [path for paths in more for path in paths]
    if flat:
        owner = [row for row, paths in enumerate(more) for _ in paths]
        sound, bad = check_files(root, flat, rows=[rows[one] for one in owner], name=name, progress=shown)
        quarantine.append(bad.with_columns(column=pl.lit("more_photos")))
        more = [[] for _ in more]
        for row, path in zip(owner, sound, strict=True):
            if path:
                more[row].append(path)
    for row, paths in enumerate(more):
        if paths and not kept[row]:  # what is shown of an item is its photo
            kept[row] = paths.pop(0)
    columns = {"photo": pl.Series(kept, dtype=pl.String), "more_photos": pl.Series(more, dtype=pl.List(pl.String))}
    kinds: tuple[Literal["audio", "video"], ...] = ("audio", "video")
    for kind in kinds:
        paths = [found[0] if found else "" for found in _named(frame, mapping, root, kind, notes)]
        if any(paths) and can_read_clips():
            paths, bad = check_files(root, paths, kind, rows=rows, name=name, progress=shown)
            quarantine.append(bad)
        elif any(paths):
            count = sum(bool(path) for path in paths)
            notes.append(
                f"{name}: {count:,} items have {kind}, which is neither checked nor encoded, for PyAV is not "
                "installed. Install it with: pip install 'vetrina[media]'"
            )
        columns[kind] = pl.Series(paths, dtype=pl.String)
    return columns, pl.concat(quarantine), notes


def several(cell: str) -> list[str]:
    """The names in one cell: separated by line breaks, bars or semicolons, or else by commas.

    Examples
    --------
    >>> several("front.jpg, back.jpg"), several("a, b.jpg | c.jpg"), several("")
    (['front.jpg', 'back.jpg'], ['a, b.jpg', 'c.jpg'], [])
    """
    parts = re.split(r"[\n|;]", cell) if re.search(r"[\n|;]", cell) else cell.split(",")
    return [part.strip() for part in parts if part.strip()]


def as_on_disk(root: Path, path: str) -> str:
    r"""A path as its file is called: where there is none of this very name, one that reads the same.

    A letter with a mark is one character or two, in Unicode's form NFC or NFD. Files made on a Mac
    often have the latter, tables that name them the former.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> (root / "cafe\u0301.jpg").touch()
    >>> as_on_disk(root, "caf\u00e9.jpg") == "cafe\u0301.jpg", as_on_disk(root, "th\u00e9.jpg") == "th\u00e9.jpg"
    (True, True)
    """
    if path.isascii() or os.path.exists(root / path):
        return path
    found = ""
    for part in path.split("/"):
        forms = (part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        name = next((form for form in forms if os.path.exists(root / f"{found}{form}")), None)
        if name is None:
            return path
        found += f"{name}/"
    return found[:-1]


def matching_files(folder: Path, pattern: str, ids: Sequence[str]) -> Names:
    """Files in a folder that a pattern finds for each id, in order of their names.

    Parameters
    ----------
    folder : Path
    pattern : str
        With ``{item}``, which stands for the id, and after it any number of ``*``, which stand for anything
        but a separator.
    ids : sequence of str

    Returns
    -------
    list of list of str
        Paths seen from the folder. A file that fits several ids is the longest one's. Letters with marks may
        be written otherwise than in the id: see :func:`as_on_disk`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("1_a.jpg", "1_b.jpg", "12_a.jpg", "1_2_a.jpg"):
    ...     (folder / name).touch()
    >>> matching_files(folder, "{item}_*.jpg", ["1", "12", "1_2", "3"])
    [['1_a.jpg', '1_b.jpg'], ['12_a.jpg'], ['1_2_a.jpg'], []]
    """
    before, _, after = _composed(pattern).partition("{item}")
    row_of: dict[str, int] = {}
    for row, one in enumerate(ids):
        row_of.setdefault(_composed(one), row)
    lengths = sorted({len(one) for one in row_of}, reverse=True)
    found: Names = [[] for _ in ids]
    for path in _files(folder, pattern.split("/")):
        written = _composed(path)
        rest = written.removeprefix(before)
        for length in lengths if written.startswith(before) else ():
            own = rest[:length]
            if own in row_of and _fits(rest[length:], after.replace("{item}", own)):
                found[row_of[own]].append(path)
                break
    return [sorted(paths) for paths in found]


def _photos(frame: pl.DataFrame, mapping: ItemMapping, root: Path, notes: list[str]) -> list[str]:
    """Where each item's photo should be, "" where it has none."""
    column = mapping.media_columns["photo"]
    if mapping.photo and (mapping.photo == mapping.more_photos or ("*" in mapping.photo and not column)):
        # One column, or one pattern, of all photos: the first of them is the photo.
        return [found[0] if found else "" for found in _named(frame, mapping, root, "photo", notes)]
    if column:
        return _in_folder(root, mapping.photos, frame[column].fill_null("").to_list(), "photos", notes)
    if not mapping.photos:
        return [""] * frame.height
    names = [mapping.photo.replace("{item}", one) for one in _plain(frame)]
    return _in_folder(root, mapping.photos, names, "photos", notes)


def _more_photos(
    frame: pl.DataFrame, mapping: ItemMapping, root: Path, photos: Sequence[str], notes: list[str]
) -> Names:
    """Paths of further photos: no path twice, and none that is an item's first photo."""
    found = _named(frame, mapping, root, "more_photos", notes)
    first = set(photos)
    if mapping.media_columns["more_photos"]:  # the file says whose they are
        return [
            [path for path in dict.fromkeys(paths) if path != one] for paths, one in zip(found, photos, strict=True)
        ]
    return [[path for path in paths if path not in first] for paths in found]


def _named(frame: pl.DataFrame, mapping: ItemMapping, root: Path, kind: str, notes: list[str]) -> Names:
    """Paths of the files of one kind for each item, as a column names them or a pattern finds them."""
    told, column = getattr(mapping, kind), mapping.media_columns[kind]
    photos = kind in ("photo", "more_photos")
    folder = mapping.photos if photos else mapping.media
    if column:
        cells = listed(frame[column], "\n").to_list()
        names = [several(cell) if photos else cell.split("\n")[:1] for cell in cells]
        flat = _in_folder(root, folder, [one for found in names for one in found], "photos" if photos else kind, notes)
        paths = iter(flat)
        return [[path for _ in found if (path := next(paths))] for found in names]
    if not told:
        return [[] for _ in range(frame.height)]
    folder = as_on_disk(root, folder)
    place = root / folder
    if not place.is_dir():
        raise MissingFile(f"There is no folder {place}, in which {kind} = {told!r} under [items] is looked for.")
    start = f"{folder.rstrip('/')}/" if folder else ""
    return [[start + path for path in paths] for paths in matching_files(place, told, _plain(frame))]


def _in_folder(root: Path, folder: str, names: Sequence[str], what: str, notes: list[str]) -> list[str]:
    """Names as paths seen from the shop's folder; web addresses are left out, and a note says so."""
    addresses = {place for place, name in enumerate(names) if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name)}
    if addresses:
        notes.append(f"{len(addresses):,} {what} are given as web addresses, which are not fetched.")
    before = f"{folder.rstrip('/')}/" if folder else ""
    return [
        as_on_disk(root, before + name) if name and place not in addresses else "" for place, name in enumerate(names)
    ]


def _plain(frame: pl.DataFrame) -> list[str]:
    """Ids as they stand in file names: a separator in one must not lead into another folder."""
    return frame["__id"].str.replace_all(r"[/\\]", "_").to_list()


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _fits(text: str, pattern: str) -> bool:
    """Whether a text is as the pattern says, in which * stands for anything but a separator."""
    return re.fullmatch("[^/]*".join(map(re.escape, pattern.split("*"))), text) is not None


def _files(folder: Path, levels: Sequence[str], within: str = "") -> Iterator[str]:
    """Paths of the files as deep in a folder as a pattern has levels; hidden ones are passed over."""
    level, *deeper = levels
    with os.scandir(folder) as entries:
        for entry in entries:
            fixed = "*" not in level and "{item}" not in level
            if entry.name.startswith(".") or (fixed and _composed(entry.name) != _composed(level)):
                continue
            if deeper and entry.is_dir():
                yield from _files(Path(entry.path), deeper, f"{within}{entry.name}/")
            elif not deeper and entry.is_file():
                yield within + entry.name


def _open(path: str | os.PathLike[str]) -> str:
    open_photo(Path(path), 32)
    return ""


def remembered_photos(path: Path) -> AbstractContextManager[None]:
    """For the ``with`` block, :func:`check_files` knows which photos could be read, and keeps that in ``path``.

    Of those that could not nothing is kept: whatever the reason was, it may have passed.
    """
    return remembered(path, _OPENED)


def check_files(
    root: Path,
    paths: Sequence[str],
    kind: Kind = "photo",
    *,
    rows: Sequence[int] | None = None,
    name: str = "",
    progress: Progress | None = None,
) -> tuple[list[str], pl.DataFrame]:
    """Try every photo, sound or video.

    One that is missing, empty, damaged, nothing of its kind, or so large that opening it would fill the
    memory goes to quarantine. Within :func:`remembered_photos` a photo that could be read and did not
    change since is not read again.

    Parameters
    ----------
    root : Path
        Folder that the paths start from.
    paths : sequence of str
        One per item; "" for an item that has none.
    kind : {"photo", "audio", "video"}
    rows : sequence of int, optional
        The items' rows in their file, for quarantine; counted from 1 when absent.
    name : str
        The items' file, for quarantine.
    progress : Progress, optional

    Returns
    -------
    kept : list of str
        The paths, "" where the file cannot be read.
    quarantine : DataFrame
        One row for each such file; ``column`` is the kind and ``value`` the path.
    """

    def trouble(path: str) -> str:
        try:
            if path and kind != "photo":
                check_clip(root / path, kind)
            elif path:
                recalled(root / path, _OPENED, _open)
        except DataError as error:
            return str(error).removeprefix(f"{Path(path).name}: ")
        return ""

    shown = progress or Silent()
    # Decoding leaves Python's lock, so that threads do use all cores.
    with (
        shown.step("check photos" if kind == "photo" else f"check {kind}", total=len(paths)) as step,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        reasons = []
        for reason in pool.map(trouble, paths):
            reasons.append(reason)
            step.advance()
    numbers = range(1, len(paths) + 1) if rows is None else rows
    bad = [(name, row, kind, path, why) for path, row, why in zip(paths, numbers, reasons, strict=True) if why]
    kept = ["" if why else path for path, why in zip(paths, reasons, strict=True)]
    return kept, pl.DataFrame(bad, schema=QUARANTINE_COLUMNS, orient="row")
