"""Half of the products lose a modality: what does it cost, by each way of fusion?

On the fashion products with simulated shoppers. A random half of the products has its text, its photo or its
attributes taken away, the fuser is fitted anew on what is left and on the events before the test, and the
requests of the last 14 days are answered by the fused vector alone: a search by its words in the common space,
a recommendation by the mean of the shopper's window, and "more like this" by one of the products
chosen (which stands first in the catalogue), for the others of the same request. No ranker mends what fusion
breaks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modalities import SeedTable, over_seeds
from vetrina.catalogue.datasets import Dataset, load
from vetrina.core import DAY, EventLog, ItemList, Items, Silent, Truth
from vetrina.encode.base import unit_rows
from vetrina.engine import Replay, ShopConfig, cut_of, requests_from_log
from vetrina.engine.encoding import Encoded, encode_items
from vetrina.evaluate.metrics import measure
from vetrina.simulate import SimulationConfig, simulate
from vetrina.vectors import Attention, Concat, Fuser, Gated

__all__ = ["KINDS", "MODALITIES", "changes", "encoded_fashion", "joined", "losses", "tables"]

Floats = npt.NDArray[np.float32]
#: NDCG@10 of each request, by the modality that half of the products lack.
Values = dict[str, npt.NDArray[np.float64]]

#: What is asked, in the order in which requests are put side by side.
KINDS = ("searches", "recommendations", "more like this")
MODALITIES = ("text", "photo", "attributes")

_FUSERS: dict[str, type[Fuser]] = {"gated": Gated, "attention": Attention, "concatenation": Concat}
_CONFIG = ShopConfig.parse({"items": {"file": "products.csv", "item": "id"}}, "")
_END = 1_700_000_000 // DAY * DAY
_K = 10
_NOTE = (
    "NDCG@10 by the fused vector alone, of all products. Half of the products, drawn by the seed, have no text "
    "(photo, attributes); queries keep theirs."
)


class _Asked(NamedTuple):
    """Requests of one kind: what they seek, and what was right."""

    words: Floats | None  # vectors of the queries' words, where that is what is sought
    mixed: npt.NDArray[np.floating] | None  # (n_requests, n_items) weights of the products seen
    own: npt.NDArray[np.int64] | None  # the product that is no answer to "more like this"
    truth: Truth
    shopper: npt.NDArray[np.int32]


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    dataset, encoded = encoded_fashion()
    found = [losses(dataset, encoded, seed, 200 if quick else 1500) for seed in seeds]
    whose = [np.concatenate([shoppers[kind] for kind in KINDS]) for _, shoppers in found]
    every = [{name: joined(kinds) for name, kinds in by_fuser.items()} for by_fuser, _ in found]
    title = "Fashion, fusion with a modality missing"
    yield over_seeds(
        f"{title}: NDCG@10 by which modality half of the products lack",
        every,
        whose,
        reference="gated",
        simulated=True,
        notes=[_NOTE],
    )
    yield over_seeds(
        f"{title}: change of NDCG@10 against all products complete, all requests",
        [{name: changes(values) for name, values in one.items()} for one in every],
        whose,
        reference="gated",
        simulated=True,
        notes=[_NOTE, "A lead above 0: it loses less than the other."],
    )
    for kind in KINDS:
        yield over_seeds(
            f"{title}: change of NDCG@10 against all products complete, {kind}",
            [{name: changes(kinds[kind]) for name, kinds in one.items()} for one, _ in found],
            [shoppers[kind] for _, shoppers in found],
            reference="gated",
            simulated=True,
        )


def encoded_fashion() -> tuple[Dataset, Encoded]:
    """The fashion products by the default encoders, once for all seeds: the catalogue knows no shopper."""
    dataset = load("fashion")
    with tempfile.TemporaryDirectory() as media:
        encoded = encode_items(Items(dataset.items), dataset.root, Path(media), _CONFIG, Silent())
        vectors = {name: np.array(encoded.items.vectors[name]) for name in MODALITIES}
    return dataset, replace(encoded, items=Items(dataset.items, vectors))


def losses(
    dataset: Dataset, encoded: Encoded, seed: int, most: int, fusers: Sequence[str] = tuple(_FUSERS)
) -> tuple[dict[str, dict[str, Values]], dict[str, npt.NDArray[np.int64]]]:
    """NDCG@10 of each request by fuser, kind of request and modality that half of the products lack ("none").

    And the shopper of each request, by kind. ``most`` requests of each kind are asked, drawn by ``seed``.
    """
    simulation = simulate(Items(dataset.items), dataset.root, SimulationConfig(seed=seed), _END, Silent())
    log = EventLog.from_table(simulation.events, simulation.items)
    cut = cut_of(log, _CONFIG.build.test_days)
    replay = requests_from_log(log, cut, int(log.time[-1]) + 1, window_size=_CONFIG.rank.window)
    asked = _asked(replay, encoded, most, seed)
    lacking = np.random.default_rng(seed).random(len(encoded.items)) < 0.5
    found: dict[str, dict[str, Values]] = {name: {what: {} for what in KINDS} for name in fusers}
    for name in fusers:
        for missing in ("none", *MODALITIES):
            vectors = {
                modality: np.where(lacking[:, None], np.float32(0), rows) if modality == missing else rows
                for modality, rows in encoded.items.vectors.items()
            }
            fuser = _FUSERS[name]()
            fuser.fit(vectors, fuser.pairs_of(log.before(cut)))
            fused = fuser.transform(vectors)
            for what, one in asked.items():
                found[name][what][missing] = _ndcg(fuser, fused, one)
    # Shoppers of two seeds are not the same people.
    return found, {
        what: np.where(one.shopper < 0, -1, one.shopper.astype(np.int64) + seed * 1_000_000)
        for what, one in asked.items()
    }


def _asked(replay: Replay, encoded: Encoded, most: int, seed: int) -> dict[str, _Asked]:
    rng = np.random.default_rng(seed)
    n_items = len(encoded.items)
    spoken = np.array([bool(query.text) for query in replay.requests.queries])
    known = np.diff(replay.requests.windows.offsets) > 0
    searches = replay.take(_some(np.flatnonzero(spoken), most, rng))
    words = encoded.encoders["text"].transform_words([query.text for query in searches.requests.queries])
    browsing = replay.take(_some(np.flatnonzero(~spoken & known), most, rng))
    windows = browsing.requests.windows
    recent = np.exp2(-browsing.requests.age / 30)
    weights = np.array([0, 0, 1, 1, 2, 3, 1, -0.5])[windows.kind] * recent  # as the source "vector" weighs them
    several = replay.take(_some(np.flatnonzero(replay.truth.n_relevant > 1), most, rng))
    first = several.truth.offsets[:-1]
    others = [
        {int(several.truth.item[place]): float(several.truth.gain[place]) for place in range(start + 1, stop)}
        for start, stop in zip(first.tolist(), several.truth.offsets[1:].tolist(), strict=True)
    ]
    own = several.truth.item[first].astype(np.int64)
    return {
        "searches": _Asked(words, None, None, searches.truth, searches.shopper),
        "recommendations": _Asked(
            None, windows.weighted(weights, n_items).toarray(), None, browsing.truth, browsing.shopper
        ),
        "more like this": _Asked(None, np.eye(n_items)[own], own, Truth.from_lists(others), several.shopper),
    }


def _some(rows: npt.NDArray[np.intp], most: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return np.sort(rng.permutation(rows)[:most])


def _ndcg(fuser: Fuser, fused: Floats, asked: _Asked) -> npt.NDArray[np.float64]:
    """NDCG@10 of every request, its list being all products by cosine with what it seeks."""
    if asked.words is not None:
        sought = fuser.transform({"text": asked.words})
    else:
        assert asked.mixed is not None
        sought = unit_rows(asked.mixed @ fused)
    cosine = sought @ fused.T
    if asked.own is not None:
        cosine[np.arange(len(cosine)), asked.own] = -2
    best = np.argsort(-cosine, axis=1, kind="stable")[:, :_K].astype(np.int32)
    return measure(ItemList.from_lists(list(best)), asked.truth, _K, ["ndcg"]).values[f"ndcg@{_K}"]


def joined(kinds: Mapping[str, Values]) -> Values:
    """All kinds of requests one after the other."""
    return {missing: np.concatenate([kinds[kind][missing] for kind in KINDS]) for missing in ("none", *MODALITIES)}


def changes(values: Values) -> Values:
    """Against what it is with all products complete."""
    return {missing: values[missing] - values["none"] for missing in MODALITIES}
