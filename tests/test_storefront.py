"""The storefront in a real browser, over a real server: what a visitor sees and does, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from browsing import NARROW, WIDE, contrasts
from serve_shop import Server, copy_of_shop, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with copy_of_shop(tmp_path_factory, "storefront") as copy, serving(copy) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


Visit = Callable[..., Page]

# Keeps what the page tells of the shopper.
_LISTEN = """window.told = []; const real = window.fetch;
window.fetch = (where, options) => {
  if (where === "/v1/events") window.told.push(...JSON.parse(options.body).events);
  return real(where, options);
};"""


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Opens the storefront; at the end nothing was complained of, asked elsewhere, or too wide for the window."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(size: tuple[int, int] = WIDE, address: str = "/", **options: Any) -> Page:
        context = browser.new_context(
            base_url=server.address, viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", **options
        )
        contexts.append(context)
        context.set_default_timeout(20_000)
        context.add_init_script(_LISTEN)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(server.address) else complaints.append(f"asked {asked.url}"),
        )
        page.goto(address)
        settled(page)
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            fits(page)
        context.close()
    assert complaints == []


def settled(page: Page) -> None:
    """Until every list shows what was asked for."""
    expect(page.locator(".grid").first).to_have_attribute("aria-busy", "false")
    expect(page.locator(".grid[aria-busy=true], .skeleton")).to_have_count(0)


def fits(page: Page) -> None:
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, "the page scrolls sideways"


def cards(page: Page) -> Locator:
    return page.locator("li.card:not(.skeleton)")


def order(page: Page) -> list[str]:
    settled(page)
    items: list[str] = cards(page).evaluate_all("nodes => nodes.map((node) => node.dataset.item)")
    return items


def look_for(page: Page, words: str) -> None:
    box = page.get_by_role("searchbox", name="Search the shop")
    box.fill(words)
    box.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(words)
    settled(page)


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).check()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"or {name}")
    settled(page)


def look_at(page: Page, place: int) -> None:
    """Open a product, close it, and wait for the list that comes of it."""
    cards(page).nth(place).locator(".open").click()
    title = page.get_by_role("dialog").get_by_role("heading", level=2).inner_text()
    page.keyboard.press("Escape")
    expect(page.locator(".changed")).to_contain_text(title)
    settled(page)


def asked_of(api: httpx.Client, shopper: str, text: str) -> list[str]:
    """What the API ranks for one of the personas, by name."""
    ids = {one["name"]: one["id"] for one in api.get("/v1/personas").json()}
    answer = api.post("/v1/search", json={"text": text, "shopper": ids[shopper], "k": 24})
    return [result["item"] for result in answer.json()["results"]]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_a_shopper_searches_reads_why_clicks_and_sees_the_order_change(
    visit: Visit, api: httpx.Client, size: tuple[int, int]
) -> None:
    page = visit(size)
    expect(page.locator("#simulated")).to_be_visible()
    expect(page.locator("#simulated")).to_contain_text("Simulated shoppers")
    lists = {}
    for name in ("Ana", "Bo"):
        choose(page, name)
        look_for(page, "dress")
        lists[name] = order(page)
        assert lists[name] == asked_of(api, name, "dress")
    assert lists["Ana"] != lists["Bo"]
    fits(page)

    # Why this? Every reason has a bar, and the shares add up to the score.
    why = cards(page).first.get_by_role("button", name="Why this?")
    why.click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("heading", name="Why it is number 1")).to_be_visible()
    rows = panel.locator(".reasons li:not(.rest)")
    assert rows.count() >= 3
    expect(panel.locator(".reasons .bar")).to_have_count(rows.count())
    expect(rows.first.locator(".sentence")).not_to_be_empty()
    shares = [float(share.replace("−", "-")) for share in panel.locator(".reasons .share").all_inner_texts()]
    score = float(panel.locator(".sum strong").inner_text())
    assert sum(shares) == pytest.approx(score, abs=0.006 * (len(shares) + 1))
    fits(page)
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()

    # A click counts at once: the list after it is another one, and says what moved.
    chosen = cards(page).nth(6)
    title = chosen.get_by_role("heading").inner_text()
    chosen.locator(".open").click()
    expect(panel.get_by_role("heading", name=title)).to_be_visible()
    expect(panel.get_by_role("heading", name="Similar items")).to_be_visible()
    fits(page)
    panel.get_by_role("button", name="Close").click()
    expect(page.locator(".changed")).to_contain_text(re.compile(rf"Bo clicked “{re.escape(title)}”: \d+ of \d+"))
    after = order(page)
    assert after != lists["Bo"]
    assert after == asked_of(api, "Bo", "dress")
    moves = {}
    for card in cards(page).filter(has=page.locator(".move")).all():
        moves[str(card.get_attribute("data-item"))] = card.locator(".move").inner_text()
    expected = {}
    for place, item in enumerate(after):
        up = lists["Bo"].index(item) - place if item in lists["Bo"] else None
        if up != 0:
            expected[item] = "new" if up is None else f"{'▲' if up > 0 else '▼'}{abs(up)}"
    assert {item: said.split("\n")[0] for item, said in moves.items()} == expected
    # And what was clicked stands among what Bo did lately.
    expect(page.locator("#recent").get_by_role("button", name=re.compile("clicked, just now")).first).to_be_visible()


def test_a_stranger_becomes_known_and_can_be_forgotten(visit: Visit) -> None:
    page = visit()
    page.get_by_role("radio", name="A stranger").check()
    expect(page.locator(".basis")).to_contain_text("Nothing is known")
    start = order(page)
    for place in (0, 1):
        look_at(page, place)
    expect(page.locator(".basis")).not_to_contain_text("Nothing is known")
    assert order(page) != start
    page.get_by_role("button", name="Forget me").click()
    page.get_by_role("button", name="Yes, erase").click()
    expect(page.locator(".basis")).to_contain_text("Nothing is known")
    assert order(page) == start


def test_all_of_it_can_be_done_from_the_keyboard(visit: Visit) -> None:
    page = visit()
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the products")).to_be_focused()
    press("Tab")
    press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("hat")
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("“hat” for Ana")
    settled(page)
    press("Tab")
    expect(page.get_by_role("button", name="Search by photo")).to_be_focused()
    press("Tab")
    press("Tab")
    expect(page.get_by_role("radio", name="Ana")).to_be_focused()
    press("ArrowRight")
    expect(page.get_by_role("heading", level=1)).to_have_text("“hat” for Bo")
    expect(page.get_by_role("radio", name="Bo")).to_be_focused()
    settled(page)

    press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement.className") == "why":
            break
        press("Tab")
    why = cards(page).first.get_by_role("button", name="Why this?")
    expect(why).to_be_focused()
    press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(why).to_be_focused()

    # Opening a product ranks anew; the focus stays on that product, wherever it went.
    press("Tab")
    item = page.evaluate("document.activeElement.closest('.card').dataset.item")
    press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Close")).to_be_focused()
    press("Escape")
    expect(page.locator(".changed")).to_be_visible()
    settled(page)
    assert page.evaluate("document.activeElement.closest('.card').dataset.item") == item


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_filters_and_an_empty_result(visit: Visit, size: tuple[int, int]) -> None:
    page = visit(size)
    everything = order(page)
    filters = page.get_by_role("form", name="Filters")
    if size == NARROW:
        expect(filters).to_be_hidden()
        page.get_by_text("Filters", exact=True).click()
    filters.get_by_label("Category").select_option("Clothing > Dresses")
    filters.get_by_label("Colour").select_option("Red")
    expect(cards(page)).not_to_have_count(len(everything))
    settled(page)
    titles = cards(page).get_by_role("heading").all_inner_texts()
    assert len(titles) >= 5
    assert all("Red" in title and "Dress" in title for title in titles)
    fits(page)

    filters.get_by_label("Price from").fill("99999")
    filters.get_by_label("Price from").press("Enter")
    expect(page.locator(".nothing")).to_contain_text("Nothing here with these filters")
    expect(cards(page)).to_have_count(0)
    fits(page)
    page.get_by_role("button", name="Clear the filters").click()
    expect(cards(page)).to_have_count(len(everything))
    assert order(page) == everything


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_a_photo_is_searched_by_with_words_beside_it(
    visit: Visit, api: httpx.Client, tmp_path: Path, size: tuple[int, int]
) -> None:
    file = tmp_path / "brown dress.jpg"
    file.write_bytes(api.get("/photos/g00004").content)
    page = visit(size)
    everything = order(page)
    heading, field = page.get_by_role("heading", level=1), page.locator("#field")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Search by photo").click()
    chooser.value.set_files(file)
    expect(heading).to_have_text("Like your photo, for Ana")
    alone = order(page)
    assert alone[0] == "g00004"
    assert alone != everything
    expect(cards(page).first).to_contain_text("Looks like your photo")
    expect(field.get_by_role("img", name="Like your photo")).to_be_visible()
    expect(page.locator(".basis")).to_have_text("Ranked by likeness, and a little by what Ana did lately.")
    fits(page)

    box = page.get_by_role("searchbox")
    box.fill("red")
    box.press("Enter")
    expect(heading).to_have_text("“red”, like your photo, for Ana")
    settled(page)
    titles = cards(page).get_by_role("heading").all_inner_texts()[:8]
    assert all("Red" in title and "Dress" in title for title in titles), titles
    why = cards(page).first.get_by_role("button", name="Why this?")
    why.click()
    expect(page.get_by_role("dialog")).to_contain_text("“red”, as you asked")
    fits(page)
    page.keyboard.press("Escape")

    field.get_by_role("button", name="Remove your photo from the search").press("Enter")
    expect(heading).to_have_text("“red” for Ana")
    expect(page.locator("#shown")).to_be_hidden()
    expect(box).to_be_focused()
    assert order(page) == asked_of(api, "Ana", "red")
    # Words beside a photo are not what led to a click: only those that stood alone were told.
    searches = [one for one in said_of(page) if one["kind"] == "search"]
    assert [one["query"] for one in searches] == ["red"]


def said_of(page: Page) -> list[dict[str, Any]]:
    """The events that the page has told the shop."""
    told: list[dict[str, Any]] = page.evaluate("window.told")
    return told


def test_a_photo_can_be_pasted_and_dropped_and_a_text_file_is_refused_in_words(visit: Visit) -> None:
    page = visit()
    heading = page.get_by_role("heading", level=1)
    give = """([kind, name, type]) => new Promise((done) => {
      const canvas = Object.assign(document.createElement("canvas"), {width: 2400, height: 1800});
      const pen = canvas.getContext("2d");
      pen.fillStyle = "red"; pen.fillRect(600, 300, 1200, 1200);
      canvas.toBlob((blob) => {
        const given = new DataTransfer();
        given.items.add(new File([type === "text/plain" ? "hello" : blob], name, {type}));
        const [Made, holder] = kind === "paste" ? [ClipboardEvent, "clipboardData"] : [DragEvent, "dataTransfer"];
        document.body.dispatchEvent(new Made(kind, {[holder]: given, bubbles: true, cancelable: true}));
        done();
      }, "image/png");
    })"""
    for kind in ("paste", "drop"):
        page.evaluate(give, [kind, "square.png", "image/png"])
        expect(heading).to_have_text("Like your photo, for Ana")
        settled(page)
        page.get_by_role("button", name="Remove your photo from the search").click()
        expect(heading).to_have_text("For Ana")
        settled(page)
    page.evaluate(give, ["drop", "notes.txt", "text/plain"])
    expect(page.get_by_role("alert")).to_contain_text("“notes.txt” cannot be read as a photo. Choose a JPEG")
    expect(heading).to_have_text("For Ana")


def test_more_like_a_product_and_with_words(visit: Visit, api: httpx.Client) -> None:
    page = visit(address="/?q=dress")
    item = order(page)[2]
    title = cards(page).nth(2).get_by_role("heading").inner_text()
    cards(page).nth(2).locator(".open").click()
    page.get_by_role("dialog").get_by_role("button", name="More like this").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Like “{title}”, for Ana")
    expect(page.get_by_role("searchbox")).to_be_focused()
    alone = order(page)
    assert item not in alone
    navy = [sum("Navy" in title for title in cards(page).get_by_role("heading").all_inner_texts()[:8])]
    page.keyboard.type("navy")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"“navy”, like “{title}”, for Ana")
    assert order(page) != alone
    navy.append(sum("Navy" in title for title in cards(page).get_by_role("heading").all_inner_texts()[:8]))
    assert navy[1] > navy[0]
    fits(page)


def test_two_shoppers_side_by_side(visit: Visit) -> None:
    page = visit(address="/?q=dress")
    page.get_by_role("button", name="Compare two shoppers").click()
    headings = page.get_by_role("heading", level=1)
    expect(headings).to_have_text(["“dress” for Ana", "“dress” for Bo"])
    settled(page)
    page.get_by_label("Shopper of list 2").select_option("Chiara")
    expect(headings).to_have_text(["“dress” for Ana", "“dress” for Chiara"])
    settled(page)
    lists = [one.locator("li.card").evaluate_all("all => all.map((one) => one.dataset.item)")
             for one in page.locator("section.list").all()]  # fmt: skip
    assert lists[0] != lists[1]
    expect(page.locator(".elsewhere").first).to_contain_text("for Chiara")
    page.get_by_role("button", name="One shopper").click()
    expect(headings).to_have_text(["“dress” for Ana"])


def test_photos_are_there_and_told_in_words(visit: Visit) -> None:
    page = visit()
    expect(page.locator(".card img")).to_have_count(24)
    for card in cards(page).all():
        card.scroll_into_view_if_needed()
    loaded = "[...document.querySelectorAll('.card img')].every((one) => one.complete && one.naturalWidth > 100)"
    page.wait_for_function(loaded)
    told = page.evaluate("[...document.images].map((one) => one.alt)")
    titles = cards(page).locator(".open").evaluate_all("all => all.map((one) => one.ariaLabel)")
    assert all(told)
    assert all(any(alt in title for title in titles) for alt in told[-24:])


KINDS = [
    ".brand", ".basis", ".because", ".taste", ".why", ".place", ".move", ".banner", ".changed", ".primary",
    "h1", ".card h3", ".sentence", ".share.for", ".share.against", ".foot", ".recent p", ".filters label",
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(visit: Visit, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    look_at(page, 9)
    cards(page).first.get_by_role("button", name="Why this?").click()
    seen = contrasts(page, KINDS)
    assert {".brand", ".basis", ".taste", ".move", ".banner", ".sentence", ".share.against"} <= set(seen)
    assert {where: ratio for where, ratio in seen.items() if ratio < 4.5} == {}
    page.keyboard.press("Escape")
    cards(page).nth(1).locator(".open").click()
    page.get_by_role("dialog").get_by_role("button", name="More like this").click()
    settled(page)
    shown = contrasts(page, [".remove", ".camera"])
    assert len(shown) == 2
    assert min(shown.values()) >= 4.5, shown


def test_what_goes_wrong_is_said_and_can_be_tried_again(browser: Browser, server: Server) -> None:
    with browser.new_context(base_url=server.address, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        page.route("**/v1/recommend", lambda route: route.abort())
        page.goto("/")
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The shop cannot be reached")
        page.unroute("**/v1/recommend")
        problem = {"status": 503, "detail": "The shop has no snapshot yet. Make one with: vetrina build shop"}
        page.route("**/v1/recommend", lambda route: route.fulfill(status=503, json=problem))
        alert.get_by_role("button", name="Try again").click()
        expect(alert).to_contain_text("has no snapshot yet")
        page.unroute("**/v1/recommend")
        alert.get_by_role("button", name="Try again").click()
        expect(cards(page)).to_have_count(24)
        expect(alert).to_have_count(0)
        # A list that is there stays, and what failed is told beside it.
        page.route("**/v1/search", lambda route: route.abort())
        box = page.get_by_role("searchbox")
        box.fill("hat")
        box.press("Enter")
        expect(alert).to_contain_text("The shop cannot be reached")


def test_words_of_a_visitor_are_never_markup(visit: Visit) -> None:
    words = "<img src=x onerror=alert(1)> dress"
    page = visit(address="/?" + str(httpx.QueryParams({"q": words})))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"“{words}” for Ana")
    assert page.locator("img[src=x]").count() == 0
