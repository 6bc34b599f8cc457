"""Requests won and lost: the most extreme, what was right in them, and nothing that tells of one person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import planted
from planted import items_of
from vetrina.core import EVENT_COLUMNS, EventKind, EventLog, ItemList, Items, Query, Truth
from vetrina.engine import Replay
from vetrina.evaluate import measure
from vetrina.evaluate.evaluation import Example
from vetrina.evaluate.report import examples_of, quotable

N_ITEMS = 12
RIGHT = 7


def catalogue() -> Items:
    titles = ["" if n == 3 else f"Product {n}" for n in range(N_ITEMS)]
    photos = ["" if n == 4 else f"photos/{n}.jpg" for n in range(N_ITEMS)]
    return items_of(N_ITEMS, item=[f"p{n}" for n in range(N_ITEMS)], title=titles, photo=photos)


def asked(texts: list[str]) -> Replay:
    """One request for each text, of a shopper each; item 7 is right for all."""
    n = len(texts)
    requests = planted.asked([[]] * n, [Query(text=text) for text in texts])
    return Replay(requests, Truth.from_lists([{RIGHT: 3.0}] * n), np.arange(n, dtype=np.int32))


def log_of(searches: list[tuple[str | None, str]]) -> EventLog:
    """A log of (shopper, query)."""
    given: dict[str, list[Any]] = {
        "time": list(range(len(searches))),
        "shopper": [shopper for shopper, _ in searches],
        "kind": [EventKind.search.name] * len(searches),
        "query": [query for _, query in searches],
    }
    columns = {name: given.get(name, [None] * len(searches)) for name in EVENT_COLUMNS}
    return EventLog.from_table(pl.DataFrame(columns, schema=EVENT_COLUMNS), catalogue())


def lists(places: list[int]) -> ItemList:
    """Lists of six in which the right item stands at each of ``places`` (from 0; beyond 5 nowhere)."""
    others = [n for n in range(N_ITEMS) if n != RIGHT]
    return ItemList.from_lists(
        [
            np.array([*others[:place], RIGHT, *others[place:]][:6] if place < 6 else others[:6], np.int32)
            for place in places
        ]
    )


def examples(ours: list[int], theirs: list[int], texts: list[str], **options: Any) -> tuple[Example, ...]:
    replay = asked(texts)
    pair = lists(ours), lists(theirs)
    first, second = (measure(one, replay.truth, 10, ["ndcg", "mrr"]) for one in pair)
    return examples_of(*pair, (first, second), replay, catalogue(), rival="BM25", **options)


def test_the_furthest_ahead_and_the_furthest_behind_come_first() -> None:
    found = examples([0, 0, 3, 6, 1, 2], [6, 1, 3, 0, 0, 2], ["a", "b", "c", "d", "e", "f"])
    assert [one.query for one in found] == ["a", "b", "d", "e"]  # c and f are equal
    assert [one.ours > one.theirs for one in found] == [True, True, False, False]
    assert (found[0].ours, found[0].theirs, found[0].rival) == (1.0, 0.0, "BM25")
    many = examples([0] * 9, [6] * 9, [f"q{n}" for n in range(9)])
    assert [one.query for one in many] == ["q0", "q1", "q2", "q3"]


def test_the_first_places_are_shown_and_what_was_right_is_marked(tmp_path: Path) -> None:
    (one,) = examples([1], [5], ["shoes"], photos=tmp_path)
    assert [shown.item for shown in one.our_list] == ["p0", "p7", "p1", "p2", "p3"]
    assert [shown.gain for shown in one.our_list] == [0, 3, 0, 0, 0]
    assert [shown.title for shown in one.our_list][-2:] == ["Product 2", ""]
    assert [shown.gain for shown in one.their_list] == [0] * 5  # it is the sixth
    assert one.our_list[1].photo == tmp_path / "photos" / "7.jpg"
    assert one.their_list[4].photo is None
    # Where people judged, what they did not judge is not said to be wrong.
    (graded,) = examples([1], [5], ["shoes"], graded=True)
    assert [str(shown.gain) for shown in graded.our_list] == ["nan", "3.0", "nan", "nan", "nan"]
    assert all(shown.photo is None for one in examples([1], [5], [""]) for shown in one.our_list)


def test_a_query_is_shown_once_and_recommendations_each() -> None:
    found = examples([0] * 5, [1, 6, 1, 6, 2], ["Shoes", "shoes ", "", "", "hat"])
    assert [one.query for one in found] == ["shoes ", "", "hat", ""]


def test_only_what_some_shoppers_typed_is_quoted() -> None:
    searches: list[tuple[str | None, str]] = [
        *[("a", "red hat"), ("b", "Red  hat"), ("c", "RED HAT")],
        *[("a", "my name is Ana")] * 3,
        *[("b", "bag"), ("c", "bag"), (None, "bag"), (None, "bag")],
    ]
    log = log_of(searches)
    assert quotable(log) == {"red hat"}  # whoever is not known may be one of those who are
    assert quotable(log, 2) == {"red hat", "bag"}
    found = examples([0, 0, 0], [6, 1, 2], ["my name is Ana", "red hat", ""], quoted=quotable(log))
    # What may be quoted comes before what may not, however far ahead that is.
    assert [one.query for one in found] == ["", "red hat", None]
    assert "Ana" not in repr(found)


def test_lists_may_be_empty_and_so_may_be_all() -> None:
    replay = asked(["a"])
    nothing = ItemList.from_lists([np.empty(0, np.int32)])
    scores = [measure(one, replay.truth, 10, ["ndcg"]) for one in (lists([0]), nothing)]
    (one,) = examples_of(lists([0]), nothing, (scores[0], scores[1]), replay, catalogue(), rival="BM25")
    assert one.their_list == ()
    unanswered = replace(replay.truth, gain=np.zeros(1))
    same = measure(lists([0]), unanswered, 10, ["ndcg"])
    empty = Replay(replay.requests, unanswered, replay.shopper)
    assert examples_of(lists([0]), nothing, (same, same), empty, catalogue(), rival="BM25") == ()
