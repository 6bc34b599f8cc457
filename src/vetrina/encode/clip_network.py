"""The networks of ``catalogue-clip`` and their training: the one place where it needs torch.

The image tower has two branches. One is trained by gradient: convolutions with
residual connections, and a palette of colours beside them. The other is
:class:`vetrina.encode.PhotoEncoder`, learned in closed form, written as layers
that ONNX can hold. The text tower is a table: a text's vector is the weighted
sum of those of its words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from vetrina.core import Progress
from vetrina.core.colour import lab_of_codes
from vetrina.encode.clip_words import Views
from vetrina.encode.onnx import export_network
from vetrina.encode.photo import PhotoEncoder

__all__ = ["ImageTower", "Lesson", "contrastive_loss", "export_tower", "soft_targets", "train"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_CHUNK = 64  # photos at once where nothing is trained
_SUMMARY = 300  # principal components of what the fixed filters see
_NOISE = 0.5  # on those, in their standard deviations, so that they are not learned by heart
_TEMPERATURE = 0.1  # of the texts' likeness, for soft targets
_SHIFT, _SCALE, _STRETCH = 0.08, 0.1, 0.05  # how far a photo is moved, scaled and stretched, in shares of its frame
_LIGHT = 0.06  # how much brighter or darker: little, or navy would be black
_HIDDEN = (0.25, 6, 20)  # share of photos of which a part is covered; least and most of its side in pixels


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
    """The branch that is trained: standardised photos (batch, 3, height, width) and summaries to (batch, dim)."""

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
        pooled = wide[-1] + 64 * 7 + 256
        self.head = nn.Sequential(
            nn.BatchNorm1d(pooled), nn.Dropout(dropout), nn.Linear(pooled, 512), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(512, dim),
        )  # fmt: skip

    def forward(self, x: Tensor, summary: Tensor) -> Tensor:
        shapes = self.trunk(x).mean((2, 3))
        colours = self.palette(functional.avg_pool2d(x, 2))
        places = _cells(colours, 3, 2).flatten(1)
        vectors: Tensor = self.head(torch.cat([shapes, colours.mean((2, 3)), places, self.summarised(summary)], 1))
        return vectors


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
    """Photos as they are read, uint8 of shape (batch, height, width, 3), to vectors of unit length.

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
            pooled = torch.cat([self.fixed(part)[1] for part in _channels_first(photos)])
        self.register_buffer("centre", pooled.mean(0))
        # Their principal components, each of variance 1.
        scale = 1 / (pooled.std(0) + 0.02)
        wanted = min(_SUMMARY, *pooled.shape)
        *_, turn = torch.pca_lowrank((pooled - self.centre) * scale, wanted, center=False)
        deviation = ((pooled - self.centre) * scale @ turn).std(0) + 1e-3
        self.register_buffer("summary", scale[:, None] * turn / deviation)
        self.learned = _Learned(options.channels, wanted, options.dim, options.dropout)

    def standardise(self, x: Tensor) -> Tensor:
        """Channels of mean 0 and variance 1 over the shop's photos."""
        return (x - self.mean) / self.deviation

    def summaries(self, photos: Photos) -> Tensor:
        """What the fixed filters see in photos, in few numbers."""
        with torch.no_grad():
            on = self.centre.device
            parts = [(self.fixed(part.to(on))[1] - self.centre) @ self.summary for part in _channels_first(photos)]
            return torch.cat(parts)

    def forward(self, photos: Tensor) -> Tensor:
        x = photos.permute(0, 3, 1, 2).float()
        fixed, pooled = self.fixed(x)
        if self.learned is None:
            vectors: Tensor = fixed
            return vectors
        learned = self.learned(self.standardise(x), (pooled - self.centre) @ self.summary)
        learned = functional.normalize(learned, eps=1e-9)
        return torch.cat([learned * math.sqrt(self.share), fixed * math.sqrt(1 - self.share)], 1)


def _channels_first(photos: Photos) -> Iterator[Tensor]:
    """Photos as float32 of shape (n, 3, height, width), chunk by chunk."""
    for start in range(0, len(photos), _CHUNK):
        yield torch.from_numpy(photos[start : start + _CHUNK]).permute(0, 3, 1, 2).float()


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


def contrastive_loss(photos: Tensor, texts: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """How surprised each photo is by the texts that belong to it, and each text by its photos, in nats.

    Cross-entropy of the softmax over all likenesses of the batch, both ways (A.
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021), against targets that need not be one text alone.

    Parameters
    ----------
    photos, texts : Tensor of shape (batch, dim)
        Rows of unit length.
    targets : Tensor of shape (batch, batch)
        How far each photo (row) belongs to each text; rows sum to 1.
    scale : Tensor
        By which cosines are multiplied: one over the temperature.

    Examples
    --------
    >>> pair = torch.eye(2)
    >>> round(float(contrastive_loss(pair, pair, torch.eye(2), torch.tensor(1.0))), 3)
    0.313
    """
    likeness = photos @ texts.T * scale
    there = (targets * likeness.log_softmax(1)).sum(1).mean()
    back = (targets * likeness.T.log_softmax(1)).sum(1).mean()
    return -(there + back) / 2


def soft_targets(texts: sparse.csr_array, softness: float) -> Floats:
    """To which texts of a batch each photo belongs: to its own, and by ``softness`` to those that say about the same.

    Parameters
    ----------
    texts : sparse array of shape (batch, n_terms)
        What is said of each product, rows of unit length.
    softness : float
        0 makes every other product's text wrong, however equal it is.

    Examples
    --------
    >>> said = sparse.csr_array(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32))
    >>> soft_targets(said, 0.5).round(2).tolist()
    [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]]
    """
    likeness = (texts @ texts.T).toarray() / _TEMPERATURE
    near = np.exp(likeness - likeness.max(axis=1, keepdims=True))
    near /= near.sum(axis=1, keepdims=True)
    targets: Floats = ((1 - softness) * np.eye(len(near)) + softness * near).astype(np.float32)
    return targets


@dataclass(frozen=True)
class Lesson:
    """What is learned from.

    Attributes
    ----------
    photos : uint8 of shape (n, height, width, 3)
    views : Views
        Of what is said of each photo's product.
    labels : int64 of shape (n, n_fields)
        Code of each attribute, -100 where it is not known: what the network is also asked for.
    held_out : int array
        Rows that are not learned from, but measured on.
    left_out : int array
        Rows of which nothing is said.
    """

    photos: Photos
    views: Views
    labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    left_out: npt.NDArray[np.int64]


def train(
    tower: ImageTower, lesson: Lesson, options: Any, device: str, progress: Progress
) -> tuple[Floats, dict[str, list[tuple[float, float]]]]:
    """Train the learned branch and the table of words together.

    Parameters
    ----------
    tower : ImageTower
        Trained in place.
    lesson : Lesson
    options : CatalogueClipConfig
    device : str
    progress : Progress

    Returns
    -------
    table : float32 of shape (n_terms, dim)
        What the words are worth.
    curves : dict
        Loss, and recall among the held-out photos, by epoch.
    """
    assert tower.learned is not None
    rng = np.random.default_rng(options.seed)
    dim, n_terms = options.dim, lesson.views.n_terms
    table = _WordTable(n_terms, options.embedding, dim)
    asked = _Questions(dim, lesson.labels)
    scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    modules = nn.ModuleList([tower, table, asked]).to(device)
    parameters = [*tower.learned.parameters(), *table.parameters(), *asked.parameters(), scale]
    optimizer = torch.optim.AdamW(
        [
            {"params": [one for one in parameters if one.ndim > 1], "weight_decay": options.weight_decay},
            {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
        betas=(0.9, 0.98),
    )
    photos = torch.from_numpy(lesson.photos).permute(0, 3, 1, 2)
    summaries = tower.summaries(lesson.photos)
    rows = np.setdiff1d(np.arange(len(lesson.photos)), np.union1d(lesson.held_out, lesson.left_out))
    parts = max(1, round(len(rows) / options.batch))
    schedule = _schedule(options.epochs * parts)
    losses, recalls = [], []
    labels = torch.from_numpy(lesson.labels)
    with progress.step("Training the photo network", options.epochs) as step:
        for epoch in range(1, options.epochs + 1):
            modules.train()
            total = 0.0
            for part in np.array_split(rng.permutation(rows), parts):
                rate = options.learning_rate * next(schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                varied = tower.standardise(_varied(photos[part].to(device), tower.mean))
                blurred = summaries[part] + _NOISE * torch.randn(len(part), summaries.shape[1]).to(device)
                seen = functional.normalize(tower.learned(varied, blurred))
                said = functional.normalize(table(lesson.views.draw(part, rng)))
                targets = torch.from_numpy(soft_targets(lesson.views.whole(part), options.softness)).to(device)
                loss = contrastive_loss(seen, said, targets, scale.exp().clamp(max=100))
                loss = loss + options.attribute_weight * asked(seen, labels[part].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(part)
            losses.append((float(epoch), total / len(rows)))
            if len(lesson.held_out) and (epoch % 5 == 0 or epoch == options.epochs):
                modules.eval()
                recalls.append((float(epoch), _recall(tower, table, lesson, summaries)))
            step.advance()
    modules.eval().cpu()
    curves = {"loss by epoch": losses}
    if recalls:
        curves["recall@10 by epoch"] = recalls
    return table.folded(), curves


class _WordTable(nn.Module):
    """Vector of every term, learned as the product of two smaller factors."""

    def __init__(self, n_terms: int, inner: int, dim: int) -> None:
        super().__init__()
        self.terms = nn.EmbeddingBag(n_terms, inner, mode="sum")
        nn.init.normal_(self.terms.weight, std=2 / math.sqrt(inner))
        self.turn = nn.Linear(inner, dim, bias=False)

    def forward(self, bags: sparse.csr_array) -> Tensor:
        on = self.turn.weight.device
        found, starts, weights = (
            torch.from_numpy(one.astype(kind)).to(on)
            for one, kind in ((bags.indices, np.int64), (bags.indptr[:-1], np.int64), (bags.data, np.float32))
        )
        turned: Tensor = self.turn(self.terms(found, starts, per_sample_weights=weights))
        return turned

    def folded(self) -> Floats:
        """Both factors as one table."""
        with torch.no_grad():
            turned: Tensor = self.turn(self.terms.weight)
            return np.ascontiguousarray(turned.numpy(), dtype=np.float32)


class _Questions(nn.Module):
    """What each attribute of the product is, asked of the photo's vector: mean cross-entropy over the attributes."""

    def __init__(self, dim: int, labels: npt.NDArray[np.int64]) -> None:
        super().__init__()
        sizes = [int(column.max(initial=-1)) + 1 for column in labels.T]
        self.heads = nn.ModuleList(nn.Linear(dim, size) for size in sizes)

    def forward(self, seen: Tensor, labels: Tensor) -> Tensor:
        total = seen.new_zeros(())
        for head, truth in zip(self.heads, labels.T, strict=True):
            if bool((truth >= 0).any()):
                total = total + functional.cross_entropy(head(seen) * 10, truth, label_smoothing=0.05)
        return total / max(len(self.heads), 1)


def _schedule(steps: int) -> Iterator[float]:
    """Share of the full learning rate, step by step: up for a while, then down along a cosine."""
    for step in range(steps):
        yield min(1.0, (step + 1) / (0.08 * steps)) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _varied(photos: Tensor, mean: Tensor) -> Tensor:
    """Photos mirrored, moved, scaled, lit and covered a little, each in its own way; float32, 0 to 255."""
    n, _, high, wide = photos.shape

    def draw(*shape: int) -> Tensor:
        # Drawn on the processor, so that every device trains on the same.
        return torch.rand(*shape) * 2 - 1

    size = 1 + draw(n) * _SCALE
    turn = torch.zeros(n, 2, 3)
    turn[:, 0, 0] = size * torch.where(draw(n) < 0, -1.0, 1.0)
    turn[:, 1, 1] = size * (1 + draw(n) * _STRETCH)
    turn[:, :, 2] = draw(n, 2) * 2 * _SHIFT
    light, dark = 1 + draw(n, 1, 1, 1) * _LIGHT, draw(n, 1, 1, 1) * _LIGHT * 64
    share, least, most = _HIDDEN
    tall, broad = (least + (draw(n, 1, 1) + 1) / 2 * (min(most, side // 3) - least) for side in (high, wide))
    top, left = (draw(n, 1, 1) + 1) / 2 * (high - tall), (draw(n, 1, 1) + 1) / 2 * (wide - broad)
    y, x = torch.arange(high)[None, :, None], torch.arange(wide)[None, None, :]
    covered = (y >= top) & (y < top + tall) & (x >= left) & (x < left + broad) & (draw(n, 1, 1) < 2 * share - 1)
    to = photos.device
    # What comes in from beyond the frame is white, as the ground that photos are laid on.
    grid = functional.affine_grid(turn.to(to), [n, 3, high, wide], align_corners=False)
    moved = functional.grid_sample(photos.float() - 255, grid, align_corners=False) + 255
    lit = (moved * light.to(to) + dark.to(to)).clamp(0, 255)
    return torch.where(covered[:, None].to(to), mean, lit)


def _recall(tower: ImageTower, table: _WordTable, lesson: Lesson, summaries: Tensor) -> float:
    """Share of held-out texts whose photo is among the ten nearest held-out photos, by the trained branch alone."""
    assert tower.learned is not None
    rows = lesson.held_out
    with torch.no_grad():
        starts = range(0, len(rows), _CHUNK)
        parts = [
            tower.learned(tower.standardise(part.to(summaries.device)), summaries[rows[start : start + _CHUNK]])
            for start, part in zip(starts, _channels_first(lesson.photos[rows]), strict=True)
        ]
        seen = functional.normalize(torch.cat(parts))
        said = functional.normalize(table(lesson.views.titles(rows)))
        likeness = said @ seen.T
        ahead = (likeness > likeness.diagonal()[:, None]).sum(1)
    return float((ahead < 10).float().mean())


def export_tower(tower: ImageTower, size: tuple[int, int]) -> bytes:
    """The image tower as an ONNX file: ``photos`` in, ``vectors`` out, any number of them."""
    width, height = size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    return export_network(tower.eval(), {"photos": example}, ["vectors"], {"photos": [0]})


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from a seed of its own, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
