"""Measured results as a table: plain data, text or Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import ConfigError, DataError, nearest
from vetrina.evaluate.metrics import Scores
from vetrina.evaluate.significance import Interval, bootstrap, holm

__all__ = ["ENGINE", "SHOWN", "K", "Row", "Table", "compare", "corrected", "p_text", "plain"]

#: Our own row in a table.
ENGINE = "Vetrina"

#: What the tables of a shop show, and of how many results.
SHOWN = ("ndcg", "precision", "recall", "f1", "mrr", "hit_rate")
K = 10


@dataclass(frozen=True)
class Row:
    """One system.

    Attributes
    ----------
    system : str
    values : dict of str to Interval
        By metric.
    lead : dict of str to Interval, or None
        The reference minus this system, request by request; None for the reference itself.
    adjusted: dict of str to float, or None
        The p-values of the lead after Holm's correction for every lead of the table; see
        :func:`corrected`.
    """

    system: str
    values: dict[str, Interval]
    lead: dict[str, Interval] | None = None
    adjusted: dict[str, float] | None = None


@dataclass(frozen=True)
class Table:
    """Systems measured on the same requests.

    Attributes
    ----------
    title : str
    metrics : tuple of str
        The first is shown with its interval and the reference's lead; the others by their mean.
    rows : tuple of Row
    reference : str
        The system whose lead over the others is shown; "" for none.
    n, n_left_out : int
        Requests measured, and requests left out because they have no right answer.
    n_shoppers : int or None
        Who asked them; None where that was not said, and intervals take requests as independent.
    simulated : bool
        Whether the shoppers are not real.
    leaks : bool
        Whether the split lets training see the test.
    notes : tuple of str
        What to bear in mind; one line each below the table.
    sampled : int
        Among how many drawn candidates the right items were ranked; 0 for the whole catalogue.
    every_interval : bool
        Show every metric with its interval, and with the lead where there is a reference: in
        blocks, one below the other.
    decimals : int
        Of numbers below 10; larger ones have fewer.
    of : str
        What a row is.
    each_n : bool
        Show beside each interval of how many it is, because rows and metrics differ in that.
    """

    title: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str
    n: int
    n_shoppers: int | None
    n_left_out: int
    simulated: bool = False
    leaks: bool = False
    notes: tuple[str, ...] = ()
    sampled: int = 0
    every_interval: bool = False
    decimals: int = 3
    of: str = "system"
    each_n: bool = False

    @property
    def heading(self) -> str:
        """Title, size and warnings, in one line."""
        parts = [f"at {self._cut}"] if self._cut else []
        parts += [f"{self.n:,} requests" + (f" of {self.n_shoppers:,} shoppers" if self.n_shoppers is not None else "")]
        if self.n_left_out:
            parts.append(f"{self.n_left_out:,} without a right answer left out")
        if self.simulated:
            parts.append("SIMULATED shoppers")
        if self.leaks:
            parts.append("LEAKS: what came later was learned from, figures are too high")
        if self.sampled:
            parts.append(f"SAMPLED: ranked among {self.sampled:,} drawn candidates, figures are too high")
        return f"{self.title} ({'; '.join(parts)})"

    @property
    def _cut(self) -> str:
        """The cut-off of all metrics, said once in the heading; "" where they differ."""
        cuts = {name.partition("@")[2] for name in self.metrics}
        return cuts.pop() if len(cuts) == 1 else ""

    @property
    def n_comparisons(self) -> int:
        """For how many tests the shown p-values are corrected; 0 where they are not."""
        return sum(not math.isnan(p) for row in self.rows for p in (row.adjusted or {}).values())

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what was done to the p-values: the lines below the table."""
        if self.n_comparisons < 2:
            return self.notes
        of = f"{len(self.metrics)} metrics" if len(self.metrics) > 1 else "the metric"
        return (*self.notes, f"p: corrected by Holm for all {self.n_comparisons} leads of the table, in {of}")

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; what is not a number is None."""
        told: dict[str, Any] = plain(asdict(self))
        return told

    def text(self) -> str:
        """Aligned columns under the heading."""
        header, body = self.cells()
        widths = [max(len(row[column]) for row in [header, *body]) for column in range(len(header))]
        lines = [self._line(row, widths) for row in [header, ["-" * width for width in widths], *body]]
        return "\n".join([self.heading, *lines, *(f"  {remark}" for remark in self.remarks)])

    def markdown(self) -> str:
        """The same as a Markdown table."""
        header, body = self.cells()
        rules = [":--", *["--:"] * (len(header) - 1)]
        rows = [[cell.replace("|", "\\|") for cell in row] for row in [header, rules, *body]]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([f"**{self.heading}**", "", *lines, *(f"\n{remark}" for remark in self.remarks)])

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """(header, rows) as they are printed: the first column is words, the others numbers."""
        if self.every_interval and self.reference and len(self.metrics) > 1:
            header = [self.of, "metric", "value", *self._titles("")[1:]]
            blocks = [
                [row.system, name, *self._measured(row, metric)]
                for metric, name in zip(self.metrics, self._names, strict=True)
                for row in self.rows
            ]
            return header, blocks
        whole = len(self.metrics) if self.every_interval else 1
        header = [self.of, *(title for name in self._names[:whole] for title in self._titles(name))]
        body = [
            [row.system, *(cell for metric in self.metrics[:whole] for cell in self._measured(row, metric))]
            + [self.number(row.values[metric].mean) for metric in self.metrics[whole:]]
            for row in self.rows
        ]
        return [*header, *self._names[whole:]], body

    @property
    def _names(self) -> list[str]:
        return [name.removesuffix(f"@{self._cut}") for name in self.metrics]

    @staticmethod
    def _line(row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    def _titles(self, name: str) -> list[str]:
        """Headings of the cells of one metric."""
        if not self.reference:
            return [name, "interval", "n"] if self.each_n else [name, "interval"]
        return [name, "interval", f"{self.reference}’s lead", "interval", "p (Holm)" if self.n_comparisons > 1 else "p"]

    def _measured(self, row: Row, metric: str) -> list[str]:
        """Cells of one metric of one system."""
        cells = [self.number(row.values[metric].mean), self.ends(row.values[metric])]
        if self.each_n and not self.reference:
            cells.append(f"{row.values[metric].n:,}")
        if self.reference:
            lead = row.lead[metric] if row.lead else None
            if lead is None:
                return [*cells, "", "", ""]
            p_value = row.adjusted[metric] if row.adjusted else lead.p_value
            cells += [self.number(lead.mean, "+"), self.ends(lead, "+"), p_text(p_value)]
        return cells

    def ends(self, interval: Interval, sign: str = "") -> str:
        """Both ends of an interval, as the table prints them."""
        if math.isnan(interval.low):
            return "–"
        return f"[{self.number(interval.low, sign)}, {self.number(interval.high, sign)}]"

    def number(self, value: float, sign: str = "") -> str:
        """A number as the table prints it; with ``sign`` "+", a plus before what is above 0."""
        if math.isnan(value):
            return "–"
        size = abs(value)
        decimals = self.decimals if size < 10 else min(self.decimals, 2) if size < 100 else 0
        return f"{value:{sign},.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"


def compare(
    title: str,
    systems: Mapping[str, Scores],
    shopper: npt.NDArray[np.integer] | None = None,
    reference: str = "",
    *,
    simulated: bool = False,
    leaks: bool = False,
    sampled: int = 0,
    resamples: int = 10_000,
) -> Table:
    """Set systems that were measured on the same truth side by side.

    Parameters
    ----------
    title : str
    systems : mapping of str to Scores
        By name, in the order of the rows; all with the same metrics.
    shopper : int of shape (batch,), optional
        Who asked each request of the batch (before any was left out), -1 unknown: intervals
        are bootstrapped by shopper. Requests count as independent without it.
    reference : str
        The system whose lead over the others is to be shown; "" for none.
    simulated, leaks, sampled
        As in :class:`Table`; said in the heading.
    resamples : int
        Of the bootstrap, shared by all intervals of the table; the seed is fixed.

    Raises
    ------
    ConfigError
        When there is no system, or the reference is not one.
    DataError
        When systems were not measured on the same requests with the same metrics.

    Examples
    --------
    >>> one = Scores({"mrr@10": np.array([1.0, 0.5, 1.0])}, np.arange(3), 0)
    >>> two = Scores({"mrr@10": np.array([0.5, 0.5, 0.5])}, np.arange(3), 0)
    >>> print(compare("Toy", {"one": one, "two": two}, reference="one", resamples=200).text())
    Toy (at 10; 3 requests)
    system    mrr        interval  one’s lead         interval      p
    ------  -----  --------------  ----------  ---------------  -----
    one     0.833  [0.500, 1.000]
    two     0.500  [0.500, 0.500]      +0.333  [0.000, +0.500]  0.289
    """
    if not systems:
        raise ConfigError("systems: there is nothing to compare; give at least one.")
    if reference and reference not in systems:
        raise ConfigError(f"reference: {reference!r} was not measured.{nearest(reference, systems)}")
    first = next(iter(systems.values()))
    for name, scores in systems.items():
        if list(scores.values) != list(first.values) or not np.array_equal(scores.requests, first.requests):
            raise DataError(
                f"{name!r} was measured on other requests or metrics than the first; measure all on one truth."
            )
    metrics = tuple(first.values)
    clusters = None if shopper is None else np.asarray(shopper)[first.requests]

    columns = [scores.values[metric] for scores in systems.values() for metric in metrics]
    others = [name for name in systems if reference and name != reference]
    columns += [
        systems[reference].values[metric] - systems[name].values[metric] for name in others for metric in metrics
    ]
    intervals = iter(bootstrap(np.column_stack(columns), clusters, resamples=resamples))
    values = {name: {metric: next(intervals) for metric in metrics} for name in systems}
    leads = {name: {metric: next(intervals) for metric in metrics} for name in others}
    rows = corrected([Row(name, values[name], leads.get(name)) for name in systems])
    size = rows[0].values[metrics[0]]
    n_shoppers = None if shopper is None else size.n_clusters
    return Table(
        title,
        metrics,
        rows,
        reference,
        size.n,
        n_shoppers,
        first.n_left_out,
        simulated=simulated,
        leaks=leaks,
        sampled=sampled,
    )


def corrected(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows of a table with p-values adjusted for every lead in every metric (:func:`holm`).

    One of twenty true nulls has p < 0.05 by chance; after the correction the chance that
    any of them has is at most 0.05.
    """
    tests = [(number, metric) for number, row in enumerate(rows) for metric in row.lead or {}]
    adjusted = holm(np.array([(rows[number].lead or {})[metric].p_value for number, metric in tests]))
    found: dict[int, dict[str, float]] = {}
    for (number, metric), p_value in zip(tests, adjusted, strict=True):
        found.setdefault(number, {})[metric] = float(p_value)
    return tuple(replace(row, adjusted=found.get(number)) for number, row in enumerate(rows))


def p_text(value: float) -> str:
    """A p-value as tables print it."""
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def plain(value: Any) -> Any:
    """Plain data for JSON: tuples become lists, what is not a number None."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
