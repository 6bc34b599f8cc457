"""What comes next, read from the window by self-attention.

Source: W.-C. Kang and J. McAuley, Self-attentive sequential recommendation (ICDM 2018), section III; how
it learns is in :mod:`vetrina.retrieve.sequence_training`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from vetrina.core import Whole, register
from vetrina.core.onnx import Graph
from vetrina.retrieve.sequence import SequenceConfig, SequenceModel

__all__ = ["SasRec", "SasRecConfig"]

Floats = npt.NDArray[np.float32]

FAR = 1e9  # taken from what may not be heard


class SasRecConfig(SequenceConfig):
    """Size of the transformer, and how long it learns."""

    heads: int = Field(default=2, ge=1, description="Ways to heed the past, which divide the dimensions.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of heads, and {self.dim} is none of {self.heads}")
        return self


@register("retriever", "sasrec")
class SasRec(SequenceModel):
    """A causal transformer over the window: each event heeds what came before it.

    With h⁰ = embeddings of items, kinds of events and places in the window, counted from its end, each layer is
    a = h + W·attention(LN(h)), h' = a + W₂·ReLU(W₁·LN(a)), where place i of attention is
    Σ_{j ≤ i} softmax_j(q_i·k_j/√d) v_j in each of the ``heads``. The score of item v is the softmax over all items of
    LN(h at the last place)·e_v, and e_v = id_v + W·content_v.

    Examples
    --------
    >>> from vetrina.core import Query, Requests
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> source = SasRec(dim=8, length=5, layers=1, epochs=2).fit(items, log)
    >>> last = log.time[-1:]
    >>> requests = Requests(log.windows(log.shopper[-1:], last, 50), [Query()], last)
    >>> source.retrieve(requests, k=3, allowed=None)[0].shape
    (1, 3)
    """

    config_type = SasRecConfig
    space = {**SequenceModel.space, "layers": Whole(1, 3)}

    def _reader(self, torch: Any) -> Any:
        return _transformer(torch, self.config)

    def _as_onnx(self, reader: Any) -> bytes:
        config, weights = self.config, {name: one.numpy() for name, one in reader.state_dict().items()}
        length, dim, heads = config.length, config.dim, config.heads
        graph = Graph({"read": ["batch", length, dim], "mask": ["batch", length]})
        add = graph.add

        def normal(x: str, name: str) -> str:
            return add("LayerNormalization", x, weights[f"{name}.weight"], weights[f"{name}.bias"])

        def linear(x: str, weight: Floats, bias: Floats) -> str:
            return add("Add", add("MatMul", x, weight.T), bias)

        def by_head(x: str, perm: Sequence[int]) -> str:
            return add("Transpose", add("Reshape", x, np.array([0, 0, heads, dim // heads])), perm=perm)

        x = add("Add", "read", weights["places"])
        unheard = add("Unsqueeze", "mask", np.array([1, 2]))
        for number in range(config.layers):
            block = f"blocks.{number}."
            # Nobody asks what the last layer makes of any but the last place.
            asked = x if number < config.layers - 1 else add("Slice", x, *map(np.array, ([-1], [length], [1])))
            causal = np.tril(np.ones((length, length), dtype=np.float32))[None, None, 0 if asked == x else -1 :]
            far = add("Mul", add("Sub", add("Mul", unheard, causal), np.float32(1)), np.float32(FAR))
            whole, own = normal(x, f"{block}before_attention"), normal(asked, f"{block}before_attention")
            parts = zip(
                np.split(weights[f"{block}all.weight"], 3), np.split(weights[f"{block}all.bias"], 3), strict=True
            )
            q, k, v = (linear(one, *part) for one, part in zip((own, whole, whole), parts, strict=True))
            alike = add("MatMul", by_head(q, [0, 2, 1, 3]), by_head(k, [0, 2, 3, 1]))
            alike = add("Add", add("Mul", alike, np.float32((dim // heads) ** -0.5)), far)
            seen = add("MatMul", add("Softmax", alike, axis=3), by_head(v, [0, 2, 1, 3]))
            seen = add("Reshape", add("Transpose", seen, perm=[0, 2, 1, 3]), np.array([0, 0, dim]))
            x = add("Add", asked, linear(seen, weights[f"{block}mixed.weight"], weights[f"{block}mixed.bias"]))
            inner = normal(x, f"{block}before_inner")
            inner = add("Relu", linear(inner, weights[f"{block}inner.weight"], weights[f"{block}inner.bias"]))
            x = add("Add", x, linear(inner, weights[f"{block}outer.weight"], weights[f"{block}outer.bias"]))
        state = add("Squeeze", normal(x, "last"), np.array([1]))
        return graph.written({"state": state}, {"state": ["batch", dim]})


def _transformer(torch: Any, config: SasRecConfig) -> Any:
    dim, heads = config.dim, config.heads

    class Block(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        """Attention to what came before, then each place by itself."""

        def __init__(self) -> None:
            super().__init__()
            self.before_attention, self.before_inner = (torch.nn.LayerNorm(dim) for _ in range(2))
            self.all = torch.nn.Linear(dim, 3 * dim)
            self.mixed = torch.nn.Linear(dim, dim)
            self.inner, self.outer = torch.nn.Linear(dim, dim), torch.nn.Linear(dim, dim)
            self.drop = torch.nn.Dropout(config.dropout)

        def forward(self, x: Any, heard: Any) -> Any:
            batch, length = x.shape[0], x.shape[1]
            q, k, v = (
                one.reshape(batch, length, heads, dim // heads).transpose(1, 2)
                for one in self.all(self.before_attention(x)).split(dim, dim=2)
            )
            seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=heard)
            x = x + self.drop(self.mixed(seen.transpose(1, 2).reshape(batch, length, dim)))
            return x + self.drop(self.outer(torch.relu(self.inner(self.before_inner(x)))))

    class Transformer(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        """Embeddings (batch, length, dim) and where there are any (batch, length): states (batch, length, dim)."""

        def __init__(self) -> None:
            super().__init__()
            self.places = torch.nn.Parameter(0.02 * torch.randn(config.length, dim))
            self.blocks = torch.nn.ModuleList(Block() for _ in range(config.layers))
            self.last = torch.nn.LayerNorm(dim)

        def forward(self, read: Any, mask: Any) -> Any:
            length = read.shape[1]
            causal = torch.ones(length, length, device=read.device).tril()
            heard = ((causal[None] * mask[:, None, :] - 1) * FAR)[:, None]
            x = read + self.places[config.length - length :]
            for block in self.blocks:
                x = block(x, heard)
            return self.last(x)

    return Transformer()
