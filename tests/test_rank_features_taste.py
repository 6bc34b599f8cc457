"""Leanings against their formula, one attribute at a time."""

from __future__ import annotations

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.core import EventKind
from vetrina.core.errors import ConfigError
from vetrina.rank.features import Taste

COLOURS = ["red", "red", "blue", "blue", "blue", ""]
ITEMS = items_of(
    6,
    colour=COLOURS,
    brand=["Arco"] * 6,
    season=["winter", "summer", "winter", "summer", "", ""],
    serial=[f"n{n}" for n in range(6)],
    weight=[1.0, 2, 3, 4, 5, 6],
)
FAMILY = Taste(half_life_days=10.0, smoothing=2.0, most_values=5).fit(ITEMS, nothing(ITEMS))
# (item, kind, age) and the weight of the event: a purchase 3, a view 1, halved by ten days; hiding says nothing here
PAST = [(0, EventKind.purchase, 10.0), (2, EventKind.view, 0.0), (5, EventKind.view, 0.0), (3, EventKind.hide, 0.0)]
WEIGHTS = [1.5, 1.0, 1.0, 0.0]


def literal(values: list[str], item: int) -> float:
    """ln((w + s p) / ((W + s) p)): w of the candidate's value, W of all known, p its (smoothed) share of the shop."""
    known = sorted(set(values) - {""})
    if not values[item]:
        return float("nan")
    p = (values.count(values[item]) + 0.5) / (len(values) + 0.5 * len(known))
    w = sum(weight for (i, _, _), weight in zip(PAST, WEIGHTS, strict=True) if values[i] == values[item])
    whole = sum(weight for (i, _, _), weight in zip(PAST, WEIGHTS, strict=True) if values[i])
    return float(np.log((w + 2 * p) / ((whole + 2) * p)))


def test_leaning_towards_a_value() -> None:
    features = FAMILY.compute(asked([PAST]), lists_of(range(6)))
    for name, values in (("colour", COLOURS), ("season", ITEMS.table["season"].to_list())):
        got = features[:, FAMILY.names_.index(f"taste_{name}")]
        np.testing.assert_allclose(got, [literal(values, item) for item in range(6)], rtol=1e-5)


def test_who_did_nothing_leans_nowhere() -> None:
    got = FAMILY.compute(asked([[]]), lists_of([0, 2]))
    np.testing.assert_allclose(got, 0, atol=1e-6)


def test_a_column_of_one_value_of_too_many_or_of_numbers_says_nothing() -> None:
    assert set(FAMILY.names_) == {"taste_colour", "taste_season"}


def test_without_smoothing_a_leaning_would_have_no_bound() -> None:
    with pytest.raises(ConfigError, match=r"features\.taste\.smoothing: Input should be greater than 0"):
        Taste(smoothing=0)
