"""The generated shop: the same for the same seed, and its pictures mean what its columns say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vetrina.core.colour import cielab
from vetrina.core.errors import ConfigError
from vetrina.simulate import write_shop
from vetrina.simulate.palette import SHOP_COLOURS, near_colours

COLUMNS = [
    "id", "gender", "category", "article_type", "brand", "colour", "pattern", "material", "season", "title",
    "description", "price", "photo", "available_at",
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"), n_items=120, rng=3).parent


@pytest.fixture(scope="module")
def products(shop: Path) -> pl.DataFrame:
    return pl.read_csv(shop / "products.csv")


def test_every_product_has_a_readable_photo_of_the_stated_size(shop: Path, products: pl.DataFrame) -> None:
    assert products.columns == COLUMNS
    assert products["id"].n_unique() == products.height == 120
    assert {path.name for path in (shop / "photos").iterdir()} == {Path(photo).name for photo in products["photo"]}
    for photo in products["photo"]:
        with Image.open(shop / photo) as image:
            assert image.size == (240, 320)
            image.load()


def test_columns_are_complete_and_titles_say_what_the_thing_is(products: pl.DataFrame) -> None:
    needed = products.drop("available_at")
    assert needed.null_count().row(0) == (0,) * needed.width
    assert products["price"].min() > 0  # type: ignore[operator]
    assert products["category"].n_unique() == products["article_type"].n_unique() == 20
    for row in products.iter_rows(named=True):
        assert row["title"].startswith(row["brand"])
        assert row["colour"].casefold() in row["title"].casefold()
    dates = products["available_at"].drop_nulls().str.to_date()
    assert 0 < len(dates) < products.height / 2


def test_dearer_brands_are_dearer(products: pl.DataFrame) -> None:
    from vetrina.simulate.assortment import ARTICLES, BRANDS

    usual = {article.name: article.price for article in ARTICLES}
    tier = {brand.name: brand.tier for brand in BRANDS}
    over = products["price"].to_numpy() / np.array([usual[name] for name in products["article_type"]])
    assert np.corrcoef(np.log(over), np.log([tier[name] for name in products["brand"]]))[0, 1] > 0.8


def test_same_seed_same_bytes_and_another_seed_another_shop(tmp_path: Path) -> None:
    first, again = write_shop(tmp_path / "a", 8, rng=5), write_shop(tmp_path / "b", 8, rng=np.random.default_rng(5))
    assert first.read_bytes() == again.read_bytes()
    for path in sorted((tmp_path / "a/photos").iterdir()):
        assert path.read_bytes() == (tmp_path / "b/photos" / path.name).read_bytes()
    other = write_shop(tmp_path / "c", 8, rng=6)
    assert other.read_bytes() != first.read_bytes()
    assert (tmp_path / "c/photos/g00001.jpg").read_bytes() != (tmp_path / "a/photos/g00001.jpg").read_bytes()


def middle(path: Path) -> np.ndarray:
    """The pixels of the middle of a photo: shape (3600, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").crop((90, 140, 150, 200)), dtype=np.float64).reshape(-1, 3)


def test_the_picture_has_the_colour_that_the_column_names(shop: Path, products: pl.DataFrame) -> None:
    # Of a watch the middle is its dial, of sunglasses the bridge: cloth and leather fill theirs.
    filled = products.filter(
        (pl.col("pattern") == "plain")
        & pl.col("article_type").is_in(["Watches", "Sunglasses", "Sandals", "Lamps", "Scarves"]).not_()
    )
    names = list(SHOP_COLOURS)
    references = cielab(np.array([SHOP_COLOURS[name] for name in names]))
    nearest = []
    for photo in filled["photo"]:
        distance = np.linalg.norm(references - cielab(middle(shop / photo).mean(axis=0)), axis=1)
        nearest.append(names[int(distance.argmin())])
    assert filled.height > 40
    assert np.mean([a == b for a, b in zip(nearest, filled["colour"], strict=True)]) > 0.75


def test_patterns_can_be_seen(shop: Path, products: pl.DataFrame) -> None:
    cloth = products.filter(pl.col("article_type").is_in(["T-shirts", "Dresses", "Skirts", "Cushions", "Scarves"]))
    spread = np.array([middle(shop / photo).std(axis=0).mean() for photo in cloth["photo"]])
    plain = (cloth["pattern"] == "plain").to_numpy()
    assert np.median(spread[~plain]) > 3 * np.median(spread[plain])


def test_a_shop_needs_a_product(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_items must be at least 1: got 0"):
        write_shop(tmp_path, 0)


def test_near_colours_are_symmetric_and_know_shades() -> None:
    names = ["Blue", "Navy Blue", "Navy", "Red", "Maroon", "Burgundy", "Chartreuse"]
    near = near_colours(names)
    assert np.array_equal(near, near.T)
    pairs = {(names[a], names[b]) for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True)}
    assert pairs == {("Blue", "Navy Blue"), ("Navy Blue", "Navy"), ("Maroon", "Burgundy")}


def test_lab_agrees_with_published_values() -> None:
    # CIE L*a*b* (D65, 2 degrees) of the sRGB primaries.
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    assert np.allclose(cielab([[255, 0, 0], [0, 255, 0], [0, 0, 255]]), expected, atol=0.02)
