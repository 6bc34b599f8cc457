"""How queries are held out to measure personal search: as if nobody had asked them, nor bought under them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from behaviour.personal import _held_out, _later
from planted import NOW, items_of
from vetrina.core import DAY, EVENT_COLUMNS, EventLog

ITEMS = items_of(60)


@pytest.fixture(scope="module")
def log() -> EventLog:
    """Each item under one to three of twelve queries, bought by thirty people, all at one moment."""
    rng = np.random.default_rng(0)
    under = [rng.choice(12, rng.integers(1, 4), replace=False).tolist() for _ in range(60)]
    rows = [
        {"shopper": f"s{who}", "item": str(item), "query": f"query {query}", "request": f"{who}_{query}"}
        for who in range(30)
        for item in rng.choice(60, 8, replace=False).tolist()
        for query in under[item]
    ]
    table = pl.DataFrame(rows).with_columns(time=pl.lit(NOW, pl.Int64), kind=pl.lit("purchase"))
    rest = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENT_COLUMNS.items() if name not in table.columns]
    return EventLog.from_table(table.with_columns(rest).select(list(EVENT_COLUMNS)), ITEMS)


def test_every_item_keeps_a_query_in_every_fold(log: EventLog) -> None:
    folds = _held_out(log, seed=0)
    assert sum(map(len, folds)) > 0
    together = [query for fold in folds for query in fold]
    assert len(together) == len(set(together))
    for fold in folds:
        assert set(log.item[~np.isin(log.query, fold)].tolist()) == set(log.item.tolist())


def test_the_past_knows_nothing_of_what_is_asked_later(log: EventLog) -> None:
    for fold in _held_out(log, seed=0):
        both = _later(log, fold, seed=1)
        past, asked = both.before(NOW + DAY), both.between(NOW + DAY, NOW + DAY + 1)
        assert not np.isin(past.query, fold).any()
        assert np.isin(asked.query, fold).all()
        bought = set(zip(past.shopper.tolist(), past.item.tolist(), strict=True))
        assert not bought & set(zip(asked.shopper.tolist(), asked.item.tolist(), strict=True))
        assert len(past)
