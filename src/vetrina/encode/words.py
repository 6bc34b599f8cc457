"""How photo encoders read words: terms with weights, what these say of photos, and texts to ask for products by."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import CATEGORY_SEPARATOR, Items
from vetrina.core.errors import SnapshotError
from vetrina.core.text import analyse

__all__ = ["Views", "Vocabulary", "attribute_labels", "map_terms"]

Floats = npt.NDArray[np.float32]

_LETTERS = 0.3  # weight of a word's letters beside the word's own
_PAIRS = 0.7  # weight of two words that follow one another

Rows = Sequence[int] | npt.NDArray[np.integer]


class Vocabulary:
    """Terms of texts: words, two that follow one another, and character n-grams, by which unseen words are known.

    Parameters
    ----------
    weights : dict of str to float
        Inverse document frequency of every term. Words stand as they are, pairs with a
        space between, n-grams behind a tab.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        self.weights = weights
        self._place = {term: place for place, term in enumerate(weights)}
        self._word = lru_cache(maxsize=100_000)(self._terms_of)

    @classmethod
    def learn(cls, texts: Iterable[Sequence[str]], at_most: int) -> Self:
        """The most frequent terms of texts, each a list of index terms (:func:`vetrina.core.text.analyse`)."""
        counts: Counter[str] = Counter()
        total = 0
        for text in texts:
            total += 1
            found = set(text)
            counts.update(found.union(*map(_ngrams, found)) if found else ())
            # Of a pair that one product has, nothing is learned.
            counts.update({f"{one} {two}" for one, two in pairwise(text)})
        kept = sorted(
            (term for term, count in counts.items() if count > 1 or " " not in term),
            key=lambda term: (-counts[term], term),
        )[:at_most]
        return cls({term: math.log((1 + total) / (1 + counts[term])) + 1 for term in sorted(kept)})

    def save(self, folder: Path) -> None:
        """Write ``vocabulary.json``."""
        text = json.dumps(self.weights, ensure_ascii=False)
        (folder / "vocabulary.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        SnapshotError
            If it cannot be read.
        """
        try:
            return cls(json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{folder}: cannot be read ({error}). Build again, or roll back.") from error

    def __len__(self) -> int:
        return len(self.weights)

    def bags(self, texts: Sequence[Sequence[str]]) -> sparse.csr_array:
        """Weights of each text's terms: sparse float32 of shape (len(texts), len(self)), rows of unit length or empty.

        Examples
        --------
        >>> words = Vocabulary.learn([["red", "shoe"], ["red", "hat"]], 100)
        >>> (words.bags([["red"], ["redd"], ["xyz"]]).toarray() > 0).sum(axis=1).tolist()
        [6, 3, 0]
        """
        places: list[int] = []
        weights: list[float] = []
        ends = [0]
        for text in texts:
            for word in text:
                at, heavy = self._word(word)
                places += at
                weights += heavy
            for one, two in pairwise(text):
                place = self._place.get(f"{one} {two}")
                if place is not None:
                    places.append(place)
                    weights.append(_PAIRS * self.weights[f"{one} {two}"])
            ends.append(len(places))
        shape = (len(texts), max(len(self), 1))
        matrix = sparse.csr_array((np.array(weights, dtype=np.float64), np.array(places, dtype=np.int64), ends), shape)
        matrix.sum_duplicates()
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        matrix.data /= np.repeat(np.where(length > 0, length, 1), np.diff(matrix.indptr))
        return matrix.astype(np.float32)

    def _terms_of(self, word: str) -> tuple[list[int], list[float]]:
        places, weights = [], []
        if word in self._place:
            places.append(self._place[word])
            weights.append(self.weights[word])
        known = [gram for gram in _ngrams(word) if gram in self._place]
        for gram in known:
            places.append(self._place[gram])
            weights.append(_LETTERS * self.weights[gram] / math.sqrt(len(known)))
        return places, weights


def _ngrams(word: str) -> list[str]:
    """The word's runs of 3 and 4 letters, its ends marked, each once and in order."""
    marked = f"<{word}>"
    return list(dict.fromkeys("\t" + marked[at : at + size] for size in (3, 4) for at in range(len(marked) - size + 1)))


class Views:
    """What is said of products: titles and attribute values, from which texts such as somebody may ask by are drawn.

    Parameters
    ----------
    items : Items
        One row per product.
    vocabulary_size : int
    title_share : float
        Share of drawn texts that are the title alone; of the others one half begins with it.
    word_dropout : float
        Share of the title's words that are left out of a drawn text.
    """

    def __init__(self, items: Items, vocabulary_size: int, title_share: float = 0.5, word_dropout: float = 0.0) -> None:
        self._titles = [analyse(title) for title in items.table["title"].fill_null("")]
        columns = [[analyse(value) for value in column] for column in _values(items)]
        self._values = [[value for value in row if value] for row in zip(*columns, strict=True)]
        everything = [self._all(row) for row in range(len(items))]
        self.vocabulary = Vocabulary.learn(everything, vocabulary_size)
        self._whole = self.vocabulary.bags(everything)
        self._title_share, self._word_dropout = title_share, word_dropout

    @property
    def n_terms(self) -> int:
        """Length of the vocabulary, 1 at least."""
        return max(len(self.vocabulary), 1)

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """Whether anything is said of each product."""
        known: npt.NDArray[np.bool_] = np.diff(self._whole.indptr) > 0
        return known

    def whole(self, rows: Rows) -> sparse.csr_array:
        """All that is said of products, as bags of terms."""
        return self._whole[rows]

    def titles(self, rows: Rows) -> sparse.csr_array:
        """Titles (of products without one, their values), as bags of terms."""
        return self.vocabulary.bags([self._titles[row] or self._all(row) for row in rows])

    def draw(self, rows: Rows, rng: np.random.Generator) -> sparse.csr_array:
        """A text for each product: its title, its title and some of its values, or some of its values alone."""
        return self.vocabulary.bags([self._drawn(row, rng) for row in rows])

    def _all(self, row: int) -> list[str]:
        return [*self._titles[row], *(word for value in self._values[row] for word in value)]

    def _drawn(self, row: int, rng: np.random.Generator) -> list[str]:
        title, values = self._titles[row], self._values[row]
        kind = rng.random()
        with_title = bool(title) and kind < (1 + self._title_share) / 2
        text = [word for word in title if rng.random() >= self._word_dropout] if with_title else []
        if values and kind >= self._title_share:
            count = int(rng.integers(0 if text else 1, len(values) + 1))
            text += [word for place in rng.permutation(len(values))[:count] for word in values[place]]
        return text or title or self._all(row)


def map_terms(views: Views, vectors: Floats, strength: float) -> Floats:
    """Vectors of terms whose weighted sums come near the photos' vectors: ridge regression, by conjugate gradients.

    Of every product its title and all that is said of it are learned from.

    Parameters
    ----------
    views : Views
        Of products.
    vectors : float32 of shape (n_products, dim)
        Of their photos.
    strength : float
        Of the regularisation.

    Returns
    -------
    float32 of shape (n_terms, dim)
    """
    rows = np.arange(len(vectors))
    bags = sparse.vstack([views.titles(rows), views.whole(rows)]).tocsr() if len(rows) else None
    found = np.zeros((views.n_terms, vectors.shape[1]), dtype=np.float64)
    if bags is None:
        return found.astype(np.float32)
    residual = bags.T @ np.concatenate([vectors, vectors]).astype(np.float64)
    direction, left = residual.copy(), (residual**2).sum(axis=0)
    enough = 1e-8 * left
    for _ in range(200):
        moving = left > enough
        if not moving.any():
            break
        image = bags.T @ (bags @ direction) + strength * direction
        step = np.where(moving, left / np.maximum((direction * image).sum(axis=0), 1e-300), 0)
        found += step * direction
        residual -= step * image
        before, left = left, (residual**2).sum(axis=0)
        direction = residual + np.where(moving, left / np.maximum(before, 1e-300), 0) * direction
    return found.astype(np.float32)


def _values(items: Items) -> list[list[str]]:
    """Attribute values by column: levels of the category, brand, colour and the shop's own texts."""
    table = items.table
    paths = [path.split(CATEGORY_SEPARATOR) for path in table["category"].fill_null("")]
    depth = max(map(len, paths), default=0)
    columns = [[path[level] if level < len(path) else "" for path in paths] for level in range(depth)]
    own = [name for name in items.attributes if table.schema[name] == table.schema["title"]]
    return columns + [table[name].fill_null("").to_list() for name in ("brand", "colour", *own)]


def attribute_labels(items: Items, least: int = 3, most: int = 200) -> npt.NDArray[np.int64]:
    """Codes of attribute values: int64 of shape (n_items, n_fields), -100 where a value is missing or rare.

    Parameters
    ----------
    items : Items
    least : int
        Items that must share a value.
    most : int
        A field of more values than this says what a product is called, not of what kind it is.

    Examples
    --------
    >>> import polars as pl
    >>> shop = pl.DataFrame({"title": [""] * 5, "category": [""] * 5, "brand": ["a"] * 5, "colour": [*"rrbbx"]})
    >>> attribute_labels(Items(shop), least=2).T.tolist()
    [[1, 1, 0, 0, -100]]
    """
    fields = []
    for column in _values(items):
        counts = Counter(value for value in column if value)
        kept = {value: code for code, value in enumerate(sorted(v for v, count in counts.items() if count >= least))}
        if 1 < len(kept) <= most:
            fields.append([kept.get(value, -100) for value in column])
    return np.array(fields, dtype=np.int64).reshape(len(fields), len(items)).T.copy()
