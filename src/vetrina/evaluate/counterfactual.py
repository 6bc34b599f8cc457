"""What another ranking would have got, estimated from lists whose chances the log knows.

Where a list was made partly by chance, and the log says with which chance (``propensity``) each
item came into its position, the clicks tell about other orders too: a click counts as many times
as the new order would have shown the item there more often than the logged one did. With weight
``w = target / propensity`` and reward ``r`` of every decision:

- IPS (inverse propensity scoring): mean of ``w r``. Without bias, and noisy.
- SNIPS (self-normalised): ``sum(w r) / sum(w)``. A little bias that fades with n, less noise.
- Doubly robust: mean of ``expected + w (r - predicted)``, where a model of the reward predicts what
  was done, and what the new policy would do. Without bias however wrong the model, as long as the
  propensities are right; the better the model, the less noise.

A decision here is one position of one list: an item's chance of a click depends on the item and
the position and on nothing else in the list (the item-position model). Rows whose propensity is
unknown are left out; that does no harm where chance decided, whatever the shopper would do, which
lists were made by chance.

Sources: D. Horvitz and D. Thompson (JASA 1952) for IPS; A. Swaminathan and T. Joachims, The
Self-Normalized Estimator for Counterfactual Learning (NIPS 2015); M. Dudík, J. Langford and L. Li,
Doubly Robust Policy Evaluation and Learning (ICML 2011); S. Li et al., Offline Evaluation of Ranking
Policies with Click Models (KDD 2018), for weights by item and position; L. Kish, Survey Sampling
(1965), for the effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, EventLog, Impressions, Progress, Query, Requests, Silent
from vetrina.core.errors import DataError, NoSupport
from vetrina.engine import Engine, ShopConfig
from vetrina.evaluate.significance import Interval, bootstrap, bootstrap_mean
from vetrina.evaluate.tables import ENGINE, K, Row, Table, corrected

__all__ = ["FLOOR", "Estimate", "estimate_ctr", "estimate_order", "estimate_value"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: The least effective sample size that an estimate rests on.
FLOOR = 100

# How far below 1 the mean weight must surely be for a log to lack what the new policy would show; and how far above
# for the propensities to be wrong, which where it happens is by a multiple.
_MISSING, _EXCESS = 0.05, 0.2

IPS, SNIPS, DR = "IPS", "SNIPS", "doubly robust"


@dataclass(frozen=True)
class Estimate:
    """The mean reward that a policy would have got.

    Attributes
    ----------
    values : dict of str to Interval
        By estimator: "IPS", "SNIPS", and "doubly robust" where predictions were given.
    weight : Interval
        Mean weight, with its 99% interval: 1 where the log shows all that the policy would do.
    effective : float
        Effective sample size: as many rows of one weight would be as sure, (sum w)^2 / sum w^2.
    largest : float
        The largest weight.
    n_used : int
        Rows with a weight above 0: decisions that the policy might have made as well.
    """

    values: dict[str, Interval]
    weight: Interval
    effective: float
    largest: float
    n_used: int


def estimate_value(
    reward: npt.NDArray[np.floating],
    propensity: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    clusters: npt.NDArray[np.integer] | None = None,
    *,
    predicted: npt.NDArray[np.floating] | None = None,
    expected: npt.NDArray[np.floating] | None = None,
    floor: float = FLOOR,
    resamples: int = 10_000,
) -> Estimate:
    """The mean reward of a target policy, from decisions that another policy made by known chances.

    Parameters
    ----------
    reward : float of shape (n,)
        What each logged decision brought, such as 1 for a click.
    propensity : float of shape (n,)
        The chance with which it was made.
    target : float of shape (n,)
        The chance with which the target policy would have made it: of a deterministic one 0 or 1.
    clusters : int of shape (n,), optional
        Whose decision it was: intervals are bootstrapped by shopper; -1 is a cluster of its own.
    predicted, expected : float of shape (n,), optional
        What a model of the reward, fitted on other rows, says of the logged decision, and of what the
        target policy would have done in its place. Both, for the doubly robust estimate.
    floor : float
        The least effective sample size.
    resamples : int
        Of the bootstrap; the seed is fixed.

    Returns
    -------
    Estimate
        Intervals are of 95%, from the bootstrap of each row's part in the estimate (of SNIPS to first order).

    Raises
    ------
    NoSupport
        When the log cannot tell: propensities are missing or 0, the target does what was never done,
        or too few rows carry the estimate. The message says which, and in figures.
    DataError
        When arrays differ in length, or hold what is no reward or no chance.

    Examples
    --------
    Two buttons were shown with chances of 1/4 and 3/4; the target always shows the first.

    >>> first = np.tile([True, False, False, False], 100)
    >>> reward = np.where(first, 1.0, 0.0)
    >>> found = estimate_value(reward, np.where(first, 0.25, 0.75), first.astype(float))
    >>> found.values["IPS"].mean, found.values["SNIPS"].mean, found.effective
    (1.0, 1.0, 100.0)
    """
    given = {"reward": reward, "propensity": propensity, "target": target}
    if (predicted is None) != (expected is None):
        raise DataError("predicted and expected: the doubly robust estimate needs both. Give both, or neither.")
    if predicted is not None and expected is not None:
        given |= {"predicted": predicted, "expected": expected}
    _check_decisions(given)
    weight = target / propensity.astype(np.float64)
    parts = _parts(reward, propensity.astype(np.float64), target, predicted, expected)
    intervals = bootstrap(np.column_stack(list(parts.values())), clusters, resamples=resamples)
    found = Estimate(
        values=dict(zip(parts, intervals, strict=True)),
        weight=bootstrap_mean(weight, clusters, resamples=resamples, level=0.99),
        effective=float(weight.sum() ** 2 / (weight**2).sum()),
        largest=float(weight.max()),
        n_used=int((weight > 0).sum()),
    )
    _check_support(found, floor)
    return found


def _check_decisions(given: dict[str, npt.NDArray[np.floating]]) -> None:
    """Raise where an array holds what is no reward or no chance, or where no weight can be made of it."""
    n = len(given["reward"])
    for name, values in given.items():
        if values.shape != (n,):
            raise DataError(f"{name}: one number for each of {n:,} rewards is needed. Got shape {values.shape}.")
        bad = ~np.isfinite(values) & (name != "propensity")
        if name == "propensity":
            bad = values > 1
        elif name == "target":
            bad |= (values < 0) | (values > 1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            wanted = "a chance, from 0 to 1," if name in ("propensity", "target") else "a finite number"
            raise DataError(f"{name}: {wanted} was expected in row {row}. Got {values[row]}.")
    if not n:
        raise NoSupport("There is no decision whose chance is known: nothing can be estimated. Log propensities.")
    propensity = given["propensity"]
    for what, empty in (("missing", np.isnan(propensity)), ("0 or below", propensity <= 0)):
        if empty.any():
            raise NoSupport(
                f"propensity: it is {what} in {int(empty.sum()):,} of {n:,} rows (the first is row "
                f"{int(np.flatnonzero(empty)[0])}). A decision can be weighed only by the chance, above 0, with which "
                "it was made: log that chance, or leave out rows in which it is not known."
            )
    if not given["target"].any():
        raise NoSupport(
            f"The new policy would do nothing that the log shows: none of {n:,} logged decisions is one of its own. "
            "What was never shown cannot be estimated; show it by chance, and log the chance."
        )


def _check_support(found: Estimate, floor: float) -> None:
    """Raise where the log cannot tell."""
    share = found.weight
    told = f"the mean weight is {share.mean:.3f}, 99% interval {share.low:.3f} to {share.high:.3f}"
    if share.high < 1 - _MISSING:
        raise NoSupport(
            f"The log never shows {1 - share.mean:.0%} of what the new policy would do ({told}; 1 where nothing is "
            "missing). What was never shown cannot be estimated: show it by chance and log the chance, or estimate "
            "a policy that orders only what was shown."
        )
    if share.low > 1 + _EXCESS:
        raise DataError(
            f"propensity: they are too small to be the chances of what was logged ({told}; it cannot be above 1). "
            "Is every item of each list logged, and is each the chance of this item in this position?"
        )
    if found.effective < floor:
        raise NoSupport(
            f"Too few decisions carry the estimate: the effective sample size is {found.effective:,.1f}, below the "
            f"floor of {floor:g} ({found.n_used:,} of {share.n:,} decisions have a weight, the largest is "
            f"{found.largest:,.1f}). Log more lists with known chances, or a policy closer to the new one."
        )


def _parts(
    reward: npt.NDArray[np.floating],
    propensity: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    predicted: npt.NDArray[np.floating] | None = None,
    expected: npt.NDArray[np.floating] | None = None,
) -> dict[str, Floats]:
    """What each row adds to each estimate, which is the mean of them.

    SNIPS is a ratio: its parts are those of its linearisation, whose mean is the ratio itself.
    """
    weight = target / propensity
    ratio = float(weight @ reward / weight.sum())
    parts = {SNIPS: ratio + weight * (reward - ratio) / weight.mean(), IPS: weight * reward}
    if predicted is not None and expected is not None:
        parts = {DR: expected + weight * (reward - predicted), **parts}
    return parts


# --- lists ------------------------------------------------------------------------


def estimate_order(
    shown: Impressions, place: Ints, k: int = K, *, floor: float = FLOOR, resamples: int = 10_000
) -> Estimate:
    """The CTR of the first places, had the lists been shown in another order.

    The model of the doubly robust estimate is: CTR of the position x CTR of the place in the new order
    / CTR, all smoothed, and fitted on the lists of four fifths of the shoppers for those of the last.

    Parameters
    ----------
    shown : Impressions
        Of lists whose chances are known (:attr:`Impressions.randomised`).
    place : int of shape (n_rows,)
        Where the new order puts each item of its list, from 1; see :meth:`Impressions.places`. It may
        depend on anything but where the item was shown, and on what the shopper then did.
    k : int
        How many places of each list count.
    floor, resamples
        As for :func:`estimate_value`.

    Raises
    ------
    NoSupport, DataError
        As :func:`estimate_value`.

    Examples
    --------
    ::

        shown = Impressions.of(log)
        shown = shown.take(shown.randomised[shown.row])
        estimate_order(shown, shown.places(-items.price[shown.item]), k=5)  # the cheapest first
    """
    told = _decisions(shown, place, k)
    return estimate_value(
        told.reward, told.propensity, told.target, shown.cluster[shown.position <= k],
        predicted=told.predicted, expected=told.expected, floor=floor, resamples=resamples,
    )  # fmt: skip


class _Decisions(NamedTuple):
    """One row for each of the first places of each list, in the words of :func:`estimate_value`."""

    reward: Floats
    propensity: Floats
    target: Floats
    predicted: Floats
    expected: Floats


def _decisions(shown: Impressions, place: Ints, k: int) -> _Decisions:
    if place.shape != shown.row.shape:
        raise DataError(f"place: one for each of {len(shown.row):,} impressions is needed. Got shape {place.shape}.")
    reward, propensity = shown.clicked.astype(np.float64), shown.propensity.astype(np.float64)
    target = (place == shown.position).astype(np.float64)
    columns = (reward, propensity, target, *_predict(shown, place))
    return _Decisions(*(column[shown.position <= k] for column in columns))


_FOLDS = 5
_PRIOR = 20  # impressions of the common CTR that every position and place begins with


def _predict(shown: Impressions, place: Ints) -> tuple[Floats, Floats]:
    """(chance of a click of every row, and of what the new order would put there), by the lists of other shoppers."""
    predicted, expected = np.zeros(len(place)), np.zeros(len(place))
    fold = shown.cluster % _FOLDS
    size = int(max(shown.position.max(initial=0), place.max(initial=0))) + 1
    for number in range(_FOLDS):
        learned, told = fold != number, fold == number
        ctr = float(shown.clicked[learned].mean()) if learned.any() else 0.0
        if not ctr:
            continue
        by_position, by_place = (
            (np.bincount(at[learned], shown.clicked[learned], size) + _PRIOR * ctr)
            / (np.bincount(at[learned], minlength=size) + _PRIOR)
            for at in (shown.position, place)
        )
        there = by_position[shown.position[told]] / ctr
        predicted[told] = there * by_place[place[told]]
        expected[told] = there * by_place[shown.position[told]]
    return predicted, expected


# --- a shop's engine --------------------------------------------------------------


def estimate_ctr(
    engine: Engine,
    log: EventLog,
    since: int,
    config: ShopConfig,
    *,
    k: int = K,
    floor: float = FLOOR,
    progress: Progress | None = None,
) -> list[Table]:
    """The CTR of the first places, had the engine ordered the lists that were shown.

    Of the lists after ``since`` those are taken whose chances are known. The engine orders the items
    of each anew, with the window that its shopper had then; so does popularity (most chosen before
    ``since``). Each is estimated as by :func:`estimate_order`.

    Parameters
    ----------
    engine : Engine
        Must have learned from ``log.before(since)`` and nothing else.
    log : EventLog
        The whole log.
    since : int
        Epoch seconds.
    config : ShopConfig
    k : int
        How many places of each list count.
    floor : float
        The least effective sample size.
    progress : Progress, optional

    Returns
    -------
    list of Table
        One table: the engine, popularity, and the CTR of the lists as they were shown, with and
        without known chances. A policy that the log cannot tell of has no row, but a note that says why.
        Empty where no list after ``since`` has propensities.

    Raises
    ------
    NoSupport
        When there are propensities, but no list that can be used.
    DataError
        When the propensities cannot be the chances of these lists.
    """
    every = Impressions.of(log)
    every = every.take(every.asked[every.row] >= since)
    some = np.unique(every.row[np.isfinite(every.propensity)])
    if not len(some):
        return []
    shown, others = every.take(every.randomised[every.row]), every.take(~np.isin(every.row, some))
    left_out = len(some) - len(np.unique(shown.row))
    if not len(shown.row):
        raise NoSupport(
            f"None of {left_out:,} lists with propensities can be used: each impression of a list needs one, and "
            "positions must be 1, 2, 3, … without gaps, each with one item of the catalogue."
        )
    with (progress or Silent()).step("Estimating: lists ordered anew"):
        orders = {
            ENGINE: _engine_order(engine.observe(log), log, shown, config),
            "popularity": _popularity_order(log.before(since), shown),
        }
    parts: dict[str, dict[str, Floats]] = {}
    notes: list[str] = []
    for name, place in orders.items():
        try:
            found = estimate_order(shown, place, k, floor=floor)
        except NoSupport as error:
            notes.append(f"{name}: {error}")
            continue
        parts[name] = _parts(*_decisions(shown, place, k))
        notes.append(
            f"{name}: {found.n_used:,} of {found.weight.n:,} places are as logged; effective sample size "
            f"{found.effective:,.0f}, largest weight {found.largest:,.1f}, mean weight {found.weight.mean:.2f}"
        )
    notes.append("each list keeps the items that were shown: of items that were not, nothing is estimated")
    if left_out:
        notes.append(f"{left_out:,} lists are left out: not every impression has a propensity, or positions have gaps")
    title = f"{config.shop.name}: CTR of the first {k} places, had the lists been ordered otherwise"
    shown, others = (one.take((one.position >= 1) & (one.position <= k)) for one in (shown, others))
    return [replace(_table(shown, others, parts, config, title), notes=tuple(notes))]


def _popularity_order(train: EventLog, shown: Impressions) -> Ints:
    chosen = train.of_kinds(EventKind.click, EventKind.cart, EventKind.purchase).item
    return shown.places(np.bincount(chosen, minlength=int(shown.item.max()) + 1)[shown.item].astype(np.float64))


def _engine_order(engine: Engine, log: EventLog, shown: Impressions, config: ShopConfig) -> Ints:
    """The engine is given each list in order of item: what it makes of ties must not follow the log's own order."""
    lists, sizes = np.unique(shown.row, return_counts=True)
    texts = [*log.queries, ""]  # code -1 is the last
    asked = shown.asked[lists]
    windows = log.windows(shown.shopper[lists], asked, config.rank.window)
    requests = Requests(windows, [Query(text=texts[code]) for code in shown.query[lists]], asked)
    ranked = engine.rank(requests, int(sizes.max()), np.split(shown.item, np.cumsum(sizes)[:-1])).lists
    span = int(shown.item.max()) + 1
    key = np.repeat(np.arange(len(lists)), sizes) * span + shown.item
    score = np.full(len(key), -np.inf)  # what the shop's rules leave out comes last
    place = np.arange(len(ranked.item)) - np.repeat(ranked.offsets[:-1], ranked.sizes)
    score[np.searchsorted(key, ranked.row.astype(np.int64) * span + ranked.item)] = -place
    return shown.places(score)


def _table(
    shown: Impressions, others: Impressions, parts: dict[str, dict[str, Floats]], config: ShopConfig, title: str
) -> Table:
    """All intervals and leads from the same resamples of the shoppers of both kinds of lists."""
    metrics = (DR, SNIPS, IPS)
    rows = {"known chances, as shown": len(shown.row), "other lists, as shown": len(others.row)}
    n = sum(rows.values())
    systems = {name: {metric: _spread(own[metric], 0, n) for metric in metrics} for name, own in parts.items()}
    for name, one, start in zip(rows, (shown, others), (0, len(shown.row)), strict=True):
        if rows[name]:
            systems[name] = dict.fromkeys(metrics, _spread(one.clicked.astype(np.float64), start, n))
    reference = ENGINE if ENGINE in parts else ""
    behind = [name for name in systems if reference and name != reference]
    columns = [systems[name][metric] for name in systems for metric in metrics]
    columns += [systems[reference][metric] - systems[name][metric] for name in behind for metric in metrics]
    found = iter(bootstrap(np.column_stack(columns), np.concatenate([shown.cluster, others.cluster])))
    sizes = {name: rows.get(name, len(shown.row)) for name in systems}
    values = {name: {metric: replace(next(found), n=sizes[name]) for metric in metrics} for name in systems}
    leads = {name: {metric: next(found) for metric in metrics} for name in behind}
    return Table(
        title,
        metrics,
        corrected([Row(name, values[name], leads.get(name)) for name in systems]),
        reference,
        n=len(np.unique(shown.row)),
        n_shoppers=len(np.unique(shown.cluster)),
        n_left_out=0,
        simulated=config.shop.simulated,
        every_interval=True,
    )


def _spread(parts: Floats, start: int, n: int) -> Floats:
    """The parts of a mean of some rows as parts of a mean of ``n`` rows, of which they are those from ``start`` on."""
    mean = float(parts.mean())
    whole = np.full(n, mean)
    whole[start : start + len(parts)] += (parts - mean) * (n / len(parts))
    return whole
