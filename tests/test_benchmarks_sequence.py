"""What `benchmarks/behaviour/sequence.py` asks: everybody's last choice, of what was before it and nothing else."""

from __future__ import annotations

import numpy as np

from behaviour.sequence import TABLE, leave_last_out
from planted import items_of, log_of
from vetrina.core import EventKind

RATE = EventKind.rate


def test_the_last_choice_is_asked_for_and_the_one_before_it_tuned_on() -> None:
    items = items_of(6)
    # Of "b" the last two are of one second: as they stood.
    events = [(1, "a", RATE, 0), (2, "b", RATE, 5), (3, "a", RATE, 1), (4, "a", RATE, 2), (5, "a", RATE, 3)]
    events += [(6, "b", RATE, 4), (7, "b", RATE, 2), (7, "b", RATE, 0)]
    log = log_of(items, events)
    task = leave_last_out(items, log, seed=3)
    (only,) = task.rounds
    for part, right, pasts in (
        (only.final, [3, 0], [[0, 1, 2], [5, 4, 2]]),
        (only.tuning[0], [2, 2], [[0, 1], [5, 4]]),
    ):
        asked = part.asked[TABLE]
        assert asked.truth.item.tolist() == right
        windows = asked.requests.windows
        assert [one.tolist() for one in np.split(windows.item, windows.offsets[1:-1])] == pasts
        assert [query.exclude for query in asked.requests.queries] == [tuple(sorted(past)) for past in pasts]
        assert len(part.train) == sum(map(len, pasts))
        assert [log.shoppers[code] for code in asked.shopper] == ["a", "b"]
    assert only.seed == 3
