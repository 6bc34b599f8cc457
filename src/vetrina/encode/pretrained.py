"""A photo as a vector by a model that others trained: CLIP, SigLIP, ResNet and their kind, or any ONNX file.

Sources: A. Radford et al., Learning transferable visual models from natural
language supervision (ICML 2021); X. Zhai et al., Sigmoid loss for language image
pre-training (ICCV 2023); T. Wolf et al., Transformers (EMNLP 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vetrina.core import Items, register
from vetrina.core.errors import DataError
from vetrina.core.onnx import Network
from vetrina.encode.base import unit_rows
from vetrina.encode.int8 import found_again, in_int8
from vetrina.encode.photos import encode_photos, photo_contents
from vetrina.encode.public_models import (
    PublicModel,
    PublicModelEncoder,
    bring_in,
    first_line,
    open_tokenizer,
)

__all__ = ["PretrainedEncoder"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]

_BATCH = 16  # photos in the network at once
_TRIED = 200  # products on which 8 bits are tried


@register("encoder", "pretrained", licence="the model's own")
class PretrainedEncoder(PublicModelEncoder):
    """A public model, exported to ONNX once; ONNX Runtime runs it, and transformers is not needed again.

    Photos are scaled and normalised as the model's own files say. Where the model
    reads words too, as CLIP and SigLIP do, words and photos are compared with
    each other. Of a network that answers with a map or a sequence the mean is taken.

    ``licence_`` is what the model's card says of its licence.

    Examples
    --------
    ::

        encoder = PretrainedEncoder(model="models/clip-vit-base-patch32")
        contents, _ = encoder.read(items, Path("myshop"))
        vectors = encoder.fit(items, contents, Silent()).transform(contents)
        found = encoder.transform_words(["red linen dress"]) @ vectors.T
    """

    modality = "photo"
    cost = "no training; the model's own network for each photo, hundreds of times that of convnet for a large one"
    model_type = PublicModel
    model_: PublicModel

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        self._root = root
        return photo_contents(items, root)

    def _made_of(self, path: Path, name: str) -> PublicModel:
        return bring_in(path, name)

    def _shrink(self, items: Items, contents: Sequence[Any]) -> list[str]:
        """Take the networks in 8 bits that find photos by their mirror images, and by words, as they did as floats."""
        some = [row for row, content in enumerate(contents) if content][:_TRIED]
        photos = [contents[row] for row in some]
        titles = items.table["title"].gather(some).to_list() if "title" in items.table.columns else []

        def mirrored(network: Network) -> float:
            self._photos = network
            seen = encode_photos(
                photos, lambda part: self._encode(part[:, :, ::-1]), self.dim, self.model_.preparation.read
            )
            return found_again(seen, self.transform(photos))

        def named(network: Network) -> float:
            self._words = network
            said = self.transform_words(titles)
            return 0.0 if said is None else found_again(said, self.transform(photos))

        smaller, told = in_int8(self.model_.network, mirrored, self.device)
        self._take(replace(self.model_, network=smaller))
        notes = [f"photos: {told}"] if told else []
        text = self.model_.text
        if text is not None:
            words, told = in_int8(text.network, named, self.device)
            self._take(replace(self.model_, text=replace(text, network=words)))
            notes += [f"words: {told}"] if told else []
        return notes

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode photos: float32 of shape (len(contents), dim), zero where unreadable."""
        self.require_fitted("model_")
        return encode_photos(contents, self._encode, self.dim, self.model_.preparation.read)

    def transform_photos(self, photos: Sequence[bytes]) -> Floats:
        return self.transform(photos)

    def transform_words(self, texts: Sequence[str]) -> Floats | None:
        self.require_fitted("model_")
        part = self.model_.text
        if part is None:
            return None
        kept = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(kept), 64):
            rows = kept[start : start + 64]
            encoded = self._tokenizer.encode_batch([texts[row] for row in rows])
            inputs = {"ids": np.array([one.ids for one in encoded], dtype=np.int64)}
            if part.masked:
                inputs["mask"] = np.array([one.attention_mask for one in encoded], dtype=np.int64)
            vectors[rows] = unit_rows(self._words.run(inputs)[0])
        return vectors

    @cached_property
    def dim(self) -> int:
        """Length of the vectors, as the network gives them."""
        high, wide = self.model_.preparation.crop
        return int(self._encode(np.zeros((1, high, wide, 3), dtype=np.uint8)).shape[1])

    def _encode(self, photos: Photos) -> Floats:
        network, preparation = self._photos, self.model_.preparation
        ((name, shape),) = network.inputs.items()
        place = network.outputs.index(self.model_.output) if self.model_.output else 0
        fixed = shape[0] if shape and isinstance(shape[0], int) else 0  # some are exported for so many photos
        found = []
        for start in range(0, len(photos), fixed or _BATCH):
            part = photos[start : start + (fixed or _BATCH)]
            pixels = preparation.normalise(np.resize(part, (fixed, *part.shape[1:])) if fixed else part)
            answer = network.run({name: pixels})[place][: len(part)]
            if answer.ndim == 4:  # a map: over its places
                answer = answer.mean(axis=(2, 3) if preparation.layout == "NCHW" else (1, 2))
            found.append(answer.mean(axis=1) if answer.ndim == 3 else answer)
        return np.concatenate(found).astype(np.float32)

    def _take(self, model: PublicModel) -> None:
        super()._take(model)
        try:
            inputs, outputs = self._photos.inputs, self._photos.outputs
        except DataError as error:
            raise DataError(f"{self.config.model}: {error}") from error
        if len(inputs) != 1 or (model.output and model.output not in outputs):
            raise DataError(
                f"{self.config.model}: expected a network with one input, the photos, and an output "
                f"{model.output or 'of vectors'!r}. It has inputs {sorted(inputs)} and outputs {outputs}."
            )
        try:
            dim = self.dim
        except Exception as error:  # (as ONNX Runtime runs somebody's network, it may raise anything)
            shape = next(iter(inputs.values()))
            raise DataError(
                f"{self.config.model}: the network does not take photos as its preparation says ({first_line(error)}). "
                f"It expects {shape}; it is given {model.preparation.layout} of {model.preparation.crop}."
            ) from error
        if dim < 2:
            raise DataError(f"{self.config.model}: gives vectors of length {dim}. Is it the right output?")

    @cached_property
    def _photos(self) -> Network:
        return Network(self.model_.network, self.device)

    @cached_property
    def _words(self) -> Network:
        assert self.model_.text is not None
        return Network(self.model_.text.network, self.device)

    @cached_property
    def _tokenizer(self) -> Any:
        part = self.model_.text
        assert part is not None
        return open_tokenizer(part.tokenizer, part.length, part.pad, length=part.length)
