"""Public models, by tiny ones of the same kinds saved by the test: what they say is said without their libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from PIL import Image

from vetrina.core import Items, Silent
from vetrina.core.errors import ConfigError, DataError, MissingFile, SnapshotError
from vetrina.encode.preparation import read_preparation
from vetrina.encode.pretrained import PretrainedEncoder
from vetrina.testing import check_encoder

Floats = npt.NDArray[np.float32]

WORDS = ["red", "blue", "dress", "shoe", "linen", "a"]
TEXTS = ["red linen dress", "a blue shoe", "", "zebra " * 40]
# What transformers itself warns of.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")]


def hf() -> Any:
    """The library transformers."""
    return import_module("transformers")


def saved_photos(folder: Path) -> list[str]:
    """Photos of several shapes, small enough to be decoded whole."""
    rng = np.random.default_rng(0)
    paths = []
    for number, size in enumerate(((50, 70), (90, 40), (33, 33), (20, 24))):
        pixels = rng.integers(0, 255, (size[1] // 5 + 1, size[0] // 5 + 1, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
        paths.append(str(path))
    return paths


def unit(rows: Any) -> Floats:
    values = np.asarray(rows, dtype=np.float32)
    scaled: Floats = values / np.linalg.norm(values, axis=1, keepdims=True)
    return scaled


def fitted(model: Path | str, root: Path = Path()) -> PretrainedEncoder:
    encoder = PretrainedEncoder(model=str(model))
    items = Items(pl.DataFrame({"item": [], "photo": []}, schema={"item": pl.String, "photo": pl.String}))
    contents, _ = encoder.read(items, root)
    return encoder.fit(items, contents, Silent())


def write_tokenizer(folder: Path, *, masked: bool) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    known = {word: at for at, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokens = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    hf().PreTrainedTokenizerFast(tokenizer_object=words, model_input_names=names, **tokens).save_pretrained(folder)


SIDES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {
    **SIDES,
    "vocab_size": 16,
    "max_position_embeddings": 12,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PHOTO = {**SIDES, "image_size": 32, "patch_size": 8}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    hf().CLIPModel(hf().CLIPConfig(text_config=TEXT, vision_config=PHOTO, projection_dim=12)).save_pretrained(folder)
    hf().CLIPImageProcessorPil(size={"shortest_edge": 36}, crop_size=32).save_pretrained(folder)
    write_tokenizer(folder, masked=True)
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [vision]\n---\n# Tiny\n")
    return folder


@pytest.fixture(scope="module")
def clip_encoder(clip: Path) -> PretrainedEncoder:
    return fitted(clip)


def theirs(folder: Path, paths: list[str]) -> tuple[Any, Any]:
    """(transformers' model, its own preprocessing of photos)."""

    model = hf().AutoModel.from_pretrained(folder).eval()
    processor = hf().AutoImageProcessor.from_pretrained(folder, use_fast=False)
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(image.convert("RGB"))
    return model, processor(images, return_tensors="pt")["pixel_values"]


def test_clip_says_of_photos_what_transformers_says(
    clip: Path, clip_encoder: PretrainedEncoder, tmp_path: Path
) -> None:
    import torch

    paths = saved_photos(tmp_path)
    model, pixels = theirs(clip, paths)
    preparation = read_preparation(clip / "preprocessor_config.json")
    ours = preparation.normalise(np.stack([preparation.read(path) for path in paths]))
    np.testing.assert_allclose(ours, pixels.numpy(), atol=1e-5)
    with torch.no_grad():
        expected = unit(model.get_image_features(pixel_values=pixels).pooler_output)
    np.testing.assert_allclose(clip_encoder.transform(paths), expected, atol=2e-5)


def test_clip_says_of_words_what_transformers_says(clip: Path, clip_encoder: PretrainedEncoder) -> None:
    import torch

    asked = hf().AutoTokenizer.from_pretrained(clip)(
        TEXTS, padding="max_length", truncation=True, max_length=12, return_tensors="pt"
    )
    with torch.no_grad():
        model = hf().AutoModel.from_pretrained(clip).eval()
        expected = unit(model.get_text_features(asked["input_ids"], asked["attention_mask"]).pooler_output)
    found = clip_encoder.transform_words(TEXTS)
    assert found is not None
    np.testing.assert_allclose(found[[0, 1, 3]], expected[[0, 1, 3]], atol=2e-5)
    assert not found[2].any()
    alone = clip_encoder.transform_words(TEXTS[:1])
    assert alone is not None
    np.testing.assert_allclose(alone[0], found[0], atol=1e-5)


def test_siglip_says_what_transformers_says(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    hf().SiglipModel(hf().SiglipConfig(text_config=TEXT, vision_config=PHOTO)).save_pretrained(tmp_path)
    hf().SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, masked=False)
    encoder, paths = fitted(tmp_path), saved_photos(tmp_path)
    model, pixels = theirs(tmp_path, paths)
    asked = hf().AutoTokenizer.from_pretrained(tmp_path)(
        TEXTS[:2], padding="max_length", max_length=12, return_tensors="pt"
    )
    with torch.no_grad():
        photos = unit(model.get_image_features(pixel_values=pixels).pooler_output)
        words = unit(model.get_text_features(asked["input_ids"]).pooler_output)
    np.testing.assert_allclose(encoder.transform(paths), photos, atol=2e-5)
    np.testing.assert_allclose(np.asarray(encoder.transform_words(TEXTS[:2])), words, atol=2e-5)


def test_resnet_says_what_transformers_says(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    hf().ResNetModel(hf().ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(tmp_path)
    hf().ConvNextImageProcessorPil(size={"shortest_edge": 28}, crop_pct=0.875).save_pretrained(tmp_path)
    encoder, paths = fitted(tmp_path), saved_photos(tmp_path)
    model, pixels = theirs(tmp_path, paths)
    assert pixels.shape == (4, 3, 28, 28)
    with torch.no_grad():
        expected = unit(model(pixels).pooler_output.flatten(1))
    np.testing.assert_allclose(encoder.transform(paths), expected, atol=2e-5)
    assert encoder.transform_words(["red dress"]) is None


def test_a_pooling_layer_that_did_not_come_with_the_model_is_not_used(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    model = hf().ViTForImageClassification(hf().ViTConfig(**PHOTO)).eval()
    model.save_pretrained(tmp_path)
    hf().ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder, paths = fitted(tmp_path), saved_photos(tmp_path)
    _, pixels = theirs(tmp_path, paths)
    with torch.no_grad():
        expected = unit(model.vit(pixels).last_hidden_state[:, 0])
    np.testing.assert_allclose(encoder.transform(paths), expected, atol=2e-5)


def test_saved_and_loaded_it_needs_neither_torch_nor_transformers(
    clip_encoder: PretrainedEncoder, tmp_path: Path
) -> None:
    paths = saved_photos(tmp_path)
    clip_encoder.save(tmp_path / "encoder")
    assert clip_encoder.licence_ == "mit"
    code = """
import json, sys
from pathlib import Path
from vetrina.encode.pretrained import PretrainedEncoder
encoder = PretrainedEncoder.load(Path(sys.argv[1]))
answers = [encoder.transform(sys.argv[2:]).tolist(), encoder.transform_words(["red linen dress"]).tolist()]
loaded = sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules))
print(json.dumps([*answers, loaded, encoder.licence_]))
"""
    asked = [sys.executable, "-c", code, str(tmp_path / "encoder"), *paths]
    photos, words, loaded, licence = json.loads(
        subprocess.run(asked, capture_output=True, check=True, text=True).stdout
    )
    assert loaded == []
    assert licence == "mit"
    np.testing.assert_allclose(photos, clip_encoder.transform(paths), atol=1e-6)
    np.testing.assert_allclose(words, np.asarray(clip_encoder.transform_words(["red linen dress"])), atol=1e-6)


def test_a_damaged_folder_says_so(clip_encoder: PretrainedEncoder, tmp_path: Path) -> None:
    clip_encoder.save(tmp_path)
    (tmp_path / "words.onnx").unlink()
    with pytest.raises(SnapshotError, match="Build again"):
        PretrainedEncoder.load(tmp_path)


def test_vectors_depend_on_the_files_of_the_model(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in clip.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    encoder = PretrainedEncoder(model="model")
    before = encoder.source(tmp_path)
    assert before == encoder.source(tmp_path) != ""
    told = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**told, "image_mean": [0.5, 0.5, 0.5]}))
    assert encoder.source(tmp_path) != before
    assert PretrainedEncoder(model="some/model").source(tmp_path) == ""


# Any ONNX file


def write_onnx(path: Path, seed: int = 0, layout: str = "NCHW", batch: int | str = "n") -> Callable[[Floats], Floats]:
    """A linear map of each channel's mean, as VGG-style networks end; the same in NumPy."""
    weights = np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32)
    shape = [batch, 3, 16, 16] if layout == "NCHW" else [batch, 16, 16, 3]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["photo"], ["means"], axes=axes, keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["features"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("photo", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 5])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return lambda means: unit(means @ weights)


@pytest.mark.parametrize(("layout", "batch"), [("NCHW", "n"), ("NHWC", "n"), ("NCHW", 1), ("NCHW", 3)])
def test_any_onnx_file_with_its_normalisation_beside_it(tmp_path: Path, layout: str, batch: int | str) -> None:
    expected = write_onnx(tmp_path / "tiny.onnx", layout=layout, batch=batch)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    told = {"size": 16, "crop": 0.8, "resample": "bicubic", "mean": mean, "std": std, "layout": layout}
    (tmp_path / "tiny.json").write_text(json.dumps({**told, "licence": "CC0-1.0"}))
    encoder, paths = fitted("tiny.onnx", tmp_path), saved_photos(tmp_path)
    literal = []
    for path in paths:
        with Image.open(path) as image:
            wide, high = image.size
            small = image.resize(
                (int(wide * 20 / min(wide, high)), int(high * 20 / min(wide, high))), Image.Resampling.BICUBIC
            )
        left, top = (small.width - 16) // 2, (small.height - 16) // 2
        pixels = np.asarray(small, dtype=np.float64)[top : top + 16, left : left + 16] / 255
        literal.append(((pixels - mean) / std).mean(axis=(0, 1)))
    np.testing.assert_allclose(encoder.transform(paths), expected(np.array(literal, dtype=np.float32)), atol=1e-4)
    assert encoder.licence_ == "CC0-1.0"


def test_the_contract(tmp_path: Path) -> None:
    write_onnx(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.json").write_text('{"size": 16}')
    check_encoder(lambda: PretrainedEncoder(model=str(tmp_path / "tiny.onnx")))


def test_what_timm_writes_says_how_photos_are_wanted(tmp_path: Path) -> None:
    """timm's numbers: the shorter side to floor(size / crop_pct), the middle cut out, then mean and deviation."""
    told = {
        "input_size": [3, 28, 28],
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vgg11", "pretrained_cfg": told}))
    preparation = read_preparation(tmp_path / "config.json")
    assert (preparation.edge, preparation.crop, preparation.resample) == (32, (28, 28), Image.Resampling.BICUBIC)
    white = preparation.normalise(np.full((1, 28, 28, 3), 255, dtype=np.uint8))
    assert white.shape == (1, 3, 28, 28)
    np.testing.assert_allclose(white, 2, atol=1e-6)
    squashed = {"pretrained_cfg": {**told, "crop_mode": "squash", "crop_pct": 1.0}}
    (tmp_path / "config.json").write_text(json.dumps(squashed))
    assert read_preparation(tmp_path / "config.json").resize == (28, 28)


# What cannot be brought in


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("", ConfigError, "no model is named"),
        ("no/such/folder", MissingFile, "there is no such folder or file"),
        ("gone.onnx", MissingFile, "there is no such folder or file"),
        ("nobody/none-such-model", DataError, "cannot be fetched from the hub"),
        ("empty", DataError, "cannot be read as a model"),
        ("bert", DataError, "does not take photos"),
        ("bare.onnx", MissingFile, "nothing says how the network wants its photos"),
        ("text.onnx", DataError, "text.onnx: Not a network"),
        ("unsaid.onnx", DataError, "crop"),
        ("large.onnx", DataError, "does not take photos as its preparation says"),
    ],
)
def test_what_cannot_be_brought_in_says_why(tmp_path: Path, model: str, error: type[Exception], message: str) -> None:

    (tmp_path / "empty").mkdir()
    if model == "bert":
        config = hf().BertConfig(**SIDES, vocab_size=16)
        hf().BertModel(config).save_pretrained(tmp_path / "bert")
    for name in ("bare.onnx", "unsaid.onnx", "large.onnx"):
        write_onnx(tmp_path / name)
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "text.json").write_text('{"size": 16}')
    (tmp_path / "unsaid.json").write_text('{"mean": [0, 0, 0]}')
    (tmp_path / "large.json").write_text('{"size": 224}')
    with pytest.raises(error, match=message):
        fitted(model, tmp_path)
