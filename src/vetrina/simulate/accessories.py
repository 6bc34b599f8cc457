"""Silhouettes of accessories and things for the home: each function draws one, varied by ``rng``."""

from __future__ import annotations

import numpy as np

from vetrina.simulate.drawing import Ink, Point, Sketch, curve, ellipse, mirrored

__all__ = ["cushion", "hat", "lamp", "mug", "scarf", "sunglasses", "watch"]


def hat(rng: np.random.Generator) -> Sketch:
    """A brimmed hat, a cap or a knitted beanie."""
    sketch = Sketch(standing=True, folds=0.4)
    style = rng.integers(3)
    if style == 0:
        brim, crown = rng.uniform(86, 104), rng.uniform(96, 116)
        sketch.part(ellipse(120, 214, brim, 21), Ink("main", 0.94))
        sketch.part(mirrored([(0, crown + 8), (18, crown), (38, crown + 8), (50, 150), (57, 212), (30, 222), (0, 224)]))
        sketch.part(
            mirrored([(0, 200), (30, 198), (55, 188, 1), (58, 212), (30, 222), (0, 224)]), Ink("accent", 0.95, 0.9)
        )
        sketch.line([(120, crown + 12), (116, crown + 36), (120, crown + 60)], 5, -0.08)
        front: list[Point] = [
            (120 - brim, 213, 1),
            (120 - brim * 0.7, 218),
            (82, 217),
            (120, 224),
            (158, 217),
            (120 + brim * 0.7, 218),
            (120 + brim, 213, 1),
            (120 + brim * 0.66, 230),
            (120, 238),
            (120 - brim * 0.66, 230),
        ]
        sketch.part(front, Ink("main", 1.0, 0.8))
    elif style == 1:
        sketch.part([(60, 206, 1), (58, 160), (84, 116), (124, 108), (160, 126), (176, 170), (176, 206, 1), (120, 214)])
        sketch.part(
            [(130, 192, 1), (172, 188), (212, 202), (228, 216, 1), (190, 216), (150, 212), (126, 212, 1)],
            Ink("trim", 0.92),
        )
        for x, y in ((96, 118), (150, 120)):
            sketch.line([(124, 109), (x, y + 22), (x - (124 - x) * 0.2, 208)], 0.9, -0.2)
        sketch.part(ellipse(123, 109, 5, 3, 20), Ink("trim", 0.85))
        sketch.line([(132, 196), (172, 193), (210, 205)], 0.8, -0.2, dash=1)
        sketch.part([(138, 150, 1), (158, 150, 1), (160, 170, 1), (139, 170, 1)], Ink("accent", 1.0, 0.5))
    else:
        if rng.random() < 0.6:
            for angle in np.linspace(0, 2 * np.pi, 11, endpoint=False):
                sketch.part(
                    ellipse(120 + 13 * np.cos(angle), 92 + 12 * np.sin(angle), 10, 10, 18), Ink("accent", 0.98, 0.8)
                )
            sketch.part(ellipse(120, 92, 14, 13, 20), Ink("accent", 1.0, 0.4))
        sketch.part(mirrored([(0, 102), (36, 112), (58, 152), (64, 206), (0, 212)]))
        for x in np.linspace(-50, 50, 11):
            sketch.line([(120 + x * 0.35, 108), (120 + x * 0.85, 150), (120 + x, 206)], 1.4, -0.11)
        sketch.part(mirrored([(0, 198), (62, 192), (68, 200), (67, 228), (60, 234), (0, 240)]), Ink("trim", 0.95))
        for x in np.linspace(-62, 62, 26):
            sketch.line([(120 + x, 199), (120 + x * 1.02, 234)], 1.0, -0.15)
    return sketch


def scarf(rng: np.random.Generator) -> Sketch:
    """A scarf looped once, two fringed ends hanging."""
    sketch = Sketch(folds=1.3)
    left, right = rng.uniform(232, 262), rng.uniform(244, 272)
    for x, end, lean in ((97.0, left, -8.0), (141.0, right, 7.0)):
        for k in np.linspace(-20, 20, 11):
            sketch.band([(x + lean + k, end - 4), (x + lean * 1.1 + k * 1.05, end + 15)], 1.8, Ink("main", 0.92, 0.6))
        sketch.part(
            [
                (x - 17, 126, 1),
                (x + 17, 126, 1),
                (x + lean * 0.6 + 21, 190),
                (x + lean + 23, end, 1),
                (x + lean - 23, end + 2, 1),
                (x + lean * 0.6 - 20, 190),
            ]
        )
        for k in (-8, 6):
            sketch.line([(x + k, 140), (x + lean * 0.6 + k * 1.2, 200), (x + lean + k * 1.3, end - 6)], 2.6, -0.08)
    sketch.part(
        curve([(62, 96), (84, 62), (120, 52), (158, 62), (179, 98), (166, 138), (120, 158), (76, 138)]),
        Ink("main", 1.0, 1.1),
    )
    sketch.part(
        curve([(86, 90), (104, 74), (136, 74), (156, 92), (144, 106), (120, 112), (98, 106)]), Ink("main", 0.5, 0.5)
    )
    for k in (0.0, 1.0, 2.0):
        sketch.line(
            [(70, 104 + 6 * k), (92, 126 + 7 * k), (120, 132 + 7 * k), (150, 125 + 7 * k), (172, 103 + 6 * k)],
            2.2,
            -0.09,
        )
    return sketch


def sunglasses(rng: np.random.Generator) -> Sketch:
    """Sunglasses from the front; round, square or aviator."""
    sketch = Sketch()
    style = rng.integers(3)
    rim = rng.uniform(4, 8)
    for side in (-1, 1):
        sketch.band(
            [(120 + side * 92, 138), (120 + side * 99, 150), (120 + side * 90, 182)], 5, Ink("main", 0.75, 0.9, 0.15)
        )
    for side in (-1, 1):
        x = 120 + side * 50
        shape: list[Point]
        if style == 0:
            shape = [(x + 38 * np.cos(a), 166 + 37 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)]
        elif style == 1:
            shape = [
                (x - side * 36, 138),
                (x, 133),
                (x + side * 42, 132),
                (x + side * 42, 166),
                (x + side * 28, 196),
                (x - side * 14, 197),
                (x - side * 34, 172),
            ]
        else:
            shape = [
                (x - side * 34, 140),
                (x, 134),
                (x + side * 40, 140),
                (x + side * 38, 172),
                (x + side * 14, 204),
                (x - side * 18, 194),
                (x - side * 36, 162),
            ]
        centre = np.mean([p[:2] for p in shape], axis=0)
        sketch.part(shape, Ink("main", 1.0, 1.0, 0.25))
        inner: list[Point] = [
            (centre[0] + (p[0] - centre[0]) * (1 - rim / 40), centre[1] + (p[1] - centre[1]) * (1 - rim / 38))
            for p in shape
        ]
        sketch.part(inner, Ink("glass", 1.0, 0.5))
        glare: list[Point] = [
            (centre[0] + (p[0] - centre[0]) * 0.62 - 4, centre[1] + (p[1] - centre[1]) * 0.42 - 9) for p in shape
        ]
        sketch.part(glare, Ink("glass", 1.5, 0.2), alpha=0.5)
    sketch.band([(108, 150), (120, 144), (132, 150)], rim * 0.9, Ink("main", 1.0, 1.0, 0.25))
    if style == 2:
        sketch.band([(100, 136), (120, 134), (140, 136)], 4, Ink("main", 1.0, 1.0, 0.25))
    for side in (-1, 1):
        sketch.part(ellipse(120 + side * 89, 142, 2.2, 2.2, 14), Ink("metal", 1.0, 0.6, 0.6))
    return sketch


def watch(rng: np.random.Generator) -> Sketch:
    """A wrist watch, laid flat: strap, case, dial, hands."""
    sketch = Sketch()
    wide, case = rng.uniform(20, 25), rng.uniform(43, 51)
    y = 160.0
    sketch.part(
        [
            (120 - wide, y, 1),
            (120 - wide * 0.96, 84),
            (120 - wide * 0.74, 24),
            (120 + wide * 0.74, 24),
            (120 + wide * 0.96, 84),
            (120 + wide, y, 1),
        ],
        Ink("main", 1.0, 1.0, 0.06),
    )
    sketch.part(
        [
            (120 - wide, y, 1),
            (120 - wide * 0.94, 230),
            (120 - wide * 0.7, 284),
            (120, 296),
            (120 + wide * 0.7, 284),
            (120 + wide * 0.94, 230),
            (120 + wide, y, 1),
        ],
        Ink("main", 1.0, 1.0, 0.06),
    )
    for side in (-1, 1):
        sketch.line([(120 + side * (wide - 5), 112), (120 + side * (wide * 0.74 - 4), 34)], 0.8, 0.3, dash=1)
        sketch.line([(120 + side * (wide - 5), 208), (120 + side * (wide * 0.7 - 4), 278)], 0.8, 0.3, dash=1)
    for hole in (242, 255, 268):
        sketch.part(ellipse(120, hole, 2.1, 2.1, 14), Ink("dark", 0.7, 0.3))
    sketch.band(
        [(120 - wide * 0.78, 36), (120 - wide * 0.8, 22), (120 + wide * 0.8, 22), (120 + wide * 0.78, 36)],
        3.6,
        Ink("metal", 1.0, 1.0, 0.5),
    )
    sketch.part(
        [(120 + case - 3, y - 7, 1), (120 + case + 8, y - 6), (120 + case + 8, y + 6), (120 + case - 3, y + 7, 1)],
        Ink("metal", 0.9, 1.0, 0.4),
    )
    sketch.part(ellipse(120, y, case, case, 72), Ink("metal", 1.0, 1.3, 0.45))
    sketch.part(ellipse(120, y, case * 0.85, case * 0.85, 72), Ink("metal", 0.72, 0.6))
    sketch.part(ellipse(120, y, case * 0.81, case * 0.81, 72), Ink("dial", 1.0, 0.5))
    for hour in range(12):
        angle = hour * np.pi / 6
        inner = case * (0.62 if hour % 3 == 0 else 0.68)
        sketch.band(
            [
                (120 + inner * np.sin(angle), y - inner * np.cos(angle)),
                (120 + case * 0.74 * np.sin(angle), y - case * 0.74 * np.cos(angle)),
            ],
            2.2 if hour % 3 == 0 else 1.3,
            Ink("hand", 1.0, 0.2),
        )
    for turn, reach, width in ((-1.05, 0.4, 3.0), (0.96, 0.6, 2.2), (2.9, 0.62, 0.9)):
        sketch.band(
            [
                (120 - 5 * np.sin(turn), y + 5 * np.cos(turn)),
                (120 + case * reach * np.sin(turn), y - case * reach * np.cos(turn)),
            ],
            width,
            Ink("hand", 1.0, 0.4),
        )
    sketch.part(ellipse(120, y, 3, 3, 16), Ink("hand", 1.0, 0.6))
    return sketch


def mug(rng: np.random.Generator) -> Sketch:
    """A mug with a handle, sometimes glazed in two colours."""
    sketch = Sketch(standing=True)
    wide, top, base = rng.uniform(50, 60), rng.uniform(112, 138), 248.0
    taper = rng.uniform(0.82, 1.0)
    x = 106.0
    sketch.band(
        [
            (x + wide - 6, top + 26),
            (x + wide + 32, top + 30),
            (x + wide + 38, top + 68),
            (x + wide + 22, top + 94),
            (x + wide * taper - 4, top + 98),
        ],
        rng.uniform(10, 14),
        Ink("main", 0.97, 1.1, 0.2),
    )
    centred: list[Point] = [
        (p[0] - 14, *p[1:])
        for p in mirrored(
            [
                (0, top),
                (wide, top, 1),
                (wide * (1 + taper) / 2 + 2, (top + base) / 2),
                (wide * taper, base - 12),
                (wide * taper - 9, base, 1),
                (0, base + 4),
            ]
        )
    ]
    sketch.part(centred, Ink("main", 1.0, 1.2, 0.14))
    if rng.random() < 0.45:
        low = base - rng.uniform(24, 50)
        sketch.part(
            [
                (p[0] - 14, *p[1:])
                for p in mirrored(
                    [
                        (0, low + 6),
                        (wide * (taper + 0.02), low, 1),
                        (wide * taper, base - 12),
                        (wide * taper - 9, base, 1),
                        (0, base + 4),
                    ]
                )
            ],
            Ink("trim", 1.0, 0.8),
        )
    sketch.part(ellipse(x, top, wide, 12), Ink("main", 1.06, 0.5))
    sketch.part(ellipse(x, top + 1, wide - 4, 9.5), Ink("main", 0.6, 0.5))
    sketch.part(ellipse(x, top + 4, wide - 9, 6.5), Ink("coffee", 1.0, 0.4))
    sketch.line(
        [(x - wide + 11, top + 26), (x - wide + 12, (top + base) / 2), (x - wide * taper + 14, base - 24)], 5, 0.22
    )
    return sketch


def lamp(rng: np.random.Generator) -> Sketch:
    """A table lamp: shade, stem and foot, lit."""
    sketch = Sketch(standing=True)
    wide, upper = rng.uniform(66, 84), rng.uniform(30, 58)
    top, low, base = 52.0, rng.uniform(136, 156), 270.0
    if rng.random() < 0.5:
        body: list[Point] = [
            (0, low - 6),
            (6, low, 1),
            (9, low + 16),
            (30, low + 46),
            (34, base - 34),
            (20, base - 6, 1),
            (0, base - 4),
        ]
        sketch.part(
            mirrored([(0, base - 8), (34, base - 8, 1), (36, base, 1), (0, base + 3)]), Ink("metal", 0.9, 0.9, 0.2)
        )
        sketch.part(mirrored(body), Ink("accent", 1.0, 1.2, 0.25))
    else:
        sketch.band([(120, low - 10), (120, base - 8)], 6, Ink("metal", 1.0, 1.0, 0.4))
        sketch.part(ellipse(120, base - 4, 44, 9), Ink("metal", 0.8, 1.0, 0.3))
        sketch.part(ellipse(120, base - 8, 43, 8), Ink("metal", 1.0, 1.0, 0.3))
    sketch.part(ellipse(120, low, wide - 1, 9), Ink("glow", 1.0, 0.3))
    sketch.part(
        mirrored([(0, top + 2), (upper, top, 1), (wide, low, 1), (wide * 0.6, low + 7), (0, low + 9)]),
        Ink("main", 1.0, 0.8),
    )
    for step in np.linspace(1, 0.2, 9):  # the bulb behind the shade, softer than one disc could be
        sketch.part(ellipse(120, 118, wide * 0.62 * step, 36 * step), Ink("glow", 1.0, 0.0), alpha=0.035)
    sketch.line([(120 - upper, top + 3), (120, top + 5), (120 + upper, top + 3)], 1.4, -0.16)
    sketch.line(
        [
            (120 - wide + 2, low - 4),
            (120 - wide * 0.6, low + 3),
            (120, low + 5),
            (120 + wide * 0.6, low + 3),
            (120 + wide - 2, low - 4),
        ],
        1.2,
        -0.16,
    )
    return sketch


def cushion(rng: np.random.Generator) -> Sketch:
    """A square or oblong cushion with piping, or with tassels."""
    sketch = Sketch(folds=0.5)
    wide = rng.uniform(80, 92)
    high = wide if rng.random() < 0.7 else wide * 0.66
    y = 166.0
    pinch = rng.uniform(0.86, 0.93)
    shape: list[Point] = [
        (120 - wide, y - high, 1),
        (120, y - high * pinch),
        (120 + wide, y - high, 1),
        (120 + wide * pinch, y),
        (120 + wide, y + high, 1),
        (120, y + high * pinch),
        (120 - wide, y + high, 1),
        (120 - wide * pinch, y),
    ]
    if rng.random() < 0.4:
        for sx in (-1, 1):
            for sy in (-1, 1):
                cx, cy = 120 + sx * wide, y + sy * high
                for k in np.linspace(-0.5, 0.5, 5):
                    sketch.band(
                        [(cx, cy), (cx + sx * (9 - 10 * k * sx * sy), cy + sy * (9 + 10 * k * sx * sy))],
                        2.4,
                        Ink("accent", 0.95, 0.6),
                    )
    border: list[Point] = [(120 + (p[0] - 120) * 1.025, y + (p[1] - y) * 1.025, *p[2:]) for p in shape]
    sketch.part(border, Ink("trim", 0.82, 0.8))
    sketch.part(shape, Ink("main", 1.0, 1.5))
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        sketch.line(
            [(120 + sx * wide * 0.92, y + sy * high * 0.9), (120 + sx * wide * 0.7, y + sy * high * 0.66)], 3.2, -0.08
        )
        sketch.line(
            [(120 + sx * wide * 0.86, y + sy * high * 0.95), (120 + sx * wide * 0.56, y + sy * high * 0.8)], 2.4, -0.06
        )
    return sketch
