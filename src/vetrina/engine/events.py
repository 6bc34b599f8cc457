"""Events as they come in while serving: checked, all or none."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vetrina.core import DAY, EVENT_COLUMNS, EventKind, Items
from vetrina.core.errors import RequestError, UnknownItem, nearest

__all__ = ["Event", "checked_events"]

_EARLIEST, _LATEST = 631_152_000, 4_102_444_800  # 1990 and 2100, in epoch seconds
_AHEAD = DAY  # clocks differ, and some shops write local time
_SHOWN = 80  # characters of a wrong value that a message repeats


class Event(BaseModel):
    """What a shopper did."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shopper: str = Field(min_length=1, max_length=256, description="The shop's own id; kept only as a pseudonym.")
    kind: str = Field(description="impression, search, view, click, cart, purchase, rate or hide.")
    item: str | None = Field(default=None, description="Needed unless the kind is search.")
    time: int | None = Field(default=None, description="Epoch seconds; now when absent.")
    query: str | None = Field(default=None, max_length=512)
    request: str | None = Field(default=None, max_length=256, description="Ties one search or basket together.")
    position: int | None = Field(default=None, ge=1, le=2**31 - 1)
    propensity: float | None = Field(
        default=None, gt=0, le=1, description="The chance with which the item was put into that position."
    )
    price: float | None = Field(default=None, ge=0, le=1e12)
    quantity: float | None = Field(default=None, gt=0, le=1e12)
    rating: float | None = Field(default=None, ge=1, le=5)


def checked_events(events: Sequence[Mapping[str, Any]], items: Items) -> pl.DataFrame:
    """A canonical event table; shoppers are still the shop's own ids.

    Raises
    ------
    RequestError
        Naming the event and the key that is wrong.
    UnknownItem
        When an event names an item that the catalogue lacks.
    """
    now = int(clock.time())
    rows: list[dict[str, Any]] = []
    for place, raw in enumerate(events):
        where = f"events[{place}]"
        if not isinstance(raw, Mapping):
            raise RequestError(f"{where}: an event is an object with keys such as shopper and kind. Got {_short(raw)}.")
        try:
            event = Event.model_validate(dict(raw))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            hint = nearest(key, Event.model_fields) if first["type"] == "extra_forbidden" else ""
            raise RequestError(f"{where}.{key}: {first['msg']}. Got {_short(first['input'])}.{hint}") from None
        kinds = [kind.name for kind in EventKind]
        if event.kind not in kinds:
            raise RequestError(
                f"{where}.kind: {_short(event.kind)} is no kind of event.{nearest(event.kind, kinds)} "
                f"Known: {', '.join(kinds)}."
            )
        if event.item is None and event.kind != EventKind.search.name:
            raise RequestError(f"{where}.item: a {event.kind} needs the item it was on.")
        if event.item is not None and event.item not in items.index:
            raise UnknownItem(f"{where}.item: no item {_short(event.item)} in the catalogue of {len(items):,} items.")
        if event.kind == EventKind.rate.name and event.rating is None:
            raise RequestError(f"{where}.rating: an event of kind rate needs a rating from 1 to 5.")
        time = event.time if event.time is not None else now
        if not _EARLIEST <= time <= _LATEST:
            unit = " It looks like milliseconds: divide by 1000." if _EARLIEST <= time // 1000 <= _LATEST else ""
            raise RequestError(f"{where}.time: {time} is not in epoch seconds between 1990 and 2100.{unit}")
        if time > now + _AHEAD:
            raise RequestError(
                f"{where}.time: {time} is {(time - now) / DAY:,.1f} days in the future. Leave it out for now."
            )
        rows.append({**event.model_dump(), "time": time})
    return pl.DataFrame(rows, schema=EVENT_COLUMNS)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
