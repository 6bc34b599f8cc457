"""What comes next, read from the window by a recurrent network.

Sources: B. Hidasi, A. Karatzoglou, L. Baltrunas and D. Tikk, Session-based recommendations with
recurrent neural networks (ICLR 2016), GRU4Rec; K. Cho et al., Learning phrase representations using
RNN encoder-decoder (EMNLP 2014), for the GRU; S. Hochreiter and J. Schmidhuber, Long short-term memory
(1997).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from vetrina.core import Choice, Whole, register
from vetrina.core.onnx import Graph, cell_weights
from vetrina.retrieve.sequence import SequenceConfig, SequenceModel

__all__ = ["Gru", "GruConfig"]


class GruConfig(SequenceConfig):
    """Size of the network, and how long it learns."""

    cell: Literal["gru", "lstm"] = Field(default="gru", description="What reads the window: a GRU or an LSTM.")
    hidden: int = Field(default=128, ge=1, description="Units of each layer.")


@register("retriever", "gru")
class Gru(SequenceModel):
    """A GRU or LSTM that reads the window event by event.

    Of x_t, the embeddings of item and kind, a GRU makes r = σ(W_r x + U_r h), z = σ(W_z x + U_z h),
    n = tanh(W_n x + r ∘ U_n h) and h' = (1 − z) ∘ n + z ∘ h. The score of item v is the softmax over all items of
    (W h)·e_v, h after the last event, and e_v = id_v + W·content_v.

    Examples
    --------
    >>> from vetrina.core import Query, Requests
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = Gru(dim=8, length=5, hidden=8, epochs=2).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> source.retrieve(requests, k=3, allowed=None)[0].shape
    (1, 3)
    """

    config_type = GruConfig
    space = {**SequenceModel.space, "cell": Choice("gru", "lstm"), "hidden": Whole(32, 256, log=True)}

    def _reader(self, torch: Any) -> Any:
        config = self.config

        class Recurrent(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
            """Embeddings (batch, length, dim) and where there are any (batch, length): states (batch, length, dim)."""

            def __init__(self) -> None:
                super().__init__()
                kind = torch.nn.GRU if config.cell == "gru" else torch.nn.LSTM
                # Without bias a cell that has read nothing but padding stays at zero.
                sizes = [config.dim, *[config.hidden] * config.layers]
                self.cells = torch.nn.ModuleList(
                    kind(wide, config.hidden, batch_first=True, bias=False) for wide in sizes[:-1]
                )
                self.out = torch.nn.Linear(config.hidden, config.dim)
                self.drop = torch.nn.Dropout(config.dropout)

            def forward(self, read: Any, mask: Any) -> Any:
                for cell in self.cells:
                    read = self.drop(cell(read)[0])
                return self.out(read)

        return Recurrent()

    def _as_onnx(self, reader: Any) -> bytes:
        config, weights = self.config, {name: one.numpy() for name, one in reader.state_dict().items()}
        graph = Graph({"read": ["batch", config.length, config.dim], "mask": ["batch", config.length]})
        options = {"linear_before_reset": 1} if config.cell == "gru" else {}
        x = graph.add("Transpose", "read", perm=[1, 0, 2])
        for number in range(config.layers):
            parts = (weights[f"cells.{number}.weight_{part}_l0"] for part in ("ih", "hh"))
            ordered = (cell_weights(config.cell, part)[None] for part in parts)
            x = graph.add(config.cell.upper(), x, *ordered, hidden_size=config.hidden, **options)
            x = graph.add("Squeeze", x, np.array([1]))
        last = graph.add("Gather", x, np.array(-1), axis=0)
        state = graph.add("Add", graph.add("MatMul", last, weights["out.weight"].T), weights["out.bias"])
        return graph.written({"state": state}, {"state": ["batch", config.dim]})
