"""What every family of ranking features must hold to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import DAY, ITEM_COLUMNS, EventLog, ItemList, Items, Query, Requests, Windows
from vetrina.core.past import differs, equal_pasts
from vetrina.rank import FeatureFamily
from vetrina.rank.features import READS, Read
from vetrina.testing.contract import COMMON_RULES, TOLERANCE, Answers, Case, named, require, same
from vetrina.testing.retrievers import cuts, fewer, no_events, without_windows
from vetrina.testing.sample import frozen, sample_lists, sample_requests, small_shop

__all__ = ["FEATURE_RULES", "FeatureCase", "check_features", "unread"]

#: Sources whose scores the sample's lists carry, the shipped ones and others that families read, and their fusion.
SOURCES = ("lexical", "text_vector", "photo_vector", "vector", "item_item", "history", "popular", "query_item", "rrf")


class FeatureCase(Case[FeatureFamily]):
    """A feature family, a catalogue, a log, requests and candidates to check it with.

    Parameters
    ----------
    make : callable returning a FeatureFamily
    items : Items, optional
    log : EventLog, optional
        :func:`small_shop`'s when absent.
    columns : mapping of str to function, optional
        Source columns of its own that the family reads: name to a function
        of (requests, lists) that gives float32 of shape (n_rows,).
    """

    def __init__(
        self,
        make: Callable[[], FeatureFamily],
        items: Items | None = None,
        log: EventLog | None = None,
        columns: Mapping[str, Callable[[Requests, ItemList], npt.NDArray[np.float32]]] | None = None,
    ) -> None:
        super().__init__(make)
        if items is None or log is None:
            items, log = small_shop()
        self.items, self.log = frozen(items, log)
        self.columns = dict(columns or {})

    @cached_property
    def requests(self) -> Requests:
        """Questions of every form."""
        return sample_requests(self.items, self.log)

    @cached_property
    def lists(self) -> ItemList:
        """Candidates of each request, with scores of sources beside them."""
        return self.candidates(self.requests)

    def candidates(self, requests: Requests, n_items: int | None = None) -> ItemList:
        """Candidates for ``requests``, with scores of sources beside them."""
        lists = sample_lists(requests, len(self.items) if n_items is None else n_items)
        rng = np.random.default_rng(2)
        for source in SOURCES:
            # Sources give 0 or less to much, and a score to some.
            lists.columns[source] = np.maximum(rng.normal(size=len(lists.item)), -0.5).astype(np.float32)
        # As if the caller had given the lists in this order.
        first = np.repeat(lists.offsets[:-1], lists.sizes)
        lists.columns["given_position"] = (np.arange(len(lists.item)) - first + 1).astype(np.int32)
        for name, column in self.columns.items():
            lists.columns[name] = column(requests, lists)
        for value in lists.columns.values():
            value.flags.writeable = False
        return lists

    def fit(self, component: FeatureFamily) -> FeatureFamily:
        return component.fit(self.items, self.log)

    def fit_other(self, component: FeatureFamily) -> FeatureFamily:
        return component.fit(*fewer(self.items, self.log, max(len(self.items) // 2, 1)))

    def bind(self, component: FeatureFamily) -> FeatureFamily:
        return component.bind(self.items)

    def uses(self, component: FeatureFamily) -> dict[str, Callable[[], object]]:
        return {"compute": lambda: component.compute(self.requests, self.lists)}

    def answers(self, component: FeatureFamily) -> Answers:
        return {"features": component.compute(self.requests, self.lists), "names": np.array(component.names_)}

    def valid(self, component: FeatureFamily, features: npt.NDArray[np.float32], lists: ItemList) -> None:
        """Require of an answer to ``compute`` what its docstring says."""
        require(features.dtype == np.float32, component, f"features must be float32. Got {features.dtype}.")
        shape = (len(lists.item), len(component.names_))
        shapes = f"features must be of shape (n_rows, n_names) = {shape}. Got {features.shape}."
        require(features.shape == shape, component, shapes)
        infinite = [name for place, name in enumerate(component.names_) if np.isinf(features[:, place]).any()]
        require(not infinite, component, f"a feature is finite, or NaN where not known. Infinite: {infinite}.")


def its_features_are_named(case: FeatureCase) -> None:
    """One name for each column, each once; and the reason under which they are explained."""
    family = case.fitted
    names = list(family.names_)
    require(all(str(name) == name != "" for name in names), family, f"names_ must be words. Got {names}.")
    require(len(set(names)) == len(names), family, f"two features have one name: {names}")
    require(bool(family.reason), family, "it has no `reason`, under which its share of a score is explained")


def its_features_are_finite_or_unknown(case: FeatureCase) -> None:
    """float32 of (n_rows, n_features), never infinite; something is known of something."""
    features = case.fitted.compute(case.requests, case.lists)
    case.valid(case.fitted, features, case.lists)
    unknown = [name for place, name in enumerate(case.fitted.names_) if np.isnan(features[:, place]).all()]
    known = len(unknown) < len(case.fitted.names_)
    require(known, case.fitted, "nothing is known of any row of the sample; give data in which something is")


def candidates_are_not_changed(case: FeatureCase) -> None:
    """The lists that it reads stay as they were."""
    lists = case.candidates(case.requests)
    before: dict[str, npt.NDArray[Any]] = {"item": lists.item.copy(), "offsets": lists.offsets.copy(), **lists.columns}
    case.fitted.compute(case.requests, lists)
    after: dict[str, npt.NDArray[Any]] = {"item": lists.item, "offsets": lists.offsets, **lists.columns}
    same(case.fitted, after, before, "it changes the lists, which are not its own")


def some_rows_have_the_features_that_they_have_among_all(case: FeatureCase) -> None:
    """``compute_some`` gives what ``compute`` does, also where a list has no row among the wanted, or none has."""
    n_rows = len(case.lists.item)
    wanted = case.fitted.compute(case.requests, case.lists)
    first = case.lists.offsets[1]
    for rows in (np.arange(n_rows), np.arange(n_rows)[::3], np.arange(first, n_rows)[1::7], np.arange(0)):
        got = {"features": case.fitted.compute_some(case.requests, case.lists, rows)}
        told = "compute_some() must give the rows of compute(); `by_itself` only where no feature looks at a whole list"
        same(case.fitted, got, {"features": wanted[rows]}, told)


def no_candidates_no_rows(case: FeatureCase) -> None:
    """An empty batch, and requests for which nothing was found."""
    nothing: list[npt.NDArray[np.int32]] = [np.empty(0, dtype=np.int32)] * len(case.requests)
    for requests, lists in ((case.requests.slice(0, 0), []), (case.requests, nothing)):
        empty = ItemList.from_lists(lists)
        empty.columns.update({name: np.empty(0, dtype=np.float32) for name in (*SOURCES, *case.columns)})
        case.valid(case.fitted, case.fitted.compute(requests, empty), empty)


def a_shopper_never_seen_has_features(case: FeatureCase) -> None:
    """Empty windows, with any question."""
    unknown = without_windows(case.requests)
    lists = case.candidates(unknown)
    case.valid(case.fitted, case.fitted.compute(unknown, lists), lists)


def a_shop_without_events_has_features(case: FeatureCase) -> None:
    """Learned from an empty log."""
    family = case.make().fit(case.items, no_events(case.items))
    case.valid(family, family.compute(case.requests, case.lists), case.lists)


def a_shop_without_that_source_has_features(case: FeatureCase) -> None:
    """Lists that lack the column of a source, for a shop may do without it."""
    bare = ItemList(case.lists.offsets, case.lists.item)
    case.valid(case.fitted, case.fitted.compute(case.requests, bare), bare)


def a_shop_without_vectors_has_features(case: FeatureCase) -> None:
    """Items without vectors of any modality."""
    items = Items(case.items.table)
    family = case.make().fit(items, case.log)
    case.valid(family, family.compute(case.requests, case.lists), case.lists)


def catalogues_of_one_and_of_none_have_features(case: FeatureCase) -> None:
    """One item, and none at all."""
    for n_items in (1, 0):
        items, log = fewer(case.items, case.log, n_items)
        family = case.make().fit(items, log)
        queries = [Query(), Query(text=str(case.items.table["title"][0])), Query(like=n_items - 1)]
        requests = Requests(Windows.empty(3), queries, case.requests.now[:1].repeat(3))
        lists = case.candidates(requests, n_items)
        case.valid(family, family.compute(requests, lists), lists)


def batch_equals_single(case: FeatureCase) -> None:
    """A request's candidates have the same features alone as among those of others."""
    together = case.fitted.compute(case.requests, case.lists)
    for row in range(len(case.requests)):
        rows = slice(int(case.lists.offsets[row]), int(case.lists.offsets[row + 1]))
        columns = {name: column[rows] for name, column in case.lists.columns.items()}
        one = ItemList(np.array([0, rows.stop - rows.start]), case.lists.item[rows], columns)
        got = {"features": case.fitted.compute(case.requests.slice(row, row + 1), one)}
        told = f"request {row} alone has other features than in a batch"
        same(case.fitted, got, {"features": together[rows]}, told, TOLERANCE)


def it_learns_from_what_it_says_and_from_nothing_later(case: FeatureCase) -> None:
    """``learns``: the changes of the log that may not matter to it change nothing (:func:`equal_pasts`)."""
    learns = case.fitted.learns
    for cut in cuts(case.log):
        asked = case.requests
        if learns == "counts":
            asked = asked.slice(0, int(np.searchsorted(asked.now, cut, side="right")))
        lists = case.candidates(asked)
        first, others = equal_pasts(learns, case.log, cut)
        wanted = {"features": case.make().fit(case.items, first).compute(asked, lists)}
        for change, log in others.items():
            got = {"features": case.make().fit(case.items, log).compute(asked, lists)}
            same(case.fitted, got, wanted, differs(learns, change))


def it_reads_what_it_says_and_nothing_else(case: FeatureCase) -> None:
    """``reads``: what it does not name may change, and its features stay as they are."""
    family = case.fitted
    unknown = sorted(set(family.reads) - set(READS))
    require(not unknown, family, f"`reads` names {unknown}, which are none of {', '.join(READS)}")
    wanted = {"features": family.compute(case.requests, case.lists)}
    knows_the_log = {"counts", "log"} & set(family.reads)
    for read, changed in unread(case).items():
        if read not in family.reads and not (read in ("counts", "log") and knows_the_log):
            same(
                family,
                {"features": changed()},
                wanted,
                f"`reads` does not name {read!r}, but its features depend on it",
            )


def unread(case: FeatureCase) -> dict[Read, Callable[[], npt.NDArray[np.float32]]]:
    """The features as they are when one of :data:`READS` says something else, or nothing."""
    requests, lists = case.requests, case.lists

    def asked(**changes: Any) -> npt.NDArray[np.float32]:
        return case.fitted.compute(replace(requests, **changes), lists)

    def without(*columns: str) -> npt.NDArray[np.float32]:
        kept = {name: column for name, column in lists.columns.items() if name not in columns}
        return case.fitted.compute(requests, ItemList(lists.offsets, lists.item, kept))

    def fitted(items: Items, log: EventLog) -> npt.NDArray[np.float32]:
        return case.make().fit(items, log).compute(requests, lists)

    later = 400 * DAY + 5 * 3600  # of another season, weekday and hour
    blank = [pl.lit("").alias(name) for name in ("title", "description", "category", "brand", "colour", "photo")]
    bare = case.items.table.select(list(ITEM_COLUMNS)).with_columns(
        *blank, price=pl.lit(None, pl.Float64), available_at=pl.lit(None, pl.Int64)
    )
    windows = replace(requests.windows, time=requests.windows.time + later)
    return {
        "window": lambda: asked(windows=Windows.empty(len(requests))),
        "query": lambda: asked(queries=[Query()] * len(requests), query_vectors={}, examples={}),
        "items": lambda: fitted(Items(bare), case.log),
        "counts": lambda: fitted(case.items, no_events(case.items)),
        "log": lambda: fitted(case.items, no_events(case.items)),
        # What happened stays as long ago as it was.
        "now": lambda: asked(now=requests.now + later, windows=windows),
        "sources": lambda: without(*SOURCES, *case.columns),
        "given": lambda: without("given_position"),
    }


#: Every rule for a feature family, by name: call with a :class:`FeatureCase`.
FEATURE_RULES: dict[str, Callable[[FeatureCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            its_features_are_named,
            its_features_are_finite_or_unknown,
            candidates_are_not_changed,
            some_rows_have_the_features_that_they_have_among_all,
            no_candidates_no_rows,
            a_shopper_never_seen_has_features,
            a_shop_without_events_has_features,
            a_shop_without_that_source_has_features,
            a_shop_without_vectors_has_features,
            catalogues_of_one_and_of_none_have_features,
            batch_equals_single,
            it_learns_from_what_it_says_and_from_nothing_later,
            it_reads_what_it_says_and_nothing_else,
        )
    ),
}


def check_features(
    make: Callable[[], FeatureFamily],
    items: Items | None = None,
    log: EventLog | None = None,
    columns: Mapping[str, Callable[[Requests, ItemList], npt.NDArray[np.float32]]] | None = None,
) -> None:
    """Check a feature family against every rule for feature families.

    Parameters
    ----------
    make : callable returning a FeatureFamily
    items : Items, optional
    log : EventLog, optional
        What to check it with; :func:`small_shop`'s when absent.
    columns : mapping of str to function, optional
        See :class:`FeatureCase`.

    Raises
    ------
    ContractBroken
        Naming the first rule that does not hold.

    Examples
    --------
    >>> from vetrina.rank.features import Price
    >>> check_features(Price)
    """
    case = FeatureCase(make, items, log, columns)
    for rule in FEATURE_RULES.values():
        rule(case)
