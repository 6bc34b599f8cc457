"""Smoothed rates against the formulas written out, event by event, on every day."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of, nothing
from vetrina.core import DAY, EVENT_COLUMNS, EventKind, EventLog, Query
from vetrina.core.text import analyse
from vetrina.rank.features import Rates
from vetrina.rank.features.smoothing import SmoothedRates

CATEGORIES = ["shoe", "shoe", "bag", ""]
ITEMS = items_of(4, category=CATEGORIES)
SHOW, CLICK, VIEW, BUY = EventKind.impression, EventKind.click, EventKind.view, EventKind.purchase
CHOICES = (VIEW, CLICK, EventKind.cart, BUY, EventKind.rate)


class Event(NamedTuple):
    """One row of a log."""

    day: float
    kind: EventKind
    item: int
    request: str | None = None
    query: str | None = None
    shopper: str = "a"


def log_of(events: list[Event]) -> EventLog:
    rows = [
        {
            "time": NOW + round(one.day * DAY),
            "shopper": one.shopper,
            "kind": one.kind.name,
            "item": str(one.item),
            "request": one.request,
            "query": one.query,
        }
        for one in events
    ]
    names = ("time", "shopper", "kind", "item", "request", "query")
    table = pl.DataFrame(rows, schema={name: EVENT_COLUMNS[name] for name in names})
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in names]
    return EventLog.from_table(table.with_columns(missing).select(list(EVENT_COLUMNS)), ITEMS)


logs = st.lists(
    st.builds(
        Event,
        day=st.integers(0, 71).map(lambda hours: hours / 24),
        kind=st.sampled_from([SHOW, SHOW, SHOW, CLICK, CLICK, VIEW, BUY, EventKind.hide]),
        item=st.integers(0, 3),
        request=st.sampled_from([None, None, "r1", "r2", "r3"]),
        query=st.sampled_from([None, "red shoes", "shoe red", "bag"]),
        shopper=st.sampled_from(["a", "b"]),
    ),
    max_size=40,
).map(lambda events: sorted(events, key=lambda one: one.day))


def normal(text: str | None) -> frozenset[str]:
    return frozenset(analyse(text or ""))


class Literal:
    """What the docstring says, slowly; a prior is worth twenty trials: there are too few items to estimate it."""

    def __init__(self, events: list[Event], day: int, seen: int) -> None:
        self.seen = seen
        self.known: list[tuple[Event, frozenset[str]]] = []
        for number, one in enumerate(events):
            words = normal(one.query)
            if not words and one.request:
                same = [other for other in events[: number + 1] if self.list_of(other) == self.list_of(one)]
                words = next((found for other in same if (found := normal(other.query))), words)
            if one.day < day:
                self.known.append((one, words))

    @staticmethod
    def list_of(one: Event) -> tuple[str | None, str]:
        return one.request, one.shopper

    def once(self, *kinds: EventKind) -> list[tuple[int, frozenset[str]]]:
        """(Item, words) of events of these kinds, one for each item of a list."""
        met, found = set(), []
        for one, words in self.known:
            key = (self.list_of(one), one.item)
            if one.kind in kinds and not (one.request and key in met):
                met.add(key)
                found.append((one.item, words))
        return found

    def rate(self, tried: tuple[EventKind, ...], came: tuple[EventKind, ...], item: int, asks: str) -> list[float]:
        nan = float("nan")
        trials, successes = self.once(*tried), self.once(*came)

        def counted(at: list[int], words: frozenset[str] | None = None) -> tuple[int, int]:
            n, k = (sum(i in at and words in (None, w) for i, w in one) for one in (trials, successes))
            return n, min(k, n)

        if not trials:
            return [nan] * 4
        each = [counted([i]) for i in range(4)]
        shop = (sum(k for _, k in each) + 1) / (sum(n for n, _ in each) + 20)
        n, k = counted([i for i in range(4) if CATEGORIES[i] == CATEGORIES[item]]) if CATEGORIES[item] else (0, 0)
        category = (k + 20 * shop) / (n + 20)
        n, k = counted([item])
        own = (k + 20 * category) / (n + 20)
        n, k = counted([item], normal(asks)) if asks else (0, 0)
        n, k = (n, k) if n >= self.seen else (0, 0)
        return [own, category, np.log(own / category), (k + 20 * own) / (n + 20) if asks else nan]

    def share(self, item: int, asks: str) -> float:
        chosen = self.once(*CHOICES)
        if not chosen or not asks:
            return float("nan")
        usual = (sum(i == item for i, _ in chosen) + 1) / (len(chosen) + 4)
        c = sum(i == item and words == normal(asks) for i, words in chosen)
        whole = sum(words == normal(asks) for _, words in chosen)
        c, whole = (count if count >= self.seen else 0 for count in (c, whole))
        return (c + 20 * usual) / (whole + 20)

    def features(self, item: int, asks: str) -> list[float]:
        ctr, cvr = self.rate((SHOW,), (CLICK,), item, asks), self.rate((VIEW, CLICK), (BUY,), item, asks)
        return [*ctr, *cvr, self.share(item, asks)]


@settings(max_examples=60, deadline=None)
@given(logs, st.integers(0, 4), st.integers(1, 3))
def test_rates_of_item_category_and_query(events: list[Event], day: int, seen: int) -> None:
    family = Rates(seen=seen).fit(ITEMS, log_of(events))
    queries = ["", "red shoe", "bag", "never asked"]
    requests = asked([[]] * 4, [Query(text=text) for text in queries], now=NOW + day * DAY + 600)
    features = family.compute(requests, lists_of(*[range(4)] * 4))
    literal = Literal(events, day, seen)
    wanted = [literal.features(item, text) for text in queries for item in range(4)]
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-6)


def test_an_item_nobody_tried_has_the_rate_of_its_category() -> None:
    events = [Event(0, SHOW, 0, f"r{n}") for n in range(40)] + [Event(0, CLICK, 0, f"r{n}") for n in range(20)]
    events += [Event(0, SHOW, 2, f"q{n}") for n in range(40)]
    features = (
        Rates()
        .fit(ITEMS, log_of(sorted(events, key=lambda one: one.day)))
        .compute(asked([[]], now=NOW + DAY), lists_of([0, 1, 2]))
    )
    ctr, category, beside = (
        features[:, Rates.names_.index(name)] for name in ("ctr", "ctr_category", "ctr_in_category")
    )
    assert ctr[1] == category[1] == category[0]
    assert beside[1] == 0
    assert ctr[0] > ctr[1] > ctr[2]


# --- the prior ------------------------------------------------------------------


def literal_worth(n: list[float], k: list[float]) -> float:
    """Kleinman's estimate, weights n, term by term."""
    whole, p = sum(n), sum(k) / sum(n)
    spread = sum(one * (came / one - p) ** 2 for one, came in zip(n, k, strict=True))
    noise = p * (1 - p)
    within = sum(one * (1 - one / whole) for one in n)
    own = sum(1 - one / whole for one in n)
    gamma = (spread - noise * own) / (noise * (within - own))
    return min(max(1 / max(gamma, 1e-9) - 1, 2.0), 1000.0)


def counted(n: list[int], k: list[int], day: int = 0) -> SmoothedRates:
    keys = [np.repeat(np.arange(len(one)), one) for one in (n, k)]
    return SmoothedRates.count(*[(key, np.full(len(key), NOW + day * DAY)) for key in keys])  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=30, max_size=45))
def test_the_worth_of_a_prior_is_estimated_by_moments(pairs: list[tuple[int, int]]) -> None:
    n, k = [one for one, _ in pairs], [min(pair) for pair in pairs]
    rates = counted(n, k)
    if 0 < sum(k) < sum(n) and max(n) > 1:
        wanted = literal_worth(list(map(float, n)), list(map(float, k)))
        assert rates.strength[1] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("worth", [5.0, 50.0])
def test_a_planted_prior_is_found_again(worth: float) -> None:
    """Rates drawn from a Beta distribution of mean 0.1 and known worth."""
    rng = np.random.default_rng(0)
    n = rng.integers(5, 200, 3000)
    k = rng.binomial(n, rng.beta(0.1 * worth, 0.9 * worth, 3000))
    rates = counted(n.tolist(), k.tolist())
    assert rates.strength[1] == pytest.approx(worth, rel=0.15)
    assert rates.mean[1] == pytest.approx(0.1, rel=0.05)


def test_smoothed_rates_are_nearer_to_the_truth_than_raw_ones() -> None:
    rng = np.random.default_rng(1)
    n, truth = rng.integers(1, 30, 2000), rng.beta(2, 18, 2000)
    k = rng.binomial(n, truth)
    rates = counted(n.tolist(), k.tolist())
    now = np.full(2000, NOW + DAY)
    smoothed = rates.rate(np.arange(2000), now, rates.overall(now))
    assert ((smoothed - truth) ** 2).mean() < 0.3 * ((k / n - truth) ** 2).mean()


def test_what_is_too_rare_takes_no_memory(tmp_path: Path) -> None:
    events = [Event(0, SHOW, 0, f"r{n}", "red shoe") for n in range(3)] + [Event(0, SHOW, 1, "r9", "rare words")]
    family = Rates(seen=2).fit(ITEMS, log_of(events))
    assert list(family.queries_) == ["red shoe"]
    assert len(family.rates_["ctr_query"].tried.places) == 1
    family.save(tmp_path)
    assert Rates.load(tmp_path).bind(ITEMS).queries_ == family.queries_


def test_without_any_trial_no_rate_is_known() -> None:
    features = Rates().fit(ITEMS, nothing(ITEMS)).compute(asked([[]], [Query(text="bag")]), lists_of([0, 1]))
    assert np.isnan(features).all()
