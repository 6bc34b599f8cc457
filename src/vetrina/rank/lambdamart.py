"""LambdaMART: boosted trees that learn the order of a list.

Source: C. Burges, From RankNet to LambdaRank to LambdaMART (MSR-TR-2010-82);
trees by LightGBM (Ke et al., NeurIPS 2017). Contributions follow each row's
path through each tree: a split's feature is credited with the change of the
node's expected value (A. Saabas, Interpreting random forests, 2014). Unlike
TreeSHAP this takes one table look-up per tree, so that a page is explained
while it is served, and it sums to the score exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config, Real, Whole, register
from vetrina.core.errors import DataError, MissingExtra
from vetrina.rank.base import Asked, Ranker, TrainingRows

try:
    import lightgbm as lgb
except OSError as error:  # its wheel has no OpenMP of its own
    raise MissingExtra(
        f"LightGBM cannot start: {error}. Install OpenMP: on Debian and Ubuntu apt-get install libgomp1, "
        "on macOS brew install libomp."
    ) from error

__all__ = ["LambdaMART", "LambdaMARTConfig"]

Floats = npt.NDArray[np.float32]

# With fewer rows, several threads take as long as one, and all of the machine: to score, and to learn.
_FEW_ROWS = 1000
_FEW_TO_LEARN = 30_000

# Where quality is looked at while learning: each look at 200,000 rows takes as long as a third of a tree.
_LOOKS = 40
_STAGES = 10
_CUT = 10


class LambdaMARTConfig(Config):
    """Options of the trees."""

    trees: int = Field(default=200, ge=1)
    leaves: int = Field(default=31, ge=2)
    learning_rate: float = Field(default=0.06, gt=0, le=1)
    min_rows_in_leaf: int = Field(default=40, ge=1)
    feature_share: float = Field(default=0.7, gt=0, le=1, description="Share of features tried in each tree.")
    l2: float = Field(default=5.0, ge=0)
    truncation: int = Field(default=20, ge=1, description="How deep into a list a swap counts.")
    seed: int = 0
    threads: int = Field(default=0, ge=0, description="0: all cores.")


@register("ranker", "lambdamart")
class LambdaMART(Ranker):
    """Gradient-boosted trees under the LambdaRank loss."""

    config_type = LambdaMARTConfig
    space = {
        "trees": Whole(50, 800, log=True),
        "leaves": Whole(7, 127, log=True),
        "learning_rate": Real(0.01, 0.2, log=True),
        "min_rows_in_leaf": Whole(5, 400, log=True),
        "feature_share": Real(0.3, 1),
        "l2": Real(0.1, 100, log=True),
        "truncation": Whole(5, 60, log=True),
    }

    def fit(self, rows: TrainingRows) -> Self:
        """Learn.

        Raises
        ------
        DataError
            When no row was chosen by anyone: there is no order to learn.
        """
        if not (rows.gain > 0).any():
            raise DataError(
                "The log holds no choice (click, cart, purchase) among the candidates: nothing to learn from."
            )
        grades, gain = np.unique(rows.gain, return_inverse=True)
        config: LambdaMARTConfig = self.config
        parameters = {
            "objective": "lambdarank",
            "label_gain": grades.tolist(),
            "lambdarank_truncation_level": config.truncation,
            "num_leaves": config.leaves,
            "learning_rate": config.learning_rate,
            "min_data_in_leaf": config.min_rows_in_leaf,
            "feature_fraction": config.feature_share,
            "lambda_l2": config.l2,
            "max_bin": 127,
            "seed": config.seed,
            "num_threads": 1 if len(rows.features) <= _FEW_TO_LEARN else config.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
            # Only looked at: trees grow as they would without.
            "metric": "ndcg",
            "eval_at": [_CUT],
        }
        data = lgb.Dataset(
            rows.features, label=gain, group=rows.sizes, feature_name=[f"f{place}" for place in range(len(rows.names))]
        )
        curve: list[tuple[float, float]] = []
        chosen = np.add.reduceat(rows.gain, np.cumsum(rows.sizes) - rows.sizes) > 0
        looked = _steps(config.trees, _LOOKS)

        def look(env: lgb.callback.CallbackEnv) -> None:
            trees = env.iteration + 1
            if trees in looked:
                ndcg = cast(lgb.Booster, env.model).eval_train()[0][2]
                # LightGBM gives 1 to a request of which nothing was chosen; it has no order to be right about.
                curve.append((trees, float((ndcg - 1) / chosen.mean() + 1)))

        # Names of attributes may hold what LightGBM's own format cannot: the trees know numbers.
        self._keep(lgb.train(parameters, data, config.trees, callbacks=[look]), list(rows.names))
        self.curves_ = {f"ndcg@{_CUT} by trees": curve}
        return self

    def _keep(self, booster: lgb.Booster, names: list[str]) -> None:
        self.booster_ = booster
        self.names_ = names
        self._tables: tuple[Floats, float] | None = None

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("booster_")
        if not len(features):
            return np.empty(0, dtype=np.float32)
        return np.asarray(self.booster_.predict(features, num_threads=self._threads(features)), dtype=np.float32)

    def staged(self, features: Floats, asked: Asked | None = None) -> Iterator[tuple[int, Floats]]:
        """Scores of the first trees alone."""
        self.require_fitted("booster_")
        total, before = np.zeros(len(features)), 0
        for trees in _steps(self.booster_.num_trees(), _STAGES) if len(features) else []:
            threads = self._threads(features)
            added = self.booster_.predict(
                features, start_iteration=before, num_iteration=trees - before, num_threads=threads
            )
            total += np.asarray(added)
            before = trees
            yield trees, total.astype(np.float32)

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("booster_")
        if self._tables is None:
            self._tables = _path_tables(self.booster_)
        table, common = self._tables
        result = np.empty((len(features), table.shape[2] + 1), dtype=np.float32)
        result[:, -1] = common
        if len(features):
            threads = self._threads(features)
            leaves = np.asarray(self.booster_.predict(features, pred_leaf=True, num_threads=threads), dtype=np.intp)
            result[:, :-1] = table[np.arange(table.shape[0]), leaves].sum(axis=1, dtype=np.float64)
        return result

    def _threads(self, features: Floats) -> int:
        """One for a page or two: waking the others costs more than the page (8 ms of a busy machine for 20 rows)."""
        return 1 if len(features) <= _FEW_ROWS else int(self.config.threads)

    def importance(self) -> dict[str, float]:
        """Share of the total gain that each feature brought to the training loss."""
        self.require_fitted("booster_")
        gain = self.booster_.feature_importance("gain")
        return dict(zip(self.names_, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True))

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "trees.txt").write_text(self.booster_.model_to_string(), encoding="utf-8")
        (folder / "names.json").write_text(json.dumps(self.names_), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        ranker = super().load(folder)
        names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        ranker._keep(lgb.Booster(model_str=(folder / "trees.txt").read_text(encoding="utf-8")), names)
        return ranker


def _steps(trees: int, count: int) -> list[int]:
    """About ``count`` numbers of trees from 1 to ``trees``, closer together where there are few."""
    return sorted({round(trees * (place / count) ** 2) for place in range(1, count)} - {0} | {1, trees})


def _path_tables(booster: lgb.Booster) -> tuple[Floats, float]:
    """(credit of each feature on the way to each leaf: (n_trees, n_leaves, n_features); sum of the roots' values)."""
    trees = booster.dump_model()["tree_info"]
    n_leaves = max(tree["num_leaves"] for tree in trees)
    table = np.zeros((len(trees), n_leaves, booster.num_feature()), dtype=np.float32)
    common = 0.0
    for number, tree in enumerate(trees):
        root = tree["tree_structure"]
        common += _value(root)
        # (node, credits so far by feature)
        stack: list[tuple[dict[str, Any], dict[int, float]]] = [(root, {})]
        while stack:
            node, credits = stack.pop()
            if "split_feature" not in node:
                for feature, credit in credits.items():
                    table[number, node.get("leaf_index", 0), feature] = credit
                continue
            for side in ("left_child", "right_child"):
                child, feature = node[side], node["split_feature"]
                change = _value(child) - _value(node)
                stack.append((child, {**credits, feature: credits.get(feature, 0.0) + change}))
    return table, common


def _value(node: dict[str, Any]) -> float:
    return float(node["internal_value"] if "split_feature" in node else node["leaf_value"])
