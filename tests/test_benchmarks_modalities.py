"""Intervals of the tables of `benchmarks/modalities`: by what they are drawn over several seeds."""

from __future__ import annotations

import numpy as np
import pytest

from modalities import Outcome, SeedTable, over_seeds
from vetrina.evaluate import Interval


def interval(table: SeedTable) -> Interval:
    (lead,) = [row.lead for row in table.rows if row.lead is not None]
    return lead["ndcg"]


def test_the_same_queries_asked_with_more_seeds_are_no_more_queries() -> None:
    rng = np.random.default_rng(0)
    found: Outcome = {"new": {"ndcg": rng.random(100)}, "old": {"ndcg": rng.random(100)}}
    once = interval(over_seeds("", [found], reference="new"))
    again = interval(over_seeds("", [found] * 5, [np.arange(100)] * 5, reference="new"))
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=1e-6)
    with pytest.raises(ValueError, match="needs clusters"):
        over_seeds("", [found] * 5, reference="new")
