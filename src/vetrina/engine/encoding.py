"""The encode stage: one vector per item per modality, kept by content hash and reused across builds."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Items, Progress, component_class
from vetrina.encode.base import Encoder
from vetrina.engine.checksum import file_checksum
from vetrina.engine.config import EncoderConfig, ShopConfig
from vetrina.vectors.fuse import fuse
from vetrina.vectors.reduce import PCA

__all__ = ["Encoded", "encode_items"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """What the encode stage made.

    Attributes
    ----------
    items : Items
        With vectors of every modality, and "fused".
    encoders : dict of modality to Encoder
    counts : dict of modality to {"items", "encoded", "reused", "missing", "learned"}
        Items are encoded, or reuse a vector (of an earlier build, or of an item of equal content), or
        lack the modality; "learned" is 1 where the encoder learned anew.
    seconds : float
    """

    items: Items
    encoders: dict[str, Encoder]
    counts: dict[str, dict[str, int]]
    seconds: float


def encode_items(items: Items, root: Path, media: Path, config: ShopConfig, progress: Progress) -> Encoded:
    """Encode what has not been encoded before, fuse the modalities, reduce.

    Vectors therefore depend on what their encoder learned from, which may be an earlier state of
    the catalogue, up to ``build.refit_share`` away. Without the folder ``media`` they depend on
    the catalogue alone.

    Parameters
    ----------
    items : Items
    root : Path
        Where relative photo paths begin.
    media : Path
        The shop's folder of encoders and vectors, reused across builds.
    config : ShopConfig
    progress : Progress
    """
    begun = time.perf_counter()
    vectors: dict[str, Floats] = {}
    encoders: dict[str, Encoder] = {}
    counts: dict[str, dict[str, int]] = {}
    for modality, choice in config.encode.items():
        cache = _Cache(media / f"{modality}-{_digest(choice)}", choice, config.build.refit_share)
        found, count = cache.encode(items, root, modality, progress)
        counts[modality] = count
        if found is not None and cache.encoder is not None:
            vectors[modality], encoders[modality] = found, cache.encoder
    weights = {name: config.fuse.weights.get(name, 1.0) for name in vectors}
    if vectors:
        with progress.step("Fusing and reducing vectors"):
            fused = fuse(vectors, weights)
            vectors["fused"] = PCA(dim=config.fuse.dimensions).fit(fused).transform(fused)
    return Encoded(Items(items.table, vectors), encoders, counts, time.perf_counter() - begun)


def _digest(choice: EncoderConfig) -> str:
    """What vectors depend on besides contents: the encoder, all its options, and the version of its code."""
    cls = component_class("encoder", choice.encoder)
    options = cls.config_type.parse(choice.options, f"encoder.{choice.encoder}").model_dump(mode="json")
    package = cls.__module__.partition(".")[0]
    try:
        code = f"{package} {version(package)}"
    except PackageNotFoundError:
        code = package
    text = json.dumps([choice.encoder, options, code], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class _Cache:
    """One encoder and the vectors it has made, by content hash.

    An encoder learns from the whole catalogue. It is kept while it has seen most of what is asked
    for, so that one changed product costs one product; vectors of one encoder are comparable, and
    those of two are not, so all are made again once it has learned anew.
    """

    def __init__(self, folder: Path, choice: EncoderConfig, refit_share: float) -> None:
        self.folder, self.choice, self.refit_share = folder, choice, refit_share
        self.encoder: Encoder | None = None
        self.learned: set[str] = set()

    def encode(
        self, items: Items, root: Path, modality: str, progress: Progress
    ) -> tuple[Floats | None, dict[str, int]]:
        cls = cast(type[Encoder], component_class("encoder", self.choice.encoder))
        encoder = cls(**self.choice.options)
        contents, keys = encoder.read(items, root)
        wanted = pl.Series(keys, dtype=pl.String)
        present = (wanted != "").to_numpy()
        count = {"items": len(items), "missing": int((~present).sum()), "encoded": 0, "reused": 0, "learned": 0}
        if not present.any():
            return None, count
        known, table = self._read(cls)
        # Counted since it learned, not since the last build: many small changes are a large one.
        unseen = np.mean([key not in self.learned for key in keys if key])
        if self.encoder is None or unseen > self.refit_share:
            with progress.step(f"Learning the {modality} encoder"):
                self.encoder = encoder.fit(items, contents, progress)
            known, table, self.learned = _Keys([]), np.empty((0, 0), dtype=np.float32), set(keys) - {""}
            count["learned"] = 1
        old = known.index_of_all(wanted)
        rows = np.flatnonzero(present & (old < 0))
        fresh = wanted.gather(rows).to_list()
        # Equal contents are encoded once.
        first = dict(zip(reversed(fresh), reversed(rows.tolist()), strict=True))
        if first:
            made = self._transform([contents[row] for row in first.values()], modality, progress)
            table = np.concatenate([table, made]) if len(table) else made
            known = _Keys([*known.keys, *first])
        count["encoded"], count["reused"] = len(first), int(present.sum()) - len(first)
        place = known.index_of_all(wanted)
        result = np.where(place[:, None] >= 0, table[np.maximum(place, 0)], 0).astype(np.float32)
        if first:
            if len(table) > 2 * len(items):  # mostly vectors of what is no longer there
                used = np.unique(place[present])
                known, table = _Keys([known.keys[at] for at in used]), table[used]
            self._write(known, table)
        return result, count

    def _transform(self, contents: list[object], modality: str, progress: Progress) -> Floats:
        assert self.encoder is not None
        parts = []
        with progress.step(f"Encoding {modality}", len(contents)) as step:
            for start in range(0, len(contents), 512):
                part = contents[start : start + 512]
                parts.append(self.encoder.transform(part))
                step.advance(len(part))
        return np.concatenate(parts)

    def _read(self, cls: type[Encoder]) -> tuple[_Keys, Floats]:
        nothing = _Keys([]), np.empty((0, 0), dtype=np.float32)
        try:
            header = json.loads((self.folder / "cache.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return nothing
        # A damaged cache costs time, not a build: learn anew. One wrong byte of a vector would be
        # in every snapshot from now on, and nobody would see it.
        if not isinstance(header, dict) or header.get("files") != _checksums(self.folder):
            return nothing
        self.encoder = cls.load(self.folder / "encoder")
        keys = pl.read_parquet(self.folder / "keys.parquet")
        self.learned = set(keys.filter("learned")["key"].to_list())
        known = keys.filter("encoded")["key"].to_list()
        return _Keys(known), np.load(self.folder / "vectors.npy", allow_pickle=False)

    def _write(self, known: _Keys, table: Floats) -> None:
        """Beside the old one, then in its place: a build that is killed here leaves one or the other."""
        assert self.encoder is not None
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self.encoder.save(fresh / "encoder")
        encoded = set(known.keys)
        keys = [*known.keys, *sorted(self.learned - encoded)]
        columns = {
            "key": keys,
            "encoded": [key in encoded for key in keys],
            "learned": [key in self.learned for key in keys],
        }
        schema = {"key": pl.String, "encoded": pl.Boolean, "learned": pl.Boolean}
        pl.DataFrame(columns, schema=schema).write_parquet(fresh / "keys.parquet")
        np.save(fresh / "vectors.npy", table, allow_pickle=False)
        (fresh / "cache.json").write_text(json.dumps({"files": _checksums(fresh)}), encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        fresh.rename(self.folder)


def _checksums(folder: Path) -> dict[str, str]:
    """Of every file but cache.json, which holds them."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: file_checksum(path) for name, path in files.items() if name != "cache.json"}


class _Keys:
    """Content hashes in the order of their vectors."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys

    def index_of_all(self, wanted: pl.Series) -> npt.NDArray[np.int64]:
        """Place of each wanted key, -1 where unknown."""
        if not self.keys:
            return np.full(len(wanted), -1, dtype=np.int64)
        places = pl.DataFrame({"key": self.keys, "place": np.arange(len(self.keys), dtype=np.int64)})
        joined = pl.DataFrame({"key": wanted}).join(places, on="key", how="left", maintain_order="left")
        return joined["place"].fill_null(-1).to_numpy()
