"""What was found, in sentences: which is better, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vetrina.evaluate.evaluation import Comparison
from vetrina.evaluate.raters import ONE_RATER
from vetrina.evaluate.significance import Interval
from vetrina.evaluate.tables import ENGINE, Row, Table, p_text

__all__ = [
    "Verdict",
    "glossary",
    "in_full",
    "interval_text",
    "metric_name",
    "number_text",
    "sentence",
    "subject",
    "subjects",
    "summary",
    "verdict",
]

_ALPHA = 0.05


@dataclass(frozen=True)
class Verdict:
    """The system in question beside the best of the others.

    Attributes
    ----------
    ours, rival : Row
    role : str
        What the rival is: the baseline that was chosen, or the best of the others.
    lead : Interval or None
        Ours minus the rival's; None where it was not tested.
    p_value : float
        After Holm's correction where the table has it.
    kind : {"better", "worse", "unsure"}
        "unsure" where p is not below 0.05 or there is none.
    """

    ours: Row
    rival: Row
    role: str
    lead: Interval | None
    p_value: float
    kind: Literal["better", "worse", "unsure"]


def verdict(table: Table) -> Verdict | None:
    """What a table says by its first metric of our engine, or of the best system where ours is not in it.

    The rival is the table's reference, where that is another system, else the best of the others.
    None where there is nothing to compare.
    """
    metric = table.metrics[0]

    def by_mean(rows: Iterable[Row]) -> Row | None:
        known = [row for row in rows if math.isfinite(row.values[metric].mean)]
        return max(known, key=lambda row: row.values[metric].mean, default=None)

    ours = next((row for row in table.rows if row.system == ENGINE), None)
    rival = next((row for row in table.rows if row.system == table.reference and row is not ours), None)
    role = "the baseline"
    if ours is None:
        ours = by_mean(row for row in table.rows if row is not rival)
    if rival is None:
        # A person who graded is a ceiling and no rival.
        others = (row for row in table.rows if row is not ours and not row.system.startswith(ONE_RATER))
        role, rival = "the best of the others", by_mean(others)
    if ours is None or rival is None or not math.isfinite(ours.values[metric].mean):
        return None
    lead, p_value = _lead(table, ours, rival)
    sure = lead is not None and p_value < _ALPHA
    kind: Literal["better", "worse", "unsure"] = "unsure"
    if sure and lead is not None:
        kind = "better" if lead.mean > 0 else "worse"
    return Verdict(ours, rival, role, lead, p_value, kind)


def _lead(table: Table, ours: Row, rival: Row) -> tuple[Interval | None, float]:
    """(ours minus the rival's, its p-value): told by the row that is not the reference's."""
    metric = table.metrics[0]
    row, turn = (rival, False) if table.reference == ours.system else (ours, True)
    if row.lead is None or table.reference not in (ours.system, rival.system):
        return None, math.nan
    lead = row.lead[metric]
    if turn:
        lead = replace(lead, mean=-lead.mean, low=-lead.high, high=-lead.low)
    return lead, row.adjusted[metric] if row.adjusted else lead.p_value


def sentence(table: Table, found: Verdict) -> str:
    """A verdict with its figures.

    Parameters
    ----------
    table : Table
    found : Verdict
        Of the table.
    """
    metric = table.metrics[0]
    ours, rival = found.ours.system, f"{found.role}, {found.rival.system}"
    said = {
        "better": f"{ours} is better than {rival}",
        "worse": f"{ours} is worse than {rival}",
        "unsure": f"No difference can be shown between {ours} and {rival}",
    }[found.kind]
    means = [number_text(table, row.values[metric].mean) for row in (found.ours, found.rival)]
    text = f"{said}: {metric_name(metric)} {means[0]} against {means[1]}"
    if found.lead is None:
        return f"{text}; the difference was not tested."
    lead = number_text(table, found.lead.mean, "+")
    if math.isnan(found.lead.low):
        return f"{text}, a difference of {lead}; one shopper is too few to say how sure that is."
    ends = interval_text(table, found.lead, "+")
    return f"{text}, a difference of {lead} (95% interval {ends}; p {p_value_text(found.p_value)})."


def summary(tables: Sequence[Table]) -> list[str]:
    """Two sentences for who has not read a table before: whether it is better, and whether that is sure."""
    found = [(table, one) for table in tables if (one := verdict(table)) is not None]
    if not found:
        return []
    ours, role = found[0][1].ours.system, found[0][1].role
    names = subjects([table for table, _ in found])
    named = {
        kind: [name for name, (_, one) in zip(names, found, strict=True) if one.kind == kind]
        for kind in ("better", "unsure", "worse")
    }
    said = {
        "better": f"{ours} is better than {role} for",
        "unsure": f"no difference between {ours} and {role} can be shown for",
        "worse": f"{ours} is worse than {role} for",
    }
    parts = [f"{said[kind]} {_listed(some)}" for kind, some in named.items() if some]
    first = "; ".join(parts) + "."
    sure = [one.p_value for _, one in found if one.kind != "unsure"]
    if sure:
        second = f"If systems were equal, differences as large as these would come about by chance {_chance(max(sure))}"
        second += "; what is called no difference may be chance." if named["unsure"] else "."
    else:
        second = "What was measured may be chance: it takes more requests, of more shoppers, to tell."
    return [first[0].upper() + first[1:], second]


def _chance(p_value: float) -> str:
    return "less than once in 1,000 times" if p_value < 0.001 else f"at most once in {1 / p_value:,.0f} times"


def _listed(names: Sequence[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def in_full(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same comparisons; those of several shops or data sets with their names in the subjects."""
    if len({one.table.title.partition(": ")[0] for one in comparisons}) < 2:
        return tuple(comparisons)

    def named(table: Table) -> Table:
        return replace(table, title=table.title.replace(": ", " – ", 1))

    return tuple(
        replace(one, table=named(one.table), beyond=named(one.beyond) if one.beyond else None) for one in comparisons
    )


def subject(table: Table) -> str:
    """A table's title without the name of the shop."""
    return table.title.partition(": ")[2] or table.title


def subjects(tables: Sequence[Table]) -> list[str]:
    """Subjects of several tables, without the endings that all of them have in common.

    Examples
    --------
    >>> def table(title):
    ...     return Table(title, ("mrr@10",), (), "", 0, None, 0)
    >>> subjects([table("Shop: searches, last 9 days"), table("Shop: recommendations, new, last 9 days")])
    ['searches', 'recommendations, new']
    """
    parts = [subject(table).split(", ") for table in tables]
    while len(parts) > 1 and min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return [", ".join(part) for part in parts]


def number_text(table: Table, value: float, sign: str = "") -> str:
    """A number as the table prints it, with a true minus."""
    return table.number(value, sign).replace("-", "−")


def interval_text(table: Table, interval: Interval, sign: str = "") -> str:
    """Both ends of an interval; "" where it has none."""
    if math.isnan(interval.low):
        return ""
    return f"{number_text(table, interval.low, sign)} to {number_text(table, interval.high, sign)}"


def p_value_text(value: float) -> str:
    """A p-value as tables print it."""
    return p_text(value).replace("<", "< ")


_NAMES = {name.lower(): name for name in ("NDCG", "MRR", "MAP", "F1", "AUC", "CTR", "CVR", "IPS", "SNIPS")}


def metric_name(metric: str) -> str:
    """A metric as it is spoken of.

    Examples
    --------
    >>> metric_name("ndcg@10"), metric_name("hit_rate@10")
    ('NDCG@10', 'Hit rate@10')
    """
    base, at, cut = metric.partition("@")
    name = _NAMES.get(base) or base.replace("_", " ")
    return name[:1].upper() + name[1:] + at + cut


_WORDS = {
    "ndcg": "How high what was right stands: each right item counts its gain divided by log₂(1 + its place), as a "
    "share of what the best possible order would get. 1 is perfect.",
    "precision": "The share of the first places that is right.",
    "recall": "The share of what was right that is among the first places.",
    "f1": "The harmonic mean of precision and recall.",
    "mrr": "One divided by the place of the first right item; 0 where none is among the first places.",
    "hit_rate": "How often at least one right item is among the first places.",
    "average_precision": "The mean, over all right items, of the precision at the place of each.",
    "map": "The mean, over all right items, of the precision at the place of each.",
    "auc": "The chance that a right item is scored above one that is not; 0.5 is guessing.",
    "log_loss": "How surprised one is to see what happened having believed the chances, in nats; less is better.",
    "coverage": "The share of the catalogue that is in anybody’s list.",
    "gini": "How unequally places are shared among products: 0 all alike, 1 one product has them all.",
    "novelty": "How rarely the listed products were chosen before, in bits: what one choice in eight was of has 3.",
    "diversity": "How unlike the products of one list are: 1 minus the mean cosine of any two.",
    "popularity_lift": "How much more popular what is shown is than what was chosen; 0.5 is by half.",
    "ips": "What was clicked where the log shows what this ranking would show, weighted by how unlikely that was.",
    "snips": "As IPS, divided by the mean weight, which steadies it.",
    "doubly_robust": "A prediction for every place, corrected by what was clicked where the log shows the same.",
    "ctr": "Click-through rate: the share of what was shown that was clicked.",
    "cart_rate": "The share of what was clicked that was put into the cart.",
    "cvr": "Conversion rate: the share of what was clicked that was bought.",
}


def glossary(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """(name, what it is) of each metric that has an entry, in order of appearance."""
    bases = dict.fromkeys(metric.partition("@")[0].lower().replace(" ", "_") for metric in metrics)
    return [(metric_name(base), _WORDS[base]) for base in bases if base in _WORDS]
