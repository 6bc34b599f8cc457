"""Clips that tests make: sounds whose timbre is known, and videos of moving shapes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Items

RATE = 22_050

_CODECS = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac", ".mp4": "libx264"}

#: How loud each overtone is, the ground tone first; and how the tone dies away, in seconds.
TIMBRES: dict[str, tuple[Sequence[float], float]] = {
    "flute": ((1, 0.1, 0.02), 9.0),
    "organ": ((1, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5), 9.0),
    "bell": ((1, 0, 0, 0.9, 0, 0, 0.8, 0, 0, 0.6), 0.35),
}


def sound(timbre: str, pitches: Sequence[float], seconds: float = 2.0, beats: float = 120.0) -> npt.NDArray[np.float32]:
    """A chord that is struck again and again; the timbre "noise" is a hiss through which nothing sounds."""
    time = np.arange(int(RATE * seconds)) / RATE
    if timbre == "noise":
        seed = int(sum(pitches))
        return np.asarray(np.random.default_rng(seed).uniform(-0.5, 0.5, len(time)), dtype=np.float32)
    overtones, decay = TIMBRES[timbre]
    tones = sum(
        part * np.sin(2 * np.pi * pitch * (number + 1) * time)
        for pitch in pitches
        for number, part in enumerate(overtones)
    )
    since = time % (60 / beats)
    struck = np.asarray(tones * np.exp(-since / decay))
    return np.asarray(0.5 * struck / np.abs(struck).max(), dtype=np.float32)


def write_sound(path: Path, samples: npt.NDArray[np.float32], rate: int = RATE) -> Path:
    """Samples as a file of the kind that its name says."""
    whole = (samples * 32_000).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_CODECS[path.suffix], rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        for start in range(0, len(whole), 1024):
            frame = av.AudioFrame.from_ndarray(whole[None, start : start + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving(colour: tuple[int, int, int], shape: str, n_frames: int = 30, seed: int = 0) -> list[npt.NDArray[np.uint8]]:
    """Frames in which a shape of one colour, a disc, a bar or a ring, sways on white ground; black at the ends."""
    rng = np.random.default_rng(seed)
    size = (64, 48)
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    left, top, phase = rng.uniform(30, 34), rng.uniform(22, 26), rng.uniform(0, 6)
    frames = []
    for number in range(n_frames):
        x, y = across - left - 3 * np.sin(phase + number / 4), down - top
        distance = np.hypot(x, y)
        inside = {
            "disc": distance < 12,
            "bar": (np.abs(x) < 5) & (np.abs(y) < 20),
            "ring": (distance < 22) & (distance > 17),
        }[shape]
        frame = np.where(inside[..., None], np.array(colour), 255).astype(np.uint8)
        frames.append(frame if 1 < number < n_frames - 1 else np.zeros_like(frame))
    return frames


def write_video(path: Path, frames: Sequence[npt.NDArray[np.uint8]], key_frames: int = 10) -> Path:
    """Frames, ten a second, as a file of the kind that its name says; each of so many is a key frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_CODECS[path.suffix], rate=10)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.height, context.width = frames[0].shape[:2]
        context.pix_fmt, context.gop_size, context.thread_count = "yuv420p", key_frames, 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def with_clips(items: Items, folder: Path) -> Items:
    """The items, most of which have one of nine sounds and one of nine videos, that are written into the folder."""
    sounds, videos = [], []
    for number, timbre in enumerate((*TIMBRES, "noise", *TIMBRES, *list(TIMBRES)[:2])):
        sounds.append(write_sound(folder / f"s{number}.wav", sound(timbre, [220.0 + 20 * number], seconds=0.5)).name)
    for number, shape in enumerate(("disc", "bar", "ring") * 3):
        colour = (200 * (number // 3 == 0), 90 * (number // 3), 200 * (number // 3 == 1))
        videos.append(write_video(folder / f"v{number}.mp4", moving(colour, shape, n_frames=12, seed=number)).name)
    n = len(items)
    return Items(
        items.table.with_columns(
            audio=pl.Series(["" if row % 5 == 4 else sounds[row % 9] for row in range(n)]),
            video=pl.Series(["" if row % 5 == 3 else videos[row % 9] for row in range(n)]),
        ),
        items.vectors,
    )
