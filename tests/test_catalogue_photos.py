"""Photos: what cannot be read is set aside; what can be read is upright, in RGB, on white."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine_shop import make_shop
from vetrina import Shop
from vetrina.catalogue.media import check_files
from vetrina.core.errors import DataError, MissingFile
from vetrina.core.photo import content_hash, open_photo, read_photo
from vetrina.evaluate.building import build_shop


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
    kept, quarantine = check_files(tmp_path, names, rows=range(2, 11), name="p.csv")
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


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the photos that are decoded to be checked; every file was written an hour ago."""
    found: list[str] = []

    def watched(source: Path, side: int) -> Image.Image:
        found.append(source.name)
        return open_photo(source, side)

    monkeypatch.setattr("vetrina.catalogue.media.open_photo", watched)
    # A file's last change is the kernel's to say, so the clock is moved.
    now = time.time_ns()
    monkeypatch.setattr("vetrina.core.file_hash.time.time_ns", lambda: now + 3_600_000_000_000)
    return found


def set_aside(shop: Shop) -> list[tuple[str, str]]:
    """What ingest says of photos: (file, reason)."""
    rows = pl.read_parquet(shop.root / "data" / "quarantine.parquet").filter(pl.col("column") == "photo")
    return sorted((Path(path).name, reason) for path, reason in rows.select("value", "reason").iter_rows())


def test_a_photo_that_did_not_change_is_decoded_once(tmp_path: Path, opened: list[str]) -> None:
    """Reasons and counts of bad ones stay: those are looked at every time."""
    shop = make_shop(tmp_path)
    photos = sorted((tmp_path / "photos").iterdir())
    photos[0].write_bytes(b"")
    photos[1].write_text("no photo")
    shop.ingest()
    assert sorted(opened) == [photo.name for photo in photos]
    before = set_aside(shop)
    assert [name for name, _ in before] == [photos[0].name, photos[1].name]
    opened.clear()
    counts = shop.ingest()
    assert sorted(opened) == [photos[0].name, photos[1].name]
    assert set_aside(shop) == before
    assert counts["quarantined"] == 2


def test_a_photo_that_changed_is_decoded_again(tmp_path: Path, opened: list[str]) -> None:
    shop = make_shop(tmp_path)
    photos = sorted((tmp_path / "photos").iterdir())
    photos[0].write_bytes(b"")
    shop.ingest()
    photos[0].write_bytes(photos[1].read_bytes())
    told, content = photos[1].stat(), photos[1].read_bytes()
    photos[1].write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    os.utime(photos[1], ns=(told.st_atime_ns, told.st_mtime_ns))  # of the same size, and as old as before
    photos[2].unlink()
    opened.clear()
    shop.ingest()
    assert sorted(opened) == [photo.name for photo in photos[:3]]
    assert [name for name, _ in set_aside(shop)] == [photos[1].name, photos[2].name]
    assert "no such photo" in set_aside(shop)[1][1]


@pytest.mark.parametrize("lost", ["deleted", "damaged", "other decoder"])
def test_what_is_known_of_photos_may_be_lost(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    shop = make_shop(tmp_path)
    shop.ingest()
    every = sorted(opened)
    known = shop.root / "media" / "photos.parquet"
    if lost == "deleted":
        known.unlink()
    elif lost == "damaged":
        known.write_bytes(known.read_bytes()[:-9])
    else:
        monkeypatch.setattr("vetrina.catalogue.media._OPENED", "opened by another Pillow")
    opened.clear()
    shop.ingest()
    assert sorted(opened) == every


# The four quarters of a photo as it was seen, by colour; and how each EXIF orientation stores it (TIFF 6.0, tag 274).
QUARTERS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0))
STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: seen.transpose(1, 0, 2)[::-1],
    7: lambda seen: seen.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda seen: seen.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    seen = np.zeros((64, 48, 3), dtype=np.uint8)
    for number, colour in enumerate(QUARTERS):
        top, left = number // 2 * 32, number % 2 * 24
        seen[top : top + 32, left : left + 24] = colour
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(STORED[orientation](seen))).save(path, exif=exif, quality=95)
    photo = read_photo(path, (48, 64))
    middles = [photo[top, left] for top in (16, 48) for left in (12, 36)]
    np.testing.assert_allclose(middles, QUARTERS, atol=12)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (200, 30, 30), "png", (200, 30, 30)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), "png", (255, 127, 127)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("L", 90, "png", (90, 90, 90)),
        ("I;16", 90 * 256, "png", (90, 90, 90)),
        ("I;16", 65535, "tiff", (255, 255, 255)),
        ("F", 0.5, "tiff", (128, 128, 128)),
        ("1", 1, "png", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "tiff", (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "jpg", (255, 0, 0)),  # with Adobe's marker, which says that it is stored inverted
        ("L", 90, "jpg", (90, 90, 90)),
        ("RGB", (10, 200, 10), "webp", (10, 200, 10)),
        ("RGB", (10, 200, 10), "avif", (10, 200, 10)),
        ("RGB", (10, 200, 10), "bmp", (10, 200, 10)),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(
    tmp_path: Path, mode: str, colour: tuple[int, ...] | int, suffix: str, expected: tuple[int, int, int]
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (16, 16), colour).save(path, lossless=True, quality=95)
    photo = read_photo(path, (8, 8))
    assert photo.shape == (8, 8, 3)
    assert photo.dtype == np.uint8
    np.testing.assert_allclose(photo[4, 4], expected, atol=3)


def test_a_palette_with_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 16, 8))
    image.save(tmp_path / "a.png", transparency=0)
    photo = read_photo(tmp_path / "a.png", (16, 16))
    assert photo[3, 3].tolist() == [255, 255, 255]
    assert photo[12, 3].tolist() == [0, 0, 255]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    assert read_photo(path, (4, 4))[2, 2].tolist() == [255, 0, 0]


def test_a_wrong_suffix_and_damaged_metadata_do_not_hurt(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert read_photo(tmp_path / "a.jpg", (8, 8))[4, 4].tolist() == [0, 0, 255]
    # A directory of tags that points behind the end of the file, of which Pillow warns.
    tags = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0"
    Image.new("RGB", (16, 16), (0, 0, 250)).save(tmp_path / "b.jpg", exif=tags, quality=95)
    np.testing.assert_allclose(read_photo(tmp_path / "b.jpg", (8, 8))[4, 4], (0, 0, 250), atol=3)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "jpg"), ("L", "png")])
def test_a_photo_of_fifty_megapixels_is_read(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.new(mode, (8192, 6144), "white")
    image.paste("black", (4096, 0, 8192, 6144))
    path = tmp_path / f"large.{suffix}"
    image.save(path, quality=30, compress_level=1)
    assert check_files(tmp_path, [path.name])[0] == [path.name]
    photo = read_photo(path, (64, 48))
    assert photo[:, :30].min() > 250
    assert photo[:, 34:].max() < 5


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_damaged_is_read_or_said_to_be_damaged(data: st.DataObject) -> None:
    file = BytesIO()
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif}))
    damaged = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(0, len(damaged)))
    with suppress(DataError):  # anything else is a crash
        assert read_photo(bytes(damaged[:kept]), (8, 8)).shape == (8, 8, 3)


def test_a_picture_of_one_line_keeps_its_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 1), "red").save(tmp_path / "line.png")
    photo = read_photo(tmp_path / "line.png", (8, 8))
    assert (photo == [255, 0, 0]).all(axis=2).sum() == 8


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


@pytest.mark.slow
def test_a_build_reports_bad_photos_by_reason(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, events=False)
    folder = tmp_path / "photos"
    cut = (folder / "p00.jpg").read_bytes()
    for number, content in enumerate([cut[: len(cut) // 2], cut[:-30], b"this is no photo", b""]):
        (folder / f"p{number:02d}.jpg").write_bytes(content)
    bomb(folder / "p04.jpg")
    bomb(folder / "p05.jpg", 9_000)
    (folder / "p06.jpg").unlink()
    manifest, _ = build_shop(shop, measure=False)
    told = {one["reason"]: one["count"] for one in manifest["metrics"]["set_aside"] if one["column"] == "photo"}
    assert told == {
        "the photo is damaged": 2,
        "the photo has too many pixels": 2,
        "the file is not a photo": 1,
        "the photo is empty": 1,
        "there is no such photo": 1,
    }
    assert manifest["items"] == 24
    assert manifest["metrics"]["encoding"]["photo"]["missing"] == 7
    report = shop.report_path()
    assert report is not None
    page = report.read_text(encoding="utf-8")
    assert "What could not be used" in page
    for reason in told:
        assert reason in page
