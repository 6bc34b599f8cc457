"""What a photo looks like, in five measured numbers: the part of taste that no column tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vetrina.core import Items
from vetrina.core.errors import DataError
from vetrina.core.photo import read_photo

__all__ = ["LOOKS", "measure_looks"]

LOOKS = ("brightness", "saturation", "warmth", "green_magenta", "texture")
_SIDE = 16


def measure_looks(items: Items, photos_root: Path | None) -> npt.NDArray[np.float32]:
    """Measure every product's photo from a 16 × 16 thumbnail.

    A pixel counts as much as it differs from white, for the backdrop is no part
    of the product. Brightness is the mean of the RGB channels, saturation their
    spread, warmth red less blue, green_magenta green less the mean of the other
    two, and texture the spread of brightness over the product.

    Parameters
    ----------
    items : Items
    photos_root : Path or None
        Folder that the ``photo`` column is relative to.

    Returns
    -------
    float32 of shape (n_items, 5)
        Columns as in :data:`LOOKS`, each of mean 0 and standard deviation 1
        over the photos that could be read; 0 for every other product.
    """
    looks = np.zeros((len(items), len(LOOKS)), dtype=np.float32)
    thumbnails: list[npt.NDArray[np.uint8]] = []
    found: list[int] = []
    for position, photo in enumerate(items.table["photo"]):
        if photos_root is None or not photo:
            continue
        try:
            thumbnails.append(read_photo(photos_root / photo, (_SIDE, _SIDE)))
        except DataError:
            continue  # a shop's missing photos are ingest's to report; here such a product looks like nothing
        found.append(position)
    if not found:
        return looks
    pixels = np.stack(thumbnails).reshape(len(found), -1, 3).astype(np.float32) / 255
    weight = np.clip((np.linalg.norm(1 - pixels, axis=2) - 0.2) / 0.4, 0.02, 1)
    weight /= weight.sum(axis=1, keepdims=True)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    light = pixels.mean(axis=2)
    brightness = (light * weight).sum(axis=1)
    columns = [
        brightness,
        ((pixels.max(axis=2) - pixels.min(axis=2)) * weight).sum(axis=1),
        ((red - blue) * weight).sum(axis=1),
        ((green - (red + blue) / 2) * weight).sum(axis=1),
        np.sqrt((((light - brightness[:, None]) ** 2) * weight).sum(axis=1)),
    ]
    measured = np.stack(columns, axis=1)
    spread = measured.std(axis=0)
    looks[found] = (measured - measured.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    return looks
