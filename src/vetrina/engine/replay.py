"""The past as the engine would have met it: requests replayed from a log, with what was then chosen.

Training rows and measurements both come from here. Source: M. Ludewig and D.
Jannach, Evaluation of session-based recommendation algorithms (UMUAI 2018),
for the half hour that ends a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import HAD, Config, EventKind, EventLog, ItemList, Query, Requests, Truth
from vetrina.core.errors import ConfigError

__all__ = ["Gains", "Replay", "requests_at", "requests_from_log"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SESSION_GAP = 30 * 60  # seconds


class Gains(Config):
    """What each kind of event says about an item, as the gain of the truth; 0 says nothing.

    An item gets the largest gain of its events, not their sum.
    """

    view: float = Field(default=0.0, ge=0)
    click: float = Field(default=1.0, ge=0)
    cart: float = Field(default=2.0, ge=0)
    purchase: float = Field(default=3.0, ge=0)
    rate: float = Field(default=0.0, ge=0, description="Gain of a rating of at least rating_from.")
    rating_from: float = Field(default=4.0, description="The lowest rating that says an item was liked.")

    def of(self, kind: npt.NDArray[np.integer], rating: npt.NDArray[np.floating]) -> Floats:
        """Gain of every event: float64, the shape of ``kind``."""
        table = np.zeros(max(EventKind) + 1)
        for name in ("view", "click", "cart", "purchase", "rate"):
            table[EventKind[name]] = getattr(self, name)
        gain: Floats = table[kind]
        gain[(kind == EventKind.rate) & ~(rating >= self.rating_from)] = 0  # NaN is no rating
        return gain


class Replay(NamedTuple):
    """Requests of the past, as the engine would have met them.

    Attributes
    ----------
    requests : Requests
        In order of time.
    truth : Truth
        What the shopper then chose.
    shopper : int32 of shape (batch,)
        Codes in the log, -1 unknown: the clusters of a bootstrap.
    shown : ItemList, optional
        What each request was shown, with its ``position``; empty where the log does not say. Of the whole
        replay it is known where the log holds impressions with positions.
    """

    requests: Requests
    truth: Truth
    shopper: npt.NDArray[np.int32]
    shown: ItemList | None = None

    def take(self, rows: npt.NDArray[np.integer]) -> Replay:
        """The requests at ``rows``, ascending."""
        shown = None if self.shown is None else _lists_at(self.shown, rows)
        return Replay(self.requests.take(rows), self.truth.take(rows), self.shopper[rows], shown)


def requests_from_log(
    log: EventLog,
    since: int,
    until: int,
    *,
    window_size: int = 200,
    gains: Gains | None = None,
    only_new: bool = False,
    session_gap: int = SESSION_GAP,
    at_most: int = 0,
) -> Replay:
    """Replay a log: one request for every search, basket or session in which something was chosen.

    Events with the same ``request`` code and shopper are one request. Events
    without a code are one request for as long as their shopper pauses no more
    than ``session_gap`` and does not search again; those with neither code nor
    shopper belong to nothing and are left out.

    A request is asked at the time of its first event. Its window holds only
    events strictly before that time, so nothing of the request itself; its
    words are those of its first event that has any.

    Parameters
    ----------
    log : EventLog
        The whole log: windows and earlier purchases are looked up in it.
    since, until : int
        Epoch seconds; requests asked at since <= time < until.
    window_size : int
        Events in a window at most.
    gains : Gains, optional
        Which events choose an item, and how much they say.
    only_new : bool
        Ask for products new to the shopper: the truth leaves out what the shopper bought or rated at any
        time before the request, and queries say ``exclude_purchased``. Requests with nothing
        left are dropped.
    session_gap : int
        Seconds.
    at_most : int
        After so many choices of one session it is asked anew, with a window that holds them; 0: once for a session.

    Returns
    -------
    Replay

    Raises
    ------
    ConfigError
        When ``window_size`` or ``session_gap`` is negative.

    Examples
    --------
    ::

        replay = requests_from_log(log, cut, cut + 30 * DAY, window_size=500)
        measure(engine.rank(replay.requests, 10).lists, replay.truth)
    """
    if min(window_size, session_gap, at_most) < 0:
        raise ConfigError(
            f"window_size, session_gap and at_most are 0 or more. Got {window_size}, {session_gap} and {at_most}."
        )
    gain = (gains or Gains()).of(log.kind, log.rating)
    group = _groups(log, session_gap, (gain > 0) & (log.item >= 0), at_most)
    n_groups = int(group.max(initial=-1)) + 1
    rows = np.flatnonzero(group >= 0)
    first = np.full(n_groups, -1, dtype=np.int64)
    first[group[rows[::-1]]] = rows[::-1]  # the last writer wins, so the first row stands
    asked = log.time[first]
    events = rows[(log.item[rows] >= 0) & (gain[rows] > 0)]
    then = asked[group[events]]
    events = events[(then >= since) & (then < until)]
    if only_new:
        events = events[~_bought_before(log, events, asked[group[events]])]
    wanted, request = np.unique(group[events], return_inverse=True)
    order = np.lexsort((wanted, first[wanted]))  # in order of time
    wanted, request = wanted[order], np.argsort(order)[request]

    spoken = rows[log.query[rows] >= 0]
    words = np.full(n_groups, -1, dtype=np.int64)
    words[group[spoken[::-1]]] = log.query[spoken[::-1]]
    return _replay(
        log,
        log.shopper[first[wanted]],
        asked[wanted],
        _truth(len(wanted), request, log, events, gain),
        words[wanted],
        window_size,
        only_new,
    )._replace(shown=_shown(log, group, wanted))


def requests_at(
    log: EventLog,
    now: int,
    until: int,
    *,
    window_size: int = 200,
    gains: Gains | None = None,
    only_new: bool = False,
    newcomers: bool = False,
) -> Replay:
    """One request per shopper known before ``now``, asked at ``now``, about what they choose before ``until``.

    The frozen protocol of much of the literature: nothing is learned after
    ``now``. Shoppers who choose nothing (new) until ``until`` are left out. With ``newcomers``
    those who come later are asked too, of whom nothing is known yet.
    Parameters and errors are those of :func:`requests_from_log`.
    """
    if window_size < 0:
        raise ConfigError(f"window_size is 0 or more. Got {window_size}.")
    known = np.zeros(len(log.shoppers) + 1, dtype=bool)
    known[log.shopper if newcomers else log.before(now).shopper] = True
    known[-1] = False  # where code -1 lands
    gain = (gains or Gains()).of(log.kind, log.rating)
    inside = (log.time >= now) & (log.time < until) & known[log.shopper] & (log.item >= 0)
    events = np.flatnonzero(inside & (gain > 0))
    if only_new:
        events = events[~_bought_before(log, events, np.full(len(events), now))]
    shopper, request = np.unique(log.shopper[events], return_inverse=True)
    truth = _truth(len(shopper), request, log, events, gain)
    asked = np.full(len(shopper), now, dtype=np.int64)
    return _replay(log, shopper, asked, truth, np.full(len(shopper), -1), window_size, only_new)


def _replay(
    log: EventLog,
    shopper: npt.NDArray[np.int32],
    asked: Ints,
    truth: Truth,
    words: npt.NDArray[np.integer],
    window_size: int,
    only_new: bool,
) -> Replay:
    windows = log.windows(shopper, asked, window_size)
    texts: Sequence[str] = [*log.queries, ""]
    # One object per distinct query, shared by all who asked it; code -1 is the last, "".
    distinct = {code: Query(text=texts[code], exclude_purchased=only_new) for code in np.unique(words).tolist()}
    queries = [distinct[code] for code in words.tolist()]
    return Replay(Requests(windows, queries, asked.astype(np.int64)), truth, shopper.astype(np.int32))


def _groups(log: EventLog, session_gap: int, chosen: npt.NDArray[np.bool_], at_most: int) -> Ints:
    """Which request each event belongs to: int64 of shape (n_events,), -1 for none."""
    group = np.full(len(log), -1, dtype=np.int64)
    coded = np.flatnonzero(log.request >= 0)
    span = len(log.shoppers) + 1
    pairs = log.request[coded].astype(np.int64) * span + (log.shopper[coded] + 1)
    names, group[coded] = np.unique(pairs, return_inverse=True)

    loose = np.flatnonzero((log.request < 0) & (log.shopper >= 0))
    loose = loose[np.argsort(log.shopper[loose], kind="stable")]
    if len(loose):
        shopper, time = log.shopper[loose], log.time[loose]
        begins = np.ones(len(loose), dtype=bool)
        begins[1:] = (shopper[1:] != shopper[:-1]) | (np.diff(time) > session_gap)
        begins |= log.kind[loose] == EventKind.search
        if at_most:
            session = np.cumsum(begins) - 1
            count: Ints = np.cumsum(chosen[loose], dtype=np.int64) - chosen[loose]  # choices before each event
            part = (count - count[np.flatnonzero(begins)][session]) // at_most
            begins[1:] |= part[1:] > part[:-1]
        group[loose] = len(names) + np.cumsum(begins) - 1
    return group


def _shown(log: EventLog, group: Ints, wanted: Ints) -> ItemList | None:
    """What each of the ``wanted`` groups was shown, the first position of each item; None where no log tells."""
    rows = np.flatnonzero((log.kind == EventKind.impression) & (log.item >= 0) & (log.position > 0) & (group >= 0))
    if not len(rows):
        return None
    number = np.full(int(group.max()) + 1, -1, dtype=np.int64)
    number[wanted] = np.arange(len(wanted))
    row = number[group[rows]]
    rows, row = rows[row >= 0], row[row >= 0]
    order = np.lexsort((log.position[rows], log.item[rows], row))
    rows, row = rows[order], row[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (np.diff(log.item[rows]) != 0)
    rows = rows[first]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row[first], minlength=len(wanted)))]).astype(np.int64)
    return ItemList(offsets, log.item[rows], {"position": log.position[rows]})


def _lists_at(lists: ItemList, rows: npt.NDArray[np.integer]) -> ItemList:
    """The lists at ``rows``, in that order."""
    sizes = lists.sizes[rows]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    of = np.repeat(lists.offsets[rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
    return ItemList(offsets, lists.item[of], {name: column[of] for name, column in lists.columns.items()})


def _truth(n_requests: int, request: Ints, log: EventLog, events: npt.NDArray[np.intp], gain: Floats) -> Truth:
    """The largest gain of each (request, item), and the kinds of its events: of ``events``, rows of the log."""
    order = np.lexsort((-gain[events], log.item[events], request))
    request, events = request[order], events[order]
    item, gain = log.item[events], gain[events]
    best = np.ones(len(order), dtype=bool)
    best[1:] = (request[1:] != request[:-1]) | (item[1:] != item[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(request[best], minlength=n_requests))]).astype(np.int64)
    if not len(events):
        return Truth(offsets, item, gain)
    kinds = np.bitwise_or.reduceat(np.uint8(1) << log.kind[events].astype(np.uint8), np.flatnonzero(best))
    return Truth(offsets, item[best], gain[best], kinds)


def _bought_before(log: EventLog, events: npt.NDArray[np.intp], asked: Ints) -> npt.NDArray[np.bool_]:
    """Whether the shopper of each event had had its item before ``asked``: bool of shape (len(events),)."""
    span = int(log.item.max(initial=0)) + 1
    keys = log.shopper.astype(np.int64) * span + log.item
    bought = np.flatnonzero(np.isin(log.kind, HAD) & (log.item >= 0) & (log.shopper >= 0))
    if not len(bought):
        return np.zeros(len(events), dtype=bool)
    # Rows are in order of time, so the first row of each key is its earliest purchase.
    names, first = np.unique(keys[bought], return_index=True)
    earliest = log.time[bought[first]]
    place = np.minimum(np.searchsorted(names, keys[events]), len(names) - 1)
    known = (names[place] == keys[events]) & (log.shopper[events] >= 0)
    before: npt.NDArray[np.bool_] = known & (earliest[place] < asked)
    return before
