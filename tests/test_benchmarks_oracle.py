"""What `benchmarks/behaviour/oracle.py` calls a share of the way."""

from __future__ import annotations

import numpy as np
import pytest

from behaviour.oracle import share_of_the_way


def test_a_share_of_the_way_is_of_means_and_its_interval_is_by_shopper() -> None:
    rng = np.random.default_rng(0)
    start, end = rng.uniform(0, 0.2, 4000), np.ones(4000)
    shopper = np.repeat(np.arange(40), 100)
    by_shopper = np.repeat(rng.uniform(0.2, 0.8, 40), 100)  # how far each of them is served
    here = start + by_shopper * (end - start)
    told = share_of_the_way(start, here, end, shopper)
    assert told.mean == pytest.approx((here.mean() - start.mean()) / (end.mean() - start.mean()))
    assert told.low < told.mean < told.high
    # Forty shoppers say much less than four thousand requests would, if each were somebody else's.
    alone = share_of_the_way(start, here, end, np.arange(4000))
    assert (told.high - told.low) > 5 * (alone.high - alone.low)
