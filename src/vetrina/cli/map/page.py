"""The page of ``vetrina map``: vectors laid out in the plane, and put into a template.

Sources: L. van der Maaten and G. Hinton, Visualizing data using t-SNE (JMLR 2008), begun from
principal components as D. Kobak and P. Berens advise (Nature Communications 2019); L. McInnes,
J. Healy and J. Melville, UMAP (2018).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vetrina.core.errors import ConfigError, DataError, MissingExtra, nearest
from vetrina.core.items import CATEGORY_SEPARATOR, Items
from vetrina.core.page import write_page
from vetrina.core.photo import open_photo
from vetrina.core.progress import Progress
from vetrina.engine.shop import Shop

__all__ = ["lay_out", "write_map"]

Floats = npt.NDArray[np.float32]

_FOLDER = Path(__file__).parent
_GROUPS = 7  # categories with a colour and a shape of their own; the rest share one
_SIDE = 72  # of a photo, in pixels
_MOST_PHOTOS = 6_000_000  # bytes of all photos as they stand in the page
_REST, _NONE = "Other", "No category"


def write_map(shop: Shop, path: Path, *, by: str, method: str, most: int, progress: Progress) -> dict[str, Any]:
    """Write the page; return what it holds.

    Parameters
    ----------
    shop : Shop
        With a published snapshot.
    path : Path
    by : str
        A modality, or "fused".
    method : {"tsne", "umap", "pca"}
    most : int
        Items drawn at random where the catalogue has more.
    progress : Progress

    Raises
    ------
    ConfigError
        When there are no vectors of that modality.
    MissingExtra
        When the method needs a package that is not installed.
    VetrinaError
        When the page cannot be written.
    """
    items = shop.items
    if by not in items.vectors:
        known = ", ".join(sorted(items.vectors)) or "none"
        raise ConfigError(
            f"--by {by}: the snapshot has no such vectors.{nearest(by, items.vectors)} There are: {known}."
        )
    vectors = items.vectors[by]
    known_rows = np.flatnonzero([bool(np.any(row)) for row in vectors])
    rows = known_rows
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(shop.config.build.seed).choice(rows, most, replace=False))
    with progress.step(f"Laying out {len(rows):,} items"):
        places = lay_out(np.asarray(vectors[rows], dtype=np.float32), method, shop.config.build.seed)
    names, group = _groups(items, rows)
    table = items.table[rows]
    photos = [shop.root / name if name else None for name in table["photo"].to_list()]
    with progress.step("Reading photos", len(photos)) as step:
        small = []
        for one in _thumbnails(photos):
            small.append(one)
            step.advance()
    told = {
        "out": str(path),
        "by": by,
        "method": method,
        "items": len(rows),
        "of": len(items),
        "without": len(items) - len(known_rows),
        "photos": sum(bool(one) for one in small),
    }
    columns = {
        "x": places[:, 0].round(4).tolist(),
        "y": places[:, 1].round(4).tolist(),
        "group": group,
        "id": table["item"].to_list(),
        "title": table["title"].to_list(),
        "category": table["category"].to_list(),
        "price": [f"{shop.config.shop.currency}{one:,.2f}" if one is not None else "" for one in table["price"]],
        "photo": small,
    }
    write_page(
        path,
        _FOLDER / "map.html.j2",
        "page",
        title=shop.config.shop.name,
        told=told,
        how={"tsne": "t-SNE", "umap": "UMAP", "pca": "principal components"}[method],
        names=names,
        style=(_FOLDER / "map.css").read_text(encoding="utf-8"),
        script=(_FOLDER / "map.js").read_text(encoding="utf-8"),
        data=_script_json({"names": names, **columns}),
    )
    return told


def lay_out(vectors: Floats, method: str, seed: int) -> Floats:
    """Points of the plane, neighbours of which are neighbours among the vectors: (n, 2), within -1 and 1.

    Parameters
    ----------
    vectors : float32 of shape (n, dim)
    method : {"tsne", "umap", "pca"}
        Fewer than ten vectors are laid out by principal components.
    seed : int

    Examples
    --------
    >>> lay_out(np.eye(3, dtype=np.float32), "pca", 0).shape
    (3, 2)
    """
    n = len(vectors)
    if n < 2:
        return np.zeros((n, 2), dtype=np.float32)
    plane = _principal(vectors)
    if n >= 10 and method == "tsne":
        from sklearn.manifold import TSNE

        begin = plane / max(float(plane[:, 0].std()), 1e-9) * 1e-4
        perplexity = min(30.0, (n - 1) / 3)
        plane = TSNE(perplexity=perplexity, init=begin, random_state=seed).fit_transform(vectors)
    elif n >= 10 and method == "umap":
        plane = _umap().UMAP(n_neighbors=min(15, n - 1), init=plane, random_state=seed).fit_transform(vectors)
    plane = np.asarray(plane, dtype=np.float64)
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2
    reach = max(float(np.abs(plane - middle).max()), 1e-12)
    return np.asarray((plane - middle) / reach, dtype=np.float32)


def _umap() -> Any:
    try:
        return import_module("umap")
    except ImportError:
        raise MissingExtra("--method umap needs the package umap-learn: pip install umap-learn.") from None


def _principal(vectors: Floats) -> Floats:
    """The first two principal components, zero where there are fewer."""
    centred = vectors - vectors.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    two = (left * strength)[:, :2]
    return np.pad(two, ((0, 0), (0, 2 - two.shape[1]))).astype(np.float32)


def _groups(items: Items, rows: npt.NDArray[np.int64]) -> tuple[list[str], list[int]]:
    """Names of the commonest categories, and which each item is of: of the outermost level that tells items apart."""
    paths = [path.split(CATEGORY_SEPARATOR) if path else [] for path in items.table["category"][rows].to_list()]
    deepest = max(map(len, paths), default=0)
    named: list[str] = []
    for level in range(deepest):
        named = [path[min(level, len(path) - 1)] if path else "" for path in paths]
        if len(set(named) - {""}) > 1:
            break
    counts = Counter(name for name in named if name)
    commonest = [name for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    names = commonest if len(commonest) <= _GROUPS + 1 else [*commonest[:_GROUPS], _REST]
    place = {name: number for number, name in enumerate(names)}
    if len(names) > _GROUPS:
        place |= dict.fromkeys(commonest[_GROUPS:], _GROUPS)
    if not named or "" in named:
        names = [*names, _NONE]
    return names, [place.get(name, len(names) - 1) for name in named] if named else [0] * len(paths)


def _thumbnails(photos: Sequence[Path | None]) -> Iterator[str]:
    """Small copies as data addresses; "" where there is none, or no room is left for it in the page."""
    left = _MOST_PHOTOS
    with ThreadPoolExecutor() as pool:
        for one in pool.map(_thumbnail, photos):
            left -= len(one)
            yield one if left >= 0 else ""


def _thumbnail(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        photo = open_photo(path, _SIDE)
    except DataError:
        return ""
    photo.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    file = BytesIO()
    photo.save(file, "webp", quality=60)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"


def _script_json(value: object) -> str:
    """JSON that may stand in a script: nothing in it ends the script or begins a comment."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
