"""The routes of the API. Each asks the shop one thing; the work runs in the thread pool, as plain functions do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from vetrina.engine import Ranking, Shop, SnapshotError
from vetrina.serve.bodies import (
    Events,
    Facets,
    Forgotten,
    Health,
    ItemCard,
    ItemId,
    Persona,
    RankRequest,
    RecommendRequest,
    Recorded,
    SearchRequest,
    Shopfront,
    ShopperId,
    ShopperState,
    SimilarRequest,
)
from vetrina.serve.problems import PROBLEM_RESPONSES
from vetrina.serve.uploads import SEARCH_BODY, search_request
from vetrina.serve.views import FacetCache, item_card, shopper_state

__all__ = ["api_routes"]

_RANKING: dict[str, Any] = {
    "query": "red",
    "photo": False,
    "like": "g00009",
    "shopper": "ana",
    "personal": True,
    "simulated": False,
    "snapshot": "20250105T101500000000-1a2b3c4d",
    "results": [
        {
            "item": "g00004",
            "position": 1,
            "score": 1.41,
            "title": "Orsetta Women's Red Dress",
            "brand": "Orsetta",
            "category": "Clothing > Dresses",
            "colour": "Red",
            "price": 64.95,
            "photo": True,
            "reasons": [
                {"kind": "words", "share": 1.23, "text": "“red”, as you asked", "evidence": {"matched": ["red"]}},
                {"kind": "price", "share": 0.18, "text": "In your price range", "evidence": {"price": 64.95}},
            ],
        }
    ],
    "notes": [],
}

_Count = Annotated[int, Query(ge=1, le=100, description="How many events at most.")]


def _ranking_example() -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": _RANKING}}}, **PROBLEM_RESPONSES}


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: PROBLEM_RESPONSES[status] for status in statuses}


def api_routes(shop: Shop) -> APIRouter:
    """Every route of the API, over one shop."""
    api = APIRouter()
    facets = FacetCache()

    @api.post("/v1/search", responses=_ranking_example(), tags=["ranking"], openapi_extra=SEARCH_BODY)
    def search(asked: Annotated[SearchRequest, Depends(search_request)]) -> Ranking:
        """Items for words, for a photo or another item, or for both, each with the reasons that sum to its score.

        A photo comes in base64, or as the file of a form.
        """
        return shop.search(
            asked.text, photo=asked.photo, like=asked.like, shopper=asked.shopper, k=asked.k, filters=asked.filters
        )

    @api.post("/v1/recommend", responses=_ranking_example(), tags=["ranking"])
    def recommend(asked: RecommendRequest) -> Ranking:
        """Items for a shopper who asked for nothing."""
        return shop.recommend(
            shopper=asked.shopper, k=asked.k, filters=asked.filters, exclude_purchased=asked.exclude_purchased
        )

    @api.post("/v1/similar", responses=_ranking_example(), tags=["ranking"])
    def similar(asked: SimilarRequest) -> Ranking:
        """Items like one item, ranked for a shopper."""
        return shop.similar(asked.item, shopper=asked.shopper, k=asked.k, filters=asked.filters)

    @api.post("/v1/rank", responses=_ranking_example(), tags=["ranking"])
    def rank(asked: RankRequest) -> Ranking:
        """The list of a search engine that you keep, ordered anew for a shopper."""
        return shop.rank(asked.items, text=asked.text, shopper=asked.shopper, k=asked.k)

    @api.post("/v1/events", responses=PROBLEM_RESPONSES, tags=["shoppers"])
    def record(told: Events) -> Recorded:
        """What shoppers did. It counts from the next request on; ids are kept only as pseudonyms."""
        return Recorded(recorded=shop.record([event.model_dump() for event in told.events]))

    @api.get("/v1/shoppers/{shopper:path}", responses=_only(422, 503), tags=["shoppers"])
    def shopper(shopper: ShopperId, k: _Count = 20) -> ShopperState:
        """The latest events that a shopper's ranking rests on."""
        return shopper_state(shop, shopper, k)

    @api.delete("/v1/shoppers/{shopper:path}", responses=_only(422, 503), tags=["shoppers"])
    def forget(shopper: ShopperId) -> Forgotten:
        """Erase all that is kept of a shopper."""
        return Forgotten(**shop.forget(shopper))

    @api.get("/v1/items/{item:path}", responses=_only(404, 422, 503), tags=["catalogue"])
    def one_item(item: ItemId) -> ItemCard:
        """One product, with all that the catalogue says of it."""
        return item_card(shop.items, item)

    @api.get("/v1/facets", responses=_only(503), tags=["catalogue"])
    def all_facets() -> Facets:
        """What the catalogue can be filtered by, with counts."""
        return facets.of(shop.items)

    @api.get("/v1/personas", tags=["catalogue"])
    def personas() -> list[Persona]:
        """Simulated shoppers to try the shop as; none in a shop with real ones."""
        return [Persona.model_validate(persona) for persona in shop.personas()]

    @api.get("/v1/shop", tags=["catalogue"])
    def shopfront() -> Shopfront:
        """Who the shop is."""
        told = shop.config.shop
        return Shopfront(name=told.name, currency=told.currency, simulated=told.simulated)

    @api.get("/healthz", responses=_only(503), tags=["server"])
    def health() -> Health:
        """That the shop can be asked, and which snapshot answers."""
        items = len(shop.items)
        name = shop.snapshots.current()
        if name is None:
            raise SnapshotError(f"The shop has no snapshot yet. Make one with: vetrina build {shop.root.name}")
        return Health(snapshot=name, made=str(shop.snapshots.manifest(name)["made"]), items=items)

    return api
