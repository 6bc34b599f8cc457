"""The plain files that go through the door: what a library is given, and the lists that it gives back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from peers.tasks import Part, Task
from vetrina.core import Choice, EventKind, ItemList, Real, Truth, Whole
from vetrina.core.errors import VetrinaError
from vetrina.engine import Replay

__all__ = ["Lists", "PeerFailed", "complete", "read_space", "write_items", "write_lists", "write_part", "write_truth"]

Ids = npt.NDArray[np.int32]
_HISTORY = ("item", "kind", "time", "price", "quantity", "rating")


class PeerFailed(Exception):
    """A library did not do what it was asked; the message says what, and where its log is."""


def write_items(task: Task, folder: Path) -> None:
    """The catalogue as JSON lines, in order of the numbers that stand for items."""
    folder.mkdir(parents=True, exist_ok=True)
    task.items.table.write_ndjson(folder / "items.jsonl")


def write_part(task: Task, part: Part, folder: Path, seed: int) -> dict[str, Path]:
    """All that may be known of a part, and nothing of what is right; gives the file of each thing asked."""
    folder.mkdir(parents=True, exist_ok=True)
    log = part.train
    weight = task.weights(log)
    kept = np.flatnonzero((weight > 0) & (log.item >= 0))
    columns: dict[str, npt.NDArray[Any]] = {name: getattr(log, name)[kept] for name in (*_HISTORY, "request")}
    graded: dict[str, npt.NDArray[Any]] = {
        "query": np.empty(0, np.int64),
        "graded": np.empty(0, np.int32),
        "grade": np.empty(0),
    }
    queries: list[str] = []
    if part.graded is not None:
        truth = part.graded.truth
        queries = [query.text for query in part.graded.requests.queries]
        graded = {"query": truth.row, "graded": truth.item, "grade": truth.gain}
    columns |= {"user": log.shopper[kept], "weight": weight[kept], **graded}
    np.savez(folder / "train.npz", allow_pickle=False, **columns)
    about = {
        "n_users": len(log.shoppers),
        "n_items": len(task.items),
        "seed": seed,
        "kinds": {kind.name: int(kind) for kind in EventKind},
        "gains": task.gains,
        "queries": queries,
    }
    (folder / "part.json").write_text(json.dumps(about), encoding="utf-8")
    paths = {}
    for number, (name, replay) in enumerate(part.asked.items()):
        paths[name] = folder / f"asked-{number}.npz"
        _write_requests(task, replay, paths[name], pool=name in part.pools)
    return paths


def _write_requests(task: Task, replay: Replay, path: Path, *, pool: bool) -> None:
    requests, windows = replay.requests, replay.requests.windows
    weight = task.weights(windows)
    kept = np.flatnonzero(weight > 0)
    sizes = np.bincount(windows.row[kept], minlength=len(requests))
    excluded = [np.unique(one) for one in excluded_items(replay)]
    np.savez(
        path,
        user=replay.shopper,
        now=requests.now,
        offsets=_offsets(sizes),
        weight=weight[kept],
        exclude_offsets=_offsets([len(one) for one in excluded]),
        exclude=np.concatenate([*excluded, np.empty(0, dtype=np.int32)]).astype(np.int32),
        pool_offsets=replay.truth.offsets if pool else np.empty(0, dtype=np.int64),
        pool=replay.truth.item if pool else np.empty(0, dtype=np.int32),
        **{name: getattr(windows, name)[kept] for name in _HISTORY},
    )
    path.with_suffix(".json").write_text(json.dumps([query.text for query in requests.queries]), encoding="utf-8")


def excluded_items(replay: Replay) -> list[Ids]:
    """What is no answer to each request."""
    windows, found = replay.requests.windows, []
    for row, query in enumerate(replay.requests.queries):
        own = slice(int(windows.offsets[row]), int(windows.offsets[row + 1]))
        bought = windows.item[own][windows.kind[own] == EventKind.purchase]
        named = np.array(query.exclude, dtype=np.int32)
        found.append(np.concatenate([named, bought]) if query.exclude_purchased else named)
    return found


def _offsets(sizes: Any) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64))]).astype(np.int64)


class Lists(NamedTuple):
    """Lists that were read back.

    Attributes
    ----------
    lists : ItemList
    filled : float
        Share of the places that the library had nothing for, and popularity filled.
    """

    lists: ItemList
    filled: float


def complete(ids: npt.NDArray[Any], replay: Replay, part: Part, task: Task, k: int, *, pool: bool) -> Lists:
    """Check what came back, and fill what a library has no answer for with what is popular, for all of them alike.

    Raises
    ------
    PeerFailed
        When it is no array of whole numbers of shape (requests, k), names an item that there is not, one that was
        to be left out or one twice, or leaves a gap inside a list.
    """
    n, n_items = len(replay.requests), len(task.items)
    if ids.shape != (n, k):
        raise PeerFailed(
            f"rank() gave an array of shape {ids.shape}, expected {(n, k)}: {k} items a request, -1 for none."
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise PeerFailed(f"rank() gave an array of {ids.dtype}, expected whole numbers.")
    outside = ids[(ids < -1) | (ids >= n_items)]
    if len(outside):
        raise PeerFailed(f"rank() names item {int(outside[0])}; items are 0 to {n_items - 1}, and -1 is none.")
    gaps = (ids[:, :-1] < 0) & (ids[:, 1:] >= 0)
    if gaps.any():
        raise PeerFailed(f"rank() leaves a gap in list {int(np.flatnonzero(gaps.any(axis=1))[0])}: put -1 at its end.")
    popular = _popular(part, task)
    excluded = excluded_items(replay)
    lists, missing = [], 0
    for row in range(n):
        own = ids[row][ids[row] >= 0].astype(np.int32)
        right = replay.truth.item[replay.truth.offsets[row] : replay.truth.offsets[row + 1]]
        barred = excluded[row]
        if len(np.unique(own)) < len(own):
            raise PeerFailed(f"rank() names an item twice in list {row}.")
        if np.isin(own, barred).any():
            raise PeerFailed(f"rank() gives request {row} an item that it excludes.")
        if pool and not np.isin(own, right).all():
            raise PeerFailed(f"rank() gives request {row} an item that is not in its pool.")
        if len(own) < k:
            wanted = popular[np.isin(popular, right)] if pool else popular
            wanted = wanted[: k + len(barred) + len(own)] if not pool else wanted
            more = wanted[~np.isin(wanted, own) & ~np.isin(wanted, barred)][: k - len(own)]
            missing += len(more)
            own = np.concatenate([own, more])
        lists.append(own)
    return Lists(ItemList.from_lists(lists), missing / max(1, sum(map(len, lists))))


def _popular(part: Part, task: Task) -> Ids:
    """Items by how often they were chosen, of equals the first; of a search without a log, in their own order."""
    weight = task.weights(part.train)
    kept = np.flatnonzero((weight > 0) & (part.train.item >= 0))
    count = np.bincount(part.train.item[kept], weights=weight[kept], minlength=len(task.items))
    return np.argsort(-count, kind="stable").astype(np.int32)


def write_lists(lists: ItemList, k: int, path: Path) -> None:
    """As an array of shape (requests, k), padded with -1."""
    ids = np.full((len(lists), k), -1, dtype=np.int32)
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    ids[lists.row, place] = lists.item
    np.save(path, ids, allow_pickle=False)


def write_truth(truth: Truth, n_items: int, path: Path) -> None:
    """What is right (gains above 0), for a library to evaluate lists that are done."""
    right = truth.gain > 0
    np.savez(path, offsets=_offsets(truth.n_relevant), item=truth.item[right], n_items=n_items)


def read_space(plain: Mapping[str, Any], where: str) -> tuple[dict[str, Choice | Real | Whole], dict[str, Any]]:
    """(the space, the defaults) of options as a library's file spells them.

    A list is a choice, the first being the default; {"low", "high", "default"} a range, of whole
    numbers where both ends are, on a logarithmic scale with "log".
    """
    space: dict[str, Choice | Real | Whole] = {}
    default: dict[str, Any] = {}
    for option, given in plain.items():
        try:
            if isinstance(given, list):
                space[option], default[option] = Choice(*given), given[0]
            else:
                kind = Whole if isinstance(given["low"], int) and isinstance(given["high"], int) else Real
                space[option] = kind(given["low"], given["high"], given.get("log", False))
                default[option] = given["default"]
        except (VetrinaError, KeyError, TypeError, IndexError) as error:
            raise PeerFailed(
                f"{where}, option {option!r}: {given!r} is no list of choices, nor a range with "
                f"low, high and default ({type(error).__name__}: {error})."
            ) from error
    return space, default
