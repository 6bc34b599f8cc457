"""Fading popularity against the sum written out, at every day."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of, log_of
from vetrina.core import DAY, EventKind
from vetrina.rank.features import Freshness

N = 3
BUY, VIEW, SHOW = EventKind.purchase, EventKind.view, EventKind.impression
WEIGHT = {BUY: 3, VIEW: 1, EventKind.cart: 2, SHOW: 0, EventKind.hide: 0, EventKind.rate: 1}
ITEMS = items_of(N, available_at=[None, NOW + 5 * DAY, None])

Log = list[tuple[float, str, EventKind, int]]
logs: st.SearchStrategy[Log] = st.lists(
    st.tuples(
        st.integers(0, 1199).map(lambda hours: hours / 24),
        st.just("a"),
        st.sampled_from(list(WEIGHT)),
        st.integers(0, N - 1),
    ),
    max_size=40,
)


def literal(log: Log, item: int, day: int) -> dict[str, float]:
    nan = float("nan")
    own = [(int(when), kind) for when, _, kind, i in log if i == item and int(when) < day]
    met = [when for when, _, _, i in log if i == item and when < day + 0.5]
    since = 5.0 if item == 1 else min(met, default=math.inf)
    newness = 2 ** (-max(day + 0.5 - since, 0) / 14)
    names = [name for name in Freshness.names_ if name not in ("newness", "faded_14d_of_best")]
    if not met:
        return {**dict.fromkeys(names, nan), "newness": newness}
    faded = {h: sum(WEIGHT[kind] * 2 ** ((when - day) / h) for when, kind in own) for h in (3, 14, 60)}
    chosen = [when for when, kind in own if WEIGHT[kind]]
    bought = [when for when, kind in own if kind == BUY]
    rates = [faded[h] * math.log(2) / h for h in (3, 60)]
    return {
        **{f"faded_{h}d": math.log1p(value) for h, value in faded.items()},
        "faded_trend": math.log((rates[0] + 0.01) / (rates[1] + 0.01)),
        "last_chosen_days": day - max(chosen) if chosen else nan,
        "last_bought_days": day - max(bought) if bought else nan,
        "first_chosen_days": day - min(chosen) if chosen else nan,
        "newness": newness,
    }


@settings(max_examples=60)
@given(logs, st.integers(0, 70))
def test_every_choice_fades_alike(log: Log, day: int) -> None:
    family = Freshness().fit(ITEMS, log_of(ITEMS, log))
    features = family.compute(asked([[]], now=NOW + day * DAY + DAY // 2), lists_of(range(N)))
    for item in range(N):
        for name, wanted in literal(log, item, day).items():
            got = features[item, family.names_.index(name)]
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5, err_msg=f"{name} of {item}")


def test_of_the_best_compares_within_the_list() -> None:
    family = Freshness().fit(ITEMS, log_of(ITEMS, [(0.1, "a", VIEW, i) for i in (0, 0, 0, 0, 1, 1, 2)]))
    features = family.compute(asked([[], []], now=NOW + DAY), lists_of([0, 1, 2], [1, 2]))
    np.testing.assert_allclose(features[:, family.names_.index("faded_14d_of_best")], [1, 0.5, 0.25, 1, 0.5], rtol=1e-5)
