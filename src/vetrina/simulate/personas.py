"""A few simulated shoppers to try a shop as: those whose known tastes show best, each with a name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from vetrina.core.items import CATEGORY_SEPARATOR
from vetrina.simulate.simulation import Simulation

__all__ = ["choose_personas", "write_personas"]

_NAMES = {
    "Women": ("Ana", "Chiara", "Lucia", "Mei", "Noor", "Elif"),
    "Men": ("Bruno", "Davide", "Kenji", "Marco", "Omar", "Paulo"),
    "": ("Alex", "Robin", "Kim", "Sam", "Toni", "Jules"),
}


def choose_personas(simulation: Simulation, count: int = 6) -> list[dict[str, Any]]:
    """Shoppers who have done much, like colours that the shop has much of, and are unlike one another.

    Parameters
    ----------
    simulation : Simulation
    count : int

    Returns
    -------
    list of dict
        ``id``, ``name`` (made up), ``summary`` (the known taste in words), and the favourites
        as lists: ``sections``, ``colours``, ``categories``, ``brands``; ``price_level`` in 0..1.
    """
    items = simulation.items.table
    stocked = dict(items["colour"].value_counts().iter_rows())
    acted = simulation.events.filter(pl.col("kind").is_in(["click", "cart", "purchase"]))
    done = dict(acted["shopper"].value_counts().iter_rows())
    rows = []
    for row in simulation.shoppers.drop("^taste_.*$").iter_rows(named=True):
        common = sum(stocked.get(colour, 0) for colour in row["favourite_colours"][:2])
        rows.append((min(done.get(row["shopper"], 0), 60) * common, row))
    rows.sort(key=lambda one: (-one[0], one[1]["shopper"]))
    chosen: list[dict[str, Any]] = []
    colours: set[str] = set()
    for wanted in range(count):
        # Women and men by turns where the catalogue tells them apart; each time other colours.
        who = ("Women", "Men")[wanted % 2]
        best = None
        for strict in (True, False):
            best = best or next(
                (
                    row
                    for _, row in rows
                    if row["shopper"] not in {one["id"] for one in chosen}
                    and (not strict or who in row["favourite_sections"] or not row["favourite_sections"])
                    and not colours & set(row["favourite_colours"][:2])
                ),
                None,
            )
        if best is None:
            break
        colours |= set(best["favourite_colours"][:2])
        section = next((name for name in _NAMES if name and name in best["favourite_sections"]), "")
        taken = {one["name"] for one in chosen}
        name = next((name for name in _NAMES[section] if name not in taken), f"Shopper {wanted + 1}")
        chosen.append(_persona(best, name))
    return chosen


def _persona(row: dict[str, Any], name: str) -> dict[str, Any]:
    categories = [path.rsplit(CATEGORY_SEPARATOR, 1)[-1] for path in row["favourite_categories"]]
    sections = [section for section in row["favourite_sections"] if section != "Unisex"]
    level = row["price_level"]
    words = [
        _joined([colour.lower() for colour in row["favourite_colours"][:2]]),
        _joined([category.lower() for category in categories[:2]]),
        _joined(row["favourite_brands"][:2]),
        "low prices" if level < 0.35 else "high prices" if level > 0.65 else "middling prices",
    ]
    shopping = f"{_joined(sections)}: " if sections else ""
    return {
        "id": row["shopper"],
        "name": name,
        "summary": shopping + ", ".join(word for word in words if word),
        "sections": sections,
        "colours": row["favourite_colours"],
        "categories": row["favourite_categories"],
        "brands": row["favourite_brands"],
        "price_level": round(level, 3),
    }


def _joined(words: list[str]) -> str:
    return " and ".join(words)


def write_personas(simulation: Simulation, folder: Path, count: int = 6) -> list[dict[str, Any]]:
    """Write ``personas.json``, from which the storefront offers shoppers; return what it holds."""
    personas = choose_personas(simulation, count)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(personas, ensure_ascii=False, indent=1)
    (folder / "personas.json").write_text(text + "\n", encoding="utf-8")
    return personas
