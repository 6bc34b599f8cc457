"""How data flows: the two lines of the design, spelled out. Start reading here.

build   files → ingest → encode → fuse, reduce → fit sources → replay → fit ranker → measure → snapshot → publish
query   request + window → sources, merged → features → ranker → rules → explain → response
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from vetrina.catalogue.tables import set_aside
from vetrina.core import EventLog, Progress, Requests
from vetrina.engine.config import ShopConfig
from vetrina.engine.encoding import Encoded, encode_items
from vetrina.engine.engine import Engine, Ranked
from vetrina.engine.explain import Reason, explain
from vetrina.engine.fusing import told
from vetrina.engine.ingest import Canonical, ingest, read_canonical
from vetrina.engine.judged import judged_replay
from vetrina.engine.learn import learn
from vetrina.engine.replay import Replay
from vetrina.engine.snapshots import Report, Snapshots

__all__ = ["Measure", "build", "cut_of", "measured", "query"]

#: Measures engines of its own that have learned from a part of a shop's tables on the rest.
Measure = Callable[[Canonical, Encoded, Replay | None, ShopConfig], dict[str, Any]]


def build(
    root: Path, config: ShopConfig, progress: Progress, measure: Measure | None = None, report: Report | None = None
) -> dict[str, Any]:
    """From a shop's files to a published snapshot; return its manifest.

    Parameters
    ----------
    root : Path
        The shop's folder.
    config : ShopConfig
    progress : Progress
    measure : callable, optional
        What it returns goes into the manifest. The snapshot itself learns from everything.
    report : callable, optional
        Writes a page about the build into the snapshot.
    """
    with _one_thread():
        counts, shop, encoded, judged = _prepared(root, config, progress)
        metrics: dict[str, Any] = {"rows": counts, "encoding": encoded.counts, "encoding_seconds": encoded.seconds}
        if shop.quarantine is not None:
            # Without the values: a snapshot is kept, and a cell may hold anything.
            metrics["set_aside"] = set_aside(shop.quarantine).drop("row", "value").to_dicts()
        if measure is not None:
            metrics["evaluation"] = measure(shop, encoded, judged, config)
        engine = learn(encoded.items, shop.log, config, encoded.encoders, judged, progress, encoded.fuser)
    if engine.fuser is not None:
        metrics["fused"] = told(engine.fuser)
        if engine.fuser.note:
            progress.note(engine.fuser.note)
    if engine.ranker.name != config.rank.ranker:
        progress.note(_not_learned(shop.log, config))
    metrics["training"] = engine.curves
    snapshots = Snapshots(root)
    with progress.step("Writing the snapshot"):
        name = snapshots.write(engine, config, shop.hashes, metrics, report)
        snapshots.publish(name)
    return snapshots.manifest(name)


def _not_learned(log: EventLog, config: ShopConfig) -> str:
    """Why an order was not learned, and what would change that."""
    until = "Until then results are ordered by words, likeness and popularity."
    if not len(log):
        return f"There are no events yet, so no order was learned from them. {until}"
    gains = ", ".join(kind for kind, gain in config.rank.gains.items() if gain > 0)
    return (
        f"Of {len(log):,} events too few or none in the last {config.rank.training_days:g} days of the log are choices "
        f"of products (choices: {gains}; see gains under [rank]), so no order was learned. {until}"
    )


def measured(root: Path, config: ShopConfig, progress: Progress, measure: Measure) -> dict[str, Any]:
    """The first half of a build, then ``measure``; nothing is written but tables and vectors."""
    with _one_thread():
        _, shop, encoded, judged = _prepared(root, config, progress)
        return measure(shop, encoded, judged, config)


def _one_thread() -> threadpool_limits:
    """One thread for linear algebra: a second one gains a tenth at most.

    And where another process wants the core too, threads that spin while they wait for one
    another made the encoders learn four to twenty-five times as slowly.
    """
    import scipy.linalg  # noqa: F401  (it brings a BLAS of its own, which must be there to be limited)

    return threadpool_limits(1, "blas")


def _prepared(
    root: Path, config: ShopConfig, progress: Progress
) -> tuple[dict[str, int], Canonical, Encoded, Replay | None]:
    counts = ingest(root, config, progress)
    shop = read_canonical(root)
    encoded = encode_items(shop.items, root, root / "media", config, progress)
    return counts, shop, encoded, judged_replay(shop.judgements, shop.items)


def query(engine: Engine, requests: Requests, k: int, given: Any = None) -> tuple[Ranked, list[list[Reason]]]:
    """Ranked lists for a batch of requests, and the reasons of every row."""
    requests = engine.encode_queries(requests)
    ranked = engine.rank(requests, k, given)
    return ranked, explain(engine, requests, ranked)


def cut_of(log: EventLog, test_days: float) -> int:
    """When the test begins: ``test_days`` before the end, but never before two thirds of the log have passed."""
    return log.last_days(test_days, 2 / 3)
