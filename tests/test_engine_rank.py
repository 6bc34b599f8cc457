"""One engine for one request and for many: a batch equals singles, however it is cut, and every score is explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from engine_shop import built_shop
from vetrina.core import DAY, EVENT_COLUMNS, EventLog, Filters, Query, Requests, Windows
from vetrina.engine import Engine, Ranked, Shop, explain
from vetrina.engine.flow import query
from vetrina.engine.ingest import read_canonical


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return built_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def log(shop: Shop) -> EventLog:
    return read_canonical(shop.root).log


Floats = npt.NDArray[np.float32]
QUERIES = [
    Query(),
    Query(text="red shoe"),
    Query(text="nothing that is here"),
    Query(like=4),
    Query(exclude_purchased=True),
    Query(text="bag", filters=Filters(colour="blue")),
    Query(filters=Filters(brand="Nord", price_max=40.0)),
    Query(text="shoe", filters=Filters(colour="green")),
    Query(like=7, filters=Filters(category="Hats")),
]


@pytest.fixture(scope="module")
def requests(shop: Shop, log: EventLog) -> Requests:
    """Every query of every shopper, and of nobody, at three times."""
    rng = np.random.default_rng(0)
    n = 6 * len(QUERIES)
    shopper = np.tile(np.arange(-1, 5, dtype=np.int32), len(QUERIES))
    now = rng.choice(log.time[[60, 200, -1]], n)
    return Requests(log.windows(shopper, now, 30), [QUERIES[row // 6] for row in range(n)], now)


def scores_of(ranked: Ranked) -> Floats:
    return np.asarray(ranked.lists.columns["score"], dtype=np.float32)


def assert_same(one: Ranked, other: Ranked) -> None:
    """The same items, or such as score the same to the last digit of a float32."""
    assert one.lists.offsets.tolist() == other.lists.offsets.tolist()
    np.testing.assert_allclose(scores_of(one), scores_of(other), atol=1e-5)
    equal = one.lists.item == other.lists.item
    np.testing.assert_allclose(one.features[equal], other.features[equal], rtol=1e-4, atol=1e-5)
    # Where the places of two are swapped their scores are equal, so few can be.
    assert equal.mean() > 0.9


def test_a_batch_equals_singles(shop: Shop, requests: Requests) -> None:
    batch = shop.engine.rank(requests, 8)
    assert len(batch.lists) == len(requests)
    sizes = batch.lists.sizes
    assert sizes[6 * 7 : 6 * 8].tolist() == [0] * 6  # nothing is green
    assert set(np.delete(sizes, range(6 * 7, 6 * 8))[: 6 * 5].tolist()) == {8}
    for number in range(len(requests)):
        part = slice(int(batch.lists.offsets[number]), int(batch.lists.offsets[number + 1]))
        single = shop.engine.rank(requests.slice(number, number + 1), 8)
        np.testing.assert_allclose(scores_of(single), scores_of(batch)[part], atol=1e-5)
        for item, other in zip(single.lists.item.tolist(), batch.lists.item[part].tolist(), strict=True):
            assert item == other or _scores(single)[item] == pytest.approx(_scores(single)[other], abs=1e-5)


def _scores(ranked: Ranked) -> dict[int, float]:
    return dict(zip(ranked.lists.item.tolist(), ranked.lists.columns["score"].tolist(), strict=True))


def test_how_a_batch_is_cut_does_not_matter(shop: Shop, requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shop.engine.rank(requests, 8)
    for size in (1, 7, 53, 54, 1000):
        monkeypatch.setattr("vetrina.engine.engine._CHUNK", size)
        assert_same(whole, shop.engine.rank(requests, 8))
    given = [np.arange(number % 5, 20, dtype=np.int32) for number in range(len(requests))]
    parts = shop.engine.rank(requests, 8, given)
    monkeypatch.undo()
    assert_same(parts, shop.engine.rank(requests, 8, given))


def test_an_empty_batch(shop: Shop, requests: Requests) -> None:
    ranked = shop.engine.rank(requests.slice(0, 0), 5)
    assert (len(ranked.lists), len(ranked.lists.item), len(ranked.features)) == (0, 0, 0)
    assert explain(shop.engine, requests.slice(0, 0), ranked) == []


def test_lists_are_in_order_without_repeats_and_inside_the_rules(shop: Shop, log: EventLog, requests: Requests) -> None:
    ranked = shop.engine.rank(requests, 24)
    table = shop.items.table
    for number, asked in enumerate(requests.queries):
        part = slice(int(ranked.lists.offsets[number]), int(ranked.lists.offsets[number + 1]))
        found, scores = ranked.lists.item[part].tolist(), scores_of(ranked)[part]
        assert np.all(np.diff(scores) <= 0)
        assert len(set(found)) == len(found)
        assert asked.like not in found
        if asked.filters.colour:
            assert all(table["colour"][item] == asked.filters.colour for item in found)
        if asked.filters.brand:
            assert all(table["brand"][item] == "Nord" and table["price"][item] <= 40 for item in found)
        if asked.exclude_purchased:
            window = requests.windows.slice(number, number + 1)
            assert not set(window.item[window.kind == 5].tolist()) & set(found)


def test_a_given_list_is_ordered_by_the_same_scores(shop: Shop, requests: Requests) -> None:
    engine = shop.engine
    free = [number for number, asked in enumerate(requests.queries) if asked.like < 0 and asked.filters == Filters()]
    for number in free:
        one = requests.slice(number, number + 1)
        ranked = engine.rank(one, 24)
        # The same candidates in another order: the same list comes back.
        assert_same(ranked, engine.rank(one, 24, [np.sort(ranked.lists.item)[::-1].copy()]))


def test_counts_are_brought_up_to_date_and_show_nothing_of_the_future(shop: Shop, log: EventLog) -> None:
    engine, middle = shop.engine, int(log.time[150])
    old = engine.observe(log.before(middle))
    buys = [(middle + hour * 3600, "someone", "purchase", "p05") for hour in range(48)]
    schema = {name: EVENT_COLUMNS[name] for name in ("time", "shopper", "kind", "item")}
    more = pl.DataFrame(buys, schema=schema, orient="row")
    more = more.with_columns(
        pl.lit(None, EVENT_COLUMNS[name]).alias(name) for name in EVENT_COLUMNS if name not in schema
    )
    both = EventLog.from_table(
        pl.concat([more.select(*EVENT_COLUMNS), read_canonical(shop.root).events.filter(pl.col("time") < middle)]),
        shop.items,
    )
    new = old.observe(both)
    bought = engine.feature_names.index("bought_14d")

    def bought_at(engine: Engine, time: int) -> float:
        ranked = engine.rank(Requests(Windows.empty(1), [Query()], np.array([time])), 24)
        row = ranked.lists.item.tolist().index(5)
        return float(np.expm1(ranked.features[row, bought]))

    later = middle + 4 * DAY
    assert bought_at(new, later) >= 48 > bought_at(old, later)
    assert bought_at(new, middle) == bought_at(old, middle)
    # Models stay as they are, and so does the engine that was asked.
    assert new.ranker is engine.ranker
    assert new.sources["item_item"] is engine.sources["item_item"]
    assert new.sources["popular"] is not engine.sources["popular"]
    assert bought_at(engine.observe(log), later) == bought_at(engine, later)


# --- explanations -------------------------------------------------------------


def test_shares_sum_to_the_score_in_every_kind_of_request(shop: Shop, requests: Requests) -> None:
    given = [np.array([1, 3, 5, 7], dtype=np.int32)] * len(requests)
    for lists in (None, given):
        ranked, reasons = query(shop.engine, requests, 8, lists)
        assert len(reasons) == len(ranked.lists.item) > 0
        sums = np.array([sum(reason.share for reason in one) for one in reasons], dtype=np.float32)
        np.testing.assert_allclose(sums, scores_of(ranked), atol=1e-5)
        for one in reasons:
            shares = [reason.share for reason in one]
            assert shares == sorted(shares, reverse=True)
            assert len({reason.kind for reason in one}) == len(one)
            assert all(reason.text for reason in one)


def test_evidence_is_true(shop: Shop, requests: Requests) -> None:
    """Words that are matched stand in the item's texts; past items stand in the window; counts are the window's."""
    ranked, reasons = query(shop.engine, requests, 8)
    ids, table = shop.items.ids, shop.items.table
    seen = dict.fromkeys(("words", "looks", "people", "history", "taste"), 0)
    for row, (number, item) in enumerate(zip(ranked.lists.row.tolist(), ranked.lists.item.tolist(), strict=True)):
        asked, window = requests.queries[number], requests.windows.slice(number, number + 1)
        told = {reason.kind: reason.evidence for reason in reasons[row]}
        past = {ids[one] for one in window.item.tolist()}

        text = f"{table['title'][item]} {table['category'][item]} {table['colour'][item]}".casefold()
        matched = told["words"].get("matched", [])
        assert matched == [word for word in asked.text.split() if word in text]
        seen["words"] += bool(matched)

        like = told["looks"].get("item")
        assert like == ids[asked.like] if asked.like >= 0 else like is None or like in past
        seen["looks"] += like is not None
        assert told["people"].get("item", "") in past | {""}
        seen["people"] += "item" in told["people"]
        bought = int(((window.item == item) & (window.kind == 5)).sum())
        assert told["history"].get("bought", 0) == bought
        seen["history"] += bought > 0
        for column, value in told["taste"].items():
            assert table[column][item] == value
            seen["taste"] += 1
    assert all(seen.values()), seen


def test_a_word_found_in_an_attribute_is_told(tmp_path: Path) -> None:
    from vetrina import create_shop

    products = tmp_path / "products.csv"
    rows = [f"s{n},Shirt number {n},{['linen', 'cotton'][n % 2]},{10 + n}" for n in range(12)]
    products.write_text("\n".join(["sku,name,material,price", *rows]), encoding="utf-8")
    create_shop(tmp_path / "shop", items_file=products)
    shop = Shop.open(tmp_path / "shop")
    shop.build()
    first = shop.search("linen shirt").results[0]
    (reason,) = [reason for reason in first.reasons if reason.kind == "words"]
    assert int(first.item[1:]) % 2 == 0
    assert reason.evidence == {"matched": ["linen", "shirt"]}


def test_what_a_shopper_did_is_said_as_it_was(shop: Shop) -> None:
    did = {"view": "viewed", "click": "clicked", "cart": "put in your cart", "purchase": "bought"}
    for kind, said in did.items():
        shop.record([{"shopper": kind, "kind": kind, "item": "p01"}])
        twin = next(one for one in shop.recommend(shopper=kind, k=24).results if one.item == "p13")
        (reason,) = [reason for reason in twin.reasons if reason.kind == "looks"]
        assert reason.evidence == {"item": "p01", "title": "Black shoe", "you": said}
        assert reason.text.endswith(f"“Black shoe” that you {said}")


def test_similar_items_are_like_the_item_and_not_merely_popular(shop: Shop) -> None:
    items = shop.items
    titles = dict(zip(items.ids, items.table["title"].to_list(), strict=True))
    for item, title in titles.items():
        colour, kind = title.lower().split()
        results = shop.similar(item, k=5).results
        assert item not in {result.item for result in results}
        alike = [kind in result.title.lower() or colour in result.title.lower() for result in results]
        assert sum(alike) >= 4, [result.title for result in results]
        assert kind in results[0].title.lower()
        for result in results:
            shares = {reason.kind: reason.share for reason in result.reasons}
            assert shares["looks"] == pytest.approx(result.score, abs=1e-5)
            assert shares["popularity"] == 0
