"""Ranked lists of several systems for the same requests, compared from all sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vetrina.core import ItemList, Items, Truth
from vetrina.engine import Gains, Replay, ShopConfig
from vetrina.engine.rows import gains_of
from vetrina.evaluate.beyond import beyond
from vetrina.evaluate.evaluation import Calibration, Comparison, Curve, Example
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.pointwise import calibrate
from vetrina.evaluate.protocols import Holdout
from vetrina.evaluate.report import examples_of, quotable
from vetrina.evaluate.segments import segments_of
from vetrina.evaluate.tables import ENGINE, SHOWN, K, Table, compare

__all__ = ["DEPTH", "Comparer", "precision_recall"]

#: How deep everybody ranks: tables look at the first K, curves at all.
DEPTH = 100
_CUTS = (1, 2, 3, 5, 10, 20, 30, 50, DEPTH)
#: Of the bootstrap, for tables of parts: their ends move by a fortieth of the width or so.
_FEW_RESAMPLES = 2_000


@dataclass(frozen=True)
class Comparer:
    """What all comparisons on one holdout have in common.

    Attributes
    ----------
    items : Items
    held : Holdout
    config : ShopConfig
    reference : str
        The system whose lead over the others is shown; the engine where a table lacks it.
    photos : Path or None
        Where relative photo paths begin; examples have no photos without it.
    """

    items: Items
    held: Holdout
    config: ShopConfig
    reference: str = ENGINE
    photos: Path | None = None

    def compare(
        self, title: str, lists: Mapping[str, ItemList], test: Replay, notes: tuple[str, ...] = ()
    ) -> Comparison:
        """Compare lists, by system, the engine's among them, that answer ``test``.

        Parameters
        ----------
        title : str
        lists : mapping of str to ItemList
            At best :data:`DEPTH` long; the table looks at the first :data:`K`.
        test : Replay
        notes : tuple of str
            For below the table.
        """
        first = {name: shortened(one, K) for name, one in lists.items()}
        scores = {name: measure(one, test.truth, K, SHOWN) for name, one in first.items()}
        table = self._table(title, scores, test)
        return Comparison(
            table=replace(table, notes=(*notes, *table.notes)),
            segments=self._segments(first, test),
            beyond=self._beyond(title, first, test),
            precision_recall={name: precision_recall(one, test.truth) for name, one in lists.items()},
            calibration=self._calibration(first[ENGINE], test),
            examples=self._examples(first, scores, test),
        )

    def _table(self, title: str, scores: Mapping[str, Scores], test: Replay, resamples: int = 10_000) -> Table:
        return compare(
            title,
            scores,
            test.shopper,
            self._reference(scores),
            simulated=self.config.shop.simulated,
            leaks=self.held.leaks,
            resamples=resamples,
        )

    def _segments(self, lists: Mapping[str, ItemList], test: Replay) -> tuple[Table, ...]:
        tables = []
        for name, truth in segments_of(test, self.held.train, self._gains).items():
            scores = {system: measure(one, truth, K, SHOWN) for system, one in lists.items()}
            # What is not of the part was not left out for want of an answer.
            tables.append(replace(self._table(name, scores, test, _FEW_RESAMPLES), n_left_out=0))
        return tuple(tables)

    def _beyond(self, title: str, lists: Mapping[str, ItemList], test: Replay) -> Table:
        return beyond(
            f"{title}, beyond accuracy",
            lists,
            test.shopper,
            self._reference(lists),
            popularity=self._popularity,
            truth=test.truth,
            vectors=self.items.vectors.get("fused"),
            simulated=self.config.shop.simulated,
            leaks=self.held.leaks,
        )

    def _calibration(self, lists: ItemList, test: Replay) -> Calibration | None:
        """How far the engine's scores tell a chance."""
        chosen = gains_of(lists.row, lists.item, test.truth) > 0
        # Who is not known is nobody else.
        who = np.where(test.shopper >= 0, test.shopper, -2 - np.arange(len(test.shopper)))[lists.row]
        codes = np.unique(who, return_inverse=True)[1]
        if codes.max(initial=0) < 1 or chosen.all() or not chosen.any():
            return None
        what = f"one of the first {K} products is chosen, in a request in which something is"
        return calibrate(ENGINE, lists.columns["score"].astype(np.float64), chosen, codes, what)

    def _examples(
        self, lists: Mapping[str, ItemList], scores: Mapping[str, Scores], test: Replay
    ) -> tuple[Example, ...]:
        metric = f"{SHOWN[0]}@{K}"
        rivals = {name: one.mean(metric) for name, one in scores.items() if name != ENGINE}
        if not rivals:
            return ()
        rival = max(rivals, key=lambda name: rivals[name])
        return examples_of(
            lists[ENGINE],
            lists[rival],
            (scores[ENGINE], scores[rival]),
            test,
            self.items,
            rival=rival,
            photos=self.photos,
            quoted=self._quoted,
        )

    def _reference(self, systems: Mapping[str, object]) -> str:
        return self.reference if self.reference in systems else ENGINE

    @cached_property
    def _popularity(self) -> npt.NDArray[np.int64]:
        """Choices of each item that were learned from."""
        train = self.held.train
        chosen = train.item[(train.item >= 0) & (self._gains.of(train.kind, train.rating) > 0)]
        return np.bincount(chosen, minlength=len(self.items))

    @cached_property
    def _quoted(self) -> set[str] | None:
        return None if self.config.shop.simulated else quotable(self.held.observed)

    @property
    def _gains(self) -> Gains:
        return Gains(**self.config.rank.gains)


def precision_recall(lists: ItemList, truth: Truth) -> Curve:
    """Mean precision against mean recall of the first 1, 2, 3, 5, 10, … results."""
    scores = measure(lists, truth, _CUTS, ("precision", "recall"))
    precision, recall = ([scores.mean(f"{name}@{cut}") for cut in _CUTS] for name in ("precision", "recall"))
    return Curve(recall, precision, "recall", "precision")


def shortened(lists: ItemList, k: int) -> ItemList:
    """The first ``k`` of each list."""
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    rows: npt.NDArray[np.intp] = np.flatnonzero(place < k)
    return lists.take(rows)
