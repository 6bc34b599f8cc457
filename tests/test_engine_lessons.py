"""What a ranker is taught with: sessions, what was chosen later, what is hidden; and what is known when it is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core import DAY, EVENT_COLUMNS, EventLog, Items
from vetrina.engine import Gains, ShopConfig, fit_stages, ranker_rows
from vetrina.engine.lessons import Lesson, lessons_of
from vetrina.testing import small_shop

N_ITEMS = 40


def config(**rank: Any) -> ShopConfig:
    return ShopConfig.parse({"items": {"file": "items.csv", "item": "item"}, "rank": rank}, "")


def written(rows: list[tuple[int, str, str, str]], unit: int = DAY) -> EventLog:
    """A log of (day, shopper, kind, item)."""
    table = pl.DataFrame(
        {name: [row[place] for row in rows] for place, name in enumerate(("time", "shopper", "kind", "item"))}
    ).with_columns(pl.col("time") * unit, rating=pl.lit(5.0))
    missing = [pl.lit(None, kind).alias(name) for name, kind in EVENT_COLUMNS.items() if name not in table.columns]
    items = Items(pl.DataFrame({"item": [f"i{number}" for number in range(N_ITEMS)]}))
    return EventLog.from_table(table.with_columns(missing), items)


def chosen(lesson: Lesson, number: int = -1) -> dict[str, set[int]]:
    """What each shopper is asked for, by name."""
    replay = lesson.replays[number]
    truth = replay.truth
    return {
        lesson.log.shoppers[who]: set(truth.item[truth.offsets[row] : truth.offsets[row + 1]].tolist())
        for row, who in enumerate(replay.shopper.tolist())
    }


def test_ahead_asks_everybody_at_the_beginning_of_each_part_for_all_that_follows_in_it() -> None:
    log = written(
        [
            (0, "ana", "purchase", "i1"),
            (12, "ana", "purchase", "i2"),
            (12, "bo", "purchase", "i1"),
            (15, "ana", "purchase", "i1"),
            (21, "ana", "purchase", "i3"),
            (29, "bo", "purchase", "i1"),
            (29, "cleo", "purchase", "i4"),
        ]
    )
    last, before = lessons_of(log, config(training="ahead", training_days=18, ahead_days=9))
    end = 29 * DAY + 1
    assert (last.until, before.until) == (end - 9 * DAY, end - 18 * DAY)
    every, new = last.replays
    assert chosen(last, 0) == {"ana": {3}, "bo": {1}, "cleo": {4}}  # cleo is new, and asked all the same
    assert chosen(last, 1) == {"ana": {3}, "cleo": {4}}
    assert {query.exclude_purchased for query in new.requests.queries} == {True}
    assert {query.exclude_purchased for query in every.requests.queries} == {False}
    assert chosen(before, 0) == {"ana": {1, 2}, "bo": {1}}
    assert every.requests.now.tolist() == [last.until] * 3
    assert (every.requests.windows.time < last.until).all()


def test_next_asks_anew_after_every_ten_choices_of_a_visit() -> None:
    seconds = [(minute * 60, "ana", "purchase", f"i{minute}") for minute in range(25)]
    seconds += [(minute * 60 + 30, "ana", "view", f"i{30 + minute}") for minute in range(5)]  # views choose nothing
    seconds += [(minute * 60 + 5, "bo", "purchase", f"i{minute}") for minute in range(3)]
    log = written(seconds, unit=1)
    (lesson,) = lessons_of(log, config(training="next", training_days=1))
    replay = lesson.replays[0]
    later = {  # the latter half of the log is learned from
        int(now): replay.truth.item[replay.truth.offsets[row] : replay.truth.offsets[row + 1]].tolist()
        for row, now in enumerate(replay.requests.now)
        if lesson.log.shoppers[replay.shopper[row]] == "ana"
    }
    assert later == {20 * 60: [20, 21, 22, 23, 24]}
    assert replay.requests.windows.item.tolist().count(19) == 1  # what came before in the same visit is known
    assert not lessons_of(log, config(training="sessions", training_days=1))  # the visits began before


def test_where_nothing_is_chosen_again_only_what_is_new_is_asked_for() -> None:
    rows = [(day, f"s{day % 3}", "rate", f"i{day}") for day in range(30)]
    gains = {"rate": 1.0}
    for training in ("sessions", "next", "ahead", "hidden"):
        lessons = lessons_of(written(rows), config(training=training, gains=gains))
        assert [len(one.replays) for one in lessons] == [1] * len(lessons)
        assert all(query.exclude_purchased for one in lessons for query in one.replays[0].requests.queries)


@given(
    seed=st.integers(0, 1000),
    rows=st.lists(
        st.tuples(
            st.integers(0, 60),
            st.sampled_from(["ana", "bo", "cleo"]),
            st.sampled_from(["view", "purchase", "rate"]),
            st.integers(0, N_ITEMS - 1).map("i{}".format),
        ),
        min_size=1,
        max_size=120,
    ),
)
def test_of_what_is_hidden_nothing_is_known(seed: int, rows: list[tuple[int, str, str, str]]) -> None:
    log = written(rows)
    options = config(training="hidden", gains={"purchase": 2.0, "rate": 1.0})
    options = options.model_copy(update={"build": options.build.model_copy(update={"seed": seed})})
    gain = Gains(purchase=2.0, rate=1.0).of(log.kind, log.rating)
    asked: list[tuple[int, int]] = []
    for lesson in lessons_of(log, options):
        replay = lesson.replays[0]
        pairs = list(zip(replay.shopper[replay.truth.row].tolist(), replay.truth.item.tolist(), strict=True))
        known = set(zip(lesson.log.shopper.tolist(), lesson.log.item.tolist(), strict=True))
        windows = replay.requests.windows
        seen = set(zip(replay.shopper[windows.row].tolist(), windows.item.tolist(), strict=True))
        assert not known & set(pairs)
        assert not seen & set(pairs)
        for (shopper, item), worth in zip(pairs, replay.truth.gain.tolist(), strict=True):
            assert worth == gain[(log.shopper == shopper) & (log.item == item)].max() > 0
        asked += pairs
    assert len(asked) == len(set(asked))  # nothing is asked for twice
    for shopper in np.unique(log.shopper):
        liked = np.unique(log.item[(log.shopper == shopper) & (gain > 0)])
        count = sum(who == shopper for who, _ in asked)
        assert count == (3 * max(1, len(liked) // 10) if len(liked) > 3 else 0)


@pytest.mark.parametrize("training", ["sessions", "next", "ahead", "hidden"])
def test_each_way_makes_rows_in_which_something_is_chosen(training: str) -> None:
    items, log = small_shop()
    options = config(training=training, training_days=60, ahead_days=20, features=["people", "popularity"])
    stages = fit_stages(items, log, options, {})
    rows = ranker_rows(stages, log, options)
    again = ranker_rows(stages, log, options)
    np.testing.assert_array_equal(rows.features, again.features)
    assert (rows.gain > 0).any()
    assert (rows.gain == 0).any()
