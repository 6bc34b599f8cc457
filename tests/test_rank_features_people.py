"""Features of what people who chose the same things also chose."""

from __future__ import annotations

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.rank.features import People
from vetrina.rank.features.base import by_group_max, group_share

ITEMS = items_of(4)


def test_the_source_score_as_it_is_and_of_the_best() -> None:
    family = People().fit(ITEMS, nothing(ITEMS))
    lists = lists_of([0, 1, 2], [3], [0, 1], item_item=[0.5, 2.0, -1.0, 0.0, 3.0, np.nan])
    features = family.compute(asked([[]] * 3), lists)
    score, of_best = (features[:, family.names_.index(name)] for name in ("item_item", "item_item_of_best"))
    np.testing.assert_allclose(of_best, [0.25, 1, 0, 0, 1, 0])
    assert np.all(np.diff(score[[2, 0, 1, 4]]) > 0)
    assert score[2] == score[3] == score[5] == 0


def test_without_the_source_nothing_is_known() -> None:
    family = People().fit(ITEMS, nothing(ITEMS))
    features = family.compute(asked([[]]), lists_of([0, 1]))
    named = [family.names_.index(name) for name in ("item_item", "item_item_of_best")]
    assert np.isnan(features[:, named]).all()


@pytest.mark.parametrize("lists", [([],), ([], [0, 1, 2], []), ([0], [], [1, 2])])
def test_shares_of_groups_of_which_some_are_empty(lists: tuple[list[int], ...]) -> None:
    made = lists_of(*lists)
    values = np.arange(1, len(made.item) + 1, dtype=np.float32)
    best, whole = by_group_max(values, made), group_share(values, made, np.add)
    for row in range(len(made)):
        part = slice(made.offsets[row], made.offsets[row + 1])
        np.testing.assert_allclose(best[part], values[part] / values[part].max(initial=1e-9), rtol=1e-6)
        np.testing.assert_allclose(whole[part], values[part] / max(values[part].sum(), 1e-9), rtol=1e-6)
