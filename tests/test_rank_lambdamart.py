"""LambdaMART: contributions against walking the trees, and planted orders that it must learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest

from vetrina.core.errors import DataError
from vetrina.rank import LambdaMART, TrainingRows
from vetrina.testing import sample_rows

Floats = npt.NDArray[np.float32]
SMALL: dict[str, Any] = {"trees": 30, "leaves": 8, "min_rows_in_leaf": 5, "threads": 1}


def rows_of(wanted: Any, n_requests: int = 150, seed: int = 0, per_request: int = 10) -> TrainingRows:
    """Rows of four features of which in each request the one of the highest ``wanted(features)`` was chosen."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_requests * per_request, 4)).astype(np.float32)
    worth = wanted(features).reshape(n_requests, per_request)
    gain = (worth == worth.max(axis=1, keepdims=True)).astype(np.float32).ravel()
    return TrainingRows(features, gain, np.full(n_requests, per_request, dtype=np.int64), ["a", "b", "c", "d"])


def reciprocal_rank(ranker: LambdaMART, rows: TrainingRows) -> float:
    """Mean of 1 / place of the chosen row; 0.29 by chance for ten rows."""
    size = int(rows.sizes[0])
    score, gain = ranker.score(rows.features).reshape(-1, size), rows.gain.reshape(-1, size)
    chosen = gain.argmax(axis=1)
    of_chosen = np.take_along_axis(score, chosen[:, None], axis=1)
    return float(np.mean(1 / (1 + (score > of_chosen).sum(axis=1))))


def literal_walk(ranker: LambdaMART, row: Floats) -> npt.NDArray[np.float64]:
    """Down each tree from its root: every split's feature is credited with the change of the node's value."""
    shares = np.zeros(len(row) + 1)
    for tree in ranker.booster_.dump_model()["tree_info"]:
        node = tree["tree_structure"]
        shares[-1] += node.get("internal_value", node.get("leaf_value"))
        while "split_feature" in node:
            value = float(row[node["split_feature"]])
            if np.isnan(value) and node["missing_type"] == "NaN":
                left = node["default_left"]
            else:
                left = (0.0 if np.isnan(value) else value) <= node["threshold"]
            child = node["left_child"] if left else node["right_child"]
            reached = child.get("internal_value", child.get("leaf_value"))
            shares[node["split_feature"]] += reached - node["internal_value"]
            node = child
    return shares


@pytest.fixture(scope="module")
def ranker() -> LambdaMART:
    return LambdaMART(**SMALL).fit(sample_rows())


def test_contributions_are_those_of_walking_the_trees(ranker: LambdaMART) -> None:
    features = sample_rows(seed=1).features  # with NaN
    got = ranker.contributions(features)
    np.testing.assert_allclose(got, [literal_walk(ranker, row) for row in features], atol=1e-5)


def test_a_feature_that_no_tree_splits_on_has_no_share(ranker: LambdaMART) -> None:
    features = sample_rows(seed=1).features
    unused = [number for number, share in enumerate(ranker.importance().values()) if share == 0]
    assert {4, 5} <= set(unused)  # one is never known, one never varies
    assert not ranker.contributions(features)[:, unused].any()


@pytest.mark.parametrize(
    ("wanted", "floor"),
    [
        (lambda x: x[:, 1], 0.9),
        (lambda x: -x[:, 2], 0.9),
        (lambda x: -np.abs(x[:, 0]), 0.8),  # in the middle: no line can say it
        (lambda x: np.minimum(x[:, 0], x[:, 3]), 0.7),  # both at once
    ],
    ids=["more", "less", "middle", "both"],
)
def test_a_planted_order_is_learned(wanted: Any, floor: float) -> None:
    options = {**SMALL, "trees": 80, "feature_share": 1.0, "learning_rate": 0.1}
    ranker = LambdaMART(**options).fit(rows_of(wanted))
    assert reciprocal_rank(ranker, rows_of(wanted, seed=1)) > floor


def test_importance_is_a_share_of_what_was_learned() -> None:
    importance = LambdaMART(**SMALL).fit(rows_of(lambda x: x[:, 1])).importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert max(importance, key=lambda name: importance[name]) == "b"
    assert importance["b"] > 0.6


def test_larger_gains_come_first() -> None:
    """Of what was clicked (1) and what was bought (3), the bought comes first: grades, not labels, are learned."""
    rows = rows_of(lambda x: x[:, 0])
    worth = rows.features[:, 0]
    graded = TrainingRows(
        rows.features, np.digitize(worth, [0.5, 1.5]).astype(np.float32) * 1.5, rows.sizes, rows.names
    )
    ranker = LambdaMART(**{**SMALL, "feature_share": 1.0}).fit(graded)
    steps = np.zeros((3, 4), dtype=np.float32)
    steps[:, 0] = (0, 1, 2)
    assert np.all(np.diff(ranker.score(steps)) > 0)


def test_a_log_without_a_choice_says_so() -> None:
    rows = sample_rows(5)
    none = TrainingRows(rows.features, np.zeros_like(rows.gain), rows.sizes, rows.names)
    with pytest.raises(DataError, match="no choice"):
        LambdaMART(**SMALL).fit(none)


def test_saved_as_text_that_a_person_can_read(ranker: LambdaMART, tmp_path: Path) -> None:
    ranker.save(tmp_path)
    assert (tmp_path / "trees.txt").read_text(encoding="utf-8").startswith("tree\n")
    loaded = LambdaMART.load(tmp_path)
    assert loaded.names_ == sample_rows().names
    assert loaded.importance() == pytest.approx(ranker.importance())


def test_another_seed_gives_another_forest_of_the_same_use() -> None:
    rows, fresh = rows_of(lambda x: x[:, 1]), rows_of(lambda x: x[:, 1], seed=1)
    first, second = (LambdaMART(**SMALL, seed=seed).fit(rows) for seed in (0, 1))
    assert not np.array_equal(first.score(rows.features), second.score(rows.features))
    assert abs(reciprocal_rank(first, fresh) - reciprocal_rank(second, fresh)) < 0.1


def written_out_ndcg(score: Floats, gain: Floats, k: int = 10) -> float:
    """Of one request."""
    discount = 1 / np.log2(np.arange(len(gain)) + 2) * (np.arange(len(gain)) < k)
    return float((gain[np.argsort(-score)] * discount).sum() / (np.sort(gain)[::-1] * discount).sum())


def test_the_training_curve_is_the_ndcg_of_the_rows_learned_from(ranker: LambdaMART) -> None:
    rows = sample_rows()
    (curve,) = ranker.curves_.values()
    assert list(ranker.curves_) == ["ndcg@10 by trees"]
    parts = np.split(np.arange(len(rows.gain)), np.cumsum(rows.sizes)[:-1])
    answered = [part for part in parts if rows.gain[part].any()]
    assert 0 < len(answered) < len(parts)  # a request of which nothing was chosen counts for nothing
    staged = dict(ranker.staged(rows.features))
    told = dict(curve)
    assert {1, 30} <= set(told) & set(staged)
    assert staged.keys() <= set(range(1, 31))
    score = staged[30]
    mean = np.mean([written_out_ndcg(score[part], rows.gain[part]) for part in answered])
    assert told[30] == pytest.approx(mean, abs=1e-9)
    assert told[30] > told[1]


def test_the_last_stage_is_the_whole(ranker: LambdaMART) -> None:
    features = sample_rows(seed=3).features
    stages = list(ranker.staged(features))
    assert [steps for steps, _ in stages] == sorted({steps for steps, _ in stages})
    np.testing.assert_allclose(stages[-1][1], ranker.score(features), atol=1e-6)
    one = np.asarray(ranker.booster_.predict(features, num_iteration=stages[2][0]))
    np.testing.assert_allclose(stages[2][1], one, atol=1e-6)
    assert list(ranker.staged(features[:0])) == []


def test_looking_at_the_curve_changes_no_tree(ranker: LambdaMART) -> None:
    rows = sample_rows()
    grades, label = np.unique(rows.gain, return_inverse=True)
    parameters = {
        "objective": "lambdarank", "label_gain": grades.tolist(), "lambdarank_truncation_level": 20, "num_leaves": 8,
        "learning_rate": 0.06, "min_data_in_leaf": 5, "feature_fraction": 0.7, "lambda_l2": 5.0, "max_bin": 127,
        "seed": 0, "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
    plain = lgb.train(parameters, lgb.Dataset(rows.features, label=label, group=rows.sizes), 30)
    without, looked_at = (np.asarray(one.predict(rows.features)) for one in (plain, ranker.booster_))
    np.testing.assert_array_equal(without, looked_at)


def test_curves_are_saved_with_what_learned(ranker: LambdaMART, tmp_path: Path) -> None:
    ranker.save(tmp_path)
    assert LambdaMART.load(tmp_path).curves_ == ranker.curves_


def test_rows_that_lightgbm_refuses_are_an_error_of_ours() -> None:
    """It takes 10,000 rows of a request at most."""
    gain = np.zeros(10_001, dtype=np.float32)
    gain[7] = 1
    rows = TrainingRows(np.zeros((10_001, 1), dtype=np.float32), gain, np.array([10_001]), ["a"])
    with pytest.raises(DataError, match=r"lambdamart cannot learn .* 10001 exceeds .* lower \[rank\] negatives"):
        LambdaMART(trees=2).fit(rows)
