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

import numpy.typing as npt

from vetrina.core.errors import DataError, MissingExtra, SnapshotError

if TYPE_CHECKING:
    import torch

__all__ = ["Network", "export_network", "import_torch"]


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
