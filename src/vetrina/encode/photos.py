"""What photo encoders share: which photos an item has, their decoding, and one vector for several of them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Items
from vetrina.core.errors import DataError
from vetrina.core.media import Frame, can_read_clips, frames_of
from vetrina.core.photo import Photo, content_hash
from vetrina.encode.base import unit_rows

__all__ = ["decoded", "encode_photos", "photo_contents"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_log = logging.getLogger(__name__)

_AT_ONCE = 4  # photos of one part, in the network at once

_FRAMES = 6  # of a video that stands in for photos


def photo_contents(items: Items, root: Path) -> tuple[list[tuple[str | Frame, ...]], list[str]]:
    """The photos of every item: what a photo encoder's ``read`` gives.

    For an item without a photo frames of its video stand in, so that whatever asks for
    looks, a photo that is sent or a similar product, finds it among those with photos.

    Parameters
    ----------
    items : Items
        ``photo`` comes first, then ``more_photos`` and ``video`` where the table has such columns.
    root : Path
        Where relative paths begin.

    Returns
    -------
    contents : list of tuple of str or Frame
        Paths, or frames of the video; () for an item that names neither.
    hashes : list of str
        Of all files of the item together; "" where none can be read.

    Examples
    --------
    >>> import polars as pl
    >>> photo_contents(Items(pl.DataFrame({"photo": ["a.jpg", ""]})), Path("shop"))
    ([('shop/a.jpg',), ()], ['', ''])
    """
    first = items.table["photo"].fill_null("").to_list()
    more: list[list[str] | None] = [None] * len(first)
    if "more_photos" in items.table.columns:
        more = items.table["more_photos"].cast(pl.List(pl.String)).to_list()
    contents: list[tuple[str | Frame, ...]] = [
        tuple(str(root / path) for path in dict.fromkeys([one, *(others or [])]) if path)
        for one, others in zip(first, more, strict=True)
    ]
    if "video" in items.table.columns and can_read_clips():
        for row, video in enumerate(items.table["video"].fill_null("")):
            if video and not contents[row]:
                contents[row] = frames_of(str(root / video), _FRAMES)
    with ThreadPoolExecutor(_threads()) as pool:
        return contents, list(pool.map(_hash_of_all, contents))


def _hash_of_all(photos: tuple[str | Frame, ...]) -> str:
    files = dict.fromkeys(photo.path if isinstance(photo, Frame) else photo for photo in photos)
    hashes = [found for file in files if (found := content_hash(file))]
    if len(hashes) < 2:
        return "".join(hashes)
    return hashlib.blake2b("".join(hashes).encode(), digest_size=16).hexdigest()


def decoded(
    contents: Sequence[Any], read: Callable[[Photo], Photos], chunk: int = 64
) -> Iterator[tuple[Photos, npt.NDArray[np.int64]]]:
    """Every readable photo of every content, chunk by chunk; the next chunk is decoded while the caller computes.

    What cannot be read is left out: the build's check of the photos is what
    reports it. Threads decode, for Pillow leaves Python's lock. To encode, rather
    than to learn, see :func:`encode_photos`.

    Parameters
    ----------
    contents : sequence
        Each a path, the bytes of a file, pixels (uint8 of shape (height, width, 3)), or a
        tuple of such: several photos of one item. "" and () have none.
    read : callable
        Photo to uint8 of shape (height, width, 3), the same for all; raises ``DataError``
        for what it cannot read. :func:`~vetrina.core.photo.read_photo` with a size, for one.
    chunk : int
        Photos in memory at once are twice as many.

    Yields
    ------
    photos : uint8 of shape (n, height, width, 3)
        Of at most ``chunk`` photos.
    rows : int64 of shape (n,)
        Which content each is of.
    """
    rows = [row for row, content in enumerate(contents) for _ in _each(content)]
    sources = [source for content in contents for source in _each(content)]

    def one(source: Photo) -> Photos | None:
        return _read_or_none(source, read)

    with ThreadPoolExecutor(_threads()) as pool:
        ahead: list[Future[Photos | None]] = [pool.submit(one, source) for source in sources[:chunk]]
        for start in range(0, len(sources), chunk):
            running = ahead
            ahead = [pool.submit(one, source) for source in sources[start + chunk : start + 2 * chunk]]
            found = [future.result() for future in running]
            kept = [at for at, photo in enumerate(found) if photo is not None]
            if kept:
                yield (
                    np.stack([photo for photo in found if photo is not None]),
                    np.array([rows[start + at] for at in kept], dtype=np.int64),
                )


def _read_or_none(source: Photo, read: Callable[[Photo], Photos]) -> Photos | None:
    try:
        return read(source)
    except DataError as error:
        _log.info("%s", error)
        return None


def encode_photos(
    contents: Sequence[Any], encode: Callable[[Photos], Floats], dim: int, read: Callable[[Photo], Photos]
) -> Floats:
    """One vector per content: the mean of the unit vectors of its readable photos, of unit length; zero without any.

    Parameters
    ----------
    contents : sequence
        As in :func:`decoded`.
    encode : callable
        uint8 of shape (n, height, width, 3) to float32 of shape (n, dim).
    dim : int
    read : callable
        As in :func:`decoded`.

    Returns
    -------
    float32 of shape (len(contents), dim)

    Examples
    --------
    >>> black, white = (np.full((2, 2, 3), value, dtype=np.uint8) for value in (0, 255))
    >>> def is_white(photos):
    ...     share = photos.mean(axis=(1, 2, 3), keepdims=True).reshape(-1, 1).astype(np.float32) / 255
    ...     return np.concatenate([share, 1 - share], axis=1)
    >>> encode_photos([white, (black, white), ()], is_white, 2, lambda photo: photo).round(2).tolist()
    [[1.0, 0.0], [0.7099999785423279, 0.7099999785423279], [0.0, 0.0]]
    """
    rows = [row for row, content in enumerate(contents) for _ in _each(content)]
    sources = [source for content in contents for source in _each(content)]

    def vectors_of(start: int) -> tuple[Floats, list[int]]:
        read_ones = [_read_or_none(source, read) for source in sources[start : start + _AT_ONCE]]
        kept = [at for at, photo in enumerate(read_ones) if photo is not None]
        if not kept:
            return np.zeros((0, dim), dtype=np.float32), []
        photos = np.stack([photo for photo in read_ones if photo is not None])
        return unit_rows(encode(photos)), [rows[start + at] for at in kept]

    sums = np.zeros((len(contents), dim), dtype=np.float32)
    # One part for each core, from reading to the network: threads that share a network's layers wait for one another,
    # and longer where others decode meanwhile.
    with ThreadPoolExecutor(_threads()) as pool:
        for vectors, places in pool.map(vectors_of, range(0, len(sources), _AT_ONCE)):
            np.add.at(sums, places, vectors)
    return unit_rows(sums)


def _each(content: Any) -> tuple[Photo, ...]:
    if isinstance(content, tuple):
        return content
    return () if isinstance(content, str) and not content else (content,)


def _threads() -> int:
    return min(4, os.cpu_count() or 1)
