"""Fit the stages on what was known at a time, so that no model has seen what it will be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, ItemList, Items, Progress, Requests, Silent, component_class, create
from vetrina.encode.base import Encoder
from vetrina.engine.config import ShopConfig
from vetrina.engine.engine import Engine
from vetrina.engine.gate import Gate, Unseen, nobody
from vetrina.engine.replay import Replay
from vetrina.engine.rows import ranker_rows
from vetrina.engine.stages import added_up, fit_stages
from vetrina.rank import Ranker, TrainingRows
from vetrina.retrieve.merge import add_scores
from vetrina.vectors import Fuser

__all__ = ["enough_to_learn", "fit_ranker", "learn", "learn_ranker", "unfitted_ranker"]

# One request in so many teaches the gate and not its ranker; of so many it is seen which features are personal.
_HELD_OUT, _ENOUGH_LISTS = 5, 200
# Trees learned from fewer requests than this order worse than similarities, or not at all.
_ENOUGH_CHOICES = 50


def learn(
    items: Items,
    log: EventLog,
    config: ShopConfig,
    encoders: Mapping[str, Encoder],
    judged: Replay | None = None,
    progress: Progress | None = None,
    fuser: Fuser | None = None,
) -> Engine:
    """An engine that has learned from ``log`` and from graded queries, and from nothing else.

    The last days of the log become training rows: models of behaviour are
    fitted on what came before, and the log is replayed through them with every
    window cut at its event. Then the models are fitted again on the whole log.

    Parameters
    ----------
    items : Items
        The catalogue with its vectors.
    log : EventLog
        Cut it at the time that the engine is to be asked about.
    config : ShopConfig
    encoders : mapping of modality to Encoder
    judged : Replay, optional
        Graded queries to learn from as well.
    progress : Progress, optional
    fuser : Fuser, optional
        What made the "fused" vectors of ``items``.
    """
    progress = progress or Silent()
    with progress.step("Fitting candidate sources"):
        engine = fit_stages(items, log, config, encoders, fuser)
    return learn_ranker(engine, log, config, judged, progress)


def learn_ranker(
    engine: Engine, log: EventLog, config: ShopConfig, judged: Replay | None = None, progress: Progress | None = None
) -> Engine:
    """The same engine with a ranker learned from ``log``, on which its stages were fitted, and from graded queries."""
    return fit_ranker(engine, ranker_rows(engine, log, config, judged, progress), config, progress)


def fit_ranker(engine: Engine, rows: TrainingRows, config: ShopConfig, progress: Progress | None = None) -> Engine:
    """The same engine with the ranker of ``config`` fitted on ``rows``; a match score where they hold too little."""
    if not enough_to_learn(rows):
        # Nothing was chosen, or too little to learn an order from: similarities, added up.
        engine = replace(engine, ranker=added_up(config).fit(rows))
        return replace(engine, gate=fit_gate(engine, rows, config))
    ranker = unfitted_ranker(config)
    with (progress or Silent()).step(f"Fitting {config.rank.ranker} on {len(rows.gain):,} rows"):
        engine = replace(engine, ranker=ranker.fit(rows))
    return replace(engine, gate=fit_gate(engine, rows, config))


def fit_gate(engine: Engine, rows: TrainingRows, config: ShopConfig) -> Gate | None:
    """What [rank] gate asks for: learned from a fifth of the requests, by a ranker that learned from the others."""
    if not config.rank.gate or rows.asked is None:
        return None
    requests = np.arange(len(rows.sizes))
    held = requests % _HELD_OUT == _HELD_OUT - 1
    some = rows.take(requests[held])
    if some.asked is None or not len(some.sizes):
        return None
    known_by = np.flatnonzero(np.diff(some.asked.requests.windows.offsets))
    few = some.take(known_by[:_ENOUGH_LISTS])
    if few.asked is None or not len(known_by):
        return None  # nobody has a past: there is nothing to hold back
    known, unknown = (
        _features(engine, one, few.asked.lists) for one in (few.asked.requests, nobody(few.asked.requests))
    )
    gate = Gate().tell_apart(known, unknown)
    others = rows.take(requests[~held])
    ranker = unfitted_ranker(config).fit(others) if enough_to_learn(others) else engine.ranker
    unseen = Unseen(some.asked, some.sizes, some.features, some.gain, rows.names, ranker)
    return gate.learn(unseen, engine.sources)


def _features(engine: Engine, requests: Requests, lists: ItemList) -> npt.NDArray[np.float32]:
    """Features of items as ``requests`` would find them."""
    asked = ItemList(lists.offsets, lists.item)
    add_scores(engine.sources, requests, asked)
    return engine.compute_features(requests, asked)


def unfitted_ranker(config: ShopConfig) -> Ranker:
    """The ranker that the shop names, with its options; the build's seed and device where it has such options."""
    name = config.rank.ranker
    known = component_class("ranker", name).config_type.model_fields
    of_build: dict[str, Any] = {key: getattr(config.build, key) for key in ("seed", "device") if key in known}
    return cast(Ranker, create("ranker", name, {**of_build, **config.rank.options}))


def enough_to_learn(rows: TrainingRows) -> bool:
    """Whether so many requests chose something that was found that an order can be learned from them."""
    starts = np.concatenate([[0], np.cumsum(rows.sizes)[:-1]]).astype(np.int64)
    choices = int((np.add.reduceat(rows.gain, starts) > 0).sum()) if len(rows.sizes) else 0
    return choices >= _ENOUGH_CHOICES
