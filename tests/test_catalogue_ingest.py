"""Items and events: every row is kept, or set aside with a reason."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vetrina.catalogue.ingest import Ingested, events_from_table, read_events, read_items
from vetrina.catalogue.judgements import read_judgements
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, ROW, Table
from vetrina.core import DAY, EVENT_COLUMNS, ITEM_COLUMNS, EventKind, EventLog, Items, Silent
from vetrina.core.errors import DataError, MissingColumn, MissingFile, TooManyBadRows

ITEMS = ItemMapping(
    file="p.csv",
    item="sku",
    title="name",
    category=("dept", "type"),
    price="price",
    in_stock="stock",
    max_bad_share=1.0,
)
EVENTS = EventMapping(
    file="e.csv", time="t", shopper="who", item="sku", kind="what", query="q", quantity="n", price="price",
    rating="stars", position="place", kinds={"addtocart": "cart", "buy": "purchase"}, max_bad_share=1.0,
)  # fmt: skip
HEADER = "t,who,sku,what,q,n,price,stars,place\n"
CATALOGUE = pl.DataFrame({"item": ["1", "2"]})


def items(folder: Path, text: str, mapping: ItemMapping = ITEMS) -> Ingested:
    (folder / "p.csv").write_text("sku,name,dept,type,price,stock\n" + text)
    return read_items(mapping, folder)


def events(folder: Path, text: str, mapping: EventMapping = EVENTS) -> Ingested:
    (folder / "e.csv").write_text(HEADER + text)
    return read_events(mapping, folder, CATALOGUE, lambda shoppers: "p-" + shoppers)


def test_items_are_canonical(tmp_path: Path) -> None:
    read = items(tmp_path, "007, Red shoe ,Shoes,,£9.50,yes\n8,,Shoes,Boots,,0\n")
    assert dict(read.table.schema) == ITEM_COLUMNS
    assert read.table.select("item", "title", "category", "price", "in_stock", "photo").rows() == [
        ("007", "Red shoe", "Shoes", 9.5, True, ""),
        ("8", "", "Shoes > Boots", None, False, ""),
    ]
    assert read.quarantine.height == 0
    assert dict(read.quarantine.schema) == QUARANTINE_COLUMNS


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        ("1,again,,,,", "sku", "1", "the id was used in an earlier row; the first is kept"),
        (" ,no id,,,,", "sku", "", "the item has no id"),
    ],
)
def test_rows_that_cannot_be_items(tmp_path: Path, row: str, column: str, value: str, reason: str) -> None:
    read = items(tmp_path, f"1,first,,,5,\n{row}\n2,second,,,5,\n")
    assert read.table["title"].to_list() == ["first", "second"]
    assert read.quarantine.rows() == [("p.csv", 3, column, value, reason)]


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("NaN", "not a number"),
        ("inf", "not a number"),
        ("n/a", "not a number"),
        ("-3", "a price must be above zero; taken as unknown"),
        ("0", "a price must be above zero; taken as unknown"),
    ],
)
def test_a_price_that_is_none_leaves_the_item_without_one(tmp_path: Path, price: str, reason: str) -> None:
    read = items(tmp_path, f"1,a,,,{price},\n2,b,,,5,\n")
    assert read.table["price"].to_list() == [None, 5.0]
    assert read.quarantine.rows() == [("p.csv", 2, "price", price, reason)]


def test_only_declared_columns_are_stored(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sku,season,weight,margin\n1,Summer,1.5,0.7\n2,,heavy,0.6\n")
    mapping = ItemMapping(file="p.csv", item="sku", attributes=("season",), numbers=("weight",), max_bad_share=1)
    read = read_items(mapping, tmp_path)
    assert read.table.columns == [*ITEM_COLUMNS, "season", "weight"]
    assert read.table.select("season", "weight").rows() == [("Summer", 1.5), ("", None)]
    assert read.quarantine.select("row", "column", "value").rows() == [(3, "weight", "heavy")]


def test_lists_times_and_cents(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        '{"id": 1, "path": ["Home", "Cups"], "cents": 950, "since": "2011-12-09T12:50:00Z", "tags": ["a", "b"]}\n'
        '{"id": 2, "path": "Home>Plates", "cents": 1, "since": "never"}\n'
    )
    mapping = ItemMapping(
        file="p.jsonl", item="id", category="path", price="cents", price_divisor=100, available_at="since",  # type: ignore[arg-type]
        attributes=("tags",), max_bad_share=1,
    )  # fmt: skip
    read = read_items(mapping, tmp_path)
    assert read.table.select("item", "category", "price", "available_at", "tags").rows() == [
        ("1", "Home > Cups", 9.5, 1323435000, "a, b"),
        ("2", "Home > Plates", 0.01, None, ""),
    ]
    assert read.quarantine["reason"].to_list()[0].startswith("not a time")


@pytest.mark.parametrize(
    ("dept", "kind", "category"),
    [
        (">>>", "", ""),
        (">", "Boots", "Boots"),
        ("Shoes >  > Boots", "", "Shoes > Boots"),
        ("> Shoes>", "> >Boots >>", "Shoes > Boots"),
        ('"[""Shoes"", """"]"', "", "Shoes"),
    ],
)
def test_levels_of_a_category_without_a_name_are_left_out(tmp_path: Path, dept: str, kind: str, category: str) -> None:
    assert items(tmp_path, f"1,a,{dept},{kind},,\n").table["category"].to_list() == [category]


def test_ids_that_a_spreadsheet_made_fractions_of_are_whole_again(tmp_path: Path) -> None:
    read = items(tmp_path, "1.0,a,,,,\n2.0,b,,,,\n")
    assert read.table["item"].to_list() == ["1", "2"]
    assert any(".0 throughout" in note for note in read.notes)
    assert items(tmp_path, "1.0,a,,,,\n1.1,b,,,,\n").table["item"].to_list() == ["1.0", "1.1"]


def test_photos_by_pattern_and_by_column(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "img" / "1.png")
    (tmp_path / "img" / "2.png").write_text("no photo at all")
    mapping = ITEMS.model_copy(update={"photos": "img", "photo": "{item}.png", "max_bad_share": 0.0})
    read = items(tmp_path, "1,a,,,,\n2,b,,,,\n../3,c,,,,\n", mapping)
    assert read.table["photo"].to_list() == ["img/1.png", "", ""]
    assert read.quarantine.select("row", "column", "value").rows() == [
        (3, "photo", "img/2.png"),
        (4, "photo", "img/.._3.png"),
    ]
    named = ITEMS.model_copy(update={"photo": "name"})
    read = items(tmp_path, "1,img/1.png,,,,\n2,https://shop.example/x.png,,,,\n3,,,,,\n", named)
    assert read.table["photo"].to_list() == ["img/1.png", "", ""]
    assert any("web addresses" in note for note in read.notes)


def test_an_empty_catalogue_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no item"):
        items(tmp_path, "")
    with pytest.raises(DataError, match="holds no item"):
        items(tmp_path, ",no id,,,,\n")


def test_wrong_names_are_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="Did you mean"):
        items(tmp_path, "1,a,,,,\n", ITEMS.model_copy(update={"file": "q.csv"}))
    with pytest.raises(MissingColumn, match=r"no column 'titel'"):
        items(tmp_path, "1,a,,,,\n", ITEMS.model_copy(update={"title": "titel"}))


def test_too_many_bad_rows_give_the_commonest_reasons_with_an_example(tmp_path: Path) -> None:
    bad = "1,a,,,x,\n2,b,,,y,\n3,c,,,5,\n,d,,,,\n5,e\n6,f,,,5,\n"
    with pytest.raises(TooManyBadRows) as error:
        items(tmp_path, bad, ITEMS.model_copy(update={"max_bad_share": 0.6}))
    message = str(error.value)
    assert "4 of 6 rows (67%)" in message
    assert "2 × not a number (row 2, price = 'x')" in message
    assert "1 × the item has no id (row 5" in message
    assert "1 × the line has 2 fields, the header has 6 (row 6)" in message
    assert items(tmp_path, bad, ITEMS.model_copy(update={"max_bad_share": 0.67})).table.height == 4


def test_events_are_canonical_in_order_of_time_and_under_pseudonyms(tmp_path: Path) -> None:
    read = events(
        tmp_path,
        "1600000002,ana,1,buy,,2,9.5,,\n1600000001,bo,,Search,red cup,,,,\n1600000003,ana,2,rate,,,,4,\n"
        "1600000003,ana,2,view,,,,,3\n1600000004,bo,1,addtocart,,,,,\n",
    )
    assert dict(read.table.schema) == EVENT_COLUMNS
    assert read.table.select(
        "time", "shopper", "kind", "item", "query", "position", "price", "quantity", "rating"
    ).rows() == [
        (1600000001, "p-bo", "search", None, "red cup", None, None, None, None),
        (1600000002, "p-ana", "purchase", "1", None, None, 9.5, 2.0, None),
        (1600000003, "p-ana", "rate", "2", None, None, None, None, 4.0),
        (1600000003, "p-ana", "view", "2", None, 3, None, None, None),
        (1600000004, "p-bo", "cart", "1", None, None, None, None, None),
    ]
    assert read.quarantine.height == 0
    log = EventLog.from_table(read.table, Items(pl.DataFrame({"item": ["1", "2"]})))
    assert log.kind.tolist() == [EventKind.search, EventKind.purchase, EventKind.rate, EventKind.view, EventKind.cart]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",ana,1,view,,,,,", "t", "the event has no time"),
        ("1600000001000,ana,1,view,,,,,", "t", "as milliseconds it would be plausible"),
        ("1600000001,,1,view,,,,,", "who", "the event has no shopper"),
        ("1600000001,ana,1,stare,,,,,", "what", "no kind of event; known: impression, search, view"),
        ("1600000001,ana,,view,,,,,", "sku", "the event names no item"),
        ("1600000001,ana,99,view,,,,,", "sku", "the catalogue has no such item"),
        ("1600000001,ana,1,buy,,0,,,", "n", "the quantity is not above zero"),
        ("1600000001,ana,1,buy,,some,,,", "n", "the quantity is not above zero"),
        ("1600000001,ana,1,buy,,1,0,,", "price", "the price of a purchase is not above zero"),
        ("1600000001,ana,1,buy,,1,NaN,,", "price", "the price of a purchase is not above zero"),
        ("1600000001,ana,1,rate,,,,,", "stars", "a rating without a number"),
        ("1600000001,ana,1,rate,,,,6,", "stars", "the rating is not between 1 and 5"),
    ],
)
def test_rows_that_cannot_be_events(tmp_path: Path, row: str, column: str, reason: str) -> None:
    good = "1600000000,bo,1,view,,,,,\n"
    read = events(tmp_path, f"{good}{row}\n{good}")
    assert read.table["shopper"].to_list() == ["p-bo", "p-bo"]
    assert read.quarantine.select("file", "row", "column").rows() == [("e.csv", 3, column)]
    assert reason in read.quarantine["reason"].to_list()[0]


def test_a_bad_cell_of_a_view_is_set_aside_and_the_view_kept(tmp_path: Path) -> None:
    read = events(tmp_path, "1600000000,bo,1,view,,,free,,top\n")
    assert read.table.select("price", "position").rows() == [(None, None)]
    assert read.quarantine["column"].to_list() == ["price", "place"]


def test_a_propensity_is_a_chance_above_zero(tmp_path: Path) -> None:
    names, lines = "t,who,sku,place,chance\n", ["0.05", "1", "", "0", "1.5", "-0.1", "NaN", "often", "5e-324"]
    (tmp_path / "e.csv").write_text(names + "".join(f"16000000{n:02d},bo,1,1,{one}\n" for n, one in enumerate(lines)))
    mapping = EventMapping(
        file="e.csv", time="t", shopper="who", item="sku", position="place", propensity="chance",
        constant_kind="impression", max_bad_share=1.0,
    )  # fmt: skip
    read = read_events(mapping, tmp_path, CATALOGUE, lambda shoppers: shoppers)
    assert read.table["propensity"].to_list() == [0.05, 1.0, *[None] * 6, 5e-324]  # the impressions stay
    assert read.quarantine["value"].to_list() == ["0", "1.5", "-0.1", "NaN", "often"]
    assert read.quarantine.unique("reason").select("column", "reason").rows() == [
        ("chance", "not a number above zero and up to 1")
    ]


def test_quarantine_of_events_holds_no_shopper(tmp_path: Path) -> None:
    read = events(tmp_path, "1600000000,secret-ana,1\n1600000000,secret-ana,99,view,,,,,\n")
    assert read.quarantine.height == 2
    assert not any("secret" in str(cell) for row in read.quarantine.rows() for cell in row)


def test_a_whole_file_in_the_wrong_unit_says_what_to_set(tmp_path: Path) -> None:
    mapping = EVENTS.model_copy(update={"time_format": "s", "max_bad_share": 0.5})
    with pytest.raises(TooManyBadRows, match=r"100%.*as milliseconds it would be plausible.*\[events\]"):
        events(tmp_path, "1600000000000,bo,1,view,,,,,\n" * 3, mapping)


def test_no_events_yet_is_no_error(tmp_path: Path) -> None:
    assert events(tmp_path, "").table.height == 0


words = st.sampled_from(
    ["", " ", "1", "2", "99", "x", "-1", "NaN", "1600000000", "1600000000000", "view", "buy", "rate", "5"]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[words] * 9), min_size=1, max_size=12))
def test_every_row_is_kept_or_explained(rows: list[tuple[str, ...]]) -> None:
    names = HEADER.strip().split(",")
    frame = (
        pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
        .with_row_index(ROW, 2)
        .cast({ROW: pl.Int64})
    )
    read = events_from_table(Table("e.csv", frame, names), EVENTS, CATALOGUE, lambda shoppers: shoppers)
    dropped = read.quarantine.filter(~pl.col("reason").str.starts_with("not a number"))
    assert read.table.height + dropped["row"].n_unique() == len(rows)
    assert dropped["row"].is_unique().all()
    assert read.table["time"].is_sorted()
    assert read.table["item"].drop_nulls().is_in(["1", "2"]).all()
    assert read.table.filter(pl.col("kind") == "rate")["rating"].is_between(1, 5).all()


def test_judgements(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text(
        "q,id,g\nred cup,1,3\nred cup,1,2\nred cup,9,1\n,1,1\nblue,2,-1\nblue,2,x\nblue,2,0\n"
    )
    read = read_judgements(tmp_path, "j.csv", CATALOGUE["item"], query="q", item="id", grade="g")
    assert read.table.rows() == [("red cup", "1", 3.0), ("blue", "2", 0.0)]
    assert sorted(read.quarantine["row"].to_list()) == [3, 4, 5, 6, 7]


def test_numbers_too_large_to_count_with_are_set_aside(tmp_path: Path) -> None:
    mapping = ITEMS.model_copy(update={"numbers": ("stock",), "in_stock": ""})
    read = items(tmp_path, "1,Gold,,,1e308,1\n2,Tin,,,5,1e30\n", mapping)
    assert read.table.select("price", "stock").rows() == [(None, 1.0), (5.0, None)]
    assert read.quarantine.select("row", "column", "reason").rows() == [
        (2, "price", "a price above 1e+12; taken as unknown"),
        (3, "stock", "a number beyond 1e+15; taken as unknown"),
    ]
    bought = events(
        tmp_path,
        "2025-01-01,a,1,buy,,1,1e308,,\n2025-01-01,a,1,buy,,1e300,9,,\n2025-01-01,a,1,view,,,1e40,,1e12\n",
    )
    assert bought.table.select("kind", "price", "position").rows() == [("view", None, None)]
    assert bought.quarantine.select("row", "column", "reason").rows() == [
        (2, "price", "the price of a purchase is above 1e+12"),
        (3, "n", "the quantity is above 1e+12"),
        (4, "price", "not a number above zero and up to 1e+12"),
        (4, "place", "not a number above zero and up to 2.14748e+09"),
    ]


def test_what_has_not_happened_yet_is_set_aside(tmp_path: Path) -> None:
    soon, later = int(time.time()) + 3600, int(time.time()) + 30 * DAY
    read = events(tmp_path, f"{soon},a,1,view,,,,,\n{later},a,1,buy,,1,9,,\n4000000000,a,2,view,,,,,\n")
    assert read.table["time"].to_list() == [soon]  # a clock may be ahead
    assert read.quarantine["row"].to_list() == [3, 4]
    assert read.quarantine["reason"].str.starts_with("the event is dated in the future, seen from 20").all()


def test_a_few_events_long_before_all_others_are_pointed_out(tmp_path: Path) -> None:
    usual = "".join(f"{1_735_689_600 + n * 3600},a,1,view,,,,,\n" for n in range(300))
    assert events(tmp_path, usual).notes == []
    read = events(tmp_path, usual + "631152001,a,2,view,,,,,\n")
    assert read.table.height == 301
    assert (
        "1 event is dated long before all others (the first 1990-01-01, the others from 2025-01-01 on)" in read.notes[0]
    )


def test_of_html_only_the_text_is_kept(tmp_path: Path) -> None:
    read = items(tmp_path, '1,"<p>A <b>red</b>&nbsp;dress &amp; hat.<br/></p>",,,5,\n2,Size < 40 & > 30,,,5,\n')
    assert read.table["title"].to_list() == ["A red dress & hat.", "Size < 40 & > 30"]
    assert read.notes == ["p.csv: 'name' holds HTML, of which only the text is kept."]


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    class Notes(Silent):
        said: ClassVar[list[str]] = []

        def note(self, text: str) -> None:
            self.said.append(text)

    (tmp_path / "p.csv").write_text("sku,name,dept,type,price,stock\n1,a,,,5,\n1,b,,,5,\n2,c,,,x,\nbroken\n")
    read = read_items(ITEMS, tmp_path, Notes())
    assert read.n_rows == 4
    assert Notes.said == ["p.csv: 4 rows, 2 items kept, 2 rows set aside; 1 cell of those kept cannot be used"]
