"""Reading a photo as it is meant to be seen: any usual format in, one small RGB array out."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError, MissingFile

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "content_hash", "read_photo"]

#: A picture that claims more pixels than this is not opened: a few kilobytes can unpack to gigabytes.
MAX_PIXELS = 64_000_000


Photo = str | Path | bytes | npt.NDArray[np.uint8]


def read_photo(source: Photo, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode a photo, turn it upright, and fit it on a white ground of fixed size.

    The EXIF orientation is applied, transparency is laid over white, and CMYK,
    greyscale and palette pictures become RGB; of an animation the first frame
    is read. The aspect ratio is kept: what is left of the frame stays white.

    Parameters
    ----------
    source : str, Path, bytes, or uint8 of shape (height, width, 3)
        A file, the bytes of one, or pixels.
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
        When it is not a picture, is cut short, or claims more than :data:`MAX_PIXELS` pixels.

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

    where = str(source) if isinstance(source, str | Path) else "the uploaded photo"
    try:
        if isinstance(source, np.ndarray):
            return _fit(Image.fromarray(source), size)
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{where}: {width} x {height} pixels, more than the {MAX_PIXELS // 1_000_000} million allowed. "
                    "Make the photo smaller."
                )
            return _fit(image, size)
    except FileNotFoundError as error:
        raise MissingFile(f"{where}: there is no such photo. Check the photo column and the folder.") from error
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{where}: claims too many pixels. Make the photo smaller.") from error
    # Pillow's decoders raise all of these on damaged files.
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, KeyError, OverflowError) as error:
        raise DataError(f"{where}: cannot be read as a photo ({error}). Expected JPEG, PNG, WebP or GIF.") from error


def _fit(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    # JPEG can be decoded at a half, quarter or eighth for a fraction of the work.
    # Both sides get the longer one, for the picture may yet be turned.
    image.draft("RGB", (max(size) * 2, max(size) * 2))
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):  # 16 or 32 bits of grey
        grey = np.asarray(upright, dtype=np.float64)
        grey *= 255 / max(float(grey.max()), 255.0)
        upright = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if "A" in upright.getbands() or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        upright = Image.new("RGB", layer.size, "white")
        upright.paste(layer, mask=layer.getchannel("A"))
    upright = upright.convert("RGB")
    # At twice the frame and more, averaging areas is both fast and faithful.
    large = upright.width >= 2 * size[0] and upright.height >= 2 * size[1]
    method = Image.Resampling.BOX if large else Image.Resampling.BILINEAR
    fitted = ImageOps.contain(upright, size, method=method)
    ground = Image.new("RGB", size, "white")
    ground.paste(fitted, ((size[0] - fitted.width) // 2, (size[1] - fitted.height) // 2))
    return np.asarray(ground, dtype=np.uint8)


def content_hash(source: str | Path | bytes) -> str:
    """Hash of a file's bytes (BLAKE2b, 32 hexadecimal digits); "" when it cannot be read.

    Examples
    --------
    >>> content_hash(b"") == content_hash(b"x")
    False
    >>> content_hash("no/such/photo.jpg")
    ''
    """
    if isinstance(source, bytes):
        return hashlib.blake2b(source, digest_size=16).hexdigest()
    try:
        with open(source, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""
