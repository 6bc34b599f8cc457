"""A generated shop with simulated shoppers, built once, and a real server process over it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from PIL import Image, ImageOps

from vetrina.catalogue import ItemMapping, read_items
from vetrina.core import DAY, Items
from vetrina.engine.create import create_from_tables
from vetrina.simulate import SimulationConfig, simulate, write_shop

ASKING: dict[str, dict[str, Any]] = {
    "/v1/search": {"text": "dress"},
    "/v1/recommend": {},
    "/v1/similar": {"item": "g00004"},
    "/v1/rank": {"items": ["g00001", "g00004", "g00009"]},
}
CLICK = {"shopper": "x", "kind": "click", "item": "g00004"}

N_GENERATED = 130
MAPPING = ItemMapping(
    file="products.csv", item="id", title="title", description="description", category=("category",), brand="brand",
    colour="colour", price="price", photo="photo", photos=".",
    attributes=("gender", "article_type", "pattern", "material"),
)  # fmt: skip

# Small enough to be built in seconds; every stage is there.
SETTINGS = {
    "encode": {"photo": {"options": {"filters": 40, "width": 24, "height": 32, "palette": 16}}},
    "rank": {"options": {"trees": 60, "threads": 1}, "training_requests": 600},
}

# On arrays this small, threads of linear algebra wait for one another longer than they work.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_PATIENCE = 60.0


def built_shop(factory: pytest.TempPathFactory) -> Path:
    """A built shop of some 150 products, one for all tests; what changes it takes a copy beside it."""
    folder = factory.getbasetemp() / "served"
    root = folder / "shop"
    if root.exists():
        return root
    products = _with_red_dresses(write_shop(folder / "source", N_GENERATED, rng=1))
    items = Items(read_items(MAPPING, products.parent).table)
    config = SimulationConfig(n_shoppers=150, days=20, seed=1)
    # Until last midnight: the same log on every day, and lately enough for what is popular now.
    made = simulate(items, products.parent, config, end=int(time.time()) // DAY * DAY)
    create_from_tables(
        root, items=made.items.table, events=made.events, judgements=None, photos_root=products.parent,
        name="Little Vetrina", currency="€", simulated=True, overrides=SETTINGS,
    )  # fmt: skip
    build(root)
    personas = root / "simulation" / "personas.json"
    personas.parent.mkdir()
    personas.write_text(json.dumps(_personas(made.shoppers, made.events)), encoding="utf-8")
    return root


@contextmanager
def copy_of_shop(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A module's own copy of the built shop: what is recorded there is seen by no other test."""
    built = built_shop(factory)
    copy = built.with_name(name)
    shutil.copytree(built, copy)
    yield copy
    shutil.rmtree(copy)


def build(root: Path) -> None:
    """Build a shop as its owner does, in a process of its own."""
    command = [sys.executable, "-m", "vetrina", "build", str(root), "--no-measure", "--quiet"]
    done = subprocess.run(command, env=os.environ | _ONE_THREAD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _with_red_dresses(products: Path) -> Path:
    """Two red twins of every generated dress: few of those are red, and tests of a taste for red ones need some."""
    table = pl.read_csv(products)
    brands = table["brand"].unique().sort().to_list()
    rows: list[dict[str, Any]] = []
    for row in table.filter((pl.col("article_type") == "Dresses") & (pl.col("colour") != "Red")).iter_rows(named=True):
        with Image.open(products.parent / row["photo"]) as photo:
            red = ImageOps.colorize(ImageOps.autocontrast(photo.convert("L")), "#780a0f", "#f0e8e2", mid="#cd1e28")
        place = brands.index(row["brand"])
        for brand, picture, price in (
            (brands[place], red, row["price"]),
            (brands[place - 1], ImageOps.mirror(red), row["price"] + 20),
        ):
            name = f"r{len(rows):02d}"
            picture.save(products.parent / "photos" / f"{name}.jpg")
            title, description = (row[column].replace(row["colour"], "Red") for column in ("title", "description"))
            told = {"title": title.replace(row["brand"], brand), "description": description, "brand": brand}
            rows.append(row | told | {"id": name, "colour": "Red", "price": price, "photo": f"photos/{name}.jpg"})
    pl.concat([table, pl.DataFrame(rows, schema=table.schema)]).write_csv(products)
    return products


def _personas(shoppers: pl.DataFrame, events: pl.DataFrame) -> list[dict[str, str]]:
    """The three who did most, and what they like."""
    clicks = events.filter(pl.col("kind") == "click")["shopper"].value_counts()
    busiest = clicks.sort("count", "shopper", descending=True)["shopper"][:3].to_list()
    colours = dict(shoppers.select("shopper", "favourite_colours").iter_rows())
    return [
        {"id": who, "name": name, "summary": f"likes {', '.join(colours[who]).lower()}"}
        for name, who in zip(("Ana", "Bo", "Chiara"), busiest, strict=True)
    ]


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    address: str

    def client(self) -> httpx.Client:
        """A client that reaches nothing else, whatever proxy the machine has."""
        return httpx.Client(base_url=self.address, timeout=_PATIENCE, trust_env=False)


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """``vetrina serve`` over a shop, in a process of its own, until the end of the block."""
    command = [sys.executable, "-m", "vetrina", "serve", str(root), "--port", "0"]
    log = root.parent / f"{root.name}.log"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, env=os.environ | _ONE_THREAD, stderr=errors, text=True) as process,
    ):
        try:
            yield Server(process, _when_up(process, log))
        finally:
            process.terminate()
            try:
                process.wait(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
    # Whatever was sent: nobody met a bug.
    assert "Traceback" not in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")


def _when_up(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8")
        assert process.poll() is None, said
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        if found:
            try:
                if httpx.get(f"{found[0]}/healthz", timeout=5, trust_env=False).status_code == 200:
                    return found[0]
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise AssertionError(f"The server is not up after {_PATIENCE:.0f} seconds: {log.read_text(encoding='utf-8')}")


def post(api: httpx.Client, path: str, body: object) -> Any:
    answer = api.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The body of a problem as RFC 9457 wants it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert set(told) <= {"type", "title", "status", "detail", "instance", "errors"}
    assert told["type"] == "about:blank"
    assert told["status"] == status
    assert told["title"]
    assert 10 < len(told["detail"]) <= 1001
    assert told["instance"] == answer.request.url.path
    return told


def order(ranking: dict[str, Any]) -> list[str]:
    return [result["item"] for result in ranking["results"]]
