"""Colour as the eye measures it: CIELAB, and what of a photo is the product and not its background."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["cielab", "foreground", "lab_of_codes"]

Floats = npt.NDArray[np.float32]

_LEVELS = 32  # steps of each of red, green and blue in the table of colours
_SURE = 15.0  # distance in CIELAB from the background's colour at which a pixel is fully of the product


def cielab(rgb: npt.ArrayLike) -> Floats:
    """Colours in sRGB, 0 to 255, as CIELAB under D65 (IEC 61966-2-1, CIE 15), where equal steps look about equal.

    Parameters
    ----------
    rgb : array_like of shape (..., 3)

    Returns
    -------
    float32 of the same shape

    Examples
    --------
    >>> cielab([0, 0, 255]).round().tolist()
    [32.0, 79.0, -108.0]
    """
    share = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    to_xyz = np.array([[0.412456, 0.357576, 0.180438], [0.212673, 0.715152, 0.072175], [0.019334, 0.119192, 0.950304]])
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    bent = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


@cache
def lab_of_codes() -> Floats:
    """CIELAB of every colour code of :func:`foreground`: float32 of shape (32768, 3), not to be written to."""
    steps = (np.arange(_LEVELS) + 0.5) * (256 / _LEVELS)
    lab = cielab(np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3))
    lab.flags.writeable = False
    return lab


def foreground(photos: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Which colour every pixel has, and how surely it is of the product.

    The background is the median colour of the photo's border.

    Parameters
    ----------
    photos : uint8 of shape (n, height, width, 3)

    Returns
    -------
    code : int64 of shape (n, height, width)
        Row of :func:`lab_of_codes`.
    share : float32 of shape (n, height, width)
        From 0, background, to 1, product.
    """
    lab = lab_of_codes()
    steps = photos.astype(np.int64) // (256 // _LEVELS)
    code = (steps[..., 0] * _LEVELS + steps[..., 1]) * _LEVELS + steps[..., 2]
    seen = lab[code]
    border = np.concatenate([seen[:, 0], seen[:, -1], seen[:, :, 0], seen[:, :, -1]], axis=1)
    ground = np.median(border, axis=1)[:, None, None]
    return code, np.minimum(np.linalg.norm(seen - ground, axis=-1) / np.float32(_SURE), 1).astype(np.float32)
