"""Peers in the same run: `make quality QUICK=1`, or `PYTHONPATH=benchmarks .venv/bin/python -m peers --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vetrina.core.errors import VetrinaError
from vetrina.evaluate import Table

from peers.run import Answer, Budget, Failure, ask_all, libraries
from peers.tasks import TASKS
from peers.tell import (
    LIBRARY_GAP,
    OWN_GAP,
    Agreement,
    agreement_rows,
    agreements,
    as_data,
    columns,
    effort,
    library_gap,
    tables,
)

_HERE = Path(__file__).parent
_FILES = {path.stem: path for path in sorted((_HERE / "libraries").glob("*.py"))}
# Our own first, so that every table can say its lead.
_NAMES = sorted(_FILES, key=lambda name: (name != "vetrina", name))


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small budget, one division at random")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of: %(default)s")
    parser.add_argument("--libraries", default=",".join(_NAMES), help="some of: %(default)s")
    parser.add_argument("--trials", type=int, help="points each system may try on each round")
    parser.add_argument("--seconds", type=float, help="that each system may tune for, on each task")
    parser.add_argument("--to", type=Path, default=Path("build/peers"), help="environments, logs and results")
    arguments = parser.parse_args(given)
    for option, known in (("tasks", TASKS), ("libraries", _FILES)):
        for name in getattr(arguments, option).split(","):
            if name not in known:
                parser.error(f"--{option}: there is no {name!r}; known: {', '.join(known)}")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 where a system failed or metrics do not agree."""
    arguments = _arguments(given)
    began = time.monotonic()

    def say(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        print(f"[{minutes}:{seconds:02d}] {line}", flush=True)

    budget = Budget(6, 30.0) if arguments.quick else Budget(30, 600.0)
    budget = Budget(arguments.trials or budget.trials, arguments.seconds or budget.seconds)
    folder = arguments.to.resolve()
    files = [_FILES[name] for name in arguments.libraries.split(",")]
    found, failures = libraries(files, folder, say)
    started = time.monotonic()
    say(
        f"each system may try {budget.trials} points on each round, beginning none after {budget.seconds:.0f} s on a "
        "task; its defaults are the first; tuned on the validation part alone"
    )
    made: list[Table] = []
    agreed: list[Agreement] = []
    spent: list[dict[str, Any]] = []
    gaps: dict[str, float] = {}
    for name in arguments.tasks.split(","):
        try:
            task = TASKS[name](1 if arguments.quick else 5)
        except VetrinaError as error:
            say(f"{name}: cannot be read: {error}")
            failures.append(Failure("the data set", name, str(error)))
            continue
        say(f"{name}: {task.title}, {len(task.items):,} items, {len(task.rounds)} rounds")
        answers, failed = ask_all(task, found, budget, folder, say)
        failures += failed
        if not answers:
            continue
        made += tables(task, answers)
        agreed += agreements(task, answers)
        spent += effort(task, answers)
        gaps[name] = library_gap(task, answers)
        print("\n" + "\n\n".join(table.text() for table in made[-len(task.tables) :]) + "\n", flush=True)
    seconds = time.monotonic() - started
    _tell(made, agreed, spent, gaps, failures)
    say(f"done: {seconds / 60:.1f} minutes without installing; all of it is in {arguments.to}/summary.md and .json")
    versions = {one.file.stem: one.versions for one in found}
    _write(arguments.to, made, agreed, spent, gaps, failures, versions, seconds)
    apart = [one for one in agreed if one.gap > OWN_GAP] or [gap for gap in gaps.values() if gap > LIBRARY_GAP]
    return 1 if apart or failures else 0


def _tell(
    made: Sequence[Table],
    agreed: Sequence[Agreement],
    spent: Sequence[dict[str, Any]],
    gaps: dict[str, float],
    failures: Sequence[Failure],
) -> None:
    if agreed:
        print("Our metrics beside what each library’s own evaluation says of the same lists")
        print(columns(agreement_rows(agreed)))
        worst = max(agreed, key=lambda one: one.gap)
        print(f"at most {worst.gap:.1e} apart ({worst.system}, {worst.metric}); allowed {OWN_GAP}\n")
    for name, gap in gaps.items():
        print(f"{name}: ir_measures is at most {gap:.1e} from us on any request; allowed {LIBRARY_GAP:.0e}")
    if spent:
        print("\n" + columns(spent) + "\n")
    for one in failures:
        print(f"FAILED: {one.who}{f' on {one.task}' if one.task else ''}: {one.why}")


def _write(
    folder: Path,
    made: Sequence[Table],
    agreed: Sequence[Agreement],
    spent: Sequence[dict[str, Any]],
    gaps: dict[str, float],
    failures: Sequence[Failure],
    versions: dict[str, dict[str, str]],
    seconds: float,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "tables": [table.as_dict() for table in made],
        "own_metrics": as_data(agreed),
        "ir_measures": gaps,
        "effort": spent,
        "failures": [vars(one) for one in failures],
        "versions": versions,
        "seconds": seconds,
    }
    (folder / "summary.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    parts = ["# Peers in the same run", *(table.markdown() for table in made)]
    if agreed:
        parts.append("Our metrics beside each library’s own, of the same lists:\n\n```\n" + columns(agreement_rows(agreed)) + "\n```")
    if spent:
        parts.append("```\n" + columns(spent) + "\n```")
    parts += [f"Failed: {one.who} {one.task}: {one.why}" for one in failures]
    (folder / "summary.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
