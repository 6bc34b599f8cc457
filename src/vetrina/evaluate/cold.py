"""The first day of a product: how requests are answered whose right answers nobody has met yet."""

from __future__ import annotations

import numpy as np

from vetrina.core import EventLog, ItemList, Progress, Silent
from vetrina.engine import Engine, Gains, Replay, ShopConfig
from vetrina.engine.stages import refit
from vetrina.evaluate.baselines import BM25, Baseline, Popularity
from vetrina.evaluate.metrics import measure
from vetrina.evaluate.modalities import by_likeness, evenly, words_fused
from vetrina.evaluate.protocols import Holdout, as_if_new, hold_out
from vetrina.evaluate.tables import ENGINE, SHOWN, K, Table, compare

__all__ = ["measure_cold"]

#: With fewer requests for products that are new in truth, some are held back as if they were.
_ENOUGH = 50
_RESAMPLES = 2000

LIKENESS = "likeness alone"
_TITLES = {
    "Searches": "searches for new products",
    "Recommendations": "recommendations, new products among all",
    "New products alone": "recommendations, among new products alone",
}


def measure_cold(
    engine: Engine, log: EventLog, config: ShopConfig, cut: int, progress: Progress | None = None
) -> list[Table]:
    """Ask for products of which no event is known, as on the day when they are added.

    They are those that had no event before the cut, where enough were chosen after it. Else a fifth
    of the products, drawn at random, is held back as if new: their events are taken from the
    sources, the features and the windows. The ranker is not learned anew, but it knows no product
    by name.

    Parameters
    ----------
    engine : Engine
        Has learned from what was before the cut.
    log : EventLog
        The whole log.
    config : ShopConfig
    cut : int
        Epoch seconds: what comes after it is asked.
    progress : Progress, optional

    Returns
    -------
    list of Table
        Vetrina beside the order by likeness alone, popularity and, for words, BM25; empty where
        nothing can be asked.
    """
    shown = progress or Silent()
    unmet = np.ones(len(engine.items), dtype=bool)
    before = log.before(cut)
    unmet[before.item[before.item >= 0]] = False
    held = as_if_new(log, unmet, config, cut, "products without an event before the test")
    if max((len(one.requests) for one in held.parts.values()), default=0) < _ENOUGH:
        held = hold_out(log, "cold-items", config, cut=cut)
        engine = refit(engine, held.train, until=cut)
    if not held.parts:
        return []
    engine = engine.observe(held.observed)
    with shown.step("Measuring: new products"):
        return [_table(name, evenly(replay), engine, held, config) for name, replay in held.parts.items()]


def _table(name: str, test: Replay, engine: Engine, held: Holdout, config: ShopConfig) -> Table:
    gains = Gains(**config.rank.gains)
    rivals: list[Baseline] = [Popularity(gains), *([BM25(gains)] if name == "Searches" else [])]
    lists: dict[str, ItemList] = {ENGINE: engine.rank(test.requests, K).lists}
    fused = engine.items.vectors.get("fused")
    if fused is not None:
        said = engine.encode_queries(test.requests).query_vectors
        found = by_likeness(test, engine.items, fused, words_fused(engine, said))
        if found is not None:
            lists[LIKENESS] = found
    for rival in rivals:
        lists[rival.name] = rival.fit(engine.items, held.train).observe(held.observed).rank(test.requests, K)
    return compare(
        f"{config.shop.name}: {_TITLES[name]}, {held.words}",
        {system: measure(one, test.truth, K, SHOWN) for system, one in lists.items()},
        test.shopper,
        ENGINE,
        simulated=config.shop.simulated,
        resamples=_RESAMPLES,
    )
