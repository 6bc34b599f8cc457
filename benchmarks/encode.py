"""How good and how fast the encoders are, on real products.

    VETRINA_DATA=... python benchmarks/encode.py [photo] [text]

Photos: of the 2,500 fashion products 20% are held out, three times; each held-out photo is
given the majority label of its 10 nearest photos among the others. Beside the encoder stand a
colour histogram in CIELAB, a signature of foreground colours, and raw pixels after PCA.
Texts: 20,000 toys, beside scikit-learn's vectorisers and TruncatedSVD with the same settings.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import zstandard

from vetrina.core import Items, Silent
from vetrina.core.colour import cielab
from vetrina.core.errors import DataError
from vetrina.core.photo import read_photo
from vetrina.encode import PhotoEncoder, TfidfEncoder
from vetrina.encode.base import unit_rows

DATA = Path(os.environ.get("VETRINA_DATA", "data"))
LABELS = ("articleType", "baseColour", "gender")
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def accuracy(vectors: Floats, labels: list[Ints], train: Ints, test: Ints) -> list[float]:
    """Share of held-out photos whose 10 nearest others vote for the right label (ties: the nearer)."""
    unit = unit_rows(vectors)
    cosine = unit[test] @ unit[train].T
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :10]
    weight = 1 + 1e-3 * np.take_along_axis(cosine, near, axis=1)
    shares = []
    for label in labels:
        votes = np.zeros((len(test), label.max() + 1))
        np.add.at(votes, (np.arange(len(test))[:, None], label[train][near]), weight)
        shares.append(float(np.mean(votes.argmax(axis=1) == label[test])))
    return shares


def histogram(photos: npt.NDArray[np.uint8]) -> Floats:
    """Square root of an 8 x 8 x 8 histogram in CIELAB."""
    lab = cielab(photos)
    step = np.clip((lab + np.array([0, 64, 64])) / np.array([12.6, 16, 16]), 0, 7.9).astype(int)
    code = (step @ np.array([64, 8, 1])).reshape(len(photos), -1)
    counts = np.stack([np.bincount(row, minlength=512) for row in code])
    return np.sqrt(counts / code.shape[1]).astype(np.float32)


def photos() -> None:
    from sklearn.decomposition import PCA

    table = pl.read_csv(DATA / "fashion/products.csv")
    paths = [str(DATA / "fashion/photos" / f"{item}.jpg") for item in table["id"]]
    pixels, readable = np.zeros((len(paths), 64, 48, 3), dtype=np.uint8), np.ones(len(paths), dtype=bool)
    for row, path in enumerate(paths):
        try:
            pixels[row] = read_photo(path, (48, 64))
        except DataError:
            readable[row] = False
    labels = [table[name].rank("dense").to_numpy().astype(int) for name in LABELS]
    found: dict[str, list[list[float]]] = {}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(readable))
        test, train = np.split(order, [len(order) // 5])
        began = time.perf_counter()
        encoder = PhotoEncoder().fit(fashion_items(table[train]), [paths[i] for i in train], Silent())
        fitted = time.perf_counter()
        vectors = encoder.transform(paths)
        done = time.perf_counter()
        print(f"seed {seed}: fit on {len(train)} {fitted - began:.1f} s, transform {len(paths)} {done - fitted:.1f} s")
        dim = encoder.config.dim
        flat = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
        systems = {
            "convnet": vectors,
            "convnet, learned part alone": vectors[:, :dim],
            "foreground colours alone": vectors[:, dim:],
            "colour histogram (CIELAB)": histogram(pixels),
            "raw pixels, PCA 64": PCA(64, random_state=0).fit(flat[train]).transform(flat),
        }
        for name, rows in systems.items():
            found.setdefault(name, []).append(accuracy(rows, labels, train, test))
    print(f"{'':30}" + "".join(f"{name:>14}" for name in LABELS))
    for name, shares in found.items():
        print(f"{name:30}" + "".join(f"{share:14.3f}" for share in np.mean(shares, axis=0)))
    blob = Path(paths[0]).read_bytes()
    began = time.perf_counter()
    for _ in range(50):
        encoder.transform([blob])
    print(f"one uploaded photo: {(time.perf_counter() - began) / 50 * 1e3:.1f} ms")


def fashion_items(table: pl.DataFrame) -> Items:
    path = pl.concat_str("masterCategory", "subCategory", "articleType", separator=" > ")
    return Items(
        table.select(
            item=pl.col("id").cast(pl.String),
            title="productDisplayName",
            description=pl.lit(""),
            category=path,
            brand=pl.lit(""),
            colour=pl.col("baseColour").fill_null(""),
            price=pl.lit(None, dtype=pl.Float64),
            in_stock=True,
            available_at=pl.lit(None, dtype=pl.Int64),
            photo=pl.col("id").cast(pl.String) + ".jpg",
            gender="gender",
            season=pl.col("season"),
            usage=pl.col("usage"),
        )
    )


def texts() -> None:
    from scipy import sparse
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    with zstandard.open(DATA / "toys/products.jsonl.zst", "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["fields"] for line in file][:20_000]
    contents = ["\n".join([" ".join(row["title"].split()), row["category"], row["description"]]) for row in rows]
    began = time.perf_counter()
    encoder = TfidfEncoder().fit_texts(contents)
    encoder.transform(contents)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    words = TfidfVectorizer(sublinear_tf=True, max_features=50_000).fit_transform(contents)
    grams = TfidfVectorizer(sublinear_tf=True, max_features=50_000, analyzer="char_wb", ngram_range=(3, 5))
    titles = grams.fit_transform([text.partition("\n")[0] for text in contents])
    TruncatedSVD(128, n_iter=4, random_state=0).fit_transform(sparse.hstack([words, 0.5 * titles]).tocsr())
    theirs = time.perf_counter() - began
    print(
        f"20,000 toys, fit and transform {ours:.1f} s; scikit-learn {theirs:.1f} s ({theirs / ours:.2f} of its speed)"
    )
    queries = ["red wooden train", "lego star wars", "puzle 500 pieces", "barby doll"]
    began = time.perf_counter()
    for turn in range(400):
        encoder.transform([queries[turn % 4]])
    print(f"one query: {(time.perf_counter() - began) / 400 * 1e3:.2f} ms")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["photo", "text"]
    if "photo" in wanted:
        photos()
    if "text" in wanted:
        texts()
