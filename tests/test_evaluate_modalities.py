"""The table of modalities on planted shops whose every figure is known, and where it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine_shop import make_shop
from planted import NOW, asked, items_of
from vetrina.core import EventKind, Items, Query, Truth
from vetrina.engine import Engine, Replay
from vetrina.evaluate.building import build_shop
from vetrina.evaluate.modalities import ModalityTable, by_likeness, measure_modalities
from vetrina.policy import PolicyConfig
from vetrina.rank import MatchScore
from vetrina.vectors import Concat

N = 12
BUY = EventKind.purchase


def engine_of(**vectors: np.ndarray) -> Engine:
    """An engine that knows nothing but vectors."""
    known = {name: unit_or_zero(rows) for name, rows in vectors.items()}
    fuser = Concat(dimensions=4).fit(known)
    items = items_of(N, {**known, "fused": fuser.transform(known)})
    return Engine(items, {}, {}, {}, [], MatchScore(), PolicyConfig(), fuser)


def unit_or_zero(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)


def neighbours(items: Items, queries: list[Query] | None = None) -> Replay:
    """Everybody bought an even item and wants the one after it."""
    histories = [[(item, BUY, 1.0)] for item in range(0, N, 2)]
    truth = Truth.from_lists([{item + 1: 1.0} for item in range(0, N, 2)])
    return Replay(asked(histories, queries), truth, np.arange(N // 2, dtype=np.int32))


def in_pairs() -> np.ndarray:
    """Items 2n and 2n + 1 are alike, and unlike all others."""
    return np.repeat(np.eye(N // 2), 2, axis=0)


def at_random(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, 6))


def test_the_modality_that_knows_is_told_from_the_one_that_does_not() -> None:
    engine = engine_of(good=in_pairs(), noise=at_random())
    table = measure_modalities(engine, {"recommendations": neighbours(engine.items)}, "Planted")
    assert table is not None
    good, noise = table.rows
    # What was bought comes first, and what is like it second.
    second = 1 / np.log2(3)
    assert good.alone["recommendations"].mean == pytest.approx(second)
    assert noise.alone["recommendations"].mean < second - 0.1
    assert good.without["recommendations"].mean < second - 0.1
    for row in table.rows:
        whole, less = table.whole.alone["recommendations"].mean, row.without["recommendations"].mean
        assert row.adds["recommendations"].mean == pytest.approx(whole - less)
    assert good.adds["recommendations"].mean > 0


def test_coverage_counts_what_has_a_vector() -> None:
    rows = in_pairs()
    rows[3:] = 0
    table = measure_modalities(engine_of(few=rows, all=at_random()), {}, "Planted")
    assert table is not None
    few, every = table.rows
    assert (few.n_covered, every.n_covered, few.n_items) == (3, N, N)
    _, lines = table.cells()
    assert [line[2] for line in lines] == ["25.0%", "100%", "100%"]


def test_searches_and_recommendations_are_printed_one_below_the_other() -> None:
    engine = engine_of(good=in_pairs(), noise=at_random())
    replay = neighbours(engine.items)
    table = measure_modalities(engine, {"searches": replay, "recommendations": replay}, "Planted")
    assert table is not None
    lines = table.text().splitlines()
    assert [line.split()[4:6] for line in lines if line.startswith("modality")] == [
        ["searches:", "alone"],
        ["recommendations:", "alone"],
    ]
    assert sum(line.startswith("good ") for line in lines) == 2
    assert max(map(len, lines)) < 110


def test_searches_that_say_nothing_there_have_no_figure() -> None:
    """No encoder reads words here: a search seeks nothing, and no figure is made up for it."""
    engine = engine_of(good=in_pairs(), noise=at_random())
    replay = neighbours(engine.items, [Query(text="shoes")] * (N // 2))
    table = measure_modalities(engine, {"searches": replay}, "Planted")
    assert table is not None
    assert np.isnan(table.rows[0].alone["searches"].mean)
    assert table.as_dict()["rows"][0]["alone"]["searches"]["mean"] is None
    assert " nan" not in table.text()


def test_words_order_by_what_they_say() -> None:
    rows = unit_or_zero(in_pairs())
    items = items_of(N, {"text": rows})
    replay = neighbours(items, [Query(text="x")] * (N // 2))
    lists = by_likeness(replay, items, rows, rows[[3] * (N // 2)])
    assert lists is not None
    assert set(lists.list_of(0)[:2].tolist()) == {2, 3}
    assert by_likeness(replay, items, rows, None) is None


def test_what_is_excluded_or_not_on_sale_is_not_listed() -> None:
    rows = unit_or_zero(in_pairs())
    items = items_of(N, {"text": rows}, available_at=[None, NOW + 5, *[None] * (N - 2)])
    first = neighbours(items, [Query(exclude_purchased=True), *[Query(exclude=(3,))] * (N // 2 - 1)])
    lists = by_likeness(first, items, rows, None)
    assert lists is not None
    assert not {0, 1} & set(lists.list_of(0).tolist()), "bought before; not yet on sale"
    assert 3 not in lists.list_of(1)
    assert 2 in lists.list_of(1)


def test_one_modality_adds_all_there_is_and_none_is_no_table() -> None:
    engine = engine_of(good=in_pairs())
    table = measure_modalities(engine, {"recommendations": neighbours(engine.items)}, "Planted", simulated=True)
    assert table is not None
    assert "SIMULATED" in table.heading
    assert np.isnan(table.rows[0].without["recommendations"].mean)
    bare = Engine(items_of(N), {}, {}, {}, [], MatchScore(), PolicyConfig())
    assert measure_modalities(bare, {}, "Planted") is None


@pytest.mark.slow
def test_a_build_shows_it_everywhere(tmp_path: Path) -> None:
    """In the manifest, and on the page; photos that could not be read are counted by reason."""
    shop = make_shop(tmp_path)
    photos = sorted((tmp_path / "photos").iterdir())
    photos[0].write_bytes(b"")
    photos[1].write_bytes(b"")
    photos[2].write_bytes(b"no photo at all")
    manifest, evaluation = build_shop(shop, trials=0)
    table = evaluation.modalities
    assert isinstance(table, ModalityTable)
    rows = {row.modality: row for row in table.rows}
    assert rows["photo"].n_covered == rows["text"].n_covered - 3
    assert sorted(rows["photo"].quarantined.values()) == [1, 2]
    bad = pl.read_parquet(shop.root / "data" / "quarantine.parquet").filter(pl.col("column") == "photo")
    assert bad.height == 3
    told = json.loads(json.dumps(manifest["metrics"]["evaluation"], allow_nan=False))
    assert [row["modality"] for row in told["modalities"]["rows"]] == list(rows)
    assert told["cold"]
    page = (shop.report_path() or Path()).read_text(encoding="utf-8")
    for words in ("Modalities", "New products", "2 quarantined: the photo is empty", "87.5%"):
        assert words in page, words
