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
from vetrina.core import DAY, EVENT_COLUMNS, EventLog, ItemList, Items, Query, Truth, Windows
from vetrina.engine import Gains, Replay, ShopConfig, cut_of, requests_at, requests_from_log
from vetrina.engine.judged import judged_replay
from vetrina.evaluate.protocols import Holdout, hold_out
from vetrina.evaluate.tables import K

__all__ = ["POOL", "RECOMMEND", "SEARCH", "TASKS", "WHOLE", "Part", "Round", "Task", "brief", "judged_share"]

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


def _config(gains: dict[str, float], test_days: float) -> ShopConfig:
    options: dict[str, Any] = {
        "items": ItemMapping(file="items.jsonl", item="item"),
        "rank": {"gains": gains, "window": _WHOLE_PAST},
        "build": {"test_days": test_days},
    }
    return ShopConfig(**options)


def _round(held: Holdout) -> Round:
    assert held.validation is not None, "a slice to tune on"
    return Round((Part(held.validation.train, held.validation.parts),), Part(held.train, held.parts))


def _read(name: str) -> tuple[Items, EventLog]:
    dataset = load(name)
    items = Items(dataset.items)
    assert dataset.events is not None, "the set has events"
    return items, EventLog.from_table(dataset.events, items)


def online_retail() -> Task:
    """The nearest to a real shop: who was a customer 30 days before the end, and what they then bought."""
    items, log = _read("online-retail")
    gains = {"purchase": 1.0}
    held = hold_out(log, "time-frozen", _config(gains, 30.0))
    frozen = _round(held)
    cut = cut_of(log, 30.0)
    before, end = cut - 30 * DAY, int(log.time[-1]) + 1
    tuning, final = frozen.tuning[0], frozen.final
    one = Round((_baskets(tuning, log.before(cut), before, cut),), _baskets(final, log, cut, end))
    notes = (
        "Learned until 30 days before the end. Frozen: one list for each known customer about all that they bought in "
        "those 30 days. Baskets: one list as each is begun, for a thousand drawn at random; whoever asks is known by "
        "what they bought until then. First baskets: of those of whom nothing is known yet.",
    )
    return Task("online-retail", "Online Retail, last 30 days", RECOMMEND, items, [one], gains, notes=notes)


def _baskets(frozen: Part, log: EventLog, cut: int, until: int) -> Part:
    """The same to learn from; asked besides as each of some baskets is begun, windows going on to fill."""
    options: dict[str, Any] = {"window_size": _WHOLE_PAST, "gains": Gains(purchase=1.0)}
    every, new = (requests_from_log(log, cut, until, only_new=only_new, **options) for only_new in (False, True))
    first = every.take(np.flatnonzero(np.diff(every.requests.windows.offsets) == 0))
    baskets = {"Baskets, all products": every, "Baskets, new products": new, "First baskets": first}
    rng = np.random.default_rng(0)
    drawn = {name: np.sort(rng.permutation(len(one.requests))[:_BASKETS]) for name, one in baskets.items()}
    return Part(frozen.train, {**frozen.asked, **{name: one.take(drawn[name]) for name, one in baskets.items()}})


_ANY_RATING = {"rate": 1.0, "rating_from": 0.0}


def movielens_random() -> Task:
    """As RecBole's README divides it, which leaks: a tenth of each person's films, at random."""
    items, log = _read("movielens-100k")
    held = hold_out(log, "random", _config(_ANY_RATING, 30.0))
    note = (
        "Each person’s films 8:1:1 at random; every rating is a choice; learned from eight tenths alone, and films of "
        "the other parts that are not asked for are left out of the lists, as RecBole does."
    )
    return Task(
        "movielens-random", "MovieLens-100k, random 8:1:1", RECOMMEND, items, [_round(held)], _ANY_RATING, True, (note,)
    )


def movielens_time() -> Task:
    """The last tenth of the ratings, whoever gave one, known before or not; frozen, and with windows that fill."""
    items, log = _read("movielens-100k")
    cut, before, end = (int(log.time[place]) for place in (int(len(log) * 0.9), int(len(log) * 0.8), -1))
    rounds = [Round((_tenth(log.before(cut), before, cut),), _tenth(log, cut, end + 1))]
    shoppers = rounds[0].final.asked[FROZEN].shopper
    known = np.isin(shoppers, log.before(cut).shopper)
    note = (
        "Learned until the cut; every rating is a choice; films rated before are left out. Frozen: one list for each "
        f"of {len(known)} people, {int(known.sum())} of them known before the cut. Next films: after every ten ratings "
        "a person, known by all that they rated until then, is asked for the next ten."
    )
    title = "MovieLens-100k, last tenth of the ratings"
    return Task("movielens-time", title, RECOMMEND, items, rounds, _ANY_RATING, notes=(note,))


def _tenth(log: EventLog, cut: int, until: int) -> Part:
    gains = Gains(**_ANY_RATING)
    options: dict[str, Any] = {"window_size": _WHOLE_PAST, "gains": gains, "only_new": True}
    frozen = requests_at(log, cut, until, newcomers=True, **options)
    following = requests_from_log(log, cut, until, at_most=_NEXT, **options)
    return Part(log.before(cut), {FROZEN: _all_but_met(frozen), "Next films": _all_but_met(following)})


def _all_but_met(replay: Replay) -> Replay:
    """The same, films rated before being left out by name."""
    windows = replay.requests.windows
    met = np.split(windows.item, windows.offsets[1:-1])
    queries = [Query(exclude=tuple(sorted(set(one.tolist())))) for one in met]
    return replay._replace(requests=replace(replay.requests, queries=queries))


FROZEN, POOL, WHOLE = "Frozen at the cut", "Judged pool", "Whole catalogue"
# After so many ratings the next are asked for.
_NEXT = 10
# So many baskets of each table are drawn, where there are more: some libraries are slow to answer.
_BASKETS = 1000
_FOLDS = 5


def chorus() -> Task:
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


def brief(task: Task, most: int = 400) -> Task:
    """The same, each part tested on so many requests at most, drawn at random."""

    def some(replay: Replay) -> Replay:
        drawn = np.random.default_rng(0).permutation(len(replay.requests))[:most]
        return replay.take(np.sort(drawn))

    rounds = []
    for one in task.rounds:
        asked = {name: some(replay) for name, replay in one.final.asked.items()}
        rounds.append(replace(one, final=replace(one.final, asked=asked)))
    return replace(task, rounds=rounds)


def judged_share(lists: ItemList, truth: Truth) -> float:
    """Share of what is listed that somebody judged."""
    known = [
        np.isin(lists.list_of(row), truth.item[start:stop])
        for row, (start, stop) in enumerate(zip(truth.offsets[:-1], truth.offsets[1:], strict=True))
    ]
    return float(np.concatenate(known).mean())


#: All of them by name.
TASKS = {
    "online-retail": online_retail,
    "movielens-random": movielens_random,
    "movielens-time": movielens_time,
    "chorus": chorus,
}
