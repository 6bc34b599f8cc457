"""The page: what was measured, put into a template."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from vetrina.core.errors import DataError
from vetrina.core.page import write_page
from vetrina.core.photo import read_photo
from vetrina.evaluate.evaluation import Calibration, Comparison, Curve, Evaluation, Example, Shown
from vetrina.evaluate.modalities import ModalityTable
from vetrina.evaluate.report import charts, words
from vetrina.evaluate.significance import Interval
from vetrina.evaluate.tables import ENGINE, K, Row, Table, p_text

__all__ = ["write_report"]

_FOLDER = Path(__file__).parent
_PHOTO = (90, 120)  # width and height in pixels
_WIDEST = 8  # metrics side by side: more do not fit a printed page
_POINTS = 12  # rows of a curve in figures

View = dict[str, Any]


def write_report(
    path: Path,
    evaluation: Evaluation,
    title: str,
    *,
    simulated: bool,
    facts: Mapping[str, str] | None = None,
    set_aside: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write what was measured as one HTML file that needs nothing else: no network, no script.

    Parameters
    ----------
    path : Path
        Its folder is made where there is none.
    evaluation : Evaluation
        What it does not have is left out.
    title : str
    simulated : bool
        Whether the shoppers are not real; said at the top.
    facts : mapping of str to str, optional
        What was measured, and when: shown below the title in this order.
    set_aside : sequence of mapping, optional
        What could not be used of the shop's files: file, column, reason, count.

    Raises
    ------
    VetrinaError
        When the file cannot be written.

    Examples
    --------
    ::

        evaluation = evaluate_shop(shop)
        write_report(Path("report.html"), evaluation, "My shop", simulated=False, facts={"Date": "2025-07-01"})
    """
    photos: dict[Path, str] = {}

    def photo(shown: Shown) -> str:
        if shown.photo is None:
            return ""
        if shown.photo not in photos:
            photos[shown.photo] = _data_uri(shown.photo)
        return photos[shown.photo]

    comparisons = words.in_full(evaluation.comparisons)
    tables = [one.table for one in comparisons]
    every = [
        *(table for one in comparisons for table in one.tables),
        *evaluation.rates,
        *evaluation.estimates,
        *evaluation.cold,
    ]
    write_page(
        path,
        _FOLDER / "report.html.j2",
        "report",
        title=title,
        simulated=simulated or any(table.simulated for table in tables),
        leaks=[words.subject(table) for table in tables if table.leaks],
        sampled=[words.subject(table) for table in tables if table.sampled],
        facts=dict(facts or {}),
        style=(_FOLDER / "report.css").read_text(encoding="utf-8"),
        summary=words.summary(tables),
        overview=_overview(tables),
        comparisons=[_comparison(one, photo) for one in comparisons],
        rates=[_table(one) for one in evaluation.rates],
        estimates=[_table(one) for one in evaluation.estimates],
        cold=[_table(one) for one in evaluation.cold],
        modalities=_modalities(evaluation.modalities) if evaluation.modalities else None,
        training=_training(evaluation.training),
        notes=evaluation.notes,
        set_aside=[{**one, "count": f"{one['count']:,}"} for one in set_aside],
        glossary=words.glossary(metric for table in every for metric in table.metrics),
    )


def _data_uri(path: Path) -> str:
    """A small copy of a photo; "" where it cannot be read."""
    try:
        pixels = read_photo(path, _PHOTO)
    except DataError:
        return ""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "webp", quality=72)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"


# --- tables -------------------------------------------------------------------


def _overview(tables: Sequence[Table]) -> View | None:
    """The lead over the best of the others in every comparison; None where there is only one, or nothing to tell."""
    found = [(table, one) for table in tables if (one := words.verdict(table)) is not None and one.lead is not None]
    if len(found) < 2 or len({table.metrics[0] for table, _ in found}) > 1:
        return None
    leads = [one.lead for _, one in found if one.lead is not None]
    scale = charts.scale_of(_ends(leads), zero=True)
    rows = []
    names = words.subjects([table for table, _ in found])
    for (table, one), lead, name in zip(found, leads, names, strict=True):
        said = words.number_text(table, lead.mean, "+")
        ends = words.interval_text(table, lead, "+")
        rows.append(
            {
                "name": name,
                "anchor": _anchor(table.title),
                "rival": one.rival.system,
                "kind": one.kind,
                "lead": _cell(table, lead, "+"),
                "p": p_text(one.p_value),
                "chart": charts.whisker(lead, scale, f"{said}, {_or_unsure(ends)}", ours=one.kind == "better"),
            }
        )
    verdicts = {"better": "better", "worse": "worse", "unsure": "no difference shown"}
    metric = words.metric_name(found[0][0].metrics[0])
    return {
        "rows": rows,
        "axis": charts.axis(scale),
        "metric": metric,
        "words": verdicts,
        "ours": found[0][1].ours.system,
    }


def _table(table: Table) -> View:
    """A table: the first metric with charts beside it, then every metric with its interval."""
    first = table.metrics[0]
    size, warnings = _size(table)
    found = words.verdict(table)
    charted = [first] if table.reference else [one for one in table.metrics[:3] if _known(table, one)]
    return {
        "title": words.subject(table),
        "anchor": _anchor(table.title),
        "size": size,
        "warnings": warnings,
        "verdict": words.sentence(table, found) if found and table.reference else "",
        "kind": found.kind if found else "",
        "reference": table.reference,
        "corrected": table.n_comparisons > 1,
        "charts": [_charted(table, metric) for metric in charted],
        "systems": [{"name": row.system, "ours": _is_ours(table, row)} for row in table.rows],
        "of": getattr(table, "of", "system"),
        "every": _every(table) if set(table.metrics) > set(charted) else [],
        "leads": _every(table, leads=True) if table.reference and len(table.metrics) > 1 else [],
        "remarks": table.remarks,
    }


def _modalities(table: ModalityTable) -> View:
    """A table for each part of the requests; without any, of what is known of the catalogue."""
    size, warnings = _size(table)
    scale = charts.scale_of(_ends(one for row in table.rows for one in row.adds.values()), zero=True)
    parts: dict[str, list[View]] = {part: [] for part in table.parts or [""]}
    for part, rows in parts.items():
        for row, cells in zip([*table.rows, table.whole], table.cells(part)[1], strict=True):
            figures = [cell.replace("-", "−") for cell in cells[4:]]
            adds = row.adds.get(part)
            chart = charts.whisker(adds, scale, " ".join(figures[2:]), ours=True) if adds else ""
            rows.append({"about": cells[:4], "figures": figures, "chart": chart, "ours": row is table.whole})
    return {
        "metric": words.metric_name(f"ndcg@{K}"),
        "parts": parts,
        "axis": charts.axis(scale),
        "size": size,
        "warnings": warnings,
        "remarks": table.remarks,
    }


def _charted(table: Table, metric: str) -> View:
    """Cells of one metric: value, interval and chart of every row, and of the lead over it."""
    values = [row.values[metric] for row in table.rows]
    leads = [row.lead[metric] if row.lead else None for row in table.rows]
    scale = charts.scale_of(_ends(values))
    lead_scale = charts.scale_of(_ends(lead for lead in leads if lead), zero=True)
    rows = []
    for row, value, lead in zip(table.rows, values, leads, strict=True):
        ours = _is_ours(table, row)
        chart = charts.whisker(value, scale, _said(table, value), ours=ours)
        cell = _cell(table, value) | {"chart": chart, "lead": None}
        if lead is not None:
            p_value = row.adjusted[metric] if row.adjusted else lead.p_value
            chart = charts.whisker(lead, lead_scale, _said(table, lead, "+"), ours=True)
            cell["lead"] = _cell(table, lead, "+") | {"chart": chart, "p_value": p_text(p_value)}
        rows.append(cell)
    return {
        "metric": words.metric_name(metric),
        "rows": rows,
        "axis": charts.axis(scale),
        "lead_axis": charts.axis(lead_scale) if any(leads) else "",
    }


def _every(table: Table, *, leads: bool = False) -> list[View]:
    """Every metric of every system, or every lead, in tables that are narrow enough to print."""
    parts = []
    for start in range(0, len(table.metrics), _WIDEST):
        metrics = table.metrics[start : start + _WIDEST]
        rows = []
        for row in table.rows:
            if leads and row.lead is None:
                continue
            cells = []
            for metric in metrics:
                lead = (row.lead or {}).get(metric) if leads else None
                if lead is None:
                    cells.append(_cell(table, row.values[metric]))
                    continue
                p_value = row.adjusted[metric] if row.adjusted else lead.p_value
                cells.append(_cell(table, lead, "+", p_text(p_value)))
            rows.append({"name": row.system, "ours": _is_ours(table, row), "cells": cells})
        parts.append({"metrics": [words.metric_name(metric) for metric in metrics], "rows": rows})
    return parts


def _cell(table: Table, interval: Interval, sign: str = "", p_value: str = "") -> View:
    return {
        "p": p_value,
        "value": words.number_text(table, interval.mean, sign),
        "ends": words.interval_text(table, interval, sign),
        "n": f"{interval.n:,}" if getattr(table, "each_n", False) else "",
    }


def _said(table: Table, interval: Interval, sign: str = "") -> str:
    """A cell's chart in words."""
    return f"{words.number_text(table, interval.mean, sign)}, {_or_unsure(words.interval_text(table, interval, sign))}"


def _or_unsure(ends: str) -> str:
    return f"95% interval {ends}" if ends else "without an interval"


def _is_ours(table: Table, row: Row) -> bool:
    return row.system == (ENGINE if any(one.system == ENGINE for one in table.rows) else table.reference)


def _known(table: Table, metric: str) -> bool:
    """Whether a chart of the metric says something: some row has a number."""
    return any(math.isfinite(row.values[metric].mean) for row in table.rows)


def _size(table: Table | ModalityTable) -> tuple[str, list[str]]:
    """What the heading says besides the title: (how many of what, loud warnings)."""
    parts = table.heading.removeprefix(table.title).strip().removeprefix("(").removesuffix(")").split("; ")
    loud = ("SIMULATED", "LEAKS", "SAMPLED")
    return "; ".join(part for part in parts if not part.startswith(loud)), [p for p in parts if p.startswith(loud)]


def _ends(intervals: Iterable[Interval]) -> list[float]:
    return [value for one in intervals for value in (one.mean, one.low, one.high)]


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.casefold())


# --- comparisons --------------------------------------------------------------


def _comparison(one: Comparison, photo: Callable[[Shown], str]) -> View:
    table = one.table
    # Ours, then the others from the best on: the first few are drawn.
    first = table.metrics[0]
    rows = sorted(table.rows, key=lambda row: (not _is_ours(table, row), -row.values[first].mean))
    names = [row.system for row in rows]
    figures = [
        _lines(
            "Precision and recall",
            {name: one.precision_recall[name] for name in names if name in one.precision_recall},
            "The longer the list, the further right. Higher is better.",
            zero=True,
        ),
        _lines("Learning curve", one.learning, _LEARNING),
        _reliability(one.calibration) if one.calibration else None,
    ]
    return {
        "table": _table(table),
        "segments": _segments(table, one.segments) if one.segments else None,
        "figures": [figure for figure in figures if figure],
        "beyond": _table(one.beyond) if one.beyond else None,
        "examples": _examples(table, one.examples, photo),
    }


_LEARNING = (
    "Quality after so many steps of the ranker’s learning. A test curve that falls while training still rises has "
    "learned by heart; one that still rises at the end would gain by more steps. The levels of the two cannot be "
    "compared: training orders sampled candidates, the test all of them."
)


def _segments(table: Table, segments: Sequence[Table]) -> View | None:
    """Ours and the best of the others on each part, as bars; every system in figures."""
    found = words.verdict(table)
    metric = table.metrics[0]
    if found is None:
        return None
    pair = (found.ours.system, found.rival.system)
    by_part = [({row.system: row for row in part.rows}, part) for part in segments if part.metrics[0] == metric]
    shown = [(rows, part) for rows, part in by_part if all(name in rows for name in pair)]
    scale = charts.scale_of(_ends(rows[name].values[metric] for rows, _ in shown for name in pair), zero=True)
    parts = []
    for rows, part in shown:
        own = words.verdict(replace(part, rows=tuple(rows[name] for name in pair)))
        lead = own.lead if own else None
        values = [rows[name].values[metric] for name in pair]
        said = "; ".join(f"{name} {_said(part, value)}" for name, value in zip(pair, values, strict=True))
        parts.append(
            {
                "name": words.subject(part),
                "n": f"{part.n:,}",
                "chart": charts.bars([(values[0], True), (values[1], False)], scale, said),
                "values": [_cell(part, value) for value in values],
                "lead": _cell(part, lead, "+") if lead else None,
                "p": p_text(own.p_value) if own else "–",
            }
        )
    every = [
        {
            "name": row.system,
            "ours": _is_ours(table, row),
            "cells": [
                _cell(part, rows[row.system].values[metric]) if row.system in rows else None for rows, part in shown
            ],
        }
        for row in table.rows
    ]
    return {
        "metric": words.metric_name(metric),
        "systems": pair,
        "rows": parts,
        "axis": charts.axis(scale),
        "corrected": any(part.n_comparisons > 1 for _, part in shown),
        "every": every if len(table.rows) > 2 else [],
        "remarks": list(dict.fromkeys(note for _, part in shown for note in part.notes)),
    } if shown else None  # fmt: skip


def _lines(title: str, curves: Mapping[str, Curve], caption: str, *, zero: bool = False) -> View | None:
    """A chart of curves, with a legend and its figures; None where there is nothing to draw."""
    drawn = {name: curve for name, curve in curves.items() if len(curve.x)}
    if not drawn:
        return None
    left_out = list(drawn)[charts.SERIES :]
    drawn = dict(list(drawn.items())[: charts.SERIES])
    first = next(iter(drawn.values()))
    labels = [words.metric_name(first.x_label), words.metric_name(first.y_label)]
    told = {name: replace(curve, x_label=labels[0], y_label=labels[1]) for name, curve in drawn.items()}
    said = f"{title}: {labels[1]} against {labels[0]} of {'; '.join(drawn)}. The figures are in the table below it."
    return {
        "title": title,
        "chart": charts.lines(told, said, zero=zero),
        "legend": [(charts.key(number), name) for number, name in enumerate(drawn)],
        "caption": caption + (f" Not drawn: {'; '.join(left_out)}." if left_out else ""),
        "header": ["", *labels],
        "rows": [
            [name if place == 0 else "", f"{curve.x[at]:.4g}", f"{curve.y[at]:.4f}"]
            for name, curve in drawn.items()
            for place, at in enumerate(_spread(len(curve.x)))
        ],
    }


def _spread(count: int) -> list[int]:
    """A few places from the first to the last."""
    if count <= _POINTS:
        return list(range(count))
    return sorted({round(place * (count - 1) / (_POINTS - 1)) for place in range(_POINTS)})


def _reliability(one: Calibration) -> View:
    said = f"Reliability of {one.system}: what came true against what was predicted, in {len(one.bins)} bins."
    scores = (
        f"AUC {one.auc:.3f}; log loss {one.log_loss:.4f}, where always saying {one.base_rate:.2%} has "
        f"{one.base_log_loss:.4f}; Brier score {one.brier:.4f}; expected calibration error {one.error:.4f}; "
        f"{one.n:,} predictions"
    )
    what = f"{one.what[:1].upper()}{one.what[1:].rstrip('.')}."
    caption = f"{what} Dots on the dashed line came true as often as was said. {scores}."
    return {
        "title": f"Calibration of {one.system}",
        "chart": charts.reliability(one, f"{said} The figures are in the table below it."),
        "legend": [],
        "caption": caption,
        "header": ["predicted", "came true", "95% interval", "predictions"],
        "rows": [
            [
                f"{bin_.predicted:.4f}",
                f"{bin_.observed:.4f}",
                f"{bin_.low:.4f} to {bin_.high:.4f}" if math.isfinite(bin_.low) else "",
                f"{bin_.n:,}",
            ]
            for bin_ in one.bins
        ],
    }


def _training(curves: Mapping[str, Curve]) -> list[View]:
    """One chart for each curve: their scales differ."""
    figures = []
    for name, curve in curves.items():
        component, _, what = name.rpartition(": ")
        figure = _lines(component or what, {what: curve}, "")
        figures += [figure | {"legend": []}] if figure else []
    return figures


def _examples(table: Table, examples: Sequence[Example], photo: Callable[[Shown], str]) -> View | None:
    if not examples:
        return None
    found = words.verdict(table)

    def told(one: Example) -> View:
        sides = (
            (found.ours.system if found else ENGINE, one.ours, one.our_list),
            (one.rival, one.theirs, one.their_list),
        )
        lists = []
        for name, value, listed in sides:
            items = [_shown(place, item, photo) for place, item in enumerate(listed, 1)]
            lists.append({"name": name, "value": f"{value:.3f}", "items": items})
        pictured = any(item.photo for item in (*one.our_list, *one.their_list))
        return {"query": one.query, "lists": lists, "pictured": pictured}

    won = [told(one) for one in examples if one.ours > one.theirs]
    lost = [told(one) for one in examples if one.ours < one.theirs]
    gains = {item.gain for one in examples for item in (*one.our_list, *one.their_list) if item.gain > 0}
    return {
        "metric": words.metric_name(table.metrics[0]),
        "sides": [side for side in (("Won", won), ("Lost", lost)) if side[1]],
        "graded": len(gains) > 1,
        "hidden": any(one.query is None for one in examples),
    }


def _shown(place: int, item: Shown, photo: Callable[[Shown], str]) -> View:
    return {
        "place": place,
        "title": item.title or item.item,
        "photo": photo(item),
        "right": item.gain > 0,
        "judged": not math.isnan(item.gain),
        "gain": f"{item.gain:g}",
    }
