"""The command evaluate: how good the engine is, or any other system's ranked lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vetrina.cli.options import Json, Quiet, ShopArgument
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import one_line, print_json
from vetrina.cli.where import open_shop

if TYPE_CHECKING:
    from vetrina.evaluate.evaluation import Evaluation

__all__ = ["evaluate"]

# What is measured, where it is not the shop's engine.
Runs = Annotated[
    list[Path] | None,
    typer.Option("--run", metavar="FILE", help="Ranked lists of any system, TREC or CSV; may be repeated."),
]
TruthFile = Annotated[Path | None, typer.Option("--truth", metavar="FILE", help="What is right, for --run.")]

# How it is measured.
Baseline = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Whose lead over the others is tested; default: the engine’s, or the first run’s.",
    ),
]
Cut = Annotated[int | None, typer.Option("--k", metavar="N", min=1, help="Results that count, with --run; default 10.")]


def evaluate(
    shop: ShopArgument = None,
    run: Runs = None,
    truth: TruthFile = None,
    k: Cut = None,
    baseline: Baseline = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare the engine with the usual baselines.

    Each learns from what was before the last days of the log, and is measured on them. With --run
    and --truth, measure lists that other systems made; that needs no shop.
    """
    if run or truth:
        _show(_of_runs(shop, run, truth, k, baseline), as_json)
        return
    if k is not None:
        raise typer.BadParameter("it goes with --run; the tables of a shop are at 10.", param_hint="--k")
    from vetrina.evaluate.experiment import evaluate_shop

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        evaluation = evaluate_shop(opened, progress, baseline=baseline)
    _show(evaluation, as_json)


def _of_runs(shop: Path | None, run: list[Path] | None, truth: Path | None, k: int | None, baseline: str) -> Evaluation:
    if not run or truth is None:
        lacking = "--truth, what is right" if run else "--run, the lists to measure"
        raise typer.BadParameter(f"needs {lacking} as well.", param_hint="--run" if run else "--truth")
    if shop is not None:
        raise typer.BadParameter("lists are measured without a shop: leave SHOP out.", param_hint="--run")
    from vetrina.evaluate.runs import evaluate_runs, read_run, read_truth
    from vetrina.evaluate.tables import K

    return evaluate_runs([read_run(path) for path in run], read_truth(truth), k or K, baseline)


def _show(evaluation: Evaluation, as_json: bool) -> None:
    if as_json:
        print_json(evaluation.as_dict())
        return
    tables = [
        *(table for one in evaluation.comparisons for table in (one.table, *one.segments)),
        *evaluation.rates,
        *evaluation.estimates,
    ]
    typer.echo("\n\n".join(table.text() for table in tables))
    for note in evaluation.notes:
        typer.echo(one_line(note))
