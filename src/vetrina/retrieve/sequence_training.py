"""How the sequence models learn: every event of a shopper's past says what comes after it.

Sources: W.-C. Kang and J. McAuley, Self-attentive sequential recommendation (ICDM 2018), for learning
from every place of a sequence at once; A. Klenitskiy and A. Vasilev, Turning dross into gold loss: is
BERT4Rec really better than SASRec? (RecSys 2023), for the softmax over all items, or many; Y. Bengio
and J.-S. Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic
language model (2008), for the correction where they are drawn; A. Petrov and C. Macdonald, gSASRec
(RecSys 2023), for its loss; M. Volkovs, G. Yu and T. Poutanen, DropoutNet (NeurIPS 2017), for ids that
are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vetrina.core import EventKind, EventLog

if TYPE_CHECKING:
    from vetrina.retrieve.sequence import SequenceConfig

__all__ = ["Paths", "Trained", "paths_of", "train"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_HELD, _HELD_SHARE = 500, 0.25  # shoppers at most whose last step says when to stop
_PATIENCE = 5  # epochs that foretell no better


@dataclass(frozen=True)
class Paths:
    """What known shoppers chose, one shopper after the other, in order of time.

    What one shopper chose in the same second is one step: an invoice, a page of ratings. Within it
    the order says nothing, and what is to be foretold is the next step as a whole.

    Attributes
    ----------
    known : int64 of shape (n_known,)
        Items that anybody chose.
    item : int64 of shape (n_events,)
        Places in ``known``.
    kind : int64 of shape (n_events,)
    step : int64 of shape (n_events,)
        Number of the step, ascending over all shoppers.
    starts : int64 of shape (n_steps + 1,)
        First event of each step.
    last : bool of shape (n_steps,)
        Whether it is its shopper's last.
    first_event : int64 of shape (n_events,)
        First event of the same shopper.
    """

    known: Ints
    item: Ints
    kind: Ints
    step: Ints
    starts: Ints
    last: npt.NDArray[np.bool_]
    first_event: Ints

    @property
    def n_targets(self) -> int:
        """How many events follow upon a step."""
        sizes = np.diff(self.starts)
        return int(sizes[1:][~self.last[:-1]].sum()) if len(sizes) else 0


def paths_of(log: EventLog) -> Paths:
    """The events of ``log``, all of which name an item, shopper by shopper."""
    rows = np.flatnonzero(log.shopper >= 0)
    rows = rows[np.argsort(log.shopper[rows], kind="stable")]
    shopper, time = log.shopper[rows], log.time[rows]
    known, item = np.unique(log.item[rows], return_inverse=True)
    new_shopper = np.append(True, shopper[1:] != shopper[:-1])[: len(rows)]
    new_step = new_shopper | np.append(True, time[1:] != time[:-1])[: len(rows)]
    first = np.flatnonzero(new_step)
    return Paths(
        known=known.astype(np.int64),
        item=item.astype(np.int64),
        kind=log.kind[rows].astype(np.int64),
        step=np.cumsum(new_step) - 1,
        starts=np.append(first, len(rows)).astype(np.int64),
        last=np.append(new_shopper[first][1:], True)[: len(first)],
        first_event=np.maximum.accumulate(np.where(new_shopper, np.arange(len(rows)), 0)),
    )


@dataclass(frozen=True)
class Trained:
    """What was learned: a reader, and what it reads."""

    reader: Any
    ids: Floats
    content: Floats | None
    kinds: Floats
    curves: dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Batch:
    """Pieces of paths, right-aligned, and what comes after some of their places.

    Attributes
    ----------
    event : int64 of shape (batch, length)
        -1 in front of the first.
    end : bool of shape (batch, length)
        Whether the event is the last of its step.
    row, column : int64 of shape (n_places,)
        Places after which something is known to come.
    place, target : int64 of shape (n_pairs,)
        Index into ``row``, and the event that comes.
    """

    event: Ints
    end: npt.NDArray[np.bool_]
    row: Ints
    column: Ints
    place: Ints
    target: Ints


def batch_of(
    paths: Paths, start: Ints, stop: Ints, learned: npt.NDArray[np.bool_], within: npt.NDArray[np.bool_] | None = None
) -> Batch:
    """Events ``start:stop`` of each piece, and what comes after them, of those steps that are ``learned``.

    After the last event of a step comes all of the next one; after others, of those that are in
    ``within`` (by event), the next of the same step.
    """
    sizes = stop - start
    length = int(sizes.max())
    event = np.arange(length)[None, :] + (stop - length)[:, None]
    there = event >= start[:, None]
    event = np.where(there, event, -1)
    step = paths.step[event]
    end = there & (event == paths.starts[step + 1] - 1)
    asked = end & ~paths.last[step] & np.append(learned, False)[step + 1]
    if within is not None:
        asked |= there & ~end & (within & learned[paths.step])[event]
    row, column = np.nonzero(asked)
    own, following = event[row, column] + 1, step[row, column] + 1
    first = np.where(end[row, column], paths.starts[following], own)
    count = np.where(end[row, column], np.diff(paths.starts, append=0)[following], 1)
    place = np.repeat(np.arange(len(row)), count)
    target = np.arange(len(place)) + np.repeat(first - np.cumsum(count) + count, count)
    return Batch(event, end, row, column, place, target)


def pieces(paths: Paths, length: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(start, stop) of pieces of at most ``length`` events that together are all paths, cut anew at each call."""
    first = np.flatnonzero(paths.first_event == np.arange(len(paths.item)))
    size = np.diff(np.append(first, len(paths.item)))
    cut = np.minimum(rng.integers(1, length + 1, len(first)), size)
    count = 1 + -(-(size - cut) // length)
    number = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    stop = np.minimum(np.repeat(cut, count) + number * length, np.repeat(size, count))
    start = np.maximum(np.repeat(cut, count) + (number - 1) * length, 0)
    begin = np.repeat(first, count)
    return begin + start, begin + stop


def train(torch: Any, reader: Any, paths: Paths, content: Floats | None, config: SequenceConfig) -> Trained:
    """Learn what comes next, until what some shoppers did last is foretold no better."""
    rng = np.random.default_rng(config.seed)
    model = _model(torch, reader, len(paths.known), content if content is None else content[paths.known], config)
    model.to(config.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    held = _held(paths, rng)
    curves: dict[str, list[tuple[float, float]]] = {"loss by epoch": [], "held-out NDCG by epoch": []}
    best, since, n_steps = 0.0, 0, 0
    kept: dict[str, Any] | None = None
    for epoch in range(config.epochs):
        total, n_seen = 0.0, 0
        model.train()
        shuffled = _shuffled(paths, rng)
        start, stop = pieces(paths, config.length, rng)
        within = rng.random(len(paths.item)) < config.within
        order = rng.permutation(len(start))
        for first in range(0, len(order), config.batch):
            chosen = order[first : first + config.batch]
            batch = batch_of(shuffled, start[chosen], stop[chosen], ~held, within)
            if not len(batch.target):
                continue
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _pace(n_steps, len(order) / config.batch * config.epochs)
            loss = _loss(torch, model, shuffled, batch, config, rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            n_steps += 1
            total, n_seen = total + float(loss.detach()) * len(batch.target), n_seen + len(batch.target)
        if not n_seen or not np.isfinite(total):
            break
        curves["loss by epoch"].append((epoch + 1, total / n_seen))
        if not held.any():
            continue
        found = _held_ndcg(torch, model, paths, held, config)
        curves["held-out NDCG by epoch"].append((epoch + 1, found))
        since += 1
        if found >= best:  # as good for longer is surer
            best, kept, since = found, _copied(model), 0
        if since >= max(_PATIENCE, config.epochs // 4):
            break
    if kept is not None:
        model.load_state_dict(kept)
    model.cpu().train(False)
    return Trained(
        reader=model.reader,
        ids=_array(model.ids.weight),
        content=None if content is None else _array(model.content.weight.T),
        kinds=_array(model.kinds.weight),
        curves={name: points for name, points in curves.items() if points},
    )


def _array(weights: Any) -> Floats:
    return np.ascontiguousarray(weights.detach().cpu().numpy(), dtype=np.float32)


def _copied(model: Any) -> dict[str, Any]:
    return {name: one.clone() for name, one in model.state_dict().items()}


def _pace(step: int, total: float) -> float:
    """Share of the learning rate: up for a twentieth of the steps, then down along a cosine."""
    done = step / max(total, 1.0)
    return min(1.0, (step + 1) / max(0.05 * total, 1.0)) * 0.5 * (1 + float(np.cos(np.pi * min(done, 1.0))))


def _shuffled(paths: Paths, rng: np.random.Generator) -> Paths:
    """The same steps, the events of each in another order."""
    order = np.lexsort((rng.random(len(paths.item)), paths.step))
    return replace(paths, item=paths.item[order], kind=paths.kind[order])


def _held(paths: Paths, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The last steps of some shoppers who took several: bool of shape (n_steps,)."""
    ends = np.flatnonzero(paths.last[1:] & ~paths.last[:-1]) + 1
    held = np.zeros(len(paths.last), dtype=np.bool_)
    held[rng.permutation(ends)[: min(_HELD, int(_HELD_SHARE * len(ends)))]] = True
    return held


def _model(torch: Any, reader: Any, n_known: int, content: Floats | None, config: SequenceConfig) -> Any:
    class Model(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        """Embeddings of items by id and by content, of kinds of events, and what reads them."""

        def __init__(self) -> None:
            super().__init__()
            self.reader = reader
            self.ids = torch.nn.Embedding(n_known, config.dim)
            self.kinds = torch.nn.Embedding(2 * len(EventKind), config.dim)
            for one in (self.ids, self.kinds):
                torch.nn.init.normal_(one.weight, std=0.02)
            if content is not None:
                self.content = torch.nn.Linear(content.shape[1], config.dim, bias=False)
                self.register_buffer("vectors", torch.from_numpy(np.ascontiguousarray(content)), persistent=False)

        def table(self) -> Any:
            """Embeddings of all known items: (n_known, dim)."""
            if content is None:
                return self.ids.weight
            ids = self.ids.weight
            if self.training and config.forgotten_ids:
                ids = ids * (torch.rand(len(ids), 1, device=ids.device) >= config.forgotten_ids)
            return ids + self.content(self.vectors)

    return Model()


def _loss(torch: Any, model: Any, paths: Paths, batch: Batch, config: SequenceConfig, rng: np.random.Generator) -> Any:
    """Mean over all pairs of a batch."""
    states, table, place, target = _read(torch, model, paths, batch, config)
    n, drawn = len(table), None
    if config.loss == "gbce" or config.negatives < n:
        drawn = torch.from_numpy(rng.choice(n, min(config.negatives, n), replace=False)).to(config.device)
    if config.loss == "gbce":
        return gbce_loss(torch, states, table, place, target, drawn, calibration=config.calibration)
    return softmax_loss(torch, states, table, place, target, drawn)


def _read(torch: Any, model: Any, paths: Paths, batch: Batch, config: SequenceConfig) -> tuple[Any, Any, Any, Any]:
    """(states at the places of a batch, embeddings of all known items, place and target of each pair)."""

    def tensor(array: npt.NDArray[Any]) -> Any:
        return torch.from_numpy(array).to(config.device)

    table = model.table()
    there = batch.event >= 0
    mask = tensor(there.astype(np.float32))
    read = table[tensor(np.where(there, paths.item[batch.event], 0))]
    read = read + model.kinds(tensor(np.where(there, paths.kind[batch.event] + len(EventKind) * batch.end, 0)))
    read = torch.nn.functional.dropout(read, config.dropout, model.training) * mask[:, :, None]
    states = model.reader(read, mask)[tensor(batch.row), tensor(batch.column)]
    return states, table, tensor(batch.place), tensor(paths.item[batch.target])


def softmax_loss(torch: Any, states: Any, table: Any, place: Any, target: Any, drawn: Any = None) -> Any:
    """Mean of −log softmax of each target: log(exp s⁺ + c Σ exp s⁻) − s⁺, with the sum over all other items.

    Of ``m`` items that were ``drawn``, all alike likely, c = (n − 1)/m estimates that sum without bias: the
    correction by the logarithm of the chance to be drawn (logQ). A target among the drawn is no negative.

    Parameters
    ----------
    states : Tensor of shape (n_places, dim)
    table : Tensor of shape (n_items, dim)
        Embeddings.
    place, target : int64 Tensor of shape (n_pairs,)
        Which state, and the item that came.
    drawn : int64 Tensor of shape (m,), optional
        All items when absent.
    """
    if drawn is None:
        logits = states @ table.T
        return (logits.logsumexp(dim=1)[place] - logits[place, target]).mean()
    right, wrong, there = _right_and_wrong(states, table, place, target, drawn)
    wrong = wrong + torch.log((len(table) - 1) / there.sum(dim=1, keepdim=True).clamp(min=1))
    wrong = wrong.masked_fill(~there, -torch.inf)
    return (torch.cat([right[:, None], wrong], dim=1).logsumexp(dim=1) - right).mean()


def gbce_loss(torch: Any, states: Any, table: Any, place: Any, target: Any, drawn: Any, *, calibration: float) -> Any:
    """Generalised binary cross-entropy: −(β log σ(s⁺) + Σ log(1 − σ(s⁻))) / (m + 1), mean over the targets.

    With m items drawn of n, α = m/(n − 1) and t the ``calibration``, β = α (t (1 − 1/α) + 1/α) = 1 − t (1 − α): at
    t = 1 the scores are probabilities, as of a sum over all items; at t = 0 they are too sure, as plain BCE's.
    Parameters are those of :func:`softmax_loss`.
    """
    log_sigma = torch.nn.functional.logsigmoid
    right, wrong, there = _right_and_wrong(states, table, place, target, drawn)
    m = there.sum(dim=1)
    beta = 1 - calibration * (1 - m / (len(table) - 1))
    wrong = (log_sigma(-wrong) * there).sum(dim=1)
    return (-(beta * log_sigma(right) + wrong) / (m + 1)).mean()


def _right_and_wrong(states: Any, table: Any, place: Any, target: Any, drawn: Any) -> tuple[Any, Any, Any]:
    """(logits of the targets, those of the drawn, which of them are no target): (n_pairs,), twice (n_pairs, m)."""
    right = (states[place] * table[target]).sum(dim=1)
    return right, (states @ table[drawn].T)[place], drawn[None, :] != target[:, None]


def _held_ndcg(torch: Any, model: Any, paths: Paths, held: npt.NDArray[np.bool_], config: SequenceConfig) -> float:
    """Mean of 1/log₂(1 + rank) of what held-out steps brought: their NDCG, were there one in each, at no cut.

    NaN where learning has left all numbers behind.
    """
    stop = paths.starts[:-1][held]
    start = np.maximum(paths.first_event[stop], stop - config.length)
    found = []
    model.train(False)
    with torch.no_grad():
        for first in range(0, len(stop), 32):  # a step may bring many items, each of which is ranked among all
            batch = batch_of(paths, start[first : first + 32], stop[first : first + 32], held)
            states, table, place, target = _read(torch, model, paths, batch, config)
            logits = (states @ table.T)[place]
            right = logits.gather(1, target[:, None])
            rank = 1 + (logits > right).sum(dim=1)
            # What is no number stands above nothing and below nothing.
            found.append(torch.where(right[:, 0].isfinite(), 1 / torch.log2(1 + rank), torch.nan))
    return float(torch.cat(found).mean())
