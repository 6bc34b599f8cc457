"""What every ranker must hold to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, ItemList
from vetrina.core.errors import DataError
from vetrina.rank import Asked, Ranker, TrainingRows
from vetrina.testing.contract import COMMON_RULES, TOLERANCE, Answers, Case, named, require, same
from vetrina.testing.sample import sample_requests, small_shop

__all__ = ["RANKER_RULES", "RankerCase", "check_ranker", "sample_rows"]

Floats = npt.NDArray[np.float32]

#: Contributions are sums of some hundred float32 numbers.
_SUM_TOLERANCE = 1e-4


def sample_rows(n_requests: int = 60, seed: int = 0) -> TrainingRows:
    """Rows in which the first feature says best what was chosen, the second a little, and some is not known.

    They are about items of :func:`vetrina.testing.small_shop`, asked for by shoppers with a past and without.

    Examples
    --------
    >>> rows = sample_rows(10)
    >>> rows.features.shape[1] == len(rows.names), int(rows.sizes.sum()) == len(rows.gain)
    (True, True)
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 16, n_requests)
    # Names as shops give them to their attributes.
    names = ["bm25_of_best", "coverage", "taste_länge [cm]", 'taste_"a, b": {c}', "not known", "always 1"]
    features = rng.normal(size=(int(sizes.sum()), len(names))).astype(np.float32)
    wanted = 2 * features[:, 0] + 0.5 * features[:, 1] + 0.3 * rng.normal(size=len(features))
    gain = np.where(wanted > 1.5, np.where(wanted > 3, 3.0, 1.0), 0.0).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    features[:, 4], features[:, 5] = np.nan, 1
    features.flags.writeable = False
    items, log = small_shop()
    lists = ItemList.from_lists([rng.choice(len(items), size, replace=False).astype(np.int32) for size in sizes])
    asked = Asked(sample_requests(items, log, n_requests, seed), lists, items)
    kinds = np.array([0, 1 << EventKind.click, 0, 1 << EventKind.click | 1 << EventKind.purchase], dtype=np.uint8)
    return TrainingRows(
        features, gain, sizes.astype(np.int64), names, asked=asked, outcome=kinds[gain.astype(np.int64)]
    )


class RankerCase(Case[Ranker]):
    """A ranker, and rows to check it with.

    Parameters
    ----------
    make : callable returning a Ranker
    rows : TrainingRows, optional
        :func:`sample_rows` when absent.
    """

    def __init__(self, make: Callable[[], Ranker], rows: TrainingRows | None = None) -> None:
        super().__init__(make)
        self.rows = rows or sample_rows()

    @cached_property
    def other(self) -> TrainingRows:
        """Fewer features under other names, in which something else was chosen."""
        n_features = max(len(self.rows.names) // 2, 1)
        features = np.nan_to_num(self.rows.features[:, -n_features - 1 :][:, :n_features])
        names = [f"other_{place}" for place in range(n_features)]
        return TrainingRows(features, np.roll(self.rows.gain, 1), self.rows.sizes, names, asked=self.rows.asked)

    def fit(self, component: Ranker) -> Ranker:
        return component.fit(self.rows)

    def fit_other(self, component: Ranker) -> Ranker:
        return component.fit(self.other)

    def uses(self, component: Ranker) -> dict[str, Callable[[], object]]:
        return {
            "score": lambda: component.score(self.rows.features, self.rows.asked),
            "contributions": lambda: component.contributions(self.rows.features, self.rows.asked),
        }

    def answers(self, component: Ranker) -> Answers:
        features, asked = self.rows.features, self.rows.asked
        return {"score": component.score(features, asked), "contributions": component.contributions(features, asked)}

    @cached_property
    def ways(self) -> list[tuple[Floats, Asked | None]]:
        """Features as they are, all unknown, and all known; and the first without what they are about."""
        features, asked = self.rows.features, self.rows.asked
        nothing = np.full_like(features, np.nan)
        return [(features, asked), (nothing, asked), (np.nan_to_num(features), asked), (features, None)]

    def one(self, row: int) -> tuple[Floats, Asked | None]:
        """One row alone, and what it is about."""
        asked = self.rows.asked
        if asked is not None:
            lists = asked.lists
            requests = asked.requests.take(np.array([lists.row[row]]))
            asked = Asked(requests, ItemList.from_lists([lists.item[row : row + 1]]), asked.items)
        return self.rows.features[row : row + 1], asked


def scores_are_finite(case: RankerCase) -> None:
    """float32 of (n_rows,), finite also where features are NaN, and where nothing is said of what they are about."""
    for rows, asked in case.ways:
        score = case.fitted.score(rows, asked)
        kind = f"score() must be float32 of shape ({len(rows)},). Got {score.dtype} of {score.shape}."
        require(score.dtype == np.float32 and score.shape == (len(rows),), case.fitted, kind)
        require(np.all(np.isfinite(score)), case.fitted, "score() must be finite, whatever is not known")


def contributions_sum_to_the_score(case: RankerCase) -> None:
    """float32 of (n_rows, n_features + n_groups + 1), whose rows sum to the score."""
    for features, asked in case.ways:
        shares = case.fitted.contributions(features, asked)
        shape = (len(features), features.shape[1] + len(case.fitted.groups) + 1)
        kind = f"contributions() must be float32 of shape {shape}. Got {shares.dtype} of {shares.shape}."
        require(shares.dtype == np.float32 and shares.shape == shape, case.fitted, kind)
        got = {"sum": shares.sum(axis=1, dtype=np.float64)}
        told = "contributions do not sum to the score"
        same(case.fitted, got, {"sum": case.fitted.score(features, asked)}, told, _SUM_TOLERANCE)


def a_feature_that_never_varies_has_no_share(case: RankerCase) -> None:
    """What is the same in all rows, known or not, has the same share in all rows."""
    features = case.rows.features
    shares = case.fitted.contributions(features, case.rows.asked)
    constant = np.array(
        [np.array_equal(column, column[:1].repeat(len(column)), equal_nan=True) for column in features.T]
    )
    spread = np.ptp(shares[:, : len(constant)][:, constant], axis=0) if len(features) else np.zeros(0)
    names = [name for name, one in zip(np.array(case.rows.names)[constant], spread, strict=True) if one > TOLERANCE]
    require(not names, case.fitted, f"features that are the same in all rows have shares that differ: {names}")


def it_keeps_the_names_of_the_features(case: RankerCase) -> None:
    """``names_`` are those of the rows it learned from, in their order."""
    names, wanted = list(case.fitted.names_), list(case.rows.names)
    require(names == wanted, case.fitted, f"names_ must be {wanted}. Got {names}.")


def no_rows_no_scores(case: RankerCase) -> None:
    """No candidates: no scores and no contributions."""
    none, asked = case.rows.features[:0], case.rows.asked
    if asked is not None:
        asked = Asked(asked.requests.slice(0, 1), ItemList.from_lists([asked.lists.item[:0]]), asked.items)
    score, shares = case.fitted.score(none, asked), case.fitted.contributions(none, asked)
    require(score.shape == (0,), case.fitted, f"score() of no rows must have shape (0,). Got {score.shape}.")
    shape = (0, none.shape[1] + len(case.fitted.groups) + 1)
    require(shares.shape == shape, case.fitted, f"contributions() of no rows: {shape} wanted. Got {shares.shape}.")


def nothing_to_learn_is_said_or_learned(case: RankerCase) -> None:
    """No rows, or none that was chosen: DataError that says so, or a ranker that scores."""
    rows = case.rows
    nothing = np.zeros_like(rows.gain)
    for poor in (
        TrainingRows(rows.features, nothing, rows.sizes, rows.names),
        TrainingRows(rows.features[:0], nothing[:0], rows.sizes[:0], rows.names),
    ):
        component = case.make()
        try:
            component.fit(poor)
        except DataError:
            continue
        score = component.score(rows.features, rows.asked)
        require(np.all(np.isfinite(score)), component, "fitted on nothing, it must score or have raised DataError")


def batch_equals_single(case: RankerCase) -> None:
    """A row has the same score and contributions alone as among others."""
    score, shares = case.expected["score"], case.expected["contributions"]
    for row in range(0, len(score), max(len(score) // 25, 1)):
        one, asked = case.one(row)
        got = {"score": case.fitted.score(one, asked), "contributions": case.fitted.contributions(one, asked)}
        wanted = {"score": score[row : row + 1], "contributions": shares[row : row + 1]}
        same(case.fitted, got, wanted, f"row {row} alone is scored otherwise than in a batch", TOLERANCE)


def the_last_stage_is_the_whole(case: RankerCase) -> None:
    """``staged``, where it has stages: steps that go up, and at the last the scores of :meth:`Ranker.score`."""
    stages = list(case.fitted.staged(case.rows.features, case.rows.asked))
    steps = [step for step, _ in stages]
    require(steps == sorted(set(steps)), case.fitted, f"staged() must go from step to later step. Got {steps}.")
    if stages:
        told = "the last of staged() differs from score()"
        same(case.fitted, {"score": stages[-1][1]}, {"score": case.expected["score"]}, told, TOLERANCE)
    require(not list(case.fitted.staged(case.rows.features[:0])), case.fitted, "staged() of no rows must be nothing")


#: Every rule for a ranker, by name: call with a :class:`RankerCase`.
RANKER_RULES: dict[str, Callable[[RankerCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            scores_are_finite,
            contributions_sum_to_the_score,
            a_feature_that_never_varies_has_no_share,
            it_keeps_the_names_of_the_features,
            no_rows_no_scores,
            nothing_to_learn_is_said_or_learned,
            batch_equals_single,
            the_last_stage_is_the_whole,
        )
    ),
}


def check_ranker(make: Callable[[], Ranker], rows: TrainingRows | None = None) -> None:
    """Check a ranker against every rule for rankers.

    Parameters
    ----------
    make : callable returning a Ranker
        The class, or a function that makes a small one, for it is fitted some eight times.
    rows : TrainingRows, optional
        What to check it with; :func:`sample_rows` when absent.

    Raises
    ------
    ContractBroken
        Naming the first rule that does not hold.

    Examples
    --------
    >>> from vetrina.rank import MatchScore
    >>> check_ranker(MatchScore)
    """
    case = RankerCase(make, rows)
    for rule in RANKER_RULES.values():
        rule(case)
