"""The networks of ``catalogue-clip``, in torch: a tower for photos, a table for words.

The image tower has a trunk that is trained by gradient, convolutions with
residual connections and a palette of colours beside them, and beside it
:class:`vetrina.encode.PhotoEncoder`, learned in closed form, written as layers
that ONNX can hold. The text tower is a table: a text's vector is the weighted
sum of those of its terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from vetrina.core.colour import lab_of_codes
from vetrina.core.onnx import export_network
from vetrina.encode.photo import PhotoEncoder

__all__ = ["CHUNK", "ImageTower", "WordTable", "channels_first", "export_tower"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

CHUNK = 64  # photos at once where nothing is trained
_SUMMARY = 300  # principal components of what the fixed filters see


class _Block(nn.Module):
    """Two convolutions and what goes past them; halves height and width."""

    def __init__(self, wide: int, wider: int) -> None:
        super().__init__()
        self.bent = nn.Sequential(
            nn.Conv2d(wide, wider, 3, 2, 1, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(inplace=True),
            nn.Conv2d(wider, wider, 3, 1, 1, bias=False),
            nn.BatchNorm2d(wider),
        )
        self.straight = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(wide, wider, 1, bias=False), nn.BatchNorm2d(wider)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bent(x) + self.straight(x))


class _Learned(nn.Module):
    """What is trained: standardised photos (batch, 3, height, width) and summaries to (batch, 2, dim), of unit length.

    There are two heads on one trunk: one that also knows what the fixed filters
    see, and is the better one alone; and one that does not, which errs elsewhere.
    """

    def __init__(self, width: int, summary: int, dim: int, dropout: float) -> None:
        super().__init__()
        wide = [width, 2 * width, 4 * width, 8 * width]
        self.trunk = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            *(_Block(*pair) for pair in pairwise(wide)),
        )
        self.palette = nn.Sequential(nn.Conv2d(3, 32, 1), nn.ReLU(), nn.Conv2d(32, 64, 1), nn.ReLU())
        self.summarised = nn.Linear(summary, 256)
        pooled = wide[-1] + 64 * 7
        self.heads = nn.ModuleList(_head(size, dim, dropout) for size in (pooled, pooled + 256))

    def forward(self, x: Tensor, summary: Tensor) -> Tensor:
        shapes = self.trunk(x).mean((2, 3))
        colours = self.palette(functional.avg_pool2d(x, 2))
        places = _cells(colours, 3, 2).flatten(1)
        pooled = torch.cat([shapes, colours.mean((2, 3)), places], 1)
        seen = [self.heads[0](pooled), self.heads[1](torch.cat([pooled, self.summarised(summary)], 1))]
        return functional.normalize(torch.stack(seen, 1), dim=2, eps=1e-9)


def _head(size: int, dim: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm1d(size), nn.Dropout(dropout), nn.Linear(size, 512), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(512, dim),
    )  # fmt: skip


class _Fixed(nn.Module):
    """:class:`PhotoEncoder` as layers: photos (batch, 3, height, width) of 0 to 255 to its vectors, of unit length.

    What its filters and its palette answer, (batch, n_pooled), is returned beside them.
    """

    filters: Tensor
    weight: Tensor
    offset: Tensor
    lab: Tensor
    near: Tensor
    projection: Tensor
    shift: Tensor
    colour_mean: Tensor

    def __init__(self, encoder: PhotoEncoder) -> None:
        super().__init__()
        side = encoder.config.patch
        filters = torch.tensor(np.array(encoder.filters_)).reshape(side, side, 3, -1).permute(3, 2, 0, 1)
        # The patch's mean is one more filter.
        mean = torch.full((1, 3, side, side), 1 / (3 * side * side))
        self.register_buffer("filters", torch.cat([filters, mean]).contiguous())
        self.register_buffer("weight", filters.sum((1, 2, 3))[:, None, None].clone())
        self.register_buffer(
            "offset", torch.tensor(np.array(encoder.offset_) + encoder.config.threshold)[:, None, None].float()
        )
        self.register_buffer("lab", torch.tensor(np.array(lab_of_codes())))
        self.register_buffer("near", torch.tensor(np.array(encoder.nearness)))
        for name in ("projection", "shift", "colour_mean"):
            self.register_buffer(name, torch.tensor(np.array(getattr(encoder, f"{name}_"))))
        self.stride, self.side, self.share = encoder.config.stride, side, encoder.config.colour_weight

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        by_cell, share = self._colours(x)
        pooled = torch.cat([self._convolve(x), by_cell, share], 1).clamp(min=0).sqrt()
        learned = functional.normalize(pooled @ self.projection - self.shift, eps=1e-9)
        colour = functional.normalize(share.sqrt() - self.colour_mean, eps=1e-9) * self.share
        return functional.normalize(torch.cat([learned, colour], 1), eps=1e-9), pooled

    def _convolve(self, x: Tensor) -> Tensor:
        x = x - 128  # nearer to zero, so that the variance below keeps its digits
        answers = functional.conv2d(x, self.filters, stride=self.stride)
        answers, mean = answers[:, :-1], answers[:, -1:]
        squares = functional.avg_pool2d(x.square().mean(1, keepdim=True), self.side, self.stride)
        spread = ((squares - mean.square()).clamp(min=0) + 10).sqrt()
        answers = (answers - mean * self.weight) / spread - self.offset
        # (batch, filter, 4, 3) to (batch, 4 · 3 · filters): cell by cell, as there.
        return _cells(answers.relu(), 4, 3).permute(0, 2, 3, 1).flatten(1)

    def _colours(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = (x / 8).floor().long().clamp(0, 31)
        code = (steps[:, 0] * 32 + steps[:, 1]) * 32 + steps[:, 2]
        seen = self.lab[code]
        border = torch.cat([seen[:, 0], seen[:, -1], seen[:, :, 0], seen[:, :, -1]], 1)
        # Of an even number of values the median is the mean of the middle two.
        half = border.shape[1] // 2
        upper = border.transpose(1, 2).topk(half + 1, dim=2).values
        ground = upper[..., -2:].mean(2)[:, None, None]
        product = ((seen - ground).square().sum(-1).sqrt() / 15).clamp(max=1)
        mass = self.near[code] * product[..., None]
        cells = _cells(mass.permute(0, 3, 1, 2), 3, 3, up=1).permute(0, 2, 3, 1)
        background = (1 - cells.sum(3, keepdim=True)).clamp(min=0)
        whole = mass.sum((1, 2))
        whole = whole / whole.sum(1, keepdim=True).clamp(min=1e-6)
        return torch.cat([cells, background], 3).flatten(1), whole


class ImageTower(nn.Module):
    """Photos as they are read, uint8 of shape (batch, height, width, 3), to vectors of unit length or a little less.

    Parameters
    ----------
    fixed : PhotoEncoder
        Fitted.
    photos : uint8 of shape (n, height, width, 3)
        What it is to learn from: for the scale of what goes into the trained branch.
    options : CatalogueClipConfig
    trains : bool
        Whether there is a trained branch.
    """

    mean: Tensor
    deviation: Tensor
    centre: Tensor
    summary: Tensor
    middle: Tensor

    def __init__(self, fixed: PhotoEncoder, photos: Photos, options: Any, trains: bool) -> None:
        super().__init__()
        self.fixed = _Fixed(fixed)
        self.share = options.trained_share
        self.learned: _Learned | None = None
        if not trains:
            return
        flat = photos.reshape(-1, 3)
        for name, value in (("mean", flat.mean(axis=0)), ("deviation", flat.std(axis=0) + 1)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).reshape(1, 3, 1, 1))
        with torch.no_grad():
            pooled = torch.cat([self.fixed(part)[1] for part in channels_first(photos)])
        self.register_buffer("centre", pooled.mean(0))
        # Their principal components, each of variance 1; but what hardly varies is not blown up.
        scale = 1 / (pooled.std(0) + 0.02)
        wanted = min(_SUMMARY, *pooled.shape)
        *_, turn = torch.pca_lowrank((pooled - self.centre) * scale, wanted, center=False)
        deviation = ((pooled - self.centre) * scale @ turn).std(0).clamp(min=0.5)
        self.register_buffer("summary", scale[:, None] * turn / deviation)
        self.learned = _Learned(options.channels, wanted, options.dim, options.dropout)
        self.register_buffer("middle", torch.zeros(2, options.dim))

    def standardise(self, x: Tensor) -> Tensor:
        """Channels of mean 0 and variance 1 over the shop's photos."""
        return (x - self.mean) / self.deviation

    def summaries(self, photos: Photos) -> Tensor:
        """What the fixed filters see in photos, in few numbers."""
        with torch.no_grad():
            on = self.centre.device
            parts = [(self.fixed(part.to(on))[1] - self.centre) @ self.summary for part in channels_first(photos)]
            return torch.cat(parts)

    def forward(self, photos: Tensor) -> Tensor:
        x = photos.permute(0, 3, 1, 2).float()
        fixed, pooled = self.fixed(x)
        if self.learned is None:
            vectors: Tensor = fixed
            return vectors
        apart = self.seen(x, (pooled - self.centre) @ self.summary) - self.middle
        # What hardly differs from the middle says little, and is not made to say much.
        learned = functional.normalize(apart, dim=2, eps=0.1)
        return torch.cat([learned.flatten(1) * math.sqrt(self.share / 2), fixed * math.sqrt(1 - self.share)], 1)

    def seen(self, x: Tensor, summary: Tensor) -> Tensor:
        """What the trained heads see in photos (batch, 3, height, width): (batch, 2, dim), of unit length."""
        assert self.learned is not None
        x = self.standardise(x)
        # A product and its mirror image are the same product.
        return functional.normalize(self.learned(x, summary) + self.learned(x.flip(3), summary), dim=2, eps=1e-9)

    def finish(self, photos: Photos, summaries: Tensor) -> None:
        """Take the mean of what is seen in the photos learned from as the middle of all: the last step of training."""
        with torch.no_grad():
            for start, part in zip(range(0, len(photos), CHUNK), channels_first(photos), strict=True):
                seen = self.seen(part.to(summaries.device), summaries[start : start + CHUNK])
                self.middle += seen.sum(0) / len(photos)


def channels_first(photos: Photos) -> Iterator[Tensor]:
    """Photos as float32 of shape (n, 3, height, width), chunk by chunk."""
    for start in range(0, len(photos), CHUNK):
        yield torch.from_numpy(photos[start : start + CHUNK]).permute(0, 3, 1, 2).float()


def _cells(x: Tensor, rows: int, columns: int, up: int = 0) -> Tensor:
    """Mean over a grid of cells whose ends are rounded down, or up (1): (batch, channels, rows, columns)."""
    high, wide = x.shape[2:]
    return _averages(rows, high, up).to(x.device) @ x @ _averages(columns, wide, up).T.to(x.device)


def _averages(cells: int, length: int, up: int) -> Tensor:
    ends = (np.arange(cells + 1) * length + up * (cells - 1)) // cells
    weights = np.zeros((cells, length), dtype=np.float32)
    for cell, (start, end) in enumerate(pairwise(ends.tolist())):
        weights[cell, start:end] = 1 / max(end - start, 1)
    return torch.from_numpy(weights)


class WordTable(nn.Module):
    """Vector of every term for each of the two heads, learned as the product of two smaller factors.

    Bags of terms become (batch, 2, dim), of unit length.
    """

    def __init__(self, n_terms: int, inner: int, dim: int) -> None:
        super().__init__()
        self.terms = nn.EmbeddingBag(n_terms, inner, mode="sum")
        nn.init.normal_(self.terms.weight, std=2 / math.sqrt(inner))
        self.turn = nn.Linear(inner, 2 * dim, bias=False)

    def forward(self, bags: sparse.csr_array) -> Tensor:
        on = self.turn.weight.device
        found, starts, weights = (
            torch.from_numpy(one.astype(kind)).to(on)
            for one, kind in ((bags.indices, np.int64), (bags.indptr[:-1], np.int64), (bags.data, np.float32))
        )
        turned = self.turn(self.terms(found, starts, per_sample_weights=weights))
        return functional.normalize(turned.unflatten(1, (2, -1)), dim=2, eps=1e-9)

    def folded(self) -> Floats:
        """Both factors as one table."""
        with torch.no_grad():
            turned: Tensor = self.turn(self.terms.weight)
            return np.ascontiguousarray(turned.numpy(), dtype=np.float32)


def export_tower(tower: ImageTower, size: tuple[int, int]) -> bytes:
    """The image tower as an ONNX file: ``photos`` in, ``vectors`` out, any number of them."""
    width, height = size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    return export_network(tower.train(False), {"photos": example}, ["vectors"], {"photos": [0]})
