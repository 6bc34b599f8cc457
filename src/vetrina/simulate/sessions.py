"""One day of shop traffic at a time: who comes, what they ask, what is shown, what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import DAY, EventKind, Items
from vetrina.simulate.behaviour import Behaviour
from vetrina.simulate.language import Intent

__all__ = ["Day", "Traffic"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Visits by hour of the (UTC) day: little at night, lunch, a long evening.
_HOURS = np.array([2, 1, 1, 1, 1, 1, 2, 4, 6, 7, 7, 8, 10, 9, 7, 7, 7, 8, 10, 12, 14, 14, 10, 5], dtype=np.float64)
_CELLS = 4_000_000  # requests x products scored at a time: bounds the memory
_QUIET = 1_800  # nobody comes in the last half hour of a day, so that what they do stays inside it


@dataclass(frozen=True)
class Day:
    """Events and requests of one day, as parallel arrays; ``request`` counts from 0 within the day.

    Attributes
    ----------
    time, shopper, kind, item, query, request, position : int64 (n_events,), -1 (position 0) where none
    shuffled : bool (n_requests,), whether a list was shown in random order
    """

    time: Ints
    shopper: Ints
    kind: Ints
    item: Ints
    query: Ints
    request: Ints
    position: Ints
    request_time: Ints
    request_shopper: Ints
    request_query: Ints
    shuffled: npt.NDArray[np.bool_]


class Traffic:
    """The state that one day hands to the next: popularity, what is pushed, the queries known.

    Parameters
    ----------
    items : Items
        With ``available_at`` filled in.
    behaviour : Behaviour
    start : int
        Epoch seconds at which day 0 begins.
    rng : Generator
    """

    def __init__(self, items: Items, behaviour: Behaviour, start: int, rng: np.random.Generator) -> None:
        self._items, self._behaviour, self._start, self._rng = items, behaviour, start, rng
        self._config = behaviour.config
        self.queries: list[str] = []
        self._intents: list[Intent] = []
        self._code: dict[str, int] = {}
        # What was clicked before the log begins; common appeal had shown itself.
        self._clicks = rng.poisson(4 * np.exp(0.7 * behaviour.traits.appeal)).astype(np.float64)
        self._push = rng.standard_normal(len(items))
        available = items.available_at <= start
        self._clicks[~available] = 0
        self._standing = self._draw_standing()

    def _draw_standing(self) -> Ints:
        """The products that each shopper's standing wishes are modelled on: int64 (n_shoppers, k)."""
        wishes = self._config.traffic.standing_intents
        people = np.repeat(np.arange(self._config.n_shoppers), wishes)
        return self._wish(people, np.full(len(people), self._start)).reshape(-1, wishes)

    def _wish(self, shopper: Ints, time: Ints) -> Ints:
        """One product per row, drawn with odds of exp(focus x log-odds of taste) from what is on sale (Gumbel-max)."""
        chosen = np.empty(len(shopper), dtype=np.int64)
        everything = np.arange(len(self._items))[None, :]
        step = max(1, _CELLS // max(len(self._items), 1))
        for low in range(0, len(shopper), step):
            rows = slice(low, low + step)
            odds = np.float32(self._config.taste.focus) * self._behaviour.log_odds(shopper[rows, None], everything)
            odds -= np.log(np.maximum(self._rng.standard_exponential(odds.shape, dtype=np.float32), np.float32(1e-12)))
            chosen[rows] = np.where(self._items.available_at[None, :] <= time[rows, None], odds, -np.inf).argmax(axis=1)
        return chosen

    def day(self, number: int) -> Day:
        """Simulate day ``number`` of the period."""
        rng, traffic = self._rng, self._config.traffic
        people = self._behaviour.shoppers
        visits = rng.poisson(people.rate * (people.arrives <= number))
        shopper = np.repeat(np.arange(len(people)), visits)
        time = self._start + number * DAY + self._clock(len(shopper))
        order = np.argsort(time, kind="stable")
        shopper, time = shopper[order], time[order]
        query = self._ask(shopper, time, rng.random(len(shopper)) < traffic.browse_share)
        shuffled = rng.random(len(shopper)) < self._config.listing.shuffled
        shown = self._list(query, time, shuffled)
        day = self._judge(shopper, time, query, shown, shuffled)
        self._age(day.item[day.kind == EventKind.click])
        return day

    def _clock(self, count: int) -> Ints:
        """Seconds into a day, by the hours people keep."""
        hours = self._rng.choice(24, size=count, p=_HOURS / _HOURS.sum())
        seconds = (hours * 3600 + self._rng.integers(0, 3600, size=count) - self._start) % DAY
        return np.asarray(np.minimum(seconds, DAY - _QUIET), dtype=np.int64)

    def _age(self, clicked: Ints) -> None:
        """Popularity fades and grows; what the shop pushes drifts (an autoregressive walk of variance 1)."""
        self._clicks *= 0.5 ** (1 / self._config.listing.half_life)
        self._clicks += np.bincount(clicked, minlength=len(self._clicks))
        self._push = 0.95 * self._push + np.sqrt(1 - 0.95**2) * self._rng.standard_normal(len(self._push))

    def _ask(self, shopper: Ints, time: Ints, browsing: npt.NDArray[np.bool_]) -> Ints:
        """The query of every session: codes, -1 for those who browse."""
        rng, traffic = self._rng, self._config.traffic
        wanted = self._standing[shopper, rng.integers(0, traffic.standing_intents, size=len(shopper))]
        fresh = np.flatnonzero((rng.random(len(shopper)) >= traffic.repeat_share) & ~browsing)
        wanted[fresh] = self._wish(shopper[fresh], time[fresh])
        query = np.full(len(shopper), -1, dtype=np.int64)
        vocabulary = self._behaviour.vocabulary
        for row in np.flatnonzero(~browsing):  # one short text per search session
            text = vocabulary.write(int(wanted[row]), self._config.writing, rng)
            code = self._code.setdefault(text, len(self.queries))
            if code == len(self.queries):
                self.queries.append(text)
                self._intents.append(vocabulary.parse(text))
            query[row] = code
        return query

    def _list(self, query: Ints, time: Ints, shuffled: npt.NDArray[np.bool_]) -> Ints:
        """What is shown, best first: int64 (n_requests, length), -1 where nothing is left to show."""
        listing, n_items = self._config.listing, len(self._items)
        popular = np.log1p(self._clicks) + listing.drift * self._push
        popular = ((popular - popular.mean()) / (popular.std() or 1.0)).astype(np.float32)
        length = min(listing.length, n_items)
        lists = np.full((len(query), length), -1, dtype=np.int64)
        step = max(1, _CELLS // max(n_items, 1))
        for low in range(0, len(query), step):
            rows = slice(low, low + step)
            browse = (query[rows] < 0)[:, None]
            score = self._rng.standard_normal((len(browse), n_items), dtype=np.float32)
            score *= np.where(browse, np.float32(listing.browse_noise), np.float32(listing.noise))
            score += np.where(browse, np.float32(1), np.float32(listing.popularity)) * popular
            score += self._lexical(query[rows])
            sold = (self._items.available_at[None, :] <= time[rows, None]) & self._items.in_stock
            score[~sold] = -np.inf
            best = np.argpartition(-score, length - 1, axis=1)[:, :length]
            value = np.take_along_axis(score, best, axis=1)
            order = np.argsort(-value, axis=1, kind="stable")
            value = np.take_along_axis(value, order, axis=1)
            lists[rows] = np.where(np.isfinite(value), np.take_along_axis(best, order, axis=1), -1)
        mixed = np.flatnonzero(shuffled)
        keys = self._rng.random((len(mixed), length)) + (lists[mixed] < 0)
        lists[mixed] = np.take_along_axis(lists[mixed], np.argsort(keys, axis=1), axis=1)
        return lists

    def _lexical(self, query: Ints) -> Floats:
        """Share of a query's words, weighted by rarity, that each product holds: float32 (batch, n_items)."""
        words = self._behaviour.vocabulary
        row, column = [], []
        for k, code in enumerate(query):
            for term in dict.fromkeys(words.query_terms(self.queries[code])) if code >= 0 else ():
                row.append(k)
                column.append(words.terms.get(term, -1))
        rows, columns = np.array(row, dtype=np.int64), np.array(column, dtype=np.int64)
        weight = np.where(columns >= 0, words.idf[columns], np.float32(words.idf.max(initial=1)))
        total = np.bincount(rows, weight, minlength=len(query))
        weight = (weight / np.maximum(total[rows], 1e-9)).astype(np.float32)
        held = columns >= 0
        asked = sparse.csr_array(
            (weight[held], (rows[held], columns[held])), shape=(len(query), words.postings.shape[0])
        )  # fmt: skip
        return np.asarray((asked @ words.postings).toarray(), dtype=np.float32)

    def _judge(self, shopper: Ints, time: Ints, query: Ints, shown: Ints, shuffled: npt.NDArray[np.bool_]) -> Day:
        """Examine, click, put in the cart, buy; and the events of it all."""
        rng, clicks = self._rng, self._config.clicks
        there = shown >= 0
        utility = self._utility(shopper, query, np.maximum(shown, 0))
        examined = rng.random(shown.shape) < self._behaviour.examination(shown.shape[1])
        clicked = there & examined & (rng.random(shown.shape) < self._behaviour.attraction(utility))
        carted = clicked & (rng.random(shown.shape) < clicks.cart * utility)
        bought = carted & (rng.random(shown.shape) < clicks.purchase)
        place = np.broadcast_to(np.arange(1, shown.shape[1] + 1), shown.shape)
        # Down the list in order, a while on each product looked into.
        pause = 3 + 2 * place + np.cumsum(clicked * rng.integers(8, 50, size=shown.shape), axis=1)
        asked = np.flatnonzero(query >= 0)
        none = np.full(len(asked), -1, dtype=np.int64)
        parts: list[Sequence[Ints]] = [(time[asked], np.full(len(asked), int(EventKind.search)), none, asked, none + 1)]
        for kind, happened, delay in (
            (EventKind.impression, there, np.zeros_like(pause)),
            (EventKind.click, clicked, pause),
            (EventKind.cart, carted, pause + rng.integers(4, 8, size=shown.shape)),
            (EventKind.purchase, bought, pause[:, -1:] + rng.integers(30, 300, size=shown.shape)),
        ):
            request, column = np.nonzero(happened)
            when = time[request] + delay[request, column]
            parts.append((when, np.full(len(request), int(kind)), shown[request, column], request, column + 1))
        when, kind_, item, request, position = (
            np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)
        )
        order = np.argsort(when, kind="stable")
        when, kind_, item, request, position = (column[order] for column in (when, kind_, item, request, position))
        return Day(
            when, shopper[request], kind_, item, query[request], request, position, time, shopper, query, shuffled
        )

    def _utility(self, shopper: Ints, query: Ints, item: Ints) -> Floats:
        utility = self._behaviour.taste(shopper[:, None], item)
        asked = np.flatnonzero(query >= 0)
        if len(asked):
            utility[asked] *= self._behaviour.relevance([self._intents[code] for code in query[asked]], item[asked])
        return utility
