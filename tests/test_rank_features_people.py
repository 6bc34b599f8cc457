"""Features of what people who chose the same things also chose."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_each_source_has_two_features_of_its_own() -> None:
    family = People(sources=["ease", "als", "gru"]).fit(ITEMS, nothing(ITEMS))
    lists = lists_of([0, 1], [2], als=[0.5, 2.0, 1.0], ease=[3.0, 0.0, -1.0], item_item=[9.0, 9.0, 9.0])
    assert family.names_ == ["ease", "ease_of_best", "als", "als_of_best", "gru", "gru_of_best"]
    features = family.compute(asked([[]] * 2), lists)
    unknown = [np.nan] * 3
    expected = [np.log1p([3, 0, 0]), [1, 0, 0], np.log1p([0.5, 2, 1]), [0.25, 1, 1], unknown, unknown]
    np.testing.assert_allclose(features, np.array(expected).T, rtol=1e-6)


def test_one_saved_before_there_were_several_reads_as_it_was(tmp_path: Path) -> None:
    People().fit(ITEMS, nothing(ITEMS)).save(tmp_path)
    header = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**header, "config": {}}), encoding="utf-8")
    assert People.load(tmp_path).bind(ITEMS).names_ == ["item_item", "item_item_of_best"]


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
