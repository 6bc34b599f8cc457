"""What the generated shop sells: article types, materials, invented brands, and the words of a title."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vetrina.simulate import accessories, garments, goods
from vetrina.simulate.drawing import Sketch

__all__ = ["ARTICLES", "BRANDS", "DETAILS", "MATERIALS", "OCCASIONS", "Article", "Brand", "Material"]


@dataclass(frozen=True)
class Article:
    """One article type: where it stands in the shop, what it costs, how it is drawn.

    ``weight`` is its share of the shop, ``price`` the middle of the mid tier,
    ``clothed`` the chance of each pattern of ``drawing.PATTERNS``.
    """

    name: str
    noun: str
    category: str
    price: float
    weight: float
    genders: tuple[str, ...]
    materials: tuple[str, ...]
    draw: Callable[[np.random.Generator], Sketch]
    clothed: tuple[float, ...] = (1, 0, 0, 0, 0)


@dataclass(frozen=True)
class Material:
    """A cloth or other stuff: what it does to the price, and the seasons it is sold for."""

    factor: float
    seasons: tuple[str, ...]


@dataclass(frozen=True)
class Brand:
    """An invented brand: price tier, departments, and the colours it leans to ("" for all)."""

    name: str
    tier: float
    departments: tuple[str, ...]
    palette: tuple[str, ...] = ()


_ALL = ("Spring", "Summer", "Autumn", "Winter")
MATERIALS: dict[str, Material] = {
    "Cotton": Material(1.0, _ALL),
    "Organic cotton": Material(1.15, _ALL),
    "Linen": Material(1.25, ("Spring", "Summer")),
    "Viscose": Material(0.95, ("Spring", "Summer", "Autumn")),
    "Silk": Material(1.9, _ALL),
    "Denim": Material(1.1, _ALL),
    "Wool": Material(1.45, ("Autumn", "Winter")),
    "Merino": Material(1.6, ("Autumn", "Winter")),
    "Cashmere": Material(2.6, ("Autumn", "Winter")),
    "Tweed": Material(1.5, ("Autumn", "Winter")),
    "Leather": Material(1.5, _ALL),
    "Suede": Material(1.4, ("Autumn", "Winter")),
    "Canvas": Material(0.8, ("Spring", "Summer")),
    "Mesh": Material(0.9, ("Spring", "Summer")),
    "Recycled nylon": Material(1.0, _ALL),
    "Straw": Material(0.9, ("Spring", "Summer")),
    "Acetate": Material(1.1, _ALL),
    "Stoneware": Material(1.1, _ALL),
    "Porcelain": Material(1.4, _ALL),
    "Velvet": Material(1.3, ("Autumn", "Winter")),
    "Fleece": Material(0.8, ("Autumn", "Winter")),
}

_W, _M, _U = ("Women",), ("Men",), ("Unisex",)
_WM = ("Women", "Men")
_TOP = (5.0, 2.0, 0.5, 0.5, 0.7)
ARTICLES: tuple[Article, ...] = (
    Article(
        "T-shirts",
        "t-shirt",
        "Clothing > Tops > T-shirts",
        24,
        9,
        (*_WM, "Unisex"),
        ("Cotton", "Organic cotton", "Linen"),
        garments.tshirt,
        _TOP,
    ),
    Article(
        "Shirts",
        "shirt",
        "Clothing > Tops > Shirts",
        49,
        7,
        _WM,
        ("Cotton", "Linen", "Silk", "Denim"),
        garments.shirt,
        (4, 2, 0.7, 2, 0.8),
    ),
    Article(
        "Jumpers",
        "jumper",
        "Clothing > Tops > Jumpers",
        59,
        7,
        _WM,
        ("Wool", "Merino", "Cashmere", "Cotton"),
        garments.jumper,
        (6, 2.5, 0.3, 0.4, 0),
    ),
    Article(
        "Dresses",
        "dress",
        "Clothing > Dresses",
        69,
        9,
        _W,
        ("Cotton", "Linen", "Viscose", "Silk"),
        garments.dress,
        (4, 1.5, 1.5, 1, 3),
    ),
    Article(
        "Skirts",
        "skirt",
        "Clothing > Skirts",
        45,
        5,
        _W,
        ("Cotton", "Viscose", "Denim", "Wool"),
        garments.skirt,
        (4, 1, 1, 1.5, 1.5),
    ),
    Article(
        "Trousers",
        "trousers",
        "Clothing > Trousers",
        55,
        7,
        _WM,
        ("Cotton", "Linen", "Denim", "Wool"),
        garments.trousers,
        (8, 1, 0, 1, 0),
    ),
    Article(
        "Shorts",
        "shorts",
        "Clothing > Shorts",
        35,
        4,
        _WM,
        ("Cotton", "Linen", "Denim"),
        garments.shorts,
        (6, 1, 0.3, 1, 0.5),
    ),
    Article(
        "Coats",
        "coat",
        "Clothing > Coats",
        149,
        5,
        _WM,
        ("Wool", "Tweed", "Cotton", "Recycled nylon"),
        garments.coat,
        (7, 0, 0, 2, 0),
    ),
    Article(
        "Trainers",
        "trainers",
        "Shoes > Trainers",
        79,
        8,
        (*_WM, "Unisex"),
        ("Canvas", "Mesh", "Leather", "Suede"),
        goods.trainers,
    ),
    Article("Boots", "boots", "Shoes > Boots", 119, 6, _WM, ("Leather", "Suede"), goods.boots),
    Article("Sandals", "sandals", "Shoes > Sandals", 49, 5, _WM, ("Leather", "Suede"), goods.sandals),
    Article(
        "Handbags",
        "handbag",
        "Bags > Handbags",
        95,
        6,
        _W,
        ("Leather", "Suede", "Canvas"),
        goods.handbag,
        (8, 1, 0.3, 0.7, 0.3),
    ),
    Article(
        "Backpacks",
        "backpack",
        "Bags > Backpacks",
        75,
        4,
        _U,
        ("Canvas", "Recycled nylon", "Leather"),
        goods.backpack,
        (6, 0.7, 0.5, 0.7, 0.7),
    ),
    Article(
        "Hats",
        "hat",
        "Accessories > Hats",
        32,
        5,
        (*_WM, "Unisex"),
        ("Wool", "Straw", "Cotton"),
        accessories.hat,
        (6, 1, 0.3, 0.8, 0),
    ),
    Article(
        "Scarves",
        "scarf",
        "Accessories > Scarves",
        39,
        5,
        (*_WM, "Unisex"),
        ("Wool", "Cashmere", "Silk", "Cotton"),
        accessories.scarf,
        (3, 2, 1, 2, 1),
    ),
    Article(
        "Sunglasses",
        "sunglasses",
        "Accessories > Sunglasses",
        85,
        4,
        (*_WM, "Unisex"),
        ("Acetate",),
        accessories.sunglasses,
    ),
    Article("Watches", "watch", "Accessories > Watches", 145, 4, _WM, ("Leather", "Canvas"), accessories.watch),
    Article(
        "Mugs",
        "mug",
        "Home > Kitchen > Mugs",
        16,
        4,
        _U,
        ("Stoneware", "Porcelain"),
        accessories.mug,
        (5, 1.5, 1, 0.5, 1),
    ),
    Article(
        "Lamps",
        "lamp",
        "Home > Lighting > Lamps",
        89,
        3,
        _U,
        ("Linen", "Cotton"),
        accessories.lamp,
        (6, 1, 0.5, 0.5, 0.7),
    ),
    Article(
        "Cushions",
        "cushion",
        "Home > Textiles > Cushions",
        29,
        4,
        _U,
        ("Cotton", "Linen", "Velvet", "Wool"),
        accessories.cushion,
        (3, 1.5, 1, 1.2, 1.5),
    ),
)

_EARTH = ("Brown", "Beige", "Olive", "White", "Grey", "Burgundy")
_DARK = ("Black", "Grey", "White", "Navy")
_BRIGHT = ("Red", "Yellow", "Blue", "Pink", "Orange", "Teal", "Green")
BRANDS: tuple[Brand, ...] = (
    Brand("Pellworth", 0.55, ("Clothing", "Accessories")),
    Brand("Jolibrin", 0.6, ("Clothing", "Shoes", "Bags"), _BRIGHT),
    Brand("Fennick", 0.65, ("Clothing", "Shoes", "Bags", "Accessories"), _BRIGHT),
    Brand("Dunmarrow", 0.7, ("Clothing", "Shoes")),
    Brand("Tavolino", 0.75, ("Home",), _BRIGHT),
    Brand("Kettleby", 0.85, ("Home", "Accessories"), _EARTH),
    Brand("Sundrift", 0.9, ("Clothing", "Shoes", "Accessories", "Bags")),
    Brand("Aldermoor", 1.0, ("Clothing", "Shoes", "Accessories"), _EARTH),
    Brand("Lindqvist Bay", 1.0, ("Clothing", "Home", "Bags"), (*_DARK, "Beige")),
    Brand("Volanto", 1.05, ("Shoes", "Accessories", "Bags"), _BRIGHT),
    Brand("Harrowlea", 1.1, ("Clothing", "Accessories", "Home")),
    Brand("Quillon", 1.15, ("Clothing", "Bags"), _DARK),
    Brand("Galdhope", 1.2, ("Clothing", "Shoes", "Bags", "Accessories"), _EARTH),
    Brand("Estrela Vale", 1.3, ("Clothing", "Bags", "Home"), ("Pink", "Purple", "Teal", "Yellow", "White")),
    Brand("Wexcombe", 1.4, ("Clothing", "Shoes", "Accessories")),
    Brand("Nerolia", 1.5, ("Clothing", "Accessories"), ("Pink", "Purple", "Burgundy", "White", "Beige")),
    Brand("Belforte Nove", 1.9, ("Clothing", "Shoes", "Bags"), _DARK),
    Brand("Corvina", 2.1, ("Bags", "Accessories", "Shoes"), ("Black", "Burgundy", "Brown", "Red", "Navy")),
    Brand("Orsetta", 2.3, ("Clothing", "Home", "Bags")),
    Brand("Maison Ulvane", 2.9, ("Clothing", "Bags", "Accessories"), _DARK),
)

OCCASIONS: dict[str, tuple[str, ...]] = {
    "Clothing": (
        "easy weekends",
        "the office and after",
        "long summer evenings",
        "travelling light",
        "dinner with friends",
    ),
    "Shoes": ("walking all day", "the commute", "city streets", "weekends outdoors"),
    "Bags": ("the daily commute", "short trips", "market days", "work and weekend"),
    "Accessories": ("everyday wear", "a present", "bright days", "finishing a plain outfit"),
    "Home": ("slow mornings", "a reading corner", "a housewarming present", "small kitchens and large tables"),
}

#: A sentence about fit or making.
DETAILS: dict[str, tuple[str, ...]] = {
    "Clothing": ("Regular fit, true to size.", "Relaxed fit; take your usual size.", "Slim cut with a little give."),
    "Shoes": ("Cushioned footbed, flexible sole.", "Wide toe box; true to size.", "Stitched by hand, can be resoled."),
    "Bags": ("Room for a laptop and a bottle.", "Lined, with two inner pockets.", "Soft to the touch, firm in shape."),
    "Accessories": ("Light, and made to last.", "Comes in a gift box.", "Goes with nearly everything."),
    "Home": ("Each piece differs slightly from the next.", "Easy to care for.", "Made in small batches."),
}
