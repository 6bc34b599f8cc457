"""Several vectors of one item, one per modality, made into one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import ConfigError, DataError, nearest

__all__ = ["fuse"]

Floats = npt.NDArray[np.float32]


def fuse(vectors: Mapping[str, npt.NDArray[np.floating]], weights: Mapping[str, float]) -> Floats:
    """Normalised, weighted concatenation.

    Each modality is scaled to unit length and then by the square root of its
    weight, so that the dot product of two items that have every modality is
    the weighted mean of their cosine similarities. What is there of an item is
    scaled to unit length again: an item without a photo is not shrunk.

    Parameters
    ----------
    vectors : mapping of str to ndarray of shape (n_items, dim)
        By modality; a row of zeros where an item lacks it.
    weights : mapping of str to float
        Not negative. A modality without a weight, or with 0, is left out.

    Returns
    -------
    float32 of shape (n_items, sum of the dims)
        Modalities in the order of ``vectors``; zero where an item has none of them.

    Raises
    ------
    ConfigError
        When a weight is negative, or names no modality that there is, or none is above 0.
    DataError
        When the modalities do not have the same number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> text, photo = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[5.0], [0.0]])
    >>> fuse({"text": text, "photo": photo}, {"text": 3.0, "photo": 1.0}).round(3).tolist()
    [[0.8659999966621399, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    for name, weight in weights.items():
        if name not in vectors:
            raise ConfigError(f"fuse: no vectors of modality {name!r}.{nearest(name, vectors)}")
        if not (np.isfinite(weight) and weight >= 0):
            raise ConfigError(f"fuse: the weight of {name!r} must be a number not below 0. Got {weight!r}.")
    used = [name for name in vectors if weights.get(name, 0.0) > 0]
    if not used:
        raise ConfigError(f"fuse: no modality has a weight above 0. There are: {', '.join(vectors) or 'none'}.")
    rows = {name: vectors[name].shape[0] for name in used}
    if len(set(rows.values())) > 1:
        raise DataError(f"fuse: the modalities differ in their number of rows: {rows}.")
    blocks, mass = [], np.zeros((rows[used[0]], 1), dtype=np.float32)
    for name in used:
        block = np.asarray(vectors[name], dtype=np.float32)
        length = np.linalg.norm(block, axis=1, keepdims=True)
        there = length > 1e-9
        blocks.append(block * (np.float32(np.sqrt(weights[name])) / np.where(there, length, np.inf)))
        mass += np.float32(weights[name]) * there
    joined = np.concatenate(blocks, axis=1)
    joined /= np.sqrt(np.where(mass > 0, mass, 1))
    return joined.astype(np.float32, copy=False)
