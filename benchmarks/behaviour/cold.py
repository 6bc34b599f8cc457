"""New products and new shoppers: the engine beside popularity, on simulated shoppers and on real people.

Products are held back as if new (a fifth, drawn at random: none of their events is known to anything, when learning or
when asked); shoppers are those who were never seen before the last days. Popularity knows what everybody chose until
the day of the request, over all time, over 14 days, and over that span which is best on these very requests. It knows
nothing of products that nobody has met, and leaves them in the order of the catalogue's file, which may tell something:
in MovieLens the first films are the best known. So products in no order, drawn for each request, stand beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from behaviour.shops import Made, make
from modalities.ablation import evenly
from vetrina.core import EventLog, ItemList, Query
from vetrina.engine import Gains, Replay, ShopConfig, cut_of, learn, requests_from_log
from vetrina.evaluate import Holdout, Popularity, Scores, Table, compare, hold_out, measure
from vetrina.evaluate.tables import ENGINE, SHOWN, K

__all__ = ["NO_ORDER", "PROTOCOLS", "SHOPS", "cold", "tables"]

SHOPS = ("fashion", "online-retail", "movielens-100k")
PROTOCOLS = ("cold-items", "cold-shoppers")
BEST = "popularity, best span of these requests"
NO_ORDER = "in no order"
_SPANS = (None, 60, 30, 14, 7, 3, 1)
_MOST = 1500  # requests of each part
_PARTS = {
    "Searches": "searches",
    "Recommendations": "recommendations",
    "New products": "recommendations of what the shopper has not bought",
    "New products alone": "recommendations among new products alone",
    "Next": "what is liked next, asked at every rating, films rated before left out",
}


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Table]:
    """A table for each shop, protocol, and kind of request."""
    for name in SHOPS[:1] if quick else SHOPS:
        with tempfile.TemporaryDirectory(prefix="vetrina-cold-") as scratch:
            made = make(name, Path(scratch), seeds[0], quick)
            for protocol in PROTOCOLS:
                yield from cold(made, protocol, 300 if quick else _MOST).values()


def cold(made: Made, protocol: str, most: int = _MOST) -> dict[str, Table]:
    """By kind of request: the engine, which has learned from what the protocol leaves, beside popularity.

    Parameters
    ----------
    made : Made
    protocol : str
        "cold-items" or "cold-shoppers".
    most : int
        Requests of each kind, at even distances.
    """
    config, encoded = made.config, made.encoded
    held = hold_out(made.log, protocol, config, cut=cut_of(made.log, config.build.test_days))
    engine = learn(encoded.items, held.train, config, encoded.encoders, fuser=encoded.fuser).observe(held.observed)
    parts = dict(held.parts)
    if made.config.rank.gains.get("rate") and protocol == "cold-shoppers":
        # Who rates films rates dozens at one sitting: with the first rating alone a newcomer is still unknown.
        parts["Next"] = _next(made.log, held, config)
    found = {}
    for part, every in parts.items():
        test = evenly(every, most)
        systems = {ENGINE: measure(engine.rank(test.requests, K).lists, test.truth, K, SHOWN)}
        systems |= _popularity(made, held, test)
        if part == "New products alone":
            systems[NO_ORDER] = measure(_in_no_order(test, len(encoded.items)), test.truth, K, SHOWN)
        found[part] = compare(
            f"{made.title}: {_PARTS[part]}, {held.words}",
            systems,
            test.shopper,
            ENGINE,
            simulated=config.shop.simulated,
        )
    return found


def _next(log: EventLog, held: Holdout, config: ShopConfig) -> Replay:
    """Requests of the same people, one at every moment at which they liked something."""
    people = np.unique(next(iter(held.parts.values())).shopper)
    since, until = int(held.train.time[-1]) + 1, int(log.time[-1]) + 1
    gains = Gains(**config.rank.gains)
    every = requests_from_log(log, since, until, window_size=config.rank.window, gains=gains, session_gap=0)
    asked = every.take(np.flatnonzero(np.isin(every.shopper, people)))
    windows = asked.requests.windows
    met = np.split(windows.item, windows.offsets[1:-1])
    queries = [Query(exclude=tuple(np.unique(one).tolist())) for one in met]
    return asked._replace(requests=replace(asked.requests, queries=queries))


def _popularity(made: Made, held: Holdout, test: Replay) -> dict[str, Scores]:
    gains = Gains(**made.config.rank.gains)
    by_span = {}
    for days in _SPANS:
        system = Popularity(gains, days=days).fit(made.encoded.items, held.train).observe(held.observed)
        by_span[days] = measure(system.rank(test.requests, K), test.truth, K, SHOWN)
    best = max(by_span.values(), key=lambda scores: float(scores.values[f"ndcg@{K}"].mean()))
    return {"popularity, ever": by_span[None], "popularity, 14 days": by_span[14], BEST: best}


def _in_no_order(test: Replay, n_items: int) -> ItemList:
    """Ten products of those that may be shown, drawn for each request."""
    rng = np.random.default_rng(0)
    every = np.arange(n_items, dtype=np.int32)
    # All requests leave out the same: what is known.
    left = np.setdiff1d(every, np.array(test.requests.queries[0].exclude, dtype=np.int32))
    return ItemList.from_lists([rng.permutation(left)[:K].astype(np.int32) for _ in range(len(test.requests))])
