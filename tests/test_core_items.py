"""The catalogue as columns, and filters over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted import NOW, asked, items_of, unit
from vetrina.core import EventKind, Filters, Query
from vetrina.core.errors import RequestError, UnknownItem
from vetrina.core.items import document_texts

ITEMS = items_of(
    5,
    title=["Red boots", "", "Sandals", "Bag", "Hat"],
    category=["Shoes > Boots", "Shoes > Sandals", "Shoes", "Bags > Boots", ""],
    brand=["Arco", "arco", "Bora", "", "Arco & Bora"],
    colour=["Red", "red", "blue", "", "red"],
    price=[10.0, 20.0, None, float("nan"), 30.0],
    in_stock=[True, False, True, True, True],
    available_at=[None, NOW, NOW + 5, 0, None],
    season=["winter", "summer", "", "winter", "summer"],
    weight=[1.0, None, 2.0, 2.0, 3.0],
    organic=[True, False, None, True, False],
)


def test_items_by_id() -> None:
    assert ITEMS.find("3") == 3
    assert ITEMS.positions(["4", "gone", "0"]).tolist() == [4, -1, 0]
    with pytest.raises(UnknownItem, match=r"No item '44' in the catalogue of 5 items\. Did you mean '4'"):
        ITEMS.find("44")


def test_columns_say_what_is_unknown() -> None:
    assert np.isnan(ITEMS.price[[2, 3]]).all()
    assert ITEMS.price.dtype == np.float32
    assert ITEMS.available_at.tolist() == [np.iinfo(np.int64).min, NOW, NOW + 5, 0, np.iinfo(np.int64).min]
    assert ITEMS.attributes == ["season", "weight", "organic"]
    assert ITEMS.leaf_category == ["Boots", "Sandals", "Shoes", "Boots", ""]


def test_codes_are_dense_and_empty_has_none() -> None:
    codes, names = ITEMS.codes("season")
    assert names == ["summer", "winter"]
    assert codes.tolist() == [1, 0, -1, 1, 0]


def test_the_document_of_an_item_holds_all_its_text() -> None:
    assert document_texts(ITEMS)[0].split() == ["Red", "boots", "Shoes", ">", "Boots", "Arco", "Red", "winter"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"category": "Shoes"}, [0, 1, 2]),
        ({"category": "boots"}, [0, 3]),  # any one level, of any letter case
        ({"category": "Shoes > Boots"}, [0]),
        ({"category": "Shoe"}, []),  # a level, not a part of its word
        ({"brand": "ARCO"}, [0, 1]),
        ({"colour": "Red"}, [0, 1, 4]),
        ({"price_min": 20}, [1, 4]),  # a price that is not known is not inside a range
        ({"price_max": 20}, [0, 1]),
        ({"price_min": 10, "price_max": 10}, [0]),
        ({"in_stock": True}, [0, 2, 3, 4]),
        ({"attributes": {"season": "winter"}}, [0, 3]),
        ({"attributes": {"weight": 2}}, [2, 3]),
        ({"attributes": {"organic": True}}, [0, 3]),
        ({"attributes": {"weight": "heavy"}}, []),
        ({"colour": "red", "attributes": {"season": "summer"}}, [1, 4]),
        ({"category": "a[b(.*"}, []),  # taken as it is, not as a pattern
    ],
)
def test_filters(filters: dict[str, Any], expected: list[int]) -> None:
    mask = Filters(**filters).mask(ITEMS)
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"price_max": float("nan")}, r"filters\.price_max: Input should be a finite number\. Got nan\."),
        ({"price_min": -1}, r"filters\.price_min: .*greater than or equal to 0\. Got -1\."),
        ({"brand": 3}, r"filters\.brand: .*string\. Got 3\."),
        ({"colr": "red"}, r"filters\.colr is no filter\. Did you mean 'colour'\?"),
    ],
)
def test_wrong_filters_are_errors_of_ours(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Filters(**given)
    assert Filters.model_validate({"brand": "Arco"}) == Filters(brand="Arco")


def test_no_filters_is_no_mask_and_an_unknown_attribute_is_named() -> None:
    assert Filters().mask(ITEMS) is None
    with pytest.raises(RequestError, match=r"filters\.attributes\.seasn: .*Did you mean 'season'"):
        Filters(attributes={"seasn": "winter"}).mask(ITEMS)


def test_a_part_of_a_batch_of_requests_is_those_requests() -> None:
    histories = [[(0, EventKind.view, 2.0)], [], [(1, EventKind.click, 0.5), (2, EventKind.hide, 0.25)]]
    vectors = {"text": unit(np.eye(3, 4) + 0.1)}
    requests = asked(histories, [Query(text=text) for text in "abc"], vectors=vectors)
    np.testing.assert_allclose(requests.age, [2.0, 0.5, 0.25])
    part = requests.slice(1, 3)
    assert len(part) == 2
    assert [query.text for query in part.queries] == ["b", "c"]
    assert part.windows.item.tolist() == [1, 2]
    np.testing.assert_array_equal(part.query_vectors["text"], vectors["text"][1:3])
    np.testing.assert_allclose(part.age, [0.5, 0.25])
