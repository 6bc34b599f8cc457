"""How to explain a page of results: what each exact way costs in time and in quality.

    VETRINA_DATA=... python benchmarks/explain.py

On Online Retail (real people; the last 30 days are the test) and on the fashion shop (simulated
shoppers; the last 14 days). Three ways whose shares sum to the score:

path        credit each split on a row's way through a tree with the change of the node's value
TreeSHAP    Shapley values of the trees (LightGBM's pred_contrib)
families    every tree restricted to one family of features (interaction constraints), so that a
            family's share is the sum of its own trees

Time is of explaining 200 rows of one page, one thread, median and p99 of the repetitions, beside
scoring the same rows. Quality is NDCG@10 of the order; path and TreeSHAP explain the same trees.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from unittest.mock import patch

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from learn import Prepared, prepared
from vetrina.core import ItemList, Truth
from vetrina.engine import requests_from_log
from vetrina.engine.rows import ranker_rows
from vetrina.evaluate import bootstrap_difference, measure
from vetrina.rank import LambdaMART, TrainingRows

Floats = npt.NDArray[np.float32]
ROWS, REPETITIONS = 200, 30


def asked(shop: Prepared) -> tuple[list[Floats], list[ItemList], Truth, npt.NDArray[np.int32]]:
    """(features and lists of the requests of the test days, what was chosen, who asked)."""
    since, until = int(shop.train.time[-1]) + 1, int(shop.log.time[-1]) + 1
    test = requests_from_log(shop.log, since, until, window_size=shop.config.rank.window)
    parts = list(shop.engine.observe(shop.log).gather(test.requests))
    lists = [ItemList(part.lists.offsets, part.lists.item) for part in parts]
    return [part.features for part in parts], lists, test.truth, test.shopper


def ordered(score: Callable[[Floats], Floats], features: list[Floats], lists: list[ItemList]) -> ItemList:
    best: list[npt.NDArray[np.int32]] = []
    for part, some in zip(features, lists, strict=True):
        ranked = ItemList(some.offsets, some.item, {"score": score(part)}).sorted_by("score", 10)
        best += [ranked.list_of(row) for row in range(len(ranked))]
    return ItemList.from_lists(best)


def timed(explain: Callable[[Floats], object], rows: Floats) -> str:
    explain(rows)
    took = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        explain(rows)
        took.append((time.perf_counter() - begun) * 1000)
    return f"{np.median(took):8.2f} {np.percentile(took, 99):8.2f}"


def restricted(rows: TrainingRows, groups: list[list[int]]) -> lgb.Booster:
    """The same trees, learned from the same rows, but that each may use the features of one group alone."""
    train = lgb.train

    def with_constraints(parameters: dict[str, object], *given: object, **named: object) -> lgb.Booster:
        return train({**parameters, "interaction_constraints": groups}, *given, **named)

    with patch("vetrina.rank.trees.lgb.train", with_constraints):
        return LambdaMART().fit(rows).booster_


def by_family(booster: lgb.Booster, family: npt.NDArray[np.int64]) -> Callable[[Floats], Floats]:
    """Shares from trees of one family each: sum the leaves' values by the tree's family."""
    trees = booster.dump_model()["tree_info"]
    values = np.zeros((len(trees), max(tree["num_leaves"] for tree in trees)), dtype=np.float32)
    owner = np.zeros((len(trees), int(family.max()) + 1), dtype=np.float32)
    for number, tree in enumerate(trees):
        stack = [tree["tree_structure"]]
        while stack:
            node = stack.pop()
            if "split_feature" in node:
                owner[number, family[node["split_feature"]]] = 1
                stack += [node["left_child"], node["right_child"]]
            else:
                values[number, node.get("leaf_index", 0)] = node["leaf_value"]
    assert (owner.sum(axis=1) <= 1).all(), "a tree has features of two families"
    place = np.arange(len(trees))
    return lambda rows: (
        values[place, np.asarray(booster.predict(rows, pred_leaf=True, num_threads=1), dtype=np.intp)] @ owner
    )


def predicted(booster: lgb.Booster) -> Callable[[Floats], Floats]:
    return lambda part: np.asarray(booster.predict(part, num_threads=1), dtype=np.float32)


def shapley(booster: lgb.Booster) -> Callable[[Floats], object]:
    return lambda part: booster.predict(part, pred_contrib=True, num_threads=1)


def compare(name: str, title: str) -> None:
    shop = prepared(name)
    engine, rows = shop.engine, ranker_rows(shop.engine, shop.train, shop.config)
    features, lists, truth, shopper = asked(shop)
    ranker = LambdaMART().fit(rows)
    names = sorted(set(engine.reasons))
    family = np.array([names.index(reason) for reason in engine.reasons])
    groups = [np.flatnonzero(family == number).tolist() for number in range(len(names))]
    constrained = restricted(rows, groups)
    page = features[0][:ROWS]

    score = timed(predicted(ranker.booster_), page)
    path = timed(ranker.contributions, page)
    shap = timed(shapley(ranker.booster_), page)
    split = timed(by_family(constrained, family), page)
    free = measure(ordered(ranker.score, features, lists), truth, 10, ["ndcg"])
    tied = measure(ordered(predicted(constrained), features, lists), truth, 10, ["ndcg"])
    lost = bootstrap_difference(tied.values["ndcg@10"], free.values["ndcg@10"], shopper[free.requests])
    print(f"\n{title}: {len(rows.gain):,} training rows, {len(rows.names)} features, {len(names)} families")
    print(f"{'':34}{'ms':>8} {'p99':>8}  ndcg@10")
    print(f"{'score ' + str(ROWS) + ' rows':34}{score}  {free.mean('ndcg@10'):.4f}")
    print(f"{'explain them: path':34}{path}  {free.mean('ndcg@10'):.4f}")
    print(f"{'explain them: TreeSHAP':34}{shap}  {free.mean('ndcg@10'):.4f}")
    print(f"{'explain them: families':34}{split}  {tied.mean('ndcg@10'):.4f}")
    print(f"families minus free: {lost.mean:+.4f} [{lost.low:+.4f}, {lost.high:+.4f}]")
    exact = ranker.contributions(page).sum(axis=1)
    print(f"largest difference between path shares' sum and score: {np.abs(exact - ranker.score(page)).max():.1e}")


def main() -> None:
    compare("online-retail", "Online Retail")
    compare("fashion", "Fashion (SIMULATED shoppers)")


if __name__ == "__main__":
    main()
