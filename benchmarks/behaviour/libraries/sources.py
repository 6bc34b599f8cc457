"""Our sources one by one, and the plain baselines that they must beat, through the door of the peers.

It has no block of requirements: it runs in the harness's own environment.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks, for what is there for all of ours

from peers.libraries.vetrina import _encoded, _items, _kept, _log, _plain, _requests
from vetrina.catalogue import ItemMapping
from vetrina.engine import ShopConfig
from vetrina.engine.replay import Gains
from vetrina.evaluate import ItemKNN, Popularity
from vetrina.retrieve import Gru, SasRec

DISTRIBUTIONS = ["vetrina", "torch", "implicit"]

_TUNED = ("dim", "length", "dropout", "learning_rate", "epochs")
_SASREC, _GRU = ({name: _plain(cls)[name] for name in _TUNED} for cls in (SasRec, Gru))
RECOMMENDERS = {
    "SASRec": _SASREC,
    "SASRec, ids alone": _SASREC,
    "GRU": _GRU,
    "item-kNN (implicit)": _plain(ItemKNN),
    "popularity, last days": {"days": [14, 60, 30, 7, 3, 1]},
    "popularity": {},
}
_MODELS = {"SASRec": (SasRec, {}), "SASRec, ids alone": (SasRec, {"content": ""}), "GRU": (Gru, {})}


def fit(model, train, options):
    items = _kept("items", train.folder.parent, lambda: _items(train))
    log = _kept("log", train.folder, lambda: _log(train, items))
    if model not in _MODELS:
        return (ItemKNN if model.startswith("item") else Popularity)(Gains(**train.gains), **options).fit(items, log)
    config = ShopConfig(items=ItemMapping(file="items.jsonl", item="item"))
    encoded = _kept("encoded", train.folder.parent, lambda: _encoded(items, config))
    cls, fixed = _MODELS[model]
    return cls(seed=train.seed, **fixed, **options).fit(encoded.items, log)


def rank(fitted, requests, k):
    allowed = np.ones((len(requests), requests.n_items), dtype=bool)
    allowed[np.repeat(np.arange(len(requests)), np.diff(requests.exclude_offsets)), requests.exclude] = False
    asked = _requests(requests)
    if isinstance(fitted, (ItemKNN, Popularity)):
        lists = fitted.rank(asked, k, allowed)
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        ids[lists.row, np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)] = lists.item
        return ids
    return fitted.retrieve(asked, k, allowed)[0]
