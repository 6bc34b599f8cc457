"""Popular candidates against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from planted import NOW, asked, items_of, lists_of, log_of, nothing
from vetrina.core import DAY, EventKind, Query, Requests, Windows
from vetrina.retrieve import Popular

ITEMS = items_of(5)
BUY = EventKind.purchase


def test_the_last_days_count_fully_and_the_rest_a_little() -> None:
    """In the 3 days before the 20th: item 1 three times, item 2 once; before: item 0 ten times, item 2 five."""
    events = [(float(day), "a", BUY, 0) for day in range(10)] + [(day + 0.5, "b", BUY, 2) for day in range(5)]
    events += [(17.0, "c", BUY, 1), (18.2, "c", BUY, 1), (19.9, "d", BUY, 1), (19.0, "d", BUY, 2)]
    events += [(20.0, "d", BUY, 4)]  # today is not yet counted
    popular = Popular(days=3, background=0.1).fit(ITEMS, log_of(ITEMS, events))
    requests = asked([[]], now=NOW + 20 * DAY + 500)
    score = popular.score(requests, lists_of(range(5)))
    np.testing.assert_allclose(score / score[0], [1.0, 3.3, 1.6, 0, 0], rtol=1e-5)
    ids, scores = popular.retrieve(requests, 5, None)
    assert ids[0].tolist() == [1, 2, 0, 3, 4]
    np.testing.assert_allclose(scores[0], score[ids[0]], rtol=1e-6)


def test_popularity_is_read_at_the_time_of_the_request() -> None:
    events = [(day + 0.5, "a", BUY, day % 5) for day in range(5)]
    popular = Popular(days=1, background=0).fit(ITEMS, log_of(ITEMS, events))
    for day in range(1, 6):
        ids, _ = popular.retrieve(asked([[]], now=NOW + day * DAY + 7), 1, None)
        assert ids.tolist() == [[day - 1]]


def test_a_purchase_says_more_than_a_look_and_a_show_says_nothing() -> None:
    kinds = [EventKind.impression, EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase]
    log = log_of(ITEMS, [(0.0, "a", kind, item) for item, kind in enumerate(kinds)])
    score = Popular().fit(ITEMS, log).score(asked([[]], now=NOW + DAY), lists_of(range(5)))
    assert score[0] == 0
    assert np.all(np.diff(score) > 0)


def test_a_shop_without_events_shows_its_catalogue() -> None:
    popular = Popular().fit(ITEMS, nothing(ITEMS))
    ids, _ = popular.retrieve(asked([[]]), 3, np.array([[False, True, True, False, True]]))
    assert ids.tolist() == [[1, 2, 4]]


@pytest.mark.parametrize("days", [0.5, 1.5, 2.25])
def test_parts_of_a_day_are_read_alike_for_retrieving_and_scoring(days: float) -> None:
    events = [(hour / 24, "a", BUY, hour % 5) for hour in range(0, 120, 7)]
    popular = Popular(days=days).fit(ITEMS, log_of(ITEMS, events))
    requests = asked([[]], now=NOW + 4 * DAY + 70_000)
    ids, scores = popular.retrieve(requests, 5, None)
    np.testing.assert_allclose(popular.score(requests, lists_of(ids[0].tolist())), scores[0])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.02])
def test_what_may_not_be_shown_makes_room_for_the_next(share: float) -> None:
    """Of many items on several days, however few may be shown to each: against sorting all."""
    rng = np.random.default_rng(3)
    items = items_of(300)
    log = log_of(items, [(float(rng.uniform(0, 6)), "a", BUY, int(rng.integers(0, 120))) for _ in range(200)])
    popular = Popular(days=2).fit(items, log)
    requests = Requests(Windows.empty(12), [Query()] * 12, NOW + rng.integers(1, 8, 12) * DAY)
    allowed = rng.random((12, 300)) < share
    score = popular.score(requests, lists_of(*[range(300)] * 12)).reshape(12, 300)
    ids, scores = popular.retrieve(requests, 20, allowed)
    for row in range(12):
        wanted = [item for item in np.argsort(-score[row], kind="stable").tolist() if allowed[row, item]][:20]
        assert ids[row].tolist() == wanted + [-1] * (20 - len(wanted))
        assert scores[row, : len(wanted)].tolist() == score[row, wanted].tolist()


def test_a_fitted_one_takes_another_view_of_the_same_catalogue() -> None:
    popular = Popular().fit(ITEMS, log_of(ITEMS, [(0.0, "a", BUY, 2)]))
    requests = asked([[]], now=NOW + DAY)
    assert popular.bind(items_of(5)).retrieve(requests, 1, None)[0].tolist() == [[2]]


def test_what_was_popular_on_another_day_or_before_learning_anew_is_forgotten() -> None:
    popular = Popular(days=1, background=0).fit(ITEMS, log_of(ITEMS, [(day + 0.5, "a", BUY, day) for day in range(4)]))
    for day in (1, 3, 3, 1, 2):
        requests = asked([[], []], now=NOW + day * DAY + 60)
        assert popular.retrieve(requests, 1, None)[0].tolist() == [[day - 1], [day - 1]]
        scores = popular.score(requests, lists_of(range(5), range(5))).reshape(2, 5)
        assert scores.argmax(axis=1).tolist() == [day - 1, day - 1]
    popular.fit(ITEMS, log_of(ITEMS, [(0.0, "a", BUY, 4)]))
    assert popular.retrieve(asked([[]], now=NOW + 2 * DAY), 1, None)[0].tolist() == [[4]]
