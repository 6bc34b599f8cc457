"""The shop from Python: any request is answered or refused in one line, and what is recorded counts at once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine_shop import built_shop, edit_products, make_shop
from vetrina import ConfigError, Filters, Ranking, RequestError, Shop, UnknownItem

NOW = int(time.time())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_shop(tmp_path_factory.mktemp("shop")).root.parent


@pytest.fixture
def shop(built: Path) -> Shop:
    """The built shop, to be asked only."""
    return Shop.open(built / "shop")


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Shop:
    """A copy, to be changed."""
    return Shop.open(shutil.copytree(built, tmp_path / "copy") / "shop")


def order(ranking: Ranking) -> list[str]:
    return [result.item for result in ranking.results]


@pytest.mark.parametrize("k", [0, -1, 1001, 10**9])
def test_k_must_be_a_number_of_results(shop: Shop, k: int) -> None:
    calls: list[Callable[[], Ranking]] = [
        lambda: shop.search("hat", k=k),
        lambda: shop.recommend(k=k),
        lambda: shop.similar("p00", k=k),
        lambda: shop.rank(["p00", "p01"], k=k),
    ]
    for call in calls:
        with pytest.raises(RequestError, match=f"between 1 and 1000. Got {k}"):
            call()


def test_more_results_than_items_are_all_items_once(shop: Shop) -> None:
    for ranking in (shop.search("hat", k=1000), shop.recommend(k=1000, shopper="A")):
        assert sorted(order(ranking)) == sorted(shop.items.ids)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("hat \U0001f452", "hat \U0001f452"),
        ("hat\x00\x07\x1b[2J\r\n hat", "hat [2J hat"),
        ("\u202ehat\u202c \u05db\u05d5\u05d1\u05e2", "hat \u05db\u05d5\u05d1\u05e2"),
        ("hat \ud83d", "hat ?"),  # half of an emoji, as JavaScript cuts it
        ("\uff28\uff21\uff34", "\uff28\uff21\uff34"),
    ],
    ids=["emoji", "control", "right to left", "half a character", "full width"],
)
def test_odd_characters_do_not_hide_the_words(shop: Shop, text: str, asked: str) -> None:
    ranking = shop.search(text, k=6)
    assert ranking.query == asked
    assert ranking.notes == []
    assert all(result.title.endswith("hat") for result in ranking.results)


@pytest.mark.parametrize("text", ["", "  \n", "\x00\x1b", "\U0001f452", "!?", "\ud83d"])
def test_a_query_without_words_is_a_recommendation_and_says_so(shop: Shop, text: str) -> None:
    ranking = shop.search(text, shopper="A")
    assert ranking.notes == ["The query has no readable word: these are recommendations."]
    assert order(ranking) == order(shop.recommend(shopper="A"))


def test_ten_thousand_characters_are_cut_and_still_find(shop: Shop) -> None:
    for text in ("blue bag " * 1200, "blue bag " + "x" * 10_000):
        ranking = shop.search(text, k=3)
        assert len(ranking.query) <= 512
        assert ranking.notes == ["The query was cut at 512 characters."]
        assert [result.title for result in ranking.results[:2]] == ["Blue bag", "Blue bag"]


def test_a_shopper_never_seen_gets_good_results_that_are_not_personal(shop: Shop) -> None:
    for name in ("nobody", "", None, "\udcff", "x" * 10_000, "a\x00b"):
        found, anybody = shop.search("red shoe", shopper=name), shop.search("red shoe")
        assert not found.personal
        assert order(found) == order(anybody)
        assert {result.title for result in found.results[:2]} == {"Red shoe"}
    assert shop.search("red shoe", shopper="A").personal


def test_an_item_that_is_not_there_is_named(shop: Shop) -> None:
    with pytest.raises(UnknownItem, match=r"No item 'p0l'.*Did you mean"):
        shop.similar("p0l")
    with pytest.raises(UnknownItem, match="none of the 2 ids is in the catalogue, for example 'x'"):
        shop.rank(["x", "y"])
    with pytest.raises(RequestError, match=r"1 to 1000 ids can be ranked at once\. Got 0"):
        shop.rank([])
    with pytest.raises(RequestError, match="no such attribute"):
        shop.search("hat", filters=Filters(attributes={"season": "Summer"}))


def test_another_engines_list_is_ordered_anew(shop: Shop) -> None:
    ranking = shop.rank(["p03", "p01", "nope", "p02", "p01", "n\udcffpe"], text="blue hat", shopper="C")
    assert sorted(order(ranking)) == ["p01", "p02", "p03"]
    assert order(ranking)[0] == "p02"
    assert ranking.notes == ["Not in the catalogue, left out: nope, n?pe"]
    assert len(shop.rank(["p03", "p01", "p02"], k=2).results) == 2


def test_of_equal_items_one_is_shown_and_the_other_named(own: Shop) -> None:
    edit_products(own, {"p13": {"price": "12.5"}})  # now p13 is p01 again
    own.build()
    ranking = own.rank(["p01", "p05", "p13"])
    shown = order(ranking)
    assert len(shown) == 2
    (left,) = {"p01", "p13"} - set(shown)
    assert ranking.notes == [f"Equal to an item that ranks higher, left out: {left}"]
    assert not {"p01", "p13"} <= set(order(own.recommend(k=100)))


def test_prices_that_are_none(own: Shop) -> None:
    edit_products(own, {"p00": {"price": "NaN"}, "p01": {"price": "inf"}, "p02": {"price": "-3"}, "p03": {"price": ""}})
    own.build()
    results = {result.item: result for result in own.recommend(k=24, shopper="A").results}
    assert len(results) == 24
    assert [results[item].price for item in ("p00", "p01", "p02", "p03", "p04")] == [None, None, None, None, 20.0]
    assert own.similar("p00", shopper="A").results
    cheap = own.search("dress", filters=Filters(price_max=1000.0), k=24)
    assert not {"p00", "p01", "p02", "p03"} & set(order(cheap))


GOOD = {"shopper": "new", "kind": "click", "item": "p00"}


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ({**GOOD, "item": "zz"}, UnknownItem, r"events\[1\]\.item: no item 'zz' in the catalogue of 24"),
        ({"kind": "click", "item": "p00"}, RequestError, r"events\[1\]\.shopper: Field required"),
        ({"shopper": "new", "item": "p00"}, RequestError, r"events\[1\]\.kind: Field required"),
        ({"shopper": "new", "kind": "click"}, RequestError, r"events\[1\]\.item: a click needs the item"),
        ({**GOOD, "shopper": ""}, RequestError, r"events\[1\]\.shopper: .*at least 1 character"),
        ({**GOOD, "shopper": "\udcff"}, RequestError, r"events\[1\]\.shopper"),
        ({**GOOD, "shopper": "x" * 10_000}, RequestError, r"events\[1\]\.shopper: .*at most 256.*10,002 characters"),
        ({**GOOD, "kind": "clic"}, RequestError, r"Did you mean 'click'\? Known: impression, search"),
        ({**GOOD, "positoin": 1}, RequestError, r"events\[1\]\.positoin: .*Did you mean 'position'"),
        ({**GOOD, "time": NOW * 1000}, RequestError, r"events\[1\]\.time: .*milliseconds: divide by 1000"),
        ({**GOOD, "time": NOW + 10**7}, RequestError, r"events\[1\]\.time: \d+ is 115\.\d days in the future"),
        ({**GOOD, "time": 12}, RequestError, "not in epoch seconds between 1990 and 2100"),
        ({**GOOD, "time": "yesterday"}, RequestError, r"events\[1\]\.time: .*integer"),
        ({**GOOD, "kind": "rate"}, RequestError, r"events\[1\]\.rating: .*needs a rating from 1 to 5"),
        ({**GOOD, "kind": "rate", "rating": 6}, RequestError, r"events\[1\]\.rating: .*less than or equal to 5"),
        ({**GOOD, "rating": 0.5}, RequestError, r"events\[1\]\.rating: .*greater than or equal to 1"),
        ({**GOOD, "price": float("nan")}, RequestError, r"events\[1\]\.price: .*finite number"),
        ({**GOOD, "price": float("inf")}, RequestError, r"events\[1\]\.price: .*finite number"),
        ({**GOOD, "price": -1}, RequestError, r"events\[1\]\.price"),
        ({**GOOD, "quantity": 0}, RequestError, r"events\[1\]\.quantity"),
        ({**GOOD, "position": 0}, RequestError, r"events\[1\]\.position"),
        ({**GOOD, "propensity": 0}, RequestError, r"events\[1\]\.propensity: .*greater than 0"),
        ({**GOOD, "propensity": 1.01}, RequestError, r"events\[1\]\.propensity: .*less than or equal to 1"),
        ("click", RequestError, r"events\[1\]: an event is an object"),
        (None, RequestError, r"events\[1\]: an event is an object"),
    ],
)
def test_one_wrong_event_and_none_is_recorded(shop: Shop, bad: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        shop.record([GOOD, bad, GOOD])
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
    assert not shop.recommend(shopper="new").personal


def test_an_event_counts_from_the_next_request_on(own: Shop) -> None:
    def reds() -> int:
        return sum(result.colour == "red" for result in own.recommend(shopper="new", k=8).results)

    assert not own.recommend(shopper="new").personal
    before = reds()
    assert own.record([{**GOOD, "item": item} for item in ("p00", "p12", "p06")]) == 3
    assert own.recommend(shopper="new").personal
    assert reds() > before
    # A search names no item, and a clock that is ahead does no harm.
    assert own.record([{"shopper": "new", "kind": "search", "query": "hat"}]) == 1
    assert own.record([{**GOOD, "kind": "purchase", "item": "p03", "time": int(time.time()) + 3600}]) == 1
    assert "p03" not in order(own.recommend(shopper="new", k=24, exclude_purchased=True))
    assert own.record([{**GOOD, "kind": "hide", "item": "p12"}]) == 1
    assert "p12" not in order(own.search("red dress", shopper="new", k=24))
    assert own.record([]) == 0
    # Another process, or this one after a restart, sees the same.
    assert order(Shop.open(own.root).recommend(shopper="new")) == order(own.recommend(shopper="new"))


def test_what_was_recorded_is_learned_from(own: Shop) -> None:
    own.record([{**GOOD, "item": "p05", "kind": "purchase", "shopper": f"buyer {n}"} for n in range(40)])
    rows = own.build()["metrics"]["rows"]
    assert rows["events"] == 300  # of the shop's own file
    yesterday = [
        {**GOOD, "item": "p07", "kind": "purchase", "shopper": f"b{n}", "time": NOW - 86_400} for n in range(40)
    ]
    own.record(yesterday)
    own.build()
    shown = {result.item: result for result in own.recommend(k=24).results}
    facts = {item: _facts(shown[item].model_dump(), "popularity") for item in ("p05", "p07", "p09")}
    assert facts["p07"]["bought_last_14_days"] == 40
    assert facts["p09"]["bought_last_14_days"] == 0


def _facts(result: Mapping[str, Any], kind: str) -> dict[str, Any]:
    (reason,) = [reason for reason in result["reasons"] if reason["kind"] == kind]
    evidence: dict[str, Any] = reason["evidence"]
    return evidence


@pytest.mark.parametrize(("events", "photos"), [(False, True), (True, False), (False, False)])
def test_a_shop_that_lacks_something_answers_everything(tmp_path: Path, events: bool, photos: bool) -> None:
    shop = make_shop(tmp_path, events=events, photos=photos)
    shop.build()
    assert shop.search("black hat").results[0].title == "Black hat"
    assert "p00" not in order(shop.similar("p00"))
    assert len(shop.recommend(shopper="A").results) == 10
    assert shop.recommend(shopper="A").personal is events
    assert sorted(order(shop.rank(["p01", "p02"]))) == ["p01", "p02"]
    assert (shop.photo_path("p00") is not None) is photos
    shop.record([GOOD])
    assert shop.recommend(shopper="new").personal


def test_a_shop_without_words_or_anything_but_ids(tmp_path: Path) -> None:
    from vetrina import create_shop

    products = tmp_path / "products.csv"
    products.write_text("sku\n" + "\n".join(f"p{n}" for n in range(5)), encoding="utf-8")
    create_shop(tmp_path / "shop", items_file=products)
    shop = Shop.open(tmp_path / "shop")
    shop.build()
    for ranking in (shop.search("anything"), shop.recommend(shopper="A"), shop.similar("p0"), shop.rank(["p1", "p2"])):
        assert ranking.results
        for result in ranking.results:
            assert sum(reason.share for reason in result.reasons) == pytest.approx(result.score, abs=1e-5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("[rank]\nfeatures = []", r"rank\.features: .*at least 1 item"),
        ("[rank]\ngains = {clik = 1.0}", r"rank\.gains\.clik is not a setting.*Did you mean 'click'"),
        ("[rank]\ngains = {click = -1.0}", r"rank\.gains\.click: .*greater than or equal to 0"),
        ("[retrieve]", r"retrieve: .*at least 1 item"),
        ("[build]\nseed = -1", r"build\.seed: .*greater than or equal to 0"),
        ('[encode."../elsewhere"]\nencoder = "tfidf"', r"encode\.\.\./elsewhere: a modality is named by a-z"),
        ('[encode.fused]\nencoder = "tfidf"', r"encode\.fused: a modality is named by"),
    ],
)
def test_settings_that_no_build_could_use_are_refused_when_the_shop_is_opened(
    tmp_path: Path, setting: str, said: str
) -> None:
    (tmp_path / "shop.toml").write_text(f'[items]\nfile = "p.csv"\nitem = "sku"\n{setting}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        Shop.open(tmp_path)
