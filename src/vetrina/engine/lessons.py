"""What is asked so that an order is learned: requests out of the log, and what models may know when they are asked.

Three ways, of which a shop names one in ``[rank] training``. In each of them what is asked for is
unknown to the models that propose candidates and score them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventLog, Items, Query, Requests, Truth, Windows
from vetrina.core.text import words
from vetrina.engine.config import RankConfig, ShopConfig
from vetrina.engine.replay import Gains, Replay, requests_at, requests_from_log

__all__ = ["Lesson", "divided", "lessons_of", "replays_of", "some_never_met", "spoken"]

# So many requests are replayed as if so many of the products had just been added.
_NEW_REQUESTS, _NEW_ITEMS = 0.25, 0.2
# Where so few choices were of something that the shopper had before, nobody is asked what they choose again.
_CHOSEN_AGAIN = 0.1
# So many choices of a session are asked for at a time, where the next ones are.
_NEXT = 10
# Share of each shopper's items that is hidden at a time, and how many times.
_HIDDEN, _TIMES = 0.1, 3


class Lesson(NamedTuple):
    """Requests, and what may be known when they are asked.

    Attributes
    ----------
    log : EventLog
        What windows are cut of and counts are kept of, read at the time of each request.
    until : int
        Epoch seconds: models of behaviour learn from what of ``log`` was before.
    replays : list of Replay
        What is asked, as it comes, and once more for what is new to the shopper alone.
    """

    log: EventLog
    until: int
    replays: list[Replay]


def lessons_of(log: EventLog, config: ShopConfig) -> list[Lesson]:
    """What to learn from, as ``[rank] training`` says.

    ``sessions``: every search or session of the training days, as it was asked; models know what was before
    those days. ``next``: the same, and within a session it is asked anew after every ten choices. ``ahead``: the
    training days are divided into parts of ``ahead_days``, and at the beginning of each, everybody who chooses
    something in it is asked for all of that at once; models know what was before it. ``hidden``: a tenth of the
    items of each shopper is hidden, three times, and asked for from the rest, at the end of the log; models know
    the rest, whenever it happened.
    """
    if not len(log):
        return []
    rank, end = config.rank, int(log.time[-1]) + 1
    if rank.training == "hidden":
        lessons = [_hidden(log, rank, config.build.seed, number) for number in range(_TIMES)]
    elif rank.training == "ahead":
        lessons = _ahead(log, rank, end)
    else:
        since = log.last_days(rank.training_days, 0.5)
        replays = [_latest(one, rank.training_requests) for one in replays_of(log, since, end, rank)]
        return [Lesson(log, since, replays)] if replays else []
    lessons = [one for one in lessons if one.replays]
    most = rank.training_requests // max(len(lessons), 1)
    return [one._replace(replays=[_some(part, most, config.build.seed) for part in one.replays]) for one in lessons]


def replays_of(log: EventLog, since: int, until: int, config: RankConfig) -> list[Replay]:
    """Every search or session, and recommendations once more for what is new to the shopper alone."""
    gains, at_most = Gains(**config.gains), _NEXT if config.training == "next" else 0
    replay, new = (
        requests_from_log(log, since, until, window_size=config.window, gains=gains, only_new=only_new, at_most=at_most)
        for only_new in (False, True)
    )
    browsing = np.flatnonzero([not query.text for query in new.requests.queries])
    return _worth_asking(replay, new.take(browsing))


def _worth_asking(every: Replay, new: Replay) -> list[Replay]:
    """Both; without the first where nothing is searched for, and next to nothing is chosen that was had before."""
    chosen, unknown = (one.truth.n_relevant.sum() for one in (every, new))
    searched = any(query.text for query in every.requests.queries)
    both = [new] if not searched and unknown > (1 - _CHOSEN_AGAIN) * chosen else [every, new]
    return [one for one in both if len(one.requests)]


def _ahead(log: EventLog, config: RankConfig, end: int) -> list[Lesson]:
    """One lesson for every ``ahead_days`` of the training days, the latest first."""
    first, step = int(log.time[0]), int(config.ahead_days * DAY)
    parts = max(1, round(config.training_days / config.ahead_days))
    gains = Gains(**config.gains)
    lessons = []
    for until in range(end, end - parts * step, -step):
        now = max(until - step, first + (end - first) // 10)  # something must have been before
        if now >= until:
            break
        every, new = (
            requests_at(log, now, until, window_size=config.window, gains=gains, only_new=only_new, newcomers=True)
            for only_new in (False, True)
        )
        lessons.append(Lesson(log, now, _worth_asking(every, new)))
    return lessons


def _hidden(log: EventLog, config: RankConfig, seed: int, number: int) -> Lesson:
    """Of each shopper's items the ``number``-th tenth, drawn at random, one at least, is what is asked for."""
    gain = Gains(**config.gains).of(log.kind, log.rating)
    rows = np.flatnonzero((log.shopper >= 0) & (log.item >= 0))
    span = int(log.item.max(initial=0)) + 1
    pairs, pair = np.unique(log.shopper[rows].astype(np.int64) * span + log.item[rows], return_inverse=True)
    best = np.zeros(len(pairs))
    np.maximum.at(best, pair, gain[rows])
    # Of what was chosen a share is drawn, and all events of such a pair are hidden together.
    some = np.flatnonzero(best > 0)
    shopper = pairs[some] // span
    order = np.lexsort((np.random.default_rng([seed, 3]).random(len(some)), shopper))
    place = np.empty(len(some), dtype=np.int64)
    place[order] = np.arange(len(some)) - np.searchsorted(shopper, shopper)
    size = np.bincount(shopper, minlength=len(log.shoppers))[shopper]
    width = np.maximum((size * _HIDDEN).astype(np.int64), 1)
    # Whoever chose too little would have nothing left to be known by.
    drawn = some[(place // width == number) & (size > _TIMES)]
    hidden = np.zeros(len(pairs), dtype=bool)
    hidden[drawn] = True
    out = np.zeros(len(log), dtype=bool)
    out[rows] = hidden[pair]
    rest, end = log.take(~out), int(log.time[-1]) + 1
    who, whose = np.unique(pairs[drawn] // span, return_inverse=True)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(whose, minlength=len(who)))]).astype(np.int64)
    truth = Truth(offsets, (pairs[drawn] % span).astype(np.int32), best[drawn])
    now = np.full(len(who), end, dtype=np.int64)
    asked = Requests(
        rest.windows(who.astype(np.int32), now, config.window), [Query(exclude_purchased=True)] * len(who), now
    )
    return Lesson(rest, end, [Replay(asked, truth, who.astype(np.int32))] if len(who) else [])


def spoken(replay: Replay, items: Items, seed: int) -> Replay:
    """The same requests as if each shopper had typed words of one item that they then chose.

    A log without searches says nothing about words, and a ranker that learned from it alone would
    not heed them: so known-item queries are made up, as L. Azzopardi, M. de Rijke and K. Balog do
    (Building simulated queries for known-item topics, SIGIR 2007): one to three words of the item's
    title, category or colour, drawn at random. Times stay what they were, and every other window:
    half of the queries are asked by somebody unknown, who would else be met for the first time when
    served, and given what only suits those who are known.

    Parameters
    ----------
    replay : Replay
    items : Items
    seed : int
    """
    rng = np.random.default_rng(seed)
    texts = items.table["title"], items.leaf_category, items.table["colour"]
    rows: list[int] = []
    queries: list[Query] = []
    chosen: list[dict[int, float]] = []
    truth = replay.truth
    for row in range(len(replay.requests)):
        part = slice(int(truth.offsets[row]), int(truth.offsets[row + 1]))
        best = part.start + int(truth.gain[part].argmax())
        item = int(truth.item[best])
        known = list(dict.fromkeys(words(" ".join(text[item] for text in texts))))
        if known:
            count = min(int(rng.integers(1, 4)), len(known))
            drawn = sorted(rng.choice(len(known), count, replace=False).tolist())
            queries.append(Query(text=" ".join(known[place] for place in drawn)))
            chosen.append({item: float(truth.gain[best])})
            rows.append(row)
    some = replay.take(np.array(rows, dtype=np.int64))
    windows = _forgotten(some.requests.windows, np.arange(len(rows)) % 2 == 1)
    return Replay(replace(some.requests, queries=queries, windows=windows), Truth.from_lists(chosen), some.shopper)


def _forgotten(windows: Windows, whose: npt.NDArray[np.bool_]) -> Windows:
    """The same windows, those of ``whose`` empty."""
    sizes = np.where(whose, 0, np.diff(windows.offsets))
    return windows.gather(np.flatnonzero(~whose[windows.row]), sizes)


def some_never_met(log: EventLog, n_items: int, seed: int) -> EventLog:
    """The log as if some of the items had just been added: without any event of theirs."""
    # A stream of its own: an evaluation that holds items back by the same seed draws others.
    new = np.random.default_rng([seed, 1]).random(n_items) < _NEW_ITEMS
    return log.take(~np.append(new, False)[log.item])


def divided(replay: Replay, known: EventLog, config: ShopConfig) -> tuple[Replay, Replay]:
    """(Most requests as they were, the others with windows out of ``known``).

    In a log every product that is chosen was met before, but for the first time. A ranker that
    learned from it alone would put what nobody has met below all else, whatever it is like. So it
    also learns from requests as they would have been if some products had only just been added.
    """
    some = np.random.default_rng([config.build.seed, 2]).random(len(replay.requests)) < _NEW_REQUESTS
    chosen = replay.take(np.flatnonzero(some))
    requests = chosen.requests
    windows = known.windows(chosen.shopper, requests.now, config.rank.window)
    windows = _forgotten(windows, np.diff(requests.windows.offsets) == 0)
    return replay.take(np.flatnonzero(~some)), chosen._replace(requests=replace(requests, windows=windows))


def _latest(replay: Replay, most: int) -> Replay:
    n = len(replay.requests)
    return replay if n <= most else replay.take(np.arange(n - most, n))


def _some(replay: Replay, most: int, seed: int) -> Replay:
    """So many of the requests at most, drawn at random: all are asked at one time."""
    n = len(replay.requests)
    return (
        replay if n <= most else replay.take(np.sort(np.random.default_rng([seed, 4]).choice(n, most, replace=False)))
    )
