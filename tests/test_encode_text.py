"""The text encoder from outside: what is near what, any script, save and load, one and none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.core import Items, Silent, component_class, create
from vetrina.core.errors import ConfigError, NotFitted, SnapshotError
from vetrina.core.text import analyse
from vetrina.encode import TfidfEncoder

TITLES = [
    "Red linen dress",
    "Red cotton dress",
    "Black leather shoes",
    "Black running shoes",
    "Blue denim jacket",
    "红色连衣裙",
    "黑色皮鞋",
    "赤いワンピース",
    "ブラックレザーシューズ",
    "Robe d'été rouge",
]


@pytest.fixture(scope="module")
def encoder() -> TfidfEncoder:
    return TfidfEncoder(dim=16).fit_texts(TITLES)


def nearest(encoder: TfidfEncoder, query: str) -> int:
    return int(np.argmax(encoder.transform(TITLES) @ encoder.transform([query])[0]))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("dress of linen", 0),
        ("runing shoe", 3),  # misspelt: n-grams find it
        ("jackets", 4),
        ("连衣裙", 5),
        ("皮鞋", 6),
        ("裙", 5),  # one character of a word written without spaces
        ("ワンピース", 7),
        ("レザー シューズ", 8),
        ("ETE ROUGE robe", 9),
    ],
)
def test_a_query_finds_the_title_that_means_it(encoder: TfidfEncoder, query: str, expected: int) -> None:
    assert nearest(encoder, query) == expected


def test_full_rank_keeps_the_cosines_of_literal_tfidf() -> None:
    """Oracle: TF-IDF by hand, word by word; with as many dimensions as texts, the SVD loses nothing."""
    texts = ["red red dress\nlong red", "red shoe\nleather", "leather bag", "linen dress"]
    encoder = TfidfEncoder(dim=4, ngram_weight=0.0, title_weight=2.0).fit_texts(texts)
    bags: list[dict[str, float]] = []
    for text in texts:
        title, _, rest = text.partition("\n")
        bag: dict[str, float] = {}
        for line, weight in ((title, 2.0), (rest, 1.0)):
            for word in analyse(line):
                bag[word] = bag.get(word, 0.0) + weight
        bags.append(bag)
    names = sorted({word for bag in bags for word in bag})
    frequency = {word: sum(word in bag for bag in bags) for word in names}
    rows = np.zeros((4, len(names)))
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            rows[row, names.index(word)] = (1 + np.log(count)) * (np.log((1 + 4) / (1 + frequency[word])) + 1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = encoder.transform(texts)
    np.testing.assert_allclose(vectors @ vectors.T, rows @ rows.T, atol=1e-5)


def test_rows_have_unit_length_and_nothing_known_is_zero(encoder: TfidfEncoder) -> None:
    vectors = encoder.transform([*TITLES, "", "   ", "zzqqxx", "🙂\x00"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors[:10], axis=1), 1, atol=1e-5)
    assert not vectors[10:].any()


def test_no_texts_to_encode(encoder: TfidfEncoder) -> None:
    assert encoder.transform([]).shape == (0, encoder.transform(["red"]).shape[1])


@pytest.mark.parametrize("texts", [["one dress"], ["", "", ""], [""], ["a", "b", "c"], ["same", "same"]])
def test_tiny_catalogues(texts: list[str]) -> None:
    vectors = TfidfEncoder().fit_texts(texts).transform(texts)
    assert vectors.shape[0] == len(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, [1.0 if text else 0.0 for text in texts], atol=1e-5)


def test_batch_equals_single(encoder: TfidfEncoder) -> None:
    together = encoder.transform(TITLES)
    alone = np.concatenate([encoder.transform([title]) for title in TITLES])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_same_seed_same_result() -> None:
    first, second = (TfidfEncoder(fit_items=6, dim=4).fit_texts(TITLES).transform(TITLES) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_saved_and_loaded_is_identical(encoder: TfidfEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "text")
    loaded = component_class("encoder", "tfidf").load(tmp_path / "text")
    assert isinstance(loaded, TfidfEncoder)
    texts = [*TITLES, "", "红裙", "unknown wörd dress"]
    np.testing.assert_array_equal(loaded.transform(texts), encoder.transform(texts))
    assert loaded.config == encoder.config
    assert {path.suffix for path in (tmp_path / "text").iterdir()} == {".json", ".npy"}


def test_damaged_vocabulary_says_so(encoder: TfidfEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    (tmp_path / "vocabulary.json").write_text("{", encoding="utf-8")
    with pytest.raises(SnapshotError, match=r"vocabulary\.json: cannot be read.*Build again"):
        TfidfEncoder.load(tmp_path)


def test_unfitted_and_misconfigured() -> None:
    with pytest.raises(NotFitted, match="tfidf"):
        TfidfEncoder().transform(["red"])
    with pytest.raises(ConfigError, match=r"dims.*Did you mean 'dim'"):
        create("encoder", "tfidf", {"dims": 3})


def test_reading_items_hashes_what_is_encoded() -> None:
    table = pl.DataFrame(
        {
            "title": ["Red\ndress", ""],
            "description": ["linen", ""],
            "category": ["", ""],
            "brand": ["", ""],
            "colour": ["red", ""],
        }
    )
    contents, hashes = TfidfEncoder().read(Items(table), Path())
    assert contents[0].partition("\n")[0] == "Red dress"
    assert hashes[1] == ""
    changed = table.with_columns(description=pl.Series(["cotton", ""]))
    assert TfidfEncoder().read(Items(changed), Path())[1][0] != hashes[0]
    assert TfidfEncoder().fit(Items(table), contents, Silent()).transform(["linen dress"]).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_any_text_gives_finite_unit_or_zero_rows(texts: list[str]) -> None:
    vectors = TfidfEncoder(dim=8).fit_texts(texts).transform(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-4) | (lengths == 0))


def test_learning_in_parts_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TfidfEncoder(dim=16).fit_texts(TITLES).transform(TITLES)
    monkeypatch.setattr("vetrina.encode.text._PART", 3)
    parts = TfidfEncoder(dim=16).fit_texts(TITLES).transform(TITLES)
    np.testing.assert_allclose(parts @ parts.T, whole @ whole.T, atol=1e-4)


def test_of_many_texts_some_are_counted_and_fewer_learned_from() -> None:
    """Of 60 texts 50 are counted at random, so a word that is in all of them is in 50, and one of half in about 25."""
    texts = [f"dress {'red' if number % 2 else 'blue'}" for number in range(60)]
    encoder = TfidfEncoder(fit_items=10, ngram_weight=0).fit_texts(texts)
    idf = dict(zip(encoder._words, encoder.idf_.tolist(), strict=False))
    assert idf["dress"] == 1
    halves = [51 / np.exp(idf[word] - 1) - 1 for word in ("red", "blue")]
    assert sum(halves) == pytest.approx(50, abs=1e-3)
    assert np.linalg.norm(encoder.transform(texts), axis=1) == pytest.approx(1)


def test_ngrams_have_some_length() -> None:
    with pytest.raises(ConfigError, match="ngram_min is 6, above ngram_max, 5"):
        TfidfEncoder(ngram_min=6)
