"""Candidates by content against the sum written out, one item and one attribute at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted import History, asked, items_of, lists_of, log_of, nothing, unit
from vetrina.core import EventKind, Items
from vetrina.retrieve import Content, content
from vetrina.testing import check_retriever

N = 9
BUY, VIEW, HIDE = EventKind.purchase, EventKind.view, EventKind.hide
WEIGHT = {BUY: 3.0, VIEW: 1.0, HIDE: -0.5}
PRICES = [10.0, 20.0, 40.0, 5.0, None, 8.0, 7.0, 9.0, 11.0]
COLUMNS: dict[str, list[str]] = {
    "category": ["Shoes"] * 3 + ["Hats"] * 3 + ["", "Hats", "Shoes"],
    "brand": ["Arco", "Arco", "Brio", "Brio", "", "Arco", "Brio", "", "Arco"],
    "colour": ["red", "blue", "red", "blue", "red", "", "red", "blue", "green"],
    "season": ["winter", "", "summer", "winter", "summer", "winter", "", "", "summer"],
}
OPTIONS: dict[str, Any] = {
    "half_life_days": 10.0,
    "vectors": 1.0,
    "category": 0.5,
    "brand": 0.3,
    "colour": 0.2,
    "own": 0.1,
    "price": 0.4,
}


def shop() -> Items:
    rng = np.random.default_rng(0)
    vectors = {name: unit(rng.normal(size=(N, 3))) for name in ("text", "photo", "fused", "attributes")}
    vectors["photo"][4] = 0
    return items_of(N, vectors, price=PRICES, **COLUMNS)


ITEMS = shop()
WINDOWS: list[History] = [
    [(0, BUY, 10.0), (3, VIEW, 0.0), (3, BUY, 20.0), (6, HIDE, 0.0)],
    [(4, VIEW, 5.0)],
    [],
    [(1, HIDE, 1.0)],
]


def level(item: int) -> float:
    """Log price less the mean log price of the category; what has no category is one of its own."""
    same = [n for n in range(N) if COLUMNS["category"][n] == COLUMNS["category"][item] and PRICES[n]]
    return float(np.log(PRICES[item] or np.nan) - np.mean([np.log(PRICES[n] or 1) for n in same]))


def literal(window: History, item: int) -> float:
    """The weighted mean of similarities, by loops."""
    events = [(past, WEIGHT[kind] * 2 ** (-age / OPTIONS["half_life_days"])) for past, kind, age in window]
    total = 0.0
    for name in ("photo", "text"):
        vectors = ITEMS.vectors[name].astype(float)
        wanted = np.sum([weight * vectors[past] for past, weight in events] or [np.zeros(3)], axis=0)
        if np.linalg.norm(wanted):
            total += float(wanted @ vectors[item] / np.linalg.norm(wanted))
    chosen = [(past, weight) for past, weight in events if weight > 0]
    for name, values in COLUMNS.items():
        known = sum(weight for past, weight in chosen if values[past])
        if values[item] and known:
            same = sum(weight for past, weight in chosen if values[past] == values[item])
            total += OPTIONS.get(name, OPTIONS["own"]) * same / known
    priced = [(level(past), weight) for past, weight in chosen if PRICES[past]]
    if priced and PRICES[item]:
        usual = sum(one * weight for one, weight in priced) / sum(weight for _, weight in priced)
        total += OPTIONS["price"] / (1 + abs(level(item) - usual))
    return total / (2 * 1.0 + 0.5 + 0.3 + 0.2 + 0.1 + 0.4)


def test_scores_are_the_weighted_mean_of_similarities() -> None:
    source = Content(**OPTIONS).fit(ITEMS, nothing(ITEMS))
    expected = np.array([[literal(window, item) for item in range(N)] for window in WINDOWS])
    requests = asked(WINDOWS)
    got = source.score(requests, lists_of(*[range(N)] * 4)).reshape(4, N)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    ids, _ = source.retrieve(requests, N, None)
    wanted = [[item for item in np.argsort(-row, kind="stable").tolist() if row[item] > 0] for row in expected]
    assert [[item for item in row if item >= 0] for row in ids.tolist()] == wanted
    assert not wanted[2]
    assert 0 < len(wanted[3]) < N  # what is unlike the hidden one


@pytest.mark.parametrize("alone", ["vectors", "category", "brand", "colour", "own", "price"])
def test_every_part_can_stand_alone(alone: str) -> None:
    """With the weight of one part it says what that part says; with none, nothing."""
    options: dict[str, Any] = dict.fromkeys(["vectors", "category", "brand", "colour", "own", "price"], 0.0)
    requests = asked(WINDOWS[:1])
    assert not Content(**options).fit(ITEMS, nothing(ITEMS)).score(requests, lists_of(range(N))).any()
    scores = Content(**{**options, alone: 0.7}).fit(ITEMS, nothing(ITEMS)).score(requests, lists_of(range(N)))
    assert len(np.unique(scores.round(5))) > 1
    assert scores.max() <= 1 + 1e-6


def test_a_price_far_from_the_usual_one_is_no_advantage() -> None:
    """A distance added as it is would reward it."""
    items = items_of(5, price=[10.0, 11.0, 20.0, 80.0, 1.0])
    scores = Content().fit(items, nothing(items)).score(asked([[(0, BUY, 1.0)]]), lists_of(range(5)))
    assert np.argsort(-scores).tolist() == [0, 1, 2, 3, 4]


def test_a_product_nobody_has_met_is_found_by_what_it_is_like() -> None:
    items = items_of(6, colour=["red", "blue", "red", "blue", "red", "blue"], brand=list("aabbcc"))
    log = log_of(items, [(0.0, who, BUY, item) for who in "xyz" for item in range(4)])
    ids, _ = Content(brand=0).fit(items, log).retrieve(asked([[(0, BUY, 0.0)], [(1, BUY, 0.0)]]), 3, None)
    assert [set(row) for row in ids.tolist()] == [{0, 2, 4}, {1, 3, 5}]


def test_many_items_are_compared_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Content(**OPTIONS).fit(ITEMS, nothing(ITEMS))
    whole, _ = source.retrieve(asked(WINDOWS), 4, None)
    monkeypatch.setattr(content, "_CELLS_AT_ONCE", 2 * N)
    np.testing.assert_array_equal(source.retrieve(asked(WINDOWS), 4, None)[0], whole)


def test_without_vectors_it_holds_to_the_contract() -> None:
    check_retriever(lambda: Content(vectors=0))
