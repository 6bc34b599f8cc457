"""Every system through the same door: tuned on the validation part under one budget, or told what such a tuning chose;
then tested, then scored."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from peers.driver import Peer
from peers.environment import python_of
from peers.exchange import PeerFailed, complete, read_space, write_items, write_lists, write_part, write_truth
from peers.tasks import Part, Round, Task
from vetrina.core import ItemList
from vetrina.core.errors import VetrinaError
from vetrina.evaluate import measure
from vetrina.evaluate.tables import K
from vetrina.evaluate.tuning import search_space

__all__ = ["Answer", "Budget", "Chosen", "Failure", "Library", "answer", "ask_all", "libraries"]

Say = Callable[[str], None]
#: By task, system and table what an earlier run chose for each round, as :attr:`Answer.options` has it.
Chosen = Mapping[str, Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]]
_METRIC = "ndcg"


@dataclass(frozen=True)
class Budget:
    """What each system may spend on one task, whoever it is.

    Attributes
    ----------
    trials : int
        Points that are tried on the validation part of each round, the defaults among them.
    seconds : float
        No further trial is begun after so long, over all rounds of a task.
    limit : float
        One fit, or one ranking, may take so long before it is stopped.
    at_once : int
        Systems that are asked at the same time, each on one thread.
    """

    trials: int
    seconds: float
    limit: float = 900.0
    at_once: int = 1


@dataclass(frozen=True)
class Library:
    """A library's file, once it has said what it has.

    Attributes
    ----------
    file, python : Path
    models : dict of str to dict of str to dict
        Options of each model, by kind of task.
    first : dict of str to list of dict
        Points of a system that are tried before the sampler draws, by what they change of its defaults.
    versions : dict of str to str
    evaluates : bool
        Whether it has metrics of its own.
    """

    file: Path
    python: Path
    models: dict[str, dict[str, dict[str, Any]]]
    first: dict[str, list[dict[str, Any]]]
    versions: dict[str, str]
    evaluates: bool


@dataclass(frozen=True)
class Answer:
    """What a system gave for one task.

    Attributes
    ----------
    system : str
    lists : dict of str to ItemList
        By table, of all rounds after one another.
    filled : dict of str to float
        Share of the places that popularity filled.
    options : dict of str to list of dict
        What was chosen for each round, by table.
    own : dict of str to dict of str to float
        What the library's own metrics say of the same lists.
    trials : int
    failed : int
        Trials that failed.
    tuning, fitting, ranking : float
        Seconds; the latter two of the test alone.
    """

    system: str
    lists: dict[str, ItemList]
    filled: dict[str, float]
    options: dict[str, list[dict[str, Any]]]
    own: dict[str, dict[str, float]]
    trials: int = 0
    failed: int = 0
    tuning: float = 0.0
    fitting: float = 0.0
    ranking: float = 0.0


@dataclass(frozen=True)
class Failure:
    """A library, or one of its systems on one task, that did not work."""

    who: str
    task: str
    why: str


@dataclass
class _Spent:
    trials: int = 0
    failed: int = 0
    tuning: float = 0.0
    fitting: float = 0.0
    ranking: float = 0.0


@dataclass
class _Gathered:
    """Of one table, round after round."""

    lists: list[Any] = field(default_factory=list)
    filled: list[float] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)


def libraries(files: Sequence[Path], folder: Path, say: Say) -> tuple[list[Library], list[Failure]]:
    """Make the environments that are missing, and ask each library what it has."""
    found, failures = [], []
    for file in files:
        try:
            python = python_of(file, folder, say)
            with Peer(python, file, folder / "logs" / f"{file.stem}.log", limit=300) as peer:
                told_ = peer.ask("hello")
        except PeerFailed as error:
            failures.append(Failure(file.stem, "", str(error)))
            say(f"{file.stem}: left out: {error}")
            continue
        models = {kind: told_[kind] for kind in ("recommend", "search")}
        found.append(Library(file, python, models, told_["first"], told_["versions"], told_["evaluates"]))
    return found, failures


def ask_all(
    task: Task, found: Sequence[Library], budget: Budget, folder: Path, say: Say, chosen: Chosen | None = None
) -> tuple[list[Answer], list[Failure]]:
    """Every system of every library that does this kind of task, a few at a time; one that fails is told.

    With ``chosen`` nothing is tuned: a system that it does not name stands at its defaults, and that is said.
    """
    wanted = [(library, system) for library in found for system in library.models[task.kind]]
    # Those that take long, as far as one can tell, come first: else one core waits for the last of them.
    wanted.sort(key=lambda pair: -len(pair[0].models[task.kind][pair[1]]))

    def one(library: Library, system: str) -> Answer | Failure:
        log = folder / "logs" / f"{task.name}-{re.sub(r'[^a-z0-9]+', '-', system.lower())}.log"
        log.unlink(missing_ok=True)
        if chosen is not None and library.models[task.kind][system] and system not in chosen.get(task.name, {}):
            say(f"{task.name}: {system}: nothing was chosen for it yet, so it stands at its defaults")
        try:
            with Peer(library.python, library.file, log, budget.limit) as peer:
                done = answer(task, library, system, peer, budget, chosen)
        except PeerFailed as error:
            say(f"{task.name}: {system}: FAILED: {error}")
            return Failure(system, task.name, str(error))
        say(
            f"{task.name}: {system}: {done.trials} trials in {done.tuning:.0f} s, "
            f"fitted in {done.fitting:.1f} s, ranked in {done.ranking:.1f} s"
        )
        return done

    pool = ThreadPoolExecutor(budget.at_once)
    try:
        results = list(pool.map(lambda pair: one(*pair), wanted))
    finally:
        pool.shutdown(cancel_futures=True)  # whoever interrupts does not wait for all the others
    return (
        [result for result in results if isinstance(result, Answer)],
        [result for result in results if isinstance(result, Failure)],
    )


def answer(
    task: Task, library: Library, system: str, peer: Peer, budget: Budget, chosen: Chosen | None = None
) -> Answer:
    """One system's lists for all rounds of a task, tuned for each unless ``chosen`` says what a tuning chose.

    Nothing of a test part is on the disk before the tuning of its round is over, and what is
    right never is, until the lists are done and the library's own metrics are asked for.

    Raises
    ------
    PeerFailed
        When the library does not do what it is asked.
    """
    space, default = read_space(library.models[task.kind][system], f"{library.file.name}: {system}")
    first = [
        default,
        *({**default, **point} for point in library.first.get(system, []) if point.keys() <= space.keys()),
    ]
    gathered = {name: _Gathered() for name in task.tables}
    spent = _Spent()
    with tempfile.TemporaryDirectory(prefix="vetrina-peers-") as made:
        place = Path(made)
        write_items(task, place)
        for number, one in enumerate(task.rounds):
            if chosen is None:
                points = _tuned(task, one, system, peer, budget, place / f"tuning-{number}", (space, first), spent)
            else:
                known = chosen.get(task.name, {}).get(system, {})
                points = {name: _known(known.get(name, []), number, default) for name in task.tables}
            _tested(task, one, system, peer, place / f"final-{number}", points, gathered, spent)
        lists = {
            name: ItemList.from_lists([row for part in one.lists for row in part]) for name, one in gathered.items()
        }
        own = _own(task, lists, peer, place) if library.evaluates else {}
    return Answer(
        system,
        lists,
        {name: float(np.mean(one.filled)) for name, one in gathered.items()},
        {name: one.options for name, one in gathered.items()},
        own,
        spent.trials,
        spent.failed,
        spent.tuning,
        spent.fitting,
        spent.ranking,
    )


def _known(chosen: Sequence[Mapping[str, Any]], number: int, default: dict[str, Any]) -> dict[str, Any]:
    """What was chosen for this round; of what nothing is known, or no longer, the default."""
    point = chosen[number] if number < len(chosen) else {}
    return {**default, **{option: value for option, value in point.items() if option in default}}


def _tuned(
    task: Task,
    one: Round,
    system: str,
    peer: Peer,
    budget: Budget,
    folder: Path,
    options: tuple[Mapping[str, Any], Sequence[dict[str, Any]]],
    spent: _Spent,
) -> dict[str, dict[str, Any]]:
    """The best options for each table, judged on the round's parts for tuning alone."""
    space, first = options
    default = first[0]
    if not space:
        return dict.fromkeys(task.tables, default)
    places = [folder.with_name(f"{folder.name}-{number}") for number in range(len(one.tuning))]
    paths = [write_part(task, part, place, one.seed) for part, place in zip(one.tuning, places, strict=True)]
    failed = 0

    def judge(point: Mapping[str, Any]) -> list[float]:
        nonlocal failed
        try:
            values: dict[str, list[float]] = {name: [] for name in task.tables}
            for part, place, asked in zip(one.tuning, places, paths, strict=True):
                peer.ask("fit", part=place, model=system, options=dict(point))
                for name, replay in part.asked.items():
                    found = _ranked(task, part, name, peer, asked[name], place)[0]
                    values[name] += measure(found, replay.truth, K, [_METRIC]).values[f"{_METRIC}@{K}"].tolist()
            return [float(np.mean(values[name])) for name in task.tables]
        except PeerFailed:
            if dict(point) == default:
                raise
            # A corner of the space may be more than a library bears: a bad trial, not the end of it.
            failed += 1
            return [0.0] * len(task.tables)

    began = time.monotonic()
    try:
        seconds = budget.seconds / len(task.rounds)
        done = search_space(system, space, first, judge, trials=budget.trials, seconds=seconds, rng=one.seed)
    except VetrinaError as error:
        raise PeerFailed(f"tuning: {error}") from error
    spent.tuning += time.monotonic() - began
    spent.trials += len(done)
    spent.failed += failed
    return {name: max(done, key=lambda trial: trial.values[side]).options for side, name in enumerate(task.tables)}


def _tested(
    task: Task,
    one: Round,
    system: str,
    peer: Peer,
    folder: Path,
    points: Mapping[str, dict[str, Any]],
    gathered: Mapping[str, _Gathered],
    spent: _Spent,
) -> None:
    paths = write_part(task, one.final, folder, one.seed)
    fitted: str | None = None
    # Tables with the same options after one another: they are fitted once.
    for name in sorted(points, key=lambda table: repr(points[table])):
        if repr(points[name]) != fitted:
            spent.fitting += peer.ask("fit", part=folder, model=system, options=points[name])["seconds"]
            fitted = repr(points[name])
        found, filled, seconds = _ranked(task, one.final, name, peer, paths[name], folder)
        spent.ranking += seconds
        gathered[name].lists.append([found.list_of(row) for row in range(len(found))])
        gathered[name].filled.append(filled)
        gathered[name].options.append(points[name])


def _ranked(task: Task, part: Part, name: str, peer: Peer, asked: Path, folder: Path) -> tuple[ItemList, float, float]:
    """(lists, share that popularity filled, seconds)."""
    to = folder / "ids.npy"
    to.unlink(missing_ok=True)
    k = part.depth(name)
    seconds = peer.ask("rank", requests=asked, k=k, to=to)["seconds"]
    try:
        ids = np.load(to, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PeerFailed(f"rank() gave no array of numbers: {error} ({peer.log})") from None
    done = complete(ids, part.asked[name], part, task, k, pool=name in part.pools)
    return done.lists, done.filled, seconds


def _own(task: Task, lists: Mapping[str, ItemList], peer: Peer, place: Path) -> dict[str, dict[str, float]]:
    """What the library's own metrics say, of requests that have a right answer."""
    found = {}
    for name, own in lists.items():
        truth = task.truth(name)
        some = np.flatnonzero(truth.n_relevant)
        write_lists(ItemList.from_lists([own.list_of(row)[:K] for row in some.tolist()]), K, place / "lists.npy")
        write_truth(truth.take(some), len(task.items), place / "truth.npz")
        found[name] = peer.ask("evaluate", lists=place / "lists.npy", truth=place / "truth.npz", k=K)
    return found
