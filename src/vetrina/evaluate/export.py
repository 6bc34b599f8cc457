"""A shop's own test as files: requests for any engine to answer, what is right, and what Vetrina answers.

What is held out is what ``vetrina evaluate`` holds out, asked of the same engine, so that
:func:`vetrina.evaluate.runs.evaluate_runs` on these files comes to the figures of its tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from vetrina.core import EventLog, ItemList, Items, Progress, Silent
from vetrina.core.errors import DataError
from vetrina.engine import Canonical, Encoded, Gains, Replay, Shop, ShopConfig, learn
from vetrina.evaluate.experiment import answers
from vetrina.evaluate.graded import answer_judged
from vetrina.evaluate.protocols import Holdout, hold_out
from vetrina.evaluate.segments import segments_of

__all__ = ["export_test"]

#: Folder of each part of a test.
_FOLDERS = {"Searches": "searches", "Recommendations": "recommendations", "New products": "new-products"}
_GRADED = "graded"
#: Later than this no shopper asks; the requests made of graded queries do.
_NEVER = 2**38


def export_test(shop: Shop, folder: Path, progress: Progress | None = None) -> dict[Path, int]:
    """Write what a shop's engine is tested on, for another engine to be tested on as well.

    For searches, recommendations, recommendations of new products and graded queries, as far as the
    shop has them, a folder with three files:

    ``requests.csv``
        request, time (UTC), shopper (the pseudonym), query.
    ``truth.csv``
        request, item, gain, and where they are known shopper and segment. ``simulated-truth.csv`` where
        the shoppers are simulated.
    ``vetrina.csv``
        request, item, rank: what Vetrina answers, having learned from what was before; to graded queries
        what it answers in one cross-validation, of which its tables show three.

    Parameters
    ----------
    shop : Shop
    folder : Path
        Made where there is none; files of these names in it are written anew.
    progress : Progress, optional

    Returns
    -------
    dict of Path to int
        How many requests were written into each folder.

    Raises
    ------
    DataError
        When the shop has nothing that could be asked.
    """
    shown = progress or Silent()
    # Its name is the title of every table that is made of it.
    truth_file = "simulated-truth.csv" if shop.config.shop.simulated else "truth.csv"
    written: dict[Path, int] = {}

    def measure_(canonical: Canonical, encoded: Encoded, judged: Replay | None, config: ShopConfig) -> dict[str, Any]:
        log, items = canonical.log, encoded.items
        if len(log):
            held = hold_out(log, "time", config)
            parts = _answered(held, encoded, config, shown) if held.parts else {}
            for name, lists in parts.items():
                test, place = held.parts[name], folder / _FOLDERS[name]
                segment = _segments(test, held.train, Gains(**config.rank.gains))
                written[place] = _write(place, test, lists, items, held.observed.shoppers, segment, truth_file)
        if judged is not None:
            lists = answer_judged(encoded, log, judged, config, shown)
            written[folder / _GRADED] = _write(folder / _GRADED, judged, lists, items, (), {}, "truth.csv")
        return {}

    shop.measure(measure_, progress)
    if not written:
        raise DataError(
            f"{shop.root}: nothing to export: no choice of a shopper in the last days of a log, and no graded query. "
            "Name a file of events or of judgements in shop.toml; gains under [rank] says what is a choice."
        )
    return written


def _answered(held: Holdout, encoded: Encoded, config: ShopConfig, shown: Progress) -> dict[str, ItemList]:
    """What Vetrina answers to each part of what was held out."""
    engine = learn(encoded.items, held.train, config, encoded.encoders, None, shown, encoded.fuser)
    engine = engine.observe(held.observed)
    told = {}
    for name, test in held.parts.items():
        with shown.step(f"Asking: {name.lower()}", len(test.requests)) as step:
            told[name] = answers(engine, test, step.advance)
    return told


def _write(
    folder: Path,
    test: Replay,
    lists: ItemList,
    items: Items,
    shoppers: Sequence[str],
    segment: Mapping[int, str],
    truth_file: str,
) -> int:
    """Write the three files; return how many requests they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(test.requests)
    name = np.array([f"r{number:0{len(str(n))}d}" for number in range(1, n + 1)], dtype=object)
    who = [shoppers[code] if code >= 0 else None for code in test.shopper.tolist()]
    requests = pl.DataFrame(
        {
            "request": name,
            "time": pl.Series([_time(now) for now in test.requests.now.tolist()], dtype=pl.String),
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
    known = [column.name for column in right if column.null_count() < len(column)]
    right.select(known).write_csv(folder / truth_file)
    rank = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes) + 1
    ours = pl.DataFrame({"request": name[lists.row], "item": ids[lists.item], "rank": rank})
    ours.write_csv(folder / "vetrina.csv")
    return n


def _time(now: int) -> str | None:
    """As ISO 8601; None for a graded query, which nobody asked at any time."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if now < _NEVER else None


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
