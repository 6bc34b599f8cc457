"""The commands that make: init, ingest, build, rollback, snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vetrina.cli.options import Json, Quiet, ShopArgument
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import one_line, print_json, print_table
from vetrina.cli.where import open_shop

if TYPE_CHECKING:
    from vetrina.engine.shop import Shop

__all__ = ["build", "ingest", "init", "rollback", "snapshots"]

_REASONS_SHOWN = 5
_VALUE_SHOWN = 30


def init(
    shop: Annotated[Path, typer.Argument(metavar="SHOP", help="The folder to make.")],
    items: Annotated[
        Path, typer.Option(metavar="FILE", help="File of products: CSV, TSV, JSON Lines or Parquet, also .gz or .zst.")
    ],
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of what shoppers did; may come later.")
    ] = None,
    photos: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of photos.")] = None,
    media: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of sound and video.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="The shop's name; the folder's when left out.")] = "",
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="How letters are encoded, such as gb18030; auto finds out.")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Write shop.toml anew where there is one.")] = False,
    as_json: Json = False,
) -> None:
    """Make a shop folder from your own files.

    Guesses which column is which, writes it into shop.toml, and says what it was unsure of.
    """
    from vetrina.engine.create import create_shop

    notes = create_shop(
        shop,
        items_file=items,
        events_file=events,
        photos=photos,
        media=media,
        name=name,
        encoding=encoding,
        force=force,
    )
    if as_json:
        print_json({"shop": str(shop), "config": str(shop / "shop.toml"), "unsure": notes})
        return
    typer.echo(one_line(f"Made {shop}: which column is which stands in {shop / 'shop.toml'}."))
    if notes:
        typer.echo("Please check:")
        for note in notes:
            typer.echo(f"  - {one_line(note)}")
    typer.echo(one_line(f"Next: vetrina build {shop}"))


def ingest(shop: ShopArgument = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Read the files; set aside what cannot be used.

    Every row that is set aside is kept with its file, row and reason. A build does this first.
    """
    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        counts = opened.ingest(progress)
    if as_json:
        print_json({**counts, "reasons": _reasons(opened)})
        return
    _print_counts(opened, counts)


def build(
    shop: ShopArgument = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure on the last days first, which takes a second fit.")
    ] = True,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", help="Also write curves and figures for TensorBoard."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where to train and encode: cpu or cuda; default: as in shop.toml."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Read, encode, learn, measure, publish a snapshot.

    A report of it, report.html, lies in the snapshot. A build that is stopped leaves the published
    snapshot as it is.
    """
    from vetrina.evaluate.building import build_shop
    from vetrina.evaluate.tensorboard import require_tensorboard, write_tensorboard

    opened = open_shop(shop)
    if device is not None:
        opened.use_device(device)
    if tensorboard is not None:
        require_tensorboard()  # before minutes of work, not after
    with shown_progress(quiet) as progress:
        manifest, evaluation = build_shop(opened, progress, measure=measure, trials=0)
    if tensorboard is not None:
        write_tensorboard(tensorboard / manifest["name"], evaluation)
    if as_json:
        print_json(manifest)
        return
    metrics: dict[str, Any] = manifest["metrics"]
    _print_counts(opened, metrics["rows"])
    rows = [
        [name, *(f"{count[key]:,}" for key in ("encoded", "reused", "missing"))]
        for name, count in metrics["encoding"].items()
    ]
    if rows:
        print_table(["vectors", "encoded", "reused", "missing"], rows, numbers=("encoded", "reused", "missing"))
    for table in metrics.get("evaluation", {}).get("tables", []):
        typer.echo(one_line(_measured(table)))
    for table in metrics.get("evaluation", {}).get("cold", []):
        typer.echo(one_line(_measured(table)))
    if evaluation.modalities is not None:
        typer.echo("\n" + evaluation.modalities.text() + "\n")
    typer.echo(f"Published {manifest['name']}.")
    typer.echo(one_line(f"Report: {opened.report_path(manifest['name'])}"))
    if tensorboard is not None:
        typer.echo(one_line(f"Curves: tensorboard --logdir {tensorboard}"))
    where = "" if shop is None else f" --shop {shop}"
    typer.echo(one_line(f'Next: vetrina search "…"{where}, or: vetrina serve {shop or ""}'))


def _measured(table: dict[str, Any]) -> str:
    """The engine's first figure beside the best baseline's, in a line."""
    metric = table["metrics"][0]
    figures = {row["system"]: row["values"][metric]["mean"] for row in table["rows"]}
    ours = figures.pop(table["reference"], None)
    if ours is None or not figures:
        return f"Measured: {table['title']}"
    best = max(figures, key=lambda system: figures[system])
    whose = " of SIMULATED shoppers" if table["simulated"] else ""
    return (
        f"Measured: {table['title']}: {metric} {ours:.3f} on {table['n']:,} requests{whose}; "
        f"the best baseline, {best}, {figures[best]:.3f}."
    )


def rollback(
    shop: ShopArgument = None,
    to: Annotated[str | None, typer.Option(metavar="SNAPSHOT", help="Which one; default: the one before.")] = None,
    as_json: Json = False,
) -> None:
    """Serve an earlier snapshot, if it is whole."""
    opened = open_shop(shop)
    before = opened.snapshots.current()
    name = opened.roll_back(to)
    if as_json:
        print_json({"current": name, "before": before})
    else:
        typer.echo(f"Now served: {name} (before: {before or 'none'}).")


def snapshots(
    shop: ShopArgument = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its checksum.")] = False,
    as_json: Json = False,
) -> None:
    """List the snapshots.

    Exits with 1 when one is damaged; with --verify every file is compared with its checksum.
    """
    from vetrina.core.errors import SnapshotError

    opened = open_shop(shop)
    current, found = opened.snapshots.current(), []
    for name in opened.snapshots.names():
        told: dict[str, Any] = {"name": name, "current": name == current, "made": None, "items": None, "problem": None}
        try:
            manifest = opened.snapshots.verify(name) if verify else opened.snapshots.manifest(name)
            told |= {"made": manifest["made"], "items": manifest["items"]}
        except SnapshotError as error:
            told["problem"] = str(error)
        found.append(told)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("There is no snapshot yet. Make one with: vetrina build")
    else:
        rows = [
            ["→" if one["current"] else "", one["name"], one["made"] or "", one["items"] or "", one["problem"] or ""]
            for one in found
        ]
        print_table(
            ["", "snapshot", "made", "items", "verified" if verify else ""], [_verdict(row, verify) for row in rows]
        )
    if any(one["problem"] for one in found):
        raise typer.Exit(1)


def _verdict(row: list[Any], verify: bool) -> list[Any]:
    return [*row[:-1], row[-1] or ("whole" if verify else "")]


def _print_counts(shop: Shop, counts: dict[str, int]) -> None:
    kept = [_kept(counts, "items", "item_rows"), _kept(counts, "events", "event_rows")]
    kept += [f"{counts['judgements']:,} judgements"] if counts["judgements"] else []
    typer.echo(f"Kept {', '.join(filter(None, kept))}.")
    if counts["quarantined"]:
        typer.echo(one_line(f"What cannot be used is in {shop.root / 'data' / 'quarantine.parquet'}:"))
        rows = [
            [f"{one['count']:,}", one["file"], one["row"], one["column"], _short(one["value"]), one["reason"]]
            for one in _reasons(shop)
        ]
        shown = rows[:_REASONS_SHOWN]
        header = ["findings", "file", "first row", "column", "such as", "reason"]
        print_table(header, shown, numbers=("findings", "first row"))
        if len(rows) > len(shown):
            typer.echo(f"… and {len(rows) - len(shown)} more reasons")


def _kept(counts: dict[str, int], what: str, rows: str) -> str:
    """``1,715 of 2,374 events``; without the number of rows where all were kept; "" where there is no file."""
    kept, total = counts[what], counts[rows]
    if not total:
        return ""
    return f"{kept:,} {what}" if kept == total else f"{kept:,} {what} of {total:,} rows"


def _short(value: str) -> str:
    return value if len(value) <= _VALUE_SHOWN else f"{value[:_VALUE_SHOWN]}…"


def _reasons(shop: Shop) -> list[dict[str, Any]]:
    """What was set aside, by reason, the commonest first."""
    import polars as pl

    from vetrina.catalogue.tables import set_aside

    return set_aside(pl.read_parquet(shop.root / "data" / "quarantine.parquet")).to_dicts()
