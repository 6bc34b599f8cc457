"""A new shop folder: shop.toml written from a guess over the files, or from tables that are canonical already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from vetrina.catalogue.guess import guess_event_mapping, guess_item_mapping
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import ROW, Table, find_file, read_table
from vetrina.core import EVENT_COLUMNS, ITEM_COLUMNS
from vetrina.core.errors import ConfigError, DataError, MissingFile
from vetrina.engine.config import RankConfig, ShopConfig, ShopSection
from vetrina.engine.places import find_media, find_photos
from vetrina.engine.shop_toml import shop_toml

__all__ = ["create_from_tables", "create_shop"]

# Enough to tell what a column holds, and read in a moment.
_GUESS_ROWS = 5000
_SIGN = "([$£€¥￥₹₽₩₺])"


def create_shop(
    root: Path,
    *,
    items_file: Path,
    events_file: Path | None = None,
    photos: Path | None = None,
    media: Path | None = None,
    name: str = "",
    encoding: str = "auto",
    force: bool = False,
) -> list[str]:
    r"""Make a shop folder for files of the shop's own; the files stay where they are.

    Parameters
    ----------
    root : Path
        The folder to make; one that is there may hold anything but a shop.
    items_file : Path
        CSV, TSV, JSON Lines or Parquet, also ``.gz`` or ``.zst``.
    events_file : Path, optional
    photos, media : Path, optional
        Folders of photos, and of sound and video.
    name : str
        Of the shop; made from the folder's name when empty.
    encoding : str
        How the letters of both files are encoded; "auto" finds out.
    force : bool
        Write shop.toml anew when there is one. Data and snapshots stay.

    Returns
    -------
    list of str
        What the guess was unsure of; shop.toml holds the same as comments.

    Raises
    ------
    ConfigError
        When the folder is a shop already and ``force`` is not set.
    MissingFile, DataError
        When a file is not there, or no column of it can be the id (of an event: time, shopper, item).

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "products.csv").write_text("sku,name,price\n1,Red shoe,9.50\n2,Blue hat,7.25\n")
    >>> create_shop(folder / "myshop", items_file=folder / "products.csv")
    []
    >>> print((folder / "myshop" / "shop.toml").read_text().partition("[items]")[2].splitlines()[1])
    file = "../products.csv"  # CSV, TSV, JSON Lines or Parquet, also .gz or .zst
    """
    _refuse(root, force)
    items_path = find_file(items_file)
    for folder, what in ((photos, "photos"), (media, "sound or video")):
        if folder is not None and not folder.is_dir():
            raise MissingFile(f"{folder} is not a folder of {what}. Name the folder that holds them.")
    table = read_table(items_path, encoding=encoding, n_rows=_GUESS_ROWS)
    mapping, item_notes = guess_item_mapping(table, "photos" if photos is not None else "")
    options = {"file": _seen_from(root, items_path), "encoding": encoding}
    for key, found in (
        ("photos", find_photos(mapping, table, photos, items_path.parent)),
        ("media", find_media(mapping, table, media, items_path.parent)),
    ):
        place, names, notes = found
        options |= {**names, key: "" if place is None else _seen_from(root, place)}
        settled = f"say under {key} in which folder"
        item_notes = [note for note in item_notes if place is None or settled not in note] + notes
    items = ItemMapping.parse({**mapping.model_dump(), **options}, "items")
    events, event_notes, rank = None, list[str](), RankConfig()
    if events_file is not None:
        events_path = find_file(events_file)
        ids = read_table(items_path, [items.item], encoding=encoding).frame[items.item].alias("item")
        first = read_table(events_path, encoding=encoding, n_rows=_GUESS_ROWS)
        guessed, event_notes = guess_event_mapping(first, ids.to_frame())
        seen = {"file": _seen_from(root, events_path), "encoding": encoding}
        events = EventMapping.parse({**guessed.model_dump(), **seen}, "events")
        rank, notes = _choices(events, first, rank)
        event_notes = [*event_notes, *notes]
    currency = _currency(table, items.price)
    section = ShopSection.parse({"name": name or _title(root), "currency": currency}, "shop")
    config = ShopConfig(shop=section, items=items, events=events, rank=rank)
    _write(root, shop_toml(config, item_notes, event_notes))
    return [*item_notes, *event_notes]


def create_from_tables(
    root: Path,
    *,
    items: pl.DataFrame,
    events: pl.DataFrame | None,
    judgements: pl.DataFrame | None,
    photos_root: Path | None,
    name: str,
    currency: str = "",
    simulated: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Make a shop folder from canonical tables, which then come in by the same door as a shop's own files.

    Parameters
    ----------
    root : Path
        A shop.toml and ``source/`` in it are written anew.
    items : DataFrame
        :data:`~vetrina.core.items.ITEM_COLUMNS`, then attributes (text, numbers or yes/no).
    events : DataFrame or None
        :data:`~vetrina.core.log.EVENT_COLUMNS`. ``shopper`` is what the shop is then asked with:
        it becomes a pseudonym on ingest, whether it was one already or not.
    judgements : DataFrame or None
        Columns query, item and grade; also rater where several people graded, null in the rows whose
        grade counts.
    photos_root : Path or None
        Where the paths in the columns ``photo``, ``more_photos``, ``audio`` and ``video`` begin.
    name, currency : str
    simulated : bool
        Whether the shoppers are simulated.
    overrides : mapping, optional
        Settings as shop.toml nests them, laid over the defaults; None in place of a table strikes it out,
        such as ``{"encode": {"photo": None}}``.

    Raises
    ------
    ConfigError
        When a setting is wrong.
    DataError
        When a table lacks a canonical column.
    """
    _require(items, ITEM_COLUMNS, "items")
    place = "" if photos_root is None else _seen_from(root, photos_root)
    options: dict[str, Any] = {
        "shop": {"name": name, "currency": currency, "simulated": simulated},
        "items": _item_options(items, place),
    }
    if events is not None and events.height:
        _require(events, EVENT_COLUMNS, "events")
        options["events"] = _event_options(events)
    if judgements is not None and judgements.height:
        _require(judgements, ("query", "item", "grade"), "judgements")
        told = [name for name in ("query", "item", "grade", "rater") if name in judgements.columns]
        options["judgements"] = {"file": "source/judgements.csv", **dict(zip(told, told, strict=True))}
    # Over the whole of the defaults, so that changing one encoder or source does not strike out the others.
    defaults = ShopConfig.parse(options, "").model_dump(exclude_none=True)
    config = ShopConfig.parse(_laid_over(defaults, overrides or {}), "")
    source = root / "source"
    source.mkdir(parents=True, exist_ok=True)
    items.write_parquet(source / "items.parquet", compression="zstd")
    if config.events is not None and events is not None:
        events.write_parquet(source / "events.parquet", compression="zstd")
    if config.judgements is not None and judgements is not None:
        columns = config.judgements.model_dump(exclude={"file"}).values()
        judgements.select(name for name in columns if name).write_csv(source / "judgements.csv")
    _write(root, shop_toml(config))


def _currency(table: Table, price: str) -> str:
    """The sign that is written before or after the prices, where nearly all have the same; "" otherwise."""
    cells = table.frame[price].drop_nulls() if price else table.frame[ROW].head(0).cast(pl.String)
    signs = cells.str.extract(_SIGN).drop_nulls().value_counts(sort=True, name="count")
    if not signs.height or signs["count"][0] < 0.9 * len(cells):
        return ""
    return str(signs.row(0)[0])


def _choices(events: EventMapping, table: Table, rank: RankConfig) -> tuple[RankConfig, list[str]]:
    """What counts as a choice: views or ratings where the log has nothing that says more."""
    words = [events.constant_kind] if events.constant_kind else table.frame[events.kind].drop_nulls().unique().to_list()
    kinds = {events.kinds.get(word, word.lower()) for word in words}
    weaker = [kind for kind in ("view", "rate") if kind in kinds]
    if not weaker or not kinds.isdisjoint(rank.gains):
        return rank, []
    said = {"view": "views", "rate": "ratings"}
    return rank.model_copy(update={"gains": {**dict.fromkeys(weaker, 1.0), **rank.gains}}), [
        f"The events hold no clicks, carts or purchases, so {' and '.join(said[kind] for kind in weaker)} "
        "count as choices to learn from (gains under [rank])."
    ]


def _refuse(root: Path, force: bool) -> None:
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; a shop is a folder. Name another place for it.")
    if (root / "shop.toml").exists() and not force:
        raise ConfigError(
            f"{root} is a shop already. Edit {root / 'shop.toml'}, or write it anew with --force (force=True)."
        )


def _write(root: Path, text: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    beside = root / ".shop.toml"
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, root / "shop.toml")


def _title(root: Path) -> str:
    words = root.resolve().name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] or "My shop"


def _seen_from(root: Path, path: Path) -> str:
    """A path as shop.toml names it: from the shop's folder, absolute where they share nothing but the top."""
    path, root = path.resolve(), root.resolve()
    try:
        shared = Path(os.path.commonpath([path, root]))
    except ValueError:  # two drives
        return path.as_posix()
    if shared == Path(path.anchor):
        return path.as_posix()
    return Path(os.path.relpath(path, root)).as_posix()


def _require(table: pl.DataFrame, columns: Mapping[str, Any] | tuple[str, ...], what: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(f"{what}: not a canonical table, it lacks {', '.join(missing)}. It has {table.columns}.")


def _item_options(items: pl.DataFrame, photos: str) -> dict[str, Any]:
    """The mapping under which every column means itself; columns in which nothing stands are left out."""
    used = {column for column in ITEM_COLUMNS if _says_something(items[column])}
    options: dict[str, Any] = {column: column for column in ITEM_COLUMNS if column in used and column != "category"}
    own = [column for column in items.columns if column not in ITEM_COLUMNS]
    numeric = [column for column in own if items.schema[column].is_numeric()]
    if photos:
        if used & {"photo", "more_photos"}:
            options |= {"photos": photos, "photo": "photo"}
        if used & {"audio", "video"}:
            options["media"] = photos
    return {
        **options,
        "file": "source/items.parquet",
        "item": "item",
        "category": ["category"] if "category" in used else [],
        "attributes": [column for column in own if column not in numeric],
        "numbers": numeric,
        "time_format": "s",
    }


def _event_options(events: pl.DataFrame) -> dict[str, Any]:
    options: dict[str, Any] = {column: column for column in EVENT_COLUMNS if _says_something(events[column])}
    if "rating" in options:
        ratings = events["rating"].drop_nulls().to_numpy()
        options["rating_min"], options["rating_max"] = min(1.0, float(ratings.min())), max(5.0, float(ratings.max()))
    needed = {column: column for column in ("time", "shopper", "item", "kind")}
    return {**options, **needed, "file": "source/events.parquet", "time_format": "s"}


def _says_something(column: pl.Series) -> bool:
    if column.dtype == pl.List:
        return bool((column.list.len() > 0).any())
    if column.dtype == pl.String:
        return bool((column.fill_null("") != "").any())
    return column.null_count() < len(column)


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on ``under``, table by table; None strikes out."""
    merged = dict(under)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _laid_over(merged[key], value)
        else:
            merged[key] = value
    return merged
