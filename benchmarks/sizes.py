"""Cost against size: seconds and memory of the main stages as the log and the catalogue grow tenfold.

    VETRINA_DATA=... python benchmarks/sizes.py [--full]

The log is Online Retail's (UCI; Chen, Sain, Guo 2012), replicated: each copy has other shoppers, a minute later, so
it is a busier shop and not an older one. With more items than the real ones each shopper of a copy buys of a copy of
the catalogue of their own. Events grow from 10^4 to 10^6 with 3,000 items, items from 10^3 to 10^5 with 10^5 events;
--full goes to 10^7 events and 10^6 items. Vectors are random, of 64 dimensions, for their values do not matter here.

Each size has a process of its own, which reads the files of a shop already made. Columns are seconds of processor time,
of all threads, whatever else the machine does: fitting item_item; counting (popular, popularity); the index of words
(lexical, words); training rows of 512 requests; one request, the mean of 20; and the largest memory of the process.
Below each number is its growth since the size before, as a power: 1 is linear.

What grows faster than linear, and why:

- counting, in events: keys of (item, day) are sorted, which is n log n.
- item_item compares all pairs of items that one shopper chose. The copies keep each shopper's past as long as it was,
  so it does not grow so here; where single shoppers choose ever more, it grows with the square of what they choose.
- nothing else should: sources look up, sort no more than what is kept, and count by day.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, Items, Query, Requests
from vetrina.encode.base import unit_rows
from vetrina.engine import Engine, ShopConfig, fit_stages, requests_from_log
from vetrina.engine.rows import training_rows
from vetrina.rank import FeatureFamily
from vetrina.retrieve import Retriever

STAGES = ("item_item", "counts", "words", "rows", "request", "MiB")
EVENTS, ITEMS = 100_000, 3_000
REQUESTS, ASKED = 512, 20


def make(n_events: int, n_items: int, folder: Path) -> None:
    """Online Retail, replicated to about so many events and exactly so many items, as files."""
    dataset = load("online-retail")
    assert dataset.events is not None
    busiest = dataset.events.filter(pl.col("shopper").is_not_null())["item"].value_counts(sort=True)["item"]
    kept = busiest.head(min(n_items, ITEMS))
    table = dataset.items.filter(pl.col("item").is_in(kept.implode()))
    events = dataset.events.filter(pl.col("item").is_in(kept.implode()) & pl.col("shopper").is_not_null())
    copies = -(-n_items // table.height)
    tables = [table.with_columns(item=pl.col("item") + f"#{copy}") for copy in range(copies)]
    # Of fewer events than the real ones some shoppers, of more all and copies of them.
    share = min(1.0, n_events / events.height)
    parts = []
    for copy in range(max(1, round(n_events / events.height))):
        whose = pl.col("shopper").hash(copy)
        part = events.filter((whose % 10_000) < share * 10_000)
        own = pl.col("item") + "#" + (whose // 10_000 % copies).cast(pl.String)
        shopper = pl.col("shopper") + f"#{copy}"
        request = pl.col("request") + f"#{copy}"
        parts.append(part.with_columns(item=own, shopper=shopper, request=request, time=pl.col("time") + 60 * copy))
    pl.concat(tables).head(n_items).write_parquet(folder / "items.parquet")
    pl.concat(parts).write_parquet(folder / "events.parquet")


def timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measured(folder: Path) -> dict[str, float]:
    table = pl.read_parquet(folder / "items.parquet")
    rng = np.random.default_rng(0)
    items = Items(table, {"fused": unit_rows(rng.normal(size=(table.height, 64)).astype(np.float32))})
    log = EventLog.from_table(pl.read_parquet(folder / "events.parquet"), items)
    overrides = {
        "items": {"file": "-", "item": "item"},
        "encode": {},
        "retrieve": {name: {"k": 100} for name in ("lexical", "vector", "item_item", "history", "popular")},
    }
    config = ShopConfig.parse(overrides, "")
    engine: Engine = fit_stages(items, log, config, {})
    sources, families = engine.sources, {family.name: family for family in engine.features}

    def again(*components: Retriever | FeatureFamily) -> Callable[[], object]:
        return lambda: [type(one)(one.config).fit(items, log) for one in components]

    until = int(log.time[-1]) + 1
    replay = requests_from_log(log, int(np.quantile(log.time, 0.8)), until)
    some = replay.take(np.linspace(0, len(replay.requests) - 1, min(REQUESTS, len(replay.requests))).astype(np.int64))
    shoppers = some.shopper[-ASKED:]
    now = np.full(1, until, dtype=np.int64)
    single = [Requests(log.windows(shoppers[n : n + 1], now, 300), [Query()], now) for n in range(len(shoppers))]
    engine.rank(single[0], 20)
    took = {
        "item_item": timed(again(sources["item_item"])),
        "counts": timed(again(sources["popular"], families["popularity"])),
        "words": timed(again(sources["lexical"], families["words"])),
        "rows": timed(lambda: training_rows(engine, some, config.rank, 0)),
        "request": timed(lambda: [engine.rank(one, 20) for one in single]) / len(single),
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return took | {"events": float(len(log))}


def table(title: str, sizes: list[int], point: Callable[[int], tuple[int, int]]) -> None:
    print(f"\n{title:>12}" + "".join(f"{stage:>12}" for stage in STAGES))
    before: dict[str, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            # In processes of their own, so that what making the files takes is not counted.
            subprocess.run([sys.executable, __file__, "--make", *map(str, point(size)), folder], check=True)
            command = [sys.executable, __file__, "--point", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{size:>12,}  {(done.stderr.strip() or f'ended with {done.returncode}').splitlines()[-1]}")
            return
        found: dict[str, float] = json.loads(done.stdout)
        print(f"{size:>12,}" + "".join(f"{found[stage]:>12.4g}" for stage in STAGES))
        if before:
            step = np.log10(size / before["size"])
            grown = [np.log10(found[stage] / before[stage]) / step for stage in STAGES]
            print(f"{'':>12}" + "".join(f"{power:>+12.2f}" for power in grown), flush=True)
        before = found | {"size": size}


def main(full: bool) -> None:
    table("events", [10**power for power in range(4, 8 if full else 7)], lambda size: (size, ITEMS))
    table("items", [10**power for power in range(3, 7 if full else 6)], lambda size: (EVENTS, size))


if __name__ == "__main__":
    if "--point" in sys.argv:
        print(json.dumps(measured(Path(sys.argv[2]))))
    elif "--make" in sys.argv:
        make(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main("--full" in sys.argv)
