"""The audio encoder from outside: a golden spectrogram, planted timbres, clips that are none, and a shop of sounds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import signal

from clips import RATE, TIMBRES, moving, sound, write_sound, write_video
from vetrina import Shop, create_shop
from vetrina.catalogue.ingest import read_items
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core import Items, Silent, component_class
from vetrina.core.errors import DataError, MissingExtra, MissingFile, NotFitted
from vetrina.core.media import read_sound
from vetrina.encode import AudioEncoder
from vetrina.encode.audio import log_mel

# A whole tone apart: the same pitch in another timbre is what could be taken for nearest.
PITCHES = (220.0, 246.9, 277.2, 311.1)
NAMES = [*TIMBRES, "noise"]


def literal_log_mel(samples: npt.NDArray[np.float32], window: int, bands: int) -> npt.NDArray[np.float64]:
    """The definition, written out: SciPy's spectrogram, then each triangle of the mel scale by itself."""
    loud = samples / np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    _, _, spectrum = signal.stft(
        loud, RATE, "hann", nperseg=window, noverlap=window // 2, boundary=None, padded=False, scaling="spectrum"
    )
    power = np.abs(spectrum * signal.get_window("hann", window).sum()) ** 2
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (20, RATE / 2))
    corners = [700 * (10 ** ((low + (high - low) * k / (bands + 1)) / 2595) - 1) for k in range(bands + 2)]
    mels = np.zeros((power.shape[1], bands))
    for frame in range(power.shape[1]):
        for band in range(bands):
            for place in range(window // 2 + 1):
                at = 2595 * np.log10(1 + place * RATE / window / 700)
                left, middle, right = (2595 * np.log10(1 + corners[band + k] / 700) for k in range(3))
                share = max(min((at - left) / (middle - left), (right - at) / (right - middle)), 0)
                mels[frame, band] += share * power[place, frame]
    return np.log(mels + 1e-3 * window)


def test_log_mel_is_as_defined() -> None:
    samples = (sound("organ", [300.0], seconds=0.2) + 0.1 * sound("noise", [1.0], seconds=0.2)).astype(np.float32)
    found, wanted = log_mel(samples, 256, RATE, 12), literal_log_mel(samples, 256, 12)
    assert found.shape == wanted.shape == (33, 12)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_equal_timbres_are_nearest(name: str) -> None:
    """Four chords in each of four timbres: to each the other three of its timbre are nearest."""
    played = [(timbre, sound(timbre, [pitch, 1.25 * pitch])) for timbre in NAMES for pitch in PITCHES]
    encoder = AudioEncoder().fit_contents([samples for _, samples in played])
    vectors = encoder.transform([samples for _, samples in played])
    own = np.array([timbre == name for timbre, _ in played])
    likeness = vectors[own] @ vectors.T
    assert np.all(likeness[:, own].min(axis=1) > likeness[:, ~own].max(axis=1))


def test_loudness_makes_no_difference_and_silence_says_nothing() -> None:
    tone = sound("flute", [300.0])
    encoder = AudioEncoder().fit_contents([tone, sound("bell", [300.0]), sound("noise", [1.0])])
    vectors = encoder.transform([tone, 0.01 * tone, np.zeros_like(tone), tone[:0], tone[:100], ""])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-3)
    assert not vectors[[2, 3, 5]].any()
    assert np.isfinite(vectors[4]).all()
    # Of one sample, and of a click where the window is zero or behind the last one, nothing is heard.
    silence = np.zeros(22_100, dtype=np.float32)
    for clip in (tone[:1] + 0.5, np.eye(1, 22_100, 0, dtype=np.float32)[0], silence + (np.arange(22_100) == 22_099)):
        assert not encoder.transform([clip.astype(np.float32)]).any()


def test_rhythm_tells_equal_sounds_apart() -> None:
    slow, fast = ([sound("bell", [pitch], 6.0, beats) for pitch in (300.0, 310.0, 320.0)] for beats in (60.0, 190.0))
    vectors = AudioEncoder().fit_contents([*slow, *fast]).transform([*slow, *fast])
    likeness = vectors @ vectors.T
    assert min(likeness[0, 1], likeness[0, 2]) > likeness[0, 3:].max()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound in five formats, and files that are no sound."""
    folder = tmp_path_factory.mktemp("sounds")
    tone = sound("organ", [440.0], seconds=3.0)
    for ending in ("wav", "flac", "mp3", "m4a"):
        write_sound(folder / f"tone.{ending}", tone)
    write_sound(folder / "silent.wav", 0 * tone)
    write_video(folder / "mute.mp4", moving((200, 0, 0), "disc"))
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "folder.mp3").mkdir()
    (folder / "text.mp3").write_text("this is no sound " * 50)
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:3,\n{folder / 'tone.wav'}\n#EXT-X-ENDLIST\n")
    damaged = bytearray((folder / "tone.mp3").read_bytes())
    damaged[9000:] = np.random.default_rng(0).bytes(len(damaged) - 9000)
    (folder / "damaged.mp3").write_bytes(damaged)
    (folder / "cut.m4a").write_bytes((folder / "tone.m4a").read_bytes()[:500])
    return folder


BAD = {
    "mute.mp4": "the clip holds no sound",
    "empty.mp3": "is empty (0 bytes)",
    "text.mp3": "no sound or video at all",
    "list.m3u8": "no sound or video at all",
    "cut.m4a": "no sound or video at all",
    "folder.mp3": "the clip cannot be read (not a file)",
    "gone.mp3": "there is no such clip",
}


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "m4a"])
def test_every_format_sounds_alike(folder: Path, ending: str) -> None:
    samples = read_sound(folder / f"tone.{ending}", 16_000, 30)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 48_000) < 1000
    assert abs(np.argmax(np.abs(np.fft.rfft(samples))) * 16_000 / len(samples) - 440) < 1


def test_of_a_long_clip_the_middle_is_read(tmp_path: Path) -> None:
    parts = [sound("flute", [pitch], seconds=4.0) for pitch in (300.0, 600.0, 900.0)]
    write_sound(tmp_path / "long.wav", np.concatenate(parts))
    samples = read_sound(tmp_path / "long.wav", RATE, 2.0)
    assert len(samples) == 2 * RATE
    assert np.argmax(np.abs(np.fft.rfft(samples))) / 2 == 600


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_is_said_and_becomes_zero(folder: Path, name: str) -> None:
    with pytest.raises(MissingFile if name == "gone.mp3" else DataError) as error:
        read_sound(folder / name, 16_000, 30)
    assert BAD[name] in str(error.value)
    encoder = AudioEncoder().fit_contents([str(folder / "tone.wav"), str(folder / name)])
    vectors = encoder.transform([str(folder / name), str(folder / "tone.wav")])
    assert not vectors[0].any()
    assert vectors[1].any()


def test_bad_clips_go_to_quarantine_and_their_items_stay(folder: Path) -> None:
    names = ["tone.mp3", "silent.wav", "damaged.mp3", *BAD]
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names))
    (folder / "p.csv").write_text("sku,clip\n" + rows)
    read = read_items(ItemMapping(file="p.csv", item="sku", audio="clip", max_bad_share=0.0), folder)
    assert read.table["audio"].to_list() == [*names[:3], *[""] * len(BAD)]
    assert read.quarantine.select("column", "value").rows() == [("audio", name) for name in BAD]
    for reason, wanted in zip(read.quarantine["reason"], BAD.values(), strict=True):
        assert wanted in reason


def test_clips_are_found_by_what_they_are_called(folder: Path) -> None:
    (folder / "q.csv").write_text("sku\ntone\nsilent\nnothing\n")
    read = read_items(ItemMapping(file="q.csv", item="sku", audio="{item}.wav"), folder)
    assert read.table["audio"].to_list() == ["tone.wav", "silent.wav", ""]
    assert read.quarantine.height == 0
    anything = read_items(ItemMapping(file="q.csv", item="sku", audio="{item}.*"), folder)
    assert anything.table["audio"].to_list() == ["tone.flac", "silent.wav", ""]


def test_without_pyav_a_shop_is_told_what_it_lacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "p.csv").write_text("sku,clip\n1,tone.mp3\n2,\n")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    monkeypatch.setattr("vetrina.catalogue.media.can_read_clips", lambda: False)
    read = read_items(ItemMapping(file="p.csv", item="sku", audio="clip"), folder)
    assert read.table["audio"].to_list() == ["tone.mp3", ""]
    assert any("1 items have audio" in note and "vetrina[media]" in note for note in read.notes)
    with pytest.raises(MissingExtra, match=r"vetrina\[media\]"):
        AudioEncoder().fit_contents([str(folder / "tone.mp3")])


def items_with(folder: Path) -> Items:
    """A catalogue of eight sounds, one silent, one missing."""
    names = []
    for number in range(8):
        name = f"s{number}.wav"
        write_sound(folder / name, sound(NAMES[number % 4], [PITCHES[number // 4]], seconds=0.5))
        names.append(name)
    return Items(pl.DataFrame({"item": [f"p{number}" for number in range(9)], "audio": [*names, ""]}))


def test_saved_is_loaded_and_nothing_is_learned_before_fitting(tmp_path: Path) -> None:
    items = items_with(tmp_path)
    contents, _ = AudioEncoder().read(items, tmp_path)
    encoder = AudioEncoder().fit(items, contents, Silent())
    encoder.save(tmp_path / "encoder")
    loaded = component_class("encoder", "audio").load(tmp_path / "encoder")
    assert isinstance(loaded, AudioEncoder)
    np.testing.assert_array_equal(loaded.transform(contents), encoder.transform(contents))
    assert {path.suffix for path in (tmp_path / "encoder").iterdir()} == {".json", ".npy"}
    with pytest.raises(NotFitted):
        AudioEncoder().transform(contents)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of sixteen sounds of four timbres, of which titles and prices say nothing; none has a photo."""
    folder = tmp_path_factory.mktemp("soundshop")
    rng = np.random.default_rng(0)
    with (folder / "products.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sku", "name", "price", "preview"])
        for number, place in enumerate(rng.permutation(16).tolist()):
            name, pitch = f"{NAMES[place % 4]}{place // 4}", PITCHES[place // 4]
            write_sound(folder / f"{name}.mp3", sound(NAMES[place % 4], [pitch, 1.5 * pitch]))
            rows.writerow([name, f"Loop {number}", 5, f"{name}.mp3"])
    create_shop(folder / "shop", items_file=folder / "products.csv")
    settings = folder / "shop" / "shop.toml"
    assert 'audio = "preview"' in settings.read_text()
    with settings.open("a") as file:
        file.write('\n[encode.audio]\nencoder = "audio"\n')
    shop = Shop.open(folder / "shop")
    counts = shop.build()["metrics"]["encoding"]["audio"]
    assert (counts["items"], counts["missing"], counts["encoded"]) == (16, 0, 16)
    return shop


@pytest.mark.slow
@pytest.mark.parametrize("timbre", NAMES)
def test_a_shop_ranks_the_acoustically_nearest_first(shop: Shop, timbre: str) -> None:
    for number in range(4):
        found = {result.item for result in shop.similar(f"{timbre}{number}", k=3).results}
        assert found == {f"{timbre}{other}" for other in range(4) if other != number}
