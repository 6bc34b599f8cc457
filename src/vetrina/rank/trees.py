"""What the rankers of boosted trees share: learning by LightGBM, stages, contributions, saving.

Source: G. Ke et al., LightGBM (NeurIPS 2017). Contributions follow each row's
path through each tree: a split's feature is credited with the change of the
node's expected value (A. Saabas, Interpreting random forests, 2014). Unlike
TreeSHAP this takes one table look-up per tree, so that a page is explained
while it is served, and it sums to the score exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, Real, Whole
from vetrina.core.errors import DataError, MissingExtra
from vetrina.rank.base import Asked, Ranker, TrainingRows

try:
    import lightgbm as lgb
except OSError as error:  # its wheel has no OpenMP of its own
    raise MissingExtra(
        f"LightGBM cannot start: {error}. Install OpenMP: on Debian and Ubuntu apt-get install libgomp1, "
        "on macOS brew install libomp."
    ) from error

__all__ = ["Loss", "Trees", "TreesConfig"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# With fewer rows, several threads take as long as one, and all of the machine: to score, and to learn.
_FEW_ROWS = 1000
_FEW_TO_LEARN = 30_000

# Where the loss is looked at while learning: each look at 200,000 rows takes as long as a third of a tree.
_LOOKS = 40
_STAGES = 10


class TreesConfig(Config):
    """Options of the trees."""

    trees: int = Field(default=200, ge=1)
    leaves: int = Field(default=31, ge=2)
    learning_rate: float = Field(default=0.06, gt=0, le=1)
    min_rows_in_leaf: int = Field(default=40, ge=1)
    feature_share: float = Field(default=0.7, gt=0, le=1, description="Share of features tried in each tree.")
    l2: float = Field(default=5.0, ge=0)
    seed: int = 0
    threads: int = Field(default=0, ge=0, description="0: all cores.")


class Loss(NamedTuple):
    """What trees are to lower.

    Attributes
    ----------
    label : ndarray of shape (n_rows,)
        What LightGBM is told of each row.
    options : dict
        LightGBM's parameters of the loss; a function as ``objective`` where it has no such loss.
    curve : str
        What ``told`` tells.
    told : callable
        How good a booster is so far for the rows it learns from.
    """

    label: npt.NDArray[np.generic]
    options: dict[str, Any]
    curve: str
    told: Callable[[lgb.Booster], float]


class Trees(Ranker):
    """Base of the rankers of boosted trees, which say by :meth:`_loss` what the trees are to lower.

    A score is what the trees add up to, before any link function.
    """

    config_type = TreesConfig
    space = {
        "trees": Whole(50, 800, log=True),
        "leaves": Whole(7, 127, log=True),
        "learning_rate": Real(0.01, 0.2, log=True),
        "min_rows_in_leaf": Whole(5, 400, log=True),
        "feature_share": Real(0.3, 1),
        "l2": Real(0.1, 100, log=True),
    }

    def fit(self, rows: TrainingRows) -> Self:
        """Learn.

        Raises
        ------
        DataError
            When no row was chosen by anyone: there is no order to learn. When LightGBM refuses the rows.
        """
        if not (rows.gain > 0).any():
            raise DataError(
                "The log holds no choice (click, cart, purchase) among the candidates: nothing to learn from."
            )
        loss = self._loss(rows)
        config: TreesConfig = self.config
        parameters = {
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
            **loss.options,
        }
        # Names of attributes may hold what LightGBM's own format cannot: the trees know numbers.
        names = [f"f{place}" for place in range(len(rows.names))]
        data = lgb.Dataset(rows.features, label=loss.label, group=rows.sizes, weight=rows.weight, feature_name=names)
        curve: list[tuple[float, float]] = []
        looked = _steps(config.trees, _LOOKS)

        def look(env: lgb.callback.CallbackEnv) -> None:
            trees = env.iteration + 1
            if trees in looked:
                curve.append((trees, loss.told(cast(lgb.Booster, env.model))))

        try:
            booster = lgb.train(parameters, data, config.trees, callbacks=[look])
        except lgb.basic.LightGBMError as error:
            raise DataError(
                f"The ranker {self.name} cannot learn from these rows. LightGBM says: {error} Where a request has too "
                "many, lower [rank] negatives or the k of the sources."
            ) from error
        self._keep(booster, list(rows.names))
        self.curves_ = {f"{loss.curve} by trees": curve}
        return self

    def _loss(self, rows: TrainingRows) -> Loss:
        raise NotImplementedError

    def _keep(self, booster: lgb.Booster, names: list[str]) -> None:
        self.booster_ = booster
        self.names_ = names
        self._paths: _Paths | None = None

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("booster_")
        if not len(features):
            return np.empty(0, dtype=np.float32)
        return np.asarray(self._predict(features, raw_score=True), dtype=np.float32)

    def staged(self, features: Floats, asked: Asked | None = None) -> Iterator[tuple[int, Floats]]:
        """Scores of the first trees alone."""
        self.require_fitted("booster_")
        total, before = np.zeros(len(features)), 0
        for trees in _steps(self.booster_.num_trees(), _STAGES) if len(features) else []:
            total += self._predict(features, raw_score=True, start_iteration=before, num_iteration=trees - before)
            before = trees
            yield trees, total.astype(np.float32)

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("booster_")
        if self._paths is None:
            self._paths = _Paths(self.booster_)
        shares = np.empty((len(features), len(self.names_) + 1), dtype=np.float32)
        shares[:, -1] = self._paths.common
        if len(features):
            shares[:, :-1] = self._paths.credits(self._predict(features, pred_leaf=True).astype(np.int32))
        return shares

    def _predict(self, features: Floats, **what: Any) -> Doubles:
        """One thread for a page or two: waking the others costs more (8 ms of a busy machine for 20 rows)."""
        threads = 1 if len(features) <= _FEW_ROWS else int(self.config.threads)
        return np.asarray(self.booster_.predict(features, num_threads=threads, **what))

    def importance(self) -> dict[str, float]:
        """Share of the total gain that each feature brought to the training loss."""
        self.require_fitted("booster_")
        gain = self.booster_.feature_importance("gain")
        return dict(zip(self.names_, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True))

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "trees.txt").write_text(self.booster_.model_to_string(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        ranker = super().load(folder)
        ranker._keep(lgb.Booster(model_str=(folder / "trees.txt").read_text(encoding="utf-8")), ranker.names_)
        return ranker


def _steps(trees: int, count: int) -> list[int]:
    """About ``count`` numbers of trees from 1 to ``trees``, closer together where there are few."""
    return sorted({round(trees * (place / count) ** 2) for place in range(1, count)} - {0} | {1, trees})


class _Paths:
    """What each feature is credited with on the way to each leaf of each tree.

    Attributes
    ----------
    table : float64 of shape (n_trees * n_leaves, n_features)
        Leaf ``l`` of tree ``t`` is row ``t * n_leaves + l``.
    common : float
        Sum of the roots' values.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        trees = booster.dump_model()["tree_info"]
        n_leaves = max(tree["num_leaves"] for tree in trees)
        self.starts = np.arange(len(trees), dtype=np.int32) * n_leaves
        self.table = np.zeros((len(trees) * n_leaves, booster.num_feature()))
        self.common = 0.0
        for start, tree in zip(self.starts.tolist(), trees, strict=True):
            root = tree["tree_structure"]
            self.common += _value(root)
            # (node, credits so far by feature)
            stack: list[tuple[dict[str, Any], dict[int, float]]] = [(root, {})]
            while stack:
                node, credits = stack.pop()
                if "split_feature" not in node:
                    for feature, credit in credits.items():
                        self.table[start + node.get("leaf_index", 0), feature] = credit
                    continue
                for side in ("left_child", "right_child"):
                    child, feature = node[side], node["split_feature"]
                    change = _value(child) - _value(node)
                    stack.append((child, {**credits, feature: credits.get(feature, 0.0) + change}))

    def credits(self, leaves: npt.NDArray[np.int32]) -> Doubles:
        """Sum of the table's rows at the leaves, int32 of (n_rows, n_trees), that each row falls into."""
        # As a sparse product, which adds the rows up where they lie: to gather them first takes four times as long.
        places = (leaves.reshape(len(leaves), -1) + self.starts).ravel()
        ends = np.arange(len(leaves) + 1, dtype=np.int32) * len(self.starts)
        hits = sparse.csr_array((np.ones(len(places)), places, ends), shape=(len(leaves), len(self.table)))
        return np.asarray(hits @ self.table)


def _value(node: dict[str, Any]) -> float:
    return float(node["internal_value"] if "split_feature" in node else node["leaf_value"])
