"""One file that holds everything: who, which item, how much they liked it, its text and its photo.

Columns ``user_id, item_id, rating, text, image, label``, and a time if there is
one. A shop keeps items and events apart; this is the shape of public data sets
and of exercises, and what ``vetrina rank`` reads.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue.cells import booleans, clean, epoch_seconds, numbers, plain_ids
from vetrina.catalogue.media import check_files
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, ROW, Table, read_table
from vetrina.core.errors import ConfigError, DataError, MissingColumn, MissingFile, TooManyBadRows, nearest
from vetrina.core.items import ITEM_COLUMNS, Items
from vetrina.core.progress import Progress, Silent

__all__ = ["COLUMNS", "TIME_COLUMNS", "Interactions", "clean_text", "read_interactions"]

#: The columns of the file; all but the first two may be missing, but not both of rating and label.
COLUMNS = ("user_id", "item_id", "rating", "text", "image", "label")
#: Names by which a time is known.
TIME_COLUMNS = ("time", "timestamp", "datetime", "date", "event_time", "created_at")

_SCALES = (1.0, 5.0, 10.0, 100.0)
_LIKED = 0.7  # of the scale: 4 and 5 of 5, 7 and more of 10
_MAX_BAD_SHARE = 0.5
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_TAG = re.compile(r"<[^<>]{0,500}>")


@dataclass(frozen=True)
class Interactions:
    """Who liked what, in order of user, then item; each pair once.

    Attributes
    ----------
    items : Items
        Canonical; ``title`` holds the item's text, ``photo`` its file name below the photos' folder.
    users : sequence of str
        Their ids by code, sorted.
    user, item : int32 of shape (n_rows,)
        Codes.
    gain : float64 of shape (n_rows,)
        How much it was liked: 0 for not at all, 1 for a rating that counts as liked, or the label itself.
    taste : float64 of shape (n_rows,)
        The rating (or the label, where there is none) as a share of its scale, 0 to 1.
    time : int64 of shape (n_rows,), epoch seconds, or None
    texts : sequence of str, or None
        Of each row, where an item's texts differ, as reviews do; None where a text describes the item.
    quarantine : DataFrame
    notes : sequence of str
        How the file was understood.
    """

    items: Items
    users: Sequence[str]
    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    gain: npt.NDArray[np.float64]
    taste: npt.NDArray[np.float64]
    time: npt.NDArray[np.int64] | None
    texts: Sequence[str] | None
    quarantine: pl.DataFrame
    notes: Sequence[str]

    def __len__(self) -> int:
        return len(self.user)


def clean_text(text: str) -> str:
    """Text without markup and web addresses, spaces folded. Case and word forms are the analyser's business.

    Examples
    --------
    >>> clean_text("<b>Red&nbsp;dress</b>,  see https://shop.example/1")
    'Red dress , see'
    """
    return " ".join(_ADDRESS.sub(" ", _TAG.sub(" ", html.unescape(text))).split())


def read_interactions(
    path: Path, images: Path | None = None, *, liked_from: float | None = None, progress: Progress | None = None
) -> Interactions:
    r"""Read one file of interactions.

    Parameters
    ----------
    path : Path
        Any kind that :func:`vetrina.catalogue.tables.read_table` reads.
    images : Path, optional
        Folder of the photos that the column ``image`` names.
    liked_from : float, optional
        Ratings from here on count as liked; by default from 70 % of the scale on
        (1, 5, 10 or 100, whichever holds the ratings).
    progress : Progress, optional

    Raises
    ------
    MissingFile, MissingColumn
        The message names the nearest file or column.
    TooManyBadRows
        When more than half of the rows are unusable.
    DataError
        When no usable row is left, or the file cannot be read.
    ConfigError
        When ``liked_from`` is not a finite number.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "interactions.csv"
    >>> _ = path.write_text("user_id,item_id,rating\nana,mug,5\nbo,mug,2\nbo,hat,x\n")
    >>> read = read_interactions(path)
    >>> read.users, read.items.ids, read.gain.tolist(), read.quarantine["reason"].to_list()
    (['ana', 'bo'], ['mug'], [1.0, 0.0], ['the rating is not a number'])
    """
    shown = progress or Silent()
    if liked_from is not None and not np.isfinite(liked_from):
        raise ConfigError(f"liked_from: a rating to begin at is a finite number. Got {liked_from}.")
    if images is not None and not images.is_dir():
        parent = images.parent if images.parent.is_dir() else Path()
        hint = nearest(images.name, [one.name for one in parent.iterdir() if one.is_dir()])
        raise MissingFile(f"There is no folder of photos {images}.{hint}")
    with shown.step(f"Reading {path.name}"):
        table = read_table(path)
    notes = list(table.notes)
    wanted = _columns(table, notes)
    frame = table.frame.with_columns(clean(column) for column in table.columns)
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in wanted)
    frame, bad = _usable(frame, table, wanted, notes)
    if not frame.height:
        raise DataError(f"{table.name}: holds no usable row. Each needs a user_id, an item_id and a rating or a label.")
    frame = _verdicts(frame, liked_from, notes)
    before = frame.height
    frame = frame.sort("__time", ROW, nulls_last=False).unique(["user_id", "item_id"], keep="last")
    frame = frame.sort("user_id", "item_id")
    if frame.height < before:
        notes.append(f"{before - frame.height:,} rows repeat a pair of user and item: the last of each is kept.")
    texts = [clean_text(text) for text in frame["text"].fill_null("").to_list()]
    items, reviews, bad_photos = _items(frame.with_columns(text=pl.Series(texts)), images, table.name, notes, shown)
    users = frame["user_id"].unique().sort().to_list()
    code = {user: place for place, user in enumerate(users)}
    quarantine = pl.concat([bad, bad_photos]).sort("row", maintain_order=True)
    return Interactions(
        items=items,
        users=users,
        user=np.array([code[user] for user in frame["user_id"].to_list()], dtype=np.int32),
        item=items.positions(frame["item_id"].to_list()),
        gain=frame["__gain"].to_numpy(),
        taste=frame["__taste"].to_numpy(),
        time=frame["__time"].to_numpy() if wanted["time"] else None,
        texts=texts if reviews else None,
        quarantine=quarantine,
        notes=notes,
    )


def _columns(table: Table, notes: list[str]) -> dict[str, str]:
    """The file's columns that are read, by their role; "time" is "" where there is none."""
    known = list(table.columns)
    shown = ", ".join(known[:30])
    for column in ("user_id", "item_id"):
        if column not in known:
            raise MissingColumn(f"{table.name} has no column {column!r}.{nearest(column, known)} It has: {shown}.")
    if "rating" not in known and "label" not in known:
        hint = nearest("rating", known) or nearest("label", known)
        raise MissingColumn(
            f"{table.name} has neither a column 'rating' nor a column 'label', and needs one.{hint} It has: {shown}."
        )
    unread = [column for column in known if column not in (*COLUMNS, *TIME_COLUMNS)]
    notes.extend(
        f"{table.name} has no column {column!r}.{hint} Rename it if it should be read."
        for column in ("rating", "text", "image", "label")
        if column not in known and (hint := nearest(column, unread))
    )
    time = next((column for column in TIME_COLUMNS if column in known), "")
    return {**{column: column for column in COLUMNS if column in known}, "time": time}


def _usable(
    frame: pl.DataFrame, table: Table, wanted: dict[str, str], notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that can be used, with ``__rating``, ``__label`` and ``__time``; quarantine of the others)."""
    for column in ("user_id", "item_id"):
        ids, shortened = plain_ids(frame[column])
        frame = frame.with_columns(ids.alias(column))
        if shortened:
            notes.append(f"{table.name}: ids in {column!r} end in .0 throughout; it was taken off.")
    rating, label = numbers(frame["rating"]), numbers(frame["label"])
    label = label.fill_null(booleans(frame["label"]).cast(pl.Float64))
    time, why = pl.Series([None] * frame.height, dtype=pl.Int64), pl.Series([None] * frame.height, dtype=pl.String)
    if wanted["time"]:
        time, why = epoch_seconds(frame[wanted["time"]])
    frame = frame.with_columns(
        rating.alias("__rating"), label.alias("__label"), time.alias("__time"), why.alias("__why")
    )
    top = _scale(rating)
    rules: list[tuple[pl.Expr, str, str | pl.Expr]] = [
        (pl.col("user_id").is_null(), "user_id", "the row has no user"),
        (pl.col("item_id").is_null(), "item_id", "the row has no item"),
        (_unread("rating"), "rating", "the rating is not a number"),
        (_unread("label"), "label", "the label is neither a number nor yes or no"),
        (pl.col("rating").is_null() & pl.col("label").is_null(), "", "the row has neither a rating nor a label"),
        (pl.col("__rating") < 0, "rating", "the rating is below 0"),
        (pl.col("__rating") > top, "rating", f"the rating is above {top:g}, the scale of the other rows"),
        (pl.col("__label") < 0, "label", "the label is below 0"),
    ]
    if wanted["time"]:
        rules.append((pl.col(wanted["time"]).is_null(), wanted["time"], "the row has no time"))
        rules.append((pl.col("__time").is_null(), wanted["time"], pl.col("__why")))
    tests = [pl.when(test).then(pl.lit(number)) for number, (test, _, _) in enumerate(rules)]
    frame = frame.with_columns(pl.coalesce(tests).alias("__rule"))
    parts = [table.quarantine]
    for number, (_, column, reason) in enumerate(rules):
        parts.append(
            frame.filter(pl.col("__rule") == number).select(
                file=pl.lit(table.name),
                row=pl.col(ROW),
                column=pl.lit(column),
                value=(pl.col(column).fill_null("") if column else pl.lit("")).str.slice(0, 200),
                reason=pl.lit(reason) if isinstance(reason, str) else reason,
            )
        )
    bad = pl.concat(parts)
    if bad.height > _MAX_BAD_SHARE * table.n_rows:
        reason, count, row = (
            bad.group_by("reason", maintain_order=True)
            .agg(pl.len(), pl.col("row").first().alias("first"))
            .sort("len", descending=True, maintain_order=True)
            .row(0)
        )
        raise TooManyBadRows(
            f"{table.name}: {bad.height:,} of {table.n_rows:,} rows cannot be used, more than half. "
            f"Commonest: {reason} ({count:,} rows, the first is row {row}). Mend the file."
        )
    return frame.filter(pl.col("__rule").is_null()), bad


def _unread(column: str) -> pl.Expr:
    return pl.col(column).is_not_null() & pl.col(f"__{column}").is_null()


def _scale(rating: pl.Series) -> float:
    """The top of the smallest usual scale that holds the ratings.

    Of twenty ratings and more, one in a hundred (and one at least) may lie outside: those are mistakes.
    """
    known = rating.drop_nulls()
    spare = max(1, len(known) // 100) if len(known) >= 20 else 0
    return next(
        (top for top in _SCALES if int((known > top).sum()) <= spare), float(np.max(known.to_numpy(), initial=1.0))
    )


def _verdicts(frame: pl.DataFrame, liked_from: float | None, notes: list[str]) -> pl.DataFrame:
    """With ``__gain`` (how much it was liked) and ``__taste`` (0 to 1)."""
    top = _scale(frame["__rating"])
    limit = _LIKED * top if liked_from is None else liked_from
    highest = float(np.max(frame["__label"].drop_nulls().to_numpy(), initial=1.0))
    by_label = int(frame["__label"].is_not_null().sum())
    if by_label:
        notes.append(f"{by_label:,} rows have a label, which says what was liked: above 0.")
    if by_label < frame.height:
        notes.append(f"A rating of {limit:g} or more, on a scale up to {top:g}, counts as liked.")
    rated = (pl.col("__rating") >= limit).cast(pl.Float64)
    return frame.with_columns(
        pl.coalesce(pl.col("__label"), rated).alias("__gain"),
        pl.coalesce(pl.col("__rating") / top, pl.col("__label") / highest).alias("__taste"),
    )


def _items(
    frame: pl.DataFrame, images: Path | None, name: str, notes: list[str], shown: Progress
) -> tuple[Items, bool, pl.DataFrame]:
    """(the catalogue, whether texts differ within an item, quarantine of the photos)."""
    text, image = pl.col("text"), pl.col("image")
    grouped = (
        frame.sort(ROW)
        .group_by("item_id")
        .agg(
            title=text.filter(text != "").first().fill_null(""),
            texts=text.filter(text != "").n_unique(),
            photo=image.drop_nulls().first().fill_null(""),
            row=pl.col(ROW).min(),
        )
    )
    grouped = grouped.sort("item_id")
    reviews = bool((grouped["texts"] > 1).any())
    if reviews:
        notes.append("Texts differ between rows of one item: they are read as reviews, from the training part alone.")
    photos, bad = _photos(grouped, images, name, notes, shown)
    empty: dict[str, pl.Expr | pl.Series] = {column: pl.lit(None, dtype) for column, dtype in ITEM_COLUMNS.items()}
    words = {column: pl.lit("") for column in ("description", "category", "brand", "colour", "audio", "video")}
    filled: dict[str, pl.Expr | pl.Series] = {
        "item": pl.col("item_id"),
        "title": pl.col("title"),
        "photo": photos,
        "more_photos": pl.lit([], dtype=pl.List(pl.String)),
        "in_stock": pl.lit(value=True),
    }
    return Items(grouped.select(**{**empty, **words, **filled})), reviews, bad


def _photos(
    grouped: pl.DataFrame, images: Path | None, name: str, notes: list[str], shown: Progress
) -> tuple[pl.Series, pl.DataFrame]:
    """(file name of each item's photo, "" where it has none that can be read; quarantine)."""
    paths, rows = grouped["photo"].to_list(), grouped["row"].to_list()
    named = sum(bool(path) for path in paths)
    none = pl.DataFrame(schema=QUARANTINE_COLUMNS)
    if images is None or not named:
        if named:
            notes.append(f"{named:,} items name a photo, but no folder was given: photos are left out (--images DIR).")
        elif images is not None:
            notes.append(f"No row names a photo in a column 'image': {images} is not looked at.")
        return pl.Series([""] * len(paths), dtype=pl.String), none
    root = images.resolve()
    outside = [bool(path) and not (root / path).resolve().is_relative_to(root) for path in paths]
    asked = ["" if out else path for path, out in zip(paths, outside, strict=True)]
    kept, bad = check_files(images, asked, rows=rows, name=name, progress=shown)
    leading = [
        (name, row, "image", path[:200], f"the path leads out of the folder {images.name}")
        for path, row, out in zip(paths, rows, outside, strict=True)
        if out
    ]
    bad = pl.concat([bad.with_columns(column=pl.lit("image")), pl.DataFrame(leading, QUARANTINE_COLUMNS, orient="row")])
    if not any(kept):
        notes.append(f"None of the {named:,} photos could be read from {images}: is it the right folder?")
    return pl.Series(kept, dtype=pl.String), bad
