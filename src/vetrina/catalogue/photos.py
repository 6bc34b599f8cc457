"""Photos: which of them can be read, and reading them.

A photo that is missing, empty, damaged, no picture at all, or so large that
opening it would fill the memory goes to quarantine; its item stays, without a photo.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image, ImageOps, UnidentifiedImageError

from vetrina.catalogue.tables import QUARANTINE_COLUMNS
from vetrina.core.errors import DataError, MissingFile
from vetrina.core.progress import Progress, Silent

__all__ = ["MAX_PIXELS", "check_photos", "content_hash", "read_photo"]

#: A photo of more pixels than this is refused: a few kilobytes of PNG can claim gigabytes.
MAX_PIXELS = 64_000_000

# Only what shops use, so that a file cannot reach the rarer, less tried decoders.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def check_photos(
    root: Path,
    paths: Sequence[str],
    *,
    rows: Sequence[int] | None = None,
    name: str = "",
    progress: Progress | None = None,
) -> tuple[list[str], pl.DataFrame]:
    """Try every photo.

    Parameters
    ----------
    root : Path
        Folder that the paths start from.
    paths : sequence of str
        One per item; "" for an item that has none.
    rows : sequence of int, optional
        The items' rows in their file, for quarantine; counted from 1 when absent.
    name : str
        The items' file, for quarantine.
    progress : Progress, optional

    Returns
    -------
    kept : list of str
        The paths, "" where the photo cannot be read.
    quarantine : DataFrame
        One row for each unreadable photo; ``value`` is its path.
    """
    shown = progress or Silent()
    kept: list[str] = []
    bad: list[tuple[str, int, str, str, str]] = []
    numbers = range(1, len(paths) + 1) if rows is None else rows
    with shown.step("check photos", total=len(paths)) as step, ThreadPoolExecutor(os.cpu_count()) as pool:
        # Decoding leaves Python's lock, so that threads do use all cores.
        reasons = pool.map(lambda path: _trouble(root / path) if path else "", paths, chunksize=64)
        for path, row, reason in zip(paths, numbers, reasons, strict=True):
            kept.append("" if reason else path)
            if reason:
                bad.append((name, row, "photo", path, reason))
            step.advance()
    return kept, pl.DataFrame(bad, schema=QUARANTINE_COLUMNS, orient="row")


def _trouble(path: Path) -> str:
    """Why a photo cannot be used, or ""."""
    try:
        _open(path, 32).close()
    except DataError as error:
        return str(error).removeprefix(f"{path.name}: ")
    return ""


def _open(path: Path, size: int) -> Image.Image:
    """The decoded first frame, at least ``size`` pixels on its shorter side where the file has them."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name}: the photo is empty (0 bytes)")
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata, which does not hurt the picture.
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=_FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                image.close()
                raise DataError(
                    f"{path.name}: the photo claims {width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are opened"
                )
            # JPEG decodes straight to a half, quarter or eighth of its size when that is enough.
            image.draft(None, (size, size))
            image.load()
    except UnidentifiedImageError:
        raise DataError(f"{path.name}: the file is not a photo (JPEG, PNG, WebP, GIF, BMP or TIFF)") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path.name}: the photo claims more than {MAX_PIXELS:,} pixels") from None
    except FileNotFoundError:
        raise MissingFile(f"{path.name}: there is no such photo") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{path.name}: the photo cannot be opened ({error.strerror})") from None
        # What Pillow's decoders raise on damaged files is any of these.
        raise DataError(f"{path.name}: the photo is damaged ({error})") from None
    return image


def read_photo(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """One photo, upright, in RGB, scaled to ``size``.

    EXIF rotation is applied, transparent parts are laid over white, and of an
    animation the first frame is taken. The photo is scaled to fit and centred on
    white, so that its proportions stay.

    Parameters
    ----------
    path : Path
    size : (int, int)
        Height and width wanted, pixels.

    Returns
    -------
    uint8 of shape (height, width, 3)

    Raises
    ------
    DataError
        When the file is no readable photo; :class:`MissingFile` when there is none.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "red.png"
    >>> Image.new("RGB", (40, 20), "red").save(path)
    >>> photo = read_photo(path, (20, 20))
    >>> photo.shape, photo[10, 10].tolist(), photo[0, 0].tolist()
    ((20, 20, 3), [255, 0, 0], [255, 255, 255])
    """
    height, width = size
    with _open(path, max(height, width)) as image:
        upright = _rgb(ImageOps.exif_transpose(image))
    fitted = ImageOps.contain(upright, (width, height), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return np.array(canvas, dtype=np.uint8)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Sixteen bits of grey: Pillow would clip them to white.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def content_hash(path: Path) -> str:
    """BLAKE2b of a file's bytes, 128 bits in hex; "" when it cannot be read.

    Examples
    --------
    >>> content_hash(Path("no such file"))
    ''
    """
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""
