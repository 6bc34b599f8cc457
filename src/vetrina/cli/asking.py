"""The commands that ask: search, recommend, similar, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vetrina.cli.options import (
    Brand,
    Category,
    Colour,
    Having,
    InStock,
    Json,
    K,
    PriceMax,
    PriceMin,
    ShopOption,
    Shopper,
    valid_text,
)
from vetrina.cli.show import print_json, print_notes, print_ranking, print_reasons, who
from vetrina.cli.where import open_shop

if TYPE_CHECKING:
    from vetrina.core.query import Filters
    from vetrina.engine.shop import Ranking, Shop

__all__ = ["explain", "recommend", "search", "similar"]

Item = Annotated[str, typer.Argument(metavar="ITEM", help="An item's id.")]


def search(
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="Words, in any language.")] = None,
    photo: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A photo of what is sought; words may change it: like this, but red."),
    ] = None,
    like: Annotated[str | None, typer.Option(metavar="ITEM", help="An item to find similar ones to, instead.")] = None,
    shopper: Shopper = None,
    k: K = 10,
    category: Category = None,
    brand: Brand = None,
    colour: Colour = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    having: Having = None,
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Find items for words, for a photo, for both, or like another item, ranked for a shopper."""
    if query is None and not photo and not like:
        raise typer.BadParameter("give words, --photo FILE or --like ITEM.", param_hint="QUERY")
    filters = _filters(category, brand, colour, price_min, price_max, in_stock, having)
    opened, item = open_shop(shop), valid_text(like) if like else None
    ranking = opened.search(
        valid_text(query or ""), photo=photo or None, like=item, shopper=_named(shopper), k=k, filters=filters
    )
    words = f"“{ranking.query}”" if ranking.query else ""
    shown = f"like the photo {Path(photo).name}" if photo else f"like {item}" if item else ""
    asked = f"{words}, {shown}" if words and shown else words or shown or "recommendations"
    _print(opened, ranking, asked[0].upper() + asked[1:], as_json)


def recommend(
    shopper: Shopper = None,
    k: K = 10,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave out what the shopper has bought or rated before.")
    ] = False,
    category: Category = None,
    brand: Brand = None,
    colour: Colour = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    having: Having = None,
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a shopper who asked for nothing."""
    filters = _filters(category, brand, colour, price_min, price_max, in_stock, having)
    opened = open_shop(shop)
    ranking = opened.recommend(shopper=_named(shopper), k=k, filters=filters, exclude_purchased=new_only)
    _print(opened, ranking, "Recommendations", as_json)


def similar(
    item: Item,
    shopper: Shopper = None,
    k: K = 10,
    category: Category = None,
    brand: Brand = None,
    colour: Colour = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = False,
    having: Having = None,
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Find items like one."""
    filters = _filters(category, brand, colour, price_min, price_max, in_stock, having)
    opened = open_shop(shop)
    ranking = opened.similar(valid_text(item), shopper=_named(shopper), k=k, filters=filters)
    _print(opened, ranking, f"Like {valid_text(item)}", as_json)


def explain(
    item: Item,
    query: Annotated[
        str, typer.Option(metavar="WORDS", help="The words that were searched for; none: a recommendation.")
    ] = "",
    shopper: Shopper = None,
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Say why an item stands where it stands.

    Every reason with its share; the shares sum to the score.
    """
    from vetrina.engine.shop import MAX_K

    opened, wanted, words, whom = open_shop(shop), valid_text(item), valid_text(query), _named(shopper)
    opened.items.find(wanted)
    ranking = opened.search(words, shopper=whom, k=MAX_K) if words else opened.recommend(shopper=whom, k=MAX_K)
    found = [result for result in ranking.results if result.item == wanted]
    notes, place = list(ranking.notes), found[0].position if found else None
    if not found:
        found = opened.rank([wanted], text=words, shopper=whom).results
        notes.append(
            f"It is not among the {len(ranking.results):,} results, "
            "because no source found it or the shop's rules leave it out; this is how it would be scored."
        )
    result = found[0]
    if as_json:
        request = ranking.model_dump(mode="json", exclude={"results", "notes"})
        print_json({**request, **result.model_dump(mode="json"), "position": place, "notes": notes})
        return
    asked = f"“{ranking.query}”" if ranking.query else "Recommendations"
    typer.echo(f"{asked}{who(ranking)}: " + (f"place {place} of {len(ranking.results):,}" if place else "no place"))
    print_reasons(opened, result)
    print_notes(notes)


def _named(shopper: str | None) -> str | None:
    return valid_text(shopper) if shopper else None


def _print(shop: Shop, ranking: Ranking, asked: str, as_json: bool) -> None:
    if as_json:
        print_json(ranking)
    else:
        print_ranking(shop, ranking, asked)


def _filters(
    category: str | None,
    brand: str | None,
    colour: str | None,
    price_min: float | None,
    price_max: float | None,
    in_stock: bool,
    having: list[str] | None,
) -> Filters:
    from pydantic import ValidationError

    from vetrina.core.errors import RequestError
    from vetrina.core.query import Filters

    attributes: dict[str, str | float | bool] = {}
    for pair in having or []:
        name, equals, value = valid_text(pair).partition("=")
        if not (name and equals):
            raise RequestError(f"--having {pair!r}: expected NAME=VALUE, such as season=Summer.")
        attributes[name] = value
    given = {"category": category, "brand": brand, "colour": colour}
    try:
        return Filters.model_validate(
            {
                **{name: valid_text(value) for name, value in given.items() if value is not None},
                "price_min": price_min,
                "price_max": price_max,
                "in_stock": in_stock,
                "attributes": attributes,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise RequestError(f"{option}: {first['msg']}. Got {first['input']!r}.") from None
