"""The command evaluate: how good the engine is, or any other system's ranked lists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vetrina.cli.options import Json, Quiet, ShopArgument
from vetrina.cli.progress import shown_progress
from vetrina.cli.show import one_line, print_json, print_table
from vetrina.cli.where import open_shop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vetrina.evaluate.evaluation import Evaluation
    from vetrina.evaluate.tables import Table

__all__ = ["evaluate"]

# What is measured, where it is not the shop's engine.
Runs = Annotated[
    list[Path] | None,
    typer.Option("--run", metavar="FILE", help="Ranked lists of any system, TREC or CSV; may be repeated."),
]
TruthFile = Annotated[Path | None, typer.Option("--truth", metavar="FILE", help="What is right, for --run.")]
Export = Annotated[
    Path | None,
    typer.Option("--export", metavar="DIR", help="Instead, write the test as files for another engine to answer."),
]
CheckLeaks = Annotated[
    bool,
    typer.Option("--check-leaks", help="Instead, check that nothing knows the future; exit 1 where it does."),
]

# How it is measured.
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="How the log is divided: time (the default), time-frozen, last, shoppers, cold-shoppers, cold-items "
        "or random.",
    ),
]
Baseline = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Whose lead over the others is tested; default: the engine’s, or the first run’s.",
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        metavar="N",
        min=0,
        help="Tune the engine's ranker and every baseline by N trials each; without it, every baseline by 12 and the "
        "engine not at all; 0: nobody.",
    ),
]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Also write one HTML page of it.")]
Cut = Annotated[int | None, typer.Option("--k", metavar="N", min=1, help="Results that count, with --run; default 10.")]


def evaluate(
    shop: ShopArgument = None,
    run: Runs = None,
    truth: TruthFile = None,
    k: Cut = None,
    protocol: ProtocolName = None,
    trials: Trials = None,
    baseline: Baseline = "",
    report: Report = None,
    export: Export = None,
    check_leaks: CheckLeaks = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare the engine with the usual baselines.

    Each learns from what was before the last days of the log, and is measured on them; another
    --protocol holds out another part. --trials prints the options that suit the engine best, for
    [rank.options] of shop.toml. With --run and --truth, measure lists that other systems
    made; that needs no shop.
    """
    given = {"--run": run, "--truth": truth, "--k": k, "--protocol": protocol, "--trials": trials}
    given |= {"--baseline": baseline, "--report": report, "--export": export, "--check-leaks": check_leaks}
    what = _only_what_goes_together(given)
    if what == "--run":
        evaluation = _of_runs(shop, run, truth, k, baseline)
        _show(evaluation, as_json)
        if report is not None:
            _report(report, evaluation, evaluation.comparisons[0].table.title, as_json)
        return
    if export is not None:
        _export(shop, export, quiet, as_json)
        return
    if check_leaks:
        _check_leaks(shop, quiet, as_json)
        return
    from vetrina.evaluate.experiment import evaluate_shop
    from vetrina.evaluate.tuning import TRIALS

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        evaluation = evaluate_shop(
            opened,
            progress,
            protocol=protocol or "time",
            trials=TRIALS if trials is None else trials,
            engine_trials=trials or 0,
            baseline=baseline,
        )
    _show(evaluation, as_json)
    if report is not None:
        name, simulated = opened.config.shop.name, opened.config.shop.simulated
        _report(report, evaluation, name, as_json, protocol=protocol or "time", simulated=simulated)


def _of_runs(shop: Path | None, run: list[Path] | None, truth: Path | None, k: int | None, baseline: str) -> Evaluation:
    if not run or truth is None:
        lacking = "--truth, what is right" if run else "--run, the lists to measure"
        raise typer.BadParameter(f"needs {lacking} as well.", param_hint="--run" if run else "--truth")
    if shop is not None:
        raise typer.BadParameter("lists are measured without a shop: leave SHOP out.", param_hint="--run")
    from vetrina.evaluate.runs import evaluate_runs, read_run, read_truth
    from vetrina.evaluate.tables import K

    return evaluate_runs([read_run(path) for path in run], read_truth(truth), k or K, baseline)


def _report(
    path: Path, evaluation: Evaluation, title: str, as_json: bool, *, protocol: str = "", simulated: bool = False
) -> None:
    from vetrina.evaluate.building import facts_of
    from vetrina.evaluate.report import write_report

    write_report(path, evaluation, title, simulated=simulated, facts=facts_of(evaluation, protocol=protocol))
    if not as_json:
        typer.echo(one_line(f"Report: {path}"))


#: What is done, and the options that mean anything then.
_TOGETHER = {
    "--run": ("--run", "--truth", "--k", "--baseline", "--report"),
    "--export": ("--export",),
    "--check-leaks": ("--check-leaks",),
    "": ("--protocol", "--trials", "--baseline", "--report"),
}


def _only_what_goes_together(given: Mapping[str, object]) -> str:
    """Which of :data:`_TOGETHER` is asked for; an option that means nothing there is not passed over."""
    used = [name for name, value in given.items() if value or type(value) is int]  # 0 trials is an answer
    what = next((name for name in _TOGETHER if name in used), "--run" if "--truth" in used else "")
    for name in used:
        if name not in _TOGETHER[what]:
            why = f"does not go with {what}" if what else "goes with --run only"
            raise typer.BadParameter(f"{why}.", param_hint=name)
    return what


def _export(shop: Path | None, folder: Path, quiet: bool, as_json: bool) -> None:
    from vetrina.evaluate.export import export_test

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        written = export_test(opened, folder, progress)
    if as_json:
        print_json({str(place): count for place, count in written.items()})
        return
    for place, count in written.items():
        typer.echo(one_line(f"{place}: {count:,} requests, what is right for them, and Vetrina’s answers."))
    typer.echo("They hold what shoppers typed, and pseudonyms: keep them as you keep the log, and delete them after.")
    place = next(iter(written))
    (truth,) = place.glob("*truth.csv")
    typer.echo(
        one_line(
            f"Next: let your engine answer {place / 'requests.csv'} as present.csv (request, item, rank), then: "
            f"vetrina evaluate --truth {truth} --run {place / 'vetrina.csv'} --run present.csv"
        )
    )


def _check_leaks(shop: Path | None, quiet: bool, as_json: bool) -> None:
    from vetrina.evaluate.leaks import check_leaks

    opened = open_shop(shop)
    with shown_progress(quiet) as progress:
        found = check_leaks(opened, progress)
    leaks = sum(one.leaks for one in found)
    if as_json:
        print_json({"leaks": leaks, "findings": [one.as_dict() for one in found]})
    else:
        rows = [["LEAK" if one.leaks else "ok", one.check, one.component, one.words] for one in found]
        print_table(["", "check", "of", "what was found"], rows)
        typer.echo(f"{len(found)} checks, {leaks or 'no'} leak{'' if leaks == 1 else 's'}.")
    if leaks:
        raise typer.Exit(1)


def _show(evaluation: Evaluation, as_json: bool) -> None:
    if as_json:
        print_json(evaluation.as_dict())
        return
    for comparison in evaluation.comparisons:
        typer.echo(comparison.table.text() + "\n")
        if comparison.beyond is not None:
            # In one block; every metric with its interval stands in the JSON.
            typer.echo(replace(comparison.beyond, every_interval=False).text() + "\n")
        if comparison.segments:
            _show_parts(comparison.segments)
    for table in (*evaluation.cold, *evaluation.rates, *evaluation.estimates):
        typer.echo(table.text() + "\n")
    if evaluation.modalities is not None:
        typer.echo(evaluation.modalities.text() + "\n")
    for note in evaluation.notes:
        typer.echo(one_line(note))
    if evaluation.options:
        typer.echo("To keep them, write into shop.toml:\n\n[rank.options]")
        for name, value in evaluation.options.items():
            typer.echo(f"{name} = {json.dumps(value)}")


def _show_parts(tables: Sequence[Table]) -> None:
    """Parts of the requests, a line each: the reference beside the best of the others. All is in the JSON."""
    metric, reference = tables[0].metrics[0], tables[0].reference
    header = ["part", "requests", f"{reference or tables[0].rows[0].system}: {metric}"]
    header += ["best other", metric, "lead", "interval", "p (Holm)"] if reference else []
    lines = []
    for table in tables:
        others = {row.system: row for row in table.rows}
        ours = others.pop(reference) if reference else table.rows[0]
        line = [table.title, f"{table.n:,}", f"{ours.values[metric].mean:.3f}"]
        if reference:
            best = max(others.values(), key=lambda row: row.values[metric].mean)
            lead, chance = (best.lead or {})[metric], (best.adjusted or {})[metric]
            line += [best.system, f"{best.values[metric].mean:.3f}", f"{lead.mean:+.3f}"]
            line += [f"[{lead.low:+.3f}, {lead.high:+.3f}]", f"{chance:.3f}"]
        lines.append([cell.replace("+nan", "–").replace("nan", "–") for cell in line])
    print_table(header, lines, numbers=[name for name in header if name not in ("part", "best other")])
    typer.echo("")
