"""One analyser for all text: what a word is, in any script.

The same function prepares titles for TF-IDF, documents for the lexical index
and queries for both, so that no stage disagrees about what matches. What is
done to a word follows from its script alone, never from the words beside it: a
query of one word must be read as it was in a title.

- Latin: accents folded (KIRMIZI, kırmızı and kirmizi are one word), elided articles
  and English possessives dropped, English stemmed.
- Arabic: vowels and variants of letters folded, article and endings off.
- Armenian, Cyrillic, Devanagari, Greek, Tamil: the Snowball stemmer of the script's most
  common language.
- Han: words of a dictionary (jieba's), the words within them, and every character;
  where the dictionary knows no word, pairs of characters.
- Kana, Thai, Lao, Khmer, Myanmar: pairs of characters, as Lucene's CJK analyser
  cuts them; Hangul: those and the characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any

import Stemmer

__all__ = ["MAX_QUERY_CHARACTERS", "analyse", "clean_query", "phrases", "words"]

MAX_QUERY_CHARACTERS = 512

# Runs of these are tokens of their own, however they are joined: a text without spaces changes
# its script where it changes its word.
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = (
    _HAN,
    "\u3041-\u309f\u30fc",  # Hiragana, and the sign that lengthens a vowel
    "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff",  # Katakana
    "\u1100-\u11ff\uac00-\ud7ff",  # Hangul
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff",  # Thai and Lao, Myanmar, Khmer
)
_UNSPACED = "".join(_RUNS)
# Vowels and accents that stand on a letter: parts of a word, though "\w" leaves them out.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
    "\u0981-\u0983\u09bc-\u09d7\u0a01-\u0a03\u0a3c-\u0a51\u0a70\u0a71\u0a81-\u0a83\u0abc-\u0acd\u0b01-\u0b03"
    "\u0b3c-\u0b57\u0b82\u0bbe-\u0bd7\u0c00-\u0c04\u0c3c-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03"
    "\u0d3b-\u0d57\u0d81-\u0d83\u0dca-\u0ddf\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u109a-\u109d"
    "\u17b4-\u17d3\u17dd\u3099\u309a"
)
_WORD = rf"(?:[^\W_{_UNSPACED}]|(?![{_UNSPACED}])[{_MARKS}])"
_TOKEN = re.compile(
    rf"[^\W_{_UNSPACED}]{_WORD}*(?:[.'’]{_WORD}+)*|" + "|".join(rf"(?:(?=[\w{_MARKS}])[{run}])+" for run in _RUNS)
)
_ASCII_TOKEN = re.compile(r"[a-z0-9]+(?:[.'][a-z0-9]+)*")  # the same, quicker
_IS_HAN = re.compile(rf"[{_HAN}]")
# What stands in the place of one letter: itself and its marks.
_LETTER = re.compile(rf".[{_MARKS}]*")
# What ends a phrase: punctuation, but not what may stand within a name (R&B, C++, Wi-Fi, v2.0, Men's).
_BREAK = re.compile(rf"[^\w{_MARKS}\s.'’&+®©-]+|\s-+\s|\.(?=\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
# Articles and prepositions that French and Italian join to the next word.
_ELIDED = re.compile(r"^(?:[dl]|qu|un|d?all|dell|nell|sull)'(?=[^\W\d_]{2})")

#: Snowball's stemmer for each script whose writers mostly share a language.
_STEMMERS = {
    "ARMENIAN": "armenian",
    "CYRILLIC": "russian",
    "DEVANAGARI": "hindi",
    "GREEK": "greek",
    "LATIN": "english",
    "TAMIL": "tamil",
}
# Letters that are no letter with a mark to Unicode, and are one to whoever types without them.
_LATIN = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th", "ß": "ss"}
)
# Tatweel fills a line; the rest are letters as Persian has them, or as many type them at the end of a word.
_ARABIC = str.maketrans({"ـ": "", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه"})
_ARABIC_PREFIXES = ("ال", "وال", "بال", "كال", "فال", "لل", "و")
_ARABIC_SUFFIXES = ("ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي")
_RUSSIAN = str.maketrans({"ё": "е", "\u0300": "", "\u0301": ""})
_NOT_RUSSIAN = re.compile("[іїєґўј]")
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def words(text: str) -> list[str]:
    """Cut text into words as they are read: normalised (Unicode NFKC, case folded), unstemmed.

    Chinese is cut by its dictionary; other scripts without spaces where the script changes.

    Examples
    --------
    >>> words("Nike Men's Black T-Shirt")
    ['nike', "men's", 'black', 't', 'shirt']
    >>> words("红色连衣裙"), words("赤いワンピース")
    (['红色', '连衣裙'], ['赤', 'い', 'ワンピース'])
    """
    tokens = _tokens(text)
    if text.isascii():
        return tokens
    return [word for token in tokens for word in (_jieba().cut(token) if _IS_HAN.match(token) else [token])]


def analyse(text: str) -> list[str]:
    """Cut text into index terms: what of its words can be found, however it is written.

    Examples
    --------
    >>> analyse("Men's black shoes")
    ['men', 'black', 'shoe']
    >>> analyse("KIRMIZI") == analyse("kırmızı") == analyse("kirmizi")
    True
    >>> analyse("红色"), analyse("シャツ")
    (['红', '色', '红色'], ['しゃ', 'ゃつ'])
    """
    return list(chain.from_iterable(map(_terms, _tokens(text))))


def phrases(text: str) -> list[list[str]]:
    """Index terms of each phrase: :func:`analyse` of what stands between punctuation.

    Examples
    --------
    >>> phrases("Laptop bag, black (Wi-Fi not included)")
    [['laptop', 'bag'], ['black'], ['wi', 'fi', 'not', 'includ']]
    """
    parts = _BREAK.split(unicodedata.normalize("NFKC", text))
    return [terms for part in parts if (terms := analyse(part))]


def clean_query(text: str) -> str:
    r"""A query as it may be used: control characters out, spaces folded, length bounded.

    A query longer than :data:`MAX_QUERY_CHARACTERS` is cut there, at a space
    where there is one: what a shopper pasted still finds something.

    Examples
    --------
    >>> clean_query("  black\x00  shoes ")
    'black shoes'
    """
    text = " ".join(_CONTROL.sub(" ", text).split())
    if len(text) > MAX_QUERY_CHARACTERS:
        text = text[:MAX_QUERY_CHARACTERS].rsplit(" ", 1)[0]
    return text


def _tokens(text: str) -> list[str]:
    """Runs of letters and digits of one kind, in order."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=200_000)
def _terms(token: str) -> Sequence[str]:
    """Index terms of one token, one at least; of several the last is the whole word."""
    if token.isascii():
        return (_latin(token),)
    token = "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in token)
    script = unicodedata.name(next(filter(str.isalpha, token), token[0]), "").partition(" ")[0]
    if script in ("CJK", "IDEOGRAPHIC"):
        return tuple(_han(token))
    if script in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"):
        return tuple(_pairs(token.translate(_KATAKANA)))
    if script in ("THAI", "LAO", "KHMER", "MYANMAR"):
        return tuple(_pairs(_LETTER.findall(token)))
    if script == "HANGUL":
        return (*token, *_pairs(token)) if len(token) > 1 else (token,)
    if script == "LATIN":
        return (_latin(_without_marks(token).translate(_LATIN)),)
    return (_other(script, token) or token,)


def _latin(word: str) -> str:
    """The stem of a word whose accents have been folded."""
    if not word.isalpha():
        word = _ELIDED.sub("", word.replace("’", "'").removesuffix("'s"))
    return _stem("LATIN", word) if word.isascii() and word.isalpha() else word


def _other(script: str, word: str) -> str:
    """The stem of a word in any other script, what writers leave out or vary taken off first."""
    if script == "ARABIC":
        return _arabic(_without_marks(word).translate(_ARABIC))
    if script == "CYRILLIC":
        return word if _NOT_RUSSIAN.search(word) else _stem(script, word.translate(_RUSSIAN))
    if script in ("GREEK", "HEBREW"):
        word = _without_marks(word)
    return _stem(script, word)


def _arabic(word: str) -> str:
    """The light stem of an Arabic word: article, "and" and the commonest endings off.

    Source: light10 of L. Larkey, L. Ballesteros and M. Connell, Light Stemming for Arabic Information
    Retrieval (2007). Snowball's takes first letters for conjunctions: it reads a dress as "and Stan".
    """
    for prefix in _ARABIC_PREFIXES:
        if word.startswith(prefix) and len(word) >= max(len(prefix) + 2, 4):
            word = word[len(prefix) :]
            break
    for suffix in _ARABIC_SUFFIXES:
        if len(word) >= len(suffix) + 2:
            word = word.removesuffix(suffix)
    return word


def _han(run: str) -> list[str]:
    """Characters and words of a run of Chinese characters, or of the Japanese ones among them."""
    jieba = _jieba()
    terms: list[str] = []
    before = ""
    # Without guesses at unknown words, which depend on what stands beside them.
    for word in jieba.cut(run, False):
        if len(word) > 1:
            terms += [*word, *jieba.cut_for_search(word, False)]
            before = ""
        else:
            terms += [word, before + word] if before else [word]
            before = word
    return terms


def _pairs(letters: Sequence[str]) -> list[str]:
    """Overlapping pairs; a letter alone is one by itself."""
    return ["".join(letters[i : i + 2]) for i in range(max(len(letters) - 1, 1))]


def _without_marks(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if unicodedata.category(letter) != "Mn")


def _stem(script: str, word: str) -> str:
    stemmer = _stemmer(script)
    return str(stemmer.stemWord(word)) if stemmer else word


@cache
def _stemmer(script: str) -> Any:
    """Snowball's stemmer for a script; None where there is none."""
    return Stemmer.Stemmer(_STEMMERS[script]) if script in _STEMMERS else None


@cache
def _jieba() -> Any:
    """The module rjieba, whose dictionary takes half a second to load: when the first Chinese text is met."""
    import rjieba

    return rjieba
