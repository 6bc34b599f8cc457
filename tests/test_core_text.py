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
        ("Größe 42,5", ["gross", "42", "5"]),
        ("A4 v2.0 x_1", ["a4", "v2.0", "x", "1"]),
        ("\uff46\uff55\uff4c\uff4c\u3000\uff57", ["full", "w"]),  # full-width letters and space
        ("红色连衣裙 XL", ["红", "色", "红色", "连", "衣", "裙", "连衣", "衣裙", "连衣裙", "xl"]),
        ("裙", ["裙"]),
        ("腕時計", ["腕", "時", "腕時", "計", "時計"]),  # unknown to a dictionary of simplified Chinese
        ("赤いワンピース", ["赤", "い", "わん", "んぴ", "ぴー", "ーす"]),
        ("nike鞋", ["nike", "鞋"]),
        ("فستان أحمر", ["فست", "احمر"]),
        ("ชุดสีแดง", ["ชุด", "ดสี", "สีแ", "แด", "ดง"]),  # a vowel above its letter is no letter
        ("원피스", ["원", "피", "스", "원피", "피스"]),
        ("साड़ी", ["साड़"]),
        ("مقاس ٤٢", ["مقاس", "42"]),
        ("🙂 -- !!", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert analyse(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dresses", "dress"),
        ("señora", "senora"),
        ("schön", "SCHON"),
        ("Smørrebrød", "smorrebrod"),
        ("Straße", "STRASSE"),
        ("kırmızı", "KIRMIZI"),
        ("kırmızı", "kirmizi"),
        ("İpek", "ipek"),
        ("ŞIK GÖMLEK", "şık gomlek"),
        ("robe d'été", "robe d’ete"),
        ("d'été", "été"),
        ("фиолетовая сумка", "фиолетовые сумки"),
        ("чёрный", "ЧЕРНЫЙ"),
        ("φόρεμα", "ΦΟΡΕΜΑΤΑ"),
        ("साड़ियाँ", "साड़ी"),
        ("الفستان", "فستان"),
        ("فُسْتَان", "فستان"),
        ("فستــــان", "فستان"),
        ("أحمر", "احمر"),
        ("حقيبة", "الحقيبه"),
        ("والحذاء", "حذاء"),
        ("ساعات", "ساعة"),
        ("للرجال", "رجال"),
        ("کفش", "كفش"),  # a Persian and an Arabic keyboard
        ("シャツ", "しゃつ"),
        ("ﾜﾝﾋﾟｰｽ", "ワンピース"),
    ],
)
def test_a_word_is_found_however_it_is_written(one: str, other: str) -> None:
    assert analyse(one) == analyse(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("红", "绿"), ("فستان", "قميص"), ("мяч", "меч"), ("รองเท้า", "กระเป๋า"), ("hat", "hut"), ("バッグ", "シャツ")],
)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert not set(analyse(one)) & set(analyse(other))


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("红色连衣裙", "红色雪纺连衣裙"),
        ("连衣裙", "红色连衣裙夏季新款"),
        ("裙", "红色连衣裙"),
        ("電腦包", "真皮電腦包"),  # traditional characters
        ("赤いワンピース", "赤いリネンのワンピース"),
        ("時計", "腕時計"),
        ("シューズ", "レザーシューズ"),
        ("원피스", "빨간 원피스를"),
        ("옷", "여름옷"),
        ("แดง", "ชุดเดรสสีแดง"),
    ],
)
def test_what_stands_within_a_title_without_spaces_is_found(query: str, title: str) -> None:
    assert set(analyse(query)) <= set(analyse(title))


def test_words_are_as_they_are_read() -> None:
    assert words("Dresses by l'Été") == ["dresses", "by", "l'été"]
    assert words("黑色真皮手提包 12cm") == ["黑色", "真皮", "手提包", "12cm"]
    assert words("ชุดเดรส สีแดง") == ["ชุดเดรส", "สีแดง"]


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
        ("红色、皮鞋", [["红", "色", "红色"], ["皮", "鞋", "皮鞋"]]),
        ("साड़ी, जूते", [["साड़"], ["जूत"]]),
        ("\uff0c-- !!", []),
        ("", []),
    ],
)
def test_phrases_end_at_punctuation(text: str, expected: list[list[str]]) -> None:
    assert phrases(text) == expected


@given(st.text(max_size=200))
def test_phrases_hold_every_word_in_order(text: str) -> None:
    assert [word for phrase in phrases(text) for word in phrase] == analyse(text)
