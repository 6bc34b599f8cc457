"""What the log says of lists that were shown: how far down shoppers look, and what each request's rows count by it."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, Impressions, ItemList, Query, Requests, Truth
from vetrina.engine.config import RankConfig
from vetrina.engine.engine import Engine
from vetrina.rank import Examination, from_chance, from_regression
from vetrina.retrieve.merge import add_scores

__all__ = ["examination_of", "positions_of"]

_log = logging.getLogger(__name__)

# Fewer clicks leave the curve to chance: then lists are taken as if all of them were looked at.
_ENOUGH_CLICKS = 1000
# Lists whose features are worked out to learn the curve where none were left to chance, at most.
_LISTS = 5000
# Nothing is learned of what stands deeper: it is looked at as often as what stands here.
_DEEPEST = 1000
_CHUNK = 256


def examination_of(engine: Engine, log: EventLog, since: int, config: RankConfig, seed: int = 0) -> Examination | None:
    """How likely each position is to be looked at, learned from the lists of a log; None where they say too little.

    From the lists in random order (those with a ``propensity``) where at least 1,000 items of them were
    clicked, be it long ago: how far people look down a page hardly changes. Else from any lists since
    ``since``, by the features that the engine gives to what was shown.

    Parameters
    ----------
    engine : Engine
        Its models must have been fitted on what came before ``since`` and nothing else.
    log : EventLog
        Of the past: what may be learned from.
    since : int
        Epoch seconds.
    config : RankConfig
    seed : int
        Some lists are drawn, where there are very many.
    """
    lists = Impressions.of(log)
    lists = lists.take((lists.position > 0) & (lists.position <= _DEEPEST) & (lists.item >= 0))
    by_chance = lists.take(lists.randomised[lists.row])
    if by_chance.clicked.sum() >= _ENOUGH_CLICKS:
        propensity = by_chance.propensity.astype(np.float64)
        return from_chance(by_chance.position, by_chance.clicked, by_chance.row, propensity)
    chosen = np.unique(lists.row[lists.asked[lists.row] >= since])
    chosen = np.sort(np.random.default_rng([seed, 3]).permutation(chosen)[:_LISTS])
    some = lists.take(np.isin(lists.row, chosen))
    if some.clicked.sum() < _ENOUGH_CLICKS:
        if len(lists.row):
            _log.info(
                "Position bias is left as it is: it takes %s clicks on lists that were shown.", f"{_ENOUGH_CLICKS:,}"
            )
        return None
    return from_regression(some.position, some.clicked, _features(engine, log, some, config))


def _features(engine: Engine, log: EventLog, shown: Impressions, config: RankConfig) -> npt.NDArray[np.float32]:
    """Of every row, as they were when its list was asked for."""
    numbers, sizes = np.unique(shown.row, return_counts=True)
    asked, texts = shown.asked[numbers], [*log.queries, ""]  # code -1 is the last
    windows = log.windows(shown.shopper[numbers], asked, config.window)
    requests = Requests(windows, [Query(text=texts[code]) for code in shown.query[numbers]], asked)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    parts = []
    for start in range(0, len(numbers), _CHUNK):
        stop = min(start + _CHUNK, len(numbers))
        part = engine.encode_queries(requests.slice(start, stop))
        rows = slice(int(offsets[start]), int(offsets[stop]))
        lists = ItemList(offsets[start : stop + 1] - offsets[start], shown.item[rows])
        add_scores(engine.sources, part, lists)
        parts.append(engine.compute_features(part, lists))
    return np.concatenate(parts)


def positions_of(lists: ItemList, shown: ItemList, truth: Truth) -> npt.NDArray[np.int32]:
    """Where each candidate stood in the list that its request was shown; 0 where it was not shown.

    All 0 for a request whose list does not tell what was passed over: of which something was chosen that it does
    not show, or nothing was left.

    Parameters
    ----------
    lists : ItemList
        Candidates.
    shown : ItemList
        What was shown to the same requests, with its ``position``.
    truth : Truth
        What they chose.
    """
    span = int(max(one.max(initial=0) for one in (lists.item, shown.item, truth.item))) + 1
    key, of = shown.row.astype(np.int64) * span + shown.item, truth.row * span + truth.item
    order = np.argsort(key)
    wanted = lists.row.astype(np.int64) * span + lists.item
    place = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
    position = np.zeros(len(wanted), dtype=np.int32)
    if len(key):
        found = key[order][place] == wanted
        position[found] = shown.columns["position"][order][place[found]]
    unseen = np.bincount(truth.row[(truth.gain > 0) & ~np.isin(of, key)], minlength=len(truth)) > 0
    passed = np.bincount(lists.row[(position > 0) & ~np.isin(wanted, of)], minlength=len(truth)) > 0
    position[(unseen | ~passed)[lists.row]] = 0
    return position
