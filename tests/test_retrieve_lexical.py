"""The lexical source against BM25 written out, and on words whose right order is known."""

from __future__ import annotations

import gc
import math
from typing import Any

import numpy as np
import pytest

from planted import asked, items_of, lists_of, nothing
from vetrina.core import Items, Query
from vetrina.core.errors import ConfigError, NotFitted
from vetrina.core.text import analyse
from vetrina.retrieve import Lexical

TITLES = [
    "Red linen dress",
    "Red cotton dress with a red belt",
    "Black leather shoes",
    "Black running shoes for men",
    "Shoe cream, black",
    "",
    "红色连衣裙",
    "Nike men's T-shirt 红",
]
CATEGORIES = ["Dresses", "Dresses", "Shoes", "Shoes > Running", "Care", "Shoes", "Dresses", "Shirts"]
ITEMS = items_of(
    8,
    title=TITLES,
    category=CATEGORIES,
    brand=["Arco", "Bora", "Arco", "", "Nike", "Bora", "", "Nike"],
    colour=["red", "red", "black", "black", "", "", "红", ""],
    description=["made of linen", "", "smooth leather, for black tie", "", "for leather", "", "", ""],
    fabric=["linen", "cotton", "leather", "", "", "", "", "cotton"],
)
WEIGHTS = {"title": 1.0, "category": 1.0, "brand": 1.0, "colour": 1.0, "fabric": 0.5, "description": 1.0}


def literal_bm25(items: Items, query: str) -> np.ndarray:
    """Okapi BM25 by hand: k1 = 1.2, b = 0.75; a word counts in its best field, and 0.3 of it in the others."""
    scores = np.zeros(len(items))
    for term in set(analyse(query)):
        by_field = []
        for field, weight in WEIGHTS.items():
            texts = [analyse(text) for text in items.table[field]]
            average = sum(len(text) for text in texts) / len(texts)
            having = sum(term in text for text in texts)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            by_field.append(
                [
                    weight
                    * idf
                    * 2.2
                    * text.count(term)
                    / (text.count(term) + 1.2 * (0.25 + 0.75 * len(text) / max(average, 1e-9)))
                    for text in texts
                ]
            )
        best, total = np.max(by_field, axis=0), np.sum(by_field, axis=0)
        scores += best + 0.3 * (total - best)
    return scores


@pytest.fixture(scope="module")
def lexical() -> Lexical:
    return Lexical().fit(ITEMS, nothing(ITEMS))


@pytest.mark.parametrize(
    "query", ["black shoes", "red", "linen leather cotton", "nike", "红色 裙", "dress dress DRESSES"]
)
def test_against_bm25_by_hand(lexical: Lexical, query: str) -> None:
    expected = literal_bm25(ITEMS, query)
    every = lists_of(range(len(ITEMS)))
    np.testing.assert_allclose(lexical.score(asked([[]], [Query(text=query)]), every), expected, rtol=1e-5)
    ids, scores = lexical.retrieve(asked([[]], [Query(text=query)]), 8, None)
    found = ids[0][ids[0] >= 0]
    assert set(found.tolist()) == set(np.flatnonzero(expected).tolist())
    np.testing.assert_allclose(scores[0, : len(found)], np.sort(expected[expected > 0])[::-1], rtol=1e-5)


def best(lexical: Lexical, query: str, k: int = 3) -> list[int]:
    ids, _ = lexical.retrieve(asked([[]], [Query(text=query)]), k, None)
    return [item for item in ids[0].tolist() if item >= 0]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("shoes, tie", 2),
        ("runs", 3),  # stemmed
        ("men", 3),
        ("连衣裙", 6),
        ("BLACK cream!", 4),
        ("shirt zzqqxx", 7),  # a word that nothing has does not empty the result
    ],
)
def test_the_best_item_is_first(lexical: Lexical, query: str, first: int) -> None:
    assert best(lexical, query)[0] == first


@pytest.mark.parametrize(
    "query", ["", "   ", "zzqqxx", "🙂", "title:red", '"red', "(((", "AND OR NOT", "*", "red\x00", "a" * 10_000]
)
def test_queries_are_words_and_never_syntax(lexical: Lexical, query: str) -> None:
    found = best(lexical, query, 8)
    expected = np.flatnonzero(literal_bm25(ITEMS, query)) if query.strip() else np.empty(0)
    assert set(found) == set(expected.tolist())


def test_a_field_of_weight_zero_is_not_searched() -> None:
    only_titles = Lexical(category=0, brand=0, colour=0, attributes=0, description=0).fit(ITEMS, nothing(ITEMS))
    assert best(only_titles, "nike", 8) == [7]  # item 4 has it as its brand
    assert best(only_titles, "arco", 8) == []


def test_other_weights_search_the_same_index(lexical: Lexical) -> None:
    weights: dict[str, Any] = {"title": 3.0, "description": 0.2, "attributes": 0.0}
    request = asked([[]], [Query(text="black leather shoes")])
    every = lists_of(range(len(ITEMS)))
    before = lexical.score(request, every)
    expected = Lexical(**weights).fit(ITEMS, nothing(ITEMS)).score(request, every)
    np.testing.assert_array_equal(lexical.weighted(**weights).score(request, every), expected)
    np.testing.assert_array_equal(lexical.score(request, every), before)  # its own weights stay
    assert (expected != before).any()


def test_weights_outlive_the_index_they_were_made_from() -> None:
    other = Lexical().fit(ITEMS, nothing(ITEMS)).weighted(title=2)
    gc.collect()
    assert best(other, "nike")[0] == 7


def test_wrong_weights_are_named(lexical: Lexical) -> None:
    with pytest.raises(ConfigError, match=r"retriever\.lexical\.titel is not a setting\. Did you mean 'title'"):
        lexical.weighted(titel=1)
    with pytest.raises(NotFitted):
        Lexical().weighted(title=1)


def test_a_strict_filter_is_searched_as_deep_as_needed() -> None:
    """The one allowed item is the worst of three hundred matches."""
    many = items_of(300, title=["dress " * (1 + n % 7) + "x" * (n == 299) for n in range(300)])
    lexical = Lexical().fit(many, nothing(many))
    allowed = np.zeros((1, 300), dtype=bool)
    allowed[0, 299] = True
    ids, _ = lexical.retrieve(asked([[]], [Query(text="dress")]), 2, allowed)
    assert ids.tolist() == [[299, -1]]


def test_scores_of_one_request_do_not_leak_into_the_next(lexical: Lexical) -> None:
    requests = asked([[], [], []], [Query(text="red"), Query(), Query(text="black")])
    got = lexical.score(requests, lists_of([0, 2], [0, 2], [0, 2]))
    assert (got > 0).tolist() == [True, False, False, False, False, True]
