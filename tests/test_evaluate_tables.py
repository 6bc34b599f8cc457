"""Tables: the numbers are those of the bootstrap, the columns line up, the warnings are there."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from vetrina.core import ItemList, Truth
from vetrina.core.errors import ConfigError, DataError
from vetrina.evaluate import (
    Interval,
    Row,
    Scores,
    Table,
    bootstrap_difference,
    bootstrap_mean,
    compare,
    corrected,
    holm,
    measure,
)

SHOPPER = np.repeat(np.arange(20), 3)


def scores_of(values: npt.NDArray[np.float64]) -> Scores:
    return Scores({"ndcg@10": values, "mrr@10": values / 2}, np.arange(len(values)), 0)


def two_systems() -> dict[str, Scores]:
    rng = np.random.default_rng(0)
    base = rng.random(60) / 2
    return {"popularity": scores_of(base), "the engine": scores_of(base + 0.2 + rng.random(60) / 10)}


def table() -> Table:
    return compare("Toys", two_systems(), SHOPPER, "the engine", resamples=500)


def test_numbers_are_those_of_the_bootstrap() -> None:
    systems, rows = two_systems(), {row.system: row for row in table().rows}
    engine, popular = systems["the engine"].values, systems["popularity"].values
    for metric in ("ndcg@10", "mrr@10"):
        alone = bootstrap_mean(engine[metric], SHOPPER, resamples=500)
        assert rows["the engine"].values[metric].mean == pytest.approx(engine[metric].mean())
        assert rows["the engine"].values[metric].high == pytest.approx(alone.high)
        lead = bootstrap_difference(engine[metric], popular[metric], SHOPPER, resamples=500)
        shown = rows["popularity"].lead
        assert shown is not None
        assert shown[metric].low == pytest.approx(lead.low)
        assert shown[metric].low > 0
    assert rows["the engine"].lead is None
    assert (table().n, table().n_shoppers) == (60, 20)


def test_columns_line_up() -> None:
    heading, header, rule, *body, remark = table().text().split("\n")
    assert heading == "Toys (at 10; 60 requests of 20 shoppers)"
    assert {len(line) for line in (header, rule, body[0])} == {len(header)}
    assert remark == "  p: corrected by Holm for all 2 leads of the table, in 2 metrics"
    for column in ("ndcg", "the engine’s lead", "p (Holm)", "mrr"):
        end = header.index(column) + len(column)
        assert body[0][end - 1].isdigit()
        assert rule[end - 1] == "-"
    assert [line.split("  ")[0] for line in body] == ["popularity", "the engine"]


def test_markdown_has_a_cell_for_every_column() -> None:
    systems = {name.replace(" ", "|"): scores for name, scores in two_systems().items()}
    lines = compare("Toys", systems, SHOPPER, "popularity", resamples=50).markdown().split("\n")
    assert lines[0] == "**Toys (at 10; 60 requests of 20 shoppers)**"
    cells = [line.replace("\\|", "") for line in lines[2:]]
    assert len({line.count("|") for line in cells[:4]}) == 1
    assert "the\\|engine" in lines[5]
    assert lines[-1].startswith("p: corrected by Holm for all 2 leads")


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_simulated_and_leaking_results_say_so(form: str) -> None:
    marked = compare("Toys", two_systems(), SHOPPER, simulated=True, leaks=True, sampled=1000, resamples=50)
    first = getattr(marked, form)().split("\n")[0]
    assert "SIMULATED shoppers" in first
    assert "LEAKS" in first
    assert "SAMPLED: ranked among 1,000 drawn candidates" in first
    for mark in ("SIMULATED", "LEAKS", "SAMPLED"):
        assert mark not in table().heading
    assert (marked.as_dict()["simulated"], marked.as_dict()["leaks"]) == (True, True)


def test_left_out_requests_are_counted_and_shoppers_follow() -> None:
    lists = ItemList.from_lists([np.array([1], dtype=np.int32)] * 4)
    truth = Truth.from_lists([{}, {1: 1.0}, {1: 1.0}, {2: 1.0}])
    result = compare("Toys", {"one": measure(lists, truth)}, np.array([9, 4, 4, 5]), resamples=20)
    assert (result.n, result.n_shoppers, result.n_left_out) == (3, 2, 1)
    assert result.heading == "Toys (at 10; 3 requests of 2 shoppers; 1 without a right answer left out)"


def test_what_cannot_be_said_is_a_dash_and_null() -> None:
    one = compare("Toys", {"a": scores_of(np.array([0.5])), "b": scores_of(np.array([0.4]))}, reference="a")
    assert "–" in one.text()
    assert "nan" not in one.text()
    plain = json.loads(json.dumps(one.as_dict(), allow_nan=False))
    assert plain["rows"][1]["lead"]["ndcg@10"]["low"] is None
    assert plain["rows"][1]["values"]["ndcg@10"]["mean"] == 0.4
    none = compare("Toys", {"a": scores_of(np.empty(0))})
    assert "nan" not in none.text()


def test_systems_must_have_met_the_same_requests() -> None:
    systems = two_systems()
    with pytest.raises(DataError, match="'other' was measured on other requests"):
        compare("Toys", {**systems, "other": scores_of(np.zeros(59))})
    with pytest.raises(DataError, match="other requests or metrics"):
        compare("Toys", {**systems, "other": Scores({"mrr@10": np.zeros(60)}, np.arange(60), 0)})
    with pytest.raises(ConfigError, match="Did you mean 'popularity'"):
        compare("Toys", systems, reference="populariti")
    with pytest.raises(ConfigError, match="give at least one"):
        compare("Toys", {})


def test_p_values_are_corrected_for_every_lead_of_the_table() -> None:
    rng = np.random.default_rng(1)
    systems = {name: scores_of(rng.random(60)) for name in ("a", "b", "c", "d")}
    result = compare("Toys", systems, SHOPPER, "a", resamples=500)
    raw = [lead.p_value for row in result.rows for lead in (row.lead or {}).values()]
    adjusted = [p for row in result.rows for p in (row.adjusted or {}).values()]
    assert adjusted == pytest.approx(holm(np.array(raw)).tolist())
    assert result.n_comparisons == len(raw) == 6
    assert result.rows[0].adjusted is None
    assert result.as_dict()["rows"][1]["adjusted"]["ndcg@10"] == adjusted[0]
    shown = result.rows[1].adjusted
    assert shown is not None
    assert f"{shown['ndcg@10']:.3f}" in result.text().split("\n")[4]


def test_one_comparison_needs_no_correction() -> None:
    values = {name: Scores({"mrr@10": one.values["mrr@10"]}, one.requests, 0) for name, one in two_systems().items()}
    result = compare("Toys", values, SHOPPER, "popularity", resamples=200)
    assert result.n_comparisons == 1
    assert result.remarks == ()
    assert "Holm" not in result.text()


def interval_of(mean: float, low: float, high: float, p_value: float = float("nan")) -> Interval:
    return Interval(mean, low, high, 30, 30, p_value)


def test_every_metric_can_have_its_interval() -> None:
    rates = Row("new shoppers", {"ctr": interval_of(0.0412, 0.039, 0.044), "cvr": interval_of(0.0031, 0.002, 0.0048)})
    plain = Table("Rates", ("ctr", "cvr"), (rates,), "", 30, 30, 0, every_interval=True, decimals=4)
    assert plain.cells() == (
        ["system", "ctr", "interval", "cvr", "interval"],
        [["new shoppers", "0.0412", "[0.0390, 0.0440]", "0.0031", "[0.0020, 0.0048]"]],
    )
    lead = {"coverage": interval_of(0.1, 0.05, 0.15, 0.01), "novelty": interval_of(-0.5, -0.9, 0.1, 0.2)}
    beyond = (
        Row("ours", {"coverage": interval_of(0.5, 0.4, 0.6), "novelty": interval_of(10.25, 9.5, 11.1)}),
        Row("theirs", {"coverage": interval_of(0.4, 0.3, 0.5), "novelty": interval_of(10.75, 9.5, 11.5)}, lead),
    )
    header, body = Table(
        "B", ("coverage", "novelty"), corrected(beyond), "ours", 30, 30, 0, every_interval=True
    ).cells()
    assert header == ["system", "metric", "value", "interval", "ours’s lead", "interval", "p (Holm)"]
    assert body == [
        ["ours", "coverage", "0.500", "[0.400, 0.600]", "", "", ""],
        ["theirs", "coverage", "0.400", "[0.300, 0.500]", "+0.100", "[+0.050, +0.150]", "0.020"],
        ["ours", "novelty", "10.25", "[9.500, 11.10]", "", "", ""],
        ["theirs", "novelty", "10.75", "[9.500, 11.50]", "-0.500", "[-0.900, +0.100]", "0.200"],
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (-0.0001, "0.000"),
        (9.87654, "9.877"),
        (12.3456, "12.35"),
        (345.6, "346"),
        (1.2e6, "1,200,000"),
    ],
)
def test_large_numbers_lose_their_decimals(value: float, shown: str) -> None:
    row = Row("a", {"m": interval_of(value, value, value)})
    assert Table("T", ("m",), (row,), "", 1, 1, 0).cells()[1][0][1] == shown
