"""A blend: the scores of several rankers, each on the same scale, added up with weights.

Source: D. Wolpert, Stacked generalization (Neural Networks 1992), for weights that are learned on what
the members have not learned from; L. Breiman, Stacked regressions (Machine Learning 1996), for keeping them
from falling below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator

from vetrina.core import Config, component_class, create, register
from vetrina.core.errors import ConfigError, nearest
from vetrina.rank.base import Asked, Ranker, TrainingRows
from vetrina.rank.pairs import RowPairs

__all__ = ["Blend", "BlendConfig"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class BlendConfig(Config):
    """Which rankers, and how much each counts."""

    members: dict[str, dict[str, Any]] = Field(
        default={"lambdamart": {}, "linear": {}},
        min_length=1,
        description="Options of each ranker, by its name; {} leaves them as they are.",
    )
    weights: dict[str, float] = Field(
        default_factory=dict, description="How much each member counts, all named; {} learns it."
    )
    held_out: float = Field(
        default=0.2, gt=0, lt=1, description="Share of the requests, the latest, that weights are learned from."
    )
    seed: int = Field(default=0, description="Of the members that draw and are given none.")
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="Where members that are networks learn: the build's device unless said.",
    )

    @field_validator("members")
    @classmethod
    def _known(cls, members: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, options in members.items():
            if name == "blend":
                raise ConfigError("blend.members: a blend cannot be a member of one. Name its members instead.")
            component_class("ranker", name).config_type.parse(options, f"blend.members.{name}")
        return members

    @field_validator("weights")
    @classmethod
    def _complete(cls, weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        members = set(info.data.get("members", weights))
        for name in weights:
            if name not in members:
                raise ConfigError(f"blend.weights.{name}: there is no such member.{nearest(name, sorted(members))}")
        if weights and members - weights.keys():
            missing = ", ".join(sorted(members - weights.keys()))
            raise ConfigError(f"blend.weights: give a weight to every member, or to none. Missing: {missing}.")
        return weights


@register("ranker", "blend")
class Blend(Ranker):
    """Weighted sum of other rankers' scores: s = Σ a(m) s(m) / d(m) over the members m.

    d(m) is the spread of the member's scores: the standard deviation of their difference from the mean of
    their request. The weights a(m) are given, or else learned: all members learn from the earlier requests,
    and of the latest (``held_out``) the weights of 0 or more are taken that lower most the loss over pairs
    of rows of one request, Σ w(i)w(j)/W ln(1 + e^−(s(i) − s(j))) where ``i`` has the larger gain, w being the rows'
    weights and W the largest of the request.
    Then the members learn anew from all requests. Where the latest hold no choice, all weights are 1.

    A feature's share of the score is the same sum of its shares in the members' scores. Learned: ``weights_``,
    a(m)/d(m) of each member in the order of their names.

    Examples
    --------
    >>> from vetrina.testing import sample_rows
    >>> rows = sample_rows()
    >>> blend = Blend(members={"linear": {}, "match_score": {}}, weights={"linear": 2, "match_score": 1}).fit(rows)
    >>> bool(np.allclose(blend.contributions(rows.features).sum(axis=1), blend.score(rows.features), atol=1e-5))
    True
    """

    config_type = BlendConfig

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(group for one in self.members_.values() for group in one.groups))

    def fit(self, rows: TrainingRows) -> Self:
        """Learn the weights, unless they are given, and the members.

        Raises
        ------
        DataError
            When a member finds nothing to learn from.
        """
        names = sorted(self.config.members)
        learned = None if self.config.weights else self._learned(rows)
        self.members_ = {name: self._member(name).fit(rows) for name in names}
        if learned is None:
            scores = _scores(self.members_, rows)
            given = [self.config.weights.get(name, 1.0) for name in names]
            self.weights_ = np.array(given) / _spread(scores, rows.sizes)
        else:
            self.weights_ = learned
        self.names_ = list(rows.names)
        self.curves_ = {
            f"{name}, {told}": points for name, one in self.members_.items() for told, points in one.curves_.items()
        }
        return self

    def _member(self, name: str) -> Ranker:
        known = component_class("ranker", name).config_type.model_fields
        own: dict[str, Any] = {key: getattr(self.config, key) for key in ("seed", "device") if key in known}
        return cast(Ranker, create("ranker", name, {**own, **self.config.members[name]}))

    def _learned(self, rows: TrainingRows) -> Doubles | None:
        """Weights by which members that learned from the earlier requests order the latest best; None if it cannot."""
        from scipy.optimize import minimize

        n_requests = len(rows.sizes)
        order = np.arange(n_requests) if rows.asked is None else np.argsort(rows.asked.requests.now, kind="stable")
        cut = n_requests - round(n_requests * self.config.held_out)
        earlier, latest = rows.take(np.sort(order[:cut])), rows.take(np.sort(order[cut:]))
        pairs = RowPairs.of(latest)
        if not len(pairs.weight) or not len(RowPairs.of(earlier).weight):
            return None
        members = {name: self._member(name).fit(earlier) for name in sorted(self.config.members)}
        scores = _scores(members, latest)
        spread = _spread(scores, latest.sizes)
        scores /= spread
        whole = pairs.weight.sum()

        def value(weights: Doubles) -> tuple[float, Doubles]:
            score = scores @ weights
            return pairs.loss(score), scores.T @ pairs.derivatives(score)[0] / whole

        n_members = len(members)
        found = minimize(value, np.ones(n_members), method="L-BFGS-B", jac=True, bounds=[(0, None)] * n_members)
        return np.asarray(found.x / spread) if found.x.any() else None

    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("weights_")
        return _sum(self.weights_, (one.score(features, asked) for one in self.members_.values()))

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        self.require_fitted("weights_")
        members = self.members_.values()
        return _sum(self.weights_, (one.contributions_under(self.groups, features, asked) for one in members))

    def save(self, folder: Path) -> None:
        super().save(folder)
        for name, member in self.members_.items():
            member.save(folder / "members" / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        blend = super().load(folder)
        blend.members_ = {
            name: cast(Ranker, component_class("ranker", name).load(folder / "members" / name))
            for name in sorted(blend.config.members)
        }
        return blend


def _sum(weights: Doubles, parts: Iterable[Floats]) -> Floats:
    return np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)), dtype=np.float32)


def _scores(members: Mapping[str, Ranker], rows: TrainingRows) -> Doubles:
    """Each member's scores: float64 of shape (n_rows, n_members)."""
    return np.stack([one.score(rows.features, rows.asked) for one in members.values()], axis=1).astype(np.float64)


def _spread(scores: Doubles, sizes: npt.NDArray[np.int64]) -> Doubles:
    """Standard deviation of each member's scores about the mean of their request; 1 where they do not differ."""
    starts = np.cumsum(sizes) - sizes
    means = np.add.reduceat(scores, starts, axis=0) / sizes[:, None]
    spread = np.sqrt(((scores - np.repeat(means, sizes, axis=0)) ** 2).mean(axis=0))
    return np.where(spread > 1e-9, spread, 1.0)
