"""Text as a vector by a model that others trained: any of sentence-transformers, from a folder or the hub.

Sources: N. Reimers and I. Gurevych, Sentence-BERT (EMNLP 2019); T. Wolf et al.,
Transformers (EMNLP 2020).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Items, register
from vetrina.core.errors import DataError, MissingExtra
from vetrina.core.onnx import Network, export_network, import_torch
from vetrina.encode.base import unit_rows
from vetrina.encode.int8 import found_again, in_int8
from vetrina.encode.public_models import (
    PublicModelEncoder,
    first_line,
    hash_of,
    open_tokenizer,
    quiet,
    read_licence,
)
from vetrina.encode.texts import TextEncoder

__all__ = ["TransformerEncoder"]

Floats = npt.NDArray[np.float32]

_BATCH = 32  # texts in the network at once
_LONGEST = 512  # tokens, of a model that names no limit
_TRIED = 500  # products on which 8 bits are tried
_PROBE = ("red dress", "a long red dress of linen with sleeves")


@dataclass(frozen=True)
class _Model:
    """A model as files that ONNX Runtime and tokenizers read.

    Attributes
    ----------
    network : bytes
        ONNX: ``ids`` and ``mask``, both of shape (n, length), to vectors.
    tokenizer : str
        ``tokenizer.json``.
    dim, length : int
        Of the vectors; and of a text, in tokens, at most.
    pad : int
        The token that shorter texts are filled up with, on the side ``pad_on``.
    query, document : str
        What is put before either.
    licence : str
        As the model's card says; "" where it says none.
    """

    network: bytes
    tokenizer: str
    dim: int
    length: int
    pad: int
    pad_on: str
    query: str
    document: str
    licence: str

    def save(self, folder: Path) -> None:
        told = asdict(self)
        (folder / "network.onnx").write_bytes(told.pop("network"))
        (folder / "tokenizer.json").write_text(told.pop("tokenizer"), encoding="utf-8")
        (folder / "model.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        return cls((folder / "network.onnx").read_bytes(), tokenizer, **told)


@register("encoder", "transformer", licence="the model's own")
class TransformerEncoder(PublicModelEncoder, TextEncoder):
    """A public sentence encoder, exported to ONNX once; ONNX Runtime and tokenizers run it ever after.

    Pooling, further layers and the prompts put before queries and documents are
    those that the model's own files name. What is longer than the model reads is
    cut. ``licence_`` is what the model's card says of its licence.

    Examples
    --------
    ::

        encoder = TransformerEncoder(model="models/multilingual-e5-small")
        contents, _ = encoder.read(items, Path("myshop"))
        vectors = encoder.fit(items, contents, Silent()).transform(contents)
        found = encoder.transform_words(["a gift for a girl of six"]) @ vectors.T
    """

    cost = "no training; a network of tens to hundreds of millions of weights for each text"
    model_type = _Model
    model_: _Model

    def _made_of(self, path: Path, name: str) -> _Model:
        return _exported(path, name, hash_of(path))

    def _shrink(self, items: Items, contents: Sequence[str]) -> list[str]:
        network, told = in_int8(self.model_.network, lambda one: self._recall(one, contents), self.device)
        self._take(replace(self.model_, network=network))
        return [told] if told else []

    def _recall(self, network: Network, contents: Sequence[str]) -> float:
        """Share of titles that find their own product among others, by ``network``."""
        self._network = network
        texts = [text for text in dict.fromkeys(contents) if text][:_TRIED]
        return found_again(self.transform_words([text.partition("\n")[0] for text in texts]), self.transform(texts))

    def transform(self, contents: Sequence[str]) -> Floats:
        """Encode texts of items: float32 of shape (len(contents), dim), zero for an empty one."""
        self.require_fitted("model_")
        return self._encode([text.replace("\n", " ") for text in contents], self.model_.document)

    def transform_words(self, texts: Sequence[str]) -> Floats:
        self.require_fitted("model_")
        return self._encode(texts, self.model_.query)

    def _encode(self, texts: Sequence[str], prompt: str) -> Floats:
        vectors = np.zeros((len(texts), self.model_.dim), dtype=np.float32)
        # Texts of like length together: the network reads padding as long as anything else.
        order = sorted((row for row, text in enumerate(texts) if text.strip()), key=lambda row: len(texts[row]))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            encoded = self._tokenizer.encode_batch([prompt + texts[row].strip() for row in rows])
            ids = np.array([one.ids for one in encoded], dtype=np.int64)
            mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
            vectors[rows] = self._network.run({"ids": ids, "mask": mask})[0]
        return unit_rows(vectors)

    @cached_property
    def _network(self) -> Network:
        return Network(self.model_.network, self.device)

    @cached_property
    def _tokenizer(self) -> Any:
        model = self.model_
        return open_tokenizer(model.tokenizer, model.length, model.pad, direction=model.pad_on)


# --- bringing a model in ------------------------------------------------------


@lru_cache(maxsize=1)  # what comes of it depends on the files alone, and a shop may use a model twice
def _exported(folder: Path, name: str, files: str) -> _Model:
    """The model in ``folder`` as ONNX, compared with what sentence-transformers itself answers."""
    torch = import_torch("Bringing in a model", extra="pretrained")
    try:
        import sentence_transformers  # noqa: F401  (before anything else is asked of its libraries)
    except ImportError:
        raise MissingExtra(
            "Bringing in a text model needs sentence-transformers: pip install 'vetrina[pretrained]'."
        ) from None
    with quiet():
        model = _loaded(folder, name)
        tokenizer = model.tokenizer
        padding = tokenizer.pad_token_id or 0

        class Texts(torch.nn.Module):  # type: ignore[name-defined, misc]  # torch is imported in here, so it is Any
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: Any, mask: Any) -> Any:
                return self.model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]

        try:
            wanted = model.encode(list(_PROBE), prompt="", show_progress_bar=False)
            length = min(int(model.max_seq_length or _LONGEST), tokenizer.model_max_length)
            given = tokenizer(list(_PROBE), padding=True, truncation=True, max_length=length, return_tensors="pt")
            inputs = {"ids": given["input_ids"], "mask": given["attention_mask"]}
            network = export_network(Texts(), inputs, ["vectors"], {"ids": (0, 1), "mask": (0, 1)})
            words = tokenizer.backend_tokenizer
        except MissingExtra:
            raise
        except Exception as error:
            raise _no_text_model(name, error) from error
    words.no_padding()
    words.no_truncation()
    prompts = {key: str(text) for key, text in (model.prompts or {}).items() if text}
    document = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), "")
    if prompts and any(getattr(part, "include_prompt", True) is False for part in model):
        raise DataError(f"{name}: it leaves its prompts out of the mean over words, which is not supported.")
    made = _Model(
        network,
        words.to_str(),
        int(wanted.shape[1]),
        length,
        int(padding),
        str(tokenizer.padding_side),
        prompts.get("query", ""),
        document,
        read_licence(folder),
    )
    _compare(made, wanted, name)
    return made


def _loaded(folder: Path, name: str) -> Any:
    """The model as sentence-transformers reads it."""
    from sentence_transformers import SentenceTransformer

    options = {"attn_implementation": "eager", "use_safetensors": True}
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=options)
        words = model.tokenizer.backend_tokenizer  # a model of photos has none
    except Exception as error:
        raise _no_text_model(name, error) from error
    # Where its files are missing, transformers makes one that knows no word.
    if words.get_vocab_size() <= len(model.tokenizer.all_special_tokens):
        raise _no_text_model(name, DataError("its tokenizer knows no word"))
    return model.train(False).float()


def _no_text_model(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name}: cannot be read as a model of texts ({first_line(error)}). Expected a folder as "
        "sentence-transformers saves it, with modules.json or config.json, tokenizer.json, and weights as safetensors."
    )


def _compare(made: _Model, wanted: npt.NDArray[np.floating], name: str) -> None:
    """Refuse a model whose export answers otherwise: a query would be compared with something else."""
    encoder = TransformerEncoder()
    encoder._take(made)
    got = encoder._encode(_PROBE, "")
    far = float(np.abs(got - unit_rows(wanted)).max())
    if far > 1e-3:
        raise DataError(
            f"{name}: exported, it answers otherwise than before (by up to {far:.2g}), so it cannot be used. "
            "Choose another model."
        )
