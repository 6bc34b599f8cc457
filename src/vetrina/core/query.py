"""What is asked: one query, and a batch of requests as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vetrina.core.errors import RequestError, nearest
from vetrina.core.items import CATEGORY_SEPARATOR, Items
from vetrina.core.log import Windows

__all__ = ["Filters", "Query", "Requests"]

_Worked = TypeVar("_Worked")


class Filters(BaseModel):
    """What a result must satisfy.

    Raises
    ------
    RequestError
        When a filter is not known, or its value makes no sense.

    Examples
    --------
    >>> Filters(colour="Red", price_max=50).price_max
    50.0
    >>> Filters(price_max=float("nan"))
    Traceback (most recent call last):
        ...
    vetrina.core.errors.RequestError: filters.price_max: Input should be a finite number. Got nan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    category: str | None = Field(default=None, description="A category path, or any one level of it.")
    brand: str | None = None
    colour: str | None = None
    price_min: float | None = Field(default=None, ge=0)
    price_max: float | None = Field(default=None, ge=0)
    in_stock: bool = Field(default=False, description="Only what can be bought now.")
    attributes: dict[str, str | float | bool] = Field(default_factory=dict, description="Shop attributes, exact.")

    if not TYPE_CHECKING:  # a checker knows the fields by themselves

        def __init__(self, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                key = ".".join(str(part) for part in ("filters", *first["loc"]))
                if first["type"] == "extra_forbidden":
                    hint = nearest(str(first["loc"][0]), type(self).model_fields)
                    raise RequestError(f"{key} is no filter.{hint}") from None
                raise RequestError(f"{key}: {first['msg']}. Got {first['input']!r}.") from None

        # Inside the body of a request pydantic reads the fields itself, and tells all that is wrong at once.
        __init__.__pydantic_base_init__ = True

    def mask(self, items: Items) -> npt.NDArray[np.bool_] | None:
        """Which items satisfy the filters: bool of shape (n_items,), or None when all do.

        Raises
        ------
        RequestError
            When an attribute is not one of the shop's.
        """
        tests: list[pl.Expr] = []
        if self.category is not None:
            wanted = self.category.casefold()
            levels = pl.col("category").str.to_lowercase()
            inside = (CATEGORY_SEPARATOR + levels + CATEGORY_SEPARATOR).str.contains(
                CATEGORY_SEPARATOR + wanted + CATEGORY_SEPARATOR, literal=True
            )
            tests.append(inside)
        for column in ("brand", "colour"):
            value = getattr(self, column)
            if value is not None:
                tests.append(pl.col(column).str.to_lowercase() == value.casefold())
        if self.price_min is not None:
            tests.append(pl.col("price").fill_nan(None) >= self.price_min)  # Polars takes NaN for the largest number
        if self.price_max is not None:
            tests.append(pl.col("price") <= self.price_max)
        if self.in_stock:
            tests.append(pl.col("in_stock"))
        for name, wanted_value in self.attributes.items():
            if name not in items.attributes:
                known = f" It has: {', '.join(items.attributes[:20])}." if items.attributes else ""
                raise RequestError(
                    f"filters.attributes.{name}: the shop has no such attribute."
                    f"{nearest(name, items.attributes) or known}"
                )
            try:
                same_type = pl.Series([wanted_value]).cast(items.table.schema[name])
            except pl.exceptions.PolarsError:
                tests.append(pl.lit(False))  # no number is "heavy"
            else:
                tests.append(pl.col(name) == pl.lit(same_type.item()))
        if not tests:
            return None
        return items.table.select(pl.all_horizontal(tests).fill_null(False)).to_series().to_numpy()


@dataclass(frozen=True)
class Query:
    """One question, without who asks it.

    Attributes
    ----------
    text : str
        Words; "" for a recommendation.
    photo : bytes
        A photo's file to find similar items to; empty for none.
    like : int
        Dense index of an item to find similar ones to; -1 for none.
    filters : Filters
    exclude_purchased : bool
        Leave out what the shopper has bought or rated before.
    exclude : tuple of int
        Dense indices of items to leave out.
    """

    text: str = ""
    photo: bytes = b""
    like: int = -1
    filters: Filters = field(default_factory=Filters)
    exclude_purchased: bool = False
    exclude: tuple[int, ...] = ()

    @property
    def by_example(self) -> bool:
        """Whether it shows something, a photo or an item, and asks for what is like it."""
        return self.like >= 0 or bool(self.photo)


@dataclass(frozen=True)
class Requests:
    """A batch of requests: who asks (windows), what, when. A single request is a batch of one.

    Attributes
    ----------
    windows : Windows
        Recent events, one window per request.
    queries : sequence of Query
    now : int64 of shape (batch,)
        Epoch seconds at which each request is asked.
    query_vectors : mapping of str to ndarray of shape (batch, dim)
        What the words of the queries say, by modality ("text", "photo"): float32, unit length, zero
        where a request says nothing of it. Filled in by the engine, which owns the encoders.
    examples : mapping of str to ndarray of shape (batch, dim)
        What is sought by the queries that show something, by modality, "fused" among them: the photo's
        or the item's vector, changed by the words beside it ("like this, but red"). Filled in likewise.
    """

    windows: Windows
    queries: Sequence[Query]
    now: npt.NDArray[np.int64]
    query_vectors: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    examples: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    _memo: dict[object, Any] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.queries)

    def slice(self, start: int, stop: int) -> Requests:
        """Requests ``start:stop``."""
        return replace(
            self,
            windows=self.windows.slice(start, stop),
            queries=self.queries[start:stop],
            now=self.now[start:stop],
            query_vectors={name: vectors[start:stop] for name, vectors in self.query_vectors.items()},
            examples={name: vectors[start:stop] for name, vectors in self.examples.items()},
        )

    def take(self, rows: npt.NDArray[np.integer]) -> Requests:
        """The requests at ``rows``, in their order."""
        sizes = np.diff(self.windows.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        events = np.repeat(self.windows.offsets[rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return replace(
            self,
            windows=self.windows.gather(events, sizes),
            queries=[self.queries[row] for row in rows],
            now=self.now[rows],
            query_vectors={name: vectors[rows] for name, vectors in self.query_vectors.items()},
            examples={name: vectors[rows] for name, vectors in self.examples.items()},
        )

    @classmethod
    def join(cls, parts: Sequence[Requests]) -> Requests:
        """The requests of all ``parts``, one at least, after one another.

        A part that says nothing of a modality that another speaks of has zeros there.
        """
        return cls(
            Windows.join([part.windows for part in parts]),
            [query for part in parts for query in part.queries],
            np.concatenate([part.now for part in parts]),
            _stacked([part.query_vectors for part in parts], [len(part) for part in parts]),
            _stacked([part.examples for part in parts], [len(part) for part in parts]),
        )

    def shown(self, modality: str, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """What is sought by example in one modality: (batch, dim), zero where nothing is; None where nobody shows any.

        ``examples``, or what they are before words change them: the vector of the item that a query names.
        """
        if modality in self.examples:
            return self.examples[modality]
        like = np.array([query.like for query in self.queries], dtype=np.int64)
        if not (like >= 0).any():
            return None
        return np.where(like[:, None] >= 0, vectors[np.maximum(like, 0)], np.float32(0))

    def once(self, component: object, work: Callable[[], _Worked], what: str = "") -> _Worked:
        """What ``work`` gives, done once for these requests, as long as ``component`` is what it was.

        A source is asked for its best items and then for its score of every other's: both follow from the same.
        ``what`` tells apart several things that one component works out.
        """
        state = vars(component)
        then, worked = self._memo.get((component, what), ({}, None))
        if then.keys() != state.keys() or any(then[name] is not value for name, value in state.items()):
            worked = work()
            self._memo[component, what] = dict(state), worked
        return cast(_Worked, worked)

    @cached_property
    def age(self) -> npt.NDArray[np.float32]:
        """Age in days of every event of the windows at the time of its request.

        An event dated after the request, by a clock that is ahead, is new: weights that halve
        with age would double without end.
        """
        seconds = np.maximum(self.now[self.windows.row] - self.windows.time, 0)
        return np.asarray(seconds / 86_400, dtype=np.float32)


def _stacked(
    parts: Sequence[Mapping[str, npt.NDArray[np.float32]]], sizes: Sequence[int]
) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors by modality of several batches, zero where a batch has none."""
    widths = {name: vectors.shape[1] for part in parts for name, vectors in part.items()}
    return {
        name: np.concatenate(
            [part.get(name, np.zeros((n, width), np.float32)) for part, n in zip(parts, sizes, strict=True)]
        )
        for name, width in widths.items()
    }
