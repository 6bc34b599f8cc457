"""The part of a neural ranker that turns a row of numbers into scores: cross layers beside dense layers.

Learned in torch, computed and explained in NumPy: an explanation needs the slope of the score, which
what runs a network does not give.

Sources: R. Wang et al., DCN V2: Improved Deep & Cross Network (WWW 2021), for the cross layers, low-rank
(section 3.3) and parallel to the dense ones (section 3.2); S. Elfwing, E. Uchibe and K. Doya,
Sigmoid-weighted linear units (Neural Networks 2018), for the smooth activation of the latter; M. Sundararajan,
A. Taly and Q. Yan, Axiomatic attribution for deep networks (ICML 2017), for integrated gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vetrina.rank.network import sigmoid

__all__ = ["Tower", "tower_module"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: A score and its slope by each output: (n_rows,) and (n_rows, n_outputs), of outputs (n_rows, n_outputs).
Valued = Callable[[Doubles], tuple[Doubles, Doubles]]

# Gauss-Legendre points between the baseline and the row. The network is smooth, so few of them do.
_POINTS = 8


class Tower:
    """Cross and dense layers with learned weights.

    With x₀ the row, cross layer l is x₊₁ = x₀ ∘ (Uₗ(Vₗ x) + bₗ) + x, so that the last knows products of as many
    numbers of the row as there are layers, plus one. A dense layer is silu(W h + b), with silu(a) = a·σ(a). The
    outputs are linear in both ends.

    Parameters
    ----------
    weights : mapping of str to array
        ``cross_u`` (layers, width, rank), ``cross_v`` (layers, rank, width), ``cross_b`` (layers, width);
        ``dense_w0``, ``dense_b0``, ... (units, inputs) and (units,); ``out_w`` (n_outputs, width + units),
        ``out_b`` (n_outputs,).
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        # In doubles, so that a row scores the same alone as among others.
        self._weights = {name: np.asarray(one, dtype=np.float64) for name, one in weights.items()}
        self._n_dense = sum(name.startswith("dense_w") for name in weights)

    def outputs(self, rows: npt.NDArray[np.floating]) -> Doubles:
        """Outputs of each row: float64 of shape (n_rows, n_outputs)."""
        return self._forward(np.asarray(rows, dtype=np.float64))[0]

    def shares(self, rows: npt.NDArray[np.floating], valued: Valued) -> tuple[Doubles, Doubles, float]:
        """What each number of a row adds to its score, beside a row of zeros: integrated gradients.

        The share of number j is x_j ∫₀¹ ∂F(t·x)/∂x_j dt, by Gauss-Legendre quadrature. What the quadrature misses of
        F(x) − F(0) is dealt out in proportion to the size of the shares, so that they sum to it exactly.

        Parameters
        ----------
        rows : float of shape (n_rows, width)
        valued : callable
            The score F of outputs, and its slope by each of them.

        Returns
        -------
        (shares of shape (n_rows, width), scores of shape (n_rows,), score of a row of zeros)
        """
        x: Doubles = np.asarray(rows, dtype=np.float64)
        shares = x * self.slopes(x, valued)
        scores = valued(self.outputs(x))[0]
        zero = float(valued(self.outputs(np.zeros((1, x.shape[1]))))[0][0])
        size = np.abs(shares)
        whole = size.sum(axis=1, keepdims=True)
        missed = (scores - zero - shares.sum(axis=1))[:, None]
        shares += np.where(whole > 0, missed * size / np.where(whole > 0, whole, 1), 0)
        return shares, scores, zero

    def slopes(self, rows: npt.NDArray[np.floating], valued: Valued) -> Doubles:
        """Slope of the score by each number, averaged on the way from zeros: float64 of the shape of ``rows``."""
        x: Doubles = np.asarray(rows, dtype=np.float64)
        points, weights = np.polynomial.legendre.leggauss(_POINTS)
        slopes = np.zeros_like(x)
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            slopes += weight * self._slope(point * x, valued)
        return slopes

    def _forward(self, rows: Doubles) -> tuple[Doubles, list[Doubles], list[Doubles]]:
        """(outputs, input of each cross layer and what the last gives, input of each activation)."""
        weights = self._weights
        crossed = [rows]
        for u, v, b in zip(weights["cross_u"], weights["cross_v"], weights["cross_b"], strict=True):
            crossed.append(rows * (crossed[-1] @ v.T @ u.T + b) + crossed[-1])
        bent: list[Doubles] = []
        hidden = rows
        for layer in range(self._n_dense):
            bent.append(hidden @ weights[f"dense_w{layer}"].T + weights[f"dense_b{layer}"])
            hidden = bent[-1] * sigmoid(bent[-1])
        both = np.concatenate([crossed[-1], hidden], axis=1)
        return both @ weights["out_w"].T + weights["out_b"], crossed, bent

    def _slope(self, rows: Doubles, valued: Valued) -> Doubles:
        """Slope of the score by each number of each row: (n_rows, width)."""
        weights = self._weights
        outputs, crossed, bent = self._forward(rows)
        both = valued(outputs)[1] @ weights["out_w"]
        last, back = both[:, : rows.shape[1]], both[:, rows.shape[1] :]
        for layer in reversed(range(self._n_dense)):
            gate = sigmoid(bent[layer])
            back = (back * gate * (1 + bent[layer] * (1 - gate))) @ weights[f"dense_w{layer}"]
        slope = back
        for layer in reversed(range(len(crossed) - 1)):
            u, v, b = (weights[name][layer] for name in ("cross_u", "cross_v", "cross_b"))
            slope = slope + last * (crossed[layer] @ v.T @ u.T + b)
            last = (last * rows) @ u @ v + last
        return slope + last


def tower_module(torch: Any, width: int, cross: tuple[int, int], dense: tuple[int, ...], n_outputs: int) -> Any:
    """The same in torch, untrained; its parameters bear the names of :class:`Tower`'s weights.

    Parameters
    ----------
    torch : module
    width : int
        Numbers in a row.
    cross : (int, int)
        Cross layers, and their rank.
    dense : tuple of int
        Units of each dense layer.
    n_outputs : int
    """
    layers, rank = cross

    class Module(torch.nn.Module):  # type: ignore[misc]  # as torch comes in as an argument, it is Any
        def __init__(self) -> None:
            super().__init__()
            scale = (width * rank) ** -0.25  # the product of both has the size of an identity's share
            self.cross_u = torch.nn.Parameter(scale * torch.randn(layers, width, rank) * 0.3)
            self.cross_v = torch.nn.Parameter(scale * torch.randn(layers, rank, width) * 0.3)
            self.cross_b = torch.nn.Parameter(torch.zeros(layers, width))
            inputs = (width, *dense)
            for layer, units in enumerate(dense):
                weight = torch.randn(units, inputs[layer]) * (2 / inputs[layer]) ** 0.5
                self.register_parameter(f"dense_w{layer}", torch.nn.Parameter(weight))
                self.register_parameter(f"dense_b{layer}", torch.nn.Parameter(torch.zeros(units)))
            ends = width + inputs[-1]
            self.out_w = torch.nn.Parameter(torch.randn(n_outputs, ends) * 0.1 * ends**-0.5)
            self.out_b = torch.nn.Parameter(torch.zeros(n_outputs))

        def forward(self, rows: Any, dropout: float = 0.0) -> Any:
            crossed = rows
            for layer in range(layers):
                inner = crossed @ self.cross_v[layer].T @ self.cross_u[layer].T + self.cross_b[layer]
                crossed = rows * inner + crossed
            hidden = rows
            for layer in range(len(dense)):
                weight, bias = getattr(self, f"dense_w{layer}"), getattr(self, f"dense_b{layer}")
                hidden = torch.nn.functional.silu(torch.nn.functional.linear(hidden, weight, bias))
                hidden = torch.nn.functional.dropout(hidden, dropout, self.training)
            return torch.nn.functional.linear(torch.cat([crossed, hidden], dim=1), self.out_w, self.out_b)

    return Module()
