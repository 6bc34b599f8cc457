"""Graded queries as requests: what to learn search from where there is no log."""

from __future__ import annotations

import numpy as np
import polars as pl

from vetrina.core import Items, Query, Requests, Truth, Windows
from vetrina.engine.replay import Replay

__all__ = ["judged_replay"]


def judged_replay(judgements: pl.DataFrame | None, items: Items) -> Replay | None:
    """One request per distinct query, asked by nobody, with the grades as truth.

    Parameters
    ----------
    judgements : DataFrame or None
        Columns query, item and grade; items that the catalogue lacks are left out.
    items : Items
    """
    if judgements is None or not judgements.height:
        return None
    table = judgements.with_columns(position=pl.Series(items.positions(judgements["item"].to_list())))
    table = table.filter(pl.col("position") >= 0).sort("query", "position", maintain_order=True)
    queries = table["query"].unique(maintain_order=True).to_list()
    sizes = table.group_by("query", maintain_order=True).len()["len"].to_numpy()
    truth = Truth(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        table["position"].cast(pl.Int32).to_numpy(),
        table["grade"].cast(pl.Float64).to_numpy(),
    )
    n = len(queries)
    # Nobody asks at no special time: the latest there is, so that all items are on sale.
    requests = Requests(Windows.empty(n), [Query(text=query) for query in queries], np.full(n, 2**40, dtype=np.int64))
    return Replay(requests, truth, np.full(n, -1, dtype=np.int32))
