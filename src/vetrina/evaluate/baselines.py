"""What a new engine must beat: popularity, the shopper's own habits, item-kNN, ALS and BM25, done well.

Each learns once (``fit``) and then ranks requests whose windows fill as time
passes. Every one breaks ties, and fills lists that it cannot fill itself, by
popularity at the time of the request; without this, item-kNN and a shopper's
own habits would lose to popularity on newcomers for no good reason.

Sources: A. Anderson et al., The Dynamics of Repeat Consumption (WWW 2014), and
H. Hu et al., Modeling Personalized Item Frequency Information for Next-basket
Recommendation (SIGIR 2020), for own frequency; B. Sarwar et al. (WWW 2001) for
item-kNN; Y. Hu, Y. Koren and C. Volinsky (ICDM 2008) for ALS; M. Ferrari
Dacrema et al., Are We Really Making Much Progress? (RecSys 2019), for why
baselines are tuned. Item-kNN and ALS are those of the library implicit.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import numpy as np
import numpy.typing as npt
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import (
    BM25Recommender,
    CosineRecommender,
    TFIDFRecommender,
)
from implicit.utils import ParameterWarning
from pydantic import Field
from scipy import sparse
from threadpoolctl import threadpool_limits

from vetrina.core import (
    DAY,
    HAD,
    Choice,
    Config,
    EventLog,
    ItemList,
    Items,
    Real,
    Requests,
    Space,
    Whole,
    create,
)
from vetrina.core.counts import CumulativeCounts
from vetrina.core.errors import ConfigError, NotFitted
from vetrina.engine.replay import Gains

__all__ = ["ALS", "BM25", "Allowed", "Baseline", "ItemKNN", "OwnFrequency", "Popularity"]

Floats = npt.NDArray[np.float64]
Allowed = npt.NDArray[np.bool_] | None

_CELLS = 4_000_000  # of a dense (requests, items) block; bounds the memory
_TIE = 1e-6  # popularity's say, relative to the request's best score

_HALF_LIVES = Choice(None, 365, 180, 90, 60, 30, 14)
_DAYS = Choice(None, 60, 30, 14, 7, 3)


class PopularityConfig(Config):
    """How popularity is counted."""

    days: float | None = Field(
        default=None, gt=0, description="Only the last days before the request; all when absent."
    )


class Baseline:
    """Base of the baselines: chunking, exclusion, ties and the fallback.

    Parameters
    ----------
    gains : Gains, optional
        Which events count, and how much; the largest counts 1.
    **options
        Of the class's ``config_type``.

    Raises
    ------
    ConfigError
        When an option is unknown or out of range.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[Config]] = PopularityConfig
    #: What :func:`vetrina.evaluate.tune` may try, as wide as each option is of use.
    space: ClassVar[Space] = {}
    #: Points that it tries first, after the defaults: for recommendations what was best on the validation
    #: month of Online Retail (the days before its test) in earlier searches of up to 150 points; for BM25
    #: one field more or less than all alike.
    starts: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(self, gains: Gains | None = None, **options: Any) -> None:
        self.gains = gains or Gains()
        self.config: Any = self.config_type.parse(options, self.name)

    def fit(self, items: Items, log: EventLog) -> Self:
        """Learn from the catalogue and the training log, which is also observed."""
        self.items_ = items
        self.observe(log)
        self.learn(items, log)
        return self

    def observe(self, log: EventLog) -> Self:
        """Give the log whose popularity may be read as time passes: only days before a request's own are read."""
        weight = self.weigh(log.kind, log.rating)
        rows = np.flatnonzero((weight > 0) & (log.item >= 0))
        self.counts_ = CumulativeCounts.count(log.item[rows], log.time[rows], weight[rows])
        return self

    def learn(self, items: Items, log: EventLog) -> None:
        """What a baseline learns besides popularity."""

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        """Scores of all items: float64 of shape (batch, n_items); -inf where an item is no result, 0 where unknown."""
        raise NotImplementedError

    def weigh(self, kind: npt.NDArray[np.integer], rating: npt.NDArray[np.floating]) -> Floats:
        """How much each event counts, in [0, 1]."""
        largest = max(self.gains.model_dump(exclude={"rating_from"}).values())
        return self.gains.of(kind, rating) / (largest or 1.0)

    def popularity(self, now: npt.NDArray[np.int64], days: float | None) -> Floats:
        """Weighted events on every item over the whole days before ``now``: float64 of shape (len(now), n_items)."""
        item = np.arange(len(self.items_))[None, :]
        if days is None:
            return self.counts_.until(item, now[:, None]).astype(np.float64)
        return self.counts_.within(item, now[:, None], days).astype(np.float64)

    def rank(self, requests: Requests, k: int, allowed: Allowed = None) -> ItemList:
        """Rank the catalogue for every request.

        Parameters
        ----------
        requests : Requests
            What a query excludes is left out: items by name, and what the window's shopper bought or rated.
        k : int
            Length of the lists, at least 1; shorter only where fewer items are allowed.
        allowed : bool of shape (batch, n_items), optional

        Returns
        -------
        ItemList
            With column ``score``: float32, relative to the request's best (which has about 1).

        Raises
        ------
        NotFitted
            Before :meth:`fit`.
        ConfigError
            When ``k`` is below 1.
        """
        if not hasattr(self, "items_"):
            raise NotFitted(f"Baseline {self.name!r} has learned nothing yet: call fit() before rank().")
        if k < 1:
            raise ConfigError(f"k: the length of a list is 1 or more. Got {k}.")
        width = min(k, len(self.items_))
        parts = [self._rank_block(block, width, inside) for block, inside in self._blocks(requests, allowed)]
        sizes = np.concatenate([np.empty(0, dtype=np.int64), *(part[0] for part in parts)])
        return ItemList(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([np.empty(0, dtype=np.int32), *(part[1] for part in parts)]),
            {"score": np.concatenate([np.empty(0, dtype=np.float32), *(part[2] for part in parts)])},
        )

    def _blocks(self, requests: Requests, allowed: Allowed) -> Iterator[tuple[Requests, Allowed]]:
        step = max(1, _CELLS // max(len(self.items_), 1))
        for start in range(0, len(requests), step):
            block = requests.slice(start, min(start + step, len(requests)))
            inside = None if allowed is None else allowed[start : start + step]
            yield block, _without_excluded(block, inside, len(self.items_))

    def _rank_block(
        self, requests: Requests, width: int, allowed: Allowed
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        scores = self.score(requests, width, allowed)
        best = scores.max(axis=1, initial=0.0, keepdims=True)
        scores /= np.where(best > 0, best, 1.0)
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        scores += _TIE * _places(self.popularity(days * DAY, self._fallback_days()))[day]
        if allowed is not None:
            scores[~allowed] = -np.inf
        part = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1)
        item = np.take_along_axis(part, order, axis=1).astype(np.int32)
        score = np.take_along_axis(scores, item, axis=1)
        found = np.isfinite(score)
        return found.sum(axis=1), item[found], score[found].astype(np.float32)

    def _fallback_days(self) -> float | None:
        return cast("float | None", getattr(self.config, "days", None))

    def _window_weights(self, requests: Requests, half_life_days: float | None) -> sparse.csr_array:
        """Weighted events of each window by item: sparse, float32, shape (batch, n_items)."""
        windows = requests.windows
        weight = self.weigh(windows.kind, windows.rating)
        if half_life_days is not None:
            weight = weight * np.exp2(-requests.age / half_life_days)
        matrix = windows.weighted(weight, len(self.items_))
        matrix.eliminate_zeros()
        return matrix

    def _shopper_items(self, log: EventLog, n_items: int, power: float) -> sparse.csr_matrix:
        """Weighted events of each shopper who has any by item, to the ``power``: sparse, float32, (n, n_items)."""
        weight = self.weigh(log.kind, log.rating)
        rows = np.flatnonzero((weight > 0) & (log.item >= 0) & (log.shopper >= 0))
        matrix = sparse.csr_matrix(
            (weight[rows].astype(np.float32), (log.shopper[rows], log.item[rows])), shape=(len(log.shoppers), n_items)
        )
        matrix.sum_duplicates()
        matrix.data **= power
        # Shoppers who come later are in the code book, but must not count: not in an idf, nor in a first draw.
        return matrix[np.diff(matrix.indptr) > 0]


def _places(popularity: Floats) -> Floats:
    """Popularity as a place in (0, 1], 1 the most popular; of equals the lower item index is higher."""
    n_days, n_items = popularity.shape
    order = np.argsort(-popularity, axis=1, kind="stable")
    places = np.empty_like(popularity)
    np.put_along_axis(places, order, np.broadcast_to(1 - np.arange(n_items) / n_items, (n_days, n_items)), axis=1)
    return places


def _without_excluded(requests: Requests, allowed: Allowed, n_items: int) -> Allowed:
    """``allowed`` less what the query leaves out: items by name, and what the window's shopper bought or rated."""
    asks = np.fromiter((query.exclude_purchased for query in requests.queries), dtype=bool, count=len(requests))
    named = [row for row, query in enumerate(requests.queries) if query.exclude]
    if not asks.any() and not named:
        return allowed
    windows = requests.windows
    bought = np.isin(windows.kind, HAD) & asks[windows.row]
    inside = np.ones((len(requests), n_items), dtype=bool) if allowed is None else allowed.copy()
    inside[windows.row[bought], windows.item[bought]] = False
    for row in named:
        inside[row, list(requests.queries[row].exclude)] = False
    return inside


class Popularity(Baseline):
    """The same list for everybody: what was chosen most until the day of the request.

    Parameters
    ----------
    days : float, optional
        Count only so many days before the request; ties are broken by all-time popularity.

    Examples
    --------
    ::

        popular = Popularity(days=14).fit(items, train).observe(log)
        lists = popular.rank(requests, k=10)
    """

    name = "popularity"
    space = {"days": Choice(None, 60, 30, 14, 7, 3, 1)}

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        days, day = np.unique(requests.now // DAY, return_inverse=True)
        return self.popularity(days * DAY, self.config.days)[day]

    def _fallback_days(self) -> float | None:
        return None


class OwnFrequencyConfig(PopularityConfig):
    """How the shopper's own events are counted; ``days`` is of the popularity that breaks ties."""

    half_life_days: float | None = Field(default=None, gt=0, description="Age at which an event counts half.")


class OwnFrequency(Baseline):
    """What the shopper chose most often before, as far as the window reaches.

    Parameters
    ----------
    half_life_days : float, optional
        Age at which an event counts half; all count alike when absent.
    days : float, optional
        Of the popularity that breaks ties and fills.
    """

    name = "own frequency"
    config_type = OwnFrequencyConfig
    space = {"half_life_days": _HALF_LIVES, "days": _DAYS}
    starts = ({"days": 30}, {"days": 7}, {"half_life_days": 180, "days": 14})

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        return self._window_weights(requests, self.config.half_life_days).toarray().astype(np.float64)


class ItemKNNConfig(PopularityConfig):
    """How alike items are, and how the window asks."""

    similarity: Literal["cosine", "tfidf", "bm25"] = "bm25"
    neighbours: int = Field(default=100, ge=1, description="Neighbours kept of each item, itself among them.")
    k1: float = Field(default=1.2, gt=0, description="Of BM25: how soon repetition stops counting.")
    b: float = Field(default=0.75, ge=0, le=1, description="Of BM25: how much an item's popularity is held against it.")
    power: float = Field(default=1.0, ge=0, le=1, description="Counts are taken to this power; 0 is bought or not.")
    half_life_days: float | None = Field(default=None, gt=0, description="Age at which an event counts half.")


class ItemKNN(Baseline):
    """Items that were chosen by the same people as those of the window.

    The score of an item is the sum, over the window's items, of their weight
    times their similarity.
    """

    name = "item-kNN"
    config_type = ItemKNNConfig
    space = {
        "similarity": Choice("bm25", "cosine", "tfidf"),
        "neighbours": Whole(5, 1000, log=True),
        "k1": Real(0.2, 20, log=True),
        "b": Real(0, 1),
        "half_life_days": _HALF_LIVES,
        "days": _DAYS,
    }
    starts = (
        {"neighbours": 500, "half_life_days": 60, "days": 7},
        {"neighbours": 10, "b": 0.5, "half_life_days": 60, "days": 30},
    )

    def learn(self, items: Items, log: EventLog) -> None:
        options = self.config
        matrix = self._shopper_items(log, len(items), options.power)
        if not matrix.nnz:
            self.similarity_ = sparse.csr_matrix((len(items), len(items)), dtype=np.float64)
            return
        if options.similarity == "bm25":
            model = BM25Recommender(K=options.neighbours, K1=options.k1, B=options.b)
        else:
            model = (CosineRecommender if options.similarity == "cosine" else TFIDFRecommender)(K=options.neighbours)
        # An item that only a shopper of everything chose has a weight of 0, and is like nothing.
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            # implicit hands a COO matrix to itself, and warns of it.
            warnings.simplefilter("ignore", ParameterWarning)
            model.fit(matrix, show_progress=False)
        self.similarity_ = sparse.csr_matrix(model.similarity)
        self.similarity_.data = np.nan_to_num(self.similarity_.data)

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        asked = self._window_weights(requests, self.config.half_life_days)
        asked.data **= self.config.power
        scores: Floats = np.asarray((asked @ self.similarity_).toarray(), dtype=np.float64)
        return scores


class ALSConfig(PopularityConfig):
    """Of the factorisation, and how the window asks."""

    factors: int = Field(default=64, ge=1)
    regularisation: float = Field(default=0.1, ge=0)
    alpha: float = Field(default=1.0, gt=0, description="Confidence of one event.")
    iterations: int = Field(default=15, ge=1)
    power: float = Field(default=1.0, ge=0, le=1, description="Counts are taken to this power; 0 is bought or not.")
    half_life_days: float | None = Field(default=None, gt=0, description="Age at which an event counts half.")
    seed: int = 0


class ALS(Baseline):
    """Implicit-feedback matrix factorisation; a shopper's factors are worked out anew from each window."""

    name = "ALS"
    config_type = ALSConfig
    space = {
        "factors": Whole(16, 256, log=True),
        "regularisation": Real(0.01, 100, log=True),
        "alpha": Real(0.5, 20, log=True),
        "iterations": Whole(5, 30),
        "half_life_days": _HALF_LIVES,
        "days": _DAYS,
    }
    starts = (
        {"factors": 256, "regularisation": 20, "alpha": 2, "half_life_days": 60, "days": 7},
        {"factors": 64, "regularisation": 20, "alpha": 2, "half_life_days": 60, "days": 7},
        {"factors": 64, "regularisation": 0.1, "alpha": 2, "half_life_days": 60, "days": 7},
        {"factors": 256, "regularisation": 0.1, "alpha": 2, "half_life_days": 60, "days": 7},
    )

    def learn(self, items: Items, log: EventLog) -> None:
        options = self.config
        # implicit has threads of its own, and warns when BLAS has too.
        with threadpool_limits(1, "blas"):
            self.model_ = AlternatingLeastSquares(
                factors=options.factors,
                regularization=options.regularisation,
                alpha=options.alpha,
                iterations=options.iterations,
                random_state=options.seed,
            )
            self.model_.fit(self._shopper_items(log, len(items), options.power), show_progress=False)

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        asked = sparse.csr_matrix(self._window_weights(requests, self.config.half_life_days))
        asked.data **= self.config.power
        with threadpool_limits(1, "blas"):
            factors = self.model_.recalculate_user(np.arange(len(requests)), asked)
        scores: Floats = (factors @ self.model_.item_factors.T).astype(np.float64)
        return scores


class _Retriever(Protocol):
    config: Any

    def fit(self, items: Items, log: EventLog) -> object: ...
    def retrieve(
        self, requests: Requests, k: int, allowed: Allowed
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]: ...
    def weighted(self, **weights: float) -> _Retriever: ...


class BM25(Baseline):
    """The words of the query against those of the product, the same for everybody.

    A list has only items that match; a request without words gets what is popular.

    Parameters
    ----------
    **options
        Of the registered retriever ``lexical``, such as the weights of the fields.
    """

    name = "BM25"
    config_type = Config
    space = {
        "title": Real(0.3, 5, log=True),
        "description": Real(0, 2),
        "attributes": Real(0, 2),
    }
    starts = ({"attributes": 0}, {"title": 2}, {"description": 0.7})

    def __init__(self, gains: Gains | None = None, **options: Any) -> None:
        super().__init__(gains)
        self.retriever_ = cast(_Retriever, create("retriever", "lexical", options))
        self.config = self.retriever_.config

    def learn(self, items: Items, log: EventLog) -> None:
        self.retriever_.fit(items, log)

    def weighted(self, **weights: float) -> BM25:
        """The same index, once fitted, searched with other weights of the fields: trying many is quick."""
        other = copy(self)
        other.retriever_ = self.retriever_.weighted(**weights)
        other.config = other.retriever_.config
        return other

    def score(self, requests: Requests, k: int, allowed: Allowed) -> Floats:
        ids, values = self.retriever_.retrieve(requests, k, allowed)
        worded = np.fromiter((query.text.strip() != "" for query in requests.queries), dtype=bool, count=len(requests))
        scores = np.where(worded, -np.inf, 0.0)[:, None] * np.ones(len(self.items_))
        row, place = np.nonzero(ids >= 0)
        scores[row, ids[row, place]] = values[row, place]
        return scores
