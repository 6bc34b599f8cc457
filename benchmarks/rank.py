"""What ranking a page costs beside LightGBM alone: scores, order, and the reasons of what is shown.

    VETRINA_DATA=... python benchmarks/rank.py

A request of 200 candidates, its features computed, on one thread. The rows are real ones: those that
LambdaMART of 300 trees learned from on Online Retail (real people) and on the fashion shop (simulated
shoppers), some candidates of other requests filling the page up.

LightGBM alone    Booster.predict of the 200 rows
score             the ranker's scores of them
order             the same, and which twenty are best
explain 20        each feature's share of the score of those twenty
all               scores, order and shares: what a request waits for

tl2cgen, lleaves  the scores by trees compiled to machine code, where these packages are installed; compiling them
                  takes some minutes

Each round does all of them in turn, so that what else the machine does hits them alike. Printed are the
median, the 99th percentile, and both of each round's ratio to LightGBM alone. The bar is 1.5 for `all`.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from learn import prepared
from vetrina.engine.rows import ranker_rows
from vetrina.rank import LambdaMART, TrainingRows

Floats = npt.NDArray[np.float32]
ROWS, SHOWN, ROUNDS, TREES = 200, 20, 1000, 300


def steps(ranker: LambdaMART, page: Floats) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the first is what the others are divided by."""

    def best() -> npt.NDArray[np.intp]:
        return np.argsort(-ranker.score(page), kind="stable")[:SHOWN]

    shown = page[best()]
    return {
        "LightGBM alone": lambda: ranker.booster_.predict(page, num_threads=1),
        "score": lambda: ranker.score(page),
        "order": best,
        "explain 20": lambda: ranker.contributions(shown),
        "all": lambda: ranker.contributions(page[best()]),
    }


def compiled(ranker: LambdaMART, page: Floats, folder: Path) -> dict[str, Callable[[], Any]]:
    """The same trees as machine code, by those of the compilers that are there."""
    found: dict[str, Callable[[], Any]] = {}
    doubles = page.astype(np.float64)
    ranker.booster_.save_model(str(folder / "model.txt"))
    begun = time.perf_counter()
    if find_spec("tl2cgen"):
        import tl2cgen
        from treelite.frontend import load_lightgbm_model

        library = str(folder / "trees.so")
        tl2cgen.export_lib(load_lightgbm_model(folder / "model.txt"), "gcc", library, params={"parallel_comp": 8})
        predictor = tl2cgen.Predictor(library, nthread=1)
        found["tl2cgen"] = lambda: predictor.predict(tl2cgen.DMatrix(doubles), pred_margin=True).ravel()
        print(f"tl2cgen compiled in {time.perf_counter() - begun:.0f} s")
    begun = time.perf_counter()
    if find_spec("lleaves"):
        import lleaves

        model = lleaves.Model(model_file=str(folder / "model.txt"))
        model.compile(raw_score=True)
        found["lleaves"] = lambda: model.predict(doubles, n_jobs=1)
        print(f"lleaves compiled in {time.perf_counter() - begun:.0f} s")
    for name, predict in found.items():
        assert np.allclose(predict(), ranker.score(page), atol=1e-5), f"{name} scores otherwise"
    return found


def measured(rows: TrainingRows, title: str) -> None:
    ranker = LambdaMART(trees=TREES).fit(rows)
    page = rows.features[-ROWS:]
    with tempfile.TemporaryDirectory() as folder:
        told = steps(ranker, page) | compiled(ranker, page, Path(folder))
    for step in told.values():
        step()
    took = np.empty((ROUNDS, len(told)))
    for number in range(ROUNDS):
        for place, step in enumerate(told.values()):
            begun = time.perf_counter()
            step()
            took[number, place] = (time.perf_counter() - begun) * 1000
    ratio = took / took[:, :1]
    print(f"\n{title}: {ROWS} rows of {page.shape[1]} features, {TREES} trees, {ROUNDS:,} rounds")
    print(f"{'':20}{'ms':>8}{'p99':>8}{'ratio':>8}{'p99':>8}")
    for place, name in enumerate(told):
        columns = (np.median(took[:, place]), np.percentile(took[:, place], 99))
        columns += (np.median(ratio[:, place]), np.percentile(ratio[:, place], 99))
        print(f"{name:20}" + "".join(f"{value:8.2f}" for value in columns))


def main() -> None:
    for name, title in (("online-retail", "Online Retail"), ("fashion", "Fashion (SIMULATED shoppers)")):
        shop = prepared(name)
        measured(ranker_rows(shop.engine, shop.train, shop.config), title)


if __name__ == "__main__":
    main()
