"""A simulated event log for any catalogue, together with the truth behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import DAY, EVENT_COLUMNS, EventKind, ItemList, Items, Progress, Silent
from vetrina.core.errors import DataError, MissingFile, RequestError, nearest
from vetrina.simulate.behaviour import Behaviour, Shoppers, Traits
from vetrina.simulate.language import Vocabulary
from vetrina.simulate.looks import LOOKS, measure_looks
from vetrina.simulate.sessions import Day, Traffic
from vetrina.simulate.settings import SimulationConfig

__all__ = ["Simulation", "simulate"]

Ints = npt.NDArray[np.int64]

_MODEL = (
    "P(click at position k) = k^-decay x (stray + (attraction - stray) x utility); "
    "utility = relevance(query, product) x taste(shopper, product); taste = logistic(base + section "
    "+ weighted category, colour, brand, price, looks and appeal); P(cart | click) = cart x utility; "
    "P(purchase | cart) = purchase."
)


@dataclass(frozen=True)
class Simulation:
    """Simulated events, and what made them.

    Attributes
    ----------
    config : SimulationConfig
    items : Items
        The catalogue with ``available_at`` filled in for what goes on sale during the period.
    events : DataFrame
        The columns of :data:`vetrina.core.EVENT_COLUMNS`, in order of time. Impressions, clicks, carts
        and purchases carry the request and position of the list that they came from. Impressions of lists
        in random order carry a ``propensity``, the same for each item and position of a list.
    requests : DataFrame
        One row per list shown: request, time, shopper, query (null when browsing), shuffled.
    shoppers : DataFrame
        One row per shopper: favourites in words, and every number of their taste.
    traits : DataFrame
        One row per item: available_at, price_rank, appeal and the measured looks.
    start, end : int
        The period in epoch seconds, ``end`` exclusive.
    """

    config: SimulationConfig
    items: Items
    events: pl.DataFrame
    requests: pl.DataFrame
    shoppers: pl.DataFrame
    traits: pl.DataFrame
    start: int
    end: int

    @cached_property
    def behaviour(self) -> Behaviour:
        """The truth as functions of arrays."""
        tastes, traits = Shoppers.from_table(self.shoppers), Traits.from_table(self.traits)
        return Behaviour(Vocabulary(self.items), traits, tastes, self.config)

    @cached_property
    def _code(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.shoppers["shopper"])}

    @property
    def true_examination(self) -> npt.NDArray[np.float32]:
        """Probability that each position of a list is looked at: float32 (list length,)."""
        return self.behaviour.examination(self.config.listing.length)

    def true_utility(self, shoppers: list[str], query: str | None = None) -> npt.NDArray[np.float32]:
        """What every product is worth to shoppers who ask ``query``, before the noise of clicking.

        Parameters
        ----------
        shoppers : list of str
            Names as in ``self.shoppers``.
        query : str, optional
            None or "" for browsing: then the value is taste alone.

        Returns
        -------
        float32 of shape (len(shoppers), n_items)
            In 0..1.

        Raises
        ------
        RequestError
            When a shopper is not one of the simulated ones.
        """
        everything = np.arange(len(self.items))[None, :]
        utility = self.behaviour.taste(self._people(shoppers)[:, None], everything)
        if query:
            np.multiply(utility, self.true_relevance(query), out=utility)
        return utility

    def true_relevance(self, query: str) -> npt.NDArray[np.float32]:
        """How far every product answers ``query``, whoever asks: float32 (n_items,), in 0..1."""
        intent = self.behaviour.vocabulary.parse(query)
        return self.behaviour.relevance([intent], np.arange(len(self.items))[None, :]).reshape(-1)

    def true_clicks(self, lists: ItemList, requests: pl.DataFrame) -> npt.NDArray[np.float64]:
        """The chance of a click on every row of lists, were they shown: examination x attraction.

        Parameters
        ----------
        lists : ItemList
            What some policy would show, the best first; items are codes in ``self.items``.
        requests : DataFrame
            Who asks for each list, and what: columns shopper and query, as in ``self.requests``.

        Returns
        -------
        float64 of shape (n_rows,)

        Raises
        ------
        DataError
            When there is not one request for each list.
        RequestError
            When a shopper is not one of the simulated ones.
        """
        chance = self.behaviour.attraction(self._utility(lists, requests)).astype(np.float64)
        place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
        return np.asarray(chance * self.behaviour.examination(int(lists.sizes.max()))[place])

    def true_ctr(self, lists: ItemList, requests: pl.DataFrame) -> float:
        """Expected clicks per product shown, were these lists shown; arguments as :meth:`true_clicks`."""
        return float(self.true_clicks(lists, requests).mean())

    def true_cvr(self, lists: ItemList, requests: pl.DataFrame) -> float:
        """Expected purchases per expected click, were these lists shown; arguments as :meth:`true_clicks`."""
        clicks = self.true_clicks(lists, requests)
        return float(clicks @ self.behaviour.purchase(self._utility(lists, requests)) / clicks.sum())

    def _utility(self, lists: ItemList, requests: pl.DataFrame) -> npt.NDArray[np.float32]:
        """What the product of every row is worth to who asks for its list: float32 (n_rows,)."""
        if len(lists) != requests.height or not len(lists.item):
            raise DataError(
                f"{requests.height:,} requests were given for {len(lists):,} lists of {len(lists.item):,} products; "
                "give one for each list, and at least one product."
            )
        item, row = lists.item.astype(np.int64), lists.row
        utility = self.behaviour.taste(self._people(requests["shopper"].to_list())[row], item)
        texts, code = np.unique(requests["query"].fill_null("").to_numpy(), return_inverse=True)
        order = np.argsort(code[row], kind="stable")
        for text, rows in zip(texts, np.split(order, np.cumsum(np.bincount(code[row]))), strict=False):
            if text:  # "" is browsing: taste alone
                utility[rows] *= self.behaviour.relevance([self.behaviour.vocabulary.parse(text)], item[None, rows])[0]
        return utility

    def _people(self, names: list[str]) -> npt.NDArray[np.int64]:
        for name in names:
            if name not in self._code:
                raise RequestError(f"shopper {name!r} is not simulated here.{nearest(name, list(self._code)[:20000])}")
        return np.array([self._code[name] for name in names], dtype=np.int64)

    def write(self, folder: Path) -> Path:
        """Write events.parquet, requests.parquet, shoppers.parquet, traits.parquet and simulation.json.

        Returns
        -------
        Path
            The folder, made when absent.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("events", "requests", "shoppers", "traits"):
            getattr(self, name).write_parquet(folder / f"{name}.parquet")
        vocabulary = self.behaviour.vocabulary
        counts = dict(self.events["kind"].value_counts().sort("kind").iter_rows())
        header: dict[str, Any] = {
            "simulated": True,
            "what": "Simulated shoppers. Nobody did any of this.",
            "model": _MODEL,
            "start": self.start,
            "end": self.end,
            "counts": counts,
            "config": self.config.model_dump(mode="json"),
            "examination": [round(float(value), 6) for value in self.true_examination],
            # What the positions of the taste_* lists stand for; each list ends with one for "unknown".
            "taste": {
                "section": vocabulary.genders,
                "category": vocabulary.types,
                "colour": vocabulary.colours,
                "brand": vocabulary.brands,
                "looks": list(LOOKS),
            },
        }
        (folder / "simulation.json").write_text(
            json.dumps(header, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        return folder

    @classmethod
    def read(cls, folder: Path, items: Items) -> Self:
        """Read what :meth:`write` wrote, for the catalogue that it was simulated on.

        Raises
        ------
        MissingFile
            When ``folder`` holds no simulation.
        DataError
            When ``items`` is another catalogue.
        """
        path = folder / "simulation.json"
        if not path.is_file():
            raise MissingFile(f"{path} does not exist: expected a folder written by Simulation.write.")
        header = json.loads(path.read_text(encoding="utf-8"))
        tables = {
            name: pl.read_parquet(folder / f"{name}.parquet") for name in ("events", "requests", "shoppers", "traits")
        }
        if tables["traits"]["item"].to_list() != items.ids:
            raise DataError(
                f"{folder}: simulated on another catalogue ({tables['traits'].height:,} items, here {len(items):,}). "
                "Give the items it was made for, in their order, or simulate again."
            )
        table = items.table.with_columns(tables["traits"]["available_at"])
        config = SimulationConfig.parse(header["config"], f"{path}: config")
        return cls(config=config, items=Items(table, items.vectors), start=header["start"], end=header["end"], **tables)


def simulate(
    items: Items, photos_root: Path | None, config: SimulationConfig, end: int, progress: Progress | None = None
) -> Simulation:
    """Give a catalogue shoppers: tastes, searches, clicks and purchases over ``config.days`` days.

    Clicks follow the position-based examination model (Richardson, Dominowska &
    Ragno, WWW 2007; Craswell et al., WSDM 2008): a position is looked at with a
    probability of its own, and what is looked at is judged on its own.

    Parameters
    ----------
    items : Items
        Any catalogue; what it lacks (categories, colours, brands, a ``gender``
        attribute, prices, photos) plays no part. Products out of stock are not shown.
    photos_root : Path or None
        Folder that the ``photo`` column is relative to; a photo that cannot be read is neutral.
    config : SimulationConfig
    end : int
        Epoch seconds at which the period ends.
    progress : Progress, optional

    Returns
    -------
    Simulation
        The same for the same items, photos, config and end.

    Raises
    ------
    DataError
        When the catalogue is empty, or nothing in it is for sale before the end.

    Examples
    --------
    >>> table = pl.DataFrame({"item": ["a", "b"], "title": ["Red mug", "Blue mug"], "category": ["Mugs", "Mugs"],
    ...     "brand": ["", ""], "colour": ["Red", "Blue"], "price": [5.0, 7.0], "in_stock": [True, True],
    ...     "available_at": [None, None], "photo": ["", ""]}, schema_overrides={"available_at": pl.Int64})
    >>> made = simulate(Items(table), None, SimulationConfig(n_shoppers=20, days=5), end=1_750_000_000)
    >>> made.true_utility(["shopper-0001"], "red mug").shape
    (1, 2)
    """
    if not len(items):
        raise DataError(
            "simulate: the catalogue is empty; there is nothing to show to anybody. Give at least one item."
        )
    start = end - config.days * DAY
    streams = [np.random.default_rng((config.seed, part)) for part in range(4)]
    items = _launch(items, config, start, end, streams[0])
    if not (items.in_stock & (items.available_at <= start)).any():
        raise DataError(
            "simulate: no item is in stock and on sale when the period begins. Check in_stock and available_at."
        )
    vocabulary = Vocabulary(items)
    traits = Traits.draw(items, measure_looks(items, photos_root), streams[1])
    people = Shoppers.draw(vocabulary, config, streams[2])
    behaviour = Behaviour(vocabulary, traits, people, config)
    traffic = Traffic(items, behaviour, start, streams[3])
    days: list[Day] = []
    with (progress or Silent()).step("simulate shoppers", config.days) as step:
        for number in range(config.days):
            days.append(traffic.day(number))
            step.advance()
    width = max(4, len(str(config.n_shoppers)))
    names = [f"shopper-{number:0{width}d}" for number in range(1, config.n_shoppers + 1)]
    events, requests = _tables(days, items, names, traffic.queries)
    return Simulation(
        config, items, events, requests, people.to_table(names, vocabulary), traits.to_table(items), start, end
    )


def _launch(items: Items, config: SimulationConfig, start: int, end: int, rng: np.random.Generator) -> Items:
    """Let a share of the products go on sale inside the period; those with a later date of their own keep it."""
    count = round(config.traffic.arriving_items * len(items))
    late = rng.choice(len(items), size=min(count, len(items) - 1), replace=False)
    when = rng.integers(start + 1, end, size=len(late))
    moved = np.array([None] * len(items), dtype=object)
    moved[late] = when
    table = items.table.with_columns(
        pl.max_horizontal("available_at", pl.Series(moved.tolist(), dtype=pl.Int64)).alias("available_at")
    )
    return Items(table, items.vectors)


def _tables(days: list[Day], items: Items, names: list[str], queries: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Codes to the canonical event table, and the table of requests."""
    sizes = [len(day.request_time) for day in days]
    first = np.concatenate([[0], np.cumsum(sizes)])
    width = max(6, len(str(first[-1])))
    request_names = pl.Series([f"r{number:0{width}d}" for number in range(1, first[-1] + 1)], dtype=pl.String)
    people, ids = pl.Series(names, dtype=pl.String), pl.Series(items.ids, dtype=pl.String)
    texts = pl.Series(queries, dtype=pl.String)
    kinds = pl.Series([kind.name for kind in EventKind], dtype=pl.String)
    columns = {
        name: np.concatenate([getattr(day, name) for day in days])
        for name in ("time", "shopper", "kind", "item", "query", "position")
    }
    request = np.concatenate([day.request + first[number] for number, day in enumerate(days)])
    kind, item = columns["kind"], columns["item"]
    acted = np.isin(kind, [EventKind.click, EventKind.cart, EventKind.purchase])
    price = np.where(acted, items.price[np.maximum(item, 0)], np.nan).astype(np.float64)
    quantity = np.where(np.isin(kind, [EventKind.cart, EventKind.purchase]), 1.0, np.nan)
    events = pl.DataFrame(
        {
            "time": columns["time"],
            "shopper": _names(people, columns["shopper"]),
            "kind": _names(kinds, kind),
            "item": _names(ids, item),
            "query": _names(texts, columns["query"]),
            "request": _names(request_names, request),
            "position": pl.Series(columns["position"], dtype=pl.Int32).replace(0, None),
            "price": pl.Series(price).fill_nan(None),
            "quantity": pl.Series(quantity).fill_nan(None),
            "rating": pl.Series([None] * len(kind), dtype=pl.Float64),
            "propensity": _propensity(kind, request, np.concatenate([day.shuffled for day in days])),
        },
        schema=EVENT_COLUMNS,
    )
    asked = np.concatenate([day.request_query for day in days])
    requests = pl.DataFrame(
        {
            "request": request_names,
            "time": np.concatenate([day.request_time for day in days]),
            "shopper": _names(people, np.concatenate([day.request_shopper for day in days])),
            "query": _names(texts, asked),
            "shuffled": np.concatenate([day.shuffled for day in days]),
        }
    )
    return events, requests


def _propensity(kind: Ints, request: Ints, shuffled: npt.NDArray[np.bool_]) -> pl.Series:
    """The chance of each impression where it is known: 1 in as many as were shown, of lists in random order."""
    impression = kind == EventKind.impression
    shown = np.bincount(request[impression], minlength=len(shuffled))
    known = impression & shuffled[request]
    return pl.Series(np.where(known, 1 / np.maximum(shown[request], 1), np.nan)).fill_nan(None)


def _names(names: pl.Series, codes: npt.NDArray[np.integer]) -> pl.Series:
    """The name behind each code, null for -1."""
    return names.gather(pl.Series(codes, dtype=pl.Int64).replace(-1, None).cast(pl.UInt32))
