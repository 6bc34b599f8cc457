"""What each modality adds to the whole engine, on fashion products and their SIMULATED shoppers.

The engine is made anew with one modality, with all but one, and with all: its vector sources, its features of
likeness, the fused vector, and the ranker that learns from them. Words are matched by the lexical source in every
row: a search needs something that finds. The catalogue is encoded once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
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
from vetrina.engine.learn import refit
from vetrina.evaluate import ALS, BM25, Holdout, Popularity, hold_out, measure
from vetrina.evaluate.tables import K
from vetrina.simulate import SimulationConfig, simulate
from vetrina.vectors import Concat

__all__ = ["tables"]

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


@dataclass
class _Found:
    """Outcomes of each part by seed, and whose the requests are."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    shoppers: dict[str, list[npt.NDArray[np.int64]]] = field(default_factory=dict)


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """One table for held-out searches, recommendations, and both on products as if new."""
    found = _Found()
    with tempfile.TemporaryDirectory(prefix="vetrina-ablation-") as scratch:
        for seed in seeds:
            _measure(Path(scratch), seed, quick, found)
    for part, outcomes in found.outcomes.items():
        yield over_seeds(
            f"Fashion: NDCG@{K} of {_TITLES[part]}, last 14 days",
            outcomes,
            found.shoppers[part],
            reference=ALL,
            simulated=True,
            notes=["baselines with their defaults; text is a modality here by its vectors, words are matched in all"],
        )


def _measure(scratch: Path, seed: int, quick: bool, found: _Found) -> None:
    root = scratch / f"seed-{seed}"
    config, encoded, log = _shop(root, scratch / "media", seed, quick)
    cut = cut_of(log, config.build.test_days)
    most = 300 if quick else 1500
    warm = _few(hold_out(log, "time", config, cut=cut), most)
    cold = _few(hold_out(log, "cold-items", config, cut=cut), most)
    names = [name for name in encoded.items.vectors if name != "fused"]
    variants = {ALL: names}
    variants |= {f"without {name}": [other for other in names if other != name] for name in names}
    variants |= {f"{name} alone": [name] for name in names}
    scores: dict[str, dict[str, dict[str, npt.NDArray[np.floating]]]] = {}
    for variant, kept in variants.items():
        some = _with(encoded, kept, config)
        engine = learn(some.items, warm.train, config, some.encoders, fuser=some.fuser)
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
    for held, suffix in ((warm, ""), (cold, ", as if new")):
        for part, test in held.parts.items():
            who = test.shopper.astype(np.int64)
            found.outcomes.setdefault(part + suffix, []).append(scores[part + suffix])
            # Shoppers of two simulations are different people.
            found.shoppers.setdefault(part + suffix, []).append(np.where(who >= 0, who + 1_000_000 * seed, -1))


def _shop(root: Path, media: Path, seed: int, quick: bool) -> tuple[ShopConfig, Encoded, EventLog]:
    """A simulated shop, encoded: vectors of one seed serve the next, for the products are the same."""
    dataset = load("fashion")
    people = SimulationConfig(seed=seed, n_shoppers=400 if quick else 1200, days=40 if quick else 60)
    simulation = simulate(Items(dataset.items), dataset.root, people, _END)
    create_from_tables(
        root,
        items=simulation.items.table,
        events=simulation.events,
        judgements=None,
        photos_root=dataset.root,
        name="Fashion",
        simulated=True,
        overrides={"build": {"seed": seed}, "rank": {"training_requests": 1500 if quick else 4000}},
    )
    config = Shop.open(root).config
    ingest(root, config, Silent())
    canonical = read_canonical(root)
    encoded = encode_items(canonical.items, root, media, config, Silent())
    vectors = {name: np.array(rows) for name, rows in encoded.items.vectors.items()}
    return config, replace(encoded, items=Items(encoded.items.table, vectors)), canonical.log


def _with(encoded: Encoded, names: Sequence[str], config: ShopConfig) -> Encoded:
    """The same catalogue with some modalities only, fused anew."""
    vectors = {name: encoded.items.vectors[name] for name in names}
    fuser = Concat(weights=config.fuse.weights, dimensions=config.fuse.dimensions).fit(vectors)
    items = Items(encoded.items.table, {**vectors, "fused": fuser.transform(vectors)})
    encoders = {name: encoded.encoders[name] for name in names}
    return replace(encoded, items=items, encoders=encoders, fuser=fuser)


def _few(held: Holdout, most: int) -> Holdout:
    """Requests that choose nothing left out, and of the others at most so many of each part, at even distances."""
    parts = {}
    for name, test in held.parts.items():
        right = np.flatnonzero(test.truth.n_relevant)
        parts[name] = test.take(right[np.unique(np.linspace(0, len(right) - 1, min(most, len(right))).astype(int))])
    return replace(held, parts={name: parts[name] for name in parts if name != "New products"})


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
