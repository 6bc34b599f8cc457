"""Position bias: how well it is found, and what removing it is worth, on fashion products and SIMULATED shoppers.

Simulated, because there the truth is known: how likely each position was looked at, and what every product is worth to
whoever asks (:meth:`vetrina.simulate.Simulation.true_utility`). Two shops: one as in the demo, where the lists know
the words, and position k is looked at with chance k^-0.5; and one of strong bias, where popularity makes up half of a
search's order, and position k is looked at with chance 1/k.

The curve is estimated from the 15% of lists that are in random order, and by regression from all others. Then the same
ranker learns from the same rows five times: without a look at what was shown; from what was shown, taken as if all of
it had been looked at; by each estimate; and by the true curve. Each orders the same candidates of the last 14 days'
requests, and is measured by the true utility, and by what was clicked there, as one would without knowing it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from modalities import Outcome, SeedTable, over_seeds
from vetrina.catalogue.datasets import load
from vetrina.core import DAY, EventLog, ItemList, Items, Silent, Truth
from vetrina.engine import Engine, Replay, ShopConfig, cut_of, requests_from_log
from vetrina.engine.encoding import Encoded, encode_items
from vetrina.engine.rows import ranker_rows
from vetrina.engine.shown import examination_of
from vetrina.engine.stages import fit_stages, refit
from vetrina.evaluate.metrics import measure
from vetrina.rank import Examination, LambdaMART, TrainingRows
from vetrina.simulate import Simulation, SimulationConfig, simulate

__all__ = [
    "BY_CHANCE",
    "BY_REGRESSION",
    "CONFIG",
    "END",
    "IGNORED",
    "NAIVE",
    "SHOPS",
    "TRUE",
    "Measured",
    "compared",
    "fashion_encoded",
    "tables",
    "worth_of",
]

#: By title, what is set for the simulation.
SHOPS: dict[str, dict[str, Any]] = {
    "as in the demo": {},
    "strong bias": {"clicks": {"decay": 1.0}, "listing": {"popularity": 0.3}},
}
TRUE, BY_CHANCE, BY_REGRESSION = "true curve", "curve from random lists", "curve by regression"
NAIVE, IGNORED = "as if all was looked at", "what was shown ignored"
_K = 10
_SEEDS = 3  # most: a shop and its five rankers take minutes
END = 1_700_000_000 // DAY * DAY
_UTILITY, _CLICKS = f"NDCG@{_K} of true utility", f"NDCG@{_K} of clicks"
CONFIG = {
    "items": {"file": "products.csv", "item": "id"},
    "rank": {"impressions": "debiased", "training_requests": 3000},
    # Photos would cost minutes, and say nothing of where they stood.
    "encode": {"text": {"encoder": "tfidf"}, "attributes": {"encoder": "attributes"}},
}


class Measured(NamedTuple):
    """One seed: the curves, NDCG of every request by system, and whose the requests are."""

    curves: Mapping[str, Examination]
    ndcg: Outcome
    shopper: npt.NDArray[np.int64]


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    encoded = fashion_encoded()
    for title, settings in list(SHOPS.items())[1:] if quick else SHOPS.items():
        found = [compared(encoded, settings, seed, quick) for seed in seeds[:_SEEDS]]
        yield over_seeds(
            f"Fashion, {title}: how likely each position is looked at",
            [_told(one.curves) for one in found],
            unit="curves",
            simulated=True,
            notes=["error: the largest of positions 1 to 10"],
        )
        yield over_seeds(
            f"Fashion, {title}: learned from what was shown",
            [one.ndcg for one in found],
            [one.shopper for one in found],
            reference=BY_CHANCE,
            simulated=True,
            notes=[
                "all products ranked; only what the shop had shown could be clicked, which favours who orders as it did"
            ],
        )


def _told(curves: Mapping[str, Examination]) -> Outcome:
    places = np.arange(1, _K + 1)
    truth = curves[TRUE].at(places)
    told: dict[str, dict[str, npt.NDArray[np.floating]]] = {}
    for name, one in curves.items():
        told[name] = {str(place): one.at(np.array([place])) for place in places}
        told[name]["error"] = np.abs(one.at(places) - truth).max(keepdims=True)
    return told


def fashion_encoded() -> tuple[Encoded, Path]:
    dataset = load("fashion")
    with tempfile.TemporaryDirectory() as media:
        found = encode_items(Items(dataset.items), dataset.root, Path(media), ShopConfig.parse(CONFIG, ""), Silent())
        vectors = {name: np.array(rows) for name, rows in found.items.vectors.items()}
    return replace(found, items=Items(dataset.items, vectors)), dataset.root


def compared(encoded: tuple[Encoded, Path], settings: Mapping[str, Any], seed: int, quick: bool = False) -> Measured:
    """One shop simulated with ``settings`` and ``seed``, its curve estimated, and the rankers compared."""
    made, photos = encoded
    config = ShopConfig.parse({**CONFIG, "build": {"seed": seed}}, "")
    simulation = simulate(
        made.items, photos, SimulationConfig(seed=seed, n_shoppers=400 if quick else 1200, **settings), END, Silent()
    )
    items = Items(simulation.items.table, made.items.vectors)
    log = EventLog.from_table(simulation.events, items)
    cut = cut_of(log, config.build.test_days)
    train = log.before(cut)
    engine = fit_stages(items, train, config, made.encoders, made.fuser)
    curves = _curves(engine, train, simulation, config)
    rankers = {name: LambdaMART(seed=seed).fit(rows) for name, rows in _rows(engine, train, config, curves).items()}
    test = requests_from_log(log, cut, int(log.time[-1]) + 1, window_size=config.rank.window)
    drawn = np.random.default_rng(seed).permutation(len(test.requests))[: 150 if quick else 600]
    test = test.take(np.sort(drawn))
    # Shoppers of two seeds are not the same people.
    shopper = test.shopper.astype(np.int64) + seed * 1_000_000
    return Measured(curves, _ndcg(engine.observe(log), rankers, test, simulation, log), shopper)


def _curves(engine: Engine, train: EventLog, simulation: Simulation, config: ShopConfig) -> dict[str, Examination]:
    since = train.last_days(config.rank.training_days, 0.5)
    past = refit(engine, train, until=since)
    # Without the lists in random order: they were not there.
    lot = np.isin(train.request, np.unique(train.request[np.isfinite(train.propensity)]))
    found = {
        BY_CHANCE: examination_of(past, train, since, config.rank),
        BY_REGRESSION: examination_of(past, train.take(~lot), since, config.rank),
    }
    known = {name: one for name, one in found.items() if one is not None}
    return {TRUE: Examination(simulation.true_examination.astype(np.float64)), **known}


def _rows(
    engine: Engine, train: EventLog, config: ShopConfig, curves: Mapping[str, Examination]
) -> dict[str, TrainingRows]:
    """What each system learns from: the same rows of what was shown, weighed by each curve."""
    longest = len(curves[TRUE].curve)
    # A curve that says 1, 2, 3, … leaves the position as the weight of what was shown and not chosen.
    placed = ranker_rows(engine, train, config, examination=Examination(np.arange(1.0, longest + 1)))
    assert placed.weight is not None
    position = placed.weight.astype(np.int64)
    ignored = config.model_copy(update={"rank": config.rank.model_copy(update={"impressions": "ignored"})})
    found = {IGNORED: ranker_rows(engine, train, ignored), NAIVE: replace(placed, weight=None)}
    for name, curve in curves.items():
        weight = np.where(placed.gain > 0, 1, curve.at(position))
        found[name] = replace(placed, weight=weight.astype(np.float32))
    return found


def _ndcg(
    engine: Engine, rankers: Mapping[str, LambdaMART], test: Replay, simulation: Simulation, log: EventLog
) -> Outcome:
    """By system, NDCG of each request by what products are worth, and by what was clicked."""
    worth = worth_of(test, simulation, log)
    gathered = list(engine.gather(test.requests))
    found = {}
    for name, ranker in rankers.items():
        ordering = replace(engine, ranker=ranker)
        lists = ItemList.join([ordering.order(part, _K).lists for part in gathered])
        both = {_UTILITY: worth, _CLICKS: test.truth}
        found[name] = {told: measure(lists, truth, _K, ["ndcg"]).values[f"ndcg@{_K}"] for told, truth in both.items()}
    return found


def worth_of(test: Replay, simulation: Simulation, log: EventLog) -> Truth:
    """The true utility of the best products that each request could have been shown."""
    items = simulation.items
    lists = []
    for row, query in enumerate(test.requests.queries):
        utility = simulation.true_utility([log.shoppers[test.shopper[row]]], query.text)[0]
        utility[(items.available_at > test.requests.now[row]) | ~items.in_stock] = 0
        best = np.argsort(-utility, kind="stable")[:500]
        lists.append(dict(zip(best.tolist(), utility[best].astype(float).tolist(), strict=True)))
    return Truth.from_lists(lists)
