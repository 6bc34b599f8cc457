"""Modules of questions, run together: each in a process of its own, their tables printed and kept in order."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from modalities.driver import run

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MODULES = ("first", "second", "third")


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of which the second module cannot read its data; each table says what the module was given."""
    package = tmp_path / "questions"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        f"import sys\nfrom modalities.driver import run\nsys.exit(run('questions', {MODULES!r}, None))\n", "utf-8"
    )
    for name in MODULES:
        source = f"""
            import os
            import numpy as np
            from modalities import over_seeds
            from vetrina.core.errors import MissingFile

            def tables(data, seeds, quick):
                if {name == "second"}:
                    raise MissingFile("there is no such set")
                threads = int(os.environ["OMP_NUM_THREADS"])
                told = {{"seeds": np.array([float(len(seeds))]), "threads": np.array([float(threads)])}}
                yield over_seeds("Table of the {name}", [{{"one": told}}], unit="runs")
            """
        (package / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{BENCHMARKS}")
    monkeypatch.setenv("VETRINA_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_modules_go_side_by_side_and_one_that_fails_stops_no_other(
    questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = questions / "out"
    assert run("questions", MODULES, None, ["--seeds", "3", "4", "--to", str(to)]) == 1
    printed = capsys.readouterr()
    assert "second: there is no such set" in printed.err
    assert "Table of the first" in printed.out
    assert "Table of the third" in printed.out
    kept = json.loads((to / "summary.json").read_text(encoding="utf-8"))
    assert [table["module"] for table in kept] == ["first", "third"]
    (row,) = kept[0]["rows"]
    assert {metric: told["mean"] for metric, told in row["values"].items()} == {"seeds": 2.0, "threads": 1.0}
    text = (to / "summary.txt").read_text(encoding="utf-8")
    assert text.index("Table of the first") < text.index("Table of the third")


def test_without_data_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VETRINA_DATA", str(tmp_path / "nowhere"))
    assert run("questions", MODULES, None, []) == 1
    assert "VETRINA_DATA must name the folder" in capsys.readouterr().err
