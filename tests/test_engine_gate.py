"""The gate: what is known of a shopper counts where the query has to do with it and tastes differ, and nowhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy.stats import kendalltau

from planted import NOW, items_of
from vetrina.core import DAY, EVENT_COLUMNS, EventLog, Items, Query, Requests
from vetrina.engine import Engine, ShopConfig
from vetrina.engine.gate import Gate, nobody
from vetrina.engine.learn import learn
from vetrina.engine.snapshots import Snapshots

KINDS = ["charger for Galaxy S4", "dress", "lamp"]
#: Ten of each kind, every other one blue; of the chargers everybody buys the first, which is red.
ITEMS = items_of(
    30,
    title=[f"{kind} no{n}" for kind in KINDS for n in range(10)],
    category=[kind.split()[0] for kind in KINDS for _ in range(10)],
    colour=["blue" if n % 2 else "red" for _ in KINDS for n in range(10)],
)
#: A shop that lets the shopper's colour count for far more than it should in all searches.
WEIGHTS = {"bm25_of_best": 3.0, "query_item_of_best": 1.0, "taste_colour": 2.0}


def planted(shoppers: int = 120, seed: int = 0) -> EventLog:
    """Everybody chooses dresses of one colour and lamps of one, and by the words "galaxy charger" the first one."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for who in range(shoppers):
        colours = rng.integers(2, size=3).tolist()
        for visit in range(8):
            kind = int(rng.integers(3))
            item = 10 * kind + (0 if kind == 0 else 2 * int(rng.integers(5)) + colours[kind])
            rows.append(
                {
                    "time": NOW + visit * 7 * DAY + int(rng.integers(DAY)),
                    "shopper": f"s{who}",
                    "kind": "click",
                    "item": str(item),
                    "query": ["galaxy charger", "dress", "lamp"][kind],
                    "request": f"{who}-{visit}",
                }
            )
    table = pl.DataFrame(rows)
    rest = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in table.columns]
    return EventLog.from_table(table.with_columns(rest).select(list(EVENT_COLUMNS)), ITEMS)


def config(gate: bool) -> ShopConfig:
    return ShopConfig.parse(
        {
            "items": {"file": "products.csv", "item": "item"},
            "encode": {},
            "retrieve": {name: {"k": 30} for name in ("lexical", "query_item", "popular")},
            "rank": {
                "features": ["words", "queries", "taste"],
                "ranker": "match_score",
                "options": {"weights": WEIGHTS},
                "gate": gate,
            },
        },
        "",
    )


@cache
def engines() -> tuple[Engine, Engine]:
    """(with the gate, without)."""
    log = planted()
    return learn(ITEMS, log, config(True), {}), learn(ITEMS, log, config(False), {})


def search(text: str, *histories: list[int]) -> Requests:
    """Shoppers who clicked these items, a day apart, search for ``text``."""
    rows = [
        {"time": NOW + 80 * DAY + n * DAY, "shopper": str(who), "kind": "click", "item": str(item)}
        for who, history in enumerate(histories)
        for n, item in enumerate(history)
    ]
    table = pl.DataFrame(rows)
    rest = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in table.columns]
    log = EventLog.from_table(table.with_columns(rest).select(list(EVENT_COLUMNS)), ITEMS)
    known = {name: code for code, name in enumerate(log.shoppers)}
    codes = np.array([known.get(str(who), -1) for who in range(len(histories))], dtype=np.int32)
    now = np.full(len(histories), NOW + 99 * DAY)
    return Requests(log.windows(codes, now, 100), [Query(text)] * len(histories), now)


def order(engine: Engine, requests: Requests) -> npt.NDArray[np.int32]:
    return np.stack([engine.rank(requests, 10).lists.list_of(row) for row in range(len(requests))])


BLUE, RED = [11, 13, 15, 21, 23], [10, 12, 14, 20, 22]  # dresses and lamps


def test_where_everybody_chooses_the_same_the_person_does_not_count() -> None:
    gated, bent = engines()
    requests = search("galaxy charger", [*BLUE, 0], [*RED, 0])
    assert order(bent, requests)[0, 0] != 0  # a blue charger that nobody has bought
    assert order(bent, nobody(requests))[0, 0] == 0
    assert order(gated, requests)[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(("text", "first"), [("dress", 10), ("lamp", 20)])
def test_where_tastes_differ_the_gain_stays(text: str, first: int) -> None:
    gated, bent = engines()
    requests = search(text, [*BLUE, 0], [*RED, 0])
    for engine in (gated, bent):
        found = order(engine, requests)
        assert (found >= first).all()
        assert (found[0, :5] % 2 == 1).all()
        assert (found[1, :5] % 2 == 0).all()
    assert not np.array_equal(order(gated, requests), order(gated, nobody(requests)))


def test_a_charger_is_not_bent_by_dresses_and_a_dress_is_personal() -> None:
    """The words were never asked for in the log, so that no entropy of theirs is known."""
    gated, bent = engines()
    window = [item for item in range(10, 20) if item % 2]
    charger, dress = search("charger for Galaxy S4", window), search("red or blue dress", window)
    unknown = order(gated, nobody(charger))[0].tolist()
    likeness = {
        name: kendalltau(unknown, [unknown.index(item) for item in order(engine, charger)[0].tolist()]).statistic
        for name, engine in {"gated": gated, "bent": bent}.items()
    }
    assert order(gated, charger)[0].tolist() == unknown
    assert order(bent, charger)[0].tolist() != unknown, likeness
    assert (order(gated, dress)[0, :5] % 2 == 1).all()


def test_shares_add_up_to_the_gated_score() -> None:
    gated, _ = engines()
    requests = search("galaxy charger", [*BLUE, 0], [])
    ranked = gated.rank(requests, 10)
    shares = gated.contributions(requests, ranked.lists, ranked.features)
    score = np.asarray(ranked.lists.columns["score"], dtype=np.float32)
    np.testing.assert_allclose(shares.sum(axis=1), score, atol=1e-4)


def test_what_is_unknown_of_nobody_is_found_by_itself() -> None:
    gate, names = engines()[0].gate, engines()[0].feature_names
    assert gate is not None
    personal = {name for name, is_personal in zip(names, gate.personal_, strict=True) if is_personal}
    assert {"taste_colour", "taste_category"} <= personal <= {name for name in names if name.startswith("taste_")}
    features = np.ones((2, len(names)), dtype=np.float32)
    general = gate.general(features)
    assert general[0, names.index("taste_colour")] == 0
    assert general[0, names.index("bm25_of_best")] == 1


def test_recommendations_and_shoppers_without_a_past_are_as_without_a_gate() -> None:
    gated, bent = engines()
    for requests in (search("", BLUE, RED), nobody(search("dress", BLUE))):
        np.testing.assert_array_equal(order(gated, requests), order(bent, requests))
    assert bent.gate is None


def test_the_gate_is_in_the_snapshot(tmp_path: Path) -> None:
    gated, _ = engines()
    snapshots = Snapshots(tmp_path)
    loaded, _ = snapshots.load(snapshots.write(gated, config(True), {}, {}))
    assert isinstance(loaded.gate, Gate)
    requests = search("galaxy charger", [*BLUE, 0], RED)
    np.testing.assert_array_equal(order(loaded, requests), order(gated, requests))


def test_with_too_little_to_learn_from_the_prior_stands() -> None:
    log = planted(shoppers=12)
    few = learn(ITEMS, log, config(True), {}).gate
    assert few is not None
    assert few.weights_[:3].tolist() == [-6, 6, 0.5]
    assert engines()[0].gate.weights_[:3].tolist() != [-6, 6, 0.5]  # type: ignore[union-attr]


def test_a_shop_without_events_has_no_gate_to_learn() -> None:
    items = Items(ITEMS.table)
    assert learn(items, planted().take(slice(0, 0)), config(True), {}).gate is None
