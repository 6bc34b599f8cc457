"""The training of ``catalogue-clip``: its loss, its pictures and texts made to vary, its optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from vetrina.core import Progress
from vetrina.encode.clip_towers import CHUNK, ImageTower, WordTable, channels_first
from vetrina.encode.words import Views

__all__ = ["Lesson", "contrastive_loss", "seeded", "soft_targets", "train"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_NOISE = 0.5  # on those, in their standard deviations, so that they are not learned by heart
_TEMPERATURE = 0.1  # of the texts' likeness, for soft targets
_SHIFT, _SCALE, _STRETCH = 0.08, 0.1, 0.05  # how far a photo is moved, scaled and stretched, in shares of its frame
_LIGHT = 0.06  # how much brighter or darker: little, or navy would be black
_HIDDEN = (0.25, 6, 20)  # share of photos of which a part is covered; least and most of its side in pixels


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
    table : float32 of shape (n_terms, 2 · dim)
        What the words are worth to each of the two heads.
    curves : dict
        Loss, and recall among the held-out photos, by epoch.
    """
    assert tower.learned is not None
    rng = np.random.default_rng(options.seed)
    dim, n_terms = options.dim, lesson.views.n_terms
    table = WordTable(n_terms, options.embedding, dim)
    asked = _Questions(2 * dim, lesson.labels)
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
                seen = tower.learned(varied, blurred)
                said = table(lesson.views.draw(part, rng))
                targets = torch.from_numpy(soft_targets(lesson.views.whole(part), options.softness)).to(device)
                loss = options.attribute_weight * asked(seen.flatten(1), labels[part].to(device))
                for head in range(2):
                    fit = contrastive_loss(seen[:, head], said[:, head], targets, scale.exp().clamp(max=100))
                    loss = loss + fit / 2
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(part)
            losses.append((float(epoch), total / len(rows)))
            if len(lesson.held_out) and (epoch % 5 == 0 or epoch == options.epochs):
                modules.train(False)
                recalls.append((float(epoch), _recall(tower, table, lesson, summaries)))
            step.advance()
    modules.train(False)
    tower.finish(lesson.photos, summaries)
    modules.cpu()
    curves = {"loss by epoch": losses}
    if recalls:
        curves["recall@10 by epoch"] = recalls
    return table.folded(), curves


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


def _recall(tower: ImageTower, table: WordTable, lesson: Lesson, summaries: Tensor) -> float:
    """Share of held-out texts whose photo is among the ten nearest held-out photos, by the trained branch alone."""
    rows = lesson.held_out
    with torch.no_grad():
        starts = range(0, len(rows), CHUNK)
        parts = [
            tower.seen(part.to(summaries.device), summaries[rows[start : start + CHUNK]])
            for start, part in zip(starts, channels_first(lesson.photos[rows]), strict=True)
        ]
        likeness = table(lesson.views.titles(rows)).flatten(1) @ torch.cat(parts).flatten(1).T
        ahead = (likeness > likeness.diagonal()[:, None]).sum(1)
    return float((ahead < 10).float().mean())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch draw from a seed of its own, and leave it as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
