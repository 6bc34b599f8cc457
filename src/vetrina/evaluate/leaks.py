"""Does anything know the future? Every component of a shop, put to the test on the shop's own log.

A component says what it learns from (``learns``), and the engine trusts it: counts are kept of the
whole log because they are read at the time of each request, and models of behaviour are fitted
again on earlier events for training rows. One that says less than is true has seen the answers, and
every figure is too high. So the log is changed where a component may not look, and whatever
answers otherwise leaks.

Source: S. Kaufman, S. Rosset and C. Perlich, Leakage in Data Mining (KDD 2011).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Component, EventLog, ItemList, Items, Progress, Query, Requests, Silent
from vetrina.core.errors import DataError
from vetrina.core.past import differs, equal_pasts, later_exchanged, without_later
from vetrina.engine import (
    Canonical,
    Encoded,
    Engine,
    Gains,
    Replay,
    Shop,
    ShopConfig,
    cut_of,
    fit_stages,
    learn,
    requests_from_log,
)
from vetrina.engine.fusing import fused_again
from vetrina.engine.stages import refit
from vetrina.evaluate.metrics import measure
from vetrina.evaluate.tables import K

__all__ = ["Finding", "check_leaks"]

Answers = Mapping[str, npt.NDArray[Any]]

#: Requests that components are asked, of those of the log; items that encoders learn from.
_ASKED = 200
_ENCODED = 100
#: Moments at which the log is cut: shares of the requests.
_CUTS = (0.3, 0.6, 0.9)
#: Requests of the training days whose rows are made anew as if nothing had happened since.
_TRAINED = 3


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        "learns", "windows", "metrics" or "training rows".
    component : str
        Kind and name of the component that was checked; "" for the engine as a whole.
    leaks : bool
    words : str
        What was compared, or what is wrong and what to do.
    """

    check: str
    component: str
    leaks: bool
    words: str

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


def check_leaks(shop: Shop, progress: Progress | None = None) -> list[Finding]:
    """Whether any component, window, training row or metric of a shop depends on what came later.

    Reads the shop's files as a build does; nothing is published.

    Parameters
    ----------
    shop : Shop
    progress : Progress, optional

    Returns
    -------
    list of Finding
        One for each check of each component, also of those that hold.

    Raises
    ------
    DataError
        When the shop has no events: then there is no future to know.
    """
    found: list[Finding] = []
    shown = progress or Silent()

    def measure_(canonical: Canonical, encoded: Encoded, judged: Replay | None, config: ShopConfig) -> dict[str, Any]:
        log = canonical.log
        if not len(log):
            raise DataError(
                f"{shop.root}: has no events, so there is nothing that could leak. Name a file of events in shop.toml."
            )
        found.extend(check_log(encoded, log, config, shown))
        with shown.step("Checking encoders"):
            found.extend(_encoders(encoded, shop.root, config))
        return {}

    shop.measure(measure_, progress)
    return found


def check_log(encoded: Encoded, log: EventLog, config: ShopConfig, progress: Progress | None = None) -> list[Finding]:
    """All checks but those of encoders, on a log.

    Parameters
    ----------
    encoded : Encoded
    log : EventLog
        The whole log, of at least one event.
    config : ShopConfig
    progress : Progress, optional
    """
    shown = progress or Silent()
    with shown.step("Fitting candidate sources"):
        engine = fit_stages(encoded.items, log, config, encoded.encoders, encoded.fuser)
    asked = engine.encode_queries(_asked(log, config))
    lists = engine.candidates(asked)
    found = [_windows(log, asked, config)]
    parts = list(_parts(engine))
    with shown.step("Checking what components learn from", len(parts)) as step:
        for name, component in parts:
            found.append(_learns(name, component, engine.items, log, asked, lists))
            step.advance(1)
    with shown.step("Checking what vectors learn from"):
        found += _vectors_learned(engine, log)
    with shown.step("Checking training rows", _TRAINED) as step:
        found += _training_rows(engine, log, config, step.advance)
    with shown.step("Checking metrics"):
        found.append(_metrics(encoded, log, config))
    return found


def _parts(engine: Engine) -> Iterator[tuple[str, Component]]:
    yield from ((f"retriever {name}", source) for name, source in engine.sources.items())
    yield from ((f"features {family.name}", family) for family in engine.features)


def _asked(log: EventLog, config: ShopConfig) -> Requests:
    """Searches and other events of the log as requests, at even distances, with the windows of their moments."""
    spoken = log.query >= 0
    rows = [np.flatnonzero(mask) for mask in (spoken, ~spoken)]
    some = [one[np.linspace(0, len(one) - 1, min(_ASKED // 2, len(one))).astype(np.int64)] for one in rows]
    chosen = np.sort(np.concatenate(some))
    now = log.time[chosen]
    texts = [log.queries[code] if code >= 0 else "" for code in log.query[chosen].tolist()]
    return Requests(
        log.windows(log.shopper[chosen], now, config.rank.window), [Query(text=text) for text in texts], now
    )


def _answers(component: Any, requests: Requests, lists: ItemList) -> Answers:
    """All that a source or a family of features says of the requests."""
    if component.kind == "retriever":
        ids, scores = component.retrieve(requests, 20, None)
        return {"its items": ids, "their scores": scores, "its scores": component.score(requests, lists)}
    features = component.compute(requests, lists)
    return {name: features[:, place] for place, name in enumerate(component.names_)}


def _difference(got: Answers, wanted: Answers) -> str:
    """How two answers differ, to the bit; "" where they do not."""
    if list(got) != list(wanted):
        return f"it has {', '.join(got)} instead of {', '.join(wanted)}"
    unlike = {}
    for name, value in wanted.items():
        if got[name].shape != value.shape:
            return f"{name} has shape {got[name].shape} instead of {value.shape}"
        unknown = np.isnan(got[name]) & np.isnan(value) if value.dtype.kind == "f" else False
        many = int(np.count_nonzero(~((got[name] == value) | unknown)))
        if many:
            unlike[name] = f"{many:,} of {value.size:,} values of {name}"
    return ", ".join(list(unlike.values())[:4]) + (", …" if len(unlike) > 4 else "")


# --- the checks -----------------------------------------------------------------


def _windows(log: EventLog, asked: Requests, config: ShopConfig) -> Finding:
    """A window ends before its request."""
    replay = requests_from_log(
        log, int(log.time[0]), int(log.time[-1]) + 1, window_size=config.rank.window, gains=Gains(**config.rank.gains)
    )
    n = wrong = 0
    for requests in (replay.requests, asked):
        windows = requests.windows
        n += len(windows)
        wrong += len(np.unique(windows.row[windows.time >= requests.now[windows.row]]))
    if not wrong:
        return Finding("windows", "", False, f"none of {n:,} windows holds anything at or after its request")
    words = (
        f"{wrong:,} of {n:,} windows hold events at or after the time of their request: what was chosen is among what "
        "is known. Cut windows strictly before the request"
    )
    return Finding("windows", "", True, words)


def _learns(name: str, component: Any, items: Items, log: EventLog, requests: Requests, lists: ItemList) -> Finding:
    """What it says it learns from is all that changes its answers."""
    learns = component.learns
    for share in _CUTS:
        cut = int(requests.now[int(share * (len(requests) - 1))])
        n = int(np.searchsorted(requests.now, cut, side="right")) if learns == "counts" else len(requests)
        asked = requests.slice(0, n)
        part = lists.take(lists.row < n)
        part = ItemList(part.offsets[: n + 1], part.item, part.columns)
        first, others = equal_pasts(learns, log, cut)
        # Fitted on the whole log already, unless it may not be.
        known = component if first is log else _again(component, items, first)
        wanted = _answers(known, asked, part)
        for change, other in others.items():
            difference = _difference(_answers(_again(component, items, other), asked, part), wanted)
            if difference:
                return Finding("learns", name, True, f"{differs(learns, change)}. Changed: {difference}")
        if learns == "items":
            break
    return Finding("learns", name, False, f"{learns}: the same with {_HELD[learns]}")


#: What was tried of each kind of learning, in few words.
_HELD = {
    "items": "an empty log and with a shuffled one",
    "counts": "later events deleted and with them shuffled",
    "log": "later names struck out",
}


def _again(component: Any, items: Items, log: EventLog) -> Any:
    return type(component)(component.config).fit(items, log)


def _vectors_learned(engine: Engine, log: EventLog) -> list[Finding]:
    """Vectors that are learned from the log rest on its events alone, and not on names that come later."""
    made = {f"encoder {one.name} of {name}": name for name, one in engine.encoders.items() if one.learns == "log"}
    if engine.fuser is not None and (made or engine.fuser.learns == "log"):
        made[f"fuser {engine.fuser.name}"] = "fused"
    wrong: dict[str, str] = {}
    for share in _CUTS if made else ():
        first, others = equal_pasts("log", log, int(log.time[int(share * (len(log) - 1))]))
        wanted = fused_again(engine.items, first, engine.encoders, engine.fuser)[0].vectors
        for change, other in others.items():
            got = fused_again(engine.items, other, engine.encoders, engine.fuser)[0].vectors
            for name, modality in made.items():
                difference = _difference({modality: got[modality]}, {modality: wanted[modality]})
                if difference:
                    wrong.setdefault(name, f"{differs('log', change)}. Changed: {difference}")
    held = f"log: the same with {_HELD['log']}"
    return [Finding("learns", name, name in wrong, wrong.get(name, held)) for name in made]


def _training_rows(engine: Engine, log: EventLog, config: ShopConfig, advance: Any) -> list[Finding]:
    """Rows to learn from are what they would be if nothing had happened since their request."""
    since = log.last_days(config.rank.training_days, 0.5)
    replay = requests_from_log(
        log, since, int(log.time[-1]) + 1, window_size=config.rank.window, gains=Gains(**config.rank.gains)
    )
    n = len(replay.requests)
    if not n:
        return [Finding("training rows", "", False, "there are none: nothing was chosen in the training days")]
    past = refit(engine, log, until=since)
    wrong: dict[str, str] = {}
    for row in np.unique(np.linspace(0, n - 1, _TRAINED).astype(np.int64)).tolist():
        asked = engine.encode_queries(replay.requests.slice(row, row + 1))
        known = without_later(log, int(asked.now[0]))
        then = refit(fit_stages(engine.items, known, config, engine.encoders, engine.fuser), known, until=since)
        lists = past.candidates(asked)
        for (name, component), (_, before) in zip(_parts(past), _parts(then), strict=True):
            difference = _difference(_answers(before, asked, lists), _answers(component, asked, lists))
            if difference:
                wrong.setdefault(name, difference)
        advance(1)
    if not wrong:
        words = f"the same when all from their request on is deleted ({min(n, _TRAINED)} of {n:,} tried)"
        return [Finding("training rows", "", False, words)]
    return [
        Finding(
            "training rows",
            name,
            True,
            "the ranker learns from rows in which it knows what came after their request, such as the choice itself. "
            f"Changed: {difference}",
        )
        for name, difference in wrong.items()
    ]


def _metrics(encoded: Encoded, log: EventLog, config: ShopConfig) -> Finding:
    """What is measured until a moment of the test does not depend on what came after it."""
    begin = cut_of(log, config.build.test_days)
    end = int(log.time[-1]) + 1
    gains = Gains(**config.rank.gains)
    replay = requests_from_log(log, begin, end, window_size=config.rank.window, gains=gains)
    if len(replay.requests) < 2:
        return Finding("metrics", "", False, "not checked: the test days hold fewer than two requests")
    cut = int(replay.requests.now[len(replay.requests) // 2])
    asked = replay.take(np.flatnonzero(replay.requests.now <= cut)[-_ASKED:])
    engine = learn(encoded.items, log.before(begin), config, encoded.encoders, fuser=encoded.fuser)

    def answered(known: EventLog) -> Answers:
        windows = known.windows(asked.shopper, asked.requests.now, config.rank.window)
        lists = engine.observe(known).rank(replace(asked.requests, windows=windows), K).lists
        scores = measure(lists, asked.truth, K, ["ndcg"])
        return {"the items listed": lists.item, "their scores": lists.columns["score"], **scores.values}

    wanted = answered(log)
    for change, known in (
        ("later events are deleted", without_later(log, cut)),
        ("the items of later events are shuffled", later_exchanged(log, cut)),
    ):
        difference = _difference(answered(known), wanted)
        if difference:
            words = (
                f"what is measured on {len(asked.requests):,} requests is not the same when {change}. Changed: "
                f"{difference}. Mend the component that is named above"
            )
            return Finding("metrics", "", True, words)
    return Finding(
        "metrics",
        "",
        False,
        f"ndcg@{K} of {len(asked.requests):,} requests the same when later events are deleted or shuffled",
    )


def _encoders(encoded: Encoded, root: Path, config: ShopConfig) -> list[Finding]:
    """Encoders make the same vectors where the shop's folder holds no events."""
    table = encoded.items.table
    rows = np.linspace(0, len(encoded.items) - 1, min(_ENCODED, len(encoded.items))).astype(np.int64)
    items = Items(_media_from_anywhere(table[rows], root))
    found = []
    with tempfile.TemporaryDirectory(prefix="vetrina-leaks-") as scratch:
        events = (root / config.events.file).resolve() if config.events is not None else None
        bare = Path(scratch) / "shop"
        _without_events(root.resolve(), bare, events)
        for modality, encoder in encoded.encoders.items():
            name = f"encoder {encoder.name} of {modality}"
            wanted = _vectors(encoder, items, root)
            try:
                difference = _difference(_vectors(encoder, items, bare), wanted)
            except Exception as error:  # noqa: BLE001  (whatever it wanted of them, they were not there)
                difference = f"it fails: {type(error).__name__}: {error}"
            words = f"the same vectors of {len(items):,} items without the shop’s events"
            if difference:
                words = f"it reads what shoppers did: without the shop’s events its vectors differ ({difference})"
                words += ". An encoder may read the catalogue and its photos only"
            found.append(Finding("learns", name, bool(difference), words))
    return found


def _media_from_anywhere(table: pl.DataFrame, root: Path) -> pl.DataFrame:
    """The items with paths of photos, sound and video that hold wherever the shop's folder is thought to be."""

    def whole(path: str) -> str:
        return str((root / path).resolve()) if path else ""

    one = [pl.Series(name, map(whole, table[name]), dtype=pl.String) for name in ("photo", "audio", "video")]
    more = pl.Series(
        "more_photos", [list(map(whole, paths)) for paths in table["more_photos"]], dtype=pl.List(pl.String)
    )
    return table.with_columns(*one, more)


def _vectors(encoder: Any, items: Items, root: Path) -> Answers:
    fresh = type(encoder)(encoder.config)
    contents, keys = fresh.read(items, root)
    known = [content for content, key in zip(contents, keys, strict=True) if key]
    if not known:
        return {"keys": np.array(keys)}
    return {"keys": np.array(keys), "vectors": fresh.fit(items, contents, Silent()).transform(known)}


#: What of a shop's folder holds events, or what was learned from them.
_LEARNED = ("data", "snapshots", "media", "current", "simulation", "shoppers.db", "shoppers.db-wal", "shoppers.db-shm")


def _without_events(root: Path, bare: Path, events: Path | None) -> None:
    """A folder that looks like the shop's, by links, but has no events in it."""
    bare.mkdir(parents=True)
    for path in root.iterdir():
        if path.name in _LEARNED or path == events:
            continue
        if events is not None and path in events.parents:
            _without_events(path, bare / path.name, events)
        else:
            (bare / path.name).symlink_to(path)
