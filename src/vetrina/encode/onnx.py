"""Networks as ONNX files: exported from torch once they are trained, run by ONNX Runtime ever after.

torch is imported where a network is trained or exported, and nowhere else: what
serves a shop needs ONNX Runtime alone.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError, MissingExtra, SnapshotError

if TYPE_CHECKING:
    import torch

__all__ = ["Network", "export_network", "found_again", "import_torch", "in_int8"]

_WORTHWHILE = 0.9  # of a network's size, above which making it smaller is not worth the rounding


class Network:
    """A network in memory, run by ONNX Runtime.

    Parameters
    ----------
    model : bytes
        An ONNX file.
    device : str
        "cpu", or "cuda" where ONNX Runtime has been installed with it.

    Raises
    ------
    MissingExtra
        When ONNX Runtime is not installed.
    DataError
        When the bytes are not a network that it can run.
    """

    def __init__(self, model: bytes, device: str = "cpu") -> None:
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("Running a network needs ONNX Runtime: pip install 'vetrina[neural]'.") from None
        self.model = model
        options = onnxruntime.SessionOptions()
        # Whoever has much to encode runs parts of it side by side, and a server its requests: that keeps
        # all cores busier than several threads in one layer, which wait for one another.
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        wanted = [f"{device.partition(':')[0].upper()}ExecutionProvider"] if device != "cpu" else []
        there = onnxruntime.get_available_providers()
        if missing := [one for one in wanted if one not in there]:
            raise MissingExtra(f"ONNX Runtime has no {missing[0]} here: install onnxruntime-gpu, or set device to cpu.")
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, [*wanted, "CPUExecutionProvider"])
        except Exception as error:  # (ONNX Runtime's errors share no base but this)
            raise DataError(f"Not a network that ONNX Runtime can run: {str(error).splitlines()[0]}") from error

    @property
    def inputs(self) -> dict[str, list[int | str | None]]:
        """Name and shape of every input; a length that may vary is a name or None."""
        return {one.name: list(one.shape) for one in self._session.get_inputs()}

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [one.name for one in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Every output for a batch of inputs."""
        answers: list[npt.NDArray[Any]] = self._session.run(None, dict(inputs))
        return answers

    def save(self, path: Path) -> None:
        """Write the ONNX file."""
        path.write_bytes(self.model)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> Self:
        """Read an ONNX file.

        Raises
        ------
        SnapshotError
            When it is missing or damaged.
        """
        try:
            return cls(path.read_bytes(), device)
        except (OSError, DataError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error


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


def import_torch(what: str, device: str = "cpu", extra: str = "torch") -> Any:
    """The module torch, for training ``what`` on ``device``; ``extra`` is the one to install where it is missing.

    Raises
    ------
    MissingExtra
        When it is not installed, or finds no such device.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra(f"{what} needs torch: pip install 'vetrina[{extra}]'.") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise MissingExtra(f"torch finds no {device} here: install torch for CUDA, or set device to cpu.")
    return torch


def export_network(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    dynamic: Mapping[str, Sequence[int]],
) -> bytes:
    """A trained torch module as the bytes of an ONNX file.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode.
    inputs : mapping of str to Tensor
        An example of each input of ``forward``, by name and in order; of two rows and more, for a
        length of 1 would be taken for fixed.
    outputs : sequence of str
        Names of what ``forward`` returns.
    dynamic : mapping of str to sequence of int
        Axes of each input whose length may vary. The first axis of all is the batch; others have a length each.

    Raises
    ------
    MissingExtra
        When torch or its exporter is not installed.
    """
    torch = import_torch("Exporting a network")
    try:
        import onnxscript  # noqa: F401  (what the exporter writes the graph with)
    except ImportError:
        raise MissingExtra("Exporting a network needs onnxscript: pip install 'vetrina[torch]'.") from None
    batch = torch.export.Dim("batch")
    axes = {
        name: {axis: batch if axis == 0 else torch.export.Dim(f"{name}_{axis}") for axis in places}
        for name, places in dynamic.items()
    }
    file = io.BytesIO()
    # It tells of every optional library that is not there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own insides
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(axes.get(name, {}) for name in inputs),
            dynamo=True,
            verbose=False,
        )
        program.save(file, external_data=False)
    return file.getvalue()
