"""An LSTM that reads the shopper's window as a sequence of fused features, and dense layers that judge a candidate.

Sources: S. Hochreiter and J. Schmidhuber, Long Short-Term Memory (Neural Computation 1997); the losses are
mean squared error, cross-entropy, and S. Rendle et al., BPR (UAI 2009).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import register
from vetrina.core.onnx import Graph, cell_weights
from vetrina.rank.base import TrainingRows
from vetrina.rank.neural import MARKS, NeuralConfig, NeuralRanker, bpr
from vetrina.rank.tower import Valued, tower_module

__all__ = ["LSTM", "LSTMConfig"]

Doubles = npt.NDArray[np.float64]


class LSTMConfig(NeuralConfig):
    """Size of the network, and what it minimises."""

    units: int = Field(default=32, ge=1, description="Units of the LSTM.")
    loss: Literal["mse", "cross_entropy", "bpr"] = Field(default="cross_entropy", description="What is minimised.")


@register("ranker", "lstm")
class LSTM(NeuralRanker):
    """An LSTM over the window's items, oldest first; its last state, the candidate and the features go to dense layers.

    Each event is its item's vectors of all modalities, side by side and reduced, with kind and age of the event.
    The cell has no bias of its own (a mark that an event is there serves as one), so that a shopper without
    events has a state of zeros. Unlike ``din`` it reads the window once, whatever the candidate: what it has read
    meets the candidate in their product, number by number. ``loss``, with score s, gain g and y = 1 where g > 0:

        mse             mean over rows of n (s − g)²
        cross_entropy   mean over rows of n (−y ln σ(s) − (1 − y) ln(1 − σ(s)))
        bpr             mean over requests of W times the mean of −ln σ(sᵢ − sⱼ) over pairs with gᵢ > gⱼ

    n is a row's weight times the candidates that it stands for, W the largest weight of the request's rows; by its
    weights over W a pair counts.

    Examples
    --------
    >>> from vetrina.testing import sample_rows
    >>> rows = sample_rows(40)
    >>> ranker = LSTM(epochs=2, dim=4, units=4, hidden=8, loss="bpr").fit(rows)
    >>> ranker.score(rows.features, rows.asked).shape == rows.gain.shape
    True
    """

    config_type = LSTMConfig

    def _begin(self, rows: TrainingRows) -> dict[str, npt.NDArray[Any]]:
        return {"gain": rows.gain.astype(np.float32)}

    def _modules(self, torch: Any, width: int) -> tuple[Any, Any]:
        config: LSTMConfig = self.config
        reader = _reader(torch, config.dim, config.units)
        return reader, tower_module(torch, width + 2 * config.dim, (0, 1), (config.hidden, config.hidden // 2), 1)

    def _export(self, reader: Any) -> bytes:
        weights = {name: one.detach().numpy() for name, one in reader.named_parameters()}
        inner, recurrent = (cell_weights("lstm", weights[f"cell.weight_{part}_l0"])[None] for part in ("ih", "hh"))
        dim, units = self.config.dim, self.config.units
        graph = Graph({"past": ["batch", "window", dim], "marks": ["batch", "window", MARKS]})
        by_place = graph.add("Transpose", graph.add("Concat", "past", "marks", axis=2), perm=[1, 0, 2])
        states = graph.add("LSTM", by_place, inner, recurrent, hidden_size=units)  # (window, 1, batch, units)
        last = graph.add("Squeeze", graph.add("Gather", states, np.array(-1), axis=0), np.array([0]))
        return graph.written({"read": graph.add("MatMul", last, weights["out.weight"].T)}, {"read": ["batch", dim]})

    def _read(self, network: Any, vectors: Any, prepared: Any) -> Any:
        read = network(vectors[prepared["past"]], prepared["marks"])[0]
        return (read[prepared["request"]],)

    def _loss(self, torch: Any, outputs: Any, batch: dict[str, Any]) -> Any:
        score, gain, weight = outputs[:, 0], batch["gain"], batch["alone"]
        if self.config.loss == "bpr":
            return bpr(torch, score, batch)
        if self.config.loss == "mse":
            return ((score - gain) ** 2 * weight).mean()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return entropy(score, (gain > 0).to(score.dtype), weight)

    def _usual(self, targets: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        gain, weight = targets["gain"], targets["alone"]
        share = np.clip(np.average(gain > 0, weights=weight), 1e-6, 1 - 1e-6)
        usual = {"mse": np.average(gain, weights=weight), "cross_entropy": np.log(share / (1 - share)), "bpr": 0.0}
        return np.array([usual[self.config.loss]], dtype=np.float32)

    @property
    def _valued(self) -> Valued:
        return _itself


def _itself(outputs: Doubles) -> tuple[Doubles, Doubles]:
    return outputs[:, 0], np.ones_like(outputs)


def _reader(torch: Any, dim: int, units: int) -> Any:
    """The LSTM, and a map of its last state to as many numbers as an item's vector has."""

    class Reader(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.LSTM(dim + MARKS, units, batch_first=True, bias=False)
            self.out = torch.nn.Linear(units, dim, bias=False)

        def forward(self, past: Any, marks: Any) -> Any:
            """Of (batch, window, dim) and (batch, window, MARKS): what is read, (batch, dim)."""
            return (self.out(self.cell(torch.cat([past, marks], dim=2))[0][:, -1]),)

    return Reader()
