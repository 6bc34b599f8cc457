"""What text encoders share: which text of an item they read, and that queries are read as titles are."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vetrina.core import Items
from vetrina.encode.base import Encoder

__all__ = ["TextEncoder"]


class TextEncoder(Encoder):
    """An encoder of what is written about an item.

    A content is text whose first line is the title; what follows is the rest
    (category, brand, colour, description). A query is a title alone.
    """

    modality = "text"

    def read(self, items: Items, root: Path) -> tuple[Sequence[str], list[str]]:
        columns = [items.table[name].to_list() for name in ("title", "category", "brand", "colour", "description")]
        contents = [
            "\n".join([" ".join(title.split()), *rest]) if title or any(rest) else ""
            for title, *rest in zip(*columns, strict=True)
        ]
        return contents, [blake2b(text.encode(), digest_size=16).hexdigest() if text else "" for text in contents]

    def transform_words(self, texts: Sequence[str]) -> npt.NDArray[np.float32] | None:
        return self.transform(texts)
