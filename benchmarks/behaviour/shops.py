"""Data sets as shops: read, mapped and encoded as `vetrina build` does, with what the shop's settings are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modalities.ablation import fashion_shop
from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, Items, Silent
from vetrina.engine import Encoded, Replay, Shop, ShopConfig
from vetrina.engine.create import create_from_tables
from vetrina.engine.encoding import encode_items
from vetrina.engine.ingest import ingest, read_canonical
from vetrina.engine.judged import judged_replay

__all__ = ["SHOPS", "Made", "make"]


class Made(NamedTuple):
    """A shop that is ready to be learned from."""

    title: str
    config: ShopConfig
    encoded: Encoded
    log: EventLog
    judged: Replay | None


#: Data sets of real people, and what is set for them beside the defaults.
_REAL: dict[str, tuple[str, dict[str, Any]]] = {
    "online-retail": ("Online Retail", {"build": {"test_days": 30.0}}),
    "movielens-100k": ("MovieLens-100k", {"build": {"test_days": 21.0}, "rank": {"gains": {"rate": 1.0}}}),
    "chorus-electronics": ("Chorus Electronics", {}),
}
#: All that can be made, by name.
SHOPS = ("fashion", *_REAL)


def make(name: str, root: Path, seed: int, quick: bool) -> Made:
    """A shop in the folder ``root``; of Fashion the shoppers are simulated with the ``seed``."""
    if name == "fashion":
        return Made("Fashion", *fashion_shop(root, seed, quick), None)
    title, overrides = _REAL[name]
    dataset = load(name)
    create_from_tables(
        root,
        items=dataset.items,
        events=dataset.events if dataset.events is not None and dataset.events.height else None,
        judgements=dataset.all_grades,
        photos_root=None,
        name=title,
        overrides=_seeded(overrides, seed),
    )
    config = Shop.open(root).config
    ingest(root, config, Silent())
    canonical = read_canonical(root)
    encoded = encode_items(canonical.items, root, root / "media", config, Silent())
    vectors = {modality: np.array(rows) for modality, rows in encoded.items.vectors.items()}
    encoded = replace(encoded, items=Items(encoded.items.table, vectors))
    return Made(title, config, encoded, canonical.log, judged_replay(canonical.judgements, canonical.items))


def _seeded(overrides: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**overrides, "build": {**overrides.get("build", {}), "seed": seed}}
