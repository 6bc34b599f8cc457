"""Fusers: gradients against differences, planted truth, what is missing, and what there is too little of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vetrina.core.errors import ConfigError, DataError, NotFitted, SnapshotError
from vetrina.core.pairs import Pairs
from vetrina.testing import sample_vectors
from vetrina.vectors import PCA, Attention, Concat, Fuser, Gated, fuse
from vetrina.vectors.learned import LearnedFuser, _contrast

Floats = npt.NDArray[np.float32]

SMALL: dict[str, Any] = {"dimensions": 10, "enough": 50, "steps": 60, "batch": 64}
WEIGHTS = {"text": 1.0, "photo": 1.0, "attributes": 0.7}


def planted(n_items: int = 240, seed: int = 0) -> tuple[dict[str, Floats], Pairs, npt.NDArray[np.int64]]:
    """Items of eight kinds. The text says the kind; the photo says it of even items, and is noise of odd ones.

    Which it is, the first number of the photo tells. Items of one kind are chosen together.
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(n_items) // 2 % 8
    told = rng.normal(size=(8, 12))[kind]
    noise = rng.normal(size=(n_items, 12))
    even = (np.arange(n_items) % 2 == 0)[:, None]
    text = told + 1.5 * rng.normal(size=(n_items, 12))
    photo = np.concatenate([np.where(even, 4.0, -4.0), np.where(even, told, 2 * noise)], axis=1)
    vectors = {name: _unit(rows) for name, rows in (("text", text), ("photo", photo))}
    left, right = np.triu_indices(n_items, 1)
    together = (kind[left] == kind[right]) & (rng.random(len(left)) < 0.2)
    return vectors, Pairs(left[together], right[together], np.ones(int(together.sum()), dtype=np.float32)), kind


def _unit(rows: npt.NDArray[np.floating]) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def found(fused: Floats, kind: npt.NDArray[np.int64], k: int = 10) -> float:
    """Share of the ten nearest that are of the same kind."""
    cosine = fused @ fused.T
    np.fill_diagonal(cosine, -2)
    nearest = np.argsort(-cosine, axis=1)[:, :k]
    return float(np.mean(kind[nearest] == kind[:, None]))


def test_concat_is_fusing_and_reducing() -> None:
    vectors, _ = sample_vectors()
    joined = fuse(vectors, WEIGHTS)
    wanted = PCA(dim=10).fit(joined)
    fuser = Concat(dimensions=10, weights=WEIGHTS).fit(vectors)
    np.testing.assert_allclose(fuser.transform(vectors), wanted.transform(joined), atol=1e-6)
    assert fuser.explained == pytest.approx(float(wanted.explained_.sum()), abs=1e-6)
    assert fuser.dim == 10


def test_dimensions_are_chosen_by_explained_variance() -> None:
    vectors, _ = sample_vectors()
    fuser = Concat(dimensions=30, explained=0.8).fit(vectors)
    assert 1 < fuser.dim < 30
    assert fuser.explained is not None
    assert fuser.explained >= 0.8
    assert Concat(dimensions=30, reducer="svd", explained=0.8).fit(vectors).dim < 30


def test_a_modality_of_no_weight_is_left_out() -> None:
    vectors, _ = sample_vectors()
    fuser = Concat(weights={"photo": 0.0, "attributes": 0.0}).fit(vectors)
    assert list(fuser.modalities_) == ["text"]
    other = {**vectors, "photo": vectors["photo"][::-1]}
    np.testing.assert_array_equal(fuser.transform(other), fuser.transform(vectors))


@pytest.mark.parametrize("kind", [Gated, Attention])
def test_slopes_are_those_of_finite_differences(kind: type[LearnedFuser]) -> None:
    """Every fifth number of what is learned, moved a little either way."""
    vectors, pairs = sample_vectors(40)
    fuser = kind(dimensions=4, enough=1, steps=3, batch=16).fit(vectors, pairs)
    rng = np.random.default_rng(1)
    fuser.gate_ = rng.normal(size=fuser.gate_.shape)  # type: ignore[assignment]  # in float64
    fuser.bias_, fuser.projection_ = rng.normal(size=3), fuser.projection_.astype(np.float64)  # type: ignore[assignment]
    rows = np.array([0, 3, 7, 8, 12, 20])
    there = np.ones((6, 3), dtype=bool)
    there[1, 1] = there[2, 0] = there[4, :2] = False
    left, right = (fuser._features(vectors, one) for one in (rows, rows[::-1] + 6))
    spared = np.linspace(0, 1, 6)
    right_items = np.array([5, 5, 1, 2, 3, 4])  # the first is met twice

    def loss() -> float:
        sides = fuser._pass(left, there), fuser._pass(right, there[::-1])
        return _contrast(sides[0].fused, sides[1].fused, right_items, spared, 0.3)[0]  # type: ignore[arg-type]

    sides = fuser._pass(left, there), fuser._pass(right, there[::-1])
    _, slopes = _contrast(sides[0].fused, sides[1].fused, right_items, spared, 0.3)  # type: ignore[arg-type]
    backs = [fuser._back(side, slope) for side, slope in zip(sides, slopes, strict=True)]
    for learned, first, second in zip(fuser._weights(), *backs, strict=True):
        flat = learned.reshape(-1)
        for place in range(0, flat.size, 5):
            kept = flat[place]
            flat[place] = kept + 1e-3
            above = loss()
            flat[place] = kept - 1e-3
            below = loss()
            flat[place] = kept
            slope = float((first + second).reshape(-1)[place])
            assert slope == pytest.approx((above - below) / 2e-3, abs=2e-3)


@pytest.mark.parametrize("kind", [Gated, Attention])
def test_what_is_chosen_together_comes_to_be_alike(kind: type[Fuser]) -> None:
    vectors, pairs, kinds = planted()
    plain = found(Concat(dimensions=12).fit(vectors).transform(vectors), kinds)
    fuser = kind(**{**SMALL, "steps": 200, "rate": 0.01, "itself": 0.2}).fit(vectors, pairs)
    learned = found(fuser.transform(vectors), kinds)
    assert learned > plain + 0.15


def test_gates_tell_for_each_item_which_modality_to_trust() -> None:
    vectors, pairs, _ = planted()
    fuser = Gated(**{**SMALL, "steps": 300, "rate": 0.02, "itself": 0.2}).fit(vectors, pairs)
    gate = fuser.gates(vectors)["photo"]
    assert gate[::2].mean() > gate[1::2].mean() + 0.2
    np.testing.assert_allclose(sum(fuser.gates(vectors).values()), 1, atol=1e-5)


def test_what_is_missing_costs_less_than_by_concatenation() -> None:
    vectors, pairs, kinds = planted()
    halved = {**vectors, "photo": vectors["photo"].copy()}
    halved["photo"][np.random.default_rng(0).random(len(kinds)) < 0.5] = 0
    drops = {}
    for name, make in (("concat", Concat(dimensions=12)), ("gated", Gated(**{**SMALL, "steps": 150}))):
        whole = found(make.fit(vectors, pairs).transform(vectors), kinds)
        drops[name] = whole - found(type(make)(make.config).fit(halved, pairs).transform(halved), kinds)
    assert drops["gated"] < drops["concat"]


def test_the_loss_falls_and_is_told() -> None:
    vectors, pairs, _ = planted()
    fuser = Gated(**{**SMALL, "steps": 100}).fit(vectors, pairs)
    points = fuser.curves_["loss by steps"]
    assert points[-1][0] == 100
    assert points[-1][1] < points[0][1] - 0.1


def test_too_few_pairs_are_concatenated_and_a_note_says_so(tmp_path: Path) -> None:
    vectors, pairs = sample_vectors()
    few = Pairs(pairs.left[:20], pairs.right[:20], pairs.weight[:20])
    plain = Concat(dimensions=10).fit(vectors)
    for kind in (Gated, Attention):
        fuser = kind(dimensions=10, enough=21).fit(vectors, few)
        np.testing.assert_array_equal(fuser.transform(vectors), plain.transform(vectors))
        assert "20 pairs" in fuser.note
        assert "fewer than the 21" in fuser.note
        assert fuser.explained == plain.explained
        assert fuser.gates(vectors) == {}
        fuser.save(tmp_path / kind.name)
        loaded = kind.load(tmp_path / kind.name)
        assert loaded.note == fuser.note
        np.testing.assert_array_equal(loaded.transform(vectors), plain.transform(vectors))
        assert kind(dimensions=10, enough=20).fit(vectors, few).note == ""
        assert kind(dimensions=10).fit(vectors).note.startswith("Fusion is plain concatenation: 0 pairs")


def test_pairs_of_items_of_which_nothing_is_known_do_not_count() -> None:
    vectors, _ = sample_vectors()
    nothing = np.full(60, len(vectors["text"]) - 1)
    pairs = Pairs(np.arange(60), nothing, np.ones(60, dtype=np.float32))
    assert "0 pairs" in Gated(dimensions=10, enough=50).fit(vectors, pairs).note


def test_misuse(tmp_path: Path) -> None:
    vectors, _ = sample_vectors()
    with pytest.raises(NotFitted, match="concat"):
        Concat().transform(vectors)
    with pytest.raises(DataError, match=r"'text': 120, 'photo': 119"):
        Concat().fit({"text": vectors["text"], "photo": vectors["photo"][1:]})
    with pytest.raises(ConfigError, match="no modality has a weight above 0"):
        Concat(weights={"text": 0.0}).fit({"text": vectors["text"]})
    with pytest.raises(ConfigError, match=r"weight of 'text' must be a number not below 0. Got -1.0"):
        Concat(weights={"text": -1.0})
    with pytest.raises(ConfigError, match=r"There is no reducer 'pac'. Did you mean 'pca'"):
        Concat(reducer="pac")
    with pytest.raises(ConfigError, match=r"fuse.whiten: the reducer 'random' has no such option"):
        Concat(reducer="random", whiten=True)
    Concat().fit(vectors).save(tmp_path)
    (tmp_path / "modalities.json").write_text("{")
    with pytest.raises(SnapshotError, match=r"modalities\.json"):
        Concat.load(tmp_path)
