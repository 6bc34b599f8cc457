"""Sequence models against literal NumPy versions of their networks and losses, and on logs whose order is planted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import NOW, asked, items_of, lists_of, log_of, nothing, unit
from vetrina.core import EventKind, EventLog, Items
from vetrina.core.errors import ConfigError, MissingExtra, SnapshotError
from vetrina.core.onnx import Network
from vetrina.retrieve import Gru, SasRec, sequence
from vetrina.retrieve.sequence import SequenceModel
from vetrina.retrieve.sequence_training import batch_of, gbce_loss, paths_of, pieces, softmax_loss

Floats = npt.NDArray[np.float64]
RNG = np.random.default_rng(0)

MODELS: dict[str, Callable[..., SequenceModel]] = {
    "sasrec": lambda **options: SasRec(heads=2, **options),
    "gru": lambda **options: Gru(hidden=6, **options),
    "lstm": lambda **options: Gru(hidden=6, cell="lstm", **options),
}


# --- the networks, line by line -----------------------------------------------


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def normal(x: Floats, weights: dict[str, Floats], name: str) -> Floats:
    centred = x - x.mean()
    return np.asarray(
        centred / np.sqrt((centred**2).mean() + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    )


def linear(x: Floats, weights: dict[str, Floats], name: str) -> Floats:
    return np.asarray(weights[f"{name}.weight"] @ x + weights[f"{name}.bias"])


def sasrec_by_hand(read: Floats, weights: dict[str, Floats], layers: int, heads: int) -> Floats:
    """States of one window, (length, dim), without padding: it stands at the end of the places."""
    length, dim = read.shape
    x = read + weights["places"][-length:]
    wide = dim // heads
    for layer in range(layers):
        name = f"blocks.{layer}."
        parts = [linear(normal(one, weights, f"{name}before_attention"), weights, f"{name}all") for one in x]
        seen = np.zeros_like(x)
        for place in range(length):
            for head in range(heads):
                own = slice(head * wide, (head + 1) * wide)
                query = parts[place][:dim][own]
                keys = [part[dim : 2 * dim][own] for part in parts[: place + 1]]
                heed = np.exp([query @ key / np.sqrt(wide) for key in keys])
                heed = heed / heed.sum()
                values = [part[2 * dim :][own] for part in parts[: place + 1]]
                seen[place, own] = sum(share * value for share, value in zip(heed, values, strict=True))
        x = x + np.array([linear(one, weights, f"{name}mixed") for one in seen])
        inner = [
            np.maximum(linear(normal(one, weights, f"{name}before_inner"), weights, f"{name}inner"), 0) for one in x
        ]
        x = x + np.array([linear(one, weights, f"{name}outer") for one in inner])
    return np.array([normal(one, weights, "last") for one in x])


def recurrent_by_hand(read: Floats, weights: dict[str, Floats], layers: int, cell: str) -> Floats:
    """States of one window, (length, dim)."""
    for layer in range(layers):
        ih, hh = (weights[f"cells.{layer}.weight_{part}_l0"] for part in ("ih", "hh"))
        state, memory, states = np.zeros(hh.shape[1]), np.zeros(hh.shape[1]), []
        for one in read:
            if cell == "gru":
                (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(ih @ one, 3), np.split(hh @ state, 3)
                reset, update = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
                state = (1 - update) * np.tanh(n_x + reset * n_h) + update * state
            else:
                enter, forget, new, out = np.split(ih @ one + hh @ state, 4)
                memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(new)
                state = sigmoid(out) * np.tanh(memory)
            states.append(state)
        read = np.array(states)
    return np.array([linear(one, weights, "out") for one in read])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_torch_and_onnx_compute_what_is_written_out(name: str, layers: int) -> None:
    model = MODELS[name](dim=8, length=7, layers=layers, dropout=0.5)
    torch.manual_seed(1)
    reader = model._reader(torch).eval()
    with torch.no_grad():
        for weight in reader.parameters():
            weight.normal_(0, 0.5)
    weights = {key: value.double().numpy() for key, value in reader.state_dict().items()}
    network = Network(model._as_onnx(reader))
    lengths = [7, 1, 4]
    read, mask = np.zeros((3, 7, 8), dtype=np.float32), np.zeros((3, 7), dtype=np.float32)
    for row, length in enumerate(lengths):
        read[row, -length:] = RNG.normal(size=(length, 8))
        mask[row, -length:] = 1
    with torch.no_grad():
        states = reader(torch.from_numpy(read), torch.from_numpy(mask)).numpy()
    last = network.run({"read": read, "mask": mask})[0]
    for row, length in enumerate(lengths):
        window = read[row, -length:].astype(np.float64)
        if name == "sasrec":
            wanted = sasrec_by_hand(window, weights, layers, heads=2)
        else:
            wanted = recurrent_by_hand(window, weights, layers, name)
        np.testing.assert_allclose(states[row, -length:], wanted, atol=1e-5)
        np.testing.assert_allclose(last[row], wanted[-1], atol=1e-5)


# --- the losses, term by term -------------------------------------------------


def some_pairs() -> tuple[Floats, Floats, list[int], list[int]]:
    return RNG.normal(size=(3, 4)), RNG.normal(size=(9, 4)), [0, 0, 1, 2], [2, 5, 5, 8]


def test_the_softmax_is_that_over_all_items() -> None:
    states, table, place, target = some_pairs()
    wanted = []
    for one, item in zip(place, target, strict=True):
        scores = [states[one] @ vector for vector in table]
        wanted.append(-np.log(np.exp(scores[item]) / np.sum(np.exp(scores))))
    arrays = [torch.tensor(one) for one in (states, table, place, target)]
    assert float(softmax_loss(torch, *arrays)) == pytest.approx(np.mean(wanted))
    # All items drawn are all items.
    arrays.append(torch.arange(9))
    assert float(softmax_loss(torch, *arrays)) == pytest.approx(np.mean(wanted))


def test_of_drawn_items_the_sum_is_estimated() -> None:
    states, table, place, target = some_pairs()
    drawn = [1, 5, 7]
    wanted = []
    for one, item in zip(place, target, strict=True):
        negatives = [number for number in drawn if number != item]
        right = np.exp(states[one] @ table[item])
        others = np.mean([np.exp(states[one] @ table[number]) for number in negatives]) * (len(table) - 1)
        wanted.append(-np.log(right / (right + others)))
    arrays = [torch.tensor(one) for one in (states, table, place, target, drawn)]
    assert float(softmax_loss(torch, *arrays)) == pytest.approx(np.mean(wanted))


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_is_that_of_gsasrec(calibration: float) -> None:
    states, table, place, target = some_pairs()
    drawn = [1, 5, 7]
    wanted = []
    for one, item in zip(place, target, strict=True):
        negatives = [number for number in drawn if number != item]
        alpha = len(negatives) / (len(table) - 1)
        beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
        loss = -np.log(sigmoid(states[one] @ table[item]) ** beta)
        loss -= sum(np.log(1 - sigmoid(states[one] @ table[number])) for number in negatives)
        wanted.append(loss / (len(negatives) + 1))
    arrays = [torch.tensor(one) for one in (states, table, place, target, drawn)]
    assert float(gbce_loss(torch, *arrays, calibration=calibration)) == pytest.approx(np.mean(wanted))


# --- what is learned from -----------------------------------------------------


EVENTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 5)), max_size=60)


@settings(deadline=None)
@given(EVENTS, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_each_event_is_foretold_once_from_what_came_before_it(
    events: list[tuple[int, int, int]], length: int, seed: int
) -> None:
    items = items_of(6)
    log = log_of(items, [(day, f"s{who}", EventKind.view, item) for day, who, item in sorted(events)])
    paths = paths_of(log)
    # By hand: of each shopper all events but those of the first second.
    wanted = []
    for who in {who for _, who, _ in events}:
        own = sorted((day, item) for day, one, item in events if one == who)
        wanted += [(item, day) for day, item in own if day > own[0][0]]
    assert paths.n_targets == len(wanted)
    if not len(paths.item):
        return
    start, stop = pieces(paths, length, np.random.default_rng(seed))
    assert (stop - start).max() <= length
    batch = batch_of(paths, start, stop, np.ones(len(paths.last), dtype=bool))
    covered = np.sort(batch.event[batch.event >= 0])
    np.testing.assert_array_equal(covered, np.arange(len(paths.item)))
    assert len(np.unique(batch.target)) == len(batch.target) == len(wanted)
    by_shopper = np.argsort(log.shopper, kind="stable")
    time = log.time[by_shopper]
    last_read = batch.event[batch.row, batch.column][batch.place]
    assert (time[last_read] < time[batch.target]).all()
    assert (log.shopper[by_shopper][last_read] == log.shopper[by_shopper][batch.target]).all()
    # Nothing lies between: what comes is the next second in which anything happened.
    assert (paths.step[batch.target] == paths.step[last_read] + 1).all()
    found = sorted(zip(paths.known[paths.item[batch.target]].tolist(), time[batch.target].tolist(), strict=True))
    assert found == sorted((item, NOW + day * 86_400) for item, day in wanted)
    # Within a second, each but the first follows upon the one before it, in the order that was drawn.
    more = batch_of(paths, start, stop, np.ones(len(paths.last), dtype=bool), np.ones(len(paths.item), dtype=bool))
    last_read = more.event[more.row, more.column][more.place]
    inside = paths.step[last_read] == paths.step[more.target]
    assert set(more.target[inside]) == set(range(len(paths.item))) - set(paths.starts.tolist())
    assert (last_read[inside] == more.target[inside] - 1).all()
    assert sorted(more.target[~inside]) == sorted(batch.target)
    some = np.random.default_rng(seed).random(len(paths.last)) < 0.5
    fewer = batch_of(paths, start, stop, some)
    assert set(fewer.target) == {one for one in batch.target if some[paths.step[one]]}


# --- what is learned ----------------------------------------------------------

N = 12
SMALL: dict[str, Any] = {
    "dim": 16,
    "length": 6,
    "layers": 1,
    "epochs": 40,
    "batch": 16,
    "learning_rate": 0.02,
    "dropout": 0.05,
    "forgotten_ids": 0.4,
}


def walks(shoppers: int = 60, steps: int = 8) -> tuple[Items, EventLog]:
    """Item i + 1 always follows i, of ``N`` in a ring; item ``N`` is new, and has the content of item 5."""
    rng = np.random.default_rng(2)
    content = unit(rng.normal(size=(N, 8)))
    items = items_of(N + 1, {"fused": np.concatenate([content, content[5:6]])})
    begin = rng.integers(0, N, shoppers)
    events = [
        (step, f"s{number}", EventKind.view, int(first + step) % N)
        for step in range(steps)
        for number, first in enumerate(begin)
    ]
    return items, log_of(items, events)


@pytest.fixture(scope="module", params=["sasrec", "gru"])
def walked(request: pytest.FixtureRequest) -> SequenceModel:
    source = SasRec(**SMALL) if request.param == "sasrec" else Gru(hidden=24, **SMALL)
    return source.fit(*walks())


def after(*window: int) -> Any:
    return asked([[(item, EventKind.view, len(window) - place) for place, item in enumerate(window)]])


def test_it_learns_what_follows(walked: SequenceModel) -> None:
    for item in range(N):
        ids, scores = walked.retrieve(after(*[(item - back) % N for back in (2, 1, 0)]), 3, None)
        following = (item + 1) % N
        # The new item is what it is like.
        right = {following, N} if following == 5 else {following}
        assert set(ids[0, : len(right)].tolist()) == right
        assert scores[0, : len(right)].sum() > 0.5


def test_a_new_item_is_scored_and_read_by_its_content(walked: SequenceModel) -> None:
    scores = walked.score(after(2, 3, 4), lists_of(range(N + 1)))
    assert np.argsort(-scores)[:2].tolist() == [5, N]
    assert scores[N] > 5 * np.delete(scores, [5, N]).max()
    assert walked.retrieve(after(N), 1, None)[0].tolist() == [[6]]


def test_probabilities_add_up_and_an_empty_window_says_nothing(walked: SequenceModel) -> None:
    requests = asked([[(3, EventKind.view, 1.0)], [], [(3, EventKind.hide, 1.0)]])
    scores = walked.score(requests, lists_of(range(N + 1), range(N + 1), range(N + 1))).reshape(3, -1)
    np.testing.assert_allclose(scores.sum(axis=1), [1, 0, 0], rtol=1e-5)
    assert (walked.retrieve(requests, 2, None)[0][1:] == -1).all()


def test_order_counts_and_only_the_last_events_are_read(walked: SequenceModel) -> None:
    every = lists_of(range(N + 1))
    assert not np.allclose(walked.score(after(1, 2), every), walked.score(after(2, 1), every))
    newest = [4, 1, 7, 0, 3, 2]
    np.testing.assert_array_equal(walked.score(after(*newest), every), walked.score(after(9, 8, *newest), every))


def test_its_curves_say_how_it_learned(walked: SequenceModel) -> None:
    losses = [loss for _, loss in walked.curves_["loss by epoch"]]
    held = [ndcg for _, ndcg in walked.curves_["held-out NDCG by epoch"]]
    assert losses[-1] < 0.5 < 2 < losses[0]
    assert max(held) > 0.9


@pytest.mark.parametrize("options", [{"loss": "gbce", "negatives": 6}, {"negatives": 4, "content": "no such"}], ids=str)
def test_other_losses_and_ids_alone_learn_it_too(options: dict[str, Any]) -> None:
    items, log = walks()
    source = SasRec(**{**SMALL, **options}).fit(items, log)
    assert source.retrieve(after(7, 8), 1, None)[0].tolist() == [[9]]


def test_what_is_bought_together_is_one_step() -> None:
    items = items_of(8)
    rng = np.random.default_rng(3)
    baskets = [[0, 1, 2], [3, 4], [5, 6, 7]]
    events = [
        (day, f"s{number}", EventKind.purchase, item)
        for number in range(40)
        for day, basket in enumerate(baskets * 2)
        for item in rng.permutation(basket).tolist()
    ]
    source = SasRec(**SMALL).fit(items, log_of(items, sorted(events, key=lambda event: event[0])))
    bought = EventKind.purchase
    for window in ([0, 1, 2], [2, 0, 1]):
        scores = source.score(asked([[(item, bought, 1.0) for item in window]]), lists_of(range(8)))
        assert sorted(np.argsort(-scores)[:2].tolist()) == [3, 4]
        assert scores[:3].sum() < 0.1
        # Asked within the second: what else is in the basket.
        scores = source.score(asked([[(item, bought, 0.0) for item in window[:2]]]), lists_of(range(8)))
        assert scores[:3].sum() > 0.8


@pytest.mark.parametrize("make", [SasRec, Gru])
def test_too_little_is_nothing_to_learn(make: Callable[..., SequenceModel], tmp_path: Path) -> None:
    items = items_of(6)
    logs = {
        "no events": nothing(items),
        "one event each": log_of(items, [(day, f"s{day}", EventKind.view, day % 6) for day in range(50)]),
        "nobody known": log_of(items, [(0, "s", EventKind.search, -1)]),
        "always the same": log_of(items, [(day, "s", EventKind.view, 3) for day in range(50)]),
    }
    for what, log in logs.items():
        source = make().fit(items, log)
        source.save(tmp_path / what)
        for one in (source, make().load(tmp_path / what).bind(items)):
            ids, _ = one.retrieve(after(1, 2), 3, None)
            assert ids.tolist() == [[-1, -1, -1]], what
            assert one.score(after(1, 2), lists_of([0, 1])).tolist() == [0, 0], what


def test_without_content_nothing_is_said_of_a_new_item() -> None:
    items, log = walks()
    source = SasRec(**{**SMALL, "epochs": 1, "content": ""}).fit(items, log)
    known, new = source.score(after(2, 3, 4), lists_of([5, N]))
    assert known > 0 == new
    assert source.score(after(N), lists_of(range(N + 1))).sum() == pytest.approx(1)


@pytest.mark.parametrize("shoppers", [60, 3], ids=["with and", "without a held-out step"])
def test_steps_too_large_are_an_error_and_no_perfect_model(shoppers: int) -> None:
    with pytest.raises(ConfigError, match=r"retriever\.sasrec\.learning_rate: 1e\+30 is too large"):
        SasRec(**{**SMALL, "epochs": 3, "learning_rate": 1e30}).fit(*walks(shoppers))


def test_one_negative_that_is_the_target_says_nothing() -> None:
    """Of one item drawn at each step it is sometimes the one that came: no term of its own, and no division by 0."""
    source = SasRec(**{**SMALL, "epochs": 2, "loss": "gbce", "negatives": 1}).fit(*walks())
    assert np.isfinite(source.vectors_).all()
    assert np.isfinite([loss for _, loss in source.curves_["loss by epoch"]]).all()


@pytest.mark.parametrize("device", ["gpu", "cuda:one", ""])
def test_a_device_is_the_cpu_or_a_gpu_of_cuda(device: str) -> None:
    with pytest.raises(ConfigError, match=r"retriever\.gru\.device"):
        Gru(device=device)


def test_many_items_are_scored_by_parts(walked: SequenceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked([[(item % N, EventKind.view, 1.0)] if item % 3 else [] for item in range(7)])
    lists = lists_of(*[range(item) for item in range(7)])
    allowed = np.random.default_rng(0).random((7, N + 1)) < 0.5
    found, scores = walked.retrieve(requests, 4, allowed), walked.score(requests, lists)
    monkeypatch.setattr(sequence, "_CELLS_AT_ONCE", 2 * (N + 1))  # two requests at once
    np.testing.assert_allclose(walked.score(requests, lists), scores, rtol=1e-5)
    for got, wanted in zip(walked.retrieve(requests, 4, allowed), found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)
    assert scores.any()


def test_heads_divide_the_dimensions() -> None:
    with pytest.raises(ConfigError, match="dim must be a multiple of heads, and 9 is none of 2"):
        SasRec(dim=9)


def test_only_the_latest_events_are_learned_from() -> None:
    items, log = walks()
    earlier = log.take(np.arange(len(log)) < len(log) - 200)
    every = lists_of(range(N + 1))
    options = {**SMALL, "epochs": 1, "events": 200}
    wanted = SasRec(**options).fit(items, log.take(slice(-200, None))).score(after(1, 2), every)
    np.testing.assert_array_equal(SasRec(**options).fit(items, log).score(after(1, 2), every), wanted)
    assert not np.array_equal(SasRec(**options).fit(items, earlier).score(after(1, 2), every), wanted)


def test_a_lost_network_is_an_error_of_ours(walked: SequenceModel, tmp_path: Path) -> None:
    walked.save(tmp_path)
    (tmp_path / "network.onnx").unlink()
    with pytest.raises(SnapshotError, match="Build again, or roll back"):
        type(walked).load(tmp_path)


@pytest.mark.parametrize("missing", ["torch", "onnx"])
def test_without_torch_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"pip install 'vetrina\[torch\]'"):
        SasRec().fit(*walks())
