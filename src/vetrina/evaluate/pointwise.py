"""How far predicted chances come true: AUC, log loss, Brier score and calibration.

These judge single predictions, each beside what happened (1) or did not (0),
where the metrics of ranked lists judge an order. A list can be ordered rightly
by chances that are all too high; whoever bids or sets stock by them minds.

Sources: G. Brier, Verification of Forecasts Expressed in Terms of Probability
(Monthly Weather Review 1950); T. Gneiting and A. Raftery, Strictly Proper
Scoring Rules, Prediction, and Estimation (JASA 2007), for log loss and Brier;
J. Hanley and B. McNeil, The Meaning and Use of the Area under a ROC Curve
(Radiology 1982); M. Naeini et al., Obtaining Well Calibrated Probabilities
Using Bayesian Binning (AAAI 2015), for the expected calibration error, and J.
Nixon et al., Measuring Calibration in Deep Learning (CVPR Workshops 2019), for
bins of equal mass; B. Zadrozny and C. Elkan, Transforming Classifier Scores
into Accurate Multiclass Probability Estimates (KDD 2002), for isotonic
regression; E. Wilson, Probable Inference (JASA 1927), with the effective
sample size of E. Korn and B. Graubard, Confidence Intervals for Proportions
with Small Expected Number of Positive Counts (Survey Methodology 1998).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate.evaluation import Bin, Calibration

__all__ = ["auc", "brier", "calibrate", "expected_calibration_error", "log_loss"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.number | np.bool_]

_FOLDS = 5


def auc(scores: npt.NDArray[np.floating], labels: Labels) -> float:
    """Chance that what happened was scored above what did not; ties count half.

    Parameters
    ----------
    scores : float of shape (n,)
        Of any range: only their order counts.
    labels : number or bool of shape (n,)
        1 where it happened, 0 where it did not.

    Returns
    -------
    float
        NaN when all labels are equal.

    Examples
    --------
    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0]))
    0.875
    """
    given, happened = _pairs(scores, labels)
    _, code, counts = np.unique(given, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[code]  # from 1; equal scores share their middle
    n = float(happened.sum())
    pairs = n * (len(given) - n)
    return float((rank[happened].sum() - n * (n + 1) / 2) / pairs) if pairs else float("nan")


def log_loss(chances: npt.NDArray[np.floating], labels: Labels) -> float:
    """Mean of -ln of the chance that was given to what came.

    Parameters
    ----------
    chances : float of shape (n,)
        In [0, 1]. One of exactly 0 or 1 counts as the nearest number inside, as in
        scikit-learn: it would cost infinitely much once it is wrong.
    labels : number or bool of shape (n,)
        1 where it happened, 0 where it did not.

    Examples
    --------
    >>> round(log_loss(np.array([0.2, 0.8, 0.9, 0.1, 0.3]), np.array([1, 0, 1, 0, 1])), 3)
    0.927
    """
    given, happened = _chances(chances, labels)
    given = np.clip(given, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return float(-np.log(np.where(happened, given, 1 - given)).mean())


def brier(chances: npt.NDArray[np.floating], labels: Labels) -> float:
    """Mean of the squared distance between the chance and what came; parameters as of :func:`log_loss`.

    Examples
    --------
    >>> round(brier(np.array([0.2, 0.8, 0.9]), np.array([0, 1, 0])), 3)
    0.297
    """
    given, happened = _chances(chances, labels)
    return float(((given - happened) ** 2).mean())


def expected_calibration_error(chances: npt.NDArray[np.floating], labels: Labels, bins: int = 10) -> float:
    """Mean distance between what was predicted and how often it came, over bins of equal mass.

    Parameters
    ----------
    chances, labels
        As of :func:`log_loss`.
    bins : int
        Equal chances stay together, so there may be fewer.

    Examples
    --------
    >>> round(expected_calibration_error(np.array([0.1, 0.1, 0.8, 0.8]), np.array([0, 0, 1, 0]), bins=2), 3)
    0.2
    """
    given, happened = _chances(chances, labels)
    code = _binned(given, bins)
    apart = np.bincount(code, given - happened)
    return float(np.abs(apart).sum() / len(given))


def calibrate(
    system: str,
    scores: npt.NDArray[np.floating],
    labels: Labels,
    clusters: npt.NDArray[np.integer] | None,
    what: str,
    bins: int = 10,
) -> Calibration:
    """Turn a system's scores into chances, and say how far these come true.

    The chances come from isotonic regression, which keeps the order of the scores, learned for
    each fifth of the clusters from the other four: no row has calibrated itself. At the ends
    they stay half a row away from 0 and 1, since as many rows cannot tell never from seldom.

    Parameters
    ----------
    system : str
    scores : float of shape (n,)
        One per shown or scored item.
    labels : number or bool of shape (n,)
        1 where it happened, 0 where it did not.
    clusters : int of shape (n,), optional
        Which shopper (or request) each row belongs to, -1 unknown.
    what : str
        The event, for the report, such as "a click on a shown product".
    bins : int

    Returns
    -------
    Calibration
        Each bin's interval is Wilson's, of as many independent rows as the clusters are worth.

    Raises
    ------
    DataError
        When there are fewer than two clusters, or the arrays do not fit.
    """
    from sklearn.isotonic import IsotonicRegression

    given, happened = _pairs(scores, labels)
    code = _codes(len(given), clusters)
    n_clusters = int(code.max(initial=-1)) + 1
    if n_clusters < 2:
        raise DataError(
            f"Calibration learns from some shoppers for the others, and needs two or more; got {n_clusters}."
        )
    fold = (np.random.default_rng(0).permutation(n_clusters) % _FOLDS)[code]
    chances = np.empty(len(given))
    for number in range(min(_FOLDS, n_clusters)):
        own = fold == number
        others = happened[~own]
        end = 0.5 / len(others)
        regression = IsotonicRegression(y_min=end, y_max=1 - end, out_of_bounds="clip")
        chances[own] = regression.fit(given[~own], others.astype(np.float64)).predict(given[own])
    base = float(happened.mean())
    return Calibration(
        system,
        what,
        _bins(chances, happened, code, bins),
        auc(chances, happened),
        log_loss(chances, happened),
        brier(chances, happened),
        expected_calibration_error(chances, happened, bins),
        base,
        log_loss(np.full(len(happened), base), happened),
        len(happened),
    )


def _pairs(scores: npt.NDArray[np.floating], labels: Labels) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Checked scores, and where it happened."""
    given, happened = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if given.shape != happened.shape or given.ndim != 1:
        raise DataError(f"{happened.shape} labels were given for {given.shape} scores; give one per score.")
    if not len(given):
        raise DataError("There is nothing to measure: give at least one score with its label.")
    if not np.isfinite(given).all():
        worst = int(np.flatnonzero(~np.isfinite(given))[0])
        raise DataError(f"Score {worst} is {given[worst]}; give finite numbers.")
    if not np.isin(happened, (0, 1)).all():
        worst = int(np.flatnonzero(~np.isin(happened, (0, 1)))[0])
        raise DataError(f"Label {worst} is {happened[worst]}; give 1 where it happened and 0 where it did not.")
    return given, happened.astype(bool)


def _chances(chances: npt.NDArray[np.floating], labels: Labels) -> tuple[Floats, npt.NDArray[np.bool_]]:
    given, happened = _pairs(chances, labels)
    if given.min() < 0 or given.max() > 1:
        worst = int(np.flatnonzero((given < 0) | (given > 1))[0])
        raise DataError(
            f"Chance {worst} is {given[worst]:g}; a chance is between 0 and 1. calibrate() makes chances of scores."
        )
    return given, happened


def _codes(n: int, clusters: npt.NDArray[np.integer] | None) -> Ints:
    """Clusters from 0; each row of none is one of its own."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise DataError(f"{len(clusters)} clusters were given for {n} scores; give one per score, -1 unknown.")
    _, code = np.unique(np.where(clusters >= 0, clusters, -1 - np.arange(n)), return_inverse=True)
    return code.astype(np.int64)


def _binned(chances: Floats, bins: int) -> Ints:
    """Bin of each chance, between percentiles (as in scikit-learn's calibration_curve)."""
    if bins < 1:
        raise ConfigError(f"bins: give 1 or more. Got {bins}.")
    edges = np.percentile(chances, (np.linspace(0, 1, bins + 1) * 100)[1:-1])
    return np.searchsorted(edges, chances)


def _bins(chances: Floats, happened: npt.NDArray[np.bool_], code: Ints, bins: int) -> tuple[Bin, ...]:
    found, of = [], _binned(chances, bins)
    for number in np.unique(of):
        inside = of == number
        low, high = _wilson(happened[inside], code[inside])
        found.append(Bin(float(chances[inside].mean()), float(happened[inside].mean()), low, high, int(inside.sum())))
    return tuple(found)


def _wilson(happened: npt.NDArray[np.bool_], code: Ints) -> tuple[float, float]:
    """95% interval of how often it happens."""
    from scipy.special import stdtrit

    n, share = len(happened), float(happened.mean())
    _, own = np.unique(code, return_inverse=True)
    sizes, sums = np.bincount(own), np.bincount(own, happened)
    # Rows of a cluster are alike, so there are fewer than they seem: as many as would vary so. Of clusters there are
    # as many as there would be of one size.
    degrees = max(n**2 / float((sizes**2).sum()) - 1, 0.5)
    variance = float(((sums - share * sizes) ** 2).sum()) / n**2 * (1 + 1 / degrees)
    effective = min(share * (1 - share) / variance, n) if variance > 0 else degrees + 1
    square = float(stdtrit(degrees, 0.975)) ** 2 / effective
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    return max(middle - half, 0.0), min(middle + half, 1.0)
