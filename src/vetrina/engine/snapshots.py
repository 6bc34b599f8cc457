"""Immutable builds: written beside the served one, verified, published by moving a pointer.

A build is written into a hidden folder and renamed when it is complete, so a
build that is killed at any moment leaves nothing that could be mistaken for a
snapshot, and the pointer still names the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from vetrina.core import Items, component_class
from vetrina.core.component import read_header
from vetrina.core.errors import SnapshotError
from vetrina.encode.base import Encoder
from vetrina.engine.checksum import checksum, file_checksum
from vetrina.engine.config import ShopConfig
from vetrina.engine.engine import Engine
from vetrina.engine.gate import Gate
from vetrina.rank import FeatureFamily, Ranker
from vetrina.retrieve.base import Retriever
from vetrina.vectors import Fuser

__all__ = ["REPORT", "Report", "Snapshots"]

FORMAT = 4

#: The page that a build leaves of itself, beside manifest.json.
REPORT = "report.html"

#: Writes a page about an engine at a path; the manifest says what else there is to tell, but no files yet.
Report = Callable[[Path, Engine, Mapping[str, Any]], None]

# A pointer is written and renamed in a moment: one that was not renamed for so many seconds will not be.
_STALE = 60


class Snapshots:
    """The builds of one shop.

    Parameters
    ----------
    root : Path
        The shop's folder; builds live in ``snapshots/``, the pointer is ``current``.
    """

    def __init__(self, root: Path) -> None:
        self.folder, self.pointer = root / "snapshots", root / "current"

    def names(self) -> list[str]:
        """All complete builds, oldest first."""
        if not self.folder.exists():
            return []
        return sorted(p.name for p in self.folder.iterdir() if not p.name.startswith(".") and p.is_dir())

    def current(self) -> str | None:
        """The published build, or None."""
        try:
            return self.pointer.read_text(encoding="utf-8", errors="replace").strip() or None
        except FileNotFoundError:
            return None

    def publish(self, name: str) -> None:
        """Serve ``name`` from now on: one atomic replacement of the pointer."""
        self._require(name)
        beside = self.pointer.with_name(f".current-{os.getpid()}")
        beside.write_text(name + "\n", encoding="utf-8")
        os.replace(beside, self.pointer)

    def _require(self, name: str) -> None:
        names = self.names()
        if name not in names:
            shown = [*(["…"] if len(names) > 10 else []), *names[-10:]]
            raise SnapshotError(f"There is no snapshot {name!r}. There are: {', '.join(shown) or 'none'}.")

    def roll_back(self, to: str | None = None) -> str:
        """Publish the build before the current one, or ``to``; return its name.

        Raises
        ------
        SnapshotError
            When there is none before, or no such one, or it is damaged.
        """
        if to is None:
            current = self.current()
            earlier = [name for name in self.names() if current is None or name < current]
            if not earlier:
                raise SnapshotError(f"There is no snapshot before {current}: nothing to roll back to.")
            to = earlier[-1]
        self._require(to)
        self.verify(to)
        self.publish(to)
        return to

    def write(
        self,
        engine: Engine,
        config: ShopConfig,
        sources: Mapping[str, str],
        metrics: Mapping[str, Any],
        report: Report | None = None,
    ) -> str:
        """Write a build and return its name; it is not published yet.

        Parameters
        ----------
        engine : Engine
        config : ShopConfig
        sources : mapping of str to str
            Hash of each canonical table that the build read.
        metrics : mapping
            What the build measured of itself.
        report : callable, optional
            Writes ``report.html`` into the snapshot.
        """
        made = datetime.now(UTC)
        identity = json.dumps([config.model_dump(mode="json"), dict(sources), version("vetrina")], sort_keys=True)
        digest = hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()
        name = f"{made:%Y%m%dT%H%M%S%f}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Whatever an earlier build left behind when it was killed.
        for stale in self.folder.glob(".building-*"):
            shutil.rmtree(stale, ignore_errors=True)
        for pointer in self.pointer.parent.glob(".current-*"):
            with suppress(FileNotFoundError):
                if time.time() - pointer.stat().st_mtime > _STALE:
                    pointer.unlink()
        folder = self.folder / f".building-{name}"
        _write_engine(engine, folder)
        (folder / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "made": made.isoformat(timespec="seconds"),
            "versions": {
                package: version(package) for package in ("vetrina", "numpy", "lightgbm", "tantivy", "polars")
            },
            "parent": self.current(),
            "inputs": dict(sources),
            "config_hash": hashlib.blake2b(config.model_dump_json().encode(), digest_size=8).hexdigest(),
            "items": len(engine.items),
            "metrics": dict(metrics),
        }
        if report is not None:
            report(folder / REPORT, engine, manifest)
        manifest["files"] = {
            str(p.relative_to(folder)): file_checksum(p) for p in sorted(folder.rglob("*")) if p.is_file()
        }
        text = json.dumps({**manifest, "checksum": ""}, indent=1) + "\n"
        signed = text.replace(_checksum_line(""), _checksum_line(checksum(text.encode())))
        (folder / "manifest.json").write_text(signed, encoding="utf-8")
        folder.rename(self.folder / name)
        return name

    def manifest(self, name: str) -> dict[str, Any]:
        """What a build says of itself."""
        path = self.folder / name / "manifest.json"
        damaged = SnapshotError(f"{path}: missing or damaged. Build again, or roll back to another snapshot.")
        try:
            text = path.read_bytes().decode()
            manifest: dict[str, Any] = json.loads(text)
            kind, told = manifest.get("format"), str(manifest.get("checksum"))
        except (OSError, ValueError, AttributeError):
            raise damaged from None
        if kind != FORMAT:
            raise SnapshotError(
                f"{path}: format {kind!r}, this version reads {FORMAT}. Build again with: vetrina build"
            )
        # The manifest vouches for every other file, so it carries a checksum of itself.
        if checksum(text.replace(_checksum_line(told), _checksum_line("")).encode()) != told:
            raise damaged
        return manifest

    def verify(self, name: str) -> dict[str, Any]:
        """Compare every file with its checksum; return the manifest.

        Raises
        ------
        SnapshotError
            Naming the first file that is missing or not as it was written.
        """
        manifest = self.manifest(name)
        for relative, expected in manifest["files"].items():
            path = self.folder / name / relative
            if not path.exists():
                raise SnapshotError(f"{path}: missing. Build again, or roll back to another snapshot.")
            if file_checksum(path) != expected:
                raise SnapshotError(
                    f"{path}: its content is not what was written (checksum differs). "
                    "Build again, or roll back to another snapshot."
                )
        return manifest

    def load(self, name: str | None = None, *, verify: bool = True) -> tuple[Engine, dict[str, Any]]:
        """The engine of a build (default: the published one) and its manifest.

        Raises
        ------
        SnapshotError
            When there is none, or it is damaged.
        """
        name = name or self.current()
        if name is None:
            raise SnapshotError(
                f"{self.folder.parent} has no snapshot yet. Make one with: vetrina build {self.folder.parent}"
            )
        manifest = self.verify(name) if verify else self.manifest(name)
        return _read_engine(self.folder / name), manifest


def _write_engine(engine: Engine, folder: Path) -> None:
    (folder / "vectors").mkdir(parents=True)
    engine.items.table.write_parquet(folder / "items.parquet", compression="zstd")
    for name, vectors in engine.items.vectors.items():
        np.save(folder / "vectors" / f"{name}.npy", vectors, allow_pickle=False)
    for modality, encoder in engine.encoders.items():
        encoder.save(folder / "encoders" / modality)
    for name, source in engine.sources.items():
        source.save(folder / "sources" / name)
    for place, family in enumerate(engine.features):
        family.save(folder / "features" / f"{place:02d}-{family.name}")
    engine.ranker.save(folder / "ranker")
    if engine.fuser is not None:
        engine.fuser.save(folder / "fuser")
    if engine.gate is not None:
        engine.gate.save(folder / "gate")
    (folder / "stages.json").write_text(json.dumps({"k": dict(engine.k)}), encoding="utf-8")


def _read_engine(folder: Path) -> Engine:
    table = pl.read_parquet(folder / "items.parquet")
    vectors = {
        p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in sorted((folder / "vectors").glob("*.npy"))
    }
    items = Items(table, vectors)
    config = ShopConfig.parse(json.loads((folder / "config.json").read_text(encoding="utf-8")), "config.json")
    k: dict[str, int] = json.loads((folder / "stages.json").read_text(encoding="utf-8"))["k"]
    families = sorted((folder / "features").iterdir())
    return Engine(
        items=items,
        encoders={p.name: cast(Encoder, _load("encoder", p)) for p in sorted(_folders(folder / "encoders"))},
        sources={name: cast(Retriever, _load("retriever", folder / "sources" / name)).bind(items) for name in k},
        k=k,
        features=[cast(FeatureFamily, _load("features", p)).bind(items) for p in families],
        ranker=cast(Ranker, _load("ranker", folder / "ranker")),
        policy=config.policy,
        fuser=cast(Fuser, _load("fuser", folder / "fuser")) if (folder / "fuser").exists() else None,
        gate=Gate.load(folder / "gate") if (folder / "gate").exists() else None,
    )


def _folders(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_dir()] if folder.exists() else []


def _load(kind: str, folder: Path) -> object:
    return component_class(kind, str(read_header(folder)["name"])).load(folder)


def _checksum_line(value: str) -> str:
    return f'"checksum": "{value}"'
