# /// script
# dependencies = ["torch==2.13.0", "recbole==1.2.1", "numpy==1.26.4", "scipy==1.17.1", "pandas==2.1.4", "ray==2.6.3"]
# ///
"""RecBole's SASRec (recbole.io), in the environment that it has among the peers.

Its GRU4Rec learns at the same pace, and two of them are more minutes than the table is given.
Its sequential models learn one place at a time: of every prefix of a sequence the next item, each prefix read anew.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

DISTRIBUTIONS = ["recbole", "torch", "numpy"]

RECOMMENDERS = {
    "RecBole SASRec": {
        "learning_rate": {"low": 0.0005, "high": 0.005, "log": True, "default": 0.002},
        "epochs": {"low": 2, "high": 12, "log": True, "default": 3},
        "MAX_ITEM_LIST_LENGTH": [20, 50],
        "hidden_dropout_prob": {"low": 0.1, "high": 0.6, "default": 0.2},
    }
}


def _config(folder, options):
    fixed = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
        "train_batch_size": 256,
        "train_neg_sample_args": None,
        "loss_type": "CE",
        "attn_dropout_prob": options["hidden_dropout_prob"],
        "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "group_by": "none", "order": "TO", "mode": "full"},
    }
    return Config(model="SASRec", dataset="peers", config_dict={**fixed, **options})


def prepared(users, items, seed, options):
    """(trainer, model, loader, data) of events in order of time."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "peers"
        folder.mkdir()
        # Their place is their time: of one second the same order for all.
        pairs = enumerate(zip(users, items, strict=True))
        rows = "\n".join(f"{user}\t{item}\t{place}" for place, (user, item) in pairs)
        text = f"user_id:token\titem_id:token\ttimestamp:float\n{rows}\n"
        (folder / "peers.inter").write_text(text, encoding="utf-8")
        config = _config(Path(made), {"seed": seed, **options})
        init_seed(config["seed"], config["reproducibility"])
        logging.getLogger().setLevel(logging.WARNING)
        data = create_dataset(config)
        data._change_feat_format()
        loader = TrainDataLoader(config, data, None, shuffle=True)
        model = get_model("SASRec")(config, data).to(config["device"])
        return get_trainer(config["MODEL_TYPE"], "SASRec")(config, model), model, loader, data


def fit(model, train, options):
    known = train.user >= 0
    users, items = train.user[known].tolist(), train.item[known].tolist()
    trainer, made, loader, data = prepared(users, items, train.seed, options)
    trainer.fit(loader, None, saved=False, show_progress=False, verbose=False)
    made.train(False)  # it answers now: no dropout
    return made, data, options["MAX_ITEM_LIST_LENGTH"]


def rank(fitted, requests, k):
    model, data, length = fitted
    names, tokens = data.field2id_token["item_id"], data.field2token_id["item_id"]
    place = np.array([int(token) for token in names[1:]])  # 0 is padding
    scores = np.full((len(requests), requests.n_items), -np.inf)
    with torch.no_grad():
        for row in range(len(requests)):
            past = requests.item[requests.offsets[row] : requests.offsets[row + 1]].tolist()
            read = [tokens[str(item)] for item in past if str(item) in tokens][-length:]
            if read:
                listed = torch.zeros(1, length, dtype=torch.long)
                listed[0, : len(read)] = torch.tensor(read)
                asked = Interaction({"item_id_list": listed, "item_length": torch.tensor([len(read)])})
                scores[row, place] = model.full_sort_predict(asked).numpy().ravel()[1:]
    return requests.best(scores, k)


def seconds_per_epoch(events_file, options):
    """Of SASRec on the events of a file, epoch by epoch; the first is a warm-up."""
    events = np.load(events_file, allow_pickle=False)
    trainer, _, loader, _ = prepared(events["user"].tolist(), events["item"].tolist(), 0, options)
    seconds = []
    for epoch in range(options["epochs"]):
        began = time.perf_counter()
        trainer._train_epoch(loader, epoch, show_progress=False)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(seconds_per_epoch(sys.argv[1], json.loads(sys.argv[2]))))
