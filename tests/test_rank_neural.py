"""The parts of the neural rankers against literal computations, and rankers on choices whose reason is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from planted import NOW, asked, items_of, lists_of, unit
from vetrina.core import EventKind, ItemList, Items, Query
from vetrina.core.errors import ConfigError, DataError
from vetrina.core.onnx import Network as Runtime
from vetrina.core.onnx import import_torch
from vetrina.rank import DIN, LSTM, Asked, Network, TrainingRows
from vetrina.rank.din import expected_value
from vetrina.rank.neural import MARKS, bpr, listwise, recent
from vetrina.rank.tower import Tower, tower_module
from vetrina.testing import sample_rows

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

VIEW, CLICK, CART, BUY = EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase
SMALL: dict[str, Any] = {"dim": 4, "hidden": 8, "epochs": 2}


def weights_of(rng: np.random.Generator, width: int, layers: int, n_outputs: int = 3) -> dict[str, Doubles]:
    rank, units = 2, (5, 3)
    return {
        "cross_u": rng.normal(size=(layers, width, rank)),
        "cross_v": rng.normal(size=(layers, rank, width)),
        "cross_b": rng.normal(size=(layers, width)),
        "dense_w0": rng.normal(size=(units[0], width)),
        "dense_b0": rng.normal(size=units[0]),
        "dense_w1": rng.normal(size=(units[1], units[0])),
        "dense_b1": rng.normal(size=units[1]),
        "out_w": 0.3 * rng.normal(size=(n_outputs, width + units[1])),
        "out_b": rng.normal(size=n_outputs),
    }


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_cross_and_dense_layers_number_by_number(layers: int) -> None:
    """Equation 1 of DCN V2 with W = UV, one sum after the other."""
    rng = np.random.default_rng(layers)
    width = 4
    weights = weights_of(rng, width, layers)
    x0 = rng.normal(size=width)
    x = x0.copy()
    for layer in range(layers):
        u, v, b = (weights[name][layer] for name in ("cross_u", "cross_v", "cross_b"))
        following = np.zeros(width)
        for i in range(width):
            inner = sum(u[i, r] * sum(v[r, j] * x[j] for j in range(width)) for r in range(2))
            following[i] = x0[i] * (inner + b[i]) + x[i]
        x = following
    hidden = x0
    for layer in (0, 1):
        w, b = weights[f"dense_w{layer}"], weights[f"dense_b{layer}"]
        sums = [sum(w[i, j] * hidden[j] for j in range(len(hidden))) + b[i] for i in range(len(b))]
        hidden = np.array([one / (1 + math.exp(-one)) for one in sums])
    expected = weights["out_w"] @ np.concatenate([x, hidden]) + weights["out_b"]
    np.testing.assert_allclose(Tower(weights).outputs(x0[None])[0], expected, rtol=1e-9)


def test_the_tower_is_the_network_that_torch_trained() -> None:
    torch = import_torch("A test")
    module = tower_module(torch, 6, (2, 3), (8, 4), 3).eval()
    rows = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    tower = Tower({name: one.detach().numpy() for name, one in module.named_parameters()})
    np.testing.assert_allclose(tower.outputs(rows), module(torch.from_numpy(rows)).detach().numpy(), atol=1e-5)


def test_shares_are_the_integral_of_the_slope() -> None:
    """Against slopes by differences at a thousand points of the way from zero to the row."""
    rng = np.random.default_rng(1)
    tower, value = Tower(weights_of(rng, 4, 2)), np.array([1.0, 2, 5])
    row = rng.normal(size=4)

    def score(x: Doubles) -> float:
        return float(expected_value(tower.outputs(x[None]), value)[0][0])

    shares, scores, zero = tower.shares(row[None], lambda outputs: expected_value(outputs, value))
    steps, small = (np.arange(1000) + 0.5) / 1000, 1e-5
    expected = [
        row[j] * np.mean([(score(t * row + small * e) - score(t * row - small * e)) / (2 * small) for t in steps])
        for j, e in enumerate(np.eye(4))
    ]
    np.testing.assert_allclose(shares[0], expected, rtol=2e-3, atol=1e-4)
    assert zero == pytest.approx(score(np.zeros(4)))
    assert shares.sum() == pytest.approx(scores[0] - zero, abs=1e-12)


def test_a_choice_is_worth_what_its_stages_say() -> None:
    """Every way that a row can end, with its chance and its worth."""
    log_odds, value = np.array([[0.3, -1.0, 0.8], [-2.0, 0.5, -0.1]]), np.array([1.0, 4.0, 3.0])
    for row, got in zip(log_odds, expected_value(log_odds, value)[0], strict=True):
        first, second, third = expit(row)
        ends = {1.0: first * (1 - second), 4.0: first * second * (1 - third), 3.0: first * second * third}
        assert got == pytest.approx(math.log(sum(worth * chance for worth, chance in ends.items())))
    slope = expected_value(log_odds, value)[1]
    for stage, step in enumerate(1e-6 * np.eye(3)):
        change = (expected_value(log_odds + step, value)[0] - expected_value(log_odds - step, value)[0]) / 2e-6
        np.testing.assert_allclose(slope[:, stage], change, rtol=1e-5)


def test_losses_pair_by_pair_and_row_by_row() -> None:
    torch = import_torch("A test")
    rng = np.random.default_rng(0)
    request, gain = np.array([0, 0, 0, 1, 1, 2]), np.array([3, 1, 0, 0, 1, 0.0])
    score, weight = rng.normal(size=6), np.array([2, 1, 0.5, 0.3, 0.7, 1])
    batch = {"request": request, "gain": gain, "weight": weight}
    tensors = {name: torch.from_numpy(one) for name, one in batch.items()} | {"n": 3}
    of_lists = of_pairs = 0.0
    for one in range(3):
        rows = np.flatnonzero(request == one)
        largest = max(weight[i] for i in rows)
        v = weight / largest
        whole = sum(v[i] * math.exp(score[i]) for i in rows)
        heed = sum(v[i] * gain[i] for i in rows)
        of_lists -= largest * sum(v[i] * gain[i] / heed * math.log(math.exp(score[i]) / whole) for i in rows if heed)
        pairs = [(i, j) for i in rows for j in rows if gain[i] > gain[j]]
        both = sum(v[i] * v[j] for i, j in pairs)
        of_pairs -= largest * sum(v[i] * v[j] * math.log(expit(score[i] - score[j])) / both for i, j in pairs)
    assert float(listwise(torch, torch.from_numpy(score), tensors)) == pytest.approx(of_lists / 3)
    assert float(bpr(torch, torch.from_numpy(score), tensors)) == pytest.approx(of_pairs / 3)


def test_events_are_read_newest_last_with_kind_and_age() -> None:
    requests = asked([[(1, VIEW, 9.0), (2, BUY, 3.0), (3, CLICK, 0.01)], [], [(4, CART, 1.0)]])
    items, marks = recent(requests, 2)
    assert items.tolist() == [[2, 3], [-1, -1], [-1, 4]]
    assert marks.shape == (3, 2, MARKS)
    # There, view, click, cart, purchase, rate, hide, ln(1 + days), of this visit.
    np.testing.assert_allclose(marks[0, 0], [1, 0, 0, 0, 1, 0, 0, math.log(4), 0], atol=1e-6)
    np.testing.assert_allclose(marks[0, 1], [1, 0, 1, 0, 0, 0, 0, math.log(1.01), 1], atol=1e-5)
    assert not marks[1].any()
    np.testing.assert_allclose(marks[2, 1], [1, 0, 0, 1, 0, 0, 0, math.log(2), 0], atol=1e-6)
    assert not marks[2, 0].any()


def test_attention_event_by_event() -> None:
    """What ONNX Runtime reads in a window, beside the formula of the docstring written out."""
    from vetrina.rank.din import _attention

    torch = import_torch("A test")
    torch.manual_seed(0)
    attention = _attention(torch, 4, 3, 5)
    rng = np.random.default_rng(0)
    candidate = rng.normal(size=4).astype(np.float32)
    past, marks = (rng.normal(size=(5, width)).astype(np.float32) for width in (4, MARKS))
    marks[:, 0] = [0, 0, 1, 1, 1]
    w = {name: one.detach().numpy().astype(np.float64) for name, one in attention.named_parameters()}
    interest, intensity = np.zeros(4), 0.0
    for x, mark in zip(past, marks, strict=True):
        event = x + w["event.weight"] @ mark
        inner = w["of_candidate.weight"] @ candidate + w["of_candidate.bias"] + w["of_event.weight"] @ event
        inner = inner + w["of_product.weight"] @ (candidate * x)
        bent = np.where(inner > 0, inner, w["bend.weight"] * inner)
        heed = float(w["out.weight"][0] @ bent) * mark[0]
        interest, intensity = interest + heed * event, intensity + heed

    runtime = Runtime(DIN(dim=4, attention=3)._export(attention))
    got = runtime.run({"candidates": candidate[None, None], "past": past[None], "marks": marks[None]})[0][0, 0]
    np.testing.assert_allclose(got, np.append(interest, intensity), rtol=1e-4, atol=1e-5)
    by_torch = attention(*(torch.from_numpy(one[None]) for one in (candidate[None], past, marks)))[0]
    np.testing.assert_allclose(by_torch.detach().numpy()[0, 0], got, rtol=1e-4, atol=1e-5)


def test_the_lstm_of_onnx_is_that_of_torch_and_knows_no_one_as_zero() -> None:
    from vetrina.rank.lstm import _reader

    torch = import_torch("A test")
    torch.manual_seed(0)
    reader = _reader(torch, 4, 6)
    runtime = Runtime(LSTM(dim=4, units=6)._export(reader))
    rng = np.random.default_rng(0)
    past, marks = (rng.normal(size=(3, 5, width)).astype(np.float32) for width in (4, MARKS))
    past[1, :2], marks[1, :2], past[2], marks[2] = 0, 0, 0, 0
    got = runtime.run({"past": past, "marks": marks})[0]
    expected = reader(torch.from_numpy(past), torch.from_numpy(marks))[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert not got[2].any()
    # What is not there is not read: a shorter window that begins later has the same state.
    shorter = runtime.run({"past": past[1:2, 2:], "marks": marks[1:2, 2:]})[0]
    np.testing.assert_allclose(shorter[0], got[1], atol=1e-6)


# --- choices whose reason is known -------------------------------------------


def tastes(n_requests: int, seed: int, items: Items) -> TrainingRows:
    """Who has looked at six kinds of things chooses the one of ten candidates that is of one of the six.

    Kinds are directions at random, and the window holds one of each pair of opposite ones, so that their mean is
    hardly anything: only to compare the candidate with each past item tells.
    """
    rng = np.random.default_rng(seed)
    n_kinds = len(items) // 4
    histories, lists, gains = [], [], []
    for _ in range(n_requests):
        kinds = rng.permutation(n_kinds)
        liked, others = kinds[:6], kinds[6:]
        histories.append([(int(4 * kind + rng.integers(4)), VIEW, float(6 - at)) for at, kind in enumerate(liked)])
        shown = [int(4 * rng.choice(liked) + rng.integers(4))]
        shown += [int(4 * kind + rng.integers(4)) for kind in rng.choice(others, 9, replace=False)]
        order = rng.permutation(10)
        lists.append([shown[place] for place in order])
        gains.append((order == 0).astype(np.float32))
    about = Asked(asked(histories), lists_of(*lists), items)
    noise = rng.normal(size=(10 * n_requests, 2)).astype(np.float32)
    return TrainingRows(noise, np.concatenate(gains), np.full(n_requests, 10, dtype=np.int64), ["a", "b"], asked=about)


def kinds_of_things(n_kinds: int = 40) -> Items:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(n_kinds // 2, 12))
    centres = np.concatenate([half, -half])  # for each kind one that is its opposite: their mean is nothing
    rows = np.repeat(centres, 4, axis=0) + 0.1 * rng.normal(size=(4 * n_kinds, 12))
    return items_of(4 * n_kinds, {"photo": unit(rows)})


def first_is_right(score: Floats, rows: TrainingRows) -> float:
    best = score.reshape(-1, 10).argmax(axis=1)
    return float(rows.gain.reshape(-1, 10)[np.arange(len(best)), best].mean())


@pytest.mark.slow
def test_a_taste_that_only_attention_to_each_past_item_finds() -> None:
    items = kinds_of_things()
    rows, fresh = tastes(1500, 0, items), tastes(300, 1, items)
    ranker = DIN(dim=12, hidden=16, epochs=4, batch=16, seed=1).fit(rows)
    right = first_is_right(ranker.score(fresh.features, fresh.asked), fresh)
    assert right > 0.8
    assert first_is_right(Network(iterations=30).fit(rows).score(fresh.features), fresh) < 0.2  # one of ten by chance
    # Without windows it knows no more than that.
    assert fresh.asked is not None
    nobody = Asked(asked([[]] * 300), fresh.asked.lists, items)
    assert first_is_right(ranker.score(fresh.features, nobody), fresh) < 0.2
    # And the past item that speaks most for the chosen one is of its kind.
    chosen = fresh.gain > 0
    heeded = ranker.heeded(fresh.features, fresh.asked)
    assert np.mean(heeded[chosen] // 4 == fresh.asked.lists.item[chosen] // 4) > 0.8
    shares = ranker.contributions(fresh.features, fresh.asked)
    size = np.abs(shares[:, :-1]).mean(axis=0)
    assert size[2] > 5 * size[:2].max()  # the reason is the window, and no feature


@pytest.mark.slow
def test_chances_hold_over_all_that_was_shown() -> None:
    """Clicks and purchases share a cause that no feature tells, so those who click are unlike those who do not.

    What was bought, of all that was shown, is as often as the product of the stages says. What is bought of clicks
    says nothing of that: a model of purchases that learned from clicked rows alone is far above.
    """

    def shown(n: int, seed: int) -> tuple[TrainingRows, Floats]:
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(n, 2)).astype(np.float32)
        hidden = rng.normal(size=n)
        clicked = rng.random(n) < expit(-1.5 + 1.2 * features[:, 0] + 1.5 * hidden)
        would = rng.random(n) < expit(-1.5 + 1.2 * features[:, 1] + 1.5 * hidden)
        bought = clicked & would
        outcome = (clicked * (1 << CLICK) + bought * (1 << BUY)).astype(np.uint8)
        gain = np.where(bought, 3, clicked).astype(np.float32)
        return TrainingRows(
            features, gain, np.full(n // 20, 20, dtype=np.int64), ["of clicks", "of purchases"], outcome=outcome
        ), would.astype(np.float32)

    (rows, _), (fresh, would) = shown(24_000, 0), shown(24_000, 1)
    ranker = DIN(hidden=16, epochs=6, loss="cross_entropy", learning_rate=1e-2).fit(rows)
    chance = ranker.chances(fresh.features)
    truth = {0: fresh.gain > 0, 2: fresh.gain == 3}
    for stage, happened in truth.items():
        assert chance[:, stage].mean() == pytest.approx(happened.mean(), abs=0.02)
        by_chance = np.array_split(np.argsort(chance[:, stage]), 8)
        for part in by_chance:
            assert chance[part, stage].mean() == pytest.approx(happened[part].mean(), abs=0.05)
    clicked = rows.gain > 0
    alone = rows.features[clicked], (rows.gain[clicked] == 3).astype(np.float32)
    naive = Network(iterations=60).fit(TrainingRows(*alone, np.array([clicked.sum()]), rows.names))
    assert naive.chance(fresh.features).mean() > would.mean() + 0.08
    np.testing.assert_allclose(chance[:, 1], chance[:, 2], rtol=1e-3)  # nobody has put anything into a cart alone


def test_the_score_weighs_what_a_choice_is_worth() -> None:
    rows = sample_rows(40)
    rankers = {name: DIN(**SMALL, value={name: 2.0}).fit(rows) for name in ("click", "purchase")}
    chance = rankers["purchase"].chances(rows.features, rows.asked).astype(np.float64)
    score = rankers["purchase"].score(rows.features, rows.asked)
    np.testing.assert_allclose(score, np.log(2 * chance[:, 2]), atol=1e-4)
    chance = rankers["click"].chances(rows.features, rows.asked).astype(np.float64)
    score = rankers["click"].score(rows.features, rows.asked)
    np.testing.assert_allclose(score, np.log(2 * (chance[:, 0] - chance[:, 2])), atol=1e-4)
    assert rankers["click"].value_.tolist() == [2, 0, 0]


def test_gains_of_the_log_are_what_a_choice_is_worth_unless_said() -> None:
    rows = sample_rows(40)
    ranker = DIN(**SMALL).fit(rows)
    assert ranker.value_.tolist() == [1, 0, 3]
    assert np.isnan(ranker.fixed_).tolist() == [True, True, False]  # a cart is always a purchase here


def test_only_purchases_teach_one_stage() -> None:
    rows = sample_rows(40)
    bought = np.where(rows.gain > 0, 1 << BUY, 0).astype(np.uint8)
    ranker = DIN(**SMALL).fit(TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, outcome=bought))
    chance = ranker.chances(rows.features)
    np.testing.assert_allclose(chance[:, 1:], chance[:, :1].repeat(2, axis=1), rtol=1e-6)
    assert np.isnan(ranker.fixed_).tolist() == [True, False, False]


def with_margin(margin: list[float | None]) -> tuple[TrainingRows, Asked]:
    rows = sample_rows(40)
    items = items_of(len(margin), earns=margin, shelf=["x"] * len(margin))
    lists = ItemList.from_lists([np.arange(size, dtype=np.int32) for size in rows.sizes])
    assert rows.asked is not None
    windows = asked([[]] * len(rows.sizes))
    return rows, Asked(windows, lists, items)


def test_margin_multiplies_what_a_choice_is_worth_and_has_its_own_share() -> None:
    rows, about = with_margin([1.0, 3.0, None, -5.0, *[2.0] * 12])
    plain = DIN(**SMALL).fit(TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, asked=about))
    weighed = DIN(**SMALL, margin="earns").fit(
        TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, asked=about)
    )
    mean = np.mean([1.0, 3.0, -5.0, *[2.0] * 12])
    share = weighed.contributions(rows.features, about)[:, -2]
    expected = np.log(np.append([1 / mean, 3 / mean, 1, 0.01], np.full(12, 2 / mean)))[about.lists.item]
    np.testing.assert_allclose(share, expected, rtol=1e-5)
    got = weighed.score(rows.features, about)
    np.testing.assert_allclose(got, plain.score(rows.features, about) + expected, atol=1e-4)
    assert weighed.groups == ("behaviour", "margin")


@pytest.mark.parametrize("name", ["earnings", "shelf"])
def test_a_margin_that_is_no_number_of_items_is_an_error(name: str) -> None:
    rows, about = with_margin([1.0] * 16)
    with pytest.raises(ConfigError, match=f"margin: '{name}' is not an attribute.* earns"):
        DIN(**SMALL, margin=name).fit(TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, asked=about))


def test_a_margin_that_is_nothing_on_the_mean_is_an_error() -> None:
    rows, about = with_margin([0.0] * 16)
    with pytest.raises(DataError, match="must be above 0"):
        DIN(**SMALL, margin="earns").fit(TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, asked=about))


def test_vectors_that_items_do_not_have_are_an_error() -> None:
    with pytest.raises(
        ConfigError, match=r"ranker\.lstm\.modalities: items have no 'txt' vectors\. Did you mean 'text'"
    ):
        LSTM(**SMALL, modalities=["txt"]).fit(sample_rows(40))


def test_a_worth_of_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="value"):
        DIN(value={"click": -1.0})
    with pytest.raises(DataError, match="worth nothing in this log"):
        DIN(**SMALL, value={"cart": 1.0}).fit(sample_rows(40))


@pytest.mark.parametrize("loss", ["listwise", "cross_entropy", "bpr"])
def test_every_loss_of_din_orders(loss: str) -> None:
    assert order_by(DIN(dim=4, hidden=16, epochs=12, learning_rate=1e-2, batch=16, loss=loss)) > 0.8


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "bpr"])
def test_every_loss_of_lstm_orders(loss: str) -> None:
    assert order_by(LSTM(dim=4, units=4, hidden=16, epochs=12, learning_rate=1e-2, batch=16, loss=loss)) > 0.8


def order_by(ranker: DIN | LSTM) -> float:
    """Share of pairs of fresh rows of one request that are in the right order."""
    fresh = sample_rows(60, seed=1)
    score = ranker.fit(sample_rows(150)).score(fresh.features, fresh.asked)
    request = np.repeat(np.arange(len(fresh.sizes)), fresh.sizes)
    pairs = (request[:, None] == request) & (fresh.gain[:, None] > fresh.gain)
    return float((score[:, None] > score)[pairs].mean())


def test_weights_say_how_much_a_row_counts() -> None:
    rows = sample_rows(40)
    known = rows.gain > 0
    for make in (DIN, LSTM):
        weighed = TrainingRows(
            rows.features, rows.gain, rows.sizes, rows.names, np.where(known, 5, 1).astype(np.float32), rows.asked
        )
        plain = TrainingRows(rows.features, rows.gain, rows.sizes, rows.names, asked=rows.asked)
        options: dict[str, Any] = {**SMALL, "epochs": 8, "learning_rate": 2e-2, "batch": 8, "loss": "cross_entropy"}
        heavy, light = (make(**options).fit(one).score(rows.features, rows.asked) for one in (weighed, plain))
        assert heavy.mean() > light.mean() + 0.2


def test_vectors_of_other_sizes_are_an_error(tmp_path: Path) -> None:
    rows = sample_rows(20)
    ranker = DIN(**SMALL).fit(rows)
    assert rows.asked is not None
    assert ranker.modalities_ == ["text", "photo", "attributes"]  # fused may be learned from the log
    ranker.save(tmp_path)
    ranker = DIN.load(tmp_path)
    vectors = {**rows.asked.items.vectors, "photo": rows.asked.items.vectors["photo"][:, :-1]}
    other = Asked(rows.asked.requests, rows.asked.lists, Items(rows.asked.items.table, vectors))
    with pytest.raises(DataError, match="photo vectors of 8 numbers, and these items have 7"):
        ranker.score(rows.features, other)
    # An item that lacks a modality altogether is one of which that is not known.
    fewer = Items(rows.asked.items.table, {"text": rows.asked.items.vectors["text"]})
    assert np.isfinite(ranker.score(rows.features, Asked(rows.asked.requests, rows.asked.lists, fewer))).all()


def test_learning_ends_when_the_latest_fifth_is_no_longer_told_better() -> None:
    """Choices of the last days are drawn by lot, so that what is learned of the others does not help there for long."""
    rows = sample_rows(60)
    assert rows.asked is not None
    gain = rows.gain.copy()
    late = np.argsort(rows.asked.requests.now, kind="stable")[48:]
    of_late = np.isin(rows.asked.lists.row, late)
    gain[of_late] = np.random.default_rng(0).permutation(gain[of_late])
    ranker = LSTM(dim=4, units=4, hidden=16, epochs=60, learning_rate=1e-2, batch=16, patience=3).fit(
        TrainingRows(rows.features, gain, rows.sizes, rows.names, asked=rows.asked)
    )
    held = [loss for _, loss in ranker.curves_["loss on the latest fifth by epoch"]]
    assert len(held) < 60
    assert int(np.argmin(held)) == len(held) - 4
    # What is kept is what did best.
    chance = expit(ranker.score(rows.features, rows.asked).astype(np.float64))[of_late]
    loss = -np.mean(np.where(gain[of_late] > 0, np.log(chance), np.log(1 - chance)))
    assert loss == pytest.approx(min(held), rel=0.02)


def test_many_rows_are_scored_in_parts() -> None:
    """A page of a thousand requests has the scores that each has alone; requests without candidates have none."""
    rows = sample_rows(60)
    ranker = DIN(**SMALL).fit(rows)
    assert rows.asked is not None
    times = 4096 // len(rows.gain) + 2
    many = TrainingRows.join([rows] * times, rows.names)
    assert many.asked is not None
    empty = ItemList.from_lists([np.empty(0, np.int32)])
    lists = ItemList.join([many.asked.lists, empty])
    requests = type(many.asked.requests).join([many.asked.requests, asked([[]], [Query()], NOW)])
    score = ranker.score(many.features, Asked(requests, lists, many.asked.items))
    np.testing.assert_allclose(score.reshape(times, -1), np.tile(ranker.score(rows.features, rows.asked), (times, 1)),
                               atol=1e-5)  # fmt: skip


def test_one_long_list_does_not_make_all_others_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are read side by side, the shorter filled up: 200 beside one of 1,000 would take 200,000 places."""
    rows, rng = sample_rows(40), np.random.default_rng(0)
    ranker = DIN(**SMALL).fit(rows)
    assert rows.asked is not None
    lists = ItemList.from_lists([rng.integers(0, 10, 1000 if row == 50 else 3, np.int32) for row in range(200)])
    requests = rows.asked.requests.take(np.arange(200) % 40)
    run, places = ranker._network.run, []

    def counted(inputs: dict[str, Any]) -> Any:
        places.append(inputs["candidates"].shape[0] * inputs["candidates"].shape[1])
        return run(inputs)

    monkeypatch.setattr(ranker._network, "run", counted)
    features = rng.normal(size=(len(lists.item), rows.features.shape[1])).astype(np.float32)
    score = ranker.score(features, Asked(requests, lists, rows.asked.items))
    assert max(places) <= 4096
    alone = Asked(requests.slice(50, 51), ItemList.from_lists([lists.list_of(50)]), rows.asked.items)
    np.testing.assert_allclose(score[150:1150], ranker.score(features[150:1150], alone), atol=1e-5)


def test_the_past_item_that_is_named_is_of_the_window() -> None:
    rows = sample_rows(30)
    ranker = DIN(dim=6, hidden=8, epochs=6, learning_rate=1e-2, batch=8).fit(rows)
    assert rows.asked is not None
    heeded = ranker.heeded(rows.features, rows.asked)
    windows, row = rows.asked.requests.windows, rows.asked.lists.row
    sizes = np.diff(windows.offsets)[row]
    assert np.all(heeded[sizes == 0] == -1)
    assert np.mean(heeded[sizes > 0] >= 0) > 0.9
    for place in np.flatnonzero(sizes > 0)[::7]:
        assert heeded[place] in windows.item[windows.offsets[row[place]] : windows.offsets[row[place] + 1]]
