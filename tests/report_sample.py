"""A measurement of everything that a report can show, of systems whose order is known: drawn, not measured."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from engine_shop import make_shop
from vetrina import Shop
from vetrina.evaluate import Scores, Table, compare
from vetrina.evaluate.building import build_shop
from vetrina.evaluate.evaluation import Bin, Calibration, Comparison, Curve, Evaluation, Example, Shown
from vetrina.evaluate.modalities import ModalityRow, ModalityTable
from vetrina.evaluate.significance import Interval

SYSTEMS = {"Vetrina": 0.42, "BM25": 0.37, "item-kNN": 0.33, "popularity, best span": 0.21}
METRICS = ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate")

#: Shoppers type anything.
HOSTILE = '<script>document.title = "owned"</script><img src=x onerror=alert(1)> & {{ 7 * 7 }} "quoted"'


def sample_table(title: str, *, n: int = 400, seed: int = 0, simulated: bool = False, better: float = 0.0) -> Table:
    """Systems of which ours is ahead of the second by 0.05 and ``better``."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 0.15, n)
    systems = {}
    for name, mean in SYSTEMS.items():
        mean += better if name == "Vetrina" else 0.0
        values = {
            f"{metric}@10": np.clip(mean * (1 - 0.08 * place) + ease + rng.normal(0, 0.1, n), 0, 1)
            for place, metric in enumerate(METRICS)
        }
        systems[name] = Scores(values, np.arange(n), 3)
    return compare(title, systems, rng.integers(0, n // 3, n), "Vetrina", simulated=simulated, resamples=2000)


def sample_evaluation(folder: Path) -> Evaluation:
    """Two comparisons with everything, photos drawn into ``folder``, and hostile words in titles and queries."""
    photos = [_photo(folder, number) for number in range(7)]
    cuts, trees = range(1, 40), range(1, 200)
    searches = Comparison(
        replace(sample_table("Sample: searches, last 14 days", simulated=True), notes=("BM25 tuned to k1 1.2, b 0.5",)),
        segments=tuple(
            sample_table(name, n=n, seed=n, better=better)
            for name, n, better in (("New shoppers", 90, -0.06), ("Returning shoppers", 310, 0.03), ("Tail", 40, 0.0))
        ),
        beyond=replace(sample_table("Sample: beyond accuracy"), metrics=("ndcg@10", "recall@10", "mrr@10")),
        precision_recall={
            name: Curve([k / 50 for k in cuts], [mean / (1 + k / 20) for k in cuts], "recall", "precision")
            for name, mean in SYSTEMS.items()
        },
        learning={
            "test": Curve([1, 10, 50, 100, 200], [0.3, 0.36, 0.41, 0.42, 0.42], "trees", "ndcg@10"),
            "training": Curve(list(range(1, 201)), [0.5 + 0.3 * (1 - 0.98**k) for k in range(200)], "trees", "ndcg@10"),
        },
        calibration=Calibration(
            "Vetrina",
            "Whether a listed item was chosen, by a cross-fitted logistic curve over its score.",
            tuple(Bin(p, p * 1.1, p * 0.9, p * 1.3, int(3000 * (1 - p) ** 3) + 20) for p in np.linspace(0.02, 0.6, 9)),
            0.81, 0.212, 0.061, 0.012, 0.08, 0.279, 12_345,
        ),
        examples=(
            _example("red dress", 0.95, 0.1, photos, 0),
            _example(HOSTILE, 0.8, 0.2, photos, 1),
            _example("", 0.7, 0.3, photos, 2),
            _example(None, 0.1, 0.9, photos, 3),
        ),
    )  # fmt: skip
    fresh = Comparison(
        sample_table("Sample: recommendations, products new to the shopper", seed=5, better=-0.05),
        examples=(
            _example("", 0.6, 0.2, [None] * 7, 0),
            _example("schwarze Schuhe, wasserdicht", 0.1, 0.4, [None] * 7, 1),
        ),
    )
    return Evaluation(
        (searches, fresh),
        modalities=sample_modalities(),
        training={
            "ranker, lambdamart: ndcg@10 by trees": Curve(
                trees, [0.9 - 0.3 * 0.97**k for k in trees], "trees", "ndcg@10"
            )
        },
        notes=("The log has no impressions: no CTR, no CVR, and nothing to estimate other rankings from.",),
    )  # fmt: skip


def sample_modalities() -> ModalityTable:
    """Text that adds to the others, and photos that do not: a few cannot be read, and none is found by words."""

    def figures(**means: float) -> dict[str, Interval]:
        return {part: Interval(mean, mean - 0.011, mean + 0.011, 900, 300, 0.04) for part, mean in means.items()}

    unknown = {"searches": Interval(*(float("nan"),) * 3, 0, 0, float("nan"))}
    rows = (
        ModalityRow(
            "text", "tfidf", 2500, 2500, {}, figures(searches=0.239, recommendations=0.051),
            figures(searches=0.206, recommendations=0.036), figures(searches=0.037, recommendations=0.009),
        ),
        ModalityRow(
            "photo", "catalogue-clip", 2500, 2499, {"the photo is empty": 1, "there is no such photo": 2},
            unknown | figures(recommendations=0.037), figures(searches=0.235, recommendations=0.045),
            figures(searches=0.002, recommendations=-0.0002),
        ),
    )  # fmt: skip
    whole = ModalityRow("all together", "concat", 2500, 2500, {}, figures(searches=0.243, recommendations=0.044))
    return ModalityTable("Sample: modalities", {"searches": 900, "recommendations": 900}, rows, whole, simulated=True)


def _photo(folder: Path, number: int) -> Path:
    path = folder / f"{number}.jpg"
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).ellipse(
        (10, 15, 50, 65), fill=["red", "navy", "black", "green", "orange", "purple", "grey"][number]
    )
    image.save(path)
    return path


def _example(query: str | None, ours: float, theirs: float, photos: Sequence[Path | None], first: int) -> Example:
    def listed(turn: int, right: int) -> tuple[Shown, ...]:
        titles = ("Red dress", "A title that is far longer than any other and says of cotton and of the sea",
                  HOSTILE, "Bag", "红色连衣裙", "Hat", "")  # fmt: skip
        return tuple(
            Shown(
                f"i{place}",
                titles[(place + turn) % 7],
                photos[(place + turn) % 7],
                {right: 3.0, 3: float("nan")}.get(place, 0.0),
            )
            for place in range(5)
        )

    return Example(query, "BM25", ours, theirs, listed(first, 0), listed(first + 2, 4))


@cache
def _built() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="vetrina-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build_shop(make_shop(folder), trials=0)
    return folder


def reported_shop(folder: Path) -> Shop:
    """The small shop, built and measured, with a report in its snapshot: a copy in ``folder``, built once for all."""
    shutil.copytree(_built(), folder, dirs_exist_ok=True)
    return Shop.open(folder / "shop")
