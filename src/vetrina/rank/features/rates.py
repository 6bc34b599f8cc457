"""Features of how often what was shown is clicked, and what was looked at is bought: of item, category and query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import DAY, Config, EventKind, EventLog, ItemList, Items, Requests, register
from vetrina.core.counts import CumulativeCounts
from vetrina.core.queries import lists_of, normal_query, queries_of
from vetrina.rank.features.base import FeatureFamily
from vetrina.rank.features.smoothing import SmoothedRates

__all__ = ["Rates", "RatesConfig"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

#: What is tried, and what comes of it.
_RATES = {
    "ctr": ((EventKind.impression,), (EventKind.click,)),
    "cvr": ((EventKind.view, EventKind.click), (EventKind.purchase,)),
}
_LEVELS = ("category", "item", "query")
_CHOICES = (EventKind.view, EventKind.click, EventKind.cart, EventKind.purchase, EventKind.rate)
_COUNTS = ("every", "chosen", "asked", "pair")
# Codes of queries: nobody has asked it, or there are no words.
_NEVER_ASKED, _NO_WORDS = -1, -2


class RatesConfig(Config):
    """What is remembered of queries."""

    seen: int = Field(
        default=2,
        ge=1,
        description="A query, or its pair with an item, counts once it was met so often; rarer ones take no memory.",
    )
    smoothing: float = Field(
        default=20.0, gt=0, description="Choices' worth of the item's share of all choices in its share of a query's."
    )


@register("features", "rates")
class Rates(FeatureFamily):
    """CTR (clicks of impressions) and CVR (purchases of views and clicks), smoothed, of item, category and query.

    Each is the mean of a Beta posterior, (k + m r)/(n + m): k of n trials on the days before the request,
    and r the rate one level up, for a query's pair with the item that of the item, for the item that of its
    category, for the category that of the shop. So a new item starts with the rate of its category. The
    prior's worth m is estimated by moments (:class:`vetrina.rank.features.smoothing.SmoothedRates`), for each
    level and each day anew, from what was known by then. Nothing is known (NaN) where nothing was ever tried.

    ``ctr_in_category`` is ln(rate of the item / rate of its category). ``query_share`` is the share
    of the query's choices that fell on the item, (c + s p)/(C + s), with p the item's share of all choices
    and s the smoothing. A query is the set of its index terms. A list counts once for each item, however often
    it shows it. Nothing is corrected for the position at which an item was shown.

    Source: X. Wang, W. Li, Y. Cui, R. Zhang and J. Mao, Click-through rate estimation for rare events
    in online advertising (2011), for smoothing along a hierarchy.

    Examples
    --------
    >>> from vetrina.testing import small_shop
    >>> Rates().fit(*small_shop()).names_[:4]
    ['ctr', 'ctr_category', 'ctr_in_category', 'ctr_query']
    """

    learns = "counts"
    reason = "popularity"
    reads = ("query", "items", "counts", "now")
    by_itself = True
    config_type = RatesConfig
    names_ = [
        *(f"{rate}{suffix}" for rate in _RATES for suffix in ("", "_category", "_in_category", "_query")),
        "query_share",
    ]

    def fit(self, items: Items, log: EventLog) -> Self:
        category, least = items.codes("category")[0].astype(np.int64), self.config.seen
        words, query = queries_of(log)
        n_items = max(len(items), 1)
        kept = np.zeros(len(words), dtype=bool)
        self.rates_ = {}
        for rate, kinds in _RATES.items():
            rows = [_once(log, *one) for one in kinds]
            for level in _LEVELS:
                tried, came = (
                    (_key(level, log.item[one].astype(np.int64), category, query[one], n_items), log.time[one])
                    for one in rows
                )
                made = SmoothedRates.count(tried, came, least if level == "query" else 1)
                self.rates_[f"{rate}_{level}"] = made
                if level == "query":
                    kept[np.unique(made.tried.places // made.tried.n_days // n_items)] = True
        chosen = _once(log, *_CHOICES)
        item, asked, time = log.item[chosen].astype(np.int64), query[chosen], log.time[chosen]
        self.counts_ = {
            "every": CumulativeCounts.count(np.zeros_like(item), time),
            "chosen": CumulativeCounts.count(item, time),
            "asked": _met_enough(asked, time, least),
            "pair": _met_enough(np.where(asked < 0, -1, asked * n_items + item), time, least),
        }
        kept[np.unique(self.counts_["asked"].places // self.counts_["asked"].n_days)] = True
        # Codes stay what they are; only the words of queries of which nothing is kept are forgotten.
        self.queries_ = {words[code]: code for code in np.flatnonzero(kept).tolist()}
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("queries_")
        n_items = max(len(self.items_), 1)
        # Counts change by the day: a pair of item and query is looked up once for each day.
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        asked, code = np.unique(self._asked(requests), return_inverse=True)
        place = (day * max(len(asked), 1) + code)[lists.row] * n_items + lists.item
        places, back = np.unique(place, return_inverse=True)
        item, moment = places % n_items, places // n_items
        now, query = days[moment // max(len(asked), 1)] * DAY, asked[moment % max(len(asked), 1)]
        category = self.items_.codes("category")[0].astype(np.int64)
        worded, asked_before = query != _NO_WORDS, np.flatnonzero(query >= 0)
        columns: list[npt.NDArray[np.floating]] = []
        for rate in _RATES:
            above: npt.NDArray[np.float64] = self.rates_[f"{rate}_item"].overall(now)
            smoothed = {}
            for level in _LEVELS:
                rates = self.rates_[f"{rate}_{level}"]
                some, least = (asked_before, self.config.seen) if level == "query" else (slice(None), 1)
                key = _key(level, item[some], category, query[some], n_items)
                above = above.copy()
                above[some] = rates.rate(key, now[some], above[some], least)
                smoothed[level] = above
            columns += [smoothed["item"], smoothed["category"], np.log(smoothed["item"] / smoothed["category"])]
            columns.append(np.where(worded, smoothed["query"], np.nan))
        columns.append(np.where(worded, self._share(item, query, now), np.nan))
        return np.stack(columns, axis=1).astype(np.float32)[back]

    def _share(self, item: Ints, query: Ints, now: Ints) -> npt.NDArray[np.float64]:
        """The smoothed share of the query's choices that fell on the item; NaN where nothing was chosen yet."""
        n_items = max(len(self.items_), 1)
        every = self.counts_["every"].until(np.zeros_like(item), now).astype(np.float64)
        usual = np.where(every > 0, (self.counts_["chosen"].until(item, now) + 1) / (every + n_items), np.nan)
        pair = np.where(query < 0, -1, query * n_items + item)
        counts = self.counts_["pair"].until(pair, now), self.counts_["asked"].until(query, now)
        c, whole = (np.where(count >= self.config.seen, count, 0).astype(np.float64) for count in counts)
        share: npt.NDArray[np.float64] = (c + self.config.smoothing * usual) / (whole + self.config.smoothing)
        return share

    def _asked(self, requests: Requests) -> Ints:
        """The code of each request's words."""
        codes = {}
        for text in {query.text for query in requests.queries}:
            words = normal_query(text)
            codes[text] = self.queries_.get(words, _NEVER_ASKED) if words else _NO_WORDS
        return np.array([codes[query.text] for query in requests.queries], dtype=np.int64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        kept: dict[str, SmoothedRates | CumulativeCounts] = {**self.rates_, **self.counts_}
        return {f"{name}_{part}": value for name, one in kept.items() for part, value in one.arrays().items()}

    def bind(self, items: Items) -> Self:
        if not hasattr(self, "rates_"):
            self.rates_ = {
                f"{rate}_{level}": SmoothedRates(self._saved(f"{rate}_{level}", SmoothedRates.parts()))
                for rate in _RATES
                for level in _LEVELS
            }
            self.counts_ = {
                name: CumulativeCounts.from_arrays(self._saved(name, ("places", "totals", "days"))) for name in _COUNTS
            }
        return super().bind(items)

    def _saved(self, name: str, parts: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        return {part: getattr(self, f"{name}_{part}_") for part in parts}

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "queries.json").write_text(json.dumps(self.queries_, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        family = super().load(folder)
        family.queries_ = json.loads((folder / "queries.json").read_text(encoding="utf-8"))
        return family


def _key(level: str, item: Ints, category: npt.NDArray[np.int64], query: Ints, n_items: int) -> Ints:
    """What is counted at a level, as one number; below 0 for nothing."""
    if level == "category":
        return category[item]
    return item if level == "item" else np.where(query < 0, -1, query * n_items + item)


def _met_enough(key: Ints, time: Ints, least: int) -> CumulativeCounts:
    """Counts of the keys that are met so often in the end: one that is not never counts."""
    _, code = np.unique(key, return_inverse=True)
    kept = (np.bincount(code)[code] >= least) & (key >= 0) if len(key) else np.empty(0, dtype=bool)
    return CumulativeCounts.count(key[kept], time[kept])


def _once(log: EventLog, *kinds: EventKind) -> npt.NDArray[np.intp]:
    """Rows of these kinds that name an item: of what one list has on an item, the first."""
    rows = np.flatnonzero(np.isin(log.kind, [int(kind) for kind in kinds]) & (log.item >= 0))
    list_ = lists_of(log)[rows]
    inside = np.flatnonzero(list_ >= 0)
    _, code = np.unique(list_[inside], return_inverse=True)
    # Rows are in order of time, so what is found first came first.
    _, first = np.unique(code * (int(log.item.max(initial=0)) + 1) + log.item[rows[inside]], return_index=True)
    return np.sort(np.concatenate([rows[list_ < 0], rows[inside[first]]]))
