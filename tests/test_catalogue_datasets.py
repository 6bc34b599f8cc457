"""Public data sets: found, downloaded whole or not at all, and read as a shop's own files are."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import httpx
import polars as pl
import pytest
from PIL import Image

from vetrina.catalogue.datasets import DATASETS, data_folder, download, find, load
from vetrina.catalogue.datasets import source as source_module
from vetrina.core import EVENT_COLUMNS, ITEM_COLUMNS
from vetrina.core.errors import DataError, MissingFile

HERE = os.environ.get("VETRINA_DATA")
real_data = pytest.mark.skipif(not HERE, reason="VETRINA_DATA is not set")


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and no folder of data; the cache's folder."""
    monkeypatch.delenv("VETRINA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vetrina" / "datasets"


def served(pages: dict[str, bytes]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        found = [content for end, content in pages.items() if str(request.url).endswith(end)]
        return httpx.Response(200, content=found[0]) if found else httpx.Response(404)

    return httpx.Client(transport=httpx.MockTransport(answer))


def test_without_data_and_network_it_says_what_to_do(nothing: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    for name in DATASETS:
        with (
            httpx.Client(transport=httpx.MockTransport(refuse)) as client,
            pytest.raises(MissingFile, match=rf"'{name}' is not here.*set VETRINA_DATA"),
        ):
            find(name, client=client)
    assert not nothing.exists() or not list(nothing.iterdir())


def test_a_data_folder_that_is_none_is_told(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VETRINA_DATA", str(nothing / "gone"))
    with pytest.raises(MissingFile, match="VETRINA_DATA"):
        data_folder()


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'fashion'"):
        load("fasion")


def test_fashion_is_downloaded_once(nothing: Path) -> None:
    photo, archive = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (6, 8), "red").save(photo, "JPEG")
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,usage,productDisplayName,price_inr\n"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("repo-1/README.md", "hello")
        file.writestr(
            "repo-1/data/styles.csv", header + "7,Men,Apparel,Topwear,Shirts,Blue,Fall,Casual,Puma Men Blue Shirt,99\n"
        )
        file.writestr("repo-1/data/images/../../../7.jpg", photo.getvalue())
        file.writestr("repo-1/data/images/7.jpg", photo.getvalue())
    name = "413a137d6e8688452c14191e5c4c0a9449fa503b"
    folder = find("fashion", client=served({name: archive.getvalue()}))
    assert folder == nothing / "fashion"
    assert [path.name for path in nothing.iterdir()] == ["fashion"]
    assert find("fashion", client=served({})) == folder
    items = load("fashion").items
    assert items.select("item", "category", "brand", "colour", "price", "photo").rows() == [
        ("7", "Apparel > Topwear > Shirts", "Puma", "Blue", 99.0, "photos/7.jpg")
    ]


def test_a_download_that_is_not_what_was_expected_leaves_nothing(nothing: Path) -> None:
    with pytest.raises(DataError, match="no archive"):
        download("fashion", client=served({"503b": b"<html>moved</html>"}))
    with pytest.raises(DataError, match=r"ml-100k\.inter: 1 rows came, 100,000 were expected"):
        download("movielens-100k", client=served({"ml-100k.inter": b"a\tb\n1\t2\n"}))
    day = b"InvoiceNo,StockCode\n1,2\n"
    with pytest.raises(DataError, match="online-retail: 2 rows came"):
        download("online-retail", client=served({"2010-12-01.csv": day, "2011-12-09.csv": day}))
    with pytest.raises(MissingFile, match="404"):
        download("chorus-electronics", client=served({}))
    assert not list(nothing.iterdir())


def test_online_retail_and_chorus_are_put_together(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_RETAIL_LINES", 2)
    head = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    first, last = (
        head + b"1,10002,GLOBE,1,2010-12-01 08:00:00,0.85,7.0,UK\n",
        head + b"2,10002,GLOBE,2,2011-12-09 08:00:00,0.85,7.0,UK",
    )
    download("online-retail", client=served({"2010-12-01.csv": first, "2011-12-09.csv": last}))
    retail = load("online-retail")
    assert retail.events is not None
    assert retail.events.select("shopper", "item", "quantity").rows() == [("7", "10002", 1.0), ("7", "10002", 2.0)]
    products = [{"id": str(number), "title": f"Cable {number}", "price": 100 + number} for number in range(19_406)]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        content = json.dumps(products).encode()
        entry = tarfile.TarInfo("icecat.json")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    pages = {"rated.csv": b"q", "individual_ratings.csv": b"q", ".tar.gz": archive.getvalue()}
    folder = download("chorus-electronics", client=served(pages))
    assert json.loads((folder / "products.jsonl").read_text().splitlines()[-1]) == products[-1]


RETAIL = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,84029g,RED BOTTLE,6,2010-12-01 08:26:00,3.00,17850.0,UK
1,84029G,RED BOTTLE,2,2010-12-01 08:26:00,5.00,17850.0,UK
1,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,17850.0,UK
C2,84029G,RED BOTTLE,-1,2010-12-02 08:26:00,3.00,17850.0,UK
3,84029G,RED BOTTLE,1,2010-12-03 08:26:00,4.00,,UK
4,84029G,check,-3,2010-12-03 08:26:00,0.00,,UK
5,84029G,RED BOTTLE,-1,2010-12-04 08:26:00,3.00,13047.0,UK
6,84029G,RED BOTTLE,1,2010-12-05 08:26:00,0.00,13047.0,UK
7,gift_0001_20,Voucher,1,2010-12-05 08:26:00,16.67,13047.0,UK
8,99999,never sold,1,2010-12-05 08:26:00,0.00,13047.0,UK
A9,B,Adjust bad debt,1,2010-12-05 08:26:00,11062.06,,UK
10,10002,GLOBE,1,2010-12-06 08:26:00,0.85,13047.0,UK
11,10002,GLOBE,1,2010-12-07 08:26:00,0.85,13047.0,UK
12,10002,GLOBE,1,2010-12-08 08:26:00,0.85,13047.0,UK
13,10002,GLOBE,1,2010-12-09 08:26:00,0.85,13047.0,UK
"""


def test_online_retail_keeps_purchases_of_products_by_known_customers(tmp_path: Path) -> None:
    (tmp_path / "transactions.csv").write_text(RETAIL)
    retail = load("online-retail", folder=tmp_path, pseudonym=lambda shoppers: "p-" + shoppers)
    assert retail.items.select("item", "title", "price").rows() == [
        ("10002", "GLOBE", 0.85),
        ("84029G", "RED BOTTLE", 4.0),
    ]
    assert retail.events is not None
    assert dict(retail.events.schema) == EVENT_COLUMNS
    first = retail.events.row(0, named=True)
    assert (first["shopper"], first["item"], first["request"], first["kind"]) == ("p-17850", "84029G", "1", "purchase")
    assert (first["quantity"], first["price"]) == (8.0, 3.5)
    assert retail.events.height == 5
    assert retail.quarantine.select("row", "column", "reason").rows() == [
        (4, "StockCode", "a fee, postage, voucher or entry by hand, no product"),
        (5, "InvoiceNo", "the invoice is a cancellation"),
        (6, "CustomerID", "the event has no shopper"),
        (7, "CustomerID", "the event has no shopper"),
        (8, "Quantity", "the quantity is not above zero"),
        (9, "UnitPrice", "the price of a purchase is not above zero"),
        (10, "StockCode", "a fee, postage, voucher or entry by hand, no product"),
        (11, "StockCode", "the catalogue has no such item"),
        (12, "InvoiceNo", "the invoice adjusts bad debt"),
    ]


def phones(folder: Path, train: str, test: str = "ana_1 0 B2 1\n") -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in {"query_text.txt": "car charger\nphone case\n", "train.qrels": train, "test.qrels": test}.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_lines_of_the_phones_search_are_purchases_under_a_query(tmp_path: Path) -> None:
    folder = phones(tmp_path / "phones", "ana_0 0 B2 1 \nbob_x_1 0 B1 1 \nbob_x_1 0 B2 1 \n")
    dataset = load("amazon-phones-search", folder=folder)
    assert dataset.items["item"].to_list() == ["B1", "B2"]
    assert dataset.events is not None
    assert dataset.held_out is not None
    assert dataset.events.select("shopper", "query", "item", "request", "kind").rows() == [
        ("ana", "car charger", "B2", "ana_0", "purchase"),
        ("bob_x", "phone case", "B1", "bob_x_1", "purchase"),
        ("bob_x", "phone case", "B2", "bob_x_1", "purchase"),
    ]
    assert dataset.events["time"].n_unique() == 1
    assert dataset.held_out.rows() == [("ana", "phone case", "B2")]


@pytest.mark.parametrize("line", ["ana_2 0 B1 1", "ana 0 B1 1", "ana_0 B1 1"])
def test_a_line_of_the_phones_search_that_is_none_is_told(tmp_path: Path, line: str) -> None:
    folder = phones(tmp_path / "phones", f"ana_0 0 B2 1\n{line}\n")
    with pytest.raises(DataError, match=r"train\.qrels, line 2: .*a query of 0 to 1"):
        load("amazon-phones-search", folder=folder)


def test_the_phones_search_is_downloaded(nothing: Path) -> None:
    pages = {
        "query_text.txt.gz": gzip.compress(b"case\n" * 165),
        "train.qrels.gz": gzip.compress(b"ana_1 0 B1 1\n" * 174_087),
        "test.qrels.gz": b"moved",
    }
    with pytest.raises(DataError, match=r"test\.qrels\.gz: what came is no gzip file"):
        download("amazon-phones-search", client=served(pages))
    assert not list(nothing.iterdir())
    pages["test.qrels.gz"] = gzip.compress(b"ana_1 0 B1 1\n" * 667)
    folder = download("amazon-phones-search", client=served(pages))
    assert sorted(path.name for path in folder.iterdir()) == sorted(pages)


@real_data
@pytest.mark.parametrize(
    ("name", "n_items", "n_events", "n_judgements"),
    [
        ("fashion", 2500, None, None),
        ("movielens-100k", 1682, 100_000, None),
        ("chorus-electronics", 19_406, None, 3668),
        ("toys", 24_576, None, None),
        ("amazon-phones-search", 10_428, 174_087, None),
    ],
)
def test_the_real_sets(name: str, n_items: int, n_events: int | None, n_judgements: int | None) -> None:
    dataset = load(name)
    assert dict(list(dataset.items.schema.items())[: len(ITEM_COLUMNS)]) == ITEM_COLUMNS
    assert dataset.items.height == n_items
    assert (None if dataset.events is None else dataset.events.height) == n_events
    assert (None if dataset.judgements is None else dataset.judgements.height) == n_judgements
    assert dataset.items["item"].is_unique().all()


@real_data
def test_the_empty_photo_of_the_real_fashion_set() -> None:
    dataset = load("fashion")
    assert dataset.quarantine.select("file", "value", "reason").rows() == [
        ("products.csv", "photos/33777.jpg", "the photo is empty (0 bytes)")
    ]
    assert dataset.items.filter(pl.col("item") == "33777")["photo"].to_list() == [""]
    assert dataset.items.filter(pl.col("title").str.starts_with("Gini and Jony "))["brand"].unique().to_list() == [
        "Gini and Jony"
    ]
    assert dataset.items.filter(pl.col("title").str.starts_with("Red Tape "))["brand"].unique().to_list() == [
        "Red Tape"
    ]


@real_data
def test_real_online_retail_accounts_for_every_line() -> None:
    retail = load("online-retail")
    assert retail.events is not None
    # Counted from the file by a program of its own (pandas): lines of invoices neither cancelled nor
    # adjusting debt, by a customer, of a product, with quantity and price above zero; by invoice and product.
    assert retail.events.height == 386_230
    assert retail.events["shopper"].n_unique() == 4334
    reasons = dict(retail.quarantine.group_by("reason").len().iter_rows())
    assert reasons["the invoice is a cancellation"] == 9288
    assert retail.events["item"].is_in(retail.items["item"].implode()).all()
    assert not set(retail.items["item"]) & {
        "POST",
        "DOT",
        "M",
        "BANK CHARGES",
        "AMAZONFEE",
        "D",
        "S",
        "C2",
        "PADS",
        "CRUK",
        "B",
    }
    assert retail.events.select("request", "item", "shopper").is_unique().all()
