"""What is worked out once for a batch of requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vetrina.core import Query, Requests, Windows


class Counter:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.learned_ = np.zeros(1)
        self.asked: list[str] = []

    def ask(self, requests: Requests, what: str = "") -> int:
        def work() -> int:
            self.asked.append(what)
            return len(requests)

        return requests.once(self, work, what)


def test_the_same_is_worked_out_once() -> None:
    requests, counter = Requests(Windows.empty(3), [Query()] * 3, np.arange(3)), Counter()
    assert [counter.ask(requests), counter.ask(requests), counter.ask(requests, "other")] == [3, 3, 3]
    assert counter.asked == ["", "other"]
    Counter().ask(requests)
    assert len(counter.asked) == 2


def test_other_requests_are_others() -> None:
    requests, counter = Requests(Windows.empty(3), [Query()] * 3, np.arange(3)), Counter()
    parts = (requests, requests.slice(0, 2), replace(requests, now=requests.now + 1), requests.take(np.array([1])))
    assert [counter.ask(part) for part in parts] == [3, 2, 3, 1]
    assert len(counter.asked) == 4


def test_what_has_learned_anew_works_it_out_anew() -> None:
    requests, counter = Requests(Windows.empty(1), [Query()], np.arange(1)), Counter()
    counter.ask(requests)
    counter.learned_ = np.zeros(1)
    counter.ask(requests)
    assert len(counter.asked) == 2
