"""Build a shop, measure it, and leave a report of both in the snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vetrina.core import Progress
from vetrina.engine import Engine, Shop
from vetrina.evaluate.evaluation import Evaluation
from vetrina.evaluate.experiment import measuring
from vetrina.evaluate.protocols import PROTOCOLS
from vetrina.evaluate.report import training_curves, write_report
from vetrina.evaluate.tuning import TRIALS

__all__ = ["build_shop", "facts_of"]


def build_shop(
    shop: Shop, progress: Progress | None = None, *, measure: bool = True, trials: int = TRIALS
) -> tuple[dict[str, Any], Evaluation]:
    """Build and publish a snapshot that holds a report of itself, ``report.html``.

    Parameters
    ----------
    shop : Shop
    progress : Progress, optional
    measure : bool
        Measure on the last days first, which takes a second fit. Without it the report has
        only the curves of training.
    trials : int
        Settings tried of each baseline; 0 leaves them as they are.

    Returns
    -------
    (dict, Evaluation)
        The snapshot's manifest, and what the report shows.

    Examples
    --------
    ::

        manifest, evaluation = build_shop(Shop.open("myshop"))
        print(shop.report_path())
    """
    found: list[Evaluation] = []
    shown: list[Evaluation] = []

    def report(path: Path, engine: Engine, manifest: Mapping[str, Any]) -> None:
        evaluation = found[0] if found else Evaluation(notes=(_NOT_MEASURED,))
        shown.append(replace(evaluation, training=training_curves(engine)))
        facts = facts_of(shown[0], manifest)
        write_report(
            path,
            shown[0],
            shop.config.shop.name,
            simulated=shop.config.shop.simulated,
            facts=facts,
            set_aside=manifest["metrics"].get("set_aside", ()),
        )

    measured = measuring(found, progress, trials=trials, photos=shop.root) if measure else None
    manifest = shop.build(progress, measured, report)
    return manifest, shown[0]


_NOT_MEASURED = "Nothing was measured: the build was told not to. A build without --no-measure measures."


def facts_of(
    evaluation: Evaluation, manifest: Mapping[str, Any] | None = None, protocol: str = "time"
) -> dict[str, str]:
    """What a report says of itself below its title.

    Parameters
    ----------
    evaluation : Evaluation
        What it shows.
    manifest : mapping, optional
        Of the snapshot that the report is of; the date is today's without it.
    protocol : str
        How the log was divided, if it was; "" for lists that were measured without a shop.
    """
    facts = {}
    if manifest is not None:
        facts["Snapshot"] = str(manifest["name"])
        made = datetime.fromisoformat(manifest["made"])
    else:
        made = datetime.now(UTC)
    facts["Date"] = f"{made:%-d %B %Y, %H:%M} UTC"
    rows = manifest["metrics"]["rows"] if manifest is not None else {}
    facts |= {name.capitalize(): f"{rows[name]:,}" for name in ("items", "events", "judgements") if rows.get(name)}
    fused = manifest["metrics"].get("fused") if manifest is not None else None
    if fused:
        held = f"{fused['explained']:.2f} of the variance, " if "explained" in fused else ""
        facts["Fused vector"] = (
            f"{fused['dimensions']} dimensions, {held}{fused['fuser']} of {', '.join(fused['modalities'])}"
        )
    facts["Vetrina"] = version("vetrina")
    # Graded queries have no shoppers: they are all asked, whatever the protocol.
    if protocol and any(one.table.n_shoppers is not None for one in evaluation.comparisons):
        facts["Asked"] = PROTOCOLS[protocol].summary
    return facts
