"""What each modality is worth: one module for each question, which yields tables over several seeds.

A module has ``tables(data, seeds, quick)``: ``data`` is the folder of real data sets, ``quick`` asks for
as little as shows that it works. What it yields has ``title``, ``text()`` and ``as_dict()``: a
:class:`SeedTable`, or a :class:`vetrina.evaluate.Table` where there is nothing to repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vetrina.evaluate import Interval, bootstrap_difference
from vetrina.evaluate.tables import p_text, plain

__all__ = ["Module", "Printable", "SeedRow", "SeedTable", "Spread", "over_seeds"]

Floats = npt.NDArray[np.float64]
#: One seed's measurement: by system and by metric, one number for each request or product, in one order for all.
Outcome = Mapping[str, Mapping[str, npt.NDArray[np.floating]]]


class Printable(Protocol):
    """What a module yields."""

    @property
    def title(self) -> str: ...

    def text(self) -> str: ...

    def as_dict(self) -> dict[str, Any]: ...


class Module(Protocol):
    """What a module of this package has."""

    def tables(self, data: Path, seeds: Sequence[int], quick: bool) -> Iterator[Printable]: ...


@dataclass(frozen=True)
class Spread:
    """The mean of the seeds' means, and their standard deviation (NaN of a single seed)."""

    mean: float
    deviation: float

    @property
    def text(self) -> str:
        if math.isnan(self.mean):
            return "–"
        return f"{self.mean:.3f}" + ("" if math.isnan(self.deviation) else f" ± {self.deviation:.3f}")


@dataclass(frozen=True)
class SeedRow:
    """One system: its spread by metric, and how far the reference is ahead of it (None of the reference itself)."""

    system: str
    values: dict[str, Spread]
    lead: dict[str, Interval] | None = None


@dataclass(frozen=True)
class SeedTable:
    """Systems measured with several seeds, printed as the tables of `vetrina evaluate` are."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[SeedRow, ...]
    reference: str
    seeds: int
    n: int
    unit: str
    simulated: bool
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        parts = [f"{self.n:,} {self.unit}", f"{self.seeds} seed{'s' if self.seeds != 1 else ''}"]
        if self.seeds > 1:
            parts.append("mean ± standard deviation of the seeds")
        if self.simulated:
            parts.append("SIMULATED shoppers")
        return f"{self.title} ({'; '.join(parts)})"

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = plain(asdict(self))
        return told

    def text(self) -> str:
        header = ["system"]
        for metric in self.metrics:
            header += [metric, *([f"{self.reference}’s lead", "interval", "p"] if self.reference else [])]
        body = [
            [row.system, *(cell for metric in self.metrics for cell in self._cells(row, metric))] for row in self.rows
        ]
        lines = [header, *body]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        shown = [
            "  ".join(
                [
                    line[0].ljust(widths[0]),
                    *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
                ]
            ).rstrip()
            for line in [header, ["-" * width for width in widths], *body]
        ]
        return "\n".join([self.heading, *shown, *(f"  {note}" for note in self.notes)])

    def _cells(self, row: SeedRow, metric: str) -> list[str]:
        value = row.values[metric].text
        if not self.reference:
            return [value]
        if row.lead is None:
            return [value, "", "", ""]
        lead = row.lead[metric]
        ends = "–" if math.isnan(lead.low) else f"[{lead.low:+.3f}, {lead.high:+.3f}]"
        return [value, f"{lead.mean:+.3f}", ends, p_text(lead.p_value)]


def over_seeds(
    title: str,
    outcomes: Sequence[Outcome],
    clusters: Sequence[npt.NDArray[np.integer]] | None = None,
    *,
    reference: str = "",
    unit: str = "requests",
    simulated: bool = False,
    notes: Sequence[str] = (),
) -> SeedTable:
    """Set systems side by side that were measured with the same seeds on the same requests or products.

    Parameters
    ----------
    title : str
    outcomes : sequence of mappings
        One for each seed: by system, by metric, one number for each request or product.
    clusters : sequence of int arrays, optional
        One for each seed: whose each number is (a product, a shopper), the same code meaning the same in
        all seeds; -1 is nobody known. Those are drawn by the bootstrap. Of a single seed every number may be on
        its own; of several, the same query asked again is no further one.
    reference : str
        The system whose lead over each other is shown, with a 95% interval over all seeds' numbers.
    unit : str
        What a number is of, in the plural.
    simulated : bool
    notes : sequence of str

    Examples
    --------
    >>> found = {"new": {"mrr": np.array([1.0, 0.5])}, "old": {"mrr": np.array([0.5, 0.5])}}
    >>> print(over_seeds("Toy", [found], unit="products").text())
    Toy (2 products; 1 seed)
    system    mrr
    ------  -----
    new     0.750
    old     0.500
    """
    if reference and len(outcomes) > 1 and clusters is None:
        raise ValueError(f"{title}: an interval over several seeds needs clusters, or its numbers count as new ones.")
    first = outcomes[0]
    metrics = tuple(next(iter(first.values())))
    whose = None if clusters is None else np.concatenate(list(clusters))
    joined = {
        system: {metric: np.concatenate([one[system][metric] for one in outcomes]) for metric in metrics}
        for system in first
    }
    rows = []
    for system, values in joined.items():
        spreads = {metric: _spread([one[system][metric] for one in outcomes]) for metric in metrics}
        lead = None
        if reference and system != reference:
            lead = {
                metric: bootstrap_difference(joined[reference][metric], values[metric], whose) for metric in metrics
            }
        rows.append(SeedRow(system, spreads, lead))
    n = len(next(iter(joined.values()))[metrics[0]])
    return SeedTable(title, metrics, tuple(rows), reference, len(outcomes), n, unit, simulated, tuple(notes))


def _spread(parts: Sequence[npt.NDArray[np.floating]]) -> Spread:
    means = [float(part.mean()) for part in parts if len(part)]
    if not means:
        return Spread(float("nan"), float("nan"))
    return Spread(float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else float("nan"))
