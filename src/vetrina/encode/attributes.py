"""Attributes as a vector: category path, brand, colour, price and the shop's own attributes, dates among them.

Every field is one block of unit length, so that cosine similarity of two items
is the weighted share of fields in which they agree; truncated SVD makes the
joined blocks dense. Words that name a value become that value's vector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from scipy import sparse

from vetrina.core import CATEGORY_SEPARATOR, Config, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.core.text import analyse
from vetrina.encode.base import Encoder, unit_rows

__all__ = ["AttributesConfig", "AttributesEncoder"]

Floats = npt.NDArray[np.float32]
Content = Mapping[str, str | float]
_Value = tuple[str, frozenset[str], str]  # field, words, value

_FIXED = ("category", "brand", "colour")

_MONTHS = 12
_DATE = re.compile(r"((?:19|20)\d\d)[-/.](\d\d?)[-/.](\d\d?)(?:[T ].*)?")
_DATES = 0.8  # a text attribute of whose values so many are dates is one of dates

# Of a value that is too rare for the dense space only this much may be left: what it says there is mostly chance.
_KEPT = 0.35
# A field is named by words whose vector is in it to this part.
_NAMED = 0.25


class AttributesConfig(Config):
    """What counts how much."""

    dim: int = Field(default=96, ge=1, description="Dimensions, fewer where the catalogue has less to tell.")
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
    overlapping bins over their quantiles, so that near prices are alike; dates
    (2024-05-31) do so too, half of them as the time of the year. Several values in
    one cell ("cotton|linen") share the block. What is missing, or was not seen in
    fitting, is a block of zeros; an unseen category still has the levels that are known.

    Since when an item is on sale is left out: that says how long shoppers could have
    chosen it, not what it is.

    Examples
    --------
    >>> rows = [{"category": "Shoes > Boots", "price": 80.0}, {"category": "Shoes > Sandals", "price": 30.0}]
    >>> vectors = AttributesEncoder(dim=8).fit_contents(rows).transform([*rows, {"category": "Shoes > Clogs"}, {}])
    >>> vectors.shape
    (4, 2)
    >>> bool(vectors[0] @ vectors[2] > 0.5), vectors[3].tolist()
    (True, [0.0, 0.0])

    Words that name values; and "like this, but red":

    >>> rows = [{"colour": c, "category": k} for c in ("Red", "Black") for k in ("Boots", "Shirts", "Bags")]
    >>> encoder = AttributesEncoder().fit_contents(rows)
    >>> items, words = encoder.transform(rows), encoder.transform_words(["red boots", "red", "gift"])
    >>> int((items @ words[0]).argmax()), bool(words[2].any())
    (0, False)
    >>> int((items @ encoder.compose(items[3:4], words[1:2])[0]).argmax())  # like black boots, but red
    0
    """

    modality = "attributes"
    cost = "light: one SVD, no training"
    learns_texts: ClassVar[bool] = False
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
            self.fit_contents(contents)
        for name, count in self._left_out.items():
            progress.note(
                f"The attribute {name!r} has {count:,} values, more than max_values = {self.config.max_values} of the "
                "encoder of attributes, which leaves it out."
            )
        return self

    def fit_contents(self, contents: Sequence[Content]) -> Self:
        """Learn from contents alone; see :meth:`fit`."""
        from sklearn.utils.extmath import randomized_svd

        names = [*_FIXED, *sorted({name for content in contents for name in content} - set(_FIXED))]
        values: dict[str, list[str]] = {}
        quantiles: dict[str, list[float]] = {}
        dates: dict[str, list[float]] = {}
        self._left_out: dict[str, int] = {}
        for name in names:
            column = [content[name] for content in contents if name in content]
            texts = {value for value in column if isinstance(value, str)}
            numbers = [value for value in column if not isinstance(value, str) and np.isfinite(value)]
            dated = [value for value in texts if np.isfinite(_day(value))] if name not in _FIXED else []
            if dated and len(dated) >= _DATES * len(texts):
                days = [day for value in column if np.isfinite(day := _day(value))]
                dates[name] = np.quantile(days, np.linspace(0, 1, 65)).tolist()
            elif texts:
                seen = sorted({piece for value in texts for piece, _ in _pieces(name, value)})
                if name in _FIXED or len(seen) <= self.config.max_values:
                    values[name] = seen
                else:
                    self._left_out[name] = len(seen)
            elif numbers:
                quantiles[name] = np.quantile(numbers, np.linspace(0, 1, 65)).tolist()
        self._set_fields(values, quantiles, dates)
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

    def transform_words(self, texts: Sequence[str]) -> Floats:
        """What words name: the vector of an item that has just these values; zero where they name none.

        A value is named when all its words are among the query's, in any order: a colour, a brand, any
        level of a category, a value of the shop's own attributes. Of two of one field the longer counts.
        """
        self.require_fitted("components_")
        said = [self._named(text) for text in texts]
        rows = [row for row, named in enumerate(said) for _ in named]
        columns = [column for named in said for column in named]
        data = np.array([part for named in said for part in named.values()], dtype=np.float32)
        raw = sparse.csr_array((data, (rows, columns)), shape=(len(texts), max(self._n_columns, 1)))
        vectors = np.asarray(raw @ self.components_)
        length = np.sqrt(np.asarray(raw.multiply(raw).sum(axis=1)).ravel())
        kept = np.linalg.norm(vectors, axis=1) > _KEPT * length
        return unit_rows(np.where(kept[:, None], vectors, 0))

    def compose(self, examples: Floats, words: Floats) -> Floats:
        """The example, but in the fields that the words name with their values: as far as the dense space can tell."""
        fields, said = examples @ self.components_.T, words @ self.components_.T
        energy = np.maximum((said**2).sum(axis=1), 1e-9)
        total = np.sqrt(sum(self._weight(name) ** 2 for name in self._blocks))
        for name, block in self._blocks.items():
            part = said[:, block]
            named = (part**2).sum(axis=1) > _NAMED * energy
            usual = self._weight(name) / max(total, 1e-9)
            length = np.maximum(np.linalg.norm(fields[:, block], axis=1), usual)
            fields[named, block] = (unit_rows(part) * length[:, None])[named]
        return unit_rows(fields @ self.components_)

    def _named(self, text: str) -> dict[int, float]:
        """Weighted columns of the values that a text names."""
        asked = set(analyse(text))
        found: dict[str, dict[frozenset[str], list[str]]] = {}
        for token in asked:
            for name, words, value in self._by_word.get(token, ()):
                if words <= asked:
                    found.setdefault(name, {}).setdefault(words, []).append(value)
        if "colour" not in found:  # "navy", where the shop says "navy blue"
            part = {value for token in asked for name, _, value in self._containing.get(token, ()) if name == "colour"}
            if part:
                found["colour"] = {frozenset(asked): sorted(part)}
        columns: dict[int, float] = {}
        for name, matches in found.items():
            longest = [words for words in matches if not any(words < other for other in matches)]
            shares: dict[int, float] = {}
            for value in (value for words in longest for value in matches[words]):
                for piece, share in _pieces(name, value) if name == "category" else ((value, 1.0),):
                    column = self._columns[name][piece]
                    shares[column] = shares.get(column, 0.0) + share
            length = np.sqrt(sum(share**2 for share in shares.values()))
            columns |= {column: self._weight(name) * share / length for column, share in shares.items()}
        return columns

    @cached_property
    def _vocabulary(self) -> list[_Value]:
        """(field, words, value) of every value; of a category level its own name."""
        own = [
            (name, frozenset(analyse(value.rsplit(CATEGORY_SEPARATOR, 1)[-1] if name == "category" else value)), value)
            for name, known in self._values.items()
            for value in known
        ]
        return [one for one in own if one[1]]

    @cached_property
    def _by_word(self) -> dict[str, list[_Value]]:
        """Values by one of their words, for not trying all of them."""
        return _grouped((min(words), (name, words, value)) for name, words, value in self._vocabulary)

    @cached_property
    def _containing(self) -> dict[str, list[_Value]]:
        """Colours by each of their words."""
        colours = [one for one in self._vocabulary if one[0] == "colour"]
        return _grouped((word, one) for one in colours for word in one[1])

    def save(self, folder: Path) -> None:
        super().save(folder)
        fields = {"values": self._values, "quantiles": self._quantiles, "dates": self._dates}
        (folder / "fields.json").write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        path = folder / "fields.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            encoder._set_fields(fields["values"], fields["quantiles"], fields["dates"])
        except (OSError, ValueError, KeyError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return encoder

    def _set_fields(
        self, values: dict[str, list[str]], quantiles: dict[str, list[float]], dates: dict[str, list[float]]
    ) -> None:
        """Fix which columns each field's values and bins have."""
        self._values, self._quantiles, self._dates = values, quantiles, dates
        for cached in ("_vocabulary", "_by_word", "_containing"):
            self.__dict__.pop(cached, None)
        self._columns: dict[str, dict[str, int]] = {}
        self._blocks: dict[str, slice] = {}
        self._n_columns = 0
        sizes = {name: len(known) for name, known in values.items()}
        sizes |= dict.fromkeys(quantiles, self.config.bins) | dict.fromkeys(dates, self.config.bins + _MONTHS)
        for name, size in sizes.items():
            self._blocks[name] = slice(self._n_columns, self._n_columns + size)
            self._n_columns += size
        for name, known in values.items():
            self._columns[name] = {value: self._blocks[name].start + place for place, value in enumerate(known)}

    def _indicators(self, contents: Sequence[Content]) -> sparse.csr_array:
        """Weighted indicators: sparse float32 of shape (n_items, n_columns)."""
        parts = [
            *(self._text_block(name, contents) for name in self._values),
            *(self._number_block(name, contents) for name in self._quantiles),
            *(self._date_block(name, contents) for name in self._dates),
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
                seen = [(known[piece], weight * share**0.5) for piece, share in _pieces(name, value) if piece in known]
                made[value] = [place for place, _ in seen], [part for _, part in seen]
            places, parts = made[value]
            rows.extend([row] * len(places))
            columns.extend(places)
            data.extend(parts)
        return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64), np.array(data, dtype=np.float64)

    def _number_block(self, name: str, contents: Sequence[Content]) -> tuple[npt.NDArray[Any], ...]:
        numbers = [np.nan if isinstance(value := content.get(name, np.nan), str) else value for content in contents]
        rows, bumps = self._bumps(np.array(numbers, dtype=np.float64), self._quantiles[name])
        return self._entries(name, rows, bumps)

    def _date_block(self, name: str, contents: Sequence[Content]) -> tuple[npt.NDArray[Any], ...]:
        """Half of a date is how late it is among the shop's, half the time of the year."""
        days = np.array([_day(content.get(name, np.nan)) for content in contents], dtype=np.float64)
        rows, bumps = self._bumps(days, self._dates[name])
        month = days[rows] % 365.2425 / 365.2425 * _MONTHS
        away = np.abs(month[:, None] - np.arange(_MONTHS))
        season = _unit(np.exp(-0.5 * np.minimum(away, _MONTHS - away) ** 2))
        return self._entries(name, rows, np.concatenate([bumps, season], axis=1) * np.sqrt(0.5))

    def _bumps(
        self, numbers: npt.NDArray[np.float64], quantiles: Sequence[float]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """(rows that have a number, how near each of those is to every bin: rows of unit length)."""
        rows = np.flatnonzero(np.isfinite(numbers))
        # Of a price that many items share, the middle of its quantiles; a constant column is all in the middle.
        knots, places = np.unique(quantiles, return_inverse=True)
        share = np.linspace(0, 1, len(places))
        middle = np.bincount(places, weights=share) / np.bincount(places)
        quantile = np.interp(numbers[rows], knots, middle)
        distance = quantile[:, None] * (self.config.bins - 1) - np.arange(self.config.bins)
        return rows, _unit(np.exp(-0.5 * distance**2))

    def _entries(
        self, name: str, rows: npt.NDArray[np.intp], parts: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[Any], ...]:
        """(row, column, weight) of every entry of a block."""
        columns = np.arange(self._n_columns)[self._blocks[name]]
        return np.repeat(rows, len(columns)), np.tile(columns, len(rows)), self._weight(name) * parts.ravel()


def _usable(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind in (pl.String(), pl.Boolean())


def _unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _pieces(name: str, value: str) -> list[tuple[str, float]]:
    """(what a value is made of, folded; its share of the block's squared length).

    Of a category the paths to each level, outermost first, the deeper weighing more; of a colour or an
    attribute its parts, where one cell holds several.
    """
    if name == "category":
        parts = value.split(CATEGORY_SEPARATOR)
        total = len(parts) * (len(parts) + 1) / 2
        return [(CATEGORY_SEPARATOR.join(parts[: depth + 1]), (depth + 1) / total) for depth in range(len(parts))]
    several = [value] if name == "brand" else re.split(r"[|;,/\n]" if name == "colour" else r"[|;,\n]", value)
    own = dict.fromkeys(part.strip().casefold() for part in several if part.strip())
    return [(part, 1 / len(own)) for part in own]


def _day(value: str | float) -> float:
    """Days since the year 1 of a date written as 2024-05-31, a time after it or not; NaN for anything else."""
    found = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return float("nan")
    try:
        return float(date(*map(int, found.groups())).toordinal())
    except ValueError:
        return float("nan")


def _grouped(pairs: Iterable[tuple[str, _Value]]) -> dict[str, list[_Value]]:
    groups: dict[str, list[_Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
