"""The command line as a process: how it ends, what it says of itself, and its progress."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from commands import Vetrina
from vetrina.cli import app
from vetrina.cli.progress import shown_progress

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))


def test_a_bug_is_one_line_that_names_the_traceback(
    vetrina: Vetrina, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("vetrina.cli.asking.open_shop", broken)
    line = vetrina("search", "x").one_line(70)
    assert "ZeroDivisionError: by zero" in line
    (log,) = (tmp_path / "vetrina").iterdir()
    assert str(log) in line
    assert "Traceback" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "data"), 1, "data: Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (MemoryError(), 1, "memory"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_the_machine_refuses_is_no_bug(
    vetrina: Vetrina, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def refused(given: object) -> None:
        raise error

    monkeypatch.setattr("vetrina.cli.asking.open_shop", refused)
    done = vetrina("search", "x")
    assert done.code == code
    assert said in done.err
    assert "bug" not in done.err


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "vetrina", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 141


def test_help_and_version(vetrina: Vetrina) -> None:
    from vetrina import __version__

    assert vetrina("--version").out.strip() == __version__
    assert "search" in vetrina("--help").out
    assert vetrina().out == vetrina("--help").out
    for name in get_command(app).commands:  # type: ignore[attr-defined]
        done = vetrina(name, "--help")
        assert (done.code, done.err) == (0, ""), name


def test_bars_show_what_is_done(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown_progress() as progress:
        with progress.step("Encoding [text]", 2) as step:
            step.advance()
            step.advance()
        with progress.step("Learning"):
            progress.note("24 items")
    out, err = capfd.readouterr()
    assert out == ""
    for shown in ("Encoding [text]", "2/2", "1/1", "24 items"):
        assert shown in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", err)


def test_the_page_of_commands_holds_every_command_and_option() -> None:
    import references

    page = references.cli_page()
    parts = dict(re.findall(r"^## `vetrina (\w+)`\n((?:(?!^## ).*\n?)*)", page, flags=re.MULTILINE))
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(parts) == set(commands)
    for name, command in commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"
            assert parameter.help.split("\n")[0].rstrip(".") in parts[name], f"{name} {parameter.name}"
