"""How fast evaluation is: metrics beside other libraries on the same lists, full ranking, the bootstrap.

    python benchmarks/evaluate.py [n_rounds]

1. 100,000 requests, each with 100 results and one to eleven right ones, measured by this package (one
   thread), by ranx (Numba, all cores, and one) and by trec_eval (C, through pytrec_eval). Each is given what it
   reads fastest, made beforehand: flat arrays of integers; Numba's typed lists of arrays of numbers; dictionaries
   of words. What it takes to make these is said apart. The rounds take turns; a ratio is of one round. trec_eval
   knows no F1 and no reciprocal rank at a cut-off, so there it is 5 metrics and the reciprocal rank once. The
   floor is the least that NumPy could do: look every row up in a table that is in the cache, and find the hits.
2. 943 people × 1,682 items, all ranked by random scores, and eight metrics at ten cut-offs.
3. 10,000 bootstrap resamples of 100,000 requests, with the largest memory that is allocated on the way.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numba
import numpy as np
import numpy.typing as npt
import pytrec_eval
import ranx

from vetrina.core import ItemList, Truth
from vetrina.evaluate import METRICS, bootstrap, measure

REQUESTS, RESULTS, ITEMS = 100_000, 100, 20_000
CUTS = (1, 2, 3, 5, 10, 20, 30, 50, 70, 100)
SLOW = 5  # rounds of what takes seconds
RANX = dict(zip(METRICS, ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate", "map"), strict=True))
TREC = {"ndcg": "ndcg_cut", "precision": "P", "recall": "recall", "hit_rate": "success", "average_precision": "map_cut"}
Floats = npt.NDArray[np.float64]


def lists_and_truth(rng: np.random.Generator) -> tuple[npt.NDArray[np.int32], list[npt.NDArray[np.int32]]]:
    """Lists without repetitions; what is right is partly in them, the more likely the higher."""
    start, stride = rng.integers(0, ITEMS, REQUESTS), rng.choice([3, 7, 11, 13, 17], REQUESTS)
    shown = (start[:, None] + stride[:, None] * np.arange(RESULTS)) % ITEMS
    found = np.minimum(rng.geometric(0.05, (REQUESTS, 3)) - 1, RESULTS - 1)
    chosen = [
        np.unique(np.append(row[places], other)).astype(np.int32)
        for row, places, other in zip(
            shown,
            found,
            np.split(rng.integers(0, ITEMS, 8 * REQUESTS), np.sort(rng.integers(0, 8 * REQUESTS, REQUESTS - 1))),
            strict=True,
        )
    ]
    return shown.astype(np.int32), [one[:11] for one in chosen]


def timed(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def spread(name: str, seconds: Floats, ratio: Floats | None) -> str:
    low, middle, high = np.percentile(seconds * 1000, [25, 50, 75])
    line = f"  {name:34}{middle:9.1f}{np.percentile(seconds * 1000, 99):9.1f}{low:9.1f}–{high:.1f}"
    if ratio is None:
        return line
    low, middle, high = np.percentile(ratio, [25, 50, 75])
    return f"{line:72}× {middle:.2f} ({low:.2f}–{high:.2f}; least {ratio.min():.2f})"


def rounds(title: str, systems: dict[str, Callable[[], object]], n: int) -> None:
    """Time all in turn; the first is what the ratios are to."""
    for run in systems.values():
        run()  # compiled, read once
    took = np.array([[timed(run) for run in systems.values()] for _ in range(n)])
    print(f"\n{title}, {n} rounds\n  {'':34}{'ms':>9}{'p99':>9}{'middle half':>14}      time over ours, round by round")
    for column, name in enumerate(systems):
        print(spread(name, took[:, column], took[:, column] / took[:, 0] if column else None), flush=True)


def floor(shown: npt.NDArray[np.int32]) -> Callable[[], object]:
    """Look up every row in a table of 1 MiB, some requests at a time, and keep the hits."""
    table = np.random.default_rng(0).random((1024, 1024)) < 0.05
    base = np.repeat(np.arange(1024) * 1024, shown.shape[1])

    def look() -> None:
        for begin in range(0, len(shown), 1024):
            item = shown[begin : begin + 1024].ravel()
            np.flatnonzero(table.ravel()[base[: len(item)] + (item & 1023)])

    return look


def metrics(n_rounds: int) -> None:
    shown, chosen = lists_and_truth(np.random.default_rng(0))
    offsets = np.cumsum([0, *(len(one) for one in chosen)])
    begun = time.perf_counter()
    lists = ItemList(np.arange(0, REQUESTS * RESULTS + 1, RESULTS), shown.ravel())
    truth = Truth(offsets, np.concatenate(chosen), np.ones(offsets[-1]))
    made = {"flat arrays": time.perf_counter() - begun}

    begun = time.perf_counter()
    scored = np.empty((REQUESTS, RESULTS, 2))
    scored[:, :, 0], scored[:, :, 1] = shown, np.arange(RESULTS, 0, -1)
    run = numba.typed.List(list(scored))
    right = numba.typed.List([np.column_stack([one, np.ones(len(one))]) for one in chosen])
    made["typed lists of arrays, for ranx"] = time.perf_counter() - begun

    begun = time.perf_counter()
    words, points = [f"i{item}" for item in range(ITEMS)], [float(score) for score in range(RESULTS, 0, -1)]
    said = {f"r{n}": dict(zip([words[i] for i in row], points, strict=True)) for n, row in enumerate(shown.tolist())}
    judged = {f"r{n}": {words[item]: 1 for item in one.tolist()} for n, one in enumerate(chosen)}
    made["dictionaries, for trec_eval"] = time.perf_counter() - begun
    print(f"{REQUESTS:,} requests × {RESULTS} results, {len(truth.item) / REQUESTS:.1f} right ones each")
    print("made beforehand, seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in made.items()))

    def by_ranx(names: tuple[str, ...], cuts: tuple[int, ...], threads: int) -> dict[str, float]:
        wanted = [f"{RANX[name]}@{cut}" for cut in cuts for name in names]
        found = ranx.evaluate(right, run, wanted, threads=threads)
        return found if isinstance(found, dict) else {wanted[0]: found}

    def by_trec(names: tuple[str, ...], cuts: tuple[int, ...]) -> dict[str, dict[str, float]]:
        wanted = {f"{TREC[name]}.{','.join(map(str, cuts))}" for name in names if name in TREC}
        evaluator = pytrec_eval.RelevanceEvaluator(judged, wanted | ({"recip_rank"} if "mrr" in names else set()))
        return evaluator.evaluate(said)

    ours = measure(lists, truth, CUTS)
    theirs = by_ranx(METRICS, CUTS, numba.config.NUMBA_NUM_THREADS)
    apart = max(abs(ours.mean(f"{name}@{cut}") - theirs[f"{RANX[name]}@{cut}"]) for name in METRICS for cut in CUTS)
    third = by_trec(METRICS, CUTS)
    for name, of in TREC.items():
        for cut in CUTS:
            mean = np.mean([one[f"{of}_{cut}"] for one in third.values()])
            apart = max(apart, abs(ours.mean(f"{name}@{cut}") - mean))
    print(f"largest difference of a mean between the three: {apart:.1e}")

    cores = numba.config.NUMBA_NUM_THREADS
    for title, names, cuts, n in (
        ("NDCG at 10", ("ndcg",), (10,), n_rounds),
        ("seven metrics at 10", METRICS, (10,), n_rounds),
        ("seven metrics at 100", METRICS, (100,), n_rounds),
        ("seven metrics at ten cut-offs", METRICS, CUTS, min(SLOW, n_rounds)),
    ):
        ours = {"vetrina, one thread": lambda n=names, c=cuts: measure(lists, truth, c, n)}
        quick = {
            f"ranx, {cores} threads": lambda n=names, c=cuts: by_ranx(n, c, cores),
            "ranx, one thread": lambda n=names, c=cuts: by_ranx(n, c, 1),
            "floor: rows looked up in NumPy": floor(shown[:, : max(cuts)]),
        }
        rounds(title, ours | quick, n)
        rounds(title, ours | {"trec_eval": lambda n=names, c=cuts: by_trec(n, c)}, min(SLOW, n))


def full_ranking(n_rounds: int) -> None:
    people, items = 943, 1_682
    rng = np.random.default_rng(0)
    scores = rng.random((people, items), dtype=np.float32)
    truth = Truth.from_lists(
        [dict.fromkeys(rng.choice(items, 1 + n % 40, replace=False).tolist(), 1.0) for n in range(people)]
    )
    offsets, item = np.arange(0, people * items + 1, items), np.tile(np.arange(items, dtype=np.int32), people)

    def rank() -> ItemList:
        return ItemList(offsets, item, {"score": scores.ravel()}).sorted_by("score")

    ranked = rank()
    systems: dict[str, Callable[[], object]] = {
        "rank and measure": lambda: measure(rank(), truth, CUTS, (*METRICS, "auc"), n_items=items),
        "rank": rank,
        "measure, with AUC of whole lists": lambda: measure(
            ranked, truth, (*CUTS, items), (*METRICS, "auc"), n_items=items
        ),
        "measure, the ten cut-offs": lambda: measure(ranked, truth, CUTS),
        "floor: scores sorted in NumPy": lambda: np.argsort(-scores, axis=1, kind="stable"),
    }
    rounds(f"{people} people × {items:,} items, all ranked, eight metrics at ten cut-offs", systems, n_rounds)


def resampling() -> None:
    n, resamples = 100_000, 10_000
    rng = np.random.default_rng(0)
    print(f"\n{resamples:,} bootstrap resamples of {n:,} requests, seconds and MiB allocated")
    for title, columns, clusters in (
        ("one metric, each request a shopper", 1, None),
        ("12 columns, each request a shopper", 12, None),
        ("12 columns, 20,000 shoppers", 12, rng.integers(0, 20_000, n)),
    ):
        values = rng.random((n, columns))
        seconds = timed(lambda v=values, c=clusters: bootstrap(v, c, resamples=resamples))
        tracemalloc.start()
        bootstrap(values, clusters, resamples=resamples)
        print(f"  {title:38}{seconds:6.1f} s  {tracemalloc.get_traced_memory()[1] / 2**20:5.0f} MiB", flush=True)
        tracemalloc.stop()
    generator = np.random.default_rng(0)
    weights = rng.random((10, n), dtype=np.float32)
    part = timed(lambda: [(generator.bytes(2 * n * 10), weights @ weights[0]) for _ in range(resamples // 100)]) * 10
    print(f"  {'floor: random bits, and sums by BLAS':38}{part:6.1f} s")


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    metrics(n)
    full_ranking(n)
    resampling()
