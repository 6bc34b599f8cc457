"""Sound as a vector: how loud each pitch is, how that changes, and how the rhythm goes, summed up over a clip.

A log-mel spectrogram, its mean, deviation and mean change over time, a few
descriptors of the spectrum and the tempo; standardised over the shop's clips and
reduced by PCA. NumPy computes it, PyAV decodes.

Sources: S. Davis and P. Mermelstein, Comparison of parametric representations for
monosyllabic word recognition (IEEE Transactions on Acoustics, Speech, and Signal
Processing 1980), the mel scale as in D. O'Shaughnessy, Speech communication (1987);
G. Tzanetakis and P. Cook, Musical genre classification of audio signals (IEEE
Transactions on Speech and Audio Processing 2002), the statistics over time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from vetrina.core import Config, Items, Progress, register
from vetrina.core.errors import DataError
from vetrina.core.media import read_sound
from vetrina.core.photo import content_hash
from vetrina.encode.base import Encoder, unit_rows

__all__ = ["AudioConfig", "AudioEncoder", "log_mel", "mel_filters"]

Floats = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)

_SILENCE = 1e-4  # root mean square, -80 dB; what is softer says nothing
_FLOOR = 1e-3  # of power, times the window: some 50 dB below a pure tone; what is softer is not heard beside it
_TEMPOS = 8  # bands of tempo, from 40 to 240 beats a minute


class AudioConfig(Config):
    """What is listened to, and how finely."""

    dim: int = Field(default=32, ge=1, description="Dimensions, fewer where the clips have less to tell.")
    seconds: float = Field(default=30.0, gt=0, le=600, description="Of a longer clip its middle is listened to.")
    rate: int = Field(default=22_050, ge=8_000, le=48_000, description="Samples in a second.")
    bands: int = Field(default=40, ge=4, le=256, description="Mel bands.")
    fit_clips: int = Field(default=5_000, ge=1, description="Clips learned from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "audio")
class AudioEncoder(Encoder):
    """Statistics of the log-mel spectrogram over time, standardised and reduced by PCA.

    A content is a path, or samples at the encoder's ``rate`` (float32 of shape (n,)). Clips are compared
    at equal loudness. What cannot be read, or is silent, becomes a row of zeros.

    Learned arrays: ``mean_`` and ``scale_`` (n_statistics,), ``components_`` (n_statistics, dim).

    Examples
    --------
    >>> time = np.arange(22_050) / 22_050
    >>> low, high = (np.sin(2 * np.pi * pitch * time).astype(np.float32) for pitch in (200, 2000))
    >>> noise = np.random.default_rng(0).uniform(-1, 1, 22_050).astype(np.float32)
    >>> vectors = AudioEncoder().fit_contents([low, high, noise]).transform([0.5 * low, low, high, noise])
    >>> bool(vectors[0] @ vectors[1] > 0.999 > vectors[1] @ vectors[2])
    True
    """

    modality = "audio"
    needs = "media"
    cost = "decoding of 30 seconds of each clip, and a Fourier transform of them"
    learns_texts: ClassVar[bool] = False
    config_type = AudioConfig

    def read(self, items: Items, root: Path) -> tuple[Sequence[str], list[str]]:
        contents = [str(root / clip) if clip else "" for clip in items.table["audio"].fill_null("")]
        return contents, [content_hash(path) if path else "" for path in contents]

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        with progress.step("Learning from sound"):
            return self.fit_contents(contents)

    def fit_contents(self, contents: Sequence[Any]) -> Self:
        """Learn from contents alone; see :meth:`fit`."""
        from sklearn.utils.extmath import randomized_svd

        chosen = [row for row, content in enumerate(contents) if len(content)]
        if len(chosen) > self.config.fit_clips:
            rng = np.random.default_rng(self.config.seed)
            chosen = np.sort(rng.choice(chosen, self.config.fit_clips, replace=False)).tolist()
        rows = self._statistics([contents[row] for row in chosen])
        known = rows[np.any(rows != 0, axis=1)].astype(np.float64)
        # As if a few clips of no character were there too, so that a shop of one clip has a vector as well.
        count = len(known) + 2
        mean = known.sum(axis=0) / count
        scale = 1 / np.sqrt(((known - mean) ** 2).sum(axis=0) / count + 1e-2)
        standard = (known - mean) * (scale * self._weights)
        dim = max(1, min(self.config.dim, *standard.shape))
        components = np.zeros((len(mean), dim))
        if len(known):
            _, strength, right = randomized_svd(standard, dim, n_iter=4, random_state=self.config.seed)
            components = np.where(strength > 1e-5 * strength[0], right.T, 0)
        self.mean_, self.scale_ = mean.astype(np.float32), (scale * self._weights).astype(np.float32)
        self.components_ = np.ascontiguousarray(components, dtype=np.float32)
        return self

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode clips: float32 of shape (len(contents), dim), zero where none can be heard."""
        self.require_fitted("components_")
        rows = self._statistics(contents)
        heard = np.any(rows != 0, axis=1, keepdims=True)
        return unit_rows(np.where(heard, (rows - self.mean_) * self.scale_, 0) @ self.components_)

    @cached_property
    def _filters(self) -> Floats:
        return mel_filters(self.config.bands, self._window, self.config.rate)

    @cached_property
    def _window(self) -> int:
        """Samples of one spectrum: a power of two, some 40 ms."""
        return int(2 ** np.round(np.log2(0.04 * self.config.rate)))

    @property
    def _weights(self) -> npt.NDArray[np.float64]:
        """Each kind of statistic counts by what it says, not by how many numbers it has."""
        bands = self.config.bands
        sizes = np.array([bands, bands, bands, 4, _TEMPOS])
        return np.repeat(np.sqrt(np.array([1.0, 0.5, 0.5, 0.3, 0.3]) / sizes), sizes)

    def _statistics(self, contents: Sequence[Any]) -> Floats:
        """(n, n_statistics), zero where nothing is heard. A few clips at once are in memory, however many there are."""

        def one(content: Any) -> Floats | None:
            if isinstance(content, str):
                if not content:
                    return None
                try:
                    content = read_sound(Path(content), self.config.rate, self.config.seconds)
                except DataError as error:
                    _log.info("%s", error)
                    return None
            return self._describe(content[: int(self.config.rate * self.config.seconds)])

        rows = np.zeros((len(contents), len(self._weights)), dtype=np.float32)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for row, found in enumerate(pool.map(one, contents)):
                if found is not None:
                    rows[row] = found
        return rows

    def _describe(self, samples: Floats) -> Floats | None:
        """Statistics of one clip; None where nothing is heard: it is silent, or hardly a sample long."""
        loudness = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
        if loudness < _SILENCE:
            return None
        power = _power(samples / np.float32(loudness), self._window)
        if not power.any():  # no more than a sample or so at the very ends, where the window is zero
            return None
        mel = _logarithm(power, self._filters)
        change = np.abs(np.diff(mel, axis=0)).mean(axis=0) if len(mel) > 1 else np.zeros(mel.shape[1])
        parts = [mel.mean(axis=0), mel.std(axis=0), change, _spectrum(power), self._rhythm(mel)]
        return np.concatenate(parts).astype(np.float32)

    def _rhythm(self, mel: Floats) -> npt.NDArray[np.float64]:
        """How strongly the clip's onsets repeat at each of some tempos: autocorrelation, -1 to 1."""
        onsets = np.maximum(np.diff(mel, axis=0), 0).sum(axis=1, dtype=np.float64)
        onsets -= onsets.mean() if len(onsets) else 0
        energy = float(onsets @ onsets)
        frames = 60 * 2 * self.config.rate / self._window  # in a minute
        edges = frames / np.geomspace(240, 40, _TEMPOS + 1)
        strength = np.zeros(_TEMPOS)
        if energy > 1e-6 * max(len(onsets), 1) and len(onsets) > 2:
            spectrum = np.abs(np.fft.rfft(onsets, 2 * len(onsets))) ** 2
            correlation = np.fft.irfft(spectrum)[: len(onsets)] / energy
            for band, (low, high) in enumerate(pairwise(edges)):
                lags = correlation[int(low) : max(int(high), int(low) + 1)]
                strength[band] = lags.max() if len(lags) else 0
        return strength


def log_mel(samples: Floats, window: int, rate: int, bands: int) -> Floats:
    """The log-mel spectrogram of a clip, at equal loudness: float32 of shape (n_frames, bands).

    Parameters
    ----------
    samples : float32 of shape (n_samples,)
        Not silent.
    window : int
        Samples of one spectrum; half of them are the next one's as well.
    rate : int
        Samples in a second.
    bands : int

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(8_000) / 16_000).astype(np.float32)
    >>> spectrogram = log_mel(tone, 512, 16_000, 20)
    >>> spectrogram.shape, int(spectrogram.mean(axis=0).argmax())
    ((30, 20), 6)
    """
    loudness = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    return _logarithm(_power(samples / np.float32(loudness), window), mel_filters(bands, window, rate))


def _logarithm(power: Floats, filters: Floats) -> Floats:
    window = 2 * (power.shape[1] - 1)
    return np.asarray(np.log(power @ filters.T + np.float32(_FLOOR * window)), dtype=np.float32)


def mel_filters(bands: int, window: int, rate: int) -> Floats:
    """Triangles of height one, evenly spread over the mel scale from 20 Hz up: float32 of (bands, window // 2 + 1).

    Examples
    --------
    >>> mel_filters(4, 512, 16_000).shape
    (4, 257)
    """

    def mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return 2595 * np.log10(1 + np.asarray(hertz, dtype=np.float64) / 700)

    edges = np.linspace(mel(20.0), mel(rate / 2), bands + 2)
    at = mel(np.fft.rfftfreq(window, 1 / rate))
    rising = (at - edges[:-2, None]) / (edges[1:-1, None] - edges[:-2, None])
    falling = (edges[2:, None] - at) / (edges[2:, None] - edges[1:-1, None])
    return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def _power(samples: Floats, window: int) -> Floats:
    """Power spectra under a Hann window, half overlapping: (n_frames, window // 2 + 1)."""
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    shape = np.hanning(window + 1)[:-1].astype(np.float32)
    frames = sliding_window_view(samples, window)[:: window // 2]
    parts = [np.fft.rfft(frames[start : start + 512] * shape) for start in range(0, len(frames), 512)]
    return np.concatenate([np.abs(part).astype(np.float32) ** 2 for part in parts])


def _spectrum(power: Floats) -> npt.NDArray[np.float64]:
    """Over the frames that are not silent: mean and deviation of the centroid, mean flatness, deviation of loudness."""
    total = power.sum(axis=1, dtype=np.float64)
    loud = total > 1e-4 * total.max()
    part, total = power[loud].astype(np.float64), total[loud]
    centroid = part @ np.linspace(0, 1, part.shape[1]) / total
    flatness = np.exp(np.log(part + 1e-10).mean(axis=1)) / part.mean(axis=1)
    return np.array([centroid.mean(), centroid.std(), flatness.mean(), np.log(total).std()])
