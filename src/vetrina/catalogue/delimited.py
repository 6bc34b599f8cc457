"""CSV and its kin: fast where the file is sound, careful where it is not.

Polars reads a sound file quickly, but fills short lines and cuts long ones, or
gives up at a stray quote. So the structure is checked first, in one vectorised
pass over the raw lines; a file with anything wrong is then read record by record,
and what is wrong is set aside with its line number.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from vetrina.core.errors import DataError, MissingColumn, nearest

__all__ = ["Delimited", "read_delimited", "require_columns"]

_SEPARATORS = (",", "\t", ";", "|")

# A quoted text that runs over more lines than this was more likely never closed.
_MAX_LINES_OF_A_RECORD = 200

_BAD = {"row": pl.Int64, "value": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Delimited:
    """A delimited file's wanted columns as text, with ``row``; its column names; its bad lines; notes."""

    frame: pl.DataFrame
    columns: list[str]
    bad: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_BAD))
    notes: list[str] = field(default_factory=list)


def read_delimited(
    source: Path | bytes, name: str, columns: Sequence[str] | None = None, n_rows: int | None = None
) -> Delimited:
    r"""Read UTF-8 delimited text (RFC 4180) with a header line; every cell as text.

    Parameters
    ----------
    source : Path or bytes
    name : str
        The file's name, for messages.
    columns : sequence of str, optional
        What to keep; everything when absent.
    n_rows : int, optional
        Read only so many lines after the header.

    Raises
    ------
    MissingColumn, DataError

    Examples
    --------
    >>> read = read_delimited(b"id;name\n1;a\n2\n3;c\n", "x.csv")
    >>> read.frame.rows()
    [('1', 'a', 2), ('3', 'c', 4)]
    >>> read.bad.row(0)
    (3, '2', 'the line has 1 field, the header has 2')
    """
    header, n_header, separator = _header(source, name)
    names, notes = _unique(header, name)
    wanted = list(names if columns is None else columns)
    require_columns(wanted, names, name)
    if n_rows is not None:
        source = ("\n".join(pl.read_lines(source, n_rows=n_header + n_rows)["line"]) + "\n").encode()
    lines = pl.scan_lines(source, row_index_name="row", row_index_offset=1).filter(pl.col("row") > n_header)
    starts = _sound_records(lines, separator, len(names))
    if starts is not None:
        try:
            frame = _scan(source, names, n_header, separator, wanted)
        except pl.exceptions.PolarsError:
            frame = None
        # A reader that disagrees with the check about where records begin is not trusted.
        if frame is not None and frame.height == starts.height:
            frame = frame.with_columns(starts["row"]).filter(~starts["blank"])
            return Delimited(frame, names, notes=notes)
    frame, bad = _read_carefully(lines.collect(), separator, names, wanted)
    return Delimited(frame, names, bad, notes)


def require_columns(wanted: Sequence[str], known: Sequence[str], where: str) -> None:
    """Raise :class:`MissingColumn` naming the first of ``wanted`` that is not in ``known``."""
    lost = [name for name in wanted if name not in known]
    if lost:
        shown = ", ".join(known[:30]) + (", …" if len(known) > 30 else "")
        raise MissingColumn(f"{where} has no column {lost[0]!r}.{nearest(lost[0], known)} It has: {shown}.")


def _header(source: Path | bytes, name: str) -> tuple[list[str], int, str]:
    """(names in the first record, number of lines it takes with blank ones before it, separator)."""
    first = pl.read_lines(source, n_rows=50)["line"].to_list()
    blank = next((number for number, line in enumerate(first) if line.strip()), None)
    if blank is None:
        raise DataError(f"{name}: is empty. A header line and rows were expected.")
    unquoted = "".join(first[blank].split('"')[::2])
    separator = max(_SEPARATORS, key=unquoted.count)
    reader = csv.reader([f"{line}\n" for line in first[blank:]], delimiter=separator)
    header = [cell.strip() for cell in next(reader)]
    return header, blank + reader.line_num, separator


def _unique(header: list[str], name: str) -> tuple[list[str], list[str]]:
    """Column names with repeated and empty ones told apart, and a note on each."""
    names: list[str] = []
    notes: list[str] = []
    for place, cell in enumerate(header, start=1):
        column = cell or f"column_{place}"
        number = 2
        while column in names:
            column, number = f"{cell}_{number}", number + 1
        if column != cell:
            what = "has no name" if not cell else f"repeats the name {cell!r}"
            notes.append(f"{name}: column {place} {what}; it is called {column!r} here.")
        names.append(column)
    return names, notes


def _sound_records(lines: pl.LazyFrame, separator: str, n_columns: int) -> pl.DataFrame | None:
    """(first row, blank) of each record, or None when any record has another number of fields than the header."""
    line = pl.col("line")
    quotes = line.str.count_matches('"', literal=True).cast(pl.Int64)
    opened = quotes.cum_sum()
    inside = ((opened - quotes) % 2) == 1
    # A line that begins or ends within quotes is completed, so that what is quoted can be taken out of it.
    whole = pl.when(inside).then(pl.lit('"')).otherwise(pl.lit("")) + line
    whole = whole + pl.when(opened % 2 == 1).then(pl.lit('"')).otherwise(pl.lit(""))
    bare = pl.when(quotes > 0).then(whole.str.replace_all(r'"[^"]*"', "")).otherwise(line)
    checked = lines.select(
        pl.col("row").cast(pl.Int64),
        separators=pl.when(inside & (quotes == 0)).then(0).otherwise(bare.str.count_matches(separator, literal=True)),
        record=(~inside).cum_sum(),
        blank=(line.str.strip_chars("\r") == "") & ~inside,
        open=opened % 2 == 1,
    ).collect()
    if checked.height and checked["open"][-1]:
        return None
    if checked["record"].n_unique() < checked.height:
        records = checked.group_by("record", maintain_order=True).agg(
            pl.col("row").first(), pl.col("separators").sum(), pl.col("blank").first()
        )
    else:
        records = checked
    if records.select(((pl.col("separators") != n_columns - 1) & ~pl.col("blank")).any()).item():
        return None
    return records.select("row", "blank")


def _scan(source: Path | bytes, names: list[str], n_header: int, separator: str, wanted: list[str]) -> pl.DataFrame:
    return (
        pl.scan_csv(
            source,
            has_header=False,
            skip_lines=n_header,
            separator=separator,
            schema=dict.fromkeys(names, pl.String),
            empty_string_is_null=True,
            raise_if_empty=False,
        )
        # An empty cell is an absent one, in quotes or not.
        .select(pl.when(pl.col(column) != "").then(pl.col(column)).alias(column) for column in wanted)
        .collect()
    )


def _read_carefully(
    lines: pl.DataFrame, separator: str, names: list[str], wanted: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Record by record: (what is sound, what is not)."""
    texts, numbers = lines["line"].to_list(), lines["row"].to_list()
    places = [names.index(column) for column in wanted]
    cells: list[list[str]] = [[] for _ in wanted]
    rows: list[int] = []
    bad: list[tuple[int, str, str]] = []
    at = 0
    while at < len(texts):
        fields, following, reason = _record(texts, at, separator, len(names))
        if reason:
            bad.append((numbers[at], texts[at][:200], reason))
        elif fields:
            rows.append(numbers[at])
            for column, place in zip(cells, places, strict=True):
                column.append(fields[place])
        at = following
    frame = pl.DataFrame(dict(zip(wanted, cells, strict=True)), schema=dict.fromkeys(wanted, pl.String))
    frame = frame.with_columns(pl.all().replace("", None), pl.Series("row", rows, dtype=pl.Int64))
    return frame, pl.DataFrame(bad, schema=_BAD, orient="row")


def _record(texts: list[str], at: int, separator: str, n_columns: int) -> tuple[list[str], int, str]:
    """The record that begins at line ``at``: (fields, line after it, what is wrong with it or "")."""
    text = texts[at]
    if not text.strip():
        return [], at + 1, ""
    following = at + 1
    while True:
        try:
            fields = next(csv.reader([text], delimiter=separator, strict=True))
        except csv.Error as error:
            unfinished = "unexpected end of data" in str(error)
            if not unfinished and following == at + 1:
                return [], at + 1, "a quote inside a quoted text is not doubled"
            if not unfinished or following >= len(texts) or following - at >= _MAX_LINES_OF_A_RECORD:
                return [], at + 1, "a quote is opened on this line and not closed"
            text = f"{text}\n{texts[following]}"
            following += 1
            continue
        if len(fields) == n_columns:
            return fields, following, ""
        if following > at + 1:
            return [], at + 1, "a quote is opened on this line and not closed"
        word = "field" if len(fields) == 1 else "fields"
        return [], at + 1, f"the line has {len(fields)} {word}, the header has {n_columns}"
