"""Pictures of products: parts with outlines, painted in a soft studio.

A product is a :class:`Sketch`: parts (closed outlines with a material role)
and strokes (seams, laces, zips) in order from back to front, on a canvas of
240 × 320. Outlines are filled at three times that size and reduced, which
anti-aliases them; colour, pattern, light and shadow are then arithmetic on
small arrays, so that a picture costs about 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["HEIGHT", "PATTERNS", "WIDTH", "Ink", "Part", "Sketch", "Stroke", "curve", "ellipse", "mirrored", "paint"]

WIDTH, HEIGHT = 240, 320
PATTERNS = ("plain", "striped", "dotted", "checked", "floral")

Floats = npt.NDArray[np.float32]
Point = tuple[float, float] | tuple[float, float, int]

_SCALE = 3
_LIGHT = (-0.55, -0.85)  # from the upper left
_ROWS, _COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) + np.float32(0.5)
_GLOW = np.exp(-(((_COLUMNS - 105) / 150) ** 2) - ((_ROWS - 120) / 190) ** 2)


def curve(points: Sequence[Point], closed: bool = True, steps: int = 8) -> Floats:
    """A smooth line through ``points`` (Catmull-Rom), sharp where a point's third element is 1.

    Returns
    -------
    float32 of shape (n, 2)
    """
    xy = np.array([point[:2] for point in points], dtype=np.float32)
    sharp = np.array([len(point) > 2 and point[2] == 1 for point in points])
    n = len(xy)
    spans = n if closed else n - 1
    start = np.arange(spans)
    stop = (start + 1) % n
    before, after = (start - 1) % n, (stop + 1) % n
    if not closed:
        before[0], after[-1] = 0, n - 1
    # A sharp end borrows no direction from beyond itself.
    p0 = np.where(sharp[start][:, None], xy[start], xy[before])
    p3 = np.where(sharp[stop][:, None], xy[stop], xy[after])
    p1, p2 = xy[start], xy[stop]
    t = (np.arange(steps, dtype=np.float32) / steps)[None, :, None]
    a, b, c, d = p0[:, None], p1[:, None], p2[:, None], p3[:, None]
    line = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = line.reshape(-1, 2)
    return np.asarray(flat if closed else np.vstack([flat, xy[-1:]]), dtype=np.float32)


def mirrored(half: Sequence[Point], centre: float = WIDTH / 2) -> list[Point]:
    """A closed outline from its right half: ``half`` gives offsets from the centre line, top to bottom."""
    right: list[Point] = [(centre + p[0], *p[1:]) for p in half]
    left: list[Point] = [(centre - p[0], *p[1:]) for p in reversed(half) if p[0] > 0]
    return right + left


@dataclass(frozen=True)
class Ink:
    """What a part is made of: a role ("main", "trim", "sole", "metal", "dark", "skin" …) and how it takes light."""

    role: str = "main"
    tone: float = 1.0
    relief: float = 1.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Part:
    """A closed outline, float32 (n, 2), painted with one ink."""

    outline: Floats
    ink: Ink = Ink()
    alpha: float = 1.0


@dataclass(frozen=True)
class Stroke:
    """A line, float32 (n, 2); ``tone`` below 0 darkens what lies under it, above 0 lightens; or it has an ink."""

    line: Floats
    width: float = 1.0
    tone: float = -0.25
    ink: Ink | None = None
    dash: int = 0


@dataclass
class Sketch:
    """Parts and strokes from back to front; a standing object gets a floor and a contact shadow."""

    layers: list[Part | Stroke] = field(default_factory=list)
    standing: bool = False
    folds: float = 0.0

    def part(self, points: Sequence[Point] | Floats, ink: Ink | None = None, alpha: float = 1.0) -> None:
        """Add a closed shape."""
        outline = points if isinstance(points, np.ndarray) else curve(points)
        self.layers.append(Part(outline, ink or Ink(), alpha))

    def line(self, points: Sequence[Point], width: float = 1.0, tone: float = -0.25, dash: int = 0) -> None:
        """Add a seam."""
        self.layers.append(Stroke(curve(points, closed=False), width, tone, None, dash))

    def band(self, points: Sequence[Point], width: float, ink: Ink | None = None) -> None:
        """Add a strap, lace or handle: a line with thickness and an ink."""
        self.layers.append(Stroke(curve(points, closed=False), width, 0.0, ink or Ink()))


def ellipse(x: float, y: float, rx: float, ry: float, n: int = 48) -> Floats:
    """A closed ellipse, float32 (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1).astype(np.float32)


def _cover(layer: Part | Stroke) -> tuple[slice, slice, Floats] | None:
    """(rows, columns, coverage in 0..1) of a layer, cut to its box and the reach of its shade."""
    line = layer.outline if isinstance(layer, Part) else layer.line
    reach = 8.0 if isinstance(layer, Part) else layer.width + (1 if layer.ink is None else 5)
    left, top = np.floor(line.min(axis=0) - reach).astype(int)
    right, bottom = np.ceil(line.max(axis=0) + reach).astype(int)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, WIDTH), min(bottom, HEIGHT)
    if right <= left or bottom <= top:
        return None
    large = Image.new("L", ((right - left) * _SCALE, (bottom - top) * _SCALE))
    draw = ImageDraw.Draw(large)
    places = [(float(x), float(y)) for x, y in (line - (left, top)) * _SCALE]
    if isinstance(layer, Part):
        draw.polygon(places, fill=255)
    else:
        _stroke(draw, places, layer)
    cover = np.asarray(large.reduce(_SCALE), dtype=np.float32) * np.float32(1 / 255)
    return slice(top, bottom), slice(left, right), cover


def _stroke(draw: ImageDraw.ImageDraw, places: list[tuple[float, float]], stroke: Stroke) -> None:
    """Draw a line, whole or in dashes of ``stroke.dash`` points of the curve."""
    width = max(1, round(stroke.width * _SCALE))
    if stroke.dash:
        for start in range(0, len(places) - 1, 2 * stroke.dash):
            draw.line(places[start : start + stroke.dash + 1], fill=255, width=width)
        return
    draw.line(places, fill=255, width=width, joint="curve")
    if stroke.ink is not None and width > 4:
        for x, y in (places[0], places[-1]):
            draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)


def _blur(cover: Floats, radius: float) -> Floats:
    image = Image.fromarray((cover * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) * np.float32(1 / 255)


def _smooth(value: Floats, edge: float, soft: float) -> Floats:
    """1 above ``edge``, 0 below, a soft step between: an anti-aliased threshold."""
    return np.asarray(np.clip((value - edge) / soft + 0.5, 0, 1), dtype=np.float32)


def _pattern(name: str, x: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(how much of the second colour, of the third) at each point of a cloth: two arrays in 0..1."""
    none = np.zeros_like(x)
    if name == "striped":
        pitch = rng.uniform(9, 22)
        share = 0.25 if rng.random() < 0.5 else 0.5
        across = y if rng.random() < 0.7 else x
        wave = np.abs((across / pitch) % 1 - 0.5) * 2
        return _smooth(wave, 1 - share, 2.4 / pitch), none
    if name == "dotted":
        pitch = rng.uniform(10, 19)
        row = np.floor(y / pitch)
        dx = ((x + (row % 2) * pitch / 2) / pitch) % 1 - 0.5
        dy = (y / pitch) % 1 - 0.5
        return _smooth(rng.uniform(0.2, 0.3) - np.hypot(dx, dy), 0.0, 1.2 / pitch), none
    if name == "checked":
        pitch = rng.uniform(15, 30)
        bars = [_smooth(np.abs((along / pitch) % 1 - 0.5) * 2, 0.5, 2.4 / pitch) for along in (x, y)]
        fine = [_smooth(np.abs(((along + pitch / 2) / pitch) % 1 - 0.5) * 2, 0.93, 2.4 / pitch) for along in (x, y)]
        return (0.5 * (bars[0] + bars[1])).astype(np.float32), np.maximum(fine[0], fine[1]) * np.float32(0.7)
    if name == "floral":
        pitch = rng.uniform(19, 30)
        row = np.floor(y / pitch)
        column = np.floor((x + (row % 2) * pitch / 2) / pitch)
        # A hash of the cell gives every flower its own place, turn and size.
        salt = rng.uniform(1, 9)
        cell = np.abs(np.sin(column * 12.9898 + row * 78.233 + salt) * 43758.5453) % 1
        other = np.abs(np.sin(column * 39.346 + row * 11.135 + salt) * 24634.6345) % 1
        dx = ((x + (row % 2) * pitch / 2) / pitch) % 1 - 0.5 - (cell - 0.5) * 0.3
        dy = (y / pitch) % 1 - 0.5 - (other - 0.5) * 0.3
        radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
        petal = (0.21 + 0.09 * np.cos(5 * angle + cell * 6.3)) * (0.8 + 0.4 * other)
        soft = 1.3 / pitch
        heart = _smooth(0.07 - radius, 0.0, soft)
        lx, ly = dx - 0.3 * np.cos(cell * 6.3), dy - 0.3 * np.sin(cell * 6.3)
        leaf = _smooth(0.085 - np.hypot(lx, ly * 1.9), 0.0, soft)
        return _smooth(petal - radius, 0.0, soft) * (1 - heart), np.maximum(heart, leaf)
    return none, none


def _studio(rng: np.random.Generator, standing: bool) -> Floats:
    """The backdrop: a warm or cool near-white, brighter where the lamp falls, with a floor under what stands."""
    tints = np.array([[233, 231, 228], [236, 232, 225], [226, 230, 233], [232, 228, 230], [228, 232, 227]])
    tint = tints[rng.integers(len(tints))].astype(np.float32)
    light = 0.93 + 0.085 * _GLOW
    if standing:
        floor = _smooth(_ROWS, 236, 46)
        light = light * (1 - 0.055 * floor) + 0.03 * floor * _GLOW
    return np.asarray(tint * light[..., None], dtype=np.float32)


def _shadow(canvas: Floats, cover: Floats, standing: bool) -> None:
    """Darken the backdrop where the product keeps light from it."""
    if standing:
        rows = np.flatnonzero(cover.max(axis=1) > 0.5)
        foot = int(rows[-1]) if len(rows) else HEIGHT - 40
        columns = np.flatnonzero(cover[max(foot - 14, 0) : foot + 1].max(axis=0) > 0.4)
        left, right = (int(columns[0]), int(columns[-1])) if len(columns) else (80, 160)
        half = (right - left) / 2
        near = slice(max(foot - 45, 0), foot + 45)  # beyond, the floor is as light as before
        x, y = _COLUMNS[near] - (left + right) / 2, _ROWS[near] - foot
        dark = np.zeros_like(cover)
        dark[near] = 0.34 * np.exp(-1.6 * (((x - 5) / (half + 16)) ** 2 + ((y + 1) / 11) ** 2))
        dark[near] += 0.3 * np.exp(-2.2 * ((x / (half + 2)) ** 2 + (y / 4) ** 2))
    else:
        moved = np.zeros_like(cover)
        moved[8:, 4:] = cover[:-8, :-4]
        dark = 0.24 * _blur(moved, 9) + 0.16 * _blur(np.roll(cover, (2, 1), (0, 1)), 2.5)
    canvas *= 1 - dark[..., None] * np.array([1.0, 0.98, 0.93], dtype=np.float32)


def _drape(phase: npt.NDArray[np.float64]) -> Floats:
    """Soft folds of cloth, about -1..1: where it turns to the light and where its pattern is pulled."""
    lean = np.sin(_ROWS[:, :1] / 47 + float(phase[0])) * 1.6
    folds = (
        np.sin(_COLUMNS / 13 + lean + float(phase[1])) * 0.6
        + np.sin((_COLUMNS * 0.7 + _ROWS) / 31 + float(phase[2])) * 0.5
    )
    return np.asarray(folds, dtype=np.float32)


def paint(
    sketch: Sketch,
    inks: dict[str, tuple[Floats, Floats, Floats]],
    pattern: str,
    rng: np.random.Generator,
) -> Image.Image:
    """Paint a sketch.

    Parameters
    ----------
    sketch : Sketch
    inks : dict of role to (first, second, third) colour
        sRGB float32 of shape (3,), 0..255; only "main" shows a pattern.
    pattern : str
        One of :data:`PATTERNS`, laid on parts of role "main".
    rng : Generator

    Returns
    -------
    PIL image, RGB, 240 × 320
    """
    canvas = _studio(rng, sketch.standing)
    covers = [_cover(layer) for layer in sketch.layers]
    whole = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    for layer, found in zip(sketch.layers, covers, strict=True):
        if found is not None and (isinstance(layer, Part) or layer.ink is not None):
            rows, columns, cover = found
            np.maximum(whole[rows, columns], cover, out=whole[rows, columns])
    _shadow(canvas, whole, sketch.standing)

    drape = _drape(rng.uniform(0, 6.3, size=3)) * np.float32(sketch.folds) if sketch.folds else np.zeros_like(whole)
    first, second = _pattern(pattern, _COLUMNS + 1.6 * drape, _ROWS - 1.6 * drape, rng)
    drape *= np.float32(0.05)
    for layer, found in zip(sketch.layers, covers, strict=True):
        if found is not None:
            rows, columns, cover = found
            _lay(
                canvas[rows, columns],
                layer,
                cover,
                inks,
                (first[rows, columns], second[rows, columns]),
                drape[rows, columns],
            )
    canvas += 1.1 * rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _lay(
    under: Floats,
    layer: Part | Stroke,
    cover: Floats,
    inks: dict[str, tuple[Floats, Floats, Floats]],
    cloth: tuple[Floats, Floats],
    drape: Floats,
) -> None:
    """Lay one layer on the canvas below it, in place."""
    if isinstance(layer, Stroke) and layer.ink is None:
        alpha = (cover * np.float32(abs(layer.tone)))[..., None]
        target = np.float32(0 if layer.tone < 0 else 255)
        under += (target - under) * alpha
        return
    ink = layer.ink or Ink()
    thin = isinstance(layer, Stroke)
    soft = _blur(cover, 2.0 if thin else 6.0)
    if ink.relief:  # what lies above keeps light from what lies just below it
        below = np.zeros_like(soft)
        below[2:, 1:] = soft[:-2, :-1]
        below *= (cover - 1) * np.float32(0.16)
        below += 1
        under *= below[..., None]
    base, second, third = inks.get(ink.role, inks["main"])
    # The blurred cover rises inwards from every edge: its slope is the way the surface faces.
    facing = np.zeros_like(soft)
    facing[1:-1, 1:-1] = np.float32(-_LIGHT[0] / 2) * (soft[1:-1, 2:] - soft[1:-1, :-2])
    facing[1:-1, 1:-1] += np.float32(-_LIGHT[1] / 2) * (soft[2:, 1:-1] - soft[:-2, 1:-1])
    shade = 1 + np.float32(ink.relief) * (np.float32(2.6) * facing - np.float32(0.30) * (1 - soft))
    if not thin:
        shade += drape * np.float32(ink.relief)
    np.clip(shade, 0.35, 1.5, out=shade)
    colour = (base * np.float32(ink.tone))[None, None] * np.ones((*cover.shape, 1), dtype=np.float32)
    if ink.role == "main" and ink.tone == 1.0:
        for over, share in zip((second, third), cloth, strict=True):
            if share.any():
                colour += (over - colour) * share[..., None]
    colour *= shade[..., None]
    # Dark cloth would otherwise swallow its own relief.
    colour += np.clip(facing * np.float32(90 * ink.relief), 0, 26)[..., None]
    if ink.gloss:
        shine = np.clip(facing * 6, 0, 1) ** 2 + np.float32(0.35) * np.clip(soft - np.float32(0.75), 0, 1)
        colour += (255 - colour) * (np.float32(ink.gloss) * np.clip(shine, 0, 1))[..., None]
    np.minimum(colour, 255, out=colour)
    colour -= under
    colour *= (cover * np.float32(layer.alpha if isinstance(layer, Part) else 1.0))[..., None]
    under += colour
