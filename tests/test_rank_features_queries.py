"""Features of what was chosen under the query's words, and the entropy of its choices by SciPy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import entropy

from planted import NOW, asked, items_of, lists_of
from vetrina.core import EVENT_COLUMNS, EventLog, Query
from vetrina.core.queries import choice_entropy
from vetrina.rank.features import Queries

ITEMS = items_of(6)


def log_of_choices(*rows: tuple[str, str | None, int, str]) -> EventLog:
    """A log of (request, query, item, kind)."""
    names = ("request", "query", "item", "kind")
    table = pl.DataFrame(
        [(request, query, str(item), kind) for request, query, item, kind in rows], schema=names, orient="row"
    ).with_columns(time=pl.lit(NOW, pl.Int64), shopper=pl.lit("ana"))
    rest = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in table.columns]
    return EventLog.from_table(table.with_columns(rest).select(list(EVENT_COLUMNS)), ITEMS)


LOG = log_of_choices(
    *[(f"a{n}", "Red Shoes", item, "click") for n, item in enumerate([0, 0, 0, 1, 2, 2])],
    ("a0", None, 0, "purchase"),  # the same item of the same list
    ("b0", "shoe red", 1, "click"),  # the same words
    *[(f"c{n}", "iphone", 3, "purchase") for n in range(4)],
    ("d", "lamp", 4, "impression"),
)


def test_entropy_is_that_of_each_query_s_choices() -> None:
    found = choice_entropy(LOG)
    assert found.keys() == {"red shoe", "iphon"}
    assert found["red shoe"] == pytest.approx(entropy([3, 2, 2], base=2))
    assert found["iphon"] == 0


def test_features_are_the_source_s_score_and_the_entropy(tmp_path: Path) -> None:
    family = Queries().fit(ITEMS, LOG)
    family.save(tmp_path)
    lists = lists_of([0, 1], [3], [4], query_item=[4.0, 2.0, 0.0, 1.0])
    requests = asked([[]] * 3, [Query("red shoes"), Query("iPhone"), Query("lamp")])
    bits = entropy([3, 2, 2], base=2)
    expected: list[list[float]] = [[4, 1, bits], [2, 0.5, bits], [0, 0, 0], [1, 1, np.nan]]
    for one in (family, Queries.load(tmp_path).bind(ITEMS)):
        np.testing.assert_allclose(one.compute(requests, lists), expected, rtol=1e-6)


def test_without_the_source_its_score_is_not_known() -> None:
    features = Queries().fit(ITEMS, LOG).compute(asked([[]], [Query("iphone")]), lists_of([3, 4]))
    np.testing.assert_array_equal(features, [[np.nan, np.nan, 0]] * 2)
