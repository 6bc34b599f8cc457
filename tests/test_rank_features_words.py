"""Word features against their formulas, one (query, item) at a time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from planted import asked, items_of, lists_of, nothing, unit
from vetrina.core import ItemList, Query, Requests
from vetrina.core.text import analyse
from vetrina.rank.features import Words

TITLES = ["Laptop 15 inch", "Laptop bag", "Bag for a laptop, black", "Red dress", "", "Black shoes"]
CATEGORIES = ["Computers", "Bags", "Bags", "Dresses", "Bags", ""]
DESCRIPTIONS = ["fast, black", "", "", "linen", "a bag", "leather"]
ITEMS = items_of(
    6,
    {"text": unit(np.random.default_rng(0).normal(size=(6, 4)))},
    title=TITLES,
    category=CATEGORIES,
    description=DESCRIPTIONS,
)
QUERIES = ["laptop", "black laptop bag", "", "zzqqxx red", "zzqqxx"]
BM25 = {0: [9.0, 8, 5, 0, 0, 0], 1: [4.0, 9, 10, 0, 2, 3], 2: [0.0] * 6, 3: [0.0, 0, 0, 4, 0, 0], 4: [0.0] * 6}


@pytest.fixture(scope="module")
def words() -> Words:
    return Words().fit(ITEMS, nothing(ITEMS))


def question() -> tuple[Requests, ItemList]:
    vectors = {"text": unit(np.random.default_rng(1).normal(size=(5, 4)))}
    requests = asked([[]] * 5, [Query(text=text) for text in QUERIES], vectors=vectors)
    return requests, lists_of(*[range(6)] * 5, lexical=[score for row in range(5) for score in BM25[row]])


def column(words: Words, name: str) -> npt.NDArray[np.float32]:
    """One feature of all items for each query: (n_queries, n_items)."""
    return words.compute(*question())[:, words.names_.index(name)].reshape(5, 6)


def idf(term: str) -> float:
    texts = [analyse(f"{t} {c} {d}") for t, c, d in zip(TITLES, CATEGORIES, DESCRIPTIONS, strict=True)]
    having = sum(term in text for text in texts)
    return math.log(1 + (6 - having + 0.5) / (having + 0.5))


def literal_share(query: str, texts: list[str]) -> list[float]:
    """Share of the query's words, by idf, that each text has; a word that no item has weighs as the rarest."""
    everything = {term for text in [*TITLES, *DESCRIPTIONS] for term in analyse(text)}
    rarest = max(idf(term) for term in everything)
    weight = {term: idf(term) if term in everything else rarest for term in set(analyse(query))}
    return [sum(w for term, w in weight.items() if term in analyse(text)) / sum(weight.values()) for text in texts]


@pytest.mark.parametrize("row", [0, 1, 3, 4])
def test_coverage_is_the_share_of_the_querys_words_found(words: Words, row: int) -> None:
    everything = [f"{t} {c} {d}" for t, c, d in zip(TITLES, CATEGORIES, DESCRIPTIONS, strict=True)]
    np.testing.assert_allclose(column(words, "title_coverage")[row], literal_share(QUERIES[row], TITLES), rtol=1e-4)
    np.testing.assert_allclose(column(words, "coverage")[row], literal_share(QUERIES[row], everything), rtol=1e-4)


def test_share_of_the_title_and_its_first_word(words: Words) -> None:
    expected = [
        [len(set(analyse(query)) & set(analyse(title))) / max(len(set(analyse(title))), 1) for title in TITLES]
        for query in QUERIES
    ]
    starts = [[bool(title) and analyse(title)[0] in analyse(query) for title in TITLES] for query in QUERIES]
    for row in (0, 1, 3, 4):
        np.testing.assert_allclose(column(words, "title_share")[row], expected[row], rtol=1e-6)
        np.testing.assert_array_equal(column(words, "starts_title")[row], starts[row])


def test_bm25_is_the_lexical_sources_score_as_it_is_and_of_the_best(words: Words) -> None:
    for row in (0, 1, 3):
        np.testing.assert_allclose(column(words, "bm25")[row], BM25[row])
        np.testing.assert_allclose(column(words, "bm25_of_best")[row], np.array(BM25[row]) / max(BM25[row]))
    assert column(words, "bm25_of_best")[4].tolist() == [0] * 6  # nothing matched: no division by it


def test_bm25_joined_takes_all_that_is_written_as_one_field(words: Words) -> None:
    """Okapi BM25 by hand, k1 = 1.2 and b = 0.75: title, category and description; the shop's own attributes are not."""
    texts = [analyse(f"{t} {d} {c}") for t, d, c in zip(TITLES, DESCRIPTIONS, CATEGORIES, strict=True)]
    average = sum(map(len, texts)) / len(texts)
    expected = np.zeros((len(QUERIES), 6))
    for row, query in enumerate(QUERIES):
        for item, text in enumerate(texts):
            damping = 1.2 * (0.25 + 0.75 * len(text) / average)
            for term in set(analyse(query)):
                often = text.count(term)
                expected[row, item] += idf(term) * often * 2.2 / (often + damping)
    for row in (0, 1, 3, 4):
        np.testing.assert_allclose(column(words, "bm25_joined")[row], expected[row], rtol=1e-5)
    np.testing.assert_allclose(column(words, "bm25_joined_of_best")[0], expected[0] / expected[0].max(), rtol=1e-5)


def test_head_is_the_share_of_the_query_that_says_what_the_item_is(words: Words) -> None:
    """A laptop is one; a laptop bag and a bag for a laptop are bags."""
    head = column(words, "head")
    assert head[0].tolist() == [1, 0, 0, 0, 0, 0]
    whole = sum(idf(term) for term in ("black", "laptop", "bag"))
    expected = [idf("black") + idf("laptop"), idf("bag"), idf("bag") + idf("black"), 0, idf("bag"), 0]
    np.testing.assert_allclose(head[1], np.array(expected) / whole, rtol=1e-5)  # "fast, black"; "a bag"


def test_like_heads_is_the_cosine_with_the_best_that_are_what_is_asked_for(words: Words) -> None:
    """Their mean is weighted by BM25 beside the best of the list, times the share that is a head."""
    text = ITEMS.vectors["text"]
    weight = column(words, "bm25_joined_of_best") * column(words, "head")
    assert (weight[1] > 0).sum() == 4
    for row in (0, 1):
        mean = weight[row] @ text
        expected = text @ (mean / np.linalg.norm(mean))
        np.testing.assert_allclose(column(words, "like_heads")[row], expected, rtol=1e-4, atol=1e-6)
    assert np.isnan(column(words, "like_heads")[3:]).all()  # nothing is a red, or what nobody has heard of
    assert np.isnan(column(words, "like_heads_attributes")).all()  # these items have no such vectors


def test_only_the_twenty_best_are_an_example_of_what_is_asked_for() -> None:
    """Thirty lamps: the twenty with the shortest title point one way, the rest the other."""
    vectors = np.repeat([[1.0, 0], [0, 1]], [20, 10], axis=0).astype(np.float32)
    items = items_of(30, {"attributes": vectors}, title=["lamp" if n < 20 else "a fine brass lamp" for n in range(30)])
    family = Words().fit(items, nothing(items))
    got = family.compute(asked([[]], [Query(text="lamp")]), lists_of(range(30)))
    place = family.names_.index("like_heads_attributes")
    assert got[:, place].tolist() == [1.0] * 20 + [0.0] * 10


def test_how_much_is_written_of_an_item(words: Words) -> None:
    assert column(words, "title_words")[0].tolist() == [len(analyse(title)) for title in TITLES]
    written = [math.log1p(len(analyse(description))) for description in DESCRIPTIONS]
    np.testing.assert_allclose(column(words, "description_words")[0], written, rtol=1e-6)


def test_meaning_is_the_cosine_of_query_and_item(words: Words) -> None:
    requests, _ = question()
    expected = requests.query_vectors["text"] @ ITEMS.vectors["text"].T
    for row in (0, 1, 3, 4):
        np.testing.assert_allclose(column(words, "meaning")[row], expected[row], atol=1e-6)
        above = np.maximum(expected[row], 0)
        np.testing.assert_allclose(column(words, "meaning_of_best")[row], above / above.max(), atol=1e-6)


def test_category_intent_is_the_category_share_among_the_best_matches(words: Words) -> None:
    """Written out for "laptop": computers 9/9 - 1/2 = 0.5; bags (8/9 - 1/2) + (5/9 - 1/2) = 0.444; dresses none."""
    intent = column(words, "category_intent")
    computers, bags = 0.5, (8 / 9 - 0.5) + (5 / 9 - 0.5)
    whole = computers + bags
    np.testing.assert_allclose(
        intent[0, :5], [computers / whole, bags / whole, bags / whole, 0, bags / whole], rtol=1e-5
    )
    assert np.isnan(intent[0, 5])  # an item without a category
    assert np.isnan(intent[4]).all()  # nothing matched at all


def test_without_words_nothing_is_known_but_that_there_are_none(words: Words) -> None:
    features = words.compute(*question())
    number = words.names_.index("query_words")
    assert features[:, number].reshape(5, 6)[:, 0].tolist() == [1, 3, 0, 2, 1]
    rest = np.delete(features[12:18], number, axis=1)
    assert np.isnan(rest).all()
