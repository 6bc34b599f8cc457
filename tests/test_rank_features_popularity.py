"""Popularity against counting by hand at every moment, and its blindness to what comes later."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of, log_of
from vetrina.core import DAY, EventKind
from vetrina.rank.features import Popularity

N = 3
ITEMS = items_of(N)
BUY, VIEW, SHOW = EventKind.purchase, EventKind.view, EventKind.impression
LOOKS = (VIEW, EventKind.click, EventKind.cart, EventKind.rate)

Log = list[tuple[float, str, EventKind, int]]
logs: st.SearchStrategy[Log] = st.lists(
    st.tuples(
        st.integers(0, 119).map(lambda hours: hours / 24 * 10),  # 50 days
        st.just("a"),
        st.sampled_from([BUY, VIEW, EventKind.cart, SHOW, SHOW, EventKind.hide]),
        st.integers(0, N - 1),
    ),
    max_size=40,
)
# Each kind on the last day: counts are then read at the moment asked for, and not at their own end.
LAST: Log = [(50.0, "b", kind, 0) for kind in (BUY, VIEW, SHOW)]


def literal(log: Log, item: int, day: int) -> dict[str, float]:
    def count(kinds: tuple[EventKind, ...], days: float) -> int:
        return sum(i == item and kind in kinds and day - days <= int(when) < day for when, _, kind, i in log)

    bought = {days: count((BUY,), days) for days in (1, 7, 14, 30, 90)}
    met = any(i == item and when < day + 1 / 24 for when, _, _, i in log)
    looked, shown = count(LOOKS, np.inf), count((SHOW,), np.inf)
    counts = {
        **{f"bought_{days}d": np.log1p(number) for days, number in bought.items()},
        "bought_ever": np.log1p(count((BUY,), np.inf)),
        "bought_trend": (bought[7] + 1) / (bought[30] * 7 / 30 + 1),
        "looked_7d": np.log1p(count(LOOKS, 7)),
        "looked_30d": np.log1p(count(LOOKS, 30)),
        "looked_ever": np.log1p(looked),
        "click_rate": (looked + 1) / (shown + 20) if shown else float("nan"),
    }
    return {name: value if met else float("nan") for name, value in counts.items()}


@settings(max_examples=50)
@given(logs, st.integers(0, 50))
def test_counts_of_the_days_before(log: Log, day: int) -> None:
    log = log + LAST
    family = Popularity().fit(ITEMS, log_of(ITEMS, log))
    features = family.compute(asked([[]], now=NOW + day * DAY + 3_600), lists_of(range(N)))
    for item in range(N):
        for name, wanted in literal(log, item, day).items():
            np.testing.assert_allclose(features[item, family.names_.index(name)], wanted, rtol=1e-5, err_msg=name)


@settings(max_examples=50)
@given(logs, logs, st.integers(0, 50))
def test_nothing_later_than_now_is_known(log: Log, more: Log, day: int) -> None:
    """Other events may be added after the moment of the request: its features stay as they were."""
    early = [event for event in log if event[0] < day] + [(day + 0.0, who, kind, 0) for _, who, kind, _ in LAST]
    late = [(day + 1 + when, who, kind, item) for when, who, kind, item in more]
    requests, lists = asked([[]], now=NOW + day * DAY + 3_600), lists_of(range(N))
    one, other = (Popularity().fit(ITEMS, log_of(ITEMS, events)) for events in (early, early + late))
    np.testing.assert_array_equal(one.compute(requests, lists), other.compute(requests, lists))


def test_what_nobody_met_is_unknown_and_what_nobody_wanted_is_nothing() -> None:
    """Item 0 is shown and left, item 1 was never met, item 2 will be bought after the request."""
    log = log_of(ITEMS, [(0.0, "a", SHOW, 0), (2.0, "a", BUY, 2)])
    features = Popularity().fit(ITEMS, log).compute(asked([[]], now=NOW + DAY), lists_of(range(N)))
    for name in ("bought_ever", "bought_of_best", "looked_7d", "bought_trend"):
        shown, never, later = features[:, Popularity.names_.index(name)]
        assert np.isfinite(shown), name
        assert np.isnan([never, later]).all(), name


def test_of_the_best_compares_within_the_list() -> None:
    family = Popularity().fit(ITEMS, log_of(ITEMS, [(0.1, "a", BUY, i) for i in (0, 0, 0, 0, 1, 1, 2)]))
    features = family.compute(asked([[], []], now=NOW + DAY), lists_of([0, 1, 2], [1, 2]))
    of_best = features[:, family.names_.index("bought_of_best")]
    np.testing.assert_allclose(of_best, [1, 0.5, 0.25, 1, 0.5])


def test_days_on_sale_begin_with_the_first_event_where_the_catalogue_does_not_say() -> None:
    family = Popularity().fit(ITEMS, log_of(ITEMS, [(-3.0, "a", VIEW, 0), (5.0, "a", VIEW, 2)]))
    days = family.compute(asked([[]], now=NOW + 4 * DAY), lists_of(range(N)))[:, family.names_.index("days_on_sale")]
    # three days before NOW; never; only after this request, which must not know it
    assert days.tolist() == [7, 0, 0]
