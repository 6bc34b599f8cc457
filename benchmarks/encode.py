"""How fast items become vectors, beside the bare library in the same run.

    VETRINA_DATA=... python benchmarks/encode.py [photos] [texts] [rebuild] [memory] [queries]
        [--device cuda] [--products 10000 100000 1000000] [--repeats 5]

photos   the whole encode stage (hash, read, decode, resize, normalise, network, write) beside ONNX Runtime
         alone, on arrays that are in memory already. The network is a MobileNetV1 at 224 x 224 (569 million
         multiply-adds a photo) with random weights; beside it the same at 128 x 128, a third of that, and a
         trivial one: the smaller the network, the more of the time is decoding. Photos: the fashion ones
         as they are (60 x 80), and the same drawn up to 600 x 800, as shops have them.
texts    TF-IDF and SVD of 10,000 toys beside scikit-learn's TfidfVectorizer (words, and the title's
         char_wb n-grams) and TruncatedSVD with the same settings: learning, and encoding.
rebuild  the encode stage after 1% of the products got another photo, title and price, beside the first one.
memory   peak memory of the encode stage against the number of products, each size in a process of its own:
         titles of toys over and over, a number added to each, so that no two are equal. What learning takes
         grows until there are 100,000 products, of which it takes as many at most.
queries  encoding one query, by every encoder that reads words.

What is compared is interleaved and repeated: the median of the paired ratios, the worst of them, and
p50 and p99 of the times. Where the machine does something else too, both sides are slower, and the worst
ratio says how evenly.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import zstandard
from PIL import Image

from vetrina.core import Items, Progress, Silent, components, register
from vetrina.core.errors import VetrinaError
from vetrina.core.onnx import Network, export_network, import_torch
from vetrina.core.photo import Photo, read_photo
from vetrina.encode import TfidfEncoder
from vetrina.encode.base import Encoder
from vetrina.encode.photos import encode_photos, photo_contents
from vetrina.engine.config import ShopConfig
from vetrina.engine.encoding import Encoded, encode_items

DATA = Path(os.environ.get("VETRINA_DATA", "data"))
PHOTOS, CHUNK = 256, 64
Floats = npt.NDArray[np.float32]


# --- what is measured with ------------------------------------------------------


def paired(repeats: int, ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Seconds of both, one after the other, in turns; a first turn warms up and is not counted."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for times, run in zip(found, (ours, theirs), strict=True):
            began = time.perf_counter()
            run()
            if turn:
                times.append(time.perf_counter() - began)
    return found


def compare(title: str, count: int, ours: Sequence[float], theirs: Sequence[float], who: str) -> None:
    ratios = np.array(theirs) / np.array(ours)
    low, high = np.quantile(ratios, [0.25, 0.75])
    print(
        f"{title:36} {count / np.median(ours):7,.0f}/s   {who} {count / np.median(theirs):7,.0f}/s   "
        f"ratio {np.median(ratios):.2f} (quartiles {low:.2f}–{high:.2f}, worst of {len(ratios)} {ratios.min():.2f})   "
        f"ours p50 {np.median(ours):.2f} s, p99 {np.quantile(ours, 0.99):.2f} s",
        flush=True,
    )


def stage(items: Items, root: Path, media: Path, encoders: dict[str, Any], device: str = "cpu") -> Encoded:
    """The encode stage of a shop that has these encoders."""
    config = ShopConfig.parse(
        {"items": {"file": "-", "item": "item"}, "encode": encoders, "build": {"device": device}}, ""
    )
    return encode_items(items, root, media, config, Silent())


# --- photos -----------------------------------------------------------------------


@register("encoder", "bench")
class BenchEncoder(Encoder):
    """A network of random weights, run as photo encoders run theirs."""

    modality = "photo"
    model: ClassVar[bytes] = b""
    side: ClassVar[int] = 224

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        return photo_contents(items, root)

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        self.network = Network(self.model, self.device)
        return self

    def transform(self, contents: Sequence[Any]) -> Floats:
        return encode_photos(contents, self._encode, 128, self._read)

    def _read(self, photo: Photo) -> npt.NDArray[np.uint8]:
        return read_photo(photo, (self.side, self.side))

    def _encode(self, photos: npt.NDArray[np.uint8]) -> Floats:
        vectors: Floats = self.network.run({"photos": photos})[0]
        return vectors


def network(blocks: Sequence[tuple[int, int]], side: int) -> bytes:
    """MobileNetV1 (A. Howard et al. 2017) of (channels, stride) blocks, random weights, 128 dimensions, as ONNX."""
    torch = import_torch("The benchmark's network")
    nn = torch.nn
    torch.manual_seed(0)
    layers, channels = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU()], 32
    for wider, stride in blocks:
        layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, wider, 1), nn.ReLU()]
        channels = wider
    body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 128))

    class Whole(nn.Module):  # type: ignore[name-defined, misc]  # torch comes in as a value, so it is Any
        """Pixels as they are read go in, and are normalised there: a layer does it on all cores."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, photos: Any) -> Any:
            return self.body((photos.permute(0, 3, 1, 2).float() - 127.5) / 64)

    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    return export_network(Whole(), {"photos": example}, ["vectors"], {"photos": [0]})


MOBILENET = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def fashion(count: int) -> Items:
    table = pl.read_csv(DATA / "fashion/products.csv").head(count)
    category = pl.concat_str("masterCategory", "subCategory", "articleType", separator=" > ")
    return Items(
        table.select(
            item=pl.col("id").cast(pl.String),
            title="productDisplayName",
            description=pl.lit(""),
            category=category,
            brand=pl.lit(""),
            colour=pl.col("baseColour").fill_null(""),
            price=pl.int_range(pl.len()).cast(pl.Float64),
            in_stock=True,
            available_at=pl.lit(None, dtype=pl.Int64),
            photo=pl.col("id").cast(pl.String) + ".jpg",
            gender="gender",
            season=pl.col("season"),
        )
    )


def photos(folder: Path, repeats: int, device: str) -> None:
    items, small = fashion(PHOTOS), DATA / "fashion/photos"
    large = folder / "large"
    large.mkdir()
    for name in items.table["photo"]:
        drawn_up = Image.open(small / name).convert("RGB").resize((600, 800), Image.Resampling.BICUBIC)
        drawn_up.save(large / name, quality=85)
    networks = {"MobileNetV1": (MOBILENET, 224), "the same at 128": (MOBILENET, 128), "a trivial one": ([(32, 4)], 128)}
    for told, (blocks, side) in networks.items():
        BenchEncoder.model, BenchEncoder.side = network(blocks, side), side
        import onnxruntime

        names = onnxruntime.get_available_providers()
        chosen = [name for name in names if name.startswith(device.partition(":")[0].upper())]
        bare = onnxruntime.InferenceSession(
            BenchEncoder.model, providers=list(dict.fromkeys([*chosen, "CPUExecutionProvider"]))
        )
        pixels = np.stack([read_photo(small / name, (side, side)) for name in items.table["photo"]])

        def alone(bare: Any = bare, pixels: npt.NDArray[np.uint8] = pixels) -> None:
            for start in range(0, len(pixels), CHUNK):
                bare.run(None, {"photos": pixels[start : start + CHUNK]})

        for size, root in (("60 x 80", small), ("600 x 800", large)):

            def ours(root: Path = root) -> None:
                with tempfile.TemporaryDirectory(dir=folder) as media:
                    stage(items, root, Path(media), {"photo": {"encoder": "bench"}}, device)

            compare(f"photos {size}, {told}", len(items), *paired(repeats, ours, alone), "ONNX Runtime alone")


# --- texts ------------------------------------------------------------------------


def toys(count: int) -> list[dict[str, str]]:
    with zstandard.open(DATA / "toys/products.jsonl.zst", "rt", encoding="utf-8") as file:
        return [json.loads(line)["fields"] for line, _ in zip(file, range(count), strict=False)]


def texts(repeats: int) -> None:
    from scipy import sparse
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    contents = [
        "\n".join([" ".join(row["title"].split()), row["category"], row["description"]]) for row in toys(10_000)
    ]
    titles = [text.partition("\n")[0] for text in contents]
    encoder, svd = TfidfEncoder(), TruncatedSVD(128, n_iter=4, random_state=0)
    words = TfidfVectorizer(sublinear_tf=True, max_features=50_000)
    grams = TfidfVectorizer(sublinear_tf=True, max_features=50_000, analyzer="char_wb", ngram_range=(3, 5))

    def learn() -> None:
        svd.fit(sparse.hstack([words.fit_transform(contents), 0.5 * grams.fit_transform(titles)], format="csr"))

    def encode() -> None:
        normalize(
            svd.transform(sparse.hstack([words.transform(contents), 0.5 * grams.transform(titles)], format="csr"))
        )

    fitted = paired(max(repeats // 2, 1), lambda: encoder.fit_texts(contents), learn)
    compare("texts of toys, learning", len(contents), *fitted, "scikit-learn")
    encoded = paired(repeats, lambda: encoder.transform(contents), encode)
    compare("texts of toys, encoding", len(contents), *encoded, "scikit-learn")


# --- a rebuild --------------------------------------------------------------------


def rebuild(folder: Path) -> None:
    whole = {
        "text": {"encoder": "tfidf"},
        "photo": {"encoder": "convnet"},
        "attributes": {"encoder": "attributes"},
    }
    root = folder / "shop"
    shutil.copytree(DATA / "fashion/photos", root)
    for name, encoders in (("all three modalities", whole), ("text alone", {"text": whole["text"]})):
        items, media = fashion(2500), folder / name.replace(" ", "-")
        began = time.perf_counter()
        stage(items, root, media, encoders)
        full, shares = time.perf_counter() - began, []
        for turn in range(3):
            # Photos that were written a moment ago are read once more: see vetrina.core.file_hash.
            stage(items, root, media, encoders)
            some = np.arange(turn, len(items), 100)
            for row in some.tolist():
                photo = root / items.table["photo"][row]
                Image.effect_noise((60, 80), 40 + turn).convert("RGB").save(photo)
            changed = pl.int_range(pl.len()).is_in(some.tolist())
            items = Items(
                items.table.with_columns(
                    title=pl.when(changed).then("New " + pl.col("title")).otherwise("title"),
                    price=pl.when(changed).then(pl.col("price") + 5000).otherwise("price"),
                )
            )
            began = time.perf_counter()
            counts = stage(items, root, media, encoders).counts
            shares.append((time.perf_counter() - began) / full)
            assert all(0 < count["encoded"] <= len(some) for count in counts.values()), counts
        print(
            f"rebuild of 2,500 products, 1% changed, {name:21} first {full:5.1f} s   "
            f"again {np.median(shares):5.1%} of it (worst {max(shares):.1%} of {len(shares)})"
        )


# --- memory -----------------------------------------------------------------------


def memory(sizes: Sequence[int]) -> None:
    print(f"{'products':>12}{'seconds':>10}{'vectors':>12}{'before':>12}{'at most':>12}{'of its own':>12}")
    for size in sizes:
        subprocess.run([sys.executable, __file__, "--one-size", str(size)], check=True)


def one_size(count: int) -> None:
    """Print a row of the table: resident memory before and at most, and what of it is no mapped file's."""
    some = pl.DataFrame(toys(min(count, 20_000))).select("title", "category")
    table = pl.concat([some] * -(-count // len(some))).head(count)
    items = Items(
        table.with_columns(
            title=pl.col("title") + " " + pl.int_range(pl.len()).cast(pl.String),
            item=pl.int_range(pl.len()).cast(pl.String),
            brand=pl.lit(""),
            colour=pl.lit(""),
            description=pl.lit(""),
        )
    )
    before, own, done = _resident("VmRSS"), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            own[0] = max(own[0], _resident("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        vectors = stage(items, Path(folder), Path(folder) / "media", {"text": {"encoder": "tfidf"}}).items.vectors
        seconds = time.perf_counter() - began
        size = sum(rows.nbytes for rows in vectors.values()) / 1e6
    done.set()
    watcher.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{count:12,}{seconds:10.1f}{size:9,.0f} MB{before:9,.0f} MB{peak:9,.0f} MB{own[0]:9,.0f} MB", flush=True)


def _resident(name: str) -> float:
    """A line of Linux's account of this process, in megabytes; NaN where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{name}:")), float("nan"))


# --- queries ----------------------------------------------------------------------

# Little training: how long a query takes does not depend on how well the network has learned.
BRIEF: dict[str, dict[str, Any]] = {"rnn": {"epochs": 1}, "catalogue-clip": {"epochs": 1}}
QUERIES = ["black shoes", "red linen dress", "blue denim jaket", "casual watch for men", "navy", "running shoe"]


def queries(device: str) -> None:
    items = fashion(500)
    for (_, name), cls in components("encoder").items():
        if cls.transform_words is Encoder.transform_words or name in ("bench", "video"):
            continue  # a video's words are read by its photo encoder
        try:
            encoder: Any = cls(**BRIEF.get(name, {}))
            encoder.device = device
            contents, _ = encoder.read(items, DATA / "fashion/photos")
            encoder.fit(items, contents, Silent())
        except VetrinaError as error:
            print(f"one query, {name:24} left out: {error}")
            continue
        times = []
        for turn in range(420):
            began = time.perf_counter()
            encoder.transform_words([QUERIES[turn % len(QUERIES)]])
            times.append((time.perf_counter() - began) * 1e3)
        p50, p99 = np.quantile(times[20:], [0.5, 0.99])
        print(f"one query, {name:24} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


def device_name(device: str) -> str:
    """What the networks run on, by name.

    Raises
    ------
    SystemExit
        When there is no such device.
    """
    if device == "cpu":
        return f"{os.cpu_count()} cores ({platform.processor() or platform.machine()})"
    torch = import_torch("A GPU")
    if not torch.cuda.is_available():
        raise SystemExit(
            f"--device {device}: torch {torch.__version__} finds no GPU here. Leave it out to use the CPU."
        )
    return str(torch.cuda.get_device_name(torch.device(device)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ("photos", "texts", "rebuild", "memory", "queries")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(parts)}; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one-size", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(parts):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Parts: {', '.join(parts)}.")
    if asked.one_size:
        one_size(asked.one_size)
        return
    wanted = asked.parts or parts
    print(f"On {device_name(asked.device)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runs: dict[str, Callable[[], None]] = {
            "photos": lambda: photos(folder, asked.repeats, asked.device),
            "texts": lambda: texts(asked.repeats),
            "rebuild": lambda: rebuild(folder),
            "memory": lambda: memory(asked.products),
            "queries": lambda: queries(asked.device),
        }
        for part in wanted:
            runs[part]()


if __name__ == "__main__":
    main()
