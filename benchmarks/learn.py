"""What learning costs: training rows by second and by stage, and models beside the bare libraries that learn them.

    VETRINA_DATA=... python benchmarks/learn.py

Training rows are what LambdaMART learns from: (request, candidate) rows that are replayed from the log through the
engine, on Online Retail (real people) and on the fashion shop (simulated shoppers). Candidates are found for every
request and looked at for their place in the list; the rows kept of them have all features. They are produced twice:
as shipped, where of what nobody chose some are drawn, and with every candidate kept, which says what a row costs once
its candidates are found. Rows by second of processor time stand beside, which other work on the machine leaves more as
it is. All of it is counted, the sources learning anew of the past too. The bar is 100,000 rows a second on two cores.
Stages are timed once more on one thread, in processor time; some are parts of others. Linear algebra has one thread,
as in a build.

Models are beside the same library called with the same numbers: LambdaMART beside LightGBM's train, the sources
item_item and als beside implicit's, on Online Retail and MovieLens-100k. Each repetition does one after the other,
and the ratio is theirs: median, least and largest. The bar is 1.2.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import lightgbm as lgb
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, Items, Silent
from vetrina.engine import Engine, ShopConfig, cut_of, fit_stages
from vetrina.engine.encoding import encode_items
from vetrina.engine.rows import ranker_rows
from vetrina.rank import LambdaMART, TrainingRows
from vetrina.retrieve import Als, ItemItem
from vetrina.simulate import SimulationConfig, simulate

REPETITIONS = 5
# More than there are candidates of any request.
_EVERY = 1_000_000


class Prepared(NamedTuple):
    """A shop without a ranker, its log until the test days, the whole log, and how it is set."""

    engine: Engine
    train: EventLog
    log: EventLog
    config: ShopConfig


def prepared(name: str) -> Prepared:
    """A data set as a shop with the shipped settings."""
    dataset = load(name)
    items, days = Items(dataset.items), 30.0
    if dataset.events is not None:
        log = EventLog.from_table(dataset.events, items)
    else:
        end = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
        made = simulate(items, dataset.root, SimulationConfig(), end)
        items, days = made.items, 14.0
        log = EventLog.from_table(made.events, items)
    config = ShopConfig.parse({"items": {"file": "-", "item": "item"}}, "")
    with tempfile.TemporaryDirectory() as media:
        encoded = encode_items(items, dataset.root, Path(media), config, Silent())
        # Out of the files, which go.
        vectors = {modality: np.array(rows) for modality, rows in encoded.items.vectors.items()}
    train = log.before(cut_of(log, days))
    whole = Items(encoded.items.table, vectors)
    return Prepared(fit_stages(whole, train, config, encoded.encoders, encoded.fuser), train, log, config)


class Stages:
    """Seconds by what was done, and how many candidates there were."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.candidates = 0

    def timed(self, owner: type, method: str, stage: Callable[[Any], str]) -> Any:
        """A patch under which the method's time is added to ``stage`` of what it is called on."""
        inner = getattr(owner, method)

        def outer(one: Any, *given: Any) -> Any:
            begun = time.process_time()
            result = inner(one, *given)
            self.seconds[stage(one)] += time.process_time() - begun
            if method == "candidates":
                self.candidates += len(result.item)
            return result

        return patch.object(owner, method, outer)


def by_stage(shop: Prepared) -> Stages:
    """The same rows once more, on one thread, looked at."""
    stages, engine = Stages(), shop.engine
    patches = [
        stages.timed(Engine, "encode_queries", lambda _: "queries encoded"),
        stages.timed(Engine, "candidates", lambda _: "candidates, all sources"),
        patch("vetrina.engine.rows._threads", lambda _: 1),
    ]
    for source in engine.sources.values():
        told = partial("  {.name}, found and scored".format)
        patches += [stages.timed(type(source), method, told) for method in ("retrieve", "score")]
        if source.learns == "log":
            patches.append(stages.timed(type(source), "fit", lambda one: f"{one.name}, learned of the past"))
    patches += [
        stages.timed(type(family), "compute_some", lambda one: f"features, {one.name}") for family in engine.features
    ]
    for one in patches:
        one.start()
    begun = time.process_time()
    ranker_rows(engine, shop.train, shop.config)
    stages.seconds["all, on one thread"] = time.process_time() - begun
    for one in patches:
        one.stop()
    return stages


def tell_rows(shop: Prepared, title: str) -> TrainingRows:
    every = shop.config.rank.model_copy(update={"negatives": _EVERY})
    ways = {"as shipped": shop.config, "every candidate kept": shop.config.model_copy(update={"rank": every})}
    print(f"\n{title}: training rows, {os.cpu_count()} cores")
    kept = {}
    for way, config in ways.items():
        took, worked = [], []
        for _ in range(REPETITIONS):
            begun, working = time.perf_counter(), time.process_time()
            kept[way] = ranker_rows(shop.engine, shop.train, config)
            took.append(time.perf_counter() - begun)
            worked.append(time.process_time() - working)
        n_rows, features = kept[way].features.shape
        speeds = n_rows / np.array(took)
        print(
            f"{way:22}{len(kept[way].sizes):,} requests, {n_rows:,} rows, {features} features: "
            f"{np.median(speeds):,.0f} a second ({speeds.min():,.0f} to {speeds.max():,.0f}), "
            f"{n_rows / np.median(worked):,.0f} a second of processor time",
            flush=True,
        )
    rows, stages = kept["as shipped"], by_stage(shop)
    print(f"Of {stages.candidates:,} candidates; processor time by stage, as shipped:")
    for stage, seconds in sorted(stages.seconds.items(), key=lambda one: -one[1]):
        print(f"{stage:36}{seconds:8.2f} s")
    return rows


def tell_ratio(title: str, ours: Callable[[], object], bare: Callable[[], object]) -> None:
    took = []
    for _ in range(REPETITIONS):
        for learn in (bare, ours):
            begun = time.perf_counter()
            learn()
            took.append(time.perf_counter() - begun)
    alone, whole = np.array(took).reshape(-1, 2).T
    ratio = whole / alone
    print(
        f"{title:44}{np.median(alone):9.3f}{np.median(whole):9.3f}"
        f"{np.median(ratio):8.2f}  [{ratio.min():.2f}, {ratio.max():.2f}]",
        flush=True,
    )


def trained_alone(rows: TrainingRows) -> Callable[[], object]:
    """LightGBM with what LambdaMART gives it, and nothing looked at meanwhile."""
    with patch("vetrina.rank.trees.lgb.train", wraps=lgb.train) as train:
        LambdaMART(trees=1).fit(rows)
    parameters = {**train.call_args.args[0], "metric": "None"}
    label = np.unique(rows.gain, return_inverse=True)[1]
    trees = LambdaMART().config.trees

    def learn() -> object:
        return lgb.train(parameters, lgb.Dataset(rows.features, label=label, group=rows.sizes), trees)

    return learn


def tell_sources(shop: Prepared, title: str) -> None:
    items, log = shop.engine.items, shop.train
    similar, factors = ItemItem(), Als()
    counts = sparse.csr_matrix(similar._chosen(log, len(items)))
    confidence = counts.copy()
    confidence.data = 1 + factors.config.alpha * confidence.data

    def neighbours() -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            CosineRecommender(K=similar.config.neighbours + 1, num_threads=1).fit(counts, show_progress=False)

    def factorised() -> None:
        AlternatingLeastSquares(
            factors=factors.config.factors,
            regularization=factors.config.regularisation,
            alpha=1.0,
            iterations=factors.config.iterations,
            random_state=0,
        ).fit(confidence, show_progress=False)

    tell_ratio(f"{title}: item_item, implicit", lambda: similar.fit(items, log), neighbours)
    with threadpool_limits(1, "blas"):
        tell_ratio(f"{title}: als, implicit", lambda: factors.fit(items, log), factorised)


def main() -> None:
    warnings.filterwarnings("ignore", module="implicit")
    with threadpool_limits(1, "blas"):
        shop = prepared("online-retail")
        retail = tell_rows(shop, "Online Retail")
        simulated = tell_rows(prepared("fashion"), "Fashion (SIMULATED shoppers)")
    print(f"\n{'seconds, one repetition after the other':44}{'bare':>9}{'ours':>9}{'ratio':>8}")
    tell_ratio("Online Retail: lambdamart, LightGBM", lambda: LambdaMART().fit(retail), trained_alone(retail))
    tell_ratio("Fashion: lambdamart, LightGBM", lambda: LambdaMART().fit(simulated), trained_alone(simulated))
    tell_sources(shop, "Online Retail")
    tell_sources(prepared("movielens-100k"), "MovieLens-100k")


if __name__ == "__main__":
    main()
