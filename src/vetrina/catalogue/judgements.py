"""Grades that people gave to items for queries."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from vetrina.catalogue.cells import clean, numbers
from vetrina.catalogue.ingest import Ingested
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, ROW, read_table
from vetrina.core.errors import DataError

__all__ = ["read_judgements", "settled"]


def read_judgements(
    root: Path, file: str, items: pl.Series, *, query: str, item: str, grade: str, rater: str = ""
) -> Ingested:
    """Read a file of judgements: one row per (query, item) with a grade of 0 or more, or one for each rater.

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
    rater : str
        Of the column that says who graded; "" where there is none.

    Returns
    -------
    Ingested
        Columns query, item, grade, and rater (null where nobody is named) where its column was;
        of several rows of one (query, item) pair and rater the first is kept.

    Raises
    ------
    MissingFile, MissingColumn
        The message names the nearest one.
    DataError
        When no judgement is left.
    """
    columns = dict.fromkeys(name for name in (query, item, grade, rater) if name)
    table = read_table(root / file, list(columns))
    frame = table.frame.with_columns(clean(column) for column in columns)
    frame = frame.with_columns(__grade=numbers(frame[grade]))
    once = [name for name in (query, item, rater) if name]
    rules = [
        (pl.col(query).is_null(), query, "the judgement has no query"),
        (pl.col(item).is_null(), item, "the judgement has no item"),
        (pl.col("__grade").is_null() | ~(pl.col("__grade") >= 0), grade, "not a grade of 0 or more"),
        (~pl.col(item).is_in(items.implode()), item, "no such item in the catalogue"),
        (~pl.struct(once).is_first_distinct(), item, "judged in an earlier row; the first is kept"),
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
    kept = {"query": pl.col(query), "item": pl.col(item), "grade": pl.col("__grade")}
    kept |= {"rater": pl.col(rater)} if rater else {}
    return Ingested(frame.select(**kept), pl.concat(aside), table.notes)


def settled(grades: pl.DataFrame) -> pl.DataFrame:
    """One grade for each (query, item): that of the row without a rater, or else the mean of its raters'.

    Parameters
    ----------
    grades : DataFrame
        Columns query, item, grade, and rater.

    Examples
    --------
    >>> rows = [("hat", "1", 3.0, "ana"), ("hat", "1", 2.0, "bo"), ("hat", "2", 1.0, "ana"), ("hat", "2", 0.0, None)]
    >>> settled(pl.DataFrame(rows, schema=["query", "item", "grade", "rater"], orient="row")).rows()
    [('hat', '1', 2.5), ('hat', '2', 0.0)]
    """
    decided = pl.col("grade").filter(pl.col("rater").is_null()).first()
    return grades.group_by("query", "item", maintain_order=True).agg(pl.coalesce(decided, pl.col("grade").mean()))
