"""Pasts that nobody may tell apart: what contract suites and the leak check compare components by.

What a component says it learns (:attr:`vetrina.core.Component.learns`) says which changes of
the log must change nothing of what it answers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vetrina.core.log import EventLog

__all__ = ["differs", "equal_pasts", "later_exchanged", "later_scrambled", "without_later"]


def without_later(log: EventLog, cut: int) -> EventLog:
    """The events strictly before ``cut``, and no name of a shopper or query that came later."""
    earlier = log.before(cut)
    # Codes are in order of first sight, so the names that were known make up the beginning.
    shoppers, queries = (int(codes.max(initial=-1)) + 1 for codes in (earlier.shopper, earlier.query))
    return replace(earlier, shoppers=log.shoppers[:shoppers], queries=log.queries[:queries])


def later_exchanged(log: EventLog, cut: int, seed: int = 0) -> EventLog:
    """The same events, but from ``cut`` on their items have changed places at random."""
    item = log.item.copy()
    later = np.flatnonzero((log.time >= cut) & (item >= 0))
    item[later] = np.random.default_rng(seed).permutation(item[later])
    return replace(log, item=item)


def later_scrambled(log: EventLog, cut: int, seed: int = 0) -> EventLog:
    """The same events before ``cut``; of those from then on some, drawn at random, in another order."""
    rng = np.random.default_rng(seed)
    later = np.flatnonzero(log.time >= cut)
    kept = np.sort(rng.choice(later, int(rng.integers(len(later) + 1)), replace=False))
    earlier = np.arange(len(log) - len(later))
    # What happened at one of these moments now happened at another.
    scrambled = log.take(np.concatenate([earlier, rng.permutation(kept)]))
    return replace(scrambled, time=log.time[np.concatenate([earlier, kept])])


def equal_pasts(learns: str, log: EventLog, cut: int) -> tuple[EventLog, dict[str, EventLog]]:
    """Logs from which a component must learn the same.

    Parameters
    ----------
    learns : {"items", "counts", "log"}
        What the component says it learns from.
    log : EventLog
    cut : int
        Epoch seconds. What says "counts" must answer the same to requests asked until then.

    Returns
    -------
    first : EventLog
    others : dict of str to EventLog
        By what was done to the first one.

    Examples
    --------
    ::

        first, others = equal_pasts("counts", log, cut)
        known = component.fit(items, first).score(requests, lists)  # asked until the cut
        assert all(np.array_equal(component.fit(items, one).score(requests, lists), known) for one in others.values())
    """
    if learns == "items":
        begin = int(log.time[0]) if len(log) else 0
        return log, {
            "the log is empty": without_later(log, begin),
            "the items of events are shuffled": later_exchanged(log, begin),
        }
    if learns == "counts":
        return log, {
            "later events are deleted": without_later(log, cut),
            "the items of later events are shuffled": later_exchanged(log, cut),
        }
    # A model of behaviour is given what was before and nothing else.
    return log.before(cut), {"later names are struck out": without_later(log, cut)}


def differs(learns: str, change: str) -> str:
    """What is wrong with a component whose answers differ after a ``change`` of the log, and what to do."""
    mend = {
        "items": 'say learns = "counts" or "log"',
        "counts": 'read counts at `now`, or say learns = "log"',
        "log": "learn from the events alone, not from who and what is named beside them",
    }
    return f'it says learns = "{learns}", but answers otherwise when {change}: {mend[learns]}'
