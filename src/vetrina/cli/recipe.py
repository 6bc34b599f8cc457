"""``vetrina rank``: the article's recipe on one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from vetrina.engine.recipe import Recipe
    from vetrina.evaluate.tables import Table

__all__ = ["rank"]

_SHOWN = 5  # users printed, and bad rows


def rank(
    file: Annotated[Path, typer.Argument(help="Columns user_id, item_id, rating, text, image, label; a time if any.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the photos that the column image names.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items ranked for each user.")] = 10,
    held_out: Annotated[float, typer.Option(help="Share held out to measure on; 0 learns from everything.")] = 0.2,
    split: Annotated[str, typer.Option(help="last, time or random; auto is last where there is a time.")] = "auto",
    model: Annotated[str, typer.Option(help="lambdamart, network or match_score; auto goes by size.")] = "auto",
    liked_from: Annotated[float | None, typer.Option(help="Ratings from here on count as liked.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the ranked items of all users to this CSV file.")] = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Write the bad rows to a file beside it.")] = False,
    seed: Annotated[int, typer.Option(help="For the random split and for learning.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the items of one file for each of its users, and measure it on a held-out part."""
    from vetrina.catalogue.interactions import read_interactions
    from vetrina.core.errors import ConfigError
    from vetrina.engine.recipe import RecipeConfig, rank_interactions
    from vetrina.evaluate.recipe import measure_recipe

    if quarantine and output is None:
        raise ConfigError("--quarantine writes beside the output: name that with --output, such as ranked.csv.")
    options = {"k": k, "held_out": held_out, "split": split, "model": model, "seed": seed}
    config = RecipeConfig.parse(options, "")
    data = read_interactions(file, images, liked_from=liked_from)
    recipe = rank_interactions(data, images, config)
    ranked, measured = recipe.table(), measure_recipe(recipe, k) if held_out else None
    written = _write(ranked, data.quarantine if quarantine else None, output)
    if as_json:
        typer.echo(json.dumps(_plain(file, recipe, ranked, measured, written), ensure_ascii=False, indent=1))
    else:
        typer.echo("\n".join(_lines(file, recipe, ranked, measured, written)))


def _write(ranked: pl.DataFrame, quarantine: pl.DataFrame | None, output: Path | None) -> list[str]:
    """Write what was asked for; the paths."""
    from vetrina.core.errors import DataError

    written: list[str] = []
    if output is None:
        return written
    try:
        ranked.write_csv(output)
        written.append(str(output))
        if quarantine is not None:
            beside = output.with_name(f"{output.stem}.quarantine.csv")
            quarantine.write_csv(beside)
            written.append(str(beside))
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror or error}). Name another file.") from error
    return written


def _plain(
    file: Path, recipe: Recipe, ranked: pl.DataFrame, measured: Table | None, written: list[str]
) -> dict[str, Any]:
    """Everything, as plain data."""
    data, held = recipe.interactions, recipe.held
    lists: dict[str, list[dict[str, Any]]] = {name: [] for name in data.users}
    for user, rank_, item, score, verdict in ranked.iter_rows():
        lists[user].append({"rank": rank_, "item_id": item, "score": round(score, 6), "held_out": verdict})
    return {
        "file": str(file),
        "users": len(data.users),
        "items": len(data.items),
        "rows": len(data),
        "modalities": recipe.modalities,
        "model": recipe.model,
        "held_out": {
            "split": held.method,
            "rows": int((~held.train).sum()),
            "leaks": held.leaks,
            "explanation": held.words,
        },
        "measured": measured.as_dict() if measured is not None and measured.n else None,
        "notes": [*recipe.notes, *_unmeasured(recipe, measured)],
        "ranked": [{"user_id": user, "items": items} for user, items in lists.items()],
        "quarantine": data.quarantine.to_dicts(),
        "written": written,
    }


def _unmeasured(recipe: Recipe, measured: Table | None) -> list[str]:
    """What could not be measured, and why."""
    if measured is None:
        return []
    if not measured.n:
        return ["Nothing could be measured: no user liked an item of the held-out part. More rows are needed."]
    if measured.n < 2:
        return ["Only one user could be measured: nothing can be said about how sure the figures are."]
    if measured.n < 30:
        return [f"Only {measured.n} users could be measured: read the intervals, not the means."]
    return []


def _lines(file: Path, recipe: Recipe, ranked: pl.DataFrame, measured: Table | None, written: list[str]) -> list[str]:
    """Everything, for a reader."""
    data = recipe.interactions
    parts = ", ".join(f"{name} {size}" for name, size in recipe.modalities.items()) or "none"
    lines = [
        f"{file.name}: {len(data):,} rows, {len(data.users):,} users, {len(data.items):,} items",
        f"Vectors (dimensions): {parts}",
        f"Model: {recipe.model}",
        recipe.held.words,
        *recipe.notes,
        *_quarantine_lines(data.quarantine),
    ]
    texts = dict(zip(data.items.ids, data.items.table["title"].to_list(), strict=True))
    for user in data.users[:_SHOWN]:
        lines += ["", f"{user}:"]
        own = ranked.filter(ranked["user_id"] == user)
        width = max(map(len, own["item_id"]), default=0)
        for _, place, item, score, verdict in own.iter_rows():
            lines.append(
                f"  {place:>3}. {item:<{width}}  {score:8.3f}  {verdict or '':<9}  {texts[item][:60]}".rstrip()
            )
        if not own.height:
            lines.append("  has met every item: nothing is left to rank")
    if len(data.users) > _SHOWN:
        rest = len(data.users) - _SHOWN
        lines += ["", f"… and {rest:,} more users" + ("" if written else "; write all with --output ranked.csv")]
    if measured is not None and measured.n:
        lines += ["", measured.text()]
    unmeasured = _unmeasured(recipe, measured)
    lines += ["", *unmeasured] if unmeasured else []
    return [*lines, *(f"Written: {path}" for path in written)]


def _quarantine_lines(quarantine: pl.DataFrame) -> list[str]:
    if not quarantine.height:
        return []
    lines = [f"Quarantine: {quarantine.height:,} findings"]
    for one in quarantine.head(_SHOWN).to_dicts():
        value = f" {one['column']} = {one['value']!r}" if one["column"] else ""
        lines.append(f"  {one['file']} row {one['row']}:{value}: {one['reason']}")
    if quarantine.height > _SHOWN:
        lines.append(f"  … and {quarantine.height - _SHOWN:,} more; write all with --output ranked.csv --quarantine")
    return lines
