"""Blends: given weights written out, learned ones on planted members, and what is held out in time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest

from vetrina.core import ItemList, Items, Query, Requests, Windows
from vetrina.core.errors import ConfigError, DataError
from vetrina.rank import Asked, Blend, LambdaMART, Linear, MatchScore, TrainingRows
from vetrina.rank.blend import _spread
from vetrina.rank.pairs import RowPairs
from vetrina.testing import sample_rows, small_shop

Floats = npt.NDArray[np.float32]
TREES: dict[str, Any] = {"trees": 20, "leaves": 6, "min_rows_in_leaf": 5, "threads": 1}


def test_given_weights_add_scores_of_equal_spread() -> None:
    rows = sample_rows()
    members = {"match_score": {"weights": {"coverage": 5.0}}, "linear": {}, "lambdamart": TREES}
    weights = {"match_score": 0.5, "linear": 2.0, "lambdamart": 1.0}
    blend = Blend(members=members, weights=weights).fit(rows)
    fresh = sample_rows(seed=1).features
    wanted = np.zeros(len(fresh))
    request = np.repeat(np.arange(len(rows.sizes)), rows.sizes)
    makers = {"match_score": MatchScore, "linear": Linear, "lambdamart": LambdaMART}
    for name, maker in makers.items():
        ranker = maker(**members[name]).fit(rows)
        score = ranker.score(rows.features).astype(np.float64)
        about = np.concatenate([score[request == one] - score[request == one].mean() for one in range(len(rows.sizes))])
        wanted += weights[name] * ranker.score(fresh) / np.sqrt(np.mean(about**2))
    np.testing.assert_allclose(blend.score(fresh), wanted, atol=1e-4)


def test_contributions_are_those_of_the_members_weighed() -> None:
    rows = sample_rows()
    blend = Blend(members={"linear": {}, "lambdamart": TREES}).fit(rows)
    features = sample_rows(seed=1).features
    wanted = np.zeros((len(features), features.shape[1] + 1))
    for weight, member in zip(blend.weights_, blend.members_.values(), strict=True):
        wanted += weight * member.contributions(features).astype(np.float64)
    np.testing.assert_allclose(blend.contributions(features), wanted, atol=1e-5)


def planted(seed: int, n_requests: int = 200) -> TrainingRows:
    """Two features that each say as much of the choice, and a third that says nothing."""
    features = np.random.default_rng(seed).normal(size=(n_requests, 10, 3)).astype(np.float32)
    worth = features[:, :, 0] + features[:, :, 1]
    gain = (worth == worth.max(axis=1, keepdims=True)).astype(np.float32)
    return TrainingRows(features.reshape(-1, 3), gain.ravel(), np.full(n_requests, 10), ["a", "b", "noise"])


class Backwards(MatchScore):
    """Orders by the first feature, the worst first."""

    def fit(self, rows: TrainingRows) -> Self:
        super().fit(rows)
        self.weights_ = np.array([-1, 0, 0], dtype=np.float32)
        return self


class KnowsTheAnswers(MatchScore):
    """Knows by heart what it learned from, and nothing else."""

    def fit(self, rows: TrainingRows) -> Self:
        super().fit(rows)
        self.known = {tuple(row): gain for row, gain in zip(rows.features.tolist(), rows.gain.tolist(), strict=True)}
        return self

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        return np.array([self.known.get(tuple(row), 0) + 1e-3 * row[2] for row in features.tolist()], dtype=np.float32)


class Half(MatchScore):
    """Orders by the second feature, on a scale of its own."""

    def fit(self, rows: TrainingRows) -> Self:
        super().fit(rows)
        self.weights_ = np.array([0, 1000, 0], dtype=np.float32)
        return self


def blended(monkeypatch: pytest.MonkeyPatch, rows: TrainingRows, **members: type[MatchScore]) -> Blend:
    """A blend whose members are these classes in place of registered ones."""
    blend = Blend(members={name: {} for name in members})
    monkeypatch.setattr(Blend, "_member", lambda self, name: members[name]())
    return blend.fit(rows)


class OtherHalf(MatchScore):
    def fit(self, rows: TrainingRows) -> Self:
        super().fit(rows)
        self.weights_ = np.array([1, 0, 0], dtype=np.float32)
        return self


def test_learned_weights_are_on_the_members_own_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    blend = blended(monkeypatch, planted(0), linear=Half, match_score=OtherHalf)
    assert blend.weights_[0] * 1000 == pytest.approx(blend.weights_[1], rel=0.3)
    pairs, score = RowPairs.of(fresh := planted(1)), blend.score(planted(1).features)
    alone = fresh.features[:, 0]
    right, right_alone = ((one[pairs.better] > one[pairs.worse]).mean() for one in (score, alone))
    assert right > 0.99 > 0.9 > right_alone


def test_a_member_that_is_right_only_of_what_it_learned_from_has_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    blend = blended(monkeypatch, planted(0), linear=Half, network=KnowsTheAnswers)
    scores = np.stack([one.score(planted(0).features) for one in blend.members_.values()], axis=1)
    part = blend.weights_ * _spread(scores.astype(float), planted(0).sizes)
    assert part[1] < 0.05 * part[0]


def test_a_member_that_is_wrong_has_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    blend = blended(monkeypatch, planted(0), linear=Half, network=Backwards)
    assert blend.weights_[0] > 0
    assert blend.weights_[1] == 0


def test_members_learn_from_all_requests_in_the_end() -> None:
    rows = planted(0)
    blend = Blend(members={"linear": {}, "lambdamart": TREES}).fit(rows)
    alone = Linear().fit(rows)
    np.testing.assert_array_equal(blend.members_["linear"].score(rows.features), alone.score(rows.features))


def test_the_latest_are_held_out_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of requests with times, the latest fifth; without, the last."""
    rows = planted(0, 50)
    learned: list[Floats] = []

    class Tells(Half):
        def fit(self, rows: TrainingRows) -> Self:
            learned.append(rows.features[::10, 0])
            return super().fit(rows)

    blended(monkeypatch, rows, linear=Tells)
    assert learned[0].tolist() == rows.features[:400:10, 0].tolist()
    items, _ = small_shop()
    requests = Requests(Windows.empty(50), [Query()] * 50, np.arange(50)[::-1].copy())
    lists = ItemList(np.arange(51) * 10, np.zeros(500, dtype=np.int32))
    blended(monkeypatch, replace(rows, asked=Asked(requests, lists, items)), linear=Tells)
    assert learned[2].tolist() == rows.features[100::10, 0].tolist()
    assert len(learned[3]) == 50


def test_members_are_given_seed_and_device_but_what_they_say_themselves() -> None:
    blend = Blend(members={"lambdamart": {}, "pairwise": {"seed": 3}, "din": {}, "linear": {}}, seed=7, device="cuda")
    assert [blend._member(name).config.seed for name in ("lambdamart", "pairwise", "din")] == [7, 3, 7]
    assert blend._member("din").config.device == "cuda"


def test_without_a_choice_among_the_latest_all_count_alike() -> None:
    rows = planted(0)
    gain = rows.gain.copy()
    gain[1000:] = 0
    blend = Blend(members={"linear": {}, "match_score": {"weights": {"a": 1.0}}}).fit(replace(rows, gain=gain))
    scores = np.stack([one.score(rows.features) for one in blend.members_.values()], axis=1).astype(float)
    np.testing.assert_allclose(blend.weights_ * _spread(scores, rows.sizes), 1)
    with pytest.raises(DataError, match="nothing to learn"):
        Blend().fit(replace(rows, gain=np.zeros_like(gain)))


def test_row_weights_and_what_is_asked_go_with_the_rows() -> None:
    rows = planted(0, 6)
    items: Items = small_shop()[0]
    requests = Requests(Windows.empty(6), [Query(text=str(n)) for n in range(6)], np.arange(6))
    lists = ItemList(np.arange(7) * 10, np.arange(60, dtype=np.int32), {"score": np.arange(60) / 2})
    weight, outcome = np.arange(60, dtype=np.float32), np.arange(60, dtype=np.uint8)
    some = replace(rows, weight=weight, outcome=outcome, asked=Asked(requests, lists, items)).take(np.array([1, 4]))
    kept = [*range(10, 20), *range(40, 50)]
    assert some.asked is not None
    assert some.weight is not None
    assert some.outcome is not None
    assert some.features.tolist() == rows.features[kept].tolist()
    assert some.weight.tolist() == some.outcome.tolist() == some.asked.lists.item.tolist() == kept
    assert some.sizes.tolist() == some.asked.lists.sizes.tolist() == [10, 10]
    assert (some.asked.lists.columns["score"] * 2).tolist() == kept
    assert [query.text for query in some.asked.requests.queries] == ["1", "4"]
    assert rows.take(np.array([], dtype=np.int64)).features.shape == (0, 3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"members": {"lamdamart": {}}}, "lambdamart"),
        ({"members": {"lambdamart": {"tres": 5}}}, r"blend\.members\.lambdamart\.tres.*trees"),
        ({"members": {"blend": {}}}, "cannot be a member"),
        ({"members": {}}, "members"),
        ({"weights": {"linear": 1, "network": 1}}, r"blend\.weights\.network"),
        ({"weights": {"linear": 1}}, "Missing: lambdamart"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Blend(**options)


def test_saved_with_its_members(tmp_path: Path) -> None:
    rows = planted(0, 30)
    Blend(members={"linear": {}, "lambdamart": TREES}).fit(rows).save(tmp_path)
    assert sorted(path.name for path in (tmp_path / "members").iterdir()) == ["lambdamart", "linear"]
    assert Blend.load(tmp_path).curves_.keys() == {"lambdamart, ndcg@10 by trees", "linear, loss by iterations"}
