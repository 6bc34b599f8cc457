"""The encode stage: one vector per item per modality, kept by content hash and reused across builds.

Nothing is held of all items but their hashes: contents are read, encoded and
written slice by slice, and vectors are mapped from the file they were written to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, SupportsIndex, cast, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Items, Progress, component_class
from vetrina.core.file_hash import remembered
from vetrina.core.progress import Step
from vetrina.encode.base import Encoder
from vetrina.encode.texts import TextEncoder
from vetrina.engine.checksum import file_checksum
from vetrina.engine.config import BuildConfig, EncoderConfig, ShopConfig
from vetrina.engine.fusing import fuse_catalogue
from vetrina.vectors import Fuser
from vetrina.vectors.files import VectorFile, take_rows

__all__ = ["Encoded", "encode_items"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_VECTORS, _KEYS = "vectors.npy", "keys.parquet"

_SLICE = 8192  # items whose contents are read together
_SLICES = 8  # slices in memory at once: a catalogue of some ten thousand is read once
# Contents given to an encoder at once. Photos are decoded while those before them go through the network,
# and that begins anew with each part; more would only make the progress coarse.
_PART = 2048


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
    fuser : Fuser, optional
        What made "fused": of the catalogue alone, so by concatenation. See :mod:`vetrina.engine.fusing`.
    """

    items: Items
    encoders: dict[str, Encoder]
    counts: dict[str, dict[str, int]]
    seconds: float
    fuser: Fuser | None = None


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
    with remembered(media / "hashes.parquet", "hash"):
        for modality, choice in config.encode.items():
            if component_class("encoder", choice.encoder).learns == "log":
                continue  # made where the log is: vetrina.engine.fusing
            cache = _Cache(media / f"{modality}-{_digest(choice, root)}", choice, config.build)
            found, count = cache.encode(items, root, modality, progress)
            counts[modality] = count
            if found is not None and cache.encoder is not None:
                vectors[modality], encoders[modality] = found, cache.encoder
    fuser = None
    if vectors:
        with progress.step("Fusing and reducing vectors"):
            fuser, vectors["fused"] = fuse_catalogue(vectors, config.fuse, media / "fused.npy")
    return Encoded(Items(items.table, vectors), encoders, counts, time.perf_counter() - begun, fuser)


def _digest(choice: EncoderConfig, root: Path) -> str:
    """What vectors depend on besides contents: the encoder, its options, the model they name, its code's version."""
    cls = cast(type[Encoder], component_class("encoder", choice.encoder))
    options = cls.config_type.parse(choice.options, f"encoder.{choice.encoder}").model_dump(mode="json")
    package = cls.__module__.partition(".")[0]
    try:
        code = f"{package} {version(package)}"
    except PackageNotFoundError:
        code = package
    parts = [choice.encoder, options, code, *filter(None, [cls(**choice.options).source(root)])]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class _Cache:
    """One encoder, and the vectors of the items that it was last asked for.

    An encoder learns from the whole catalogue. It is kept while it has seen most of what is asked
    for, so that one changed product costs one product; vectors of one encoder are comparable, and
    those of two are not, so all are made again once it has learned anew.

    In the folder lie ``encoder/``, ``learned.parquet`` (hashes of what it learned from),
    ``vectors.npy`` and ``keys.parquet`` (one row for each item, in their order), and
    ``cache.json`` with the checksum of every other file.
    """

    def __init__(self, folder: Path, choice: EncoderConfig, build: BuildConfig) -> None:
        self.folder, self.choice, self.build = folder, choice, build
        self.cls = cast(type[Encoder], component_class("encoder", choice.encoder))
        self.encoder: Encoder | None = None
        self.learned = self.keys = pl.Series("key", [], dtype=pl.String)
        self.files: dict[str, str] = {}  # checksums of what lies in the folder

    def encode(
        self, items: Items, root: Path, modality: str, progress: Progress
    ) -> tuple[Floats | None, dict[str, int]]:
        encoder = self._on_device(self.cls(**self.choice.options))
        with progress.step(f"Reading {modality}", len(items)) as step:
            contents = _Contents(encoder, items, root, step)
        keys = contents.keys
        present = (keys != "").to_numpy()
        count = {"items": len(items), "missing": int((~present).sum()), "encoded": 0, "reused": 0, "learned": 0}
        if not present.any():
            return None, count
        self._restore()
        lessons = (_with_texts(keys, items) if self.cls.learns_texts else keys).filter(present)
        # Counted since it learned, not since the last build: many small changes are a large one.
        unseen = np.mean(_places(lessons, self.learned) < 0)
        if self.encoder is None or (unseen > self.build.refit_share and not self.cls.ready_made):
            with progress.step(f"Learning the {modality} encoder"):
                self.encoder = encoder.fit(items, contents, progress)
            self.learned, self.keys = lessons.unique(maintain_order=True), keys.clear()
            self._save_learned()  # a build that is killed while it encodes need not learn again
            count["learned"] = 1
        old = np.where(present, _places(keys, self.keys), -1)
        # Equal contents are encoded once, where the first of them stands.
        first = _places(keys, keys)
        fresh = present & (old < 0) & (first == np.arange(len(keys)))
        count["encoded"] = int(fresh.sum())
        count["reused"] = int(present.sum()) - count["encoded"]
        if not keys.equals(self.keys):
            with progress.step(f"Encoding {modality}", count["encoded"]) as step:
                self._write(contents, np.where(present, first, -1), old, fresh, step)
        vectors: Floats = np.load(self.folder / _VECTORS, mmap_mode="r", allow_pickle=False)
        return vectors, count

    def _write(self, contents: _Contents, first: Ints, old: Ints, fresh: npt.NDArray[np.bool_], step: Step) -> None:
        """Vectors of all items, slice by slice: the last build's, made now, or an earlier item's of equal content."""
        assert self.encoder is not None
        folder, width = self._begun(), self.encoder.transform([]).shape[1]
        with VectorFile(folder / _VECTORS, len(old), width) as file:
            for start in range(0, len(old), _SLICE):
                part = slice(start, min(start + _SLICE, len(old)))
                rows = np.zeros((part.stop - start, width), dtype=np.float32)
                kept = np.flatnonzero(old[part] >= 0)
                if len(kept):
                    rows[kept] = take_rows(self.folder / _VECTORS, old[part][kept])
                for some in _parts(np.flatnonzero(fresh[part])):
                    rows[some] = self.encoder.transform([contents[start + row] for row in some.tolist()])
                    step.advance(len(some))
                twins = np.flatnonzero((old[part] < 0) & ~fresh[part] & (first[part] >= 0))
                before = twins[first[part][twins] < start]
                if len(before):
                    rows[before] = file.take(first[part][before])
                within = twins[first[part][twins] >= start]
                rows[within] = rows[first[part][within] - start]
                file.write(rows)
        # What is learned stays as it is: the same files under both names.
        learned = {name: told for name, told in self.files.items() if name not in (_VECTORS, _KEYS)}
        for name in learned:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _link(self.folder / name, folder / name)
        self.keys = contents.keys
        self.keys.to_frame("key").write_parquet(folder / _KEYS)
        self._commit(folder, {**learned, _VECTORS: file.checksum})

    def _save_learned(self) -> None:
        """The encoder, without any vectors."""
        assert self.encoder is not None
        folder = self._begun()
        self.encoder.save(folder / "encoder")
        self.learned.to_frame("key").write_parquet(folder / "learned.parquet")
        self.keys.to_frame("key").write_parquet(folder / _KEYS)
        self._commit(folder, {})

    def _on_device(self, encoder: Encoder) -> Encoder:
        encoder.device = self.build.device
        return encoder

    def _restore(self) -> None:
        """What an earlier build left, where it is whole.

        A damaged cache costs time, not a build: learn anew. One wrong byte of a vector would be
        in every snapshot from now on, and nobody would see it.
        """
        try:
            header = json.loads((self.folder / "cache.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        files = _checksums(self.folder, {})
        if not isinstance(header, dict) or header.get("files") != files:
            return
        self.files = files
        self.encoder = self._on_device(self.cls.load(self.folder / "encoder"))
        self.learned = pl.read_parquet(self.folder / "learned.parquet")["key"]
        self.keys = pl.read_parquet(self.folder / _KEYS)["key"]

    def _begun(self) -> Path:
        """An empty folder beside the old one, for the next state."""
        folder = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _commit(self, folder: Path, checksums: Mapping[str, str]) -> None:
        """Put the next state in the place of the old one: a build that is killed leaves either.

        ``checksums`` are those that are known already.
        """
        self.files = _checksums(folder, checksums)
        (folder / "cache.json").write_text(json.dumps({"files": self.files}), encoding="utf-8")
        old = self.folder.with_name(self.folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(old)
        folder.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


class _Contents(Sequence[Any]):
    """What an encoder reads of every item, a few slices in memory at once, read again when they are needed again.

    Attributes
    ----------
    keys : Series of str
        Hash of each content; "" where there is none.
    """

    def __init__(self, encoder: Encoder, items: Items, root: Path, step: Step) -> None:
        self._encoder, self._items, self._root = encoder, items, root
        self._slices: OrderedDict[int, Sequence[Any]] = OrderedDict()
        keys = [pl.Series("key", [], dtype=pl.String)]
        for start in range(0, len(items), _SLICE):
            contents, hashes = self._read_anew(start)
            keys.append(pl.Series("key", hashes, dtype=pl.String))
            step.advance(len(contents))
        self.keys = pl.concat(keys)

    def _read(self, start: int) -> Sequence[Any]:
        """Contents of the slice that begins at ``start``."""
        found = self._slices.get(start)
        return self._read_anew(start)[0] if found is None else found

    def _read_anew(self, start: int) -> tuple[Sequence[Any], list[str]]:
        part = Items(self._items.table.slice(start, _SLICE))
        contents, hashes = self._encoder.read(part, self._root)
        self._slices[start] = contents
        if len(self._slices) > _SLICES:
            self._slices.popitem(last=False)
        return contents, hashes

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), _SLICE):
            yield from self._read(start)

    @overload
    def __getitem__(self, place: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        if isinstance(place, slice):
            return [self[row] for row in range(len(self))[place]]
        row = range(len(self))[place]
        return self._read(row - row % _SLICE)[row % _SLICE]


def _parts(places: Ints) -> list[Ints]:
    """At most so many contents as an encoder is given at once."""
    return [places[start : start + _PART] for start in range(0, len(places), _PART)]


def _with_texts(keys: pl.Series, items: Items) -> pl.Series:
    """Keys of contents together with hashes of what is written about their items."""
    texts: list[str] = []
    for start in range(0, len(items), _SLICE):
        texts += TextEncoder().read(Items(items.table.slice(start, _SLICE)), Path())[1]
    return (keys + " " + pl.Series(texts, dtype=pl.String)).alias("key")


def _places(wanted: pl.Series, known: pl.Series) -> Ints:
    """Place of each wanted key among those known, of equal ones the first; -1 where it is not."""
    places = pl.DataFrame({"key": known}).with_row_index("place").unique("key", keep="first")
    joined = pl.DataFrame({"key": wanted}).join(places, on="key", how="left", maintain_order="left")
    return joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()


def _link(old: Path, new: Path) -> None:
    """One file under two names, or a copy where the file system has no such thing."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def _checksums(folder: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Of every file but cache.json, which holds them; those that are known are not computed."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: known.get(name) or file_checksum(path) for name, path in files.items() if name != "cache.json"}
