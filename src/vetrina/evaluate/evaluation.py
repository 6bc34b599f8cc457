"""What a measurement found: comparisons of systems, rates of the log, estimates, curves. A report shows all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vetrina.evaluate.modalities import ModalityTable
from vetrina.evaluate.tables import Table, plain

__all__ = ["Bin", "Calibration", "Comparison", "Curve", "Evaluation", "Example", "Shown"]


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes
    ----------
    x, y : sequence of float
        Of one length, in order of ``x``.
    x_label, y_label : str
        What they are, such as "trees" and "ndcg@10".
    """

    x: Sequence[float]
    y: Sequence[float]
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Bin:
    """Predictions that lie together: what was predicted on average, and how often it came true.

    Attributes
    ----------
    predicted, observed : float
        In [0, 1].
    low, high : float
        95% interval of ``observed``.
    n : int
    """

    predicted: float
    observed: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """How far a system's chances come true.

    Attributes
    ----------
    system : str
    what : str
        The event that is predicted, and how a chance was made of a score, in a sentence.
    bins : tuple of Bin
    auc, log_loss, brier, error : float
        Of all predictions; ``error`` is the expected calibration error.
    base_rate : float
        How often the event happens: the log loss of always saying so is what to beat.
    base_log_loss : float
        That log loss.
    n : int
    """

    system: str
    what: str
    bins: tuple[Bin, ...]
    auc: float
    log_loss: float
    brier: float
    error: float
    base_rate: float
    base_log_loss: float
    n: int


@dataclass(frozen=True)
class Shown:
    """One item of an example's list.

    Attributes
    ----------
    item, title : str
    photo : Path or None
        A readable photo of it.
    gain : float
        How right it was; 0 where it was not, NaN where nobody judged it.
    """

    item: str
    title: str
    photo: Path | None
    gain: float


@dataclass(frozen=True)
class Example:
    """One request, answered by the engine and by its best rival. It does not say who asked.

    Attributes
    ----------
    query : str or None
        "" for a recommendation; None for a search whose words are not to be quoted.
    rival : str
    ours, theirs : float
        The first metric of both.
    our_list, their_list : tuple of Shown
        The first places of both.
    """

    query: str | None
    rival: str
    ours: float
    theirs: float
    our_list: tuple[Shown, ...]
    their_list: tuple[Shown, ...]


@dataclass(frozen=True)
class Comparison:
    """Systems on the same requests, from all sides.

    Attributes
    ----------
    table : Table
    segments : tuple of Table
        The same systems on parts of the requests; the title of each is the part's name.
    beyond : Table or None
        What is not accuracy: coverage, Gini, novelty, diversity, popularity.
    precision_recall : mapping of str to Curve
        Precision against recall at growing cut-offs, by system.
    learning : mapping of str to Curve
        Quality against what was spent on learning, by part of the data ("training", "test").
    calibration : Calibration or None
    examples : tuple of Example
        Requests won and lost, the most extreme first.
    """

    table: Table
    segments: tuple[Table, ...] = ()
    beyond: Table | None = None
    precision_recall: Mapping[str, Curve] = field(default_factory=dict)
    learning: Mapping[str, Curve] = field(default_factory=dict)
    calibration: Calibration | None = None
    examples: tuple[Example, ...] = ()

    @property
    def tables(self) -> list[Table]:
        """All tables, the main one first."""
        return [self.table, *([self.beyond] if self.beyond else []), *self.segments]

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON. Examples stay out: they quote what shoppers typed."""
        table = self.table.as_dict()
        return table | {
            "segments": [one.as_dict() for one in self.segments],
            "beyond": self.beyond.as_dict() if self.beyond else None,
            "precision_recall": {name: plain(asdict(one)) for name, one in self.precision_recall.items()},
            "learning": {name: plain(asdict(one)) for name, one in self.learning.items()},
            "calibration": plain(asdict(self.calibration)) if self.calibration else None,
        }


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of a shop, or of ranked lists.

    Attributes
    ----------
    comparisons : tuple of Comparison
    rates : tuple of Table
        CTR and CVR as the log has them.
    estimates : tuple of Table
        What other policies would have got, estimated from the log.
    cold : tuple of Table
        How requests for products are answered that nobody has met yet.
    modalities : ModalityTable or None
        What each modality is worth.
    training : mapping of str to Curve
        How the losses of what was trained fell.
    options : mapping of str to value
        Those of the ranker that tuning came to and the engine was measured with; empty where it was not tuned.
    notes : tuple of str
        What to bear in mind, and what was not measured and why.
    """

    comparisons: tuple[Comparison, ...] = ()
    rates: tuple[Table, ...] = ()
    estimates: tuple[Table, ...] = ()
    cold: tuple[Table, ...] = ()
    modalities: ModalityTable | None = None
    training: Mapping[str, Curve] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tables(self) -> list[Table]:
        """The main tables, without those of segments, new products and modalities."""
        return [*(one.table for one in self.comparisons), *self.rates, *self.estimates]

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "tables": [one.as_dict() for one in self.comparisons],
            "rates": [one.as_dict() for one in self.rates],
            "estimates": [one.as_dict() for one in self.estimates],
            "cold": [one.as_dict() for one in self.cold],
            "modalities": self.modalities.as_dict() if self.modalities else None,
            "training": {name: plain(asdict(one)) for name, one in self.training.items()},
            "options": dict(self.options),
            "notes": list(self.notes),
        }
