"""Vetrina through the same door as everybody, and the plain baselines that any library must beat.

It has no block of requirements: it runs in the harness's own environment.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from vetrina.catalogue import ItemMapping
from vetrina.core import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    Choice,
    EventLog,
    Items,
    Query,
    Requests,
    Silent,
    Truth,
    Windows,
    component_class,
)
from vetrina.engine import Engine, Replay, ShopConfig, fit_ranker, fit_stages, ranker_rows
from vetrina.engine.encoding import encode_items
from vetrina.engine.replay import Gains
from vetrina.evaluate import BM25, OwnFrequency, Popularity

DISTRIBUTIONS = ["vetrina", "lightgbm", "tantivy"]


def _plain(cls):
    """A component's space as the door spells it."""
    where = cls().config.model_dump()
    options = {}
    for name, one in cls.space.items():
        if isinstance(one, Choice):
            options[name] = sorted(one.values, key=lambda value: value != where[name])  # the default first
        else:
            options[name] = {"low": one.low, "high": one.high, "log": one.log, "default": where[name]}
    return options


# [rank] training and ranker in shop.toml, and half_life_days of the sources that learn from the log: sessions as they
# were, or what is chosen later, or what is hidden; trees, or weights learned or given.
_TREES = _plain(component_class("ranker", "lambdamart"))
_LEARNING = {
    "training": ["sessions", "next", "ahead", "hidden"],
    "ranker": ["lambdamart", "linear", "match_score"],
    "half_life_days": [0.0, 5000.0],  # 0: of each source its own
    **_TREES,
}
_SMALL = {"trees": 150, "leaves": 7, "learning_rate": 0.03, "min_rows_in_leaf": 1000, "feature_share": 0.5}
_FEW = {**_SMALL, "min_rows_in_leaf": 100}
RECOMMENDERS = {
    "Vetrina": _LEARNING,
    "own frequency": _plain(OwnFrequency),
    "popularity, last days": {"days": [14, 60, 30, 7, 3, 1]},
    "popularity": {},
}
# Graded queries are few: what is learned from them may be held to BM25, in a blend in which that counts so much.
_GRADED = {
    "graded": ["searches", "lists"],
    "ranker": ["lambdamart", "pointwise", "match_score"],
    "lexical": [0.0, 0.5, 1.0, 2.0],
    **_TREES,
}
SEARCHERS = {"Vetrina": _GRADED, "BM25 (tantivy)": _plain(BM25)}
FIRST = {
    "Vetrina": [
        {"training": "ahead"},
        {"training": "next"},
        {"training": "hidden", "half_life_days": 5000.0, "ranker": "linear"},
        {"training": "ahead", "half_life_days": 5000.0, **_SMALL},
        {"ranker": "pointwise", "lexical": 0.5, **_FEW},
        {"ranker": "pointwise", "graded": "lists", **_FEW},
        {"lexical": 0.5, **_FEW},
    ]
}
# Where not sessions are learned from: four times thirty days ahead, more of what was not chosen, longer windows.
_TRAINING = {"training_days": 120.0, "negatives": 100, "window": 1000}
_BASELINES = {"own frequency": OwnFrequency, "popularity, last days": Popularity, "popularity": Popularity}

# What takes long and does not depend on the options, by what it depends on.
_KEPT = {}


def _kept(what, key, make):
    if (what, key) not in _KEPT:
        _KEPT[what, key] = make()
    return _KEPT[what, key]


def fit(model, train, options):
    items = _kept("items", train.folder.parent, lambda: _items(train))
    log = _kept("log", train.folder, lambda: _log(train, items))
    if model in _BASELINES:
        return _BASELINES[model](Gains(**train.gains), **options).fit(items, log)
    if model == "BM25 (tantivy)":
        return _kept("words", train.folder.parent, lambda: BM25().fit(items, log)).weighted(**options)
    learned_from = {name: options[name] for name in ("training", "graded") if name in options}
    half_life = options.get("half_life_days", 0.0)
    stages = _kept(
        "stages",
        (train.folder, *learned_from.values(), half_life),
        lambda: _Stages(train, items, log, learned_from, half_life),
    )
    trees = {name: value for name, value in options.items() if name in _TREES}
    return stages.ranker(*_ranker(options["ranker"], trees, options.get("lexical", 0.0)))


def _ranker(name, trees, lexical):
    """(name, options) of the ranker, blended with BM25 where that counts."""
    known = component_class("ranker", name).config_type.model_fields
    options = {option: value for option, value in trees.items() if option in known}
    if not lexical or not options:
        return name, options
    members = {name: options, "match_score": {"weights": {"bm25_of_best": 1.0}}}
    return "blend", {"members": members, "weights": {name: 1.0, "match_score": lexical}}


def rank(fitted, requests, k):
    pooled = len(requests.pool_offsets) > 0
    if not isinstance(fitted, (BM25, OwnFrequency, Popularity)):
        pools = np.split(requests.pool, requests.pool_offsets[1:-1]) if pooled else None
        lists = fitted.engine.rank(_requests(requests, fitted.window), k, pools).lists
    else:
        allowed = np.full((len(requests), requests.n_items), not pooled)
        rows = np.arange(len(requests))
        if pooled:
            allowed[np.repeat(rows, np.diff(requests.pool_offsets)), requests.pool] = True
        allowed[np.repeat(rows, np.diff(requests.exclude_offsets)), requests.exclude] = False
        lists = fitted.rank(_requests(requests), k, allowed)
    ids = np.full((len(requests), k), -1, dtype=np.int32)
    ids[lists.row, np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)] = lists.item
    return ids


class _Fitted(NamedTuple):
    """An engine, and how many events of each shopper it keeps."""

    engine: Engine
    window: int


class _Stages:
    """Sources, features and training rows; what comes after has options of its own."""

    def __init__(self, train, items, log, learned_from, half_life):
        self.config = _config(train, learned_from, half_life)
        self.encoded = _kept("encoded", train.folder.parent, lambda: _encoded(items, self.config))
        # Without a log they depend on the catalogue alone.
        source = (train.folder, half_life) if len(log) else train.folder.parent
        self.stages = _kept("sources", source, lambda: self._sources(log))
        self.rows = ranker_rows(self.stages, log, self.config, _graded(train))

    def _sources(self, log):
        return fit_stages(self.encoded.items, log, self.config, self.encoded.encoders, self.encoded.fuser)

    def ranker(self, name, options):
        rank = self.config.rank.model_copy(update={"ranker": name, "options": options})
        engine = fit_ranker(self.stages, self.rows, self.config.model_copy(update={"rank": rank}))
        return _Fitted(engine, self.config.rank.window)


def _config(train, learned_from, half_life):
    """The shop's: as shipped, but for what is tuned."""
    shipped = ShopConfig(items=ItemMapping(file="items.jsonl", item="item"))
    remembered = {
        name: source.model_copy(update={"options": {**source.options, "half_life_days": half_life}})
        for name, source in shipped.retrieve.items()
        if half_life and component_class("retriever", name).learns == "log"
    }
    changes = {**learned_from, **({"gains": train.gains} if train.gains else {})}
    changes |= _TRAINING if changes.get("training", "sessions") != "sessions" else {}
    return shipped.model_copy(
        update={
            "retrieve": {**shipped.retrieve, **remembered},
            "rank": shipped.rank.model_copy(update=changes),
            "build": shipped.build.model_copy(update={"seed": train.seed}),
        }
    )


def _encoded(items, config):
    with tempfile.TemporaryDirectory() as media:
        return encode_items(items, Path(media), Path(media), config, Silent())


def _items(train):
    table = pl.DataFrame(train.items, infer_schema_length=None)
    texts = [name for name, kind in ITEM_COLUMNS.items() if kind == pl.String()]
    return Items(
        table.with_columns(
            *(pl.col(name).cast(kind) for name, kind in ITEM_COLUMNS.items() if name not in texts),
            *(pl.col(name).cast(pl.String).fill_null("") for name in texts if name != "photo"),
            photo=pl.lit(""),
        )
    )


def _log(train, items):
    names = {number: name for name, number in train.kinds.items()}
    columns = {
        "time": train.time,
        "shopper": [str(user) if user >= 0 else None for user in train.user.tolist()],
        "kind": [names[kind] for kind in train.kind.tolist()],
        "item": [items.ids[item] for item in train.item.tolist()],
        "request": [str(one) if one >= 0 else None for one in train.request.tolist()],
        **{name: pl.Series(getattr(train, name)).fill_nan(None) for name in ("price", "quantity", "rating")},
    }
    known = pl.DataFrame(columns)
    missing = [pl.lit(None, kind).alias(name) for name, kind in EVENT_COLUMNS.items() if name not in columns]
    table = known.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in EVENT_COLUMNS.items())
    return EventLog.from_table(table, items)


def _graded(train):
    n = len(train.queries)
    if not n:
        return None
    grades = [dict[int, float]() for _ in range(n)]
    for query, item, grade in zip(train.query.tolist(), train.graded.tolist(), train.grade.tolist(), strict=True):
        grades[query][item] = grade
    queries = [Query(text=text) for text in train.queries]
    asked = Requests(Windows.empty(n), queries, np.full(n, 2**40, dtype=np.int64))
    return Replay(asked, Truth.from_lists(grades), np.full(n, -1, dtype=np.int32))


def _requests(requests, window=None):
    """The engine keeps the latest events of each shopper, as a shop's does; the baselines keep all."""
    columns = {name: getattr(requests, name) for name in ("item", "kind", "time", "price", "quantity", "rating")}
    windows = Windows(offsets=requests.offsets, **columns)
    if window is not None:
        sizes = np.diff(requests.offsets)
        left = np.repeat(requests.offsets[1:], sizes) - np.arange(len(requests.item))
        windows = windows.gather(np.flatnonzero(left <= window), np.minimum(sizes, window))
    excluded = np.split(requests.exclude, requests.exclude_offsets[1:-1])
    queries = [
        Query(text=text, exclude=tuple(out.tolist())) for text, out in zip(requests.queries, excluded, strict=True)
    ]
    return Requests(windows, queries, requests.now)
