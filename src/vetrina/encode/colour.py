"""A photo's colours as a vector in which colours that look alike share mass, and words for colours in the same terms.

Every pixel of the product is shared out among fixed points of CIELAB, nearer
ones taking more; the shares of the whole photo are its signature, which needs no
training. What words say is a signature too: of the colour as dyed cloth has it,
or as the shop's own products of that colour look.

Sources: CIE 15 (CIELAB); D. Comaniciu, V. Ramesh and P. Meer, Kernel-based
object tracking (PAMI 2003), for square roots of soft histograms, whose dot
product is the Bhattacharyya coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, Items, Progress, register
from vetrina.core.colour import cielab, foreground, lab_of_codes
from vetrina.core.photo import Photo, open_photo
from vetrina.encode.base import Encoder, unit_rows
from vetrina.encode.colour_names import Named, colours_in, joined, known_colours
from vetrina.encode.photos import decoded, encode_photos, photo_contents

__all__ = ["ColourConfig", "ColourEncoder"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_SIDE = 48  # pixels: a photo is looked at in a square of these, whatever its shape
_SPACING = 25.0  # distance of the fixed points in CIELAB
_WIDTH = 12.0  # standard deviation, in CIELAB, of how a pixel is shared out
_PLAIN = 0.005  # a photo with less of a product is of nothing but one colour
_CLOTH = np.array([8.0, 6.0, 6.0])  # standard deviation of a cloth's colour in CIELAB: light and shade, and hue
_PRIOR = 3.0  # products that the table's idea of a colour counts as, beside the shop's own
_AGREE = 0.4  # mean vector of a name that no table has must be this long, beyond what chance makes of few products


class ColourConfig(Config):
    """What the shop's own names of colours are learned from."""

    fit_photos: int = Field(default=5_000, ge=1, description="Products learned from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "colour")
class ColourEncoder(Encoder):
    """Soft histogram of the product's colours over points of CIELAB, less what all products of the shop have.

    Words are read too: names of colours in several languages, "dark" and
    "light", and what the shop's own column of colours calls them, such as
    "Midnight", by what its photos show. Where words name no colour, the vector is zero.
    "Like this, but red" takes the colour from the words alone.

    Learned arrays: ``mean_`` (dim,), the shop's mean signature, which is
    subtracted from all; ``names_`` (n_names,) of the shop's own colours, and
    ``looks_`` (n_names, dim) of them.

    Examples
    --------
    >>> import polars as pl
    >>> from vetrina.core import Silent
    >>> navy, red = (np.full((8, 8, 3), 255, dtype=np.uint8) for _ in range(2))
    >>> navy[2:6, 2:6], red[2:6, 2:6] = (28, 40, 85), (200, 35, 40)
    >>> shop = Items(pl.DataFrame({"item": ["n", "r"], "colour": ["", "Red"]}))
    >>> encoder = ColourEncoder().fit(shop, [navy, red], Silent())
    >>> vectors = encoder.transform([navy, red])
    >>> (encoder.transform_words(["navy blue jacket", "rotes Kleid", "jacket"]) @ vectors.T > 0.5).tolist()
    [[True, False], [False, True], [False, False]]
    """

    modality = "photo"
    cost = "low: no training; a soft histogram of each photo"
    dimension = "141, fixed"
    config_type = ColourConfig

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        return photo_contents(items, root)

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        self.__dict__.pop("_looks_by_name", None)
        chosen = np.arange(len(contents))
        if len(chosen) > self.config.fit_photos:
            rng = np.random.default_rng(self.config.seed)
            chosen = np.sort(rng.choice(chosen, self.config.fit_photos, replace=False))
        signatures, rows = [np.empty((0, len(_points())), dtype=np.float32)], [np.empty(0, dtype=np.int64)]
        with progress.step("Reading colours", len(chosen)) as step:
            for photos, row in decoded([contents[i] for i in chosen.tolist()], _read):
                signatures.append(_signatures(photos))
                rows.append(chosen[row])
                step.advance(len(np.unique(row)))
        every, row = np.concatenate(signatures), np.concatenate(rows)
        # As if ten empty photos were there too, so that a shop of one photo has a vector as well.
        self.mean_ = (every.sum(axis=0) / (len(every) + 10)).astype(np.float32)
        self._learn_names(items.table["colour"].fill_null("").gather(row).to_list(), unit_rows(every - self.mean_))
        return self

    def _learn_names(self, values: list[str], vectors: Floats) -> None:
        """What the shop's own colours look like: the mean of their photos, and of what the table says."""
        by_name: dict[str, list[int]] = {}
        for at, value in enumerate(values):
            by_name.setdefault(joined(value), []).append(at)
        looks: dict[str, Floats] = {}
        for name, places in by_name.items():
            mean = vectors[places].mean(axis=0)
            if name in known_colours():
                told = self._of_table(Named(name, 0))
                looks[name] = unit_rows((len(places) * mean + _PRIOR * told)[None])[0]
            # "Multi", "other" and the like are no colours: their photos have nothing in common.
            elif len(name) > 2 and np.linalg.norm(mean) > _AGREE + 0.4 / np.sqrt(len(places)):
                looks[name] = unit_rows(mean[None])[0]
        self.names_ = np.array(list(looks), dtype=np.str_)
        self.looks_ = np.array(list(looks.values()), dtype=np.float32).reshape(-1, vectors.shape[1])

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode photos: float32 of shape (len(contents), dim), zero where unreadable."""
        self.require_fitted("mean_")
        return encode_photos(contents, lambda photos: _signatures(photos) - self.mean_, len(self.mean_), _read)

    def transform_photos(self, photos: Sequence[bytes]) -> Floats:
        return self.transform(photos)

    def transform_words(self, texts: Sequence[str]) -> Floats:
        self.require_fitted("mean_")
        rows = np.zeros((len(texts), len(self.mean_)), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for named in colours_in(text, self._looks_by_name):
                row += self._of(named)
        return unit_rows(rows)

    def compose(self, examples: Floats, words: Floats) -> Floats:
        """The colour that the words name, in place of the one that is shown."""
        return np.where(np.any(words != 0, axis=1, keepdims=True), words, examples).astype(np.float32)

    @cached_property
    def _looks_by_name(self) -> dict[str, Floats]:
        return dict(zip(self.names_.tolist(), self.looks_, strict=True))

    def _of(self, named: Named) -> Floats:
        own = self._looks_by_name.get(named.name)
        if own is not None and (named.shade == 0 or named.name not in known_colours()):
            return own
        return self._of_table(named)

    def _of_table(self, named: Named) -> Floats:
        told: Floats = unit_rows((_of_cloth(known_colours()[named.name], named.shade) - self.mean_)[None])[0]
        return told


def _read(source: Photo) -> Photos:
    from PIL import Image

    # Stretched, for colours have no shape, and white beside the photo would be taken for its background.
    return np.asarray(open_photo(source, _SIDE).resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.uint8)


@cache
def _points() -> Floats:
    """The fixed points: those of a cubic grid in CIELAB that have a colour of sRGB near."""
    grid: Floats = np.unique(np.round(lab_of_codes() / _SPACING), axis=0) * np.float32(_SPACING)
    return grid


@cache
def _shares() -> Floats:
    """How every colour code is shared out among the points: float32 of shape (n_codes, n_points), rows of sum 1."""
    lab, points = lab_of_codes(), _points()
    distance = (lab**2).sum(axis=1)[:, None] - 2 * lab @ points.T + (points**2).sum(axis=1)
    near = np.exp(-distance / (2 * _WIDTH**2))
    shares: Floats = (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _signatures(photos: Photos) -> Floats:
    """Square roots of the points' shares in the product: (n, n_points), rows of unit length."""
    code, product = foreground(photos)
    # A photo of one plain colour, such as a swatch, is all product.
    product[product.mean(axis=(1, 2)) < _PLAIN] = 1
    row = np.repeat(np.arange(len(photos)), photos.shape[1] * photos.shape[2])
    shares = _shares()
    weights = sparse.csr_array((product.ravel(), (row, code.ravel())), shape=(len(photos), len(shares)))
    return unit_rows(np.sqrt(weights @ shares))


@cache
def _of_cloth(rgb: tuple[int, int, int], shade: int) -> Floats:
    """Signature of cloth of one colour, a shade darker (-1) or lighter (1)."""
    colour = cielab(rgb).astype(np.float64)
    if shade < 0:
        colour *= [0.5, 0.75, 0.75]
    elif shade > 0:
        colour = colour * [0.55, 0.55, 0.55] + [45, 0, 0]
    weight = np.exp(-(((lab_of_codes() - colour) / _CLOTH) ** 2).sum(axis=1) / 2)
    signature: Floats = unit_rows(np.sqrt(weight @ _shares())[None])[0]
    return signature
