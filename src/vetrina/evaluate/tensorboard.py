"""Curves and figures of a measurement as event files, which TensorBoard shows beside those of other builds."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from vetrina.core.errors import MissingExtra, VetrinaError
from vetrina.evaluate.evaluation import Evaluation

__all__ = ["require_tensorboard", "write_tensorboard"]


def require_tensorboard() -> Any:
    """The class that writes event files.

    Raises
    ------
    MissingExtra
        When tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtra(
            "TensorBoard's files are written by tensorboardX, which is not installed. "
            "Install it with: pip install 'vetrina[tensorboard]'"
        ) from None
    return SummaryWriter


def write_tensorboard(folder: Path, evaluation: Evaluation) -> None:
    """Write one run: a scalar for each point of each curve, and for each figure of the main tables.

    Tags are paths: ``training/<component>/<figure>``, ``learning/<table>/<part>`` and
    ``<table>/<metric>/<system>``. Training and learning are by step; a figure stands at step 0.

    Parameters
    ----------
    folder : Path
        The run's own folder; give each build one, and TensorBoard the folder above.
    evaluation : Evaluation

    Raises
    ------
    MissingExtra
        When tensorboardX is not installed.
    VetrinaError
        When the folder cannot be written.
    """
    make = require_tensorboard()
    scalars = []
    for name, curve in evaluation.training.items():
        component, _, figure = name.rpartition(": ")
        scalars += [(("training", component, figure), y, x) for x, y in zip(curve.x, curve.y, strict=True)]
    for one in evaluation.comparisons:
        for part, curve in one.learning.items():
            scalars += [(("learning", one.table.title, part), y, x) for x, y in zip(curve.x, curve.y, strict=True)]
    for table in evaluation.tables:
        scalars += [
            ((table.title, metric, row.system), row.values[metric].mean, 0)
            for row in table.rows
            for metric in table.metrics
        ]
    try:
        with make(logdir=str(folder)) as writer:
            for path, value, step in scalars:
                if math.isfinite(value):
                    writer.add_scalar("/".join(map(_tag, path)), value, int(step))
    except OSError as error:
        raise VetrinaError(f"{folder}: cannot be written ({error.strerror}). Name another folder.") from error


def _tag(text: str) -> str:
    """What TensorBoard allows in one part of a tag."""
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_")
