"""Running the modules of a package of questions, this one or `behaviour`: arguments in, tables printed and kept."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
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
    texts: list[str] = []
    kept: list[dict[str, Any]] = []
    failed = []
    for name in arguments.only:
        began = time.monotonic()
        module = cast(Module, import_module(f"{package}.{name}"))
        try:
            for table in module.tables(folder, arguments.seeds, arguments.quick):
                print(f"\n{table.text()}", flush=True)
                texts.append(table.text())
                kept.append({"module": name, **table.as_dict()})
        except VetrinaError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
        print(f"\n[{name}: {(time.monotonic() - began) / 60:.1f} minutes]", flush=True)
    arguments.to.mkdir(parents=True, exist_ok=True)
    (arguments.to / "summary.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    (arguments.to / "summary.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return 1 if failed else 0
