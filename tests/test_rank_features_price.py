"""Price features against logarithms written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted import asked, items_of, lists_of, nothing
from vetrina.core import EventKind
from vetrina.rank.features import Price

PRICES = [10.0, 20.0, 40.0, 5.0, None, 8.0]
ITEMS = items_of(6, price=PRICES, category=["Shoes", "Shoes", "Shoes", "Hats", "Hats", ""])
FAMILY = Price().fit(ITEMS, nothing(ITEMS))
PAST = [(2, EventKind.purchase, 60.0), (0, EventKind.view, 0.0), (4, EventKind.click, 0.0), (1, EventKind.hide, 0.0)]


def column(
    name: str, lists: list[list[int]], pasts: list[list[tuple[int, EventKind, float]]]
) -> npt.NDArray[np.float32]:
    return FAMILY.compute(asked(pasts), lists_of(*lists))[:, FAMILY.names_.index(name)]


def test_level_is_relative_to_the_category() -> None:
    """Shoes of 10, 20 and 40: their mean logarithm is that of 20. The only known hat is the mean of hats."""
    got = column("price_level", [list(range(6))], [[]])
    np.testing.assert_allclose(got, [-np.log(2), 0, np.log(2), 0, np.nan, 0], atol=1e-6)
    np.testing.assert_allclose(column("price", [[0, 2]], [[]]), np.log([10, 40]), rtol=1e-6)


def test_distance_from_the_usual_level() -> None:
    """A purchase weighs 3, halved by 60 days, a view 1: usual is (1.5 ln 2 - 1 ln 2) / 2.5 = 0.2 ln 2."""
    usual = 0.2 * np.log(2)
    expected = np.array([-np.log(2), 0, np.log(2), 0, np.nan, 0]) - usual
    got = column("price_from_usual", [list(range(6))], [PAST])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(column("price_distance", [list(range(6))], [PAST]), np.abs(expected), atol=1e-5)


def test_who_looked_at_no_price_has_no_usual_one() -> None:
    got = column("price_distance", [[0, 1], [0, 1]], [[], [(4, EventKind.view, 1.0)]])
    assert np.isnan(got).all()


def test_place_in_the_list_runs_from_the_cheapest_to_the_dearest() -> None:
    place = column("price_place", [[2, 0, 1], [5], [3, 2]], [[], [], []])
    np.testing.assert_allclose(place, [1, 0, 0.5, 0, 0, 1])
    with_unknown = column("price_place", [[0, 4, 2]], [[]])
    assert np.isnan(with_unknown[1])
    assert with_unknown[0] < with_unknown[2]
