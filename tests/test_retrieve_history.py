"""Candidates from the shopper's own past."""

from __future__ import annotations

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.core import EventKind
from vetrina.retrieve import History

ITEMS = items_of(6)


@pytest.fixture(scope="module")
def history() -> History:
    return History(half_life_days=10.0).fit(ITEMS, nothing(ITEMS))


def test_an_event_of_the_half_life_counts_half_and_repeats_add_up(history: History) -> None:
    buy = EventKind.purchase
    requests = asked([[(2, buy, 20.0), (3, buy, 10.0), (1, buy, 10.0), (1, buy, 0.0), (0, buy, 0.0)]])
    ids, scores = history.retrieve(requests, 5, None)
    assert ids.tolist() == [[1, 0, 3, 2, -1]]
    np.testing.assert_allclose(scores[0, :4] / scores[0, 1], [1.5, 1, 0.5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(history.score(requests, lists_of([5, 2, 1])) / scores[0, 1], [0, 0.25, 1.5], rtol=1e-5)


def test_a_purchase_says_more_than_a_cart_a_click_and_a_view(history: History) -> None:
    kinds = [EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase]
    ids, scores = history.retrieve(asked([[(item, kind, 1.0) for item, kind in enumerate(kinds)]]), 6, None)
    assert ids.tolist() == [[3, 2, 1, 0, -1, -1]]
    assert np.all(np.diff(scores[0, :4]) < 0)


def test_what_was_hidden_is_no_candidate(history: History) -> None:
    ids, _ = history.retrieve(asked([[(4, EventKind.hide, 0.0)], [(5, EventKind.view, 0.0)]]), 2, None)
    assert ids.tolist() == [[-1, -1], [5, -1]]
