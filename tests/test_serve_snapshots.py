"""What a running server does when a snapshot is published, is damaged, or is not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from serve_shop import ASKING, CLICK, build, copy_of_shop, order, post, problem, serving
from vetrina.engine import Snapshots


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with copy_of_shop(tmp_path_factory, "snapshots") as copy:
        yield copy


@pytest.fixture
def own(shop: Path, tmp_path: Path) -> Iterator[tuple[Path, httpx.Client]]:
    """A shop with a server of its own, to be broken."""
    # Beside the other: shop.toml names the photos from where it lies.
    copy = shop.with_name(tmp_path.name)
    shutil.copytree(shop, copy)
    with serving(copy) as running, running.client() as client:
        yield copy, client
    shutil.rmtree(copy)


def test_a_snapshot_published_while_serving_is_picked_up(own: tuple[Path, httpx.Client]) -> None:
    root, api = own
    before = post(api, "/v1/search", {"text": "dress"})
    items = pl.read_parquet(root / "source/items.parquet")
    renamed = pl.when(pl.col("item") == "g00001").then(pl.lit("A zeppelin, of all things")).otherwise(pl.col("title"))
    items.with_columns(renamed.alias("title")).write_parquet(root / "source/items.parquet")
    build(root)
    after = post(api, "/v1/search", {"text": "dress"})
    assert after["snapshot"] != before["snapshot"]
    assert after["snapshot"] == api.get("/healthz").json()["snapshot"] == Snapshots(root).current()
    assert api.get("/v1/items/g00001").json()["title"] == "A zeppelin, of all things"
    assert Snapshots(root).roll_back() == before["snapshot"]
    again = post(api, "/v1/search", {"text": "dress"})
    assert (again["snapshot"], order(again)) == (before["snapshot"], order(before))


def test_a_damaged_or_absent_snapshot_is_a_problem_until_it_is_mended(own: tuple[Path, httpx.Client]) -> None:
    root, api = own
    snapshots = Snapshots(root)
    whole = snapshots.current()
    assert whole is not None
    damaged = f"{whole}-damaged"
    shutil.copytree(snapshots.folder / whole, snapshots.folder / damaged)
    path = next((snapshots.folder / damaged / "vectors").iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    def every_way() -> list[httpx.Response]:
        asked = [api.post(path, json=body) for path, body in ASKING.items()]
        told = api.post("/v1/events", json={"events": [CLICK]})
        return [*asked, told, *map(api.get, ("/healthz", "/v1/facets", "/v1/items/g00004", "/photos/g00004"))]

    for broken, words in ((damaged, "checksum"), ("never-built", "missing"), (None, "vetrina build")):
        if broken is None:
            snapshots.pointer.unlink()
        else:
            snapshots.pointer.write_text(broken)
        for answer in every_way():
            detail = problem(answer, 503)["detail"]
            assert words in detail
            assert str(root) not in detail
            assert answer.headers["retry-after"]
        # The page itself still opens, and says so.
        assert api.get("/").status_code == 200
    snapshots.publish(whole)
    assert {answer.status_code for answer in every_way()} == {200}


def test_nothing_is_served_without_a_snapshot(shop: Path, tmp_path: Path) -> None:
    shutil.copy(shop / "shop.toml", tmp_path)
    command = [sys.executable, "-m", "vetrina", "serve", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "vetrina build" in done.stderr
    assert len(done.stderr.splitlines()) == 1
