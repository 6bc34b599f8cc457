"""Fusion by concatenation: every modality in its own coordinates, weighted, then made shorter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from vetrina.core import component_class, register
from vetrina.core.component import read_header
from vetrina.core.pairs import Pairs
from vetrina.vectors.base import Fuser, FuserConfig, Vectors
from vetrina.vectors.fuse import fuse
from vetrina.vectors.reduce import Reducer

__all__ = ["Concat"]

Floats = npt.NDArray[np.float32]


@register("fuser", "concat")
class Concat(Fuser):
    """Normalised, weighted concatenation (:func:`vetrina.vectors.fuse`), then reduction.

    It learns from the catalogue alone: a shop needs no shoppers for it.

    Examples
    --------
    >>> import numpy as np
    >>> text = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    >>> photo = np.array([[0, 1], [1, 0], [0, 0]], dtype=np.float32)
    >>> fuser = Concat(dimensions=2).fit({"text": text, "photo": photo})
    >>> fuser.transform({"text": text, "photo": photo}).shape, fuser.transform({"photo": photo[:1]}).shape
    ((3, 2), (1, 2))
    """

    config_type = FuserConfig
    reducer_: Reducer

    def fit(self, vectors: Vectors, pairs: Pairs | None = None) -> Self:
        self._learn_modalities(vectors)

        def parts() -> Iterator[Floats]:
            return (self._joined(part) for part in self._parts(vectors))

        self.reducer_ = self._reducer(sum(self.modalities_.values()), parts)
        return self

    def _joined(self, vectors: dict[str, Floats]) -> Floats:
        return fuse(vectors, {name: self._weight(name) for name in vectors})

    def _transform(self, vectors: dict[str, Floats]) -> Floats:
        return self.reducer_.transform(self._joined(vectors))

    @property
    def explained(self) -> float | None:
        return float(self.reducer_.explained_.sum(dtype=np.float64))

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.reducer_.save(folder / "reducer")

    @classmethod
    def load(cls, folder: Path) -> Self:
        fuser = super().load(folder)
        name = str(read_header(folder / "reducer")["name"])
        fuser.reducer_ = cast(Reducer, component_class("reducer", name).load(folder / "reducer"))
        return fuser
