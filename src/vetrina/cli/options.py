"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Brand", "Category", "Colour", "Having", "InStock", "Json", "K", "PriceMax", "PriceMin", "Quiet"]
__all__ += ["ShopArgument", "ShopOption", "Shopper", "valid_text"]

_WHERE = "default: this folder, $VETRINA_SHOP, or the only shop just below"

ShopArgument = Annotated[Path | None, typer.Argument(metavar="[SHOP]", help=f"The shop's folder ({_WHERE}).")]
ShopOption = Annotated[Path | None, typer.Option("--shop", metavar="DIR", help=f"The shop's folder ({_WHERE}).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Shopper = Annotated[str | None, typer.Option(metavar="ID", help="For whom; the shop's own id.")]
K = Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many results, 1 to 1000.")]
Category = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only this category: a path, or any one level of it.")
]
Brand = Annotated[str | None, typer.Option(metavar="NAME", help="Only this brand.")]
Colour = Annotated[str | None, typer.Option(metavar="NAME", help="Only this colour.")]
PriceMin = Annotated[float | None, typer.Option(metavar="PRICE", help="Only from this price on.")]
PriceMax = Annotated[float | None, typer.Option(metavar="PRICE", help="Only up to this price.")]
InStock = Annotated[bool, typer.Option("--in-stock", help="Only what can be bought now.")]
Having = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only items with this attribute; may be repeated.")
]


def valid_text(text: str) -> str:
    """An argument as text: bytes that were no UTF-8 become question marks."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
