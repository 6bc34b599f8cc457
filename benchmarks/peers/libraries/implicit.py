# /// script
# dependencies = ["implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1", "threadpoolctl==3.8.0"]
# ///
"""implicit: item-kNN, ALS and BPR (github.com/benfred/implicit)."""

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

DISTRIBUTIONS = ["implicit"]

# Options have the library's names; power is ours: what counts are taken to before they go in. Item-kNN is
# three of its classes, of which BM25 alone has K1 and B.
_KNN = {"bm25": BM25Recommender, "cosine": CosineRecommender, "tfidf": TFIDFRecommender}
RECOMMENDERS = {
    "implicit item-kNN": {
        "similarity": ["bm25", "cosine", "tfidf"],
        "K": {"low": 10, "high": 1000, "log": True, "default": 20},
        "K1": {"low": 0.1, "high": 4.0, "log": True, "default": 1.2},
        "B": {"low": 0.0, "high": 1.0, "default": 0.75},
        "power": {"low": 0.0, "high": 1.0, "default": 1.0},
    },
    "implicit ALS": {
        "factors": {"low": 16, "high": 256, "log": True, "default": 100},
        "regularization": {"low": 0.01, "high": 50.0, "log": True, "default": 0.01},
        "alpha": {"low": 0.5, "high": 40.0, "log": True, "default": 1.0},
        "iterations": {"low": 10, "high": 30, "default": 15},
        "power": {"low": 0.0, "high": 1.0, "default": 1.0},
    },
    "implicit BPR": {
        "factors": {"low": 16, "high": 128, "log": True, "default": 100},
        "learning_rate": {"low": 0.003, "high": 0.1, "log": True, "default": 0.01},
        "regularization": {"low": 0.001, "high": 0.1, "log": True, "default": 0.01},
        "iterations": {"low": 50, "high": 300, "default": 100},
    },
}


def fit(model, train, options):
    options = dict(options)
    power = options.pop("power", 1.0)
    if model == "implicit item-kNN":
        kind = options.pop("similarity", "bm25")
        if kind != "bm25":
            options = {name: options[name] for name in options if name == "K"}
        made = _KNN[kind](**options)
    elif model == "implicit ALS":
        made = AlternatingLeastSquares(random_state=train.seed, **options)
    else:
        made = BayesianPersonalizedRanking(random_state=train.seed, **options)
    with threadpool_limits(1, "blas"):
        made.fit(train.matrix(power), show_progress=False)
    return made, power, np.unique(train.user[train.user >= 0])


def rank(fitted, requests, k):
    made, power, known = fitted
    past = requests.matrix(power)
    if isinstance(made, BayesianPersonalizedRanking):
        # It cannot take in a new user: of those it does not know it knows nothing.
        scores = np.full((len(requests), requests.n_items), -np.inf)
        seen = np.isin(requests.user, known)
        scores[seen] = made.user_factors[requests.user[seen]] @ made.item_factors.T
    elif isinstance(made, AlternatingLeastSquares):
        with threadpool_limits(1, "blas"):
            scores = made.recalculate_user(np.arange(len(requests)), past) @ made.item_factors.T
        scores[np.diff(past.indptr) == 0] = -np.inf
    else:
        scores = (past @ made.similarity).toarray()
        scores[scores == 0] = -np.inf
    return requests.best(scores, k)


class _Replayed:
    """Gives implicit's evaluation lists that are there already, through the door of a model."""

    def __init__(self, lists):
        self.lists = lists

    def recommend(self, users, user_items, N):
        return self.lists[users, :N], np.ones((len(users), N), dtype=np.float32)


def own_evaluation(lists, truth, n_items, k):
    rows = np.repeat(np.arange(len(truth)), [len(one) for one in truth])
    right = sparse.csr_matrix((np.ones(len(rows)), (rows, np.concatenate(truth))), shape=(len(truth), n_items))
    found = ranking_metrics_at_k(_Replayed(lists), right, right, K=k, show_progress=False, num_threads=1)
    # Its precision divides by min(k, right answers) and its MAP too: other measures under the same names.
    return {"ndcg": found["ndcg"]}
