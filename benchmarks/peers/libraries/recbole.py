# /// script
# dependencies = ["torch==2.13.0", "recbole==1.2.1", "numpy==1.26.4", "scipy==1.17.1", "pandas==2.1.4", "ray==2.6.3"]
# ///
"""RecBole: BPR, EASE and LightGCN (recbole.io). It needs NumPy below 2, hence the old neighbours."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import DataStruct
from recbole.sampler import Sampler
from recbole.utils import get_model, get_trainer, init_seed

DISTRIBUTIONS = ["recbole", "torch", "numpy"]

RECOMMENDERS = {
    "RecBole BPR": {
        "embedding_size": {"low": 16, "high": 128, "log": True, "default": 64},
        "learning_rate": {"low": 0.0003, "high": 0.01, "log": True, "default": 0.001},
        "weight_decay": {"low": 1e-7, "high": 1e-3, "log": True, "default": 1e-5},
        "epochs": {"low": 10, "high": 80, "log": True, "default": 40},
    },
    "RecBole EASE": {"reg_weight": {"low": 1.0, "high": 5000.0, "log": True, "default": 250.0}},
}


def _config(name, folder, options):
    fixed = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "load_col": {"inter": ["user_id", "item_id"]},
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "none", "order": "RO", "mode": "full"},
    }
    return Config(model=name, dataset="peers", config_dict={**fixed, **options})


def fit(model, train, options):
    name = model.removeprefix("RecBole ")
    known = train.user >= 0
    pairs = np.unique(np.stack([train.user[known], train.item[known]], axis=1), axis=0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "peers"
        folder.mkdir()
        rows = "\n".join(f"{user}\t{item}" for user, item in pairs.tolist())
        (folder / "peers.inter").write_text(f"user_id:token\titem_id:token\n{rows}\n", encoding="utf-8")
        config = _config(name, Path(made), {"seed": train.seed, **options})
        init_seed(config["seed"], config["reproducibility"])
        logging.getLogger().setLevel(logging.WARNING)
        data = create_dataset(config)
        data._change_feat_format()
        sampler = Sampler(["train"], [data], "uniform").set_phase("train")
        loader = TrainDataLoader(config, data, sampler, shuffle=True)
        made_model = get_model(name)(config, data).to(config["device"])
        get_trainer(config["MODEL_TYPE"], name)(config, made_model).fit(
            loader, None, saved=False, show_progress=False, verbose=False
        )
        made_model.train(False)  # it answers now: no dropout
    return made_model, data


def rank(fitted, requests, k):
    model, data = fitted
    users, items = data.field2token_id["user_id"], data.field2id_token["item_id"]
    place = np.array([int(token) for token in items[1:]])  # 0 is padding
    scores = np.full((len(requests), requests.n_items), -np.inf)
    with torch.no_grad():
        for row, user in enumerate(requests.user.tolist()):
            if str(user) in users:  # it cannot take in a new user
                asked = Interaction({"user_id": torch.tensor([users[str(user)]])})
                scores[row, place] = model.full_sort_predict(asked).numpy().ravel()[1:]
    return requests.best(scores, k)


def own_evaluation(lists, truth, n_items, k):
    names = {"ndcg": "NDCG", "recall": "Recall", "precision": "Precision", "hit_rate": "Hit", "mrr": "MRR"}
    with tempfile.TemporaryDirectory() as made:
        config = _config("BPR", Path(made), {"metrics": list(names.values()), "topk": [k], "metric_decimal_place": 9})
    right = np.array([np.isin(one, wanted) for one, wanted in zip(lists, truth, strict=True)])
    sizes = np.array([[len(one)] for one in truth])
    found = DataStruct()
    found.set("rec.topk", torch.from_numpy(np.concatenate([right, sizes], axis=1).astype(np.int64)))
    values = Evaluator(config).evaluate(found)
    return {name: values[f"{theirs.lower()}@{k}"] for name, theirs in names.items()}
