"""What the neural rankers share: what they read, how they learn in torch, and how they are served without it.

A row is its features, standardised; the vector of the candidate; what a network read in the shopper's window,
which is where the rankers differ; and the product of the last two, number by number. A
:class:`vetrina.rank.tower.Tower` makes scores of it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, EventKind, ItemList, Items, Real, Requests, Whole
from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.core.onnx import Network, import_torch
from vetrina.core.space import Space
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.standard import mean_and_scale, standardised
from vetrina.rank.tower import Tower, Valued

__all__ = ["MARKS", "NeuralConfig", "NeuralRanker", "Prepared", "bpr", "listwise", "recent"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_SESSION = 30 * 60  # seconds, after which a visit has ended
_ROWS = 4096  # scored at once, shorter lists counted as if filled up to the longest, as a reader may do
_PCA_ITEMS = 20_000
_WARM = 0.05  # of the steps
_LEAST = 1e-9  # by which is divided, and of which there is a logarithm
#: Vectors that are made anew from the log for every fit: those of training rows are not those of a shop's snapshot.
_LEARNED_FROM_LOG = ("fused", "behaviour")
_KINDS = (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate, EventKind.hide)
#: What is said of an event beside its item: that it is there, its kind, its age, whether it is of this visit.
MARKS = 1 + len(_KINDS) + 2


class NeuralConfig(Config):
    """What is read, how large the network is, how long it learns."""

    modalities: list[str] = Field(
        default=[],
        description="Vectors of items that are read, such as text and photo; all but fused and behaviour when empty. "
        "What is learned from the log is not to be named.",
    )
    window: int = Field(default=50, ge=1, description="Latest events of a window that are read.")
    dim: int = Field(default=32, ge=1, description="Dimensions to which an item's vectors are reduced.")
    hidden: int = Field(default=64, ge=2, description="Units of the first dense layer; the second has half as many.")
    epochs: int = Field(default=6, ge=1, description="How often every request is learned from, at most.")
    patience: int = Field(
        default=3, ge=1, description="Learning ends after so many epochs that do not help on the latest fifth."
    )
    batch: int = Field(default=32, ge=1, description="Requests learned from at once.")
    learning_rate: float = Field(default=2e-3, gt=0, description="At its height; it ends at 0.")
    weight_decay: float = Field(default=1e-3, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of hidden units left out while learning.")
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="Where it learns: cpu, or cuda for a GPU; the build's device unless said. The CPU serves.",
    )
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Prepared:
    """Rows as arrays that a network reads.

    Attributes
    ----------
    rows : float32 of shape (n_rows, 2 n_features)
        Features, standardised, and what is not known of them.
    ids : int64 of shape (n_distinct + 1,)
        The distinct items that are spoken of; the last is -1, for none.
    content : float32 of shape (n_distinct + 1, n_numbers)
        Their vectors; the last row is zero.
    item : int64 of shape (n_rows,)
        The candidate, as a row of ``content``.
    past : int64 of shape (batch, window)
        The window, newest last, as rows of ``content``.
    marks : float32 of shape (batch, window, MARKS)
        Zero where the window has no event.
    request, place : int64 of shape (n_rows,)
        Which request a row belongs to, and where it stands in its list.
    """

    rows: Floats
    ids: Ints
    content: Floats
    item: Ints
    past: Ints
    marks: Floats
    request: Ints
    place: Ints


def recent(requests: Requests, size: int) -> tuple[Ints, Floats]:
    """The last ``size`` events of each window, newest last: (items of shape (batch, size), -1 for none; marks).

    Examples
    --------
    >>> from vetrina.core import Query, Windows
    >>> items, marks = recent(Requests(Windows.empty(2), [Query()] * 2, np.zeros(2, np.int64)), 3)
    >>> items.tolist(), marks.shape == (2, 3, MARKS), bool(marks.any())
    ([[-1, -1, -1], [-1, -1, -1]], True, False)
    """
    windows = requests.windows
    places = windows.offsets[1:, None] - np.arange(size, 0, -1)
    there = places >= windows.offsets[:-1, None]
    marks = np.zeros((*places.shape, MARKS), dtype=np.float32)
    if not len(windows.item):
        return np.full(places.shape, -1, dtype=np.int64), marks
    places = np.where(there, places, 0)
    age = np.maximum(requests.now[:, None] - windows.time[places], 0)
    marks[..., 0] = 1
    for column, kind in enumerate(_KINDS, start=1):
        marks[..., column] = windows.kind[places] == kind
    marks[..., -2] = np.log1p(age / 86_400)
    marks[..., -1] = age < _SESSION
    marks[~there] = 0
    return np.where(there, windows.item[places], -1).astype(np.int64), marks


class NeuralRanker(Ranker):
    """Base of the rankers that read the window.

    Learned: ``mean_``, ``scale_``, ``missing_`` (n_features,), by which features are standardised; ``centre_``,
    ``project_`` (n_numbers, dim), by which vectors are reduced; the tower's weights; and the reader's network.
    """

    config_type = NeuralConfig
    space: ClassVar[Space] = {
        "dim": Whole(8, 64, log=True),
        "window": Whole(10, 100, log=True),
        "hidden": Whole(16, 128, log=True),
        "learning_rate": Real(1e-3, 1e-2, log=True),
        "weight_decay": Real(1e-5, 1e-1, log=True),
        "dropout": Real(0, 0.4),
    }
    modalities_: list[str]
    centre_: Floats
    project_: Floats
    _tower: Tower
    _network: Network

    @property
    def groups(self) -> tuple[str, ...]:
        return ("behaviour",)

    # --- what a ranker brings: a reader, outputs and a loss ---

    def _modules(self, torch: Any, width: int) -> tuple[Any, Any]:
        """(reader, tower): untrained torch modules; ``width`` is that of features and the candidate's vector."""
        raise NotImplementedError

    def _export(self, reader: Any) -> bytes:
        """The reader as an ONNX file."""
        raise NotImplementedError

    def _read(self, network: Callable[..., Any], vectors: Any, prepared: Any) -> Any:
        """What is read in the windows for each row: (n_rows, dim or more), by torch or by ONNX Runtime alike."""
        raise NotImplementedError

    def _loss(self, torch: Any, outputs: Any, batch: dict[str, Any]) -> Any:
        """Mean loss of a batch of requests; ``weight`` and ``alone`` say what its rows count, in a list and alone."""
        raise NotImplementedError

    def _begin(self, rows: TrainingRows) -> dict[str, npt.NDArray[Any]]:
        """Check what is to be learned, and say what :meth:`_loss` wants to know of each row."""
        raise NotImplementedError

    def _usual(self, targets: dict[str, npt.NDArray[Any]]) -> Floats:
        """Outputs that are right on the mean, from which learning begins."""
        raise NotImplementedError

    @property
    def _valued(self) -> Valued:
        """The score of a row's outputs, and its slope."""
        raise NotImplementedError

    def _beside(self, asked: Asked | None, n_rows: int) -> npt.NDArray[np.float64]:
        """What is added to the scores beside what was learned, a column for each group after the first."""
        return np.zeros((n_rows, len(self.groups) - 1))

    # --- learning ---

    def fit(self, rows: TrainingRows) -> Self:
        """Learn.

        Raises
        ------
        DataError
            When all rows were chosen, or none was: there is nothing to tell apart.
        MissingExtra
            When torch is not installed.
        """
        if not 0 < np.count_nonzero(rows.gain > 0) < len(rows.gain):
            raise DataError("The rows hold no choice of some before others: nothing to learn from.")
        config: NeuralConfig = self.config
        torch = import_torch(f"The ranker {self.name}", config.device)
        self.names_ = list(rows.names)
        self._standardise(rows.features)
        self._look_at(rows.asked.items if rows.asked is not None else None)
        targets = self._begin(rows) | {
            name: np.ones(len(rows.gain), np.float32) if one is None else one.astype(np.float32)
            for name, one in (("weight", rows.weight), ("alone", rows.alone))
        }
        prepared = self._prepare(rows.features, rows.asked, rows.sizes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            reader, tower = self._modules(torch, prepared.rows.shape[1] + config.dim)
            project = torch.nn.Parameter(torch.from_numpy(self.project_.copy()))
            parts = torch.nn.ParameterDict({"project": project}), reader, tower
            for part in parts:
                part.to(config.device)
            with torch.no_grad():
                tower.out_b[:] = torch.from_numpy(self._usual(targets))
            self.curves_ = self._learn(torch, parts, prepared, rows, targets)
        self.project_ = project.detach().cpu().numpy()
        weights = {name: one.detach().cpu().numpy() for name, one in tower.named_parameters()}
        for name, one in weights.items():
            setattr(self, f"{name}_", one)
        self._tower, self._network = Tower(weights), Network(self._export(reader.cpu().train(False)))
        return self

    def _standardise(self, features: Floats) -> None:
        self.mean_, self.scale_ = mean_and_scale(features)
        self.missing_ = (1 - np.isfinite(features).mean(axis=0)).astype(np.float32)

    def _look_at(self, items: Items | None) -> None:
        """Choose the modalities; begin with the directions in which their vectors vary most (PCA)."""
        vectors = items.vectors if items is not None else {}
        named = self.config.modalities or [name for name in vectors if name not in _LEARNED_FROM_LOG]
        for name in sorted({*named} - {*vectors}) if items is not None else []:
            raise ConfigError(
                f"ranker.{self.name}.modalities: items have no {name!r} vectors.{nearest(name, vectors)} "
                f"There are: {', '.join(sorted(vectors)) or 'none'}."
            )
        self.modalities_ = [name for name in named if name in vectors]
        self.widths_ = np.array([vectors[name].shape[1] for name in self.modalities_], dtype=np.int64)
        self.centre_ = np.zeros(int(self.widths_.sum()), dtype=np.float32)
        self.project_ = np.zeros((len(self.centre_), self.config.dim), dtype=np.float32)
        if items is None or not len(self.centre_):
            return
        step = max(len(items) // _PCA_ITEMS, 1)
        parts = [np.asarray(vectors[name][::step]) for name in self.modalities_]
        means = [part[part.any(axis=1)].sum(axis=0) / max(int(part.any(axis=1).sum()), 1) for part in parts]
        self.centre_ = np.concatenate(means).astype(np.float32)
        content = self._content(items, np.arange(0, len(items), step))
        values, directions = np.linalg.eigh(content.T.astype(np.float64) @ content / len(content))
        kept = np.argsort(-values)[: self.config.dim]
        # No direction has a sign of its own: the largest number is made positive, that machines agree.
        axes = directions[:, kept]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(kept))])
        self.project_[:, : len(kept)] = axes / np.sqrt(max(values[kept].sum(), 1e-12))

    def _learn(
        self, torch: Any, parts: tuple[Any, ...], prepared: Prepared, rows: TrainingRows, targets: dict[str, Any]
    ) -> dict[str, list[tuple[float, float]]]:
        """Learn in place until the latest fifth of the requests is no longer told better; keep what told it best."""
        config = self.config
        tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in vars(prepared).items()}
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in targets.items()}
        now = rows.asked.requests.now if rows.asked is not None else np.arange(len(rows.sizes))
        order = np.argsort(now, kind="stable")
        cut = len(order) - len(order) // 5
        earlier, latest = order[:cut], order[cut:] if cut < len(order) else order
        optimizer = torch.optim.AdamW(
            [one for part in parts for one in part.parameters()], config.learning_rate, weight_decay=config.weight_decay
        )
        steps = config.epochs * -(-len(earlier) // config.batch)
        # Up in the first twentieth of the steps, then down to nothing in a line.
        pace = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / max(_WARM * steps, 1), (1 - step / steps) / (1 - _WARM))
        )
        rng = np.random.default_rng(config.seed)
        curves: dict[str, list[tuple[float, float]]] = {"loss by epoch": [], "loss on the latest fifth by epoch": []}
        best, since, kept = np.inf, 0, copy.deepcopy([part.state_dict() for part in parts])
        for epoch in range(1, config.epochs + 1):
            for part in parts:
                part.train()
            losses = []
            for batch in _batches(tensors, rng.permutation(earlier), rows.sizes, config.batch, torch, config.device):
                loss = self._loss(torch, self._outputs(torch, parts, batch), batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                pace.step()
                losses.append(float(loss.detach()))
            for part in parts:
                part.train(False)
            with torch.no_grad():
                told = [
                    (float(self._loss(torch, self._outputs(torch, parts, batch), batch)), batch["n"])
                    for batch in _batches(tensors, latest, rows.sizes, config.batch, torch, config.device)
                ]
            held = float(np.average([loss for loss, _ in told], weights=[n for _, n in told]))
            curves["loss by epoch"].append((epoch, float(np.mean(losses))))
            curves["loss on the latest fifth by epoch"].append((epoch, held))
            if held < best:
                best, since, kept = held, 0, copy.deepcopy([part.state_dict() for part in parts])
            else:
                since += 1
                if since >= config.patience:
                    break
        for part, state in zip(parts, kept, strict=True):
            part.load_state_dict(state)
        return curves

    def _outputs(self, torch: Any, parts: tuple[Any, ...], batch: dict[str, Any]) -> Any:
        weights, reader, tower = parts
        vectors = batch["content"] @ weights["project"]
        candidate = vectors[batch["item"]]
        read = self._read(reader, vectors, batch)[0]
        inner = candidate * read[:, : self.config.dim]
        return tower(torch.cat([batch["rows"], candidate, read, inner], dim=1), self.config.dropout)

    # --- serving ---

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Score of each row: float32 of shape (n_rows,). Without ``asked``, as of nobody and of unknown items."""
        self.require_fitted("_tower")
        if not len(features):
            return np.empty(0, dtype=np.float32)
        parts = [self._valued(self._tower.outputs(rows))[0] for rows in self._inputs(features, asked)]
        scores = np.concatenate(parts) + self._beside(asked, len(features)).sum(axis=1)
        return np.asarray(scores, dtype=np.float32)

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Shares of features, of what was read in the window and of the candidate's vector, and what is common.

        By integrated gradients (:meth:`vetrina.rank.tower.Tower.shares`), beside a row in which every feature has its
        mean and nothing is known of shopper and item: its score is what all rows have in common.
        """
        self.require_fitted("_tower")
        n_features = len(self.names_)
        told = np.zeros((len(features), n_features + len(self.groups) + 1), dtype=np.float32)
        if not len(features):
            return told
        found = [self._tower.shares(rows, self._valued) for rows in self._inputs(features, asked)]
        shares = np.concatenate([one[0] for one in found])
        told[:, :n_features] = shares[:, :n_features] + shares[:, n_features : 2 * n_features]
        told[:, n_features] = shares[:, 2 * n_features :].sum(axis=1)
        told[:, n_features + 1 : -1] = self._beside(asked, len(features))
        told[:, -1] = found[0][2]
        return told

    def _inputs(self, features: Floats, asked: Asked | None) -> Iterator[npt.NDArray[np.float32]]:
        """What the tower reads of the rows, some thousands at a time."""
        for prepared in self._parts(features, asked):
            vectors = prepared.content @ self.project_
            candidate = vectors[prepared.item]
            read = self._read(self._run, vectors, vars(prepared))[0]
            yield np.concatenate([prepared.rows, candidate, read, candidate * read[:, : self.config.dim]], axis=1)

    def _parts(self, features: Floats, asked: Asked | None) -> Iterator[Prepared]:
        if asked is None:
            for start in range(0, len(features), _ROWS):
                yield self._prepare(features[start : start + _ROWS], None, None)
            return
        offsets, start = asked.lists.offsets, 0
        while start < len(asked.lists):
            longest = np.maximum.accumulate(np.diff(offsets[start : start + _ROWS + 1]))
            filled = longest * np.arange(1, len(longest) + 1)
            stop = start + max(int(np.searchsorted(filled, _ROWS, side="right")), 1)
            rows = slice(int(offsets[start]), int(offsets[stop]))
            if rows.stop > rows.start:
                lists = ItemList(offsets[start : stop + 1] - offsets[start], asked.lists.item[rows])
                yield self._prepare(features[rows], Asked(asked.requests.slice(start, stop), lists, asked.items), None)
            start = stop

    def _run(self, *inputs: npt.NDArray[Any]) -> Any:
        return self._network.run(dict(zip(self._network.inputs, inputs, strict=True)))

    def _prepare(self, features: Floats, asked: Asked | None, sizes: Ints | None) -> Prepared:
        known = np.isfinite(features)
        standard = standardised(np.where(known, features, np.nan), self.mean_, self.scale_)
        # Counts and prices have long tails.
        standard = np.sign(standard) * np.log1p(np.abs(standard))
        rows = np.concatenate([standard, ~known - self.missing_], axis=1, dtype=np.float32)
        if asked is None:
            batch = 1 if sizes is None else len(sizes)
            request = np.zeros(len(rows), dtype=np.int64) if sizes is None else np.repeat(np.arange(batch), sizes)
            none, item = np.zeros((1, len(self.centre_)), dtype=np.float32), np.zeros(len(rows), dtype=np.int64)
            past, marks = np.zeros((batch, 1), dtype=np.int64), np.zeros((batch, 1, MARKS), dtype=np.float32)
            return Prepared(rows, np.array([-1]), none, item, past, marks, request, _places(request))
        longest = int(np.diff(asked.requests.windows.offsets).max(initial=1))
        past, marks = recent(asked.requests, min(longest, self.config.window))
        ids = np.unique(np.concatenate([asked.lists.item.astype(np.int64), past[past >= 0]]))
        content = np.concatenate([self._content(asked.items, ids), np.zeros((1, len(self.centre_)), np.float32)])
        there = np.where(past >= 0, np.searchsorted(ids, past), len(ids))
        item = np.searchsorted(ids, asked.lists.item)
        request = asked.lists.row.astype(np.int64)
        return Prepared(rows, np.append(ids, -1), content, item, there, marks, request, _places(request))

    def _content(self, items: Items, ids: npt.NDArray[np.integer]) -> Floats:
        """Vectors of items in all modalities side by side, less their mean; zero where an item lacks one."""
        content = np.zeros((len(ids), len(self.centre_)), dtype=np.float32)
        end = 0
        for name, width in zip(self.modalities_, self.widths_.tolist(), strict=True):
            part, end = slice(end, end + width), end + width
            if (vectors := items.vectors.get(name)) is None:
                continue
            if vectors.shape[1] != width:
                raise DataError(
                    f"The ranker {self.name} learned from {name} vectors of {width} numbers, and these items have "
                    f"{vectors.shape[1]}. Let it learn again, from these."
                )
            rows = np.asarray(vectors[ids])
            content[:, part] = np.where(rows.any(axis=1, keepdims=True), rows - self.centre_[part], 0)
        return content

    def save(self, folder: Path) -> None:
        super().save(folder)
        self._network.save(folder / "reader.onnx")
        (folder / "modalities.json").write_text(json.dumps(self.modalities_), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        ranker = super().load(folder)
        ranker.modalities_ = json.loads((folder / "modalities.json").read_text(encoding="utf-8"))
        ranker._network = Network.load(folder / "reader.onnx")
        learned = ranker.arrays().items()
        ranker._tower = Tower({name: one for name, one in learned if name.startswith(("cross_", "dense_", "out_"))})
        return ranker


def _places(request: Ints) -> Ints:
    """Where each row stands in the list of its request; rows of a request are together."""
    return np.arange(len(request)) - np.searchsorted(request, request)


def _batches(
    tensors: dict[str, Any], requests: npt.NDArray[np.integer], sizes: Ints, size: int, torch: Any, device: str
) -> Iterator[dict[str, Any]]:
    """Some requests at a time, with their rows and the distinct items that they speak of.

    ``request`` numbers the requests of the batch; ``n`` is how many they are.
    """
    starts = np.cumsum(sizes) - sizes
    by_request = {"past", "marks"}
    for begin in range(0, len(requests), size):
        some = requests[begin : begin + size]
        counts = sizes[some]
        rows = np.repeat(starts[some] - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
        chosen = {True: torch.from_numpy(np.ascontiguousarray(some)), False: torch.from_numpy(rows)}
        batch = {
            name: one[chosen[name in by_request]] for name, one in tensors.items() if name not in ("content", "ids")
        }
        longest = max(int(batch["marks"][:, :, 0].sum(dim=1).max()), 1)
        batch["past"], batch["marks"] = batch["past"][:, -longest:], batch["marks"][:, -longest:]
        spoken, place = torch.unique(torch.cat([batch["item"], batch["past"].flatten()]), return_inverse=True)
        batch["content"] = tensors["content"][spoken]
        batch["item"], batch["past"] = place[: len(rows)], place[len(rows) :].view(batch["past"].shape)
        batch["request"] = torch.from_numpy(np.repeat(np.arange(len(some)), counts))
        yield {name: one.to(device) for name, one in batch.items()} | {"n": len(some)}


def _weights(batch: dict[str, Any]) -> tuple[Any, Any]:
    """(of each request the largest weight of its rows, which is what it counts; each row's weight beside it)."""
    request, weight = batch["request"], batch["weight"]
    largest = weight.new_zeros(batch["n"]).scatter_reduce(0, request, weight, "amax")
    return largest, weight / largest.clamp(min=_LEAST)[request]


def listwise(torch: Any, score: Any, batch: dict[str, Any]) -> Any:
    """Mean over requests of −W Σᵢ vᵢgᵢ/Σvg ln(e^sᵢ / Σⱼ vⱼ e^sⱼ): W is the largest weight of its rows, v = w/W."""
    request, n = batch["request"], batch["n"]
    counts, within = _weights(batch)
    gain, weighed = batch["gain"] * within, score + torch.log(within.clamp(min=_LEAST))
    top = score.new_full((n,), -torch.inf).scatter_reduce(0, request, weighed.detach(), "amax")
    whole = score.new_zeros(n).index_add(0, request, torch.exp(weighed - top[request]))
    surprise = torch.log(whole)[request] + top[request] - score
    gains = score.new_zeros(n).index_add(0, request, gain)
    return (surprise * gain * (counts / gains.clamp(min=_LEAST))[request]).sum() / n


def bpr(torch: Any, score: Any, batch: dict[str, Any]) -> Any:
    """Mean over requests of W times the mean of −ln σ(sᵢ − sⱼ) over its pairs with gᵢ > gⱼ, each vᵢvⱼ."""
    request, gain, n = batch["request"], batch["gain"], batch["n"]
    counts, within = _weights(batch)
    sizes = torch.bincount(request, minlength=n)
    place = torch.arange(len(request), device=request.device) - (sizes.cumsum(0) - sizes)[request]
    rows = request.new_full((n, int(sizes.max())), -1)
    rows[request, place] = torch.arange(len(request), device=request.device)
    gains = torch.where(rows >= 0, gain[rows.clamp(min=0)], torch.nan)  # nothing is more than what is not there
    which, better, worse = torch.nonzero(gains[:, :, None] > gains[:, None, :], as_tuple=True)
    better, worse = rows[which, better], rows[which, worse]
    weight = within[better] * within[worse]
    loss = torch.nn.functional.softplus(score[worse] - score[better]) * weight
    whole = score.new_zeros(n).index_add(0, which, weight)
    return (loss * (counts / whole.clamp(min=_LEAST))[which]).sum() / n
