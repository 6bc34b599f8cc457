# /// script
# dependencies = ["cornac==3.0.1", "numpy==2.4.6", "scipy==1.17.1"]
# ///
"""Cornac: BPR, EASE and item-kNN (cornac.preferred.ai)."""

import numpy as np
from cornac.data import Dataset
from cornac.metrics import NDCG, HitRatio, Precision, Recall
from cornac.models import BPR, EASE

DISTRIBUTIONS = ["cornac"]

RECOMMENDERS = {
    "Cornac EASE": {"lamb": {"low": 1.0, "high": 5000.0, "log": True, "default": 500.0}, "posB": [True, False]},
    "Cornac BPR": {
        "k": {"low": 16, "high": 128, "log": True, "default": 10},
        "learning_rate": {"low": 0.001, "high": 0.1, "log": True, "default": 0.001},
        "lambda_reg": {"low": 0.0001, "high": 0.05, "log": True, "default": 0.01},
        "max_iter": {"low": 50, "high": 300, "default": 100},
    },
}


def fit(model, train, options):
    known = train.user >= 0
    pairs = np.unique(np.stack([train.user[known], train.item[known]], axis=1), axis=0)
    data = Dataset.from_uir([(int(user), int(item), 1.0) for user, item in pairs], seed=train.seed)
    made = (EASE if model == "Cornac EASE" else BPR)(seed=train.seed, verbose=False, **options)
    return made.fit(data), data


def rank(fitted, requests, k):
    made, data = fitted
    items = np.fromiter(data.iid_map, dtype=np.int64)
    scores = np.full((len(requests), requests.n_items), -np.inf)
    for row, user in enumerate(requests.user.tolist()):
        if user in data.uid_map:  # it cannot take in a new user
            scores[row, items] = np.asarray(made.score(data.uid_map[user])).ravel()
    return requests.best(scores, k)


def own_evaluation(lists, truth, n_items, k):
    metrics = {"ndcg": NDCG(k), "recall": Recall(k), "precision": Precision(k), "hit_rate": HitRatio(k)}
    found = {}
    for name, metric in metrics.items():
        values = [metric.compute(gt_pos=right, pd_rank=one) for one, right in zip(lists, truth, strict=True)]
        found[name] = np.mean(values)
    return found
