"""Features of the shopper's own past with an item, against going through it event by event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import asked, items_of, lists_of, nothing
from vetrina.core import EventKind
from vetrina.rank.features import History

N = 4
ITEMS = items_of(N)
FAMILY = History().fit(ITEMS, nothing(ITEMS))
BUY = EventKind.purchase
LOOKS = (EventKind.view, EventKind.click, EventKind.cart, EventKind.rate)

Past = list[tuple[int, EventKind, float]]
pasts: st.SearchStrategy[Past] = st.lists(
    st.tuples(
        st.integers(0, N - 1),
        st.sampled_from([BUY, BUY, EventKind.view, EventKind.click, EventKind.cart, EventKind.hide, EventKind.rate]),
        st.sampled_from([0.25, 1.0, 2.0, 7.0, 30.0, 100.0]),
    ),
    max_size=12,
).map(lambda past: sorted(past, key=lambda event: -event[2]))


def literal(past: Past, item: int) -> dict[str, float]:
    """The docstring's definitions, one event after the other."""
    bought = [age for i, kind, age in past if i == item and kind == BUY]
    looked = [age for i, kind, age in past if i == item and kind in LOOKS]
    baskets = {age for _, kind, age in past if kind == BUY}
    nan = float("nan")
    between = (max(bought) - min(bought)) / (len(bought) - 1) if len(bought) > 1 else 0.0
    return {
        "bought": len(bought),
        "bought_decayed": sum(2 ** (-age / 30) for age in bought),
        "bought_share": len(bought) / max(len(baskets), 1),
        "bought_days_ago": min(bought, default=nan),
        "in_last_basket": float(min(bought) == min(baskets)) if bought else nan,
        "due": min(bought) / between if between else nan,
        "looked": len(looked),
        "looked_decayed": sum(2 ** (-age / 7) for age in looked),
        "looked_days_ago": min(looked, default=nan),
    }


@given(st.lists(pasts, min_size=1, max_size=3))
def test_against_going_through_the_window(histories: list[Past]) -> None:
    features = FAMILY.compute(asked(histories), lists_of(*[range(N)] * len(histories)))
    for row, past in enumerate(histories):
        for item in range(N):
            for name, wanted in literal(past, item).items():
                got = features[row * N + item, FAMILY.names_.index(name)]
                np.testing.assert_allclose(got, wanted, rtol=1e-4, err_msg=name)


def test_due_is_one_when_the_usual_time_has_passed() -> None:
    """Bought 40, 30 and 20 days ago: every ten days, and so twice due; bought 20 and 10 days ago: due now."""
    past: Past = [(0, BUY, 40), (0, BUY, 30), (0, BUY, 20), (1, BUY, 20), (1, BUY, 10), (2, BUY, 10)]
    past.sort(key=lambda event: -event[2])
    due = FAMILY.compute(asked([past]), lists_of(range(4)))[:, FAMILY.names_.index("due")]
    np.testing.assert_allclose(due, [2, 1, np.nan, np.nan], rtol=1e-5)


def test_quantities_are_summed_and_one_where_unknown() -> None:
    past: Past = [(0, BUY, 3), (0, BUY, 2), (1, BUY, 2), (1, EventKind.view, 1)]
    requests = asked([past], quantity=[5, np.nan, 2, 9])
    quantity = FAMILY.compute(requests, lists_of(range(3)))[:, FAMILY.names_.index("quantity")]
    np.testing.assert_allclose(quantity, np.log1p([6, 2, 0]), rtol=1e-6)


@pytest.mark.parametrize("kind", [EventKind.hide, EventKind.search])
def test_what_is_neither_look_nor_purchase_counts_as_nothing(kind: EventKind) -> None:
    some = FAMILY.compute(asked([[(0, kind, 1.0)]]), lists_of([0]))
    none = FAMILY.compute(asked([[]]), lists_of([0]))
    for name in ("bought", "looked", "bought_share", "bought_days_ago", "looked_days_ago"):
        place = FAMILY.names_.index(name)
        np.testing.assert_array_equal(some[:, place], none[:, place])
