"""The recurrent text encoder from outside: what it learns, what it serves with, that it says the same again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vetrina.core import Silent, create
from vetrina.core.errors import ConfigError, MissingExtra, NotFitted, SnapshotError
from vetrina.core.onnx import Network
from vetrina.encode import RnnEncoder
from vetrina.encode.rnn import RnnConfig, _as_onnx, _modules
from vetrina.testing import check_encoder

COLOURS = ("red", "black", "blue", "green", "white", "yellow")
KINDS = {
    "dress": "Sleeveless, for summer evenings",
    "jacket": "With a lining, for winter",
    "trainers": "Cushioned soles for running",
    "backpack": "Holds a laptop and a bottle",
    "scarf": "Soft wool that keeps you warm",
    "umbrella": "Opens by itself in the rain",
}
TEXTS = [f"{colour.title()} {kind}\n{about}" for kind, about in KINDS.items() for colour in COLOURS]
SMALL: dict[str, Any] = {"dim": 32, "hidden": 16, "vocabulary": 200, "buckets": 500, "epochs": 30}


@pytest.fixture(scope="module")
def encoder() -> RnnEncoder:
    return RnnEncoder(**SMALL).fit_texts(TEXTS, Silent())


def nearest(encoder: RnnEncoder, query: str) -> str:
    return TEXTS[int(np.argmax(encoder.transform(TEXTS) @ encoder.transform([query])[0]))].partition("\n")[0]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("black jacket", "Black jacket"),
        ("umbrella yellow", "Yellow umbrella"),  # the other way round
        ("green bakcpack", "Green backpack"),  # misspelt
        ("blue scarfs", "Blue scarf"),
        ("white trainer", "White trainers"),
    ],
)
def test_a_query_finds_the_product_that_it_means(encoder: RnnEncoder, query: str, expected: str) -> None:
    assert nearest(encoder, query) == expected


@pytest.mark.parametrize(("query", "kind"), [("soft and warm wool", "scarf"), ("running soles", "trainers")])
def test_a_description_finds_its_kind(encoder: RnnEncoder, query: str, kind: str) -> None:
    assert nearest(encoder, query).endswith(kind)


def test_a_word_never_seen_is_known_by_its_letters(encoder: RnnEncoder) -> None:
    assert "trainerz" not in encoder._words
    word, same, other = encoder.transform(["trainerz", "trainers", "umbrella"])
    assert word @ same > word @ other + 0.2


def test_it_reads_the_order_of_words(encoder: RnnEncoder) -> None:
    one, other = encoder.transform(["red dress black jacket", "black dress red jacket"])
    assert np.abs(one - other).max() > 1e-3


def test_the_loss_falls_and_is_told(encoder: RnnEncoder) -> None:
    steps, losses = zip(*encoder.curves_["loss by epoch"], strict=True)
    assert steps == tuple(range(1, SMALL["epochs"] + 1))
    assert np.mean(losses[-5:]) < 0.85 * losses[0]  # what is left: six products share a description


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_exported_network_is_the_trained_one(cell: str) -> None:
    """Golden: torch itself, at lengths that the graph was not made with, padded and not."""
    import torch

    config = RnnConfig.model_validate({"dim": 6, "hidden": 5, "cell": cell})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        _, reader = _modules(torch, config, 3)
        tokens, mask = torch.randn(4, 9, 6), torch.ones(4, 9)
    for row, length in enumerate((9, 4, 1, 6)):
        tokens[row, length:], mask[row, length:] = 0, 0
    with torch.no_grad():
        expected = reader(tokens, mask).numpy()
    network = Network(_as_onnx(reader, config))
    got = network.run({"tokens": tokens.numpy(), "mask": mask.numpy()})[0]
    np.testing.assert_allclose(got / np.linalg.norm(got, axis=1, keepdims=True), expected, atol=1e-5)
    alone = network.run({"tokens": tokens[1:2, :4].numpy(), "mask": mask[1:2, :4].numpy()})[0]
    np.testing.assert_allclose(alone, got[1:2], atol=1e-6)


@pytest.mark.slow
def test_an_lstm_keeps_the_contract_too() -> None:
    check_encoder(lambda: RnnEncoder(**{**SMALL, "epochs": 1}, cell="lstm"))


@pytest.mark.parametrize("texts", [[], [""], ["one dress"], ["", "", "red"], ["same", "same", "same"], ["\nno title"]])
def test_tiny_catalogues(texts: list[str]) -> None:
    vectors = RnnEncoder(**{**SMALL, "epochs": 1}).fit_texts(texts, Silent()).transform([*texts, "%"])
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, [1.0 if text else 0.0 for text in [*texts, ""]], atol=1e-5)


def test_the_seed_decides_and_the_order_of_training_is_drawn() -> None:
    def learned(seed: int) -> np.ndarray:
        return RnnEncoder(**{**SMALL, "epochs": 2, "fit_items": 20}, seed=seed).fit_texts(TEXTS, Silent()).words_

    np.testing.assert_array_equal(learned(0), learned(0))
    assert learned(0).shape != learned(1).shape or not np.allclose(learned(0), learned(1))


def test_what_is_beyond_the_longest_is_not_read() -> None:
    encoder = RnnEncoder(**{**SMALL, "epochs": 0, "max_words": 3}).fit_texts(TEXTS, Silent())
    one, other = encoder.transform(["red dress\nfor summer evenings", "red dress\nfor the rain"])
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_serves_needs_no_torch(encoder: RnnEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "saved")
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} == {".json", ".npy", ".onnx"}
    script = f"""
import sys
from pathlib import Path
import numpy as np
from vetrina.core import component_class
encoder = component_class("encoder", "rnn").load(Path({str(tmp_path / "saved")!r}))
np.save({str(tmp_path / "vectors.npy")!r}, encoder.transform(["red dresses", "", "trainerz"]))
assert not {{"torch", "onnx"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), encoder.transform(["red dresses", "", "trainerz"]))


def test_damage_says_so(encoder: RnnEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    (tmp_path / "network.onnx").unlink()
    with pytest.raises(SnapshotError, match=r"network\.onnx: cannot be read.*Build again"):
        RnnEncoder.load(tmp_path)


def test_unfitted_misconfigured_and_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFitted, match="rnn"):
        RnnEncoder().transform(["red"])
    with pytest.raises(ConfigError, match=r"encoder\.rnn\.cell: Input should be 'gru' or 'lstm'"):
        create("encoder", "rnn", {"cell": "transformer"})
    elsewhere = RnnEncoder()
    elsewhere.device = "cuda"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MissingExtra, match=r"torch finds no cuda here: .* set device to cpu"):
        elsewhere.fit_texts(["red"], Silent())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"encoder rnn needs torch: pip install 'vetrina\[torch\]'"):
        RnnEncoder().fit_texts(["red"], Silent())
