"""Rankers beside one another: on the same training rows, asked about the same candidates with the same features.

Only what orders the candidates differs. On fashion products and their SIMULATED shoppers, where a log has searches,
views, clicks, carts and purchases; and on Online Retail, real people's purchases, and nothing but these.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from behaviour.shops import make
from modalities import Outcome, SeedTable, over_seeds
from modalities.ablation import few
from vetrina.core import ItemList, Items, Requests, Windows, create
from vetrina.engine.engine import Gathered
from vetrina.engine.rows import ranker_rows
from vetrina.engine.stages import fit_stages
from vetrina.evaluate import Holdout, hold_out, measure
from vetrina.evaluate.tables import K
from vetrina.rank import Asked, Ranker, TrainingRows

__all__ = ["RANKERS", "prepared", "tables"]

#: By the name in the table: the ranker, its options, and whether it is shown the windows.
RANKERS: Mapping[str, tuple[str, Mapping[str, Any], bool]] = {
    "lambdamart": ("lambdamart", {}, True),
    "pairwise": ("pairwise", {}, True),
    "pointwise": ("pointwise", {}, True),
    "linear": ("linear", {}, True),
    "network": ("network", {}, True),
    "lstm": ("lstm", {}, True),
    "din": ("din", {}, True),
    "din, no windows": ("din", {}, False),
    "blend": ("blend", {"members": {"lambdamart": {}, "din": {}}}, True),
}
_METRIC = f"ndcg@{K}"

#: Candidates of each part's requests, with features.
Candidates = dict[str, list[Gathered]]


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """One table for each kind of request of both shops: of the first two seeds on Fashion, of one on the real log."""
    for name, title, most in (("fashion", "Fashion", 2), ("online-retail", "Online Retail, last 30 days", 1)):
        outcomes: list[dict[str, Outcome]] = []
        whose: list[dict[str, npt.NDArray[np.int64]]] = []
        for seed in seeds[:most]:
            with tempfile.TemporaryDirectory(prefix="vetrina-rankers-") as scratch:
                rows, held, candidates = prepared(name, Path(scratch), seed, quick)
            outcomes.append(_measured(rows, held, candidates, seed))
            # Shoppers of two simulations are different people; those of the real shop are the same.
            apart = 1_000_000 * seed if name == "fashion" else 0
            codes = {part: test.shopper.astype(np.int64) for part, test in held.parts.items()}
            whose.append({part: np.where(one >= 0, one + apart, -1) for part, one in codes.items()})
        for part in outcomes[0]:
            yield over_seeds(
                f"{title}: NDCG@{K} of {part.lower()}",
                [one[part] for one in outcomes],
                [one[part] for one in whose],
                reference="lambdamart",
                simulated=name == "fashion",
                notes=["same candidates, features and training rows for all; options are the defaults"],
            )


def prepared(
    name: str, scratch: Path, seed: int, quick: bool, validation: bool = False
) -> tuple[TrainingRows, Holdout, Candidates]:
    """(rows to learn from, what is asked, its candidates): of the days before those on which rankers are measured.

    ``validation`` moves both back to where options are chosen: the days before the test.
    """
    _, config, encoded, log, _ = make(name, scratch / name, seed, quick)
    held = hold_out(log, "time", config)
    if validation:
        assert held.validation is not None
        inner = held.validation
        held = replace(held, train=inner.train, observed=inner.observed, parts=inner.parts)
    held = few(held, 300 if quick else 1000)
    engine = fit_stages(encoded.items, held.train, config, encoded.encoders, encoded.fuser)
    rows = ranker_rows(engine, held.train, config)
    asked = engine.observe(held.observed)
    return rows, held, {part: list(asked.gather(test.requests)) for part, test in held.parts.items()}


def _measured(rows: TrainingRows, held: Holdout, candidates: Candidates, seed: int) -> dict[str, Outcome]:
    """NDCG of every ranker by part."""
    found: dict[str, dict[str, dict[str, npt.NDArray[np.floating]]]] = {part: {} for part in candidates}
    assert rows.asked is not None
    items, blind = rows.asked.items, replace(rows.asked, requests=_of_nobody(rows.asked.requests))
    for told, (name, options, reads) in RANKERS.items():
        ranker = cast(Ranker, create("ranker", name, {"seed": seed, **options}))
        ranker.fit(rows if reads else replace(rows, asked=blind))
        for part, gathered in candidates.items():
            lists = ItemList.join([_ordered(ranker, one, items, reads) for one in gathered])
            found[part][told] = {_METRIC: measure(lists, held.parts[part].truth, K, ["ndcg"]).values[_METRIC]}
    return dict(found)


def _ordered(ranker: Ranker, gathered: Gathered, items: Items, reads: bool) -> ItemList:
    requests, lists, features = gathered
    asked = Asked(requests if reads else _of_nobody(requests), lists, items)
    return ItemList(lists.offsets, lists.item, {"score": ranker.score(features, asked)}).sorted_by("score", K)


def _of_nobody(requests: Requests) -> Requests:
    """The same requests with windows in which nothing happened; features are what they were."""
    return replace(requests, windows=Windows.empty(len(requests)))
