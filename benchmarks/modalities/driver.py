"""Running the modules of a package of questions, this one or `behaviour`: arguments in, tables printed and kept."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from modalities import Module
from vetrina.core.errors import VetrinaError

__all__ = ["run"]


def _arguments(
    package: str, modules: Sequence[str], told: str | None, given: Sequence[str] | None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=package, description=told)
    parser.add_argument("--only", nargs="+", choices=modules, default=modules, help="some of: %(choices)s")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: 0 to 4, and 0 with --quick")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    parser.add_argument("--to", type=Path, default=Path("build") / package, help="where all that is printed is kept")
    arguments = parser.parse_args(given)
    arguments.seeds = arguments.seeds or ([0] if arguments.quick else [0, 1, 2, 3, 4])
    return arguments


def run(package: str, modules: Sequence[str], told: str | None, given: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 where a module's data cannot be read.

    Parameters
    ----------
    package : str
        Its name, which is also that of the folder in ``build`` where the tables are kept.
    modules : sequence of str
        Its modules with tables, in the order in which they run.
    told : str, optional
        What it is, for ``--help``.
    given : sequence of str, optional
        Arguments; by default those of the command.
    """
    arguments = _arguments(package, modules, told, given)
    folder = Path(os.environ.get("VETRINA_DATA", ""))
    if not os.environ.get("VETRINA_DATA") or not folder.is_dir():
        print("VETRINA_DATA must name the folder of real data sets.", file=sys.stderr)
        return 1
    failed = _one(package, arguments, folder) if len(arguments.only) == 1 else _all(package, arguments)
    return 1 if failed else 0


def _one(package: str, arguments: argparse.Namespace, data: Path) -> bool:
    """Run the module that is asked for here; whether it failed."""
    (name,) = arguments.only
    texts: list[str] = []
    kept: list[dict[str, Any]] = []
    began = time.monotonic()
    module = cast(Module, import_module(f"{package}.{name}"))
    failed = False
    try:
        for table in module.tables(data, arguments.seeds, arguments.quick):
            print(f"\n{table.text()}", flush=True)
            texts.append(table.text())
            kept.append({"module": name, **table.as_dict()})
    except VetrinaError as error:
        print(f"{name}: {error}", file=sys.stderr)
        failed = True
    print(f"\n[{name}: {(time.monotonic() - began) / 60:.1f} minutes]", flush=True)
    _keep(arguments.to, texts, kept)
    return failed


def _all(package: str, arguments: argparse.Namespace) -> bool:
    """Run several, each in a process and on a thread of its own, as many at once as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    options = ["--seeds", *map(str, arguments.seeds), *(["--quick"] if arguments.quick else [])]

    def run_one(name: str) -> bool:
        command = [sys.executable, "-m", package, "--only", name, *options, "--to", str(arguments.to / name)]
        done = subprocess.run(command, env={**os.environ, **alone}, capture_output=True, text=True, check=False)
        print(done.stdout, end="", flush=True)
        print(done.stderr, end="", file=sys.stderr, flush=True)
        return done.returncode != 0

    with ThreadPoolExecutor(cores) as pool:
        failed = any(list(pool.map(run_one, arguments.only)))
    written = [arguments.to / name for name in arguments.only if (arguments.to / name / "summary.json").exists()]
    _keep(
        arguments.to,
        [(one / "summary.txt").read_text(encoding="utf-8").rstrip("\n") for one in written],
        [row for one in written for row in json.loads((one / "summary.json").read_text(encoding="utf-8"))],
    )
    return failed


def _keep(folder: Path, texts: Sequence[str], tables: Sequence[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(list(tables), indent=1), encoding="utf-8")
