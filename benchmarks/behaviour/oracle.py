"""How near to the best there is: fashion products and SIMULATED shoppers, beside an oracle that knows every taste.

The oracle orders all that could be shown by the true utility for whoever asks
(:meth:`vetrina.simulate.Simulation.true_utility`), so no order can be better by that measure: it has 1. What
popularity has is where one begins who knows nobody. How much of the way between them is gone says how well a known
taste is found, and nothing of real people. By what was clicked the oracle is no bound: only what the shop had
shown could be clicked, and much of it by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from behaviour.position import CONFIG, END, fashion_encoded, worth_of
from modalities import Outcome, SeedTable, over_seeds
from vetrina.core import EventLog, ItemList, Items, Silent
from vetrina.engine import ShopConfig, cut_of, learn, requests_from_log
from vetrina.engine.encoding import Encoded
from vetrina.evaluate import BM25, Popularity
from vetrina.evaluate.metrics import measure
from vetrina.simulate import SimulationConfig, simulate

__all__ = ["DEBIASED", "ORACLE", "POPULAR", "SHIPPED", "Shares", "measured", "share_of_the_way", "tables"]

Floats = npt.NDArray[np.floating]

ORACLE, SHIPPED, DEBIASED = "oracle: true utility", "Vetrina, as shipped", "Vetrina, learned from what was shown"
POPULAR, LEXICAL = "popularity", "BM25"
_K = 10
_SEEDS = 3  # most: a shop and two engines take minutes
_UTILITY, _CLICKS = f"NDCG@{_K} of true utility", f"NDCG@{_K} of clicks"
_RESAMPLES = 2000


class Shares(NamedTuple):
    """A share of the way, and its 95% interval by shopper."""

    mean: float
    low: float
    high: float


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    encoded = fashion_encoded()
    found = [measured(encoded, seed, quick) for seed in seeds[:_SEEDS]]
    for part in found[0]:
        outcomes = [one[part][0] for one in found]
        shoppers = [one[part][1] for one in found]
        joined = {
            system: np.concatenate([one[system][_UTILITY] for one in outcomes])
            for system in outcomes[0]
        }  # fmt: skip
        notes = [
            f"of the way from popularity to the oracle, by true utility, {system} goes {told.mean:.0%} "
            f"[{told.low:.0%}, {told.high:.0%}]"
            for system in (SHIPPED, DEBIASED)
            for told in [share_of_the_way(joined[POPULAR], joined[system], joined[ORACLE], np.concatenate(shoppers))]
        ]
        yield over_seeds(
            f"Fashion, {part}: beside who knows every taste",
            outcomes,
            shoppers,
            reference=SHIPPED,
            simulated=True,
            notes=notes,
        )


def share_of_the_way(start: Floats, here: Floats, end: Floats, shopper: npt.NDArray[np.integer]) -> Shares:
    """(mean of ``here`` - mean of ``start``) / (mean of ``end`` - mean of ``start``), shoppers drawn anew.

    Examples
    --------
    >>> told = share_of_the_way(np.zeros(4), np.full(4, 0.5), np.ones(4), np.arange(4))
    >>> told
    Shares(mean=0.5, low=0.5, high=0.5)
    """
    _, whose = np.unique(shopper, return_inverse=True)
    gone, way = (np.bincount(whose, weights=one - start) for one in (here, end))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(gone), np.full(len(gone), 1 / len(gone)), size=_RESAMPLES)
    low, high = np.quantile((drawn @ gone) / (drawn @ way), [0.025, 0.975])
    return Shares(float(gone.sum() / way.sum()), float(low), float(high))


def measured(
    encoded: tuple[Encoded, Path], seed: int, quick: bool = False
) -> dict[str, tuple[Outcome, npt.NDArray[np.int64]]]:
    """By kind of request: NDCG of every request by system and by measure, and whose the requests are."""
    made, photos = encoded
    shipped = {"training_requests": 3000}
    configs = {
        name: ShopConfig.parse({**CONFIG, "rank": rank, "build": {"seed": seed}}, "")
        for name, rank in ((SHIPPED, shipped), (DEBIASED, {**shipped, "impressions": "debiased"}))
    }
    config = configs[SHIPPED]
    settings = SimulationConfig(seed=seed, n_shoppers=400 if quick else 1200)
    simulation = simulate(made.items, photos, settings, END, Silent())
    items = Items(simulation.items.table, made.items.vectors)
    log = EventLog.from_table(simulation.events, items)
    cut = cut_of(log, config.build.test_days)
    train = log.before(cut)
    engines = {
        name: learn(items, train, one, made.encoders, fuser=made.fuser).observe(log) for name, one in configs.items()
    }
    plain = {POPULAR: Popularity(days=14).fit(items, train).observe(log), LEXICAL: BM25().fit(items, train)}
    test = requests_from_log(log, cut, int(log.time[-1]) + 1, window_size=config.rank.window)
    worded = np.array([bool(query.text) for query in test.requests.queries])
    found: dict[str, tuple[Outcome, npt.NDArray[np.int64]]] = {}
    for part, rows in (("searches", np.flatnonzero(worded)), ("recommendations", np.flatnonzero(~worded))):
        some = np.random.default_rng(seed).permutation(rows)[: 100 if quick else 400]
        asked = test.take(np.sort(some))
        truths = {_UTILITY: worth_of(asked, simulation, log), _CLICKS: asked.truth}
        lists = {name: engine.rank(asked.requests, _K).lists for name, engine in engines.items()}
        lists |= {
            name: one.rank(asked.requests, _K) for name, one in plain.items() if part == "searches" or name == POPULAR
        }
        lists[ORACLE] = _best(truths[_UTILITY].offsets, truths[_UTILITY].item)
        outcome = {
            name: {told: measure(one, truth, _K, ["ndcg"]).values[f"ndcg@{_K}"] for told, truth in truths.items()}
            for name, one in lists.items()
        }
        # Shoppers of two seeds are not the same people.
        found[part] = (outcome, asked.shopper.astype(np.int64) + seed * 1_000_000)
    return found


def _best(offsets: npt.NDArray[np.int64], item: npt.NDArray[np.int32]) -> ItemList:
    """The first of what a truth names, which :func:`behaviour.position.worth_of` puts in order."""
    return ItemList.from_lists([part[:_K] for part in np.split(item, offsets[1:-1])])
