"""What every candidate source must hold to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import EVENT_COLUMNS, EventLog, ItemList, Items, Query, Requests, Windows
from vetrina.core.past import differs, equal_pasts
from vetrina.retrieve import Retriever
from vetrina.retrieve.base import Allowed, Found
from vetrina.testing.contract import COMMON_RULES, TOLERANCE, Answers, Case, named, require, same
from vetrina.testing.sample import frozen, sample_lists, sample_requests, small_shop

__all__ = ["RETRIEVER_RULES", "RetrieverCase", "check_retriever", "fewer", "no_events"]


def no_events(items: Items) -> EventLog:
    """A log in which nothing happened."""
    return EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), items)


def fewer(items: Items, log: EventLog, n_items: int) -> tuple[Items, EventLog]:
    """The first ``n_items`` of the catalogue, and the events on them."""
    vectors = {name: rows[:n_items] for name, rows in items.vectors.items()}
    return frozen(Items(items.table.head(n_items), vectors), log.take((log.item >= 0) & (log.item < n_items)))


def without_windows(requests: Requests) -> Requests:
    """The same questions, asked by shoppers never seen."""
    return Requests(Windows.empty(len(requests)), requests.queries, requests.now, requests.query_vectors)


class RetrieverCase(Case[Retriever]):
    """A retriever, a catalogue, a log and requests to check it with.

    Parameters
    ----------
    make : callable returning a Retriever
    items : Items, optional
    log : EventLog, optional
        :func:`small_shop`'s when absent.
    """

    def __init__(self, make: Callable[[], Retriever], items: Items | None = None, log: EventLog | None = None) -> None:
        super().__init__(make)
        if items is None or log is None:
            items, log = small_shop()
        self.items, self.log = frozen(items, log)

    @cached_property
    def requests(self) -> Requests:
        """Questions of every form."""
        return sample_requests(self.items, self.log)

    @cached_property
    def lists(self) -> ItemList:
        """Lists to be scored, one for each request."""
        return sample_lists(self.requests, len(self.items))

    def fit(self, component: Retriever) -> Retriever:
        return component.fit(self.items, self.log)

    def fit_other(self, component: Retriever) -> Retriever:
        return component.fit(*fewer(self.items, self.log, max(len(self.items) // 2, 1)))

    def bind(self, component: Retriever) -> Retriever:
        return component.bind(self.items)

    def uses(self, component: Retriever) -> dict[str, Callable[[], object]]:
        return {
            "retrieve": lambda: component.retrieve(self.requests, 5, None),
            "score": lambda: component.score(self.requests, self.lists),
        }

    def answers(self, component: Retriever) -> Answers:
        return _answers(component, self.requests, self.lists)

    def valid(self, component: Retriever, found: Found, k: int, n_items: int, allowed: Allowed = None) -> None:
        """Require of an answer to ``retrieve`` what its docstring says."""
        ids, scores = found
        batch = len(ids)
        types = f"ids must be int32 and scores float32. Got {ids.dtype} and {scores.dtype}."
        require(ids.dtype == np.int32 and scores.dtype == np.float32, component, types)
        shapes = f"ids and scores must be of shape (batch, k) = ({batch}, {k}). Got {ids.shape} and {scores.shape}."
        require(ids.shape == scores.shape == (batch, k), component, shapes)
        inside = bool(np.all((ids >= -1) & (ids < n_items)))
        require(inside, component, f"ids must be items of the catalogue, 0 to {n_items - 1}, or -1")
        padded = ids < 0
        require(np.all(np.isneginf(scores[padded])), component, "scores must be -inf where ids are padded with -1")
        require(np.all(np.isfinite(scores[~padded])), component, "scores of what was found must be finite")
        require(np.all(padded[:, :-1] <= padded[:, 1:]), component, "padding must follow after all that was found")
        require(np.all(scores[:, :-1] >= scores[:, 1:]), component, "what was found must be in descending order")
        for row in range(batch):
            once = ids[row][~padded[row]]
            require(len(set(once.tolist())) == len(once), component, "an item is found twice for one request")
            if allowed is not None:
                require(np.all(allowed[row, once]), component, "an item is found that `allowed` forbids")


def _answers(component: Retriever, requests: Requests, lists: ItemList) -> Answers:
    ids, scores = component.retrieve(requests, 10, None)
    return {"ids": ids, "scores": scores, "score": component.score(requests, lists)}


def what_is_found_is_sorted_and_padded(case: RetrieverCase) -> None:
    """The ids are int32, the scores float32, of (batch, k), descending, each item once, padded with -1 and -inf."""
    for k in (1, 10):
        found = case.fitted.retrieve(case.requests, k, None)
        require(len(found[0]) == len(case.requests), case.fitted, "there must be one row of ids for each request")
        case.valid(case.fitted, found, k, len(case.items))


def it_finds_something(case: RetrieverCase) -> None:
    """Among questions of every form there is one that it answers: otherwise all rules hold of nothing."""
    ids, _ = case.fitted.retrieve(case.requests, 10, None)
    require(np.any(ids >= 0), case.fitted, "it finds nothing for any of the sample's requests; give other data")


def any_k_is_answered(case: RetrieverCase) -> None:
    """A k of nothing, and of more than there are items."""
    for k in (0, len(case.items), len(case.items) + 7):
        case.valid(case.fitted, case.fitted.retrieve(case.requests, k, None), k, len(case.items))


def only_what_is_allowed_is_found_and_nothing_of_it_is_lost(case: RetrieverCase) -> None:
    """A filter takes away what it forbids and nothing else; `allowed` itself stays as it was."""
    rng = np.random.default_rng(0)
    n_items = len(case.items)
    every, _ = case.fitted.retrieve(case.requests, n_items, None)
    for share in (0.0, 0.1, 0.6, 1.0):
        allowed = rng.random((len(case.requests), n_items)) < share
        given = allowed.copy()
        case.valid(case.fitted, case.fitted.retrieve(case.requests, 3, allowed), 3, n_items, allowed)
        found = case.fitted.retrieve(case.requests, n_items, allowed)
        case.valid(case.fitted, found, n_items, n_items, allowed)
        require(np.array_equal(allowed, given), case.fitted, "it changes the array `allowed`, which is not its own")
        for row in range(len(case.requests)):
            wanted = {item for item in every[row].tolist() if item >= 0 and allowed[row, item]}
            got = set(found[0][row].tolist()) - {-1}
            lost = (
                f"with a filter it finds {sorted(got)} and not the allowed of what it finds without, {sorted(wanted)}"
            )
            require(got == wanted, case.fitted, lost)


def score_says_what_retrieve_said(case: RetrieverCase) -> None:
    """The score of a row is the one that ``retrieve`` gave it; every row has a finite one."""
    ids, scores = case.fitted.retrieve(case.requests, len(case.items), None)
    order = [np.argsort(row, kind="stable") for row in ids]
    kept = [one[row[one] >= 0] for one, row in zip(order, ids, strict=True)]
    lists = ItemList.from_lists([row[one] for one, row in zip(kept, ids, strict=True)])
    wanted = [row[one] for one, row in zip(kept, scores, strict=True)]
    got = {"score": case.fitted.score(case.requests, lists)}
    same(case.fitted, got, {"score": np.concatenate(wanted)}, "score() is not what retrieve() gave", TOLERANCE)
    every = case.fitted.score(case.requests, case.lists)
    kind = f"score() must be float32 of shape (n_rows,). Got {every.dtype} of {every.shape}."
    require(every.dtype == np.float32 and every.shape == case.lists.item.shape, case.fitted, kind)
    require(np.all(np.isfinite(every)), case.fitted, "score() must be finite, also of rows that it does not know")


def no_requests_no_rows(case: RetrieverCase) -> None:
    """An empty batch, and lists that are all empty."""
    none = case.requests.slice(0, 0)
    case.valid(case.fitted, case.fitted.retrieve(none, 4, None), 4, len(case.items))
    forbidden = np.zeros((0, len(case.items)), dtype=bool)
    case.valid(case.fitted, case.fitted.retrieve(none, 4, forbidden), 4, len(case.items))
    nothing: list[npt.NDArray[np.int32]] = [np.empty(0, dtype=np.int32)] * len(case.requests)
    for requests, lists in ((none, ItemList.from_lists([])), (case.requests, ItemList.from_lists(nothing))):
        got = case.fitted.score(requests, lists)
        require(got.shape == (0,), case.fitted, f"score() of no rows must have shape (0,). Got {got.shape}.")


def a_shopper_never_seen_is_answered(case: RetrieverCase) -> None:
    """Empty windows, with any question: the answer may be empty, but is one."""
    unknown = without_windows(case.requests)
    case.valid(case.fitted, case.fitted.retrieve(unknown, 5, None), 5, len(case.items))
    require(np.all(np.isfinite(case.fitted.score(unknown, case.lists))), case.fitted, "score() must be finite")


def a_shop_without_events_is_answered(case: RetrieverCase) -> None:
    """Learned from an empty log."""
    component = case.make().fit(case.items, no_events(case.items))
    for requests in (case.requests, without_windows(case.requests)):
        case.valid(component, component.retrieve(requests, 5, None), 5, len(case.items))
        require(np.all(np.isfinite(component.score(requests, case.lists))), component, "score() must be finite")


def catalogues_of_one_and_of_none_are_answered(case: RetrieverCase) -> None:
    """One item, and none at all."""
    for n_items in (1, 0):
        items, log = fewer(case.items, case.log, n_items)
        component = case.make().fit(items, log)
        queries = [Query(), Query(text=str(case.items.table["title"][0])), Query(like=n_items - 1)]
        now = case.requests.now[:1].repeat(3)
        requests = Requests(Windows.empty(3), queries, now)
        case.valid(component, component.retrieve(requests, 3, None), 3, n_items)
        case.valid(component, component.retrieve(requests, 3, np.ones((3, n_items), dtype=bool)), 3, n_items)


def batch_equals_single(case: RetrieverCase) -> None:
    """A request has the same answer alone as among others; those of one score may change places."""
    rng = np.random.default_rng(1)
    allowed = rng.random((len(case.requests), len(case.items))) < 0.7
    ids, scores = case.fitted.retrieve(case.requests, 8, allowed)
    together = case.fitted.score(case.requests, case.lists)
    offsets = case.lists.offsets
    for row in range(len(case.requests)):
        one = case.requests.slice(row, row + 1)
        found, values = case.fitted.retrieve(one, 8, allowed[row : row + 1])
        alone = {"scores": values[0], "score": case.fitted.score(one, ItemList.from_lists([case.lists.list_of(row)]))}
        batch = {"scores": scores[row], "score": together[offsets[row] : offsets[row + 1]]}
        same(case.fitted, alone, batch, f"request {row} alone is answered otherwise than in a batch", TOLERANCE)
        tie = np.isclose(scores[row, 1:], scores[row, :-1], rtol=TOLERANCE, atol=TOLERANCE)
        tied = np.r_[False, tie] | np.r_[tie, True]  # the last may tie with what was cut off
        swapped = f"request {row} alone finds {found[0].tolist()}, in a batch {ids[row].tolist()}"
        require(np.all((found[0] == ids[row]) | tied), case.fitted, swapped)


def it_learns_from_what_it_says_and_from_nothing_later(case: RetrieverCase) -> None:
    """``learns``: the changes of the log that may not matter to it change nothing (:func:`equal_pasts`)."""
    learns = case.fitted.learns
    for cut in cuts(case.log):
        asked = case.requests
        if learns == "counts":
            asked = asked.slice(0, int(np.searchsorted(asked.now, cut, side="right")))
        lists = sample_lists(asked, len(case.items))
        first, others = equal_pasts(learns, case.log, cut)
        wanted = _answers(case.make().fit(case.items, first), asked, lists)
        for change, log in others.items():
            got = _answers(case.make().fit(case.items, log), asked, lists)
            same(case.fitted, got, wanted, differs(learns, change))


def cuts(log: EventLog) -> list[int]:
    """Three moments inside a log, at which what is known later is cut off."""
    return [int(log.time[int(share * (len(log) - 1))]) for share in (0.3, 0.6, 0.9)] if len(log) else []


#: Every rule for a retriever, by name: call with a :class:`RetrieverCase`.
RETRIEVER_RULES: dict[str, Callable[[RetrieverCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            what_is_found_is_sorted_and_padded,
            it_finds_something,
            any_k_is_answered,
            only_what_is_allowed_is_found_and_nothing_of_it_is_lost,
            score_says_what_retrieve_said,
            no_requests_no_rows,
            a_shopper_never_seen_is_answered,
            a_shop_without_events_is_answered,
            catalogues_of_one_and_of_none_are_answered,
            batch_equals_single,
            it_learns_from_what_it_says_and_from_nothing_later,
        )
    ),
}


def check_retriever(make: Callable[[], Retriever], items: Items | None = None, log: EventLog | None = None) -> None:
    """Check a retriever against every rule for retrievers.

    Parameters
    ----------
    make : callable returning a Retriever
        The class, or a function that makes one with options.
    items : Items, optional
    log : EventLog, optional
        What to check it with; :func:`small_shop`'s when absent. A source that
        finds nothing there needs data in which it does.

    Raises
    ------
    ContractBroken
        Naming the first rule that does not hold.
    """
    case = RetrieverCase(make, items, log)
    for rule in RETRIEVER_RULES.values():
        rule(case)
