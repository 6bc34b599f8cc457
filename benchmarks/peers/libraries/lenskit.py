# /// script
# dependencies = [
#   "torch==2.13.0", "lenskit==2025.8.1", "numpy==2.4.6", "scipy==1.17.1", "pandas==2.3.3", "pyarrow==26.0.1",
# ]
# ///
"""LensKit: item-kNN, implicit MF by ALS, EASE (lenskit.org)."""

import numpy as np
import pandas as pd
import torch
from lenskit.als import ImplicitMFScorer
from lenskit.data import DatasetBuilder, ItemList, RecQuery
from lenskit.knn import EASEScorer, ItemKNNScorer
from lenskit.metrics.ranking import NDCG, Hit, LogRankWeight, Precision, RecipRank
from lenskit.training import TrainingOptions

DISTRIBUTIONS = ["lenskit", "torch"]

RECOMMENDERS = {
    "LensKit item-kNN": {
        "max_nbrs": {"low": 10, "high": 500, "log": True, "default": 20},
        "min_sim": {"low": 1e-6, "high": 0.05, "log": True, "default": 1e-6},
    },
    "LensKit ImplicitMF": {
        "embedding_size": {"low": 16, "high": 128, "log": True, "default": 50},
        "regularization": {"low": 0.01, "high": 10.0, "log": True, "default": 0.1},
        "weight": {"low": 1.0, "high": 60.0, "log": True, "default": 40.0},
        "epochs": {"low": 5, "high": 20, "default": 10},
    },
    "LensKit EASE": {"regularization": {"low": 1.0, "high": 5000.0, "log": True, "default": 1.0}},
}
_SCORERS = {
    "LensKit item-kNN": (ItemKNNScorer, {"feedback": "implicit"}),
    "LensKit ImplicitMF": (ImplicitMFScorer, {}),
    "LensKit EASE": (EASEScorer, {}),
}


def fit(model, train, options):
    torch.manual_seed(train.seed)
    known = train.user >= 0
    pairs = pd.DataFrame({"user_id": train.user[known], "item_id": train.item[known]}).drop_duplicates()
    builder = DatasetBuilder()
    builder.add_interactions("rating", pairs, entities=["user", "item"], missing="insert", default=True)
    kind, fixed = _SCORERS[model]
    scorer = kind(**fixed, **options)
    scorer.train(builder.build(), TrainingOptions(rng=train.seed))
    return scorer, np.unique(pairs["item_id"].to_numpy())


def rank(fitted, requests, k):
    scorer, items = fitted
    scores = np.full((len(requests), requests.n_items), -np.inf)
    candidates = ItemList(item_ids=items)
    for row, (start, stop) in enumerate(zip(requests.offsets[:-1], requests.offsets[1:], strict=True)):
        # What it did not learn of, it cannot be told of either.
        past = np.intersect1d(requests.item[start:stop], items)
        if len(past):
            query = RecQuery(user_id=int(requests.user[row]), history_items=ItemList(item_ids=past))
            scores[row, items] = scorer(query=query, items=candidates).scores()
    return requests.best(scores, k)


def own_evaluation(lists, truth, n_items, k):
    # Its NDCG does not discount the second place, as the first paper on it has it, unless told to.
    metrics = {
        "ndcg": NDCG(k, weight=LogRankWeight(offset=1)),
        "ndcg (as it is by default)": NDCG(k),
        "hit_rate": Hit(k),
        "precision": Precision(k),
        "mrr": RecipRank(k),
    }
    pairs = [
        (ItemList(item_ids=one, ordered=True), ItemList(item_ids=right))
        for one, right in zip(lists, truth, strict=True)
    ]
    # Its recall divides by min(k, right answers): another measure under the same name.
    return {name: np.mean([metric.measure_list(*pair) for pair in pairs]) for name, metric in metrics.items()}
