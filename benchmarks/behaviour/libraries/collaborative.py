"""Our collaborative sources and the one by content, each alone, through the door of the peers.

It has no block of requirements: it runs in the harness's own environment.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks, for what is there for all of ours

from peers.libraries.vetrina import _encoded, _items, _kept, _log, _plain, _requests
from vetrina.catalogue import ItemMapping
from vetrina.core import component_class
from vetrina.engine import ShopConfig

DISTRIBUTIONS = ["vetrina", "implicit"]

_SOURCES = ("item_item", "user_user", "ease", "als", "bpr", "content", "popular")
RECOMMENDERS = {name: _plain(component_class("retriever", name)) for name in _SOURCES}

_AT_ONCE = 256  # requests, as the engine asks


def fit(model, train, options):
    items = _kept("items", train.folder.parent, lambda: _items(train))
    log = _kept("log", train.folder, lambda: _log(train, items))
    if model == "content":
        config = ShopConfig(items=ItemMapping(file="items.jsonl", item="item"))
        items = _kept("encoded", train.folder.parent, lambda: _encoded(items, config)).items
    return component_class("retriever", model)(**options).fit(items, log)


def rank(fitted, requests, k):
    allowed = np.ones((len(requests), requests.n_items), dtype=bool)
    allowed[np.repeat(np.arange(len(requests)), np.diff(requests.exclude_offsets)), requests.exclude] = False
    asked = _requests(requests)
    starts = range(0, len(requests), _AT_ONCE)
    found = [
        fitted.retrieve(asked.slice(start, min(start + _AT_ONCE, len(requests))), k, allowed[start : start + _AT_ONCE])
        for start in starts
    ]
    return np.concatenate([ids for ids, _ in found]) if found else np.empty((0, k), dtype=np.int32)
