"""What all tests share: deterministic Hypothesis, the real data where there is some, facts for the summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Tests fit many small models, for which threads cost more than they bring; before NumPy reads it.
for _library in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from commands import Done, Vetrina  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The same examples each time: a failure that comes and goes helps nobody. No
# deadline: how fast a machine is says nothing about whether the code is right.
settings.register_profile("vetrina", derandomize=True, deadline=None, database=None)
settings.load_profile("vetrina")

_MEASURED = "measured"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # What a test has measured travels with its report, also from a worker of pytest-xdist.
    done = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    facts = [fact for one in done if one.when == "call" for name, fact in one.user_properties if name == _MEASURED]
    if facts:
        terminalreporter.section("measured, not judged")
        for fact in facts:
            terminalreporter.write_line(fact)


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say something measured at the end of the run, such as a time, that no test should depend on."""
    return lambda fact: record_property(_MEASURED, fact)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that ``VETRINA_DATA`` names; tests that need it are skipped without."""
    folder = os.environ.get("VETRINA_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VETRINA_DATA does not name the folder of real data sets")
    return Path(folder)


@pytest.fixture
def vetrina(capfd: pytest.CaptureFixture[str]) -> Vetrina:
    """Runs one command in this process."""
    from vetrina.cli import main

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        why = "No chromium on the path: install it (on Debian: apt-get install chromium) to test the pages."
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    flags = (
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    )  # fmt: skip
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=list(flags))
        yield running
        running.close()
