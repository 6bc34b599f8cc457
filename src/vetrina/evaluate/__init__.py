"""How good rankings are: metrics, protocols, baselines and their tuning, significance, tables."""

from vetrina.core import Impressions
from vetrina.evaluate.baselines import ALS, BM25, Baseline, ItemKNN, OwnFrequency, Popularity
from vetrina.evaluate.beyond import BEYOND, beyond
from vetrina.evaluate.counterfactual import Estimate, estimate_ctr, estimate_order, estimate_value
from vetrina.evaluate.metrics import METRICS, Scores, measure
from vetrina.evaluate.pointwise import auc, brier, calibrate, expected_calibration_error, log_loss
from vetrina.evaluate.protocols import PROTOCOLS, Holdout, hold_out
from vetrina.evaluate.rates import rates
from vetrina.evaluate.sampled import sample_candidates
from vetrina.evaluate.significance import Interval, bootstrap, bootstrap_difference, bootstrap_mean, holm
from vetrina.evaluate.tables import Row, Table, compare, corrected
from vetrina.evaluate.tuning import Tuned, tune, tune_engine

__all__ = [
    "ALS",
    "BEYOND",
    "BM25",
    "METRICS",
    "PROTOCOLS",
    "Baseline",
    "Estimate",
    "Holdout",
    "Impressions",
    "Interval",
    "ItemKNN",
    "OwnFrequency",
    "Popularity",
    "Row",
    "Scores",
    "Table",
    "Tuned",
    "auc",
    "beyond",
    "bootstrap",
    "bootstrap_difference",
    "bootstrap_mean",
    "brier",
    "calibrate",
    "compare",
    "corrected",
    "estimate_ctr",
    "estimate_order",
    "estimate_value",
    "expected_calibration_error",
    "hold_out",
    "holm",
    "log_loss",
    "measure",
    "rates",
    "sample_candidates",
    "tune",
    "tune_engine",
]
