"""Batches of ranked lists against plain Python lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core import ItemList

#: One list of (item, score) for each request.
Batch = list[list[tuple[int, float]]]
batches: st.SearchStrategy[Batch] = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([-1.0, 0.0, 0.5, 2.0])), unique_by=lambda row: row[0]),
    max_size=5,
)


def made(batch: Batch) -> ItemList:
    lists = ItemList.from_lists([np.array([item for item, _ in one], dtype=np.int32) for one in batch])
    lists.columns["score"] = np.array([score for one in batch for _, score in one], dtype=np.float32)
    lists.columns["place"] = np.arange(len(lists.item))
    return lists


@given(batches, st.one_of(st.none(), st.integers(0, 6)))
def test_sorted_by_is_descending_with_ties_to_the_lower_item(batch: Batch, k: int | None) -> None:
    lists = made(batch)
    ranked = lists.sorted_by("score", k)
    literal = [sorted(one, key=lambda row: (-row[1], row[0]))[:k] for one in batch]
    assert len(ranked) == len(batch)
    assert [ranked.list_of(row).tolist() for row in range(len(batch))] == [[item for item, _ in one] for one in literal]
    assert ranked.columns["score"].tolist() == [score for one in literal for _, score in one]
    # every column went the same way
    assert lists.item[ranked.columns["place"].astype(np.int64)].tolist() == ranked.item.tolist()


@given(batches)
def test_take_keeps_some_rows_of_each_list(batch: Batch) -> None:
    lists = made(batch)
    kept = lists.columns["score"].astype(np.float32) > 0
    taken = lists.take(kept)
    literal = [[item for item, score in one if score > 0] for one in batch]
    assert [taken.list_of(row).tolist() for row in range(len(batch))] == literal
    assert taken.sizes.tolist() == [len(one) for one in literal]
    assert taken.row.tolist() == [row for row, one in enumerate(literal) for _ in one]
    np.testing.assert_array_equal(lists.take(np.flatnonzero(kept)).item, taken.item)


def test_no_lists_and_empty_lists() -> None:
    assert len(ItemList.from_lists([])) == 0
    lists = ItemList.from_lists([np.empty(0, dtype=np.int32)] * 2)
    lists.columns["score"] = np.empty(0, dtype=np.float32)
    assert len(lists.sorted_by("score", 3)) == 2
    assert lists.item.dtype == np.int32
