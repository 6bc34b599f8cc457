"""shop.toml as a person meets it first: every section and setting, with comments, written from the models.

Nothing here knows a setting by name, so that the file cannot drift from what
is checked: what a model holds is written, in the order in which it holds it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from vetrina.catalogue.mapping import mapping_toml
from vetrina.core import component_class
from vetrina.engine.config import EncoderConfig, FuseConfig, JudgementsConfig, ShopConfig, SourceConfig

__all__ = ["shop_toml"]

_TOP = """\
# {name}: everything that a person decides about this shop.
#
# A line that begins with "# key = value" says what holds when nothing is said: take the "# " away to
# change it. Keys are checked when the file is read; a misspelt one is an error that names the right one.
# After a change: vetrina build
"""

_ABOUT = {
    "shop": "Who this is.",
    "items": "Which column of the file of items is which.",
    "events": "Which column of the file of events is which.",
    "judgements": "Grades that people gave to items for queries, to learn and measure search by.",
    "encode": "How an item becomes vectors, one section for each modality; one that is taken out is not encoded.",
    "fuse": "How the vectors of the modalities become one.",
    "retrieve": "Where candidates come from, one section for each source; one that is taken out is not asked.",
    "rank": "What orders the candidates, and what it learns from.",
    "policy": "What the shop imposes after ranking.",
    "build": "Measuring and reproducing.",
}

_NO_EVENTS = """\
# No file of events yet: the shop searches and finds similar items, and learns from what is recorded while serving.
# [events]
# file = "events.csv"
# time = "time"
# shopper = "shopper"
# item = "item"
# kind = "kind"  # view, click, cart, purchase, …; or constant_kind = "purchase" when every row is one
"""

_JUDGEMENTS = tuple(name for name in JudgementsConfig.model_fields if name != "rater")
_NO_JUDGEMENTS = """\
# [judgements]
# file = "judgements.csv"
# query = "query"
# item = "item"
# grade = "grade"  # 0 and more; 0 is judged and wrong
# rater = "rater"  # who graded, where several did
"""


def shop_toml(config: ShopConfig, item_notes: Sequence[str] = (), event_notes: Sequence[str] = ()) -> str:
    """A whole shop.toml that means ``config``.

    Parameters
    ----------
    config : ShopConfig
    item_notes, event_notes : sequence of str
        What was unsure about the mappings; written above them as comments.

    Returns
    -------
    str
        Settings at their default are written as comments. Read back, it equals ``config``.

    Examples
    --------
    >>> import tomllib
    >>> from vetrina.catalogue.mapping import ItemMapping
    >>> config = ShopConfig(items=ItemMapping(file="products.csv", item="sku", title="name"))
    >>> ShopConfig.parse(tomllib.loads(shop_toml(config)), "") == config
    True
    """
    parts = [_TOP.format(name=_one_line(config.shop.name))]
    parts.append(_section("shop", config.shop, always=("name", "currency")))
    parts.append(_about("items") + mapping_toml(config.items, item_notes))
    if config.events is None:
        parts.append(_about("events") + _NO_EVENTS)
    else:
        parts.append(_about("events") + mapping_toml(config.events, event_notes))
    if config.judgements is None:
        parts.append(_about("judgements") + _NO_JUDGEMENTS)
    else:
        parts.append(_section("judgements", config.judgements, always=_JUDGEMENTS))
    # These two are tables of sections: one that were left out would be taken as struck out, so all are written.
    parts.append(_about("encode") + ("" if config.encode else "[encode]\n"))
    parts += [_encoder(name, choice) for name, choice in config.encode.items()]
    parts.append(_section("fuse", config.fuse, leave_out=("options",)))
    own = set(component_class("fuser", config.fuse.method).config_type.model_fields) - set(FuseConfig.model_fields)
    if own:
        parts.append(_options("fuse.options", "fuser", config.fuse.method, config.fuse.options, own))
    parts.append(_about("retrieve") + ("" if config.retrieve else "[retrieve]\n"))
    parts += [_source(name, choice) for name, choice in config.retrieve.items()]
    parts.append(_section("rank", config.rank, leave_out=("options",)))
    parts.append(_options("rank.options", "ranker", config.rank.ranker, config.rank.options))
    parts.append(_section("policy", config.policy))
    parts.append(_section("build", config.build))
    return "\n".join(parts)


def _about(section: str) -> str:
    return f"# --- {section}: {_ABOUT[section]}\n"


def _section(title: str, model: BaseModel, always: Sequence[str] = (), leave_out: Sequence[str] = ()) -> str:
    lines = [f"[{title}]"]
    for name, field in type(model).model_fields.items():
        if name in leave_out:
            continue
        value = getattr(model, name)
        default = not field.is_required() and value == field.get_default(call_default_factory=True)
        lines.append(_line(name, value, field.description, as_comment=default and name not in always))
    return _about(title) + "\n".join(lines) + "\n"


def _encoder(modality: str, choice: EncoderConfig) -> str:
    head = f"[encode.{_key(modality)}]\nencoder = {_toml(choice.encoder)}\n"
    return head + _options(f"encode.{_key(modality)}.options", "encoder", choice.encoder, choice.options)


def _source(name: str, choice: SourceConfig) -> str:
    head = f"[retrieve.{_key(name)}]\nk = {choice.k}  # most candidates it may bring\n"
    return head + _options(f"retrieve.{_key(name)}.options", "retriever", name, choice.options)


def _options(title: str, kind: str, name: str, given: Mapping[str, Any], own: Collection[str] | None = None) -> str:
    """The options of one component, those that are not given as comments; nothing where it has none (of ``own``)."""
    fields = component_class(kind, name).config_type.model_fields
    fields = {key: field for key, field in fields.items() if own is None or key in own}
    lines = [f"[{title}]"]
    for key, field in fields.items():
        value = given.get(key, field.get_default(call_default_factory=True))
        lines.append(_line(key, value, field.description, as_comment=key not in given))
    return "\n".join(lines) + "\n" if fields else ""


def _line(name: str, value: object, description: str | None, *, as_comment: bool) -> str:
    said = f"  # {_one_line(description)}" if description else ""
    if value is None:
        return f"# {_key(name)} is not set{said}"
    return f"{'# ' if as_comment else ''}{_key(name)} = {_toml(value)}{said}"


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _toml(name)


def _one_line(text: str) -> str:
    """Without control characters, which TOML does not allow in a comment."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return repr(value)
