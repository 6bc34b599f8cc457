"""``vetrina init`` and what follows from it: shop.toml, shops that lack something, files that are wrong."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vetrina
from small_shop import N_EVENTS, N_ITEMS, write_events, write_products
from vetrina import ConfigError, DataError, MissingFile, Shop, create_shop
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.cli import main
from vetrina.core import EVENT_COLUMNS, ITEM_COLUMNS
from vetrina.engine.config import ShopConfig, read_config
from vetrina.engine.create import create_from_tables
from vetrina.engine.shop_toml import shop_toml

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        return (code, *capfd.readouterr())

    return run


def _fails(done: tuple[int, str, str]) -> str:
    code, out, err = done
    assert (code, out) == (1, ""), done
    # What was read is told line by line; the error is the last line, and the only one of its kind.
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("vetrina: error: ")] == lines[-1:]
    assert "Traceback" not in err
    return lines[-1]


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _write(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def _without(path: Path, *columns: str) -> None:
    """Take columns out of a CSV file."""
    head, *body = _rows(path)
    kept = [place for place, name in enumerate(head) if name not in columns]
    _write(path, [[row[place] for place in kept] for row in (head, *body)])


# --- shop.toml ----------------------------------------------------------------


def test_the_written_file_means_the_defaults(tmp_path: Path) -> None:
    write_products(tmp_path)
    write_events(tmp_path)
    shop = tmp_path / "my-shop"
    create_shop(
        shop, items_file=tmp_path / "products.csv", events_file=tmp_path / "events.csv", photos=tmp_path / "photos"
    )
    config = read_config(shop / "shop.toml")
    assert config.items.model_dump(exclude_defaults=True) == {
        "file": "../products.csv",
        "item": "sku",
        "title": "name",
        "category": ("category",),
        "brand": "brand",
        "colour": "colour",
        "price": "price",
        "photos": "../photos",
    }
    assert config.events is not None
    assert config.events.model_dump(exclude_defaults=True) == {
        "file": "../events.csv",
        "time": "timestamp",
        "shopper": "user_id",
        "item": "sku",
        "kind": "event",
    }
    assert config.shop.name == "My shop"
    assert config == ShopConfig(shop=config.shop, items=config.items, events=config.events)


def test_every_setting_is_there_and_its_comment_is_its_default(tmp_path: Path) -> None:
    config = ShopConfig(items=ItemMapping(file="p.csv", item="id"))
    text = shop_toml(config)
    assert ShopConfig.parse(tomllib.loads(text), "") == config
    # With the events' and judgements' examples left out, all that is commented may be taken in.
    body = re.sub(r"^# \[(events|judgements)\]\n(# .*\n)+", "", text, flags=re.MULTILINE)
    active = re.sub(r"^# (?=[\w-]+ = )", "", body, flags=re.MULTILINE)
    assert len(active) < len(body)
    everything = ShopConfig.parse(tomllib.loads(active), "")
    for section in ShopConfig.model_fields:
        if section not in ("encode", "retrieve", "rank"):
            assert getattr(everything, section) == getattr(config, section)
    assert everything.rank.model_copy(update={"options": {}}) == config.rank
    written = tomllib.loads(active)
    for section in ("shop", "items", "fuse", "rank", "policy", "build"):
        # Concatenation has no options of its own.
        fields = set(type(getattr(config, section)).model_fields) - ({"options"} if section == "fuse" else set())
        assert set(written[section]) == fields
    from vetrina.core import component_class

    for modality, choice in config.encode.items():
        options = written["encode"][modality]["options"]
        assert options == component_class("encoder", choice.encoder).config_type().model_dump()
    for source in config.retrieve:
        defaults = component_class("retriever", source).config_type().model_dump()
        assert written["retrieve"][source].get("options", {}) == defaults
    assert written["rank"]["options"] == component_class("ranker", "lambdamart").config_type().model_dump()


@settings(max_examples=30)
@given(st.data())
def test_any_shop_is_read_back_as_it_was_written(data: st.DataObject) -> None:
    text = st.text(max_size=12).filter(lambda word: word.isascii() or word.encode("utf-8", "ignore").decode() == word)
    name = text.filter(bool)
    encode = data.draw(
        st.dictionaries(_modalities, st.just({"encoder": "tfidf", "options": {"dim": 7}}), min_size=1, max_size=2)
    )
    weights = st.dictionaries(st.sampled_from(sorted(encode)), st.floats(min_value=0, allow_infinity=False))
    config = ShopConfig.parse(
        {
            "shop": {"name": data.draw(text), "currency": data.draw(text), "simulated": data.draw(st.booleans())},
            "items": {"file": data.draw(name), "item": data.draw(name), "numbers": data.draw(st.lists(text))},
            "events": {
                "file": "e.csv",
                "time": "t",
                "shopper": "s",
                "item": data.draw(name),
                "constant_kind": "view",
                "kinds": data.draw(st.dictionaries(text, st.sampled_from(["view", "cart"]), max_size=3)),
                "price_divisor": data.draw(st.floats(min_value=1e-300, max_value=1e300)),
            },
            "judgements": {"file": data.draw(text), "grade": data.draw(text)},
            "encode": encode,
            "fuse": {"weights": data.draw(weights)},
            "retrieve": data.draw(st.sampled_from([{"history": {}}, {"popular": {"options": {"days": 3.0}}}])),
            "rank": {"options": {"trees": 3}, "features": ["words"], "gains": data.draw(_gains)},
            "policy": {"no_duplicates": data.draw(st.lists(text))},
        },
        "",
    )
    assert ShopConfig.parse(tomllib.loads(shop_toml(config, ["a\nb"], ["\x00"])), "") == config


_modalities = st.from_regex("[a-z][a-z0-9_]{0,9}", fullmatch=True).filter(lambda name: name != "fused")
_gains = st.fixed_dictionaries({}, optional={"view": st.floats(0, 10), "click": st.integers(0, 3).map(float)})


def test_paths_are_seen_from_the_shop_where_they_share_more_than_the_top(tmp_path: Path) -> None:
    products = write_products(tmp_path / "files", photos=False)
    for shop, file in ((tmp_path / "a" / "b", "../../files/products.csv"), (tmp_path / "files", "products.csv")):
        create_shop(shop, items_file=products)
        assert read_config(shop / "shop.toml").items.file == file


def test_photos_are_found_by_what_they_are_called(tmp_path: Path) -> None:
    products = write_products(tmp_path)
    for photo in (tmp_path / "photos").iterdir():
        photo.rename(photo.with_suffix(".PNG"))
    create_shop(tmp_path / "one", items_file=products, photos=tmp_path / "photos")
    assert read_config(tmp_path / "one" / "shop.toml").items.photo == "{item}.PNG"
    # A column that names them from the file's own folder goes before the folder that was named.
    head, *rows = _rows(products)
    _write(products, [[*head, "image"], *([*row, f"photos/{row[0]}.PNG"] for row in rows)])
    create_shop(tmp_path / "two", items_file=products, photos=tmp_path / "photos")
    found = read_config(tmp_path / "two" / "shop.toml").items
    assert (found.photo, found.photos) == ("image", "..")
    (tmp_path / "empty").mkdir()
    _without(products, "image")
    notes = create_shop(tmp_path / "three", items_file=products, photos=tmp_path / "empty")
    assert any("p00.jpg" in note for note in notes)


def test_names_that_are_none_of_a_file_in_the_folder_are_told(tmp_path: Path) -> None:
    products = write_products(tmp_path)
    head, *rows = _rows(products)
    names = [f"data:image/jpeg;base64,{'A' * 4000}.jpg", *(str(tmp_path / "photos" / f"{row[0]}.jpg") for row in rows)]
    _write(products, [[*head, "image"], *([*row, name] for row, name in zip(rows, names, strict=False))])
    notes = create_shop(tmp_path / "shop", items_file=products, photos=tmp_path / "photos")
    assert any("None of the photos that 'image' names was found" in note for note in notes)


def test_init_says_what_it_was_unsure_of(run: Run, tmp_path: Path) -> None:
    _write(tmp_path / "p.csv", [["code", "Name", "x"], *([f"c{n}", f"Thing {n}", f"u{n}"] for n in range(9))])
    rows = [["when", "customer", "code", "qty"], *([f"2024-01-{n + 1:02d}", "7", f"c{n}", "1"] for n in range(9))]
    _write(tmp_path / "e.csv", rows)
    arguments = ("init", tmp_path / "s", "--items", tmp_path / "p.csv", "--events", tmp_path / "e.csv", "--name", "Näh")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "Please check:" in out
    assert "every row is taken as a purchase" in out
    assert f"Next: vetrina build {tmp_path / 's'}" in out
    text = (tmp_path / "s" / "shop.toml").read_text(encoding="utf-8")
    assert "# Unsure: No column says what happened; every row is taken as a purchase." in text
    assert read_config(tmp_path / "s" / "shop.toml").shop.name == "Näh"
    assert "--force" in _fails(run(*arguments))
    code, out, _ = run(*arguments, "--force", "--json")
    assert code == 0
    assert any("every row is taken as a purchase" in note for note in json.loads(out)["unsure"])


# --- shops that lack something ------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "photos", "events"),
    [
        ((), True, False),
        ((), False, True),
        (("name", "category", "brand", "colour"), True, True),
        (("name", "category", "brand", "colour", "price"), True, False),
        (("category", "brand", "colour", "price"), False, False),
    ],
    ids=["no events", "no photos", "no text", "photos alone", "titles alone"],
)
def test_a_shop_that_lacks_something_still_ranks(
    run: Run, tmp_path: Path, columns: tuple[str, ...], photos: bool, events: bool
) -> None:
    products = write_products(tmp_path, photos=photos)
    _without(products, *columns)
    options: list[object] = ["--photos", tmp_path / "photos"] if photos else []
    options += ["--events", write_events(tmp_path)] if events else []
    shop = tmp_path / "shop"
    assert run("init", shop, "--items", products, *options)[0] == 0
    code, _, err = run("build", shop, "--no-measure")
    assert code == 0, err

    def ask(*arguments: object) -> list[dict[str, Any]]:
        code, out, err = run(*arguments, "--shop", shop, "--json")
        assert code == 0, err
        results: list[dict[str, Any]] = json.loads(out)["results"]
        for result in results:
            assert sum(one["share"] for one in result["reasons"]) == pytest.approx(result["score"], abs=1e-4)
        return results

    assert len(ask("recommend", "--shopper", "A")) == 10
    assert len(ask("similar", "p01")) == 10
    found = ask("search", "blue shoe")
    assert len(found) == 10
    if "name" not in columns and not events:
        assert found[0]["title"] == "Blue shoe"
    if photos and not events:
        # p01 and p13 are the two black discs, which are the black shoes.
        assert ask("similar", "p01", "-k", 1)[0]["item"] == "p13"


# --- bad input ----------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop of text and events, not built."""
    write_products(tmp_path, photos=False)
    write_events(tmp_path)
    folder = tmp_path / "shop"
    create_shop(folder, items_file=tmp_path / "products.csv", events_file=tmp_path / "events.csv")
    return folder


def _set(shop: Path, before: str, after: str) -> None:
    path = shop / "shop.toml"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_files_that_are_missing_or_no_tables(run: Run, tmp_path: Path) -> None:
    products = write_products(tmp_path, photos=False)
    shop = tmp_path / "shop"
    assert "Did you mean 'products.csv'?" in _fails(run("init", shop, "--items", tmp_path / "product.csv"))
    assert "gone.csv" in _fails(run("init", shop, "--items", products, "--events", tmp_path / "gone.csv"))
    assert "pics" in _fails(run("init", shop, "--items", products, "--photos", tmp_path / "pics"))
    assert "is a folder" in _fails(run("init", shop, "--items", tmp_path))
    assert "is a file" in _fails(run("init", products, "--items", products))
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in _fails(run("init", shop, "--items", tmp_path / "empty.csv"))
    (tmp_path / "noise.parquet").write_bytes(b"\x00\x01\x02" * 50)
    assert "noise.parquet" in _fails(run("init", shop, "--items", tmp_path / "noise.parquet"))
    assert not shop.exists()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("# brand_cap = 0", "brand_capp = 0", "policy.brand_capp is not a setting. Did you mean 'brand_cap'?"),
        ("[policy]", "[polcy]", "polcy is not a setting. Did you mean 'policy'?"),
        ("# brand_cap = 0", "brand_cap = -1", "policy.brand_cap"),
        ("# test_days = 14.0", "test_days = nan", "build.test_days"),
        ('encoder = "tfidf"', 'encoder = "tfdif"', "Did you mean 'tfidf'?"),
        ("# dim = 128", "dims = 128", "dims"),
        ('name = "Shop"', 'name = "Shop', "not valid TOML"),
        ('title = "name"', 'title = "nmae"', "nmae"),
        ('file = "../products.csv"', 'file = "../product.csv"', "Did you mean 'products.csv'?"),
    ],
)
def test_a_wrong_setting_is_named(run: Run, shop: Path, before: str, after: str, said: str) -> None:
    _set(shop, before, after)
    line = _fails(run("build", shop, "--no-measure", "--quiet"))
    assert said in line
    assert len(line) < 700


def test_duplicate_ids_and_bad_cells_are_set_aside_with_their_row(run: Run, shop: Path) -> None:
    products = shop.parent / "products.csv"
    rows = _rows(products)
    rows += [["p03", *rows[4][1:]], ["", *rows[4][1:]], ["p99", *rows[4][1:5], "NaN"]]
    _write(products, rows)
    code, out, err = run("ingest", shop, "--json")
    assert code == 0, err
    counts = json.loads(out)
    assert counts["items"] == N_ITEMS + 1
    assert {(one["row"], one["column"]) for one in counts["reasons"]} == {
        (N_ITEMS + 2, "sku"),
        (N_ITEMS + 3, "sku"),
        (N_ITEMS + 4, "price"),
    }
    code, out, err = run("ingest", shop)
    assert "earlier row" in out
    assert f"Kept {N_ITEMS + 1} items of " in out
    _write(products, [*rows, *rows[1:]])
    assert "max_bad_share" in _fails(run("ingest", shop))


def test_an_empty_catalogue(run: Run, shop: Path) -> None:
    products = shop.parent / "products.csv"
    _write(products, _rows(products)[:1])
    assert "holds no item" in _fails(run("build", shop, "--no-measure"))


def test_times_in_the_wrong_unit(run: Run, shop: Path) -> None:
    events = shop.parent / "events.csv"
    head, *rows = _rows(events)
    _write(events, [head, *([f"{row[0]}000", *row[1:]] for row in rows)])
    # Milliseconds throughout are told by their size; said to be seconds, they are none.
    code, out, _ = run("ingest", shop, "--json", "-q")
    assert code == 0
    assert json.loads(out)["events"] == N_EVENTS
    start = '[events]\nfile = "../events.csv"'
    _set(shop, start, start.replace("[events]", '[events]\ntime_format = "s"'))
    line = _fails(run("ingest", shop))
    assert "timestamp" in line
    assert "ms" in line or "milliseconds" in line
    _write(events, [head, *([row[0][:5], *row[1:]] for row in rows)])
    assert "timestamp" in _fails(run("ingest", shop))


def test_events_that_name_no_item_of_the_shop(run: Run, shop: Path) -> None:
    events = shop.parent / "events.csv"
    head, *rows = _rows(events)
    _write(events, [head, *([*row[:2], "zz", row[3]] for row in rows[:100]), *rows[100:]])
    code, out, _ = run("ingest", shop, "--json", "-q")
    assert code == 0
    told = json.loads(out)
    assert (told["events"], told["quarantined"]) == (N_EVENTS - 100, 100)
    assert "no such item" in told["reasons"][0]["reason"]


# --- from tables --------------------------------------------------------------


def _tables() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    items = pl.DataFrame(
        {
            "item": ["1", "2", "3"],
            "title": ["Red shoe", "Blue shoe, wide", 'Hat "Sun" 帽子'],
            "description": ["", "", "For the sea"],
            "category": ["Wear > Shoes", "Wear > Shoes", ""],
            "brand": ["", "Sud", ""],
            "colour": ["red", "blue", ""],
            "price": [9.5, None, 12.0],
            "in_stock": [True, False, True],
            "available_at": [None, 1_700_000_000, None],
            "photo": ["", "", ""],
            "more_photos": [[], [], []],
            "audio": ["", "", ""],
            "video": ["", "", ""],
            "season": ["Summer", "Winter", "Summer"],
            "weight": [1.5, None, 2.0],
        },
        schema={**ITEM_COLUMNS, "season": pl.String(), "weight": pl.Float64()},
    )
    events = pl.DataFrame(
        [
            {"time": 1_700_000_000, "shopper": "a", "kind": "search", "query": "red shoes", "request": "r1"},
            {"time": 1_700_000_005, "shopper": "a", "kind": "click", "item": "1", "request": "r1", "position": 1},
            {"time": 1_700_000_009, "shopper": "b", "kind": "purchase", "item": "3", "price": 12.0, "quantity": 2.0},
            {"time": 1_700_000_010, "shopper": "b", "kind": "rate", "item": "3", "rating": 8.0},
        ],
        schema=EVENT_COLUMNS,
    )
    judgements = pl.DataFrame({"query": ["red shoe", "red shoe"], "item": ["1", "2"], "grade": [3, 0]})
    return items, events, judgements


def test_canonical_tables_come_in_unchanged(tmp_path: Path) -> None:
    items, events, judgements = _tables()
    create_from_tables(
        tmp_path / "shop",
        items=items,
        events=events,
        judgements=judgements,
        photos_root=None,
        name="Three",
        currency="€",
        simulated=True,
        overrides={"policy": {"in_stock_only": False}, "encode": {"photo": None}, "retrieve": {"popular": {"k": 7}}},
    )
    shop = Shop.open(tmp_path / "shop")
    rows = {"item_rows": 3, "event_rows": 4}
    assert shop.ingest() == {"items": 3, "events": 4, "judgements": 2, "quarantined": 0, **rows}
    read = pl.read_parquet(tmp_path / "shop" / "data" / "items.parquet")
    assert read.rows(named=True) == items.rows(named=True)
    log = pl.read_parquet(tmp_path / "shop" / "data" / "events.parquet")
    assert log.drop("shopper").rows() == events.drop("shopper").rows()
    assert set(log["shopper"]).isdisjoint({"a", "b"})
    assert (shop.config.shop.currency, shop.config.shop.simulated) == ("€", True)
    defaults = ShopConfig(items=ItemMapping(file="p", item="i"))
    assert set(shop.config.encode) == set(defaults.encode) - {"photo"}
    assert shop.config.retrieve["popular"].k == 7
    assert set(shop.config.retrieve) == set(defaults.retrieve)
    shop.build()
    assert shop.search("red shoe", shopper="a").results[0].item == "1"
    assert shop.search("red shoe", shopper="a").personal


def test_photos_of_tables_are_found_from_their_root(tmp_path: Path) -> None:
    write_products(tmp_path / "there")
    items, _, _ = _tables()
    items = items.with_columns(photo=pl.Series(["photos/p00.jpg", "", "photos/p02.jpg"]))
    shop = tmp_path / "shop"
    create_from_tables(
        shop, items=items, events=None, judgements=None, photos_root=tmp_path / "there", name="Three", overrides=None
    )
    assert read_config(shop / "shop.toml").events is None
    Shop.open(shop).ingest()
    kept = pl.read_parquet(shop / "data" / "items.parquet")["photo"].to_list()
    assert [(shop / one).is_file() if one else None for one in kept] == [True, None, True]


def test_wrong_tables_and_settings_are_refused(tmp_path: Path) -> None:
    items, events, _ = _tables()
    given: dict[str, Any] = {"events": None, "judgements": None, "photos_root": None, "name": "x"}
    with pytest.raises(DataError, match="items: not a canonical table, it lacks photo"):
        create_from_tables(tmp_path / "s", items=items.drop("photo"), **given)
    with pytest.raises(DataError, match="events: not a canonical table, it lacks kind"):
        create_from_tables(tmp_path / "s", items=items, **{**given, "events": events.drop("kind")})
    with pytest.raises(ConfigError, match=r"rank\.trees is not a setting"):
        create_from_tables(tmp_path / "s", items=items, **given, overrides={"rank": {"trees": 3}})
    assert not (tmp_path / "s").exists()


# --- the top of the package ---------------------------------------------------


def test_everything_public_is_there_and_documented() -> None:
    for name in vetrina.__all__:
        assert getattr(vetrina, name) is not None
    assert set(vetrina.__all__) <= set(dir(vetrina))
    assert vetrina.Shop is Shop
    assert issubclass(MissingFile, vetrina.VetrinaError)
    with pytest.raises(AttributeError, match="Shopp"):
        vetrina.Shopp  # noqa: B018


def test_importing_the_package_loads_nothing_of_weight() -> None:
    code = "import sys, vetrina; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"polars", "numpy", "pydantic", "rich", "typer", "fastapi", "lightgbm"}.isdisjoint(done.stdout.split())


def test_events_mapping_of_identity_names_every_canonical_column() -> None:
    assert set(EVENT_COLUMNS) <= set(EventMapping.model_fields)
