"""The engine: fitted stages, and the one path from a batch of requests to ranked lists.

Live serving, evaluation and the making of training rows all call
:meth:`Engine.rank`; a single request is a batch of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, EventLog, ItemList, Items, Query, Requests
from vetrina.encode.base import Encoder, unit_rows
from vetrina.engine.gate import Gate, nobody
from vetrina.policy import PolicyConfig, allowed_items, finish
from vetrina.rank import Asked, FeatureFamily, MatchScore, Ranker, TrainingRows
from vetrina.retrieve.base import Retriever
from vetrina.retrieve.merge import add_scores, merge
from vetrina.vectors import Fuser

__all__ = ["Engine", "Gathered", "Part", "Ranked"]

Floats = npt.NDArray[np.float32]
Part = TypeVar("Part", Retriever, FeatureFamily)
Said = TypeVar("Said", str, bytes)

#: Weights of what makes an item like what is shown, and as the words beside it ask.
_LIKENESS = {"like_fused": 1.0, "like_attributes": 0.5, "coverage": 0.7, "window_fused": 0.1}

# So many items that look like a query's photo say what it cannot.
_NEIGHBOURS = 10

# Requests worked on at once: bounds memory to about this many times the catalogue.
_CHUNK = 256


class Gathered(NamedTuple):
    """What is ready to be ordered: requests, their candidates, and the features of every row."""

    requests: Requests
    lists: ItemList
    features: Floats


@dataclass
class Ranked:
    """Lists in order, with the features of every row, for explaining."""

    lists: ItemList
    features: Floats


@dataclass
class Engine:
    """Everything that was fitted, by name and in order.

    Attributes
    ----------
    items : Items
        The catalogue with its vectors.
    encoders : mapping of modality to Encoder
        For encoding queries.
    sources : mapping of name to Retriever
    k : mapping of source name to int
        How many candidates each may bring.
    features : sequence of FeatureFamily
    ranker : Ranker
    policy : PolicyConfig
    fuser : Fuser, optional
        What made the items' fused vectors; makes those of queries.
    gate : Gate, optional
        How far what is known of the shopper may change the order of a search; as far as the ranker likes when absent.
    """

    items: Items
    encoders: Mapping[str, Encoder]
    sources: Mapping[str, Retriever]
    k: Mapping[str, int]
    features: Sequence[FeatureFamily]
    ranker: Ranker
    policy: PolicyConfig
    fuser: Fuser | None = None
    gate: Gate | None = None

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in the order of their columns."""
        return [name for family in self.features for name in family.names_]

    @property
    def reasons(self) -> list[str]:
        """For each column of :meth:`contributions`, the group under which it is explained."""
        return [*(family.reason for family in self.features for _ in family.names_), *self.ranker.groups, "common"]

    def encode_queries(self, requests: Requests) -> Requests:
        """The requests with what their words and photos mean in every modality, as far as encoders tell."""
        queries = requests.queries
        if requests.query_vectors or requests.examples:
            return requests  # encoded already
        spoken: dict[str, Floats] = {}
        if any(query.text for query in queries):
            texts = [query.text for query in queries]
            for name, encoder in self.encoders.items():
                found = _distinct(texts, encoder.transform_words)
                if found is not None:
                    spoken[name] = found
        asked = replace(requests, query_vectors=spoken)
        return replace(asked, examples=self._examples(asked)) if any(query.by_example for query in queries) else asked

    def _examples(self, requests: Requests) -> dict[str, Floats]:
        """What is shown by each query, changed by its words: by modality, (batch, dim), zero where nothing is shown."""
        examples: dict[str, Floats] = {}
        for name, vectors in self.items.vectors.items():
            shown = requests.shown(name, vectors)
            examples[name] = np.zeros((len(requests), vectors.shape[1]), np.float32) if shown is None else shown
        changed = np.array([bool(query.photo) for query in requests.queries])
        if changed.any():
            self._see(requests, examples)
        for name, words in requests.query_vectors.items():
            if name in examples:
                both = np.any(examples[name] != 0, axis=1) & np.any(words != 0, axis=1)
                examples[name][both] = self.encoders[name].compose(examples[name][both], words[both])
                changed |= both
        if "fused" in examples and self.fuser is not None and changed.any():
            parts = {name: shown[changed] for name, shown in examples.items() if name != "fused"}
            examples["fused"][changed] = self.fuser.transform(parts)
        return examples

    def _see(self, requests: Requests, examples: dict[str, Floats]) -> None:
        """Write what the photos show into ``examples``.

        What a photo cannot tell, such as what the product is called, is guessed: the mean of the
        items that look most like it, those that look more like it counting more.
        """
        photos = [query.photo for query in requests.queries]
        unseen = set(examples)
        for name, encoder in self.encoders.items():
            seen = _distinct(photos, encoder.transform_photos) if name in examples else None
            if seen is not None:
                examples[name] = np.where(np.any(seen != 0, axis=1, keepdims=True), seen, examples[name])
                unseen.discard(name)
        source, shows = self.sources.get("photo_vector"), np.array([bool(photo) for photo in photos])
        if source is None or "photo" not in examples:
            return
        asked = replace(requests, queries=[Query(photo=photo) for photo in photos], examples=examples)
        nearest, cosine = source.retrieve(asked, _NEIGHBOURS, None)
        weight = np.where((nearest >= 0) & shows[:, None], np.maximum(cosine, 0) ** 2, 0)
        for name in unseen:
            guessed = np.einsum("bk,bkd->bd", weight, self.items.vectors[name][np.maximum(nearest, 0)])
            examples[name] = np.where(shows[:, None], unit_rows(guessed), examples[name])

    def candidates(self, requests: Requests) -> ItemList:
        """What the sources find among what the shop allows."""
        return merge(self.sources, requests, self.k, allowed_items(self.items, requests, self.policy))

    def compute_features(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp] | None = None) -> Floats:
        """All families' features side by side, of all rows or of some, ascending: float32, (n_rows, n_features)."""
        if rows is None:
            return np.concatenate([family.compute(requests, lists) for family in self.features], axis=1)
        return np.concatenate([family.compute_some(requests, lists, rows) for family in self.features], axis=1)

    @cached_property
    def likeness(self) -> Ranker:
        """What orders items like a photo or another item: likeness, words beside it, a little of the shopper's taste.

        The log teaches the ranker what people choose, which for want of anything like it would be
        what is popular; who asks for similar products asks for similar products.
        """
        return MatchScore(weights=_LIKENESS).fit(TrainingRows.none(self.feature_names))

    def score(self, requests: Requests, lists: ItemList, features: Floats) -> Floats:
        """Score of every row by the ranker that is for its request: float32 of shape (n_rows,)."""
        asked = Asked(requests, lists, self.items)
        like = self._asks_like(requests, lists)
        scores = self._gated(self.ranker.score, asked, features)
        if not like.any():
            return scores
        # By a ranker each: what reads the windows needs whole lists, so both are asked about all rows.
        return np.where(like, self.likeness.score(features, asked), scores)

    def contributions(self, requests: Requests, lists: ItemList, features: Floats) -> Floats:
        """Shares of :meth:`score`: of each feature, of each of the ranker's own groups, and what is common.

        float32 of shape (n_rows, n_features + n_groups + 1), in the order of :attr:`reasons`.
        """
        asked = Asked(requests, lists, self.items)
        like = self._asks_like(requests, lists)
        shares = self._gated(self.ranker.contributions, asked, features)
        if not like.any():
            return shares
        return np.where(like[:, None], self.likeness.contributions_under(self.ranker.groups, features, asked), shares)

    def _gated(self, ask: Callable[[Floats, Asked], Floats], asked: Asked, features: Floats) -> Floats:
        """What the ranker says of each row, as far as the gate lets it heed who asks."""
        said = ask(features, asked)
        if self.gate is None:
            return said
        opening = self.gate.opening(asked, features, self.feature_names, self.sources)[asked.lists.row]
        if (opening == 1).all():
            return said
        general = ask(self.gate.general(features), replace(asked, requests=nobody(asked.requests)))
        opening = opening.reshape(-1, *[1] * (said.ndim - 1))
        # Written so that what is wide open stays what it was, to the last bit.
        return np.where(opening == 1, said, general + opening * (said - general)).astype(np.float32)

    def _asks_like(self, requests: Requests, lists: ItemList) -> npt.NDArray[np.bool_]:
        """Rows whose request shows something to find similar items to, where items have vectors to compare."""
        like = np.array([query.by_example for query in requests.queries], dtype=bool)
        return like[lists.row] & ("fused" in self.items.vectors)

    def rank(self, requests: Requests, k: int, given: Sequence[npt.NDArray[np.int32]] | None = None) -> Ranked:
        """Rank for a batch of requests.

        Parameters
        ----------
        requests : Requests
        k : int
            Length of the lists; shorter where fewer items are allowed.
        given : sequence of int32 arrays, optional
            Another engine's lists to order anew; the sources are then only asked for their scores.
        """
        parts = [self.order(part, k) for part in self.gather(requests, given)]
        return parts[0] if len(parts) == 1 else _join(parts)

    def gather(self, requests: Requests, given: Sequence[npt.NDArray[np.int32]] | None = None) -> Iterator[Gathered]:
        """The first half of :meth:`rank`, some requests at a time: candidates and features, which no ranker changes."""
        for part, lists_given in _chunks(requests, given):
            asked = self.encode_queries(part)
            if lists_given is None:
                lists = self.candidates(asked)
            else:
                lists = ItemList.from_lists(list(lists_given))
                places = [np.arange(1, len(one) + 1, dtype=np.int32) for one in lists_given]
                lists.columns["given_position"] = np.concatenate([np.empty(0, dtype=np.int32), *places])
                add_scores(self.sources, asked, lists)
            yield Gathered(asked, lists, self.compute_features(asked, lists))

    def order(self, gathered: Gathered, k: int) -> Ranked:
        """The second half of :meth:`rank`: scores, and what the shop imposes."""
        requests, lists, features = gathered
        scores, rows = self.score(requests, lists, features), np.arange(len(lists.item))
        scored = replace(lists, columns={**lists.columns, "score": scores, "_row": rows})
        ordered = finish(scored, self.items, self.policy, k)
        return Ranked(ordered, features[ordered.columns.pop("_row")])

    def staged(self, requests: Requests, k: int) -> Iterator[tuple[int, ItemList]]:
        """(steps, lists as the ranker would have ordered them after so many steps of learning).

        Nothing, where the ranker does not learn in steps. Candidates and features are found once
        for all steps and held meanwhile, so ask for some hundreds of requests and not for all.
        """
        found: dict[int, list[Ranked]] = {}
        for part in self.gather(requests):
            for steps, scores in self.ranker.staged(part.features, Asked(part.requests, part.lists, self.items)):
                lists = replace(part.lists, columns={**part.lists.columns, "score": scores})
                found.setdefault(steps, []).append(Ranked(finish(lists, self.items, self.policy, k), part.features[:0]))
        yield from ((steps, _join(parts).lists) for steps, parts in found.items())

    @property
    def curves(self) -> dict[str, dict[str, list[tuple[float, float]]]]:
        """How learning went, by component and by name, for those that learn in steps."""
        named: dict[str, Component] = {f"{name} encoder, {one.name}": one for name, one in self.encoders.items()}
        named |= {f"fusion, {one.name}": one for one in [self.fuser] if one is not None}
        named |= {f"{name} source": one for name, one in self.sources.items()}
        named |= {f"{one.name} features": one for one in self.features}
        named[f"ranker, {self.ranker.name}"] = self.ranker
        return {
            told: {name: list(points) for name, points in one.curves_.items()}
            for told, one in named.items()
            if one.curves_
        }

    def observe(self, log: EventLog) -> Engine:
        """The same engine with its counts brought up to date by ``log``.

        Models stay as they are. Counts are read at each request's ``now``, so
        a log that reaches further shows a request nothing of its future.
        """
        sources = {n: _recount(source, self.items, log) for n, source in self.sources.items()}
        return replace(self, sources=sources, features=[_recount(f, self.items, log) for f in self.features])


def _distinct(asked: Sequence[Said], transform: Callable[[Sequence[Said]], Floats | None]) -> Floats | None:
    """Vectors of what is asked, each distinct one encoded once, zero where it is empty; None where nobody reads it."""
    distinct = sorted({one for one in asked if one})
    vectors = transform(distinct)
    if vectors is None:
        return None
    place = {one: number for number, one in enumerate(distinct)}
    rows = np.zeros((len(asked), vectors.shape[1]), dtype=np.float32)
    some = [number for number, one in enumerate(asked) if one]
    rows[some] = vectors[[place[asked[number]] for number in some]]
    return rows


def _recount(component: Part, items: Items, log: EventLog) -> Part:
    return type(component)(component.config).fit(items, log) if component.learns == "counts" else component


def _chunks(
    requests: Requests, given: Sequence[npt.NDArray[np.int32]] | None
) -> Iterator[tuple[Requests, Sequence[npt.NDArray[np.int32]] | None]]:
    for start in range(0, max(len(requests), 1), _CHUNK):
        stop = min(start + _CHUNK, len(requests))
        yield requests.slice(start, stop), given[start:stop] if given is not None else None


def _join(parts: list[Ranked]) -> Ranked:
    return Ranked(ItemList.join([part.lists for part in parts]), np.concatenate([part.features for part in parts]))
