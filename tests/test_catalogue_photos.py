"""Photos: what cannot be read is set aside; what can be read is upright, in RGB, on white."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vetrina.catalogue.photos import check_photos
from vetrina.core.errors import DataError, MissingFile
from vetrina.core.photo import content_hash, read_photo


def bomb(path: Path, side: int = 60_000) -> None:
    """A PNG of some bytes that claims to be side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def test_unreadable_photos_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    Image.new("RGB", (60, 80), "red").save(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no photo")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:-200])
    (tmp_path / "folder.jpg").mkdir()
    bomb(tmp_path / "bomb.png")
    bomb(tmp_path / "large.png", 9_000)
    names = ["good.jpg", "", "empty.jpg", "text.jpg", "cut.jpg", "folder.jpg", "bomb.png", "large.png", "gone.jpg"]
    kept, quarantine = check_photos(tmp_path, names, rows=range(2, 11), name="p.csv")
    assert kept == ["good.jpg", *[""] * 8]
    assert quarantine["value"].to_list() == names[2:]
    assert quarantine["row"].to_list() == list(range(4, 11))
    assert quarantine["file"].unique().to_list() == ["p.csv"]
    reasons = quarantine["reason"].to_list()
    expected = [
        "empty (0 bytes)",
        "not a photo",
        "damaged",
        "cannot be opened",
        "too many pixels",
        "too many pixels (9,000 × 9,000; at most 64 million are opened)",
        "no such photo",
    ]
    for reason, part in zip(reasons, expected, strict=True):
        assert part in reason


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise, left becomes top
    image.save(tmp_path / "turned.png", exif=exif)
    photo = read_photo(tmp_path / "turned.png", (20, 40))
    assert photo[5, 10].tolist() == [255, 0, 0]
    assert photo[35, 10].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (200, 30, 30), "png", (200, 30, 30)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), "png", (255, 127, 127)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("L", 90, "png", (90, 90, 90)),
        ("I;16", 90 * 256, "png", (90, 90, 90)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "tiff", (255, 0, 0)),
        ("RGB", (10, 200, 10), "webp", (10, 200, 10)),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(
    tmp_path: Path, mode: str, colour: tuple[int, ...] | int, suffix: str, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (16, 16), colour).save(path, lossless=True)
    photo = read_photo(path, (8, 8))
    assert photo.shape == (8, 8, 3)
    assert photo.dtype == np.uint8
    np.testing.assert_allclose(photo[4, 4], expected, atol=1)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    assert read_photo(tmp_path / "a.gif", (4, 4))[2, 2].tolist() == [255, 0, 0]


def test_a_large_jpeg_keeps_its_proportions_on_white(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 800), (0, 0, 250)).save(tmp_path / "a.jpg", quality=95)
    photo = read_photo(tmp_path / "a.jpg", (64, 64))
    np.testing.assert_allclose(photo[32, 32], (0, 0, 250), atol=4)
    assert photo[2, 32].tolist() == [255, 255, 255]
    assert photo[61, 32].tolist() == [255, 255, 255]


def test_reading_what_is_no_photo_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("words")
    with pytest.raises(DataError, match=r"a\.jpg: the file is not a photo"):
        read_photo(tmp_path / "a.jpg", (8, 8))
    with pytest.raises(MissingFile, match=r"b\.jpg: there is no such photo"):
        read_photo(tmp_path / "b.jpg", (8, 8))


def test_content_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()
    assert content_hash(tmp_path / "b") == ""
