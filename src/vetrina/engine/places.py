"""Where a shop's photos, sound and video lie, and what they are called: found by trying."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vetrina.catalogue.mapping import ItemMapping
from vetrina.catalogue.media import as_on_disk, matching_files, several
from vetrina.catalogue.tables import Table

__all__ = ["Places", "find_media", "find_photos"]

_TRIED = 500  # names, or ids, that are looked for
_PHOTO_ENDINGS = ("jpg", "jpeg", "png", "webp", "gif")
_ENDINGS = {
    "audio": ("mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"),
    "video": ("mp4", "webm", "mov", "m4v", "mkv", "avi"),
}

#: (folder or None, options of the mapping, notes)
Places = tuple[Path | None, dict[str, str], list[str]]


def find_photos(mapping: ItemMapping, table: Table, photos: Path | None, beside: Path) -> Places:
    """The way of naming that finds the most photos.

    Parameters
    ----------
    mapping : ItemMapping
        As guessed from the columns.
    table : Table
        The file's first rows.
    photos : Path or None
        The folder that was named.
    beside : Path
        The folder in which the file lies.
    """
    told = {name: column for name, column in mapping.media_columns.items() if name in ("photo", "more_photos")}
    if any(told.values()):
        place, notes = _place_of(table, list(told.values()), photos, beside, "photos")
        return place, {"photo": mapping.photo}, notes
    if photos is None:
        return None, {"photo": mapping.photo}, []
    ids = _ids(mapping, table)
    one = _best(photos, [f"{{item}}.{ending}" for ending in _endings(_PHOTO_ENDINGS)], ids)
    several_of = [f"{{item}}{mark}*.{ending}" for ending in _endings(_PHOTO_ENDINGS) for mark in "_-/"]
    more = _best(photos, several_of, ids, besides=one)
    if not one and not more:
        shown = ", ".join(sorted(os.listdir(photos))[:3]) or "nothing"
        said = f"No photo in {photos} is called like an item's id, such as {ids[0]}.jpg; it holds {shown}."
        return photos, {"photo": mapping.photo}, [f"{said} Set photo under [items]."]
    return photos, {"photo": one or more, "more_photos": more}, []


def find_media(mapping: ItemMapping, table: Table, media: Path | None, beside: Path) -> Places:
    """The way of naming that finds the most sound and video; parameters as of :func:`find_photos`."""
    told = {kind: column for kind, column in mapping.media_columns.items() if kind in _ENDINGS}
    place, notes = media, list[str]()
    if any(told.values()):
        place, notes = _place_of(table, list(told.values()), media, beside, "clips")
    if place is None or place != media:
        return place, {}, notes
    free = [kind for kind, column in told.items() if not column]
    ids = _ids(mapping, table)
    found = {kind: _best(place, [f"{{item}}.{end}" for end in _endings(_ENDINGS[kind])], ids) for kind in free}
    if not any(found.values()) and not any(told.values()):
        shown = ", ".join(sorted(os.listdir(place))[:3]) or "nothing"
        said = f"No clip in {place} is called like an item's id, such as {ids[0]}.mp3; it holds {shown}."
        notes.append(f"{said} Set audio or video under [items].")
    return place, {kind: pattern for kind, pattern in found.items() if pattern}, notes


def _place_of(
    table: Table, columns: Sequence[str], folder: Path | None, beside: Path, what: str
) -> tuple[Path | None, list[str]]:
    """The folder in which most of the files lie that columns name, and a note where there is none."""
    used = [column for column in dict.fromkeys(columns) if column]
    cells = [cell for column in used for cell in table.frame[column].drop_nulls().head(_TRIED)]
    names = [name for cell in cells for name in (cell, *several(cell))]
    # "photos/1.jpg" begins where the file lies, "1.jpg" in the folder that was named.
    places = [*([folder] if folder is not None else []), beside]
    # Joined as when they are read. Path.is_file would raise where a name is too long, as a data: address is.
    found = {
        place: sum(os.path.isfile(f"{place}/{as_on_disk(place, name)}") for name in dict.fromkeys(names))
        for place in places
    }
    best = max(places, key=lambda place: found[place])
    if found[best]:
        return best, []
    named = " and ".join(repr(column) for column in used)
    return folder, [f"None of the {what} that {named} names was found under {' or '.join(map(str, places))}."]


def _ids(mapping: ItemMapping, table: Table) -> list[str]:
    return [str(one) for one in table.frame[mapping.item].drop_nulls().head(_TRIED)]


def _endings(endings: Iterable[str]) -> list[str]:
    return [written for ending in endings for written in (ending, ending.upper())]


def _best(folder: Path, patterns: Iterable[str], ids: Sequence[str], besides: str = "") -> str:
    """The pattern that finds files of the most items, those of another pattern aside; "" where none finds any."""
    taken = {name for names in matching_files(folder, besides, ids) for name in names} if besides else set()
    count = {
        pattern: sum(bool(set(names) - taken) for names in matching_files(folder, pattern, ids)) for pattern in patterns
    }
    best = max(count, key=lambda pattern: count[pattern])
    return best if count[best] else ""
