"""What happens later changes nothing that was answered before: no feature, no candidate, no score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_components import SMALL
from vetrina.core import EventLog, Query, Requests, components, create
from vetrina.core.past import later_exchanged, later_scrambled, without_later
from vetrina.engine import Engine, ShopConfig, fit_stages, learn, ranker_rows
from vetrina.rank.features import Price
from vetrina.testing import FeatureCase, small_shop

ITEMS, LOG = small_shop()
# Of a model that takes long to learn only a few pasts are tried; the contract suite tries others.
SLOW = {"gru", "sasrec"}
FAMILIES = [name for (_, name), cls in components("features").items() if cls.__module__.startswith("vetrina.")]
SOURCES = [name for (_, name), cls in components("retriever").items() if cls.__module__.startswith("vetrina.")]
TEXTS = ["red hat", "", "black shoe", "blue zzqq", "", "handbag"]

Answers = Mapping[str, npt.NDArray[Any]]
#: What may become of the events from a moment on.
FUTURES: dict[str, Callable[[EventLog, int, int], EventLog]] = {
    "deleted": lambda log, cut, seed: without_later(log, cut),
    "on other items": later_exchanged,
    "shuffled, and some deleted": later_scrambled,
}
#: Where the log is cut, and how the later events are drawn.
pasts = given(share=st.floats(0.05, 1), seed=st.integers(0, 2**32 - 1))


def moment(share: float) -> int:
    return int(LOG.time[int(share * (len(LOG) - 1))])


def asked(log: EventLog, since: int, cut: int) -> Requests:
    """Questions of those who did something between two moments, asked then, with their windows in ``log``."""
    rows = np.flatnonzero((LOG.time >= since) & (LOG.time <= cut))
    rows = np.unique(rows[np.linspace(0, len(rows) - 1, 12).astype(np.int64)]) if len(rows) else rows
    now = LOG.time[rows]
    queries = [Query(text=TEXTS[number % len(TEXTS)]) for number in range(len(rows))]
    return Requests(log.windows(LOG.shopper[rows], now, 50), queries, now)


def same(got: Answers, wanted: Answers) -> None:
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def known(learns: str, log: EventLog, cut: int) -> EventLog:
    """What a component may be given that is asked until ``cut``: a model of behaviour nothing later."""
    return log.before(cut) if learns == "log" else log


CASE = FeatureCase(Price, ITEMS, LOG)


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=8, deadline=None)
@pasts
def test_no_feature_changes(name: str, share: float, seed: int) -> None:
    cut = moment(share)

    def answers(log: EventLog) -> Answers:
        requests = asked(log, 0, cut)
        family: Any = create("features", name, SMALL.get(name))
        return {
            "features": family.fit(ITEMS, known(family.learns, log, cut)).compute(requests, CASE.candidates(requests))
        }

    wanted = answers(LOG)
    for change in FUTURES.values():
        same(answers(change(LOG, cut, seed)), wanted)


def the_source_answers_the_same(name: str, share: float, seed: int, changes: Sequence[str] = tuple(FUTURES)) -> None:
    cut = moment(share)

    def answers(log: EventLog) -> Answers:
        requests = asked(log, 0, cut)
        source: Any = create("retriever", name, SMALL.get(name))
        source.fit(ITEMS, known(source.learns, log, cut))
        ids, scores = source.retrieve(requests, 10, None)
        return {"ids": ids, "scores": scores, "score": source.score(requests, CASE.candidates(requests))}

    wanted = answers(LOG)
    for change in changes:
        same(answers(FUTURES[change](LOG, cut, seed)), wanted)


@pytest.mark.parametrize("name", sorted(set(SOURCES) - SLOW))
@settings(max_examples=4, deadline=None)
@pasts
def test_no_candidate_and_no_score_of_a_source_changes(name: str, share: float, seed: int) -> None:
    the_source_answers_the_same(name, share, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW))
def test_nor_of_one_that_takes_long_to_learn(name: str) -> None:
    the_source_answers_the_same(name, 0.6, 0, ["deleted"])


# --- the engine as a whole ------------------------------------------------------


def config() -> ShopConfig:
    """A shop with every family there is, and every source but those that take long to learn."""
    return ShopConfig.parse(
        {
            "items": {"file": "items.csv", "item": "item"},
            "rank": {"features": FAMILIES, "options": {"trees": 8, "min_rows_in_leaf": 5}},
            "retrieve": {name: {"k": 15, "options": SMALL.get(name, {})} for name in sorted(set(SOURCES) - SLOW)},
        },
        "",
    )


#: When the engine learned.
LEARNED = moment(0.7)


@cache
def engine() -> Engine:
    return learn(ITEMS, LOG.before(LEARNED), config(), {})


def ranked(one: Engine, log: EventLog, cut: int) -> Answers:
    """All that an engine says to requests asked since it learned until ``cut``."""
    requests = asked(log, LEARNED, cut)
    found = one.observe(log).rank(requests, 10)
    return {"items": found.lists.item, "features": found.features, **found.lists.columns}


@settings(max_examples=6, deadline=None)
@given(share=st.floats(0.7, 1), seed=st.integers(0, 2**32 - 1))
def test_no_score_of_the_engine_changes(share: float, seed: int) -> None:
    cut = moment(share)
    wanted = ranked(engine(), LOG, cut)
    assert wanted["score"].size
    for change in FUTURES.values():
        same(ranked(engine(), change(LOG, cut, seed), cut), wanted)


@pytest.mark.slow
def test_an_engine_learns_the_same() -> None:
    """Learned until a moment from a log of which the rest is another: the same stages, the same ranker."""
    wanted = ranked(engine(), LOG, LEARNED)
    for change in FUTURES.values():
        again = learn(ITEMS, change(LOG, LEARNED, 0).before(LEARNED), config(), {})
        same(ranked(again, LOG, LEARNED), wanted)


def test_what_comes_earlier_does_change_something() -> None:
    """That the tests above can fail: the same changes a week earlier are noticed."""
    cut = int(LOG.time[-1])
    week = cut - 7 * 86_400
    wanted = ranked(engine(), LOG, cut)
    for change in FUTURES.values():
        got = ranked(engine(), change(LOG, week, 0), cut)
        assert not np.array_equal(got["score"], wanted["score"])


def test_a_scrambled_future_is_another_and_the_past_is_the_same() -> None:
    cut = moment(0.5)
    log = later_scrambled(LOG, cut, 3)
    n = len(LOG.before(cut))
    assert n < len(log) < len(LOG)
    assert np.all(np.diff(log.time) >= 0)
    past = slice(0, n)
    for name in ("time", "shopper", "kind", "item", "query", "request"):
        np.testing.assert_array_equal(getattr(log, name)[past], getattr(LOG, name)[past])
    assert not np.array_equal(log.item[n:], LOG.item[n : len(log)])


@pytest.mark.parametrize("training", ["sessions", "next"])
def test_no_row_that_a_ranker_learns_from_changes(training: str) -> None:
    """Of requests asked before, whatever becomes of the events after: the models behind their features knew less."""
    rank = {"features": [name for name in FAMILIES if name != "words"], "training": training, "negatives": 1000}
    sources = {name: {"k": 15} for name in ("item_item", "ease", "popular", "history")}
    options = ShopConfig.parse({"items": {"file": "i.csv", "item": "item"}, "rank": rank, "retrieve": sources}, "")
    cut = moment(0.9)

    def found(log: EventLog) -> dict[tuple[Any, ...], tuple[float, ...]]:
        rows = ranker_rows(fit_stages(ITEMS, log, options, {}), log, options)
        assert rows.asked is not None
        requests, lists = rows.asked.requests, rows.asked.lists
        sizes, queries = np.diff(requests.windows.offsets).tolist(), requests.queries
        told = {}
        for row, item, features in zip(lists.row.tolist(), lists.item.tolist(), rows.features, strict=True):
            now = int(requests.now[row])
            if now < cut - 2 * 3600:  # a visit that lasts beyond the cut may choose something else
                known = tuple(np.nan_to_num(features, nan=-99).tolist())
                told[now, sizes[row], queries[row].exclude_purchased, item] = known
        return told

    wanted = found(LOG)
    assert len(wanted) > 1000
    for name in ("on other items", "shuffled, and some deleted"):
        assert found(FUTURES[name](LOG, cut, 0)) == wanted
        assert found(FUTURES[name](LOG, cut - 7 * 86_400, 0)) != wanted  # that it can fail
