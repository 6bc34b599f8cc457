"""Raters: how far they agree, and what one of them comes to when the others judge."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from vetrina import Shop
from vetrina.catalogue.judgements import read_judgements, settled
from vetrina.core import ItemList
from vetrina.engine.create import create_from_tables
from vetrina.engine.ingest import read_canonical
from vetrina.engine.judged import judged_replay
from vetrina.evaluate.experiment import evaluate_shop
from vetrina.evaluate.raters import ONE_RATER, agreement, ceiling, ndcg_of_grades, rater_table
from vetrina.evaluate.tables import ENGINE
from vetrina.testing import small_shop

ITEMS, _ = small_shop()
Floats = npt.NDArray[np.float64]


def told(rows: list[tuple[str, str, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["query", "item", "rater", "grade"], orient="row")


def three(seed: int, n_queries: int = 20, n_items: int = 6, noise: float = 0.7) -> pl.DataFrame:
    """Three raters who see one truth through noise, each a little stricter than the one before."""
    rng = np.random.default_rng(seed)
    rows = []
    for query in range(n_queries):
        for item in rng.choice(len(ITEMS), n_items, replace=False):
            right = rng.integers(0, 4)
            for strictness, rater in enumerate(("ana", "bo", "cy")):
                grade = np.clip(np.round(right + noise * rng.normal() - 0.1 * strictness), 0, 3)
                rows.append((f"query {query}", ITEMS.ids[item], rater, float(grade)))
    return told(rows)


# --- agreement ------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 200))
def test_kappa_of_each_pair_is_that_of_scikit_learn(seed: int) -> None:
    raters = three(seed, n_queries=4)
    # Somebody graded less than the others did.
    raters = raters.filter((pl.col("rater") != "cy") | (pl.col("query") != "query 3"))
    found = agreement(raters)
    assert found is not None
    wide = raters.pivot("rater", index=["query", "item"], values="grade")
    sizes = {}
    for one, other in found.by_pair:
        both = wide.drop_nulls([one, other])
        x, y = (both[name].cast(pl.Int64).to_list() for name in (one, other))
        expected = cohen_kappa_score(x, y, weights="quadratic", labels=[0, 1, 2, 3])
        assert found.by_pair[one, other] == pytest.approx(expected, abs=1e-9)
        sizes[one, other] = len(x)
    mean = sum(found.by_pair[pair] * n for pair, n in sizes.items()) / sum(sizes.values())
    assert found.kappa == pytest.approx(mean, abs=1e-12)
    assert set(found.by_pair) == {("ana", "bo"), ("ana", "cy"), ("bo", "cy")}
    assert (found.n_raters, found.n_queries, found.n_items) == (3, 4, 24)


def test_kappa_by_hand() -> None:
    """(1, 1), (2, 3), (0, 0): 1 - (1/3) / (mean of x² + mean of y² - 2 · 1 · 4/3)."""
    grades = {"a": (1, 2, 0), "b": (1, 3, 0)}
    rows = [("q", str(n), who, float(grade)) for who, given in grades.items() for n, grade in enumerate(given)]
    found = agreement(told(rows))
    assert found is not None
    assert found.kappa == pytest.approx(1 - (1 / 3) / (5 / 3 + 10 / 3 - 2 * 4 / 3))
    assert np.isnan([found.low, found.high]).all(), "one query says nothing of others"


def test_raters_who_say_the_same_agree_and_those_who_guess_do_not() -> None:
    same, guesses = agreement(three(0, noise=0.0, n_queries=60)), agreement(three(0, noise=50.0, n_queries=60))
    assert same is not None
    assert guesses is not None
    assert same.kappa > 0.95
    assert same.low <= same.kappa <= same.high
    assert abs(guesses.kappa) < 0.15
    assert guesses.low < 0 < guesses.high or abs(guesses.kappa) < 0.1


@pytest.mark.slow
def test_the_interval_holds_the_kappa_of_many_queries() -> None:
    whole = agreement(three(99, n_queries=1000))
    assert whole is not None
    held = 0
    for seed in range(40):
        found = agreement(three(seed, n_queries=40))
        assert found is not None
        held += found.low <= whole.kappa <= found.high
    assert held >= 33, "a 95% interval that held it in fewer of 40 runs would be one in a thousand"


def test_who_graded_alone_agrees_with_nobody() -> None:
    assert agreement(told([("q", "a", "ana", 1.0), ("q", "b", "bo", 1.0)])) is None


def test_the_sentence_names_nobody() -> None:
    found = agreement(three(1))
    assert found is not None
    assert not any(name in found.words.split() for name in ("ana", "bo", "cy"))
    assert found.words.startswith("3 raters agree with a quadratic weighted kappa of 0.")


# --- one rater's order ----------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6),
    st.integers(1, 4),
)
def test_ties_count_with_the_mean_over_all_their_orders(rows: list[tuple[int, int]], k: int) -> None:
    grades, gains = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    (got,) = ndcg_of_grades(grades, gains, np.zeros(len(rows), dtype=np.int64), 1, k)
    orders = [order for order in permutations(range(len(rows))) if (np.diff(grades[list(order)]) <= 0).all()]
    discount = np.where(np.arange(len(rows)) < k, 1 / np.log2(np.arange(len(rows)) + 2.0), 0)
    best = (np.sort(gains)[::-1] * discount).sum()
    if not best:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(np.mean([gains[list(order)] @ discount for order in orders]) / best, abs=1e-12)


def test_a_rater_is_judged_by_the_mean_of_the_others() -> None:
    """One query of two items; ana and bo put p00 first, cy p01: worked out by hand."""
    grades = {"ana": (3, 0), "bo": (2, 1), "cy": (0, 3)}
    raters = told([("hat", f"p0{n}", who, float(g)) for who, pair in grades.items() for n, g in enumerate(pair)])
    judged = judged_replay(settled(raters), ITEMS)
    assert judged is not None
    first, second = 1.0, 1 / np.log2(3)

    def ndcg(order: tuple[int, int], gains: tuple[float, float]) -> float:
        best = max(gains) * first + min(gains) * second
        return float((gains[order[0]] * first + gains[order[1]] * second) / best)

    left_out = {"ana": (1.0, 2.0), "bo": (1.5, 1.5), "cy": (2.5, 0.5)}  # the means of the others
    orders = {"ana": (0, 1), "bo": (0, 1), "cy": (1, 0)}
    table = rater_table("x", raters, judged, ITEMS, {ENGINE: [ItemList.from_lists([np.array([1, 0], dtype=np.int32)])]})
    assert table is not None
    means = {row.system: row.values["ndcg@10"].mean for row in table.rows}
    assert means[ONE_RATER] == pytest.approx(np.mean([ndcg(orders[who], left_out[who]) for who in grades]))
    assert means[ENGINE] == pytest.approx(np.mean([ndcg((1, 0), left_out[who]) for who in grades]))


def test_ties_in_the_engines_order_are_at_least_as_good_where_the_engine_is_right() -> None:
    raters = three(3, n_queries=30)
    judged = judged_replay(settled(raters), ITEMS)
    assert judged is not None
    truth = judged.truth
    bounds = list(zip(truth.offsets[:-1], truth.offsets[1:], strict=True))
    right = ItemList.from_lists([truth.item[a:b][np.argsort(-truth.gain[a:b], kind="stable")] for a, b in bounds])
    wrong = ItemList.from_lists([truth.item[a:b][np.argsort(truth.gain[a:b], kind="stable")] for a, b in bounds])
    found = []
    for lists in (right, wrong):
        table = rater_table("x", raters, judged, ITEMS, {ENGINE: [lists, lists]})
        assert table is not None
        means = {row.system: row.values["ndcg@10"].mean for row in table.rows}
        found.append((means[f"{ONE_RATER}, ties as {ENGINE}"], means[ONE_RATER], means[ENGINE]))
        assert f"{means[ONE_RATER]:.3f}" in ceiling(table)
    (helped, alone, engine), (hindered, same, worse) = found
    assert alone == pytest.approx(same)
    assert hindered < alone < helped
    assert worse < alone < engine


def test_items_and_queries_that_only_one_graded_are_not_judged() -> None:
    raters = told(
        [("hat", item, who, float(grade)) for item, who, grade in (
            ("p00", "ana", 3), ("p00", "bo", 3), ("p01", "ana", 0), ("p01", "bo", 1), ("p02", "ana", 3),
        )] + [("shoe", "p00", "ana", 1.0), ("shoe", "p01", "ana", 0.0)]
    )  # fmt: skip
    judged = judged_replay(settled(raters), ITEMS)
    assert judged is not None
    # p02 first: were it judged, the list would have wasted its first place.
    hat = np.array([2, 0, 1], dtype=np.int32)
    lists = ItemList.from_lists([hat, np.array([1, 0], dtype=np.int32)])
    table = rater_table("x", raters, judged, ITEMS, {ENGINE: [lists]})
    assert table is not None
    assert (table.n, table.n_left_out) == (1, 1)
    assert {row.system: row.values["ndcg@10"].mean for row in table.rows}[ENGINE] == pytest.approx(1.0)


def test_raters_of_nothing_in_common_have_no_table() -> None:
    alone = told([("hat", "p00", "ana", 1.0), ("hat", "p01", "bo", 1.0)])
    zeros = told([("hat", item, who, 0.0) for item in ("p00", "p01") for who in ("ana", "bo")])
    for raters in (alone, zeros):
        judged = judged_replay(settled(raters), ITEMS)
        assert judged is not None
        assert rater_table("x", raters, judged, ITEMS, {}) is None


# --- from a file ----------------------------------------------------------------


def test_a_file_of_raters_is_read_with_the_grades_that_count(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text(
        "query,item,grade,by\nhat,p00,3,ana\nhat,p00,2,bo\nhat,p00,1,bo\nhat,p01,1,ana\nhat,p01,0,\nhat,p99,1,ana\n"
    )
    names = {"query": "query", "item": "item", "grade": "grade", "rater": "by"}
    read = read_judgements(tmp_path, "j.csv", ITEMS.table["item"], **names)
    assert read.table["rater"].to_list() == ["ana", "bo", "ana", None]
    assert read.quarantine["row"].to_list() == [7, 4]
    assert settled(read.table).rows() == [("hat", "p00", 2.5), ("hat", "p01", 0.0)]


@pytest.mark.slow
def test_a_shop_with_raters_shows_them_beside_its_figures(tmp_path: Path) -> None:
    raters = three(7, n_queries=25)
    agreed = settled(raters)
    grades = pl.concat([agreed.head(10).with_columns(grade=pl.lit(2.0)), raters], how="diagonal")
    create_from_tables(
        tmp_path, items=ITEMS.table, events=None, judgements=grades, photos_root=None, name="Small",
        overrides={"encode": {"photo": None}},
    )  # fmt: skip
    evaluation = evaluate_shop(Shop.open(tmp_path), trials=0)
    canonical = read_canonical(tmp_path)
    assert canonical.judgements is not None
    assert canonical.raters is not None
    assert canonical.judgements.height == agreed.height
    assert canonical.judgements["grade"].head(10).to_list() == [2.0] * 10
    assert canonical.raters.height == raters.height
    pool, _, beside = evaluation.tables
    assert [row.system for row in beside.rows] == [ENGINE, "BM25", ONE_RATER, f"{ONE_RATER}, ties as {ENGINE}"]
    assert all(np.isfinite([row.values["ndcg@10"].low, row.values["ndcg@10"].high]).all() for row in beside.rows)
    assert any("quadratic weighted kappa" in note for note in pool.notes)
    assert any(note.startswith("the ceiling: judged by the other raters") for note in pool.notes)
