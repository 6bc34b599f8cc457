"""What families of features say that they read: nothing too little (the contract suite), and nothing too much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vetrina.core import ItemList, Requests, components
from vetrina.rank.features import FeatureFamily, Popularity, Price
from vetrina.testing import FEATURE_RULES, ContractBroken, FeatureCase
from vetrina.testing.families import unread

OURS: dict[str, Any] = {
    name: cls for (_, name), cls in components("features").items() if cls.__module__.startswith("vetrina.")
}


@pytest.mark.parametrize("name", OURS)
def test_everything_that_is_named_is_read(name: str) -> None:
    family: type[FeatureFamily] = OURS[name]
    case = FeatureCase(family)
    wanted = case.fitted.compute(case.requests, case.lists)
    changed = unread(case)
    for read in family.reads:
        got = changed[read]()
        assert got.shape != wanted.shape or not np.array_equal(got, wanted, equal_nan=True), read


@pytest.mark.parametrize("name", OURS)
def test_what_is_learned_of_the_log_is_named_by_those_that_learn_it(name: str) -> None:
    family: type[FeatureFamily] = OURS[name]
    assert {"counts", "log"} & set(family.reads) == {family.learns} - {"items"}
    assert family.facts() == {"reads": ", ".join(family.reads)}


class SaysTooLittle(Popularity):
    reads = ("items", "now")  # type: ignore[assignment]


class HidesTheWindow(Price):
    reads = ("items",)  # type: ignore[assignment]


class ReadsTheClock(Price):
    def compute(self, requests: Requests, lists: ItemList) -> Any:
        return super().compute(requests, lists) + (requests.now % 86_400)[lists.row, None].astype(np.float32)


class Misspelt(Price):
    reads = ("window", "itmes")  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("broken", "told"),
    [(SaysTooLittle, "'counts'"), (HidesTheWindow, "'window'"), (ReadsTheClock, "'now'"), (Misspelt, "itmes")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_family_that_says_too_little_is_found(broken: type[FeatureFamily], told: str) -> None:
    with pytest.raises(ContractBroken, match=told):
        FEATURE_RULES["it_reads_what_it_says_and_nothing_else"](FeatureCase(broken))
