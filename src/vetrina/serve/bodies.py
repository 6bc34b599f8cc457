"""What addresses, requests and answers look like where the engine has no model of its own."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Annotated, Any, Self

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vetrina.engine import MAX_K, Event, Filters

__all__ = [
    "Events",
    "Facet",
    "Facets",
    "Forgotten",
    "Health",
    "ItemCard",
    "ItemId",
    "PastEvent",
    "Persona",
    "RankRequest",
    "RecommendRequest",
    "Recorded",
    "SearchRequest",
    "Shopfront",
    "ShopperId",
    "ShopperState",
    "SimilarRequest",
]

ItemId = Annotated[str, Path(description="The shop's own id of the item.", examples=["g00004"])]
ShopperId = Annotated[
    str, Path(description="The shop's own id of the shopper.", examples=["ana"], min_length=1, max_length=256)
]

_EXAMPLE_FILTERS = {"category": "Clothing > Dresses", "colour": "Red", "price_max": 120, "in_stock": True}


def _config(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [example]})


def _shown(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [example]})


class _Body(BaseModel):
    """What every body is: JSON whose texts are whole."""

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, raw: Any) -> Any:
        # JSON can spell half of a surrogate pair; no file, index or answer could hold it.
        try:
            json.dumps(raw, ensure_ascii=False, default=_no_text).encode()
        except UnicodeEncodeError:
            raise ValueError("text must be valid Unicode; an escape between \\ud800 and \\udfff stands alone") from None
        except RecursionError:
            raise ValueError("nested too deep") from None
        return raw


def _no_text(value: object) -> None:
    """The photo of a form, which came as bytes."""


def _file_of(photo: object) -> object:
    """The bytes that base64 stands for; a form brings them as they are."""
    if not isinstance(photo, str):
        return photo
    try:
        return b64decode(photo, validate=True)
    except ValueError:
        raise ValueError("expected a photo's file in base64, without line breaks or an address before it") from None


class _Asked(_Body):
    """What every question may say."""

    shopper: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="The shop's own id of who asks; one never seen, or none, gets good results that are not personal.",
    )
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many results.")


class SearchRequest(_Asked):
    """Items for words, for a photo or another item, or for both, ranked for a shopper."""

    model_config = _config({"text": "red dress", "shopper": "ana", "k": 24, "filters": _EXAMPLE_FILTERS})

    text: str = Field(
        default="",
        max_length=1 << 20,
        description="In any language. Past 512 characters it is cut, and a note says so. Beside a photo or an item it "
        "says what is to be different.",
    )
    photo: Annotated[
        bytes | None,
        BeforeValidator(_file_of),
        WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
        Field(description="A photo's file in base64: what is sought looks like it. It is not kept."),
    ] = None
    like: str | None = Field(
        default=None, min_length=1, max_length=1024, description="An item to find similar ones to, instead of a photo."
    )
    filters: Filters = Filters()

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if "text" not in self.model_fields_set and self.photo is None and self.like is None:
            raise ValueError("give text, a photo or an item that it is to be like")
        return self


class RecommendRequest(_Asked):
    """Items for a shopper who asked for nothing."""

    model_config = _config({"shopper": "ana", "k": 24, "exclude_purchased": True})

    filters: Filters = Filters()
    exclude_purchased: bool = Field(default=False, description="Leave out what the shopper has bought or rated.")


class SimilarRequest(_Asked):
    """Items like one item."""

    model_config = _config({"item": "g00004", "shopper": "ana", "k": 8})

    item: str = Field(min_length=1, max_length=1024)
    filters: Filters = Filters()


class RankRequest(_Body):
    """Another engine's list, to be ordered anew for a shopper."""

    model_config = _config({"items": ["g00001", "g00004", "g00009"], "text": "dress", "shopper": "ana"})

    items: list[str] = Field(min_length=1, max_length=MAX_K, description="Item ids; their order is what `given` reads.")
    text: str = Field(default="", description="What the shopper searched for, if anything.")
    shopper: str | None = Field(default=None, min_length=1, max_length=256)
    k: int | None = Field(default=None, ge=1, le=MAX_K, description="How many to keep; all when absent.")


class Events(_Body):
    """What shoppers did: all events are taken, or none when one is wrong."""

    model_config = _config(
        {
            "events": [
                {"shopper": "ana", "kind": "search", "query": "red dress", "request": "r1"},
                {"shopper": "ana", "kind": "click", "item": "g00004", "request": "r1", "position": 2},
            ]
        }
    )

    events: list[Event] = Field(min_length=1, max_length=1000)


class Recorded(BaseModel):
    """How many events were taken. They count from the next request on."""

    model_config = _shown({"recorded": 2})

    recorded: int


class Forgotten(BaseModel):
    """How many rows about the shopper were erased."""

    model_config = _shown({"window": 12, "log": 340})

    window: int = Field(description="Events of the live window.")
    log: int = Field(description="Rows of the shop's own event log.")


class PastEvent(BaseModel):
    """Something that a shopper did lately."""

    model_config = ConfigDict(frozen=True)

    item: str
    title: str
    photo: bool
    kind: str
    time: int = Field(description="Epoch seconds.")


class ShopperState(BaseModel):
    """What the ranking knows of a shopper: recent events, nothing derived."""

    model_config = _shown(
        {
            "shopper": "ana",
            "events": [{"item": "g00004", "title": "Red Dress", "photo": True, "kind": "click", "time": 1_750_000_000}],
        }
    )

    shopper: str
    events: list[PastEvent] = Field(description="Newest first.")


class ItemCard(BaseModel):
    """One product, with all that the catalogue says of it."""

    model_config = _shown(
        {
            "item": "g00004",
            "title": "Orsetta Women's Polka Dot Dress",
            "description": "A polka dot dress in cotton.",
            "category": ["Clothing", "Dresses"],
            "brand": "Orsetta",
            "colour": "Burgundy",
            "price": 64.95,
            "in_stock": True,
            "photo": True,
            "attributes": {"material": "Cotton", "pattern": "dotted"},
        }
    )

    item: str
    title: str
    description: str
    category: list[str] = Field(description="The path, widest level first.")
    brand: str
    colour: str
    price: float | None
    in_stock: bool
    photo: bool = Field(description="Whether /photos/{item} has one.")
    attributes: dict[str, str | float | bool] = Field(description="The shop's own columns, where known.")


class Facet(BaseModel):
    """A value to filter by, and how many items have it."""

    model_config = ConfigDict(frozen=True)

    value: str
    count: int


class Facets(BaseModel):
    """What the catalogue can be filtered by."""

    model_config = _shown(
        {
            "categories": [{"value": "Clothing", "count": 310}, {"value": "Clothing > Dresses", "count": 31}],
            "colours": [{"value": "Black", "count": 80}],
            "brands": [{"value": "Orsetta", "count": 60}],
            "price_min": 9.95,
            "price_max": 420.0,
            "in_stock": 600,
        }
    )

    categories: list[Facet] = Field(description="Every level of every path, as paths, in order of the alphabet.")
    colours: list[Facet] = Field(description="Most frequent first.")
    brands: list[Facet] = Field(description="Most frequent first.")
    price_min: float | None
    price_max: float | None
    in_stock: int


class Persona(BaseModel):
    """A simulated shopper to try the shop as. Further keys, such as known tastes, may follow."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={"examples": [{"id": "shopper-0377", "name": "Ana", "summary": "red dresses, mid price"}]},
    )

    id: str
    name: str
    summary: str = ""


class Health(BaseModel):
    """That the shop can be asked, and what it serves."""

    model_config = _shown(
        {
            "status": "ok",
            "snapshot": "20250105T101500000000-1a2b3c4d",
            "made": "2025-01-05T10:15:00+00:00",
            "items": 600,
        }
    )

    status: str = "ok"
    snapshot: str
    made: str = Field(description="When the snapshot was built, ISO 8601.")
    items: int


class Shopfront(BaseModel):
    """Who the shop is."""

    model_config = _shown({"name": "My shop", "currency": "€", "simulated": True})

    name: str
    currency: str = Field(description="Written before prices.")
    simulated: bool = Field(description="Whether the shoppers are simulated.")
