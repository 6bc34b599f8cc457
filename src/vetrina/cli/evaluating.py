"""The command evaluate: how good the engine is, beside the usual baselines."""

from __future__ import annotations

import typer

from vetrina.cli.options import Json, Quiet, ShopArgument
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import print_json
from vetrina.cli.where import open_shop

__all__ = ["evaluate"]


def evaluate(shop: ShopArgument = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Compare the engine with the usual baselines.

    Each learns from what was before the last days of the log, and is measured on them.
    """
    from vetrina.evaluate.experiment import evaluate_shop

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        evaluation = evaluate_shop(opened, progress)
    if as_json:
        print_json(evaluation.as_dict())
    else:
        typer.echo("\n\n".join(table.text() for table in evaluation.tables))
