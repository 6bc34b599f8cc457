"""One vector per item out of those of all modalities, and where it is made.

What rests on the catalogue alone (encoders, and fusion by concatenation) is made once, in the encode
stage. What is learned from the log, a modality such as "behaviour" or a fuser such as "gated", is
fitted with the candidate sources on the events that they may see, and again on earlier events for
training rows: a vector that has seen what was chosen would tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, Items, component_class, create
from vetrina.encode.base import Encoder
from vetrina.engine.config import FuseConfig, ShopConfig
from vetrina.vectors import Concat, Fuser, FuserConfig
from vetrina.vectors.files import VectorFile

__all__ = ["fuse_catalogue", "fuse_log", "fused_again", "told"]

Floats = npt.NDArray[np.float32]

#: Items fused at once.
_PART = 16_384


def fuse_catalogue(vectors: Mapping[str, Floats], config: FuseConfig, path: Path) -> tuple[Fuser, Floats]:
    """Concatenate and reduce what the catalogue says; the fused vectors are written to ``path`` and mapped from it."""
    fuser = Concat(**_shared(config)).fit(vectors)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    n_items = len(next(iter(vectors.values())))
    with VectorFile(beside, n_items, fuser.dim) as file:
        for start in range(0, n_items, _PART):
            file.write(fuser.transform({name: rows[start : start + _PART] for name, rows in vectors.items()}))
    beside.rename(path)
    return fuser, np.load(path, mmap_mode="r", allow_pickle=False)


def fuse_log(
    items: Items, log: EventLog, config: ShopConfig, encoders: Mapping[str, Encoder], fuser: Fuser | None
) -> tuple[Items, dict[str, Encoder], Fuser | None]:
    """The items with what is learned from ``log``: vectors of behaviour, and the fused vector.

    Parameters
    ----------
    items : Items
        With the vectors of the encode stage.
    log : EventLog
    config : ShopConfig
    encoders : mapping of modality to Encoder
    fuser : Fuser, optional
        What made the "fused" vector of ``items``; it stays where nothing is learned from the log.

    Returns
    -------
    (Items, dict of modality to Encoder, Fuser or None)
        The same ones where nothing is learned from the log.
    """
    behaviour = {
        name: cast(Encoder, create("encoder", choice.encoder, choice.options))
        for name, choice in config.encode.items()
        if component_class("encoder", choice.encoder).learns == "log"
    }
    learns = component_class("fuser", config.fuse.method).learns == "log"
    if not behaviour and not learns:
        return items, dict(encoders), fuser
    return _fused(items, log, {**encoders, **behaviour}, _asked(config))


def fused_again(
    items: Items, log: EventLog, encoders: Mapping[str, Encoder], fuser: Fuser | None
) -> tuple[Items, dict[str, Encoder], Fuser | None]:
    """What :func:`fuse_log` made, made anew from another log; the same where nothing was learned from the log."""
    behaviour = [name for name, encoder in encoders.items() if encoder.learns == "log"]
    if fuser is None or (fuser.learns != "log" and not behaviour):
        return items, dict(encoders), fuser
    anew = {name: type(one)(one.config) if name in behaviour else one for name, one in encoders.items()}
    return _fused(items, log, anew, type(fuser)(fuser.config))


def _fused(
    items: Items, log: EventLog, encoders: dict[str, Encoder], fuser: Fuser
) -> tuple[Items, dict[str, Encoder], Fuser | None]:
    vectors = {name: rows for name, rows in items.vectors.items() if name != "fused"}
    for name, encoder in encoders.items():
        if encoder.learns == "log":
            vectors[name] = encoder.fit_log(items, log).transform(items.ids)
    if not vectors:
        return items, encoders, None
    fuser.fit(vectors, fuser.pairs_of(log))
    return Items(items.table, {**vectors, "fused": fuser.transform(vectors)}), encoders, fuser


def _shared(config: FuseConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in FuserConfig.model_fields}


def _asked(config: ShopConfig) -> Fuser:
    """The fuser that the shop names, with its options, and the build's seed where it draws."""
    name = config.fuse.method
    drawn = {"seed": config.build.seed} if "seed" in component_class("fuser", name).config_type.model_fields else {}
    return cast(Fuser, create("fuser", name, {**drawn, **_shared(config.fuse), **config.fuse.options}))


def told(fuser: Fuser) -> dict[str, Any]:
    """What a manifest says of the fused vector: its fuser, dimensions, explained variance, and a note where one is."""
    facts: dict[str, Any] = {"fuser": fuser.name, "modalities": list(fuser.modalities_), "dimensions": fuser.dim}
    if fuser.explained is not None:
        facts["explained"] = round(fuser.explained, 4)
    return facts | ({"note": fuser.note} if fuser.note else {})
