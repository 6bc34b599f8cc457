"""Files of rows: CSV, TSV, JSON Lines and Parquet, plain or compressed, read without guessing.

Every cell comes in as text, so that nothing is coerced on the way (``007`` stays
``007``, an unreadable price is still there to be shown). What a cell means is
decided later, by the mapping. A line that cannot be read goes to quarantine with
the number that an editor shows beside it; the other lines are kept.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import zstandard

from vetrina.catalogue.delimited import read_delimited, require_columns
from vetrina.catalogue.encodings import as_utf8, first_bytes
from vetrina.core.errors import DataError, MissingFile, nearest

__all__ = [
    "MEDIA_COLUMNS",
    "QUARANTINE_COLUMNS",
    "ROW",
    "Table",
    "empty_quarantine",
    "find_file",
    "kind_of_fault",
    "read_table",
    "read_text",
    "set_aside",
]

logger = logging.getLogger(__name__)

#: Columns of a quarantine table. ``row`` is the line of the file as an editor
#: numbers it (the record number in Parquet and JSON arrays); ``column`` and
#: ``value`` say which cell, and are "" where the row as a whole is meant.
QUARANTINE_COLUMNS: dict[str, pl.DataType] = {
    "file": pl.String(),
    "row": pl.Int64(),
    "column": pl.String(),
    "value": pl.String(),
    "reason": pl.String(),
}

#: Columns whose cells name files.
MEDIA_COLUMNS = ("photo", "more_photos", "audio", "video")

#: Name of the column that carries each record's row number.
ROW = "__row"

_COMPRESSIONS = (".gz", ".zst")
_JSON = (".jsonl", ".ndjson", ".json")
_DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".inter", ".item", ".user", ".run", ".qrels", ".trec", "")
_INFERRED_LINES = 1000


def empty_quarantine() -> pl.DataFrame:
    """A quarantine table without rows."""
    return pl.DataFrame(schema=QUARANTINE_COLUMNS)


def kind_of_fault(reason: str) -> str:
    """What a reason for setting a file aside says of others too: without its size, or what a decoder said of it.

    Examples
    --------
    >>> kind_of_fault("the photo is damaged (image file is truncated)")
    'the photo is damaged'
    """
    return re.split(r"[(:;\d]", reason)[0].strip()


def set_aside(quarantine: pl.DataFrame) -> pl.DataFrame:
    """A quarantine table by reason, the commonest first.

    Returns
    -------
    DataFrame
        file, column, reason, count, and the row and value of the first.

    Examples
    --------
    >>> rows = [("p.csv", row, "photo", f"{row}.jpg", f"the photo is damaged (at {row})") for row in (2, 3)]
    >>> set_aside(pl.DataFrame(rows, QUARANTINE_COLUMNS, orient="row")).row(0)
    ('p.csv', 'photo', 'the photo is damaged', 2, 2, '2.jpg')
    """
    of_file = pl.col("column").is_in(MEDIA_COLUMNS)
    kind = pl.col("reason").map_elements(kind_of_fault, return_dtype=pl.String)
    grouped = quarantine.with_columns(reason=pl.when(of_file).then(kind).otherwise("reason"))
    counted = grouped.group_by("file", "column", "reason", maintain_order=True).agg(
        pl.len().alias("count"), pl.col("row").first(), pl.col("value").first()
    )
    return counted.sort("count", descending=True, maintain_order=True)


@dataclass(frozen=True)
class Table:
    """What was read of one file.

    Attributes
    ----------
    name : str
        The file's name, for messages and quarantine.
    frame : DataFrame
        The wanted columns as text (null where a cell is absent), and ``__row``, int64.
    columns : sequence of str
        Names of the file's columns, wanted or not.
    quarantine : DataFrame
        Lines that could not be read (:data:`QUARANTINE_COLUMNS`).
    notes : sequence of str
        What a person should know about how the file was read.
    """

    name: str
    frame: pl.DataFrame
    columns: Sequence[str]
    quarantine: pl.DataFrame = field(default_factory=empty_quarantine)
    notes: Sequence[str] = ()

    @property
    def n_rows(self) -> int:
        """Rows of the file, bad lines included."""
        return self.frame.height + self.quarantine.height


def find_file(path: Path) -> Path:
    """The file at ``path``.

    Raises
    ------
    MissingFile
        When there is none; the message names the nearest one in that folder.
    DataError
        When it is a folder.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; a file was expected. Name one of the files in it.")
    if path.is_file():
        return path
    folder = path.parent
    if not folder.is_dir():
        raise MissingFile(f"There is no folder {folder}, so no file {path.name} in it.")
    names = sorted(one.name for one in folder.iterdir() if one.is_file())
    hint = nearest(path.name, names) or (f" It holds: {', '.join(names[:8])}." if names else " The folder is empty.")
    where = "this folder" if folder == Path() else folder
    raise MissingFile(f"There is no file {path.name!r} in {where}.{hint}")


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, encoding: str = "auto", n_rows: int | None = None
) -> Table:
    r"""Read a file of rows, every cell as text.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv``, ``.txt``, ``.jsonl``, ``.ndjson``, ``.json`` or ``.parquet``,
        each also with ``.gz`` or ``.zst`` after it. The separator of a delimited
        file (comma, semicolon, tab, bar) is read off its first line.
    columns : sequence of str, optional
        What to keep; all columns when absent. A field inside an object is named
        with a dot: ``fields.title``.
    encoding : str
        "auto" reads UTF-8 (with or without byte order mark) and UTF-16 with one; what is
        neither is read as GB18030, Shift JIS or Windows-1252, whichever it looks like, and
        ``notes`` say so. Any other codec by name.
    n_rows : int, optional
        Read only about so many rows from the start.

    Raises
    ------
    MissingFile, MissingColumn
        The message names the nearest file or column.
    DataError
        When the file is empty, damaged or of a kind that is not read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "shop.csv"
    >>> _ = path.write_text("id,price\n007,9.50\n")
    >>> read_table(path).frame.row(0)
    ('007', '9.50', 2)
    """
    path, kind, packed = _kind(path)
    try:
        source = _unpacked(path, packed) if packed else path
        if kind == ".parquet":
            table = _read_parquet(path.name, source, columns, n_rows)
        elif kind in _JSON:
            table = _read_json(path.name, *as_utf8(source, path.name, encoding), columns, n_rows)
        elif kind in _DELIMITED:
            text, notes = as_utf8(source, path.name, encoding)
            read = read_delimited(text, path.name, columns, n_rows)
            bad = read.bad.select(pl.lit(path.name).alias("file"), "row", pl.lit("").alias("column"), "value", "reason")
            table = Table(path.name, read.frame.rename({"row": ROW}), read.columns, bad, [*notes, *read.notes])
        else:
            raise DataError(
                f"{path.name}: files of the kind {kind!r} are not read. Save it as CSV, JSON Lines or Parquet "
                "(.csv, .tsv, .jsonl, .parquet, also with .gz or .zst)."
            )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{path.name}: cannot be read ({str(error).splitlines()[0]}). Is it what its name says?"
        ) from None
    for note in table.notes:
        logger.info(note)
    return table


def read_text(path: Path, encoding: str = "auto") -> tuple[Path | bytes, list[str]] | None:
    """A file of plain lines, unpacked and as UTF-8, with notes on how it was read; None for Parquet and JSON.

    For formats that :func:`read_table` does not know. Parameters and errors are its own.
    """
    path, kind, packed = _kind(path)
    if kind == ".parquet" or kind in _JSON:
        return None
    return as_utf8(_unpacked(path, packed) if packed else path, path.name, encoding)


def _kind(path: Path) -> tuple[Path, str, str]:
    """(the file, its ending, how it is compressed or "")."""
    path = find_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] if suffixes and suffixes[-1] in _COMPRESSIONS else ""
    inner = suffixes[:-1] if packed else suffixes
    return path, inner[-1] if inner else "", packed


def _unpacked(path: Path, packed: str) -> bytes:
    """The bytes inside a compressed file."""
    try:
        if packed == ".gz":
            return gzip.decompress(path.read_bytes())
        with (
            path.open("rb") as stream,
            zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as inside,
        ):
            return bytes(inside.read())
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise DataError(f"{path.name}: is not a whole {packed[1:]} file ({error}). Copy it again.") from error


def _read_parquet(name: str, source: Path | bytes, columns: Sequence[str] | None, n_rows: int | None) -> Table:
    lazy = pl.scan_parquet(source, row_index_name=ROW, row_index_offset=1, n_rows=n_rows)
    schema = lazy.collect_schema()
    known = [column for column in schema if column != ROW]
    wanted = list(known if columns is None else columns)
    require_columns(wanted, known, name)
    cells = [_text(column, schema[column]) for column in wanted]
    return Table(name, lazy.select(*cells, pl.col(ROW).cast(pl.Int64)).collect(), known)


def _text(column: str, dtype: pl.DataType) -> pl.Expr:
    """A typed column as the text a person would have written."""
    cell = pl.col(column)
    if isinstance(dtype, pl.List | pl.Array):
        inner = cell.cast(pl.List(pl.String)).list.drop_nulls()
        return pl.format('["{}"]', inner.list.join('", "')).alias(column)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            cell = cell.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return cell.dt.strftime("%Y-%m-%d %H:%M:%S%.f").alias(column)
    if isinstance(dtype, pl.Struct):
        return cell.struct.json_encode().alias(column)
    if isinstance(dtype, pl.Binary | pl.Object):
        raise DataError(f"Column {column!r} holds binary data; text, numbers or times were expected.")
    return cell.cast(pl.String)


def _read_json(
    name: str, source: Path | bytes, notes: list[str], columns: Sequence[str] | None, n_rows: int | None
) -> Table:
    """JSON Lines, or one JSON array of objects."""
    if _first_letter(source) == b"[":
        source = _array_as_lines(source, name)
    if n_rows is not None:
        source = "\n".join(pl.read_lines(source, n_rows=n_rows)["line"]).encode()
    lines = pl.scan_lines(source, row_index_name=ROW, row_index_offset=1)
    bad = empty_quarantine()
    rows: pl.Series | None = None
    blank = lines.select((pl.col("line").str.strip_chars() == "").any()).collect().item()
    try:
        if blank:
            raise pl.exceptions.ComputeError("blank lines would shift the row numbers")
        frame, known = _scan_objects(name, source, columns)
    except pl.exceptions.PolarsError:
        kept, bad = _sound_lines(name, lines.collect())
        rows = kept[ROW]
        if not kept.height:
            raise DataError(f"{name}: holds no JSON object. One object on each line was expected.") from None
        frame, known = _scan_objects(name, "\n".join(kept["line"]).encode(), columns)
    numbers = pl.Series(ROW, range(1, frame.height + 1), dtype=pl.Int64) if rows is None else rows.cast(pl.Int64)
    return Table(name, frame.with_columns(numbers.alias(ROW)), known, bad, notes)


def _first_letter(source: Path | bytes) -> bytes:
    return (source[:4096] if isinstance(source, bytes) else first_bytes(source, 4096)).lstrip()[:1]


def _array_as_lines(source: Path | bytes, name: str) -> bytes:
    text = source if isinstance(source, bytes) else source.read_bytes()
    try:
        objects = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{name}: line {error.lineno} is not valid JSON ({error.msg}).") from None
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in objects).encode()


def _sound_lines(name: str, lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the lines that are JSON objects, quarantine for those that are not); blank lines are neither."""
    line = pl.col("line")
    lines = lines.with_columns(line.str.strip_chars()).filter(line != "")
    # Python writes NaN and Infinity, which JSON does not have: kept as text, to be judged with the other cells.
    fixed = line.str.replace_all(r"([:\[,]\s*)(NaN|-?Infinity)(\s*[,\]}])", '${1}"${2}"${3}')
    lines = lines.with_columns(pl.when(line.str.json_path_match("$").is_null()).then(fixed).otherwise(line))
    sound = line.str.starts_with("{") & line.str.json_path_match("$").is_not_null()
    bad = lines.filter(~sound).select(
        pl.lit(name).alias("file"),
        pl.col(ROW).cast(pl.Int64).alias("row"),
        pl.lit("").alias("column"),
        line.str.slice(0, 200).alias("value"),
        pl.lit("the line is not a JSON object").alias("reason"),
    )
    return lines.filter(sound), bad


def _scan_objects(name: str, source: Path | bytes, columns: Sequence[str] | None) -> tuple[pl.DataFrame, list[str]]:
    """Objects as text cells, fields of nested objects as columns with dots in their name."""
    schema, paths = _fields(source, columns)
    outer = {".".join(path[:depth]) for path in paths.values() for depth in range(1, len(path))}
    wanted = [column for column in paths if column not in outer] if columns is None else list(columns)
    require_columns(wanted, list(paths), name)
    used = [paths[column] for column in wanted]
    text = {top: _as_text(schema[top], [path[1:] for path in used if path[0] == top]) for top, *_ in used}
    cells: list[pl.Expr] = []
    for column, (top, *inner) in zip(wanted, used, strict=True):
        cell, dtype = pl.col(top), text[top]
        for field_name in inner:
            assert isinstance(dtype, pl.Struct)
            cell, dtype = cell.struct.field(field_name), pl.Schema(dtype)[field_name]
        # Asked for as a whole although a field of it is asked for as well.
        cells.append((cell.struct.json_encode() if isinstance(dtype, pl.Struct) else cell).alias(column))
    return pl.scan_ndjson(source, schema=text).select(cells).collect(), list(paths)


def _as_text(dtype: pl.DataType, inner: list[list[str]]) -> pl.DataType:
    """Text; of an object some of whose fields are wanted by themselves, an object of texts."""
    inner = [path for path in inner if path]
    if not inner or not isinstance(dtype, pl.Struct):
        return pl.String()
    within = {one.name: [path[1:] for path in inner if path[0] == one.name] for one in dtype.fields}
    return pl.Struct({name: _as_text(kind, within[name]) for name, kind in pl.Schema(dtype).items()})


def _fields(source: Path | bytes, columns: Sequence[str] | None) -> tuple[pl.Schema, dict[str, list[str]]]:
    """(types of the fields, the path to each column by its name).

    Learned from the first lines, and from all lines only when a wanted column is not among those.
    """
    samples = [None] if columns is None else [_INFERRED_LINES, None]
    while True:
        sample = samples.pop(0)
        schema = pl.scan_ndjson(source, infer_schema_length=sample).collect_schema()
        paths = {".".join(path): path for path in _paths(schema, [])}
        if not samples or columns is None or all(column in paths for column in columns):
            return schema, paths


def _paths(schema: pl.Schema, within: list[str]) -> list[list[str]]:
    """The path to every field, an object before what is in it."""
    paths: list[list[str]] = []
    for name, dtype in schema.items():
        paths.append([*within, name])
        if isinstance(dtype, pl.Struct):
            paths += _paths(pl.Schema(dtype), [*within, name])
    return paths
