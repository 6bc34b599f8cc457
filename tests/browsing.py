"""What tests of pages have in common: window sizes, and how well things stand out from what is behind them."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

WIDE, NARROW = (1280, 900), (390, 844)


def contrasts(page: Page, kinds: Sequence[str], ink: str = "color") -> dict[str, float]:
    """The least ratio of luminances (WCAG 2) between each kind of element, by selector, and what is behind it.

    ``ink`` names the property that is seen: the letters' ``color``, or the ``stroke`` of a drawing.
    """
    found: dict[str, float] = page.evaluate(_CONTRASTS, [list(kinds), ink])
    return found


_CONTRASTS = """([kinds, ink]) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > .85) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = {};
  for (const kind of kinds) for (const node of document.querySelectorAll(kind)) {
    const [a, b] = [light(getComputedStyle(node)[ink]), light(behind(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    found[kind] = Math.min(found[kind] ?? 99, Math.round(ratio * 100) / 100);
  }
  return found;
}"""
