"""A shop of our own making: products, titles, prices and drawn photos, the same for the same seed.

Shape, colour and pattern of a photo mean what the product's columns say, so
that every stage, photos included, has something true to learn from where no
real catalogue can be had.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue.mapping import ItemMapping
from vetrina.core.errors import ConfigError
from vetrina.simulate.assortment import ARTICLES, BRANDS, DETAILS, MATERIALS, OCCASIONS, Article, Brand
from vetrina.simulate.drawing import PATTERNS, paint
from vetrina.simulate.palette import SHOP_COLOURS

__all__ = ["GENERATED", "write_shop"]

Floats = npt.NDArray[np.float32]

#: Which column of products.csv is which.
GENERATED = ItemMapping(
    file="products.csv",
    item="id",
    title="title",
    description="description",
    category=("category",),
    brand="brand",
    colour="colour",
    price="price",
    photo="photo",
    available_at="available_at",
    attributes=("gender", "pattern", "material", "season", "article_type"),
)

#: The newest collection of the generated shop went on sale in these ninety days.
_LAUNCH = date(2025, 1, 6)
_COLOUR_WEIGHTS = dict.fromkeys(SHOP_COLOURS, 1.0) | {
    "Black": 2.6,
    "White": 1.7,
    "Navy": 1.6,
    "Blue": 1.6,
    "Grey": 1.4,
    "Red": 1.3,
    "Brown": 1.2,
}
_ADJECTIVE = {"striped": "striped", "dotted": "polka dot", "checked": "checked", "floral": "floral"}
_LEATHERS = ("Leather", "Suede", "Straw")


def write_shop(folder: Path, n_items: int = 600, rng: int | np.random.Generator | None = 0) -> Path:
    """Write a generated shop: ``products.csv`` and ``photos/<id>.jpg`` (240 × 320).

    The columns are id, gender, category (levels joined by " > "),
    article_type, brand, colour, pattern, material, season, title, description,
    price (major units), photo (relative to ``folder``) and available_at (an
    ISO date, or empty for what has always been sold).

    Parameters
    ----------
    folder : Path
        Made when absent; files of the same names are overwritten.
    n_items : int
        At least 1. Twenty article types share them out by weight.
    rng : None, int or Generator
        Seed of everything: the same seed gives the same bytes.

    Returns
    -------
    Path
        ``folder / "products.csv"``.

    Raises
    ------
    ConfigError
        When ``n_items`` is below 1.

    Examples
    --------
    >>> import tempfile
    >>> path = write_shop(Path(tempfile.mkdtemp()), n_items=3)
    >>> pl.read_csv(path)["photo"].to_list()
    ['photos/g00001.jpg', 'photos/g00002.jpg', 'photos/g00003.jpg']
    """
    if n_items < 1:
        raise ConfigError(f"n_items must be at least 1: got {n_items}.")
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    entropy = int(np.random.default_rng(rng).integers(2**62))
    weights = np.array([article.weight for article in ARTICLES])
    articles = np.random.default_rng(entropy).choice(len(ARTICLES), size=n_items, p=weights / weights.sum())
    articles[: len(ARTICLES)] = np.arange(min(n_items, len(ARTICLES)))  # a small shop still has some of everything
    rows = []
    for number, code in enumerate(articles, start=1):
        # Each product has a stream of its own, so that one more changes no other.
        own = np.random.default_rng((entropy, number))
        article = ARTICLES[code]
        row = _product(article, own) | {"id": f"g{number:05d}", "photo": f"photos/g{number:05d}.jpg"}
        inks = _inks(row["colour"], row["material"], own)
        picture = paint(article.draw(own), inks, row["pattern"], own)
        picture.save(folder / row["photo"], quality=90, subsampling=0)
        rows.append(row)
    columns = [
        "id",
        "gender",
        "category",
        "article_type",
        "brand",
        "colour",
        "pattern",
        "material",
        "season",
        "title",
        "description",
        "price",
        "photo",
        "available_at",
    ]
    path = folder / "products.csv"
    pl.DataFrame(rows).select(columns).write_csv(path)
    return path


def _product(article: Article, rng: np.random.Generator) -> dict[str, Any]:
    """One product's columns, but for id and photo."""
    department = article.category.split(" > ")[0]
    brands = [brand for brand in BRANDS if department in brand.departments]
    brand = brands[rng.integers(len(brands))]
    gender = str(rng.choice(article.genders))
    pattern = str(rng.choice(PATTERNS, p=np.array(article.clothed) / sum(article.clothed)))
    # The dearer the brand, the likelier the dearer stuff.
    factors = np.array([MATERIALS[name].factor for name in article.materials])
    material = str(rng.choice(article.materials, p=_share(-((np.log(factors) - 0.4 * np.log(brand.tier)) ** 2) * 2)))
    colour = _colour(brand, article, rng)
    price = article.price * brand.tier * MATERIALS[material].factor ** 0.8 * rng.lognormal(0, 0.16)
    price = round(price) - 0.05 if price < 100 else 5.0 * round(price / 5)
    season = str(rng.choice(MATERIALS[material].seasons))
    title = _title(article, brand, gender, colour, pattern, material, rng)
    look = _look(colour, pattern)
    plural = article.noun.endswith("s") and not article.noun.endswith("ss")
    what = (
        f"A pair of {look} {article.noun}" if plural else f"{'An' if look[0] in 'aeiou' else 'A'} {look} {article.noun}"
    )
    description = (
        f"{what} in {material.lower()}, made for {_choose(OCCASIONS[department], rng)}. "
        f"{_choose(DETAILS[department], rng)}"
    )
    launched = _LAUNCH + timedelta(days=int(rng.integers(90)))
    return {
        "gender": gender, "category": article.category, "article_type": article.name, "brand": brand.name,
        "colour": colour, "pattern": pattern, "material": material, "season": season, "title": title,
        "description": description, "price": price,
        "available_at": launched.isoformat() if rng.random() < 0.15 else None,
    }  # fmt: skip


def _choose(lines: tuple[str, ...], rng: np.random.Generator) -> str:
    return lines[rng.integers(len(lines))]


def _share(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _colour(brand: Brand, article: Article, rng: np.random.Generator) -> str:
    names = list(SHOP_COLOURS)
    weights = np.array([_COLOUR_WEIGHTS[name] * (4.0 if name in brand.palette else 1.0) for name in names])
    if article.name in ("Boots", "Sandals", "Watches", "Sunglasses"):
        weights[[names.index(name) for name in ("Black", "Brown", "Beige")]] *= 2.0
    return str(rng.choice(names, p=weights / weights.sum()))


def _look(colour: str, pattern: str) -> str:
    return colour.lower() if pattern == "plain" else f"{_ADJECTIVE[pattern]} {colour.lower()}"


def _title(
    article: Article, brand: Brand, gender: str, colour: str, pattern: str, material: str, rng: np.random.Generator
) -> str:
    """A title as shops write them: brand, for whom, what it looks like, what it is made of, what it is."""
    whom = {"Women": "Women's", "Men": "Men's"}.get(gender, "")
    words = [colour, _ADJECTIVE.get(pattern, ""), material if rng.random() < 0.75 else ""]
    if rng.random() < 0.25:
        words = [words[2], words[1]]
        tail = f" in {colour}"
    else:
        tail = ""
    middle = " ".join(word for word in words if word).lower()
    noun = article.noun
    return " ".join(f"{brand.name} {whom} {middle.title()} {noun.title().replace('-S', '-s')}{tail}".split())


def _inks(colour: str, material: str, rng: np.random.Generator) -> dict[str, tuple[Floats, Floats, Floats]]:
    """The colours of every role of a sketch: one shade of the named colour, and what goes with it."""
    reference = np.array(SHOP_COLOURS[colour], dtype=np.float32)
    spread = 5.0 if colour in ("White", "Black", "Grey") else 11.0
    main = np.clip(reference + rng.normal(0, spread) + rng.normal(0, spread * 0.5, 3), 14, 247).astype(np.float32)
    light = float(main @ np.array([0.3, 0.59, 0.11]))
    pale, deep = np.array([244, 240, 230], np.float32), np.array([38, 40, 56], np.float32)
    if light < 120:
        second = pale if rng.random() < 0.7 else main + (255 - main) * np.float32(0.55)
    else:
        second = deep if rng.random() < 0.4 else (pale if light < 200 else main * np.float32(0.55))
    bright = np.array([[214, 70, 62], [234, 190, 70], [70, 120, 190], [80, 140, 90], [232, 140, 160]], np.float32)
    third = bright[rng.integers(len(bright))]
    soles = np.array([[242, 241, 237], [238, 232, 218], [60, 60, 64]], np.float32)
    rubber = np.array([[56, 44, 36], [40, 40, 42], [150, 110, 74]], np.float32)
    metals = np.array([[206, 174, 108], [196, 198, 202], [188, 150, 124]], np.float32)
    glasses = np.array([[44, 46, 52], [92, 70, 54], [56, 78, 92]], np.float32)
    dials = np.array([[240, 238, 232], [36, 40, 52], [226, 216, 196]], np.float32)
    dial = dials[rng.integers(3)]
    stripe = (pale, deep, third)[rng.integers(3)] if abs(light - 140) < 100 else third
    accent = main * np.float32(0.72) if rng.random() < 0.6 else (second + main) / 2
    trim = main if rng.random() < 0.7 else main * np.float32(0.8)
    roles = {
        "main": main, "trim": trim, "accent": accent, "stripe": stripe, "lace": pale if light < 215 else deep * 2,
        "sole": soles[rng.choice(3, p=(0.6, 0.3, 0.1))], "sole2": rubber[rng.integers(3)],
        "skin": np.array([202, 166, 122], np.float32) + np.float32(rng.normal(0, 10)), "metal": metals[rng.integers(3)],
        "dark": np.array([40, 38, 40], np.float32), "button": second if rng.random() < 0.5 else main * np.float32(0.6),
        "lining": main * np.float32(0.5) + np.float32(30), "glass": glasses[rng.integers(3)], "dial": dial,
        "hand": deep if dial[0] > 120 else pale, "coffee": np.array([92, 62, 42], np.float32),
        "glow": np.array([255, 240, 205], np.float32),
    }  # fmt: skip
    return {role: (np.clip(ink, 0, 255), second, third) for role, ink in roles.items()}
