"""What runs inside a library's own environment: it imports the library's one file and does what it is told.

It needs Python and NumPy alone (a file that wants a sparse matrix also SciPy). One JSON
object a line comes in on stdin, one goes out on what was stdout; whatever a library prints
goes to stderr, which the harness keeps as a log.

    {"do": "hello"}                                    -> what the file has: models and their options
    {"do": "fit", "part": ..., "model": ..., "options": ...}
    {"do": "rank", "requests": ..., "k": ..., "to": ...}  -> writes the ids as .npy
    {"do": "evaluate", "lists": ..., "truth": ..., "k": ...}  -> the library's own metrics of these lists
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np


class Train:
    """What there is to learn from.

    Attributes
    ----------
    user, item, time, kind, weight, price, quantity, rating, request : arrays of one length
        Interactions in order of time. ``user`` and ``request`` are -1 where unknown; ``kind`` is
        "purchase", "rate" and so on as numbers (see ``kinds``); price, quantity and rating may be NaN.
    n_users, n_items : int
        Users and items are whole numbers below these.
    items : list of dict
        The catalogue: "item", "title", "description", "category", ..., in order of the numbers.
    kinds : dict of str to int
    gains : dict of str to float
        What each kind of event says about an item; ``weight`` comes from it.
    queries, query, graded, grade : list of str, then three arrays of one length
        Of a search: ``graded[i]`` was given ``grade[i]`` as an answer to ``queries[query[i]]``.
    seed : int
    folder : Path
        Another for each thing there is to learn from: a name to keep what takes long under.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / "part.json").read_text(encoding="utf-8"))
        self.n_users, self.n_items, self.seed = about["n_users"], about["n_items"], about["seed"]
        self.kinds, self.gains, self.queries = about["kinds"], about["gains"], about["queries"]
        self.folder, self._items = folder, folder.parent / "items.jsonl"
        for name, column in load(folder / "train.npz").items():
            setattr(self, name, column)

    @property
    def items(self) -> list[dict[str, Any]]:
        with self._items.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def matrix(self, power: float = 1.0) -> Any:
        """Weights summed by user and item and taken to ``power``: CSR float32 of shape (n_users, n_items)."""
        from scipy import sparse

        known = self.user >= 0
        parts = (self.weight[known].astype(np.float32), (self.user[known], self.item[known]))
        summed = sparse.csr_matrix(parts, shape=(self.n_users, self.n_items))
        summed.data **= power
        return summed


class Requests:
    """What is asked: a list of the best items for each of these.

    Attributes
    ----------
    user, now : of shape (n,)
        Who asks (-1 unknown) and when, in epoch seconds.
    offsets : of shape (n + 1,)
        What the user of request ``r`` did before is ``offsets[r]:offsets[r + 1]`` of
        ``item, time, kind, weight, price, quantity, rating``.
    queries : list of str
        Words; "" for a recommendation.
    exclude_offsets, exclude : the same way, items that are no answer.
    pool_offsets, pool : the same way, the only items that are; ``pool_offsets`` is empty where all are.
    n_items : int
    """

    def __init__(self, path: Path, n_items: int) -> None:
        self.n_items = n_items
        self.queries = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        for name, column in load(path).items():
            setattr(self, name, column)

    def __len__(self) -> int:
        return len(self.queries)

    def matrix(self, power: float = 1.0) -> Any:
        """Weights of the past by request and item, taken to ``power``: CSR float32 of shape (n, n_items)."""
        from scipy import sparse

        parts = (self.weight.astype(np.float32), self.item.copy(), self.offsets.copy())
        summed = sparse.csr_matrix(parts, shape=(len(self), self.n_items))
        summed.sum_duplicates()
        summed.data **= power
        return summed

    def best(self, scores: Any, k: int) -> Any:
        """The ``k`` highest of scores of shape (n, n_items), among what is an answer; -inf is none: int32 (n, k)."""
        scores = np.array(scores, dtype=np.float64)
        rows = np.arange(len(self))
        scores[np.repeat(rows, np.diff(self.exclude_offsets)), self.exclude] = -np.inf
        if len(self.pool_offsets):
            inside = np.zeros(scores.shape, dtype=bool)
            inside[np.repeat(rows, np.diff(self.pool_offsets)), self.pool] = True
            scores[~inside] = -np.inf
        scores[np.isnan(scores)] = -np.inf
        # Stable: of equals the first.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.isfinite(np.take_along_axis(scores, order, axis=1))
        ids = np.full((len(self), k), -1, dtype=np.int32)
        ids[:, : order.shape[1]] = np.where(found, order, -1)
        return ids


def load(path: Path) -> dict[str, Any]:
    """Arrays by name."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Worker:
    """Answers one line after another with the functions of a library's file."""

    def __init__(self, file: Path) -> None:
        spec = importlib.util.spec_from_file_location("peer_" + file.stem, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no Python file")
        self.module = importlib.util.module_from_spec(spec)
        # Libraries that look their callers up, such as by dataclasses, find it.
        sys.modules[spec.name] = self.module
        spec.loader.exec_module(self.module)
        self.model: Any = None
        self.n_items = 0

    def hello(self) -> dict[str, Any]:
        names = getattr(self.module, "DISTRIBUTIONS", ())
        versions = {}
        for name in names:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "?"
        return {
            "recommend": getattr(self.module, "RECOMMENDERS", {}),
            "search": getattr(self.module, "SEARCHERS", {}),
            "first": getattr(self.module, "FIRST", {}),
            "versions": versions,
            "evaluates": hasattr(self.module, "own_evaluation"),
        }

    def fit(self, part: str, model: str, options: dict[str, Any]) -> dict[str, Any]:
        self.model = None  # two large models at once may not fit
        train = Train(Path(part))
        self.n_items = train.n_items
        began = time.perf_counter()
        self.model = self.module.fit(model, train, options)
        return {"seconds": time.perf_counter() - began}

    def rank(self, requests: str, k: int, to: str) -> dict[str, Any]:
        asked = Requests(Path(requests), self.n_items)
        began = time.perf_counter()
        ids = self.module.rank(self.model, asked, k)
        seconds = time.perf_counter() - began
        np.save(to, np.asarray(ids), allow_pickle=False)
        return {"seconds": seconds}

    def evaluate(self, lists: str, truth: str, k: int) -> dict[str, Any]:
        arrays = load(Path(truth))
        edges = zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True)
        right = [arrays["item"][start:stop] for start, stop in edges]
        found = self.module.own_evaluation(np.load(lists, allow_pickle=False), right, int(arrays["n_items"]), k)
        return {name: float(value) for name, value in found.items()}


def main() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    worker: Worker | None = None
    for line in sys.stdin:
        order = json.loads(line)
        todo = order.pop("do")
        try:
            if worker is None:
                worker = Worker(Path(sys.argv[1]))
            reply = {"ok": getattr(worker, todo)(**order)}
        except Exception as error:  # noqa: BLE001 (a library may raise anything; it is told and the next is asked)
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
