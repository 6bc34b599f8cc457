"""Silhouettes of clothes: each function draws one, its cut varied by ``rng``."""

from __future__ import annotations

import numpy as np

from vetrina.simulate.drawing import Ink, Point, Sketch, ellipse, mirrored

__all__ = ["coat", "dress", "jumper", "shirt", "shorts", "skirt", "trousers", "tshirt"]

_INSIDE = Ink("main", 0.62, 0.4)
_RIB = Ink("trim", 0.93)


def _neckline(sketch: Sketch, width: float, top: float, depth: float) -> None:
    """The back of the neck, seen through the opening."""
    outline: list[Point] = [(0, top - 3), (width - 2, top, 1), (width * 0.6, top + depth * 0.8), (0, top + depth + 1)]
    sketch.part(mirrored(outline), _INSIDE)


def _neckband(sketch: Sketch, neck: float, top: float, deep: float, rib: float) -> None:
    """The rib round the front of the neck."""
    line: list[Point] = [
        (120 - neck, top),
        (120 - neck * 0.66, top + deep * 0.72),
        (120, top + deep),
        (120 + neck * 0.66, top + deep * 0.72),
        (120 + neck, top),
    ]
    sketch.band(line, rib, _RIB)


def _sleeves(
    sketch: Sketch,
    shoulder: tuple[float, float],
    cuff: tuple[float, float],
    under: tuple[float, float],
    width: float,
    ink: Ink | None = None,
) -> None:
    """Both long sleeves, hanging a little away from the body; ``cuff`` is the outer end."""
    for side in (-1, 1):
        points: list[Point] = [
            (120 + side * (shoulder[0] - 8), shoulder[1] - 4),
            (120 + side * (shoulder[0] + 8), shoulder[1] + 12),
            (120 + side * (cuff[0] - 5), (shoulder[1] + cuff[1]) / 2),
            (120 + side * cuff[0], cuff[1], 1),
            (120 + side * (cuff[0] - width), cuff[1] + 4, 1),
            (120 + side * (under[0] + 6), (under[1] + cuff[1]) / 2),
            (120 + side * (under[0] - 8), under[1], 1),
        ]
        sketch.part(points, ink)


def tshirt(rng: np.random.Generator) -> Sketch:
    """A short-sleeved top, crew or V neck, perhaps with a pocket."""
    sketch = Sketch(folds=1.0)
    width, hem = rng.uniform(56, 64), rng.uniform(252, 276)
    sleeve, neck = rng.uniform(-8, 14), rng.uniform(22, 28)
    deep = rng.uniform(20, 36) if rng.random() < 0.3 else rng.uniform(11, 17)
    top = 58.0
    _neckline(sketch, neck, top, deep * 0.4)
    sketch.part(
        mirrored(
            [
                (0, top + deep),
                (neck * 0.66, top + deep * 0.72),
                (neck, top, 1),
                (62, 70),
                (76, 84),
                (101, 128 + sleeve, 1),
                (77, 141 + sleeve, 1),
                (width + 1, 118, 1),
                (width - 2, 180),
                (width + 1, hem, 1),
                (0, hem + 3),
            ]
        )
    )
    _neckband(sketch, neck, top, deep, rng.uniform(3.5, 6))
    for side in (-1, 1):
        sketch.line([(120 + side * 62, 71), (120 + side * 58, 92), (120 + side * (width), 118)], 0.8, -0.16)
        sketch.line([(120 + side * 98, 124 + sleeve), (120 + side * 75, 136 + sleeve)], 0.7, -0.2, dash=1)
    sketch.line([(120 - width, hem - 6), (120, hem - 3), (120 + width, hem - 6)], 0.7, -0.2, dash=1)
    if rng.random() < 0.25:
        sketch.part([(134, 112, 1), (160, 112, 1), (160, 136, 1), (147, 143, 1), (134, 136, 1)], Ink("main", 1.0, 0.5))
        sketch.line([(134, 116), (160, 116)], 0.7, -0.2)
    return sketch


def shirt(rng: np.random.Generator) -> Sketch:
    """A buttoned shirt with collar, placket and cuffs."""
    sketch = Sketch(folds=0.9)
    width, hem, cuff = rng.uniform(55, 63), rng.uniform(258, 278), rng.uniform(206, 226)
    short = rng.random() < 0.25
    end = 146.0 if short else cuff
    sketch.part(mirrored([(0, 50), (22, 54, 1), (14, 74), (0, 82)]), _INSIDE)
    if short:
        for side in (-1, 1):
            sketch.part(
                [
                    (120 + side * 52, 66, 1),
                    (120 + side * 64, 72),
                    (120 + side * 98, 138, 1),
                    (120 + side * 73, 150, 1),
                    (120 + side * 52, 116, 1),
                ]
            )
            sketch.line([(120 + side * 95, 131), (120 + side * 71, 143)], 0.8, -0.22)
    else:
        _sleeves(sketch, (60, 72), (99, end), (60, 126), 20)
    sketch.part(
        mirrored(
            [
                (0, 80),
                (24, 56, 1),
                (62, 70),
                (66, 84),
                (width, 126),
                (width - 3, 180),
                (width, hem - 12, 1),
                (width * 0.6, hem),
                (0, hem + 4),
            ]
        )
    )
    for side in (-1, 1):
        sketch.part(
            [(120, 84, 1), (120 + side * 25, 54, 1), (120 + side * 21, 49, 1), (120 + side * 1, 64, 1)],
            Ink("main", 0.86, 0.5),
        )
        sketch.part(
            [(120, 82, 1), (120 + side * 22, 50, 1), (120 + side * 31, 60), (120 + side * 22, 92, 1)],
            Ink("trim", 0.98, 0.9),
        )
        sketch.line([(120 + side * 62, 72), (120 + side * 58, 98), (120 + side * width, 126)], 0.8, -0.18)
        if not short:
            x = 120 + side * 99
            sketch.part(
                [
                    (x + side * 1, end - 15, 1),
                    (x + side * 2, end + 2, 1),
                    (x - side * 21, end + 6, 1),
                    (x - side * 20, end - 12, 1),
                ],
                Ink("trim", 0.95, 0.8),
            )
    sketch.part([(114, 84, 1), (126, 84, 1), (126, hem + 3, 1), (114, hem + 3, 1)], Ink("main", 1.0, 0.35))
    for edge in (114.5, 125.5):
        sketch.line([(edge, 84), (edge, hem + 2)], 0.7, -0.22)
    for y in np.linspace(96, hem - 14, 6):
        sketch.part(ellipse(120, y, 2.5, 2.5, 16), Ink("button", 1.0, 0.6))
        sketch.line([(119.2, y), (120.8, y)], 0.7, -0.4)
    if rng.random() < 0.5:
        sketch.part([(138, 112, 1), (164, 112, 1), (164, 138, 1), (151, 144, 1), (138, 138, 1)], Ink("main", 1.0, 0.5))
    return sketch


def jumper(rng: np.random.Generator) -> Sketch:
    """A knitted jumper with ribbed cuffs, hem and neck."""
    sketch = Sketch(folds=0.7)
    width, hem = rng.uniform(58, 66), rng.uniform(236, 256)
    polo = rng.random() < 0.3
    cuff = rng.uniform(208, 226)
    if not polo:
        sketch.part(mirrored([(0, 56), (25, 58, 1), (15, 68), (0, 72)]), _INSIDE)
    _sleeves(sketch, (60, 74), (102, cuff), (62, 128), 22)
    sketch.part(
        mirrored(
            [
                (0, 72),
                (17, 67),
                (26, 58, 1),
                (60, 70),
                (68, 86),
                (width, 128),
                (width - 1, 180),
                (width + 1, hem),
                (width - 3, hem + 3, 1),
                (0, hem + 5),
            ]
        )
    )
    sketch.part(mirrored([(0, hem - 1), (width, hem - 5, 1), (width - 5, hem + 15, 1), (0, hem + 18)]), _RIB)
    ribs = np.linspace(-width + 5, width - 5, 30)
    for x in ribs:
        sketch.line([(120 + x, hem - 1), (120 + x * 0.97, hem + 14)], 0.7, -0.17)
    for side in (-1, 1):
        x = 120 + side * 102
        sketch.part(
            [
                (x + side * 1, cuff - 3, 1),
                (x - side * 1, cuff + 15, 1),
                (x - side * 19, cuff + 18, 1),
                (x - side * 23, cuff, 1),
            ],
            _RIB,
        )
        for step in np.linspace(2, 20, 7):
            sketch.line([(x - side * step, cuff - 1), (x - side * (step * 0.86 + 1), cuff + 15)], 0.7, -0.17)
        sketch.line([(120 + side * 60, 72), (120 + side * 55, 98), (120 + side * width, 128)], 0.9, -0.16)
    if polo:
        sketch.part(mirrored([(0, 40), (22, 41), (25, 60), (22, 70), (0, 75)]), Ink("trim", 0.97, 1.0))
        sketch.line([(97, 60), (120, 65), (143, 60)], 0.9, -0.2)
    else:
        _neckband(sketch, 26, 58, 15, 8)
    if rng.random() < 0.4:  # cable stitch
        for x in (-30, -10, 10, 30):
            wave: list[Point] = [
                (120 + x + 2.4 * (1 if k % 2 else -1), y) for k, y in enumerate(np.linspace(92, hem - 8, 16))
            ]
            other: list[Point] = [(240 + 2 * x - p[0], p[1]) for p in wave]
            sketch.line(wave, 1.1, -0.15)
            sketch.line(other, 1.1, -0.12)
    return sketch


def dress(rng: np.random.Generator) -> Sketch:
    """A dress with a waist and a flared skirt; sleeveless, strapped or with short sleeves."""
    sketch = Sketch(folds=1.5)
    hem, flare = rng.uniform(244, 296), rng.uniform(60, 88)
    waist, neck = rng.uniform(30, 36), rng.uniform(20, 27)
    style = rng.integers(3)
    deep = rng.uniform(12, 34)
    y = 136.0
    if style == 1:
        for side in (-1, 1):
            sketch.band([(120 + side * 22, 36), (120 + side * 27, 62)], 4, Ink("main", 0.97))
    else:
        sketch.part(mirrored([(0, 42), (neck - 1, 42, 1), (neck * 0.6, 50), (0, 54)]), _INSIDE)
    top: list[Point]
    if style == 0:
        top = [(0, 42 + deep), (neck * 0.75, 42 + deep * 0.6), (neck, 38, 1), (41, 42, 1), (36, 66), (42, 88, 1)]
    elif style == 1:
        top = [(0, 70 + deep * 0.2), (16, 64), (27, 60, 1), (33, 70), (41, 86, 1)]
    else:
        top = [
            (0, 42 + deep),
            (neck * 0.75, 42 + deep * 0.6),
            (neck, 38, 1),
            (46, 46),
            (70, 82, 1),
            (52, 92, 1),
            (42, 84, 1),
        ]
    sketch.part(mirrored([*top, (40, 108), (waist, y, 1), (0, y + 2)]), Ink("main", 1.0, 0.9))
    wave = rng.uniform(2, 5)
    skirt_: list[Point] = [
        (0, y - 2),
        (waist, y - 2, 1),
        (waist + 13, y + 26),
        (flare * 0.86, hem - 45),
        (flare, hem, 1),
        (flare * 0.72, hem + 6 + wave),
        (flare * 0.44, hem + 6),
        (flare * 0.2, hem + 9 + wave),
        (0, hem + 8),
    ]
    sketch.part(mirrored(skirt_))
    for x in (-0.62, -0.3, 0.04, 0.36, 0.66):
        bend = x * flare
        sketch.line([(120 + x * waist, y + 4), (120 + bend * 0.72, (y + hem) / 2), (120 + bend, hem + 4)], 2.6, -0.07)
        sketch.line([(121 + x * waist, y + 8), (122 + bend * 0.72, (y + hem) / 2), (122 + bend, hem + 3)], 1.0, -0.09)
    if rng.random() < 0.5:
        sketch.part(
            mirrored([(0, y - 4), (waist + 0.5, y - 5, 1), (waist + 0.5, y + 4, 1), (0, y + 5)]), Ink("trim", 0.85)
        )
    else:
        sketch.line([(120 - waist, y), (120, y + 2), (120 + waist, y)], 1.0, -0.25)
    return sketch


def skirt(rng: np.random.Generator) -> Sketch:
    """A skirt: straight, flared or pleated."""
    sketch = Sketch(folds=1.2)
    waist, hem = rng.uniform(40, 46), rng.uniform(196, 276)
    pleated = rng.random() < 0.45
    flare = rng.uniform(76, 96) if pleated or rng.random() < 0.6 else rng.uniform(52, 60)
    top = 84.0
    folds = 11
    lower: list[Point] = []
    edge = np.linspace(1, -1, 2 * folds + 1) * flare
    for k, x in enumerate(edge):
        lower.append((120 + x, hem + 8 - 10 * (x / flare) ** 2 + (3.5 if k % 2 and pleated else 0), int(pleated)))
    sketch.part(
        [
            (120 - waist, top + 8, 1),
            (120 + waist, top + 8, 1),
            (120 + waist + (flare - waist) * 0.6, (top + hem) / 2),
            *lower,
            (120 - waist - (flare - waist) * 0.6, (top + hem) / 2),
        ]
    )
    if pleated:
        for k, x in enumerate(edge[1:-1]):
            sketch.line(
                [
                    (120 + x / flare * waist, top + 12),
                    (120 + x * (0.5 + 0.5 * waist / flare), (top + hem) / 2),
                    (120 + x, hem + 6 - 10 * (x / flare) ** 2),
                ],
                1.2 if k % 2 else 2.6,
                -0.2 if k % 2 else -0.07,
            )
    else:
        for x in (-0.5, -0.12, 0.3, 0.62):
            sketch.line(
                [(120 + x * waist, top + 26), (120 + x * flare * 0.8, (top + hem) / 2), (120 + x * flare, hem)],
                2.6,
                -0.07,
            )
        sketch.line([(120 - flare, hem - 6), (120, hem + 2), (120 + flare, hem - 6)], 0.7, -0.18, dash=1)
    sketch.part(
        mirrored([(0, top - 6), (waist, top - 8, 1), (waist + 1, top + 9, 1), (0, top + 11)]), Ink("trim", 0.93)
    )
    if rng.random() < 0.4:
        sketch.part(ellipse(120, top + 2, 4, 4, 20), Ink("metal", 1.0, 0.8, 0.4))
    return sketch


def trousers(rng: np.random.Generator) -> Sketch:
    """Trousers or jeans with pockets, fly and loops; slim, straight or wide."""
    sketch = Sketch(folds=0.9)
    return _legs(sketch, rng, hem=rng.uniform(280, 298), leg=rng.uniform(17, 32), top=36.0)


def shorts(rng: np.random.Generator) -> Sketch:
    """Short trousers."""
    sketch = Sketch(folds=0.9)
    return _legs(sketch, rng, hem=rng.uniform(196, 228), leg=rng.uniform(28, 32), top=86.0)


def _legs(sketch: Sketch, rng: np.random.Generator, hem: float, leg: float, top: float) -> Sketch:
    waist, hip = rng.uniform(41, 46), rng.uniform(52, 57)
    crotch = top + 84
    for side in (-1, 1):
        centre = 33 + (leg - 20) * (0.45 if leg < 28 else 0.3)
        outline: list[Point] = [
            (120, top, 1),
            (120 + side * waist, top, 1),
            (120 + side * hip, top + 50),
            (120 + side * (centre + leg * 0.98 + 1), (crotch + hem) / 2),
            (120 + side * (centre + leg), hem, 1),
            (120 + side * (centre - leg), hem + 3, 1),
            (120 + side * max(centre - leg * 1.04, 5), (crotch + hem) / 2),
            (120 + side * 2.5, crotch + 4, 1),
            (120, crotch - 2, 1),
        ]
        sketch.part(outline)
        sketch.line(
            [
                (120 + side * (waist - 15), top + 14),
                (120 + side * (waist - 6), top + 30),
                (120 + side * (hip - 2), top + 36),
            ],
            1.1,
            -0.3,
        )
        sketch.line(
            [
                (120 + side * centre, top + 60),
                (120 + side * (centre + 1), (crotch + hem) / 2),
                (120 + side * centre, hem),
            ],
            1.6,
            -0.09,
        )
        sketch.line([(120 + side * (centre + leg), hem - 6), (120 + side * (centre - leg), hem - 3)], 0.8, -0.2, dash=1)
    sketch.part(
        mirrored([(0, top - 1), (waist, top - 3, 1), (waist + 2, top + 11, 1), (0, top + 13)]), Ink("main", 0.93, 0.8)
    )
    sketch.line([(120, top + 12), (120, crotch)], 1.0, -0.32)
    sketch.line([(128, top + 14), (127, top + 52), (120, top + 62)], 0.8, -0.2, dash=1)
    for x in (-30, -13, 15, 31):
        sketch.part(
            [(118.5 + x, top - 4, 1), (122 + x, top - 4, 1), (122 + x, top + 14, 1), (118.5 + x, top + 14, 1)],
            Ink("main", 0.88, 0.6),
        )
    if rng.random() < 0.35:
        for side in (-1, 1):
            sketch.band(
                [(120 + side * 3, top + 8), (120 + side * 7, top + 34), (120 + side * 5, top + 46)], 1.8, Ink("lace")
            )
    else:
        sketch.part(ellipse(120, top + 5.5, 3.4, 3.4, 20), Ink("metal", 1.0, 0.7, 0.4))
    return sketch


def coat(rng: np.random.Generator) -> Sketch:
    """A coat or jacket with lapels, pockets and one or two rows of buttons, or a zip."""
    sketch = Sketch(folds=0.6)
    long = rng.random() < 0.6
    width, hem = rng.uniform(57, 64), rng.uniform(272, 294) if long else rng.uniform(214, 236)
    cuff = rng.uniform(196, 214)
    sketch.part(mirrored([(0, 42), (22, 44, 1), (16, 90), (0, 112)]), Ink("lining", 1.0, 0.3))
    _sleeves(sketch, (60, 66), (100, cuff), (60, 122), 24)
    flare = 8 if long else 1
    body: list[Point] = [
        (-4, 124, 1),
        (26, 48, 1),
        (60, 64),
        (68, 80),
        (width, 122),
        (width - 3, 168),
        (width + flare, hem, 1),
        (-9, hem + 4, 1),
    ]
    for side in (1, -1):
        sketch.part([(120 + side * p[0], *p[1:]) for p in body])
    for side in (1, -1):
        lapel: list[Point] = [(-5, 128, 1), (14, 72), (24, 46, 1), (38, 70, 1), (30, 80, 1), (37, 88, 1)]
        sketch.part([(120 + side * p[0], *p[1:]) for p in lapel], Ink("trim", 0.95, 0.9))
        sketch.part(
            [
                (120 + side * 10, 44),
                (120 + side * 25, 43),
                (120 + side * 39, 68, 1),
                (120 + side * 28, 76, 1),
                (120 + side * 17, 58),
            ],
            Ink("trim", 1.0, 0.8),
        )
        sketch.line([(120 + side * 61, 67), (120 + side * 57, 94), (120 + side * width, 122)], 0.9, -0.2)
        x = 120 + side * (width * 0.6)
        sketch.part(
            [(x - 15, hem - 84, 1), (x + 15, hem - 86, 1), (x + 15, hem - 74, 1), (x - 15, hem - 72, 1)],
            Ink("main", 0.94, 0.7),
        )
        sketch.line([(120 + side * 98, cuff - 14), (120 + side * 77, cuff - 10)], 0.9, -0.22)
    sketch.line([(116, 128), (112, hem + 3)], 1.1, -0.3)
    rows = (-18, 12) if rng.random() < 0.5 else (3,)
    for x in rows:
        for y in np.arange(138, hem - 40, 34):
            sketch.part(ellipse(120 + x, y, 4.2, 4.2, 20), Ink("button", 1.0, 0.9, 0.2))
            sketch.line([(119 + x, y), (121.4 + x, y)], 0.9, -0.5)
    return sketch
