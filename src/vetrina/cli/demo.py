"""The command demo: a shop made, measured beside the baselines, and served; the same on real people's data."""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vetrina.cli.options import Json, Quiet
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import one_line, print_json, print_table

if TYPE_CHECKING:
    from vetrina.catalogue.datasets import Dataset
    from vetrina.core.progress import Progress
    from vetrina.engine.shop import Ranking, Result, Shop
    from vetrina.evaluate.evaluation import Evaluation

__all__ = ["demo"]

QUERY = "black shoes"
_SHOWN = 5
_REASONS = 3

#: Real people's data, by folder; how each is measured, and what a table of it is called.
_REAL: dict[str, dict[str, Any]] = {
    "online-retail": {"name": "Online Retail", "overrides": {"build": {"test_days": 30.0}}},
    "chorus-electronics": {"name": "Chorus Electronics", "overrides": {}},
}


def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the demo's shops are made.")] = Path("demo"),
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the shop when all is printed.")] = True,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to serve on.")] = 8000,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a shop, measure it, print what two shoppers see, serve it.

    Products are real where VETRINA_DATA or a network has them, and generated otherwise; their
    shoppers are simulated. Then the same engine is measured on real people's data.
    """
    begun = time.perf_counter()
    found: list[Evaluation] = []
    sources: list[str] = []
    left_out: list[str] = []
    with shown_progress(quiet) as progress:
        shop, personas = _make_shop(folder / "shop", progress, found, sources, left_out)
        for name, options in _REAL.items():
            _measure_real(name, options, folder / name, progress, found, sources, left_out)
    tables = [table for evaluation in found for table in evaluation.tables]
    pair = personas[:2]
    rankings = [shop.search(QUERY, shopper=persona["id"], k=_SHOWN) for persona in pair]
    seconds = time.perf_counter() - begun
    if as_json:
        print_json(
            {
                "tables": [table.as_dict() for table in tables],
                "shoppers": pair,
                "rankings": [ranking.model_dump(mode="json") for ranking in rankings],
                "sources": sources,
                "left_out": left_out,
                "seconds": round(seconds, 1),
                "peak_gib": round(_peak(), 2),
            }
        )
    else:
        for table in tables:
            _print(table.text())
        _side_by_side(shop, pair, rankings)
        for line in [*(f"Data: {source}" for source in sources), *left_out]:
            typer.echo(one_line(line))
        for report in [shop.report_path(), *(folder / name / "report.html" for name in _REAL)]:
            if report is not None and report.exists():
                typer.echo(one_line(f"Report: {report}"))
        typer.echo(f"{_took(seconds)}, {_peak():.1f} GiB of memory at most.")
    if serve:
        from vetrina.cli.tending import free_port
        from vetrina.cli.tending import serve as serve_shop
        from vetrina.core.errors import ConfigError

        try:
            free_port("127.0.0.1", port)
        except ConfigError:
            typer.echo(f"Port {port} is taken: another one takes its place.", err=True)
            port = 0
        serve_shop(shop.root, port=port)
    elif not as_json:
        typer.echo(f"Next: vetrina serve {shop.root}")


def _make_shop(
    root: Path, progress: Progress, found: list[Evaluation], sources: list[str], left_out: list[str]
) -> tuple[Shop, list[dict[str, Any]]]:
    """The demo shop, built and published, with its simulated shoppers' personas."""
    from vetrina.core import DAY, Items
    from vetrina.engine.create import create_from_tables
    from vetrina.engine.shop import Shop
    from vetrina.evaluate.building import build_shop
    from vetrina.simulate import SimulationConfig, simulate, write_personas

    dataset = _fashion(root.parent, progress, left_out)
    sources.append(f"{dataset.name}: {dataset.source} (licence: {dataset.licence}). {' '.join(dataset.notes)}")
    # Until this morning, so that "popular now" means now.
    end = int(datetime.now(UTC).timestamp()) // DAY * DAY
    simulation = simulate(Items(dataset.items), dataset.root, SimulationConfig(), end, progress)
    simulation.write(root / "simulation")
    personas = write_personas(simulation, root / "simulation")
    create_from_tables(
        root,
        items=simulation.items.table,
        events=simulation.events,
        judgements=None,
        photos_root=dataset.root,
        name="Fashion" if dataset.name == "fashion" else "Generated shop",
        currency="₹" if dataset.name == "fashion" else "€",
        simulated=True,
    )
    shop = Shop.open(root)
    _, evaluation = build_shop(shop, progress)
    found.append(evaluation)
    return shop, personas


def _fashion(folder: Path, progress: Progress, left_out: list[str]) -> Dataset:
    """The real fashion products, or a generated shop where they cannot be had."""
    from vetrina.catalogue.datasets import Dataset, load
    from vetrina.catalogue.ingest import read_items
    from vetrina.core.errors import MissingFile
    from vetrina.simulate import GENERATED, write_shop

    try:
        return load("fashion", progress)
    except MissingFile as error:
        progress.note(f"{error} Until then, a generated shop takes its place.")
        left_out.append("Left out: the real fashion products, as they cannot be had here; a generated shop stands in.")
    place = folder / "generated"
    with progress.step("Drawing 600 products"):
        write_shop(place)
    read = read_items(GENERATED, place, progress)
    return Dataset(
        name="generated shop",
        description="600 products with drawn photos",
        licence="Apache-2.0",
        source="drawn by vetrina.simulate",
        items=read.table,
        root=place,
        notes=("Products, prices and photos are generated, and the shoppers simulated.",),
    )


def _measure_real(
    name: str,
    options: dict[str, Any],
    root: Path,
    progress: Progress,
    found: list[Evaluation],
    sources: list[str],
    left_out: list[str],
) -> None:
    """The same engine on real people's data, where it can be had."""
    from vetrina.catalogue.datasets import load
    from vetrina.core.errors import MissingFile
    from vetrina.engine.create import create_from_tables
    from vetrina.engine.shop import Shop
    from vetrina.engine.snapshots import REPORT
    from vetrina.evaluate.building import facts_of
    from vetrina.evaluate.experiment import evaluate_shop
    from vetrina.evaluate.report import write_report

    try:
        dataset = load(name, progress)
    except MissingFile as error:
        progress.note(str(error))
        left_out.append(f"Left out: {options['name']}, as it cannot be had here. {error}")
        return
    sources.append(f"{options['name']}: {dataset.source} (licence: {dataset.licence}). {' '.join(dataset.notes)}")
    create_from_tables(
        root,
        items=dataset.items,
        events=dataset.events,
        judgements=dataset.all_grades,
        photos_root=None,
        name=options["name"],
        overrides=options["overrides"],
    )
    evaluation = evaluate_shop(Shop.open(root), progress)
    write_report(root / REPORT, evaluation, options["name"], simulated=False, facts=facts_of(evaluation))
    found.append(evaluation)


def _side_by_side(shop: Shop, pair: list[dict[str, Any]], rankings: list[Ranking]) -> None:
    """One query as two shoppers see it, each result with its reasons."""
    _print(f"“{QUERY}” as two shoppers see it (SIMULATED shoppers)")
    for persona in pair:
        typer.echo(one_line(f"{persona['name']} ({persona['id']}). {persona['summary']}"))
    header = ["#", *(persona["name"] for persona in pair)]
    rows = []
    for place in range(_SHOWN):
        rows.append([place + 1, *(_told(shop, ranking, place) for ranking in rankings)])
        reasons = [_reasons(ranking, place) for ranking in rankings]
        rows += [["", *(one[line] if line < len(one) else "" for one in reasons)] for line in range(_REASONS)]
    print_table(header, rows)
    shared = set.intersection(*({result.item for result in ranking.results} for ranking in rankings))
    typer.echo(
        f"{len(shared)} of {_SHOWN} products are in both lists. All reasons, which sum to the score: "
        f'vetrina search "{QUERY}" --shopper {pair[0]["id"]} --shop {shop.root} --json'
    )


def _told(shop: Shop, ranking: Ranking, place: int) -> str:
    if place >= len(ranking.results):
        return ""
    result: Result = ranking.results[place]
    price = "" if result.price is None else f", {shop.config.shop.currency}{result.price:,.0f}"
    return f"{result.title}{price} ({result.score:+.2f})"


def _reasons(ranking: Ranking, place: int) -> list[str]:
    """The strongest reasons for a result, with their shares."""
    if place >= len(ranking.results):
        return []
    told = [reason for reason in ranking.results[place].reasons if reason.kind != "common"]
    return [f"  {reason.share:+.2f} {reason.text}" for reason in told[:_REASONS]]


def _print(text: str) -> None:
    typer.echo("")
    typer.echo(text)


def _took(seconds: float) -> str:
    return f"Took {int(seconds) // 60} min {int(seconds) % 60} s"


def _peak() -> float:
    """Largest resident size of this process, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
