"""The commands, from outside: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import Vetrina
from small_shop import write_events, write_products
from vetrina.cli import main
from vetrina.cli.making import _measured
from vetrina.evaluate.metrics import Scores
from vetrina.evaluate.tables import compare

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop built once; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("shop")
    products, events = write_products(folder), write_events(folder)
    shop = folder / "myshop"
    assert main([*_words("init", shop, "--items", products, "--events", events, "--photos", folder / "photos")]) == 0
    config = shop / "shop.toml"
    text = config.read_text(encoding="utf-8")
    for before, after in (("# filters = 200", "filters = 40"), ("# trees = 200", "trees = 30")):
        assert before in text
        text = text.replace(before, after)
    config.write_text(text, encoding="utf-8")
    assert main([*_words("build", shop, "--no-measure", "--quiet")]) == 0
    return shop


@pytest.fixture
def shop(built: Path) -> Iterator[Path]:
    """A copy of the built shop beside its files, to be changed."""
    copy = built.with_name("copy")
    shutil.copytree(built, copy)
    yield copy
    shutil.rmtree(copy)


def _words(*arguments: object) -> list[str]:
    return [str(one) for one in arguments]


def _order(ranking: dict[str, Any]) -> list[str]:
    return [result["item"] for result in ranking["results"]]


# --- asking -------------------------------------------------------------------


def test_shoppers_of_different_taste_get_different_orders_and_reasons_sum_to_the_score(
    built: Path, vetrina: Vetrina
) -> None:
    lists = {}
    for shopper in "AB":
        ranking = vetrina("search", "shoes", "--shopper", shopper, "--shop", built, "--json").json()
        assert ranking["personal"]
        assert [result["position"] for result in ranking["results"]] == list(range(1, len(ranking["results"]) + 1))
        for result in ranking["results"]:
            assert sum(reason["share"] for reason in result["reasons"]) == pytest.approx(result["score"], abs=1e-4)
        lists[shopper] = ranking
    assert _order(lists["A"]) != _order(lists["B"])
    assert lists["A"]["results"][0]["colour"] == "red"
    assert lists["B"]["results"][0]["colour"] == "black"


def test_keys_of_the_json_are_the_documented_ones(built: Path, vetrina: Vetrina) -> None:
    from vetrina import Ranking, Reason, Result

    ranking = vetrina("recommend", "--shop", built, "-k", 2, "--json").json()
    assert list(ranking) == list(Ranking.model_fields)
    assert list(ranking["results"][0]) == list(Result.model_fields)
    assert list(ranking["results"][0]["reasons"][0]) == list(Reason.model_fields)
    assert len(ranking["results"]) == 2


def test_the_table_shows_title_price_and_reasons(built: Path, vetrina: Vetrina) -> None:
    done = vetrina("search", "red dress", "--shopper", "A", "--shop", built, "-k", 3)
    assert done.code == 0
    assert "for A" in done.out
    assert "SIMULATED" not in done.out
    for word in ("Red dress", "Nord", "score", "why", "Looks like"):
        assert word in done.out


def test_a_simulated_shop_says_so(shop: Path, vetrina: Vetrina) -> None:
    config = shop / "shop.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("# simulated = false", "simulated = true"))
    assert "SIMULATED" in vetrina("recommend", "--shopper", "A", "--shop", shop).out
    assert "SIMULATED" in vetrina("explain", "p00", "--shopper", "A", "--shop", shop).out
    assert vetrina("search", "hat", "--shop", shop, "--json").json()["simulated"] is True


def test_an_explanation_is_that_of_the_list(built: Path, vetrina: Vetrina) -> None:
    ranking = vetrina("search", "black hat", "--shopper", "B", "--shop", built, "--json").json()
    third = ranking["results"][2]
    told = vetrina("explain", third["item"], "--query", "black hat", "--shopper", "B", "--shop", built, "--json").json()
    assert told["position"] == 3
    assert told["score"] == pytest.approx(third["score"])
    assert [(r["kind"], r["text"]) for r in told["reasons"]] == [(r["kind"], r["text"]) for r in third["reasons"]]
    table = vetrina("explain", third["item"], "--query", "black hat", "--shopper", "B", "--shop", built).out
    shares = [float(number) for number in re.findall(r"^([+-]\d+\.\d+)", table, flags=re.MULTILINE)]
    assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=1e-3)
    assert shares[-1] == pytest.approx(third["score"], abs=1e-3)


def test_an_item_that_the_rules_leave_out_is_explained_with_a_note(shop: Path, vetrina: Vetrina) -> None:
    config = shop / "shop.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace('price = "price"', 'price = "price"\nin_stock = "there"')
    )
    products = shop.parent / "products.csv"
    before = products.read_text(encoding="utf-8")
    head, *rows = before.splitlines()
    try:
        lines = [f"{head},there", *(f"{row},{'no' if row.startswith('p05') else 'yes'}" for row in rows)]
        products.write_text("\n".join(lines), encoding="utf-8")
        assert vetrina("build", shop, "--no-measure", "-q").code == 0
    finally:
        products.write_text(before, encoding="utf-8")
    assert "p05" not in _order(vetrina("search", "blue shoe", "-k", 1000, "--shop", shop, "--json").json())
    told = vetrina("explain", "p05", "--query", "blue shoe", "--shop", shop, "--json").json()
    assert told["position"] is None
    assert "rules leave it out" in told["notes"][-1]


def test_a_shopper_never_seen_gets_what_anybody_gets(built: Path, vetrina: Vetrina) -> None:
    stranger = vetrina("search", "hat", "--shopper", "nobody-knows-me", "--shop", built, "--json").json()
    anybody = vetrina("search", "hat", "--shop", built, "--json").json()
    assert stranger["personal"] is False
    assert _order(stranger) == _order(anybody)
    assert len(_order(stranger)) == 10
    assert "nothing is known yet" in vetrina("recommend", "--shopper", "nobody", "--shop", built).out


def test_similar_leaves_out_the_item_itself(built: Path, vetrina: Vetrina) -> None:
    order = _order(vetrina("similar", "p01", "--shop", built, "-k", 5, "--json").json())
    assert len(order) == 5
    assert "p01" not in order


def test_filters(built: Path, vetrina: Vetrina) -> None:
    options = ("--category", "shoes", "--brand", "sud", "--price-min", 20, "--price-max", 50)
    found = vetrina("search", "anything", *options, "--shop", built, "--json").json()["results"]
    assert found
    assert all((r["category"], r["brand"]) == ("Shoes", "Sud") and 20 <= r["price"] <= 50 for r in found)
    assert vetrina("recommend", "--colour", "green", "--shop", built, "--json").json()["results"] == []
    assert "Nothing" in vetrina("recommend", "--colour", "green", "--shop", built).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "x", "-k", 0), "between 1 and 1000. Got 0"),
        (("search", "x", "-k", 10**9), "between 1 and 1000. Got 1000000000"),
        (("recommend", "-k", -1), "between 1 and 1000"),
        (("similar", "p0l"), "Did you mean 'p"),
        (("similar", "\x1b[2Jp"), "No item"),
        (("explain", "nothing"), "No item 'nothing'"),
        (("search", "x", "--price-max", "nan"), "--price-max"),
        (("search", "x", "--price-min", "-3"), "--price-min"),
        (("search", "x", "--having", "season=Summer"), "no such attribute"),
        (("search", "x", "--having", "season"), "expected NAME=VALUE"),
        (("rollback", "--to", "nope"), "nope"),
        (("events", "no-such.jsonl"), "no-such.jsonl"),
        (("components", "encodr"), "Did you mean 'encoder'?"),
    ],
)
def test_a_wrong_request_is_one_line(
    built: Path, vetrina: Vetrina, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], said: str
) -> None:
    monkeypatch.chdir(built)
    line = vetrina(*arguments).one_line()
    assert said in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "arguments",
    [("search",), ("frob",), ("search", "x", "--shoper", "A"), ("search", "x", "-k", "many"), ("init", "x"), ("--x",)],
)
def test_a_wrong_call_is_one_line_and_exit_2(vetrina: Vetrina, arguments: tuple[str, ...]) -> None:
    assert "--help" in vetrina(*arguments).one_line(2)


@pytest.mark.parametrize(
    "query",
    [
        "shoe " * 2000,
        "👠 красные туфли",
        "black\x00\x07\x1b[31m shoes\r\n",
        "حذاء أسود",
        "נעליים \u202e שחורות",
        "红色连衣裙",
        "",
        "   ",
        'a AND (b OR "c',
        "title:x^2 [1 TO 5] *",
        os.fsdecode(b"caf\xe9"),
        "\ufffe\U0010ffff",
    ],
    ids=[
        "long",
        "emoji",
        "control",
        "arabic",
        "bidi",
        "chinese",
        "empty",
        "spaces",
        "syntax",
        "fields",
        "bytes",
        "odd",
    ],
)
def test_any_query_is_answered(built: Path, vetrina: Vetrina, query: str) -> None:
    ranking = vetrina("search", query, "--shop", built, "--json").json()
    assert len(ranking["results"]) == 10
    if len(query) > 512:
        assert any("cut at 512" in note for note in ranking["notes"])
    done = vetrina("search", query, "--shop", built)
    assert done.code == 0
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", done.out) is None


def test_a_shopper_may_be_called_anything(built: Path, vetrina: Vetrina) -> None:
    for name in ("ана", "a\x00b", os.fsdecode(b"\xff"), "x" * 10_000, "'; DROP TABLE events; --"):
        assert len(vetrina("recommend", "--shopper", name, "--shop", built, "--json").json()["results"]) == 10


# --- which shop ---------------------------------------------------------------


def test_the_shop_is_found(built: Path, vetrina: Vetrina, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VETRINA_SHOP", raising=False)
    monkeypatch.chdir(tmp_path)
    assert "no shop here" in vetrina("search", "hat").one_line()
    monkeypatch.setenv("VETRINA_SHOP", str(built))
    assert vetrina("search", "hat").code == 0
    monkeypatch.setenv("VETRINA_SHOP", str(tmp_path / "gone"))
    assert "gone is not a folder" in vetrina("search", "hat").one_line()
    monkeypatch.chdir(built)  # a shop where one stands goes before the variable
    assert vetrina("search", "hat").code == 0
    monkeypatch.delenv("VETRINA_SHOP")
    monkeypatch.chdir(built.parent)
    assert vetrina("search", "hat").code == 0
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("one", "two"):
        shutil.copy(built / "shop.toml", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert "2 shops here: one, two" in vetrina("search", "hat").one_line()
    assert "not a folder" in vetrina("build", "three", "--no-measure").one_line()


# --- building and snapshots ---------------------------------------------------


def test_build_says_what_it_did(shop: Path, vetrina: Vetrina) -> None:
    products = shop.parent / "products.csv"
    text = products.read_text(encoding="utf-8")
    try:
        products.write_text(text.replace("Red dress", "Scarlet dress", 1), encoding="utf-8")
        done = vetrina("build", shop, "--no-measure", "--json")
    finally:
        products.write_text(text, encoding="utf-8")
    manifest = done.json()
    assert manifest["metrics"]["rows"]["items"] == 24
    assert manifest["metrics"]["encoding"]["text"]["encoded"] == 1
    assert manifest["metrics"]["encoding"]["photo"]["encoded"] == 0
    assert re.search(r"^products.csv: 24 rows, 24 items kept$", done.err, flags=re.MULTILINE)
    assert re.search(r"^Writing the snapshot: \d+\.\d s$", done.err, flags=re.MULTILINE)
    quiet = vetrina("build", shop, "--no-measure", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert "Published" in quiet.out


def test_what_a_build_measured_on_simulated_shoppers_is_called_so() -> None:
    values = {
        name: Scores({"ndcg@10": np.full(3, mean)}, np.arange(3), 0) for name, mean in (("us", 0.5), ("them", 0.4))
    }
    for simulated, said in ((True, "3 requests of SIMULATED shoppers"), (False, "3 requests;")):
        line = _measured(compare("Toy", values, reference="us", simulated=simulated, resamples=10).as_dict())
        assert line.startswith("Measured: Toy: ndcg@10 0.500 on " + said)
        assert line.endswith("the best baseline, them, 0.400.")


def test_a_flipped_byte_is_refused_and_rollback_works(shop: Path, vetrina: Vetrina) -> None:
    assert vetrina("build", shop, "--no-measure", "-q").code == 0
    listed = vetrina("snapshots", shop, "--verify", "--json").json()
    assert [one["current"] for one in listed] == [False, True]
    damaged = shop / "snapshots" / listed[1]["name"] / "items.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    line = vetrina("search", "hat", "--shop", shop).one_line()
    assert "items.parquet" in line
    assert "roll back" in line
    checked = vetrina("snapshots", shop, "--verify")
    assert checked.code == 1
    assert "checksum" in checked.out
    assert "whole" in checked.out
    assert vetrina("rollback", shop, "--json").json() == {"current": listed[0]["name"], "before": listed[1]["name"]}
    assert vetrina("search", "hat", "--shop", shop).code == 0
    assert "nothing to roll back to" in vetrina("rollback", shop).one_line()
    assert "checksum" in vetrina("rollback", shop, "--to", listed[1]["name"]).one_line()


def test_without_a_snapshot_one_is_told_how_to_make_it(vetrina: Vetrina, tmp_path: Path) -> None:
    products = write_products(tmp_path, photos=False)
    assert vetrina("init", tmp_path / "new", "--items", products).code == 0
    assert "vetrina build" in vetrina("search", "hat", "--shop", tmp_path / "new").one_line()
    assert "vetrina build" in vetrina("snapshots", tmp_path / "new").out
    assert vetrina("snapshots", tmp_path / "new", "--json").json() == []
    assert "rollback" not in vetrina("rollback", tmp_path / "new").one_line()


# --- shoppers -----------------------------------------------------------------


def test_recorded_events_count_at_once(shop: Path, vetrina: Vetrina, tmp_path: Path) -> None:
    clicks = tmp_path / "clicks.jsonl"
    lines = [{"shopper": "new", "kind": "click", "item": item} for item in ("p00", "p03", "p12")]
    clicks.write_text("\n\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    assert vetrina("recommend", "--shopper", "new", "--shop", shop, "--json").json()["personal"] is False
    assert vetrina("events", clicks, "--shop", shop, "--json").json() == {"recorded": 3}
    after = vetrina("recommend", "--shopper", "new", "--shop", shop, "--json").json()
    assert after["personal"] is True
    assert vetrina("forget", "new", "--shop", shop, "--json").json() == {"window": 3, "log": 0}
    assert vetrina("recommend", "--shopper", "new", "--shop", shop, "--json").json()["personal"] is False


def test_a_wrong_event_records_none(
    shop: Path, vetrina: Vetrina, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks = tmp_path / "clicks.jsonl"
    good = '{"shopper": "new", "kind": "click", "item": "p00"}'
    for bad, said in (
        ("not json", "line 2: not JSON"),
        ("[1]", "line 2: expected an object"),
        ('{"shopper": "new", "kind": "clic", "item": "p00"}', "Did you mean 'click'?"),
        ('{"shopper": "new", "kind": "click", "item": "zz"}', "no item 'zz'"),
        ('{"shopper": "new", "kind": "click", "item": "p00", "time": 1700000000000}', "divide by 1000"),
    ):
        clicks.write_text(f"{good}\n{bad}\n", encoding="utf-8")
        assert said in vetrina("events", clicks, "--shop", shop).one_line()
    assert vetrina("recommend", "--shopper", "new", "--shop", shop, "--json").json()["personal"] is False
    with clicks.open("w", encoding="utf-8") as file:
        file.write(good)
    with clicks.open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert "Recorded 1 event." in vetrina("events", "-", "--shop", shop).out


def test_who_was_forgotten_does_not_come_back_with_the_next_build(shop: Path, vetrina: Vetrina) -> None:
    assert vetrina("recommend", "--shopper", "A", "--shop", shop, "--json").json()["personal"] is True
    erased = vetrina("forget", "A", "--shop", shop, "--json").json()
    assert erased["window"] > 0
    assert erased["log"] > 0
    before = vetrina("ingest", shop, "-q", "--json").json()["events"]
    assert before == 300 - erased["log"]
    assert vetrina("recommend", "--shopper", "A", "--shop", shop, "--json").json()["personal"] is False
    assert vetrina("recommend", "--shopper", "B", "--shop", shop, "--json").json()["personal"] is True


# --- the rest -----------------------------------------------------------------


def test_components_are_listed(vetrina: Vetrina) -> None:
    rows = vetrina("components", "--json").json()
    assert {"encoder", "features", "ranker", "retriever"} <= {row["kind"] for row in rows}
    assert all(row["licence"] and row["about"] for row in rows)
    rankers = vetrina("components", "ranker", "--json").json()
    assert {row["kind"] for row in rankers} == {"ranker"}
    assert {"lambdamart", "pointwise", "pairwise", "linear", "network", "din", "lstm", "match_score", "blend"} == {
        row["name"] for row in rankers
    }
    assert "lambdamart" in vetrina("components", "ranker").out


def test_encoders_are_listed_with_what_they_take(vetrina: Vetrina) -> None:
    rows = {row["name"]: row for row in vetrina("components", "encoder", "--json").json()}
    assert rows["tfidf"] | {"modality": "text", "dimension": "128", "needs": ""} == rows["tfidf"]
    assert all(row["modality"] and row["dimension"] and row["cost"] for row in rows.values())
    header = vetrina("components", "encoder").out.splitlines()[0].split()
    assert header == ["kind", "name", "licence", "modality", "dimension", "needs", "cost", "what", "it", "does"]


def test_a_shop_is_served_until_it_is_interrupted(built: Path) -> None:
    command = [sys.executable, "-m", "vetrina", "serve", str(built), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address, line + server.stderr.read()
            for _ in range(200):
                try:
                    with urllib.request.urlopen(f"{address[0]}/healthz", timeout=10) as answer:
                        assert answer.status == 200
                    break
                except urllib.error.URLError:
                    server.poll()
                    assert server.returncode is None
                    _wait_for(address[0])
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=60) in (0, 130)
            assert "Traceback" not in server.stderr.read()
        finally:
            server.kill()


def _wait_for(address: str) -> None:
    """Until somebody listens there; the kernel says so, no sleeping."""
    host, port = address.removeprefix("http://").split(":")
    while True:
        with socket.socket() as probe:
            probe.settimeout(10)
            if probe.connect_ex((host, int(port))) == 0:
                return


def test_a_port_in_use_is_said_in_one_line(built: Path, vetrina: Vetrina) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = vetrina("serve", built, "--port", taken.getsockname()[1]).one_line()
    assert "--port" in line
