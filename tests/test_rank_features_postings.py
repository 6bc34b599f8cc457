"""What a word says of a product, and the index of (word, item) pairs against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vetrina.core.text import phrases
from vetrina.rank.features.postings import Postings, Token, heads


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Laptop bag", ["bag"]),
        ("Acme laptop bag 15 inch", ["bag", "inch"]),
        ("Acme laptop bag X200", ["bag", "x200"]),
        ("Acme laptop bag black", ["bag", "black"]),
        ("Laptop bag, black", ["bag", "black"]),
        ("Bag for a laptop", ["bag"]),
        ("Laptop bag with mouse and pen", ["bag"]),
        ("Pen for tablets (black), case", ["pen", "black", "case"]),  # the next phrase starts anew
        ("Pack of batteries", ["pack", "batteri"]),
        ("笔记本电脑包", ["包"]),
        ("", []),
    ],
)
def test_the_head_of_a_phrase_says_what_the_thing_is(title: str, expected: list[str]) -> None:
    found = heads(phrases(title), frozenset({"black"}))
    assert [word for word, head in found if head and word not in {"15", "of"}] == expected
    assert [word for word, _ in found] == [word for phrase in phrases(title) for word in phrase]


def fields(seed: int = 0, n_items: int = 40) -> list[list[list[Token]]]:
    rng = np.random.default_rng(seed)
    terms = [f"w{number}" for number in range(12)]
    return [
        [
            [(str(rng.choice(terms)), bool(rng.random() < 0.3)) for _ in range(int(rng.integers(0, 9)))]
            for _ in range(n_items)
        ]
        for _ in range(3)
    ]


def test_postings_are_what_counting_finds() -> None:
    texts = fields()
    vocabulary: dict[str, int] = {}
    index = Postings.of([iter(field) for field in texts], vocabulary)
    every = np.arange(40, dtype=np.int32)
    assert index.length.tolist() == [[len(field[item]) for field in texts] for item in range(40)]
    for term, code in vocabulary.items():
        place = index.places(code, every[::-1])[::-1]  # in any order
        for item in range(40):
            counts = [[word for word, _ in field[item]].count(term) for field in texts]
            assert (place[item] >= 0) == any(counts)
            if any(counts):
                assert index.counts[place[item]].tolist() == counts
                assert index.head[place[item]] == any((term, True) in field[item] for field in texts)
        assert index.found[code] == (place >= 0).sum()


def test_a_word_said_very_often_counts_255() -> None:
    index = Postings.of([[[("w", False)] * 300]], {})
    assert index.counts.tolist() == [[255]]
    assert index.length.tolist() == [[300]]


def test_an_index_of_nothing_has_no_postings() -> None:
    for n_items in (0, 2):
        index = Postings.of([[[] for _ in range(n_items)]] * 2, {})
        assert len(index.item) == len(index.found) == 0
        assert index.length.shape == (n_items, 2)
