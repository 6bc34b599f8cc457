"""Learning from lists that were shown: which rows, what they count, and that no feature says where an item stood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from vetrina.core import DAY, EventKind, EventLog, ItemList, Items, Truth
from vetrina.engine import Engine, ShopConfig, requests_from_log
from vetrina.engine.rows import ranker_rows, training_rows
from vetrina.engine.shown import examination_of, positions_of
from vetrina.engine.stages import fit_stages
from vetrina.rank import Examination, TrainingRows
from vetrina.simulate import Simulation, SimulationConfig, simulate

END = 1_700_000_000 // DAY * DAY
N = 60
CURVE = Examination(1 / np.sqrt(np.arange(1.0, 21)))


def config(**rank: object) -> ShopConfig:
    options = {
        "items": {"file": "products.csv", "item": "id"},
        "encode": {},
        "retrieve": {name: {"k": N} for name in ("lexical", "item_item", "popular")},
        "rank": {"features": ["words", "people", "popularity"], "impressions": "debiased", **rank},
    }
    return ShopConfig.parse(options, "")


@pytest.fixture(scope="module")
def made() -> Simulation:
    rng = np.random.default_rng(0)
    colours, kinds = (rng.choice(values, N) for values in (["Red", "Blue", "White"], ["Mugs", "Plates", "Bowls"]))
    empty = {name: [""] * N for name in ("description", "photo", "audio", "video")}
    table = pl.DataFrame(
        {
            "item": [f"p{number}" for number in range(N)],
            "title": [f"{colour} {kind[:-1]}" for colour, kind in zip(colours, kinds, strict=True)],
            "category": kinds,
            "brand": rng.choice(["Aldermoor", "Corvina"], N),
            "colour": colours,
            "price": rng.lognormal(3, 0.5, N).round(2),
            "in_stock": [True] * N,
            "available_at": pl.Series([None] * N, dtype=pl.Int64),
            "more_photos": [[]] * N,
            **empty,
        }
    )
    return simulate(Items(table), None, SimulationConfig(n_shoppers=250, days=40), END)


@pytest.fixture(scope="module")
def log(made: Simulation) -> EventLog:
    return EventLog.from_table(made.events, made.items)


@pytest.fixture(scope="module")
def engine(made: Simulation, log: EventLog) -> Engine:
    return fit_stages(made.items, log, config(), {})


def rows_of(engine: Engine, log: EventLog, settings: ShopConfig, seed: int = 0) -> TrainingRows:
    replay = requests_from_log(log, END - 5 * DAY, END, window_size=50)
    return TrainingRows.join(training_rows(engine, replay, settings.rank, seed, None, None, CURVE), [])


def test_a_replay_tells_what_was_shown_and_where(log: EventLog) -> None:
    replay = requests_from_log(log, END - DAY, END, window_size=5)
    assert replay.shown is not None
    lists: dict[tuple[int, int], dict[int, int]] = {}
    for row in np.flatnonzero(log.kind == EventKind.impression):
        mine = lists.setdefault((int(log.request[row]), int(log.shopper[row])), {})
        mine[int(log.item[row])] = int(log.position[row])
    told = {frozenset(one.items()) for one in lists.values()}
    for one in (replay, replay.take(np.arange(1, len(replay.requests), 2))):
        assert one.shown is not None
        assert len(one.shown) == len(one.requests)
        for start, stop, request in zip(one.shown.offsets[:-1], one.shown.offsets[1:], range(10**6), strict=False):
            part = slice(int(start), int(stop))
            items = one.shown.item[part].tolist()
            assert frozenset(zip(items, one.shown.columns["position"][part].tolist(), strict=True)) in told
            assert set(one.truth.take(np.array([request])).item.tolist()) <= set(items)


def test_rows_are_what_was_shown_and_count_as_it_was_looked_at(engine: Engine, log: EventLog) -> None:
    rows = rows_of(engine, log, config())
    assert rows.asked is not None
    assert rows.weight is not None
    replay = requests_from_log(log, END - 5 * DAY, END, window_size=50)
    assert replay.shown is not None
    assert len(rows.sizes) == len(replay.requests)
    shown = replay.shown
    pairs = zip(shown.row.tolist(), shown.item.tolist(), strict=True)
    position = dict(zip(pairs, shown.columns["position"].tolist(), strict=True))
    listed = rows.asked.lists
    where = np.array([position[pair] for pair in zip(listed.row.tolist(), listed.item.tolist(), strict=True)])
    assert rows.weight == pytest.approx(np.where(rows.gain > 0, 1, CURVE.at(where)))
    plain = rows_of(engine, log, config(impressions="ignored"))
    assert len(plain.gain) > 1.5 * len(rows.gain)
    assert plain.weight is None


def test_no_feature_says_where_an_item_stood(engine: Engine, log: EventLog) -> None:
    turned = log.position.copy()
    shown = turned > 0
    turned[shown] = 21 - turned[shown]
    first, other = rows_of(engine, log, config()), rows_of(engine, replace(log, position=turned), config())
    np.testing.assert_array_equal(first.features, other.features)
    assert first.weight is not None
    assert other.weight is not None
    assert np.abs(first.weight - other.weight).max() > 0.3


def test_a_log_without_impressions_gives_the_same_rows_whatever_is_set(engine: Engine, log: EventLog) -> None:
    bought = log.take(log.kind == EventKind.purchase)
    found = [ranker_rows(engine, bought, config(impressions=how)) for how in ("debiased", "plain", "ignored")]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].features, other.features)
        np.testing.assert_array_equal(found[0].gain, other.gain)
        assert found[0].weight is other.weight is None
    assert (np.diff(np.flatnonzero(found[0].gain > 0)) > 1).any(), "candidates that nobody chose are among them"


def test_lists_that_do_not_tell_what_was_passed_over_are_left() -> None:
    shown = ItemList.from_lists([np.array([4, 2, 9], np.int32), np.array([4, 2], np.int32), np.array([7], np.int32)])
    shown.columns["position"] = np.array([1, 2, 3, 2, 1, 1], dtype=np.int32)
    # The second chose what its list does not show; of the third, nothing was passed over.
    truth = Truth.from_lists([{2: 1.0}, {5: 3.0}, {7: 1.0}])
    lists = ItemList.from_lists([np.array([1, 2, 4, 9], np.int32)] + [np.array([2, 4, 7], np.int32)] * 2)
    assert positions_of(lists, shown, truth).tolist() == [0, 2, 1, 3, *[0] * 6]


def test_drawn_negatives_stand_for_all_of_them(engine: Engine, log: EventLog) -> None:
    """The mean over draws of a loss in which each row counts as often as it stands for is the loss of all rows."""
    every = rows_of(engine, log, config(impressions="ignored", negatives=10_000))
    whole = _loss_by_request(every)
    found = [rows_of(engine, log, config(impressions="ignored", negatives=5), seed) for seed in range(25)]
    for rows in found:
        assert rows.stands_for is not None
        assert len(rows.gain) < len(every.gain) / 3
        starts = np.cumsum(rows.sizes) - rows.sizes
        assert np.add.reduceat(rows.stands_for, starts) == pytest.approx(every.sizes, rel=1e-5)
    drawn = np.array([_loss_by_request(rows).sum() for rows in found])
    assert abs(drawn.mean() - whole.sum()) < 4 * drawn.std(ddof=1) / np.sqrt(len(drawn))
    blind = np.array([_loss_by_request(replace(rows, stands_for=None)).sum() for rows in found])
    assert blind.mean() < whole.sum() / 2


def _loss_by_request(rows: TrainingRows) -> npt.NDArray[np.float64]:
    """Squared distance of a score, some feature, from the gain."""
    loss = (np.nan_to_num(rows.features[:, 0]) - rows.gain) ** 2 * (1 if rows.alone is None else rows.alone)
    return np.asarray(np.add.reduceat(loss, np.cumsum(rows.sizes) - rows.sizes), dtype=np.float64)


def test_requests_fade_by_their_half_life(engine: Engine, log: EventLog) -> None:
    fading = ranker_rows(engine, log, config(impressions="ignored", half_life_days=5.0))
    assert fading.asked is not None
    assert fading.weight is not None
    age = (int(log.time[-1]) - np.repeat(fading.asked.requests.now, fading.sizes)) / DAY
    assert fading.weight == pytest.approx(0.5 ** (age / 5), rel=1e-4)
    assert fading.weight.min() < 0.1


def test_the_curve_is_found_in_the_log(made: Simulation, engine: Engine, log: EventLog) -> None:
    settings = config().rank
    by_lot = examination_of(engine, log, END - 20 * DAY, settings)
    assert by_lot is not None
    assert by_lot.method == "lists in random order"
    true = made.true_examination
    assert np.abs(by_lot.curve - true)[:10].max() < 0.08
    unknown = replace(log, propensity=np.full(len(log), np.nan, dtype=np.float32))
    guessed = examination_of(engine, unknown, END - 20 * DAY, settings)
    assert guessed is not None
    assert guessed.method == "regression"
    assert np.abs(guessed.curve - true)[:10].max() < 0.1
    few = log.between(END - DAY, END)
    assert examination_of(engine, few, END - DAY, settings) is None


def test_one_position_that_cannot_be_does_not_fill_the_memory(engine: Engine, log: EventLog) -> None:
    """A curve of two thousand million positions would."""
    position = log.position.copy()
    position[np.flatnonzero(position > 0)[-1]] = 2_000_000_000
    found, told = (
        examination_of(engine, one, END - 5 * DAY, config().rank) for one in (replace(log, position=position), log)
    )
    assert found is not None
    assert told is not None
    np.testing.assert_allclose(found.curve, told.curve, atol=0.02)


@pytest.mark.parametrize("days", [5.0, 1e-4])
def test_what_fades_fast_still_counts(engine: Engine, log: EventLog, days: float) -> None:
    weight = ranker_rows(engine, log, config(impressions="ignored", half_life_days=days)).weight
    assert weight is not None
    assert weight.min() >= 1e-7
