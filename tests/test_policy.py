"""What the shop imposes: who may be shown at all, and how a list is finished."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of
from vetrina.core import DAY, EventKind, Filters, ItemList, Items, Query
from vetrina.core.errors import ConfigError
from vetrina.policy import PolicyConfig, allowed_items, finish

BUY, HIDE, VIEW = EventKind.purchase, EventKind.hide, EventKind.view
SHOP = items_of(
    6,
    title=["Red dress", "Red dress", "Hat", "Bag", "", ""],
    colour=["red", "red", "red", "blue", "", ""],
    in_stock=[True, True, True, False, True, True],
    available_at=[None, NOW - 1, NOW, NOW + 1, None, None],
    price=[10.0, 12.0, None, 5.0, None, None],
)


def shown(
    query: Query | None = None, past: list[tuple[int, EventKind, float]] | None = None, **rules: Any
) -> list[int]:
    allowed = allowed_items(SHOP, asked([past or []], [query or Query()]), PolicyConfig(**rules))
    assert allowed.shape == (1, 6)
    return np.flatnonzero(allowed[0]).tolist()


def test_what_is_on_sale_and_in_stock_may_be_shown() -> None:
    assert shown() == [0, 1, 2, 4, 5]  # item 3 comes tomorrow, and is out of stock
    assert shown(in_stock_only=False) == [0, 1, 2, 4, 5]


def test_what_is_not_in_stock_is_shown_by_a_shop_that_wants_it_unless_the_shopper_does_not() -> None:
    requests = asked([[], []], [Query(), Query(filters=Filters(in_stock=True))], now=NOW + DAY)
    allowed = allowed_items(SHOP, requests, PolicyConfig(in_stock_only=False))
    assert allowed[:, 3].tolist() == [True, False]
    assert allowed_items(SHOP, requests, PolicyConfig())[:, 3].tolist() == [False, False]


@pytest.mark.parametrize(("after", "on_sale"), [(-1, False), (0, True), (1, True)])
def test_an_item_may_be_shown_from_the_second_it_is_on_sale(after: int, on_sale: bool) -> None:
    allowed = allowed_items(SHOP, asked([[]], now=NOW + after), PolicyConfig())
    assert allowed[0, 2] == on_sale


def test_filters_are_of_each_request_alone() -> None:
    queries = [Query(filters=Filters(colour="red", price_max=11)), Query(), Query(filters=Filters(colour="blue"))]
    allowed = allowed_items(SHOP, asked([[]] * 3, queries), PolicyConfig())
    assert [np.flatnonzero(row).tolist() for row in allowed] == [[0], [0, 1, 2, 4, 5], []]


def test_what_the_shopper_hid_is_never_shown_and_what_was_bought_on_request() -> None:
    past = [(0, HIDE, 5.0), (1, BUY, 4.0), (2, VIEW, 3.0)]
    assert shown(past=past) == [1, 2, 4, 5]
    assert shown(Query(exclude_purchased=True), past) == [2, 4, 5]


def test_one_shoppers_past_is_not_anothers() -> None:
    requests = asked([[(0, HIDE, 1.0)], [], [(1, BUY, 1.0)]], [Query(), Query(), Query(exclude_purchased=True)])
    allowed = allowed_items(SHOP, requests, PolicyConfig())
    assert allowed[:, :2].tolist() == [[False, True], [True, True], [True, False]]


def test_items_that_the_query_names_are_left_out() -> None:
    assert shown(Query(exclude=(2, 5))) == [0, 1, 4]
    allowed = allowed_items(SHOP, asked([[], []], [Query(exclude=(0,)), Query()]), PolicyConfig())
    assert allowed[:, 0].tolist() == [False, True]


def test_the_item_asked_about_is_no_answer() -> None:
    assert shown(Query(like=2)) == [0, 1, 4, 5]


def finished(items: Items, scores: list[float], k: int = 10, **rules: Any) -> list[int]:
    lists = lists_of(range(len(scores)), score=scores)
    return [int(item) for item in finish(lists, items, PolicyConfig.parse(rules, "policy"), k).item]


def test_of_equal_items_only_the_best_ranked_is_shown() -> None:
    equal: dict[str, Any] = {"no_duplicates": ["title", "colour"]}
    assert finished(SHOP, [1, 3, 2, 5, 0, 4], **equal) == [3, 5, 1, 2, 4]
    assert finished(SHOP, [3, 1, 2, 5, 0, 4], **equal) == [3, 5, 0, 2, 4]
    # their price differs, so by the shipped rule they are two
    assert finished(SHOP, [1, 3, 2, 5, 0, 4]) == [3, 5, 1, 2, 0, 4]
    assert finished(SHOP, [1, 3, 2, 5, 0, 4], no_duplicates=[]) == [3, 5, 1, 2, 0, 4]


def test_items_of_which_nothing_is_known_are_not_equal() -> None:
    bare = items_of(3)
    assert finished(bare, [1, 2, 3]) == [2, 1, 0]


def test_a_column_that_the_shop_lacks_says_nothing() -> None:
    assert finished(SHOP, [1, 3, 2, 0, 0, 0], k=2, no_duplicates=["title", "colour", "size"]) == [1, 2]


def test_an_item_over_the_brand_cap_follows_after_those_within_it() -> None:
    items = items_of(7, title=list("abcdefg"), brand=["Arco", "Arco", "Arco", "Bora", "", "", ""])
    assert finished(items, [7, 6, 5, 4, 3, 2, 1], brand_cap=1) == [0, 3, 4, 5, 6, 1, 2]
    assert finished(items, [7, 6, 5, 4, 3, 2, 1], brand_cap=2) == [0, 1, 3, 4, 5, 6, 2]
    assert finished(items, [7, 6, 5, 4, 3, 2, 1], k=3, brand_cap=1) == [0, 3, 4]
    assert finished(items, [7, 6, 5, 4, 3, 2, 1]) == [0, 1, 2, 3, 4, 5, 6]


TITLES, BRANDS = ["a", "b", "b", "c", "", "", "a", "b"], ["x", "x", "x", "y", "y", "", "y", "z"]
MANY = items_of(8, title=TITLES, brand=BRANDS)
batches = st.lists(
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from([0.0, 1.0, 2.5])), unique_by=lambda row: row[0]), max_size=4
)


@given(batches, st.integers(0, 9), st.integers(0, 3), st.booleans())
def test_finishing_against_doing_it_item_by_item(
    batch: list[list[tuple[int, float]]], k: int, cap: int, only_one: bool
) -> None:
    lists = ItemList.from_lists([np.array([item for item, _ in one], dtype=np.int32) for one in batch])
    lists.columns["score"] = np.array([score for one in batch for _, score in one], dtype=np.float32)
    config = PolicyConfig(no_duplicates=["title", "brand"] if only_one else [], brand_cap=cap)
    got = finish(lists, MANY, config, k)
    for row, one in enumerate(batch):
        within: list[int] = []
        over: list[int] = []
        for item, _ in sorted(one, key=lambda pair: (-pair[1], pair[0])):
            same = [o for o in within + over if (TITLES[o], BRANDS[o]) == (TITLES[item], BRANDS[item])]
            if only_one and same and (TITLES[item] or BRANDS[item]):
                continue
            of_brand = sum(BRANDS[other] == BRANDS[item] for other in within)
            (over if cap and BRANDS[item] and of_brand >= cap else within).append(item)
        assert got.list_of(row).tolist() == (within + over)[:k]


@pytest.mark.parametrize(("key", "value"), [("brand_cap", -1), ("in_stock", True), ("no_duplicates", "title")])
def test_wrong_rules_are_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"policy\.{key}"):
        PolicyConfig.parse({key: value}, "policy")
