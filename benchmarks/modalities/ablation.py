"""What each modality adds to the whole engine, on fashion products and their SIMULATED shoppers.

The engine is made anew with one modality, with all but one, and with all: its vector sources, its features of
likeness, the fused vector, and the ranker that learns from them. Words are matched by the lexical source in every
row: a search needs something that finds. Beside them all modalities are fused by what shoppers chose ("gated")
instead of by concatenation. Seeds are measured side by side, one on each core.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modalities import Outcome, SeedTable, over_seeds
from vetrina.catalogue.datasets import load
from vetrina.core import DAY, EventLog, ItemList, Items, Silent
from vetrina.engine import Encoded, Engine, Gains, Replay, Shop, ShopConfig, cut_of, learn
from vetrina.engine.create import create_from_tables
from vetrina.engine.encoding import encode_items
from vetrina.engine.ingest import ingest, read_canonical
from vetrina.engine.stages import refit
from vetrina.evaluate import ALS, BM25, Holdout, Popularity, hold_out, measure
from vetrina.evaluate.tables import K
from vetrina.simulate import SimulationConfig, simulate
from vetrina.vectors import Concat

__all__ = ["evenly", "fashion_shop", "few", "tables"]

ALL = "all modalities"
#: Any day will do, so long as it is the same one.
_END = 1_750_000_000 // DAY * DAY
_METRIC = f"ndcg@{K}"
_TITLES = {
    "Searches": "searches",
    "Recommendations": "recommendations",
    "Searches, as if new": "searches for new products, a fifth of all held back as if new",
    "Recommendations, as if new": "recommendations, new products among all, a fifth of all held back as if new",
    "New products alone, as if new": "recommendations among new products alone, a fifth of all held back as if new",
}


#: What came out, and whose the requests are, by part.
_Found = dict[str, tuple[Outcome, npt.NDArray[np.int64]]]


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """One table for held-out searches, recommendations, and both on products as if new."""
    with tempfile.TemporaryDirectory(prefix="vetrina-ablation-") as scratch:
        tasks = [(Path(scratch), seed, quick) for seed in seeds]
        # Fresh processes: libraries with threads do not live through a fork.
        fresh = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1), mp_context=fresh) as pool:
            found: list[_Found] = list(pool.map(_measure, tasks))
    for part in found[0]:
        yield over_seeds(
            f"Fashion: NDCG@{K} of {_TITLES[part]}, last 14 days",
            [one[part][0] for one in found],
            [one[part][1] for one in found],
            reference=ALL,
            simulated=True,
            notes=["baselines with their defaults; text is a modality here by its vectors, words are matched in all"],
        )


def _measure(task: tuple[Path, int, bool]) -> _Found:
    """One seed: NDCG of every variant and baseline by part."""
    scratch, seed, quick = task
    config, encoded, log = fashion_shop(scratch / f"seed-{seed}", seed, quick)
    cut = cut_of(log, config.build.test_days)
    most = 300 if quick else 600
    warm = few(hold_out(log, "time", config, cut=cut), most)
    cold = few(hold_out(log, "cold-items", config, cut=cut), most)
    names = [name for name in encoded.items.vectors if name != "fused"]
    variants = {ALL: names}
    variants |= {f"without {name}": [other for other in names if other != name] for name in names}
    variants |= {f"{name} alone": [name] for name in names}
    scores: dict[str, dict[str, dict[str, npt.NDArray[np.floating]]]] = {}
    choices = {variant: (kept, config) for variant, kept in variants.items()}
    gated = config.model_copy(update={"fuse": config.fuse.model_copy(update={"method": "gated"})})
    for variant, (kept, chosen) in {**choices, f"{ALL}, gated": (names, gated)}.items():
        some = _with(encoded, kept, config)
        engine = learn(some.items, warm.train, chosen, some.encoders, fuser=some.fuser)
        _note(scores, variant, engine.observe(warm.observed), warm, "")
        fresh = refit(engine, cold.train, until=cut).observe(cold.observed)
        _note(scores, variant, fresh, cold, ", as if new")
    gains = Gains(**config.rank.gains)
    for kind in (BM25, Popularity, ALS):
        for held, suffix in ((warm, ""), (cold, ", as if new")):
            system = kind(gains).fit(encoded.items, held.train).observe(held.observed)
            for part, test in held.parts.items():
                if (kind is BM25) == (part == "Searches") or kind is Popularity:
                    lists = system.rank(test.requests, K)
                    scores[part + suffix][kind.name] = {_METRIC: _ndcg(lists, test)}
    found: _Found = {}
    for held, suffix in ((warm, ""), (cold, ", as if new")):
        for part, test in held.parts.items():
            who = test.shopper.astype(np.int64)
            # Shoppers of two simulations are different people.
            found[part + suffix] = scores[part + suffix], np.where(who >= 0, who + 1_000_000 * seed, -1)
    return found


def fashion_shop(root: Path, seed: int, quick: bool) -> tuple[ShopConfig, Encoded, EventLog]:
    """A simulated shop, encoded."""
    dataset = load("fashion")
    people = SimulationConfig(seed=seed, n_shoppers=400 if quick else 800, days=40 if quick else 50)
    simulation = simulate(Items(dataset.items), dataset.root, people, _END)
    create_from_tables(
        root,
        items=simulation.items.table,
        events=simulation.events,
        judgements=None,
        photos_root=dataset.root,
        name="Fashion",
        simulated=True,
        overrides={"build": {"seed": seed}, "rank": {"training_requests": 1500 if quick else 2500}},
    )
    config = Shop.open(root).config
    ingest(root, config, Silent())
    canonical = read_canonical(root)
    encoded = encode_items(canonical.items, root, root / "media", config, Silent())
    vectors = {name: np.array(rows) for name, rows in encoded.items.vectors.items()}
    return config, replace(encoded, items=Items(encoded.items.table, vectors)), canonical.log


def _with(encoded: Encoded, names: Sequence[str], config: ShopConfig) -> Encoded:
    """The same catalogue with some modalities only, fused anew."""
    vectors = {name: encoded.items.vectors[name] for name in names}
    fuser = Concat(weights=config.fuse.weights, dimensions=config.fuse.dimensions).fit(vectors)
    items = Items(encoded.items.table, {**vectors, "fused": fuser.transform(vectors)})
    encoders = {name: encoded.encoders[name] for name in names}
    return replace(encoded, items=items, encoders=encoders, fuser=fuser)


def few(held: Holdout, most: int) -> Holdout:
    """Requests that choose nothing left out, and of the others at most so many of each part, at even distances."""
    parts = {name: evenly(test, most) for name, test in held.parts.items() if name != "New products"}
    return replace(held, parts=parts)


def evenly(test: Replay, most: int) -> Replay:
    """Requests with a right answer, at most so many, at even distances."""
    right = np.flatnonzero(test.truth.n_relevant)
    return test.take(right[np.unique(np.linspace(0, len(right) - 1, min(most, len(right))).astype(int))])


def _note(
    scores: dict[str, dict[str, dict[str, npt.NDArray[np.floating]]]],
    variant: str,
    engine: Engine,
    held: Holdout,
    suffix: str,
) -> None:
    for part, test in held.parts.items():
        lists = engine.rank(test.requests, K).lists
        scores.setdefault(part + suffix, {})[variant] = {_METRIC: _ndcg(lists, test)}


def _ndcg(lists: ItemList, test: Replay) -> npt.NDArray[np.floating]:
    return measure(lists, test.truth, K, ["ndcg"]).values[_METRIC]
