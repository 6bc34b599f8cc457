"""Recency, frequency and monetary value, on a window written out."""

from __future__ import annotations

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.core import EventKind, Query
from vetrina.rank.features import Shopper

ITEMS = items_of(4)
FAMILY = Shopper().fit(ITEMS, nothing(ITEMS))
BUY = EventKind.purchase
# Two baskets: items 0 and 1 for 2 x 10 + 5, then item 0 again for 3 (its quantity is not known); a look in between.
PAST = [(0, BUY, 9.0), (1, BUY, 9.0), (2, EventKind.view, 5.0), (0, BUY, 2.0)]
PRICE, QUANTITY = [10.0, 5.0, 99.0, 3.0], [2.0, 1.0, np.nan, np.nan]


@pytest.mark.parametrize(
    ("name", "expected", "of_nobody"),
    [
        ("recency_days", 2.0, np.nan),
        ("frequency", 2.0, 0.0),
        ("monetary", np.log1p(28.0), 0.0),
        ("events", 4.0, 0.0),
        ("repeat_share", 1 / 3, 1.0),
        ("basket_size", 1.5, 0.0),
        ("only_new", 1.0, 0.0),
    ],
)
def test_recency_frequency_monetary(name: str, expected: float, of_nobody: float) -> None:
    requests = asked([PAST, []], [Query(exclude_purchased=True), Query()], price=PRICE, quantity=QUANTITY)
    got = FAMILY.compute(requests, lists_of([0, 3], [1]))[:, FAMILY.names_.index(name)]
    np.testing.assert_allclose(got, [expected, expected, of_nobody], rtol=1e-5)


def test_a_price_that_is_not_known_is_no_money() -> None:
    monetary = FAMILY.compute(asked([PAST]), lists_of([0]))[:, FAMILY.names_.index("monetary")]
    assert monetary.tolist() == [0]
