"""Mappings: checked when made, written as TOML, guessed from names and values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.catalogue.guess import guess_event_mapping, guess_item_mapping
from vetrina.catalogue.mapping import EventMapping, ItemMapping, mapping_toml
from vetrina.catalogue.tables import ROW, Table
from vetrina.core.errors import ConfigError, DataError


def table(columns: Mapping[str, Sequence[str | None]]) -> Table:
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Table("file.csv", frame.with_row_index(ROW, 2), list(columns))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item": "sku", "tilte": "x"}, r"items\.tilte is not a setting\. Did you mean 'title'"),
        ({"item": ""}, r"items\.item"),
        ({"item": "sku", "time_format": "weeks"}, "must be auto, s, ms, us, ns or a pattern"),
        ({"item": "sku", "attributes": ["brand"]}, "'brand' has the name of a canonical column"),
        ({"item": "sku", "price_divisor": 0}, "price_divisor"),
    ],
)
def test_wrong_item_settings_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ItemMapping.parse({"file": "p.csv", **options}, "items")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either kind"),
        ({"kind": "what", "constant_kind": "view"}, "either kind"),
        ({"kind": "what", "kinds": {"bought": "purchse"}}, "Did you mean 'purchase'"),
        ({"constant_kind": "rate", "rating_min": 5}, "rating_min must be below rating_max"),
    ],
)
def test_wrong_event_settings_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EventMapping.parse({"file": "e.csv", "time": "t", "shopper": "s", "item": "i", **options}, "events")


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(text, st.lists(text, max_size=3), st.lists(text, max_size=2))
def test_item_toml_reads_back_as_the_mapping(name: str, category: list[str], notes: list[str]) -> None:
    mapping = ItemMapping(file=name, item=name, category=tuple(category), price_divisor=100)
    sections = tomllib.loads(mapping_toml(mapping, notes))
    assert ItemMapping.parse(sections["items"], "items") == mapping


@settings(max_examples=50, deadline=None)
@given(text, st.dictionaries(text, st.sampled_from(["view", "cart", "purchase"]), max_size=3))
def test_event_toml_reads_back_as_the_mapping(name: str, kinds: dict[str, str]) -> None:
    mapping = EventMapping(file=name, time=name, shopper=name, item=name, kind=name, kinds=kinds, time_format="ms")
    sections = tomllib.loads(mapping_toml(mapping))
    assert EventMapping.parse(sections["events"], "events") == mapping


def test_toml_shows_every_setting_and_what_was_unsure() -> None:
    written = mapping_toml(ItemMapping(file="p.csv", item="sku"), ["Is it?"])
    assert written.startswith("# Unsure: Is it?\n[items]\n")
    for name in ItemMapping.model_fields:
        assert f"{name} = " in written


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # Shopify, a German shop, a Chinese one, RecBole, H&M, Amazon.
        (("Handle", "Title", "Vendor", "Variant Price"), ("Handle", "Title", "Vendor", "Variant Price")),
        (("Artikelnummer", "Bezeichnung", "Marke", "Preis"), ("Artikelnummer", "Bezeichnung", "Marke", "Preis")),
        (("商品编号", "商品名称", "品牌", "价格"), ("商品编号", "商品名称", "品牌", "价格")),
        (("item_id:token", "title:token_seq", "brand:token", "price:float"),) * 2,
        (("article_id", "prod_name", "label", "price"),) * 2,
        (("parent_asin", "title", "store", "price"),) * 2,
    ],
)
def test_items_are_guessed_in_many_tongues(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    values = [
        ("a1", "Red cup", "Puma", "9.5"),
        ("a2", "Blue plate", "Nike", "12,00"),
        ("a3", "Green bowl", "Puma", "3"),
    ]
    mapping, _ = guess_item_mapping(table(dict(zip(names, zip(*values, strict=True), strict=True))))
    assert (mapping.item, mapping.title, mapping.brand, mapping.price) == expected


def test_values_decide_where_names_mislead() -> None:
    columns = {
        "code": ["x", "y", "z"],
        "name": ["Red cup", "Blue plate", "Bowl"],
        "price": ["cheap", "dear", "cheap"],
        "image": ["a.jpg", "b.jpg", "c.jpg"],
        "size": ["S", "M", "S"],
        "weight": ["1", "2.5", "3"],
        "zip": ["012", "034", "056"],
    }
    mapping, notes = guess_item_mapping(table(columns))
    assert mapping.item == "code"
    assert mapping.price == ""
    assert mapping.photo == "image"
    assert (mapping.attributes, mapping.numbers) == (("size", "zip"), ("weight",))
    assert any("'price' is called like price" in note for note in notes)
    assert any("its values are all different" in note for note in notes)
    assert any("in which folder" in note for note in notes)


def test_a_category_of_several_columns_runs_from_wide_to_narrow() -> None:
    columns = {
        "id": ["1", "2", "3", "4"],
        "articleType": ["Shirts", "Shorts", "Belts", "Caps"],
        "masterCategory": ["Apparel", "Apparel", "Accessories", "Accessories"],
        "price": ["999", "1299", "899", "499"],
    }
    mapping, notes = guess_item_mapping(table(columns))
    assert mapping.category == ("masterCategory", "articleType")
    assert any("check their order" in note for note in notes)
    assert any("price_divisor" in note for note in notes)


def test_a_file_without_ids_is_refused() -> None:
    with pytest.raises(DataError, match="no column looks like an item's id"):
        guess_item_mapping(table({"colour": ["red", "red"], "size": ["S", "S"]}))


def test_events_of_several_kinds() -> None:
    columns = {
        "timestamp": ["1433221332117", "1433224214164"],
        "visitorid": ["257597", "992329"],
        "event": ["addtocart", "transaction"],
        "itemid": ["355908", "248676"],
        "propensity_score": ["0.05", "0.2"],
        "extra": ["", "x"],
    }
    mapping, notes = guess_event_mapping(table(columns))
    assert (mapping.time, mapping.shopper, mapping.item, mapping.kind) == ("timestamp", "visitorid", "itemid", "event")
    assert mapping.kinds == {"addtocart": "cart", "transaction": "purchase"}
    assert mapping.propensity == "propensity_score"
    assert any("Not stored: extra" in note for note in notes)


def test_the_items_ids_tell_the_item_column_and_unknown_words_are_asked_about() -> None:
    columns = {
        "date": ["12/1/2010 8:26", "12/13/2010 9:00"],
        "user": ["a", "b"],
        "thing": ["7", "8"],
        "action": ["view", "gaze"],
    }
    mapping, notes = guess_event_mapping(table(columns), pl.DataFrame({"item": ["7", "8"]}))
    assert mapping.item == "thing"
    assert mapping.time_format == "%m/%d/%Y %H:%M"
    assert any("'gaze' mean nothing known" in note for note in notes)


def test_customers_numbered_like_products_are_not_taken_for_them() -> None:
    columns = {"at": ["2025-01-01", "2025-01-02"], "user": ["1", "2"], "ware": ["2", "1"], "event": ["view", "view"]}
    catalogue = pl.DataFrame({"item": ["1", "2", "3"]})
    assert guess_event_mapping(table(columns), catalogue)[0].item == "ware"
    columns["sku"] = ["1", "2"]
    mapping, _ = guess_event_mapping(table(columns), catalogue)
    assert (mapping.item, mapping.shopper) == ("sku", "user")


def test_fields_of_objects_are_told_by_their_whole_name() -> None:
    columns = {
        "ts": ["1740000000", "1740000001"],
        "user.id": ["a", "b"],
        "item.id": ["x", "y"],
        "data.type": ["view"] * 2,
    }
    mapping, _ = guess_event_mapping(table(columns))
    assert (mapping.shopper, mapping.item, mapping.kind) == ("user.id", "item.id", "data.type")


def test_events_in_chinese() -> None:
    columns = {
        "时间": ["2025/03/01 08:00:00", "2025/03/01 08:01:00"],
        "用户": ["甲", "乙"],
        "商品编号": ["1", "2"],
        "行为": ["加入购物车", "购买"],
    }
    mapping, _ = guess_event_mapping(table(columns))
    assert (mapping.time, mapping.shopper, mapping.item, mapping.kind) == tuple(columns)
    assert mapping.kinds == {"加入购物车": "cart", "购买": "purchase"}


def test_a_log_without_rows_is_told_by_its_names() -> None:
    mapping, notes = guess_event_mapping(table({"time": [], "user": [], "sku": [], "event": []}))
    assert (mapping.time, mapping.shopper, mapping.item, mapping.kind) == ("time", "user", "sku", "event")
    assert any("has no rows yet" in note for note in notes)


def test_a_catalogue_without_rows_is_called_empty() -> None:
    with pytest.raises(DataError, match="holds no item"):
        guess_item_mapping(table({"sku": [], "name": []}))


def test_a_refused_column_is_named_with_a_value() -> None:
    columns: dict[str, list[str | None]] = {
        "sku": ["a", "b"],
        "name": ["Red cup", "Blue cup"],
        "price": ["ask us", "ask us"],
    }
    _, notes = guess_item_mapping(table(columns))
    assert any("'price' is called like price, but its values, such as 'ask us', are not" in note for note in notes)


def test_variants_without_a_title_are_pointed_out() -> None:
    columns: dict[str, list[str | None]] = {
        "Handle": ["cup", "cup", "hat"],
        "Variant SKU": ["1", "2", "3"],
        "Title": ["Red cup", None, "Straw hat"],
    }
    mapping, notes = guess_item_mapping(table(columns))
    assert mapping.item == "Variant SKU"
    assert any(note.startswith("'Title' is empty in 1 of the first 3 rows") for note in notes)


def test_prices_with_written_cents_are_not_taken_for_cents() -> None:
    for price, cents in (("￥399.00", False), ("399", True)):
        _, notes = guess_item_mapping(table({"sku": ["a", "b"], "name": ["Red cup", "Hat"], "price": [price, price]}))
        assert any("price_divisor" in note for note in notes) is cents


def test_one_wrong_rating_does_not_stretch_the_scale() -> None:
    columns = {
        "user_id": ["a"] * 300, "item_id": ["1"] * 300, "rating": ["1", "5"] * 149 + ["3", "9"],
        "timestamp": ["881250949"] * 300,
    }  # fmt: skip
    mapping, _ = guess_event_mapping(table(columns))
    assert (mapping.rating_min, mapping.rating_max) == (1, 5)


@pytest.mark.parametrize(
    ("rating", "scale", "kind"),
    [(["1", "5"], (1, 5), "rate"), (["0", "9"], (0, 10), "rate"), (["40", "80"], (1, 100), "rate")],
)
def test_ratings(rating: list[str], scale: tuple[int, int], kind: str) -> None:
    columns = {"user_id": ["a", "b"], "item_id": ["1", "2"], "rating": rating, "timestamp": ["881250949", "891717742"]}
    mapping, _ = guess_event_mapping(table(columns))
    assert (mapping.constant_kind, mapping.rating_min, mapping.rating_max) == (kind, *scale)


def test_events_without_time_are_refused() -> None:
    with pytest.raises(DataError, match="no column looks like the time"):
        guess_event_mapping(table({"user": ["a"], "item": ["1"]}))
