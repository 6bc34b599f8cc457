"""The one engine: configuration, build and query flows, snapshots, explanations."""

from vetrina.core import Filters, Items
from vetrina.core.errors import RequestError, SnapshotError, UnknownItem, VetrinaError
from vetrina.engine.config import ShopConfig, read_config
from vetrina.engine.encoding import Encoded
from vetrina.engine.engine import Engine, Ranked
from vetrina.engine.events import Event
from vetrina.engine.explain import Reason, explain
from vetrina.engine.flow import Measure, cut_of
from vetrina.engine.ingest import Canonical, pseudonyms
from vetrina.engine.learn import enough_to_learn, fit_ranker, learn, learn_ranker, unfitted_ranker
from vetrina.engine.replay import Gains, Replay, requests_at, requests_from_log
from vetrina.engine.rows import ranker_rows
from vetrina.engine.shop import MAX_K, Ranking, Result, Shop
from vetrina.engine.snapshots import Snapshots
from vetrina.engine.stages import fit_stages

__all__ = [
    "MAX_K",
    "Canonical",
    "Encoded",
    "Engine",
    "Event",
    "Filters",
    "Gains",
    "Items",
    "Measure",
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
    "cut_of",
    "enough_to_learn",
    "explain",
    "fit_ranker",
    "fit_stages",
    "learn",
    "learn_ranker",
    "pseudonyms",
    "ranker_rows",
    "read_config",
    "requests_at",
    "requests_from_log",
    "unfitted_ranker",
]
