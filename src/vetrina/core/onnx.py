"""Networks as ONNX files: exported from torch once they are trained, run by ONNX Runtime ever after.

torch is imported where a network is trained or exported, and nowhere else: what
serves a shop needs ONNX Runtime alone.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError, MissingExtra, SnapshotError

if TYPE_CHECKING:
    import torch

__all__ = ["Graph", "Network", "cell_weights", "export_network", "import_onnx", "import_torch"]


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


class Graph:
    """A network written node by node, where torch's exporter is slow, or unrolls what is recurrent.

    Parameters
    ----------
    inputs : mapping of str to sequence of int or str
        Shape of each input, all floats; a length that may vary is a name.

    Examples
    --------
    >>> graph = Graph({"x": ["batch", 2]})
    >>> doubled = graph.add("Mul", "x", np.float32(2))
    >>> model = graph.written({"y": graph.add("Relu", doubled)}, {"y": ["batch", 2]})
    >>> Network(model).run({"x": np.array([[1, -1]], dtype=np.float32)})[0].tolist()
    [[2.0, 0.0]]
    """

    def __init__(self, inputs: Mapping[str, Sequence[int | str]]) -> None:
        self._onnx = import_onnx()
        self._inputs = dict(inputs)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, *inputs: str | npt.NDArray[Any] | np.generic, **attributes: Any) -> str:
        """Add a node with one output, whose name is given back; its inputs are such names, or constants."""
        name = f"node_{len(self._nodes)}"
        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        self._nodes.append(self._onnx.helper.make_node(operator, names, [name], **attributes))
        return name

    def _constant(self, array: npt.NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self._constants)}"
        # ONNX has no order of memory but one, and ascontiguousarray makes a number a row.
        self._constants.append(self._onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def written(self, outputs: Mapping[str, str], shapes: Mapping[str, Sequence[int | str]]) -> bytes:
        """The bytes of an ONNX file with ``outputs``, by name the node that each is, of ``shapes``."""
        helper, floats = self._onnx.helper, self._onnx.TensorProto.FLOAT
        named = [helper.make_node("Identity", [node], [name]) for name, node in outputs.items()]
        ends = [
            [helper.make_tensor_value_info(name, floats, list(shape)) for name, shape in each.items()]
            for each in (self._inputs, shapes)
        ]
        graph = helper.make_graph([*self._nodes, *named], "network", *ends, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        return bytes(model.SerializeToString())


def cell_weights(cell: str, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weights of a recurrent cell ("gru" or "lstm") with its gates in ONNX's order, from torch's."""
    # torch stacks the gates of a GRU as reset, update, new, and ONNX as update, reset, new;
    # those of an LSTM as in, forget, cell, out, and ONNX as in, out, forget, cell.
    gates = (1, 0, 2) if cell == "gru" else (0, 3, 1, 2)
    return np.concatenate([np.split(weights, len(gates))[gate] for gate in gates])


def import_onnx() -> Any:
    """The module onnx, for writing a network.

    Raises
    ------
    MissingExtra
        When it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtra("Exporting a network needs onnx: pip install 'vetrina[torch]'.") from None
    return onnx


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
            module.train(False),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(axes.get(name, {}) for name in inputs),
            dynamo=True,
            verbose=False,
        )
        program.save(file, external_data=False)
    return file.getvalue()
