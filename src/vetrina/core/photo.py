"""Reading a photo as it is meant to be seen: any usual format in, upright RGB out."""

from __future__ import annotations

import hashlib
import stat
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError, MissingFile
from vetrina.core.file_hash import file_hash
from vetrina.core.media import Frame

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "Photo", "content_hash", "open_photo", "read_photo"]

#: A picture that claims more pixels than this is not opened: a few kilobytes can unpack to gigabytes.
MAX_PIXELS = 64_000_000

#: A file, the bytes of one, pixels (uint8 of shape (height, width, 3)), or a frame of a video.
Photo = str | Path | bytes | npt.NDArray[np.uint8] | Frame

# Only what shops use, so that a file cannot reach the rarer, less tried decoders.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")

# A photo of more pixels than this is decoded one at a time: threads would each hold some hundred megabytes.
_LARGE = 16_000_000
_one_large = Lock()

# Filters of warnings are the process's, not a thread's.
_one_quiet = Lock()


def read_photo(source: Photo, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode a photo, turn it upright, and fit it on a white ground of fixed size.

    The aspect ratio is kept: what is left of the frame stays white. What is
    done to the pixels before is said at :func:`open_photo`.

    Parameters
    ----------
    source : str, Path, bytes, uint8 of shape (height, width, 3), or Frame
        A file, the bytes of one, pixels, or a frame of a video.
    size : (int, int)
        Width and height of the result in pixels.

    Returns
    -------
    uint8 of shape (height, width, 3)

    Raises
    ------
    MissingFile
        When the file does not exist.
    DataError
        When it is not a picture, is damaged, or claims more than :data:`MAX_PIXELS` pixels.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> file = BytesIO()
    >>> Image.new("RGB", (30, 40), "red").save(file, "png")
    >>> photo = read_photo(file.getvalue(), (48, 64))
    >>> photo.shape, photo[32, 24].tolist()
    ((64, 48, 3), [255, 0, 0])
    """
    from PIL import Image

    upright = open_photo(source, max(size))
    # Pictures of one pixel's width stay visible.
    scale = min(size[0] / upright.width, size[1] / upright.height)
    width, height = (max(1, min(round(side * scale), most)) for side, most in zip(upright.size, size, strict=True))
    # At twice the frame and more, averaging areas is both fast and faithful.
    method = Image.Resampling.BOX if scale <= 0.5 else Image.Resampling.BILINEAR
    ground = Image.new("RGB", size, "white")
    ground.paste(upright.resize((width, height), method), ((size[0] - width) // 2, (size[1] - height) // 2))
    return np.asarray(ground, dtype=np.uint8)


def open_photo(source: Photo, side: int) -> Image.Image:
    """Decode a photo as an upright RGB picture of Pillow's.

    The EXIF orientation is applied, transparency is laid over white; CMYK,
    greyscale of 8 or 16 bits and palettes become RGB; of an animation the first
    frame is read. A large photo may come scaled down by a whole number, with at
    least ``2 * side`` pixels on each side. Damaged metadata do not hurt the picture.

    Parameters
    ----------
    source : str, Path, bytes, uint8 of shape (height, width, 3), or Frame
    side : int
        The longer side that is wanted of it in the end, in pixels.

    Raises
    ------
    MissingFile
        When the file does not exist.
    DataError
        When it is not a picture, is damaged, or claims more than :data:`MAX_PIXELS` pixels. What is
        in parentheses at the end of the message is detail; what is before them is the kind of fault.

    Examples
    --------
    >>> import numpy as np
    >>> open_photo(np.zeros((40, 30, 3), dtype=np.uint8), 64).size
    (30, 40)
    >>> open_photo(b"", 64)
    Traceback (most recent call last):
        ...
    vetrina.core.errors.DataError: the photo that was sent: the photo is empty (0 bytes)
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, Frame):
        source = source.read()
    if isinstance(source, np.ndarray):
        return Image.fromarray(source).convert("RGB")
    where = "the photo that was sent" if isinstance(source, bytes) else Path(source).name
    try:
        data = BytesIO(_bytes(source, where))
        with _quiet():
            image = Image.open(data, formats=_FORMATS)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(where, f"{width:,} × {height:,}")
        with _alone(width * height, image.format or ""):
            return _decoded(image, side)
    except DataError:
        raise
    except UnidentifiedImageError:
        known = "JPEG, PNG, WebP, GIF, AVIF, BMP or TIFF"
        raise DataError(f"{where}: the file is not a photo (expected {known})") from None
    except Image.DecompressionBombError:
        raise _too_large(where, "hundreds of millions") from None
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged files.
        raise DataError(f"{where}: the photo is damaged ({error})") from error


def _bytes(source: str | Path | bytes, where: str) -> bytes:
    """A file's contents, read whole, so that no decoder waits for the disk while others do."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            path = Path(source)
            if not stat.S_ISREG(path.stat().st_mode):
                raise DataError(f"{where}: the photo cannot be opened (not a file)")
            data = path.read_bytes()
        except FileNotFoundError:
            raise MissingFile(f"{where}: there is no such photo") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{where}: the photo cannot be opened ({reason})") from None
    if not data:
        raise DataError(f"{where}: the photo is empty (0 bytes)")
    return data


def _too_large(where: str, pixels: str) -> DataError:
    return DataError(
        f"{where}: the photo has too many pixels ({pixels}; at most {MAX_PIXELS // 1_000_000} million are opened)"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of damaged metadata and of large pictures; neither is news here."""
    with _one_quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _alone(pixels: int, format: str) -> AbstractContextManager[object]:
    # JPEG decodes straight to a part of its size.
    return _one_large if pixels > _LARGE and format != "JPEG" else nullcontext()


def _decoded(image: Image.Image, side: int) -> Image.Image:
    # JPEG can be decoded at a half, quarter or eighth for a fraction of the work.
    image.draft(None, (2 * side, 2 * side))
    image.load()
    turn = _orientation(image)
    averages = image.mode in {"L", "LA", "RGB", "RGBA", "RGBX", "CMYK"}
    by = min(image.size) // (2 * side)
    if averages and by > 1 and image.width * image.height > _LARGE // 4:
        image = image.reduce(by)
    rgb = _rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """What turns the picture upright (EXIF tag 274); None where it is, or where its metadata cannot be read."""
    from PIL import Image

    turns = (
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    )
    with _quiet():
        try:
            found = image.getexif().get(0x0112)
        except Exception:  # noqa: BLE001  (as above: anything, and the picture is good without it)
            return None
    return turns[found - 2] if isinstance(found, int) and 2 <= found <= 8 else None


def _rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # 16 or 32 bits of grey, which Pillow would clip to white
        grey = np.nan_to_num(np.asarray(image, dtype=np.float32))
        least = 255.0 if image.mode.startswith("I") else 1.0
        white = 65535.0 if image.mode.startswith("I;16") else max(float(grey.max()), least)
        grey *= np.float32(255 / white)
        return Image.fromarray((grey + 0.5).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def content_hash(source: str | Path | bytes) -> str:
    """Hash of a file's bytes (BLAKE2b, 32 hexadecimal digits); "" when it cannot be read.

    Examples
    --------
    >>> content_hash(b"") == content_hash(b"x")
    False
    >>> content_hash("no/such/photo.jpg")
    ''
    """
    return hashlib.blake2b(source, digest_size=16).hexdigest() if isinstance(source, bytes) else file_hash(source)
