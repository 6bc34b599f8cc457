"""Vectors are kept by content: what changed is encoded, and nothing else; what is kept is what would be made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from engine_shop import edit_products, flip_a_byte, make_shop, set_options
from vetrina import Shop, create_shop
from vetrina.core import Silent
from vetrina.core.errors import ConfigError
from vetrina.encode import TfidfEncoder
from vetrina.engine import encoding
from vetrina.simulate import write_shop
from vetrina.testing import small_shop

Counts = dict[str, dict[str, int]]


def build(shop: Shop) -> Counts:
    counts: Counts = shop.build()["metrics"]["encoding"]
    for count in counts.values():
        assert count["encoded"] + count["reused"] + count["missing"] == count["items"]
    return counts


def vectors(shop: Shop, modality: str = "text") -> np.ndarray[Any, Any]:
    return np.array(shop.items.vectors[modality])


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counts]:
    """A shop with texts and attributes alone, built once."""
    shop = make_shop(tmp_path_factory.mktemp("texts"), events=False, photos=False)
    return shop.root.parent, build(shop)


@pytest.fixture
def shop(first: tuple[Path, Counts], tmp_path: Path) -> Shop:
    """A copy of it, to be changed."""
    return Shop.open(shutil.copytree(first[0], tmp_path / "copy") / "shop")


def write_generated(folder: Path) -> Path:
    """600 products of the generated shop: 60 that are drawn, which takes long, and nine variants of each."""
    products = write_shop(folder, n_items=60, rng=0)
    table = pl.read_csv(products)
    rows = []
    for number in range(600):
        row = table.row(number % 60, named=True)
        photo = f"photos/v{number}.jpg"
        # What follows the end of a JPEG is not looked at, but it is another file.
        (folder / photo).write_bytes((folder / row["photo"]).read_bytes() + str(number).encode())
        told = {"id": f"v{number}", "title": f"{row['title']} {number}", "price": row["price"] + number, "photo": photo}
        rows.append(row | told)
    pl.DataFrame(rows, schema=table.schema).write_csv(products)
    return products


@pytest.mark.slow
def test_one_title_changed_is_one_text_encoded_in_less_than_a_third_of_the_time(
    tmp_path: Path, report: Callable[[str], None]
) -> None:
    products = write_generated(tmp_path)
    create_shop(tmp_path / "shop", items_file=products)
    # Fewer filters learned from fewer photos: the first build, which the second is compared with, is the
    # quicker for it. Photos are named by a column, and lie beside the file that names them.
    shop = set_options(
        tmp_path / "shop", {"# filters = 200": "filters = 40", "# fit_photos = 5000": "fit_photos = 200"}
    )
    made = shop.build()["metrics"]
    assert {name: count["encoded"] for name, count in made["encoding"].items()} == dict.fromkeys(made["encoding"], 600)
    before, ids = vectors(shop), shop.items.ids

    edit_products(shop, {ids[7]: {"title": "Embroidered velvet slippers with pompons"}})
    again = shop.build()["metrics"]
    assert again["encoding"]["text"] == {"items": 600, "missing": 0, "encoded": 1, "reused": 599, "learned": 0}
    assert again["encoding"]["photo"] == {"items": 600, "missing": 0, "encoded": 0, "reused": 600, "learned": 0}
    assert again["encoding"]["attributes"]["encoded"] == 0
    # A hundredth, usually: there is room for a machine that is busy with something else just then.
    assert again["encoding_seconds"] < made["encoding_seconds"] / 3
    report(f"600 products encoded in {made['encoding_seconds']:.1f} s, one in {again['encoding_seconds']:.2f} s")

    changed = np.flatnonzero(np.any(vectors(shop) != before, axis=1))
    assert changed.tolist() == [7]
    assert shop.search("pompon slippers", k=3).results[0].item == ids[7]


def test_equal_contents_are_encoded_once(first: tuple[Path, Counts]) -> None:
    # Products 12 apart have the same title, category, brand and colour, but another price.
    assert first[1]["text"] == {"items": 24, "missing": 0, "encoded": 12, "reused": 12, "learned": 1}
    assert first[1]["attributes"]["encoded"] == 24
    text = vectors(Shop.open(first[0] / "shop"))
    assert np.array_equal(text[:12], text[12:])
    assert np.linalg.norm(text[0] - text[1]) > 0.1


def test_a_changed_photo_is_one_photo_encoded(tmp_path: Path) -> None:
    shop = make_shop(tmp_path)
    assert build(shop)["photo"]["learned"] == 1
    before = vectors(shop, "photo")
    Image.new("RGB", (30, 40), (0, 200, 0)).save(tmp_path / "photos" / "p03.jpg")
    (tmp_path / "photos" / "p04.jpg").write_text("not a photo", encoding="utf-8")
    counts = build(shop)
    assert counts["photo"] == {"items": 24, "missing": 1, "encoded": 1, "reused": 22, "learned": 0}
    assert counts["text"]["encoded"] == counts["attributes"]["encoded"] == 0
    assert np.flatnonzero(np.any(vectors(shop, "photo") != before, axis=1)).tolist() == [3, 4]
    assert not vectors(shop, "photo")[4].any()


def test_photos_are_learned_anew_when_their_texts_are_others(tmp_path: Path) -> None:
    """What words say of photos is learned from the titles: of new ones nothing would be known."""
    make_shop(tmp_path, events=False)
    tiny = {"width = 48": 16, "height = 64": 16, "patch = 8": 2, "filters = 200": 2, "palette = 48": 4}
    shop = set_options(tmp_path / "shop", {f"# {old}": f"{old.split()[0]} = {new}" for old, new in tiny.items()})
    build(shop)
    ids = shop.items.ids
    edit_products(shop, {ids[0]: {"name": "Something else"}})
    assert build(shop)["photo"]["learned"] == 0
    edit_products(shop, {item: {"name": f"Kleid {item}"} for item in ids})
    counts = build(shop)
    assert (counts["photo"]["learned"], counts["attributes"]["learned"]) == (1, 0)


def test_a_damaged_cache_is_learned_anew_and_gives_the_same(shop: Shop) -> None:
    before = vectors(shop)
    (cache,) = (shop.root / "media").glob("text-*")
    files = sorted(path.relative_to(cache) for path in cache.rglob("*") if path.is_file())
    assert {"cache.json", "keys.parquet", "vectors.npy"} < {path.name for path in files}
    for file in files:
        flip_a_byte(cache / file)
        assert build(shop)["text"]["learned"] == 1, file
        assert np.array_equal(vectors(shop), before), file
    (cache / "vectors.npy").unlink()
    assert build(shop)["text"]["learned"] == 1
    assert build(shop)["text"]["learned"] == 0


def test_other_options_have_a_cache_of_their_own(shop: Shop) -> None:
    before = vectors(shop)
    other = set_options(shop.root, {"# dim = 128": "dim = 4"})
    counts = build(other)
    assert (counts["text"]["learned"], counts["attributes"]["learned"]) == (1, 0)
    assert vectors(other).shape == (24, 4)
    # An option that is written out as its default stands changes nothing; back at the first, all is still there.
    back = set_options(shop.root, {"dim = 4": "dim = 128"})
    assert build(back)["text"] == {"items": 24, "missing": 0, "encoded": 0, "reused": 24, "learned": 0}
    assert np.array_equal(vectors(back), before)


def test_many_small_changes_are_a_large_one(shop: Shop) -> None:
    """Each build changes a sixth of the catalogue, less than refit_share, but all of them together do not."""
    learned = []
    for turn in range(3):
        some = {f"p{4 * turn + n:02d}": {"name": f"Quilted marquee number {turn}{n}"} for n in range(4)}
        edit_products(shop, some)
        counts = build(shop)
        learned.append(counts["text"]["learned"])
    assert learned == [0, 1, 0]
    edit_products(shop, {f"p{n:02d}": {"name": f"Gilded lantern {n}"} for n in range(24)})
    assert build(shop)["text"]["learned"] == 1
    assert shop.search("gilded lantern").results[0].title.startswith("Gilded lantern")


def test_what_is_no_longer_there_does_not_fill_the_cache(shop: Shop) -> None:
    (cache,) = (shop.root / "media").glob("attributes-*")
    sizes = []
    for turn in range(10):
        edit_products(shop, {f"p{n:02d}": {"price": str(100 + 50 * turn + n)} for n in range(4)})
        assert build(shop)["attributes"]["encoded"] == 4
        sizes.append(len(np.load(cache / "vectors.npy")))
    assert sizes == [24] * 10


def test_a_build_that_ends_while_it_encodes_has_learned_nevertheless(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_products(shop, {f"p{n:02d}": {"name": f"Gilded lantern {n}"} for n in range(24)})
    transform = TfidfEncoder.transform

    def interrupted(encoder: TfidfEncoder, contents: Any) -> Any:
        if len(contents):
            raise KeyboardInterrupt
        return transform(encoder, contents)

    with monkeypatch.context() as patched:
        patched.setattr(TfidfEncoder, "transform", interrupted)
        with pytest.raises(KeyboardInterrupt):
            shop.build()
    assert build(shop)["text"] == {"items": 24, "missing": 0, "encoded": 24, "reused": 0, "learned": 0}
    assert shop.search("gilded lantern").results[0].title.startswith("Gilded lantern")


@pytest.mark.parametrize("changed", [False, True])
def test_slices_of_a_few_items_make_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool) -> None:
    """24 items in slices of 5, of which two are in memory, and 3 encoded at once; twins lie 12 apart."""
    shop = make_shop(tmp_path / "whole", events=False, photos=False)
    sliced = make_shop(tmp_path / "sliced", events=False, photos=False)
    for one in (shop, sliced):
        if one is sliced:
            for name, value in {"_SLICE": 5, "_SLICES": 2, "_PART": 3}.items():
                monkeypatch.setattr(encoding, name, value)
        build(one)
        if changed:
            edit_products(one, {"p03": {"name": "Gilded lantern"}, "p19": {"name": "Gilded lantern"}})
            build(one)
    for modality in ("text", "attributes", "fused"):
        # The fused ones come from an eigendecomposition, which carries rounding on.
        np.testing.assert_allclose(vectors(sliced, modality), vectors(shop, modality), atol=1e-5)


def test_contents_are_a_sequence_read_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_SLICE", 5)
    monkeypatch.setattr(encoding, "_SLICES", 2)
    items, _ = small_shop()
    whole, hashes = TfidfEncoder().read(items, Path())
    with Silent().step("Reading") as step:
        contents = encoding._Contents(TfidfEncoder(), items, Path(), step)
    assert contents.keys.to_list() == hashes
    assert list(contents) == list(whole) == contents[:]
    assert len(contents) == len(whole)
    assert contents[3:17:4] == list(whole[3:17:4])
    assert (contents[-1], contents[np.int64(7)]) == (whole[-1], whole[7])
    with pytest.raises(IndexError):
        contents[len(whole)]


def test_the_device_is_told_before_learning_and_before_encoding(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    for name in ("fit", "transform"):
        method = getattr(TfidfEncoder, name)

        def noted(encoder: TfidfEncoder, *given: Any, method: Any = method, name: str = name) -> Any:
            told.append(f"{name} on {encoder.device}")
            return method(encoder, *given)

        monkeypatch.setattr(TfidfEncoder, name, noted)
    shop.use_device("cuda")
    build(shop)
    assert told == []  # nothing has changed
    edit_products(shop, {"p00": {"name": "Gilded lantern"}})
    build(shop)
    assert set(told) == {"transform on cuda"}
    edit_products(shop, {f"p{n:02d}": {"name": f"Gilded lantern {n}"} for n in range(24)})
    build(shop)
    assert set(told) == {"transform on cuda", "fit on cuda"}
    assert Shop.open(shop.root).engine.encoders["text"].device == "cpu"
    with pytest.raises(ConfigError, match=r"build.device: .*Got 'gpu'"):
        shop.use_device("gpu")
