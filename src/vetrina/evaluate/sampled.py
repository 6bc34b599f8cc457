"""Candidates drawn at random, to reproduce published tables that rank the right items among a few others.

Figures of such tables are far higher than those of full ranking, and need not
even put systems in the same order: W. Krichene and S. Rendle, On Sampled
Metrics for Item Recommendation (KDD 2020). Tables made this way say SAMPLED.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vetrina.core import Truth
from vetrina.core.errors import ConfigError, DataError

__all__ = ["sample_candidates"]

Seed = int | np.random.Generator | None


def sample_candidates(
    truth: Truth,
    n_items: int,
    n: int,
    rng: Seed = 0,
    *,
    seen: Sequence[npt.NDArray[np.integer]] | None = None,
) -> list[npt.NDArray[np.int32]]:
    """The right items of each request, and ``n`` others drawn evenly from the catalogue without replacement.

    Parameters
    ----------
    truth : Truth
    n_items : int
        Of the catalogue.
    n : int
        Often 99, 100 or 1,000.
    rng : int, Generator or None
        0 by default: the same truth gives the same candidates, so that systems meet the same.
    seen : sequence of int arrays, optional
        Items of each request that are not drawn, such as what the shopper had before.

    Returns
    -------
    list of int32 arrays
        In order of the item, which tells nothing of which are right. To be given to
        ``Engine.rank`` as candidates; ``compare(..., sampled=n)`` marks the table.

    Raises
    ------
    ConfigError
        When ``n`` is below 1.
    DataError
        When a request has fewer than ``n`` items to draw from, or ``seen`` is of another length.

    Examples
    --------
    >>> [found] = sample_candidates(Truth.from_lists([{3: 1.0}]), n_items=1000, n=4)
    >>> len(found), 3 in found
    (5, True)
    """
    if n < 1:
        raise ConfigError(f"n: draw 1 candidate or more. Got {n}.")
    if seen is not None and len(seen) != len(truth):
        raise DataError(f"{len(seen)} lists of seen items were given for {len(truth)} requests; give one per request.")
    generator = np.random.default_rng(rng)
    candidates = []
    for request, (start, stop) in enumerate(zip(truth.offsets[:-1], truth.offsets[1:], strict=True)):
        right = truth.item[start:stop][truth.gain[start:stop] > 0]
        barred = right if seen is None else np.union1d(right, seen[request])
        if n_items - len(barred) < n:
            raise DataError(
                f"Request {request}: {n} candidates cannot be drawn from {n_items} items of which {len(barred)} are "
                "right or seen. Draw fewer."
            )
        drawn = generator.choice(n_items, n + len(barred), replace=False)
        candidates.append(np.sort(np.concatenate([right, drawn[~np.isin(drawn, barred)][:n]])).astype(np.int32))
    return candidates
