"""How good rankings are: metrics, splits and replays, baselines and their tuning, significance, tables."""

from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.metrics import METRICS, Scores, measure
from vetrina.evaluate.significance import Interval, bootstrap, bootstrap_difference, bootstrap_mean, holm
from vetrina.evaluate.splits import Split, split_at_random, split_by_shopper, split_by_time
from vetrina.evaluate.tables import Row, Table, compare, corrected
from vetrina.evaluate.tuning import Tuned, tune

__all__ = [
    "ALS",
    "BM25",
    "METRICS",
    "Baseline",
    "Interval",
    "ItemKNN",
    "OwnFrequency",
    "Popularity",
    "Row",
    "Scores",
    "Split",
    "Table",
    "Tuned",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_mean",
    "compare",
    "corrected",
    "holm",
    "measure",
    "split_at_random",
    "split_by_shopper",
    "split_by_time",
    "tune",
]
