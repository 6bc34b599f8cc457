"""A photo as a vector: a convolutional network whose filters are learned layer by layer from the shop's own photos.

Not trained by backpropagation: filters are centroids of whitened patches, a
palette is the centroids of colours, and the last, linear layer is a regularised
canonical correlation with what the items' texts and attributes say, solved in
closed form. So are the vectors of words, by which words find photos. It needs
no accelerator and no downloaded weights.

Sources: A. Coates, H. Lee and A. Ng, An analysis of single-layer networks in
unsupervised feature learning (AISTATS 2011); H. Vinod, Canonical ridge and
econometrics of joint production (Journal of Econometrics 1976).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field, model_validator
from scipy import sparse

from vetrina.core import Config, Items, Progress, register
from vetrina.core.colour import foreground, lab_of_codes
from vetrina.core.photo import Photo, read_photo
from vetrina.core.text import analyse
from vetrina.encode.attributes import AttributesEncoder
from vetrina.encode.base import Encoder, unit_rows
from vetrina.encode.photos import decoded, encode_photos, photo_contents
from vetrina.encode.text import TfidfEncoder
from vetrina.encode.words import Views, Vocabulary, map_terms

__all__ = ["PhotoConfig", "PhotoEncoder"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_WORDS_RIDGE = 2.0  # regularisation of the words' map to photos
_ROWS, _COLUMNS = 4, 3  # of the grid of cells over which filters' answers are pooled


class PhotoConfig(Config):
    """Size of the network, and what the vectors are made of."""

    dim: int = Field(default=64, ge=1, description="Dimensions of the learned part, fewer where the data have less.")
    width: int = Field(default=48, ge=16, description="Photos are fitted into this frame, in pixels.")
    height: int = Field(default=64, ge=16)
    filters: int = Field(default=200, ge=1, description="Convolution filters learned from patches.")
    patch: int = Field(default=8, ge=2, le=16, description="Side of a filter in pixels.")
    stride: int = Field(default=2, ge=1)
    threshold: float = Field(default=0.5, ge=0, description="A filter's answer below this counts as none.")
    palette: int = Field(default=48, ge=2, description="Colours learned from the photos.")
    colour_weight: float = Field(default=0.5, ge=0, description="Length of the colours' part beside the rest's 1.")
    ridge: float = Field(default=0.03, gt=0, description="Regularisation of the last layer; more for fewer photos.")
    vocabulary: int = Field(default=50_000, ge=1, description="Words, pairs of words and character n-grams, at most.")
    fit_photos: int = Field(default=5_000, ge=1, description="Photos learned from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fills_the_grid(self) -> Self:
        for side, cells in (("width", _COLUMNS), ("height", _ROWS)):
            wide = getattr(self, side)
            room = (wide - self.patch) // self.stride + 1
            if room < cells:
                raise ValueError(
                    f"{side} = {wide} has room for {room} of the {cells} windows that are needed at least, "
                    f"with patch = {self.patch} and stride = {self.stride}"
                )
        return self


@register("encoder", "convnet")
class PhotoEncoder(Encoder):
    """Convolution, soft threshold, pooling over a grid, colours beside it, and a linear layer learned from the texts.

    A content is a path, the bytes of a file, pixels (uint8 of shape (height,
    width, 3)), or a tuple of such: the vector is then the mean of its photos'.
    What is missing or cannot be read becomes a row of zeros: the build's check
    of the photos is what reports it.

    Learned arrays: ``filters_`` (patch² · 3, n_filters) with the whitening
    folded in, ``offset_`` (n_filters,), ``palette_`` (n_colours, 3) in CIELAB,
    ``projection_`` (n_pooled, dim) with ``shift_`` (dim,), ``colour_mean_``
    (n_colours,), ``words_`` (n_terms, dim + n_colours): a text is the weighted sum
    of its terms.
    """

    modality = "photo"
    cost = "moderate: a small network of NumPy, learned in closed form"
    dimension = "64 + the palette's 48"
    config_type = PhotoConfig

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        return photo_contents(items, root)

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        rng = np.random.default_rng(self.config.seed)
        chosen = np.arange(len(contents))
        if len(chosen) > self.config.fit_photos:
            chosen = np.sort(rng.choice(chosen, self.config.fit_photos, replace=False))
        with progress.step("Reading photos", len(chosen)) as step:
            photos = [np.empty((0, self.config.height, self.config.width, 3), dtype=np.uint8)]
            rows = [np.empty(0, dtype=np.int64)]
            for part, row in decoded([contents[i] for i in chosen.tolist()], self._read):
                photos.append(part)
                rows.append(row)
                step.advance(len(np.unique(row)))
        shown = Items(items.table[chosen[np.concatenate(rows)]])
        vectors = self.fit_layers(shown, np.concatenate(photos), progress, rng)
        with progress.step("Learning words from photos"):
            views = Views(shown, self.config.vocabulary)
            self.vocabulary_, self.words_ = views.vocabulary, map_terms(views, vectors, _WORDS_RIDGE)
        return self

    def fit_layers(
        self, shown: Items, photos: Photos, progress: Progress, rng: np.random.Generator | None = None
    ) -> Floats:
        """Learn the layers alone, from photos and the item that each is of; gives their vectors.

        Parameters
        ----------
        shown : Items
            One row per photo.
        photos : uint8 of shape (len(shown), height, width, 3)
        progress : Progress
        rng : numpy Generator, optional
            By default one made of the option ``seed``.

        Returns
        -------
        float32 of shape (len(shown), dim + n_colours)
        """
        rng = np.random.default_rng(self.config.seed) if rng is None else rng
        with progress.step("Learning from photos"):
            white = np.full((0 if len(photos) else 1, self.config.height, self.config.width, 3), 255, dtype=np.uint8)
            learned = np.concatenate([white, photos])
            self._learn_filters(learned, rng)
            self._learn_palette(learned, rng)
            pooled, colours = self._features(learned)
            words = _described(shown) if len(photos) else np.zeros((1, 1), dtype=np.float32)
            self._learn_projection(pooled, words)
            self.colour_mean_ = _shrunk_mean(colours)
        return self._joined(pooled, colours)[: len(photos)]

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode photos: float32 of shape (len(contents), dim + n_colours), zero where unreadable."""
        self.require_fitted("projection_")
        dim = self.projection_.shape[1] + len(self.palette_)
        return encode_photos(contents, self._encode, dim, self._read)

    def transform_photos(self, photos: Sequence[bytes]) -> Floats:
        return self.transform(photos)

    def transform_words(self, texts: Sequence[str]) -> Floats:
        """What words say, as vectors of photos: float32 of shape (len(texts), dim), zero where no word is known."""
        self.require_fitted("words_")
        return unit_rows(self.vocabulary_.bags([analyse(text) for text in texts]) @ self.words_)

    def _encode(self, photos: Photos) -> Floats:
        return self._joined(*self._features(photos))

    def _joined(self, pooled: Floats, colours: Floats) -> Floats:
        """The last layers."""
        learned = unit_rows(pooled @ self.projection_ - self.shift_)
        colour = unit_rows(colours - self.colour_mean_) * np.float32(self.config.colour_weight)
        return unit_rows(np.concatenate([learned, colour], axis=1))

    def _read(self, source: Photo) -> Photos:
        return read_photo(source, (self.config.width, self.config.height))

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.vocabulary_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        encoder.vocabulary_ = Vocabulary.load(folder)
        return encoder

    # The layers

    def _features(self, photos: Photos) -> tuple[Floats, Floats]:
        """(pooled answers of filters and colours over the grid, share of each colour in the product)."""
        pooled, shares = [], []
        for start in range(0, len(photos), 32):
            part = photos[start : start + 32]
            by_cell, share = self._colours(part)
            pooled.append(np.sqrt(np.concatenate([self._convolve(part), by_cell, share], axis=1)))
            shares.append(np.sqrt(share))
        return np.concatenate(pooled), np.concatenate(shares)

    def _convolve(self, photos: Photos) -> Floats:
        """Filters over contrast-normalised patches, soft threshold, mean over the grid's cells."""
        side, stride = self.config.patch, self.config.stride
        windows = sliding_window_view(photos, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        n, high, wide = windows.shape[:3]
        flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * high * wide, -1).astype(np.float32)
        answers = _normalise_contrast(flat) @ self.filters_ - (self.offset_ + np.float32(self.config.threshold))
        return _pool(np.maximum(answers, 0, out=answers).reshape(n, high, wide, -1), _ROWS, _COLUMNS)

    @cached_property
    def nearness(self) -> Floats:
        """How near each of 32³ colours is to each colour of the palette (sums to 1)."""
        distance = np.linalg.norm(lab_of_codes()[:, None] - self.palette_, axis=-1)
        # Half the mean distance instead of the whole: colours nearer than that share the pixel, the others get none.
        near = np.maximum(0.5 * distance.mean(axis=1, keepdims=True) - distance, 0)
        table: Floats = (near / np.maximum(near.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)
        return table

    def _colours(self, photos: Photos) -> tuple[Floats, Floats]:
        """The palette's answers, a convolution of one pixel, weighted by foreground: (by 3 x 3 cells, whole photo)."""
        near = self.nearness
        n, high, wide = photos.shape[:3]
        code, product = foreground(photos)
        cell = (np.arange(high) * 3 // high)[:, None] * 3 + np.arange(wide) * 3 // wide
        row = (np.arange(n)[:, None, None] * 9 + cell).ravel()
        weights = sparse.csr_array((product.ravel(), (row, code.ravel())), shape=(9 * n, len(near)))
        mass = (weights @ near).reshape(n, 9, -1)
        size = np.bincount(cell.ravel(), minlength=9).astype(np.float32)[:, None]
        whole = mass.sum(axis=1)
        background = 1 - mass.sum(axis=2, keepdims=True) / size
        by_cell = np.concatenate([mass / size, np.maximum(background, 0)], axis=2).reshape(n, -1)
        return by_cell, whole / np.maximum(whole.sum(axis=1, keepdims=True), 1e-6)

    # What is learned

    def _learn_filters(self, photos: Photos, rng: np.random.Generator) -> None:
        """Centroids of whitened patches as filters, the whitening folded in: answers = patch @ filters - offset."""
        side = self.config.patch
        count = max(20 * self.config.filters, min(60_000, 500 * len(photos)))
        photo = rng.integers(0, len(photos), count)
        top = rng.integers(0, self.config.height - side + 1, count)
        left = rng.integers(0, self.config.width - side + 1, count)
        step = np.arange(side)
        patches = photos[photo[:, None, None], top[:, None, None] + step[:, None], left[:, None, None] + step].reshape(
            count, -1
        )
        flat = _normalise_contrast(patches.astype(np.float32))
        mean = flat.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
        whitening = (vectors / np.sqrt(np.maximum(values, 0) + 0.1)) @ vectors.T
        white = (flat - mean) @ whitening
        # Plain ground teaches nothing; the noise keeps patches of drawn photos from being exactly equal.
        energy = np.einsum("ij,ij->i", white, white)
        white = white[energy >= np.quantile(energy, 0.3)]
        white += rng.normal(scale=1e-3, size=white.shape)
        self.filters_ = (whitening @ unit_rows(_centroids(white, self.config.filters, rng)).T).astype(np.float32)
        self.offset_ = (mean @ self.filters_).astype(np.float32)

    def _learn_palette(self, photos: Photos, rng: np.random.Generator) -> None:
        """Centroids of the colours of products, in CIELAB."""
        self.__dict__.pop("nearness", None)
        some = photos[rng.integers(0, len(photos), 400)]
        code, product = foreground(some)
        kept = code[rng.random(code.shape) < 0.05 * (product + 0.02)]
        kept = kept if len(kept) else code.ravel()
        seen = lab_of_codes()[kept] + rng.normal(scale=0.5, size=(len(kept), 3))
        self.palette_ = _centroids(seen, min(self.config.palette, len(seen)), rng).astype(np.float32)

    def _learn_projection(self, pooled: Floats, words: Floats) -> None:
        """The linear layer: regularised canonical correlation of photos with words, or PCA where there are no words."""
        from sklearn.utils.extmath import randomized_svd

        mean = _shrunk_mean(pooled)
        scale = 1 / (pooled.std(axis=0) + 0.02)
        scale[-len(self.palette_) :] *= 3  # the whole photo's colours: few columns beside thousands
        standard = (pooled - mean) * scale
        rank = min(400, *standard.shape)
        _, strength, right = randomized_svd(standard, rank, n_iter=2, random_state=self.config.seed)
        components = right[strength > 1e-4 * max(float(strength[0]), 1e-12)].T
        reduced = standard @ components
        turn = _canonical(reduced, words, self.config.ridge)
        if turn is None:
            turn = np.eye(components.shape[1]) / np.sqrt(reduced.std(axis=0) + 1e-6)
        projection = scale[:, None] * (components @ turn[:, : self.config.dim])
        self.projection_ = projection.astype(np.float32)
        self.shift_ = (mean @ projection).astype(np.float32)


def _canonical(photos: Floats, words: Floats, ridge: float) -> npt.NDArray[np.float64] | None:
    """Directions of ``photos`` that go with ``words``, each scaled by its correlation; None when words say nothing."""
    x = photos - photos.mean(axis=0, dtype=np.float64)
    y = words - words.mean(axis=0, dtype=np.float64)
    if len(x) < 3 or not np.any(np.abs(y) > 1e-6):
        return None
    roots = []
    for values, strength in ((x, ridge), (y, 0.5)):
        covariance = values.T @ values / len(values)
        covariance += (strength * np.trace(covariance) / len(covariance) + 1e-9) * np.eye(len(covariance))
        eigenvalues, vectors = np.linalg.eigh(covariance)
        roots.append((vectors / np.sqrt(np.maximum(eigenvalues, 1e-12))) @ vectors.T)
    left, correlation, _ = np.linalg.svd(roots[0] @ (x.T @ y / len(x)) @ roots[1], full_matrices=False)
    directions: npt.NDArray[np.float64] = roots[0] @ left * correlation
    return directions


def _described(items: Items) -> Floats:
    """What the texts and attributes of items say, as vectors: the target of the last layer."""
    texts, _ = TfidfEncoder().read(items, Path())
    rows, _ = AttributesEncoder().read(items, Path())
    return np.concatenate(
        [TfidfEncoder().fit_texts(texts).transform(texts), AttributesEncoder().fit_contents(rows).transform(rows)],
        axis=1,
    )


def _centroids(points: npt.NDArray[np.floating], count: int, rng: np.random.Generator) -> Floats:
    from sklearn.cluster import MiniBatchKMeans

    seed = int(rng.integers(2**31))
    means = MiniBatchKMeans(count, batch_size=4096, n_init=1, max_iter=10, random_state=seed).fit(points)
    return np.asarray(means.cluster_centers_, dtype=np.float32)


def _normalise_contrast(patches: Floats) -> Floats:
    """Each patch with mean 0 and about unit variance; 10 keeps noise on plain ground small. In place."""
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt(np.einsum("ij,ij->i", patches, patches) / patches.shape[1] + np.float32(10))[:, None]
    return patches


def _pool(answers: Floats, rows: int, columns: int) -> Floats:
    """Mean over a grid of cells: (n, high, wide, channels) to (n, rows * columns * channels)."""
    n, high, wide, _ = answers.shape
    down = np.add.reduceat(answers, np.arange(rows) * high // rows, axis=1)
    cells = np.add.reduceat(down, np.arange(columns) * wide // columns, axis=2)
    tall = np.diff(np.append(np.arange(rows) * high // rows, high))
    broad = np.diff(np.append(np.arange(columns) * wide // columns, wide))
    cells /= (tall[:, None] * broad).astype(np.float32)[:, :, None]
    return cells.reshape(n, -1)


def _shrunk_mean(rows: Floats) -> Floats:
    """The mean as if ten empty rows were there too, so that a shop of one photo has a vector as well."""
    mean: Floats = (rows.sum(axis=0) / (len(rows) + 10)).astype(np.float32)
    return mean
