"""The one engine: configuration, build and query flows, snapshots, explanations."""

from vetrina.engine.config import ShopConfig, read_config
from vetrina.engine.engine import Engine, Ranked
from vetrina.engine.explain import Reason, explain
from vetrina.engine.learn import learn
from vetrina.engine.replay import Gains, Replay, requests_at, requests_from_log
from vetrina.engine.shop import Ranking, Result, Shop
from vetrina.engine.snapshots import Snapshots

__all__ = [
    "Engine",
    "Gains",
    "Ranked",
    "Ranking",
    "Reason",
    "Replay",
    "Result",
    "Shop",
    "ShopConfig",
    "Snapshots",
    "explain",
    "learn",
    "read_config",
    "requests_at",
    "requests_from_log",
]
