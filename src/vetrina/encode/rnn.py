"""Text as a vector by a recurrent network: embeddings of words and their letters, read in both directions.

Trained on the shop's own products without labels: of every product two views
are made, one such as somebody might type (some words of the title, swapped or
misspelt, or a few from the description) and one of the whole text, and the
network learns which belong together (contrastive learning, InfoNCE with the
other products of the batch as negatives).

Sources: K. Cho et al., Learning Phrase Representations using RNN
Encoder-Decoder (EMNLP 2014), for the GRU; S. Hochreiter and J. Schmidhuber,
Long Short-Term Memory (1997); P. Bojanowski et al., Enriching Word Vectors with
Subword Information (TACL 2017), for hashed n-grams; A. van den Oord, Y. Li and
O. Vinyals, Representation Learning with Contrastive Predictive Coding (2018),
for InfoNCE; T. Gao, X. Yao and D. Chen, SimCSE (EMNLP 2021), for two views of
one sentence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.core.onnx import Graph, Network, cell_weights, import_onnx, import_torch
from vetrina.core.text import analyse
from vetrina.encode.base import unit_rows
from vetrina.encode.texts import TextEncoder

if TYPE_CHECKING:
    import torch

__all__ = ["RnnConfig", "RnnEncoder"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BATCH = 256  # products at once: as many less one are each other's negatives
_TEMPERATURE = 0.05
_LEARNING_RATE = 2e-3
_NGRAMS = (3, 4, 5)
_MISSPELT = 0.15  # share of the words of a query that are


class RnnConfig(Config):
    """Size of the network, and how long it learns."""

    dim: int = Field(default=128, ge=2, description="Dimensions of the vectors, and of the embeddings of words.")
    cell: Literal["gru", "lstm"] = Field(default="gru", description="What reads the words: a GRU or an LSTM.")
    hidden: int = Field(default=96, ge=1, description="Units that read from the left, and as many from the right.")
    max_words: int = Field(default=64, ge=1, description="Index terms read of a text; what follows is left out.")
    vocabulary: int = Field(default=30_000, ge=0, description="Words with an embedding of their own.")
    buckets: int = Field(
        default=20_000, ge=1, description="Embeddings of hashed n-grams, of which all words have some."
    )
    epochs: int = Field(default=8, ge=0, description="How often every product is learned from.")
    fit_items: int = Field(default=20_000, ge=1, description="Products to learn from, drawn at random where more.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "rnn")
class RnnEncoder(TextEncoder):
    """A bidirectional GRU or LSTM over the words of a text, pooled by attention.

    Words are the index terms of :func:`vetrina.core.text.analyse`. A word's
    embedding is its own plus the mean of those of its character n-grams, so that
    a word that was never seen is not nothing. Embeddings begin as the latent
    semantic analysis of the shop's texts (:class:`vetrina.encode.TfidfEncoder`
    ends there) and are trained with the network.

    torch trains; what serves is an ONNX file. Without bias a cell that has read
    nothing but padding stays at zero, so a text has the same vector beside
    whatever others it is encoded with.

    Examples
    --------
    >>> from vetrina.core import Silent
    >>> titles = ["red linen dress", "blue linen dress", "black leather shoe", "black leather belt"] * 4
    >>> encoder = RnnEncoder(dim=8, hidden=4, epochs=20).fit_texts(titles, Silent())
    >>> vectors = encoder.transform(["lether shoes", ""])
    >>> int((encoder.transform(titles[:4]) @ vectors[0]).argmax()), bool(vectors[1].any())
    (2, False)
    """

    needs = "torch"
    cost = "minutes of training on a processor for 20,000 products; a small network for each text"
    config_type = RnnConfig
    _network: Network | None = None

    def fit(self, items: Items, contents: Sequence[str], progress: Progress) -> Self:
        return self.fit_texts(contents, progress)

    def fit_texts(self, texts: Sequence[str], progress: Progress) -> Self:
        """Learn from texts alone; see :meth:`fit`."""
        torch = import_torch("The encoder rnn", self.device)
        import_onnx()  # needed at the end alone, and told of at the beginning
        config, rng = self.config, np.random.default_rng(self.config.seed)
        some: Sequence[int] = range(len(texts))
        if len(texts) > config.fit_items:
            some = np.sort(rng.choice(len(texts), config.fit_items, replace=False)).tolist()
        products = [product for row in some if (product := _Product.of(texts[row], config.max_words)).terms]
        counts = Counter(chain.from_iterable(product.terms for product in products))
        # Of equally frequent words the first in the alphabet, so that the order of the products decides nothing.
        kept = sorted(counts, key=lambda word: (-counts[word], word))[: config.vocabulary]
        self._set_vocabulary(kept)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            embedding, reader = _modules(torch, config, len(kept))
            _begin_with(torch, embedding, reader, self._begin(products, kept))
            self.curves_ = self._train(torch, embedding, reader, products, rng, progress)
        words, grams = (one.detach().cpu().numpy() for one in (embedding.words.weight, embedding.grams.weight))
        self.grams_ = np.ascontiguousarray(grams, dtype=np.float32)
        # A known word's two parts never change again: they are added once.
        self.words_ = np.ascontiguousarray(words[1:] + self._spell(kept), dtype=np.float32)
        self._onnx, self._network = _as_onnx(reader.cpu(), config), None
        return self

    def _begin(self, products: Sequence[_Product], words: Sequence[str]) -> tuple[Floats, Floats]:
        """Embeddings to begin with: (words, n-gram buckets), by truncated SVD of TF-IDF; their sums near length 1."""
        from scipy import sparse
        from sklearn.utils.extmath import randomized_svd

        dim, buckets = self.config.dim, self.config.buckets
        columns = [[self._words[term] for term in dict.fromkeys(one.terms) if term in self._words] for one in products]
        found = np.fromiter(chain.from_iterable(columns), np.int64)
        starts = np.concatenate([[0], np.cumsum([len(one) for one in columns], dtype=np.int64)])
        ones = np.ones(len(found), dtype=np.float32)
        matrix = sparse.csr_array((ones, found, starts), shape=(len(products), len(words)))
        known = np.zeros((len(words), dim), dtype=np.float32)
        rank = min(dim, *matrix.shape)
        if rank and matrix.nnz:
            idf = np.log((1 + len(products)) / (1 + np.bincount(found, minlength=len(words)))) + 1
            weighed = (matrix * idf[None, :]).tocsr().astype(np.float32)
            _, _, right = randomized_svd(weighed, rank, n_iter=4, random_state=self.config.seed)
            known[:, :rank] = right.T * idf[:, None]
            known /= max(float(np.linalg.norm(known, axis=1).mean()), 1e-9)
        # An n-gram begins as the mean of the words that hold it, a word as what its n-grams leave.
        spelt = [self._grams(word) for word in words]
        rows = np.repeat(np.arange(len(words)), [len(one) for one in spelt])
        places = np.fromiter(chain.from_iterable(spelt), np.int64)
        holds = sparse.csr_array((np.ones(len(places), dtype=np.float32), (places, rows)), shape=(buckets, len(words)))
        grams = np.asarray(holds @ known) / np.maximum(holds.sum(axis=1), 1)[:, None]
        self.grams_ = grams.astype(np.float32)
        return known - self._spell(words), self.grams_

    def _train(
        self,
        torch: Any,
        embedding: Any,
        reader: Any,
        products: Sequence[_Product],
        rng: np.random.Generator,
        progress: Progress,
    ) -> dict[str, list[tuple[float, float]]]:
        """Learn in place; the mean loss of every epoch."""
        for module in (embedding, reader):
            module.to(self.device).train()
        optimizer = torch.optim.Adam([*embedding.parameters(), *reader.parameters()], lr=_LEARNING_RATE)
        losses: list[tuple[float, float]] = []
        with progress.step("Training the text network", self.config.epochs) as step:
            for epoch in range(self.config.epochs):
                total, n_seen = 0.0, 0
                for rows in _batches(len(products), rng):
                    asked = [_query(products[row], rng) for row in rows]
                    whole = [_document(products[row], rng, self.config.max_words) for row in rows]
                    left, right = (reader(*self._tensors(torch, embedding, one, rng)) for one in (asked, whole))
                    likeness = left @ right.T / _TEMPERATURE
                    # Products of equal text are not each other's negatives.
                    codes = torch.tensor([products[row].code for row in rows], device=likeness.device)
                    twins = (codes[:, None] == codes[None, :]) & ~torch.eye(len(rows), dtype=bool, device=codes.device)
                    likeness = likeness.masked_fill(twins, -1e4)
                    truth = torch.arange(len(rows), device=codes.device)
                    loss = torch.nn.functional.cross_entropy(likeness, truth)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total, n_seen = total + float(loss.detach()) * len(rows), n_seen + len(rows)
                if n_seen:
                    losses.append((epoch + 1, total / n_seen))
                step.advance()
        return {"loss by epoch": losses} if losses else {}

    def _tensors(
        self, torch: Any, embedding: Any, texts: Sequence[Sequence[str]], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(tokens of shape (batch, length, dim), mask of shape (batch, length)), with gradients."""
        distinct = list(dict.fromkeys(chain.from_iterable(texts)))
        place = {word: number + 1 for number, word in enumerate(distinct)}
        index, mask = _padded([[place[word] for word in text] for text in texts])
        codes = np.array([self._words.get(word, -1) + 1 for word in distinct], dtype=np.int64)
        codes[rng.random(len(codes)) < 0.1] = 0  # what a word is must also be read from its letters alone
        spelt = [self._grams(word) for word in distinct]
        starts = np.cumsum([0, *map(len, spelt[:-1])], dtype=np.int64)
        flat = np.fromiter(chain.from_iterable(spelt), np.int64)
        to = embedding.words.weight.device
        known = embedding(*(torch.from_numpy(one).to(to) for one in (codes, flat, starts)))
        rows = torch.cat([known.new_zeros(1, known.shape[1]), known])
        return rows[torch.from_numpy(index).to(to)], torch.from_numpy(mask).to(to)

    def transform(self, contents: Sequence[str]) -> Floats:
        """Encode texts, or queries: float32 of shape (len(contents), dim), zero for a text without a word."""
        self.require_fitted("words_")
        if self._network is None:
            self._network = Network(self._onnx, self.device)
        texts = [_Product.of(content, self.config.max_words).terms for content in contents]
        vectors = np.zeros((len(texts), self.config.dim), dtype=np.float32)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        # Texts of like length together: the network reads padding as long as anything else.
        order = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            distinct = list(dict.fromkeys(chain.from_iterable(texts[row] for row in rows)))
            place = {word: number + 1 for number, word in enumerate(distinct)}
            index, mask = _padded([[place[word] for word in texts[row]] for row in rows])
            tokens = np.concatenate([np.zeros((1, self.config.dim), dtype=np.float32), self._embed(distinct)])
            vectors[rows] = self._network.run({"tokens": tokens[index], "mask": mask})[0]
        return unit_rows(vectors)

    def _embed(self, words: Sequence[str]) -> Floats:
        """Embeddings of words: (len(words), dim)."""
        codes = np.array([self._words.get(word, -1) for word in words], dtype=np.int64)
        rows = np.empty((len(words), self.config.dim), dtype=np.float32)
        rows[codes >= 0] = self.words_[codes[codes >= 0]]
        unknown = np.flatnonzero(codes < 0)
        rows[unknown] = self._spell([words[place] for place in unknown.tolist()])
        return rows

    def _spell(self, words: Sequence[str]) -> Floats:
        """Means of the embeddings of words' n-grams: (len(words), dim)."""
        rows = [self.grams_[self._grams(word)].mean(axis=0) for word in words]
        return np.stack(rows) if rows else np.zeros((0, self.config.dim), dtype=np.float32)

    def _set_vocabulary(self, words: Sequence[str]) -> None:
        self._words = {word: code for code, word in enumerate(words)}
        self._grams = lru_cache(maxsize=100_000)(lambda word: _buckets(word, self.config.buckets))

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "vocabulary.json").write_text(json.dumps(list(self._words), ensure_ascii=False), encoding="utf-8")
        (folder / "network.onnx").write_bytes(self._onnx)

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        path = folder / "vocabulary.json"
        try:
            encoder._set_vocabulary(json.loads(path.read_text(encoding="utf-8")))
            path = folder / "network.onnx"
            encoder._onnx = path.read_bytes()
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return encoder


# --- what is learned from -----------------------------------------------------


class _Product(NamedTuple):
    """Index terms of one text: those of the title, then the rest."""

    terms: Sequence[str]
    n_title: int
    code: int

    @classmethod
    def of(cls, text: str, most: int) -> _Product:
        title, _, rest = text.partition("\n")
        terms = analyse(title)[:most]
        return cls([*terms, *analyse(rest)][:most], len(terms), crc32(text.encode()))


def _batches(n: int, rng: np.random.Generator) -> Iterator[Ints]:
    """All products once, in any order; a last batch too small to learn from is left for another epoch."""
    order = rng.permutation(n)
    for start in range(0, n, _BATCH):
        rows = order[start : start + _BATCH]
        if len(rows) >= min(n, _BATCH // 4) and len(rows) > 1:
            yield rows


def _query(product: _Product, rng: np.random.Generator) -> list[str]:
    """What somebody might type who means the product."""
    terms, title = product.terms, product.terms[: product.n_title]
    rest = terms[product.n_title :]
    if rest and (not title or rng.random() < 0.25):
        length = int(rng.integers(3, 16))
        start = int(rng.integers(max(len(rest) - length, 0) + 1))
        return list(rest[start : start + length])
    left_out = 0.8 * rng.random()
    words = [word for word in title if rng.random() >= left_out] or [title[int(rng.integers(len(title)))]]
    if rng.random() < 0.2:
        words = [words[place] for place in rng.permutation(len(words))]
    return [_misspelt(word, rng) if rng.random() < _MISSPELT else word for word in words]


def _document(product: _Product, rng: np.random.Generator, most: int) -> list[str]:
    """The whole text, a tenth of its words missing."""
    kept = [word for word in product.terms if rng.random() >= 0.1]
    return kept[:most] or list(product.terms[:1])


def _misspelt(word: str, rng: np.random.Generator) -> str:
    """A letter left out, doubled, replaced or swapped with the next; short words as they are."""
    if len(word) < 4:
        return word
    place, other = (int(rng.integers(len(word) - 1)) for _ in range(2))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    changed = ("", letter * 2, word[other], after[0] + letter)
    kind = int(rng.integers(4))
    return before + changed[kind] + (after[1:] if kind == 3 else after)


def _buckets(word: str, count: int) -> list[int]:
    """Which embeddings the character n-grams of a word have, its ends marked."""
    marked = f"<{word}>"
    grams = {marked[start : start + size] for size in _NGRAMS for start in range(len(marked) - size + 1)}
    return sorted(crc32(gram.encode()) % count for gram in grams)


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Ints, Floats]:
    """Lists as one array, 0 behind their ends; and 1 where there is something."""
    index = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for number, row in enumerate(rows):
        index[number, : len(row)] = row
    return index, (index > 0).astype(np.float32)


# --- the network --------------------------------------------------------------


def _modules(torch: Any, config: RnnConfig, n_words: int) -> tuple[Any, Any]:
    """(embedding, reader): untrained torch modules."""

    class Embedding(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        """A word's own embedding plus the mean of its n-grams'; word 0 is any that is not known."""

        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(n_words + 1, config.dim, padding_idx=0)
            self.grams = torch.nn.EmbeddingBag(config.buckets, config.dim, mode="mean")

        def forward(self, words: torch.Tensor, grams: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
            return self.words(words) + self.grams(grams, starts)

    class Reader(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        """Embeddings of a text's words (batch, length, dim) and where there are any (batch, length): (batch, dim)."""

        def __init__(self) -> None:
            super().__init__()
            kind = torch.nn.GRU if config.cell == "gru" else torch.nn.LSTM
            self.cell = kind(config.dim, config.hidden, batch_first=True, bidirectional=True, bias=False)
            width = 2 * config.hidden + config.dim
            self.attention = torch.nn.Linear(width, 1, bias=False)
            self.out = torch.nn.Linear(width, config.dim, bias=False)

        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            seen = torch.cat([self.cell(tokens)[0], tokens], dim=2)
            heed = self.attention(seen).squeeze(2) + (mask - 1) * 1e9
            pooled = (heed.softmax(dim=1).unsqueeze(2) * seen).sum(dim=1)
            return torch.nn.functional.normalize(self.out(pooled), dim=1)

    return Embedding(), Reader()


def _begin_with(torch: Any, embedding: Any, reader: Any, vectors: tuple[Floats, Floats]) -> None:
    """Begin as the mean of the embeddings, all words heeded alike: what is learned is what that lacks."""
    dim = vectors[0].shape[1]
    with torch.no_grad():
        embedding.words.weight[0] = 0
        embedding.words.weight[1:] = torch.from_numpy(vectors[0])
        embedding.grams.weight[:] = torch.from_numpy(vectors[1])
        reader.attention.weight.zero_()
        reader.out.weight[:, :-dim] *= 0.1
        reader.out.weight[:, -dim:] = torch.eye(dim)


def _as_onnx(reader: Any, config: RnnConfig) -> bytes:
    """The reader as an ONNX file, without the last scaling to unit length."""
    weights: Mapping[str, npt.NDArray[Any]] = {name: one.detach().numpy() for name, one in reader.named_parameters()}

    def stacked(part: str) -> Floats:
        both = (weights[f"cell.weight_{part}_l0{side}"] for side in ("", "_reverse"))
        return np.stack([cell_weights(config.cell, one) for one in both])

    options: dict[str, Any] = {"hidden_size": config.hidden, "direction": "bidirectional"}
    if config.cell == "gru":
        options["linear_before_reset"] = 1
    graph = Graph({"tokens": ["batch", "length", config.dim], "mask": ["batch", "length"]})
    add, one, two = graph.add, np.array([1], dtype=np.int64), np.array([2], dtype=np.int64)
    by_place = add("Transpose", "tokens", perm=[1, 0, 2])
    states = add(config.cell.upper(), by_place, stacked("ih"), stacked("hh"), **options)
    both = add("Reshape", add("Transpose", states, perm=[2, 0, 1, 3]), np.array([0, 0, -1], dtype=np.int64))
    seen = add("Concat", both, "tokens", axis=2)
    heed = add("Squeeze", add("MatMul", seen, weights["attention.weight"].T), two)
    unheard = add("Mul", add("Sub", "mask", np.float32(1)), np.float32(1e9))
    shares = add("Unsqueeze", add("Softmax", add("Add", heed, unheard), axis=1), two)
    pooled = add("ReduceSum", add("Mul", shares, seen), one, keepdims=0)
    vectors = add("MatMul", pooled, weights["out.weight"].T)
    return graph.written({"vectors": vectors}, {"vectors": ["batch", config.dim]})
