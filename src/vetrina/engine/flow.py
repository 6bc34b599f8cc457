"""How data flows: the two lines of the design, spelled out. Start reading here.

build   files → ingest → encode → fuse, reduce → fit sources → replay → fit ranker → measure → snapshot → publish
query   request + window → sources, merged → features → ranker → rules → explain → response
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vetrina.core import DAY, EventLog, Progress, Requests
from vetrina.engine.config import ShopConfig
from vetrina.engine.encoding import encode_items
from vetrina.engine.engine import Engine, Ranked
from vetrina.engine.explain import Reason, explain
from vetrina.engine.ingest import ingest, read_canonical
from vetrina.engine.judged import judged_replay
from vetrina.engine.learn import learn
from vetrina.engine.snapshots import Snapshots

__all__ = ["Measure", "build", "query"]

#: Measures an engine that has learned from what was before ``cut`` on what came after it.
Measure = Callable[[Engine, EventLog, int], dict[str, Any]]


def build(root: Path, config: ShopConfig, progress: Progress, measure: Measure | None = None) -> dict[str, Any]:
    """From a shop's files to a published snapshot; return its manifest.

    Parameters
    ----------
    root : Path
        The shop's folder.
    config : ShopConfig
    progress : Progress
    measure : callable, optional
        Told an engine fitted on everything but the last ``build.test_days``, the log and the cut;
        what it returns goes into the manifest. The snapshot itself is then fitted on everything.
    """
    counts = ingest(root, config, progress)
    shop = read_canonical(root)
    encoded = encode_items(shop.items, root, root / "media", config, progress)
    log, judged = shop.log, judged_replay(shop.judgements, shop.items)
    metrics: dict[str, Any] = {"rows": counts, "encoding": encoded.counts, "encoding_seconds": encoded.seconds}
    if measure is not None and len(log):
        cut = cut_of(log, config.build.test_days)
        held_out = learn(encoded.items, log.before(cut), config, encoded.encoders, judged, progress)
        with progress.step("Measuring on the last days"):
            metrics["evaluation"] = measure(held_out, log, cut)
    engine = learn(encoded.items, log, config, encoded.encoders, judged, progress)
    snapshots = Snapshots(root)
    with progress.step("Writing the snapshot"):
        name = snapshots.write(engine, config, shop.hashes, metrics)
        snapshots.publish(name)
    return snapshots.manifest(name)


def query(engine: Engine, requests: Requests, k: int, given: Any = None) -> tuple[Ranked, list[list[Reason]]]:
    """Ranked lists for a batch of requests, and the reasons of every row."""
    requests = engine.encode_queries(requests)
    ranked = engine.rank(requests, k, given)
    return ranked, explain(engine, requests, ranked)


def cut_of(log: EventLog, test_days: float) -> int:
    """When the test begins: ``test_days`` before the end, but never before two thirds of the log have passed."""
    first, last = int(log.time[0]), int(log.time[-1])
    return max(last + 1 - int(test_days * DAY), first + (last - first) * 2 // 3)
