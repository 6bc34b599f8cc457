"""Photos and words in one space, learned from the shop's own products: words find photos and photos find photos.

A photo's vector joins two views of it: that of a small convolutional network,
trained together with the vectors of words by a contrastive loss, and that of
:class:`vetrina.encode.PhotoEncoder`, whose layers are learned in closed form and
whose words are mapped to it by ridge regression. The first tells kinds apart
better, the second forgets less of what few photos show; neither needs a download.

Sources: A. Radford et al., Learning Transferable Visual Models From Natural
Language Supervision (ICML 2021), for the loss; K. He et al., Deep Residual
Learning for Image Recognition (CVPR 2016), for the blocks; and those of
:mod:`vetrina.encode.photo`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.core.onnx import Network, import_torch
from vetrina.core.photo import Photo, read_photo
from vetrina.core.text import analyse
from vetrina.encode.base import Encoder, unit_rows
from vetrina.encode.photo import PhotoEncoder
from vetrina.encode.photos import decoded, encode_photos, photo_contents
from vetrina.encode.words import Views, Vocabulary, attribute_labels, map_terms

__all__ = ["CatalogueClipConfig", "CatalogueClipEncoder"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_FEWEST = 8  # photos with words, below which nothing is trained: too few to tell apart
_CHUNK = 64  # photos through the network at once


class CatalogueClipConfig(Config):
    """Size of the networks, and how they learn."""

    dim: int = Field(default=128, ge=2, description="Dimensions of each of the two trained heads.")
    width: int = Field(default=48, ge=32, description="Photos are fitted into this frame, in pixels.")
    height: int = Field(default=64, ge=32)
    channels: int = Field(default=24, ge=4, description="Of the first convolution; each block doubles them.")
    embedding: int = Field(default=256, ge=2, description="Length of a term's embedding while it is learned.")
    vocabulary: int = Field(default=50_000, ge=1, description="Words, pairs of words and character n-grams, at most.")
    trained_share: float = Field(
        default=0.5, ge=0, le=1, description="Weight of the trained heads beside the closed-form branch."
    )
    epochs: int = Field(default=40, ge=0, description="How often every photo is learned from; 0: closed form alone.")
    batch: int = Field(default=125, ge=2, description="Photos at once, each other's wrong answers.")
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    word_dropout: float = Field(default=0.2, ge=0, lt=1, description="Share of a title's words left out at a time.")
    title_share: float = Field(default=0.5, ge=0, le=1, description="Share of texts that are the title alone.")
    softness: float = Field(
        default=0.7, ge=0, le=1, description="How far a photo belongs to other products' like texts."
    )
    attribute_weight: float = Field(default=3.5, ge=0, description="Of telling attributes by the photo, in the loss.")
    ridge: float = Field(default=2.0, gt=0, description="Regularisation of the words' map to the closed-form branch.")
    held_out: float = Field(default=0.0, ge=0, lt=1, description="Share of photos kept back to draw a recall curve.")
    fit_photos: int = Field(default=10_000, ge=1, description="Products learned from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "catalogue-clip")
class CatalogueClipEncoder(Encoder):
    """A convolutional network and a table of words, trained together on the shop's photos, titles and attributes.

    A content is what :class:`vetrina.encode.PhotoEncoder` takes. Of words, those
    are read that the shop's texts have, and others by the letters they share.

    torch trains; what serves is an ONNX file for photos and sums of rows for
    words. Learned arrays: ``words_`` (n_terms, 2 · dim), trained with the
    photos; ``mapped_`` (n_terms, dim of the vectors), by ridge regression to the
    finished vectors of the photos. A text is the mean of both where both speak.

    Examples
    --------
    >>> import polars as pl
    >>> from vetrina.core import Silent
    >>> rng = np.random.default_rng(0)
    >>> photos = [np.full((64, 48, 3), 255, dtype=np.uint8) for _ in range(12)]
    >>> for row, photo in enumerate(photos):
    ...     photo[16:48, 12:36] = rng.integers(0, 60, 3)
    ...     photo[16:48, 12:36, row % 3] += 180
    >>> names = ["red", "green", "blue"] * 4
    >>> empty = [""] * 12
    >>> shop = pl.DataFrame({"title": names, "description": empty, "category": empty, "brand": empty, "colour": names,
    ...                      "price": pl.Series([None] * 12, dtype=pl.Float64)})
    >>> encoder = CatalogueClipEncoder(channels=4, dim=8, epochs=2).fit(Items(shop), photos, Silent())
    >>> likeness = encoder.transform_words(["green"]) @ encoder.transform(photos[:3]).T
    >>> names[int(likeness.argmax())]
    'green'
    """

    modality = "photo"
    needs = "torch"
    cost = "minutes of training on a processor for 2,500 photos; a small network for each photo"
    dimension = "2 × 128 + the closed-form branch's 112"
    config_type = CatalogueClipConfig
    _network: Network | None = None

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        return photo_contents(items, root)

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        torch = import_torch("The encoder catalogue-clip")
        from vetrina.encode import clip_towers, clip_training

        rng = np.random.default_rng(self.config.seed)
        chosen = np.arange(len(contents))
        if len(chosen) > self.config.fit_photos:
            chosen = np.sort(rng.choice(chosen, self.config.fit_photos, replace=False))
        photos, rows = self._photos(contents, chosen, progress)
        products = Items(items.table[rows])
        fixed = PhotoEncoder(width=self.config.width, height=self.config.height, seed=self.config.seed)
        fixed.fit_layers(products, photos, progress)
        views = Views(products, self.config.vocabulary, self.config.title_share, self.config.word_dropout)
        self.vocabulary_ = views.vocabulary
        told = np.flatnonzero(views.told)
        trains = len(told) >= _FEWEST and self.config.epochs > 0
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)
        try:
            with clip_training.seeded(self.config.seed):
                tower = clip_towers.ImageTower(fixed, photos, self.config, trains)
                self.curves_ = {}
                learned = np.zeros((views.n_terms, 0), dtype=np.float32)
                if trains:
                    held_out = np.sort(rng.choice(told, int(len(told) * self.config.held_out), replace=False))
                    left_out = np.setdiff1d(np.arange(len(photos)), told)
                    lesson = clip_training.Lesson(photos, views, attribute_labels(products), held_out, left_out)
                    learned, self.curves_ = clip_training.train(tower, lesson, self.config, self.device, progress)
                with progress.step("Writing the photo network"):
                    self._onnx = clip_towers.export_tower(tower, (self.config.width, self.config.height))
        finally:
            torch.set_num_threads(threads)
        self._network = None
        with progress.step("Learning words in closed form"):
            blank = np.full((1, self.config.height, self.config.width, 3), 255, dtype=np.uint8)
            seen = self._encode(np.concatenate([photos, blank]))[:-1]
            self.words_, self.mapped_ = learned, map_terms(views, seen, self.config.ridge)
        return self

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode photos: float32 of shape (len(contents), dim), zero where unreadable."""
        self.require_fitted("words_")
        return encode_photos(contents, self._encode, self.mapped_.shape[1], self._read)

    def transform_photos(self, photos: Sequence[bytes]) -> Floats:
        return self.transform(photos)

    def transform_words(self, texts: Sequence[str]) -> Floats:
        """What words say, as vectors of photos: float32 of shape (len(texts), dim), zero where no word is known."""
        self.require_fitted("words_")
        bags = self.vocabulary_.bags([analyse(text) for text in texts])
        head = self.words_.shape[1] // 2
        mapped = np.split(bags @ self.mapped_, [head, 2 * head], axis=1)
        trained = np.split(bags @ self.words_, 2, axis=1)
        share = self.config.trained_share if head else 0.0
        parts = [
            *(unit_rows(unit_rows(one) + unit_rows(other)) for one, other in zip(trained, mapped[:2], strict=True)),
            unit_rows(mapped[2]),
        ]
        weights = np.sqrt([share / 2, share / 2, 1 - share])
        return unit_rows(np.concatenate([part * weight for part, weight in zip(parts, weights, strict=True)], axis=1))

    def _encode(self, photos: Photos) -> Floats:
        if self._network is None:
            self._network = Network(self._onnx, self.device)
        parts = [
            self._network.run({"photos": photos[start : start + _CHUNK]})[0] for start in range(0, len(photos), _CHUNK)
        ]
        return np.concatenate(parts)

    def _read(self, source: Photo) -> Photos:
        return read_photo(source, (self.config.width, self.config.height))

    def _photos(
        self, contents: Sequence[Any], chosen: npt.NDArray[np.int64], progress: Progress
    ) -> tuple[Photos, npt.NDArray[np.int64]]:
        """Every readable photo of the chosen items, and which item each is of."""
        photos = [np.empty((0, self.config.height, self.config.width, 3), dtype=np.uint8)]
        rows = [np.empty(0, dtype=np.int64)]
        with progress.step("Reading photos", len(chosen)) as step:
            for part, row in decoded([contents[i] for i in chosen.tolist()], self._read):
                photos.append(part)
                rows.append(chosen[row])
                step.advance(len(np.unique(row)))
        return np.concatenate(photos), np.concatenate(rows)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.vocabulary_.save(folder)
        (folder / "photos.onnx").write_bytes(self._onnx)

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        encoder.vocabulary_ = Vocabulary.load(folder)
        try:
            encoder._onnx = (folder / "photos.onnx").read_bytes()
        except OSError as error:
            raise SnapshotError(f"{folder}: cannot be read ({error}). Build again, or roll back.") from error
        return encoder
