"""The present session against a slow literal reading of its events."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import History, asked, items_of, lists_of, nothing
from vetrina.core import EventKind
from vetrina.rank.features import Session

MINUTE = 1 / 1440
CATEGORIES = ["shoe", "shoe", "bag", "bag", "", "bag"]
BRANDS = ["A", "B", "A", "", "", "B"]
PRICES = [10.0, 40.0, 5.0, 20.0, None, 80.0]
ITEMS = items_of(6, category=CATEGORIES, brand=BRANDS, price=PRICES)
FAMILY = Session(gap_minutes=30.0, half_life_minutes=15.0).fit(ITEMS, nothing(ITEMS))
KINDS = ("view", "click", "cart", "purchase", "rate", "hide")
WEIGHT = dict(zip([EventKind[name] for name in KINDS], [1, 1, 2, 3, 1, 0], strict=True))

histories = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(WEIGHT)), st.integers(0, 200)), max_size=12).map(
    lambda events: sorted([(item, kind, age * MINUTE) for item, kind, age in events], key=lambda event: -event[2])
)


def literal(history: History, item: int) -> list[float]:
    session: list[tuple[int, EventKind, float]] = []
    until = 0.0
    for past, kind, age in reversed(history):
        minutes = round(age / MINUTE)
        if minutes - until > 30:
            break
        session.append((past, kind, minutes))
        until = minutes
    nan = float("nan")

    def weight(kind: EventKind, minutes: float) -> float:
        return WEIGHT[kind] * 2 ** (-minutes / 15)

    def share(values: list[str]) -> float:
        whole = sum(weight(kind, m) for past, kind, m in session if values[past])
        own = sum(weight(kind, m) for past, kind, m in session if values[past] == values[item])
        return own / whole if whole and values[item] else nan

    def level(of: int) -> float:
        prices = [price for name, price in zip(CATEGORIES, PRICES, strict=True) if name == CATEGORIES[of] and price]
        price = PRICES[of]
        return math.log(price) - sum(map(math.log, prices)) / len(prices) if price else nan

    priced = [(weight(kind, m), level(past)) for past, kind, m in session if PRICES[past] and WEIGHT[kind]]
    usual = sum(w * one for w, one in priced) / sum(w for w, _ in priced) if priced else nan
    looked = sum(past == item and kind in (EventKind.view, EventKind.click) for past, kind, _ in session)
    carted = sum(past == item and kind == EventKind.cart for past, kind, _ in session)
    return [
        share(CATEGORIES),
        share(BRANDS),
        nan,  # no item has a colour
        abs(level(item) - usual),
        looked if session else nan,
        carted if session else nan,
        math.log1p(len(session)),
        max((m for *_, m in session), default=0),
    ]


@settings(max_examples=60)
@given(st.lists(histories, min_size=1, max_size=4))
def test_shares_of_the_session(past: list[History]) -> None:
    features = FAMILY.compute(asked(past), lists_of(*[range(6)] * len(past)))
    wanted = [literal(history, item) for history in past for item in range(6)]
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-4)


def test_a_pause_ends_the_session_and_what_was_before_it_is_another() -> None:
    view = EventKind.view
    past = [[(2, view, 61 * MINUTE), (0, view, 30 * MINUTE)], [(2, view, 60 * MINUTE), (0, view, 30 * MINUTE)]]
    features = FAMILY.compute(asked(past), lists_of([0], [0]))
    counts = features[:, FAMILY.names_.index("session_events")]
    np.testing.assert_allclose(np.expm1(counts), [1, 2], rtol=1e-5)
