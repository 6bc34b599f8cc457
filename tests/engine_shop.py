"""The small shop, made and built through the Python API; and events of it as a log."""

from __future__ import annotations

import atexit
import csv
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from small_shop import write_events, write_products
from vetrina import Shop, create_shop

#: A shop's build in a process of its own uses one thread: two cores are shared by all tests.
ONE_THREAD = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")

_SETTINGS = {"# filters = 200": "filters = 40", "# trees = 200": "trees = 30"}


def make_shop(folder: Path, *, events: bool = True, photos: bool = True) -> Shop:
    """A shop of 24 products in ``folder / "shop"``, not built yet; its files stand beside it."""
    products = write_products(folder, photos=photos)
    create_shop(
        folder / "shop",
        items_file=products,
        events_file=write_events(folder) if events else None,
        photos=folder / "photos" if photos else None,
    )
    set_options(folder / "shop", _SETTINGS if events and photos else {})
    return Shop.open(folder / "shop")


@cache
def _built() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vetrina-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_shop(folder).build()
    return folder


def built_shop(folder: Path) -> Shop:
    """A copy of :func:`make_shop` in ``folder``, built; the building is done once for all modules of tests."""
    shutil.copytree(_built(), folder, dirs_exist_ok=True)
    return Shop.open(folder / "shop")


def set_options(root: Path, changes: dict[str, str]) -> Shop:
    """Replace text in shop.toml; the shop as it is then."""
    path = root / "shop.toml"
    text = path.read_text(encoding="utf-8")
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return Shop.open(root)


def edit_products(shop: Shop, changes: dict[str, dict[str, str]]) -> None:
    """Write other values into the file of products: ``{sku: {column: value}}``."""
    path = shop.root.parent / "products.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update(changes.get(row[next(iter(row))], {}))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def flip_a_byte(path: Path, at: float = 0.5) -> bytes:
    """Damage a file by one bit; return what it held."""
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[min(int(at * len(content)), len(content) - 1)] ^= 1
    path.write_bytes(bytes(damaged))
    return content
