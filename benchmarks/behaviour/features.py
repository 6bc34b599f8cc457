"""What each family of ranking features adds to the shipped ones: on simulated shoppers, real buyers, graded queries.

Sources, candidates and all features are made once. Then one ranker learns from the columns of the shipped families,
and others from these and those of one family more, on the same rows; all order the same candidates. The family `given`
is not among them: no row that is replayed from a log has a list that was given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from behaviour.shops import SHOPS, Made, make
from modalities import Outcome, SeedTable, over_seeds
from modalities.ablation import evenly
from vetrina.core import ItemList
from vetrina.engine import Engine, Replay, ShopConfig, cut_of, fit_ranker, fit_stages, ranker_rows
from vetrina.engine.config import RankConfig
from vetrina.engine.engine import Gathered
from vetrina.evaluate import hold_out, measure
from vetrina.evaluate.tables import K
from vetrina.rank import TrainingRows

__all__ = ["ADDED", "compare", "tables"]

SHIPPED = "shipped families"
#: Families whose worth is measured: added to the shipped ones or, where one is shipped, left out.
ADDED = ("rates", "session", "freshness", "time", "fuzzy", "sources")
ALL = "all of these"
_METRIC = f"ndcg@{K}"
_FOLDS = 5
_MOST, _LEARNED = 1200, 2500  # requests of each part, and to learn from

#: What came out, and whose the requests are, by part.
_Found = dict[str, tuple[Outcome, npt.NDArray[np.int64]]]


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """For each shop a table of NDCG of searches, of recommendations, and of those of new products."""
    for name in SHOPS[:1] if quick else [one for one in SHOPS if one != "movielens-100k"]:
        found: list[_Found] = []
        title = name
        # Real people are the same whatever the seed; of simulated ones each seed draws others.
        for seed in seeds[:2] if name == "fashion" else seeds[:1]:
            with tempfile.TemporaryDirectory(prefix="vetrina-features-") as scratch:
                made = make(name, Path(scratch), seed, quick)
                title = made.title
                found.append(_graded(made) if made.judged is not None else _logged(made, seed, quick))
        for part in found[0]:
            yield over_seeds(
                f"{title}: {_METRIC.upper()} of {part}, families of features added to the shipped ones",
                [one[part][0] for one in found],
                [one[part][1] for one in found],
                reference=SHIPPED,
                simulated=name == "fashion",
                notes=["a lead below zero: the family adds that much"],
            )


class _Fitted(NamedTuple):
    """Stages with every family, the rows that a ranker learns from, and what is to be ordered."""

    engine: Engine
    rows: TrainingRows
    asked: Mapping[str, list[Gathered]]


def compare(fitted: _Fitted, config: ShopConfig) -> dict[str, dict[str, ItemList]]:
    """Lists of every part by variant: the shipped families, these and one more or less, and all."""
    shipped = set(RankConfig().features)
    variants = {SHIPPED: shipped}
    for one in ADDED:
        variants |= {f"without {one}": shipped - {one}} if one in shipped else {f"with {one}": shipped | {one}}
    variants[ALL] = shipped | set(ADDED)
    lists: dict[str, dict[str, ItemList]] = {part: {} for part in fitted.asked}
    owner = [family.name for family in fitted.engine.features for _ in family.names_]
    for variant, kept in variants.items():
        columns = np.flatnonzero([name in kept for name in owner])
        features = [family for family in fitted.engine.features if family.name in kept]
        rows = fitted.rows
        names = [rows.names[at] for at in columns]
        engine = fit_ranker(
            replace(fitted.engine, features=features),
            replace(rows, features=np.ascontiguousarray(rows.features[:, columns]), names=names),
            config,
        )
        for part, gathered in fitted.asked.items():
            ordered = [
                engine.order(one._replace(features=np.ascontiguousarray(one.features[:, columns])), K).lists
                for one in gathered
            ]
            lists[part][variant] = ItemList.from_lists([one.list_of(row) for one in ordered for row in range(len(one))])
    return lists


def _everything(config: ShopConfig) -> ShopConfig:
    rank = {
        "features": list(dict.fromkeys([*RankConfig().features, *ADDED])),
        "training_requests": min(config.rank.training_requests, _LEARNED),
    }
    return config.model_copy(update={"rank": config.rank.model_copy(update=rank)})


def _logged(made: Made, seed: int, quick: bool) -> _Found:
    """By time: the last days are asked about."""
    config = _everything(made.config)
    held = hold_out(made.log, "time", config, cut=cut_of(made.log, config.build.test_days))
    encoded = made.encoded
    stages = fit_stages(encoded.items, held.train, config, encoded.encoders, encoded.fuser)
    rows = ranker_rows(stages, held.train, config)
    observed = stages.observe(held.observed)
    parts = {name: evenly(one, 300 if quick else _MOST) for name, one in held.parts.items()}
    asked = {name: list(observed.gather(one.requests)) for name, one in parts.items()}
    lists = compare(_Fitted(stages, rows, asked), config)
    found: _Found = {}
    for name, test in parts.items():
        outcome = {variant: {_METRIC: _ndcg(one, test)} for variant, one in lists[name].items()}
        who = test.shopper.astype(np.int64)
        # Shoppers of two simulations are different people.
        found[name.lower()] = outcome, np.where(who >= 0, who + 1_000_000 * seed, -1)
    return found


def _graded(made: Made) -> _Found:
    """By cross-validation over graded queries: the judged products alone, and the whole catalogue."""
    config, judged, encoded = _everything(made.config), made.judged, made.encoded
    assert judged is not None
    n = len(judged.requests)
    stages = fit_stages(encoded.items, made.log, config, encoded.encoders, encoded.fuser)
    fold = np.random.default_rng(config.build.seed).permutation(n) % _FOLDS
    offsets, item = judged.truth.offsets, judged.truth.item
    pools = np.split(item, offsets[1:-1])
    nothing = np.empty(0, dtype=np.int32)
    orders: dict[str, dict[str, list[npt.NDArray[np.int32]]]] = {}
    for number in range(_FOLDS):
        rows = ranker_rows(stages, made.log, config, judged.take(np.flatnonzero(fold != number)))
        rest = np.flatnonzero(fold == number)
        requests = judged.take(rest).requests
        asked = {
            "the judged products": list(stages.gather(requests, [pools[row] for row in rest])),
            "the whole catalogue": list(stages.gather(requests)),
        }
        for part, by_variant in compare(_Fitted(stages, rows, asked), config).items():
            for variant, lists in by_variant.items():
                order = orders.setdefault(part, {}).setdefault(variant, [nothing] * n)
                for place, row in enumerate(rest):
                    order[row] = lists.list_of(place)
    right = judged.take(np.flatnonzero(judged.truth.n_relevant))
    found: _Found = {}
    for part, by_order in orders.items():
        kept = {
            variant: ItemList.from_lists([order[row] for row in np.flatnonzero(judged.truth.n_relevant)])
            for variant, order in by_order.items()
        }
        outcome = {variant: {_METRIC: _ndcg(lists, right)} for variant, lists in kept.items()}
        found[f"searches among {part}"] = outcome, np.arange(len(right.requests))
    return found


def _ndcg(lists: ItemList, test: Replay) -> npt.NDArray[np.floating]:
    return measure(lists, test.truth, K, ["ndcg"]).values[_METRIC]
