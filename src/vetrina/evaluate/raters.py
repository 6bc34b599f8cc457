"""How far people agree, and how well one of them orders what the others judge: a ceiling for figures on grades.

Two raters agree by the quadratic weighted kappa: 1 for equal grades, 0 for no more than chance
would bring, with grades that lie further apart counting by the square of their distance. A rater
as a system orders what they graded by their own grades; what is right is what the others said.
Equal grades of theirs have no order, so the value is the mean over all orders of them.

Sources: J. Cohen, Weighted kappa (Psychological Bulletin 1968); L. Lin, A concordance correlation
coefficient (Biometrics 1989), which for numbers is the same: 2 cov / (var + var + (mean - mean)²);
F. McSherry and M. Najork, Computing Information Retrieval Performance Measures Efficiently in the
Presence of Tied Scores (ECIR 2008), for the mean over orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import ItemList, Items, Truth
from vetrina.engine import Replay
from vetrina.evaluate.metrics import Scores, measure
from vetrina.evaluate.tables import ENGINE, K, Table, compare

__all__ = ["ONE_RATER", "Agreement", "agreement", "ceiling", "ndcg_of_grades", "rater_table"]

#: A rater's row in a table.
ONE_RATER = "one rater"
_TIED = f"ties as {ENGINE}"

Floats = npt.NDArray[np.float64]
_RESAMPLES, _AT_ONCE = 10_000, 500


class Agreement(NamedTuple):
    """How far two raters agree.

    Attributes
    ----------
    kappa, low, high : float
        The mean of the pairs' quadratic weighted kappas, each counting by how many items both
        graded, with its 95% interval, bootstrapped by query.
    by_pair : dict
        The kappa of every two raters who graded anything in common, by their names.
    n_raters, n_queries : int
    n_items : int
        (query, item) pairs that at least two raters graded.
    """

    kappa: float
    low: float
    high: float
    by_pair: dict[tuple[str, str], float]
    n_raters: int
    n_queries: int
    n_items: int

    @property
    def words(self) -> str:
        """In a sentence, for below a table; it names nobody."""
        pairs = f", {min(self.by_pair.values()):.2f} to {max(self.by_pair.values()):.2f} by pair"
        return (
            f"{self.n_raters} raters agree with a quadratic weighted kappa of {self.kappa:.2f} "
            f"[{self.low:.2f}, {self.high:.2f}]{pairs if len(self.by_pair) > 1 else ''}, "
            f"on {self.n_items:,} items of {self.n_queries:,} queries"
        )


def agreement(raters: pl.DataFrame) -> Agreement | None:
    """How far raters agree; None where no two graded the same.

    Parameters
    ----------
    raters : DataFrame
        Columns query, item, rater and grade.

    Examples
    --------
    >>> rows = [("hat", str(n), who, float(grade)) for n, grades in enumerate([(3, 3), (0, 1), (2, 2), (0, 0)])
    ...     for who, grade in zip("ab", grades)]
    >>> found = agreement(pl.DataFrame(rows, schema=["query", "item", "rater", "grade"], orient="row"))
    >>> f"{found.kappa:.4f}", found.n_items
    ('0.9167', 4)
    """
    texts = raters["query"].unique().sort()
    known = raters.select("item", "rater", pl.col("grade").cast(pl.Float64), query=raters["query"].rank("dense") - 1)
    pairs = known.join(known, on=["query", "item"], suffix="_2").filter(pl.col("rater") < pl.col("rater_2"))
    if not pairs.height:
        return None
    x, y = pl.col("grade"), pl.col("grade_2")
    parts = (pl.len().cast(pl.Float64), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
    by_query = pairs.group_by("rater", "rater_2", "query").agg(*(one.alias(str(at)) for at, one in enumerate(parts)))
    sums: dict[tuple[str, str], tuple[npt.NDArray[np.int64], Floats]] = {}
    for (one, other), rows in by_query.sort("rater", "rater_2", "query").group_by("rater", "rater_2"):
        columns = rows.select(str(at) for at in range(len(parts))).to_numpy()
        sums[str(one), str(other)] = rows["query"].cast(pl.Int64).to_numpy(), columns
    sums = dict(sorted(sums.items()))
    asked = pairs["query"].unique().sort().cast(pl.Int64).to_numpy()
    low = high = float("nan")
    if len(asked) > 1:
        rng, drawn = np.random.default_rng(0), []
        for _ in range(0, _RESAMPLES, _AT_ONCE):
            weights = np.zeros((_AT_ONCE, len(texts)))
            weights[:, asked] = rng.multinomial(len(asked), np.full(len(asked), 1 / len(asked)), size=_AT_ONCE)
            drawn.append(_mean_kappa([weights[:, query] @ columns for query, columns in sums.values()]))
        low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    totals = {names: columns.sum(axis=0) for names, (_, columns) in sums.items()}
    return Agreement(
        kappa=float(_mean_kappa(list(totals.values()))),
        low=float(low),
        high=float(high),
        by_pair={names: float(_kappa(total)) for names, total in totals.items()},
        n_raters=raters["rater"].n_unique(),
        n_queries=len(asked),
        n_items=pairs.select(pl.struct("query", "item").n_unique()).item(),
    )


def _mean_kappa(pairs: Sequence[Floats]) -> Floats:
    """The mean of the kappas of some pairs, each counting by its items."""
    whole = np.sum([sums[..., 0] for sums in pairs], axis=0)
    summed: Floats = np.sum([sums[..., 0] * _kappa(sums) for sums in pairs], axis=0)
    mean: Floats = summed / np.maximum(whole, 1)
    return mean


def _kappa(sums: Floats) -> Floats:
    """Kappa from (n, Σx, Σy, Σx², Σy², Σxy) along the last axis; 1 where all grades of both are one and the same."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1)
    x, y, xx, yy, xy = x / n, y / n, xx / n, yy / n, xy / n
    apart = xx - 2 * xy + yy  # what is seen of the squared distance
    by_chance = xx + yy - 2 * x * y
    return np.where(by_chance > 1e-12, 1 - apart / np.where(by_chance > 1e-12, by_chance, 1), 1.0)


def ndcg_of_grades(grades: Floats, gains: Floats, lists: npt.NDArray[np.integer], n_lists: int, k: int = K) -> Floats:
    """NDCG at ``k`` of items ordered by ``grades``, the mean over all orders of equal ones.

    Parameters
    ----------
    grades, gains : float64 of shape (n_rows,)
        What they are ordered by, and what they are worth.
    lists : int of shape (n_rows,)
        Which list each belongs to.
    n_lists : int
    k : int

    Returns
    -------
    float64 of shape (n_lists,)
        NaN where nothing is worth anything.

    Examples
    --------
    >>> one = np.zeros(2, dtype=int)
    >>> both = ndcg_of_grades(np.array([1.0, 1.0]), np.array([1.0, 0.0]), one, 1)
    >>> bool(np.isclose(both[0], (1 + 1 / np.log2(3)) / 2))
    True
    """

    def discounts(by: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        order = np.lexsort((-by, lists))
        starts = np.searchsorted(lists[order], np.arange(n_lists))
        place = np.arange(len(order)) - starts[lists[order]]
        return order, np.where(place < k, 1 / np.log2(place + 2.0), 0.0)

    order, discount = discounts(grades)
    # Items that tie share the places that they take together.
    first = np.ones(len(order), dtype=bool)
    first[1:] = (lists[order][1:] != lists[order][:-1]) | (grades[order][1:] != grades[order][:-1])
    tie = np.cumsum(first) - 1
    shared = np.bincount(tie, discount) / np.bincount(tie) if len(order) else discount
    achieved = np.bincount(lists[order], gains[order] * shared[tie], n_lists)
    order, discount = discounts(gains)
    best = np.bincount(lists[order], gains[order] * discount, n_lists)
    return np.where(best > 0, achieved / np.where(best > 0, best, 1), np.nan)


def ceiling(beside: Table) -> str:
    """What a :func:`rater_table` says of how much there is to gain, in a sentence."""
    metric = beside.metrics[0]
    means = {row.system: f"{row.values[metric].mean:.3f}" for row in beside.rows}
    told = f"the ceiling: judged by the other raters, {ONE_RATER} comes to {metric} {means[ONE_RATER]}"
    if ENGINE not in means:
        return told
    return (
        f"{told}, {means[f'{ONE_RATER}, {_TIED}']} with equal grades in {ENGINE}’s order; "
        f"{ENGINE} on the same grades to {means[ENGINE]} (last table)"
    )


def rater_table(
    title: str, raters: pl.DataFrame, judged: Replay, items: Items, systems: Mapping[str, Sequence[ItemList]]
) -> Table | None:
    """A rater beside the systems, all judged by the other raters.

    Every rater in turn is left out, and orders the items of a query that somebody else graded
    too. What is right is the mean of the others' grades. The systems' lists of the judged pool are
    judged by the same, on the same items. A query counts with the mean over the raters left out.

    Parameters
    ----------
    title : str
    raters : DataFrame
        Columns query, item, rater and grade.
    judged : Replay
        The graded queries.
    items : Items
    systems : mapping of str to sequence of ItemList
        Lists of each query's whole judged pool; several repetitions each.

    Returns
    -------
    Table or None
        None where no query can be judged so: fewer than two raters, or nothing that others find right.
    """
    cells = _left_out(raters, judged, items)
    if not len(cells.query):
        return None
    query, n = cells.query, len(judged.requests)
    values = ndcg_of_grades(cells.own, cells.others, cells.row, len(query))
    kept = ~np.isnan(values)
    if not kept.any():
        return None
    weight = np.bincount(query[kept], minlength=n)
    asked = np.flatnonzero(weight)

    def of_query(value: Floats) -> Scores:
        mean = np.bincount(query[kept], value[kept], n)[asked] / weight[asked]
        return Scores({f"ndcg@{K}": mean}, asked.astype(np.int64), n - len(asked))

    scores = {}
    for name, lists in systems.items():
        found = np.zeros(len(query))
        for one in lists:
            score = measure(_restricted(one, cells), cells.truth, K, ["ndcg"])
            found[score.requests] += score.values[f"ndcg@{K}"] / len(lists)
        scores[name] = of_query(found)
    scores[ONE_RATER] = of_query(values)
    told = [
        "right is the mean grade of the other raters, of what they and the one left out both graded",
        f"{ONE_RATER}: by each rater’s own grades, the mean over raters and over all orders of equal grades",
    ]
    if ENGINE in systems:
        # A scale of few grades leaves most of the order open: there a system may pass a person.
        ordered = [_tied_as(_restricted(one, cells), cells) for one in systems[ENGINE]]
        scores[f"{ONE_RATER}, {_TIED}"] = of_query(
            np.mean([ndcg_of_grades(by, cells.others, cells.row, len(query)) for by in ordered], axis=0)
        )
        told.append(f"{_TIED}: a rater’s equal grades in {ENGINE}’s order: what one person’s grades would add to it")
    table = compare(title, scores, None, ENGINE if ENGINE in scores else "")
    return replace(table, notes=tuple(told))


class _Cells(NamedTuple):
    """(query, rater left out) pairs, and their rows: the items that this rater and others graded."""

    query: npt.NDArray[np.int64]  # of each cell: which request
    row: npt.NDArray[np.int64]  # of each row: which cell
    item: npt.NDArray[np.int32]
    own: Floats
    others: Floats

    @property
    def truth(self) -> Truth:
        offsets = np.concatenate([[0], np.cumsum(np.bincount(self.row, minlength=len(self.query)))])
        return Truth(offsets.astype(np.int64), self.item, self.others)


def _left_out(raters: pl.DataFrame, judged: Replay, items: Items) -> _Cells:
    texts = [query.text for query in judged.requests.queries]
    asked = pl.DataFrame({"query": texts, "request": np.arange(len(texts))})
    pool = pl.DataFrame({"request": judged.truth.row, "code": judged.truth.item})
    rows = raters.with_columns(code=pl.Series(items.positions(raters["item"].to_list()), dtype=pl.Int32))
    rows = rows.join(asked, on="query").join(pool, on=["request", "code"], how="semi")
    n, whole = pl.len().over("request", "code"), pl.col("grade").sum().over("request", "code")
    rows = rows.filter(n > 1).with_columns(others=(whole - pl.col("grade")) / (n - 1))
    rows = rows.filter(pl.len().over("request", "rater") > 1).sort("request", "rater", "code")
    cell = (rows.select(pl.struct("request", "rater").rank("dense")).to_series().cast(pl.Int64) - 1).to_numpy()
    query = np.zeros(int(cell.max(initial=-1)) + 1, dtype=np.int64)
    query[cell] = rows["request"].to_numpy()
    return _Cells(query, cell, rows["code"].to_numpy(), rows["grade"].to_numpy(), rows["others"].to_numpy())


def _restricted(lists: ItemList, cells: _Cells) -> ItemList:
    """For every cell the list of its query, of which only the cell's items stay."""
    sizes = lists.sizes[cells.query]
    starts = np.cumsum(sizes) - sizes
    cell = np.repeat(np.arange(len(sizes)), sizes)
    item = lists.item[np.repeat(lists.offsets[cells.query] - starts, sizes) + np.arange(len(cell))]
    span = int(max(item.max(initial=0), cells.item.max(initial=0))) + 1
    kept = np.isin(cell * span + item, cells.row * span + cells.item)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(cell[kept], minlength=len(sizes)))])
    return ItemList(offsets.astype(np.int64), item[kept])


def _tied_as(lists: ItemList, cells: _Cells) -> Floats:
    """A number for each row that falls in the order of the rater's grades, and of equal ones in that of the lists."""
    span = int(max(lists.item.max(initial=0), cells.item.max(initial=0))) + 1
    place = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes)
    keys = lists.row.astype(np.int64) * span + lists.item
    order = np.argsort(keys)
    wanted = cells.row * span + cells.item
    found = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    listed = keys[order][found] == wanted if len(keys) else np.zeros(len(wanted), dtype=bool)
    last = int(place.max(initial=0)) + 1
    at = np.where(listed, place[order][found] if len(keys) else 0, last)
    by: Floats = np.empty(len(wanted))
    by[np.lexsort((at, -cells.own, cells.row))] = -np.arange(len(wanted), dtype=np.float64)
    return by
