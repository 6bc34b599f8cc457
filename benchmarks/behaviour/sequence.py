"""Whether the order in which people chose says what they choose next: leave-last-out on MovieLens-100k.

Each person's last rating is the test, the one before it is tuned on, and all films that the person has not rated are
ranked. Every system learns from all ratings before those two, of other people also later ones, as is usual
for this division; ours and RecBole's are tuned under one budget, in processes of their own, on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from peers.run import Answer, Budget, Failure, ask_all, libraries
from peers.tasks import RECOMMEND, Part, Round, Task
from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, Items, Query, Requests, Truth
from vetrina.core.errors import DataError
from vetrina.engine import Replay
from vetrina.evaluate import Table, compare, measure
from vetrina.evaluate.tables import K
from vetrina.evaluate.tuning import told

__all__ = ["leave_last_out", "tables"]

_LIBRARIES = Path(__file__).parent / "libraries"
_ANY_RATING = {"rate": 1.0, "rating_from": 0.0}
_SHOWN = ("ndcg", "hit_rate", "mrr")
REFERENCE = "SASRec"
TABLE = "Last film"
_QUICK = (REFERENCE, "item-kNN (implicit)", "popularity, last days", "popularity")


def leave_last_out(items: Items, log: EventLog, seed: int) -> Task:
    """Everybody's last choice, and to tune on the one before it; models begin from ``seed``."""
    by_person = np.argsort(log.shopper, kind="stable")
    by_person = by_person[np.searchsorted(log.shopper[by_person], 0) :]
    last = np.flatnonzero(np.append(np.diff(log.shopper[by_person]) != 0, True))
    test, before = by_person[last], by_person[last - 1]
    without = np.ones(len(log), dtype=bool)
    without[test] = False
    final = _part(log, without, test)
    without[before] = False
    tuning = _part(log, without, before)
    note = f"Everybody’s last rating, {len(test)} people; every rating is a choice; films rated before are left out."
    only = [Round((tuning,), final, seed)]
    return Task("movielens-last", "MovieLens-100k, leave last out", RECOMMEND, items, only, _ANY_RATING, True, (note,))


def _part(log: EventLog, known: npt.NDArray[np.bool_], asked: npt.NDArray[np.intp]) -> Part:
    """``asked``, events by row, to be foretold from what is ``known``."""
    train = log.take(known)
    now = log.time[asked]
    # What happened in the same second before it counts as past, for all alike.
    windows = train.windows(log.shopper[asked], now + 1, len(log))
    met = np.split(windows.item, windows.offsets[1:-1])
    queries = [Query(exclude=tuple(sorted(set(one.tolist())))) for one in met]
    truth = Truth.from_lists([{int(item): 1.0} for item in log.item[asked]])
    return Part(train, {TABLE: Replay(Requests(windows, queries, now), truth, log.shopper[asked])})


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Table]:
    """One table, with the first of ``seeds``; a quick one is without RecBole and what takes long of ours."""
    dataset = load("movielens-100k")
    items = Items(dataset.items)
    assert dataset.events is not None, "the set has events"
    task = leave_last_out(items, EventLog.from_table(dataset.events, items), seeds[0])
    budget = Budget(4, 60.0, 3600.0)
    folder = Path("build/peers").resolve()
    files = [_LIBRARIES / f"{name}.py" for name in ("sources", "recbole")]
    found, failures = libraries(files[:1] if quick else files, folder, _say)
    if quick:
        some = {name: found[0].models[RECOMMEND][name] for name in _QUICK}
        found = [replace(found[0], models={RECOMMEND: some})]
    # A quick table tunes nothing: all stand at their defaults.
    answers, failed = ask_all(task, found, budget, folder, _say, {} if quick else None)
    yield table_of(task, answers, [*failures, *failed])


def table_of(task: Task, answers: Sequence[Answer], failures: Sequence[Failure]) -> Table:
    """Systems side by side, the best first, with the lead of :data:`REFERENCE`."""
    truth = task.truth(TABLE)
    scores = {one.system: measure(one.lists[TABLE], truth, K, _SHOWN) for one in answers}
    if not scores:
        raise DataError("No system gave an answer: " + "; ".join(f"{one.who}: {one.why}" for one in failures))
    order = sorted(scores, key=lambda name: (name != REFERENCE, -scores[name].mean(f"ndcg@{K}")))
    title = f"{task.title}: full ranking"
    shown = {name: scores[name] for name in order}
    reference = REFERENCE if REFERENCE in scores else ""
    made = compare(title, shown, task.shopper(TABLE), reference, leaks=task.leaks)
    chosen = [
        f"{one.system}: {told(one.options[TABLE][0])} "
        f"({one.trials} trials in {one.tuning:.0f} s; last fit {one.fitting:.0f} s)"
        for one in answers
    ]
    failed = [f"{one.who} FAILED: {one.why}" for one in failures]
    return replace(made, notes=(*task.notes, *chosen, *failed))


def _say(line: str) -> None:
    print(line, flush=True)
