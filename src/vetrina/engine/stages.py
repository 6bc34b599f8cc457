"""Sources and features fitted on what was known at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from vetrina.core import EventLog, Items, component_class, create
from vetrina.encode.base import Encoder
from vetrina.engine.config import ShopConfig
from vetrina.engine.engine import Engine, Part
from vetrina.engine.fusing import fuse_log, fused_again
from vetrina.rank import FeatureFamily, MatchScore, TrainingRows
from vetrina.retrieve.base import Retriever
from vetrina.vectors import Fuser

__all__ = ["added_up", "fit_stages", "refit"]


def fit_stages(
    items: Items, log: EventLog, config: ShopConfig, encoders: Mapping[str, Encoder], fuser: Fuser | None = None
) -> Engine:
    """Sources and features fitted on ``log``; the ranker is a match score until one has learned.

    So are vectors that are learned from it; the others are those of ``items``, fused by ``fuser``.
    """
    items, encoders, fuser = fuse_log(items, log, config, encoders, fuser)
    names = [name for name in config.retrieve if _usable(name, items)]
    sources = {name: _source(name, config) for name in names}
    learned = [name for name, source in sources.items() if source.learns == "log" and not source.answers_query]
    families = [_family(name, learned) for name in config.rank.features]
    engine = Engine(
        items=items,
        encoders=encoders,
        sources={name: source.fit(items, log) for name, source in sources.items()},
        k={name: config.retrieve[name].k for name in names},
        features=[family.fit(items, log) for family in families],
        ranker=added_up(config),
        policy=config.policy,
        fuser=fuser,
    )
    return replace(engine, ranker=engine.ranker.fit(TrainingRows.none(engine.feature_names)))


def _source(name: str, config: ShopConfig) -> Retriever:
    """A source with the shop's options; the build's seed and device where it has such options."""
    known = component_class("retriever", name).config_type.model_fields
    of_build: dict[str, Any] = {key: getattr(config.build, key) for key in ("seed", "device") if key in known}
    return cast(Retriever, create("retriever", name, {**of_build, **config.retrieve[name].options}))


def _family(name: str, learned: list[str]) -> FeatureFamily:
    """A family of features, told of the sources that learn from the log where it reads their scores."""
    told = {"sources": learned} if "sources" in component_class("features", name).config_type.model_fields else {}
    return cast(FeatureFamily, create("features", name, told))


def added_up(config: ShopConfig) -> MatchScore:
    """Similarities added up: with the shop's own weights where it names such a ranker."""
    named = config.rank.ranker == MatchScore.name
    return MatchScore(**(config.rank.options if named else {}))


def _usable(source: str, items: Items) -> bool:
    """A vector source needs its vectors: a shop without text or photos, or without any modality, does without it."""
    return {"vector": "fused", "text_vector": "text", "photo_vector": "photo"}.get(source, "") in {"", *items.vectors}


def refit(engine: Engine, log: EventLog, until: int) -> Engine:
    """The same engine with its models of behaviour fitted only on what came before ``until``."""
    earlier = log.before(until)
    items, encoders, fuser = fused_again(engine.items, earlier, engine.encoders, engine.fuser)

    def again(component: Part) -> Part:
        if component.learns == "log":
            return type(component)(component.config).fit(items, earlier)
        # It counts and compares as before, but what it compares may have been made anew.
        return component if items is engine.items else type(component)(component.config).fit(items, log)

    return replace(
        engine,
        items=items,
        encoders=encoders,
        fuser=fuser,
        sources={name: again(source) for name, source in engine.sources.items()},
        features=[again(family) for family in engine.features],
    )
