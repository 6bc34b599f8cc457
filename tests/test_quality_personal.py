"""A floor of search that knows the person, on real people's purchases, `make floors`. Prints its tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from behaviour.personal import BM25, BOTH, WORDS, tables

pytestmark = pytest.mark.quality


def test_words_and_the_person_find_more_than_words_alone(real_data: Path, report: Callable[[str], None]) -> None:
    """Amazon phones search, queries never seen in training, all 10,428 items."""
    table = next(iter(tables(real_data, [0], quick=False)))
    report(table.text())
    rows = {row.system: row for row in table.rows}
    assert rows[BOTH].values["ndcg@10"].mean > 0.13
    for rival in (WORDS, BM25):
        lead = rows[rival].lead
        assert lead is not None
        assert lead["ndcg@10"].low > 0, rival
