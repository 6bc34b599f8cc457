"""How good rankings are: metrics, splits and replays, baselines and their tuning, significance, tables."""

from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.metrics import METRICS, Scores, Truth, measure
from vetrina.evaluate.significance import Interval, bootstrap, bootstrap_difference, bootstrap_mean
from vetrina.evaluate.splits import (
    Gains,
    Replay,
    Split,
    requests_at,
    requests_from_log,
    split_at_random,
    split_by_shopper,
    split_by_time,
)
from vetrina.evaluate.tables import Row, Table, compare
from vetrina.evaluate.tuning import Tuned, tune

__all__ = [
    "ALS",
    "BM25",
    "METRICS",
    "Baseline",
    "Gains",
    "Interval",
    "ItemKNN",
    "OwnFrequency",
    "Popularity",
    "Replay",
    "Row",
    "Scores",
    "Split",
    "Table",
    "Truth",
    "Tuned",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_mean",
    "compare",
    "measure",
    "requests_at",
    "requests_from_log",
    "split_at_random",
    "split_by_shopper",
    "split_by_time",
    "tune",
]
