"""Words find photos and photos find words: `catalogue-clip` beside the colour signature and a tuned linear map.

On the fashion set, 20% of the products held out. A held-out title is to find its own photo among all held-out
photos, and a photo its title; where several score equally, a product has the middle of their ranks, for
every system. Titles are of the form "brand, for whom, colour, what", so that many are nearly equal.

The linear map is a ridge regression from TF-IDF of words, and of pairs of words where that is better, to
features of photos that were learned from photos alone: the layers of `convnet`, by principal components. Strength,
terms and dimensions are chosen on a fifth of the products that are not held out. `convnet` as it is, which has
learned from titles and attributes and reads words, is our own encoder in closed form, a part of `catalogue-clip`:
beside it stands what training adds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from modalities import SeedTable, over_seeds
from vetrina.catalogue.datasets.fashion import load_fashion
from vetrina.core import ITEM_COLUMNS, Items, Silent
from vetrina.core.photo import read_photo
from vetrina.core.text import analyse
from vetrina.encode import CatalogueClipEncoder, ColourEncoder, PhotoEncoder
from vetrina.encode.base import unit_rows

__all__ = ["CLIP", "COLOUR", "CONVNET", "CUTS", "LINEAR", "measure", "tables"]

Floats = npt.NDArray[np.float32]

CLIP, LINEAR, COLOUR = "catalogue-clip", "TF-IDF, linear to photo features", "colour signature"
CONVNET, PIXELS = "convnet", "raw pixels, PCA to 64"
CUTS = (1, 10, 50)
LABELS = {"articleType": "articleType", "baseColour": "colour", "gender": "gender"}
_NEAREST = 10
_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
_DIMENSIONS = (64, 256)  # of photo features, besides colours
_SOURCE = "2,500 fashion products, a slice of Fashion Product Images (Small), MIT; 20% held out"


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """Retrieval, labels by nearest neighbours, and what training took."""
    items, photos = _shop(data, quick)
    options = {"epochs": 3, "channels": 4} if quick else {}
    measured = [measure(items, photos, seed, options) for seed in seeds]
    whose = [one["products"] for one in measured]
    yield over_seeds(
        "Title to photo, and photo to title",
        [one["retrieval"] for one in measured],
        whose,
        reference=CLIP,
        unit="held-out products",
        notes=(f"{_SOURCE}.", "Intervals: bootstrap over products, over the held-out products of all seeds."),
    )
    yield over_seeds(
        f"What a held-out photo shows, by the vote of its {_NEAREST} nearest",
        [one["labels"] for one in measured],
        whose,
        reference=CLIP,
        unit="held-out photos",
        notes=(f"{_SOURCE}.", "Share whose nearest photos among the others vote for the right label."),
    )
    yield over_seeds("Training", [one["cost"] for one in measured], unit="encoders", notes=("Seconds.",))


def _shop(data: Path, quick: bool) -> tuple[Items, npt.NDArray[np.uint8]]:
    """Every product with a readable photo, and the photos."""
    dataset = load_fashion(data / "fashion")
    table = dataset.items.filter(dataset.items["photo"] != "")
    items = Items(table.head(400) if quick else table)
    return items, np.stack([read_photo(dataset.root / path, (48, 64)) for path in items.table["photo"]])


def measure(items: Items, photos: npt.NDArray[np.uint8], seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """One seed: "products" held out, "retrieval", "labels" and "cost", each by system and metric.

    Parameters
    ----------
    items : Items
    photos : uint8 of shape (n_items, height, width, 3)
    seed : int
        Of the split and of everything that learns.
    options : mapping
        Of ``catalogue-clip``.
    """
    order = np.random.default_rng(seed).permutation(len(items))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    shown, learned = list(photos), Items(items.table[train])
    began, worked = time.perf_counter(), time.process_time()
    clip = CatalogueClipEncoder(seed=seed, **options).fit(learned, [shown[row] for row in train], Silent())
    cost = {"seconds": time.perf_counter() - began, "seconds of processors": time.process_time() - worked}
    convnet = PhotoEncoder(seed=seed).fit(learned, [shown[row] for row in train], Silent())
    colour = ColourEncoder(seed=seed).fit(learned, [shown[row] for row in train], Silent())
    vectors = {
        CLIP: clip.transform(shown),
        CONVNET: convnet.transform(shown),
        COLOUR: colour.transform(shown),
        PIXELS: _pixels(photos, train, seed),
    }
    titles = [items.table["title"][int(row)] for row in test]
    likeness = {
        CLIP: clip.transform_words(titles) @ vectors[CLIP][test].T,
        CONVNET: convnet.transform_words(titles) @ vectors[CONVNET][test].T,
        LINEAR: _linear(items, shown, train, seed)[np.ix_(test, test)],
        COLOUR: colour.transform_words(titles) @ vectors[COLOUR][test].T,
    }
    return {
        "products": test,
        "retrieval": {system: _recall(one) for system, one in likeness.items()},
        "labels": {system: _votes(items, one, train, test) for system, one in vectors.items()},
        "cost": {CLIP: {name: np.array([value]) for name, value in cost.items()}},
    }


def _recall(likeness: Floats) -> dict[str, npt.NDArray[np.float64]]:
    """Whether each title's photo, and each photo's title, is among the first: 0 or 1 for every product."""
    own = np.diagonal(likeness)
    found: dict[str, npt.NDArray[np.float64]] = {}
    for name, rows in (("title to photo", likeness), ("photo to title", likeness.T)):
        ahead = (rows > own[:, None]).sum(axis=1) + ((rows == own[:, None]).sum(axis=1) - 1) / 2
        found |= {f"{name} @{cut}": (ahead < cut).astype(np.float64) for cut in CUTS}
    return found


def _votes(
    items: Items, vectors: Floats, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    near = np.argsort(-vectors[test] @ vectors[train].T, axis=1, kind="stable")[:, :_NEAREST]
    right = {}
    for label, column in LABELS.items():
        # Code 0 is "not said".
        codes = items.codes(column)[0] + 1
        voted = [np.bincount(codes[train][row]).argmax() for row in near]
        right[label] = (np.array(voted) == codes[test]).astype(np.float64)
    return right


def _pixels(photos: npt.NDArray[np.uint8], train: npt.NDArray[np.int64], seed: int) -> Floats:
    from sklearn.decomposition import PCA

    flat = photos.reshape(len(photos), -1).astype(np.float32)
    components = PCA(64, svd_solver="randomized", random_state=seed).fit(flat[train])
    return unit_rows(components.transform(flat))


def _linear(items: Items, photos: list[npt.NDArray[np.uint8]], train: npt.NDArray[np.int64], seed: int) -> Floats:
    """Likeness of every title with every photo, (n_items, n_items).

    All is chosen on a slice of ``train``, of which the features that it is chosen with have seen nothing.
    """
    check, rest = train[: len(train) // 5], train[len(train) // 5 :]
    untold = _untold(items)

    def features(rows: npt.NDArray[np.int64], dim: int) -> Floats:
        some = [photos[row] for row in rows]
        return PhotoEncoder(seed=seed, dim=dim).fit(Items(untold.table[rows]), some, Silent()).transform(photos)

    def worth(dim: int, pairs: bool, strength: float) -> float:
        said = _ridge(items, seen[dim], rest, pairs, strength)
        return float(np.mean([one.mean() for one in _recall(said[check] @ seen[dim][check].T).values()]))

    seen = {dim: features(rest, dim) for dim in _DIMENSIONS}
    choices = [(dim, pairs, strength) for dim in _DIMENSIONS for pairs in (False, True) for strength in _STRENGTHS]
    dim, pairs, strength = max(choices, key=lambda choice: worth(*choice))
    found = features(train, dim)
    likeness: Floats = _ridge(items, found, train, pairs, strength) @ found.T
    return likeness


def _untold(items: Items) -> Items:
    """The same products, of which nothing is said: beside them photos are learned from alone."""
    blank = {"title": "", "description": "", "category": "", "brand": "", "colour": "", "price": None}
    kept = items.table.select("item", "photo")
    return Items(kept.with_columns(pl.lit(value).cast(ITEM_COLUMNS[name]).alias(name) for name, value in blank.items()))


def _ridge(items: Items, vectors: Floats, train: npt.NDArray[np.int64], pairs: bool, strength: float) -> Floats:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    terms = TfidfVectorizer(analyzer=lambda text: _terms(text, pairs), sublinear_tf=True)
    titles = items.table["title"].to_list()
    terms.fit([titles[row] for row in train])
    bags = terms.transform(titles)
    return unit_rows(Ridge(alpha=strength).fit(bags[train], vectors[train]).predict(bags))


def _terms(text: str, pairs: bool) -> list[str]:
    words = analyse(text)
    return [*words, *(f"{one} {two}" for one, two in pairwise(words))] if pairs else words
