"""The leak check: what leaks on purpose is caught and named, and nothing that Vetrina ships leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Vetrina
from engine_shop import built_shop, set_options
from vetrina import Shop
from vetrina.catalogue.datasets import load
from vetrina.core import EventLog, ItemList, Items, Requests, component, register
from vetrina.core.errors import DataError
from vetrina.core.past import differs, equal_pasts, later_exchanged, without_later
from vetrina.encode import AttributesEncoder
from vetrina.engine import Encoded, ShopConfig, stages
from vetrina.engine.create import create_from_tables
from vetrina.evaluate.leaks import Finding, check_leaks, check_log
from vetrina.rank import FeatureFamily
from vetrina.retrieve.base import Allowed, Found, Retriever, top_k
from vetrina.testing import ContractBroken, check_features, check_retriever, small_shop

Floats = npt.NDArray[np.float32]
Check = Callable[..., list[Finding]]


# --- what leaks on purpose ------------------------------------------------------


class _Counted(FeatureFamily):
    """How often each item was chosen, in the whole of the log that it is given."""

    reason = "popularity"
    names_ = ["chosen"]

    def fit(self, items: Items, log: EventLog) -> Self:
        self.chosen_ = np.bincount(log.item[log.item >= 0], minlength=len(items)).astype(np.float32)
        return self.bind(items)

    def compute(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("chosen_")
        return np.asarray(self.chosen_[lists.item, None])


class CountsIgnoringNow(_Counted):
    """Says that it counts, but does not heed the time of the request."""

    learns = "counts"


class SaysNothing(_Counted):
    """Reads the log without saying so."""


class Honest(_Counted):
    """The same numbers, declared: fitted on earlier events for training rows."""

    learns = "log"


class KnowsNames(_Counted):
    """How many queries were ever typed, also later: the names behind the codes tell."""

    learns = "log"

    def fit(self, items: Items, log: EventLog) -> Self:
        self.chosen_ = np.full(len(items), len(log.shoppers) + len(log.queries), dtype=np.float32)
        return self.bind(items)


class _Source(Retriever):
    """What was chosen most, in the whole of the log that it is given."""

    def fit(self, items: Items, log: EventLog) -> Self:
        self.items_ = items
        self.chosen_ = np.bincount(log.item[log.item >= 0], minlength=len(items)).astype(np.float32)
        return self

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Found:
        self.require_fitted("chosen_")
        return top_k(np.tile(self.chosen_, (len(requests), 1)), k, allowed)

    def score(self, requests: Requests, lists: ItemList) -> Floats:
        self.require_fitted("chosen_")
        return np.asarray(self.chosen_[lists.item])


class SourceIgnoringNow(_Source):
    """Says that it counts, but does not heed the time of the request."""

    learns = "counts"


class SourceSaysNothing(_Source):
    """Reads the log without saying so."""


class ReadsEvents(AttributesEncoder):
    """Encodes an item by its attributes, and by what the shop's folder says was chosen."""

    def read(self, items: Items, root: Path) -> tuple[Any, list[str]]:
        contents, keys = super().read(items, root)
        events = pl.read_parquet(root / "data" / "events.parquet")
        return contents, [f"{key}{events.height}" for key in keys]


LEAKING: dict[str, tuple[str, type[component.Component]]] = {
    "counts_ignoring_now": ("features", CountsIgnoringNow),
    "says_nothing": ("features", SaysNothing),
    "knows_names": ("features", KnowsNames),
    "source_ignoring_now": ("retriever", SourceIgnoringNow),
    "source_says_nothing": ("retriever", SourceSaysNothing),
}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The components above, for as long as a test runs."""
    known = {("features", "honest"): Honest, ("encoder", "reads_events"): ReadsEvents}
    known |= {(kind, name): cls for name, (kind, cls) in LEAKING.items()}
    for (kind, name), cls in known.items():
        register(kind, name)(cls)
    yield
    for key in known:
        del component._registry[key]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return built_shop(tmp_path_factory.mktemp("leaks"))


@pytest.fixture(scope="module")
def check() -> Check:
    """The checks of a log of a month, with one feature or source more; each is made once."""
    items, log = small_shop()
    encoded = Encoded(items, {}, {}, 0.0)

    @cache
    def run(kind: str = "", name: str = "") -> list[Finding]:
        # Few components and trees, for speed.
        features = ["history", "popularity", *([name] if kind == "features" else [])]
        sources = ["popular", "item_item", "lexical", *([name] if kind == "retriever" else [])]
        options = {
            "items": {"file": "items.csv", "item": "item"},
            "rank": {"features": features, "options": {"trees": 5, "min_rows_in_leaf": 5}},
            "retrieve": {source: {"k": 20} for source in sources},
        }
        return check_log(encoded, log, ShopConfig.parse(options, ""))

    return run


# --- they are caught ------------------------------------------------------------


@pytest.mark.parametrize("name", LEAKING)
def test_a_component_that_leaks_is_caught_and_named(check: Check, name: str) -> None:
    kind, cls = LEAKING[name]
    leaks = [one for one in check(kind, name) if one.leaks]
    assert {one.component for one in leaks} <= {f"{kind} {name}", ""}, leaks
    (told,) = [one for one in leaks if one.check == "learns"]
    assert told.component == f"{kind} {name}"
    assert f'learns = "{cls.learns}"' in told.words
    assert differs(cls.learns, "").rpartition(": ")[2] in told.words, "what to do"


@pytest.mark.parametrize("name", ["counts_ignoring_now", "says_nothing", "source_ignoring_now", "source_says_nothing"])
def test_training_rows_that_know_their_label_are_caught(check: Check, name: str) -> None:
    kind, _ = LEAKING[name]
    told = [one for one in check(kind, name) if one.check == "training rows"]
    assert [(one.component, one.leaks) for one in told] == [(f"{kind} {name}", True)]
    assert "such as the choice itself" in told[0].words


def test_the_same_feature_that_says_what_it_learns_does_not_leak(check: Check) -> None:
    assert [one for one in check("features", "honest") if one.leaks] == []


def test_counts_that_ignore_the_time_change_what_is_measured(check: Check) -> None:
    (told,) = [one for one in check("retriever", "source_ignoring_now") if one.check == "metrics"]
    assert told.leaks
    assert "later events" in told.words


def test_windows_that_hold_the_request_are_caught(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a window were cut after its request, not before."""
    cut = EventLog.windows
    monkeypatch.setattr(EventLog, "windows", lambda log, shopper, until, size: cut(log, shopper, until + 1, size))
    (told,) = [one for one in check() if one.check == "windows"]
    assert told.leaks
    assert "at or after the time of their request" in told.words


def test_an_encoder_that_reads_events_is_caught(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    config = shop.config.model_dump(exclude_none=True)
    config["rank"] |= {"features": ["history"], "options": {"trees": 5}}
    config["retrieve"] = {"popular": {"k": 20}}
    config["encode"] = {"attributes": {"encoder": "reads_events"}}
    monkeypatch.setattr(shop, "config", ShopConfig.parse(config, ""))
    leaks = [one for one in check_leaks(shop) if one.leaks]
    assert [one.component for one in leaks] == ["encoder reads_events of attributes"]
    assert "may read the catalogue and its photos only" in leaks[0].words


@pytest.mark.parametrize("name", LEAKING)
def test_the_contract_suite_catches_what_the_check_catches(name: str) -> None:
    kind, cls = LEAKING[name]
    suite: Any = {"features": check_features, "retriever": check_retriever}[kind]
    with pytest.raises(ContractBroken, match=f'learns = "{cls.learns}", but answers otherwise when'):
        suite(cls)


def learned_vectors() -> ShopConfig:
    """A shop that learns vectors from behaviour, and to fuse them with the others."""
    minutes = {"minutes": 3000.0}
    options = {
        "items": {"file": "items.csv", "item": "item"},
        "encode": {"behaviour": {"encoder": "item2vec", "options": {"dim": 8, **minutes}}},
        "fuse": {"method": "gated", "dimensions": 8, "options": {"enough": 20, "steps": 10, "batch": 32, **minutes}},
        "rank": {"features": ["looks"], "options": {"trees": 5, "min_rows_in_leaf": 5}},
        "retrieve": {source: {"k": 20} for source in ("popular", "vector")},
    }
    return ShopConfig.parse(options, "")


def test_training_rows_of_vectors_that_have_seen_the_choice_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if vectors of behaviour, and fusion learned from it, were not made again of earlier events."""
    monkeypatch.setattr(stages, "fused_again", lambda items, log, encoders, fuser: (items, encoders, fuser))
    items, log = small_shop()
    found = check_log(Encoded(items, {}, {}, 0.0), log, learned_vectors())
    told = {one.component: one.words for one in found if one.leaks and one.check == "training rows"}
    assert set(told) == {"features looks", "retriever vector"}
    assert "window_fused" in told["features looks"]


# --- and nothing else is --------------------------------------------------------


def test_vectors_that_are_learned_from_behaviour_do_not_leak() -> None:
    items, log = small_shop()
    found = check_log(Encoded(items, {}, {}, 0.0), log, learned_vectors())
    assert [one for one in found if one.leaks] == []
    assert {"encoder item2vec of behaviour", "fuser gated", "features looks"} <= {one.component for one in found}


@pytest.mark.slow
def test_nothing_that_ships_leaks(shop: Shop, vetrina: Vetrina) -> None:
    told = vetrina("evaluate", shop.root, "--check-leaks", "--json").json()
    assert told["leaks"] == 0
    assert [one for one in told["findings"] if one["leaks"]] == []
    checked = {one["component"] for one in told["findings"]}
    assert {f"retriever {name}" for name in shop.config.retrieve} <= checked
    assert {f"features {name}" for name in shop.config.rank.features} <= checked
    assert {f"encoder {one.encoder} of {name}" for name, one in shop.config.encode.items()} <= checked
    assert {one["check"] for one in told["findings"]} == {"learns", "windows", "training rows", "metrics"}


@pytest.mark.slow
def test_the_command_says_what_leaks_and_exits_with_1(tmp_path: Path, vetrina: Vetrina) -> None:
    root = built_shop(tmp_path).root
    text = (root / "shop.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("# features ="))
    set_options(root, {line: 'features = ["history", "says_nothing"]'})
    done = vetrina("evaluate", root, "--check-leaks", "-q")
    assert done.code == 1
    lines = [line for line in done.out.splitlines() if line.startswith("LEAK")]
    assert any("features says_nothing" in line for line in lines)
    assert "leaks." in done.out.splitlines()[-1]


def test_a_shop_without_events_has_nothing_that_could_leak(tmp_path: Path) -> None:
    items, _ = small_shop()
    create_from_tables(
        tmp_path, items=items.table, events=None, judgements=None, photos_root=None, name="x",
        overrides={"encode": {"photo": None}},
    )  # fmt: skip
    with pytest.raises(DataError, match="has no events"):
        check_leaks(Shop.open(tmp_path))


@pytest.mark.quality
@pytest.mark.parametrize("name", ["online-retail", "movielens-100k"])
def test_nothing_leaks_on_real_data(real_data: Path, tmp_path: Path, name: str) -> None:
    dataset = load(name)
    gains = {"rate": 1.0} if name == "movielens-100k" else {"purchase": 3.0}
    create_from_tables(
        tmp_path, items=dataset.items, events=dataset.events, judgements=None, photos_root=None, name=name,
        overrides={"build": {"test_days": 30.0}, "rank": {"gains": gains}},
    )  # fmt: skip
    assert [one for one in check_leaks(Shop.open(tmp_path)) if one.leaks] == []


# --- what they are compared by --------------------------------------------------

_, LOG = small_shop()


@given(st.floats(0, 1))
def test_the_past_is_the_same_and_the_future_is_not(share: float) -> None:
    log = LOG
    cut = int(log.time[int(share * (len(log) - 1))])
    n = int(np.searchsorted(log.time, cut))
    deleted, exchanged = without_later(log, cut), later_exchanged(log, cut)
    assert len(deleted) == n
    assert set(deleted.shoppers) == {log.shoppers[code] for code in log.shopper[:n] if code >= 0}
    assert set(deleted.queries) == {log.queries[code] for code in log.query[:n] if code >= 0}
    for name in ("time", "shopper", "kind", "item", "query", "request"):
        np.testing.assert_array_equal(getattr(deleted, name), getattr(log, name)[:n])
        if name != "item":
            np.testing.assert_array_equal(getattr(exchanged, name), getattr(log, name))
    np.testing.assert_array_equal(exchanged.item[:n], log.item[:n])
    assert sorted(exchanged.item[n:].tolist()) == sorted(log.item[n:].tolist())
    np.testing.assert_array_equal(exchanged.item < 0, log.item < 0)
    if len(log) - n > 50:
        assert (exchanged.item[n:] != log.item[n:]).any()


def test_what_learns_behaviour_is_given_the_past_only() -> None:
    _, log = small_shop()
    cut = int(log.time[len(log) // 2])
    first, others = equal_pasts("log", replace(log, queries=[*log.queries, "never asked"]), cut)
    assert len(first) == len(log.before(cut))
    assert all("never asked" not in other.queries for other in others.values())
