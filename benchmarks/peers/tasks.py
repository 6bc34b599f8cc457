"""What is asked of every system: the data sets, divided, with what is right kept on this side of the door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue import ItemMapping
from vetrina.catalogue.datasets import load
from vetrina.core import EVENT_COLUMNS, EventLog, ItemList, Items, Query, Requests, Truth, Windows
from vetrina.engine import Replay, ShopConfig, requests_from_log
from vetrina.engine.judged import judged_replay
from vetrina.engine.replay import Gains
from vetrina.evaluate.protocols import Holdout, hold_out
from vetrina.evaluate.tables import K

__all__ = ["POOL", "RECOMMEND", "SEARCH", "TASKS", "WHOLE", "Part", "Round", "Task", "judged_share"]

#: Kinds of tasks: a system says which of them it does.
RECOMMEND, SEARCH = "recommend", "search"

# Libraries that keep all of a user's past are compared: nobody is to see less of it.
_WHOLE_PAST = 100_000


@dataclass(frozen=True)
class Part:
    """What there is to learn from, and what is then asked.

    Attributes
    ----------
    train : EventLog
    asked : dict of str to Replay
        By name of its table; a query says what it leaves out.
    graded : Replay or None
        Queries with grades to learn from.
    pools : frozenset of str
        Those of ``asked`` that are answered by ordering the items that its truth names.
    """

    train: EventLog
    asked: dict[str, Replay]
    graded: Replay | None = None
    pools: frozenset[str] = frozenset()

    def depth(self, name: str) -> int:
        """How long the lists are that are asked for: of a pool all, as raters may have judged a few of it."""
        return int(np.diff(self.asked[name].truth.offsets).max()) if name in self.pools else K


@dataclass(frozen=True)
class Round:
    """Parts to tune on and one to be tested on; a fold, or a division by another seed.

    With several parts to tune on a point is worth its mean over the requests of all.
    """

    tuning: tuple[Part, ...]
    final: Part
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """Rounds whose answers make one table for each thing that is asked.

    Attributes
    ----------
    name, title : str
    kind : {"recommend", "search"}
    items : Items
    rounds : sequence of Round
    gains : dict of str to float
        Which events are choices, and how much each says; also the weight of an event.
    leaks : bool
    notes : tuple of str
    raters : (DataFrame, Replay) or None
        What each rater said, and the graded queries in the order of the rounds.
    """

    name: str
    title: str
    kind: str
    items: Items
    rounds: Sequence[Round]
    gains: dict[str, float] = field(default_factory=dict)
    leaks: bool = False
    notes: tuple[str, ...] = ()
    raters: tuple[pl.DataFrame, Replay] | None = None

    @property
    def tables(self) -> list[str]:
        """Names of what is asked."""
        return list(self.rounds[0].final.asked)

    def truth(self, name: str) -> Truth:
        """What is right, of all rounds after one another."""
        parts = [one.final.asked[name].truth for one in self.rounds]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.offsets) for part in parts]))])
        item, gain = (np.concatenate([getattr(part, column) for part in parts]) for column in ("item", "gain"))
        return Truth(offsets.astype(np.int64), item, gain)

    def shopper(self, name: str) -> npt.NDArray[np.int32] | None:
        """Who asked, of all rounds after one another; None where nobody did."""
        codes = np.concatenate([one.final.asked[name].shopper for one in self.rounds])
        return None if (codes < 0).all() else codes

    def weights(self, events: EventLog | Windows) -> npt.NDArray[np.float64]:
        """How much each event counts, the most telling kind 1; nothing where it is no choice."""
        gains = Gains(**self.gains)
        most = max(gains.model_dump(exclude={"rating_from"}).values()) or 1.0
        weight: npt.NDArray[np.float64] = gains.of(events.kind, events.rating) / most
        return weight


def _config(gains: dict[str, float], test_days: float, seed: int = 0) -> ShopConfig:
    options: dict[str, Any] = {
        "items": ItemMapping(file="items.jsonl", item="item"),
        "rank": {"gains": gains, "window": _WHOLE_PAST},
        "build": {"test_days": test_days, "seed": seed},
    }
    return ShopConfig(**options)


def _rounds(held: Sequence[Holdout]) -> list[Round]:
    rounds = []
    for seed, one in enumerate(held):
        assert one.validation is not None, "a slice to tune on"
        tuning = Part(one.validation.train, one.validation.parts)
        rounds.append(Round((tuning,), Part(one.train, one.parts), seed))
    return rounds


def _read(name: str) -> tuple[Items, EventLog]:
    dataset = load(name)
    items = Items(dataset.items)
    assert dataset.events is not None, "the set has events"
    return items, EventLog.from_table(dataset.events, items)


def online_retail(seeds: int) -> Task:
    """The nearest to a real shop: who was a customer 30 days before the end, and what they then bought."""
    items, log = _read("online-retail")
    gains = {"purchase": 1.0}
    held = hold_out(log, "time-frozen", _config(gains, 30.0))
    note = "Frozen at the cut: one list for each known customer about all that they bought in the 30 days after it."
    return Task("online-retail", "Online Retail, last 30 days", RECOMMEND, items, _rounds([held]), gains, notes=(note,))


_ANY_RATING = {"rate": 1.0, "rating_from": 0.0}


def movielens_random(seeds: int) -> Task:
    """As RecBole's README divides it, which leaks: a tenth of each person's films, at random."""
    items, log = _read("movielens-100k")
    held = [hold_out(log, "random", _config(_ANY_RATING, 30.0, seed)) for seed in range(seeds)]
    note = (
        "Each person’s films 8:1:1 at random; every rating is a choice; learned from eight tenths alone, and films of "
        f"the other parts that are not asked for are left out of the lists, as RecBole does. Divisions: {seeds}."
    )
    return Task(
        "movielens-random", "MovieLens-100k, random 8:1:1", RECOMMEND, items, _rounds(held), _ANY_RATING, True, (note,)
    )


def movielens_time(seeds: int) -> Task:
    """The last tenth of the ratings, everybody who gave one, known before or not."""
    items, log = _read("movielens-100k")
    cut, before = (int(log.time[int(len(log) * share)]) for share in (0.9, 0.8))
    rounds = [Round((_frozen(log.before(cut), before),), _frozen(log, cut))]
    known = np.isin(rounds[0].final.asked["All films"].shopper, log.before(cut).shopper)
    note = (
        f"Frozen at the cut; every rating is a choice; films rated before are left out. Of {len(known)} people "
        f"{int(known.sum())} were known before the cut."
    )
    return Task(
        "movielens-time",
        "MovieLens-100k, last tenth of the ratings",
        RECOMMEND,
        items,
        rounds,
        _ANY_RATING,
        notes=(note,),
    )


def _frozen(log: EventLog, cut: int) -> Part:
    """One request of everybody who chose something from ``cut`` on, about all of it: newcomers too."""
    train, later = log.before(cut), log.take(log.time >= cut)
    people, who = np.unique(later.shopper, return_inverse=True)
    now = np.full(len(people), cut, dtype=np.int64)
    windows = train.windows(people, now, _WHOLE_PAST)
    met = np.split(windows.item, windows.offsets[1:-1])
    chosen = [dict.fromkeys(later.item[who == row].tolist(), 1.0) for row in range(len(people))]
    queries = [Query(exclude=tuple(sorted(set(one.tolist())))) for one in met]
    replay = Replay(Requests(windows, queries, now), Truth.from_lists(chosen), people.astype(np.int32))
    return Part(train, {"All films": replay})


def movielens_next(seeds: int) -> Task:
    """The same division, but windows go on filling: after every ten ratings a person is asked for the next ten."""
    items, log = _read("movielens-100k")
    cut, before, end = (int(log.time[place]) for place in (int(len(log) * 0.9), int(len(log) * 0.8), -1))
    rounds = [Round((_next(log.before(cut), before, cut),), _next(log, cut, end + 1))]
    note = (
        "Learned until the cut; every rating is a choice. Whoever asks is known by all that they rated until then, "
        "also since the cut, and is asked after every ten ratings for the next ten; films rated before are left out."
    )
    title = "MovieLens-100k, the next ten films"
    return Task("movielens-next", title, RECOMMEND, items, rounds, _ANY_RATING, notes=(note,))


def _next(log: EventLog, cut: int, until: int) -> Part:
    gains = Gains(**_ANY_RATING)
    replay = requests_from_log(log, cut, until, window_size=_WHOLE_PAST, gains=gains, only_new=True, at_most=_NEXT)
    windows = replay.requests.windows
    met = np.split(windows.item, windows.offsets[1:-1])
    queries = [Query(exclude=tuple(sorted(set(one.tolist())))) for one in met]
    asked = replay._replace(requests=replace(replay.requests, queries=queries))
    return Part(log.before(cut), {"Next films": asked})


_NEXT = 10
_FOLDS = 5
POOL, WHOLE = "Judged pool", "Whole catalogue"


def chorus(seeds: int) -> Task:
    """Queries that people graded, in five folds: learned and tuned on the grades of the other folds."""
    dataset = load("chorus-electronics")
    items = Items(dataset.items)
    judged = judged_replay(dataset.judgements, items)
    assert judged is not None, "the set has grades"
    empty = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), items)
    judged = judged.take(np.random.default_rng(0).permutation(len(judged.requests)))
    fold = np.arange(len(judged.requests)) * _FOLDS // len(judged.requests)

    def part(learned: Sequence[int], asked: int) -> Part:
        one = judged.take(np.flatnonzero(fold == asked))
        graded = judged.take(np.flatnonzero(np.isin(fold, learned)))
        return Part(empty, {POOL: one, WHOLE: one}, graded, frozenset({POOL}))

    rounds = []
    for test in range(_FOLDS):
        others = [number for number in range(_FOLDS) if number != test]
        # A fold alone is too few queries to choose by: each of the others is asked in turn.
        tuning = tuple(part([one for one in others if one != asked], asked) for asked in others)
        rounds.append(Round(tuning, part(others, test)))
    note = "Five folds of queries: each is answered by what was learned and tuned on the grades of the others."
    raters = None if dataset.raters is None else (dataset.raters, judged)
    return Task("chorus", "Chorus Electronics, human grades", SEARCH, items, rounds, notes=(note,), raters=raters)


def judged_share(lists: ItemList, truth: Truth) -> float:
    """Share of what is listed that somebody judged."""
    known = [
        np.isin(lists.list_of(row), truth.item[start:stop])
        for row, (start, stop) in enumerate(zip(truth.offsets[:-1], truth.offsets[1:], strict=True))
    ]
    return float(np.concatenate(known).mean())


#: By name; each is given the number of divisions, for those that are drawn at random.
TASKS = {
    "online-retail": online_retail,
    "movielens-random": movielens_random,
    "movielens-time": movielens_time,
    "movielens-next": movielens_next,
    "chorus": chorus,
}
