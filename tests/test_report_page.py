"""Reports in a real browser, opened from the disk: wide and narrow, light and dark, on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from browsing import NARROW, WIDE, contrasts
from report_sample import reported_shop, sample_evaluation
from vetrina.evaluate.report import write_report

pytestmark = pytest.mark.browser

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """That of a real build of a small shop, and one of everything, with hostile words."""
    folder = tmp_path_factory.mktemp("reports")
    built = reported_shop(folder / "built").report_path()
    assert built is not None
    write_report(folder / "sample.html", sample_evaluation(folder), "Sample shop", simulated=True, facts={"Items": "9"})
    return {"built": built, "sample": folder / "sample.html"}


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, reports: dict[str, Path]) -> Iterator[Opened]:
    """Opens a report with no network; at the end nothing was complained of, and nothing but the file asked for."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(which: str, size: tuple[int, int] = WIDE, scheme: str = "light") -> Page:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        address = reports[which].as_uri()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((address, "data:")) else complaints.append(f"asked {asked.url}"),
        )
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@SIZES
@pytest.mark.parametrize("which", ["built", "sample"])
def test_it_opens_from_the_disk_and_fits(opened: Opened, which: str, size: tuple[int, int]) -> None:
    page = opened(which, size)
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, "the page scrolls sideways"
    # What is too wide scrolls in a box of its own, and nothing else sticks out.
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth === 90)")
    assert page.title().endswith(": what was measured")
    for details in page.locator("details").all():
        details.locator("summary").first.click()
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, "the page scrolls sideways once everything is unfolded"


STICKING_OUT = """() => [...document.querySelectorAll("main *")]
  .filter((one) => !one.closest(".scroll, svg, details:not([open])"))
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_marks_stand_out_from_what_is_behind_them(opened: Opened, scheme: str) -> None:
    page = opened("sample", scheme=scheme)
    seen = contrasts(page, KINDS)
    assert set(seen) == set(KINDS)
    assert {where: ratio for where, ratio in seen.items() if ratio < 4.5} == {}
    strokes = contrasts(page, LINES, "stroke")
    assert set(strokes) == set(LINES)
    assert {where: ratio for where, ratio in strokes.items() if ratio < 3} == {}  # WCAG 2, 1.4.11


KINDS = [
    "h1", "h2", "h3", "h5", ".kicker", ".banner", ".lead", ".size", ".loud", ".verdict", ".caption", ".tick",
    ".whose", "td b", "td small", "thead th", "tbody th", "dd", "dt", ".kind span", "summary", "footer p",
]  # fmt: skip
LINES = [".line.s0", ".line.s1", ".line.s2", ".line.s3", ".cell.ours .span", ".cell.other .span", ".bar.other"]


@SIZES
def test_modalities_are_read_without_scrolling(opened: Opened, size: tuple[int, int]) -> None:
    tables = opened("sample", size).locator("#modalities .scroll")
    expect(tables).to_have_count(2)
    assert tables.evaluate_all("(all) => all.map((one) => one.scrollWidth - one.clientWidth)") == [0, 0]


def test_links_of_the_overview_lead_to_the_tables(opened: Opened) -> None:
    page = opened("sample")
    link = page.locator(".overview a").nth(1)
    link.click()
    expect(page.get_by_role("heading", level=2, name=link.inner_text())).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_on_white_with_nothing_cut(opened: Opened, scheme: str, tmp_path: Path) -> None:
    page = opened("sample", (700, 1000), scheme)  # a page of A4 between its margins
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
