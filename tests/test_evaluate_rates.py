"""Rates of the log: arithmetic written out, an independent bootstrap, and a simulated truth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from planted import NOW, items_of
from test_simulate import END, make_items
from vetrina.core import EVENT_COLUMNS, EventLog
from vetrina.evaluate import Table, rates
from vetrina.simulate import Simulation, SimulationConfig, simulate

ITEMS = items_of(6)

Told = tuple[int, str | None, str, str | None, str | None, str | None, int | None]


def log_of(rows: Sequence[Told]) -> EventLog:
    """A log of (time, shopper, kind, item, query, request, position)."""
    names = ["time", "shopper", "kind", "item", "query", "request", "position"]
    table = pl.DataFrame(rows, schema={name: EVENT_COLUMNS[name] for name in names}, orient="row")
    unknown = [pl.lit(None, dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in names]
    return EventLog.from_table(table.with_columns(pl.col("time") + NOW, *unknown), ITEMS)


def shown(time: int, shopper: str, request: str, items: str, query: str | None = None) -> list[Told]:
    search: list[Told] = [] if query is None else [(time, shopper, "search", None, query, request, None)]
    return search + [
        (time, shopper, "impression", item, query, request, place) for place, item in enumerate(items, start=1)
    ]


def did(time: int, shopper: str, request: str, kind: str, item: str) -> list[Told]:
    return [(time, shopper, kind, item, None, request, None)]


def values(table: Table) -> dict[str, tuple[float, ...]]:
    return {row.system: tuple(round(row.values[name].mean, 6) for name in table.metrics) for row in table.rows}


def test_rates_are_shares_of_what_was_shown_and_of_what_was_clicked() -> None:
    """Three lists of two shoppers: 3 + 2 + 3 shown, 3 of them clicked, 2 of those in the cart, 1 bought."""
    (table,) = rates(
        log_of(
            [
                *shown(0, "ana", "r1", "012", "red hat"),
                *did(1, "ana", "r1", "click", "0"),
                *did(2, "ana", "r1", "click", "0"),  # a second click is no second impression
                *did(3, "ana", "r1", "cart", "0"),
                *did(4, "ana", "r1", "purchase", "0"),
                *shown(10, "ana", "r2", "34"),
                *did(11, "ana", "r2", "click", "4"),
                *did(12, "ana", "r2", "cart", "4"),
                *shown(20, "bo", "r3", "012", "Red  hat"),
                *did(21, "bo", "r3", "click", "1"),
            ]
        ),
        "Three lists",
    )
    assert table.metrics == ("CTR", "cart rate", "CVR")
    assert (table.n, table.n_shoppers) == (3, 2)
    found = values(table)
    assert found["all"] == (3 / 8, round(2 / 3, 6), round(1 / 3, 6))
    assert found["searches"] == (round(2 / 6, 6), 1 / 2, 1 / 2)
    assert found["browsing"] == (1 / 2, 1.0, 0.0)
    assert found["position 1"] == (round(1 / 3, 6), 1.0, 1.0)
    assert found["position 2"] == (round(2 / 3, 6), 1 / 2, 0.0)
    assert found["position 3"][0] == 0.0
    assert np.isnan(found["position 3"][1]), "nothing was clicked there, so nothing can be said of what followed"
    # Ana had clicked before her second list; before the first ones nobody had done anything.
    assert found["new shoppers"] == (round(2 / 6, 6), 0.5, 0.5)
    assert found["returning shoppers"] == (1 / 2, 1.0, 0.0)
    assert "head queries" not in found, "there is one query only, written in two ways"
    all_ = table.rows[0].values
    assert [all_[name].n for name in table.metrics] == [8, 3, 3]
    assert all_["CTR"].n_clusters == 2


def test_what_names_no_list_is_not_counted_and_said() -> None:
    events: list[Told] = [
        *shown(0, "ana", "r1", "012"),
        *shown(0, "bo", "r1", "012"),  # the same request of another shopper is another list
        *did(1, "bo", "r1", "click", "1"),
        *did(2, "ana", "r1", "click", "5"),  # not shown
        *did(3, "ana", "order-7", "purchase", "1"),  # a basket, not the list
        *did(3, "bo", "r1", "purchase", "0"),  # shown, but bought without a click
        (4, "ana", "impression", "3", None, None, 1),
        (5, None, "impression", "3", None, "r9", 1),
        (5, None, "impression", "4", None, "r9", 2),
    ]
    (table,) = rates(log_of(events), "")
    assert values(table)["all"] == (round(1 / 8, 6), 0.0, 0.0)
    assert table.n == 3
    assert table.rows[0].values["CTR"].n_clusters == 3, "of nobody known: the list is what hangs together"
    said = "\n".join(table.notes)
    assert "1 impressions name no request" in said
    assert "1 of 2 click events are on nothing that their request says was shown" in said
    assert "1 of 2 purchase events are on nothing that their request says was shown" in said
    assert "1 of 1 purchases in a list had no click: not in the CVR" in said


def test_head_queries_are_the_commonest_half_of_the_searches() -> None:
    asked = ["hat"] * 4 + ["shoe"] * 2 + ["bag", "sock"]
    events = [row for n, query in enumerate(asked) for row in shown(n, f"s{n}", f"r{n}", "01", query)]
    events += did(0, "s0", "r0", "click", "0") + did(7, "s7", "r7", "click", "0") + did(7, "s7", "r7", "click", "1")
    (table,) = rates(log_of(events), "")
    found = {row.system: row.values["CTR"] for row in table.rows}
    assert (found["head queries"].n, found["head queries"].mean) == (8, 1 / 8)
    assert (found["tail queries"].n, found["tail queries"].mean) == (8, 2 / 8)


def test_a_log_without_lists_has_no_rates() -> None:
    assert rates(log_of([]), "") == []
    assert rates(log_of([*did(1, "ana", "r1", "click", "5"), (4, "ana", "impression", "3", None, None, 1)]), "") == []


def test_the_table_tells_n_of_each_figure_and_that_shoppers_are_simulated() -> None:
    (table,) = rates(log_of([*shown(0, "ana", "r1", "012"), *shown(1, "bo", "r2", "01")]), "Nobody clicked", True)
    assert table.heading == "Nobody clicked (2 requests of 2 shoppers; SIMULATED shoppers)"
    header, body = table.cells()
    assert header == ["part", "CTR", "interval", "n", "cart rate", "interval", "n", "CVR", "interval", "n"]
    assert body[0] == ["all", "0.000", "[0.000, 0.000]", "5", "–", "–", "0", "–", "–", "0"]


kinds = st.sampled_from(["impression", "click", "cart", "purchase", "view", "search"])
events = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.sampled_from(["ana", "bo", "cy", None]),
        kinds,
        st.sampled_from([*ITEMS.ids[:4], "gone"]),
        st.sampled_from(["hat", None]),
        st.sampled_from(["r1", "r2", None]),
        st.integers(1, 3),
    ),
    max_size=40,
)


@given(events)
def test_agrees_with_counting_by_hand(rows: list[Told]) -> None:
    lists: dict[tuple[object, object], dict[str, set[str]]] = {}
    for _, shopper, kind, item, _, request, _ in rows:
        if request is not None and item != "gone" and item is not None:
            lists.setdefault((shopper, request), {}).setdefault(kind, set()).add(item)
    impressions = [(one, item) for one, kinds in lists.items() for item in kinds.get("impression", ())]
    clicked = [(one, item) for one, item in impressions if item in lists[one].get("click", ())]
    bought = [(one, item) for one, item in clicked if item in lists[one].get("purchase", ())]
    tables = rates(log_of(rows), "", resamples=10)
    if not impressions:
        assert tables == []
        return
    row = tables[0].rows[0].values
    assert (row["CTR"].n, row["CVR"].n) == (len(impressions), len(clicked))
    assert row["CTR"].mean == pytest.approx(len(clicked) / len(impressions))
    assert not clicked or row["CVR"].mean == pytest.approx(len(bought) / len(clicked))
    parts = {one.system: one.values["CTR"].n for one in tables[0].rows}
    for group in (("searches", "browsing"), ("head queries", "tail queries")):
        if group[0] in parts and group[0] == "searches":
            assert sum(parts[name] for name in group) == len(impressions)


# --- simulated shoppers ---------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> Simulation:
    return simulate(make_items(80), None, SimulationConfig(n_shoppers=80, days=15, seed=3), END)


def test_the_interval_is_that_of_an_independent_bootstrap_by_shopper(made: Simulation) -> None:
    (table,) = rates(EventLog.from_table(made.events, made.items), "", True, resamples=10_000)
    shown_ = made.events.filter(pl.col("kind") == "impression").select("shopper", "request", "item")
    counts = [pl.len().alias("shown")]
    for kind in ("click", "purchase"):
        events = made.events.filter(pl.col("kind") == kind).select("shopper", "request", "item", pl.lit(1).alias(kind))
        shown_ = shown_.join(events, on=["shopper", "request", "item"], how="left")
        counts.append(pl.col(kind).sum())
    by_shopper = shown_.group_by("shopper").agg(counts)
    n, clicks, bought = (by_shopper[name].to_numpy().astype(float) for name in ("shown", "click", "purchase"))
    for metric, top, below in (("CTR", clicks, n), ("CVR", bought, clicks)):
        ours = table.rows[0].values[metric]
        assert ours.mean == pytest.approx(top.sum() / below.sum())
        theirs = stats.bootstrap(
            (top, below), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, vectorized=True,
            n_resamples=9999, method="percentile", rng=np.random.default_rng(0),
        ).confidence_interval  # fmt: skip
        # Ours reaches a little further: it allows for the number of shoppers.
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=0.08 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.08 * width)


def test_position_bias_shows_in_the_rates(made: Simulation) -> None:
    (table,) = rates(EventLog.from_table(made.events, made.items), "", True)
    ctr = [row.values["CTR"].mean for row in table.rows if row.system.startswith("position")]
    assert len(ctr) == 6
    assert all(above > below for above, below in itertools.pairwise(ctr))
