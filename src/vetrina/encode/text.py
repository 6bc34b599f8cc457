"""Text as a vector: TF-IDF over words and character n-grams, then truncated SVD (latent semantic analysis).

Sources: G. Salton and C. Buckley, Term-weighting approaches in automatic text
retrieval (1988); S. Deerwester et al., Indexing by latent semantic analysis
(1990); the SVD is the randomised one of N. Halko, P.-G. Martinsson and
J. Tropp (SIAM Review 2011), as scikit-learn implements it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy import sparse

from vetrina.core import Config, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.core.text import analyse
from vetrina.encode.base import unit_rows
from vetrina.encode.texts import TextEncoder

__all__ = ["TfidfConfig", "TfidfEncoder"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_PART = 8192  # texts counted together in learning


class TfidfConfig(Config):
    """What the vectors are made of."""

    dim: int = Field(default=128, ge=1, description="Dimensions, fewer where the catalogue has less to tell.")
    title_weight: float = Field(default=2.0, ge=1, description="A word of the title counts as this many.")
    ngram_min: int = Field(default=3, ge=1, description="Shortest character n-gram.")
    ngram_max: int = Field(default=5, ge=1, description="Longest character n-gram.")
    ngram_weight: float = Field(default=0.5, ge=0, description="Length of the n-grams' part beside the words' 1.")
    max_features: int = Field(default=50_000, ge=1, description="Words kept, and n-grams kept: the most frequent.")
    fit_items: int = Field(
        default=20_000,
        ge=1,
        description="Items the SVD learns from, drawn at random where more; words and n-grams are counted in five "
        "times as many.",
    )
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _some_length(self) -> Self:
        if self.ngram_min > self.ngram_max:
            raise ValueError(f"ngram_min is {self.ngram_min}, above ngram_max, {self.ngram_max}")
        return self


@register("encoder", "tfidf")
class TfidfEncoder(TextEncoder):
    """Sublinear TF-IDF of the words and of the title's character n-grams, joined, reduced by truncated SVD.

    Words are those of :func:`vetrina.core.text.analyse`; n-grams lie within words,
    so that a misspelt word still finds its neighbours, and are counted in the title
    only, where they decide; of pairs of characters, as which the analyser reads
    scripts without spaces, they are the single characters.

    Examples
    --------
    >>> from vetrina.core import Silent
    >>> encoder = TfidfEncoder(dim=8).fit_texts(["red dress", "red linen dress", "black leather shoe"])
    >>> vectors = encoder.transform(["red dresses", "shoes"])
    >>> vectors.shape
    (2, 3)
    >>> (vectors @ encoder.transform(["red dress", "black shoe"]).T > 0.7).tolist()
    [[True, False], [False, True]]
    """

    cost = "light: counts of words and one SVD, no training"
    config_type = TfidfConfig

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        with progress.step("Learning from texts"):
            return self.fit_texts(contents)

    def fit_texts(self, texts: Sequence[str]) -> Self:
        """Learn from texts alone; see :meth:`fit`."""
        from sklearn.utils.extmath import randomized_svd

        rng = np.random.default_rng(self.config.seed)
        counted = _draw(len(texts), 5 * self.config.fit_items, rng)
        frequency, counts = self._survey(texts, counted, _draw(len(counted), self.config.fit_items, rng))
        # Of the words and of the n-grams, keep those that are in the most items.
        kept = [_largest(sums, self.config.max_features) for sums in frequency]
        self._set_vocabulary(*map(_at, (list(self._words), list(self._grams)), kept))
        in_texts = np.concatenate([sums[places] for sums, places in zip(frequency, kept, strict=True)])
        self.idf_ = (np.log((1 + len(counted)) / (1 + in_texts)) + 1).astype(np.float32)
        sides = [side[:, places] for side, places in zip(counts, kept, strict=True)]
        matrix = self._weigh(sparse.csr_array(sparse.hstack(sides, format="csr")))
        dim = max(1, min(self.config.dim, *matrix.shape))
        self.components_ = np.zeros((matrix.shape[1], dim), dtype=np.float32)
        if matrix.nnz:
            _, values, right = randomized_svd(matrix, dim, n_iter=4, random_state=self.config.seed)
            right[values < 1e-5 * values[0]] = 0  # a direction that the data do not have is rounding error
            self.components_ = np.ascontiguousarray(right.T, dtype=np.float32)
        return self

    def _survey(self, texts: Sequence[str], counted: Ints, learned: Ints) -> tuple[list[Ints], list[sparse.csr_array]]:
        """Give every word and n-gram of the texts at ``counted`` a column, some texts at a time.

        Returns in how many texts each is, and the counts in those at the places ``learned`` of
        ``counted``: each for the words, and for the n-grams.
        """
        self._set_vocabulary([], [])
        frequency = [np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)]
        blocks: tuple[list[sparse.csr_array], list[sparse.csr_array]] = ([], [])
        for start in range(0, max(len(counted), 1), _PART):
            tokens = _tokenise([texts[row] for row in counted[start : start + _PART].tolist()])
            self._learn_vocabulary(tokens)
            counts, n_words = self._count(tokens), len(self._words)
            some = learned[(learned >= start) & (learned < start + _PART)] - start
            for side, part in enumerate((counts[:, :n_words], counts[:, n_words:])):
                frequency[side] = _add(np.bincount(part.indices, minlength=part.shape[1]), frequency[side])
                blocks[side].append(part[some])
        return frequency, [_stacked(side) for side in blocks]

    def transform(self, contents: Sequence[str]) -> Floats:
        """Encode texts, or queries: float32 of shape (len(contents), dim), zero for a text without a known word."""
        self.require_fitted("components_")
        matrix = self._weigh(self._count(_tokenise(contents)))
        return unit_rows(matrix @ self.components_)

    def save(self, folder: Path) -> None:
        super().save(folder)
        vocabulary = {"words": list(self._words), "ngrams": list(self._grams)}
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        path = folder / "vocabulary.json"
        try:
            vocabulary = json.loads(path.read_text(encoding="utf-8"))
            encoder._set_vocabulary(vocabulary["words"], vocabulary["ngrams"])
        except (OSError, ValueError, KeyError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return encoder

    def _set_vocabulary(self, words: Sequence[str], grams: Sequence[str]) -> None:
        """Fix which column of the TF-IDF matrix each word and each n-gram has."""
        self._words = {word: column for column, word in enumerate(words)}
        self._grams = {gram: column for column, gram in enumerate(grams)}
        # Queries use the same words over and over: what a word's n-grams are is worked out once.
        self._columns = lru_cache(maxsize=50_000)(self._known_ngrams)

    def _learn_vocabulary(self, tokens: _Tokens) -> None:
        """Give every word, and every n-gram of a title, that is new a column after those there are."""
        for word in tokens.words:
            self._words.setdefault(word, len(self._words))
        for number in np.unique(tokens.word[tokens.in_title]).tolist():
            for gram in self._ngrams(tokens.words[number]):
                self._grams.setdefault(gram, len(self._grams))
        self._columns.cache_clear()

    def _ngrams(self, word: str) -> list[str]:
        """Character n-grams of one word, its ends marked."""
        if len(word) <= 2 and not word.isascii():
            return sorted(set(word))  # a pair cut from an unspaced script: its single characters
        marked = f"<{word}>"
        sizes = range(self.config.ngram_min, self.config.ngram_max + 1)
        return sorted({marked[i : i + n] for n in sizes for i in range(len(marked) - n + 1)})

    def _known_ngrams(self, word: str) -> list[int]:
        """Columns of the n-grams of ``word`` that were seen in fitting, counted from the first n-gram's."""
        return [column for gram in self._ngrams(word) if (column := self._grams.get(gram)) is not None]

    def _count(self, tokens: _Tokens) -> sparse.csr_array:
        """Weighted counts of words, then counts of the title's n-grams: sparse, shape (n_texts, n_features)."""
        words = tokens.words
        columns = np.fromiter((self._words.get(word, -1) for word in words), np.int64, len(words))[tokens.word]
        known = columns >= 0
        title = tokens.word[tokens.in_title]
        # Each distinct word is cut into n-grams once, and they are handed out to the texts that have it.
        grams = {word: self._columns(words[word]) for word in np.unique(title).tolist()}
        spelt = [grams[word] for word in title.tolist()]
        lengths = np.fromiter(map(len, spelt), np.int64, len(spelt))
        ngrams = np.fromiter(chain.from_iterable(spelt), np.int64, int(lengths.sum())) + len(self._words)
        weight = np.where(tokens.in_title, self.config.title_weight, 1.0)[known]
        rows = np.concatenate([tokens.text[known], np.repeat(tokens.text[tokens.in_title], lengths)])
        counts = sparse.csr_array(
            (np.concatenate([weight, np.ones(len(ngrams))]), (rows, np.concatenate([columns[known], ngrams]))),
            shape=(tokens.n_texts, len(self._words) + len(self._grams)),
        )
        counts.sum_duplicates()
        return counts

    def _weigh(self, counts: sparse.csr_array) -> sparse.csr_array:
        """TF-IDF: words at length 1, n-grams at ``ngram_weight``, together at length 1; float32."""
        n_texts = counts.shape[0]
        data = (1 + np.log(counts.data)) * self.idf_[counts.indices]
        row = np.repeat(np.arange(n_texts), np.diff(counts.indptr))
        block = 2 * row + (counts.indices >= len(self._words))
        squares = np.bincount(block, weights=data**2, minlength=2 * n_texts).reshape(n_texts, 2)
        share = np.where(squares > 0, np.array([1.0, self.config.ngram_weight]), 0)
        share /= np.maximum(np.linalg.norm(share, axis=1, keepdims=True), 1e-12)
        scale = (share / np.sqrt(np.maximum(squares, 1e-24))).ravel()
        weighed = (data * scale[block]).astype(np.float32)
        return sparse.csr_array((weighed, counts.indices, counts.indptr), shape=counts.shape)


@dataclass(frozen=True)
class _Tokens:
    """The index terms of texts: which text, which of the distinct words, whether in the first line."""

    words: list[str]
    word: Ints
    text: Ints
    in_title: npt.NDArray[np.bool_]
    n_texts: int


class _Numbers(dict[str, int]):
    """Words in the order in which they are first asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def _tokenise(texts: Sequence[str]) -> _Tokens:
    lines = [part for text in texts for part in text.partition("\n")[::2]]
    terms = [analyse(line) if line else [] for line in lines]
    lengths = np.fromiter(map(len, terms), np.int64, len(terms))
    numbers = _Numbers()
    word = np.fromiter(map(numbers.__getitem__, chain.from_iterable(terms)), np.int64, int(lengths.sum()))
    line = np.repeat(np.arange(len(lines)), lengths)
    return _Tokens(list(numbers), word, line // 2, line % 2 == 0, len(texts))


def _draw(count: int, most: int, rng: np.random.Generator) -> Ints:
    """Ascending places: all of ``count``, or ``most`` of them at random."""
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))


def _add(sums: Ints, fewer: Ints) -> Ints:
    """Sums of two arrays, the second of which may be shorter."""
    sums[: len(fewer)] += fewer
    return sums


def _stacked(blocks: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """Blocks one below the other, each as wide as the last."""
    width = blocks[-1].shape[1]
    wide = [sparse.csr_array((one.data, one.indices, one.indptr), shape=(one.shape[0], width)) for one in blocks]
    return sparse.csr_array(sparse.vstack(wide, format="csr"))


def _at(names: Sequence[str], places: Ints) -> list[str]:
    return [names[place] for place in places.tolist()]


def _largest(values: Ints, count: int) -> Ints:
    """Ascending places of the ``count`` largest values, of equal ones the first."""
    return np.sort(np.argsort(-values, kind="stable")[:count])
