"""The command map: a picture of the catalogue."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vetrina.cli.options import Json, Quiet, ShopArgument
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import one_line, print_json
from vetrina.cli.where import open_shop

__all__ = ["draw_map"]


class Method(StrEnum):
    """How many dimensions become two."""

    tsne = "tsne"
    umap = "umap"
    pca = "pca"


def draw_map(
    shop: ShopArgument = None,
    by: Annotated[
        str, typer.Option(metavar="MODALITY", help="By which vectors: text, photo, … or fused, all of them together.")
    ] = "fused",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path("map.html"),
    method: Annotated[
        Method, typer.Option(help="How many dimensions become two; umap needs the package umap-learn.")
    ] = Method.tsne,
    most: Annotated[
        int, typer.Option("--items", metavar="N", min=1, max=10_000, help="Most items, drawn at random where more.")
    ] = 3000,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw the catalogue as a page to look at.

    Each item is a point, with its photo, title and price; items that are alike lie together. One
    HTML file that needs nothing else.
    """
    from vetrina.cli.map.page import write_map

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        told = write_map(opened, out, by=by, method=method.value, most=most, progress=progress)
    if as_json:
        print_json(told)
        return
    without = f", {told['without']:,} of the catalogue have no such vector" if told["without"] else ""
    typer.echo(one_line(f"Drew {told['items']:,} items by {by}{without}: {out}"))
