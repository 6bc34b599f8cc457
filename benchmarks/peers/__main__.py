"""Peers in the same run: `make quality QUICK=1`, or `PYTHONPATH=benchmarks .venv/bin/python -m peers --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from peers.run import Budget, Failure, ask_all, libraries
from peers.tasks import TASKS, brief
from peers.tell import Findings
from vetrina.core.errors import VetrinaError

_HERE = Path(__file__).parent
# What a full run chose on the validation parts: build/peers/chosen.json of that run, kept.
_CHOSEN = _HERE / "chosen.json"
_FILES = {path.stem: path for path in sorted((_HERE / "libraries").glob("*.py"))}
# Our own first, so that every table can say its lead.
_NAMES = sorted(_FILES, key=lambda name: (name != "vetrina", name))


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="400 requests of each part, and nothing tuned: the options of --chosen"
    )
    parser.add_argument("--chosen", type=Path, default=_CHOSEN, help="what an earlier run chose, for --quick")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of: %(default)s")
    parser.add_argument("--libraries", default=",".join(_NAMES), help="some of: %(default)s")
    parser.add_argument("--trials", type=int, default=10, help="points each system may try on each round")
    parser.add_argument("--seconds", type=float, default=120.0, help="that each system may tune for, on each task")
    parser.add_argument("--to", type=Path, default=Path("build/peers"), help="environments, logs and results")
    arguments = parser.parse_args(given)
    for option, known in (("tasks", TASKS), ("libraries", _FILES)):
        for name in getattr(arguments, option).split(","):
            if name not in known:
                parser.error(f"--{option}: there is no {name!r}; known: {', '.join(known)}")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 where a library or a system failed, or metrics do not agree; 2 for what cannot be asked."""
    arguments = _arguments(given)
    began = time.monotonic()

    def say(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        print(f"[{minutes}:{seconds:02d}] {line}", flush=True)

    at_once = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    budget = Budget(arguments.trials, arguments.seconds, at_once=at_once)
    try:
        chosen = json.loads(arguments.chosen.read_text(encoding="utf-8")) if arguments.quick else None
    except (OSError, ValueError) as error:
        print(f"--chosen: {arguments.chosen} is not what an earlier run wrote as chosen.json: {error}", file=sys.stderr)
        return 2
    folder = arguments.to.resolve()
    files = [_FILES[name] for name in arguments.libraries.split(",")]
    found, failures = libraries(files, folder, say)
    started = time.monotonic()
    how = "nothing is tuned: each system has the options that an earlier run chose for it on the validation parts"
    if chosen is None:
        how = (
            f"each system may try {budget.trials} points on each round, beginning none after {budget.seconds:.0f} s on "
            "a task; its defaults are the first; tuned on the validation part alone"
        )
    say(f"{how}; {budget.at_once} systems at a time, one thread each")
    findings = Findings(versions={one.file.stem: one.versions for one in found}, failures=failures)
    for name in arguments.tasks.split(","):
        try:
            task = brief(TASKS[name]()) if arguments.quick else TASKS[name]()
        except VetrinaError as error:
            say(f"{name}: cannot be read: {error}")
            findings.failures.append(Failure("the data set", name, str(error)))
            continue
        say(f"{name}: {task.title}, {len(task.items):,} items, {len(task.rounds)} rounds")
        answers, failed = ask_all(task, found, budget, folder, say, chosen)
        own = findings.add(task, answers, failed)
        print("\n" + "\n\n".join(table.text() for table in own) + "\n", flush=True)
        findings.write(folder)
    print(findings.text() + "\n")
    say(
        f"done: {(time.monotonic() - started) / 60:.1f} minutes without installing; "
        f"all of it is in {arguments.to}: report.html, summary.md, summary.json, chosen.json"
    )
    return 0 if findings.sound else 1


if __name__ == "__main__":
    sys.exit(main())
