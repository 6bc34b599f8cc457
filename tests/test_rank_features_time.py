"""Hours, weekdays and months against Python's own calendar, and leanings against counting by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of, log_of, nothing
from vetrina.core import DAY, EventKind
from vetrina.rank.features import Time

CATEGORIES = ["breakfast", "breakfast", "dinner", ""]
ITEMS = items_of(4, category=CATEGORIES)
VIEW, BUY = EventKind.view, EventKind.purchase

Log = list[tuple[float, str, EventKind, int]]
logs: st.SearchStrategy[Log] = st.lists(
    st.tuples(
        st.integers(0, 24 * 90).map(lambda hours: hours / 24),
        st.just("a"),
        st.sampled_from([VIEW, BUY, EventKind.impression, EventKind.hide]),
        st.integers(0, 3),
    ),
    max_size=60,
)


def phase(moment: int, name: str) -> int:
    at = datetime.fromtimestamp(moment, UTC)
    return {"hour": at.hour, "weekday": at.weekday(), "month": at.month - 1}[name]


def literal(log: Log, now: int, of: str, item: int, name: str) -> float:
    n = {"hour": 24, "weekday": 7, "month": 12}[name]
    values = list(range(4)) if of == "item" else CATEGORIES
    times = [(NOW + round(day * DAY), i) for day, _, kind, i in log if kind in (VIEW, BUY)]
    past = [(time, i) for time, i in times if time // DAY < now // DAY]
    if not past or values[item] == "":
        return float("nan")
    p = (sum(phase(time, name) == phase(now, name) for time, _ in past) + 1) / (len(past) + n)
    own = [time for time, i in past if values[i] == values[item]]
    such = sum(phase(time, name) == phase(now, name) for time in own)
    return math.log((such + 5 * p) / ((len(own) + 5) * p))


@settings(max_examples=60)
@given(logs, st.lists(st.integers(0, 24 * 100), min_size=1, max_size=3))
def test_leanings_by_hour_weekday_and_month(log: Log, hours: list[int]) -> None:
    family = Time(smoothing=5.0).fit(ITEMS, log_of(ITEMS, log))
    for now in (NOW + hour * 3600 + 60 for hour in hours):
        features = family.compute(asked([[]], now=now), lists_of(range(4)))
        for of in ("item", "category"):
            for name in ("hour", "weekday", "month"):
                wanted = [literal(log, now, of, item, name) for item in range(4)]
                got = features[:, family.names_.index(f"{of}_by_{name}")]
                np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5, err_msg=f"{of} by {name}")


@given(st.integers(0, 4_000_000_000))
def test_the_clock_is_a_circle(now: int) -> None:
    family = Time().fit(ITEMS, nothing(ITEMS))
    features = family.compute(asked([[]], now=now), lists_of([0]))[0]
    for name, n in (("hour", 24), ("weekday", 7), ("month", 12)):
        turn = 2 * math.pi * phase(now, name) / n
        got = features[[family.names_.index(f"{name}_{part}") for part in ("sin", "cos")]]
        np.testing.assert_allclose(got, [math.sin(turn), math.cos(turn)], atol=1e-6)


def test_what_is_bought_in_the_morning_leads_in_the_morning() -> None:
    log = [(day + hour / 24, "a", BUY, item) for day in range(20) for hour, item in ((8, 0), (20, 2))]
    family = Time().fit(ITEMS, log_of(ITEMS, log))
    at = family.names_.index("item_by_hour")
    morning, evening = (
        family.compute(asked([[]], now=NOW + 30 * DAY + hour * 3600), lists_of([0, 2]))[:, at] for hour in (8, 20)
    )
    assert morning[0] > 0 > morning[1]
    assert evening[0] < 0 < evening[1]
