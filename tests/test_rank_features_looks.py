"""Features of likeness against the weighted mean written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from planted import asked, items_of, lists_of, nothing, unit
from vetrina.core import EventKind, Query
from vetrina.rank.features import Looks

N = 8
RNG = np.random.default_rng(0)
ITEMS = items_of(N, {"fused": unit(RNG.normal(size=(N, 5))), "photo": unit(RNG.normal(size=(N, 3)))})
FAMILY = Looks(half_life_days=14.0, session_minutes=30.0, latest=3).fit(ITEMS, nothing(ITEMS))
MINUTE = 1 / 1440
PAST = [
    (0, EventKind.purchase, 28.0),
    (1, EventKind.hide, 14.0),
    (2, EventKind.view, 1.0),
    (3, EventKind.cart, 20 * MINUTE),
    (4, EventKind.click, 0.0),
]
WEIGHTS = {0: 3 / 4, 1: -1 / 2, 2: 2 ** (-1 / 14), 3: 2 * 2 ** (-20 * MINUTE / 14), 4: 1.0}


def column(name: str, past: list[tuple[int, EventKind, float]], query: Query) -> npt.NDArray[np.float32]:
    features = FAMILY.compute(asked([past], [query]), lists_of(range(N)))
    return features[:, FAMILY.names_.index(name)]


@pytest.mark.parametrize("modality", ["fused", "photo"])
def test_the_window_is_a_weighted_mean_in_which_hiding_counts_against(modality: str) -> None:
    rows = ITEMS.vectors[modality]
    mean = sum(weight * rows[item] for item, weight in WEIGHTS.items())
    np.testing.assert_allclose(column(f"window_{modality}", PAST, Query()), rows @ unit(np.asarray(mean)), atol=1e-5)


def test_the_session_is_the_last_half_hour() -> None:
    rows = ITEMS.vectors["fused"]
    mean = WEIGHTS[3] * rows[3] + WEIGHTS[4] * rows[4]
    np.testing.assert_allclose(column("session_fused", PAST, Query()), rows @ unit(mean), atol=1e-5)


def test_the_last_items_one_by_one() -> None:
    rows = ITEMS.vectors["fused"]
    np.testing.assert_allclose(column("last_fused", PAST, Query()), rows @ rows[4], atol=1e-6)
    nearest = (rows @ rows[[2, 3, 4]].T).max(axis=1)
    np.testing.assert_allclose(column("nearest_fused", PAST, Query()), nearest, atol=1e-6)


def test_an_item_asked_about() -> None:
    rows = ITEMS.vectors["photo"]
    np.testing.assert_allclose(column("like_photo", [], Query(like=6)), rows @ rows[6], atol=1e-6)


def test_who_did_nothing_is_like_nothing() -> None:
    features = FAMILY.compute(asked([[], PAST], [Query(), Query(like=2)]), lists_of([0, 1], [0, 1]))
    assert np.isnan(features[:2]).all()
    assert np.isfinite(features[2:]).all()


def test_only_the_modalities_there_are_have_features() -> None:
    assert "window_text" not in FAMILY.names_
    bare = items_of(3)
    family = Looks().fit(bare, nothing(bare))
    assert family.names_ == []
    assert family.compute(asked([[]]), lists_of([0, 1])).shape == (2, 0)
