"""Vectors of more items than fit in memory: a .npy file that is written part by part."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError

__all__ = ["VectorFile", "take_rows"]

Floats = npt.NDArray[np.float32]


class VectorFile:
    """A .npy file of float32 of shape (n_rows, dim), written from the first row to the last.

    It holds no row in memory: what was written can be taken back, and at the
    end the file is opened as any other, by ``np.load(path, mmap_mode="r")``.

    Parameters
    ----------
    path : Path
    n_rows, dim : int

    Raises
    ------
    DataError
        When rows have another length, or there are more or fewer of them than was said.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with VectorFile(Path(folder) / "text.npy", 3, 2) as file:
    ...         file.write(np.array([[1, 2], [3, 4]]))
    ...         file.write(file.take(np.array([0])))
    ...     np.load(Path(folder) / "text.npy").tolist()
    [[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]
    """

    def __init__(self, path: Path, n_rows: int, dim: int) -> None:
        self.path, self.n_rows, self.dim = path, n_rows, dim
        self.written = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._file = path.open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, dim)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.flush()
        self._digest.update(path.read_bytes())
        # The rest of the file is there from now on, all zeros, or what was written could not be mapped.
        self._file.truncate(self._file.tell() + n_rows * dim * 4)

    def write(self, rows: npt.NDArray[np.floating]) -> None:
        """Append rows: float32 of shape (n, dim)."""
        if rows.ndim != 2 or rows.shape[1] != self.dim or self.written + len(rows) > self.n_rows:
            expected = f"Expected {self.n_rows} rows of {self.dim}."
            raise DataError(f"{self.path}: rows of shape {rows.shape} after {self.written}. {expected}")
        data = np.ascontiguousarray(rows, dtype="<f4").tobytes()
        self._file.write(data)
        self._digest.update(data)
        self.written += len(rows)

    def take(self, places: npt.NDArray[np.integer]) -> Floats:
        """Rows that were written before: float32 of shape (len(places), dim)."""
        self._file.flush()
        return take_rows(self.path, places)

    @property
    def checksum(self) -> str:
        """What :func:`~vetrina.engine.checksum.file_checksum` says of the file, without reading it again."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None and self.written != self.n_rows:
            raise DataError(f"{self.path}: {self.written} rows were written. Expected {self.n_rows}.")


def take_rows(path: Path, places: npt.NDArray[np.integer]) -> Floats:
    """Some rows of a .npy file; nothing of it stays mapped, so that whoever takes all, part by part, holds one part."""
    rows: Floats = np.load(path, mmap_mode="r", allow_pickle=False)[places]
    return rows
