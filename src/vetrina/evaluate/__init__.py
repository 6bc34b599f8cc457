"""How good rankings are: metrics, protocols, baselines and their tuning, significance, tables."""

from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.metrics import METRICS, Scores, measure
from vetrina.evaluate.protocols import PROTOCOLS, Holdout, hold_out
from vetrina.evaluate.rates import rates
from vetrina.evaluate.significance import Interval, bootstrap, bootstrap_difference, bootstrap_mean, holm
from vetrina.evaluate.tables import Row, Table, compare, corrected
from vetrina.evaluate.tuning import Tuned, tune, tune_engine

__all__ = [
    "ALS",
    "BM25",
    "METRICS",
    "PROTOCOLS",
    "Baseline",
    "Holdout",
    "Interval",
    "ItemKNN",
    "OwnFrequency",
    "Popularity",
    "Row",
    "Scores",
    "Table",
    "Tuned",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_mean",
    "compare",
    "corrected",
    "hold_out",
    "holm",
    "measure",
    "rates",
    "tune",
    "tune_engine",
]
