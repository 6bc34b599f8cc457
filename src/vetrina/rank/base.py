"""What a ranker is: features in, one score per row out, and each feature's share of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, ItemList, Items, Requests

__all__ = ["Asked", "Ranker", "TrainingRows"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """What rows of features are about, for rankers that read more than features: who asks, what, and of which items.

    Attributes
    ----------
    requests : Requests
        With the windows of those who ask.
    lists : ItemList
        The candidates of each request, one for each row of features, in order.
    items : Items
        The catalogue with its vectors.
    """

    requests: Requests
    lists: ItemList
    items: Items


@dataclass(frozen=True)
class TrainingRows:
    """What a ranker learns from.

    Attributes
    ----------
    features : float32 of shape (n_rows, n_features)
    gain : float32 of shape (n_rows,)
        0 for what was not chosen; more for a purchase than for a click.
    sizes : int64 of shape (n_groups,)
        Rows of each request, in order.
    names : sequence of str
        Names of the features.
    weight : float32 of shape (n_rows,), optional
        How much each row counts; every row alike when absent.
    stands_for : float32 of shape (n_rows,), optional
        How many candidates each row was drawn for, itself among them; 1 when absent. Who judges rows one by one
        counts each so often (:attr:`alone`); within a list it would say that one item is so many.
    asked : Asked, optional
        What the rows are about, where it is known: one request for each of ``sizes``.
    outcome : uint8 of shape (n_rows,), optional
        What was done with the item: the sum of ``1 << kind`` over the kinds of event that chose it.
        0 for what was not chosen, and for what was chosen nobody knows how, such as a graded item.
    """

    features: Floats
    gain: Floats
    sizes: npt.NDArray[np.int64]
    names: Sequence[str]
    weight: Floats | None = None
    asked: Asked | None = None
    outcome: npt.NDArray[np.uint8] | None = None
    stands_for: Floats | None = None

    @property
    def alone(self) -> Floats | None:
        """What each row counts where rows are judged one by one: weight x stands_for; None where all count alike."""
        if self.weight is None or self.stands_for is None:
            return self.weight if self.stands_for is None else self.stands_for
        return self.weight * self.stands_for

    @classmethod
    def none(cls, names: Sequence[str]) -> Self:
        """No rows of features with these ``names``."""
        nothing = np.empty((0, len(names)), dtype=np.float32)
        return cls(nothing, np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64), names)

    def take(self, requests: npt.NDArray[np.integer]) -> TrainingRows:
        """The rows of the ``requests``, ascending."""
        sizes = self.sizes[requests]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        starts = (np.cumsum(self.sizes) - self.sizes)[requests]
        rows = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        asked = None
        if self.asked is not None:
            lists = self.asked.lists
            lists = ItemList(offsets, lists.item[rows], {name: column[rows] for name, column in lists.columns.items()})
            asked = Asked(self.asked.requests.take(requests), lists, self.asked.items)
        weight, outcome, stands_for = (
            None if column is None else column[rows] for column in (self.weight, self.outcome, self.stands_for)
        )
        return TrainingRows(self.features[rows], self.gain[rows], sizes, self.names, weight, asked, outcome, stands_for)

    @classmethod
    def join(cls, parts: Sequence[TrainingRows], names: Sequence[str]) -> Self:
        """The rows of all ``parts`` after one another; rows without a weight weigh 1, and stand for themselves.

        What they are about is known of the whole where it is known of every part; the catalogue is that of the last.
        """
        if not parts:
            return cls.none(names)
        weight = _ones_where_none([part.weight for part in parts], [len(part.gain) for part in parts])
        stands_for = _ones_where_none([part.stands_for for part in parts], [len(part.gain) for part in parts])
        outcome = None
        if any(part.outcome is not None for part in parts):
            none = (np.zeros(len(part.gain), np.uint8) if part.outcome is None else part.outcome for part in parts)
            outcome = np.concatenate(list(none))
        asked = [part.asked for part in parts if part.asked is not None]
        whole = None
        if len(asked) == len(parts):
            requests = Requests.join([one.requests for one in asked])
            whole = Asked(requests, ItemList.join([one.lists for one in asked]), asked[-1].items)
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.gain for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            names,
            weight,
            whole,
            outcome,
            stands_for,
        )


def _ones_where_none(columns: Sequence[Floats | None], sizes: Sequence[int]) -> Floats | None:
    """Columns of so many rows after one another, 1 where one is absent; None where all are."""
    if all(column is None for column in columns):
        return None
    filled = (np.ones(n, np.float32) if column is None else column for column, n in zip(columns, sizes, strict=True))
    return np.concatenate(list(filled))


class Ranker(Component):
    """Orders candidates by their features."""

    names_: list[str]

    @property
    def groups(self) -> tuple[str, ...]:
        """Reasons under which is explained what no feature says: none, for a ranker that judges by features alone."""
        return ()

    def fit(self, rows: TrainingRows) -> Self:
        """Learn from rows that a replay of the log produced."""
        raise NotImplementedError

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Score of each row: float32 of shape (n_rows,); higher is better within a request.

        ``asked`` says what the rows are about; rankers that judge by features alone do not look at it.
        """
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "names.json").write_text(json.dumps(self.names_), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        ranker = super().load(folder)
        ranker.names_ = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        return ranker

    def staged(self, features: Floats, asked: Asked | None = None) -> Iterator[tuple[int, Floats]]:
        """(steps, scores of the rows as they were after so many steps of learning), about ten times, the last whole.

        Nothing, for a ranker that does not learn in steps or does not keep them.
        """
        yield from ()

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        """Each feature's additive share: float32 of shape (n_rows, n_features + n_groups + 1).

        After the features comes one column for each of :attr:`groups`; the last is what every row has in
        common. Rows sum to :meth:`score`.
        """
        raise NotImplementedError

    def contributions_under(self, groups: Sequence[str], features: Floats, asked: Asked | None = None) -> Floats:
        """:meth:`contributions` with a column for each of ``groups``, the ranker's own among them; zero for others."""
        shares = self.contributions(features, asked)
        if list(groups) == list(self.groups):
            return shares
        n_features = shares.shape[1] - 1 - len(self.groups)
        told = np.zeros((len(shares), n_features + len(groups) + 1), dtype=np.float32)
        told[:, :n_features], told[:, -1] = shares[:, :n_features], shares[:, -1]
        for place, group in enumerate(self.groups, start=n_features):
            told[:, n_features + list(groups).index(group)] = shares[:, place]
        return told
