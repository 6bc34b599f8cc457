"""The project's own rules: sizes, names, who imports whom, what is imported when, what is locked."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "vetrina"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# What must not be loaded before it is needed: seconds, and hundreds of megabytes.
HEAVY = {
    "torch",
    "onnxruntime",
    "transformers",
    "tokenizers",
    "rjieba",
    "av",
    "sklearn",
    "lightgbm",
    "scipy",
    "implicit",
    "faiss",
    "hnswlib",
    "usearch",
    "voyager",
    "fastapi",
}


def _name(requirement: str) -> str:
    """The normalised name of a requirement such as "PyStemmer>=3.1,<4"."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


RUNTIME = {_name(line) for line in PROJECT["project"]["dependencies"]}
DEVELOPMENT = {_name(line) for line in PROJECT["project"]["optional-dependencies"]["dev"]}

_EXTRAS = ("neural", "torch", "pretrained", "media")
OPTIONAL = {
    _name(line)
    for extra in _EXTRAS
    for line in PROJECT["project"]["optional-dependencies"][extra]
    if _name(line) != "vetrina"
}
COMPARISON = {_name(line) for line in PROJECT["project"]["optional-dependencies"]["bench"]}


# --- sizes and names ----------------------------------------------------------


def test_no_source_file_is_over_five_hundred_lines() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    assert lines, f"no Python files under {SOURCE}"
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > 500} == {}


def test_no_module_is_called_utils() -> None:
    names = {"util", "utils", "helper", "helpers", "misc", "common"}
    assert [str(path.relative_to(ROOT)) for path in SOURCE.rglob("*") if path.stem in names] == []


# --- who imports whom ---------------------------------------------------------


def test_import_contracts_hold() -> None:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_say_what_the_table_in_the_docs_says() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `vetrina\.(\w+)` \|[^|]*\| ([^|]+) \|$", page, flags=re.MULTILINE)
    everything = {package for package, _ in rows}
    allowed = {
        package: everything if cell == "all" else set() if cell == "nothing of ours" else set(cell.split(", "))
        for package, cell in rows
    }
    table = {package: everything - may - {package} for package, may in allowed.items()}
    contracts = {package: set[str]() for package in everything}
    for contract in PROJECT["tool"]["importlinter"]["contracts"]:
        for source in contract["source_modules"]:
            contracts[source.removeprefix("vetrina.")] |= {
                module.removeprefix("vetrina.") for module in contract["forbidden_modules"]
            }
    assert contracts == table


def test_the_table_names_every_package() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `vetrina\.(\w+)` \|", page, flags=re.MULTILINE))
    there = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    # vetrina.testing stands outside: contract suites for the components of others.
    assert there - {"testing"} == named


def test_no_package_reaches_others_through_the_root() -> None:
    """``from vetrina import Shop`` in a stage would pass every contract and break them all."""
    graph = grimp.build_graph("vetrina", cache_dir=None)
    importers = graph.find_modules_that_directly_import("vetrina")
    assert {name for name in importers if not name.startswith(("vetrina.cli", "vetrina.serve"))} == set()


# --- what is imported when ----------------------------------------------------


_HELP = "import sys; from vetrina.cli import main; sys.argv = ['vetrina', '--help']; main()"


@pytest.mark.parametrize(
    "command",
    [["-c", "import vetrina"], ["-c", _HELP]],
    ids=["import", "help"],
)
def test_starting_loads_nothing_heavy(command: list[str], report: Callable[[str], None]) -> None:
    run = [sys.executable, "-X", "importtime", *command]
    done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert rows, done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    modules = {row[2].strip() for row in rows}
    assert "vetrina" in modules
    assert {name.split(".")[0] for name in modules} & HEAVY == set()
    microseconds = sum(int(row[0].removeprefix("import time:")) for row in rows[1:])
    report(f"{command[1]}: {microseconds / 1e6:.2f} s of imports, {len(modules)} modules")


# --- dependencies -------------------------------------------------------------


def test_every_dependency_is_used() -> None:
    providers = packages_distributions()
    imported: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for module in re.findall(r"^\s*(?:import|from)\s+(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            imported |= {_name(distribution) for distribution in providers.get(module, [])}
    # FastAPI imports python-multipart where a route takes a form.
    assert RUNTIME - imported == {"python-multipart"}


@pytest.mark.parametrize(
    ("file", "direct"),
    [("locked.txt", RUNTIME), ("dev.txt", RUNTIME | DEVELOPMENT), ("bench.txt", RUNTIME | COMPARISON)],
    ids=["runtime", "dev", "bench"],
)
def test_lock_is_complete_and_means_the_same_everywhere(file: str, direct: set[str]) -> None:
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))[1:]
    pinned = {}
    for entry in entries:
        head = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", entry)
        assert head, f"not an exact version: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"no hash: {head[0]}"
        pinned[_name(head[1])] = head[2]
    assert direct - set(pinned) == set(), "run `make lock`"
    # No index, no folder, no address: pip's own settings decide where files come from.
    assert re.findall(r"^\s*-(?!-hash=).*|\w+://\S+", text, flags=re.MULTILINE) == []
    assert [name for name in pinned if re.search("nvidia|cuda|triton|cupy", name)] == []


def test_the_locks_agree() -> None:
    def versions(file: str) -> dict[str, str]:
        text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE))

    runtime, dev, bench = versions("locked.txt"), versions("dev.txt"), versions("bench.txt")
    assert {name: (v, dev.get(name)) for name, v in runtime.items() if dev.get(name) != v} == {}
    assert {name: (v, bench[name]) for name, v in dev.items() if name in bench and bench[name] != v} == {}


def test_lock_satisfies_the_ranges() -> None:
    text = (ROOT / "requirements/dev.txt").read_text(encoding="utf-8")
    locked = {_name(name): v for name, v in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, flags=re.MULTILINE)}
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    wrong = [r for r in map(Requirement, lines) if not r.specifier.contains(locked[_name(r.name)])]
    assert wrong == [], "run `make lock`"
