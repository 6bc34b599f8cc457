"""How likely each position of a list is to be looked at, learned from clicks.

The position-based model says that a click needs two things, and that neither knows of the other:
what stands at position k is looked at with a chance that only the position decides, and what is
looked at is clicked with a chance that only the item, the query and the shopper decide:

    P(click) = examine(k) x attract(item, query, shopper),  with examine(1) = 1.

Clicks alone do not tell the two apart, since good items stand high. Two estimators do:

- :func:`from_chance` reads lists that were put in order by lot. There every position holds the same
  items on average, so that clicks by position, weighted by the inverse of the chance with which each
  item came there, are as examination is (Joachims, Swaminathan & Schnabel, Unbiased Learning-to-Rank
  with Biased Feedback, WSDM 2017, section 5). Lists are compared with themselves only, so that long
  and short ones may be mixed.
- :func:`from_regression` needs no chance: attraction is a function of the features of each row, fitted
  together with the curve (regression EM: Wang et al., Position Bias Estimation for Unbiased Learning to
  Rank in Personal Search, WSDM 2018). EM raises the likelihood of the clicks, ``sum of c log(p) +
  (1 - c) log(1 - p)`` with ``p = examine(k) sigmoid(f(x))``, by little steps where clicks are rare; here
  each tree of ``f`` follows the gradient of that likelihood, and after it the curve is the one by which as
  many clicks are expected at each position as there were.
  It is right as far as the features say what in a list's order has to do with what shoppers want.

Both are rough where clicks are few. :func:`smoothed` joins neighbouring positions: a curve that falls
as a power of the position is believed, as far as the clicks do not contradict it.

Sources, beside those: M. Richardson, E. Dominowska and R. Ragno, Predicting Clicks (WWW 2007), and N. Craswell
et al., An Experimental Comparison of Click Position-Bias Models (WSDM 2008), for the model; E. Whittaker
(Proc. Edinburgh Mathematical Society, 1922) for the smoothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

__all__ = ["Examination", "from_chance", "from_regression", "smoothed"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]

_ROUNDS = 500
_SMALL = 1e-6

# What grows for regression: little trees, for there are few clicks.
_TREES = 80
_TREE = {
    "objective": "none",
    "num_leaves": 4,
    "learning_rate": 0.2,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

# Weights of smoothness that are tried.
_STIFF = np.logspace(-2, 6, 33)


@dataclass(frozen=True)
class Examination:
    """The chance that each position of a list is looked at, beside that of the first.

    Attributes
    ----------
    curve : float64 of shape (n_positions,)
        1 for the first position; never rising.
    method : str
        How it was estimated.
    n : int
        Impressions that it rests on.
    """

    curve: Floats
    method: str = ""
    n: int = 0

    def at(self, position: Integers) -> Floats:
        """Of each position, from 1; 1 where it is unknown (0), and the last that is known beyond it.

        Examples
        --------
        >>> Examination(np.array([1.0, 0.5])).at(np.array([0, 1, 2, 7])).tolist()
        [1.0, 1.0, 0.5, 0.5]
        """
        return np.asarray(self.curve[np.clip(position, 1, len(self.curve)) - 1])


def from_chance(position: Integers, clicked: npt.NDArray[np.bool_], group: Integers, propensity: Floats) -> Examination:
    """The curve out of lists whose order was left to chance.

    With ``y`` the clicks at position k of list l, each divided by its propensity, the expected value of
    ``y`` is ``examine(k) x attract(l)``. Both are found by turns, each from the other's last value, until
    they stand still: the fixed-effects Poisson estimate, which is right for any counts of such a mean
    (J. Wooldridge, Journal of Econometrics 1999). With lists of one length it is the clicks at k by the clicks at 1.

    Parameters
    ----------
    position : int of shape (n_rows,)
        From 1.
    clicked : bool of shape (n_rows,)
    group : int of shape (n_rows,)
        Which list each row is of, 0 and more.
    propensity : float of shape (n_rows,)
        The chance with which the item came into this position.

    Examples
    --------
    Two positions, each shown 100 times; of what stood first 50 were clicked, of what stood second 20.

    >>> group = np.repeat(np.arange(100), 2)
    >>> position = np.tile([1, 2], 100)
    >>> clicked = np.where(position == 1, group < 50, group >= 80)
    >>> from_chance(position, clicked, group, np.full(200, 0.5)).curve.round(2).tolist()
    [1.0, 0.4]
    """
    _, group = np.unique(group, return_inverse=True)
    k, size = position - 1, int(position.max(initial=0))
    weight = clicked / propensity
    of_list, of_position = np.bincount(group, weight), np.bincount(k, weight, size)
    curve = np.full(size, 1.0)
    for _ in range(_ROUNDS):
        attract = of_list / np.bincount(group, curve[k])
        new = of_position / np.maximum(np.bincount(k, attract[group], size), _SMALL)
        new *= size / new.sum()
        moved, curve = np.abs(new - curve).max(), np.maximum(new, _SMALL)
        if moved < _SMALL:
            break
    spread = np.bincount(k, weight**2, size)
    counts = np.divide(of_position**2, spread, out=np.zeros(size), where=spread > 0)
    return Examination(smoothed(curve, counts), "lists in random order", len(position))


def from_regression(
    position: Integers, clicked: npt.NDArray[np.bool_], features: npt.NDArray[np.float32]
) -> Examination:
    """The curve out of any lists, by what the features say of what attracts.

    All lists that were shown must be among the rows, or a fair sample of them: those alone in
    which something was clicked would tell of another curve.

    Parameters
    ----------
    position : int of shape (n_rows,)
        From 1.
    clicked : bool of shape (n_rows,)
    features : float32 of shape (n_rows, n_features)
        Of what was shown, as of the time when it was. None of them may be the position, or follow from it.

    Examples
    --------
    Good items stand first in four lists of five, and are clicked half the time, the others in one of ten.
    Position 2 is looked at half the time.

    >>> rng = np.random.default_rng(0)
    >>> first = rng.random(20_000) < 0.8
    >>> good = np.column_stack([first, ~first]).ravel()
    >>> position = np.tile([1, 2], 20_000)
    >>> clicked = rng.random(40_000) < np.where(good, 0.5, 0.1) / position
    >>> from_regression(position, clicked, good[:, None].astype(np.float32)).curve.round(1).tolist()
    [1.0, 0.5]
    """
    k, size = position - 1, int(position.max(initial=0))
    clicks = np.asarray(np.bincount(k, clicked, size), dtype=np.float64)
    start = float(np.clip(clicks.sum() / max(len(k), 1), _SMALL, 0.5))
    # Log-odds of attraction, from 0; what all rows have beside them; the curve.
    raw, common, curve = np.zeros(len(k)), np.log(start / (1 - start)), np.ones(size)
    first = int(np.argmax(clicks > 0))  # that of the page, but for logs that do not have it

    def slope(rows: npt.NDArray[np.intp], own: Floats, _: lgb.Dataset) -> tuple[Floats, Floats]:
        """First and second derivative of the loss (the second in expectation) by the log-odds of ``rows``."""
        attract = 1 / (1 + np.exp(-own - common))
        chance = np.minimum(curve[k[rows]] * attract, 1 - _SMALL)
        missed = (1 - attract) / (1 - chance)
        return (chance - clicked[rows]) * missed, np.maximum(chance * (1 - attract) * missed, _SMALL)

    # Trees that have seen a click say too much of it. So two forests grow, each on every other row, and the
    # curve is judged by what each says of the rows of the other.
    halves = [np.arange(half, len(k), 2) for half in range(2)]
    forests = [lgb.Booster(_TREE, lgb.Dataset(features[rows], free_raw_data=False)) for rows in halves]
    for tree in range(_TREES):
        for forest, rows, others in zip(forests, halves, halves[::-1], strict=True):
            forest.update(fobj=partial(slope, rows))
            raw[others] += np.asarray(forest.predict(features[others], start_iteration=tree, num_iteration=1))
        for _ in range(3):
            # As many clicks at each position as are expected there.
            expected = np.bincount(k, 1 / (1 + np.exp(-raw - common)), size)
            curve = np.maximum(clicks / np.maximum(expected, _SMALL), _SMALL)
            # The first position is always looked at: what is clicked there more or less is attraction.
            common += np.log(curve[first])
            curve /= curve[first]
    return Examination(smoothed(curve, clicks), "regression", len(position))


def smoothed(curve: Floats, counts: Floats) -> Floats:
    """A rough curve made smooth, never rising, and 1 at the first position.

    The logarithms of its values, each as sure as there are clicks behind it (variance 1 / count), are drawn
    to a straight line over the logarithm of the position, by as much as makes them likeliest: the penalty
    is the sum of squared changes of slope, its weight the one of the largest marginal likelihood.

    Parameters
    ----------
    curve : float of shape (n_positions,)
    counts : float of shape (n_positions,)
        Clicks that each value rests on; a value on none is filled in from its neighbours.

    Examples
    --------
    >>> smoothed(np.array([2.0, 1.0, 0.0, 0.5]), np.array([900.0, 900.0, 0.0, 900.0])).round(2).tolist()
    [1.0, 0.5, 0.33, 0.25]
    """
    size = len(curve)
    sure = np.where(curve > 0, counts, 0.0)
    value = np.log(np.where(sure > 0, curve, 1.0))
    if np.count_nonzero(sure) < 2:
        return np.ones(size)
    place = np.log(np.arange(1, size + 1))
    if size > 2:
        slopes = np.diff(np.eye(size), axis=0) / np.diff(place)[:, None]
        bends = np.diff(slopes, axis=0)
        rough = bends.T @ bends
        fits = [_fit(value, sure, stiff * rough, (size - 2) * float(np.log(stiff))) for stiff in _STIFF]
        value = max(fits, key=lambda fit: fit[0])[1]
    falling = isotonic_regression(np.exp(value), weights=np.maximum(sure, _SMALL), increasing=False).x
    return np.asarray(falling / falling[0])


def _fit(value: Floats, sure: Floats, penalty: Floats, log_prior: float) -> tuple[float, Floats]:
    """(log marginal likelihood but for what is the same of all penalties, the smooth values)."""
    precision = np.diag(sure) + penalty
    pulled = sure * value
    smooth = np.linalg.solve(precision, pulled)
    return 0.5 * (log_prior - float(np.linalg.slogdet(precision)[1]) + float(pulled @ smooth)), np.asarray(smooth)
