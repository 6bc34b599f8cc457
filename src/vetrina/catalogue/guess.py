"""A first mapping, guessed from the names and values of a file's columns, for a person to correct."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from vetrina.catalogue.cells import booleans, column_words, epoch_seconds, numbers
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import ROW, Table
from vetrina.core.errors import DataError
from vetrina.core.items import ITEM_COLUMNS
from vetrina.core.log import EventKind

__all__ = ["column_called", "guess_event_mapping", "guess_item_mapping"]

_COLUMNS_OF_ONE_CATEGORY = 4
_A = {"rate": "rating"}


def guess_item_mapping(table: Table, photos: str = "") -> tuple[ItemMapping, list[str]]:
    """A mapping for a file of items, and what is unsure about it.

    Parameters
    ----------
    table : Table
        The file, or its first rows (``read_table(path, n_rows=5000)``).
    photos : str
        The folder of photos, when there is one.

    Returns
    -------
    mapping : ItemMapping
    notes : list of str
        Sentences for a person to check.

    Raises
    ------
    DataError
        When no column could be the id.

    Examples
    --------
    >>> frame = pl.DataFrame({"StockCode": ["a", "b"], "Name": ["Red cup", "Blue cup"], "UnitPrice": ["1.5", "2"]})
    >>> mapping, notes = guess_item_mapping(Table("cups.csv", frame.with_columns(pl.lit(0).alias(ROW)), frame.columns))
    >>> mapping.item, mapping.title, mapping.price
    ('StockCode', 'Name', 'UnitPrice')
    """
    if not table.frame.height:
        raise DataError(f"{table.name}: holds no item. A row for each item was expected after the header.")
    pick = _Picker(table)
    item = pick.one("item", test=_mostly_distinct)
    if not item:
        distinct = [column for column in pick.left if _mostly_distinct(pick.cells(column))]
        if not distinct:
            raise DataError(
                f"{table.name}: no column looks like an item's id, each value once. "
                f"Call the column that holds it 'item' in the file. Columns: {', '.join(table.columns[:30])}."
            )
        item = distinct[0]
        pick.left.remove(item)
        pick.notes.append(
            f"No column is called like an item's id; {item!r} is taken, because its values are all different."
        )
    found = {
        "title": pick.one("title", test=_has_words),
        "description": pick.one("description", test=_has_words),
        "brand": pick.one("brand"),
        "colour": pick.one("colour"),
        "price": pick.one("price", test=_numeric),
        "in_stock": pick.one("in_stock", test=_yes_or_no),
        "available_at": pick.one("available_at", test=_is_time),
        "photo": pick.one("photo", test=_names_photo),
        "more_photos": pick.one("more_photos", test=_names_photo),
        "audio": pick.one("audio", test=_names_sound),
        "video": pick.one("video", test=_names_video),
    }
    category = pick.many("category")
    if not found["title"] and found["description"]:
        found["title"], found["description"] = found["description"], ""
        pick.notes.append(f"No column is called like a title; {found['title']!r} is taken as one.")
    if not found["title"]:
        pick.notes.append("No column looks like a title; items will be found by their other columns only.")
    empty = table.frame.height - len(pick.cells(found["title"])) if found["title"] else 0
    if empty > 0.05 * table.frame.height:
        pick.notes.append(
            f"{found['title']!r} is empty in {empty:,} of the first {table.frame.height:,} rows. Where a product has "
            "several rows, as one for each size, take as item the column that they share, and set max_bad_share = 1: "
            "the first row of each is kept."
        )
    if len(category) > 1:
        pick.notes.append(f"The category is put together from {_and(category)}, the widest first; check their order.")
    # One column of all photos: the first of a cell is the photo.
    found["photo"] = found["photo"] or found["more_photos"]
    if found["photo"] and not found["more_photos"] and _several(pick.cells(found["photo"])):
        found["more_photos"] = found["photo"]
    for column in dict.fromkeys(one for one in (found["photo"], found["more_photos"]) if one and not photos):
        pick.notes.append(f"{column!r} looks like the names of photos; say under photos in which folder they are.")
    for kind in ("audio", "video"):
        if found[kind]:
            said = f"{found[kind]!r} looks like the names of {kind} files; say under media in which folder they are."
            pick.notes.append(said)
    options: dict[str, Any] = {key: value for key, value in found.items() if value}
    if found["price"] and _like_cents(pick.cells(found["price"])):
        pick.notes.append(
            f"All prices in {found['price']!r} are whole and large: if they are cents, set price_divisor = 100."
        )
    texts, figures, dropped = _attributes(pick)
    if texts or figures:
        pick.notes.append(
            f"{_and([*texts, *figures])} kept as attributes, for filters; strike out what you do not need."
        )
    if dropped:
        pick.notes.append(f"Not stored: {_and(dropped)}. Add them to attributes or numbers to keep them.")
    options |= {"file": table.name, "item": item, "category": category, "photos": photos}
    mapping = ItemMapping.parse({**options, "attributes": texts, "numbers": figures}, "items")
    return mapping, [*table.notes, *pick.notes]


def guess_event_mapping(table: Table, items: pl.DataFrame | None = None) -> tuple[EventMapping, list[str]]:
    """A mapping for a file of events, and what is unsure about it.

    Parameters
    ----------
    table : Table
        The file, or its first rows.
    items : DataFrame, optional
        The canonical items: the column whose values are their ids is then known for sure.

    Raises
    ------
    DataError
        When no column could be the time, the shopper or the item.
    """
    pick = _Picker(table)
    item = ""
    if items is not None:
        item = pick.ids_of(items["item"])
    item = item or pick.one("item")
    time = pick.one("time", test=_is_time) or next((one for one in pick.left if _is_time(pick.cells(one))), "")
    if time in pick.left:
        pick.left.remove(time)
    shopper = pick.one("shopper")
    for what, column in (("item", item), ("time", time), ("shopper", shopper)):
        if not column:
            raise DataError(
                f"{table.name}: no column looks like the {what} of an event. "
                f"Call the column that holds it {what!r} in the file; or make the shop without events, and name "
                f"their columns under [events] in its shop.toml. Columns: {', '.join(table.columns[:30])}."
            )
    if not table.frame.height:
        pick.notes.append(f"{table.name} has no rows yet: its columns are told by their names alone.")
    kind = pick.one("kind", test=_few_values)
    found = {
        "query": pick.one("query"),
        "request": pick.one("request"),
        "position": pick.one("position", test=_numeric),
        "propensity": pick.one("propensity", test=_numeric),
        "price": pick.one("price", test=_numeric),
        "quantity": pick.one("quantity", test=_numeric),
        "rating": pick.one("rating", test=_numeric),
    }
    options: dict[str, Any] = {key: value for key, value in found.items() if value}
    if kind:
        options["kind"] = kind
        options["kinds"] = pick.kinds(kind)
    else:
        constant = "purchase" if found["quantity"] or found["price"] else "rate" if found["rating"] else "view"
        options["constant_kind"] = constant
        pick.notes.append(f"No column says what happened; every row is taken as a {_A.get(constant, constant)}.")
    if found["rating"]:
        low, high = _rating_range(pick.cells(found["rating"]))
        options |= {"rating_min": low, "rating_max": high}
        pick.notes.append(f"Ratings are taken to run from {low:g} to {high:g}.")
    time_format = _day_first(pick.cells(time))
    if time_format:
        options["time_format"] = time_format
        pick.notes.append(f"Times in {time!r} are read as {time_format}; check that day and month are not exchanged.")
    if pick.left:
        pick.notes.append(f"Not stored: {_and(pick.left)}.")
    mapping = EventMapping.parse(
        {"file": table.name, "time": time, "shopper": shopper, "item": item, **options}, "events"
    )
    return mapping, [*table.notes, *pick.notes]


class _Picker:
    """Hands out columns, each once, and gathers what was unsure."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.left = [column for column in table.frame.columns if column != ROW]
        self.notes: list[str] = []

    def cells(self, column: str) -> pl.Series:
        """Non-empty cells of a column."""
        return self.table.frame[column].drop_nulls()

    def _candidates(self, what: str) -> list[str]:
        order = {word: place for place, word in enumerate(_called()[what])}
        named = {column: _known_name(column) for column in self.left}
        return sorted((one for one in self.left if named[one] in order), key=lambda one: order[named[one]])

    def ids_of(self, items: pl.Series) -> str:
        """The column whose values are ids of ``items``; "" when there is none.

        Customers may be numbered as products are: of columns that fit about as well, the one that is called
        like an item is taken, and one that is called like something else only when there is no other.
        """
        shares = {column: _share(self.cells(column).is_in(items.implode())) for column in self.left}
        most = max(shares.values(), default=0.0)
        fit = [column for column in self.left if shares[column] > 0.5 and shares[column] >= most - 0.1]
        if not fit:
            return ""
        named = [column for column in self._candidates("item") if column in fit]
        others = {column for what in _called() if what != "item" for column in self._candidates(what)}
        free = [column for column in fit if column not in others] or fit
        best = named[0] if named else max(free, key=lambda column: shares[column])
        self.left.remove(best)
        return best

    def one(self, what: str, test: Callable[[pl.Series], bool] | None = None) -> str:
        """The surest column for ``what``, "" when there is none."""
        candidates = self._candidates(what)
        rows = self.table.frame.height
        fit = [one for one in candidates if test is None or not rows or test(self.cells(one))]
        for refused in [one for one in candidates if one not in fit and len(self.cells(one))][:1]:
            if not fit:
                such = f"such as {self.cells(refused)[0][:40]!r}"
                self.notes.append(f"{refused!r} is called like {what}, but its values, {such}, are not; left out.")
        if not fit:
            return ""
        if len(fit) > 1:
            self.notes.append(f"{fit[0]!r} is taken as {what}; {_and(fit[1:])} could be it as well.")
        self.left.remove(fit[0])
        return fit[0]

    def many(self, what: str) -> list[str]:
        """The columns of a category path, the one with the fewest values first."""
        chosen = [one for one in self._candidates(what) if len(self.cells(one))][:_COLUMNS_OF_ONE_CATEGORY]
        self.left = [one for one in self.left if one not in chosen]
        return sorted(chosen, key=lambda one: self.cells(one).n_unique())

    def kinds(self, column: str) -> dict[str, str]:
        """Our kind of event for each of the file's words."""
        ours = {kind.name for kind in EventKind}
        known = {word: kind for kind, words in column_words()["kinds"].items() for word in words.split()}
        values = self.cells(column).unique().sort().to_list()
        kinds = {value: known[_plain(value)] for value in values if _plain(value) in known and value not in ours}
        unknown = [value for value in values if value not in kinds and value not in ours]
        if kinds:
            pairs = _and([f"{word!r} as {kind}" for word, kind in kinds.items()])
            self.notes.append(f"In {column!r}, {pairs} are understood.")
        if unknown:
            self.notes.append(
                f"In {column!r}, {_and([repr(one) for one in unknown])} mean nothing known, and their rows will be "
                "set aside; say under kinds what they are."
            )
        return kinds


@cache
def _called() -> dict[str, dict[str, None]]:
    """For each meaning the names of columns that have it, the surest first."""
    return {what: dict.fromkeys(names.split()) for what, names in column_words()["columns"].items()}


def _plain(name: str) -> str:
    """A name for comparing: lower case, letters and digits only, a type after a colon taken off."""
    return re.sub(r"[\W_]+", "", name.partition(":")[0].casefold())


def _known_name(column: str) -> str:
    """A column's name for comparing; of a field inside an object the whole path where that means something.

    ``user.id`` is a user's id; ``fields.title`` is a title.
    """
    whole = _plain(column)
    return whole if any(whole in names for names in _called().values()) else _plain(column.rpartition(".")[2])


def column_called(columns: Sequence[str], *meanings: str) -> str:
    """The column that is called like the first of ``meanings``, or like the next; "" where none is.

    Meanings are those of ``column_words.toml``; of several names the surest counts.

    Examples
    --------
    >>> column_called(["Query", "DocID", "Score"], "item"), column_called(["Query", "DocID"], "request", "query")
    ('DocID', 'Query')
    """
    words = column_words()
    plain = {_plain(column): column for column in reversed(columns)}
    for meaning in meanings:
        for word in f"{words['lists'].get(meaning, '')} {words['columns'].get(meaning, '')}".split():
            if word in plain:
                return plain[word]
    return ""


def _and(names: Sequence[str]) -> str:
    shown = [*names[:12], f"{len(names) - 12} more"] if len(names) > 13 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _share(flags: pl.Series) -> float:
    return float(flags.sum()) / len(flags) if len(flags) else 0.0


def _mostly_distinct(cells: pl.Series) -> bool:
    return len(cells) > 0 and cells.n_unique() >= 0.9 * len(cells)


def _has_words(cells: pl.Series) -> bool:
    return _share(cells.str.contains(r"\p{L}{2}|\p{Han}|\p{Hangul}")) > 0.5


def _numeric(cells: pl.Series) -> bool:
    return _share(numbers(cells).is_not_null()) > 0.8


def _yes_or_no(cells: pl.Series) -> bool:
    return _share(booleans(cells).is_not_null()) > 0.8


def _is_time(cells: pl.Series) -> bool:
    read = epoch_seconds(cells)[0]
    return _share(read.is_not_null()) > 0.8 or bool(_day_first(cells))


def _names_photo(cells: pl.Series) -> bool:
    return _ends(cells, "jpe?g|png|webp|gif|avif|bmp|tiff?")


def _names_sound(cells: pl.Series) -> bool:
    return _ends(cells, "mp3|wav|flac|ogg|oga|opus|m4a|aac|aiff?|wma|amr|weba")


def _names_video(cells: pl.Series) -> bool:
    return _ends(cells, "mp4|m4v|webm|mov|mkv|avi|wmv|mpe?g|ogv|3gp|flv|ts")


def _ends(cells: pl.Series, endings: str) -> bool:
    """Whether most cells end in one of some endings, be it of a file, of an address or of the last of a list."""
    return _share(cells.str.contains(rf'(?i)\.({endings})(\?[^,|;]*)?["\]\s]*$')) > 0.5


def _several(cells: pl.Series) -> bool:
    """Whether some cells hold several names of files, each with an ending."""
    return _share(cells.str.contains(r'(?i)\.\w{3,4}"?\s*[|;,\n]\s*"?\S.*\.\w{3,4}["\]\s]*$')) > 0.05


def _few_values(cells: pl.Series) -> bool:
    return 0 < cells.n_unique() <= 30


def _like_cents(cells: pl.Series) -> bool:
    """Whole numbers throughout that end in 5, 9 or 0 as cents do, with a middle one of some hundreds."""
    price = numbers(cells).drop_nulls()
    whole = len(price) > 0 and bool((price == price.round()).all())
    # "39.00" is a price in whole units, written with its cents.
    return whole and float(np.median(price.to_numpy())) >= 200 and not cells.str.contains(r"[.,]\d\d\D*$").any()


def _rating_range(cells: pl.Series) -> tuple[float, float]:
    """The usual scale that holds the values, but for one in a hundred: 0 or 1 to 5, 10 or 100."""
    values = numbers(cells).drop_nulls()
    least, most = (float(values.quantile(share, "nearest") or 0) for share in (0.01, 0.99))
    high = next((top for top in (5.0, 10.0, 100.0) if most <= top), most)
    return (1.0 if least >= 1 else min(0.0, least)), high


def _day_first(cells: pl.Series) -> str:
    """The pattern of dates such as 12/1/2010 8:26 or 31.12.2010, "" when they are not of that form."""
    parts = cells.str.extract_groups(
        r"^(\d{1,2})([/.-])(\d{1,2})[/.-]\d{4}(?:([ T])\d{1,2}:\d{2}(:\d{2})?)?"
    ).struct.unnest()
    if not len(cells) or _share(parts["1"].is_not_null()) <= 0.8:
        return ""
    parts = parts.drop_nulls("1")
    first, second = parts["1"].cast(pl.Int64), parts["3"].cast(pl.Int64)
    mark = parts["2"][0]
    # Where no value decides it: dots are written day first, slashes as in the United States.
    day_first = bool((first > 12).any()) or (mark != "/" and not bool((second > 12).any()))
    date = f"%d{mark}%m{mark}%Y" if day_first else f"%m{mark}%d{mark}%Y"
    if parts["4"][0] is None:
        return date
    return f"{date}{parts['4'][0]}%H:%M" + (":%S" if parts["5"][0] is not None else "")


def _attributes(pick: _Picker) -> tuple[list[str], list[str], list[str]]:
    """(text columns good for filters, number columns, what is not stored): well filled, values that repeat."""
    texts: list[str] = []
    figures: list[str] = []
    dropped: list[str] = []
    height = max(pick.table.frame.height, 1)
    for column in pick.left:
        cells = pick.cells(column)
        # A column that is called like a canonical one, but is not that, cannot be kept under its name.
        filled = len(cells) / height >= 0.2 and column not in ITEM_COLUMNS
        if filled and _numeric(cells) and not cells.str.contains(r"^0\d").any():
            figures.append(column)
        elif filled and 1 < cells.n_unique() <= max(50, len(cells) // 20):
            texts.append(column)
        else:
            dropped.append(column)
    return texts, figures, dropped
