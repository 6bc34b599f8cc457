"""Ranked lists of several systems for the same requests, set side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vetrina.core import ItemList
from vetrina.engine import Replay
from vetrina.evaluate.evaluation import Comparison
from vetrina.evaluate.metrics import measure
from vetrina.evaluate.tables import ENGINE, SHOWN, K, compare

__all__ = ["DEPTH", "compare_lists"]

#: How deep everybody ranks: tables look at the first K, curves further.
DEPTH = 100


def compare_lists(
    title: str,
    lists: Mapping[str, ItemList],
    test: Replay,
    reference: str = ENGINE,
    *,
    simulated: bool = False,
    leaks: bool = False,
    notes: tuple[str, ...] = (),
) -> Comparison:
    """Compare the lists of systems, by name, that answered the requests of ``test``."""
    scores = {name: measure(one, test.truth, K, SHOWN) for name, one in lists.items()}
    table = compare(title, scores, test.shopper, reference, simulated=simulated, leaks=leaks)
    return Comparison(replace(table, notes=notes))
