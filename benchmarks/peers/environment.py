"""A virtual environment for each library, made from the requirements in its own file."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from peers.exchange import PeerFailed

__all__ = ["python_of", "requirements"]

# Inline script metadata, as PEP 723 has it.
_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def requirements(file: Path) -> list[str]:
    """What the file says it needs, in its block of inline script metadata; [] where it has none."""
    found = _BLOCK.search(file.read_text(encoding="utf-8"))
    if found is None:
        return []
    lines = [line[2:] if line.startswith("# ") else line[1:] for line in found["content"].splitlines()]
    try:
        return list(tomllib.loads("\n".join(lines)).get("dependencies", []))
    except tomllib.TOMLDecodeError as error:
        raise PeerFailed(f"{file}: its script metadata is no TOML: {error}.") from None


def python_of(file: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """The interpreter to run a library's file with: this one where it needs nothing, else one of its own.

    Parameters
    ----------
    file : Path
        Of the library.
    folder : Path
        Where environments are kept, one folder each; what is there is used again while the
        requirements are the same.
    say : callable
        Told what takes long.

    Raises
    ------
    PeerFailed
        When it cannot be installed; the message ends with what pip said.
    """
    needed = requirements(file)
    if not needed:
        return Path(sys.executable)
    place = folder / file.stem
    python, stamp = place / "bin" / "python", place / "installed.txt"
    wanted = hashlib.sha256("\n".join([sys.version, *needed]).encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    say(f"{file.stem}: installing {', '.join(needed)}")
    _call([sys.executable, "-m", "venv", "--clear", "--without-pip", str(place)], file)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _call([*pip, "install", "--quiet", *needed], file)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _call(command: list[str], file: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise PeerFailed(f"{file.stem} cannot be installed: {' / '.join(said[-3:]) or 'no reason given'}")
