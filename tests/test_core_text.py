"""What a word is, in any script, and what becomes of queries that nobody meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vetrina.core.text import MAX_QUERY_CHARACTERS, analyse, clean_query, phrases, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Men's BLACK T-Shirts", ["men", "black", "t", "shirt"]),
        ("running shoes, runs", ["run", "shoe", "run"]),
        ("Größe 42,5", ["grösse", "42", "5"]),
        ("A4 v2.0", ["a4", "v2.0"]),
        ("\uff46\uff55\uff4c\uff4c\u3000\uff57", ["full", "w"]),  # full-width letters and space
        ("红色连衣裙 XL", ["红色", "色连", "连衣", "衣裙", "xl"]),
        ("裙", ["裙"]),
        ("赤いワンピース", ["赤い", "いワ", "ワン", "ンピ", "ピー", "ース"]),
        ("nike鞋", ["nike", "鞋"]),
        ("فستان أحمر", ["فستان", "أحمر"]),
        ("🙂 -- !!", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert analyse(text) == expected


def test_singular_and_plural_meet_but_words_keep_their_form() -> None:
    assert analyse("dresses") == analyse("dress")
    assert words("Dresses") == ["dresses"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_words_are_cut_at_spaces_wherever_they_stand(first: str, second: str) -> None:
    assert words(f"{first} {second}") == words(first) + words(second)
    assert not any(character.isspace() for token in words(first) for character in token)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  black\t shoes\n", "black shoes"),
        ("black\x00shoes", "black shoes"),
        ("\u202eblack\u202c shoes", "black shoes"),  # right-to-left override
        ("zero\u200bwidth", "zero width"),
        ("\x07", ""),
        ("🙂 hat", "🙂 hat"),
    ],
)
def test_clean_query(text: str, expected: str) -> None:
    assert clean_query(text) == expected


def test_a_query_of_ten_thousand_characters_is_cut_at_a_word() -> None:
    cut = clean_query("linen dress " * 900)
    assert MAX_QUERY_CHARACTERS - 12 < len(cut) <= MAX_QUERY_CHARACTERS
    assert set(cut.split()) == {"linen", "dress"}
    assert clean_query("x" * 10_000) == "x" * MAX_QUERY_CHARACTERS


@given(st.text(max_size=700))
def test_cleaning_again_changes_nothing(text: str) -> None:
    cleaned = clean_query(text)
    assert clean_query(cleaned) == cleaned
    assert len(cleaned) <= MAX_QUERY_CHARACTERS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Laptop bag, black", [["laptop", "bag"], ["black"]]),
        ("Acme X1 - laptop bag (15 inch)", [["acm", "x1"], ["laptop", "bag"], ["15", "inch"]]),
        ("Anti-glare R&B v2.0 men's", [["anti", "glare", "r", "b", "v2.0", "men"]]),  # within a name nothing ends
        ("A toner. For printers.", [["a", "toner"], ["for", "printer"]]),
        ("红色、连衣裙", [["红色"], ["连衣", "衣裙"]]),
        ("\uff0c-- !!", []),
        ("", []),
    ],
)
def test_phrases_end_at_punctuation(text: str, expected: list[list[str]]) -> None:
    assert phrases(text) == expected


@given(st.text(max_size=200))
def test_phrases_hold_every_word_in_order(text: str) -> None:
    assert [word for phrase in phrases(text) for word in phrase] == analyse(text)
