"""Seconds that one epoch of SASRec takes, ours beside the same network in plain PyTorch and RecBole's.

    VETRINA_DATA=... python benchmarks/sasrec.py [people]

All learn from the same ratings of MovieLens-100k on one thread, with batches of 64 sequences of 50, 64 dimensions, one
layer of two heads and the softmax over all films, and foretell every rating but each person's first once an
epoch. The plain reference is torch.nn.TransformerEncoder, causal, over each person's ratings cut into fifties; it
reads ids alone, and so does ours here. RecBole reads each prefix anew, as many as there are ratings, so fewer
people are taken for it; it is left out where `make quality` has not made its environment.
One after the other in each round; the median of the rounds, and of the ratios to ours with their range.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, Items
from vetrina.retrieve import SasRec

LENGTH, DIM, HEADS, BATCH, DROPOUT = 50, 64, 2, 64, 0.2
ROUNDS, PEER_ROUNDS, PEER_PEOPLE = 7, 2, 60
_HERE = Path(__file__).parent
_RECBOLE = _HERE / "behaviour" / "libraries" / "recbole.py"
_PYTHON = _HERE.parent / "build" / "peers" / "recbole" / "bin" / "python"


def ours(items: Items, log: EventLog) -> float:
    """What two epochs take longer than one: without reading the log, and writing the network."""
    took = []
    for epochs in (1, 2):
        source = SasRec(
            dim=DIM,
            length=LENGTH,
            heads=HEADS,
            layers=1,
            batch=BATCH,
            dropout=DROPOUT,
            content="",
            within=1.0,
            epochs=epochs,
        )
        began = time.perf_counter()
        source.fit(items, log)
        took.append(time.perf_counter() - began)
    return took[1] - took[0]


class Plain(torch.nn.Module):
    """SASRec as one would write it down."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.items = torch.nn.Embedding(n_items + 1, DIM, padding_idx=n_items)
        self.places = torch.nn.Embedding(LENGTH, DIM)
        layer = torch.nn.TransformerEncoderLayer(DIM, HEADS, DIM, DROPOUT, batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 1, torch.nn.LayerNorm(DIM), enable_nested_tensor=False)
        self.drop = torch.nn.Dropout(DROPOUT)

    def forward(self, read: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.items(read) + self.places.weight)
        causal = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
        states = self.layers(x, mask=causal, is_causal=True)[target >= 0]
        return torch.nn.functional.cross_entropy(states @ self.items.weight[:-1].T, target[target >= 0])


def plain(items: Items, log: EventLog) -> float:
    """One epoch of :class:`Plain`."""
    order = np.argsort(log.shopper, kind="stable")
    pasts = np.split(log.item[order], np.flatnonzero(np.diff(log.shopper[order])) + 1)
    cut = [one[start : start + LENGTH + 1] for one in pasts for start in range(0, len(one) - 1, LENGTH)]
    read, target = np.full((len(cut), LENGTH), len(items)), np.full((len(cut), LENGTH), -1)
    for row, one in enumerate(cut):
        read[row, : len(one) - 1], target[row, : len(one) - 1] = one[:-1], one[1:]
    inputs, answers = torch.from_numpy(read), torch.from_numpy(target.astype(np.int64))
    torch.manual_seed(0)
    model = Plain(len(items))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    began = time.perf_counter()
    for rows in torch.randperm(len(cut)).split(BATCH):
        optimizer.zero_grad()
        model(inputs[rows], answers[rows]).backward()
        optimizer.step()
    return time.perf_counter() - began


def recbole(items: Items, log: EventLog) -> float:
    """One epoch of RecBole's, in its own environment, after one to warm up."""
    options: dict[str, Any] = {"epochs": 2, "MAX_ITEM_LIST_LENGTH": LENGTH, "train_batch_size": BATCH}
    options |= {"hidden_size": DIM, "inner_size": DIM, "n_layers": 1, "n_heads": HEADS, "hidden_dropout_prob": DROPOUT}
    with tempfile.TemporaryDirectory() as made:
        events = Path(made) / "events.npz"
        np.savez(events, user=log.shopper, item=log.item)
        command = [str(_PYTHON), "-P", str(_RECBOLE), str(events), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=made)
    seconds: float = json.loads(done.stdout.splitlines()[-1])[-1]
    return seconds


def beside(name: str, others: dict[str, Any], items: Items, log: EventLog, rounds: int) -> None:
    took: dict[str, list[float]] = {}
    for _ in range(rounds):
        for system, epoch in {"ours": ours, **others}.items():
            took.setdefault(system, []).append(epoch(items, log))
    print(f"{name}: {len(log):,} ratings, {rounds} rounds")
    for system, seconds in took.items():
        ratios = np.divide(seconds, took["ours"])
        told = (
            "" if system == "ours" else f"  {np.median(ratios):6.2f} × ours ({ratios.min():.2f} to {ratios.max():.2f})"
        )
        print(f"  {system:14s} {np.median(seconds):8.2f} s{told}")


def main(people: int | None = None) -> None:
    torch.set_num_threads(1)
    dataset = load("movielens-100k")
    items = Items(dataset.items)
    assert dataset.events is not None, "the set has events"
    log = EventLog.from_table(dataset.events, items)
    if people:
        log = log.take(log.shopper < people)
    plain(items, log.take(log.shopper < 20))  # whoever is first would pay for starting up
    beside("SASRec, one epoch", {"plain PyTorch": plain}, items, log, ROUNDS)
    if _PYTHON.exists():
        beside("SASRec, one epoch", {"RecBole": recbole}, items, log.take(log.shopper < PEER_PEOPLE), PEER_ROUNDS)
    else:
        print("RecBole is left out: `make quality` makes its environment.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
