"""One analyser for all text: what a word is, in any script.

The same function prepares titles for TF-IDF, documents for the lexical index
and queries for both, so that no stage disagrees about what matches.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import Stemmer

__all__ = ["MAX_QUERY_CHARACTERS", "analyse", "clean_query", "phrases", "words"]

MAX_QUERY_CHARACTERS = 512

# Scripts written without spaces: Han, kana, Thai, Lao, Khmer, Myanmar. Runs of
# them are cut into overlapping bigrams, as Lucene's CJK analyser does: no
# dictionary to ship, and no word of a title can be missed.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]+|(?:[^\W_{_UNSPACED}]|(?<=\w)[.'’](?=\w))+")
_IS_UNSPACED = re.compile(rf"^[{_UNSPACED}]")
# What ends a phrase: punctuation, but not what may stand within a name (R&B, C++, Wi-Fi, v2.0, Men's).
_BREAK = re.compile(r"[^\w\s.'’&+®©-]+|\s-+\s|\.(?=\s)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")

_stemmer = Stemmer.Stemmer("english")


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    return str(_stemmer.stemWord(word)) if word.isascii() and word.isalpha() else word


def words(text: str) -> list[str]:
    """Cut text into normalised, unstemmed tokens.

    Unicode NFKC, case folding, and bigrams for scripts without spaces.

    Examples
    --------
    >>> words("Nike Men's Black T-Shirt")
    ['nike', "men's", 'black', 't', 'shirt']
    >>> words("红色连衣裙")
    ['红色', '色连', '连衣', '衣裙']
    """
    tokens: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if len(token) > 1 and _IS_UNSPACED.match(token):
            tokens.extend(token[i : i + 2] for i in range(len(token) - 1))
        else:
            tokens.append(token)
    return tokens


def analyse(text: str) -> list[str]:
    """Cut text into index terms: :func:`words`, possessives dropped, English stemmed (Snowball).

    Examples
    --------
    >>> analyse("Men's black shoes")
    ['men', 'black', 'shoe']
    """
    return [_stem(token.replace("’", "'").removesuffix("'s")) for token in words(text)]


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
