"""Items found by the words under which they were chosen, against the walk written out, and with a known answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import sparse

from planted import NOW, items_of, lists_of
from vetrina.core import EVENT_COLUMNS, EventLog, Query, Requests, Windows
from vetrina.retrieve import QueryItem, query_item

N = 8
ITEMS = items_of(N)


def searched(*events: tuple[str | None, int, str], request: Sequence[str] | None = None) -> EventLog:
    """A log of (query, item, kind), a second apart; -1 is no item."""
    rows = [
        {
            "time": NOW + second,
            "shopper": "ana",
            "kind": kind,
            "query": query,
            "item": None if item < 0 else ITEMS.ids[item],
            "request": request[second] if request else f"r{second}",
        }
        for second, (query, item, kind) in enumerate(events)
    ]
    table = pl.DataFrame(rows, schema={name: dtype for name, dtype in EVENT_COLUMNS.items() if name in rows[0]})
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in rows[0]]
    return EventLog.from_table(table.with_columns(absent).select(list(EVENT_COLUMNS)), ITEMS)


def ask(*texts: str) -> Requests:
    return Requests(Windows.empty(len(texts)), [Query(text) for text in texts], np.full(len(texts), NOW + 99))


def scores(source: QueryItem, *texts: str) -> npt.NDArray[np.float32]:
    return source.score(ask(*texts), lists_of(*[range(N)] * len(texts))).reshape(len(texts), N)


LOG = searched(
    *[("red car charger", 0, "purchase")] * 3,
    ("wall charger", 0, "click"),
    ("wall charger", 1, "click"),
    ("wall adapter", 1, "cart"),
    ("phone case", 2, "view"),
    ("phone case", 3, "purchase"),
    ("phone case", 4, "impression"),
    ("phone case", -1, "search"),
)


def literal(walk: float, smoothing: float, prior: float, query: list[str]) -> npt.NDArray[np.float64]:
    """The formula of the docstring with a loop for every sum."""
    counts = np.zeros((N, 7))
    words = ["red", "car", "charger", "wall", "adapter", "phone", "case"]
    for item, times, text in [
        (0, 3, "red car charger"),
        (0, 1, "wall charger"),
        (1, 1, "wall charger"),
        (1, 1, "wall adapter"),
        (2, 1, "phone case"),
        (3, 1, "phone case"),
    ]:
        for word in text.split():
            counts[item, words.index(word)] += times
    often = np.array([4, 2, 1, 1, 0, 0, 0, 0])
    n = np.log1p(counts)
    result = np.zeros(N)
    for item in range(N):
        total = 0.0
        for place in (words.index(one) for one in query if one in words):
            if not n[item].sum():
                continue
            p = (1 - walk) * n[item, place] / n[item].sum()
            for by in range(7):
                for other in range(N):
                    if n[other].sum() and n[:, by].sum():
                        step = n[item, by] / n[item].sum() * n[other, by] / n[:, by].sum()
                        p += walk * step * n[other, place] / n[other].sum()
            total += np.log1p(p / (smoothing * n[:, place].sum() / n.sum()))
        result[item] = total + prior * np.log1p(often[item]) if total > 0 else 0
    return result


@pytest.mark.parametrize("walk", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("query", ["car charger", "adapter", "wall lamp", "case phone case"])
def test_scores_are_those_of_the_walk_written_out(walk: float, query: str) -> None:
    source = QueryItem(walk=walk, smoothing=0.2, prior=0.5).fit(ITEMS, LOG)
    expected = literal(walk, 0.2, 0.5, sorted(set(query.split())))
    np.testing.assert_allclose(scores(source, query)[0], expected, rtol=1e-5)
    ids, _ = source.retrieve(ask(query), N, None)
    assert set(ids[ids >= 0].tolist()) == set(np.flatnonzero(expected > 0).tolist())


def test_a_walk_finds_what_is_chosen_under_the_same_words() -> None:
    """Item 0 was never chosen under "adapter", but under "wall", as item 1, which was."""
    near, far = (scores(QueryItem(walk=walk).fit(ITEMS, LOG), "adapter")[0] for walk in (0.0, 1.0))
    assert np.flatnonzero(near).tolist() == [1]
    assert np.flatnonzero(far).tolist() == [0, 1]
    assert far[1] > far[0]


def test_only_the_nearest_words_are_kept() -> None:
    source = QueryItem(neighbours=1).fit(ITEMS, LOG)
    assert not scores(source, "adapter")[0, 0]  # two steps from any word lead back to it sooner than to this one


def test_the_words_of_a_list_are_those_it_began_with_and_impressions_say_nothing() -> None:
    log = searched(
        ("desk lamp", -1, "search"), (None, 5, "impression"), (None, 6, "click"), (None, 7, "click"),
        request=["a", "a", "a", "b"],
    )  # fmt: skip
    found = scores(QueryItem().fit(ITEMS, log), "lamp", "nothing of the kind", "")
    assert np.flatnonzero(found[0]).tolist() == [6]
    assert not found[1:].any()


def test_a_log_without_searches_finds_nothing() -> None:
    source = QueryItem().fit(ITEMS, LOG.take(slice(0, 0)))
    assert not scores(source, "charger").any()
    assert (source.retrieve(ask("charger"), 3, None)[0] == -1).all()


def test_it_is_the_same_after_loading(tmp_path: Path) -> None:
    source = QueryItem().fit(ITEMS, LOG)
    source.save(tmp_path)
    np.testing.assert_array_equal(
        scores(QueryItem.load(tmp_path).bind(ITEMS), "charger wall"), scores(source, "charger wall")
    )


def test_planted_categories_are_found_by_words_that_they_were_never_searched_with_together() -> None:
    """Four kinds of things by two materials: each pair's query was asked but for one, whose items come first."""
    rng = np.random.default_rng(0)
    kinds, stuffs = ["lamp", "chair", "desk", "shelf"], ["oak", "steel"]
    events = []
    for item in range(N):
        kind, stuff = kinds[item % 4], stuffs[item // 4]
        texts = [kind, stuff] if (kind, stuff) == ("desk", "steel") else [f"{stuff} {kind}", kind, stuff]
        events += [(texts[int(rng.integers(len(texts)))], item, "click") for _ in range(30)]
    ids, _ = QueryItem().fit(ITEMS, searched(*events)).retrieve(ask("steel desk"), 3, None)
    assert ids[0, 0] == 6


@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_many_words_are_worked_on_by_parts(neighbours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against sorting each word's whole row, of equal ones the first."""
    rng = np.random.default_rng(1)
    words = [f"w{number:02d}" for number in range(30)]
    log = searched(*[(" ".join(rng.choice(words, 3)), int(item), "click") for item in rng.integers(0, N, 60)])
    whole = QueryItem(neighbours=neighbours).fit(ITEMS, log)
    monkeypatch.setattr(query_item, "_CELLS_AT_ONCE", 4 * 30)  # four words at once
    parts = QueryItem(neighbours=neighbours).fit(ITEMS, log)
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(parts.arrays()[name], values)
    of_words, of_items = (sparse.csr_array(rng.integers(0, 3, shape)) for shape in ((30, N), (N, 30)))
    got = query_item._nearest(of_words, of_items, neighbours).toarray()
    for row, wanted in enumerate((of_words @ of_items).toarray()):
        order = np.argsort(-wanted, kind="stable")
        wanted[order[neighbours:]] = 0
        np.testing.assert_array_equal(got[row], wanted)
