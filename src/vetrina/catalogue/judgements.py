"""Grades that people gave to items for queries."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from vetrina.catalogue.cells import clean, numbers
from vetrina.catalogue.ingest import Ingested
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, ROW, read_table
from vetrina.core.errors import DataError

__all__ = ["read_judgements"]


def read_judgements(root: Path, file: str, items: pl.Series, *, query: str, item: str, grade: str) -> Ingested:
    """Read a file of judgements: one row per (query, item) with a grade of 0 or more.

    Parameters
    ----------
    root : Path
        The shop's folder.
    file : str
        CSV, TSV, JSON Lines or Parquet.
    items : Series
        Known item ids; a judgement of another item is set aside.
    query, item, grade : str
        Names of the columns.

    Returns
    -------
    Ingested
        Columns query, item, grade; the first row of a (query, item) pair counts.

    Raises
    ------
    MissingFile, MissingColumn
        The message names the nearest one.
    DataError
        When no judgement is left.
    """
    table = read_table(root / file, [query, item, grade])
    frame = table.frame.with_columns(clean(column) for column in dict.fromkeys((query, item, grade)))
    frame = frame.with_columns(__grade=numbers(frame[grade]))
    rules = [
        (pl.col(query).is_null(), query, "the judgement has no query"),
        (pl.col(item).is_null(), item, "the judgement has no item"),
        (pl.col("__grade").is_null() | ~(pl.col("__grade") >= 0), grade, "not a grade of 0 or more"),
        (~pl.col(item).is_in(items.implode()), item, "no such item in the catalogue"),
        (~pl.struct(query, item).is_first_distinct(), item, "judged in an earlier row; the first is kept"),
    ]
    aside = [table.quarantine]
    for test, column, reason in rules:
        bad = frame.filter(test.fill_null(value=True))
        aside.append(
            bad.select(
                pl.lit(table.name).alias("file"),
                pl.col(ROW).alias("row"),
                pl.lit(column).alias("column"),
                pl.col(column).alias("value"),
                pl.lit(reason).alias("reason"),
            ).cast(QUARANTINE_COLUMNS)  # type: ignore[arg-type]  # the stubs leave out DataType instances by name
        )
        frame = frame.filter(~test.fill_null(value=True))
    if not frame.height:
        raise DataError(f"{table.name}: holds no usable judgement. Expected columns {query}, {item}, {grade}.")
    kept = frame.select(pl.col(query).alias("query"), pl.col(item).alias("item"), pl.col("__grade").alias("grade"))
    return Ingested(kept, pl.concat(aside), table.notes)
