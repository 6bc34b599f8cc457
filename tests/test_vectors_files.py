"""A file of vectors that is written part by part is the file that NumPy writes at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.core.errors import DataError
from vetrina.engine.checksum import file_checksum
from vetrina.vectors.files import VectorFile, take_rows


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), max_size=6), dim=st.integers(1, 7), seed=st.integers(0, 9))
def test_parts_make_the_whole(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dim: int, seed: int) -> None:
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(sum(sizes), dim)).astype(np.float32)
    with VectorFile(folder / "ours.npy", len(rows), dim) as file:
        for part in np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []:
            file.write(part)
            places = rng.integers(0, file.written, 3) if file.written else np.empty(0, dtype=np.int64)
            assert np.array_equal(file.take(places), rows[places])
    np.save(folder / "numpy.npy", rows)
    assert (folder / "ours.npy").read_bytes() == (folder / "numpy.npy").read_bytes()
    assert file.checksum == file_checksum(folder / "ours.npy")
    assert np.array_equal(take_rows(folder / "ours.npy", np.arange(len(rows))), rows)


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "a", 2, 3)
    file.write(np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"rows of shape \(1, 4\) after 1. Expected 2 rows of 3"):
        file.write(np.zeros((1, 4)))
    with pytest.raises(DataError, match="after 1"):
        file.write(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"1 rows were written. Expected 2"), file:
        pass
