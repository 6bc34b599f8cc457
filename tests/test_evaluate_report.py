"""The report: what it says of planted tables, that it says all of it, and that nobody's words become markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_sample import HOSTILE, SYSTEMS, sample_evaluation, sample_modalities, sample_table
from vetrina.core.errors import VetrinaError
from vetrina.evaluate import Interval, Row, Table
from vetrina.evaluate.evaluation import Comparison, Evaluation
from vetrina.evaluate.report import charts, words, write_report

_VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """A page's elements, with their attributes, and its text; elements must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Page]:
    folder = tmp_path_factory.mktemp("report")
    evaluation = sample_evaluation(folder)
    facts = {"Snapshot": "20250701-ab", "Products": "1,234", "Hostile": HOSTILE}
    write_report(folder / "new" / "report.html", evaluation, f"Sample {HOSTILE}", simulated=False, facts=facts)
    return evaluation, read(folder / "new" / "report.html")


# --- one file, safe and complete ----------------------------------------------


def test_it_asks_for_nothing_and_runs_nothing(written: tuple[Evaluation, Page]) -> None:
    _, page = written
    assert all(link.startswith(("data:", "#")) for name in ("src", "href", "srcset") for link in page.all(name))
    assert {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "form", "base"} == set()
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_what_shoppers_typed_is_text(written: tuple[Evaluation, Page]) -> None:
    _, page = written
    text = " ".join(page.text.split())
    assert f"“{HOSTILE}”" in text  # the query
    assert text.count(HOSTILE) >= 4  # titles of items, the title of the page, a fact
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b", text)


def test_half_a_character_is_written(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", Evaluation(notes=("half: \ud83d",)), "Half", simulated=False)
    assert "half: ?" in read(tmp_path / "r.html").text


def test_every_chart_is_told_in_words_and_every_link_leads_somewhere(written: tuple[Evaluation, Page]) -> None:
    _, page = written
    drawn = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(drawn) > 20
    assert all(a.get("aria-label") if a.get("role") == "img" else a.get("aria-hidden") for a in drawn)
    places = page.all("id")
    assert len(places) == len(set(places))
    assert {link[1:] for link in page.all("href") if link.startswith("#")} <= set(places)
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 40
    assert all("alt" in picture for picture in pictures)  # empty: the title stands below


def test_every_figure_of_every_table_stands_in_it(written: tuple[Evaluation, Page]) -> None:
    evaluation, page = written
    text = page.text.replace("−", "-")
    for table in (
        table for one in evaluation.comparisons for table in [one.table, *([one.beyond] if one.beyond else [])]
    ):
        for row in table.rows:
            assert row.system in text
            for metric in table.metrics:
                for interval, sign in [(row.values[metric], ""), *([(row.lead[metric], "+")] if row.lead else [])]:
                    assert table.number(interval.mean, sign) in text
                    assert f"{table.number(interval.low, sign)} to {table.number(interval.high, sign)}" in text
        for note in table.notes:
            assert note in text
    assert "400 requests of " in text
    assert "3 without a right answer left out" in text
    for note in evaluation.notes:
        assert note in text


def squeezed(page: Page) -> str:
    """Its words without what stands between cells and where there is no figure."""
    return re.sub(r"[\s–]", "", page.text).replace("−", "-")


def test_modalities_have_a_table_for_each_part_of_the_requests(written: tuple[Evaluation, Page]) -> None:
    evaluation, page = written
    assert evaluation.modalities is not None
    _, searches, rest = re.split("modalityproductsquarantinedalone", squeezed(page))
    for part, shown in (("searches", searches), ("recommendations", rest)):
        for line in evaluation.modalities.cells(part)[1]:
            assert re.sub(r"[\s–]", "", "".join(line)) in shown
    assert "photocatalogue-clip99.9%30.235+0.002-0.009to+0.013" in searches
    assert "+0.000-0.011to+0.011" in rest  # what rounds to nothing has no minus
    assert "photo:2quarantined:thereisnosuchphoto" in rest


def test_modalities_of_a_shop_without_a_log_are_told_of_the_catalogue_alone(tmp_path: Path) -> None:
    told = Evaluation(modalities=replace(sample_modalities(), parts={}))
    write_report(tmp_path / "r.html", told, "New shop", simulated=False)
    text = squeezed(read(tmp_path / "r.html"))
    assert "modalityproductsquarantinedtexttfidf100%0photocatalogue-clip99.9%3alltogetherconcat100%photo:" in text


def test_warnings_are_loud(tmp_path: Path) -> None:
    table = sample_table("Shop: searches", simulated=True)
    marked = replace(table, leaks=True, sampled=100)
    write_report(tmp_path / "r.html", Evaluation((Comparison(marked),)), "Shop", simulated=False)
    page = read(tmp_path / "r.html")
    for word in ("SIMULATED", "LEAKS", "SAMPLED"):
        assert page.text.count(word) == 2, word  # at the top, and at the table
    write_report(
        tmp_path / "s.html", Evaluation((Comparison(replace(table, simulated=False)),)), "Shop", simulated=False
    )
    assert not re.search("SIMULATED|LEAKS|SAMPLED", read(tmp_path / "s.html").text)


def test_several_shops_are_told_apart(tmp_path: Path) -> None:
    for names, shown in ((("One", "One"), "searches"), (("One", "Two"), "Two – searches")):
        comparisons = tuple(Comparison(sample_table(f"{name}: searches")) for name in names)
        write_report(tmp_path / "report.html", Evaluation(comparisons), "Shops", simulated=False)
        headings = re.findall(r"<h2[^>]*>(.*?)</h2>", (tmp_path / "report.html").read_text(encoding="utf-8"))
        assert shown.casefold() in [heading.casefold() for heading in headings]


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", Evaluation(), "Nothing", simulated=False)
    page = read(tmp_path / "r.html")
    assert [tag for tag, _ in page.elements if tag in ("section", "table", "svg")] == []
    alone = replace(sample_table("One system"), reference="")
    one = Comparison(replace(alone, rows=alone.rows[:1]))
    write_report(tmp_path / "r.html", Evaluation((one,)), "One", simulated=False)
    assert "In short" not in read(tmp_path / "r.html").text


def test_nobody_is_named(written: tuple[Evaluation, Page]) -> None:
    assert "A search" in written[1].text
    assert "not judged" in written[1].text
    assert "fewer than three shoppers" in written[1].text


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(VetrinaError, match="cannot be written there"):
        write_report(tmp_path, Evaluation(), "Shop", simulated=False)


# --- what it says -------------------------------------------------------------


def table_of(
    ours: float, rivals: dict[str, float], p_value: float, reference: str = "Vetrina", width: float = 0.01
) -> Table:
    means = {"Vetrina": ours, **rivals}

    def interval(mean: float, p: float = 0.5) -> Interval:
        return Interval(mean, mean - width, mean + width, 100, 50, p)

    rows = [
        Row(
            name,
            {"ndcg@10": interval(mean)},
            None if name == reference else {"ndcg@10": interval(means[reference] - mean, p_value / 10)},
            None if name == reference else {"ndcg@10": p_value},
        )
        for name, mean in means.items()
    ]
    return Table("Shop: searches", ("ndcg@10",), tuple(rows), reference, 100, 50, 0)


@pytest.mark.parametrize(
    ("ours", "p_value", "kind", "said"),
    [
        (0.40, 0.002, "better", "Vetrina is better than the best of the others, B: NDCG@10 0.400 against 0.350, "
         "a difference of +0.050 (95% interval +0.040 to +0.060; p 0.002)."),
        (0.30, 0.0004, "worse", "Vetrina is worse than the best of the others, B: NDCG@10 0.300 against 0.350, "
         "a difference of −0.050 (95% interval −0.060 to −0.040; p < 0.001)."),
        (0.36, 0.2, "unsure", "No difference can be shown between Vetrina and the best of the others, B: NDCG@10 0.360 "
         "against 0.350, a difference of +0.010 (95% interval 0.000 to +0.020; p 0.200)."),
    ],
)  # fmt: skip
def test_the_verdict_is_that_of_the_corrected_test(ours: float, p_value: float, kind: str, said: str) -> None:
    table = table_of(ours, {"A": 0.2, "B": 0.35}, p_value)
    found = words.verdict(table)
    assert found is not None
    assert (found.kind, found.rival.system) == (kind, "B")
    assert words.sentence(table, found) == said


def test_a_chosen_baseline_is_the_rival_and_its_lead_is_turned_round() -> None:
    found = words.verdict(table_of(0.4, {"A": 0.2, "B": 0.35}, 0.001, reference="A"))
    assert found is not None
    assert found.lead is not None
    assert (found.role, found.rival.system, found.kind) == ("the baseline", "A", "better")
    assert (found.lead.mean, found.lead.low, found.lead.high) == pytest.approx((0.2, 0.19, 0.21))


def test_without_our_engine_the_best_is_set_beside_the_reference() -> None:
    table = table_of(0.4, {"A": 0.2, "B": 0.5}, 0.001, reference="A")
    runs = replace(table, rows=table.rows[1:])
    found = words.verdict(runs)
    assert found is not None
    assert (found.ours.system, found.rival.system, found.kind) == ("B", "A", "better")


def test_the_summary_says_for_what_it_is_better_and_how_sure_that_is() -> None:
    won, open_, lost = (
        table_of(0.4, {"B": 0.3}, 0.0005),
        table_of(0.4, {"B": 0.39}, 0.3),
        table_of(0.2, {"B": 0.3}, 0.02),
    )
    tables = [
        replace(one, title=f"Shop: {name}, last 14 days") for one, name in ((won, "a"), (open_, "b"), (lost, "c"))
    ]
    assert words.summary(tables) == [
        "Vetrina is better than the best of the others for “a”; no difference between Vetrina and the best of the "
        "others can be shown for “b”; Vetrina is worse than the best of the others for “c”.",
        "If systems were equal, differences as large as these would come about by chance at most once in 50 times; "
        "what is called no difference may be chance.",
    ]
    assert words.summary(tables[1:2]) == [
        "No difference between Vetrina and the best of the others can be shown for “b, last 14 days”.",
        "What was measured may be chance: it takes more requests, of more shoppers, to tell.",
    ]
    assert words.summary([]) == []


# --- charts -------------------------------------------------------------------

_numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@given(st.lists(_numbers, min_size=1, max_size=20), st.booleans())
def test_a_scale_holds_all_values_and_its_ticks_are_round(values: list[float], zero: bool) -> None:
    scale = charts.scale_of(values, zero=zero)
    room = 1e-9 * max(1.0, *map(abs, values))
    assert scale.low <= min(values) + room
    assert scale.high >= max(values) - room
    assert not zero or scale.low <= room >= -scale.high
    assert 2 <= len(scale.ticks) <= 9
    assert all(scale.low - room <= tick <= scale.high + room for tick in scale.ticks)
    assert len({scale.told(tick) for tick in scale.ticks}) == len(scale.ticks)
    steps = np.diff(scale.ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    assert all(0 <= scale.share(value) <= 1 for value in values)


def test_a_dot_stands_at_its_value() -> None:
    scale = charts.Scale(0.0, 1.0, (0.0, 0.5, 1.0))
    drawn = ET.fromstring(charts.whisker(Interval(0.25, 0.0, 0.5, 9, 9, 0.1), scale, 'said "so" & <so>', ours=True))
    assert drawn.get("aria-label") == 'said "so" & <so>'
    (dot,) = [one for one in drawn if one.get("class") == "dot"]
    span = next(one for one in drawn if one.get("class") == "span")
    grid = [one.get("x1") for one in drawn if one.get("class") == "grid"]
    assert grid == ["6.00%", "50.00%", "94.00%"]
    assert (span.get("x1"), dot.get("cx"), span.get("x2")) == ("6.00%", "28.00%", "50.00%")


def test_what_is_no_number_is_not_drawn() -> None:
    nothing = Interval(float("nan"), float("nan"), float("nan"), 0, 0, float("nan"))
    scale = charts.scale_of([nothing.mean])
    drawn = charts.whisker(nothing, scale, "–", ours=False) + charts.bars([(nothing, True)], scale, "–")
    assert "nan" not in drawn
    assert "dot" not in drawn


def test_lines_differ_in_more_than_colour(written: tuple[Evaluation, Page]) -> None:
    curves = written[0].comparisons[0].precision_recall
    drawn = ET.fromstring(charts.lines(curves, "said"))
    paths = [one for one in drawn if one.tag == "polyline"]
    assert len(paths) == len(SYSTEMS)
    assert len({one.get("stroke-dasharray") for one in paths}) == len(SYSTEMS)
    marks = {one.get("class"): one.tag for one in drawn if (one.get("class") or "").startswith("mark")}
    assert len(marks) == len(SYSTEMS)
    # The last drawn lies on top: ours.
    assert paths[-1].get("class") == "line s0"
    (first, *_), y = (
        (paths[-1].get("points") or "").split(),
        [float(p.split(",")[1]) for p in (paths[-1].get("points") or "").split()],
    )
    assert float(first.split(",")[0]) >= 50
    assert y == sorted(y)  # precision falls, and so does the line
