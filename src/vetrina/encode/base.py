"""What an encoder is: items in, one float32 vector per item out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, EventLog, Items, Progress

__all__ = ["Encoder", "unit_rows"]


class Encoder(Component):
    """Turns one modality of an item into a vector.

    ``read`` says what of an item is encoded and a hash of it; the build keeps
    vectors by that hash, so only changed content is encoded again.

    A query is words, a photo, or both. Encoders whose vectors either can be
    compared with say so by :meth:`transform_words` and :meth:`transform_photos`.
    """

    modality: ClassVar[str] = ""
    #: The extra that it cannot do without, as in ``pip install 'vetrina[media]'``; "" where there is none.
    needs: ClassVar[str] = ""
    #: What it costs to learn and to encode, in a few words: what the time goes with, and no promise of it.
    cost: ClassVar[str] = ""
    #: How long its vectors are, in a few words; what the option "dim" is by default where it is left empty.
    dimension: ClassVar[str] = ""
    #: What learning and encoding run on: "cpu", or a name that torch and ONNX Runtime know, such as "cuda".
    #: Not an option, for it says nothing about the vectors; the build sets it.
    device: str = "cpu"
    #: Whether :meth:`fit` takes nothing from the items, so that it need not be done again when they change.
    ready_made: ClassVar[bool] = False
    #: Whether :meth:`fit` may take what is written about the items, beside their contents. It is then done again
    #: when that has changed as well: what words mean in photos is not known before there are words.
    learns_texts: ClassVar[bool] = True

    @classmethod
    def facts(cls) -> dict[str, str]:
        """What to know before choosing it: modality, dimension, the extra it needs, cost."""
        field = cls.config_type.model_fields.get("dim")
        dimension = cls.dimension or ("" if field is None else str(field.default))
        return {"modality": cls.modality, "dimension": dimension, "needs": cls.needs, "cost": cls.cost}

    def source(self, root: Path) -> str:
        """What vectors depend on besides options and contents, such as a hash of the model's files; "" for nothing."""
        return ""

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        """(content per item, content hash per item; "" where the item lacks the modality)."""
        raise NotImplementedError

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        """Learn from the whole catalogue."""
        raise NotImplementedError

    def fit_log(self, items: Items, log: EventLog) -> Self:
        """Learn from what shoppers did, instead of :meth:`fit`: for those that say ``learns = "log"``.

        They are fitted where the candidate sources are, on the events that those may see, and their
        contents are the ids of the items.
        """
        raise NotImplementedError

    def transform(self, contents: Sequence[Any]) -> npt.NDArray[np.float32]:
        """Encode contents: float32 of shape (len(contents), dim), rows of unit length (zero where nothing is known)."""
        raise NotImplementedError

    def transform_words(self, texts: Sequence[str]) -> npt.NDArray[np.float32] | None:
        """What the words of queries say in this modality: (len(texts), dim); None where it reads no words."""
        return None

    def transform_photos(self, photos: Sequence[bytes]) -> npt.NDArray[np.float32] | None:
        """What the photos of queries (a file's bytes each) show: (len(photos), dim); None where it reads none."""
        return None

    def compose(self, examples: npt.NDArray[np.float32], words: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Vectors of "like this, but …": an example and the words beside it, both of shape (n, dim), made one."""
        return unit_rows(examples + words)


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Rows scaled to unit length, those of length zero left so: float32 of the same shape.

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 1e-9, length, np.inf)).astype(np.float32)
