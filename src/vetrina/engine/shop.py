"""A shop: one folder, and the verbs that work on it."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vetrina.core import Filters, Items, Progress, Query, Requests, Silent
from vetrina.core.errors import DataError, MissingFile, RequestError, UnknownItem, VetrinaError
from vetrina.core.photo import open_photo
from vetrina.core.text import MAX_QUERY_CHARACTERS, clean_query, words
from vetrina.engine.config import BuildConfig, ShopConfig, read_config
from vetrina.engine.engine import Engine
from vetrina.engine.events import checked_events
from vetrina.engine.explain import Reason
from vetrina.engine.flow import Measure, build, measured, query
from vetrina.engine.ingest import forget_in_files, ingest, pseudonyms
from vetrina.engine.snapshots import REPORT, Report, Snapshots
from vetrina.shoppers import WindowStore

__all__ = ["MAX_K", "Ranking", "Result", "Shop"]

MAX_K = 1000

# A query's photo is decoded by each encoder that reads photos: one with a longer side than this is made smaller first.
_PHOTO_SIDE = 1024


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
    photo: bool = Field(default=False, description="Whether a photo was shown.")
    like: str | None = Field(default=None, description="The item that was shown instead.")
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
        self._loading = threading.Lock()
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

    def build(
        self, progress: Progress | None = None, measure: Measure | None = None, report: Report | None = None
    ) -> dict[str, Any]:
        """Read the files, encode, learn, write a snapshot and publish it; return its manifest.

        This alone measures nothing and writes no report: :func:`vetrina.evaluate.building.build_shop` does all three.
        """
        with self._locked():
            return build(self.root, self.config, progress or Silent(), measure, report)

    def measure(self, measure: Measure, progress: Progress | None = None) -> dict[str, Any]:
        """Read the files, encode, and hand over to ``measure``; return what it does. Nothing is published."""
        with self._locked():
            return measured(self.root, self.config, progress or Silent(), measure)

    def use_device(self, device: str) -> None:
        """Train and encode on ``device`` ("cpu", "cuda") from now on, whatever shop.toml says.

        Raises
        ------
        ConfigError
            When it is no device.
        """
        build = BuildConfig.parse({**self.config.build.model_dump(), "device": device}, "build")
        self.config = self.config.model_copy(update={"build": build})

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One build at a time; the lock goes with the process, however it ends."""
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VetrinaError(f"{self.root}: another build is running. Wait for it to end.") from None
            yield

    def report_path(self, snapshot: str | None = None) -> Path | None:
        """Where a snapshot's report lies (default: the published one); None where it has none."""
        name = snapshot or self.snapshots.current()
        path = self.snapshots.folder / name / REPORT if name else None
        return path if path is not None and path.exists() else None

    def roll_back(self, to: str | None = None) -> str:
        """Serve the snapshot before the current one, or ``to``; return its name."""
        return self.snapshots.roll_back(to)

    # --- asking -----------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The published snapshot's engine; read again when another one was published."""
        return self._served()[1]

    def _served(self) -> tuple[str, Engine]:
        """(name, engine) of the published snapshot. A request asks once: a build may end meanwhile."""
        with self._loading:
            current = self.snapshots.current()
            if self._loaded is None or self._loaded[0] != current:
                engine, manifest = self.snapshots.load(current)
                self._loaded = (str(manifest["name"]), engine)
            return self._loaded

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

    def search(
        self,
        text: str = "",
        *,
        photo: str | Path | bytes | None = None,
        like: str | None = None,
        shopper: str | None = None,
        k: int = 10,
        filters: Filters | None = None,
    ) -> Ranking:
        """Items for words, for a photo or another item, or for both ("like this, but red"), ranked for a shopper.

        Parameters
        ----------
        text : str
            In any language; longer than 512 characters is cut, and a note says so.
        photo : str, Path or bytes, optional
            A photo's file, or what is in one, of what is sought. It is looked at and not kept.
        like : str, optional
            An item to find similar ones to, instead of a photo.
        shopper : str, optional
            The shop's own id; one never seen gets good results that are not personal.
        k : int
            1 to 1000.
        filters : Filters, optional

        Raises
        ------
        RequestError
            When k or a filter is wrong, the photo shows nothing that can be read, or photo and like are both given.
        MissingFile
            When there is no such photo.
        UnknownItem
            When the catalogue does not hold ``like``.
        SnapshotError
            When nothing was built yet, or the build is damaged.
        """
        if photo is not None and like is not None:
            raise RequestError("photo and like: both show what is sought. Give one of them; words may stand beside it.")
        text = _readable(text)
        cleaned = clean_query(text)
        notes = []
        if len(text) > MAX_QUERY_CHARACTERS and len(cleaned) < len(" ".join(text.split())):
            notes.append(f"The query was cut at {MAX_QUERY_CHARACTERS} characters.")
        shows = photo is not None or like is not None
        if not words(cleaned):
            if not shows:
                notes.append("The query has no readable word: these are recommendations.")
            elif text.strip():
                notes.append("The query has no readable word: only what is shown counts.")
            cleaned = ""
        shown = b"" if photo is None else _photo_of(photo)
        served = self._served()
        item = -1 if like is None else served[1].items.find(like)
        asked = Query(text=cleaned, photo=shown, like=item, filters=filters or Filters())
        return self._ask(served, asked, shopper, k, notes)

    def recommend(
        self,
        *,
        shopper: str | None = None,
        k: int = 10,
        filters: Filters | None = None,
        exclude_purchased: bool = False,
    ) -> Ranking:
        """Items for a shopper who asked for nothing. Parameters and errors as :meth:`search`."""
        asked = Query(filters=filters or Filters(), exclude_purchased=exclude_purchased)
        return self._ask(self._served(), asked, shopper, k, [])

    def similar(self, item: str, *, shopper: str | None = None, k: int = 10, filters: Filters | None = None) -> Ranking:
        """Items like ``item``: :meth:`search` with nothing but ``like``, with its other parameters and errors."""
        return self.search(like=item, shopper=shopper, k=k, filters=filters)

    def rank(
        self, items: Sequence[str], *, text: str = "", shopper: str | None = None, k: int | None = None
    ) -> Ranking:
        """Another engine's list, ordered anew for a shopper.

        Items that the catalogue lacks, and equal items of which the best ranked is shown, are named
        in the notes. What may be shown at all was for the other engine to say.

        Parameters
        ----------
        items : sequence of str
            1 to 1000 ids. Their order counts where ``given`` is among the shop's features.
        text : str
            The words that were searched for, if any.
        shopper, k
            As :meth:`search`; ``k`` is the number of items when left out.

        Raises
        ------
        UnknownItem
            When the catalogue holds none of them. Others as :meth:`search`.
        """
        if not 1 <= len(items) <= MAX_K:
            raise RequestError(f"items: 1 to {MAX_K} ids can be ranked at once. Got {len(items)}.")
        served = self._served()
        catalogue = served[1].items
        positions = catalogue.positions(items)
        unknown = [item for item, position in zip(items, positions, strict=True) if position < 0]
        known = positions[positions >= 0]
        known = known[np.sort(np.unique(known, return_index=True)[1])]  # each once, in the order given
        if not len(known):
            raise UnknownItem(f"items: none of the {len(items)} ids is in the catalogue, for example {items[0]!r}.")
        notes = [f"Not in the catalogue, left out: {_listed(unknown)}"] if unknown else []
        k = len(known) if k is None else k
        cleaned = clean_query(_readable(text))
        ranking = self._ask(served, Query(text=cleaned if words(cleaned) else ""), shopper, k, notes, [known])
        if len(ranking.results) < min(k, len(known)):
            shown = {result.item for result in ranking.results}
            twins = [item for item in dict.fromkeys(items) if item in catalogue.index and item not in shown]
            ranking.notes.append(f"Equal to an item that ranks higher, left out: {_listed(twins)}")
        return ranking

    def _ask(
        self,
        served: tuple[str, Engine],
        asked: Query,
        shopper: str | None,
        k: int,
        notes: list[str],
        given: list[Any] | None = None,
    ) -> Ranking:
        name, engine = served
        if not 1 <= k <= MAX_K:
            raise RequestError(f"k: the number of results must be between 1 and {MAX_K}. Got {k}.")
        shopper = _readable(shopper) if shopper else None
        pseudonym = pseudonyms(self.root).of(shopper) if shopper else None
        windows = self.store.windows([pseudonym], engine.items, self.config.rank.window)
        requests = engine.encode_queries(Requests(windows, [asked], np.array([int(time.time())], dtype=np.int64)))
        if asked.by_example and not any(shown.any() for shown in requests.examples.values()):
            if asked.photo:
                raise RequestError(
                    "photo: this shop has nothing to compare a photo with. Give its products photos ([items] photo, "
                    "[encode.photo]) and build."
                )
            instead = "only the words count" if asked.text else "these are recommendations"
            notes = [*notes, f"Nothing is known of the item that others could be compared by: {instead}."]
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
            photo=bool(asked.photo),
            like=engine.items.ids[asked.like] if asked.like >= 0 else None,
            shopper=shopper,
            personal=bool(len(windows.item)),
            simulated=self.config.shop.simulated,
            snapshot=name,
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
            seconds, default now), ``query``, ``request``, ``position``, ``propensity``, ``price``, ``quantity``,
            ``rating``.

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
        items = self.items
        name = str(items.table["photo"][items.find(item)])
        return self.root / name if name else None


def _photo_of(source: str | Path | bytes) -> bytes:
    """The file of a query's photo, seen to be readable.

    Raises
    ------
    RequestError
        When it shows nothing that can be read.
    MissingFile
        When there is no such file.
    """
    try:
        upright = open_photo(source, _PHOTO_SIDE // 2)
        if max(upright.size) <= _PHOTO_SIDE:
            return source if isinstance(source, bytes) else Path(source).read_bytes()
    except MissingFile:
        raise MissingFile(f"{source!s}: there is no such photo.") from None
    except DataError as error:
        raise RequestError(str(error)) from None
    upright.thumbnail((_PHOTO_SIDE, _PHOTO_SIDE))
    file = BytesIO()
    upright.save(file, "png", compress_level=1)
    return file.getvalue()


def _readable(text: str) -> str:
    """Text that can be written as UTF-8: halves of characters, as JavaScript may cut them, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _listed(items: Sequence[str]) -> str:
    return _readable(", ".join(items[:10])) + (" …" if len(items) > 10 else "")
