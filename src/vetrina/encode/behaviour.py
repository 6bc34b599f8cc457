"""What shoppers do with an item as a vector: items that are chosen in the same contexts lie near one another.

Sources: O. Barkan and N. Koenigstein, Item2vec (MLSP 2016), whose model this is; O. Levy and Y. Goldberg, Neural word
embedding as implicit matrix factorization (NIPS 2014) and, with I. Dagan, Improving distributional
similarity with lessons learned from word embeddings (TACL 2015), for learning it in closed form: a
truncated SVD of the shifted positive pointwise mutual information of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from vetrina.core import Config, EventLog, Items, Progress, register
from vetrina.core.errors import SnapshotError
from vetrina.core.pairs import chosen_together
from vetrina.encode.base import Encoder, unit_rows

__all__ = ["Item2Vec", "Item2VecConfig"]

Floats = npt.NDArray[np.float32]


class Item2VecConfig(Config):
    """Which items are together, and how long the vectors are."""

    dim: int = Field(default=64, ge=1, description="Dimensions, fewer where the log has less to tell.")
    minutes: float = Field(default=30.0, gt=0, description="How far apart in time two choices may be.")
    reach: int = Field(default=5, ge=1, description="How many choices of the same shopper on they may be apart.")
    shift: float = Field(
        default=1.0, ge=1, description="Pairs count where they are met this many times as often as by chance."
    )
    smoothing: float = Field(
        default=0.75, gt=0, le=1, description="Power of popularity; below 1, rare items are less sure of each other."
    )
    power: float = Field(default=0.5, ge=0, le=1, description="Power of the singular values; 0 makes all alike.")
    seed: int = Field(default=0, ge=0)


@register("encoder", "item2vec")
class Item2Vec(Encoder):
    """Factors of the shifted positive pointwise mutual information of items that a shopper chose close in time.

    An item that nobody touched has no vector: learned fusion has its other modalities then. It is learned
    from the log, so the engine fits it on the events that each stage may see.

    Examples
    --------
    >>> from vetrina.testing import small_shop
    >>> items, log = small_shop()
    >>> encoder = Item2Vec(dim=4).fit_log(items, log)
    >>> encoder.transform(items.ids[:3]).shape
    (3, 4)
    """

    modality = "behaviour"
    learns = "log"
    cost = "one pass over the log and a truncated SVD of a sparse matrix; encoding looks vectors up"
    config_type = Item2VecConfig
    vectors_: Floats
    _place: dict[str, int]

    def read(self, items: Items, root: Path) -> tuple[Sequence[Any], list[str]]:
        return items.ids, items.ids

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        """Learn that nothing is known: the catalogue alone says nothing of behaviour. See :meth:`fit_log`."""
        return self._learned([], np.zeros((0, 1), dtype=np.float32))

    def fit_log(self, items: Items, log: EventLog) -> Self:
        pairs = chosen_together(log, self.config.minutes, self.config.reach)
        n_items = len(items)
        both = np.concatenate([pairs.left, pairs.right]), np.concatenate([pairs.right, pairs.left])
        counts = sparse.csr_array((np.tile(pairs.weight.astype(np.float64), 2), both), shape=(n_items, n_items))
        seen: npt.NDArray[np.float64] = np.asarray(counts.sum(axis=1))
        context = seen**self.config.smoothing
        row, column = counts.nonzero()
        chance = seen[row] * context[column] / max(float(context.sum()), 1e-12)
        counts.data = np.maximum(np.log(counts.data / chance / self.config.shift), 0)
        counts.eliminate_zeros()
        touched = np.flatnonzero(np.diff(counts.indptr) > 0)
        if not len(touched):
            return self._learned([], np.zeros((0, 1), dtype=np.float32))
        return self._learned([items.ids[item] for item in touched], self._factors(counts[touched]))

    def _factors(self, rows: sparse.csr_array) -> Floats:
        from sklearn.utils.extmath import randomized_svd

        dim = min(self.config.dim, rows.shape[0])
        left, values, _ = randomized_svd(sparse.csr_matrix(rows), dim, n_iter=7, random_state=self.config.seed)
        return unit_rows(left * values**self.config.power)

    def _learned(self, ids: list[str], vectors: Floats) -> Self:
        self._place = {item: place for place, item in enumerate(ids)}
        self.vectors_ = vectors
        return self

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Vectors of items by their ids, zero where the log says nothing of them: (len(contents), dim)."""
        self.require_fitted("vectors_")
        vectors = np.zeros((len(contents), self.vectors_.shape[1]), dtype=np.float32)
        known = [(row, self._place[item]) for row, item in enumerate(contents) if item in self._place]
        if known:
            rows, places = np.array(known).T
            vectors[rows] = self.vectors_[places]
        return vectors

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "items.json").write_text(json.dumps(list(self._place)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        path = folder / "items.json"
        try:
            ids: list[str] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
        encoder._place = {item: place for place, item in enumerate(ids)}
        return encoder
