"""Tuning: the planted optimum is found on the validation slice, nothing is seen of the test, every trial is told."""

import logging
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest

from commands import Vetrina
from engine_shop import make_shop
from vetrina import Shop
from vetrina.core import DAY, EVENT_COLUMNS, ITEM_COLUMNS, Choice, EventLog, Items, Real, Silent, Space, Whole
from vetrina.core.errors import ConfigError, DataError
from vetrina.engine import Encoded, Replay, ShopConfig, cut_of, fit_stages, learn, requests_from_log
from vetrina.engine.config import RankConfig
from vetrina.engine.encoding import encode_items
from vetrina.engine.ingest import read_canonical
from vetrina.evaluate import ItemKNN, OwnFrequency, Popularity, experiment, hold_out, measure, tune, tune_engine
from vetrina.evaluate.tuning import TRIALS, search_space

DAYS: Space = {"days": Choice(None, 20, 1)}


def catalogue() -> Items:
    rows: dict[str, list[Any]] = {name: [""] * 6 for name in ITEM_COLUMNS}
    rows |= {"item": list("abcdef"), "price": [1.0] * 6, "in_stock": [True] * 6, "available_at": [None] * 6}
    rows |= {"more_photos": [[]] * 6}
    return Items(pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in ITEM_COLUMNS.items()}))


def log_of(purchases: list[tuple[float, str, str]], items: Items) -> EventLog:
    rows: dict[str, list[Any]] = {name: [None] * len(purchases) for name in EVENT_COLUMNS}
    rows["time"] = [int(day * DAY) for day, *_ in purchases]
    rows["shopper"] = [shopper for _, shopper, *_ in purchases]
    rows["kind"] = ["purchase"] * len(purchases)
    rows["item"] = [item for *_, item in purchases]
    table = pl.DataFrame({name: pl.Series(name, rows[name], dtype=kind) for name, kind in EVENT_COLUMNS.items()})
    return EventLog.from_table(table, items)


def fashions() -> tuple[Items, EventLog, Replay]:
    """What sells changes every ten days, so popularity of the last days is better than all-time popularity."""
    items = catalogue()
    rng = np.random.default_rng(0)
    purchases = [(day + 0.5, f"s{n}", "abcdef"[day // 10]) for day in range(55) for n in rng.integers(0, 9, 4)]
    log = log_of(purchases, items)
    return items, log, requests_from_log(log, 42 * DAY, 50 * DAY)


# --- baselines ----------------------------------------------------------------


def test_a_small_space_is_tried_whole_and_every_trial_told() -> None:
    items, log, validation = fashions()
    train, past = log.before(42 * DAY), log.before(50 * DAY)
    ((best, trials, chosen),) = tune(Popularity, DAYS, items, train, past, [validation], metric="mrr@3")
    assert (best, chosen) == ({"days": 1}, 2)
    assert trials["days"].to_list() == ["None", "20", "1"]
    for days, value in zip((None, 20, 1), trials["mrr@3"], strict=True):
        lists = Popularity(days=days).fit(items, train).observe(past).rank(validation.requests, 3)
        assert value == pytest.approx(measure(lists, validation.truth, 3).mean("mrr@3"))
    assert (trials["seconds"] > 0).all()


def test_what_may_be_luck_changes_nothing() -> None:
    """The first trial is kept that the best does not beat by more than a standard error, by the arithmetic."""
    items, rng = catalogue(), np.random.default_rng(1)
    drawn = [(day + 0.5, f"s{n}", "abcdef"[rng.integers(6)]) for day in range(55) for n in rng.integers(0, 9, 4)]
    log = log_of(drawn, items)
    kept = []
    for since in range(30, 50, 4):
        train, past = log.before(since * DAY), log.before((since + 4) * DAY)
        validation = requests_from_log(log, since * DAY, (since + 4) * DAY)
        space: Space = {"days": Choice(None, 20, 7, 3, 1)}
        (tuned,) = tune(Popularity, space, items, train, past, [validation], metric="mrr@3")
        values = []
        for days in (None, 20, 7, 3, 1):
            lists = Popularity(days=days).fit(items, train).observe(past).rank(validation.requests, 3)
            values.append(measure(lists, validation.truth, 3, ["mrr"]).values["mrr@3"])
        best = max(values, key=np.mean)
        behind = [best - one for one in values]
        error = [np.sqrt(((one - one.mean()) ** 2).sum() / (len(one) - 1) / len(one)) for one in behind]
        first = next(n for n, (one, sd) in enumerate(zip(behind, error, strict=True)) if one.mean() <= sd)
        assert tuned.chosen == first
        kept.append(values[first].mean() < best.mean())
    assert any(kept)


def test_the_defaults_are_the_first_trial_then_the_starts() -> None:
    """Also where they lie outside the space: what comes out is never worse than they are."""
    items, log, validation = fashions()
    past = log.before(42 * DAY)
    space: Space = {"half_life_days": Real(5, 50), "days": Choice(30, 40)}
    starts: list[dict[str, float]] = [{"days": 40}, {"half_life_days": 6.0, "days": 30}]
    ((best, trials, _),) = tune(OwnFrequency, space, items, past, past, [validation], trials=6, starts=starts)
    tried = list(zip(trials["half_life_days"], trials["days"], strict=True))
    assert tried[:3] == [("None", "None"), ("None", "40"), ("6.0", "30")]
    top = int(np.argmax(trials["ndcg@10"].to_numpy()))
    assert tuple(map(str, best.values())) == tried[top]
    made = [OwnFrequency(days=20) for _ in range(2)]  # a default of the caller's own making
    (alone,) = tune(
        lambda **options: made.pop() if not options else OwnFrequency(**options),
        DAYS, items, past, past, [validation], trials=1,
    )  # fmt: skip
    assert alone.trials["days"].to_list() == ["20"]


def test_what_comes_after_the_validation_changes_nothing() -> None:
    items, log, validation = fashions()
    train = log.before(42 * DAY)
    (with_test,) = tune(Popularity, DAYS, items, train, log, [validation])
    (without,) = tune(Popularity, DAYS, items, train, log.before(50 * DAY), [validation])
    assert with_test.trials["ndcg@10"].to_list() == without.trials["ndcg@10"].to_list()


@pytest.mark.parametrize("make", [ItemKNN, OwnFrequency])
def test_the_test_is_not_seen(make: type[ItemKNN] | type[OwnFrequency], config: ShopConfig) -> None:
    """Whatever people did after the cut, the same trials come out with the same values."""
    items, log, _ = fashions()
    cut = 45 * DAY
    after = log.time >= cut
    poisoned = replace(log, item=np.where(after, 5 - log.item, log.item).astype(np.int32))
    tables = []
    for one in (log, poisoned):
        held = hold_out(one, "time", config, cut=cut)
        assert held.validation is not None
        inner = held.validation
        found = tune(make, make.space, items, inner.train, inner.observed, list(inner.parts.values()), trials=5)
        tables.append([(tuned.options, tuned.trials.drop("seconds").rows()) for tuned in found])
    assert tables[0] == tables[1]
    assert (log.item[after] != poisoned.item[after]).all(), "there was something to see"


def test_each_validation_has_its_own_best_out_of_one_search() -> None:
    items, log, late = fashions()
    early = requests_from_log(log, 30 * DAY, 31 * DAY)  # the day on which what sells has just changed
    both = tune(Popularity, DAYS, items, log.before(30 * DAY), log, [late, early])
    for validation, one in zip((late, early), both, strict=True):
        (alone,) = tune(Popularity, DAYS, items, log.before(30 * DAY), log, [validation])
        assert one.options == alone.options
        assert one.trials["ndcg@10"].to_list() == alone.trials["ndcg@10"].to_list()
    assert both[0].trials["days"].to_list() == both[1].trials["days"].to_list()


def test_wrong_input_is_named() -> None:
    items, log, validation = fashions()
    with pytest.raises(ConfigError, match=r"such as 'ndcg@10'\. Got 'ndcg'"):
        tune(Popularity, {}, items, log, log, [validation], metric="ndcg")
    with pytest.raises(ConfigError, match="take a longer slice"):
        tune(Popularity, {}, items, log, log, [requests_from_log(log, 0, 0)])
    with pytest.raises(ConfigError, match="at least one slice"):
        tune(Popularity, {}, items, log, log, [])
    with pytest.raises(ConfigError, match="Did you mean 'ndcg'"):
        tune(Popularity, {}, items, log, log, [validation], metric="ndgc@5")
    with pytest.raises(ConfigError, match=r"'dayz' is not an option of popularity\. Did you mean 'days'"):
        tune(Popularity, {"dayz": Choice(1)}, items, log, log, [validation])
    with pytest.raises(ConfigError, match=r"'power' is not in the space of item-kNN"):
        tune(ItemKNN, DAYS, items, log, log, [validation], starts=[{"power": 1}])
    with pytest.raises(ConfigError, match=r"1 or more\. Got 0"):
        tune(Popularity, DAYS, items, log, log, [validation], trials=0)
    with pytest.raises(ConfigError, match=r"item-kNN: the trial b 2 failed: item-kNN\.b: .*less than or equal to 1"):
        tune(ItemKNN, {"b": Choice(0.75, 2)}, items, log, log, [validation])


# --- the search ---------------------------------------------------------------


def bowl(options: Any) -> list[float]:
    """Best at x = 0.03, n = 20, kind = "b"."""
    return [-((np.log10(options["x"]) + 1.52) ** 2) - (np.log2(options["n"] / 20)) ** 2 / 4 - (options["kind"] != "b")]


BOWL: Space = {"x": Real(0.001, 1, log=True), "n": Whole(1, 400, log=True), "kind": Choice("a", "b", "c")}
CENTRE = {"x": 0.5, "n": 200, "kind": "a"}


def test_a_planted_optimum_is_found() -> None:
    """And nearer than by chance: as many points at random end twice as far from it, by the median of five seeds."""
    ends = []
    for seed in range(5):
        done = search_space("bowl", BOWL, [CENTRE], bowl, trials=40, rng=seed)
        ends.append(max(trial.values[0] for trial in done))
    rng = np.random.default_rng(0)
    chance = []
    for _ in range(50):
        drawn = [
            {"x": 10 ** rng.uniform(-3, 0), "n": round(2 ** rng.uniform(0, 8.6)) or 1, "kind": "abc"[rng.integers(3)]}
            for _ in range(40)
        ]
        chance.append(max(bowl(point)[0] for point in drawn))
    assert np.median(ends) > -0.05
    assert np.median(ends) > np.median(chance) / 2


def test_the_budget_is_kept_and_no_point_is_tried_twice() -> None:
    asked: list[str] = []

    def judge(options: Any) -> list[float]:
        asked.append(repr(options))
        return bowl(options)

    for trials in (1, 2, 25):
        asked.clear()
        done = search_space("bowl", BOWL, [CENTRE, CENTRE], judge, trials=trials)
        assert len(done) == trials == len(asked) == len(set(asked))
    # Where there are fewer points than trials, each is tried and the search ends.
    done = search_space("few", {"n": Whole(1, 4), "kind": Choice("a", "b")}, [{"n": 9, "kind": "a"}],
                        lambda options: [float(options["n"])], trials=30)  # fmt: skip
    assert [trial.options["n"] for trial in done] == [9, 1, 1, 2, 2, 3, 3, 4, 4]


def test_out_of_time_no_further_trial_is_begun() -> None:
    assert len(search_space("bowl", BOWL, [CENTRE], bowl, trials=9, seconds=0)) == 1
    assert len(search_space("bowl", BOWL, [CENTRE], bowl, trials=9, seconds=60)) == 9


def test_the_same_seed_gives_the_same_trials() -> None:
    def points(rng: Any) -> list[dict[str, Any]]:
        return [trial.options for trial in search_space("bowl", BOWL, [CENTRE], bowl, trials=20, rng=rng)]

    assert points(3) == points(3) == points(np.random.default_rng(3))
    assert points(3) != points(4)


def test_every_point_lies_in_the_space_and_reads_well() -> None:
    for trial in search_space("bowl", BOWL, [CENTRE], bowl, trials=30):
        assert all(one.holds(trial.options[name]) for name, one in BOWL.items())
        assert trial.options["x"] == float(f"{trial.options['x']:.3g}")
        assert isinstance(trial.options["n"], int)


def test_a_trial_that_fails_stops_the_search_and_says_where() -> None:
    def judge(options: Any) -> list[float]:
        if options["kind"] == "b":
            raise FloatingPointError("overflow")
        return [float("nan")] if options["kind"] == "c" else [0.0]

    space: Space = {"kind": Choice("a", "b")}
    with pytest.raises(ConfigError, match=r"judge: the trial kind b failed: overflow"):
        search_space("judge", space, [{"kind": "a"}], judge)
    with pytest.raises(ConfigError, match=r"the trial kind c came out as \[nan\]"):
        search_space("judge", space, [{"kind": "c"}], judge)


def test_it_is_quiet_and_leaves_others_loud(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    with caplog.at_level(logging.DEBUG):
        search_space("bowl", BOWL, [CENTRE], bowl, trials=15)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


# --- the engine ---------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = make_shop(tmp_path_factory.mktemp("tuned"))
    shop.ingest()
    return shop


@pytest.fixture(scope="module")
def shop(made: Shop) -> tuple[Encoded, EventLog, ShopConfig]:
    canonical = read_canonical(made.root)
    encoded = encode_items(canonical.items, made.root, made.root / "media", made.config, Silent())
    return encoded, canonical.log, made.config


@pytest.fixture(scope="module")
def config(shop: tuple[Encoded, EventLog, ShopConfig]) -> ShopConfig:
    return shop[2]


def with_options(config: ShopConfig, **options: Any) -> ShopConfig:
    return config.model_copy(update={"rank": config.rank.model_copy(update={"options": options})})


@pytest.mark.slow
def test_the_engine_is_tuned_as_if_each_point_were_learned_whole(shop: tuple[Encoded, EventLog, ShopConfig]) -> None:
    encoded, log, config = shop
    inner = hold_out(log, "time", config).validation
    assert inner is not None
    parts = list(inner.parts.values())
    best, trials, chosen = tune_engine(encoded, inner.train, inner.observed, parts, config, trials=3)
    assert trials.height == 3
    assert trials["trees"][0] == str(config.rank.options["trees"]), "the shop's own options are the first trial"
    assert [str(value) for value in best.values()] == [trials[option][chosen] for option in best]
    top = int(np.argmax(trials["ndcg@10"].to_numpy()))
    at_top = {option: type(best[option])(trials[option][top]) for option in best}
    for options, value in ((config.rank.options, trials["ndcg@10"][0]), (at_top, trials["ndcg@10"][top])):
        engine = learn(encoded.items, inner.train, with_options(config, **options), encoded.encoders)
        assert engine.ranker.name == "lambdamart"
        lists = [engine.observe(inner.observed).rank(part.requests, 10).lists for part in parts]
        whole = [measure(one, part.truth, 10).mean("ndcg@10") for one, part in zip(lists, parts, strict=True)]
        assert value == pytest.approx(np.mean(whole), abs=1e-6)


@pytest.mark.slow
def test_the_engine_does_not_see_the_test(shop: tuple[Encoded, EventLog, ShopConfig]) -> None:
    encoded, log, config = shop
    cut = int(np.quantile(log.time, 0.8))
    n_items = len(encoded.items)
    poisoned = replace(log, item=np.where(log.time >= cut, n_items - 1 - log.item, log.item).astype(np.int32))
    found = []
    for one in (log, poisoned):
        inner = hold_out(one, "time", config, cut=cut).validation
        assert inner is not None
        parts = list(inner.parts.values())
        found.append(tune_engine(encoded, inner.train, inner.observed, parts, config, trials=2))
    assert found[0].options == found[1].options
    assert found[0].trials.drop("seconds").equals(found[1].trials.drop("seconds"))


@pytest.mark.slow
def test_nobody_who_tunes_is_given_the_test(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[EventLog, EventLog, Sequence[Replay]]] = []

    def watched(tuner: Callable[..., Any], first: int) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            given.append(args[first : first + 3])
            return tuner(*args, **options)

        return call

    monkeypatch.setattr(experiment, "tune", watched(tune, 3))
    monkeypatch.setattr(experiment, "tune_engine", watched(tune_engine, 1))
    experiment.evaluate_shop(made, trials=1, engine_trials=1)
    cut = cut_of(read_canonical(made.root).log, made.config.build.test_days)
    assert len(given) == 5, "four baselines and the engine"
    for train, observed, validations in given:
        asked = np.concatenate([one.requests.now for one in validations])
        assert train.time.max() < asked.min()
        assert max(asked.max(), observed.time.max()) < cut


def test_an_engine_that_cannot_be_tuned_says_why(shop: tuple[Encoded, EventLog, ShopConfig]) -> None:
    encoded, log, config = shop
    inner = hold_out(log, "time", config).validation
    assert inner is not None
    parts = list(inner.parts.values())
    rank = config.rank.model_copy(update={"ranker": "match_score", "options": {}})
    plain = config.model_copy(update={"rank": rank})
    with pytest.raises(ConfigError, match=r"'match_score' declares no space"):
        tune_engine(encoded, inner.train, inner.observed, parts, plain)
    with pytest.raises(DataError, match="too few choices to learn an order from"):
        tune_engine(encoded, log.before(int(log.time[40])), inner.observed, parts, config)


def test_a_ranker_that_draws_nothing_is_learned_without_a_seed(shop: tuple[Encoded, EventLog, ShopConfig]) -> None:
    encoded, log, config = shop
    rank = config.rank.model_copy(update={"ranker": "match_score", "options": {"weights": {"meaning": 1.0}}})
    ranker = learn(encoded.items, log, config.model_copy(update={"rank": rank}), encoded.encoders).ranker
    assert ranker.name == "match_score"
    assert ranker.config.weights == {"meaning": 1.0}


@pytest.mark.slow
def test_the_command_prints_the_options_as_they_go_into_shop_toml(made: Shop, vetrina: Vetrina) -> None:
    told = vetrina("evaluate", made.root, "--trials", 2, "--quiet").out
    assert "lambdamart stays as it is: no trial is ahead" in told
    assert "[rank.options]" not in told
    told = vetrina("evaluate", made.root, "--trials", 40, "--quiet").out
    assert "lambdamart tuned to trees" in told
    options = tomllib.loads(told[told.index("[rank.options]") :])["rank"]["options"]
    assert with_options(made.config, **options).rank.options == options
    RankConfig.parse({"options": options}, "rank")
    again = vetrina("evaluate", made.root, "--trials", 40, "--quiet", "--json").json()
    assert again["options"] == options
    assert any("as it was" in note for note in again["notes"])
    assert all(sum("tuned to" in note for note in table["notes"]) == 4 for table in again["tables"])


def test_the_command_says_how_many_trials_there_are(vetrina: Vetrina) -> None:
    told = " ".join(vetrina("evaluate", "--help").out.replace("│", "").split())
    assert f"every baseline by {TRIALS} and the engine not at all" in told
    assert vetrina("evaluate", "--trials", -1).code != 0


def test_ordering_what_was_gathered_is_ranking(shop: tuple[Encoded, EventLog, ShopConfig]) -> None:
    encoded, log, config = shop
    engine = fit_stages(encoded.items, log, config, encoded.encoders)
    requests = hold_out(log, "time", config).parts["Recommendations"].requests
    (gathered,) = engine.gather(requests)
    whole = engine.rank(requests, 5)
    for _ in range(2):  # and leaves it as it was
        ordered = engine.order(gathered, 5)
        assert ordered.lists.item.tolist() == whole.lists.item.tolist()
        assert ordered.lists.columns["score"].tolist() == whole.lists.columns["score"].tolist()
        np.testing.assert_array_equal(ordered.features, whole.features)
