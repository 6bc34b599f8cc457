"""Video from outside: frames, clips that are none, and shops whose products have clips and no photos."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from PIL import Image

from clips import moving, sound, write_sound, write_video
from vetrina import ConfigError, Shop, create_shop
from vetrina.catalogue.ingest import read_items
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import Items, Silent, component_class
from vetrina.core.errors import DataError, MissingFile, NotFitted
from vetrina.core.media import Frame, frames_of, read_sound
from vetrina.core.photo import read_photo
from vetrina.encode import PhotoEncoder, VideoEncoder

SMALL: dict[str, Any] = {"filters": 24, "palette": 8, "dim": 16, "width": 32, "height": 24, "patch": 5, "stride": 2}
COLOURS = {"red": (200, 30, 40), "blue": (40, 60, 200), "green": (30, 150, 60)}
SHAPES = ("disc", "bar", "ring")
NAMES = [f"{colour}-{shape}" for colour in COLOURS for shape in SHAPES]


def clip(folder: Path, name: str, seed: int, ending: str = "mp4") -> str:
    colour, shape = name.split("-")
    return write_video(folder / f"{name}{seed}.{ending}", moving(COLOURS[colour], shape, seed=seed)).name


# --- frames ---


@pytest.mark.parametrize("gap", [1, 10, 1000])
def test_frames_are_evenly_spread(tmp_path: Path, gap: int) -> None:
    """A clip that grows lighter from frame to frame, with many key frames, some, and only the first."""
    shades = [np.full((48, 64, 3), 4 * number, dtype=np.uint8) for number in range(60)]
    path = write_video(tmp_path / "v.mp4", shades, key_frames=gap)
    found = [float(frame.read().mean()) / 4 for frame in frames_of(str(path), 4)]
    assert found == sorted(found)
    assert len(set(np.round(found))) == 4
    if gap == 1:
        np.testing.assert_allclose(found, [7.5, 22.5, 37.5, 52.5], atol=1.5)


def test_frames_are_upright_and_bounded(tmp_path: Path) -> None:
    wide = np.zeros((120, 1200, 3), dtype=np.uint8)
    assert Frame(str(write_video(tmp_path / "wide.mp4", [wide] * 3))).read().shape == (51, 512, 3)
    photo = read_photo(Frame(str(tmp_path / "wide.mp4")), (40, 40))
    assert photo.shape == (40, 40, 3)
    assert photo[20, 20].max() < 20
    assert photo[0, 0].min() == 255


BAD = {
    "empty.mp4": "the clip is empty (0 bytes)",
    "text.mp4": "no sound or video at all",
    "cut.mp4": "no sound or video at all",
    "list.m3u8": "no sound or video at all",
    "tone.mp3": "the clip holds no picture",
    "gone.mp4": "there is no such clip",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good clip, and files that are none."""
    folder = tmp_path_factory.mktemp("clips")
    good = clip(folder, "red-disc", 0)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video " * 50)
    (folder / "cut.mp4").write_bytes((folder / good).read_bytes()[:400])
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:3,\n{folder / good}\n#EXT-X-ENDLIST\n")
    write_sound(folder / "tone.mp3", sound("flute", [300.0]))
    return folder


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_video_is_said(folder: Path, name: str) -> None:
    with pytest.raises(MissingFile if name == "gone.mp4" else DataError) as error:
        Frame(str(folder / name)).read()
    assert BAD[name] in str(error.value)


def test_a_damaged_clip_gives_what_can_be_read_of_it_or_nothing(folder: Path) -> None:
    """Bytes of the pictures are exchanged for noise: no frame, or some frame, and never a crash."""
    whole = (folder / "red-disc0.mp4").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(20):
        damaged = bytearray(whole)
        start = int(rng.integers(40, len(whole) - 200))
        damaged[start : start + 150] = rng.bytes(150)
        (folder / f"damaged{number}.mp4").write_bytes(damaged)
    encoder = VideoEncoder(frames=3, photo_options=SMALL)
    items = Items(pl.DataFrame({"video": [f"damaged{number}.mp4" for number in range(20)] + ["red-disc0.mp4"]}))
    contents, _ = encoder.read(items, folder)
    good = [contents[-1]]
    vectors = encoder.fit(described(1), good, Silent()).transform(contents)
    assert np.isfinite(vectors).all()
    assert vectors[-1].any()


@pytest.mark.parametrize("name", ["v.mp4", "a.m4a", "a.mp3", "a.flac", "a.wav"])
def test_whatever_bytes_are_wrong_a_clip_is_read_or_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "v.mp4":
        write_video(path, moving((200, 0, 0), "disc", n_frames=12))
    else:
        write_sound(path, sound("bell", [300.0], seconds=0.3))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    said = []
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, rng.choice([200, len(whole)]), rng.integers(1, 30)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(whole))] if rng.random() < 0.2 else damaged)
        try:
            if name == "v.mp4":
                assert max(Frame(str(path)).read().shape) <= 512
            else:
                samples = read_sound(path, 16_000, 1.0)
                assert len(samples) <= 16_000
                assert np.isfinite(samples).all()
        except DataError as error:
            said.append(str(error))
    assert said
    assert all(text.startswith(f"{name}: the ") for text in said)


def test_bad_clips_go_to_quarantine_and_their_items_stay(folder: Path) -> None:
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(["red-disc0.mp4", *BAD]))
    (folder / "p.csv").write_text("sku,clip\n" + rows)
    read = read_items(ItemMapping(file="p.csv", item="sku", video="clip", max_bad_share=0.0), folder)
    assert read.table["video"].to_list() == ["red-disc0.mp4", *[""] * len(BAD)]
    assert read.quarantine.select("column", "value").rows() == [("video", name) for name in BAD]
    for reason, wanted in zip(read.quarantine["reason"], BAD.values(), strict=True):
        assert wanted in reason


# --- the encoder ---


def described(n_items: int, **columns: list[str]) -> Items:
    texts = {name: [""] * n_items for name in ("title", "description", "category", "brand", "colour")}
    prices = pl.Series("price", [None] * n_items, dtype=pl.Float64)
    return Items(
        pl.DataFrame({"item": [str(number) for number in range(n_items)], **texts, **columns, "price": prices})
    )


def test_a_vector_is_the_mean_of_its_frames(folder: Path) -> None:
    frames = frames_of(str(folder / "red-disc0.mp4"), 5)
    encoder = VideoEncoder(frames=5, photo_options=SMALL).fit(described(1), [frames], Silent())
    photo = PhotoEncoder(**SMALL).fit(described(1), [frames], Silent())
    each = photo.transform([frame.read() for frame in frames])
    mean = each.mean(axis=0)
    np.testing.assert_allclose(encoder.transform([frames])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_photo_of_a_query_finds_the_clip_that_shows_it(tmp_path: Path) -> None:
    items = described(
        9, video=[clip(tmp_path, name, 1) for name in NAMES], title=[name.replace("-", " ") for name in NAMES]
    )
    encoder = VideoEncoder(photo_options=SMALL)
    contents, _ = encoder.read(items, tmp_path)
    vectors = encoder.fit(items, contents, Silent()).transform(contents)
    for name in NAMES:
        colour, shape = name.split("-")
        path = tmp_path / "asked.png"
        Image.fromarray(moving(COLOURS[colour], shape, seed=7)[15]).save(path)
        asked = encoder.transform_photos([path.read_bytes()])
        assert asked is not None
        assert NAMES[int(np.argmax(vectors @ asked[0]))] == name


def test_options_are_checked_when_made() -> None:
    with pytest.raises(ConfigError, match="must be an encoder of photos"):
        VideoEncoder(photo_encoder="tfidf")
    with pytest.raises(ConfigError, match=r"no encoder 'convet'\. Did you mean 'convnet'"):
        VideoEncoder(photo_encoder="convet")
    with pytest.raises(ConfigError, match="filtres"):
        VideoEncoder(photo_options={"filtres": 3})
    with pytest.raises(ConfigError, match="room for 1 of the 3 windows"):
        VideoEncoder(photo_options={"stride": 99})
    with pytest.raises(NotFitted):
        VideoEncoder().transform([])


def test_saved_is_loaded(folder: Path, tmp_path: Path) -> None:
    frames = frames_of(str(folder / "red-disc0.mp4"), 3)
    encoder = VideoEncoder(frames=3, photo_options=SMALL).fit(described(1), [frames], Silent())
    encoder.save(tmp_path / "encoder")
    loaded = component_class("encoder", "video").load(tmp_path / "encoder")
    assert isinstance(loaded, VideoEncoder)
    np.testing.assert_array_equal(loaded.transform([frames]), encoder.transform([frames]))


# --- shops ---


def shop_of(folder: Path, sections: str, photos: bool) -> Shop:
    """27 products, three of each colour and shape, in any order, of which nothing is written.

    Each has a clip and no photo; with ``photos`` those of number 0 have a photo and no clip.
    """
    order = np.random.default_rng(0).permutation(27).tolist()
    with (folder / "products.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sku", "price", "image", "clip"])
        for place in order:
            name, seed = NAMES[place // 3], place % 3
            colour, shape = name.split("-")
            image = f"{name}{seed}.png" if photos and seed == 0 else ""
            if image:
                Image.fromarray(moving(COLOURS[colour], shape, seed=seed)[15]).save(folder / image)
            rows.writerow([f"{name}{seed}", 5, image, "" if image else clip(folder, name, seed)])
    create_shop(folder / "shop", items_file=folder / "products.csv")
    settings = folder / "shop" / "shop.toml"
    text = settings.read_text().replace("# filters = 200", "filters = 60")
    assert 'video = "clip"' in text
    settings.write_text(text + sections)
    shop = Shop.open(folder / "shop")
    shop.build()
    return shop


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Photos and clips, and shop.toml as it is made."""
    return shop_of(tmp_path_factory.mktemp("mixed"), "", photos=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_products_with_a_clip_are_found_among_those_with_photos(mixed: Shop, name: str) -> None:
    """Without any setting: from the one with a photo both with clips, and the other way round."""
    for seed in range(3):
        found = {result.item for result in mixed.similar(f"{name}{seed}", k=2).results}
        assert found == {f"{name}{other}" for other in range(3) if other != seed}


@pytest.mark.slow
def test_a_shop_ranks_the_visually_nearest_first_by_its_video_encoder(tmp_path: Path) -> None:
    settings = (
        '\n[encode.video]\nencoder = "video"\n[encode.video.options]\nframes = 4\nphoto_options = { filters = 60 }\n'
    )
    shop = shop_of(tmp_path, settings, photos=False)
    counts = shop.snapshots.manifest(str(shop.snapshots.current()))["metrics"]["encoding"]
    assert counts["video"]["encoded"] == 27
    for name in NAMES:
        found = {result.item for result in shop.similar(f"{name}0", k=2).results}
        assert found == {f"{name}1", f"{name}2"}


@pytest.mark.slow
def test_frames_through_a_public_model_in_the_shops_folder(tmp_path: Path) -> None:
    """Which of its files they depend on, and where it lies, is as it is for photos."""
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "means.onnx"
    model.with_suffix(".json").write_text('{"size": 16}')
    items = Items(described(1).table.with_columns(video=pl.Series([clip(tmp_path, "red-disc", 0)])))
    encoder = VideoEncoder(photo_encoder="pretrained", photo_options={"model": "models/means.onnx"})
    sources = []
    for number in (1.0, 2.0):
        weights = np.diag([number, 1.0, 1.0]).astype(np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("ReduceMean", ["photo"], ["mean"], axes=[2, 3], keepdims=0),
                helper.make_node("MatMul", ["mean", "weights"], ["vectors"]),
            ],
            "means",
            [helper.make_tensor_value_info("photo", TensorProto.FLOAT, ["n", 3, 16, 16])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 3])],
            [helper.make_tensor("weights", TensorProto.FLOAT, (3, 3), weights.tobytes(), raw=True)],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), model)
        sources.append(encoder.source(tmp_path))
    assert sources[0] != sources[1] != ""
    contents, _ = encoder.read(items, tmp_path)
    assert encoder.fit(items, contents, Silent()).transform(contents)[0].argmax() == 0
