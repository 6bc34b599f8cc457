"""A public text model from outside: a tiny BERT in a folder, made here, beside sentence-transformers' own answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from vetrina.core import ITEM_COLUMNS, Items, Silent, component_class
from vetrina.core.errors import ConfigError, DataError, MissingFile, NotFitted, SnapshotError
from vetrina.encode import TransformerEncoder
from vetrina.encode.public_models import quiet
from vetrina.testing import check_encoder

pytestmark = pytest.mark.slow

WORDS = "red black blue linen cotton leather dress shoe hat bag a the of with for ##s ##es ##ed ##i , . query : passage"
TEXTS = ["Red linen dresses", "black leather shoes\nShoes > Formal, with a bag for the hat", "hat", "", "   ", "zzz"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As sentence-transformers saves a model: mean pooling, one more layer, unit length, prompts for both sides."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    root = tmp_path_factory.mktemp("models")
    letters = [letter for one in "abcdefghijklmnopqrstuvwxyz" for letter in (one, f"##{one}")]
    vocabulary = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), *letters]))
    (root / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        size: dict[str, Any] = {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
        }
        bert = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **size))
        bert.save_pretrained(root / "bert")
        BertTokenizer(str(root / "vocab.txt")).save_pretrained(root / "bert")
        words = Transformer(str(root / "bert"))
        words.max_seq_length = 12
        parts = [words, Pooling(16, pooling_mode="mean"), Dense(16, 8), Normalize()]
        SentenceTransformer(modules=parts, prompts={"query": "query: ", "document": "passage: "}).save(
            str(root / "tiny"), create_model_card=False
        )
    (root / "tiny" / "README.md").write_text("---\nlicense: cc-by-4.0\ntags: [x]\n---\n# Tiny\n", encoding="utf-8")
    return root / "tiny"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TransformerEncoder:
    return TransformerEncoder(model=str(folder)).fit(none_of(), [], Silent())


def none_of() -> Items:
    return Items(pl.DataFrame(schema=ITEM_COLUMNS))


def test_against_sentence_transformers_itself(folder: Path, encoder: TransformerEncoder) -> None:
    """Golden: prompts, truncation at 12 tokens, pooling, the further layer, unit length."""
    from sentence_transformers import SentenceTransformer

    with quiet():
        theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        asked = ["linen dress", "a hat with a bag, with a bag, with a bag, with a bag of leather"]
        told = [text.replace("\n", " ") for text in TEXTS if text.strip()]
        queries, documents = theirs.encode_query(asked), theirs.encode_document(told)
    np.testing.assert_allclose(encoder.transform_words(asked), queries, atol=1e-5)
    ours = encoder.transform(TEXTS)
    filled = [bool(text.strip()) for text in TEXTS]
    np.testing.assert_allclose(ours[filled], documents, atol=1e-5)
    assert not ours[~np.array(filled)].any()
    assert not np.allclose(encoder.transform(["hat"]), encoder.transform_words(["hat"]), atol=1e-3)


def test_it_keeps_the_contract(folder: Path) -> None:
    check_encoder(lambda: TransformerEncoder(model=str(folder)))


def test_what_serves_needs_neither_torch_nor_transformers(encoder: TransformerEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"config.json", "model.json", "network.onnx", "tokenizer.json"}
    script = f"""
import sys
from pathlib import Path
import numpy as np
from vetrina.core import component_class
encoder = component_class("encoder", "transformer").load(Path({str(tmp_path / "saved")!r}))
np.save({str(tmp_path / "vectors.npy")!r}, encoder.transform_words(["linen dress"]))
loaded = {{"torch", "transformers", "sentence_transformers"}} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), encoder.transform_words(["linen dress"]))


def test_the_licence_is_that_of_the_models_card(encoder: TransformerEncoder, tmp_path: Path) -> None:
    assert encoder.licence_ == "cc-by-4.0"
    encoder.save(tmp_path)
    loaded = component_class("encoder", "transformer").load(tmp_path)
    assert isinstance(loaded, TransformerEncoder)
    assert loaded.licence_ == "cc-by-4.0"


def test_the_source_is_what_is_in_the_folder(folder: Path, tmp_path: Path) -> None:
    """A model that was changed is another one, and its vectors are made anew."""
    shutil.copytree(folder, tmp_path / "tiny")
    encoder = TransformerEncoder(model="tiny")
    before = encoder.source(tmp_path)
    assert before == TransformerEncoder(model=str(folder)).source(Path())
    pooling = next((tmp_path / "tiny").glob("*_Pooling/config.json"))
    pooling.write_text(pooling.read_text(encoding="utf-8").replace("mean", "cls"), encoding="utf-8")
    assert encoder.source(tmp_path) not in ("", before)
    assert TransformerEncoder(model="nobody/nothing").source(tmp_path) == ""


def test_no_model_and_no_folder() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.transformer\.model: no model is named"):
        TransformerEncoder().fit(none_of(), [], Silent())
    with pytest.raises(MissingFile, match=r"\./nowhere: there is no such folder"):
        TransformerEncoder(model="./nowhere").fit(none_of(), [], Silent())
    with pytest.raises(NotFitted, match="transformer"):
        TransformerEncoder(model="x").transform(["red"])


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"nobody/nothing: .*cannot be fetched from the hub .* copy the model's folder"):
        TransformerEncoder(model="nobody/nothing").fit(none_of(), [], Silent())


@pytest.mark.parametrize("kind", ["photos", "nothing", "no tokenizer"])
def test_what_is_no_text_model_is_refused(kind: str, folder: Path, tmp_path: Path) -> None:
    if kind == "photos":
        from transformers import ResNetConfig, ResNetModel

        with quiet():
            small = ResNetConfig(embedding_size=4, hidden_sizes=[4, 4], depths=[1, 1])
            ResNetModel(small).save_pretrained(tmp_path)
    elif kind == "no tokenizer":
        for name in ("config.json", "model.safetensors"):
            shutil.copy(folder / name, tmp_path / name)
    with pytest.raises(DataError, match=r"cannot be read as a model of texts .* Expected a folder"):
        TransformerEncoder(model=str(tmp_path)).fit(none_of(), [], Silent())


def test_damage_says_so(encoder: TransformerEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    told = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    del told["dim"]
    (tmp_path / "model.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(SnapshotError, match=r"cannot be read .* Build again"):
        TransformerEncoder.load(tmp_path)
