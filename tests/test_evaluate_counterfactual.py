"""Counterfactual estimates: arithmetic written out, every outcome enumerated, and a simulated truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from test_simulate import END, make_items
from vetrina.core import EventLog, ItemList, Query, Requests, Silent
from vetrina.core.errors import DataError, NoSupport
from vetrina.engine import Engine, ShopConfig, cut_of, learn
from vetrina.engine.encoding import encode_items
from vetrina.evaluate import Estimate, Impressions, bootstrap_mean, estimate_ctr, estimate_order, estimate_value
from vetrina.evaluate.counterfactual import FLOOR
from vetrina.policy import PolicyConfig
from vetrina.simulate import Simulation, SimulationConfig, simulate
from vetrina.simulate.settings import Listing

Floats = npt.NDArray[np.float64]
IPS, SNIPS, DR = "IPS", "SNIPS", "doubly robust"


# --- arithmetic -----------------------------------------------------------------


def literal(
    reward: list[float], propensity: list[float], target: list[float], predicted: list[float], expected: list[float]
) -> dict[str, float]:
    """The estimators as their papers write them, one decision at a time."""
    n = len(reward)
    ips = snips = weights = squares = robust = 0.0
    for r, p, t, q, v in zip(reward, propensity, target, predicted, expected, strict=True):
        w = t / p
        ips += w * r / n
        snips += w * r
        weights += w
        squares += w * w
        robust += (v + w * (r - q)) / n
    return {IPS: ips, SNIPS: snips / weights, DR: robust, "effective": weights * weights / squares}


def test_the_estimators_by_hand() -> None:
    """Three decisions, weights 0.5/0.25 = 2, 0, and 1/0.5 = 2; the policies may be such that all is shown."""
    reward, propensity, target = np.array([1.0, 1.0, 0.0]), np.array([0.25, 0.5, 0.5]), np.array([0.5, 0.0, 1.0])
    found = estimate_value(
        reward, propensity, target, predicted=np.array([0.5, 0.5, 0.5]), expected=np.array([0.25, 0.5, 0.75]), floor=1
    )
    means = {name: interval.mean for name, interval in found.values.items()}
    assert means == pytest.approx({
        IPS: (2 * 1 + 0 + 2 * 0) / 3,
        SNIPS: (2 * 1 + 0 + 2 * 0) / (2 + 0 + 2),
        DR: ((0.25 + 2 * 0.5) + 0.5 + (0.75 - 2 * 0.5)) / 3,
    })  # fmt: skip
    assert found.effective == (2 + 2) ** 2 / (4 + 4)
    assert (found.largest, found.n_used) == (2, 2)
    assert found.weight.mean == pytest.approx(4 / 3)


decisions = st.tuples(
    st.floats(-2, 2),
    st.floats(0.05, 1),
    st.just(0.0) | st.floats(1e-6, 1),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.integers(-1, 5),
)


@given(st.lists(decisions, min_size=2, max_size=30))
def test_agrees_with_the_papers_written_out(rows: list[tuple[float, float, float, float, float, int]]) -> None:
    reward, propensity, target, predicted, expected = ([row[k] for row in rows] for k in range(5))
    clusters = [row[5] for row in rows]
    # With chances for which all that the target does is shown, so that nothing is refused.
    total = sum(one / by for one, by in zip(target, propensity, strict=True))
    target = [one * len(rows) / max(total, 1e-300) for one in target]
    assume(0 < max(target) <= 1)
    found = estimate_value(
        np.array(reward), np.array(propensity), np.array(target), np.array(clusters),
        predicted=np.array(predicted), expected=np.array(expected), floor=0, resamples=20,
    )  # fmt: skip
    wanted = literal(reward, propensity, target, predicted, expected)
    for name, interval in found.values.items():
        assert interval.mean == pytest.approx(wanted[name], rel=1e-9, abs=1e-9), name
    assert found.effective == pytest.approx(wanted["effective"])


def test_all_orders_of_a_list_weigh_to_the_truth() -> None:
    """Six orders of three items, each as often as chance has it, and the chance of a click for a click: exact."""
    examined, liked = np.array([1.0, 0.6, 0.3]), np.array([0.1, 0.5, 0.8])
    target = np.array([[0, 0.5, 0.5], [1, 0, 0], [0, 0.5, 0.5]])  # of item and position: a coin decides 0 and 2
    orders = np.array(list(itertools.permutations(range(3))))
    item, position = orders.ravel(), np.tile(np.arange(3), 6)
    wrong = np.array([[0.3, 0.2, 0.9], [0.4, 0.4, 0.1], [0.2, 0.7, 0.6]])  # a model of the reward, and no use
    found = estimate_value(
        examined[position] * liked[item], np.full(18, 1 / 3), target[item, position],
        predicted=wrong[item, position], expected=(target * wrong).sum(axis=0)[position], floor=0,
    )  # fmt: skip
    # 1 goes first; then 0 and 2, or 2 and 0
    truth = (1.0 * 0.5 + 0.6 * (0.1 + 0.8) / 2 + 0.3 * (0.1 + 0.8) / 2) / 3
    for name, interval in found.values.items():
        assert interval.mean == pytest.approx(truth), name
    assert found.weight.mean == pytest.approx(1)


def test_the_interval_of_the_ratio_is_that_of_a_literal_bootstrap_by_shopper() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(150), rng.geometric(0.2, 150))
    propensity = rng.choice([0.1, 0.3, 0.6], len(clusters))
    level = rng.beta(1, 3, 150)[clusters]
    reward, target = (rng.random(len(clusters)) < level).astype(float), rng.choice([0.0, 0.5], len(clusters))
    target *= 1.19 / np.mean(target / propensity)  # so that the ratio is another thing than the mean
    found = estimate_value(reward, propensity, target, clusters, resamples=8000).values[SNIPS]
    weight, drawn = target / propensity, []
    rows = [np.flatnonzero(clusters == one) for one in range(150)]
    for _ in range(3000):
        again = np.concatenate([rows[one] for one in rng.integers(0, 150, 150)])
        drawn.append((weight[again] @ reward[again]) / weight[again].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.08 * (high - low))
    assert found.high == pytest.approx(high, abs=0.08 * (high - low))


# --- refusals -------------------------------------------------------------------


def coin(n: int = 4000, share: float = 0.5) -> dict[str, Floats]:
    """Two buttons; the first is shown with chance ``share`` and brings twice as much."""
    rng = np.random.default_rng(0)
    first = rng.random(n) < share
    reward = (rng.random(n) < np.where(first, 0.4, 0.2)).astype(float)
    return {"reward": reward, "propensity": np.where(first, share, 1 - share), "target": first.astype(float)}


def told(rows: dict[str, Floats], floor: float = FLOOR) -> Estimate:
    return estimate_value(rows["reward"], rows["propensity"], rows["target"], floor=floor, resamples=500)


def test_what_the_log_can_tell_is_told() -> None:
    found = told(coin())
    assert found.values[IPS].low < 0.4 < found.values[IPS].high
    assert found.weight.low < 1 < found.weight.high


def broken(change: Callable[[dict[str, Floats]], object]) -> dict[str, Floats]:
    rows = coin()
    change(rows)
    return rows


def _put(name: str, value: float, n: int = 3) -> Callable[[dict[str, Floats]], object]:
    return lambda rows: rows[name].__setitem__(slice(7, 7 + n), value)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (_put("propensity", np.nan), NoSupport, "missing in 3 of 4,000 rows .the first is row 7"),
        (_put("propensity", 0.0), NoSupport, "0 or below in 3 of 4,000 rows"),
        (_put("propensity", 1.2), DataError, "propensity: a chance.* row 7. Got 1.2"),
        (_put("target", -0.1), DataError, "target: a chance.* row 7. Got -0.1"),
        (_put("target", np.nan), DataError, "target: a chance.* row 7. Got nan"),
        (_put("reward", np.inf), DataError, "reward: a finite number.* row 7. Got inf"),
        (lambda rows: rows["target"].fill(0), NoSupport, "none of 4,000 logged decisions is one of its own"),
        (lambda rows: rows.update(target=np.ones(3)), DataError, r"target: one number for each of 4,000.*\(3,\)"),
        (lambda rows: rows.update(propensity=rows["propensity"] / 4), DataError, "too small to be the chances"),
    ],
)
def test_what_it_cannot_tell_is_refused(
    change: Callable[[dict[str, Floats]], object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        told(broken(change))


def test_what_was_never_shown_is_refused_with_its_share() -> None:
    """The log shows two buttons, the new policy a third one in three cases of ten."""
    rows = coin()
    rows["target"] = np.full(4000, 0.35)
    with pytest.raises(NoSupport, match=r"never shows 3\d% of what the new policy would do .the mean weight is 0\.\d+"):
        told(rows)


def test_too_few_decisions_are_refused_in_figures() -> None:
    rows = coin(2000, share=0.01)
    with pytest.raises(NoSupport, match=r"size is 2\d\.0, below the floor of 100 .2\d of 2,000.*largest is 100\.0"):
        told(rows)
    assert told(rows, floor=10).n_used < 30
    with pytest.raises(NoSupport, match="nothing can be estimated"):
        estimate_value(np.empty(0), np.empty(0), np.empty(0))
    with pytest.raises(DataError, match="needs both"):
        estimate_value(np.zeros(3), np.ones(3), np.ones(3), predicted=np.zeros(3))


# --- simulated shoppers -----------------------------------------------------------

ITEMS = make_items(60)
K_SHOWN = 3


@cache
def simulated(seed: int, shuffled: float = 1.0) -> Simulation:
    listing = Listing(length=8, shuffled=shuffled)
    return simulate(ITEMS, None, SimulationConfig(n_shoppers=400, days=8, seed=seed, listing=listing), END)


def logged(made: Simulation) -> tuple[EventLog, Impressions]:
    log = EventLog.from_table(made.events, made.items)
    shown = Impressions.of(log)
    return log, shown.take(shown.randomised[shown.row])


def relevance(made: Simulation, log: EventLog, shown: Impressions) -> Floats:
    """How far each shown item answers its query, whoever asks; browsing, the cheaper."""
    table = np.stack([made.true_relevance(text) for text in log.queries])
    asked = shown.query[shown.row]
    dear = np.argsort(np.argsort(made.items.price)) / len(made.items)
    return np.where(asked >= 0, table[asked, shown.item], -dear[shown.item]) - 0.01 * dear[shown.item]


def truth_of(made: Simulation, log: EventLog, shown: Impressions, place: npt.NDArray[np.int64]) -> float:
    """The true CTR of the first places, had the lists been in that order."""
    lists = np.unique(shown.row)
    order = np.lexsort((place, shown.row))
    order = order[place[order] <= K_SHOWN]
    items = ItemList.from_lists(np.split(shown.item[order], np.cumsum(np.bincount(shown.row[order])[lists])[:-1]))
    requests = pl.DataFrame({
        "shopper": [log.shoppers[code] for code in shown.shopper[lists]],
        "query": [None if code < 0 else log.queries[code] for code in shown.query[lists]],
    })  # fmt: skip
    return made.true_ctr(items, requests)


def mixed(shown: Impressions, one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> Estimate:
    """A policy that tosses a coin between two orders; predictions by position and item, from other shoppers' lists."""
    predicted, expected = np.zeros(len(one)), np.zeros(len(one))
    for half in (0, 1):
        learned, there = shown.cluster % 2 != half, shown.cluster % 2 == half
        ctr = shown.clicked[learned].mean()
        rates = []
        for code in (shown.position, shown.item):
            n = np.bincount(code[learned], minlength=100)
            rates.append((np.bincount(code[learned], shown.clicked[learned], 100) + 5 * ctr) / (n + 5))
        model = rates[0][:, None] * rates[1][None, :] / ctr  # position, item
        predicted[there] = model[shown.position[there], shown.item[there]]
        for place in (one, other):
            at = {(row, position): item for row, position, item in zip(shown.row, place, shown.item, strict=True)}
            put = [at[row, position] for row, position in zip(shown.row[there], shown.position[there], strict=True)]
            expected[there] += 0.5 * model[shown.position[there], put]
    target = 0.5 * (one == shown.position) + 0.5 * (other == shown.position)
    first = shown.position <= K_SHOWN
    return estimate_value(
        shown.clicked[first].astype(float), shown.propensity[first], target[first], shown.cluster[first],
        predicted=predicted[first], expected=expected[first], resamples=600,
    )  # fmt: skip


@pytest.mark.slow
def test_estimates_hold_the_true_ctr_of_other_policies_on_simulated_logs(report: Callable[[str], None]) -> None:
    """A hundred shops of simulated shoppers, whose lists were in random order; the truth is that of the simulation."""
    names = (IPS, SNIPS, DR)
    held = {(policy, name): 0 for policy in ("relevance", "mixed") for name in names}
    naive, width = 0, dict.fromkeys(names, 0.0)
    for seed in range(100):
        made = simulated(seed)
        log, shown = logged(made)
        best = shown.places(relevance(made, log, shown))
        cheap = shown.places(-made.items.price[shown.item].astype(np.float64))
        ordered = estimate_order(shown, best, K_SHOWN, resamples=600)
        found = {"relevance": ordered, "mixed": mixed(shown, best, cheap)}
        ctr = {"relevance": truth_of(made, log, shown, best)}
        ctr["mixed"] = (ctr["relevance"] + truth_of(made, log, shown, cheap)) / 2
        for policy, name in held:
            interval = found[policy].values[name]
            held[policy, name] += interval.low <= ctr[policy] <= interval.high
        for name in names:
            width[name] += (ordered.values[name].high - ordered.values[name].low) / 100
        logged_ctr = float(shown.clicked[shown.position <= K_SHOWN].mean())
        naive += ordered.values[SNIPS].low <= logged_ctr <= ordered.values[SNIPS].high
    for (policy, name), count in held.items():
        report(f"simulated: {name} holds the true CTR of the policy {policy!r} in {count} of 100 runs")
        assert count >= 90, (policy, name)
    assert naive <= 20, "the intervals are narrow enough to tell the new order from the logged one"
    assert max(width[DR], width[SNIPS]) < width[IPS]
    told = ", ".join(f"{name} {width[name]:.3f}" for name in names)
    report(f"simulated: mean width of the 95% intervals, {told}; CTR as logged held in {naive} of 100")


@pytest.mark.slow
def test_what_simulated_shops_never_showed_is_refused_every_time() -> None:
    """The cheapest of the whole catalogue, of which eight were shown; and lists that nothing but one rule made."""
    cheapest = np.argsort(ITEMS.price)[:K_SHOWN]
    for seed in range(100):
        made = simulated(seed)
        log, shown = logged(made)
        first = shown.take(shown.position <= K_SHOWN)
        target = (cheapest[first.position - 1] == first.item).astype(float)
        with pytest.raises(NoSupport, match=r"never shows \d\d% of what the new policy would do|nothing that the log"):
            estimate_value(first.clicked.astype(float), first.propensity, target, first.cluster, resamples=500)
        fixed = replace(shown, propensity=np.ones_like(shown.propensity))
        with pytest.raises(NoSupport, match=r"never shows \d\d% of what the new policy would do"):
            estimate_order(fixed, shown.places(relevance(made, log, shown)), K_SHOWN, resamples=500)


def test_a_log_without_random_order_has_nothing_to_estimate_from() -> None:
    made = simulated(0, shuffled=0.0)
    _, shown = logged(made)
    assert len(shown.row) == 0
    with pytest.raises(NoSupport, match="nothing can be estimated"):
        estimate_order(shown, shown.places(np.zeros(0)))
    with pytest.raises(DataError, match=r"place: one for each of 0 impressions.*\(3,\)"):
        estimate_order(shown, np.arange(3))


# --- an engine --------------------------------------------------------------------


class Measured(NamedTuple):
    """A simulated shop of which 40 lists in 100 are in random order, and an engine that learned its first days."""

    made: Simulation
    log: EventLog
    cut: int
    engine: Engine
    config: ShopConfig


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    listing = Listing(length=6, shuffled=0.4)
    made = simulate(ITEMS, None, SimulationConfig(n_shoppers=400, days=20, seed=5, listing=listing), END)
    log = EventLog.from_table(made.events, made.items)
    options = {
        "shop": {"name": "Made up", "simulated": True},
        "items": {"file": "none.csv", "item": "item"},
        "encode": {"text": {"encoder": "tfidf"}},
        "rank": {"ranker": "match_score"},
    }
    config = ShopConfig.parse(options, "")
    folder = tmp_path_factory.mktemp("measured")
    encoded = encode_items(made.items, folder, folder / "media", config, Silent())
    cut = cut_of(log, 8)
    return Measured(made, log, cut, learn(encoded.items, log.before(cut), config, encoded.encoders), config)


def engine_places(measured: Measured, shown: Impressions) -> npt.NDArray[np.int64]:
    """The engine's place of every row, were it given each list last item first; 100 for what it drops."""
    log, lists = measured.log, np.unique(shown.row)
    rows = [np.flatnonzero(shown.row == number)[::-1] for number in lists]
    queries = [Query(text=log.queries[code] if code >= 0 else "") for code in shown.query[lists]]
    windows = log.windows(shown.shopper[lists], shown.asked[lists], measured.config.rank.window)
    requests = Requests(windows, queries, shown.asked[lists])
    ranked = measured.engine.observe(log).rank(requests, 6, [shown.item[of] for of in rows]).lists
    place = np.zeros(len(shown.row), dtype=np.int64)
    for number, of in enumerate(rows):
        placed = {item: at for at, item in enumerate(ranked.list_of(number).tolist(), start=1)}
        place[of] = [placed.get(item, 100) for item in shown.item[of].tolist()]
    return place


def test_an_engine_is_estimated_as_it_would_have_ordered_the_lists(measured: Measured) -> None:
    made, log, cut, engine, config = measured
    (table,) = estimate_ctr(engine, log, cut, config, k=K_SHOWN)
    shown = Impressions.of(log)
    after = shown.asked[shown.row] >= cut
    shuffled, others = shown.take(after & shown.randomised[shown.row]), shown.take(after & ~shown.randomised[shown.row])
    place = engine_places(measured, shuffled)
    by_hand = estimate_order(shuffled, place, K_SHOWN, resamples=100)
    rows = {row.system: row for row in table.rows}
    assert set(rows) == {"Vetrina", "popularity", "known chances, as shown", "other lists, as shown"}
    for name, interval in by_hand.values.items():
        ours = rows["Vetrina"].values[name]
        assert ours.mean == pytest.approx(interval.mean)
        assert ours.low < truth_of(made, log, shuffled, place) < ours.high
        for system, lists in (("known chances, as shown", shuffled), ("other lists, as shown", others)):
            first = lists.clicked[lists.position <= K_SHOWN]
            assert rows[system].values[name].mean == pytest.approx(first.mean())
            assert rows[system].values[name].n == len(first)
            lead = (rows[system].lead or {})[name]
            assert lead.mean == pytest.approx(interval.mean - first.mean())
            assert lead.low < lead.mean < lead.high
    # Who orders by the words of the query gets more clicks than chance does.
    assert (rows["known chances, as shown"].lead or {})[SNIPS].low > 0
    assert table.heading.startswith(
        f"Made up: CTR of the first 3 places, had the lists been ordered otherwise ({table.n}"
    )
    assert "SIMULATED shoppers" in table.heading
    assert table.reference == "Vetrina"
    assert f"effective sample size {by_hand.effective:,.0f}, largest weight 6.0" in table.notes[0]


def test_the_interval_of_lists_as_shown_is_that_of_the_bootstrap_of_those_lists_alone(measured: Measured) -> None:
    (table,) = estimate_ctr(measured.engine, measured.log, measured.cut, measured.config, k=K_SHOWN)
    shown = Impressions.of(measured.log)
    shown = shown.take((shown.asked[shown.row] >= measured.cut) & (shown.position <= K_SHOWN))
    for row in table.rows[2:]:
        of = shown.take(shown.randomised[shown.row] == row.system.startswith("known"))
        alone = bootstrap_mean(of.clicked.astype(float), of.cluster)
        width = alone.high - alone.low
        assert row.values[IPS].low == pytest.approx(alone.low, abs=0.1 * width)
        assert row.values[IPS].high == pytest.approx(alone.high, abs=0.1 * width)


def test_an_order_does_not_follow_the_one_that_chance_made(measured: Measured) -> None:
    """Were the first of equals the one that chance put first, clicks would be counted for where they fell."""
    shown = Impressions.of(measured.log)
    level = shown.item % 2 * 1.0
    upside_down = replace(shown, position=100 - shown.position)
    assert (shown.places(level) == upside_down.places(level)).all()


def test_what_the_rules_of_the_shop_leave_out_comes_last(measured: Measured) -> None:
    """Of each colour only the best is shown: the others follow, in order of item."""
    engine = replace(measured.engine, policy=PolicyConfig(no_duplicates=["colour"]))
    measured = measured._replace(engine=engine)
    (table,) = estimate_ctr(engine, measured.log, measured.cut, measured.config, k=K_SHOWN)
    shown = Impressions.of(measured.log)
    shown = shown.take((shown.asked[shown.row] >= measured.cut) & shown.randomised[shown.row])
    place = engine_places(measured, shown)
    assert (place > 6).any()
    by_hand = estimate_order(shown, shown.places(-place.astype(float)), K_SHOWN, resamples=100)
    for name, interval in by_hand.values.items():
        assert table.rows[0].values[name].mean == pytest.approx(interval.mean)


def test_lists_that_are_not_whole_are_left_out_and_counted(measured: Measured) -> None:
    _, log, cut, engine, config = measured
    shown = Impressions.of(log)
    lists = np.unique(shown.row[(shown.asked[shown.row] >= cut) & shown.randomised[shown.row]])
    requests = {int(code) for code in log.request[np.isin(log.time, shown.asked[lists[:3]])]}
    holes = np.isin(log.request, list(requests)) & (log.position == 2) & np.isfinite(log.propensity)
    propensity = np.where(holes, np.float32("nan"), log.propensity)
    (table,) = estimate_ctr(engine, replace(log, propensity=propensity), cut, config, k=K_SHOWN)
    left_out = int(holes[log.time >= cut].sum())
    assert left_out >= 3
    assert table.n == len(lists) - left_out
    assert any(note.startswith(f"{left_out} lists are left out") for note in table.notes)
    nothing = replace(log, propensity=np.full_like(log.propensity, np.nan))
    assert estimate_ctr(engine, nothing, cut, config) == []
    gaps = np.where(log.position == 2, np.int32(9), log.position)
    with pytest.raises(NoSupport, match=r"None of \d+ lists with propensities can be used.*without gaps"):
        estimate_ctr(engine, replace(log, position=gaps), cut, config)


def test_an_engine_that_the_log_cannot_tell_of_has_no_row_but_a_reason(measured: Measured) -> None:
    _, log, cut, engine, config = measured
    (table,) = estimate_ctr(engine, log, cut, config, k=K_SHOWN, floor=1e6)
    assert [row.system for row in table.rows] == ["known chances, as shown", "other lists, as shown"]
    assert table.reference == ""
    assert table.notes[0].startswith("Vetrina: Too few decisions carry the estimate: the effective sample size is")
