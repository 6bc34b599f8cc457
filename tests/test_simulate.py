"""Simulated shoppers: a known truth, and a log that follows from it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vetrina.core import DAY, EVENT_COLUMNS, Config, ItemList, Items
from vetrina.core.errors import ConfigError, DataError, MissingFile, RequestError
from vetrina.simulate import Simulation, SimulationConfig, simulate
from vetrina.simulate.language import Vocabulary, singular
from vetrina.simulate.looks import measure_looks
from vetrina.simulate.settings import Listing, Traffic, Writing

END = 1_760_000_000
KINDS = ["Shoes > Trainers", "Shoes > Boots", "Clothing > Tops > Shirts", "Clothing > Tops > T-shirts",
         "Clothing > Dresses", "Accessories > Scarves"]  # fmt: skip
COLOURS = ["Black", "Navy Blue", "Blue", "Red", "White"]
BRANDS = ["Aldermoor", "Lindqvist Bay", "Corvina", "Orsetta", "Fennick"]
GENDERS = ["Women", "Men", "Unisex"]


def make_items(n: int = 240, **columns: pl.Series) -> Items:
    rng = np.random.default_rng(1)
    kind, colour, brand, gender = (rng.choice(values, size=n) for values in (KINDS, COLOURS, BRANDS, GENDERS))
    words = rng.choice(["linen", "striped", "suede", "classic"], size=n)
    titles = [
        f"{b} {g} {c} {w} {k.split(' > ')[-1]}"
        for b, g, c, w, k in zip(brand, gender, colour, words, kind, strict=True)
    ]
    table = pl.DataFrame(
        {
            "item": [f"p{k}" for k in range(n)],
            "title": titles,
            "description": [""] * n,
            "category": kind,
            "brand": brand,
            "colour": colour,
            "price": rng.lognormal(4, 0.5, size=n).round(2),
            "in_stock": rng.random(n) < 0.95,
            "available_at": pl.Series([None] * n, dtype=pl.Int64),
            "photo": [""] * n,
            "more_photos": [[]] * n,
            "audio": [""] * n,
            "video": [""] * n,
            "gender": gender,
        }
    )
    return Items(table.with_columns(**columns))


CONFIG = SimulationConfig(n_shoppers=250, days=30, seed=7, traffic=Traffic(sessions_per_week=4))


@pytest.fixture(scope="module")
def items() -> Items:
    return make_items()


@pytest.fixture(scope="module")
def made(items: Items) -> Simulation:
    return simulate(items, None, CONFIG, END)


def test_the_log_is_a_canonical_event_table(made: Simulation) -> None:
    events = made.events
    assert events.schema == pl.Schema(EVENT_COLUMNS)
    assert events["time"].is_sorted()
    assert events["time"].min() >= made.start == END - 30 * DAY  # type: ignore[operator]
    assert events["time"].max() < END  # type: ignore[operator]
    assert set(events["kind"]) == {"impression", "search", "click", "cart", "purchase"}
    assert events["shopper"].str.contains(r"^shopper-\d{4}$").all()
    searches = events.filter(pl.col("kind") == "search")
    assert searches["item"].null_count() == searches.height
    assert searches["query"].null_count() == 0


def test_events_of_one_list_hang_together(made: Simulation) -> None:
    by_request = made.events.group_by("request").agg(
        pl.col("shopper").n_unique().alias("shoppers"), pl.col("query").n_unique().alias("queries"),
        (pl.col("kind") == "impression").sum().alias("shown"), (pl.col("kind") == "search").sum().alias("searches"),
        pl.col("query").is_not_null().any().alias("asked"),
    )  # fmt: skip
    assert by_request.height == made.requests.height
    assert (
        by_request.select(
            (pl.col("shoppers") == 1).all(), (pl.col("queries") == 1).all(), (pl.col("shown") == 20).all()
        ).row(0)
        == (True,) * 3
    )
    assert (by_request["searches"] == by_request["asked"].cast(pl.UInt32)).all()
    shown = made.events.filter(pl.col("kind") == "impression")
    assert shown.select("request", "position").is_unique().all()
    assert shown.select("request", "item").is_unique().all()
    key = ["request", "item", "position", "shopper"]
    chain = [made.events.filter(pl.col("kind") == kind) for kind in ("impression", "click", "cart", "purchase")]
    for earlier, later in itertools.pairwise(chain):
        joined = later.join(earlier, on=key, how="left", suffix="_before")
        assert 0 < later.height == joined.height < earlier.height
        assert (joined["time"] >= joined["time_before"]).all()  # null, and so not all, where nothing came before


def test_the_chance_of_an_impression_is_known_where_the_list_is_in_random_order(made: Simulation) -> None:
    events = made.events.join(made.requests.select("request", "shuffled"), on="request")
    shown = events.filter(pl.col("kind") == "impression")
    assert 0.1 < shown["shuffled"].mean() < 0.2  # type: ignore[operator]
    assert shown.filter("shuffled")["propensity"].eq(1 / 20).all()
    assert shown.filter(~pl.col("shuffled"))["propensity"].null_count() == shown.filter(~pl.col("shuffled")).height
    others = events.filter(pl.col("kind") != "impression")
    assert others["propensity"].null_count() == others.height


def test_prices_are_the_catalogues(made: Simulation) -> None:
    acted = made.events.filter(pl.col("kind").is_in(["click", "cart", "purchase"]))
    price = acted.join(made.items.table.select("item", pl.col("price").alias("tag")), on="item")
    assert np.allclose(price["price"], price["tag"], rtol=1e-6)
    assert made.events.filter(pl.col("kind") == "purchase")["quantity"].eq(1).all()


def test_same_seed_same_log_and_another_seed_another(items: Items, made: Simulation) -> None:
    again = simulate(items, None, CONFIG, END)
    assert again.events.equals(made.events)
    assert again.shoppers.equals(made.shoppers)
    other = simulate(items, None, CONFIG.model_copy(update={"seed": 8}), END)
    assert not other.events.equals(made.events)


def test_nothing_is_shown_before_it_is_on_sale_or_out_of_stock(made: Simulation) -> None:
    table = made.items.table
    late = table.filter(pl.col("available_at") > made.start)
    assert late.height == round(0.15 * table.height)
    shown = made.events.filter(pl.col("item").is_not_null()).join(
        table.select("item", "available_at", "in_stock"), on="item"
    )
    assert shown.filter(pl.col("time") < pl.col("available_at")).height == 0
    assert shown["in_stock"].all()
    seen = late.filter("in_stock").join(shown.select("item").unique(), on="item", how="semi")
    assert seen.height > 0.7 * late.height


def test_a_date_of_the_shops_own_is_kept(items: Items) -> None:
    own = pl.Series([END - DAY if k == 0 else None for k in range(240)], dtype=pl.Int64)
    made = simulate(make_items(available_at=own), None, SimulationConfig(n_shoppers=20, days=5), END)
    assert made.items.available_at[0] >= END - DAY


def test_shoppers_come_only_after_they_arrive(made: Simulation) -> None:
    first = made.requests.group_by("shopper").agg(pl.col("time").min())
    joined = first.join(made.shoppers, on="shopper")
    day = (joined["time"] - made.start) // DAY
    assert (day >= joined["arrives_on_day"]).all()
    assert 0.3 < (made.shoppers["arrives_on_day"] >= 0).mean() < 0.5  # type: ignore[operator]


def test_rates_are_plausible(made: Simulation) -> None:
    counts = dict(made.events["kind"].value_counts().iter_rows())
    assert 0.05 < counts["click"] / counts["impression"] < 0.15
    bought = made.events.filter(pl.col("kind") == "purchase")["request"].n_unique()
    assert 0.03 < bought / made.requests.height < 0.12


def test_position_bias_shows_on_shuffled_lists(items: Items) -> None:
    config = CONFIG.model_copy(update={"listing": Listing(shuffled=1.0)})
    made = simulate(items, None, config, END)
    shown = np.bincount(made.events.filter(pl.col("kind") == "impression")["position"], minlength=21)[1:]
    clicked = np.bincount(made.events.filter(pl.col("kind") == "click")["position"], minlength=21)[1:]
    assert np.allclose(made.true_examination, np.arange(1, 21) ** -0.5)

    def worst(curve: np.ndarray) -> float:
        """The largest deviation from the curve, in standard errors of a binomial share."""
        rate = curve * clicked.sum() / (curve * shown).sum()
        return float(np.max(np.abs(clicked / shown - rate) / np.sqrt(rate * (1 - rate) / shown)))

    assert worst(made.true_examination) < 3.5
    assert worst(np.arange(1, 21) ** -0.4) > 3.5  # the data do tell apart a curve that is a little flatter
    assert worst(np.ones(20)) > 15


def ndcg(scores: np.ndarray, gains: np.ndarray) -> float:
    """NDCG@10 written out."""
    order = sorted(range(len(scores)), key=lambda k: -scores[k])[:10]
    best = sorted(gains, reverse=True)[:10]
    ideal = sum(gain / np.log2(place + 2) for place, gain in enumerate(best))
    return float(sum(gains[k] / np.log2(place + 2) for place, k in enumerate(order)) / ideal)


def test_true_utility_ranks_held_out_clicks_above_the_logging_policy_and_chance(made: Simulation) -> None:
    held_out = made.events.filter((pl.col("time") >= made.end - 8 * DAY) & pl.col("query").is_not_null())
    rng = np.random.default_rng(0)
    scores = []
    for (shopper, query, _), group in held_out.group_by("shopper", "query", "request", maintain_order=True):
        shown = group.filter(pl.col("kind") == "impression").sort("position")
        clicked = shown["item"].is_in(group.filter(pl.col("kind") == "click")["item"].to_list()).to_numpy()
        if clicked.any():
            utility = made.true_utility([str(shopper)], str(query))[0]
            worth = utility[made.items.positions(shown["item"])]
            relevance = made.true_relevance(str(query))[made.items.positions(shown["item"])]
            gains = clicked.astype(float)
            scores.append([ndcg(s, gains) for s in (worth, relevance, -np.arange(20), rng.random(20))])
    truth, relevance_only, logging, chance = np.array(scores).T
    assert len(scores) > 300
    # Ties in relevance fall to the list's order, and so to position bias: the best that needs no shopper.
    for better, worse, margin in ((truth, logging, 0.08), (truth, relevance_only, 0.02), (logging, chance, 0.15)):
        difference = better - worse
        assert difference.mean() - 2.6 * difference.std() / np.sqrt(len(difference)) > 0
        assert difference.mean() > margin


def test_utility_is_relevance_times_taste(made: Simulation) -> None:
    names = ["shopper-0003", "shopper-0004"]
    taste, utility = made.true_utility(names), made.true_utility(names, "black shoes for men")
    assert taste.shape == utility.shape == (2, 240)
    assert taste.dtype == utility.dtype == np.float32
    assert np.allclose(utility, taste * made.true_relevance("black shoes for men"))
    assert taste.min() >= 0
    assert taste.max() <= 1
    assert list(np.argsort(-utility[0])[:10]) != list(np.argsort(-utility[1])[:10])


def test_relevance_follows_the_stated_factors(made: Simulation) -> None:
    table, rules = made.items.table, made.config.relevance
    value = made.true_relevance("blue shirt for women")
    for row, got in zip(table.iter_rows(named=True), value, strict=True):
        kind = {"Clothing > Tops > Shirts": 1.0, "Clothing > Tops > T-shirts": rules.sibling}.get(row["category"])
        if kind is None:
            kind = rules.department if row["category"].startswith("Clothing") else 0.0
        colour = {"Blue": 1.0, "Navy Blue": rules.near_colour}.get(row["colour"], rules.other_colour)
        gender = {"Women": 1.0, "Unisex": rules.unisex}.get(row["gender"], rules.other_gender)
        assert got == pytest.approx(kind * colour * gender, rel=1e-5)
    shoes = made.true_relevance("shoes")
    assert np.array_equal(shoes == 1, table["category"].str.starts_with("Shoes").to_numpy())


@settings(max_examples=80, deadline=None)
@given(wanted=st.integers(0, 239), seed=st.integers(0, 10_000))
def test_a_query_always_describes_what_its_writer_wanted(wanted: int, seed: int) -> None:
    vocabulary = _vocabulary()
    chances = Writing(colour=0.5, gender=0.5, brand=0.5, detail=0.5, broader=0.3, synonym=0.3)
    intent = vocabulary.parse(vocabulary.write(wanted, chances, np.random.default_rng(seed)))
    match = vocabulary.type_match(0.25, 0.05)
    assert match[intent.phrase, vocabulary.type[wanted]] == 1
    for said, own in (
        (intent.colour, vocabulary.colour),
        (intent.gender, vocabulary.gender),
        (intent.brand, vocabulary.brand),
    ):
        assert said in (-1, own[wanted])
    for term in intent.words:
        start, stop = vocabulary.postings.indptr[vocabulary.terms[term] : vocabulary.terms[term] + 2]
        assert wanted in vocabulary.postings.indices[start:stop]


_kept: list[Vocabulary] = []


def _vocabulary() -> Vocabulary:
    if not _kept:
        _kept.append(Vocabulary(make_items()))
    return _kept[0]


def test_words_of_a_query_are_understood_in_any_order_and_number() -> None:
    vocabulary = _vocabulary()
    first = vocabulary.parse("Red T-Shirts for women")
    assert first == vocabulary.parse("women's red t shirt") == vocabulary.parse("women red t-shirt")
    tee = vocabulary.parse("red tee women")  # a synonym is another phrase for the same types
    match = vocabulary.type_match(0.25, 0.05)
    assert np.array_equal(match[tee.phrase], match[first.phrase])
    assert vocabulary.parse("navy blue boots").colour == vocabulary.colours.index("Navy Blue")
    assert vocabulary.parse("something else entirely").phrase == -1
    assert vocabulary.parse("").words == ()
    assert [singular(noun) for noun in ("dresses", "t-shirts", "trousers", "glass", "boxes")] == [
        "dress",
        "t-shirt",
        "trousers",
        "glass",
        "box",
    ]


def shown_lists(made: Simulation, length: int = 20) -> tuple[ItemList, pl.DataFrame]:
    """The first places of what was shown, and who asked for it."""
    rows = made.events.filter((pl.col("kind") == "impression") & (pl.col("position") <= length)).sort(
        "request", "position"
    )
    items = made.items.positions(rows["item"].to_list()).reshape(-1, length)
    return ItemList.from_lists(list(items)), made.requests.sort("request")


def test_the_true_ctr_of_a_policy_is_examination_times_attraction(made: Simulation) -> None:
    requests = pl.DataFrame({"shopper": ["shopper-0003", "shopper-0009"], "query": ["red boots", None]})
    lists = ItemList.from_lists([np.array([7, 3, 100], dtype=np.int32), np.array([5], dtype=np.int32)])
    clicks = made.config.clicks
    expected, bought = [], 0.0
    for shopper, query, items in (("shopper-0003", "red boots", [7, 3, 100]), ("shopper-0009", None, [5])):
        for place, item in enumerate(items, start=1):
            utility = float(made.true_utility([shopper], query)[0, item])
            chance = place**-0.5 * (0.012 + (0.85 - 0.012) * utility)
            expected.append(chance)
            bought += chance * clicks.cart * utility * clicks.purchase
    assert made.true_clicks(lists, requests) == pytest.approx(expected, rel=1e-5)
    assert made.true_ctr(lists, requests) == pytest.approx(sum(expected) / 4, rel=1e-5)
    assert made.true_cvr(lists, requests) == pytest.approx(bought / sum(expected), rel=1e-5)


def test_what_happened_is_drawn_from_the_true_chances(made: Simulation) -> None:
    """Monte Carlo: the clicks of the log, and of shuffled lists, of the lists that were shown."""
    lists, requests = shown_lists(made)
    counts = dict(made.events["kind"].value_counts().iter_rows())
    chance = made.true_clicks(lists, requests)
    z = (counts["click"] - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())
    assert abs(z) < 3
    assert made.true_ctr(lists, requests) == pytest.approx(counts["click"] / counts["impression"], rel=0.03)
    assert made.true_cvr(lists, requests) == pytest.approx(counts["purchase"] / counts["click"], rel=0.15)
    # The best first: who knows the truth gets more clicks from the same products, and the reverse fewer.
    attraction = chance / made.true_examination[np.arange(len(chance)) % 20]
    lists.columns |= {"best": attraction, "worst": -attraction}
    best = made.true_ctr(lists.sorted_by("best"), requests)
    assert made.true_ctr(lists.sorted_by("worst"), requests) < made.true_ctr(lists, requests) < best


def test_the_true_ctr_of_what_cannot_be_said(made: Simulation) -> None:
    one = ItemList.from_lists([np.array([7], dtype=np.int32)])
    with pytest.raises(DataError, match="2 requests were given for 1 lists"):
        made.true_ctr(one, made.requests.head(2))
    with pytest.raises(DataError, match="at least one product"):
        made.true_ctr(ItemList.from_lists([]), made.requests.head(0))
    with pytest.raises(RequestError, match="'nobody' is not simulated here"):
        made.true_ctr(one, pl.DataFrame({"shopper": ["nobody"], "query": ["hat"]}))


def test_what_is_written_is_read_back(made: Simulation, items: Items, tmp_path: Path) -> None:
    folder = made.write(tmp_path / "truth")
    back = Simulation.read(folder, items)
    for name in ("events", "requests", "shoppers", "traits"):
        assert getattr(back, name).equals(getattr(made, name))
    assert back.config == made.config
    assert np.array_equal(back.items.available_at, made.items.available_at)
    names = made.shoppers["shopper"].to_list()[:5]
    assert np.array_equal(back.true_utility(names, "red boots"), made.true_utility(names, "red boots"))
    header = json.loads((folder / "simulation.json").read_text(encoding="utf-8"))
    assert header["simulated"] is True
    assert header["config"] == json.loads(made.config.model_dump_json())
    assert header["counts"]["click"] == (made.events["kind"] == "click").sum()
    assert header["taste"]["colour"] == sorted(COLOURS)
    with pytest.raises(DataError, match="another catalogue"):
        Simulation.read(folder, make_items(10))
    with pytest.raises(MissingFile, match=r"simulation\.json does not exist"):
        Simulation.read(tmp_path, items)


def test_the_tables_say_who_likes_what(made: Simulation) -> None:
    colours = sorted(COLOURS)
    for row in made.shoppers.head(20).iter_rows(named=True):
        values = dict(zip(colours, row["taste_colour"], strict=False))
        assert row["favourite_colours"] == sorted(colours, key=lambda name: -values[name])[:3]
        assert "Unisex" in row["favourite_sections"]


def test_any_catalogue_will_do(tmp_path: Path) -> None:
    n = 60
    bare = make_items(
        n, category=pl.Series([""] * n), brand=pl.Series([""] * n), colour=pl.Series([""] * n),
        price=pl.Series([None] * n, dtype=pl.Float64), photo=pl.Series(["none.jpg"] * n),
    )  # fmt: skip
    made = simulate(Items(bare.table.drop("gender")), tmp_path, SimulationConfig(n_shoppers=40, days=10), END)
    assert (made.events["kind"] == "click").any()
    assert made.requests["query"].drop_nulls().len() > 0
    assert made.write(tmp_path / "bare").is_dir()


def test_a_catalogue_shorter_than_a_list_is_shown_whole() -> None:
    made = simulate(make_items(6, in_stock=pl.Series([True] * 6)), None, SimulationConfig(n_shoppers=30, days=5), END)
    shown = made.events.filter(pl.col("kind") == "impression").group_by("request").len()["len"]
    assert 0 < shown.max() <= 6  # type: ignore[operator]


def test_looks_are_measured_and_missing_photos_are_neutral(tmp_path: Path) -> None:
    for name, colour in (("dark", (20, 20, 20)), ("light", (200, 200, 200)), ("red", (200, 20, 20))):
        Image.new("RGB", (60, 80), colour).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("not a photo")
    photos = ["dark.png", "light.png", "red.png", "text.png", "absent.png", ""]
    looks = measure_looks(make_items(6, photo=pl.Series(photos)), tmp_path)
    assert looks.shape == (6, 5)
    assert not looks[3:].any()
    assert np.allclose(looks[:3].mean(axis=0), 0, atol=1e-5)
    assert looks[1, 0] == looks[:3, 0].max()  # the light one is the brightest
    assert looks[2, 1] == looks[:3, 1].max() == looks[2, 1]  # the red one the most saturated
    assert looks[2, 2] == looks[:3, 2].max()  # and the warmest
    assert not measure_looks(make_items(6, photo=pl.Series(photos)), None).any()


def test_mistakes_are_named(made: Simulation) -> None:
    with pytest.raises(ConfigError, match=r"simulation\.clicks\.decai is not a setting\. Did you mean 'decay'"):
        SimulationConfig.parse({"clicks": {"decai": 1}}, "simulation")
    with pytest.raises(RequestError, match="'shopper-9' is not simulated here"):
        made.true_utility(["shopper-9"])
    with pytest.raises(DataError, match="the catalogue is empty"):
        simulate(make_items(0), None, CONFIG, END)
    with pytest.raises(DataError, match="no item is in stock"):
        simulate(make_items(3, in_stock=pl.Series([False] * 3)), None, CONFIG, END)


def test_the_documentation_states_every_parameter_and_its_default() -> None:
    page = Path(__file__).parents[1] / "docs/explanation/simulation.md"
    text = page.read_text(encoding="utf-8")
    for group, model in SimulationConfig():
        if not isinstance(model, Config):
            assert f"`{group}`" in text
            continue
        section = text.split(f"### `{group}`")[1].split("\n### ")[0]
        for name, default in model:
            assert f"| `{name}` | {default} |" in section
