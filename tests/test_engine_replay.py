"""The past sees only the past: what is learned and answered about a time does not change with what came later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_shop import built_shop
from vetrina.core import DAY, EVENT_COLUMNS, EventKind, EventLog
from vetrina.engine import Engine, Replay, ShopConfig, requests_from_log
from vetrina.engine.judged import judged_replay
from vetrina.engine.lessons import spoken
from vetrina.engine.rows import training_rows
from vetrina.engine.stages import fit_stages, refit
from vetrina.rank import TrainingRows

HOUR = 3600
START = 1_700_000_000 // DAY * DAY
SINCE = START + 10 * DAY
N_SESSIONS = 240


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, ShopConfig]:
    """A published engine, for its items and encoders, and the configuration."""
    shop = built_shop(tmp_path_factory.mktemp("shop"))
    return shop.engine, shop.config


def sessions() -> pl.DataFrame:
    """Twenty days of searches and visits, two hours apart, so that none reaches into the next."""
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    for number in range(N_SESSIONS):
        time, shopper = START + number * 2 * HOUR, f"s{rng.integers(6)}"
        query = str(rng.choice(["red dress", "black shoe", "bag"])) if rng.random() < 0.5 else None
        shown = rng.permutation(24)[:6]
        for position, item in enumerate(shown, start=1):
            rows.append((time, shopper, "impression", f"p{item:02d}", query, f"r{number}", position, None))
        for item in rng.choice(shown, 3):
            kind = str(rng.choice(["view", "click", "cart", "purchase", "hide"]))
            rows.append((time + int(rng.integers(1, 600)), shopper, kind, f"p{item:02d}", query, f"r{number}", 1, 9.5))
    names = ["time", "shopper", "kind", "item", "query", "request", "position", "price"]
    table = pl.DataFrame(rows, schema={name: EVENT_COLUMNS[name] for name in names}, orient="row")
    unknown = [pl.lit(None, EVENT_COLUMNS[name]).alias(name) for name in EVENT_COLUMNS if name not in names]
    return table.with_columns(unknown).sort("time")


EVENTS = sessions()


def altered(events: pl.DataFrame, time: int, how: str, seed: int) -> pl.DataFrame:
    """The same until ``time``, other things from then on."""
    past, later = events.filter(pl.col("time") < time), events.filter(pl.col("time") >= time)
    rng = np.random.default_rng(seed)
    if how == "deleted":
        later = later.filter(pl.Series(rng.random(later.height) < 0.3, dtype=pl.Boolean))
    elif how == "shuffled":
        later = later.with_columns(
            later[name].gather(rng.permutation(later.height)) for name in ("item", "kind", "shopper", "query")
        )
    else:
        later = later.with_columns(
            kind=pl.lit("purchase"), item=pl.lit(f"p{rng.integers(24):02d}"), time=pl.col("time") + 100 * DAY
        )
    return pl.concat([past, later]).sort("time", maintain_order=True)


Rows = list[npt.NDArray[np.float32]]


def learned_before(shop: tuple[Engine, ShopConfig], events: pl.DataFrame, time: int) -> tuple[Rows, Rows]:
    """(what the training rows of requests before ``time`` hold, how the stages rank for those requests)."""
    published, config = shop
    log = EventLog.from_table(events.select(*EVENT_COLUMNS), published.items)
    # As a build does: stages see the whole log, models of behaviour only what was before the rows.
    past = refit(fit_stages(published.items, log, config, published.encoders), log, until=SINCE)
    rows: Rows = []
    lists: Rows = []
    for only_new in (False, True):
        replay = requests_from_log(log, SINCE, time, window_size=20, only_new=only_new)
        for part in training_rows(past, replay, config.rank, seed=3):
            rows += [part.features, part.gain, part.sizes.astype(np.float32)]
        ranked = past.rank(replay.requests, 10)
        lists += [ranked.lists.offsets.astype(np.float32), ranked.lists.item.astype(np.float32), ranked.features]
    return rows, lists


@pytest.mark.slow
@settings(max_examples=8)
@given(
    number=st.integers(N_SESSIONS // 2 + 2, N_SESSIONS - 1),
    how=st.sampled_from(["deleted", "shuffled", "others"]),
    seed=st.integers(0, 1000),
)
def test_what_comes_later_changes_no_row_no_feature_and_no_ranking(
    shop: tuple[Engine, ShopConfig], number: int, how: str, seed: int
) -> None:
    time = START + number * 2 * HOUR
    wanted, found = learned_before(shop, EVENTS, time), learned_before(shop, altered(EVENTS, time, how, seed), time)
    assert sum(len(one) for one in wanted[0]) > 0
    for one, other in zip([*wanted[0], *wanted[1]], [*found[0], *found[1]], strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_came_before_does_change_them(shop: tuple[Engine, ShopConfig]) -> None:
    """The twin of the test above, which would pass as well if rows rested on nothing."""
    time = START + (N_SESSIONS - 20) * 2 * HOUR
    wanted = learned_before(shop, EVENTS, time)[0]
    found = learned_before(shop, altered(EVENTS, START + 2 * DAY, "shuffled", 0), time)[0]
    assert wanted[0].shape != found[0].shape or not np.array_equal(wanted[0], found[0], equal_nan=True)


def test_windows_end_before_their_request(shop: tuple[Engine, ShopConfig]) -> None:
    log = EventLog.from_table(EVENTS.select(*EVENT_COLUMNS), shop[0].items)
    replay = requests_from_log(log, START, START + 99 * DAY, window_size=10)
    requests = replay.requests
    assert len(requests) > 100
    assert np.all(requests.windows.time < requests.now[requests.windows.row])
    assert np.diff(requests.windows.offsets).max() == 10
    assert np.all(requests.age > 0)


def test_made_up_searches_are_words_of_what_was_chosen(shop: tuple[Engine, ShopConfig]) -> None:
    items = shop[0].items
    visits = EVENTS.with_columns(query=pl.lit(None, pl.String))
    log = EventLog.from_table(visits.select(*EVENT_COLUMNS), items)
    replay = requests_from_log(log, SINCE, START + 99 * DAY, window_size=20)
    made = spoken(replay, items, seed=0)
    assert len(made.requests) == len(replay.requests) > 50
    for number, query in enumerate(made.requests.queries):
        (item,) = made.truth.slice(number, number + 1).item.tolist()
        truth = replay.truth.slice(number, number + 1)
        assert truth.gain[truth.item.tolist().index(item)] == truth.gain.max()
        row = items.table.row(item, named=True)
        told = f"{row['title']} {row['category']} {row['colour']}".casefold().split()
        assert 1 <= len(query.text.split()) <= 3
        assert set(query.text.split()) <= set(told)
    assert np.array_equal(made.requests.now, replay.requests.now)
    for number in range(len(made.requests)):
        # Half of them are asked by somebody unknown.
        known = [] if number % 2 else replay.requests.windows.slice(number, number + 1).item.tolist()
        assert made.requests.windows.slice(number, number + 1).item.tolist() == known
    assert [query.text for query in spoken(replay, items, seed=0).requests.queries] == [
        query.text for query in made.requests.queries
    ]


def test_words_decide_in_a_search_though_nobody_ever_searched(tmp_path: Path) -> None:
    """The small shop's events hold no query: shoppers choose a colour, and that is all there is to learn from."""
    shop = built_shop(tmp_path)
    wanted = [title for title in ("Black shoe", "Blue bag", "Red hat") for _ in "ABCDE"]
    found = [shop.search(title, shopper=who).results[0].title for title in wanted[::5] for who in "ABCDE"]
    assert sum(one == other for one, other in zip(wanted, found, strict=True)) >= 14


def test_graded_queries_are_requests_of_nobody(shop: tuple[Engine, ShopConfig]) -> None:
    grades = pl.DataFrame(
        [("hat", "p02", 3), ("red", "p00", 2), ("hat", "gone", 3), ("hat", "p01", 0), ("only what is gone", "gone", 1)],
        schema=["query", "item", "grade"],
        orient="row",
    )
    items = shop[0].items
    replay = judged_replay(grades, items)
    assert isinstance(replay, Replay)
    assert [query.text for query in replay.requests.queries] == ["hat", "red"]
    assert replay.truth.item.tolist() == [1, 2, 0]
    assert replay.truth.gain.tolist() == [0, 3, 2]
    assert not len(replay.requests.windows.item)
    assert replay.shopper.tolist() == [-1, -1]
    assert len(shop[0].rank(replay.requests, 10).lists.list_of(1)) == 10  # all items are on sale by then
    assert judged_replay(None, items) is judged_replay(grades.clear(), items) is None


def test_rows_say_what_was_done_with_what_was_chosen(shop: tuple[Engine, ShopConfig]) -> None:
    """Every kind of event that chose an item in its request, literally looked up, and nothing for the others."""
    engine, config = shop
    log = EventLog.from_table(EVENTS.select(*EVENT_COLUMNS), engine.items)
    replay = requests_from_log(log, SINCE, int(log.time[-1]) + 1)
    rows = training_rows(engine, replay, config.rank, 0)
    names = {EventKind.click: 1.0, EventKind.cart: 2.0, EventKind.purchase: 3.0}
    done: dict[tuple[int, int], set[EventKind]] = {}
    for kind, item, request in zip(log.kind, log.item, log.request, strict=True):
        if EventKind(kind) in names:
            done.setdefault((int(request), int(item)), set()).add(EventKind(kind))
    asked_at = {int(time): int(code) for time, code in zip(log.time[::-1], log.request[::-1], strict=True)}
    several = 0
    for part in rows:
        assert part.asked is not None
        assert part.outcome is not None
        requests, lists = part.asked.requests, part.asked.lists
        for row, item, outcome, gain in zip(lists.row, lists.item, part.outcome, part.gain, strict=True):
            kinds = done.get((asked_at[int(requests.now[row])], int(item)), set())
            assert outcome == sum(1 << kind for kind in kinds)
            assert gain == max((names[kind] for kind in kinds), default=0)
            several += len(kinds) > 1
    assert several


def test_rows_are_the_same_however_many_threads_make_them(
    shop: tuple[Engine, ShopConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, config = shop
    log = EventLog.from_table(EVENTS.select(*EVENT_COLUMNS), engine.items)
    replay = requests_from_log(log, SINCE, int(log.time[-1]) + 1)
    monkeypatch.setattr("vetrina.engine.rows._CHUNK", 4)
    made = []
    for threads in (1, 3):
        monkeypatch.setattr("vetrina.engine.rows._threads", lambda n_items, threads=threads: threads)
        told: list[int] = []
        rows = training_rows(engine, replay, config.rank, 0, told.append)
        assert sum(told) == len(replay.requests)
        made.append(TrainingRows.join(rows, engine.feature_names))
    assert len(made[0].gain) > 10
    for column in ("features", "gain", "sizes", "outcome"):
        np.testing.assert_array_equal(getattr(made[0], column), getattr(made[1], column))
