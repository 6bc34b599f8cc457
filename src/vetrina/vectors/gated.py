"""Gated fusion: the vectors of an item themselves say which of them to trust.

Source: J. Arevalo, T. Solorio, M. Montes-y-Gómez and F. González, Gated multimodal units for information
fusion (ICLR workshop 2017); how it learns is in :mod:`vetrina.vectors.learned`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vetrina.core import register
from vetrina.vectors.learned import LearnedFuser, Passed

__all__ = ["Gated"]

Floats = npt.NDArray[np.float32]


@register("fuser", "gated")
class Gated(LearnedFuser):
    """Gates are a softmax over the modalities that are there, of a linear function of all the item's vectors.

    So a photo may say that the text matters less, and a missing photo leaves its share to the others.

    Examples
    --------
    >>> import numpy as np
    >>> from vetrina.core.pairs import Pairs
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.normal(size=(6, 8))[np.arange(60) % 6]
    >>> text, photo = ((kind + rng.normal(size=(60, 8))).astype(np.float32) for _ in range(2))
    >>> photo[::2] = 0
    >>> first, second = np.arange(54), np.arange(6, 60)  # of the same kind, chosen together
    >>> pairs = Pairs(first, second, np.ones(54, dtype=np.float32))
    >>> fuser = Gated(dimensions=8, enough=50, steps=20, batch=32).fit({"text": text, "photo": photo}, pairs)
    >>> gates = fuser.gates({"text": text, "photo": photo})
    >>> float(gates["text"][0]), bool(0 < gates["text"][1] < 1)
    (1.0, True)
    """

    def _first_gate(self, n_features: int, n_modalities: int, dim: int) -> Floats:
        return np.zeros((n_features, n_modalities), dtype=np.float32)

    def _logits(self, features: Floats, tokens: Floats) -> Floats:
        return features @ self.gate_

    def _logits_back(self, passed: Passed, slope: Floats) -> tuple[Floats, Floats | None]:
        return passed.features.T @ slope, None
