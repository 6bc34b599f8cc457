"""A shop measured: every figure is that of its parts, on what nothing has learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from commands import Vetrina
from engine_shop import make_shop
from vetrina import Shop, create_shop
from vetrina.core import DAY, EVENT_COLUMNS, EventLog, Silent
from vetrina.core.errors import ConfigError, DataError
from vetrina.engine import Engine, Gains, ShopConfig, cut_of, learn, requests_from_log
from vetrina.engine.encoding import encode_items
from vetrina.engine.ingest import read_canonical
from vetrina.engine.judged import judged_replay
from vetrina.evaluate import PROTOCOLS, Popularity, hold_out, measure
from vetrina.evaluate.comparing import Comparer
from vetrina.evaluate.evaluation import Comparison, Evaluation
from vetrina.evaluate.experiment import evaluate_shop, measure_holdout
from vetrina.evaluate.graded import measure_judged
from vetrina.evaluate.tables import ENGINE, SHOWN


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Evaluation]:
    shop = make_shop(tmp_path_factory.mktemp("measured"))
    return shop, evaluate_shop(shop)


def learned(shop: Shop) -> tuple[Engine, EventLog, int]:
    """(an engine that has learned from what was before the cut, the whole log, the cut)."""
    canonical = read_canonical(shop.root)
    encoded = encode_items(canonical.items, shop.root, shop.root / "media", shop.config, Silent())
    log = canonical.log
    cut = cut_of(log, shop.config.build.test_days)
    return learn(encoded.items, log.before(cut), shop.config, encoded.encoders), log, cut


def test_every_figure_is_that_of_the_parts(measured: tuple[Shop, Evaluation]) -> None:
    shop, evaluation = measured
    engine, log, cut = learned(shop)
    window = shop.config.rank.window
    test = requests_from_log(log, cut, int(log.time[-1]) + 1, window_size=window, gains=Gains(**shop.config.rank.gains))
    table = next(table for table in evaluation.tables if "all products" in table.title)
    rows = {row.system: row.values for row in table.rows}
    assert table.n == len(test.requests)
    ours = measure(engine.observe(log).rank(test.requests, 10).lists, test.truth, 10, SHOWN)
    popular = Popularity(Gains(**shop.config.rank.gains)).fit(engine.items, log.before(cut)).observe(log)
    theirs = measure(popular.rank(test.requests, 10), test.truth, 10, SHOWN)
    for name, scores in ((ENGINE, ours), ("popularity, ever", theirs)):
        for metric in scores.values:
            assert rows[name][metric].mean == pytest.approx(scores.mean(metric), abs=1e-6), (name, metric)


def test_what_is_told_beside_the_figures(measured: tuple[Shop, Evaluation]) -> None:
    shop, evaluation = measured
    tables = [one.table for one in evaluation.comparisons]
    every, new = tables  # what was bought again is told apart from what is new; there are no searches
    assert "products new to the shopper" in new.title
    rivals = {"own frequency", "ALS", "item-kNN", "popularity, best span", "popularity, 14 days", "popularity, ever"}
    for table in tables:
        assert table.title.startswith(f"{shop.config.shop.name}: ")
        assert {row.system for row in table.rows} == {ENGINE, *rivals}
        assert table.reference == ENGINE
        assert not table.leaks
        assert sum("tuned to" in note for note in table.notes) == 4, "what each was tuned to"
        assert json.loads(json.dumps(table.as_dict(), allow_nan=False))["n"] == table.n
    assert every.n >= new.n
    assert not shop.snapshots.names(), "nothing is published"


def test_a_figure_is_looked_at_from_all_sides(measured: tuple[Shop, Evaluation]) -> None:
    _, evaluation = measured
    every, _ = evaluation.comparisons
    main = {row.system: row.values for row in every.table.rows}
    assert {table.title for table in every.segments} == {"Head products", "Tail products"}, "all shoppers return"
    for table in every.segments:
        assert [row.system for row in table.rows] == list(main)
        assert 0 < table.n < every.table.n
    for name, curve in every.precision_recall.items():
        assert list(curve.x) == sorted(curve.x), "recall grows with the list"
        at_ten = list(curve.y).index(min(curve.y, key=lambda y: abs(y - main[name]["precision@10"].mean)))
        assert curve.y[at_ten] == pytest.approx(main[name]["precision@10"].mean)
        assert curve.x[at_ten] == pytest.approx(main[name]["recall@10"].mean)
    assert set(every.precision_recall) == set(main)
    assert every.learning["test"].y[-1] == pytest.approx(main[ENGINE]["ndcg@10"].mean, abs=1e-6), (
        "few, so all are asked"
    )
    assert every.beyond is not None
    assert [row.system for row in every.beyond.rows] == list(main)
    assert every.calibration is not None
    assert every.calibration.n == 10 * every.table.n
    assert every.calibration.base_rate == pytest.approx(main[ENGINE]["precision@10"].mean)
    assert sum(one.n for one in every.calibration.bins) == every.calibration.n
    assert every.calibration.auc > 0.5, "a higher score is chosen more often"
    best = max((name for name in main if name != ENGINE), key=lambda name: main[name]["ndcg@10"].mean)
    assert {example.rival for example in every.examples} == {best}
    assert "ranker" in next(iter(evaluation.training))
    assert evaluation.rates == (), "there are no impressions"


@pytest.mark.slow
def test_what_comes_later_changes_no_figure_of_what_came_before(measured: tuple[Shop, Evaluation]) -> None:
    """To the last bit: models, counts, tuning and tables of requests before a moment, whatever comes after it."""
    shop, _ = measured
    engine, log, cut = learned(shop)
    middle = (cut + int(log.time[-1])) // 2

    def figures(log: EventLog) -> list[dict[str, Any]]:
        held = hold_out(log, "time", shop.config, cut=cut)
        asked = {name: one.take(np.flatnonzero(one.requests.now < middle)) for name, one in held.parts.items()}
        assert held.validation
        found = []
        for level in (replace(held, parts=asked, words=""), replace(held.validation, words="")):
            own = learn(engine.items, level.train, shop.config, engine.encoders)
            found += measure_holdout(own, Comparer(engine.items, level, shop.config), trials=3)
        return [one.as_dict() for one in found]

    wanted = figures(log)
    assert min(one["n"] for one in wanted) > 5
    assert figures(log.before(middle)) == wanted
    assert figures(shuffled(log, middle)) == wanted
    # The same done a little earlier does change them.
    assert figures(shuffled(log, cut - 2 * DAY)) != wanted


def shuffled(log: EventLog, since: int) -> EventLog:
    """The same until ``since``; who did what with which item is mixed from then on."""
    later = np.flatnonzero(log.time >= since)
    mixed = {name: getattr(log, name).copy() for name in ("item", "kind", "shopper")}
    for number, column in enumerate(mixed.values()):
        column[later] = column[np.random.default_rng(number).permutation(later)]
    return replace(log, **mixed)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name not in ("time", "cold-shoppers")])
def test_every_protocol_measures_a_shop(measured: tuple[Shop, Evaluation], protocol: str) -> None:
    evaluation = evaluate_shop(measured[0], protocol=protocol, trials=1, baseline="popularity, ever")
    table, *_ = (one.table for one in evaluation.comparisons)
    assert table.reference == "popularity, ever"
    assert next(row for row in table.rows if row.system == ENGINE).lead is not None
    assert table.leaks == bool(PROTOCOLS[protocol].leak) == ("LEAKS" in table.heading)
    if table.leaks:
        assert PROTOCOLS[protocol].leak in table.notes
    json.dumps(evaluation.as_dict(), allow_nan=False)


def test_a_protocol_that_finds_nothing_to_ask_says_so(measured: tuple[Shop, Evaluation]) -> None:
    with pytest.raises(DataError, match=r"'cold-shoppers' finds nothing to ask in the log.*never seen before"):
        evaluate_shop(measured[0], protocol="cold-shoppers", trials=0)


def test_an_unknown_name_is_answered_with_the_nearest(measured: tuple[Shop, Evaluation]) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cold-items'"):
        evaluate_shop(measured[0], protocol="cold-item")
    with pytest.raises(ConfigError, match=r"baseline: there is no 'item-knn'\. Did you mean 'item-kNN'"):
        evaluate_shop(measured[0], baseline="item-knn")


def test_the_command_prints_tables_and_parts(measured: tuple[Shop, Evaluation], vetrina: Vetrina) -> None:
    shop, _ = measured
    done = vetrina("evaluate", shop.root, "--protocol", "shoppers", "--baseline", "ALS", "--trials", 0, "--quiet")
    assert done.code == 0, done.err
    assert "20% of the shoppers" in done.out
    assert "ALS’s lead" in done.out
    assert "LEAKS" in done.out
    part = next(line for line in done.out.splitlines() if line.startswith("Tail products"))
    assert ENGINE in part or "item-kNN" in part
    told = vetrina("evaluate", shop.root, "--protocol", "last", "--trials", 0, "--quiet", "--json").json()
    assert {"tables", "rates", "estimates", "training", "notes"} <= set(told)
    assert {"segments", "precision_recall", "calibration"} <= set(told["tables"][0])
    assert "Did you mean 'last'" in vetrina("evaluate", shop.root, "--protocol", "lst").one_line()


def test_a_shop_with_nothing_to_measure_says_so(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("sku,name\n1,Red shoe\n2,Blue hat\n", encoding="utf-8")
    create_shop(tmp_path / "shop", items_file=tmp_path / "products.csv")
    with pytest.raises(DataError, match=r"nothing to measure on.*shop\.toml"):
        evaluate_shop(Shop.open(tmp_path / "shop"))


# --- graded queries -------------------------------------------------------------


def graded(grades: pl.DataFrame, shop: Shop) -> list[Comparison]:
    canonical = read_canonical(shop.root)
    encoded = encode_items(canonical.items, shop.root, shop.root / "media", shop.config, Silent())
    judged = judged_replay(grades, canonical.items)
    assert judged is not None
    log = EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), encoded.items)
    return measure_judged(encoded, log, judged, shop.config)


def test_grades_of_other_queries_alone_are_learned_from(measured: tuple[Shop, Evaluation]) -> None:
    """Grades by lot cannot be foreseen: who does better than by lot has seen them."""
    shop, _ = measured
    rng = np.random.default_rng(0)
    items = read_canonical(shop.root).items
    queries = [
        f"{colour} {kind} {n}" for colour in ("red", "blue", "black") for kind in ("dress", "bag") for n in range(8)
    ]
    rows = [
        (query, item, float(grade))
        for query in queries
        for item, grade in zip(items.ids, rng.permutation([3] * 4 + [0] * 20), strict=True)
    ]
    pool, _ = graded(pl.DataFrame(rows, schema=["query", "item", "grade"], orient="row"), shop)
    table = pool.table
    # Queries that were chosen to be graded may be quoted.
    assert {one.query for one in pool.examples} <= set(queries)
    assert len(pool.examples) == 8
    by_lot = 10 / 24  # share of the right ones among ten drawn
    recall = {row.system: row.values["recall@10"] for row in table.rows}
    assert recall[ENGINE].low < by_lot < recall[ENGINE].high


def test_the_judged_pool_and_the_whole_catalogue(measured: tuple[Shop, Evaluation]) -> None:
    shop, _ = measured
    items = read_canonical(shop.root).items
    titles = dict(zip(items.ids, items.table["title"].str.to_lowercase(), strict=True))
    rows = []
    for colour in ("red", "blue", "black"):
        for kind in ("dress", "shoe", "hat", "bag"):
            judged = [item for item, title in titles.items() if kind in title]  # nobody judged the other kinds
            rows += [(f"{colour} {kind}", item, 3.0 if colour in titles[item] else 0.0) for item in judged]
    found = graded(pl.DataFrame(rows, schema=["query", "item", "grade"], orient="row"), shop)
    pool, whole = (one.table for one in found)
    assert (pool.n, whole.n) == (12, 12)
    assert "judged pool" in pool.title
    assert "whole catalogue" in whole.title
    for table in (pool, whole):
        assert {row.system for row in table.rows} == {ENGINE, "BM25"}
        # Both words of the title answer it: whoever reads them puts the right ones first.
        assert {row.system: round(row.values["mrr@10"].mean, 6) for row in table.rows} == {ENGINE: 1.0, "BM25": 1.0}
    assert len(whole.notes) == 1
    assert "%" in whole.notes[0]


def test_settings_hold_in_an_experiment(measured: tuple[Shop, Evaluation]) -> None:
    """Fewer test days are fewer requests, and shoppers that are simulated are said to be."""
    shop, evaluation = measured
    engine, log, _ = learned(shop)
    options = shop.config.model_dump()
    options["shop"]["simulated"] = True
    config = ShopConfig.parse(options, "")
    late = int(log.time[-1]) + 1 - 2 * DAY
    comparer = Comparer(engine.items, hold_out(log, "time", config, cut=late), config)
    table = measure_holdout(engine, comparer, trials=0)[0].table
    assert table.n < evaluation.tables[0].n
    assert "SIMULATED shoppers" in table.heading
    assert "baselines not tuned" in table.heading
    assert not any("tuned to" in note for note in table.notes)
