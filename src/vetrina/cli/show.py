"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from vetrina.engine.shop import Ranking, Result, Shop

__all__ = ["one_line", "print_json", "print_notes", "print_ranking", "print_reasons", "print_table", "who"]

#: Columns where there is no terminal to ask.
_WIDTH = 120
_TITLE = 100


def one_line(text: str) -> str:
    """Text as it may go to a terminal: one line, no control characters (they could move the cursor)."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def print_json(value: BaseModel | Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON value on stdout and nothing else."""
    plain = value if isinstance(value, Mapping | Sequence) else value.model_dump(mode="json")
    typer.echo(json.dumps(plain, ensure_ascii=False, indent=1, allow_nan=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """A table on stdout; columns in ``numbers`` are aligned to the right and never wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in header:
        right = name in numbers
        table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    _console().print(table)


def print_ranking(shop: Shop, ranking: Ranking, asked: str) -> None:
    """Position, title, brand, price, score and the first reasons of every result."""
    typer.echo(one_line(f"{asked}{who(ranking)}"))
    results = ranking.results
    if results:
        brands = any(result.brand for result in results)
        prices = any(result.price is not None for result in results)
        header = ["#", "item", "title", *(["brand"] if brands else []), *(["price"] if prices else []), "score", "why"]
        rows = [
            [
                result.position,
                result.item,
                _cut(result.title),
                *([result.brand] if brands else []),
                *([_price(shop, result)] if prices else []),
                f"{result.score:.3f}",
                _first_reasons(result),
            ]
            for result in results
        ]
        print_table(header, rows, numbers=("#", "price", "score"))
    elif ranking.like is not None and len(shop.items) == 1:
        typer.echo("There is no other product in the shop.")
    else:
        typer.echo("Nothing that the filters and the shop's rules allow.")
    print_notes(ranking.notes)


def print_reasons(shop: Shop, result: Result) -> None:
    """Every reason with its share, and their sum."""
    shown = ", ".join(part for part in (_cut(result.title), result.brand, _price(shop, result)) if part)
    typer.echo(one_line(f"{result.item}: {shown}" if shown else result.item))
    rows = [[f"{reason.share:+.4f}", reason.kind, reason.text] for reason in result.reasons]
    total = sum(reason.share for reason in result.reasons)
    print_table(["share", "kind", "reason"], [*rows, [f"{total:+.4f}", "", "the score"]], numbers=("share",))


def print_notes(notes: Sequence[str]) -> None:
    """Notes, one a line."""
    for note in notes:
        typer.echo(f"Note: {one_line(note)}")


def who(ranking: Ranking) -> str:
    """For whom a ranking is, and what it rests on."""
    if ranking.shopper is None:
        told = ", for nobody in particular"
    elif ranking.personal:
        told = f", for {ranking.shopper}"
    else:
        told = f", for {ranking.shopper}, of whom nothing is known yet"
    return told + (" (SIMULATED shoppers)" if ranking.simulated else "")


def _price(shop: Shop, result: Result) -> str:
    return "" if result.price is None else f"{shop.config.shop.currency}{result.price:,.2f}"


def _first_reasons(result: Result) -> str:
    """The two strongest that speak for it; that something is not known or not there is left to explain."""
    told = [
        reason.text
        for reason in result.reasons
        if reason.share > 0
        and reason.kind not in ("common", "shopper")
        and any(map(_is_there, reason.evidence.values()))
    ]
    return "; ".join(told[:2])


def _is_there(fact: object) -> bool:
    return fact is not None and fact != 0


def _cut(title: str) -> str:
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1].rstrip()}…"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)
