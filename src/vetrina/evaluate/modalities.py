"""What each modality is worth: how many products have it, and how it orders held-out requests by likeness alone.

Nothing is learned for it, so that every build can afford it: products are ordered by the cosine of
their vectors with what a request seeks, which is the vector of its words, or else the mean of what
the shopper acted on. It is done with one modality, with all fused but that one, and with all. That is
the order by likeness alone and not the ranker's, which has likeness among its features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.catalogue.tables import kind_of_fault
from vetrina.core import HAD, EventKind, ItemList, Items, Requests
from vetrina.engine import Engine, Replay
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.significance import Interval, bootstrap_difference, bootstrap_mean
from vetrina.evaluate.tables import K, plain

__all__ = ["ModalityRow", "ModalityTable", "by_likeness", "evenly", "measure_modalities", "words_fused"]

Floats = npt.NDArray[np.float32]

#: Requests asked of each part at most, at even distances: a table of a build, not a study.
_ASKED = 1000
_RESAMPLES = 2000
#: Scores held at once.
_CELLS = 16_000_000
#: How much an event says of what is wanted, and the days in which it halves: as the vector source weighs a window.
_WEIGHT = {"view": 1.0, "click": 1.0, "cart": 2.0, "purchase": 3.0, "rate": 1.0, "hide": -0.5}
_HALF_LIFE = 30.0

_UNKNOWN = Interval(*(float("nan"),) * 3, 0, 0, float("nan"))


@dataclass(frozen=True)
class ModalityRow:
    """One modality, or all together.

    Attributes
    ----------
    modality, encoder : str
    n_items, n_covered : int
        Products of the catalogue, and those that have a vector of it.
    quarantined : dict of str to int
        Files that could not be read, by reason.
    alone, without, adds : dict of str to Interval
        NDCG by part of the requests: of this modality alone, of all but this one, and what it adds
        to the others; NaN where there is nothing to compare.
    """

    modality: str
    encoder: str
    n_items: int
    n_covered: int
    quarantined: Mapping[str, int]
    alone: Mapping[str, Interval]
    without: Mapping[str, Interval] = field(default_factory=dict)
    adds: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class ModalityTable:
    """All modalities of a shop.

    Attributes
    ----------
    title : str
    parts : dict of str to int
        Requests asked, by part: "searches", "recommendations", "graded queries".
    rows : tuple of ModalityRow
    whole : ModalityRow
        All together.
    simulated : bool
        Whether the shoppers are not real.
    notes : tuple of str
    """

    title: str
    parts: Mapping[str, int]
    rows: tuple[ModalityRow, ...]
    whole: ModalityRow
    simulated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Title, size and warnings, in one line."""
        sizes = [f"{n:,} {part}" for part, n in self.parts.items()] or ["nothing to ask"]
        return f"{self.title} ({'; '.join([*sizes, *(['SIMULATED shoppers'] if self.simulated else [])])})"

    @property
    def remarks(self) -> tuple[str, ...]:
        """The lines below the table: files that could not be read, and notes."""
        bad = [
            f"{row.modality}: {n:,} quarantined: {reason}"
            for row in self.rows
            for reason, n in sorted(row.quarantined.items())
        ]
        return (*bad, *self.notes)

    def cells(self, part: str = "") -> tuple[list[str], list[list[str]]]:
        """(header, rows) of one part as they are printed; without a part, of the catalogue alone."""
        header = ["modality", "encoder", "products", "quarantined"]
        if part:
            header += [f"{part}: alone", "left out", "it adds", "95% interval"]
        return header, [self._cells(row, part) for row in [*self.rows, self.whole]]

    def _cells(self, row: ModalityRow, part: str) -> list[str]:
        share = row.n_covered / max(row.n_items, 1)
        # Whatever is lacking shows: 99.96% is not 100%.
        told = "100%" if row.n_covered == row.n_items else f"{math.floor(1000 * share) / 10:.1f}%"
        cells = [row.modality, row.encoder, told, "" if row is self.whole else f"{sum(row.quarantined.values()):,}"]
        if part:
            adds = row.adds.get(part, _UNKNOWN)
            ends = "" if math.isnan(adds.low) else f"{_number(adds.low, '+')} to {_number(adds.high, '+')}"
            cells += [_number(row.alone.get(part, _UNKNOWN).mean), _number(row.without.get(part, _UNKNOWN).mean)]
            cells += [_number(adds.mean, "+"), ends]
        return cells

    def text(self) -> str:
        """Aligned columns under the heading, part by part."""
        tables = ["\n".join(_aligned(*self.cells(part), words=2)) for part in self.parts or [""]]
        return "\n".join([self.heading, "\n\n".join(tables), *(f"  {one}" for one in self.remarks)])

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON; what is not a number is None."""
        told: dict[str, Any] = plain(asdict(self))
        return told


def _number(value: float, sign: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{sign}z.3f}"


def measure_modalities(
    engine: Engine,
    asked: Mapping[str, Replay],
    title: str,
    *,
    simulated: bool = False,
    quarantine: pl.DataFrame | None = None,
    notes: Sequence[str] = (),
) -> ModalityTable | None:
    """Order what was held out by each modality alone, by all but it, and by all.

    Parameters
    ----------
    engine : Engine
        Must not have learned from what is asked.
    asked : mapping of str to Replay
        Requests with their right answers, by part; at most 1,000 of each are asked, at even distances.
    title : str
    simulated : bool
    quarantine : DataFrame, optional
        What ingest set aside: file, row, column, value, reason.
    notes : sequence of str

    Returns
    -------
    ModalityTable or None
        None for a shop without any vectors.
    """
    vectors = {name: rows for name, rows in engine.items.vectors.items() if name != "fused"}
    if not vectors:
        return None
    parts = {name: evenly(replay) for name, replay in asked.items() if len(replay.requests)}
    spoken = {name: engine.encode_queries(replay.requests).query_vectors for name, replay in parts.items()}
    fused = engine.items.vectors.get("fused")

    def scores(replay: Replay, own: Floats, said: Floats | None) -> Scores | None:
        lists = by_likeness(replay, engine.items, own, said)
        return None if lists is None else measure(lists, replay.truth, K, ["ndcg"])

    every: dict[str, Scores | None] = {}
    if fused is not None:
        every = {name: scores(replay, fused, words_fused(engine, spoken[name])) for name, replay in parts.items()}
    bad = _quarantined(engine, vectors, quarantine)
    rows = []
    for name, own in vectors.items():
        alone = {part: scores(replay, own, spoken[part].get(name)) for part, replay in parts.items()}
        rest = _without(engine, vectors, name)
        less: dict[str, Scores | None] = {}
        if rest is not None:
            less = {
                part: scores(replay, rest, words_fused(engine, spoken[part], but=name))
                for part, replay in parts.items()
            }
        rows.append(
            ModalityRow(
                modality=name,
                encoder=engine.encoders[name].name if name in engine.encoders else "",
                n_items=len(engine.items),
                n_covered=_covered(own),
                quarantined=bad.get(name, {}),
                alone={part: _mean(alone[part], replay) for part, replay in parts.items()},
                without={part: _mean(less.get(part), replay) for part, replay in parts.items()},
                adds={part: _lead(every.get(part), less.get(part), replay) for part, replay in parts.items()},
            )
        )
    whole = ModalityRow(
        modality="all together",
        encoder="" if engine.fuser is None else engine.fuser.name,
        n_items=len(engine.items),
        n_covered=0 if fused is None else _covered(fused),
        quarantined={},
        alone={part: _mean(every.get(part), replay) for part, replay in parts.items()},
    )
    sizes = {part: len(replay.requests) for part, replay in parts.items()}
    return ModalityTable(title, sizes, tuple(rows), whole, simulated, tuple(notes))


def by_likeness(replay: Replay, items: Items, vectors: Floats, spoken: Floats | None) -> ItemList | None:
    """The first products of each request by the cosine of their vectors with what it seeks.

    Parameters
    ----------
    replay : Replay
    items : Items
    vectors : float32 of shape (n_items, dim)
        Rows of unit length, or zero where a product has none: those come last, in no order.
    spoken : float32 of shape (batch, dim), optional
        What the words of queries say there; without it a search seeks nothing.

    Returns
    -------
    ItemList or None
        None where no request seeks anything.
    """
    requests = replay.requests
    sought = _sought(requests, vectors, spoken)
    if not np.any(sought):
        return None
    return ItemList.from_lists(list(_ordered(requests, items, vectors, sought)))


def _sought(requests: Requests, vectors: Floats, spoken: Floats | None) -> Floats:
    """Unit vector of each request: (batch, dim), zero where it seeks nothing."""
    weight = np.zeros(max(EventKind) + 1, dtype=np.float32)
    for name, value in _WEIGHT.items():
        weight[EventKind[name]] = value
    windows = requests.windows
    taste = windows.weighted(weight[windows.kind] * np.exp2(-requests.age / _HALF_LIFE), len(vectors))
    worded = np.array([bool(query.text) for query in requests.queries])[:, None]
    said = np.zeros((len(requests), vectors.shape[1]), dtype=np.float32) if spoken is None else spoken
    sought = np.where(worded, said, taste @ vectors)
    length = np.linalg.norm(sought, axis=1, keepdims=True)
    return (sought / np.where(length > 1e-9, length, np.inf)).astype(np.float32)


def _ordered(requests: Requests, items: Items, vectors: Floats, sought: Floats) -> Iterator[npt.NDArray[np.int32]]:
    """The first products of each request: on sale by then, not excluded, and like what is sought at all."""
    known = np.any(np.asarray(vectors) != 0, axis=1)
    windows = requests.windows
    step = max(1, _CELLS // max(len(vectors), 1))
    for start in range(0, len(requests), step):
        cosine = sought[start : start + step] @ np.asarray(vectors).T
        for row, scores in enumerate(cosine, start):
            query = requests.queries[row]
            scores[~known | (items.available_at > requests.now[row])] = -np.inf
            if query.exclude:
                scores[list(query.exclude)] = -np.inf
            if query.exclude_purchased:
                own = slice(int(windows.offsets[row]), int(windows.offsets[row + 1]))
                scores[windows.item[own][np.isin(windows.kind[own], HAD)]] = -np.inf
            if not np.any(sought[row]):
                yield np.empty(0, dtype=np.int32)
                continue
            best = np.argpartition(-scores, min(K, len(scores) - 1))[:K]
            best = best[np.lexsort((best, -scores[best]))]
            yield best[np.isfinite(scores[best])].astype(np.int32)


def words_fused(engine: Engine, spoken: Mapping[str, Floats], but: str = "") -> Floats | None:
    """What the words of queries say in all modalities but one, fused: (batch, dim); None where they say nothing."""
    said = {name: rows for name, rows in spoken.items() if name != but}
    if engine.fuser is None or not set(said) & set(engine.fuser.modalities_):
        return None
    return engine.fuser.transform(said)


def _without(engine: Engine, vectors: Mapping[str, Floats], name: str) -> Floats | None:
    """All products as if nothing were known of one modality; None where nothing is left."""
    others = {other: rows for other, rows in vectors.items() if other != name}
    if engine.fuser is None or not set(others) & set(engine.fuser.modalities_):
        return None
    return engine.fuser.transform(others)


def evenly(replay: Replay) -> Replay:
    """At most 1,000 requests of a replay, at even distances."""
    n = len(replay.requests)
    if n <= _ASKED:
        return replay
    return replay.take(np.unique(np.linspace(0, n - 1, _ASKED).astype(np.int64)))


def _covered(vectors: Floats) -> int:
    return int(np.any(np.asarray(vectors) != 0, axis=1).sum())


def _mean(scores: Scores | None, replay: Replay) -> Interval:
    if scores is None:
        return _UNKNOWN
    return bootstrap_mean(scores.values[f"ndcg@{K}"], replay.shopper[scores.requests], resamples=_RESAMPLES)


def _lead(more: Scores | None, less: Scores | None, replay: Replay) -> Interval:
    if more is None or less is None:
        return _UNKNOWN
    name = f"ndcg@{K}"
    who = replay.shopper[more.requests]
    return bootstrap_difference(more.values[name], less.values[name], who, resamples=_RESAMPLES)


#: Columns of the catalogue that name the files of a modality.
_FILES = {"photo": ("photo", "more_photos"), "audio": ("audio",), "video": ("video",)}


def _quarantined(
    engine: Engine, vectors: Mapping[str, Floats], quarantine: pl.DataFrame | None
) -> dict[str, dict[str, int]]:
    """Files that could not be read, by modality and reason."""
    found: dict[str, dict[str, int]] = {}
    for name in vectors:
        columns = _FILES.get(engine.encoders[name].modality if name in engine.encoders else "", ())
        if quarantine is not None and columns:
            reasons = quarantine.filter(pl.col("column").is_in(columns))["reason"].to_list()
            found[name] = dict(Counter(kind_of_fault(reason) for reason in reasons))
    return found


def _aligned(header: list[str], body: list[list[str]], words: int) -> list[str]:
    """Lines of columns, the first ``words`` of them to the left and numbers to the right."""
    lines = [header, *body]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, rule, *body]
    ]
