"""A network that asks, for each candidate, which past items of the shopper speak of it, and what a choice would bring.

Sources: G. Zhou et al., Deep Interest Network for click-through rate prediction (KDD 2018), for target
attention; R. Wang et al., DCN V2 (WWW 2021), for the cross layers; X. Ma et al., Entire space multi-task model
(SIGIR 2018), for stages learned over all that was shown; A. Bai et al., Regression compatible listwise
objectives for calibrated ranking with binary relevance (CIKM 2023), for the listwise term; S. Rendle et al., BPR
(UAI 2009), for the pairwise one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from vetrina.core import EventKind, register
from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.core.onnx import Graph
from vetrina.rank.base import Asked, TrainingRows
from vetrina.rank.network import sigmoid
from vetrina.rank.neural import MARKS, NeuralConfig, NeuralRanker, bpr, listwise
from vetrina.rank.tower import Valued, tower_module

__all__ = ["DIN", "DINConfig", "expected_value"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_CART = 1 << EventKind.cart | 1 << EventKind.purchase
_PURCHASE = 1 << EventKind.purchase
_LEAST = 1e-12  # kept off 0, whose logarithm has no end
_LEAST_MARGIN = 0.01  # of the mean
_SURE = 30.0  # log-odds of what is certain


class DINConfig(NeuralConfig):
    """Size of the network, what it minimises, and what a choice is worth."""

    attention: int = Field(default=16, ge=2, description="Hidden units of the attention unit.")
    cross_layers: int = Field(default=2, ge=0, description="Cross layers; none leaves the dense layers alone.")
    cross_rank: int = Field(default=32, ge=1, description="Rank of the matrices of the cross layers.")
    loss: Literal["listwise", "cross_entropy", "bpr"] = Field(
        default="listwise", description="What is minimised: cross-entropy of the stages, and beside it a list's order."
    )
    value: dict[Literal["click", "cart", "purchase"], Annotated[float, Field(ge=0)]] = Field(
        default={},
        description="What an item is worth whose furthest stage is a click, a cart or a purchase; the mean gains of "
        "the log when empty. What is not named is worth 0.",
    )
    margin: str = Field(
        default="", description="Attribute of items by which what a choice is worth is multiplied, such as a margin."
    )


def expected_value(outputs: Doubles, value: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Logarithm of what a choice is worth on average, of the log-odds of three stages; and its slope by them.

    With p₁ the chance that an item is chosen at all, p₂ that it then goes as far as the cart, p₃ that it then is
    bought, and v the worth of each as the furthest stage: E = p₁ ((1 − p₂) v₁ + p₂ (1 − p₃) v₂ + p₂ p₃ v₃).

    Examples
    --------
    >>> value, slope = expected_value(np.array([[0.0, 0, 0]]), np.array([1, 2, 4]))
    >>> float(np.exp(value[0])), slope.shape  # 1/2 × (1/2 × 1 + 1/4 × 2 + 1/4 × 4)
    (1.0, (1, 3))
    """
    first, second, third = sigmoid(outputs).T
    beyond = value[1] - value[0] + third * (value[2] - value[1])  # worth of going further than a click
    inner = np.maximum(value[0] + second * beyond, _LEAST)
    slope = np.stack(
        [1 - first, second * (1 - second) * beyond / inner,
         second * third * (1 - third) * (value[2] - value[1]) / inner], axis=1,
    )  # fmt: skip
    return -np.logaddexp(0, -outputs[:, 0]) + np.log(inner), slope


@register("ranker", "din")
class DIN(NeuralRanker):
    """Target attention over the window, cross layers over everything, and three stages: chosen, cart, bought.

    **Attention.** For the candidate's vector v and each past item's eᵢ (with kind and age of the event added) a small
    network judges how much the one says of the other, aᵢ = w·prelu(A v + B eᵢ + C (v ∘ xᵢ) + D), where xᵢ is
    the item's vector alone. What is read in the window is Σᵢ aᵢ eᵢ and Σᵢ aᵢ: not a softmax, for who has looked at
    ten such items wants them more than who has looked at one.

    **Stages.** Choices come in stages: y₁ = 1 for what was chosen at all, y₂ for what came to the cart or was bought,
    y₃ for what was bought. Each has log-odds of its own; p₁, p₁p₂ and p₁p₂p₃ are each learned by cross-entropy over
    *all* rows, not p₂ on chosen rows alone, which would not be like those that it is asked about:

        L = Σ over rows of  BCE(y₁, p₁) + BCE(y₂, p₁p₂) + BCE(y₃, p₁p₂p₃)

    where each row counts by its weight times the candidates that it stands for.
    A stage that a log does not tell apart (purchases are all it has) is not learned. What was chosen and nobody knows
    how, such as a graded item, counts in the first alone.

    **Order.** The score is ln E, E being what a choice is worth on average (:func:`expected_value`) times the
    item's ``margin``. Where an item's margin is not known it is the mean, and the least is a hundredth of that.
    ``loss`` adds to L, of each request, before margins and times the largest weight of its rows,

        listwise   −Σᵢ gᵢ/Σg · ln(Eᵢ / Σⱼ vⱼ Eⱼ), with gains g: it orders, and leaves E a probability's size
        bpr        mean of −ln σ(ln Eᵢ − ln Eⱼ) over pairs with gᵢ > gⱼ, each counting vᵢvⱼ

    with v a row's weight by that largest one; in the sums of gains too a row counts v.
    ``outcome`` of the rows tells the stages; without it every choice is of the first.

    Examples
    --------
    >>> from vetrina.testing import sample_rows
    >>> rows = sample_rows(40)
    >>> ranker = DIN(epochs=2, dim=4, hidden=8).fit(rows)
    >>> ranker.score(rows.features, rows.asked).shape == rows.gain.shape
    True
    >>> ranker.chances(rows.features, rows.asked).shape[1]
    3
    """

    config_type = DINConfig
    fixed_: Floats
    value_: Floats

    @property
    def groups(self) -> tuple[str, ...]:
        return ("behaviour", "margin") if self.config.margin else ("behaviour",)

    def _begin(self, rows: TrainingRows) -> dict[str, npt.NDArray[Any]]:
        outcome = np.zeros(len(rows.gain), np.uint8) if rows.outcome is None else rows.outcome
        chosen = rows.gain > 0
        stages = np.stack([chosen, chosen & (outcome & _CART > 0), chosen & (outcome & _PURCHASE > 0)], axis=1)
        known = chosen & (outcome > 0)
        reached = [int(known.sum()), *(int(stages[known, stage].sum()) for stage in (1, 2))]
        # Log-odds of what does not have to be learned: nobody goes further, or everybody does.
        fixed = [np.nan, *(_given(reached[stage - 1], reached[stage]) for stage in (1, 2))]
        self.fixed_ = np.array(fixed, dtype=np.float32)
        furthest = stages.sum(axis=1)
        if self.config.value:
            worth = [self.config.value.get(name, 0.0) for name in ("click", "cart", "purchase")]
        else:
            worth = [
                float(rows.gain[furthest == stage].mean()) if (furthest == stage).any() else 0 for stage in (1, 2, 3)
            ]
        self.value_ = np.array(worth, dtype=np.float32)
        self._beside(rows.asked, len(rows.gain))  # a margin that items do not have is told now, not when served
        if not any(worth[stage - 1] > 0 for stage in np.unique(furthest[chosen])):
            raise DataError(
                f"din: value = {self.config.value} is worth nothing in this log: give what it holds "
                "(click, cart or purchase) a number above 0."
            )
        stages_known = np.stack([np.ones_like(chosen), ~chosen | known, ~chosen | known], axis=1)
        counted = stages_known & np.isnan(self.fixed_)
        return {
            "gain": rows.gain.astype(np.float32),
            "stages": stages.astype(np.float32), "counted": counted.astype(np.float32),
        }  # fmt: skip

    def _modules(self, torch: Any, width: int) -> tuple[Any, Any]:
        config: DINConfig = self.config
        reader = _attention(torch, config.dim, config.attention, config.window)
        cross = (config.cross_layers, config.cross_rank)
        return reader, tower_module(torch, width + 2 * config.dim + 1, cross, (config.hidden, config.hidden // 2), 3)

    def _export(self, reader: Any) -> bytes:
        w = {name: one.detach().numpy() for name, one in reader.named_parameters()}
        dim, hidden = self.config.dim, self.config.attention
        graph = Graph(
            {
                "candidates": ["batch", "candidates", dim],
                "past": ["batch", "window", dim],
                "marks": ["batch", "window", MARKS],
            }
        )
        one, two, three = (np.array([axis], dtype=np.int64) for axis in (1, 2, 3))
        event = graph.add("Add", "past", graph.add("MatMul", "marks", w["event.weight"].T))
        of_event = graph.add("MatMul", w["of_event.weight"], graph.add("Transpose", event, perm=[0, 2, 1]))
        of_candidate = graph.add(
            "MatMul", w["of_candidate.weight"], graph.add("Transpose", "candidates", perm=[0, 2, 1])
        )
        of_candidate = graph.add("Add", of_candidate, w["of_candidate.bias"][:, None])
        by_unit = graph.add("Mul", graph.add("Unsqueeze", "candidates", one), w["of_product.weight"][:, None])
        by_unit = graph.add("Reshape", by_unit, np.array([0, -1, dim]))  # (batch, hidden × candidates, dim)
        of_product = graph.add("MatMul", by_unit, graph.add("Transpose", "past", perm=[0, 2, 1]))
        length = graph.add("Shape", "past", start=1, end=2)
        shape = graph.add("Concat", np.array([0, hidden, -1]), length, axis=0)
        inner = graph.add("Add", graph.add("Reshape", of_product, shape), graph.add("Unsqueeze", of_event, two))
        inner = graph.add("Add", inner, graph.add("Unsqueeze", of_candidate, three))
        bent = graph.add("PRelu", inner, w["bend.weight"][:, None, None])
        judged = graph.add("ReduceSum", graph.add("Mul", bent, w["out.weight"][0][:, None, None]), one, keepdims=0)
        there = graph.add("Slice", "marks", np.array([0]), np.array([1]), two)
        weight = graph.add("Mul", judged, graph.add("Transpose", there, perm=[0, 2, 1]))
        interest = graph.add("MatMul", weight, event)
        read = graph.add("Concat", interest, graph.add("ReduceSum", weight, two, keepdims=1), axis=2)
        shapes = {"read": ["batch", "candidates", dim + 1], "attention": ["batch", "candidates", "window"]}
        shapes["events"] = ["batch", "window", dim]
        return graph.written({"read": read, "attention": weight, "events": event}, shapes)

    def _read(self, network: Any, vectors: Any, prepared: Any) -> Any:
        item, request, place = prepared["item"], prepared["request"], prepared["place"]
        shape = len(prepared["past"]), int(place.max()) + 1
        # The candidates of each request side by side; what fills up the shorter lists is dropped again.
        slots = np.zeros(shape, dtype=np.int64) if isinstance(item, np.ndarray) else item.new_zeros(shape)
        slots[request, place] = item
        read, weights, events = network(vectors[slots], vectors[prepared["past"]], prepared["marks"])
        return read[request, place], weights[request, place], events

    def _loss(self, torch: Any, outputs: Any, batch: dict[str, Any]) -> Any:
        log_odds = torch.from_numpy(self.fixed_).to(outputs.device)
        log_odds = torch.where(torch.isnan(log_odds), outputs, log_odds)
        yes = torch.nn.functional.logsigmoid(log_odds).cumsum(dim=1)  # ln p₁, ln p₁p₂, ln p₁p₂p₃
        no = torch.log1p(-torch.exp(yes).clamp(max=1 - 1e-6))
        entropy = -(batch["stages"] * yes + (1 - batch["stages"]) * no) * batch["counted"]
        loss = (entropy.sum(dim=1) * batch["alone"]).sum() / batch["n"]
        if self.config.loss == "cross_entropy":
            return loss
        worth = torch.from_numpy(self.value_).to(outputs.device)
        second, third = torch.sigmoid(log_odds[:, 1]), torch.sigmoid(log_odds[:, 2])
        inner = worth[0] + second * (worth[1] - worth[0] + third * (worth[2] - worth[1]))
        score = yes[:, 0] + torch.log(inner.clamp(min=_LEAST))
        order = listwise if self.config.loss == "listwise" else bpr
        return loss + order(torch, score, batch)

    def _usual(self, targets: dict[str, npt.NDArray[Any]]) -> Floats:
        reached = targets["alone"] @ targets["stages"]
        share = (reached + 1) / (np.append(targets["alone"].sum(), reached[:-1]) + 2)
        return np.asarray(np.log(share / (1 - share)), dtype=np.float32)

    @property
    def _valued(self) -> Valued:
        return lambda outputs: expected_value(self._log_odds(outputs), self.value_.astype(np.float64))

    def _log_odds(self, outputs: Doubles) -> Doubles:
        return np.where(np.isnan(self.fixed_), outputs, self.fixed_)

    def _beside(self, asked: Asked | None, n_rows: int) -> Doubles:
        if not self.config.margin:
            return np.zeros((n_rows, 0))
        if asked is None:
            return np.zeros((n_rows, 1))
        table, name = asked.items.table, self.config.margin
        if name not in table.columns or not table.schema[name].is_numeric():
            numbers = [column for column in asked.items.attributes if table.schema[column].is_numeric()]
            raise ConfigError(
                f"ranker.din.margin: {name!r} is not an attribute of items that holds numbers."
                f"{nearest(name, numbers)} There are: {', '.join(numbers) or 'none'}."
            )
        margin = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = margin[np.isfinite(margin)]
        mean = float(known.mean()) if len(known) else 1.0
        if mean <= 0:
            raise DataError(f"ranker.din.margin: the mean of {name!r} is {mean:g}; it must be above 0 to weigh by.")
        of_row = margin[asked.lists.item]
        worth = np.maximum(np.where(np.isfinite(of_row), of_row / mean, 1.0), _LEAST_MARGIN)
        return np.log(worth)[:, None]

    def chances(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Chances that an item is chosen, that it comes to the cart, and that it is bought: (n_rows, 3).

        Among rows as those learned from, each counting for the candidates that it stands for.
        """
        self.require_fitted("_tower")
        parts = [self._log_odds(self._tower.outputs(rows)) for rows in self._inputs(features, asked)]
        odds = np.concatenate(parts) if parts else np.empty((0, 3))
        return np.cumprod(sigmoid(odds), axis=1).astype(np.float32)

    def heeded(self, features: Floats, asked: Asked) -> npt.NDArray[np.int32]:
        """The past item that adds most to each row's score, or takes most away where all of them do; -1 for none.

        What is read in a window is a sum over its events, so its share of the score is one too.
        """
        self.require_fitted("_tower")
        dim, found = self.config.dim, [np.empty(0, dtype=np.int32)]
        for prepared, rows in zip(self._parts(features, asked), self._inputs(features, asked), strict=True):
            vectors = prepared.content @ self.project_
            _, weights, events = self._read(self._run, vectors, vars(prepared))
            slopes = self._tower.slopes(rows, self._valued)[:, prepared.rows.shape[1] + dim :]
            # By the number that is read, and by its product with the candidate's.
            by_event = slopes[:, :dim] + slopes[:, dim + 1 :] * vectors[prepared.item]
            shares = weights * (np.einsum("nd,nld->nl", by_event, events[prepared.request]) + slopes[:, dim : dim + 1])
            shares = np.where(prepared.marks[prepared.request, :, 0] > 0, shares, 0)
            loudest = np.where(shares.sum(axis=1) >= 0, shares.argmax(axis=1), shares.argmin(axis=1))
            past = prepared.ids[prepared.past[prepared.request, loudest]]
            found.append(np.where(shares.any(axis=1), past, -1).astype(np.int32))
        return np.concatenate(found)


def _given(before: int, reached: int) -> float:
    """Log-odds of a stage that nobody or everybody reaches; NaN where some do and some do not."""
    if reached == 0:
        return -_SURE
    return _SURE if reached == before else np.nan


def _attention(torch: Any, dim: int, hidden: int, window: int) -> Any:
    """The attention unit and what it sums up, as a torch module."""

    class Attention(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        def __init__(self) -> None:
            super().__init__()
            self.event = torch.nn.Linear(MARKS, dim, bias=False)
            self.of_candidate = torch.nn.Linear(dim, hidden)
            self.of_event = torch.nn.Linear(dim, hidden, bias=False)
            self.of_product = torch.nn.Linear(dim, hidden, bias=False)
            self.bend = torch.nn.PReLU(hidden)
            self.out = torch.nn.Linear(hidden, 1, bias=False)
            with torch.no_grad():
                # Two units begin as likeness and unlikeness: what is sought is seldom far from one of them.
                self.of_product.weight[:2] = torch.tensor([[1.0], [-1.0]])
                self.out.weight *= window**-0.5

        def forward(self, candidates: Any, past: Any, marks: Any) -> Any:
            """Of (batch, candidates, dim), (batch, window, dim) and (batch, window, MARKS).

            What is read, (batch, candidates, dim + 1), weights, (batch, candidates, window), and the events that
            they weigh. All candidates are judged at once: one product of matrices takes the place of many.
            """
            event = past + self.event(marks)
            by_unit = candidates.unsqueeze(1) * self.of_product.weight.unsqueeze(1)  # (batch, hidden, candidates, dim)
            of_product = by_unit.flatten(1, 2) @ past.transpose(1, 2)
            inner = of_product.unflatten(1, (hidden, candidates.shape[1]))  # (batch, hidden, candidates, window)
            inner = inner + self.of_event(event).transpose(1, 2).unsqueeze(2)
            inner = inner + self.of_candidate(candidates).transpose(1, 2).unsqueeze(3)
            judged = (self.out.weight @ self.bend(inner).flatten(2)).view(len(past), candidates.shape[1], -1)
            weight = judged * marks[:, :, 0].unsqueeze(1)
            return torch.cat([weight @ event, weight.sum(dim=2, keepdim=True)], dim=2), weight, event

    return Attention()
