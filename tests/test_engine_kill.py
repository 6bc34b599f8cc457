"""A build that is killed at any moment leaves what was published, and the next build succeeds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine_shop import ONE_THREAD, built_shop, edit_products
from vetrina import Shop


def start(shop: Shop) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vetrina", "build", str(shop.root), "--no-measure"]
    return subprocess.Popen(command, env=ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def steps(process: subprocess.Popen[str]) -> list[float]:
    """Seconds from each line that a build says to the next, and from the last to its end."""
    assert process.stderr is not None
    with process:
        times = [time.perf_counter() for _ in process.stderr]
    assert process.returncode == 0
    return [after - before for before, after in pairwise([*times, time.perf_counter()])]


def kill(process: subprocess.Popen[str], step: int, delay: float) -> bool:
    """Kill a build ``delay`` seconds after it said its line ``step``; False when it was done by then."""
    assert process.stderr is not None
    with process:
        for _ in range(step + 1):
            process.stderr.readline()
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        said = process.stderr.read()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0


def answers(root: Path) -> tuple[str, list[tuple[str, float]]]:
    """What a shop that is opened now serves: the snapshot's name and a personal search."""
    ranking = Shop.open(root).search("black shoe", shopper="B", k=24)
    return ranking.snapshot, [(result.item, round(result.score, 3)) for result in ranking.results]


@pytest.mark.slow
def test_a_build_killed_at_ten_moments_leaves_the_published_snapshot(tmp_path: Path) -> None:
    shop = built_shop(tmp_path)
    lasted = steps(start(shop))
    assert len(lasted) > 8
    served, killed = answers(shop.root), 0
    # Ten steps spread over the build, and a moment at random inside each.
    rng = np.random.default_rng(0)
    for turn, step in enumerate(np.linspace(0, len(lasted) - 1, 10).astype(int).tolist()):
        # A title and a photo that change let every stage write something: tables, caches, snapshot, pointer.
        edit_products(shop, {"p00": {"name": f"Green dress {turn}"}})
        Image.new("RGB", (30, 40), (0, 10 * turn, 0)).save(tmp_path / "photos" / "p00.jpg")
        killed += kill(start(shop), step, float(rng.random()) * lasted[step])
        before, served = served, answers(shop.root)
        assert served[0] == shop.snapshots.names()[-1]
        assert served == before or served[0] != before[0]
    assert killed >= 5  # a late step may be over before the signal comes

    name = shop.build()["name"]
    assert shop.snapshots.current() == name
    assert shop.search("green dress").results[0].title == "Green dress 9"
    for one in shop.snapshots.names():
        shop.snapshots.verify(one)
    assert [path.name for path in (shop.root / "snapshots").iterdir() if path.name.startswith(".")] == []
