"""What came of it: tables with intervals, whether the libraries' own metrics agree, and what it took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np

from peers.run import Answer, Failure
from peers.tasks import POOL, RECOMMEND, SEARCH, WHOLE, Task, judged_share
from vetrina.core import ItemList, Truth
from vetrina.evaluate import Scores, Table, compare, measure
from vetrina.evaluate.evaluation import Comparison, Evaluation
from vetrina.evaluate.raters import agreement, ceiling, rater_table
from vetrina.evaluate.report import write_report
from vetrina.evaluate.tables import ENGINE, SHOWN, K
from vetrina.evaluate.tuning import told

__all__ = ["Agreement", "Findings", "agreements", "library_gap", "tables"]

#: How far a library's own metric may be from ours, and the independent library's from ours.
OWN_GAP, LIBRARY_GAP = 0.01, 1e-9

# ir_measures says the same of our lists under these names.
_INDEPENDENT = {
    "ndcg": "nDCG",
    "precision": "P",
    "recall": "R",
    "mrr": "RR",
    "hit_rate": "Success",
    "average_precision": "AP",
}


@dataclass(frozen=True)
class Agreement:
    """One metric of one system's lists, by us and by the library itself."""

    table: str
    system: str
    metric: str
    ours: float
    theirs: float

    @property
    def gap(self) -> float:
        """How far apart."""
        return abs(self.ours - self.theirs)


def tables(task: Task, answers: Sequence[Answer]) -> list[Table]:
    """One for each thing that is asked: our engine first, then the others, the best first."""
    made = []
    for name in task.tables:
        truth = task.truth(name)
        scores = {one.system: measure(one.lists[name], truth, K, SHOWN) for one in answers}
        order = sorted(scores, key=lambda system: (system != ENGINE, -scores[system].mean(f"ndcg@{K}")))
        reference = ENGINE if ENGINE in scores else ""
        table = compare(
            f"{task.title}: {name.lower()}",
            {system: scores[system] for system in order},
            task.shopper(name),
            reference,
            leaks=task.leaks,
        )
        made.append(replace(table, notes=(*task.notes, *_notes(task, name, truth, answers))))
    return _beside_raters(task, answers, made)


def _beside_raters(task: Task, answers: Sequence[Answer], made: list[Table]) -> list[Table]:
    """The same tables with what people would have come to: below the first, and in a table of their own."""
    if task.raters is None:
        return made
    raters, judged = task.raters
    agree = agreement(raters)
    pools = {one.system: [one.lists[POOL]] for one in answers}
    beside = rater_table(f"{task.title}: {POOL.lower()}, judged by the other raters", raters, judged, task.items, pools)
    notes = [agree.words] if agree is not None else []
    if beside is not None:
        notes.append(ceiling(beside))
    first = replace(made[0], notes=(*made[0].notes, *notes))
    return [first, *made[1:], *([beside] if beside is not None else [])]


def _notes(task: Task, name: str, truth: Truth, answers: Sequence[Answer]) -> list[str]:
    notes = []
    filled = [f"{one.system} {one.filled[name]:.0%}" for one in answers if one.filled[name] >= 0.005]
    if filled:
        by = "what is popular" if task.kind == RECOMMEND else "the catalogue’s order"
        notes.append(f"places that a system had nothing for, filled by {by}: {', '.join(filled)}")
    if task.kind == SEARCH and name == WHOLE:
        shares = [f"{one.system} {judged_share(one.lists[name], truth):.0%}" for one in answers]
        notes.append(f"judged among the first {K}: {', '.join(shares)}; the rest counts as not relevant")
    failed = [f"{one.system} {one.failed} of {one.trials}" for one in answers if one.failed]
    if failed:
        notes.append(f"trials that failed: {', '.join(failed)}")
    for one in answers:
        chosen = list(dict.fromkeys(filter(None, map(told, one.options[name]))))
        if len(chosen) == 1:
            notes.append(f"{one.system} tuned to {chosen[0]}")
        elif chosen:
            notes.append(f"{one.system} tuned for each of {len(one.options[name])} rounds; the first: {chosen[0]}")
    return notes


def agreements(task: Task, answers: Sequence[Answer]) -> list[Agreement]:
    """Our metrics beside each library's own, of the same lists, where both mean the same by a name."""
    found = []
    for name in task.tables:
        truth = task.truth(name)
        for one in answers:
            own = one.own.get(name, {})
            # "ndcg (...)" is theirs of another definition, close enough to be set beside ours.
            ours_by = {metric: metric.partition(" ")[0] for metric in own}
            scores = measure(one.lists[name], _binary(truth), K, list(dict.fromkeys(ours_by.values())))
            for metric, theirs in own.items():
                ours = scores.mean(f"{ours_by[metric]}@{K}")
                found.append(Agreement(f"{task.name}: {name.lower()}", one.system, metric, ours, theirs))
    return found


def _binary(truth: Truth) -> Truth:
    return Truth(truth.offsets, truth.item, (truth.gain > 0).astype(np.float64))


def library_gap(task: Task, answers: Sequence[Answer]) -> float:
    """How far ir_measures is from us at most, over all lists, requests and metrics."""
    metrics = list(_INDEPENDENT)
    worst = 0.0
    for name in task.tables:
        truth = task.truth(name)
        judged = _qrels(truth)
        for one in answers:
            ours = measure(one.lists[name], truth, K, metrics)
            worst = max(worst, _gap(ours, one.lists[name], judged))
    return worst


def _gap(ours: Scores, lists: ItemList, judged: dict[str, dict[str, int]]) -> float:
    wanted = {ir_measures.parse_measure(f"{theirs}@{K}"): metric for metric, theirs in _INDEPENDENT.items()}
    run = {
        str(row): {str(item): float(K - place) for place, item in enumerate(lists.list_of(row)[:K].tolist())}
        for row in range(len(lists))
    }
    place = {request: number for number, request in enumerate(ours.requests.tolist())}
    theirs = {metric: np.full(len(place), np.nan) for metric in wanted.values()}
    for found in ir_measures.iter_calc(list(wanted), judged, run):
        if (at := place.get(int(found.query_id))) is not None:
            theirs[wanted[found.measure]][at] = found.value
    worst = max(float(np.abs(ours.values[f"{metric}@{K}"] - values).max()) for metric, values in theirs.items())
    return worst if np.isfinite(worst) else float("inf")  # a request that it did not measure


def _qrels(truth: Truth) -> dict[str, dict[str, int]]:
    judged = {}
    for row, (start, stop) in enumerate(zip(truth.offsets[:-1], truth.offsets[1:], strict=True)):
        own = slice(int(start), int(stop))
        judged[str(row)] = {
            str(item): int(gain) for item, gain in zip(truth.item[own].tolist(), truth.gain[own].tolist(), strict=True)
        }
    return judged


def effort(task: Task, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Trials and seconds of every system."""
    return [
        {
            "task": task.name,
            "system": one.system,
            "trials": one.trials,
            "tuning s": f"{one.tuning:.1f}",
            "fit s": f"{one.fitting:.2f}",
            "rank s": f"{one.ranking:.2f}",
        }
        for one in answers
    ]


def columns(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as aligned columns."""
    header = list(rows[0])
    body = [[str(row[name]) for name in header] for row in rows]
    widths = [max(len(line[number]) for line in [header, *body]) for number in range(len(header))]
    lines = [header, ["-" * width for width in widths], *body]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@dataclass
class Findings:
    """All that a run found, task after task.

    Attributes
    ----------
    versions : dict of str to dict of str to str
        Of what is installed for each library.
    failures : list of Failure
    tables : list of Table
    agreed : list of Agreement
    gaps : dict of str to float
        By task, how far ir_measures is from us at most.
    spent : list of dict
        Trials and seconds.
    chosen : dict
        By task, system and table the options of each round: what a later run may begin at.
    """

    versions: dict[str, dict[str, str]]
    failures: list[Failure]
    tables: list[Table] = field(default_factory=list)
    agreed: list[Agreement] = field(default_factory=list)
    gaps: dict[str, float] = field(default_factory=dict)
    spent: list[dict[str, Any]] = field(default_factory=list)
    chosen: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether everybody answered and all metrics agree."""
        close = all(one.gap <= OWN_GAP for one in self.agreed) and all(gap <= LIBRARY_GAP for gap in self.gaps.values())
        return close and not self.failures

    def add(self, task: Task, answers: Sequence[Answer], failed: Sequence[Failure]) -> list[Table]:
        """Take in what came of one task; gives its tables."""
        self.failures += failed
        if not answers:
            return []
        own = tables(task, answers)
        self.tables += own
        self.agreed += agreements(task, answers)
        self.gaps[task.name] = library_gap(task, answers)
        self.spent += effort(task, answers)
        self.chosen[task.name] = {one.system: one.options for one in answers if any(map(any, one.options.values()))}
        return own

    def text(self) -> str:
        """Whether metrics agree, what it took, and who failed."""
        parts = []
        if self.agreed:
            worst = max(self.agreed, key=lambda one: one.gap)
            parts.append(
                f"Our metrics beside what each library’s own evaluation says of the same lists\n"
                f"{columns(_compared(self.agreed))}\n"
                f"at most {worst.gap:.1e} apart ({worst.system}, {worst.metric}); allowed {OWN_GAP}"
            )
        parts += [
            f"{name}: ir_measures is at most {gap:.1e} from us on any request; allowed {LIBRARY_GAP:.0e}"
            for name, gap in self.gaps.items()
        ]
        if self.spent:
            parts.append(columns(self.spent))
        parts += [f"FAILED: {one.who}{f' on {one.task}' if one.task else ''}: {one.why}" for one in self.failures]
        return "\n\n".join(parts)

    def write(self, folder: Path) -> None:
        """``summary.json``, ``summary.md``, ``report.html``, and what was chosen in ``chosen.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        data = {
            "tables": [table.as_dict() for table in self.tables],
            "own_metrics": [asdict(one) | {"gap": one.gap} for one in self.agreed],
            "ir_measures": self.gaps,
            "effort": self.spent,
            "failures": [vars(one) for one in self.failures],
            "versions": self.versions,
        }
        (folder / "summary.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
        (folder / "chosen.json").write_text(json.dumps(self.chosen, indent=1) + "\n", encoding="utf-8")
        parts = ["# Peers in the same run", *(table.markdown() for table in self.tables), f"```\n{self.text()}\n```"]
        (folder / "summary.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        installed = {
            name: ", ".join(f"{what} {which}" for what, which in own.items()) for name, own in self.versions.items()
        }
        failed = tuple(f"{one.who} {one.task}: {one.why}" for one in self.failures)
        evaluation = Evaluation(tuple(Comparison(table) for table in self.tables), notes=failed)
        write_report(folder / "report.html", evaluation, "Peers in the same run", simulated=False, facts=installed)


def _compared(found: Sequence[Agreement]) -> list[dict[str, Any]]:
    return [
        {
            "table": one.table,
            "system": one.system,
            "metric": one.metric,
            f"ours at {K}": f"{one.ours:.6f}",
            "the library’s own": f"{one.theirs:.6f}",
            "apart": f"{one.gap:.1e}" + ("  TOO FAR" if one.gap > OWN_GAP else ""),
        }
        for one in found
    ]
