"""Which column of a shop's files is which: the ``[items]`` and ``[events]`` sections of ``shop.toml``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vetrina.core.component import Config
from vetrina.core.errors import nearest
from vetrina.core.items import ITEM_COLUMNS
from vetrina.core.log import EVENT_COLUMNS, EventKind

__all__ = ["EventMapping", "ItemMapping", "Mapping", "mapping_toml"]

_ENCODING = "auto, or how the file's letters are encoded: utf-8, cp1252, gb18030, …"
_TIME = "auto (ISO 8601, or epoch seconds, ms, us told by size), one of s, ms, us, ns, or a pattern like %d/%m/%Y %H:%M"
_DIVISOR = "what prices are divided by: 100 when the file gives cents"


def _time_format(value: str) -> str:
    if value not in ("auto", "s", "ms", "us", "ns") and "%" not in value:
        raise ValueError("must be auto, s, ms, us, ns or a pattern with % such as %d/%m/%Y %H:%M")
    return value


class Mapping(Config):
    """What both mappings share: the file, and which of its columns is which."""

    file: str = Field(min_length=1, description="CSV, TSV, JSON Lines or Parquet, also .gz or .zst")
    encoding: str = Field(default="auto", description=_ENCODING)
    time_format: str = Field(default="auto", description=_TIME)
    price_divisor: float = Field(default=1.0, gt=0, description=_DIVISOR)

    _check_time_format = field_validator("time_format")(_time_format)


class ItemMapping(Mapping):
    """Columns of the file of items. A name left "" means that the file has no such column.

    Columns that are named nowhere here are not stored.

    Examples
    --------
    >>> ItemMapping(file="products.csv", item="sku", title="name", category=("department", "type")).columns
    ['sku', 'name', 'department', 'type']
    """

    item: str = Field(min_length=1, description="the id, one item a row")
    title: str = ""
    description: str = ""
    category: tuple[str, ...] = Field(default=(), description="one column, or several from the widest to the narrowest")
    brand: str = ""
    colour: str = ""
    price: str = ""
    in_stock: str = Field(default="", description="yes/no, or how many there are")
    available_at: str = Field(default="", description="when the item came on sale; left out: always")
    photos: str = Field(default="", description="folder of photos, seen from the shop's folder")
    photo: str = Field(default="{item}.jpg", description="a file name with {item} in it, or the column of the name")
    more_photos: str = Field(default="", description="further photos: a pattern like {item}_*.jpg, or a column")
    media: str = Field(default="", description="folder of sound and video, seen from the shop's folder")
    audio: str = Field(default="", description="a pattern like {item}.mp3 or {item}.*, or the column of the name")
    video: str = Field(default="", description="a pattern like {item}.mp4, or the column of the name")
    attributes: tuple[str, ...] = Field(default=(), description="further columns to keep, as text")
    numbers: tuple[str, ...] = Field(default=(), description="further columns to keep, as numbers")
    max_bad_share: float = Field(default=0.2, ge=0, le=1, description="stop when more of the rows than this are bad")

    @field_validator("category", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return ((value,) if value else ()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _no_name_twice(self) -> Self:
        taken = [name for name in (*self.attributes, *self.numbers) if name in ITEM_COLUMNS]
        if taken:
            raise ValueError(
                f"the attribute {taken[0]!r} has the name of a canonical column; map it as that, or rename it"
            )
        return self

    @field_validator("photo", "more_photos", "audio", "video")
    @classmethod
    def _star_after_item(cls, value: str) -> str:
        if "*" in value.partition("{item}")[0] and "{item}" in value:
            raise ValueError(f"{value!r} has a * before {{item}}; it may stand after it, as in {{item}}_*.jpg")
        return value

    @property
    def media_columns(self) -> dict[str, str]:
        """The column that names the files of ``photo``, ``more_photos``, ``audio``, ``video``; "" where none does."""
        told = {name: getattr(self, name) for name in ("photo", "more_photos", "audio", "video")}
        return {name: "" if "{item}" in value else value for name, value in told.items()}

    @property
    def photo_column(self) -> str:
        """The column that names the photo; "" when a pattern does."""
        return self.media_columns["photo"]

    @property
    def columns(self) -> list[str]:
        """The file's columns that are read, each once."""
        single = [self.item, self.title, self.description, *self.category, self.brand, self.colour, self.price]
        single += [self.in_stock, self.available_at, *self.media_columns.values(), *self.attributes, *self.numbers]
        return list(dict.fromkeys(name for name in single if name))


class EventMapping(Mapping):
    """Columns of the file of events. A name left "" means that the file has no such column.

    Examples
    --------
    >>> EventMapping(file="sales.csv", time="date", shopper="customer", item="sku", constant_kind="purchase").columns
    ['date', 'customer', 'sku']
    """

    time: str = Field(min_length=1)
    shopper: str = Field(min_length=1, description="kept only as a keyed pseudonym")
    item: str = Field(min_length=1)
    kind: str = Field(default="", description="column that says what happened")
    constant_kind: Literal["", "impression", "search", "view", "click", "cart", "purchase", "rate", "hide"] = Field(
        default="", description="what every row is, when no column says it"
    )
    kinds: dict[str, str] = Field(default_factory=dict, description="the file's words for what happened, in ours")
    query: str = Field(default="", description="the words searched for")
    request: str = Field(default="", description="what ties together one search, session or basket")
    position: str = Field(default="", description="place in the list shown; 1 is the top")
    propensity: str = Field(default="", description="the chance with which the item was put into that place")
    price: str = Field(default="", description="price of one piece")
    quantity: str = ""
    rating: str = ""
    rating_min: float = 1.0
    rating_max: float = 5.0
    max_bad_share: float = Field(default=0.5, ge=0, le=1, description="stop when more of the rows than this are bad")

    @field_validator("kinds")
    @classmethod
    def _our_kinds(cls, value: dict[str, str]) -> dict[str, str]:
        names = [kind.name for kind in EventKind]
        for word, kind in value.items():
            if kind not in names:
                raise ValueError(
                    f"{word!r} = {kind!r}: no such kind of event.{nearest(kind, names)} Known: {', '.join(names)}"
                )
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.kind) == bool(self.constant_kind):
            raise ValueError("give either kind (a column) or constant_kind (what every row is)")
        if self.rating_min >= self.rating_max:
            raise ValueError("rating_min must be below rating_max")
        return self

    @property
    def columns(self) -> list[str]:
        """The file's columns that are read, each once."""
        single = [getattr(self, name) for name in EVENT_COLUMNS]
        return list(dict.fromkeys(name for name in single if name))


def mapping_toml(mapping: ItemMapping | EventMapping, notes: Sequence[str] = ()) -> str:
    r"""The commented section of ``shop.toml`` for one mapping.

    Parameters
    ----------
    mapping : ItemMapping or EventMapping
    notes : sequence of str
        What the guess was unsure of; written above the section as comments.

    Returns
    -------
    str
        Settings that are at their default are written as comments, so that a
        person sees what else there is.

    Examples
    --------
    >>> text = mapping_toml(ItemMapping(file="p.csv", item="sku"), ["No title found."])
    >>> print("\n".join(line.partition("  #")[0] for line in text.splitlines()[:5]))
    # Unsure: No title found.
    [items]
    file = "p.csv"
    item = "sku"
    # title = ""
    """
    section = "items" if isinstance(mapping, ItemMapping) else "events"
    lines = [f"# Unsure: {_comment(note)}" for note in notes]
    lines.append(f"[{section}]")
    own = [name for name in type(mapping).model_fields if name not in Mapping.model_fields]
    for name in ["file", *own[:-1], "time_format", "price_divisor", "encoding", own[-1]]:
        field = type(mapping).model_fields[name]
        value = getattr(mapping, name)
        unset = not field.is_required() and value == field.get_default(call_default_factory=True)
        comment = f"  # {field.description}" if field.description else ""
        lines.append(f"{'# ' if unset else ''}{name} = {_toml(value)}{comment}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """One line without control characters, which TOML does not allow in a comment."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml(str(key))} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return repr(value)
