"""Which item has which word, how often in each field, and whether it says what the item is.

One sorted list of items per word, as in any inverted index, with a few bytes
beside each entry: everything that the word features know of a (word, item) pair
is found by one search.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Postings", "Token", "heads"]

#: (word, whether it says what the thing is): what a field of an item is made of.
Token = tuple[str, bool]

# English, as the stemming is. In other languages these are words like any other: their phrases end
# at punctuation and numbers alone, and a text without spaces at the end of its run.
_FUNCTION_WORDS = frozenset(
    ["a", "and", "at", "by", "for", "from", "in", "incl", "into", "of", "on", "or", "plus", "the", "to", "w", "with"]
)
_WHAT_IT_IS_FOR = frozenset(["by", "for", "incl", "to", "w", "with"])


def heads(phrases: Iterable[Sequence[str]], colours: frozenset[str]) -> list[Token]:
    """Every word of some phrases, and whether it is the head of one: what says what the thing is.

    A noun phrase in English ends with its head: a laptop bag is a bag. Phrases of
    product titles end before numbers, models, colours and function words: "Acme laptop
    bag 15 inch, black" is one too. What stands behind "for" or "with" is no head: a
    bag for a laptop is no laptop.

    Parameters
    ----------
    phrases : iterable of sequences of str
        As :func:`vetrina.core.text.phrases` cuts them.
    colours : frozenset of str
        Words for colours, which follow a name without being one.

    Examples
    --------
    >>> [word for word, head in heads([["acm", "laptop", "bag", "for", "travel"]], frozenset()) if head]
    ['bag']
    """
    found: list[Token] = []
    for phrase in phrases:
        beside = False
        for place, word in enumerate(phrase):
            beside = beside or word in _WHAT_IT_IS_FOR
            following = phrase[place + 1] if place + 1 < len(phrase) else ""
            last = (
                not following
                or following in _FUNCTION_WORDS
                or following in colours
                or any(map(str.isdigit, following))
            )
            found.append((word, last and not beside))
    return found


@dataclass
class Postings:
    """An inverted index of (word, item) pairs.

    Attributes
    ----------
    starts : int64 of shape (n_words + 1,)
        The postings of word ``w`` are ``starts[w]:starts[w + 1]``.
    item : int32 of shape (n_postings,)
        Ascending within each word.
    counts : uint8 of shape (n_postings, n_fields)
        How often the word stands in each field; more than 255 counts as 255.
    head : bool of shape (n_postings,)
        Whether the word is a head anywhere in the item's text.
    length : int32 of shape (n_items, n_fields)
        Words of each field, every repetition counted.
    """

    starts: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint8]
    head: npt.NDArray[np.bool_]
    length: npt.NDArray[np.int32]

    @classmethod
    def of(cls, fields: Sequence[Iterable[Sequence[Token]]], vocabulary: dict[str, int]) -> Postings:
        """From the tokens of each item in each field; ``vocabulary`` is filled in the order of first sight.

        Every field is gone through once, and may be a generator: of a large catalogue the tokens
        take far more memory than the codes that they become.
        """
        codes, flags, sizes = [], [], []
        for texts in fields:
            code, flag, size = array("q"), array("b"), array("q")
            for text in texts:
                size.append(len(text))
                code.extend(vocabulary.setdefault(word, len(vocabulary)) for word, _ in text)
                flag.extend(head for _, head in text)
            codes.append(np.frombuffer(code, dtype=np.int64))
            flags.append(np.frombuffer(flag, dtype=np.bool_))
            sizes.append(np.frombuffer(size, dtype=np.int64))
        length = np.stack(sizes, axis=1).astype(np.int32)
        n_items = max(len(length), 1)
        keys = [code * n_items + np.repeat(np.arange(len(size)), size) for code, size in zip(codes, sizes, strict=True)]
        pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
        counts = np.empty((len(pairs), len(fields)), dtype=np.uint8)
        for number, part in enumerate(np.split(place, np.cumsum([len(key) for key in keys])[:-1])):
            counts[:, number] = np.minimum(np.bincount(part, minlength=len(pairs)), 255)
        head = np.zeros(len(pairs), dtype=np.bool_)
        head[place[np.concatenate(flags)]] = True
        starts = np.concatenate([[0], np.cumsum(np.bincount(pairs // n_items, minlength=len(vocabulary)))])
        return cls(starts.astype(np.int64), (pairs % n_items).astype(np.int32), counts, head, length)

    @property
    def found(self) -> npt.NDArray[np.int64]:
        """How many items have each word: int64 of shape (n_words,)."""
        return np.diff(self.starts)

    def places(self, word: int, items: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Where each item's posting of a word is, -1 where it lacks the word: int64 of shape (n,)."""
        start, stop = int(self.starts[word]), int(self.starts[word + 1])
        have = self.item[start:stop]
        place = np.minimum(np.searchsorted(have, items), max(stop - start - 1, 0))
        return np.where(have[place] == items, place + start, -1) if stop > start else np.full(len(items), -1)
