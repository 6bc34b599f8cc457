"""Ranked lists of any system, read from files and measured: bring your own.

A run is what a system answered: for each request its items, in order. The truth says which items are
right, and how much. Both are read in TREC's formats (``qid Q0 docid rank score tag`` and ``qid iter
docid rel``, parted by white space) or as a table with a header (CSV, TSV, JSON Lines, Parquet).

Where a run has scores, they say the order, as in trec_eval (E. Voorhees and D. Harman, TREC, 2005):
the highest first, in single precision, and of equal ones the item whose id is later in the order of
its bytes. A column of ranks is then only compared with them. Without scores the ranks say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue import column_called
from vetrina.catalogue.cells import clean, numbers, plain_ids
from vetrina.catalogue.tables import ROW, Table, read_table, read_text
from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError, MissingColumn, TooManyBadRows, nearest
from vetrina.evaluate.comparing import precision_recall
from vetrina.evaluate.evaluation import Comparison, Evaluation
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.tables import SHOWN, K, compare

__all__ = ["Run", "RunTruth", "evaluate_runs", "read_run", "read_truth"]

#: Fields of a line in TREC's formats; those that are numbers tell them from other tables.
_TREC_RUN = ("request", "iteration", "item", "rank", "score", "tag")
_TREC_TRUTH = ("request", "iteration", "item", "gain")
_NUMBERS = ("rank", "score", "gain")

#: Under which names of columns each is looked for.
_MEANINGS: dict[str, tuple[str, ...]] = {
    "request": ("request", "query"),
    "item": ("item",),
    "rank": ("position",),
    "score": ("score",),
    "gain": ("gain",),
    "shopper": ("shopper",),
    "segment": ("segment",),
}

#: With more bad rows than this, it is not a matter of single rows.
_MAX_BAD_SHARE = 0.2

#: So many segments are shown apart, the largest first.
_MOST_SEGMENTS = 20


@dataclass(frozen=True)
class Run:
    """What one system answered.

    Attributes
    ----------
    name : str
    table : DataFrame
        Columns request and item, text: the rows of each request in order, the best first.
    notes : tuple of str
        What was left out of the file, and how the rest was understood.
    """

    name: str
    table: pl.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunTruth:
    """What is right.

    Attributes
    ----------
    name : str
    table : DataFrame
        Columns request, item and gain; 0 is judged and wrong.
    requests : DataFrame
        One row for each request, in order of first sight: request, and where the file has them
        shopper (who asked it) and segment (what part of the requests it belongs to).
    notes : tuple of str
    """

    name: str
    table: pl.DataFrame
    requests: pl.DataFrame
    notes: tuple[str, ...] = ()


# --- reading --------------------------------------------------------------------


def read_run(path: Path, name: str = "") -> Run:
    r"""Read a system's ranked lists.

    Parameters
    ----------
    path : Path
        TREC's format, or a table with the columns request (or query), item, and rank or score.
    name : str
        What the system is called; when empty the file's name without its endings.

    Raises
    ------
    MissingFile, MissingColumn
        The message says which names were looked for.
    DataError
        When no row is left; TooManyBadRows when more than a fifth is bad.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "present.run"
    >>> _ = path.write_text("q1 Q0 a 1 0.5 x\nq1 Q0 b 2 0.9 x\n")
    >>> read_run(path).table.rows()
    [('q1', 'b'), ('q1', 'a')]
    """
    read = _read(path, _TREC_RUN, needed=("request", "item"), wanted=("rank", "score"))
    table, notes = read.table, list(read.notes)
    if "score" in table.columns:
        # In single precision, as trec_eval holds them: what differs beyond it is a tie there.
        order = table.with_columns(__by=-pl.col("score").cast(pl.Float32))
    elif "rank" in table.columns:
        order = table.with_columns(__by=pl.col("rank"))
    else:
        raise MissingColumn(
            f"{read.name}: no column is called like a rank or a score (rank, position, score, …). "
            f"It has: {_listed(read.columns)}. Rename the column that says the order."
        )
    order = order.with_columns(__request=pl.col("request").rank("dense"))
    ordered = order.sort("__request", "__by", "item", descending=[False, False, True])
    above = pl.struct("__request", "__by") == pl.struct("__request", "__by").shift(1)
    tied = int(ordered.select(above.sum()).item())
    if tied:
        notes.append(f"{read.name}: {_many(tied, 'tie')} with the row above; the item whose id is later goes first")
    if {"rank", "score"} <= set(table.columns):
        falls = (pl.col("rank") < pl.col("rank").shift(1)) & (pl.col("__request") == pl.col("__request").shift(1))
        against = ordered.filter(falls)["__request"].n_unique()
        if against:
            notes.append(
                f"{read.name}: in {_many(against, 'request')} the ranks are not in the order of the scores, which count"
            )
    twice = ordered.height - ordered.select(pl.struct("request", "item").n_unique()).item()
    if twice:
        notes.append(f"{read.name}: {_many(twice, 'repetition')} of an item in its request: a place that earns nothing")
    return Run(name or _stem(path), ordered.select("request", "item"), tuple(notes))


def read_truth(path: Path) -> RunTruth:
    r"""Read what is right for each request.

    Parameters
    ----------
    path : Path
        TREC's qrels, or a table with the columns request (or query), item, and gain (or grade,
        relevance, rating, …; every row counts 1 without it); also shopper and segment where there are.

    Raises
    ------
    MissingFile, MissingColumn
        The message says which names were looked for.
    DataError
        When a request has two shoppers or two segments, or no row is left; TooManyBadRows when more
        than a fifth is bad.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "truth.csv"
    >>> _ = path.write_text("query,item,grade\nred shoes,a,3\nred shoes,b,0\n")
    >>> read_truth(path).table.rows()
    [('red shoes', 'a', 3.0), ('red shoes', 'b', 0.0)]
    """
    read = _read(path, _TREC_TRUTH, needed=("request", "item"), wanted=("gain", "shopper", "segment"))
    table, notes = read.table, list(read.notes)
    if "gain" not in table.columns:
        table = table.with_columns(gain=pl.lit(1.0))
        notes.append(f"{read.name}: no column is called like a gain or a grade: every row counts as right, with gain 1")
    negative = int((table["gain"] < 0).sum())
    if negative:
        # As trec_eval takes them: TREC marks junk so.
        table = table.with_columns(pl.col("gain").clip(0))
        notes.append(f"{read.name}: {_many(negative, 'gain')} below 0 taken as 0, judged and wrong")
    who = [name for name in ("shopper", "segment") if name in table.columns]
    for name in who:
        several = table.group_by("request", maintain_order=True).agg(pl.col(name).drop_nulls().n_unique().alias("n"))
        wrong = several.filter(pl.col("n") > 1)
        if wrong.height:
            raise DataError(
                f"{read.name}: request {wrong['request'][0]!r} has {wrong['n'][0]} different values of {name}. "
                "Give all rows of a request the same one."
            )
    first = table.unique(["request", "item"], keep="first", maintain_order=True)
    if first.height < table.height:
        more = table.height - first.height
        notes.append(f"{read.name}: {_many(more, 'repetition')} of an item in its request; the first row counts")
    requests = table.group_by("request", maintain_order=True).agg(pl.col(name).drop_nulls().first() for name in who)
    return RunTruth(path.name, first.select("request", "item", "gain"), requests, tuple(notes))


@dataclass(frozen=True)
class _Read:
    """A file's sound rows under our names, the names of its columns, notes."""

    name: str
    table: pl.DataFrame
    columns: Sequence[str]
    notes: Sequence[str]


def _read(path: Path, trec: Sequence[str], *, needed: Sequence[str], wanted: Sequence[str]) -> _Read:
    table = _trec(path, trec) or read_table(path)
    called = _called(table, trec, needed, wanted)
    notes = list(table.notes)
    frame = table.frame.select(ROW, **{ours: pl.col(column) for ours, column in called.items()})
    if tuple(table.columns) != tuple(trec):  # fields parted by white space are clean
        frame = frame.with_columns(clean(name) for name in called)
    for name in ("request", "item", "shopper"):
        if name in called:
            cells, changed = plain_ids(frame[name])
            frame = frame.with_columns(cells.alias(name))
            if changed:
                notes.append(f"{table.name}: .0 was taken off the whole numbers in {called[name]!r}")
    figures = [name for name in _NUMBERS if name in called]
    frame = frame.with_columns(numbers(frame[name]).alias(f"__{name}") for name in figures)
    bad = [(pl.col(name).is_null(), name, f"no {name}") for name in needed]
    # Ranks beside scores say nothing that is needed.
    used = [name for name in figures if name != "rank" or "score" not in called]
    bad += [(pl.col(f"__{name}").is_null(), name, "not a finite number") for name in used]
    counted = dict[str, tuple[int, str]]()
    for number, reason in table.quarantine.select("row", "reason").iter_rows():
        count, such = counted.get(reason, (0, f"line {number}"))
        counted[reason] = (count + 1, such)
    for test, name, reason in bad:
        rows = frame.filter(test)
        if rows.height:
            value = rows[name][0]
            such = f"row {rows[ROW][0]}" + ("" if value is None else f": {value[:40]!r}")
            counted[f"column {called[name]!r}: {reason}"] = (rows.height, such)
            frame = frame.filter(~test)
    lost = table.n_rows - frame.height
    why = [f"{_many(many, 'row')} left out, {reason} ({such})" for reason, (many, such) in counted.items()]
    notes += [f"{table.name}: {one}" for one in why]
    if not frame.height:
        told = f" ({'; '.join(why)})" if why else ""
        raise DataError(f"{table.name}: holds no usable row{told}. Expected {', '.join([*needed, *wanted])}.")
    if lost > _MAX_BAD_SHARE * table.n_rows:
        raise TooManyBadRows(
            f"{table.name}: {lost:,} of {table.n_rows:,} rows cannot be used, more than {_MAX_BAD_SHARE:.0%}: "
            f"{'; '.join(why)}. Mend the file."
        )
    shown = [pl.col(f"__{name}" if name in figures else name).alias(name) for name in called]
    return _Read(table.name, frame.select(shown), table.columns, notes)


def _called(table: Table, trec: Sequence[str], needed: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Our names for the file's columns."""
    if tuple(table.columns) == tuple(trec):
        return {name: name for name in (*needed, *wanted) if name in trec}
    left, called = list(table.columns), dict[str, str]()
    for name in (*needed, *wanted):
        column = column_called(left, *_MEANINGS[name])
        if column:
            called[name] = column
            left.remove(column)
        elif name in needed:
            hint = nearest(name, left)
            raise MissingColumn(
                f"{table.name}: no column is called like {_a(name)}.{hint} It has: {_listed(table.columns)}. "
                f"Call it {name!r} in the file, or use TREC's format: {' '.join(trec)}."
            )
    return called


def _trec(path: Path, fields: Sequence[str]) -> Table | None:
    """The file in TREC's format; None where its first line is not of it."""
    opened = read_text(path)
    if opened is None:
        return None
    source, notes = opened
    line = pl.col("line").str.strip_chars()
    first = pl.read_lines(source, n_rows=50).select(line.filter(line != "")).head(1)["line"].to_list()
    words = first[0].split() if first else []
    cells = dict(zip(fields, words, strict=False))
    figures = numbers(pl.Series([cells[name] for name in _NUMBERS if name in cells], dtype=pl.String))
    # Where a number cannot be read, Q0 still tells the format.
    if len(words) != len(fields) or (figures.null_count() and cells["iteration"].upper() != "Q0"):
        return None
    lines = pl.scan_lines(source, row_index_name=ROW, row_index_offset=1).with_columns(line)
    pattern = "^" + r"\s+".join([r"(\S+)"] * len(fields)) + "$"
    parts = pl.col("line").str.extract_groups(pattern).struct.rename_fields(list(fields))
    read = lines.filter(line != "").select(pl.col(ROW).cast(pl.Int64), "line", parts.alias("parts")).collect()
    sound = pl.col("parts").struct.field(fields[0]).is_not_null()
    reason = f"the line has not the {len(fields)} fields of TREC's format"
    bad = read.filter(~sound).select(
        pl.lit(path.name).alias("file"),
        pl.col(ROW).alias("row"),
        pl.lit("").alias("column"),
        pl.col("line").str.slice(0, 200).alias("value"),
        pl.lit(reason).alias("reason"),
    )
    return Table(path.name, read.filter(sound).select(ROW, "parts").unnest("parts"), list(fields), bad, notes)


def _stem(path: Path) -> str:
    """The file's name without its endings."""
    return path.name.partition(".")[0] or path.name


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names[:12]) + (", …" if len(names) > 12 else "")


# --- measuring ------------------------------------------------------------------


def evaluate_runs(runs: Sequence[Run], truth: RunTruth, k: int = K, baseline: str = "") -> Evaluation:
    """Measure ranked lists against the truth, side by side.

    A request of the truth that a run lacks counts as an empty list. What a run answers beyond the
    truth's requests is left out. Both are counted in the notes.

    Parameters
    ----------
    runs : sequence of Run
    truth : RunTruth
    k : int
        How many results of each list count.
    baseline : str
        The run whose lead over the others is shown; the first when empty.

    Raises
    ------
    ConfigError
        When there is no run, two have one name, or the baseline is not one of them.
    DataError
        When a run answers none of the truth's requests.
    """
    names = [run.name for run in runs]
    if not runs:
        raise ConfigError("runs: there is nothing to measure; give at least one file of ranked lists.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"runs: two are called {twice!r}; rename the file of one of them.")
    if baseline and baseline not in names:
        raise ConfigError(
            f"baseline: there is no run {baseline!r}.{nearest(baseline, names)} Given: {', '.join(names)}."
        )
    reference = (baseline or names[0]) if len(runs) > 1 else ""
    items = pl.concat([truth.table["item"], *(run.table["item"] for run in runs)]).unique().sort()
    codes = pl.DataFrame({"item": items, "code": np.arange(len(items), dtype=np.int32)})
    order = truth.requests.select("request", place=pl.int_range(pl.len(), dtype=pl.Int64))
    right = _truth(truth, order, codes)
    notes = [*truth.notes]
    lists: dict[str, ItemList] = {}
    for run in runs:
        lists[run.name], told = _lists(run, truth, order, codes)
        notes += [*run.notes, *told]
    judged = {name: _judged_share(one, right, k) for name, one in lists.items()} if (right.gain == 0).any() else {}
    if judged:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in judged.items())
        notes.append(f"judged among the first {k}: {shares}; the rest counts as not relevant")
    scores = {name: measure(one, right, k, SHOWN) for name, one in lists.items()}
    shopper = _shoppers(truth)
    main = compare(truth.name, scores, shopper, reference)
    segments = []
    every = _segments(truth)
    for segment, rows in list(every.items())[:_MOST_SEGMENTS]:
        parts = {name: _only(one, rows) for name, one in scores.items()}
        if len(next(iter(parts.values())).requests):
            segments.append(compare(segment, parts, shopper, reference, resamples=2_000))
    if len(every) > _MOST_SEGMENTS:
        notes.append(f"{truth.name}: of {len(every):,} segments the {_MOST_SEGMENTS} largest are shown apart")
    curves = {name: precision_recall(one, right) for name, one in lists.items()}
    return Evaluation((Comparison(replace(main, notes=tuple(notes)), tuple(segments), precision_recall=curves),))


def _truth(truth: RunTruth, order: pl.DataFrame, codes: pl.DataFrame) -> Truth:
    rows = truth.table.join(order, on="request").join(codes, on="item").sort("place", "code")
    sizes = np.bincount(rows["place"].to_numpy(), minlength=order.height)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Truth(offsets, rows["code"].to_numpy(), rows["gain"].to_numpy())


def _lists(run: Run, truth: RunTruth, order: pl.DataFrame, codes: pl.DataFrame) -> tuple[ItemList, list[str]]:
    """(the run's lists of the truth's requests, what was missing and what too much)."""
    rows = run.table.join(order, on="request", how="left", maintain_order="left")
    known = rows.filter(pl.col("place").is_not_null())
    if not known.height:
        raise DataError(
            f"{run.name}: answers none of the requests of {truth.name}; it has requests such as "
            f"{run.table['request'][0]!r}, the truth such as {truth.requests['request'][0]!r}. "
            "Use the same ids in both."
        )
    known = known.join(codes, on="item", how="left", maintain_order="left").sort("place", maintain_order=True)
    sizes = np.bincount(known["place"].to_numpy(), minlength=order.height)
    notes = []
    missing, beyond = int((sizes == 0).sum()), run.table["request"].n_unique() - int((sizes > 0).sum())
    if missing:
        notes.append(f"{run.name}: {missing:,} of {order.height:,} requests not in it, which count as empty lists")
    if beyond:
        notes.append(f"{run.name}: {_many(beyond, 'request')} that {truth.name} lacks left out")
    if not known["item"].is_in(truth.table["item"].unique().implode()).any():
        notes.append(
            f"{run.name}: lists no item that {truth.name} names, such as {known['item'][0]!r} "
            f"beside {truth.table['item'][0]!r}: are the ids the same?"
        )
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return ItemList(offsets, known["code"].to_numpy()), notes


def _judged_share(lists: ItemList, truth: Truth, k: int) -> float:
    """Share of the first ``k`` results that the truth names."""
    span = int(max(lists.item.max(initial=0), truth.item.max(initial=0))) + 1
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    keys = (lists.row.astype(np.int64) * span + lists.item)[place < k]
    return float(np.isin(keys, truth.row * span + truth.item).mean()) if len(keys) else 0.0


def _shoppers(truth: RunTruth) -> npt.NDArray[np.int64] | None:
    if "shopper" not in truth.requests.columns or truth.requests["shopper"].null_count() == truth.requests.height:
        return None
    codes = truth.requests["shopper"].rank("dense").cast(pl.Int64) - 1
    return codes.fill_null(-1).to_numpy()


def _segments(truth: RunTruth) -> Mapping[str, npt.NDArray[np.intp]]:
    """Requests of each segment, the largest first."""
    if "segment" not in truth.requests.columns:
        return {}
    column = truth.requests["segment"]
    counts = column.drop_nulls().value_counts(sort=True, name="n")
    return {str(name): (column == name).fill_null(value=False).arg_true().to_numpy() for name in counts["segment"]}


def _only(scores: Scores, requests: npt.NDArray[np.intp]) -> Scores:
    """The scores of some of the requests."""
    inside = np.isin(scores.requests, requests)
    left_out = len(requests) - int(inside.sum())
    return Scores({name: one[inside] for name, one in scores.values.items()}, scores.requests[inside], left_out)
