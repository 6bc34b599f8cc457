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


def test_which_attributes_are_left_out_is_told() -> None:
    class Told(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    notes: list[str] = []
    items = Items(pl.DataFrame({"item": [str(i) for i in range(20)]}))
    rows: list[Content] = [{"season": f"s{i % 3}", "serial": f"n{i}", "weight": float(i)} for i in range(20)]
    AttributesEncoder(max_values=20).fit(items, rows, Told())
    assert notes == []
    AttributesEncoder(max_values=10).fit(items, rows, Told())
    assert [note for note in notes if "'serial' has 20 values, more than max_values = 10" in note] == notes != []


def test_an_unseen_category_has_the_levels_that_are_known() -> None:
    """Of A > B > ? the squares of the known levels' shares are 1/6 and 2/6; within them it is as A > B > C is."""
    rows: list[Content] = [{"category": path} for path in ("A > B > C", "A > D > E", "F > G > H")]
    encoder = AttributesEncoder().fit_contents(rows)
    near, far, other = encoder.transform(rows)
    unseen, unknown = encoder.transform([{"category": "A > B > new"}, {"category": "new > B > C"}])
    assert unseen @ near > unseen @ far > 0.1
    assert abs(unseen @ other) < 1e-5
    assert not unknown.any()


def test_several_values_in_one_cell_share_the_block() -> None:
    rows: list[Content] = [
        {"fabric": "cotton|Linen"},
        {"fabric": "cotton"},
        {"fabric": "linen, Cotton"},
        {"fabric": "silk"},
    ]
    np.testing.assert_allclose(cosine(rows)[0], [1, np.sqrt(0.5), 1, 0], atol=1e-5)


def test_dates_are_ordered_and_half_of_them_is_the_season() -> None:
    days = ["2022-06-15", "2022-07-01", "2022-12-20", "2023-06-20", "2023-12-15", "2024-01-02T10:00:00", "2024-06-11"]
    rows: list[Content] = [{"launched": day} for day in days]
    found = cosine([*rows, {"launched": "soon"}])
    assert found[0, 1] > found[0, 3] > found[0, 4]  # near, a year later, a year and a half later
    assert found[2, 4] > found[2, 3]  # winter and winter, winter and summer
    assert found[4, 5] > 0.8 > found[2, 5]
    assert not found[7].any()
    same_day = cosine([{"launched": f"{year}-03-03"} for year in (2001, 2012, 2023)])
    assert same_day[0, 2] == pytest.approx(0.5, abs=0.02)


def test_few_dates_among_other_words_are_words() -> None:
    rows: list[Content] = [{"note": note} for note in ("2022-01-01", "2022-01-02", "sale", "new")]
    np.testing.assert_allclose(cosine(rows), np.eye(4), atol=1e-5)


def grid() -> tuple[list[Content], AttributesEncoder]:
    """Every colour of every kind, by two brands."""
    rows: list[Content] = [
        {"category": f"Wear > {kind}", "brand": brand, "colour": colour}
        for kind in ("T-Shirts", "Shirts", "Boots", "连衣裙")
        for brand in ("Nord", "Sud & Co")
        for colour in ("Red", "Black", "Navy Blue", "Kırmızı")
    ]
    return rows, AttributesEncoder().fit_contents(rows)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("red", {"colour": "Red"}),
        ("a RED t-shirt, please", {"colour": "Red", "category": "Wear > T-Shirts"}),
        ("black shirts", {"colour": "Black", "category": "Wear > Shirts"}),
        ("shirt by sud & co", {"brand": "Sud & Co", "category": "Wear > Shirts"}),
        ("navy boot", {"colour": "Navy Blue", "category": "Wear > Boots"}),
        ("kirmizi 连衣裙", {"colour": "Kırmızı", "category": "Wear > 连衣裙"}),
    ],
)
def test_words_name_values(words: str, named: dict[str, str]) -> None:
    rows, encoder = grid()
    likeness = encoder.transform(rows) @ encoder.transform_words([words])[0]
    as_named = np.array([all(row[name] == value for name, value in named.items()) for row in rows])
    assert likeness[as_named].min() > likeness[~as_named].max() + 0.05


def test_words_that_name_nothing_are_zero() -> None:
    _, encoder = grid()
    assert not encoder.transform_words(["", "something for the summer", "sud", "wea"]).any()
    assert encoder.transform_words([]).shape == (0, encoder.transform([{}]).shape[1])


def test_a_value_that_the_dense_space_does_not_hold_is_not_named() -> None:
    rows: list[Content] = [*({"colour": f"c{n % 4}"} for n in range(80)), {"colour": "teal"}]
    encoder = AttributesEncoder(dim=4).fit_contents(rows)
    assert encoder.transform_words(["c1"]).any()
    assert not encoder.transform_words(["teal"]).any()


def test_like_this_but_with_another_value_of_the_field_that_words_name() -> None:
    rows, encoder = grid()
    vectors = encoder.transform(rows)
    for text, field in (("red", "colour"), ("nord", "brand"), ("boots", "category")):
        words = encoder.transform_words([text] * len(rows))
        before = vectors.copy()
        composed = encoder.compose(vectors, words)
        np.testing.assert_array_equal(vectors, before)
        found = (composed @ vectors.T).argmax(axis=1)
        for row, place in zip(rows, found, strict=True):
            wanted = {**row, field: {"red": "Red", "nord": "Nord", "boots": "Wear > Boots"}[text]}
            assert rows[place] == wanted
    # An example that does not have the field gets it.
    no_colour = encoder.transform([{"category": "Wear > Boots", "brand": "Nord"}])
    best = rows[int((encoder.compose(no_colour, encoder.transform_words(["red"]))[0] @ vectors.T).argmax())]
    assert best == {"category": "Wear > Boots", "brand": "Nord", "colour": "Red"}


def test_saved_and_loaded_is_identical(tmp_path: Path) -> None:
    rows: list[Content] = [*ROWS, {"since": "2024-05-31", "colour": "red"}]
    encoder = AttributesEncoder(dim=5).fit_contents(rows)
    encoder.save(tmp_path)
    loaded = component_class("encoder", "attributes").load(tmp_path)
    assert isinstance(loaded, AttributesEncoder)
    np.testing.assert_array_equal(loaded.transform(rows), encoder.transform(rows))
    np.testing.assert_array_equal(loaded.transform_words(["red boots"]), encoder.transform_words(["red boots"]))
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
