"""Item2vec, and the pairs that it learns from: against arithmetic, planted truth, and with little to tell."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import TruncatedSVD

from vetrina.core import EVENT_COLUMNS, EventLog, Items, Silent
from vetrina.core.pairs import Pairs, chosen_together
from vetrina.encode import Item2Vec
from vetrina.testing import check_encoder

ITEMS = Items(pl.DataFrame({"item": [f"p{number}" for number in range(12)]}))


def log_of(rows: list[tuple[int, str | None, str, str]]) -> EventLog:
    """Of (minute, shopper, kind, item)."""
    table = pl.DataFrame(rows, schema=["time", "shopper", "kind", "item"], orient="row").with_columns(
        pl.col("time") * 60
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in table.columns]
    return EventLog.from_table(table.with_columns(missing).select(*EVENT_COLUMNS), ITEMS)


def told(pairs: Pairs) -> dict[tuple[int, int], float]:
    return {(left, right): weight for left, right, weight in zip(*(column.tolist() for column in pairs), strict=True)}


def test_it_holds_to_the_contract() -> None:
    check_encoder(Item2Vec)


def test_pairs_written_out() -> None:
    log = log_of(
        [
            (0, "ana", "click", "p3"),
            (5, "ana", "purchase", "p1"),
            (20, "ana", "cart", "p3"),
            (21, "ana", "impression", "p5"),  # shown, not chosen
            (22, "ana", "hide", "p6"),
            (60, "ana", "click", "p2"),  # forty minutes later
            (60, "bo", "click", "p1"),
            (61, "bo", "view", "p3"),
            (61, None, "click", "p4"),  # of nobody known
            (62, None, "click", "p1"),
        ]
    )
    wanted = {(1, 3): np.sqrt(3 * 1) + np.sqrt(2 * 3) + 1}
    assert told(chosen_together(log)) == pytest.approx(wanted)
    near = told(chosen_together(log, minutes=45))
    assert near[2, 3] == pytest.approx(np.sqrt(2))
    assert told(chosen_together(log, reach=1)) == pytest.approx(wanted)
    assert told(chosen_together(log.take(slice(0, 0)))) == {}


def test_the_reach_counts_choices_of_the_same_shopper() -> None:
    log = log_of([(minute, "ana", "click", f"p{minute}") for minute in range(5)])
    assert set(told(chosen_together(log, reach=2))) == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)}


def aisles() -> EventLog:
    """Sessions that keep to one of two halves of the shop: p0 to p4, and p5 to p9; nobody touches p10 and p11."""
    rng = np.random.default_rng(0)
    rows: list[tuple[int, str | None, str, str]] = []
    for session in range(60):
        for step, item in enumerate(rng.choice(5, 3, replace=False) + 5 * (session % 2)):
            rows.append((session * 600 + step, f"s{rng.integers(9)}", "click", f"p{item}"))
        last = rows[-1]
        rows[-3:] = [(row[0], last[1], row[2], row[3]) for row in rows[-3:]]
    return log_of(rows)


def test_items_of_the_same_sessions_lie_near_one_another() -> None:
    vectors = Item2Vec(dim=4).fit_log(ITEMS, aisles()).transform(ITEMS.ids)
    cosine = vectors[:10] @ vectors[:10].T
    half = np.arange(10) // 5
    same = (half[:, None] == half[None, :]) & ~np.eye(10, dtype=bool)
    assert cosine[same].mean() > cosine[half[:, None] != half[None, :]].mean() + 0.5
    assert not vectors[10:].any()


def test_vectors_are_factors_of_the_shifted_positive_pmi() -> None:
    """The matrix made slowly, its factors by scikit-learn's exact solver: the same cosines."""
    log = aisles()
    counts = np.zeros((12, 12))
    for (left, right), weight in told(chosen_together(log)).items():
        counts[left, right] += weight
        counts[right, left] += weight
    chance = counts.sum(axis=1)[:, None] * counts.sum(axis=0) ** 0.75 / (counts.sum(axis=0) ** 0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = np.nan_to_num(np.maximum(np.log(counts / chance) - np.log(1.2), 0))[:10]
    solver = TruncatedSVD(4, algorithm="arpack", random_state=0)
    factors = solver.fit_transform(matrix) * solver.singular_values_**-0.5
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    vectors = Item2Vec(dim=4, shift=1.2).fit_log(ITEMS, log).transform(ITEMS.ids[:10])
    np.testing.assert_allclose(vectors @ vectors.T, factors @ factors.T, atol=1e-4)


def test_without_events_nothing_is_known() -> None:
    empty = aisles().take(slice(0, 0))
    for encoder in (Item2Vec().fit_log(ITEMS, empty), Item2Vec().fit(ITEMS, ITEMS.ids, Silent())):
        assert encoder.transform(["p1", "p2"]).tolist() == [[0.0], [0.0]]


def test_an_item_unknown_to_the_log_has_no_vector() -> None:
    vectors = Item2Vec(dim=4).fit_log(ITEMS, aisles()).transform(["p11", "came later", "p1"])
    assert vectors.any(axis=1).tolist() == [False, False, True]
