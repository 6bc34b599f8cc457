"""Clips that tests make: sounds whose timbre is known, and videos of moving shapes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

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
    """Frames in which a shape of one colour, a disc, a bar or a ring, moves over white ground; black at the ends."""
    rng = np.random.default_rng(seed)
    size = (64, 48)
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    left, top, speed = rng.uniform(20, 30), rng.uniform(18, 30), rng.uniform(0.2, 0.5)
    frames = []
    for number in range(n_frames):
        x, y = across - left - speed * number, down - top
        distance = np.hypot(x, y)
        inside = {
            "disc": distance < 13,
            "bar": (np.abs(x) < 5) & (np.abs(y) < 20),
            "ring": (distance < 15) & (distance > 9),
        }[shape]
        frame = np.where(inside[..., None], np.array(colour), 255).astype(np.uint8)
        frames.append(frame if 1 < number < n_frames - 1 else np.zeros_like(frame))
    return frames


def write_video(path: Path, frames: Sequence[npt.NDArray[np.uint8]], fps: int = 10) -> Path:
    """Frames as a file of the kind that its name says; a key frame each second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(_CODECS[path.suffix], rate=fps)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.height, context.width = frames[0].shape[:2]
        context.pix_fmt, context.gop_size, context.thread_count = "yuv420p", fps, 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path
