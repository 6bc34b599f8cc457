"""The map of a catalogue: what is near what, and the page in a real browser, opened from the disk."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from browsing import NARROW, WIDE, contrasts
from commands import Vetrina
from engine_shop import edit_products, make_shop
from vetrina.cli.map.page import _script_json, lay_out
from vetrina.core.errors import MissingExtra

HOSTILE = "</script><script>document.title = 'broken'</script><!-- \u2028 &amp; \"'"
SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])


def planted(n: int = 60) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vectors of three kinds that have nothing in common."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 3
    rows = np.eye(20)[kind] + 0.1 * rng.normal(size=(n, 20))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), kind


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_neighbours_in_the_plane_are_of_one_kind(method: str) -> None:
    rows, kind = planted()
    places = lay_out(rows, method, 0)
    assert places.shape == (60, 2)
    assert np.abs(places).max() == pytest.approx(1)
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distance, np.inf)
    assert np.array_equal(kind[distance.argmin(axis=1)], kind)
    assert np.array_equal(lay_out(rows, method, 0), places)


@pytest.mark.parametrize("n", [0, 1, 2, 9, 10, 12])
def test_tiny_catalogues_are_laid_out(n: int) -> None:
    places = lay_out(planted()[0][:n, :1] if n < 3 else planted()[0][:n], "tsne", 0)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


def test_a_method_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra, match="pip install umap-learn"):
        lay_out(planted()[0], "umap", 0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_shop(tmp_path_factory.mktemp("map"), events=False)
    edit_products(made, {"p00": {"name": HOSTILE}})
    made.build()
    return made.root


def test_what_cannot_be_drawn_is_refused(vetrina: Vetrina, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    failed = vetrina("map", shop, "--by", "phot", "--out", out)
    assert failed.code == 1
    assert "no such vectors. Did you mean 'photo'? There are:" in failed.err
    assert vetrina("map", shop, "--method", "som").code == 2
    out.mkdir()
    assert "the page cannot be written there" in vetrina("map", shop, "--out", out).err


def test_a_large_catalogue_is_sampled(vetrina: Vetrina, shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "map.html"
    told = vetrina("map", shop, "--out", out, "--by", "photo", "--items", 5, "--json").json()
    assert told == {
        "out": str(out), "by": "photo", "method": "tsne", "items": 5, "of": 24, "without": 0, "photos": 5,
    }  # fmt: skip
    assert "5 of 24 items by photo" in out.read_text(encoding="utf-8")


# --- the page -------------------------------------------------------------------

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def drawn(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vetrina.cli import main

    out = tmp_path_factory.mktemp("page") / "map.html"
    assert main(["map", str(shop), "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def opened(browser: Browser, drawn: Path) -> Iterator[Opened]:
    """Opens the map with no network; at the end nothing was complained of, and nothing but the file asked for."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(size: tuple[int, int] = WIDE, scheme: str = "light") -> Page:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((drawn.as_uri(), "data:")) else complaints.append(f"asked {asked.url}")
            ),
        )
        page.goto(drawn.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.browser
@SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(opened: Opened, size: tuple[int, int], scheme: str) -> None:
    page = opened(size, scheme)
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    assert page.title().endswith(": a map of the catalogue")
    assert "How far apart distant points" in page.locator("header").inner_text()
    assert min(contrasts(page, ["h1", "header p", "#keys", "#legend button", "label"]).values()) >= 4.5
    # Something of each category is drawn, in its colour.
    painted = page.evaluate(
        """() => {
          const map = document.getElementById("map");
          const { data } = map.getContext("2d").getImageData(0, 0, map.width, map.height);
          const found = new Set();
          for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) found.add(data.slice(i, i + 3).join());
          return found.size;
        }"""
    )
    assert painted >= page.locator("#legend button").count() > 1


@pytest.mark.browser
def test_the_keys_go_from_item_to_item(opened: Opened) -> None:
    page = opened()
    expect(page.locator("#card")).to_be_hidden()
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    card = page.locator("#card")
    expect(card).to_be_visible()
    assert page.evaluate("document.getElementById('photo').naturalWidth") > 0
    first = card.locator("#id").inner_text()
    assert card.locator("#title").inner_text() in page.locator("#said").inner_text()
    seen = {first}
    for way in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown") * 3:
        page.keyboard.press(way)
        seen.add(card.locator("#id").inner_text())
    assert len(seen) > 2
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


@pytest.mark.browser
def test_pointing_at_an_item_shows_it(opened: Opened) -> None:
    page = opened()
    box = page.locator("#map").bounding_box()
    assert box is not None
    right, down = page.evaluate("screen(3)")
    x, y = box["x"] + right, box["y"] + down
    page.mouse.move(x, y)
    expect(page.locator("#card")).to_be_visible()
    # Twins lie on one another; either is shown.
    assert page.locator("#title").inner_text() == page.evaluate("data.title[3]")
    page.mouse.wheel(0, -600)
    page.mouse.down()
    page.mouse.move(x + 80, y + 40)
    page.mouse.up()
    moved = page.evaluate("[view.scale, view.x, view.y]")
    assert moved[0] > 1.5
    assert moved[1:] != [0, 0]
    page.locator("#whole").click()
    assert page.evaluate("[view.scale, view.x, view.y]") == [1, 0, 0]


@pytest.mark.browser
@SIZES
def test_words_find_and_categories_hide(opened: Opened, size: tuple[int, int]) -> None:
    page = opened(size)
    titles = json.loads(page.locator("#data").inner_text())["title"]
    word = titles[5].split()[-1].lower()
    page.locator("#words").fill(word.upper())
    expect(page.locator("#found")).to_have_text(f"{sum(word in title.lower() for title in titles)} found")
    page.keyboard.press("Enter")
    expect(page.locator("#card")).to_be_visible()
    assert word in page.locator("#card").inner_text().lower()
    box, window = page.locator("#card").bounding_box(), page.viewport_size
    assert box is not None
    assert window is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= window["width"]
    page.locator("#words").fill("")
    button = page.locator("#legend button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("[...data.group.keys()].filter((i) => data.group[i] === 0 && seen(i)).length") == 0


@pytest.mark.browser
def test_hostile_titles_are_text(opened: Opened) -> None:
    page = opened()
    assert page.title() != "broken"
    title = page.evaluate("data.title[data.id.indexOf('p00')]")
    page.locator("#words").fill("p00")
    page.keyboard.press("Enter")
    assert page.locator("#title").inner_text().split() == title.split()


def test_nothing_in_the_data_ends_the_script() -> None:
    assert "<" not in _script_json({"title": [HOSTILE]})
    assert json.loads(_script_json({"title": [HOSTILE]})) == {"title": [HOSTILE]}
