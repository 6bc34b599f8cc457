"""Rows count by their weight, for every ranker that learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vetrina.core import component_class
from vetrina.rank import Ranker, TrainingRows

TREES: dict[str, Any] = {"trees": 20, "leaves": 6, "min_rows_in_leaf": 5, "threads": 1}
NETWORK: dict[str, Any] = {"dim": 2, "hidden": 8, "epochs": 6, "learning_rate": 1e-2, "dropout": 0.0}
RANKERS: list[tuple[str, dict[str, Any]]] = [
    ("lambdamart", TREES),
    ("pointwise", TREES),
    ("pointwise", {**TREES, "loss": "mse"}),
    ("pairwise", TREES),
    ("linear", {"loss": "pairwise"}),
    ("linear", {"loss": "logistic"}),
    ("network", {"hidden": 4}),
    ("din", {**NETWORK, "loss": "listwise"}),
    ("din", {**NETWORK, "loss": "cross_entropy"}),
    ("lstm", {**NETWORK, "loss": "mse"}),
    ("lstm", {**NETWORK, "loss": "cross_entropy"}),
    ("lstm", {**NETWORK, "loss": "bpr"}),
    ("blend", {"members": {"lambdamart": TREES, "linear": {}}}),
]
# Rankers whose loss looks at one row at a time, and at nothing else.
BY_ROW = ("mse", "cross_entropy", "logistic")


@pytest.mark.parametrize(("name", "options"), RANKERS)
@pytest.mark.parametrize("believed", [0, 1])
def test_of_shoppers_who_contradict_each_other_the_heavier_are_believed(
    name: str, options: dict[str, Any], believed: int
) -> None:
    """Every other request chose the item with the most of the only feature, the others that with the least."""
    features = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    signs = np.where(np.arange(200) % 2 == believed, 1, -1)[:, None]
    gain = (features * signs == (features * signs).max(axis=1, keepdims=True)).astype(np.float32)
    weight = np.where(np.repeat(signs[:, 0], 8) > 0, 8, 1).astype(np.float32)
    rows = TrainingRows(features.reshape(-1, 1), gain.ravel(), np.full(200, 8), ["a"], weight)
    ranker = component_class("ranker", name)(**options)
    assert isinstance(ranker, Ranker)
    low, high = ranker.fit(rows).score(np.array([[-2], [2]], dtype=np.float32))
    assert high > low


@pytest.mark.parametrize(
    ("name", "options"), [one for one in RANKERS if one[0] != "blend" and one[1].get("loss") != "listwise"]
)
def test_drawn_rows_count_for_those_they_stand_for_where_rows_are_judged_one_by_one(
    name: str, options: dict[str, Any]
) -> None:
    """And not within a list, where one item would be so many."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 2)).astype(np.float32)
    gain = (rng.random(300) < 1 / (1 + np.exp(-features[:, 0]))).astype(np.float32)
    often = np.where(gain > 0, 1, rng.integers(1, 9, 300)).astype(np.float32)
    rows = TrainingRows(features, gain, np.full(30, 10), ["a", "b"])
    by_row = name in ("pointwise", "network") or options.get("loss") in BY_ROW
    wanted, got = (component_class("ranker", name)(**options) for _ in range(2))
    assert isinstance(wanted, Ranker)
    assert isinstance(got, Ranker)
    wanted.fit(replace(rows, weight=often) if by_row else rows)
    got.fit(replace(rows, stands_for=often))
    np.testing.assert_array_equal(got.score(features), wanted.score(features))
