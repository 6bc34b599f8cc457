"""Photos, sound and video of items: by patterns, by columns, as ``init`` guesses them; and what becomes of bad ones."""

from __future__ import annotations

import unicodedata
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from PIL import Image

from clips import moving, sound, write_sound, write_video
from vetrina import ConfigError, MissingFile, create_shop
from vetrina.catalogue.ingest import Ingested, read_items
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import ITEM_COLUMNS
from vetrina.engine.config import read_config
from vetrina.engine.create import create_from_tables

Form = Literal["NFC", "NFD"]


def draw(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "red").save(folder / name)


def read(folder: Path, rows: str, **options: str) -> Ingested:
    (folder / "p.csv").write_text(rows)
    return read_items(ItemMapping(file="p.csv", item="sku", max_bad_share=0.0, **options), folder)  # type: ignore[arg-type]


def test_a_pattern_gives_each_file_to_the_product_with_the_longest_id(tmp_path: Path) -> None:
    draw(
        tmp_path / "img", *(f"{name}.jpg" for name in ("12", "12_2", "12_10", "12_3", "12_3_back", "1_a", "4-a", "9_x"))
    )
    found = read(tmp_path, "sku\n12\n12_3\n1\n4\n", photos="img", photo="{item}.jpg", more_photos="{item}_*.jpg")
    assert found.table["photo"].to_list() == ["img/12.jpg", "img/12_3.jpg", "img/1_a.jpg", ""]
    assert found.table["more_photos"].to_list() == [
        ["img/12_10.jpg", "img/12_2.jpg"],
        ["img/12_3_back.jpg"],
        [],
        [],
    ]
    assert found.quarantine.select("row", "column").rows() == [(4, "photo"), (5, "photo")]


def test_one_pattern_for_all_photos_in_a_folder_for_each_product(tmp_path: Path) -> None:
    draw(tmp_path / "img", "a/2.png", "a/1.png", "b/9.png", "b/deep/1.png", "c[1]/1.png", ".a/0.png")
    found = read(tmp_path, "sku\na\nb\nc[1]\nd\n../a\n", photos="img", photo="{item}/*.png", more_photos="{item}/*.png")
    assert found.table["photo"].to_list() == ["img/a/1.png", "img/b/9.png", "img/c[1]/1.png", "", ""]
    assert found.table["more_photos"].to_list() == [["img/a/2.png"], [], [], [], []]
    assert found.quarantine.height == 0


@pytest.mark.parametrize(
    "cell",
    [
        "1.jpg|2.jpg|3.jpg",
        "1.jpg;2.jpg; 3.jpg",
        "1.jpg, 2.jpg,3.jpg",
        '["1.jpg", "2.jpg", "3.jpg"]',
        "1.jpg\n2.jpg\n3.jpg",
    ],
)
def test_one_column_of_all_photos(tmp_path: Path, cell: str) -> None:
    draw(tmp_path / "img", "1.jpg", "2.jpg", "3.jpg")
    quoted = cell.replace('"', '""')
    found = read(
        tmp_path, f'sku,images\na,"{quoted}"\nb,\nc,2.jpg\n', photos="img", photo="images", more_photos="images"
    )
    assert found.table["photo"].to_list() == ["img/1.jpg", "", "img/2.jpg"]
    assert found.table["more_photos"].to_list() == [["img/2.jpg", "img/3.jpg"], [], []]


def test_bad_further_photos_go_to_quarantine_and_the_good_stay(tmp_path: Path) -> None:
    draw(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "bad.jpg").write_text("no photo")
    rows = 'sku,main,more\na,1.jpg,"bad.jpg,2.jpg,1.jpg,2.jpg,gone.jpg"\nb,,https://shop.example/x.jpg\n'
    found = read(tmp_path, rows, photo="main", more_photos="more")
    assert found.table["more_photos"].to_list() == [["2.jpg"], []]
    assert found.quarantine.select("row", "column", "value").rows() == [
        (2, "more_photos", "bad.jpg"),
        (2, "more_photos", "gone.jpg"),
    ]
    assert any("1 photos are given as web addresses" in note for note in found.notes)


def test_where_the_photo_is_bad_the_first_good_one_takes_its_place(tmp_path: Path) -> None:
    draw(tmp_path, "2.jpg", "3.jpg")
    (tmp_path / "bad.jpg").write_text("no photo")
    rows = 'sku,main,more\na,bad.jpg,"gone.jpg,2.jpg,3.jpg"\nb,,3.jpg\nc,bad.jpg,\n'
    found = read(tmp_path, rows, photo="main", more_photos="more")
    assert found.table.select("photo", "more_photos").rows() == [("2.jpg", ["3.jpg"]), ("3.jpg", []), ("", [])]
    assert found.quarantine.select("row", "column", "value").rows() == [
        (2, "photo", "bad.jpg"),
        (2, "more_photos", "gone.jpg"),
        (4, "photo", "bad.jpg"),
    ]


@pytest.mark.parametrize(("told", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_with_marks_may_be_written_otherwise_in_the_table(tmp_path: Path, told: Form, written: Form) -> None:
    """One character or two: "é" in a table, and in the name of a file that was made on a Mac."""
    table, disk = (partial(unicodedata.normalize, form) for form in (told, written))
    names = [disk(f"é/{name}.jpg") for name in ("ñ", "ö", "ö_2")]
    draw(tmp_path, *names)
    write_sound(tmp_path / disk("é/ü.wav"), sound("flute", [300.0], seconds=0.2))
    write_video(tmp_path / disk("é/å.mp4"), moving((9, 9, 9), "bar", n_frames=5))
    rows = table("sku,image,images,sound,film\nñ,ñ.jpg,ñ.jpg|ö.jpg,ü.wav,å.mp4\nö,,,,ç.mp4\n")
    columns = {"audio": "sound", "video": "film", "media": table("é"), "photos": table("é")}
    found = read(tmp_path, rows, photo="image", more_photos="images", **columns)
    row = found.table.row(0, named=True)
    assert (row["photo"], row["more_photos"]) == (names[0], [names[1]])
    assert (row["audio"], row["video"]) == (disk("é/ü.wav"), disk("é/å.mp4"))
    assert found.quarantine.select("column", "value").rows() == [("video", table("é/ç.mp4"))]
    found = read(tmp_path, rows, photo="{item}.jpg", more_photos="{item}_*.jpg", photos=table("é"))
    assert found.table["photo"].to_list() == names[:2]
    assert found.table["more_photos"].to_list() == [[], [names[2]]]
    found = read(tmp_path, rows, photo=table("é/{item}*.jpg"), more_photos=table("é/{item}*.jpg"))
    assert found.table["photo"].to_list() == names[:2]
    assert found.table["more_photos"].to_list() == [[], [names[2]]]
    mapping, notes = made(tmp_path, {"id": ["1"], "title": ["One"], "image": [table("é/ñ.jpg")]})
    assert (mapping.photo, notes) == ("image", [])


def test_patterns_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"more_photos: .*has a \* before \{item\}"):
        ItemMapping.parse({"file": "p.csv", "item": "sku", "more_photos": "*/{item}.jpg"}, "items")
    with pytest.raises(MissingFile, match=r"no folder .*clips, in which audio = '\{item\}.mp3'"):
        read(tmp_path, "sku\na\n", media="clips", audio="{item}.mp3")


def made(folder: Path, columns: dict[str, list[str]], **options: Path) -> tuple[ItemMapping, list[str]]:
    pl.DataFrame(columns).write_csv(folder / "products.csv")
    notes = create_shop(folder / "shop", items_file=folder / "products.csv", force=True, **options)  # type: ignore[arg-type]
    return read_config(folder / "shop" / "shop.toml").items, notes


def test_init_guesses_columns_of_photos_sound_and_video(tmp_path: Path) -> None:
    draw(tmp_path / "pics", "1.jpg", "2.jpg", "1b.jpg", "1c.jpg")
    (tmp_path / "clips").mkdir()
    write_sound(tmp_path / "clips" / "1.mp3", sound("flute", [300.0], seconds=0.2))
    write_video(tmp_path / "clips" / "2.mp4", moving((9, 9, 9), "bar", n_frames=5))
    columns = {
        "id": ["1", "2", "3"],
        "title": ["One", "Two", "Three"],
        "image_link": ["1.jpg", "2.jpg", ""],
        "additional_image_link": ["1b.jpg,1c.jpg", "1c.jpg", ""],
        "preview_url": ["1.mp3", "", ""],
        "video": ["", "2.mp4", ""],
    }
    mapping, notes = made(tmp_path, columns, photos=tmp_path / "pics", media=tmp_path / "clips")
    assert (mapping.photos, mapping.photo, mapping.more_photos) == ("../pics", "image_link", "additional_image_link")
    assert (mapping.media, mapping.audio, mapping.video) == ("../clips", "preview_url", "video")
    assert notes == []
    found = read_items(mapping, tmp_path / "shop").table
    assert found["more_photos"].list.len().to_list() == [2, 1, 0]
    assert (found["audio"].to_list(), found["video"].to_list()) == (
        ["../clips/1.mp3", "", ""],
        ["", "../clips/2.mp4", ""],
    )
    _, notes = made(tmp_path, columns)
    assert any("'preview_url' and 'video'" in note and "found under" in note for note in notes)


@pytest.mark.parametrize("name", ["images", "image"])
def test_init_takes_one_column_of_all_photos_for_both(tmp_path: Path, name: str) -> None:
    draw(tmp_path, "1.jpg", "2.jpg")
    mapping, _ = made(tmp_path, {"id": ["1", "2"], "title": ["One", "Two"], name: ["1.jpg, 2.jpg", "2.jpg"]})
    assert (mapping.photo, mapping.more_photos, mapping.photos) == (name, name, "..")


@pytest.mark.parametrize(
    ("files", "photo", "more"),
    [
        (["1.jpg", "2.jpg", "1_a.jpg"], "{item}.jpg", "{item}_*.jpg"),
        (["1.jpg", "2.jpg"], "{item}.jpg", ""),
        (["1/front.webp", "1/back.webp", "2/front.webp"], "{item}/*.webp", "{item}/*.webp"),
        (["1-1.png", "1-2.png", "2-1.png"], "{item}-*.png", "{item}-*.png"),
    ],
)
def test_init_finds_photos_by_what_they_are_called(tmp_path: Path, files: list[str], photo: str, more: str) -> None:
    draw(tmp_path / "pics", *files)
    mapping, notes = made(tmp_path, {"id": ["1", "2"], "title": ["One", "Two"]}, photos=tmp_path / "pics")
    assert (mapping.photo, mapping.more_photos) == (photo, more)
    assert notes == []


def test_init_finds_clips_by_what_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    columns = {"id": ["1", "2"], "title": ["One", "Two"]}
    _, notes = made(tmp_path, columns, media=tmp_path / "clips")
    assert any("No clip in" in note and "1.mp3" in note for note in notes)
    for name in ("1.WAV", "2.webm"):
        (tmp_path / "clips" / name).touch()
    mapping, _ = made(tmp_path, columns, media=tmp_path / "clips")
    assert (mapping.media, mapping.audio, mapping.video) == ("../clips", "{item}.WAV", "{item}.webm")
    with pytest.raises(MissingFile, match="not a folder of sound or video"):
        made(tmp_path, columns, media=tmp_path / "nowhere")


def test_media_of_canonical_tables_come_in_by_the_same_door(tmp_path: Path) -> None:
    draw(tmp_path / "there", "a.jpg", "b.jpg")
    write_sound(tmp_path / "there" / "a.wav", sound("bell", [300.0], seconds=0.2))
    texts = {name: ["", ""] for name, kind in ITEM_COLUMNS.items() if kind == pl.String()}
    columns = {**texts, "item": ["1", "2"], "more_photos": [["a.jpg", "b.jpg"], []], "audio": ["a.wav", "gone.wav"]}
    table = pl.DataFrame({**columns, "price": [1.0, 2.0], "in_stock": [True, True], "available_at": [None, None]})
    table = table.select(pl.col(name).cast(kind) for name, kind in ITEM_COLUMNS.items())
    shop = tmp_path / "shop"
    create_from_tables(
        shop, items=table, events=None, judgements=None, photos_root=tmp_path / "there", name="Two", overrides=None
    )
    found = read_items(read_config(shop / "shop.toml").items, shop)
    assert found.table["photo"].to_list() == ["../there/a.jpg", ""]
    assert found.table["more_photos"].to_list() == [["../there/b.jpg"], []]
    assert found.table["audio"].to_list() == ["../there/a.wav", ""]
    assert found.quarantine["column"].to_list() == ["audio"]
