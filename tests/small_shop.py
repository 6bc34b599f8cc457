"""Files as a shop would bring: 24 products with drawn photos, five shoppers of whom each likes one colour."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (200, 30, 30), "black": (20, 20, 20), "blue": (30, 60, 200)}
KINDS = ("dress", "shoe", "hat", "bag")
LIKES = {"A": "red", "B": "black", "C": "blue", "D": "red", "E": "black"}
N_ITEMS, N_EVENTS = 24, 300


def write_products(folder: Path, *, photos: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for n in range(N_ITEMS):
        colour, kind = list(COLOURS)[n % 3], KINDS[n % 4]
        rows.append(
            [f"p{n:02d}", f"{colour.title()} {kind}", f"{kind.title()}s", ["Nord", "Sud"][n % 2], colour, 10 + n * 2.5]
        )
    path = folder / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["sku", "name", "category", "brand", "colour", "price"], *rows])
    if photos:
        (folder / "photos").mkdir(exist_ok=True)
        for n in range(N_ITEMS):
            image = Image.new("RGB", (30, 40), "white")
            draw = ImageDraw.Draw(image)
            shape = draw.ellipse if n % 4 in (1, 2) else draw.rectangle
            shape((6, 8 + n % 4, 24, 32), fill=COLOURS[list(COLOURS)[n % 3]])
            image.save(folder / "photos" / f"p{n:02d}.jpg")
    return path


def write_events(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows, time = [], 1_700_000_000
    for _ in range(N_EVENTS):
        time += 5_000
        shopper = list(LIKES)[rng.integers(len(LIKES))]
        liked = list(COLOURS).index(LIKES[shopper])
        n = rng.integers(N_ITEMS)
        if rng.random() < 0.9:
            n = n - n % 3 + liked
        rows.append([time, shopper, f"p{n:02d}", ["view", "view", "click", "purchase"][rng.integers(4)]])
    path = folder / "events.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["timestamp", "user_id", "sku", "event"], *rows])
    return path
