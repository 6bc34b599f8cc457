"""Attention fusion: a learned query looks at the modalities of an item as at so many tokens.

Source: A. Vaswani et al., Attention is all you need (NeurIPS 2017), of which this is one head with one
query; how it learns is in :mod:`vetrina.vectors.learned`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import register
from vetrina.vectors.learned import LearnedFuser, Passed

__all__ = ["Attention"]

Floats = npt.NDArray[np.float32]


@register("fuser", "attention")
class Attention(LearnedFuser):
    """Gates are a softmax over the modalities that are there, of each one's scaled dot product with a learned query.

    With one query for all items, its product with the matrix of keys is one vector, and that is what
    is learned. A modality is judged by its own vector alone, where gated fusion looks at all of them: its
    gates have fewer numbers to learn.

    Examples
    --------
    >>> import numpy as np
    >>> from vetrina.core.pairs import Pairs
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.normal(size=(6, 8))[np.arange(60) % 6]
    >>> text, photo = ((kind + rng.normal(size=(60, 8))).astype(np.float32) for _ in range(2))
    >>> first, second = np.arange(54), np.arange(6, 60)  # of the same kind, chosen together
    >>> pairs = Pairs(first, second, np.ones(54, dtype=np.float32))
    >>> fuser = Attention(dimensions=8, enough=50, steps=20, batch=32).fit({"text": text, "photo": photo}, pairs)
    >>> fuser.transform({"photo": photo[:2]}).shape
    (2, 8)
    """

    def _first_gate(self, n_features: int, n_modalities: int, dim: int) -> Floats:
        return np.zeros(dim, dtype=np.float32)

    def _logits(self, features: Floats, tokens: Floats) -> Floats:
        return tokens @ self.gate_ / np.float32(np.sqrt(len(self.gate_)))

    def _logits_back(self, passed: Passed, slope: Floats) -> tuple[Floats, Floats | None]:
        slope = slope / np.float32(np.sqrt(len(self.gate_)))
        by_gate = np.einsum("nm,nmd->d", slope, passed.tokens)
        return by_gate, slope[:, :, None] * self.gate_
