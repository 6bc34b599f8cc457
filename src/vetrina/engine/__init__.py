"""The one engine: configuration, build and query flows, snapshots, explanations."""

from vetrina.core import Filters, Items
from vetrina.core.errors import RequestError, SnapshotError, UnknownItem, VetrinaError
from vetrina.engine.config import ShopConfig, read_config
from vetrina.engine.engine import Engine, Ranked
from vetrina.engine.events import Event
from vetrina.engine.explain import Reason, explain
from vetrina.engine.ingest import pseudonyms
from vetrina.engine.learn import learn
from vetrina.engine.replay import Gains, Replay, requests_at, requests_from_log
from vetrina.engine.shop import MAX_K, Ranking, Result, Shop
from vetrina.engine.snapshots import Snapshots

__all__ = [
    "MAX_K",
    "Engine",
    "Event",
    "Filters",
    "Gains",
    "Items",
    "Ranked",
    "Ranking",
    "Reason",
    "Replay",
    "RequestError",
    "Result",
    "Shop",
    "ShopConfig",
    "SnapshotError",
    "Snapshots",
    "UnknownItem",
    "VetrinaError",
    "explain",
    "learn",
    "pseudonyms",
    "read_config",
    "requests_at",
    "requests_from_log",
]
