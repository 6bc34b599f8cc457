"""Models that others trained: how they are named, found and kept, and how those of photos are made ONNX.

What is made of them is made once, when an encoder is fitted; what serves needs
neither torch nor transformers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from vetrina.core import Config, Items, Progress
from vetrina.core.errors import ConfigError, DataError, MissingExtra, MissingFile, SnapshotError
from vetrina.core.file_hash import file_hash
from vetrina.core.onnx import export_network, import_torch
from vetrina.encode.base import Encoder
from vetrina.encode.preparation import PREPARATION_FILES, Preparation, read_preparation

__all__ = [
    "PublicModel",
    "PublicModelConfig",
    "PublicModelEncoder",
    "TextPart",
    "bring_in",
    "fetched",
    "find_model",
    "first_line",
    "hash_of",
    "open_tokenizer",
    "quiet",
    "read_licence",
]

# What is fetched of a model: weights as safetensors alone, for the others can hold code.
_WANTED = ("*.json", "*.txt", "*.model", "README.md", "model*.safetensors", "*/model.safetensors")


class PublicModelConfig(Config):
    """Which model."""

    model: str = Field(
        default="",
        description="A folder that transformers (of text: sentence-transformers) can read, seen from the shop's; "
        "a name on the hub; or, of photos, an ONNX file.",
    )
    revision: str = Field(default="", description="Of a model on the hub: a branch, tag or commit.")
    int8: bool = Field(default=True, description="Matrices in 8 bits, where that loses under 1% of recall.")


class PublicModelEncoder(Encoder):
    """An encoder whose model others trained: brought in once, and kept as files that ONNX Runtime reads.

    Subclasses say how :meth:`_made_of` the model's files one is made that runs, of the type ``model_type``
    (a dataclass with ``licence``, ``save(folder)`` and ``load(folder)``), and how it is taken in 8 bits.
    """

    needs = "pretrained"
    dimension = "of the model"
    ready_made: ClassVar[bool] = True
    config_type = PublicModelConfig
    model_type: ClassVar[type[Any]]
    model_: Any
    #: What the model's card says; "" where it says nothing.
    licence_ = ""
    _root = Path()

    def source(self, root: Path) -> str:
        """A hash of the model's files; a model of the hub is known by its name and revision."""
        path = find_model(self._named(), root)
        return "" if path is None else hash_of(path)

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        self._root = root
        return super().read(items, root)

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        """Bring the model in; nothing of the items is learned."""
        name = self._named()
        with progress.step(f"Bringing in {name}"):
            self._take(self._made_of(find_model(name, self._root) or fetched(name, self.config.revision), name))
        progress.note(f"{name}: licence {self.licence_ or 'unknown; the model has no card that says'}")
        if self.config.int8:
            with progress.step(f"Trying {name} in 8 bits"):
                notes = self._shrink(items, contents)
            for note in notes:
                progress.note(f"{name}: {note}")
        return self

    def _made_of(self, path: Path, name: str) -> Any:
        """The model in the folder or file ``path``, as one that runs."""
        raise NotImplementedError

    def _shrink(self, items: Items, contents: Sequence[Any]) -> list[str]:
        """Take it in 8 bits where it finds as well as before; what there is to tell of that."""
        raise NotImplementedError

    def _named(self) -> str:
        if not self.config.model:
            raise ConfigError(f"encoder.{self.name}.model: no model is named. Expected a folder, or a name on the hub.")
        return str(self.config.model)

    def _take(self, model: Any) -> None:
        """Run this model from now on: what was opened of another is forgotten."""
        for name in [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]:
            delattr(self, name)
        self.model_, self.licence_ = model, model.licence

    def save(self, folder: Path) -> None:
        self.require_fitted("model_")
        super().save(folder)
        self.model_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        try:
            model = cls.model_type.load(folder)
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise SnapshotError(f"{folder}: cannot be read ({error}). Build again, or roll back.") from error
        encoder.model_, encoder.licence_ = model, model.licence
        return encoder


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

    def save(self, folder: Path) -> None:
        """Write it as files."""
        (folder / "photos.onnx").write_bytes(self.network)
        told: dict[str, Any] = {
            "output": self.output,
            "licence": self.licence,
            "preparation": self.preparation.model_dump(mode="json"),
        }
        if self.text is not None:
            told["text"] = asdict(self.text)
            (folder / "words.onnx").write_bytes(told["text"].pop("network"))
            (folder / "tokenizer.json").write_text(told["text"].pop("tokenizer"), encoding="utf-8")
        (folder / "model.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        text = None
        if "text" in told:
            tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
            text = TextPart((folder / "words.onnx").read_bytes(), tokenizer, **told["text"])
        preparation = Preparation.parse(told["preparation"], "preparation")
        return cls((folder / "photos.onnx").read_bytes(), told["output"], preparation, told["licence"], text)


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


def hash_of(path: Path) -> str:
    """A hash of the files that a model is made of: an ONNX file and what says of it, or what a folder has of one."""
    if path.is_file():
        names = (path.with_suffix(".json").name, *PREPARATION_FILES, f"{path.name}.data")
        folder, files = path.parent, [path, *(one for name in names if (one := path.with_name(name)).is_file())]
    else:
        folder = path
        files = sorted(one for one in path.rglob("*") if any(one.match(kind) for kind in _WANTED) and one.is_file())
    hashes = [f"{one.relative_to(folder)} {file_hash(one)}" for one in files]
    return hashlib.blake2b("\n".join(hashes).encode(), digest_size=16).hexdigest()


def first_line(error: Exception) -> str:
    """What an error of somebody else's library says, in short."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def bring_in(path: Path, model: str) -> PublicModel:
    """Read a model of photos, an ONNX file or a folder, and make ONNX of it.

    Raises
    ------
    MissingFile
        When nothing says how it wants its photos.
    MissingExtra
        When a library that it needs is not installed.
    DataError
        When it is no model of photos.
    """
    return _of_onnx(path) if path.is_file() else _of_transformers(path, model)


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
            reason = first_line(error)
        else:
            if any(Path(found).glob("model*.safetensors")):
                return Path(found)
            reason = "it has no weights as safetensors"
    raise DataError(
        f"{model}: no folder of that name is here, and it cannot be fetched from the hub ({reason}). "
        "Check the name and the network, or copy the model's folder here and name that."
    )


def _of_transformers(folder: Path, model: str) -> PublicModel:
    import_torch("Bringing in a model", extra="pretrained")
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
        reason = first_line(error)
        raise DataError(
            f"{model}: cannot be read as a model ({reason}). Expected config.json of a kind that transformers "
            "knows, and weights as safetensors."
        ) from error
    if not hasattr(network, "get_image_features") and network.main_input_name != "pixel_values":
        raise DataError(
            f"{model}: a {network.config.model_type} model does not take photos. Expected one such as CLIP, SigLIP, "
            "ViT, DINOv2, ResNet or ConvNeXt."
        )
    return network.train(False).float(), set(told["missing_keys"])


def _exported_photos(network: Any, missing: set[str], preparation: Preparation) -> bytes:
    torch = import_torch("Bringing in a model", extra="pretrained")
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
    torch = import_torch("Bringing in a model", extra="pretrained")
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        words = tokenizer.backend_tokenizer
    except Exception as error:  # (a folder that is no model makes transformers raise nearly anything)
        reason = first_line(error)
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
