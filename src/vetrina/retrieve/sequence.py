"""What the sequence models share: a window read in order by a network, all items scored by one matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Choice, Config, EventKind, EventLog, ItemList, Items, Real, Requests, Whole
from vetrina.core.errors import ConfigError, SnapshotError
from vetrina.core.onnx import Network, import_onnx, import_torch
from vetrina.retrieve.base import Allowed, Found, Retriever, top_k
from vetrina.retrieve.sequence_training import Trained, paths_of, train

__all__ = ["SequenceConfig", "SequenceModel"]

Floats = npt.NDArray[np.float32]

_CHOICES = (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate)
_BATCH = 256  # windows read at once
_CELLS_AT_ONCE = 16_000_000  # scores held at once: bounds the memory of a batch over many items
_ENOUGH = 20  # events that follow upon others, with fewer of which nothing is learned


class SequenceConfig(Config):
    """Size of the network, what it reads, and how long it learns."""

    dim: int = Field(
        default=96, ge=1, description="Dimensions of an item's embedding, and of what is read of a window."
    )
    length: int = Field(default=100, ge=1, description="Last events of the window that are read.")
    layers: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    content: str = Field(
        default="fused",
        description="Vectors of items that are read beside their ids, so that an item without events has an embedding "
        'too: a modality, or "" for ids alone.',
    )
    forgotten_ids: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the ids left out of each step, so that content must say what it can.",
    )
    loss: Literal["softmax", "gbce"] = Field(
        default="softmax", description="What is made small: cross-entropy of the softmax, or gSASRec's binary one."
    )
    calibration: float = Field(
        default=0.75, ge=0, le=1, description="Of gbce: how far scores are probabilities, in spite of few negatives."
    )
    within: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of the events after which the next of the same second is foretold as well.",
    )
    negatives: int = Field(
        default=4096, ge=1, description="Items drawn for each step that are not chosen; all, where there are no more."
    )
    events: int = Field(default=500_000, ge=1, description="Latest events that are learned from.")
    epochs: int = Field(default=15, ge=1, description="How often all events are learned from, at most.")
    batch: int = Field(default=64, ge=1, description="Pieces of windows in each step.")
    learning_rate: float = Field(default=3e-3, gt=0)
    search_sessions: bool = Field(
        default=True, description="Also learn from views and clicks, not from purchases alone."
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="Where it learns: cpu, or cuda for a GPU; the build's device unless said. The CPU serves.",
    )
    seed: int = Field(default=0, ge=0)


class SequenceModel(Retriever):
    """Base of the sources that read the window as a sequence, and say what comes next.

    The network makes one vector of the window; every item's score is the softmax of that vector's products
    with the items' embeddings. An embedding is the item's own, learned under its id, plus a linear
    function of its content. An item without events has no own one, and is known by its content.

    torch trains; what serves is an ONNX file.

    Subclasses give the network: :meth:`_reader` makes it, :meth:`_as_onnx` writes it.
    """

    learns = "log"
    config_type: ClassVar[type[SequenceConfig]] = SequenceConfig
    space = {
        "dim": Choice(32, 64, 96, 128),
        "length": Choice(20, 50, 100),
        "dropout": Real(0.0, 0.6),
        "learning_rate": Real(5e-4, 5e-3, log=True),
        "epochs": Whole(5, 40),
    }
    _network: Network | None = None
    _onnx: bytes = b""

    def fit(self, items: Items, log: EventLog) -> Self:
        torch = import_torch(f"The source {self.name}", self.config.device)
        import_onnx()  # needed at the end alone, and told of at the beginning
        self.items_ = items
        content = items.vectors.get(self.config.content)
        paths = paths_of(log.of_kinds(*self._kinds()).take(slice(-self.config.events, None)))
        trained: Trained | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            if len(paths.known) > 1 and paths.n_targets >= _ENOUGH:
                trained = train(torch, self._reader(torch), paths, content, self.config)
        if trained is not None and not np.isfinite(trained.ids).all():
            raise ConfigError(
                f"retriever.{self.name}.learning_rate: {self.config.learning_rate:g} is too large: what is learned "
                "grew beyond all numbers. Take one ten times smaller."
            )
        self._network = None
        if trained is None:
            self.vectors_ = np.zeros((len(items), 0), dtype=np.float32)
            self.kinds_, self.silent_ = np.zeros((0, 0), dtype=np.float32), np.arange(len(items))
            self._onnx, self.curves_ = b"", {}
            return self
        self.vectors_ = np.zeros((len(items), self.config.dim), dtype=np.float32)
        if content is not None and trained.content is not None:
            self.vectors_ += content @ trained.content
        self.vectors_[paths.known] += trained.ids
        self.silent_ = np.flatnonzero(~self.vectors_.any(axis=1))  # neither chosen by anybody, nor of any content
        self.kinds_, self.curves_ = trained.kinds, trained.curves
        self._onnx = self._as_onnx(trained.reader)
        return self

    def _kinds(self) -> tuple[EventKind, ...]:
        return _CHOICES if self.config.search_sessions else (EventKind.purchase,)

    def _reader(self, torch: Any) -> Any:
        """An untrained torch module: embeddings (batch, length, dim), where there are any (batch, length): states."""
        raise NotImplementedError

    def _as_onnx(self, reader: Any) -> bytes:
        """The trained reader as an ONNX file, of which the output is the last state: (batch, dim)."""
        raise NotImplementedError

    def _states(self, requests: Requests) -> tuple[npt.NDArray[np.bool_], Floats]:
        """(whether anything was chosen, what is read of it), of every window: (batch,), (batch, dim)."""
        self.require_fitted("vectors_")
        windows = requests.windows
        length, batch = self.config.length, len(windows)
        states = np.zeros((batch, self.vectors_.shape[1]), dtype=np.float32)
        chosen = np.flatnonzero(np.isin(windows.kind, [int(kind) for kind in self._kinds()]))
        row = windows.row[chosen]
        sizes = np.bincount(row, minlength=batch)
        if not self._onnx or not len(chosen):
            return np.zeros(batch, dtype=np.bool_), states
        # The last event stands in the last place.
        place = length - np.cumsum(sizes)[row] + np.arange(len(chosen))
        # What is asked in the very second of the last event belongs to the same step.
        following = requests.now[row]
        following[:-1] = np.where(row[1:] == row[:-1], windows.time[chosen[1:]], following[:-1])
        end = following != windows.time[chosen]
        kind = windows.kind.astype(np.int64)
        kind[chosen] += len(EventKind) * end
        event = np.full((batch, length), -1, dtype=np.int64)
        event[row[place >= 0], place[place >= 0]] = chosen[place >= 0]
        if self._network is None:
            self._network = Network(self._onnx)
        asked = np.flatnonzero(sizes)
        for start in range(0, len(asked), _BATCH):
            rows = asked[start : start + _BATCH]
            mask = event[rows] >= 0
            known = event[rows][mask]
            read = np.zeros((*mask.shape, states.shape[1]), dtype=np.float32)
            read[mask] = self.vectors_[windows.item[known]] + self.kinds_[kind[known]]
            states[rows] = self._network.run({"read": read, "mask": mask.astype(np.float32)})[0]
        return sizes > 0, states

    def _scores(self, requests: Requests) -> Iterator[tuple[slice, Floats]]:
        """(Some requests, their probabilities of shape (n_some, n_items), 0 where nothing is said), until all are."""
        known, states = requests.once(self, lambda: self._states(requests))
        at_once = max(1, _CELLS_AT_ONCE // max(len(self.vectors_), 1))
        for start in range(0, len(known), at_once):
            part = slice(start, min(start + at_once, len(known)))
            scores = states[part] @ self.vectors_.T
            if known[part].any():
                scores[:, self.silent_] = -np.inf
                scores -= scores.max(axis=1, keepdims=True)
                np.exp(scores, out=scores)
                scores /= scores.sum(axis=1, keepdims=True)
            scores[~known[part]] = 0
            yield part, scores

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids = np.full((len(requests), k), -1, dtype=np.int32)
        best = np.full((len(requests), k), -np.inf, dtype=np.float32)
        for part, scores in self._scores(requests):
            ids[part], best[part] = top_k(scores, k, None if allowed is None else allowed[part])
        return ids, best

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        found, row = np.zeros(len(lists.item), dtype=np.float32), lists.row
        for part, scores in self._scores(requests):
            rows = slice(int(lists.offsets[part.start]), int(lists.offsets[part.stop]))
            found[rows] = scores[row[rows] - part.start, lists.item[rows]]
        return found

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self._onnx:
            (folder / "network.onnx").write_bytes(self._onnx)

    @classmethod
    def load(cls, folder: Path) -> Self:
        source = super().load(folder)
        path = folder / "network.onnx"
        if source.vectors_.shape[1]:
            try:
                source._onnx = path.read_bytes()
            except OSError as error:
                raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        return source
