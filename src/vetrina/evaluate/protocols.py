"""What to learn from and what to be asked: ways to hold a part of a log out.

Sources: Y. Ji et al., A Critical Study on Data Leakage in Recommender System Offline
Evaluation (TOIS 2023), for why the default divides by time; Z. Meng et al., Exploring
Data Splitting Strategies for the Evaluation of Recommendation Models (RecSys 2020), for how
much the choice matters; W. X. Zhao et al., RecBole (CIKM 2021), for the random division.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventLog, Query
from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.engine import Gains, Replay, ShopConfig, cut_of, requests_at, requests_from_log

__all__ = ["PROTOCOLS", "Holdout", "Protocol", "as_if_new", "check_protocol", "hold_out"]

Mask = npt.NDArray[np.bool_]

#: Share of the shoppers, or of the items, that is held out.
_SHARE = 0.2

#: Share of choices that must have been bought before for products new to the shopper to have a table of their own.
_REPEATED = 0.1


class Protocol(NamedTuple):
    """A way to hold out, in words.

    Attributes
    ----------
    summary : str
        Who is asked what.
    leak : str
        What is learned from that a shop would not know on the day; "" for nothing.
    """

    summary: str
    leak: str = ""


#: All protocols by name; the first is the default.
PROTOCOLS: dict[str, Protocol] = {
    "time": Protocol("every request of the last days, after learning from what was before"),
    "time-frozen": Protocol("one request of each shopper at the cut, about all that they chose after it"),
    "last": Protocol(
        "each shopper's last request in which something was chosen",
        "later events of other shoppers are learned from",
    ),
    "shoppers": Protocol(
        "all requests of a fifth of the shoppers, after learning from the others",
        "later events of other shoppers are learned from",
    ),
    "cold-shoppers": Protocol("requests of the last days by shoppers who were never seen before them"),
    "cold-items": Protocol("choices of the last days among a fifth of the items, of which no event is known"),
    "random": Protocol(
        "one request of each shopper, about a tenth of their choices drawn at random",
        "what the same shopper and others did later, and in the same session, is learned from",
    ),
}


@dataclass(frozen=True)
class Holdout:
    """A log with a part held out.

    Attributes
    ----------
    protocol : str
        Of :data:`PROTOCOLS`.
    words : str
        What is held out, for the title of a table.
    train : EventLog
        What models learn from.
    observed : EventLog
        What counts are kept of: they are read at the time of each request, so the future in it is not seen.
    parts : dict of str to Replay
        What is asked, by table: "Searches", "Recommendations", "New products" (those whose shopper
        had not bought them before), "New products alone" (nothing of which an event is known is shown);
        only those with a right answer.
    validation : Holdout or None
        The same done once more inside ``train``, for tuning; None where it leaves nothing to ask.
    """

    protocol: str
    words: str
    train: EventLog
    observed: EventLog
    parts: dict[str, Replay]
    validation: Holdout | None = None

    @property
    def leak(self) -> str:
        """What is learned from that a shop would not know on the day; "" for nothing."""
        return PROTOCOLS[self.protocol].leak

    @property
    def leaks(self) -> bool:
        """Whether anything is."""
        return bool(self.leak)


def check_protocol(name: str) -> None:
    """Raise ConfigError, with the nearest name, when there is no such protocol."""
    if name not in PROTOCOLS:
        raise ConfigError(f"protocol: there is no {name!r}.{nearest(name, PROTOCOLS)} Known: {', '.join(PROTOCOLS)}.")


def hold_out(log: EventLog, protocol: str, config: ShopConfig, *, cut: int | None = None) -> Holdout:
    """Divide a log by one of :data:`PROTOCOLS`.

    Parameters
    ----------
    log : EventLog
        The whole log.
    protocol : str
    config : ShopConfig
        Its windows, gains (which say what a choice is), test days and seed are used.
    cut : int, optional
        Epoch seconds at which the protocols that divide by time do so; when absent, where the
        test days begin. What is before it does not depend on anything after it.

    Returns
    -------
    Holdout

    Raises
    ------
    ConfigError
        When there is no such protocol.
    DataError
        When the log is empty.

    Examples
    --------
    ::

        held = hold_out(log, "time", shop.config)
        engine = learn(items, held.train, shop.config, encoders).observe(held.observed)
        lists = engine.rank(held.parts["Recommendations"].requests, 10).lists
    """
    check_protocol(protocol)
    if not len(log):
        raise DataError("The log is empty: there is nothing to hold out. Name a file of events in shop.toml.")
    if cut is None:
        cut = cut_of(log, config.build.test_days)
    seed = config.build.seed
    if protocol == "random":
        return _at_random(log, config, seed)
    make = _MAKERS[protocol]
    outer = make(log, config, cut, seed)
    if not len(outer.train):
        return outer
    # Tuning looks back as far as the test does forward, and leaves at least half to learn from.
    before = max(cut - int(config.build.test_days * DAY), (int(log.time[0]) + cut) // 2)
    inner = make(outer.train, config, before, seed + 1)
    return replace(outer, validation=inner if inner.parts else None)


def _by_time(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    return Holdout("time", _last_days(log, cut), log.before(cut), log, _asked(log, cut, config))


def _frozen(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    """Nothing is learned after the cut, not even of the shopper who asks."""
    train = log.before(cut)
    every, new = (
        requests_at(log, cut, _end(log), window_size=config.rank.window, gains=_gains(config), only_new=only_new)
        for only_new in (False, True)
    )
    parts = _worth_asking({"Recommendations": every, "New products": new})
    return Holdout("time-frozen", f"{_last_days(log, cut)}, asked once before them", train, train, parts)


def _last(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    """Of the tested shoppers nothing from their last request on is learned from."""
    every = requests_from_log(log, int(log.time[0]), _end(log), window_size=0, gains=_gains(config))
    shopper, asked = every.shopper, every.requests.now
    # In order of time, so the last writer is the latest; who asked only once has nothing to learn from.
    latest = np.full(len(log.shoppers) + 1, np.iinfo(np.int64).max)
    first = latest.copy()
    latest[shopper] = asked
    first[shopper[::-1]] = asked[::-1]
    latest[(first == latest) | (np.arange(len(latest)) == len(log.shoppers))] = np.iinfo(np.int64).max
    parts = _asked(log, int(log.time[0]), config, lambda one: one.requests.now == latest[one.shopper])
    return Holdout("last", "each shopper’s last request", log.take(log.time < latest[log.shopper]), log, parts)


def _by_shopper(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    """All of a shopper's events are on one side; those of nobody known are learned from."""
    held = np.append(_draw(len(log.shoppers), seed), False)  # the last is where -1 lands
    parts = _asked(log, int(log.time[0]), config, lambda one: held[one.shopper])
    return Holdout("shoppers", f"{_SHARE:.0%} of the shoppers", log.take(~held[log.shopper]), log, parts)


def _cold_shoppers(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    train = log.before(cut)
    new = np.ones(len(log.shoppers) + 1, dtype=bool)
    new[train.shopper] = False
    new[-1] = False  # nobody knows whether they are new
    parts = _asked(log, cut, config, lambda one: new[one.shopper])
    return Holdout("cold-shoppers", f"{_last_days(log, cut)}, shoppers never seen before", train, log, parts)


def _cold_items(log: EventLog, config: ShopConfig, cut: int, seed: int) -> Holdout:
    """As if some items came on sale at the cut."""
    held = _draw(int(log.item.max(initial=-1)) + 1, seed)
    return as_if_new(log, held, config, cut, f"{_last_days(log, cut)}, {_SHARE:.0%} of the products as if new")


def as_if_new(log: EventLog, held: Mask, config: ShopConfig, cut: int, words: str) -> Holdout:
    """Requests since ``cut`` whose right answers are items of which no event is known, at every request anew.

    Parameters
    ----------
    log : EventLog
    held : bool of shape (n_items,)
        Those items; items beyond are not held.
    config : ShopConfig
    cut : int
        Epoch seconds.
    words : str
        What is held out, for the title of a table.
    """
    n_items = int(log.item.max(initial=-1)) + 1
    held = np.append(np.resize(held, n_items) & (np.arange(n_items) < len(held)), False)
    observed = log.take(~held[log.item])

    def cold(one: Replay) -> Replay:
        gain = np.where(held[one.truth.item], one.truth.gain, 0)
        windows = observed.windows(one.shopper, one.requests.now, config.rank.window)
        return one._replace(truth=replace(one.truth, gain=gain), requests=replace(one.requests, windows=windows))

    # Nobody has bought them yet: all of them are new to the shopper.
    parts = {name: cold(one) for name, one in _asked(log, cut, config).items() if name != "New products"}
    parts = {name: one.take(np.flatnonzero(one.truth.n_relevant)) for name, one in parts.items()}
    if "Recommendations" in parts:
        # Beside what is known to sell a new product is hardly ever shown. Among those of which nothing is known?
        every = parts["Recommendations"]
        alone = Query(exclude=tuple(np.unique(observed.item[observed.item >= 0]).tolist()))
        requests = replace(every.requests, queries=[alone] * len(every.requests))
        parts["New products alone"] = every._replace(requests=requests)
    return Holdout("cold-items", words, observed.before(cut), observed, _worth_asking(parts))


def _at_random(log: EventLog, config: ShopConfig, seed: int) -> Holdout:
    """Of each shopper's items a tenth to test, a tenth to tune, the rest to learn from; all events of a pair together.

    Sizes are those of RecBole's ratio split: a tenth, rounded down, and one of each where that is none.
    """
    rows = np.flatnonzero((log.shopper >= 0) & (log.item >= 0))
    span = int(log.item.max(initial=0)) + 1
    pairs, pair = np.unique(log.shopper[rows].astype(np.int64) * span + log.item[rows], return_inverse=True)
    shopper = pairs // span
    order = np.lexsort((np.random.default_rng(seed).random(len(pairs)), shopper))
    place = np.empty(len(pairs), dtype=np.int64)
    place[order] = np.arange(len(pairs)) - np.searchsorted(shopper, shopper)
    size = np.bincount(shopper, minlength=len(log.shoppers))[shopper]
    tenth = np.maximum(size // 10, 1)
    # 0 to learn from, 1 to tune, 2 to test
    side_of_pair = np.where((place < tenth) & (size >= 2), 2, np.where((place < 2 * tenth) & (size >= 3), 1, 0))
    side = np.zeros(len(log), dtype=np.int64)
    side[rows] = side_of_pair[pair]
    train = log.take(side == 0)

    def asked(test: int) -> Holdout:
        """Asked after everything, as if what is tested came after what is learned from."""
        end = _end(log)
        later = log.take(side == test)
        joined = log.take(np.concatenate([np.flatnonzero(side == 0), np.flatnonzero(side == test)]))
        joined = replace(joined, time=np.concatenate([train.time, np.full(len(later), end)]))
        replay = requests_at(joined, end, end + 1, window_size=config.rank.window, gains=_gains(config))
        known = side_of_pair < test
        met = np.split(pairs[known] % span, np.searchsorted(shopper[known], np.arange(1, len(log.shoppers))))
        queries = [
            replace(query, exclude=tuple(met[who].tolist()))
            for query, who in zip(replay.requests.queries, replay.shopper.tolist(), strict=True)
        ]
        replay = replay._replace(requests=replace(replay.requests, queries=queries))
        return Holdout("random", "random 8:1:1", train, train, _worth_asking({"Recommendations": replay}))

    tuning = asked(1)
    return replace(asked(2), validation=tuning if tuning.parts else None)


_MAKERS: dict[str, Callable[[EventLog, ShopConfig, int, int], Holdout]] = {
    "time": _by_time,
    "time-frozen": _frozen,
    "last": _last,
    "shoppers": _by_shopper,
    "cold-shoppers": _cold_shoppers,
    "cold-items": _cold_items,
}


def _asked(
    log: EventLog, since: int, config: ShopConfig, kept: Callable[[Replay], Mask] | None = None
) -> dict[str, Replay]:
    """Requests from ``since`` to the end of the log by table; of them those that ``kept`` marks."""
    parts = {}
    for only_new in (False, True):
        replay = requests_from_log(
            log, since, _end(log), window_size=config.rank.window, gains=_gains(config), only_new=only_new
        )
        worded = np.array([bool(query.text) for query in replay.requests.queries], dtype=bool)
        chosen = np.ones(len(worded), dtype=bool) if kept is None else kept(replay)
        if not only_new:
            parts["Searches"] = replay.take(np.flatnonzero(chosen & worded))
        name = "New products" if only_new else "Recommendations"
        parts[name] = replay.take(np.flatnonzero(chosen & ~worded))
    return _worth_asking(parts)


def _worth_asking(parts: dict[str, Replay]) -> dict[str, Replay]:
    """Without those that have no right answer, and without the same table twice."""
    if "New products" in parts:
        chosen, new = (parts[name].truth.n_relevant.sum() for name in ("Recommendations", "New products"))
        if new > (1 - _REPEATED) * chosen:
            parts = {name: part for name, part in parts.items() if name != "New products"}
    return {name: part for name, part in parts.items() if part.truth.n_relevant.any()}


def _draw(n: int, seed: int) -> Mask:
    """Which of ``n`` codes are held out: the same for a code however many there are."""
    drawn: Mask = np.random.default_rng(seed).random(n) < _SHARE
    return drawn


def _end(log: EventLog) -> int:
    return int(log.time[-1]) + 1


def _last_days(log: EventLog, cut: int) -> str:
    return f"last {(_end(log) - cut) / DAY:.0f} days"


def _gains(config: ShopConfig) -> Gains:
    return Gains(**config.rank.gains)
