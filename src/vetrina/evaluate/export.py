"""A shop's own test as files: requests for any engine to answer, what is right, and what Vetrina answers.

What is held out is what ``vetrina evaluate`` holds out, asked of the same engine, so that
:func:`vetrina.evaluate.runs.evaluate_runs` on these files comes to the figures of its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from vetrina.core import EventLog, ItemList, Items, Progress, Silent
from vetrina.core.errors import DataError
from vetrina.engine import Canonical, Encoded, Gains, Replay, Shop, ShopConfig, learn
from vetrina.evaluate.comparing import DEPTH
from vetrina.evaluate.protocols import hold_out
from vetrina.evaluate.segments import segments_of

__all__ = ["export_test"]

#: Folder of each part of a test.
_FOLDERS = {"Searches": "searches", "Recommendations": "recommendations", "New products": "new-products"}
_AT_ONCE = 256


def export_test(
    shop: Shop, folder: Path, progress: Progress | None = None, *, protocol: str = "time"
) -> dict[Path, int]:
    """Write what a shop's engine is tested on, for another engine to be tested on as well.

    For searches, recommendations and recommendations of new products, as far as the log has them,
    a folder with three files:

    ``requests.csv``
        request, time (UTC), shopper (the pseudonym), query.
    ``truth.csv``
        request, item, gain, shopper, segment.
    ``vetrina.csv``
        request, item, rank: what Vetrina answers, having learned from what was before.

    Parameters
    ----------
    shop : Shop
    folder : Path
        Made where there is none; files of these names in it are written anew.
    progress : Progress, optional
    protocol : str
        Of :data:`vetrina.evaluate.PROTOCOLS`.

    Returns
    -------
    dict of Path to int
        How many requests were written into each folder.

    Raises
    ------
    ConfigError
        When there is no such protocol.
    DataError
        When the log has nothing that could be asked.
    """
    shown = progress or Silent()
    written: dict[Path, int] = {}

    def measure_(canonical: Canonical, encoded: Encoded, judged: Replay | None, config: ShopConfig) -> dict[str, Any]:
        held = hold_out(canonical.log, protocol, config)
        if not held.parts:
            return {}
        engine = learn(encoded.items, held.train, config, encoded.encoders, None, shown).observe(held.observed)
        for name, test in held.parts.items():
            lists = []
            with shown.step(f"Asking: {name.lower()}", len(test.requests)) as step:
                for start in range(0, len(test.requests), _AT_ONCE):
                    part = test.requests.slice(start, min(start + _AT_ONCE, len(test.requests)))
                    ranked = engine.rank(part, DEPTH).lists
                    lists += [ranked.list_of(row) for row in range(len(ranked))]
                    step.advance(len(ranked))
            place = folder / _FOLDERS[name]
            segment = _segments(test, held.train, Gains(**config.rank.gains))
            _write(place, test, ItemList.from_lists(lists), encoded.items, held.observed.shoppers, segment)
            written[place] = len(test.requests)
        return {}

    shop.measure(measure_, progress)
    if not written:
        raise DataError(
            f"{shop.root}: nothing to export: no choice of a shopper that the protocol {protocol!r} holds out. Name a "
            "file of events in shop.toml; gains under [rank] says what is a choice."
        )
    return written


def _write(
    folder: Path, test: Replay, lists: ItemList, items: Items, shoppers: Any, segment: Mapping[int, str]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    n = len(test.requests)
    name = np.array([f"r{number:0{len(str(n))}d}" for number in range(1, n + 1)], dtype=object)
    who = [shoppers[code] if code >= 0 else None for code in test.shopper.tolist()]
    requests = pl.DataFrame(
        {
            "request": name,
            "time": pl.from_epoch(pl.Series(test.requests.now), "s").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "shopper": pl.Series(who, dtype=pl.String),
            "query": [query.text for query in test.requests.queries],
        }
    )
    requests.write_csv(folder / "requests.csv")
    ids, truth = np.array(items.ids, dtype=object), test.truth
    right = pl.DataFrame(
        {
            "request": name[truth.row],
            "item": ids[truth.item],
            "gain": truth.gain,
            "shopper": pl.Series([who[row] for row in truth.row.tolist()], dtype=pl.String),
            "segment": pl.Series([segment.get(row) for row in truth.row.tolist()], dtype=pl.String),
        }
    )
    right.write_csv(folder / "truth.csv")
    rank = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes) + 1
    ours = pl.DataFrame({"request": name[lists.row], "item": ids[lists.item], "rank": rank})
    ours.write_csv(folder / "vetrina.csv")


def _segments(test: Replay, train: EventLog, gains: Gains) -> dict[int, str]:
    """The part that each request belongs to: of searches how common the query is, else whether the shopper is new."""
    parts = segments_of(test, train, gains)
    of_query = any(name.endswith("queries") for name in parts)
    wanted = "queries" if of_query else "shoppers"
    return {
        int(row): name
        for name, truth in parts.items()
        if name.endswith(wanted)
        for row in np.unique(truth.row[truth.gain > 0])
    }
