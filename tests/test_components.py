"""Every registered component against the contract of its kind, rule by rule; and the contracts against broken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ConfigDict

from clips import with_clips
from vetrina import testing
from vetrina.core import Config, EventLog, ItemList, Items, Requests, components
from vetrina.encode import AttributesEncoder
from vetrina.rank import Asked, FeatureFamily, MatchScore, TrainingRows
from vetrina.rank.features import Price, Taste
from vetrina.retrieve import ItemItem, Popular
from vetrina.retrieve.base import Allowed, Found, top_k
from vetrina.testing import (
    ENCODER_RULES,
    FEATURE_RULES,
    FUSER_RULES,
    RANKER_RULES,
    REDUCER_RULES,
    RETRIEVER_RULES,
    ContractBroken,
    EncoderCase,
    FeatureCase,
    FuserCase,
    RankerCase,
    ReducerCase,
    RetrieverCase,
    small_shop,
)

Floats = npt.NDArray[np.float32]

_CONVNET = {"filters": 8, "palette": 4, "dim": 4, "width": 16, "height": 16, "patch": 3, "stride": 4}

# Options that keep a fit below half a second; every other component is made as shipped.
SMALL: dict[str, dict[str, Any]] = {
    "lambdamart": {"trees": 20, "min_rows_in_leaf": 5, "threads": 1},
    "network": {"hidden": 4, "iterations": 30},
    "pointwise": {"trees": 20, "min_rows_in_leaf": 5, "threads": 1},
    "pairwise": {"trees": 20, "min_rows_in_leaf": 5, "threads": 1},
    "blend": {"members": {"lambdamart": {"trees": 20, "min_rows_in_leaf": 5, "threads": 1}, "linear": {}}},
    "din": {"epochs": 2, "dim": 6, "hidden": 8, "attention": 4, "cross_rank": 4},
    "lstm": {"epochs": 2, "dim": 6, "hidden": 8, "units": 6},
    "gated": {"dimensions": 12, "enough": 100, "steps": 60, "batch": 64},
    "attention": {"dimensions": 12, "enough": 100, "steps": 60, "batch": 64},
    "random": {"dim": 16},
    "sasrec": {"dim": 8, "length": 5, "layers": 1, "epochs": 2},
    "gru": {"dim": 8, "length": 5, "hidden": 4, "epochs": 2},
    "audio": {"bands": 12, "dim": 6},
    "rnn": {"dim": 16, "hidden": 8, "vocabulary": 200, "buckets": 500, "epochs": 2},
    "video": {"frames": 2, "photo_options": _CONVNET},
    "convnet": _CONVNET,
}
RULES: dict[str, Mapping[str, Callable[[Any], None]]] = {
    "retriever": RETRIEVER_RULES,
    "features": FEATURE_RULES,
    "ranker": RANKER_RULES,
    "encoder": ENCODER_RULES,
    "fuser": FUSER_RULES,
    "reducer": REDUCER_RULES,
}
# They bring in a model, which their own tests make, or train one for many seconds: checked in a test of their own.
ELSEWHERE = {
    ("encoder", "catalogue-clip"): "test_encode_clip.py",
    ("encoder", "pretrained"): "test_encode_pretrained.py",
    ("encoder", "transformer"): "test_encode_transformer.py",
}
OURS = {key: cls for key, cls in components().items() if cls.__module__.startswith("vetrina.") and key not in ELSEWHERE}
CHECKS = [(kind, name, rule) for kind, name in OURS for rule in RULES[kind]]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """The case of a component, made once."""
    photos = tmp_path_factory.mktemp("photos")
    items, log = small_shop(photos=photos)
    items = with_clips(items, photos)
    made: dict[tuple[str, str], Any] = {}

    def find(kind: str, name: str) -> Any:
        if (kind, name) not in made:
            make: Any = partial(OURS[kind, name], **SMALL.get(name, {}))
            if kind == "encoder":
                made[kind, name] = EncoderCase(make, items, photos, log)
            elif kind in ("ranker", "fuser", "reducer"):
                made[kind, name] = {"ranker": RankerCase, "fuser": FuserCase, "reducer": ReducerCase}[kind](make)
            else:
                made[kind, name] = {"retriever": RetrieverCase, "features": FeatureCase}[kind](make, items, log)
        return made[kind, name]

    return find


@pytest.mark.parametrize(("kind", "name", "rule"), CHECKS, ids=["-".join(check) for check in CHECKS])
def test_component(case: Callable[[str, str], Any], kind: str, name: str, rule: str) -> None:
    RULES[kind][rule](case(kind, name))


def test_there_are_components_of_every_kind() -> None:
    assert {kind for kind, _ in OURS} == set(RULES)


@pytest.mark.parametrize("test", ELSEWHERE.values())
def test_what_is_not_checked_here_is_checked_in_its_own_test(test: str) -> None:
    assert "check_encoder(" in (Path(__file__).parent / test).read_text(encoding="utf-8")


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_rule_says_what_it_is(rules: Mapping[str, Callable[[Any], None]]) -> None:
    assert [name for name, rule in rules.items() if not (rule.__doc__ or "").strip()] == []
    assert len(rules) > len(set.intersection(*map(set, RULES.values())))


def test_everything_that_is_promised_is_there() -> None:
    assert [name for name in testing.__all__ if not hasattr(testing, name)] == []


# --- the contracts themselves: each rule finds the component that breaks it ---


class Ascending(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, allowed)
        return ids[:, ::-1], scores[:, ::-1]


class PaddedWithZero(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, allowed)
        return np.maximum(ids, 0), scores


class OfAnotherType(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, allowed)
        return ids.astype(np.int64), scores


class IgnoresTheFilter(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return super().retrieve(requests, k, None)


class FiltersTheBestFive(Popular):
    """What every engineer writes first: search, then throw away what is forbidden."""

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, None)
        if allowed is not None:
            kept = np.take_along_axis(allowed, np.maximum(ids, 0).astype(np.int64), axis=1) & (ids >= 0)
            kept[:, 5:] = False
            scores = np.where(kept, scores, -np.inf).astype(np.float32)
            ids = np.where(kept, ids, -1).astype(np.int32)
            order = np.argsort(-scores, axis=1, kind="stable")
            ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
        return ids, scores


class WritesIntoTheFilter(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        found = super().retrieve(requests, k, allowed)
        if allowed is not None:
            allowed[:] = False
        return found


class ScoresOtherwise(Popular):
    def score(self, requests: Requests, lists: ItemList) -> Floats:
        return super().score(requests, lists) * np.float32(2)


class PeeksAhead(Popular):
    """The popularity of all time, whenever one asks."""

    def _at(self, item: npt.NDArray[np.integer], now: npt.NDArray[np.int64]) -> Floats:
        return self.counts_.until(*np.broadcast_arrays(item, np.int64(2**40) + 0 * now))


class SaysItLearnsFromItemsAlone(ItemItem):
    learns = "items"  # type: ignore[assignment]


class Accumulates(Popular):
    def fit(self, items: Items, log: EventLog) -> Self:
        before = getattr(self, "counts_", None)
        super().fit(items, log)
        if before is not None:
            self.counts_.totals = self.counts_.totals + before.totals.max(initial=0)
        return self


class SavesNothing(Popular):
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: value[:0] if name != "days" else value for name, value in super().arrays().items()}


class RelativeToTheBatch(Popular):
    def score(self, requests: Requests, lists: ItemList) -> Floats:
        scores = super().score(requests, lists)
        return np.asarray(scores / scores.max(initial=1), dtype=np.float32)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        ids, scores = super().retrieve(requests, k, allowed)
        return ids, (scores / scores.max(initial=1)).astype(np.float32)


class Moody(Popular):
    rng = np.random.default_rng(0)

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        return super().score(requests, lists) + self.rng.random(len(lists.item), dtype=np.float32)


class AnswersUnfitted(Popular):
    def require_fitted(self, attribute: str) -> None:
        """Let it pass."""

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        if not hasattr(self, "counts_"):
            return np.zeros(len(lists.item), dtype=np.float32)
        return super().score(requests, lists)


class LenientConfig(Config):
    model_config = ConfigDict(frozen=False, extra="ignore")
    days: float = 14.0
    background: float = 0.1


class Lenient(Popular):
    config_type = LenientConfig  # type: ignore[assignment]


class FindsNothing(Popular):
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        return top_k(np.zeros((len(requests), len(self.items_)), dtype=np.float32), k, allowed)


BROKEN_RETRIEVERS: list[tuple[type[Popular] | type[ItemItem], str]] = [
    (Ascending, "what_is_found_is_sorted_and_padded"),
    (PaddedWithZero, "any_k_is_answered"),
    (OfAnotherType, "what_is_found_is_sorted_and_padded"),
    (IgnoresTheFilter, "only_what_is_allowed_is_found_and_nothing_of_it_is_lost"),
    (FiltersTheBestFive, "only_what_is_allowed_is_found_and_nothing_of_it_is_lost"),
    (WritesIntoTheFilter, "only_what_is_allowed_is_found_and_nothing_of_it_is_lost"),
    (ScoresOtherwise, "score_says_what_retrieve_said"),
    (PeeksAhead, "it_learns_from_what_it_says_and_from_nothing_later"),
    (SaysItLearnsFromItemsAlone, "it_learns_from_what_it_says_and_from_nothing_later"),
    (Accumulates, "refitting_forgets"),
    (SavesNothing, "saved_moved_and_loaded_it_answers_the_same"),
    (RelativeToTheBatch, "batch_equals_single"),
    (Moody, "asking_changes_nothing"),
    (AnswersUnfitted, "use_before_learning_is_refused"),
    (Lenient, "options_are_checked_when_made"),
    (FindsNothing, "it_finds_something"),
    (Ascending, "it_is_registered_and_described"),
]


@pytest.mark.parametrize(("broken", "rule"), BROKEN_RETRIEVERS, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_retriever_is_found(broken: type[Popular], rule: str) -> None:
    with pytest.raises(ContractBroken, match=broken.name):
        RETRIEVER_RULES[rule](RetrieverCase(broken))


class Doubles(Price):
    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        return super().compute(requests, lists).astype(np.float64)


class Infinite(Price):
    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        return np.where(np.isnan(found := super().compute(requests, lists)), np.float32(np.inf), found)


class Unnamed(Price):
    names_ = ["price", "price_place"]


class NamedTwice(Price):
    names_ = ["price", "price", "price_level", "price_from_usual", "price_distance"]


class AsksAnotherSource(Price):
    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        popular = lists.columns["popular"].astype(np.float32)
        return super().compute(requests, lists) + popular[:, None]


class WritesIntoTheLists(Price):
    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        features = super().compute(requests, lists)
        lists.columns["price"] = features[:, 0]
        return features


class ForgetsTheList(Price):
    """The place of a price among the rows that are asked for."""

    def compute_some(self, requests: Requests, lists: ItemList, rows: npt.NDArray[np.intp]) -> Floats:
        return super().compute_some(requests, lists.take(rows), np.arange(len(rows)))


class KnowsTheFuture(Taste):
    """Each item's share of the whole log, which a request in its middle cannot know."""

    learns = "counts"

    def fit(self, items: Items, log: EventLog) -> Self:
        kept = log.take(log.item >= 0)
        self.share_ = np.bincount(kept.item, minlength=len(items)) / max(len(kept), 1)
        return super().fit(items, log)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        features = super().compute(requests, lists)
        return features + self.share_[lists.item][:, None].astype(np.float32)


BROKEN_FAMILIES: list[tuple[type[FeatureFamily], str]] = [
    (Doubles, "its_features_are_finite_or_unknown"),
    (Infinite, "its_features_are_finite_or_unknown"),
    (Unnamed, "its_features_are_finite_or_unknown"),
    (NamedTwice, "its_features_are_named"),
    (WritesIntoTheLists, "candidates_are_not_changed"),
    (ForgetsTheList, "some_rows_have_the_features_that_they_have_among_all"),
    (KnowsTheFuture, "it_learns_from_what_it_says_and_from_nothing_later"),
]


@pytest.mark.parametrize(("broken", "rule"), BROKEN_FAMILIES, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_family_is_found(broken: type[FeatureFamily], rule: str) -> None:
    with pytest.raises(ContractBroken, match=broken.name):
        FEATURE_RULES[rule](FeatureCase(broken))


def test_a_family_that_cannot_do_without_a_source_is_found() -> None:
    case = FeatureCase(AsksAnotherSource)
    FEATURE_RULES["its_features_are_finite_or_unknown"](case)
    with pytest.raises(KeyError):
        FEATURE_RULES["a_shop_without_that_source_has_features"](case)


def test_a_family_may_bring_the_column_that_it_reads() -> None:
    def half(requests: Requests, lists: ItemList) -> Floats:
        return np.full(len(lists.item), 0.5, dtype=np.float32)

    case = FeatureCase(Price, columns={"mine": half})
    assert np.all(case.lists.columns["mine"] == 0.5)


class SumsToMore(MatchScore):
    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        return super().contributions(features) + np.float32(0.1)


class MixesTheNames(MatchScore):
    def fit(self, rows: TrainingRows) -> Self:
        super().fit(rows)
        self.names_ = sorted(self.names_)
        return self


class TripsOverTheUnknown(MatchScore):
    def score(self, features: Floats, asked: Asked | None = None) -> Floats:
        return np.asarray(features @ self.weights_, dtype=np.float32)


class SharesTheConstant(MatchScore):
    """A share that depends on other features' values is given to one that never varies."""

    def contributions(self, features: Floats, asked: Asked | None = None) -> Floats:
        shares = super().contributions(features)
        shares[:, 5], shares[:, 0] = shares[:, 0], 0
        return shares


class CountsOnAndOn(MatchScore):
    """A curve that goes on where the last fit ended."""

    def fit(self, rows: TrainingRows) -> Self:
        self.curves_ = {"loss by rows": [*self.curves_.get("loss by rows", ()), (len(rows.gain), 0.5)]}
        return super().fit(rows)


class DropsItsCurves(MatchScore):
    def fit(self, rows: TrainingRows) -> Self:
        self.curves_ = {"loss by steps": [(1, 0.5), (2, 0.4)]}
        return super().fit(rows)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / "curves.json").unlink()


class EndsElsewhere(MatchScore):
    def staged(self, features: Floats, asked: Asked | None = None) -> Iterator[tuple[int, Floats]]:
        if len(features):
            yield 1, self.score(features) + np.float32(1)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (CountsOnAndOn, "its_curves_are_points_by_step"),
        (DropsItsCurves, "its_curves_are_points_by_step"),
        (EndsElsewhere, "the_last_stage_is_the_whole"),
        (SumsToMore, "contributions_sum_to_the_score"),
        (MixesTheNames, "it_keeps_the_names_of_the_features"),
        (TripsOverTheUnknown, "scores_are_finite"),
        (SharesTheConstant, "a_feature_that_never_varies_has_no_share"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_ranker_is_found(broken: type[MatchScore], rule: str) -> None:
    with pytest.raises(ContractBroken, match="match_score"):
        RANKER_RULES[rule](RankerCase(broken))


class OfAnyLength(AttributesEncoder):
    def transform(self, contents: Any) -> Floats:
        return super().transform(contents) * np.float32(2)


class NobodyKnowsTheCost(AttributesEncoder):
    cost = " "


class CentredOnTheBatch(AttributesEncoder):
    def transform(self, contents: Any) -> Floats:
        rows = super().transform(contents)
        return rows - rows.mean(axis=0) if len(rows) else rows


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (OfAnyLength, "vectors_have_unit_length_or_are_zero"),
        (CentredOnTheBatch, "batch_equals_single"),
        (NobodyKnowsTheCost, "it_says_what_it_takes"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_encoder_is_found(broken: type[AttributesEncoder], rule: str) -> None:
    items, _ = small_shop()
    with pytest.raises(ContractBroken, match="attributes"):
        ENCODER_RULES[rule](EncoderCase(broken, items, Path()))


def test_data_are_given_read_only() -> None:
    """A component that writes into a snapshot's memory-mapped arrays fails here first."""
    items, log = small_shop()
    for array in (items.vectors["fused"], log.price, log.item):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
