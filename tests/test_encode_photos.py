"""Which photos an item has, their decoding in order, and one vector of several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import Image

from vetrina.core import Items
from vetrina.core.photo import Photo, content_hash, read_photo
from vetrina.encode.photos import decoded, encode_photos, photo_contents


def read(source: Photo) -> npt.NDArray[np.uint8]:
    return read_photo(source, (4, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shade in range(7):
        Image.new("RGB", (8, 8), (shade * 30,) * 3).save(tmp_path / f"{shade}.png")
    (tmp_path / "bad.png").write_bytes(b"no photo")
    return tmp_path


def table(photo: list[str | None], more: list[list[str] | None] | None = None) -> Items:
    columns: dict[str, object] = {"item": [str(n) for n in range(len(photo))], "photo": photo}
    if more is not None:
        columns["more_photos"] = pl.Series(more, dtype=pl.List(pl.String))
    return Items(pl.DataFrame(columns))


def test_the_photo_comes_first_and_each_once(folder: Path) -> None:
    items = table(["0.png", "", None, "3.png"], [["1.png", "0.png", "2.png"], ["4.png"], None, []])
    contents, hashes = photo_contents(items, folder)
    names = [[Path(str(path)).name for path in content] for content in contents]
    assert names == [["0.png", "1.png", "2.png"], ["4.png"], [], ["3.png"]]
    assert [bool(one) for one in hashes] == [True, True, False, True]
    assert hashes[3] == content_hash(folder / "3.png")


def test_any_photo_that_changes_changes_the_hash(folder: Path) -> None:
    items = table(["0.png"], [["1.png", "gone.png"]])
    before = photo_contents(items, folder)[1]
    assert photo_contents(items, folder)[1] == before
    Image.new("RGB", (8, 8), "red").save(folder / "1.png")
    assert photo_contents(items, folder)[1] != before
    assert photo_contents(table(["gone.png"]), folder)[1] == [""]


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_photos_come_in_order_with_their_content(folder: Path, chunk: int) -> None:
    def path(shade: int) -> str:
        return str(folder / f"{shade}.png")

    pixels = np.full((8, 8, 3), 90, dtype=np.uint8)
    contents = [
        path(0),
        (path(1), str(folder / "bad.png"), path(2)),
        (),
        "",
        pixels,
        (folder / "4.png").read_bytes(),
        "x",
    ]
    parts = list(decoded(contents, read, chunk))
    photos, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert photos[:, 2, 2, 0].tolist() == [0, 30, 60, 90, 120]
    assert rows.tolist() == [0, 1, 1, 4, 5]
    assert max(len(part) for part, _ in parts) <= chunk


def test_nothing_readable_is_nothing(folder: Path) -> None:
    assert list(decoded(["", str(folder / "bad.png")], read)) == []
    assert encode_photos([str(folder / "bad.png")], lambda _: np.ones((0, 3), dtype=np.float32), 3, read).tolist() == [
        [0] * 3
    ]


def test_the_vector_of_several_photos_is_the_mean_of_their_unit_vectors(folder: Path) -> None:
    def encode(photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        shade = photos[:, 2, 2, 0].astype(np.float32)
        return np.stack([shade, 100 - shade], axis=1)

    one, other = (np.array(pair) / np.linalg.norm(pair) for pair in ([30.0, 70.0], [90.0, 10.0]))
    expected = (one + other) / np.linalg.norm(one + other)
    asked = [tuple(str(folder / name) for name in ("1.png", "bad.png", "3.png"))]
    np.testing.assert_allclose(encode_photos(asked, encode, 2, read), [expected], atol=1e-6)
