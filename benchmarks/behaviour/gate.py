"""What the gate does to searches: fashion products and their SIMULATED shoppers, with it, without it, and as nobody.

All answer with the same candidates' features and the same ranker, learned from the same rows. Searches are also told
apart by whether anything in the shopper's window has to do with the words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from behaviour.shops import make
from modalities import Outcome, SeedTable, over_seeds
from modalities.ablation import few
from vetrina.core import ItemList
from vetrina.engine import Engine, Replay, ShopConfig, fit_ranker, fit_stages, ranker_rows
from vetrina.engine.config import SourceConfig
from vetrina.engine.gate import nobody
from vetrina.evaluate import hold_out, measure
from vetrina.evaluate.tables import K

__all__ = ["tables"]

_METRIC = f"ndcg@{K}"
_GATE, _NO_GATE, _NOBODY = "gate", "no gate", "person unknown"
_PARTS = ("Searches", "Searches that the past answers", "Searches that it does not")


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """One table for all searches, and one for each kind of them."""
    outcomes: list[dict[str, Outcome]] = []
    whose: list[dict[str, npt.NDArray[np.int64]]] = []
    weights = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="vetrina-gate-") as scratch:
            found, who, learned = _measured(Path(scratch), seed, quick)
        outcomes.append(found)
        whose.append(who)
        weights.append("a {:.1f}, b {:.1f}, c {:.1f}".format(*learned))
    for part in _PARTS:
        yield over_seeds(
            f"Fashion: NDCG@{K} of {part.lower()}",
            [one[part] for one in outcomes],
            [one[part] for one in whose],
            reference=_GATE,
            simulated=True,
            notes=[f"learned by the gate, seed by seed: {'; '.join(weights)}"] if part == _PARTS[0] else [],
        )


def _measured(
    scratch: Path, seed: int, quick: bool
) -> tuple[dict[str, Outcome], dict[str, npt.NDArray[np.int64]], npt.NDArray[np.float64]]:
    """(NDCG by part and system, who asked, what the gate learned)."""
    _, config, encoded, log, _ = make("fashion", scratch, seed, quick)
    config = _with_queries(config)
    held = few(hold_out(log, "time", config), 300 if quick else 1000)
    searches = next(test for name, test in held.parts.items() if name.startswith("Search"))
    stages = fit_stages(encoded.items, held.train, config, encoded.encoders, encoded.fuser)
    rows = ranker_rows(stages, held.train, config)
    gated = fit_ranker(stages, rows, config).observe(held.observed)
    assert gated.gate is not None
    requests = searches.requests
    lists = {
        _GATE: gated.rank(requests, K).lists,
        _NO_GATE: replace(gated, gate=None).rank(requests, K).lists,
        _NOBODY: gated.rank(nobody(requests), K).lists,
    }
    answers = _answered(gated, searches)
    people = searches.shopper.astype(np.int64)
    who = np.where(people >= 0, people + 1_000_000 * seed, -1)  # shoppers of two simulations are different people
    parts = dict(zip(_PARTS, (np.ones(len(who), dtype=bool), answers, ~answers), strict=True))
    ndcg = {name: measure(_plain(one), searches.truth, K, ["ndcg"]).values[_METRIC] for name, one in lists.items()}
    found = {part: {name: {_METRIC: values[chosen]} for name, values in ndcg.items()} for part, chosen in parts.items()}
    return found, {part: who[chosen] for part, chosen in parts.items()}, gated.gate.weights_[:3]


def _with_queries(config: ShopConfig) -> ShopConfig:
    """The shop with all that the gate can read."""
    rank = config.rank.model_copy(update={"gate": True, "features": [*config.rank.features, "queries"]})
    sources = {**config.retrieve, "query_item": SourceConfig()}
    return config.model_copy(update={"rank": rank, "retrieve": sources})


def _answered(engine: Engine, searches: Replay) -> npt.NDArray[np.bool_]:
    """Whether an item of the window answers the words at least half as well as the best item does, by `lexical`."""
    windows, source = searches.requests.windows, engine.sources["lexical"]
    best = source.retrieve(searches.requests, 1, None)[1][:, 0]
    past = source.score(searches.requests, ItemList(windows.offsets, windows.item))
    answers = past >= np.where(np.isfinite(best), best, np.inf)[windows.row] / 2
    return np.bincount(windows.row[answers], minlength=len(best)) > 0


def _plain(lists: ItemList) -> ItemList:
    return ItemList(lists.offsets, lists.item)
