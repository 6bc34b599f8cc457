"""What a fuser is: vectors of several modalities in, one vector per item out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator

from vetrina.core import Component, Config, EventLog, component_class, create
from vetrina.core.errors import ConfigError, DataError, SnapshotError
from vetrina.core.pairs import Pairs
from vetrina.vectors.reduce import Reducer

__all__ = ["Fuser", "FuserConfig"]

Floats = npt.NDArray[np.float32]
Vectors = Mapping[str, npt.NDArray[np.floating]]

#: Items worked on at once.
_PART = 16_384


class FuserConfig(Config):
    """What every fuser is told: weights of the modalities, and how the fused vector is made shorter."""

    weights: dict[str, float] = Field(
        default={"text": 1.0, "photo": 1.0, "attributes": 0.7},
        description="Weight of each modality; 1 where none is given.",
    )
    dimensions: int = Field(default=96, ge=2, description="Length of the fused vector after reduction.")
    reducer: str = Field(default="pca", description="What makes it shorter: pca, svd or random.")
    explained: float = Field(
        default=1.0, gt=0, le=1, description="Share of the variance that is enough: fewer dimensions where they do."
    )
    whiten: bool = Field(default=False, description="Scale every dimension to the same variance.")

    @field_validator("weights")
    @classmethod
    def _not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if weight < 0:
                raise ConfigError(f"fuse.weights: the weight of {name!r} must be a number not below 0. Got {weight!r}.")
        return weights

    @field_validator("reducer")
    @classmethod
    def _known(cls, reducer: str) -> str:
        component_class("reducer", reducer)
        return reducer

    @field_validator("explained", "whiten")
    @classmethod
    def _understood(cls, value: float | bool, info: ValidationInfo) -> float | bool:
        name, key = info.data.get("reducer", "pca"), str(info.field_name)
        known = component_class("reducer", name).config_type.model_fields
        if key not in known and value != cls.model_fields[key].default:
            raise ConfigError(
                f"fuse.{key}: the reducer {name!r} has no such option. Take it out, or choose the reducer pca or svd."
            )
        return value


class Fuser(Component):
    """Makes the vectors of an item, one per modality, into one that can be compared with those of all others.

    A row of zeros says that the item lacks the modality, and so does a modality that is not given
    at all: a query that has words or a photo alone is fused into the same space.

    One that says ``learns = "log"`` is also given which items were chosen together.
    """

    kind = "fuser"
    #: Length of the vectors learned from, by modality, in the order of their blocks.
    modalities_: dict[str, int]
    #: What to tell of how it was learned, where that is not as asked for.
    note: str = ""

    def pairs_of(self, log: EventLog) -> Pairs:
        """What of a log it learns from: nothing, unless it says ``learns = "log"``."""
        return Pairs.none()

    def fit(self, vectors: Vectors, pairs: Pairs | None = None) -> Self:
        """Learn from the whole catalogue.

        Parameters
        ----------
        vectors : mapping of str to ndarray of shape (n_items, dim)
            By modality; rows of unit length, zero where an item lacks it. They may be memory-mapped files.
        pairs : Pairs, optional
            Items chosen together.

        Raises
        ------
        DataError
            When the modalities do not have the same number of rows.
        ConfigError
            When no modality has a weight above 0.
        """
        raise NotImplementedError

    def transform(self, vectors: Vectors) -> Floats:
        """Fused rows of unit length, zero where a row has none of the modalities: float32 of shape (n_rows, dim).

        Raises
        ------
        NotFitted
            Before :meth:`fit`.
        DataError
            When vectors are longer or shorter than those learned from.
        """
        if not hasattr(self, "modalities_"):
            self.require_fitted("modalities_")
        n_rows = _n_rows(vectors)
        for name, dim in self.modalities_.items():
            if name in vectors and vectors[name].shape[1] != dim:
                raise DataError(
                    f"fuser {self.name!r}: vectors of {name} are {vectors[name].shape[1]} long. Expected {dim}, "
                    "as in fitting."
                )
        parts = [self._transform(self._block(vectors, start, start + _PART)) for start in range(0, n_rows, _PART)]
        if not parts:
            return self._transform(self._block(vectors, 0, 0))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _transform(self, vectors: dict[str, Floats]) -> Floats:
        """Of some rows, with every modality learned from."""
        raise NotImplementedError

    @property
    def explained(self) -> float | None:
        """Share of the variance that the fused vector holds; None where that is not what it was made for."""
        return None

    @property
    def dim(self) -> int:
        """Length of the fused vector."""
        return int(self.transform({}).shape[1])

    def _learn_modalities(self, vectors: Vectors) -> int:
        """Note what there is; return the number of items."""
        n_items = _n_rows(vectors)
        used = [name for name in vectors if self._weight(name) > 0]
        if not used:
            raise ConfigError(f"fuse: no modality has a weight above 0. There are: {', '.join(vectors) or 'none'}.")
        self.modalities_ = {name: vectors[name].shape[1] for name in used}
        return n_items

    def _weight(self, name: str) -> float:
        return cast(float, self.config.weights.get(name, 1.0))

    def _parts(self, vectors: Vectors) -> Iterator[dict[str, Floats]]:
        """The rows that are learned from, some at a time."""
        for start in range(0, _n_rows(vectors), _PART):
            yield self._block(vectors, start, start + _PART)

    def _block(self, vectors: Vectors, start: int, stop: int) -> dict[str, Floats]:
        n_rows = max(min(stop, _n_rows(vectors)) - start, 0)
        return {
            name: np.asarray(vectors[name][start:stop], dtype=np.float32)
            if name in vectors
            else np.zeros((n_rows, dim), dtype=np.float32)
            for name, dim in self.modalities_.items()
        }

    def _reducer(self, n_features: int, parts: Callable[[], Iterator[Floats]]) -> Reducer:
        """The reducer that is asked for, fitted on ``parts``."""
        known = component_class("reducer", self.config.reducer).config_type.model_fields
        asked = {
            "dim": self.config.dimensions,
            "explained": self.config.explained,
            "whiten": self.config.whiten,
        }
        options = {name: value for name, value in asked.items() if name in known}
        return cast(Reducer, create("reducer", self.config.reducer, options)).fit_parts(n_features, parts)

    def save(self, folder: Path) -> None:
        super().save(folder)
        told = {"modalities": self.modalities_, "note": self.note}
        (folder / "modalities.json").write_text(json.dumps(told) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        fuser = super().load(folder)
        path = folder / "modalities.json"
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            fuser.modalities_, fuser.note = dict(told["modalities"]), str(told["note"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return fuser


def _n_rows(vectors: Vectors) -> int:
    rows = {name: len(one) for name, one in vectors.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"fuse: the modalities differ in their number of rows: {rows}.")
    return next(iter(rows.values()), 0)
