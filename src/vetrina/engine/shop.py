"""A shop: one folder, and the verbs that work on it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vetrina.core import Filters, Items, Progress, Query, Requests, Silent
from vetrina.core.errors import MissingFile, RequestError, UnknownItem, VetrinaError
from vetrina.core.text import MAX_QUERY_CHARACTERS, clean_query
from vetrina.engine.config import ShopConfig, read_config
from vetrina.engine.engine import Engine
from vetrina.engine.events import checked_events
from vetrina.engine.explain import Reason
from vetrina.engine.flow import Measure, build, query
from vetrina.engine.ingest import forget_in_files, ingest, pseudonyms
from vetrina.engine.snapshots import Snapshots
from vetrina.shoppers import WindowStore

__all__ = ["MAX_K", "Ranking", "Result", "Shop"]

MAX_K = 1000


class Result(BaseModel):
    """One item in its place, and why."""

    model_config = ConfigDict(frozen=True)

    item: str
    position: int = Field(description="1 is the top.")
    score: float
    title: str
    brand: str
    category: str
    colour: str
    price: float | None
    photo: bool = Field(description="Whether the shop has a readable photo of it.")
    reasons: list[Reason] = Field(description="Their shares sum to the score.")


class Ranking(BaseModel):
    """An answer: results in order, and what it rests on."""

    model_config = ConfigDict(frozen=True)

    query: str
    shopper: str | None
    personal: bool = Field(description="Whether anything was known of the shopper.")
    simulated: bool = Field(description="Whether the shop's shoppers are simulated.")
    snapshot: str
    results: list[Result]
    notes: list[str] = Field(default_factory=list, description="What was done with an unusual request.")


class Shop:
    """A shop folder, opened.

    Parameters
    ----------
    root : Path
        The folder that holds ``shop.toml``.

    Examples
    --------
    ::

        shop = Shop.open("myshop")
        for result in shop.search("red linen dress", shopper="ana").results:
            print(result.position, result.title, result.reasons[0].text)
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config: ShopConfig = read_config(root / "shop.toml")
        self.snapshots = Snapshots(root)
        self._loaded: tuple[str, Engine] | None = None
        self._store: WindowStore | None = None

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Self:
        """Open a shop folder.

        Raises
        ------
        MissingFile
            When the folder has no shop.toml.
        ConfigError
            When shop.toml is wrong; the message names the key.
        """
        path = Path(root)
        if not path.is_dir():
            raise MissingFile(f"{path} is not a folder. Make a shop with: vetrina init {path} --items products.csv")
        return cls(path)

    # --- building ---------------------------------------------------------

    def ingest(self, progress: Progress | None = None) -> dict[str, int]:
        """Read the shop's files; return how many rows were kept and how many set aside."""
        with self._locked():
            return ingest(self.root, self.config, progress or Silent())

    def build(self, progress: Progress | None = None, measure: Measure | None = None) -> dict[str, Any]:
        """Read the files, encode, learn, write a snapshot and publish it; return its manifest."""
        with self._locked():
            return build(self.root, self.config, progress or Silent(), measure)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One build at a time; the lock goes with the process, however it ends."""
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VetrinaError(f"{self.root}: another build is running. Wait for it to end.") from None
            yield

    def roll_back(self, to: str | None = None) -> str:
        """Serve the snapshot before the current one, or ``to``; return its name."""
        return self.snapshots.roll_back(to)

    # --- asking -----------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The published snapshot's engine; read again when another one was published."""
        current = self.snapshots.current()
        if self._loaded is None or self._loaded[0] != current:
            engine, manifest = self.snapshots.load(current)
            self._loaded = (str(manifest["name"]), engine)
        return self._loaded[1]

    @property
    def items(self) -> Items:
        """The published catalogue."""
        return self.engine.items

    @property
    def store(self) -> WindowStore:
        """The shoppers' live windows."""
        if self._store is None:
            self._store = WindowStore(self.root / "shoppers.db")
        return self._store

    def search(self, text: str, *, shopper: str | None = None, k: int = 10, filters: Filters | None = None) -> Ranking:
        """Items for words, ranked for a shopper.

        Parameters
        ----------
        text : str
            In any language; longer than 512 characters is cut, and a note says so.
        shopper : str, optional
            The shop's own id; one never seen gets good results that are not personal.
        k : int
            1 to 1000.
        filters : Filters, optional

        Raises
        ------
        RequestError
            When k or a filter is wrong.
        SnapshotError
            When nothing was built yet, or the build is damaged.
        """
        cleaned = clean_query(text)
        notes = []
        if len(text) > MAX_QUERY_CHARACTERS and len(cleaned) < len(" ".join(text.split())):
            notes.append(f"The query was cut at {MAX_QUERY_CHARACTERS} characters.")
        if not cleaned:
            notes.append("The query has no readable word: these are recommendations.")
        return self._ask(Query(text=cleaned, filters=filters or Filters()), shopper, k, notes)

    def recommend(
        self,
        *,
        shopper: str | None = None,
        k: int = 10,
        filters: Filters | None = None,
        exclude_purchased: bool = False,
    ) -> Ranking:
        """Items for a shopper who asked for nothing. Parameters and errors as :meth:`search`."""
        return self._ask(Query(filters=filters or Filters(), exclude_purchased=exclude_purchased), shopper, k, [])

    def similar(self, item: str, *, shopper: str | None = None, k: int = 10, filters: Filters | None = None) -> Ranking:
        """Items like ``item``.

        Raises
        ------
        UnknownItem
            When the catalogue does not hold it. Others as :meth:`search`.
        """
        return self._ask(Query(like=self.items.find(item), filters=filters or Filters()), shopper, k, [])

    def rank(
        self, items: Sequence[str], *, text: str = "", shopper: str | None = None, k: int | None = None
    ) -> Ranking:
        """Another engine's list, ordered anew for a shopper.

        Items that the catalogue lacks, or that the shop's rules leave out, are named in the notes.
        """
        if not 1 <= len(items) <= MAX_K:
            raise RequestError(f"items: 1 to {MAX_K} ids can be ranked at once. Got {len(items)}.")
        positions = self.items.positions(items)
        unknown = [item for item, position in zip(items, positions, strict=True) if position < 0]
        notes = [f"Not in the catalogue, left out: {', '.join(unknown[:10])}" + (" …" if len(unknown) > 10 else "")]
        known = np.unique(positions[positions >= 0]).astype(np.int32)
        if not len(known):
            raise UnknownItem(f"items: none of the {len(items)} ids is in the catalogue, for example {items[0]!r}.")
        query_ = Query(text=clean_query(text))
        return self._ask(query_, shopper, k or len(known), notes if unknown else [], given=[known])

    def _ask(
        self, asked: Query, shopper: str | None, k: int, notes: list[str], given: list[Any] | None = None
    ) -> Ranking:
        if not 1 <= k <= MAX_K:
            raise RequestError(f"k: the number of results must be between 1 and {MAX_K}. Got {k}.")
        engine = self.engine
        pseudonym = pseudonyms(self.root).of(shopper) if shopper else None
        windows = self.store.windows([pseudonym], engine.items, self.config.rank.window)
        requests = Requests(windows, [asked], np.array([int(time.time())], dtype=np.int64))
        ranked, reasons = query(engine, requests, k, given)
        table = engine.items.table
        results = []
        columns = {name: table[name] for name in ("item", "title", "brand", "category", "colour", "price", "photo")}
        scores = ranked.lists.columns["score"]
        for place, (item, why) in enumerate(zip(ranked.lists.item.tolist(), reasons, strict=True)):
            shown = {name: column[item] for name, column in columns.items()}
            shown["photo"] = bool(shown["photo"])
            results.append(Result(position=place + 1, score=float(scores[place]), reasons=why, **shown))
        return Ranking(
            query=asked.text,
            shopper=shopper,
            personal=bool(len(windows.item)),
            simulated=self.config.shop.simulated,
            snapshot=self._loaded[0] if self._loaded else "",
            results=results,
            notes=notes,
        )

    # --- shoppers ---------------------------------------------------------

    def record(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Append events; all of them, or none when one is wrong. They count from the next request on.

        Parameters
        ----------
        events : sequence of mappings
            ``shopper`` and ``kind``; ``item`` unless the kind is search; optionally ``time`` (epoch
            seconds, default now), ``query``, ``request``, ``position``, ``price``, ``quantity``, ``rating``.

        Raises
        ------
        RequestError, UnknownItem
            Naming the event by its place and what is wrong.
        """
        table = checked_events(events, self.items)
        names = pseudonyms(self.root)
        table = table.with_columns(names.of_column(table["shopper"]).alias("shopper"))
        return self.store.append(table, live=True)

    def forget(self, shopper: str) -> dict[str, int]:
        """Erase what is kept of a shopper: the live window, and every row of the canonical events.

        What the shop's own files hold of the shopper until now is left out of every later build.
        Snapshots hold sums over all shoppers and no shopper's rows.

        Raises
        ------
        VetrinaError
            When a build is running, which may have read the rows already.
        """
        pseudonym = pseudonyms(self.root).of(shopper)
        with self._locked():
            return {
                "window": self.store.forget(pseudonym),
                "log": forget_in_files(self.root, pseudonym, int(time.time())),
            }

    def personas(self) -> list[dict[str, Any]]:
        """Simulated shoppers to try the shop as, with their known tastes; empty in a shop with real people."""
        path = self.root / "simulation" / "personas.json"
        if not (self.config.shop.simulated and path.exists()):
            return []
        personas: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return personas

    def photo_path(self, item: str) -> Path | None:
        """Where an item's photo lies; None when it has none."""
        name = str(self.items.table["photo"][self.items.find(item)])
        return self.root / name if name else None
