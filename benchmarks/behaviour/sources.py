"""What each source that learns from who chose what finds by itself, beside the library `implicit`, on real people.

Every source is asked for its own ten best, in its own order; what it cannot fill is filled by popularity, for all
alike. All are tuned on the validation part under one budget, in processes of their own, on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from peers.run import Answer, Budget, Failure, ask_all, libraries
from peers.tasks import TASKS, Task
from vetrina.core.errors import DataError
from vetrina.evaluate import Table, compare, measure
from vetrina.evaluate.tables import K

__all__ = ["tables"]

_OURS = Path(__file__).parent / "libraries" / "collaborative.py"
_IMPLICIT = Path(__file__).parents[1] / "peers" / "libraries" / "implicit.py"
_SHOWN = ("ndcg", "recall", "hit_rate")


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Table]:
    """A table for each question of three tasks; a quick one takes options as they are."""
    budget = Budget(1, 1.0, 600.0) if quick else Budget(8, 240.0)
    at_once = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    folder = Path("build/peers").resolve()
    found, failures = libraries([_OURS, _IMPLICIT], folder, _say)
    for name in ("online-retail", "movielens-random", "movielens-time"):
        task = TASKS[name](1)
        answers, failed = ask_all(task, found, replace(budget, at_once=at_once), folder, _say)
        yield from tables_of(task, answers, [*failures, *failed])


def tables_of(task: Task, answers: Sequence[Answer], failures: Sequence[Failure]) -> Iterator[Table]:
    """Systems side by side, the best first, with its lead."""
    failed = [f"{one.who} FAILED: {one.why}" for one in failures]
    if not answers:
        raise DataError(f"{task.name}: no system gave an answer: {'; '.join(failed)}")
    for name in task.tables:
        truth = task.truth(name)
        scores = {one.system: measure(one.lists[name], truth, K, _SHOWN) for one in answers}
        order = sorted(scores, key=lambda system: -scores[system].mean(f"ndcg@{K}"))
        title = f"Sources alone: {task.title}: {name}"
        made = compare(
            title, {system: scores[system] for system in order}, task.shopper(name), order[0], leaks=task.leaks
        )
        chosen = [
            f"{one.system}: {one.options[name][0] or 'no options'} ({one.trials} trials; last fit {one.fitting:.1f} s; "
            f"{one.filled[name]:.0%} of the places filled by popularity)"
            for one in answers
        ]
        yield replace(made, notes=(*task.notes, *chosen, *failed))


def _say(line: str) -> None:
    print(line, flush=True)
