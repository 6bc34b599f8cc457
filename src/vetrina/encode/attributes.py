"""Attributes as a vector: category path, brand, colour, the shop's own attributes and price.

Every field is one block of unit length, so that cosine similarity of two items
is the weighted share of fields in which they agree; truncated SVD makes the
joined blocks dense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from scipy import sparse

from vetrina.core import CATEGORY_SEPARATOR, Config, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.encode.base import Encoder, unit_rows

__all__ = ["AttributesConfig", "AttributesEncoder"]

Floats = npt.NDArray[np.float32]
Content = Mapping[str, str | float]

_FIXED = ("category", "brand", "colour")


class AttributesConfig(Config):
    """What counts how much."""

    dim: int = Field(default=64, ge=1, description="Dimensions, fewer where the catalogue has less to tell.")
    category: float = Field(default=1.5, ge=0, description="Weight of the category path.")
    brand: float = Field(default=0.7, ge=0)
    colour: float = Field(default=1.0, ge=0)
    price: float = Field(default=0.7, ge=0)
    attribute: float = Field(default=0.5, ge=0, description="Weight of each attribute of the shop's own.")
    max_values: int = Field(default=200, ge=1, description="A text attribute with more values than this is left out.")
    bins: int = Field(default=8, ge=2, description="Overlapping bins, of equal share of items, for price and numbers.")
    fit_items: int = Field(default=50_000, ge=1, description="Items the SVD learns from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "attributes")
class AttributesEncoder(Encoder):
    """Weighted blocks of one field each, joined and reduced by truncated SVD.

    A content is a mapping from field name to text or number. Each level of the
    category path is one indicator, the deeper weighing more; numbers fall into
    overlapping bins over their quantiles, so that near prices are alike. What
    is missing, or was not seen in fitting, is a block of zeros.

    Examples
    --------
    >>> rows = [{"category": "Shoes > Boots", "price": 80.0}, {"category": "Shoes > Sandals", "price": 30.0}]
    >>> vectors = AttributesEncoder(dim=8).fit_contents(rows).transform([*rows, {"category": "Shoes > Clogs"}, {}])
    >>> vectors.shape
    (4, 2)
    >>> bool(vectors[0] @ vectors[2] > 0.5), vectors[3].tolist()
    (True, [0.0, 0.0])
    """

    modality = "attributes"
    cost = "light: one SVD, no training"
    config_type = AttributesConfig

    def read(self, items: Items, root: Path) -> tuple[Sequence[Content], list[str]]:
        schema = items.table.schema
        names = [*_FIXED, "price", *(name for name in items.attributes if _usable(schema[name]))]
        table = items.table.select(
            pl.col(name).cast(pl.Float64 if schema[name].is_numeric() else pl.String) for name in names
        )
        contents: list[Content] = []
        hashes: list[str] = []
        for row in table.iter_rows():
            content = {name: value for name, value in zip(names, row, strict=True) if value not in (None, "")}
            contents.append(content)
            text = json.dumps(content, sort_keys=True, ensure_ascii=False)
            hashes.append(blake2b(text.encode(), digest_size=16).hexdigest() if content else "")
        return contents, hashes

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        with progress.step("Learning from attributes"):
            return self.fit_contents(contents)

    def fit_contents(self, contents: Sequence[Content]) -> Self:
        """Learn from contents alone; see :meth:`fit`."""
        from sklearn.utils.extmath import randomized_svd

        names = [*_FIXED, *sorted({name for content in contents for name in content} - set(_FIXED))]
        values: dict[str, list[str]] = {}
        quantiles: dict[str, list[float]] = {}
        for name in names:
            column = [content[name] for content in contents if name in content]
            texts = [value for value in column if isinstance(value, str)]
            numbers = [value for value in column if not isinstance(value, str) and np.isfinite(value)]
            if texts:
                seen = sorted({level for value in texts for level in _levels(name, value)})
                if name in _FIXED or len(seen) <= self.config.max_values:
                    values[name] = seen
            elif numbers:
                quantiles[name] = np.quantile(numbers, np.linspace(0, 1, 65)).tolist()
        self._set_fields(values, quantiles)
        matrix = self._indicators(contents)
        if len(contents) > self.config.fit_items:
            rng = np.random.default_rng(self.config.seed)
            matrix = matrix[np.sort(rng.choice(len(contents), self.config.fit_items, replace=False))]
        dim = max(1, min(self.config.dim, *matrix.shape))
        self.components_ = np.zeros((matrix.shape[1], dim), dtype=np.float32)
        if matrix.nnz:
            _, strength, right = randomized_svd(matrix, dim, n_iter=4, random_state=self.config.seed)
            right[strength < 1e-5 * strength[0]] = 0  # a direction that the data do not have is rounding error
            self.components_ = np.ascontiguousarray(right.T, dtype=np.float32)
        return self

    def transform(self, contents: Sequence[Content]) -> Floats:
        """Encode contents: float32 of shape (len(contents), dim), zero where nothing is known."""
        self.require_fitted("components_")
        return unit_rows(self._indicators(contents) @ self.components_)

    def save(self, folder: Path) -> None:
        super().save(folder)
        fields = {"values": self._values, "quantiles": self._quantiles}
        (folder / "fields.json").write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        path = folder / "fields.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            encoder._set_fields(fields["values"], fields["quantiles"])
        except (OSError, ValueError, KeyError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return encoder

    def _set_fields(self, values: dict[str, list[str]], quantiles: dict[str, list[float]]) -> None:
        """Fix which columns each field's values and bins have."""
        self._values, self._quantiles = values, quantiles
        self._columns: dict[str, dict[str, int]] = {}
        self._n_columns = 0
        for name, known in values.items():
            self._columns[name] = {value: self._n_columns + i for i, value in enumerate(known)}
            self._n_columns += len(known)
        self._first_bin: dict[str, int] = {}
        for name in quantiles:
            self._first_bin[name] = self._n_columns
            self._n_columns += self.config.bins

    def _indicators(self, contents: Sequence[Content]) -> sparse.csr_array:
        """Weighted indicators: sparse float32 of shape (n_items, n_columns)."""
        parts = [
            *(self._text_block(name, contents) for name in self._values),
            *(self._number_block(name, contents) for name in self._quantiles),
        ]
        empty = np.empty(0, dtype=np.int64)
        rows = np.concatenate([empty, *(part[0] for part in parts)])
        columns = np.concatenate([empty, *(part[1] for part in parts)])
        data = np.concatenate([np.empty(0), *(part[2] for part in parts)]).astype(np.float32)
        return sparse.csr_array((data, (rows, columns)), shape=(len(contents), max(self._n_columns, 1)))

    def _weight(self, name: str) -> float:
        return float(getattr(self.config, name if name in (*_FIXED, "price") else "attribute"))

    def _text_block(self, name: str, contents: Sequence[Content]) -> tuple[npt.NDArray[Any], ...]:
        known, weight = self._columns[name], self._weight(name)
        rows, columns, data = [], [], []
        # What a value is made of is worked out once per distinct value, not per item.
        made: dict[str, tuple[list[int], list[float]]] = {}
        for row, content in enumerate(contents):
            value = content.get(name)
            if not isinstance(value, str):
                continue
            if value not in made:
                levels = _levels(name, value)
                share = np.sqrt(np.arange(1, len(levels) + 1))
                share *= weight / np.linalg.norm(share)
                seen = [depth for depth, level in enumerate(levels) if level in known]
                made[value] = [known[levels[depth]] for depth in seen], share[seen].tolist()
            places, parts = made[value]
            rows.extend([row] * len(places))
            columns.extend(places)
            data.extend(parts)
        return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64), np.array(data, dtype=np.float64)

    def _number_block(self, name: str, contents: Sequence[Content]) -> tuple[npt.NDArray[Any], ...]:
        numbers = np.array(
            [np.nan if isinstance(value := content.get(name, np.nan), str) else value for content in contents],
            dtype=np.float64,
        )
        rows = np.flatnonzero(np.isfinite(numbers))
        # Of a price that many items share, the middle of its quantiles; a constant column is all in the middle.
        knots, places = np.unique(self._quantiles[name], return_inverse=True)
        share = np.linspace(0, 1, len(places))
        middle = np.bincount(places, weights=share) / np.bincount(places)
        quantile = np.interp(numbers[rows], knots, middle)
        bins = self.config.bins
        distance = quantile[:, None] * (bins - 1) - np.arange(bins)
        bumps = np.exp(-0.5 * distance**2)
        bumps *= self._weight(name) / np.linalg.norm(bumps, axis=1, keepdims=True)
        columns = np.tile(self._first_bin[name] + np.arange(bins), len(rows))
        return np.repeat(rows, bins), columns, bumps.ravel()


def _usable(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind in (pl.String(), pl.Boolean())


def _levels(name: str, value: str) -> list[str]:
    """The paths to each level of a category, outermost first; of other fields, the folded value."""
    if name != "category":
        return [value.casefold()]
    parts = value.split(CATEGORY_SEPARATOR)
    return [CATEGORY_SEPARATOR.join(parts[: depth + 1]) for depth in range(len(parts))]
