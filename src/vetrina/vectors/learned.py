"""Fusion learned from behaviour: what gated and attention fusion have in common.

Every modality is mapped into one space by a matrix of its own, and an item is the mean of what it
has there, weighted by gates that differ from item to item. Matrices and gates are learned
together, so that items which the same shopper chose close in time come to lie near one
another, and other items further off: a softmax over the other items of a batch, whose logits
are lowered for popular items, or those would be pushed away for being popular. Some
modalities of every item are left out at random, and some pairs are an item and itself with other
modalities left out: so each modality learns to stand in for the others.

It begins where plain concatenation ends: with the matrices of its reduction and equal gates.
The gradients are written out, the steps are NumPy's, and so nothing but NumPy is needed.

Sources: A. van den Oord, Y. Li and O. Vinyals, Representation learning with contrastive predictive
coding (2018); X. Yi et al., Sampling-bias-corrected neural modeling for large corpus item
recommendations (RecSys 2019); N. Neverova et al., ModDrop (TPAMI 2016); D. Kingma and J. Ba,
Adam (ICLR 2015).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import EventLog
from vetrina.core.pairs import Pairs, chosen_together
from vetrina.vectors.base import Fuser, FuserConfig, Vectors
from vetrina.vectors.concat import Concat

__all__ = ["LearnedConfig", "LearnedFuser", "Passed"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class LearnedConfig(FuserConfig):
    """As of every fuser, and how it learns."""

    minutes: float = Field(default=30.0, gt=0, description="How far apart in time two choices may be to be a pair.")
    reach: int = Field(default=5, ge=1, description="How many choices of the same shopper on they may be apart.")
    enough: int = Field(
        default=500, ge=1, description="With fewer pairs of items chosen together, modalities are concatenated."
    )
    steps: int = Field(default=400, ge=1, description="Steps of learning.")
    batch: int = Field(default=256, ge=2, description="Pairs in a step.")
    rate: float = Field(default=0.003, gt=0, description="Length of the first step; it falls to nothing.")
    temperature: float = Field(default=0.1, gt=0, description="Small looks at the nearest items only.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Chance that a modality is left out while learning.")
    itself: float = Field(
        default=0.5, ge=0, lt=1, description="Share of pairs that are an item and itself, with other modalities."
    )
    popularity: float = Field(default=0.75, ge=0, le=1, description="How far popular items are spared as negatives.")
    seed: int = Field(default=0, ge=0)


class Passed(NamedTuple):
    """One side of a batch on its way to the fused vectors."""

    features: Floats  # (batch, n_features), zero where a modality is missing or left out
    tokens: Floats  # (batch, n_modalities, dim)
    gates: Floats  # (batch, n_modalities), each row sums to 1
    length: Floats  # (batch, 1)
    fused: Floats  # (batch, dim), unit length


class LearnedFuser(Fuser):
    """Gated sum of modalities in a common space; what makes the gates is up to its subclasses.

    Learned: ``means_`` (n_features,) of each modality, ``projection_`` (n_features, dim) whose rows
    are the modalities' matrices, ``gate_``, and ``bias_`` (n_modalities,).
    """

    learns = "log"
    config_type = LearnedConfig
    means_: Floats
    projection_: Floats
    gate_: Floats
    bias_: Floats
    _plain: Concat | None = None

    # --- what subclasses say --------------------------------------------------

    @abstractmethod
    def _first_gate(self, n_features: int, n_modalities: int, dim: int) -> Floats:
        """Zeros in the shape of what the gates are learned in."""

    @abstractmethod
    def _logits(self, features: Floats, tokens: Floats) -> Floats:
        """What the softmax of the gates is taken of, without the bias: (batch, n_modalities)."""

    @abstractmethod
    def _logits_back(self, passed: Passed, slope: Floats) -> tuple[Floats, Floats | None]:
        """From the slope by the logits, that by the gate, and that by the tokens where they depend on them."""

    def pairs_of(self, log: EventLog) -> Pairs:
        """Items that the same shopper chose close in time."""
        return chosen_together(log, self.config.minutes, self.config.reach)

    # --- learning -------------------------------------------------------------

    def fit(self, vectors: Vectors, pairs: Pairs | None = None) -> Self:
        n_items = self._learn_modalities(vectors)
        self.note, self._plain, self.curves_ = "", None, {}
        for name in ("means_", "projection_", "gate_", "bias_"):
            self.__dict__.pop(name, None)
        there = np.zeros((n_items, len(self.modalities_)), dtype=bool)
        for place, name in enumerate(self.modalities_):
            for start in range(0, n_items, 16_384):
                there[start : start + 16_384, place] = np.any(vectors[name][start : start + 16_384] != 0, axis=1)
        pairs = _among(pairs or Pairs.none(), there)
        if len(pairs.weight) < self.config.enough:
            self.note = (
                f"Fusion is plain concatenation: {len(pairs.weight):,} pairs of products that the same shopper chose "
                f"close in time are fewer than the {self.config.enough:,} that {self.name} fusion learns from."
            )
            plain = {name: getattr(self.config, name) for name in FuserConfig.model_fields}
            self._plain = Concat(**plain).fit({name: vectors[name] for name in self.modalities_})
            return self
        self._begin(vectors, there)
        self._descend(vectors, there, pairs)
        return self

    def _begin(self, vectors: Vectors, there: Mask) -> None:
        """Where concatenation ends: its reduction, but with each modality centred where it is there."""
        totals = [np.zeros(dim) for dim in self.modalities_.values()]
        for part in self._parts(vectors):
            for total, block in zip(totals, part.values(), strict=True):
                total += block.sum(axis=0, dtype=np.float64)
        counts = np.maximum(there.sum(axis=0), 1)
        self.means_ = np.concatenate([t / n for t, n in zip(totals, counts, strict=True)]).astype(np.float32)
        weights = np.sqrt([self._weight(name) for name in self.modalities_])
        weight = np.repeat(weights, list(self.modalities_.values())).astype(np.float32)

        def parts() -> Iterator[Floats]:
            return (self._features(part) * weight for part in self._parts(vectors))

        reducer = self._reducer(len(self.means_), parts)
        self.projection_ = reducer.components_ * weight[:, None]
        self.gate_ = self._first_gate(len(self.means_), len(self.modalities_), self.projection_.shape[1])
        self.bias_ = np.zeros(len(self.modalities_), dtype=np.float32)

    def _descend(self, vectors: Vectors, there: Mask, pairs: Pairs) -> None:
        """Adam on the contrastive loss, steps falling along a cosine."""
        config, rng = self.config, np.random.default_rng(self.config.seed)
        anything = np.flatnonzero(there.any(axis=1))
        chance = np.cumsum(pairs.weight, dtype=np.float64)
        seen = np.bincount(pairs.left, pairs.weight, len(there)) + np.bincount(pairs.right, pairs.weight, len(there))
        drawn = (1 - config.itself) * seen / seen.sum() + config.itself / len(anything)
        # How often an item is met as a negative: taken off its logits.
        spared = (config.popularity * np.log(np.maximum(drawn, 1e-12))).astype(np.float32)
        moments = [(np.zeros_like(one), np.zeros_like(one)) for one in self._weights()]
        losses: list[float] = []
        for step in range(1, config.steps + 1):
            left, right = self._draw(pairs, chance, anything, rng)
            sides = [
                self._pass(self._features(vectors, rows), _left_out(there[rows], config.dropout, rng))
                for rows in (left, right)
            ]
            loss, slopes = _contrast(sides[0].fused, sides[1].fused, right, spared[right], config.temperature)
            found = [self._back(side, slope) for side, slope in zip(sides, slopes, strict=True)]
            rate = config.rate * 0.5 * (1 + np.cos(np.pi * step / config.steps))
            slopes_of = (a + b for a, b in zip(*found, strict=True))
            for one, slope, (mean, square) in zip(self._weights(), slopes_of, moments, strict=True):
                mean += 0.1 * (slope - mean)
                square += 0.001 * (slope * slope - square)
                size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
                one -= (rate * mean / (1 - 0.9**step) / size).astype(one.dtype)
            losses.append(loss)
        every = max(config.steps // 20, 1)
        ends = range(every, config.steps + 1, every)
        self.curves_ = {"loss by steps": [(end, float(np.mean(losses[end - every : end]))) for end in ends]}

    def _weights(self) -> tuple[Floats, Floats, Floats]:
        return self.projection_, self.gate_, self.bias_

    def _draw(self, pairs: Pairs, chance: npt.NDArray[np.float64], anything: Ints, rng: np.random.Generator) -> Ints:
        """Pairs by their weight, either way round, and items beside themselves: (2, batch)."""
        itself = int(self.config.batch * self.config.itself)
        n = self.config.batch - itself
        place = np.minimum(np.searchsorted(chance, rng.random(n) * chance[-1], side="right"), len(chance) - 1)
        two = np.stack([pairs.left[place], pairs.right[place]])
        turned = np.where(rng.random(n) < 0.5, two, two[::-1])
        alone = anything[rng.integers(len(anything), size=itself)]
        return np.concatenate([turned, np.stack([alone, alone])], axis=1)

    # --- from vectors to the fused one, and back ------------------------------

    def _features(self, vectors: Vectors, rows: Ints | slice = slice(None)) -> Floats:
        """The modalities side by side, centred; zero where a modality is missing."""
        blocks, at = [], 0
        for name, dim in self.modalities_.items():
            block = np.asarray(vectors[name][rows], dtype=np.float32)
            there = np.any(block != 0, axis=1, keepdims=True)
            length = np.linalg.norm(block, axis=1, keepdims=True)
            centred = block / np.where(there, length, 1) - self.means_[at : at + dim]
            blocks.append(np.where(there, centred, np.float32(0)))
            at += dim
        return np.concatenate(blocks, axis=1)

    def _slices(self) -> list[slice]:
        ends = np.cumsum([0, *self.modalities_.values()]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    def _pass(self, features: Floats, there: Mask) -> Passed:
        features = features * np.repeat(there, list(self.modalities_.values()), axis=1)
        tokens = np.stack([features[:, part] @ self.projection_[part] for part in self._slices()], axis=1)
        logits = np.where(there, self._logits(features, tokens) + self.bias_, np.float32(-1e9))
        gates = np.exp(logits - logits.max(axis=1, keepdims=True)) * there
        gates /= np.maximum(gates.sum(axis=1, keepdims=True), 1e-9)
        joined = (gates[:, :, None] * tokens).sum(axis=1)
        length = np.linalg.norm(joined, axis=1, keepdims=True)
        fused = joined / np.where(length > 1e-9, length, np.inf)
        return Passed(features, tokens, gates.astype(np.float32), length, fused.astype(np.float32))

    def _back(self, passed: Passed, slope: Floats) -> tuple[Floats, Floats, Floats]:
        """From the slope of the loss by the fused vectors, those by projection, gate and bias."""
        length = np.where(passed.length > 1e-9, passed.length, np.inf)
        by_joined = (slope - passed.fused * (passed.fused * slope).sum(axis=1, keepdims=True)) / length
        by_gates = (passed.tokens * by_joined[:, None]).sum(axis=2)
        by_logits = passed.gates * (by_gates - (passed.gates * by_gates).sum(axis=1, keepdims=True))
        by_gate, more = self._logits_back(passed, by_logits)
        by_tokens = passed.gates[:, :, None] * by_joined[:, None]
        if more is not None:
            by_tokens = by_tokens + more
        blocks = [passed.features[:, part].T @ by_tokens[:, place] for place, part in enumerate(self._slices())]
        return np.concatenate(blocks), by_gate, by_logits.sum(axis=0)

    def _transform(self, vectors: dict[str, Floats]) -> Floats:
        if self._plain is not None:
            return self._plain.transform(vectors)
        self.require_fitted("projection_")
        there = np.stack([np.any(block != 0, axis=1) for block in vectors.values()], axis=1)
        return self._pass(self._features(vectors), there).fused

    def gates(self, vectors: Vectors) -> dict[str, Floats]:
        """How much each modality says of each row: (n_rows,) by modality, 0 where it is missing.

        Empty where there was too little to learn from.
        """
        if self._plain is not None:
            return {}
        self.require_fitted("projection_")
        n_rows = len(next(iter(vectors.values())))
        block = self._block(vectors, 0, n_rows)
        there = np.stack([np.any(one != 0, axis=1) for one in block.values()], axis=1)
        return dict(zip(self.modalities_, self._pass(self._features(block), there).gates.T, strict=True))

    @property
    def explained(self) -> float | None:
        return None if self._plain is None else self._plain.explained

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._plain is not None:
            self._plain.save(folder / "concat")

    @classmethod
    def load(cls, folder: Path) -> Self:
        fuser = super().load(folder)
        if (folder / "concat").exists():
            fuser._plain = Concat.load(folder / "concat")
        return fuser


def _among(pairs: Pairs, there: Mask) -> Pairs:
    """The pairs of which both have anything to be fused."""
    known: Mask = there.any(axis=1)  # type: ignore[assignment]  # of two axes, so an array
    kept = known[pairs.left] & known[pairs.right]
    return Pairs(pairs.left[kept], pairs.right[kept], pairs.weight[kept])


def _left_out(there: Mask, share: float, rng: np.random.Generator) -> Mask:
    """Which modalities remain when each is left out with a chance of ``share``; never all of them."""
    draw = np.where(there, rng.random(there.shape), -1.0)
    kept = draw >= share
    kept[np.arange(len(there)), draw.argmax(axis=1)] = True
    return kept & there


def _contrast(
    left: Floats, right: Floats, item: Ints, spared: Floats, temperature: float
) -> tuple[float, tuple[Floats, Floats]]:
    """The mean loss of finding each left one's own right one among all, and its slopes by left and right."""
    n = len(left)
    logits = left @ right.T / np.float32(temperature) - spared
    # The same right item once more is no other item. A right one that is the row's own left one stays: people seldom
    # choose the same thing next, and without it fused vectors found a little less where that was tried.
    again = item[:, None] == item[None, :]
    np.fill_diagonal(again, val=False)
    logits = np.where(again, np.float32(-1e9), logits)
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    total = share.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - np.diag(logits)))
    share /= total
    share[np.arange(n), np.arange(n)] -= 1
    share /= np.float32(n * temperature)
    return loss, (share @ right, share.T @ left)
