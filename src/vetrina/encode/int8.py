"""Networks made smaller: their matrices in 8 bits, where what they are for hardly suffers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vetrina.core.onnx import Network

__all__ = ["found_again", "in_int8"]

_WORTHWHILE = 0.9  # of a network's size, above which making it smaller is not worth the rounding


def in_int8(model: bytes, recall: Callable[[Network], float], device: str = "cpu") -> tuple[bytes, str]:
    """A network with its matrices in 8 bits, where that loses under 1% of recall.

    Matrices are rounded in blocks of 64 weights with a scale each, and so is what is multiplied with
    them, row by row: a row has the same answer alone as among others, as it would not where a whole
    batch is scaled at once. Convolutions, recurrent cells and embeddings stay floats.

    Parameters
    ----------
    model : bytes
        An ONNX file.
    recall : callable
        Share of what a network finds again of what it should; see :func:`found_again`.
    device : str

    Returns
    -------
    (bytes, str)
        The network to use, and what was decided; the network as it was and "" where there was nothing to decide:
        hardly any matrices, nothing that it finds, another device than a processor, or no package ``onnx``.
    """
    try:
        import onnx
        from onnxruntime.quantization import matmul_nbits_quantizer as blocks
    except ImportError:
        return model, ""
    if device != "cpu":
        return model, ""
    logging.getLogger(blocks.__name__).setLevel(logging.WARNING)  # it tells of every node
    options = blocks.DefaultWeightOnlyQuantConfig(block_size=64, is_symmetric=True, accuracy_level=4, bits=8)
    rounding = blocks.MatMulNBitsQuantizer(onnx.load_from_string(model), algo_config=options)
    rounding.process()
    smaller: bytes = rounding.model.model.SerializeToString()
    if len(smaller) > _WORTHWHILE * len(model):
        return model, ""
    before = recall(Network(model))
    if not before:
        return model, ""  # nothing to try it on
    after = recall(Network(smaller))
    told = f"recall at 10 of {after:.3f}, of {before:.3f} as floats"
    if after < 0.99 * before:
        return model, f"matrices stay floats, for 8 bits lose too much ({told})"
    return smaller, f"matrices in 8 bits ({told})"


def found_again(queries: npt.NDArray[np.float32], documents: npt.NDArray[np.float32], k: int = 10) -> float:
    """Share of queries whose own document, that of the same row, is among the k nearest (dot product).

    Of documents that are equally near the own one is the last. 0 where there are no more than k, among
    which anything would be found.

    Examples
    --------
    >>> rows = np.eye(3, dtype=np.float32)
    >>> found_again(rows, rows, 1), found_again(rows, rows[[1, 0, 2]], 1)
    (1.0, 0.3333333333333333)
    """
    if len(queries) <= k:
        return 0.0
    likeness = queries @ documents.T
    return float(np.mean((likeness >= likeness.diagonal()[:, None]).sum(axis=1) <= k))
