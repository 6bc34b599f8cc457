"""Features on one scale, for rankers that multiply them: mean 0, standard deviation 1, the unknown at the mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["mean_and_scale", "standardised"]

Floats = npt.NDArray[np.float32]


def mean_and_scale(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of what is known of each feature: float32 of shape (n_features,).

    The deviation is 1 where nothing varies.
    """
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, features, 0).astype(np.float64)
    mean = (filled.sum(axis=0) / count).astype(np.float32)
    spread = np.sqrt((np.where(known, filled - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 1e-6, spread, 1).astype(np.float32)


def standardised(features: Floats, mean: Floats, scale: Floats) -> Floats:
    """(features − mean) / scale, and 0 where not known.

    Examples
    --------
    >>> features = np.array([[1, 5], [3, np.nan]], dtype=np.float32)
    >>> standardised(features, *mean_and_scale(features)).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    standard = (features - mean) / scale
    return np.where(np.isfinite(standard), standard, 0).astype(np.float32)
