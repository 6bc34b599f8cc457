"""Models that others trained, brought in as ONNX: from a folder or the hub by transformers, or an ONNX file itself.

What is made here is made once, when an encoder is fitted; what serves needs
none of these libraries.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from vetrina.core.errors import DataError, MissingExtra, MissingFile
from vetrina.encode.onnx import export_network, import_torch
from vetrina.encode.preparation import PREPARATION_FILES, Preparation, read_preparation

__all__ = [
    "PublicModel",
    "TextPart",
    "bring_in",
    "fetched",
    "files_of",
    "find_model",
    "open_tokenizer",
    "quiet",
    "read_licence",
]

# What is fetched of a model: weights as safetensors alone, for the others can hold code.
_WANTED = ("*.json", "*.txt", "*.model", "README.md", "model*.safetensors", "*/model.safetensors")


@dataclass(frozen=True)
class TextPart:
    """The part of a model that reads words.

    Attributes
    ----------
    network : bytes
        ONNX: ``ids`` (n, length), and ``mask`` where ``masked``, to vectors.
    tokenizer : str
        ``tokenizer.json``.
    length : int
        Every text is cut or filled up to so many tokens.
    pad : int
        The token it is filled up with.
    masked : bool
    """

    network: bytes
    tokenizer: str
    length: int
    pad: int
    masked: bool


@dataclass(frozen=True)
class PublicModel:
    """A model as files that ONNX Runtime and tokenizers read.

    Attributes
    ----------
    network : bytes
        ONNX: photos to vectors, or to a map or sequence of them.
    output : str
        Which output is meant; "" for the first.
    preparation : Preparation
    licence : str
        As the model's card says; "" where it says none.
    text : TextPart or None
    """

    network: bytes
    output: str
    preparation: Preparation
    licence: str
    text: TextPart | None = None


def open_tokenizer(text: str, longest: int, pad: int, **padding: str | int) -> Any:
    """What cuts queries for a model, from the text of its ``tokenizer.json``.

    Parameters
    ----------
    text : str
    longest : int
        Tokens, at most; what follows is cut.
    pad : int
        The token that shorter texts are filled up with.
    **padding
        Up to which ``length`` (that of the longest text when left out), and from which ``direction``.

    Raises
    ------
    MissingExtra
        When the package tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("Reading words needs tokenizers: pip install 'vetrina[neural]'.") from None
    tokenizer = Tokenizer.from_str(text)
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad) or "", **padding)
    return tokenizer


def find_model(model: str, root: Path) -> Path | None:
    """The folder or file that ``model`` names, seen from ``root`` or as it stands; None for a name on the hub.

    Raises
    ------
    MissingFile
        When it names a file or folder that is not there.
    """
    for path in (root / Path(model).expanduser(), Path(model).expanduser()):
        if path.exists():
            return path
    if model.endswith(".onnx") or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith("."):
        raise MissingFile(
            f"{model}: there is no such folder or file. Expected a folder that holds a model and its config.json, "
            "an ONNX file, or the name of a model on the hub such as openai/clip-vit-base-patch32."
        )
    return None


def files_of(path: Path) -> list[Path]:
    """The files that a model is made of."""
    if path.is_file():
        beside = [path.with_suffix(".json"), *(path.with_name(name) for name in PREPARATION_FILES)]
        return [path, *(one for one in [*beside, path.with_name(f"{path.name}.data")] if one.is_file())]
    return sorted(one for pattern in _WANTED for one in path.glob(pattern) if one.is_file())


def bring_in(model: str, revision: str, root: Path) -> PublicModel:
    """Read a model and make ONNX of it.

    Raises
    ------
    MissingFile
        When it is a path and nothing is there.
    MissingExtra
        When a library that it needs is not installed.
    DataError
        When the hub cannot be reached, or it is no model of photos.
    """
    path = find_model(model, root)
    if path is not None and path.is_file():
        return _of_onnx(path)
    return _of_transformers(path or fetched(model, revision), model)


# --- ONNX ---------------------------------------------------------------------


def _of_onnx(path: Path) -> PublicModel:
    places = [path.with_suffix(".json"), *(path.with_name(name) for name in PREPARATION_FILES)]
    beside = next((place for place in places if place.is_file()), None)
    if beside is None:
        raise MissingFile(
            f"{path}: nothing says how the network wants its photos. Put a {places[0].name} beside it, such as "
            '{"size": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}.'
        )
    preparation = read_preparation(beside)
    told = json.loads(beside.read_text(encoding="utf-8"))
    if path.with_name(f"{path.name}.data").exists():
        raise DataError(f"{path}: its weights are in a second file. Save the network with them in one.")
    return PublicModel(path.read_bytes(), str(told.get("output", "")), preparation, str(told.get("licence", "")))


# --- transformers -------------------------------------------------------------


def fetched(model: str, revision: str) -> Path:
    """A model of the hub as a folder: what was fetched before, else from the hub."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise _missing() from None
    reason = ""
    for local in (True, False):
        try:
            found = snapshot_download(
                model, revision=revision or None, local_files_only=local, allow_patterns=list(_WANTED)
            )
        except Exception as error:  # noqa: BLE001  (of the network, of the hub, of the name: the client lets all through)
            reason = next(iter(str(error).splitlines()), type(error).__name__)
        else:
            if any(Path(found).glob("model*.safetensors")):
                return Path(found)
            reason = "it has no weights as safetensors"
    raise DataError(
        f"{model}: no folder of that name is here, and it cannot be fetched from the hub ({reason}). "
        "Check the name and the network, or copy the model's folder here and name that."
    )


def _of_transformers(folder: Path, model: str) -> PublicModel:
    import_torch("Bringing in a model")
    network, missing = _loaded(folder, model)
    files = [folder / name for name in PREPARATION_FILES if (folder / name).is_file()]
    if not files and '"pretrained_cfg"' in (folder / "config.json").read_text(encoding="utf-8"):
        files = [folder / "config.json"]  # timm's, which transformers reads where timm is installed
    if not files:
        raise MissingFile(f"{model}: it has no {PREPARATION_FILES[0]}, which says how it wants its photos.")
    preparation = read_preparation(files[0])
    return PublicModel(
        _exported_photos(network, missing, preparation), "", preparation, read_licence(folder), _text(network, folder)
    )


def _loaded(folder: Path, model: str) -> tuple[Any, set[str]]:
    """(the network, names of weights that did not come with it)."""
    try:
        from transformers import AutoModel
    except ImportError:
        raise _missing() from None
    try:
        with quiet():
            network, told = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                attn_implementation="eager",
            )
    except Exception as error:  # (a folder that is no model makes transformers raise nearly anything)
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{model}: cannot be read as a model ({reason}). Expected config.json of a kind that transformers "
            "knows, and weights as safetensors."
        ) from error
    if not hasattr(network, "get_image_features") and network.main_input_name != "pixel_values":
        raise DataError(
            f"{model}: a {network.config.model_type} model does not take photos. Expected one such as CLIP, SigLIP, "
            "ViT, DINOv2, ResNet or ConvNeXt."
        )
    return network.eval().float(), set(told["missing_keys"])


def _exported_photos(network: Any, missing: set[str], preparation: Preparation) -> bytes:
    torch = import_torch("Bringing in a model")
    joint = hasattr(network, "get_image_features")
    # A pooling layer whose weights did not come with the model is noise.
    pooled = not any("pool" in name for name in missing)

    class Photos(torch.nn.Module):  # type: ignore[name-defined, misc]  # torch is imported in here, so it is Any
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> Any:
            if joint:
                return _vectors(self.network.get_image_features(pixel_values=pixels))
            answer = self.network(pixel_values=pixels)
            states = answer.last_hidden_state
            if pooled and getattr(answer, "pooler_output", None) is not None:
                return answer.pooler_output.flatten(1)
            # Of a map the mean over its places; of a sequence its first, the class token.
            return states.mean(dim=(2, 3)) if states.ndim == 4 else states[:, 0]

    high, wide = preparation.crop
    with quiet():
        return export_network(Photos(), {"pixels": torch.rand(2, 3, high, wide)}, ["vectors"], {"pixels": [0]})


def _text(network: Any, folder: Path) -> TextPart | None:
    """What reads words, where the model has that."""
    if not hasattr(network, "get_text_features") or not hasattr(network.config, "text_config"):
        return None
    torch = import_torch("Bringing in a model")
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        words = tokenizer.backend_tokenizer
    except Exception as error:  # (a folder that is no model makes transformers raise nearly anything)
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{folder.name}: its tokenizer cannot be read ({reason}). Expected tokenizer.json.") from error
    length = int(network.config.text_config.max_position_embeddings)
    masked = "attention_mask" in tokenizer.model_input_names

    class Words(torch.nn.Module):  # type: ignore[name-defined, misc]  # torch is imported in here, so it is Any
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, ids: Any, mask: Any = None) -> Any:
            return _vectors(self.network.get_text_features(input_ids=ids, attention_mask=mask))

    ids = torch.full((2, length), int(tokenizer.pad_token_id or 0), dtype=torch.int64)
    inputs = {"ids": ids, **({"mask": torch.ones_like(ids)} if masked else {})}
    with quiet():
        exported = export_network(Words(), inputs, ["vectors"], {name: [0] for name in inputs})
    words.no_padding()
    words.no_truncation()
    return TextPart(exported, words.to_str(), length, int(tokenizer.pad_token_id or 0), masked)


def _vectors(answer: Any) -> Any:
    """Of what get_image_features and get_text_features return: a tensor, or its holder."""
    return getattr(answer, "pooler_output", answer)


def read_licence(folder: Path) -> str:
    """What the head of the model's card says; "" where there is none."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    head = card.split("---")[1] if card.startswith("---") and card.count("---") > 1 else ""
    found = re.search(r"^licen[cs]e:\s*(\S.*?)\s*$", head, re.MULTILINE)
    return found.group(1).strip("'\"") if found else ""


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ImportError:
        raise _missing() from None


def _missing() -> MissingExtra:
    return MissingExtra("Bringing in a model needs transformers: pip install 'vetrina[pretrained]'.")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the loading bars and advice of transformers and torch."""
    told = _transformers().utils.logging
    before, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        told.set_verbosity(before)
        if bars:
            told.enable_progress_bar()
