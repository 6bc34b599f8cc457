"""A shop's files made canonical: every row is kept, or set aside with the reason.

Nothing is repaired in silence. A row that cannot be used (no id, no shopper, a
time that is none) goes to quarantine whole; a cell that cannot be used (a price of
"n/a") goes there alone, and its item stays with that cell unknown.
"""

from __future__ import annotations

import html
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from vetrina.catalogue.cells import booleans, clean, epoch_seconds, listed, numbers, plain_ids
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.media import read_media
from vetrina.catalogue.tables import ROW, Table, read_table
from vetrina.core.errors import DataError, TooManyBadRows
from vetrina.core.items import CATEGORY_SEPARATOR, ITEM_COLUMNS
from vetrina.core.log import DAY, EVENT_COLUMNS, EventKind
from vetrina.core.progress import Progress, Silent

__all__ = ["Ingested", "events_from_table", "items_from_table", "read_events", "read_items"]

# No price or quantity is larger, and nothing that is computed of them leaves 32 bits; of other numbers, the same.
_LARGEST, _LARGEST_NUMBER = 1e12, 1e15

# Clocks differ, and some shops write local time; what is dated later than this has not happened.
_AHEAD = DAY

# Events before a pause of this many days, no more than one in a hundred, are more likely misdated than early.
_LONE_DAYS = 365

_TAG = r"</?[A-Za-z][^<>]*>|<!--.*?-->"


@dataclass(frozen=True)
class Ingested:
    """A canonical table and what was set aside on the way.

    Attributes
    ----------
    table : DataFrame
        Items (:data:`~vetrina.core.items.ITEM_COLUMNS`, then attributes) or
        events (:data:`~vetrina.core.log.EVENT_COLUMNS`, in order of time).
    quarantine : DataFrame
        :data:`~vetrina.catalogue.tables.QUARANTINE_COLUMNS`, in order of row.
    notes : sequence of str
        What a person should know.
    n_rows : int
        Rows of the file, kept or not.
    """

    table: pl.DataFrame
    quarantine: pl.DataFrame
    notes: Sequence[str] = ()
    n_rows: int = 0


def read_items(mapping: ItemMapping, root: Path, progress: Progress | None = None) -> Ingested:
    r"""Read the file of items that ``mapping`` names.

    Parameters
    ----------
    mapping : ItemMapping
    root : Path
        The shop's folder, from which ``file`` and ``photos`` are found.
    progress : Progress, optional

    Returns
    -------
    Ingested
        Photos, sound and video are paths seen from ``root``, of such files as can be read.

    Raises
    ------
    MissingFile, MissingColumn
        The message names the nearest one.
    TooManyBadRows
        When more than ``max_bad_share`` of the rows have something in quarantine (media aside).
    DataError
        When no item is left.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> _ = (root / "p.csv").write_text("sku,name,price\n1,Red shoe,9.50\n2,Blue shoe,n/a\n")
    >>> mapping = ItemMapping(file="p.csv", item="sku", title="name", price="price", max_bad_share=0.5)
    >>> read = read_items(mapping, root)
    >>> read.table.select("item", "title", "price").rows()
    [('1', 'Red shoe', 9.5), ('2', 'Blue shoe', None)]
    >>> read.quarantine.row(0)
    ('p.csv', 3, 'price', 'n/a', 'not a number')
    """
    shown = progress or Silent()
    with shown.step(f"read {mapping.file}"):
        table = read_table(root / mapping.file, mapping.columns, encoding=mapping.encoding)
    return items_from_table(table, mapping, root, shown)


def items_from_table(table: Table, mapping: ItemMapping, root: Path, progress: Progress | None = None) -> Ingested:
    """The same as :func:`read_items`, of a table that is read already."""
    shown = progress or Silent()
    frame = table.frame.with_columns(clean(column) for column in mapping.columns)
    ids, shortened = plain_ids(frame[mapping.item])
    frame = frame.with_columns(ids.alias("__id"))
    notes = list(table.notes)
    if shortened:
        notes.append(f"{table.name}: ids in {mapping.item!r} end in .0 throughout; it was taken off.")
    found = _Findings(table)
    id_ = pl.col("__id")
    frame = found.drop_rows(
        frame,
        [
            (id_.is_null(), mapping.item, "the item has no id"),
            (~id_.is_first_distinct(), mapping.item, "the id was used in an earlier row; the first is kept"),
        ],
    )
    columns: dict[str, pl.Series] = {"item": frame["__id"]}
    for name in ("title", "description", "brand", "colour"):
        source = getattr(mapping, name)
        columns[name] = listed(frame[source], ", ") if source else _constant(frame, "")
    for name in ("title", "description"):
        columns[name], has_html = _without_html(columns[name])
        if has_html:
            notes.append(f"{table.name}: {getattr(mapping, name)!r} holds HTML, of which only the text is kept.")
    columns["category"] = _category(frame, mapping.category)
    columns["price"] = _price(found, frame, mapping.price, mapping.price_divisor)
    columns["in_stock"] = _constant(frame, value=True)
    if mapping.in_stock:
        known = booleans(frame[mapping.in_stock])
        found.cells(frame, mapping.in_stock, known.is_null(), "neither yes nor no nor a number; taken as in stock")
        columns["in_stock"] = known.fill_null(value=True)
    columns["available_at"] = _constant(frame, None)
    if mapping.available_at:
        seconds, reason = epoch_seconds(frame[mapping.available_at], mapping.time_format)
        found.cells(frame, mapping.available_at, reason.is_not_null(), reason)
        columns["available_at"] = seconds
    media, bad_media, media_notes = read_media(frame, mapping, root, table.name, shown)
    columns |= media
    notes += media_notes
    for name in mapping.attributes:
        columns[name] = listed(frame[name], ", ")
    for name in mapping.numbers:
        columns[name] = _numeric(found, frame, name)
    items = pl.DataFrame(
        {name: columns[name].alias(name) for name in (*ITEM_COLUMNS, *mapping.attributes, *mapping.numbers)}
    )
    items = items.cast(ITEM_COLUMNS)  # type: ignore[arg-type]  # the stubs leave out DataType instances by name
    found.check_share(mapping.max_bad_share, "[items]")
    if not items.height:
        raise DataError(f"{table.name}: holds no item. A row for each item was expected after the header.")
    return Ingested(items, _tell(found, bad_media, items.height, "items", shown), notes, table.n_rows)


def read_events(
    mapping: EventMapping,
    root: Path,
    items: pl.DataFrame,
    pseudonym: Callable[[pl.Series], pl.Series],
    progress: Progress | None = None,
) -> Ingested:
    """Read the file of events that ``mapping`` names.

    Parameters
    ----------
    mapping : EventMapping
    root : Path
        The shop's folder.
    items : DataFrame
        The canonical items; an event on another item is set aside.
    pseudonym : callable
        Turns the column of shoppers into pseudonyms; their own ids are stored nowhere, quarantine included.
    progress : Progress, optional

    Raises
    ------
    MissingFile, MissingColumn, TooManyBadRows
        As :func:`read_items`. A file without events is not an error: a shop may be new.
    """
    shown = progress or Silent()
    with shown.step(f"read {mapping.file}"):
        table = read_table(root / mapping.file, mapping.columns, encoding=mapping.encoding)
    return events_from_table(table, mapping, items, pseudonym, shown)


def events_from_table(
    table: Table,
    mapping: EventMapping,
    items: pl.DataFrame,
    pseudonym: Callable[[pl.Series], pl.Series],
    progress: Progress | None = None,
) -> Ingested:
    """The same as :func:`read_events`, of a table that is read already."""
    shown = progress or Silent()
    # A line that could not be split still holds a shopper's id somewhere: only its place is kept.
    table = Table(table.name, table.frame, table.columns, table.quarantine.with_columns(value=pl.lit("")), table.notes)
    found = _Findings(table)
    notes = list(table.notes)
    frame = table.frame.with_columns(clean(column) for column in mapping.columns)
    parsed: dict[str, pl.Series] = {}
    for name in ("item", "shopper", "request"):
        source = getattr(mapping, name)
        ids, shortened = plain_ids(frame[source]) if source else (_constant(frame, None), False)
        parsed[name] = ids.cast(pl.String)
        if shortened:
            notes.append(f"{table.name}: ids in {source!r} end in .0 throughout; it was taken off.")
    parsed["time"], parsed["why"] = epoch_seconds(frame[mapping.time], mapping.time_format)
    parsed["kind"] = _kinds(frame, mapping)
    for name in ("price", "quantity", "rating", "position", "propensity"):
        source = getattr(mapping, name)
        parsed[name] = numbers(frame[source]) if source else _constant(frame, None).cast(pl.Float64)
    parsed["price"] = parsed["price"] / mapping.price_divisor
    frame = frame.with_columns(series.alias(f"__{name}") for name, series in parsed.items())
    frame = found.drop_rows(frame, _event_rules(mapping, items))
    for name, low, high in (("price", 0, _LARGEST), ("position", 1, 2**31 - 1), ("propensity", 0, 1)):
        source = getattr(mapping, name)
        if source:
            values = frame[f"__{name}"]
            good = (values > 0) & values.is_between(low, high)
            found.cells(frame, source, ~good.fill_null(value=False), f"not a number above zero and up to {high:g}")
            frame = frame.with_columns(pl.when(good).then(pl.col(f"__{name}")).alias(f"__{name}"))
    events = frame.select(
        time="__time",
        shopper=pseudonym(frame["__shopper"]),
        kind="__kind",
        item="__item",
        query=pl.col(mapping.query) if mapping.query else pl.lit(None, pl.String),
        request="__request",
        position=pl.col("__position").round().cast(pl.Int32, strict=False),
        price="__price",
        quantity="__quantity",
        rating="__rating",
        propensity="__propensity",
    ).cast(EVENT_COLUMNS)  # type: ignore[arg-type]  # as above
    events = events.sort("time", maintain_order=True)
    found.check_share(mapping.max_bad_share, "[events]")
    notes += _lone(events["time"], table.name)
    return Ingested(events, _tell(found, table.quarantine.clear(), events.height, "events", shown), notes, table.n_rows)


Rule = tuple[pl.Expr, str, str | pl.Expr]


def _event_rules(mapping: EventMapping, items: pl.DataFrame) -> list[Rule]:
    """What makes an event unusable: (expression that is true of it, column, reason), the first that holds is told."""
    kind = pl.col("__kind")
    item = pl.col("__item")
    known = item.is_in(items["item"].implode())
    words = ", ".join(one.name for one in EventKind)
    rating = pl.col("__rating")
    low, high = mapping.rating_min, mapping.rating_max
    latest = int(clock.time()) + _AHEAD
    today = datetime.fromtimestamp(latest - _AHEAD, UTC).date()
    rules: list[Rule] = [
        (pl.col(mapping.time).is_null(), mapping.time, "the event has no time"),
        (pl.col("__time").is_null(), mapping.time, pl.col("__why")),
        (pl.col("__time") > latest, mapping.time, f"the event is dated in the future, seen from {today}"),
        (pl.col("__shopper").is_null(), mapping.shopper, "the event has no shopper"),
        (
            kind.is_null(),
            mapping.kind,
            f"no kind of event; known: {words}. Say what the word means under [events] kinds",
        ),
        (item.is_null() & (kind != "search"), mapping.item, "the event names no item"),
        (item.is_not_null() & ~known, mapping.item, "the catalogue has no such item"),
    ]
    if mapping.quantity:
        above = (pl.col("__quantity") > 0).fill_null(value=False)
        bad = pl.col(mapping.quantity).is_not_null() & ~above
        rules.append((bad, mapping.quantity, "the quantity is not above zero"))
        rules.append((pl.col("__quantity") > _LARGEST, mapping.quantity, f"the quantity is above {_LARGEST:g}"))
    if mapping.price:
        above = (pl.col("__price") > 0).fill_null(value=False)
        bought = kind == "purchase"
        bad = pl.col(mapping.price).is_not_null() & ~above & bought
        rules.append((bad, mapping.price, "the price of a purchase is not above zero"))
        large = (pl.col("__price") > _LARGEST) & bought
        rules.append((large, mapping.price, f"the price of a purchase is above {_LARGEST:g}"))
    if mapping.rating:
        given = pl.col(mapping.rating).is_not_null()
        rules.append((~given & (kind == "rate"), mapping.rating, "a rating without a number"))
        inside = rating.is_between(low, high).fill_null(value=False)
        rules.append((given & ~inside, mapping.rating, f"the rating is not between {low:g} and {high:g}"))
    return rules


def _lone(times: pl.Series, name: str) -> list[str]:
    """A note on the few events that are far older than all others; ``times`` ascend."""
    few = len(times) // 100
    if not few:
        return []
    gaps = times.head(few + 1).diff().drop_nulls()
    after = int(gaps.arg_max() or 0) + 1
    gap, rest = int(gaps[after - 1]), int(times[-1]) - int(times[after])
    if gap < _LONE_DAYS * DAY or gap < rest:
        return []
    first, then = (datetime.fromtimestamp(int(times[place]), UTC).date() for place in (0, after))
    said = "1 event is" if after == 1 else f"{after:,} events are"
    return [
        f"{name}: {said} dated long before all others (the first {first}, the others from {then} on). "
        "The log is taken to begin with it; strike it out where the date is wrong."
    ]


class _Findings:
    """Gathers what is set aside of one table."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.parts: list[pl.DataFrame] = [table.quarantine]

    def drop_rows(self, frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
        """The rows of which no rule is true; the others are set aside by the first that is."""
        broken = [pl.when(test).then(pl.lit(number)) for number, (test, _, _) in enumerate(rules)]
        frame = frame.with_columns(pl.coalesce(broken).alias("__rule"))
        for number, (_, column, reason) in enumerate(rules):
            rows = frame.filter(pl.col("__rule") == number)
            if rows.height:
                self._add(rows, column, reason)
        return frame.filter(pl.col("__rule").is_null()).drop("__rule")

    def cells(self, frame: pl.DataFrame, column: str, bad: pl.Series, reason: str | pl.Series) -> None:
        """Set aside the non-empty cells of ``column`` where ``bad``; their rows stay."""
        told = reason if isinstance(reason, pl.Series) else pl.lit(reason)
        rows = frame.with_columns(told.alias("__reason")).filter(bad & frame[column].is_not_null())
        if rows.height:
            self._add(rows, column, pl.col("__reason"))

    def _add(self, rows: pl.DataFrame, column: str, reason: str | pl.Expr) -> None:
        self.parts.append(
            rows.select(
                file=pl.lit(self.table.name),
                row=pl.col(ROW),
                column=pl.lit(column),
                value=(pl.col(column).fill_null("") if column else pl.lit("")).str.slice(0, 200),
                reason=pl.lit(reason) if isinstance(reason, str) else reason,
            )
        )

    def quarantine(self) -> pl.DataFrame:
        """Everything set aside, in order of row."""
        return pl.concat(self.parts).sort("row", maintain_order=True)

    def check_share(self, allowed: float, section: str) -> None:
        """Raise :class:`TooManyBadRows` when more than ``allowed`` of the rows have something set aside."""
        found = self.quarantine()
        total = self.table.n_rows
        bad = found["row"].n_unique()
        if not total or bad <= allowed * total:
            return
        common = (
            found.group_by("column", "reason", maintain_order=True)
            .agg(pl.len().alias("count"), pl.col("row").first(), pl.col("value").first())
            .sort("count", descending=True, maintain_order=True)
            .head(3)
        )
        examples = "; ".join(
            f"{one['count']:,} × {one['reason']} (row {one['row']}"
            + (f", {one['column']} = {one['value'][:60]!r})" if one["column"] else ")")
            for one in common.to_dicts()
        )
        raise TooManyBadRows(
            f"{self.table.name}: {bad:,} of {total:,} rows ({bad / total:.0%}) cannot be used as they are, "
            f"more than max_bad_share = {allowed:g}. Commonest: {examples}. "
            f"Mend the file or the mapping in {section}, or raise its max_bad_share."
        )


def _tell(found: _Findings, more: pl.DataFrame, kept: int, what: str, shown: Progress) -> pl.DataFrame:
    """The whole quarantine; what became of the rows is noted (the caller has the other notes to show)."""
    quarantine = pl.concat([found.quarantine(), more]).sort("row", maintain_order=True)
    total = found.table.n_rows
    said = f"{found.table.name}: {total:,} {'row' if total == 1 else 'rows'}, {kept:,} {what} kept"
    aside = total - kept
    cells = quarantine.height - aside
    if aside:
        said += f", {aside:,} {'row' if aside == 1 else 'rows'} set aside"
    if cells:
        said += f"; {cells:,} {'cell' if cells == 1 else 'cells'} of those kept cannot be used"
    shown.note(said)
    return quarantine


def _constant(frame: pl.DataFrame, value: str | bool | None) -> pl.Series:
    return pl.select(pl.repeat(value, frame.height)).to_series()


def _without_html(texts: pl.Series) -> tuple[pl.Series, bool]:
    """Texts without tags and with entities as the letters they stand for: (texts, whether there were any)."""
    marked = texts.str.contains(_TAG)
    if not marked.any():
        return texts, False
    plain = texts.filter(marked).str.replace_all(_TAG, " ").to_list()
    plain = [" ".join(html.unescape(text).split()) for text in plain]
    return texts.scatter(marked.arg_true(), plain), True


def _category(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Paths of levels, of which those without a name are left out."""
    if not columns:
        return _constant(frame, "")
    levels = [
        listed(frame[column], CATEGORY_SEPARATOR)
        .str.replace_all(r"\s*>[\s>]*", CATEGORY_SEPARATOR)
        .str.strip_chars(CATEGORY_SEPARATOR)
        .alias(str(place))
        for place, column in enumerate(columns)
    ]
    table = pl.DataFrame(levels)
    present = [pl.when(pl.col(level.name) != "").then(pl.col(level.name)) for level in levels]
    return table.select(
        pl.concat_str(present, separator=CATEGORY_SEPARATOR, ignore_nulls=True).fill_null("")
    ).to_series()


def _price(found: _Findings, frame: pl.DataFrame, column: str, divisor: float) -> pl.Series:
    """Prices; unreadable ones are set aside and unknown, and so is zero, which in a list of prices means none."""
    if not column:
        return _constant(frame, None).cast(pl.Float64)
    price = numbers(frame[column]) / divisor
    low, high = ((price <= 0).fill_null(value=False), (price > _LARGEST).fill_null(value=False))
    found.cells(frame, column, price.is_null(), "not a number")
    found.cells(frame, column, low, "a price must be above zero; taken as unknown")
    found.cells(frame, column, high, f"a price above {_LARGEST:g}; taken as unknown")
    return price.set(low | high, None)


def _numeric(found: _Findings, frame: pl.DataFrame, column: str) -> pl.Series:
    values = numbers(frame[column])
    found.cells(frame, column, values.is_null(), "not a number")
    large = (values.abs() > _LARGEST_NUMBER).fill_null(value=False)
    found.cells(frame, column, large, f"a number beyond {_LARGEST_NUMBER:g}; taken as unknown")
    return values.set(large, None)


def _kinds(frame: pl.DataFrame, mapping: EventMapping) -> pl.Series:
    """Names of :class:`EventKind`; null where the file's word means none."""
    if mapping.constant_kind:
        return _constant(frame, mapping.constant_kind)
    ours = {kind.name: kind.name for kind in EventKind}
    words = {**ours, **{word.strip().lower(): kind for word, kind in mapping.kinds.items()}}
    return frame[mapping.kind].str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.String)
