"""Forgiven slips: edits against the recursion written out, every word of the shop compared."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import asked, items_of, lists_of, nothing
from vetrina.core import Query
from vetrina.core.text import analyse
from vetrina.rank.features import Fuzzy

TITLES = ["red dress", "red sandal", "samsung galaxy", "samsara perfume", "blue dress", "", "红色连衣裙", "oak desk"]
ITEMS = items_of(len(TITLES), title=TITLES)
FAMILY = Fuzzy().fit(ITEMS, nothing(ITEMS))

#: Words of few letters, so that near ones are common.
words = st.text("abc", min_size=1, max_size=8)


def edits(one: str, other: str) -> int:
    """Optimal string alignment, by its definition."""

    @cache
    def apart(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        least = min(apart(i - 1, j) + 1, apart(i, j - 1) + 1, apart(i - 1, j - 1) + (one[i - 1] != other[j - 1]))
        if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
            least = min(least, apart(i - 2, j - 2) + 1)
        return least

    return apart(len(one), len(other))


def allowed(word: str) -> int:
    return 0 if len(word) < 3 else 1 if len(word) < 6 else 2


@settings(max_examples=150)
@given(st.sets(words, min_size=1, max_size=15), words)
def test_near_words_are_those_within_so_many_edits(known: set[str], word: str) -> None:
    listed = sorted(known)
    items = items_of(len(listed), title=[f"{one}1" for one in listed])  # with a digit no word is stemmed
    family = Fuzzy().fit(items, nothing(items))
    asks = f"{word}2"
    wanted = {one: edits(asks, one) for one in family.words if edits(asks, one) <= allowed(asks)}
    got = {family.words[code]: likeness for code, likeness in family.near(asks)}
    assert got == {one: pytest.approx(1 - distance / len(asks)) for one, distance in wanted.items()}
    assert list(got.values()) == sorted(got.values(), reverse=True)


def literal(text: str, item: int) -> tuple[float, float]:
    """(fuzzy, misspelt) of one query and item."""
    documents = [set(analyse(title)) for title in TITLES]
    shop = set.union(*documents)
    terms = list(dict.fromkeys(analyse(text)))
    total = whole = slips = 0.0
    for term in terms:
        n = sum(term in document for document in documents)
        weight = math.log(1 + (len(TITLES) - n + 0.5) / (n + 0.5))
        if term in shop:
            likeness = {term: 1.0}
        else:
            near = {word: edits(term, word) for word in shop}
            likeness = {word: 1 - d / len(term) for word, d in near.items() if d <= allowed(term)}
            slips += bool(likeness)
        total += weight * max((like for word, like in likeness.items() if word in documents[item]), default=0)
        whole += weight
    return total / whole, slips / len(terms)


@pytest.mark.parametrize(
    "text", ["red dress", "samsnug", "read dres", "samsumg blue", "desc", "zzqqxx", "红色 drss", "ab"]
)
def test_share_of_the_words_that_are_found_or_nearly(text: str) -> None:
    features = FAMILY.compute(asked([[]], [Query(text=text)]), lists_of(range(len(TITLES))))
    wanted = [literal(text, item) for item in range(len(TITLES))]
    np.testing.assert_allclose(features[:, [0, 2]], wanted, rtol=1e-5)
    best = features[:, 0].max()
    np.testing.assert_allclose(features[:, 1], features[:, 0] / best if best else 0, rtol=1e-5)


def test_a_slip_finds_what_was_meant() -> None:
    queries = [Query(text="samsnug"), Query(text="sandle"), Query()]
    features = FAMILY.compute(asked([[]] * 3, queries), lists_of(*[range(len(TITLES))] * 3))
    share = features[:, 0].reshape(3, -1)
    assert share[0].argmax() == 2
    assert share[1].argmax() == 1
    assert np.isnan(features[2 * len(TITLES) :]).all(), "nothing was asked for"
