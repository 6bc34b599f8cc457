"""The photo encoder from outside; how photos are read is tested in test_catalogue_photos.py."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import Image, ImageDraw

from vetrina.core import Items, Silent, component_class
from vetrina.core.colour import cielab
from vetrina.core.errors import ConfigError, NotFitted
from vetrina.encode import PhotoEncoder
from vetrina.encode.photo import _pool

COLOURS = {"red": (200, 30, 30), "blue": (30, 40, 200), "green": (30, 150, 60)}
SHAPES = ("circle", "square", "stripes")


# The network's parts, against literal implementations


def test_cielab_of_known_colours() -> None:
    """Reference values for sRGB under D65 (Bruce Lindbloom's calculator)."""
    rgb = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]], dtype=np.float64)
    expected = np.array([[100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [0, 0, 0]])
    np.testing.assert_allclose(cielab(rgb), expected, atol=0.05)


def test_pooling_is_the_mean_of_each_cell() -> None:
    answers = np.random.default_rng(0).random((2, 9, 7, 5)).astype(np.float32)
    rows, columns = [0, 2, 4, 6, 9], [0, 2, 4, 7]
    literal = [answers[:, a:b, c:d].mean(axis=(1, 2)) for a, b in pairwise(rows) for c, d in pairwise(columns)]
    np.testing.assert_allclose(_pool(answers, 4, 3), np.concatenate(literal, axis=1), rtol=1e-5)


# The encoder


def drawn(shape: str, colour: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (120, 160), "white")
    pen = ImageDraw.Draw(image)
    x, y = rng.integers(10, 25, 2).tolist()
    shade = tuple(int(np.clip(part + rng.integers(-20, 20), 0, 255)) for part in colour)
    if shape == "circle":
        pen.ellipse((x, y + 20, x + 80, y + 100), fill=shade)
    elif shape == "square":
        pen.rectangle((x, y + 20, x + 80, y + 100), fill=shade)
    else:
        for left in range(x, x + 80, 16):
            pen.rectangle((left, y + 20, left + 7, y + 100), fill=shade)
    return image


def shop(folder: Path, copies: int, seed: int = 0) -> tuple[Items, list[str]]:
    """A planted catalogue: each shape in each colour, ``copies`` times; what each item is, in words."""
    rng = np.random.default_rng(seed)
    kinds = [(shape, colour) for _ in range(copies) for shape in SHAPES for colour in COLOURS]
    for row, (shape, colour) in enumerate(kinds):
        drawn(shape, COLOURS[colour], rng).save(folder / f"{row}.png")
    n = len(kinds)
    table = pl.DataFrame(
        {
            "item": [str(row) for row in range(n)],
            "title": [f"{colour} {shape}" for shape, colour in kinds],
            "description": [""] * n,
            "category": [shape for shape, _ in kinds],
            "brand": [""] * n,
            "colour": [colour for _, colour in kinds],
            "price": pl.Series([None] * n, dtype=pl.Float64),
            "photo": [f"{row}.png" for row in range(n)],
        }
    )
    return Items(table), [f"{colour} {shape}" for shape, colour in kinds]


def make(**options: float) -> PhotoEncoder:
    return PhotoEncoder(None, **{"filters": 24, "patch": 6, "dim": 16, "palette": 12, **options})


Planted = tuple[PhotoEncoder, list[Any], list[str], npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    folder = tmp_path_factory.mktemp("photos")
    items, names = shop(folder, 4)
    encoder = make()
    contents, _ = encoder.read(items, folder)
    encoder.fit(items, contents, Silent())
    return encoder, list(contents), names, encoder.transform(contents)


def test_new_photos_are_nearest_to_those_of_the_same_description(planted: Planted, tmp_path: Path) -> None:
    encoder, _, names, vectors = planted
    _, asked = shop(tmp_path, 3, seed=1)
    found = (encoder.transform([tmp_path / f"{row}.png" for row in range(len(asked))]) @ vectors.T).argmax(axis=1)
    right = [names[row] == name for row, name in zip(found, asked, strict=True)]
    assert np.mean(right) > 0.9  # by chance 1 in 9


def test_words_find_photos_and_unknown_words_say_nothing(planted: Planted) -> None:
    encoder, _, names, vectors = planted
    asked = [*dict.fromkeys(names), "xyzzy", ""]
    words = encoder.transform_words(asked)
    for row, name in enumerate(asked[:-2]):
        best = np.argsort(-vectors @ words[row], kind="stable")[: names.count(name)]
        assert np.mean([names[item] == name for item in best]) >= 0.75, name  # by chance 1 in 9
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), [*[1] * (len(asked) - 2), 0, 0], atol=1e-5)
    # A colour alone tells its photos from the others, and a word that was never read by the letters it shares.
    for word in ("colours", "letters"):
        said = encoder.transform_words(["green" if word == "colours" else "greenish"])[0]
        likeness = vectors @ said
        green = np.array(["green" in name for name in names])
        assert likeness[green].mean() > likeness[~green].mean() + 0.1, word


def test_rows_have_unit_length(planted: Planted) -> None:
    np.testing.assert_allclose(np.linalg.norm(planted[3], axis=1), 1, atol=1e-5)
    assert planted[3].dtype == np.float32


def test_paths_bytes_and_pixels_are_the_same_photo(planted: Planted) -> None:
    encoder, contents, _, vectors = planted
    path = Path(contents[4][0])
    with Image.open(path) as image:
        pixels = np.asarray(image)
    np.testing.assert_allclose(encoder.transform([path, path.read_bytes(), pixels]), vectors[[4, 4, 4]], atol=1e-5)


def test_missing_and_unreadable_photos_are_zero_and_harm_no_other(planted: Planted, tmp_path: Path) -> None:
    encoder, contents, _, vectors = planted
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    found = encoder.transform(["", contents[0], str(bad), str(tmp_path / "gone.jpg"), b"junk", contents[1]])
    assert not found[[0, 2, 3, 4]].any()
    np.testing.assert_allclose(found[[1, 5]], vectors[:2], atol=1e-5)


def test_batch_equals_single_and_nothing_is_an_empty_array(planted: Planted) -> None:
    encoder, contents, _, vectors = planted
    alone = np.concatenate([encoder.transform([content]) for content in contents[:5]])
    np.testing.assert_allclose(alone, vectors[:5], atol=1e-5)
    assert encoder.transform([]).shape == (0, vectors.shape[1])


def test_saved_and_loaded_is_identical(planted: Planted, tmp_path: Path) -> None:
    encoder, contents, _, vectors = planted
    encoder.save(tmp_path / "photo")
    loaded = component_class("encoder", "convnet").load(tmp_path / "photo")
    assert isinstance(loaded, PhotoEncoder)
    np.testing.assert_array_equal(loaded.transform(contents), vectors)
    np.testing.assert_array_equal(loaded.transform_words(["red circle"]), encoder.transform_words(["red circle"]))
    assert {path.suffix for path in (tmp_path / "photo").iterdir()} == {".json", ".npy"}


def test_same_seed_same_result_and_refitting_forgets(tmp_path: Path) -> None:
    items, _ = shop(tmp_path, 1)
    contents, _ = make().read(items, tmp_path)
    encoder = make(fit_photos=6).fit(items, contents, Silent())
    first = encoder.transform(contents)
    other = Items(items.table[:3])
    encoder.fit(other, contents[:3], Silent()).transform(contents)
    np.testing.assert_array_equal(encoder.fit(items, contents, Silent()).transform(contents), first)


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("titled", [True, False])
def test_shops_of_few_photos_and_of_none(kept: int, titled: bool, tmp_path: Path) -> None:
    items, _ = shop(tmp_path, 1)
    table = items.table[:3].with_columns(photo=pl.Series([f"{row}.png" if row < kept else "" for row in range(3)]))
    if not titled:
        table = table.with_columns(title=pl.lit(""), category=pl.lit(""), colour=pl.lit(""))
    encoder = make(filters=4)
    contents, hashes = encoder.read(Items(table), tmp_path)
    assert [bool(one) for one in hashes] == [row < kept for row in range(3)]
    vectors = encoder.fit(Items(table), contents, Silent()).transform(contents)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [row < kept for row in range(3)], atol=1e-5)


def test_plain_white_photos_are_no_error(tmp_path: Path) -> None:
    items, _ = shop(tmp_path, 1)
    white = np.full((64, 48, 3), 255, dtype=np.uint8)
    contents = [white] * len(items)
    assert np.isfinite(make(filters=4).fit(items, contents, Silent()).transform(contents)).all()


def test_unfitted() -> None:
    with pytest.raises(NotFitted, match="convnet"):
        PhotoEncoder().transform([""])


@pytest.mark.quality
def test_held_out_fashion_photos_find_their_kind_and_colour() -> None:
    """Floors below what was measured (docs/decisions/photo-encoder.md), above PCA and a colour histogram."""
    folder = Path(os.environ["VETRINA_DATA"]) / "fashion"
    rows = pl.read_csv(folder / "products.csv")
    table = rows.select(
        title="productDisplayName",
        description=pl.lit(""),
        category=pl.concat_str("masterCategory", "subCategory", "articleType", separator=" > "),
        brand=pl.lit(""),
        colour=pl.col("baseColour").fill_null(""),
        price=pl.lit(None, dtype=pl.Float64),
    )
    paths = [str(folder / "photos" / f"{item}.jpg") for item in rows["id"]]
    order = np.random.default_rng(0).permutation(len(paths))
    test, train = order[:500], order[500:]
    encoder = PhotoEncoder().fit(Items(table[train]), [paths[row] for row in train], Silent())
    vectors = encoder.transform(paths)
    near = np.argsort(-vectors[test] @ vectors[train].T, axis=1)[:, :10]
    for label, floor in (("articleType", 0.60), ("baseColour", 0.57)):
        codes = rows[label].fill_null("").rank("dense").to_numpy().astype(int)
        voted = [np.bincount(codes[train][row]).argmax() for row in near]
        assert np.mean(voted == codes[test]) > floor, label


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 16, "height": 16, "patch": 16}, "width = 16 has room for 1 of the 3 windows"),
        ({"stride": 99}, "width = 48 has room for 1 of the 3 windows"),
        ({"width": 18, "height": 16, "patch": 10, "stride": 4}, "height = 16 has room for 2 of the 4 windows"),
    ],
)
def test_a_frame_too_small_for_the_grid_is_told_of(options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PhotoEncoder(None, **options)


def test_the_smallest_frame_that_fills_the_grid() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    options = {"width": 16, "height": 16, "patch": 10, "stride": 2, "filters": 2, "palette": 2}
    empty = {name: [""] for name in ("title", "description", "category", "brand", "colour")}
    items = Items(pl.DataFrame({**empty, "price": pl.Series([None], dtype=pl.Float64)}))
    vectors = PhotoEncoder(None, **options).fit(items, [photo], Silent()).transform([photo])
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)
