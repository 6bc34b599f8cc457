"""The colour signature from outside: planted photos, words of many languages, the shop's own names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import ImageColor

from vetrina.core import Items, Silent
from vetrina.core.colour import cielab
from vetrina.encode.colour import ColourEncoder
from vetrina.encode.colour_names import Named, colours_in, joined, known_colours

CLOTH = {
    "black": (35, 35, 38),
    "white": (240, 238, 235),
    "red": (190, 45, 50),
    "navy": (32, 44, 88),
    "blue": (60, 110, 185),
    "green": (60, 140, 80),
    "yellow": (238, 200, 75),
    "pink": (235, 155, 180),
}


def photo(rgb: tuple[int, int, int], rng: np.random.Generator, ground: int = 255) -> npt.NDArray[np.uint8]:
    """Cloth of one colour with folds, on a plain ground."""
    pixels = np.full((64, 48, 3), ground, dtype=np.float64)
    light = 1 + 0.12 * rng.normal(size=(1, 28, 1))
    pixels[12:52, 10:38] = np.array(rgb) * light + rng.normal(scale=4, size=(40, 28, 3))
    return pixels.clip(0, 255).astype(np.uint8)


Shop = tuple[ColourEncoder, list[Any], list[str], npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def shop() -> Shop:
    rng = np.random.default_rng(0)
    names = [name for name in CLOTH for _ in range(4)]
    photos = [photo(CLOTH[name], rng, ground=120 if name == "white" else 255) for name in names]
    # The shop calls its greens "Meadow", and nobody else does; "Assorted" is no colour.
    told = {"green": "Meadow", "red": ""}
    column = ["Assorted" if n % 4 == 3 else told.get(name, name.title()) for n, name in enumerate(names)]
    items = Items(pl.DataFrame({"item": [str(n) for n in range(len(names))], "colour": column}))
    encoder = ColourEncoder().fit(items, photos, Silent())
    return encoder, photos, names, encoder.transform(photos)


@pytest.mark.parametrize(
    ("words", "colour"),
    [
        ("navy jumper", "navy"),
        ("a dress in navy blue", "navy"),
        ("BLUE", "blue"),
        ("robe rouge", "red"),
        ("blaues Kleid", "blue"),
        ("vestido amarillo", "yellow"),
        ("abito giallo", "yellow"),
        ("kırmızı elbise", "red"),
        ("红色连衣裙", "red"),
        ("赤いワンピース", "red"),
        ("فستان أحمر", "red"),
        ("القميص الأسود", "black"),
        ("meadow skirt", "green"),
        ("dunkelblaue Hose", "navy"),
    ],
)
def test_words_find_the_colour_they_name(shop: Shop, words: str, colour: str) -> None:
    encoder, _, names, vectors = shop
    found = np.argsort(-(vectors @ encoder.transform_words([words])[0]))[:4]
    assert [names[at] for at in found] == [colour] * 4


def test_words_without_a_colour_are_zero(shop: Shop) -> None:
    rows = shop[0].transform_words(
        ["", "summer dress", "bluetooth speaker", "红酒", "assorted socks", "赤ちゃん", "linen"]
    )
    assert not rows.any()


def test_two_colours_are_between_them(shop: Shop) -> None:
    both, red, black = shop[0].transform_words(["red and black", "red", "black"])
    assert min(both @ red, both @ black) > max(0.5, float(red @ black))


def test_new_photos_are_nearest_to_those_of_their_colour(shop: Shop) -> None:
    encoder, _, names, vectors = shop
    rng = np.random.default_rng(1)
    asked = encoder.transform([photo(rgb, rng, ground=120 if name == "white" else 255) for name, rgb in CLOTH.items()])
    assert [names[at] for at in (asked @ vectors.T).argmax(axis=1)] == list(CLOTH)


def test_nearer_colours_are_more_alike(shop: Shop) -> None:
    encoder, rng = shop[0], np.random.default_rng(2)
    red, crimson, orange, blue = encoder.transform(
        [photo(rgb, rng) for rgb in ((190, 45, 50), (175, 35, 60), (225, 120, 50), (60, 110, 185))]
    )
    assert red @ crimson > red @ orange > red @ blue


def test_like_this_but_red_takes_the_colour_from_the_words(shop: Shop) -> None:
    encoder, _, names, vectors = shop
    black = vectors[names.index("black")]
    words = encoder.transform_words(["red", "short sleeves"])
    red, same = encoder.compose(np.stack([black, black]), words)
    assert {names[at] for at in np.argsort(-(vectors @ red))[:4]} == {"red"}
    np.testing.assert_array_equal(same, black)


def test_several_photos_are_their_mean_and_a_swatch_is_all_product(shop: Shop) -> None:
    encoder, photos, _, vectors = shop
    pair = encoder.transform([(photos[0], photos[8])])[0]
    mean = vectors[0] + vectors[8]
    np.testing.assert_allclose(pair, mean / np.linalg.norm(mean), atol=1e-5)
    swatch = encoder.transform([np.full((20, 30, 3), CLOTH["red"], dtype=np.uint8)])[0]
    assert shop[2][int((vectors @ swatch).argmax())] == "red"


def test_refitting_forgets_the_names(shop: Shop) -> None:
    _, photos, _, _ = shop
    column = pl.DataFrame({"item": ["a"] * 4, "colour": ["Meadow"] * 4})
    encoder = ColourEncoder().fit(Items(column), photos[20:24], Silent())
    assert encoder.transform_words(["meadow"]).any()
    encoder.fit(Items(column.with_columns(colour=pl.lit(""))), photos[20:24], Silent())
    assert not encoder.transform_words(["meadow"]).any()


# The names


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Navy-Blue / off white", [("navyblue", 0), ("offwhite", 0)]),
        ("light blue jeans", [("blue", 1)]),
        ("blue light bulb", [("blue", 0)]),
        ("robe bleu foncé", [("bleu", -1)]),
        ("azul claro", [("azul", 1)]),
        ("koyu yeşil", [("yesil", -1)]),
        ("浅蓝色衬衫", [("蓝色", 1)]),
        ("ダークグリーンのコート", [(joined("グリーン"), -1)]),
        ("فستان أزرق غامق", [("ازرق", -1)]),
        ("dark slate gray", [("slategray", -1)]),
        ("green tea, Blu-ray, olive oil", []),
        ("red wine rack", []),
        ("gerötet rotating", []),
    ],
)
def test_names_in_a_text(text: str, named: list[tuple[str, int]]) -> None:
    assert colours_in(text) == [Named(*one) for one in named]


def test_the_table_says_for_a_name_what_others_do() -> None:
    """No name lies far from the CSS colour of that name, by hue: a wrong row or a slip of the pen would."""
    for name in ("red", "pink", "orange", "yellow", "green", "blue", "purple", "turquoise", "salmon", "crimson"):
        ours, css = cielab(known_colours()[name]), cielab(ImageColor.getrgb(name))
        cosine = (ours[1:] @ css[1:]) / np.linalg.norm(ours[1:]) / np.linalg.norm(css[1:])
        assert cosine > 0.7, name


def test_other_languages_mean_the_same() -> None:
    known = known_colours()
    for words in (
        "red rouge rot rojo rosso kırmızı 红色 赤い احمر",
        "black noir schwarz negro nero siyah 黑色 黒 سوداء",
    ):
        assert len({known[joined(word)] for word in words.split()}) == 1
