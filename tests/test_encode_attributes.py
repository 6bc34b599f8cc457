"""The attributes encoder from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from vetrina.core import Items, Silent, component_class
from vetrina.core.errors import NotFitted, SnapshotError
from vetrina.encode import AttributesEncoder
from vetrina.encode.attributes import Content

ROWS: list[Content] = [
    {"category": "Shoes > Boots", "brand": "Arco", "colour": "red", "price": 80.0, "season": "winter"},
    {"category": "Shoes > Boots", "brand": "Arco", "colour": "red", "price": 82.0, "season": "winter"},
    {"category": "Shoes > Sandals", "brand": "Bora", "colour": "blue", "price": 30.0, "season": "summer"},
    {"category": "Bags", "brand": "Arco", "colour": "red", "price": 120.0},
    {"category": "Bags", "colour": "Red", "price": float("nan")},
]


def cosine(rows: list[Content], **options: Any) -> np.ndarray:
    vectors = AttributesEncoder(dim=64, **options).fit_contents(rows).transform(rows)
    return np.asarray(vectors @ vectors.T)


def test_agreement_is_the_weighted_share_of_fields() -> None:
    """Arithmetic: two fields of weights 3 and 4; items that agree in the first alone have cosine 9 / 25."""
    rows: list[Content] = [{"brand": "a", "colour": "x"}, {"brand": "a", "colour": "y"}, {"brand": "b", "colour": "x"}]
    found = cosine(rows, brand=3.0, colour=4.0)
    np.testing.assert_allclose(found, [[1, 9 / 25, 16 / 25], [9 / 25, 1, 0], [16 / 25, 0, 1]], atol=1e-5)


def test_deeper_levels_of_a_category_weigh_more() -> None:
    """Levels have shares 1/6, 2/6 and 3/6 of the squared length."""
    rows: list[Content] = [{"category": path} for path in ("A > B > C", "A > B > D", "A > E > F", "G > H > I")]
    np.testing.assert_allclose(cosine(rows)[0], [1, 1 / 2, 1 / 6, 0], atol=1e-5)


def test_near_prices_are_alike() -> None:
    rows: list[Content] = [{"price": float(price)} for price in (10, 11, 30, 90)]
    found = cosine(rows)[0]
    assert found[0] > found[1] > found[2] > found[3]


def test_like_items_are_near_and_missing_fields_are_no_error() -> None:
    found = cosine(ROWS)
    assert found[0].argsort()[-2] == 1
    assert found[0, 3] > found[0, 2]
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)


def test_unseen_values_and_nothing_at_all() -> None:
    encoder = AttributesEncoder().fit_contents(ROWS)
    vectors = encoder.transform([{"brand": "never seen"}, {}, {"brand": "never seen", "colour": "blue"}])
    assert not vectors[:2].any()
    assert np.linalg.norm(vectors[2]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "rows",
    [
        [{"brand": "one"}],
        [{}],
        [{"price": 5.0}] * 4,
        [{"price": float("nan")}, {"price": float("inf")}],
        [{"brand": "same", "price": 1.0}] * 3,
    ],
)
def test_constant_columns_and_single_items(rows: list[Content]) -> None:
    vectors = AttributesEncoder().fit_contents(rows).transform(rows)
    assert np.isfinite(vectors).all()
    known = any(np.isfinite(value) if isinstance(value, float) else True for value in rows[0].values())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), float(known), atol=1e-5)


def test_attributes_with_too_many_values_are_left_out() -> None:
    rows: list[Content] = [{"brand": "b", "serial": f"n{i}"} for i in range(20)]
    np.testing.assert_allclose(cosine(rows, max_values=10), 1, atol=1e-5)


def test_saved_and_loaded_is_identical(tmp_path: Path) -> None:
    encoder = AttributesEncoder(dim=5).fit_contents(ROWS)
    encoder.save(tmp_path)
    loaded = component_class("encoder", "attributes").load(tmp_path)
    assert isinstance(loaded, AttributesEncoder)
    np.testing.assert_array_equal(loaded.transform(ROWS), encoder.transform(ROWS))
    (tmp_path / "fields.json").unlink()
    with pytest.raises(SnapshotError, match=r"fields\.json"):
        AttributesEncoder.load(tmp_path)


def test_batch_equals_single_and_same_seed_same_result() -> None:
    first, second = (AttributesEncoder(dim=4, fit_items=3).fit_contents(ROWS) for _ in range(2))
    np.testing.assert_array_equal(first.transform(ROWS), second.transform(ROWS))
    alone = np.concatenate([first.transform([row]) for row in ROWS])
    np.testing.assert_allclose(first.transform(ROWS), alone, atol=1e-6)
    assert first.transform([]).shape == (0, 3)


def test_unfitted() -> None:
    with pytest.raises(NotFitted, match="attributes"):
        AttributesEncoder().transform(ROWS)


def test_reading_items_takes_text_and_number_attributes_and_hashes_them() -> None:
    table = pl.DataFrame(
        {
            "category": ["A > B", ""],
            "brand": ["x", ""],
            "colour": ["", ""],
            "price": [3.0, None],
            "year": [1999, None],
            "washable": [True, None],
        }
    )
    encoder = AttributesEncoder()
    contents, hashes = encoder.read(Items(table), Path())
    assert contents[0] == {"category": "A > B", "brand": "x", "price": 3.0, "year": 1999.0, "washable": "true"}
    assert contents[1] == {}
    assert hashes[1] == ""
    changed = encoder.read(Items(table.with_columns(price=pl.Series([4.0, None]))), Path())[1]
    assert changed[0] != hashes[0]
    assert encoder.fit(Items(table), contents, Silent()).transform(contents)[0].any()
