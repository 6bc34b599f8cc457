"""What a ranker learns from: the log, replayed through the engine as it would have been asked, as rows of features."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vetrina.core import DAY, EventLog, ItemList, Progress, Requests, Silent, Truth
from vetrina.engine.config import RankConfig, ShopConfig
from vetrina.engine.engine import Engine
from vetrina.engine.lessons import divided, lessons_of, some_never_met, spoken
from vetrina.engine.replay import Replay
from vetrina.engine.shown import examination_of, positions_of
from vetrina.engine.stages import refit
from vetrina.rank import Asked, Examination, TrainingRows
from vetrina.retrieve.merge import add_scores

__all__ = ["gains_of", "outcomes_of", "ranker_rows", "rows_of", "training_rows"]

Floats = npt.NDArray[np.float32]

# With fewer searches in the training days, some are made up: this many at most.
_ENOUGH_SEARCHES = 200
_SPOKEN = 1000
# Of a graded query no candidate is left out: queries are few, and most of what a search finds nobody judged.
_ALL = 1_000_000
# A request counts this at the least, however old: where all are, there would else be nothing to learn from.
_LEAST_WEIGHT = 1e-6
# Requests worked on at once, and scores of items held at once by all threads: they bound memory.
_CHUNK, _CELLS = 256, 64_000_000


class _Found(NamedTuple):
    """Some requests with their candidates: what each brings, and where it stood in the list shown, 0 if it did not."""

    requests: Requests
    lists: ItemList
    gain: Floats
    truth: Truth
    position: npt.NDArray[np.int32]


def ranker_rows(
    engine: Engine,
    log: EventLog,
    config: ShopConfig,
    judged: Replay | None = None,
    progress: Progress | None = None,
    examination: Examination | None = None,
) -> TrainingRows:
    """What :func:`learn_ranker` learns from: the replayed log and the graded queries, as rows of features.

    How far down lists are looked at is learned from the log, unless ``examination`` says it.
    """
    progress = progress or Silent()
    rows: list[TrainingRows] = []
    lessons = lessons_of(log, config)
    asked = [*(replay for lesson in lessons for replay in lesson.replays), *([judged] if judged else [])]
    # Where no feature heeds words, what is asked in words would be learned as if nothing had been asked.
    worded = "words" in config.rank.features
    if worded and lessons and lessons[0].replays and _searches(asked) < _ENOUGH_SEARCHES:
        told = lessons[0].replays[0]
        told = told.take(np.arange(max(len(told.requests) - _SPOKEN, 0), len(told.requests)))
        lessons[0].replays.append(spoken(told, engine.items, config.build.seed))
    total = sum(len(replay.requests) for lesson in lessons for replay in lesson.replays)
    met = log.first_met(len(engine.items))
    if lessons and config.rank.impressions == "debiased" and examination is None:
        since = lessons[-1].until
        with progress.step("Learning how far down shoppers look"):
            examination = examination_of(refit(engine, log, until=since), log, since, config.rank, config.build.seed)
    with progress.step("Replaying the log for training rows", total) as step:
        for lesson in lessons:
            known = some_never_met(lesson.log, len(engine.items), config.build.seed)
            past, unaware = (refit(engine, one, until=lesson.until) for one in (lesson.log, known))
            past, unaware = past if lesson.log is log else past.observe(lesson.log), unaware.observe(known)
            for replay in lesson.replays:
                for fitted, part in zip((past, unaware), divided(replay, known, config), strict=True):
                    made = training_rows(fitted, part, config.rank, config.build.seed, step.advance, met, examination)
                    rows += [_decayed(one, int(log.time[-1]), config.rank.half_life_days) for one in made]
    if judged is not None:
        rows += training_rows(engine, judged, config.rank.model_copy(update={"negatives": _ALL}), config.build.seed)
        rows += _judged_alone(engine, judged) if config.rank.graded == "lists" else []
    return TrainingRows.join(rows, engine.feature_names)


def rows_of(engine: Engine, replay: Replay, config: ShopConfig) -> TrainingRows:
    """Rows to learn an order from, of requests of which the engine's stages have seen nothing."""
    return TrainingRows.join(training_rows(engine, replay, config.rank, config.build.seed), engine.feature_names)


def training_rows(
    engine: Engine,
    replay: Replay,
    config: RankConfig,
    seed: int,
    advance: Callable[[int], None] | None = None,
    met: npt.NDArray[np.int64] | None = None,
    examination: Examination | None = None,
) -> list[TrainingRows]:
    """Candidates of every request with their features, the chosen ones marked, negatives sampled.

    Where the log tells what a request was shown, only that is kept: what was not shown could not be
    chosen, and to hold that against it would be to learn what the shop used to show. What was shown and
    not chosen counts by the chance that ``examination`` gives to its position of having been looked at.

    Chosen items that no source found are not added: among candidates that are all well
    found, an unlikely one would always be right, and the ranker would learn just that. With
    ``met``, when each item was first met in truth, candidates that nobody had met by then are left
    out: they were hardly shown to anybody, so not to have chosen them says nothing.
    """
    n_requests = len(replay.requests)

    def found(start: int) -> _Found:
        stop = min(start + _CHUNK, n_requests)
        part = replay.take(np.arange(start, stop))
        requests, truth, shown = engine.encode_queries(part.requests), part.truth, part.shown
        lists = engine.candidates(requests)
        position = np.zeros(len(lists.item), dtype=np.int32)
        if shown is not None and config.impressions != "ignored":
            position = positions_of(lists, shown, truth)
        if met is not None:
            there = np.flatnonzero((met[lists.item] < requests.now[lists.row]) | (position > 0))
            lists, position = lists.take(there), position[there]
        return _Found(requests, lists, gains_of(lists.row, lists.item, truth), truth, position)

    def featured(part: _Found, sample: tuple[npt.NDArray[np.intp], Floats]) -> TrainingRows:
        kept, stands_for = sample
        lists = part.lists.take(kept)
        features = engine.compute_features(part.requests, part.lists, kept)
        outcome = outcomes_of(lists.row, lists.item, part.truth)
        rows = _rows(engine, part.requests, lists, features, part.gain[kept], outcome)
        weight = None
        if examination is not None and part.position.any():
            seen = examination.at(part.position[kept])
            weight = np.where(rows.gain > 0, 1, seen).astype(np.float32)
        return replace(rows, weight=weight, stands_for=stands_for)

    rows: list[TrainingRows] = []
    rng = np.random.default_rng(seed)
    threads = _threads(len(engine.items))
    with ThreadPoolExecutor(threads) as pool:
        together = 2 * threads * _CHUNK
        for first in range(0, n_requests, together):
            parts = list(pool.map(found, range(first, min(first + together, n_requests), _CHUNK)))
            # Drawn in order, so that the rows are the same however many threads there are.
            samples = [_sample(part, config.negatives, rng) for part in parts]
            rows += pool.map(featured, parts, samples)
            if advance is not None:
                advance(min(together, n_requests - first))
    return rows


def _threads(n_items: int) -> int:
    """As many as there are cores, four at most, and fewer where each holds scores of very many items."""
    return max(1, min(os.cpu_count() or 1, 4, _CELLS // (_CHUNK * max(n_items, 1))))


def _judged_alone(engine: Engine, judged: Replay) -> list[TrainingRows]:
    """The judged products of every query with their features, found or not, as a list that is given would hold them."""
    parts: list[TrainingRows] = []
    for start in range(0, len(judged.requests), _CHUNK):
        part = judged.take(np.arange(start, min(start + _CHUNK, len(judged.requests))))
        requests, truth = engine.encode_queries(part.requests), part.truth
        lists = ItemList(truth.offsets, truth.item)
        add_scores(engine.sources, requests, lists)
        features = engine.compute_features(requests, lists)
        parts.append(_rows(engine, requests, lists, features, truth.gain.astype(np.float32), truth.kinds))
    return parts


def _rows(
    engine: Engine,
    requests: Requests,
    lists: ItemList,
    features: Floats,
    gain: Floats,
    outcome: npt.NDArray[np.uint8] | None,
) -> TrainingRows:
    """Rows of those requests that have any."""
    some = np.flatnonzero(lists.sizes)
    kept = ItemList(np.concatenate([[0], np.cumsum(lists.sizes[some])]).astype(np.int64), lists.item, lists.columns)
    asked = Asked(requests.take(some), kept, engine.items)
    return TrainingRows(features, gain, kept.sizes, engine.feature_names, asked=asked, outcome=outcome)


def gains_of(row: npt.NDArray[np.int32], item: npt.NDArray[np.int32], truth: Truth) -> npt.NDArray[np.float32]:
    """Gain of each (request, item): float32 of shape (n_rows,), 0 where the truth does not name it."""
    return np.append(truth.gain, 0)[_places(row, item, truth)].astype(np.float32)


def outcomes_of(row: npt.NDArray[np.int32], item: npt.NDArray[np.int32], truth: Truth) -> npt.NDArray[np.uint8] | None:
    """What was done with each (request, item), as ``Truth.kinds`` tells it; None where that is not known."""
    return None if truth.kinds is None else np.append(truth.kinds, np.uint8(0))[_places(row, item, truth)]


def _places(row: npt.NDArray[np.int32], item: npt.NDArray[np.int32], truth: Truth) -> npt.NDArray[np.intp]:
    """The row of the truth that names each (request, item); -1 where none does."""
    width = int(max(item.max(initial=0), truth.item.max(initial=0))) + 1
    keys = truth.row * width + truth.item
    order = np.argsort(keys)
    wanted = row.astype(np.int64) * width + item
    place = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    if not len(keys):
        return np.full(len(row), -1, dtype=np.intp)
    return np.where(keys[order][place] == wanted, order[place], -1)


def _sample(part: _Found, negatives: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], Floats]:
    """(rows to keep, how many candidates each stands for).

    Kept are all that were chosen, and at most ``negatives`` others of each request, at random; of a request whose
    list is known, out of what was shown. Each of the others stands for as many as were there for each one kept.
    """
    row, gain = part.lists.row, part.gain
    chosen = gain > 0
    draw = np.where(chosen, -1.0, rng.random(len(row)))
    listed = np.bincount(row, weights=part.position > 0) > 0
    out = listed[row] & (part.position == 0) & ~chosen
    draw[out] = 2.0
    order = np.lexsort((draw, row))
    # Rows come request by request, so sorting within them leaves every request where it was.
    sizes = np.bincount(row)
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.sort(order[(place < negatives + np.bincount(row, weights=chosen)[row]) & ~out[order]])
    others = np.bincount(row[~chosen & ~out], minlength=len(sizes))
    drawn = np.bincount(row[kept][~chosen[kept]], minlength=len(sizes))
    return kept, np.where(chosen[kept], 1, (others / np.maximum(drawn, 1))[row[kept]]).astype(np.float32)


def _decayed(rows: TrainingRows, until: int, half_life_days: float) -> TrainingRows:
    """The rows, each weighing half as much for every ``half_life_days`` from its request until ``until``."""
    if not half_life_days or rows.asked is None:
        return rows
    age = np.repeat(until - rows.asked.requests.now, rows.sizes) / DAY
    weight = np.maximum(np.exp2(-age / half_life_days), _LEAST_WEIGHT) * (1 if rows.weight is None else rows.weight)
    return replace(rows, weight=weight.astype(np.float32))


def _searches(replays: list[Replay]) -> int:
    return sum(bool(query.text) for replay in replays for query in replay.requests.queries)
