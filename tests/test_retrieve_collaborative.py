"""What holds of every collaborative source: odd logs, unknown shoppers, no future; and a shop that uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine_shop import make_shop
from planted import asked, items_of, lists_of, log_of, nothing
from vetrina import Shop
from vetrina.core import EventKind, EventLog
from vetrina.core.past import without_later
from vetrina.retrieve import Als, Bpr, Ease, ItemItem, Retriever, UserUser
from vetrina.retrieve.collaborative import Collaborative

N = 10
ITEMS = items_of(N)
BUY, VIEW, HIDE = EventKind.purchase, EventKind.view, EventKind.hide

SOURCES: dict[str, Callable[[], Retriever]] = {
    **{f"item_item-{how}": partial(ItemItem, similarity=how) for how in ("cosine", "bm25", "tfidf", "conditional")},
    **{f"user_user-{how}": partial(UserUser, similarity=how) for how in ("cosine", "pearson")},
    "ease": partial(Ease, regularisation=5.0),
    "als": partial(Als, factors=2, regularisation=1.0),
    "bpr": partial(Bpr, factors=4, learning_rate=0.1, iterations=60),
}
every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
REQUESTS = asked([[(0, BUY, 3.0), (1, VIEW, 1.0)], [(4, VIEW, 1.0)], []])


def people(seed: int = 0) -> EventLog:
    """Twelve shoppers, of whom the later ones come only on later days."""
    rng = np.random.default_rng(seed)
    return log_of(
        ITEMS,
        [
            (who + float(rng.random()), f"s{who:02d}", BUY if rng.random() < 0.5 else VIEW, int(item))
            for who in range(12)
            for item in rng.choice(N, 5, replace=False)
        ],
    )


def checkerboard() -> EventLog:
    """Even items are bought by one half of the shoppers, odd ones by the other."""
    rng = np.random.default_rng(0)
    events = [
        (0.0, f"s{who:02d}", BUY, item)
        for who in range(20)
        for item in range(N)
        if item % 2 == who % 2 and rng.random() < 0.7
    ]
    return log_of(ITEMS, events)


def answers(make: Callable[[], Retriever], log: EventLog) -> list[np.ndarray[Any, Any]]:
    source = make().fit(ITEMS, log)
    return [*source.retrieve(REQUESTS, 6, None), source.score(REQUESTS, lists_of(*[range(N)] * 3))]


@every_source
def test_shoppers_of_one_taste_are_shown_more_of_it(make: Callable[[], Retriever]) -> None:
    ids, _ = make().fit(ITEMS, checkerboard()).retrieve(asked([[(0, VIEW, 1.0)], [(1, VIEW, 1.0)]]), 4, None)
    assert [{item % 2 for item in row} for row in ids.tolist()] == [{0}, {1}]


@every_source
def test_the_evidence_is_the_past_item_of_the_same_taste(make: Callable[[], Retriever]) -> None:
    source = make().fit(ITEMS, checkerboard())
    assert isinstance(source, Collaborative)
    requests = asked([[(0, BUY, 1.0), (1, BUY, 1.0)], [], [(3, VIEW, 1.0), (2, VIEW, 1.0), (8, HIDE, 0.0)]])
    strongest = source.strongest(requests, lists_of([4, 5, 6, 7], [4, 5], [4, 5, 6]))
    assert strongest.tolist() == [0, 1, 0, 1, -1, -1, 2, 3, 2]
    assert strongest.dtype == np.int32
    alone = source.strongest(asked([[(4, BUY, 1.0)], [(4, BUY, 1.0), (4, VIEW, 0.0)]]), lists_of([4], [4]))
    assert alone.tolist() == [-1, -1]  # nothing is chosen because of itself
    assert not len(source.strongest(requests, lists_of([], [], [])))


@every_source
@pytest.mark.parametrize(
    "events",
    [
        [],
        [(0.0, "a", BUY, 0)],
        [(0.0, "a", BUY, item) for item in range(N)],
        [(0.0, who, BUY, 0) for who in "abc"],
        [(0.0, who, BUY, item) for who in "abc" for item in range(N)],
        [(0.0, who, HIDE, item) for who in "abc" for item in range(N)],
    ],
    ids=["nothing", "one event", "one shopper", "one item", "all the same", "all hidden"],
)
def test_odd_logs_are_answered(make: Callable[[], Retriever], events: list[tuple[float, str, EventKind, int]]) -> None:
    ids, scores, every = answers(make, log_of(ITEMS, events))
    assert np.isfinite(every).all()
    assert np.isfinite(scores[ids >= 0]).all()
    assert np.all(ids[2] == -1)  # nobody asks
    if not events or events[0][2] == HIDE:
        assert np.all(ids == -1)


@every_source
def test_later_shoppers_change_nothing_earlier(make: Callable[[], Retriever]) -> None:
    """Neither by their events, when the log is cut, nor by their names, which stay in its code book."""
    log = people()
    cut = int(log.time[len(log) // 2])
    assert len(without_later(log, cut).shoppers) < len(log.shoppers)
    for got, wanted in zip(answers(make, log.before(cut)), answers(make, without_later(log, cut)), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert (answers(make, log)[2] != answers(make, log.before(cut))[2]).any()


@every_source
def test_what_nobody_known_did_is_not_one_shopper(make: Callable[[], Retriever]) -> None:
    log = people()
    unknown = log.shopper % 3 == 0
    anonymous = replace(log, shopper=np.where(unknown, -1, log.shopper).astype(np.int32))
    for got, wanted in zip(answers(make, anonymous), answers(make, log.take(~unknown)), strict=True):
        np.testing.assert_array_equal(got, wanted)


@every_source
def test_what_is_hidden_speaks_for_nothing(make: Callable[[], Retriever]) -> None:
    log = people()
    hidden = log.kind == VIEW
    with_hides = replace(log, kind=np.where(hidden, HIDE, log.kind).astype(np.int8))
    for got, wanted in zip(answers(make, with_hides), answers(make, log.take(~hidden)), strict=True):
        np.testing.assert_array_equal(got, wanted)
    source = make().fit(ITEMS, log)
    assert np.all(source.retrieve(asked([[(0, HIDE, 0.0)]]), 3, None)[0] == -1)


@every_source
def test_looks_teach_too_unless_left_out(make: Callable[[], Retriever]) -> None:
    pairs = (("abc", (2, 7)), ("de", (5, 6)))
    log = log_of(ITEMS, [(0.0, who, VIEW, item) for shoppers, both in pairs for who in shoppers for item in both])
    requests = asked([[(2, VIEW, 0.0)]])
    learned = make().fit(ITEMS, log)
    ids, _ = learned.retrieve(requests, 5, None)
    assert next(item for item in ids[0].tolist() if item != 2) == 7
    buyers_only = type(learned)(learned.config.model_copy(update={"search_sessions": False})).fit(ITEMS, log)
    assert buyers_only.retrieve(requests, 1, None)[0].tolist() == [[-1]]


@every_source
def test_without_events_nothing_is_proposed(make: Callable[[], Retriever]) -> None:
    ids, _, every = answers(make, nothing(ITEMS))
    assert np.all(ids == -1)
    assert not every.any()


@pytest.mark.slow
def test_a_shop_names_them_in_its_settings(tmp_path: Path) -> None:
    """One word changes the source: the shop is built, saved, read again, and recommends with it."""
    path = make_shop(tmp_path, photos=False).root / "shop.toml"
    text = path.read_text(encoding="utf-8")
    assert "[retrieve.item_item]" in text
    text = text.replace("[retrieve.item_item", "[retrieve.bpr").replace("[retrieve.history", "[retrieve.user_user")
    path.write_text(text, encoding="utf-8")
    Shop.open(path.parent).build()
    shop = Shop.open(path.parent)
    liked = shop.items.find("p00")  # red, as every third
    requests = asked([[(liked, BUY, 1.0)]], now=1_701_500_000)
    for name in ("ease", "bpr", "user_user"):
        ids, _ = shop.engine.sources[name].retrieve(requests, 5, None)
        assert {shop.items.table["colour"][item] for item in ids[0].tolist()} == {"red"}
        column = shop.engine.candidates(requests).columns[name].astype(np.float32)
        assert np.isfinite(column).all()
        assert np.count_nonzero(column > 0) >= 5
        assert {name, f"{name}_of_best"} <= set(shop.engine.feature_names)
    assert "item_item" not in shop.engine.feature_names
    assert len(shop.recommend(k=5, shopper="A").results) == 5
