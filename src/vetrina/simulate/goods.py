"""Silhouettes of shoes and bags: each function draws one, its make varied by ``rng``."""

from __future__ import annotations

import numpy as np

from vetrina.simulate.drawing import Ink, Point, Sketch, ellipse, mirrored

__all__ = ["backpack", "boots", "handbag", "sandals", "trainers"]


def trainers(rng: np.random.Generator) -> Sketch:
    """A trainer from the side: sole, toe cap, laces, stripe, heel tab; low or high."""
    sketch = Sketch(standing=True)
    high = 44.0 if rng.random() < 0.3 else 0.0
    thick = rng.uniform(17, 27)
    base = 232.0
    sole = base - thick
    upper: list[Point] = [
        (38, sole + 4, 1),
        (36, sole - 36),
        (40, 146 - high, 1),
        (54, 140 - high),
        (92, 146 - high, 1),
        (104, 158 - high * 0.5),
        (132, 176),
        (168, 190),
        (196, 198),
        (206, sole - 4),
        (205, sole + 4, 1),
    ]
    sketch.part(
        [(44, 150 - high), (60, 138 - high), (92, 144 - high), (98, 158 - high), (70, 166 - high)],
        Ink("lining", 0.8, 0.4),
    )
    sketch.part(upper)
    # tongue, toe cap, heel
    sketch.part(
        [(88, 152 - high, 1), (97, 137 - high), (105, 137 - high), (111, 158 - high * 0.6), (102, 166 - high * 0.6)],
        Ink("trim", 0.95),
    )
    sketch.part(
        [(166, sole + 3, 1), (163, 199), (172, 189), (196, 197), (207, sole - 6), (206, sole + 3, 1)],
        Ink("accent", 1.0, 0.9),
    )
    sketch.part(
        [(38, sole + 3, 1), (36, sole - 36), (41, 148 - high, 1), (53, 144 - high), (60, 172), (66, sole + 3, 1)],
        Ink("accent", 0.97, 0.9),
    )
    if rng.random() < 0.6:
        sketch.part(
            [(72, sole + 1, 1), (104, 190), (128, 172, 1), (138, 176, 1), (116, 198), (92, sole + 1, 1)],
            Ink("stripe", 1.0, 0.4),
        )
    else:
        for step in (0, 16, 32):
            sketch.part(
                [
                    (84 + step, sole + 1, 1),
                    (100 + step, 184 + step * 0.2, 1),
                    (107 + step, 186 + step * 0.2, 1),
                    (92 + step, sole + 1, 1),
                ],
                Ink("stripe", 1.0, 0.4),
            )
    sketch.line([(100, 162 - high * 0.6), (104, 180), (158, 199), (168, sole)], 0.9, -0.25)
    for k in np.linspace(0, 1, 5 if not high else 7):
        x, y = 106 + 46 * k, 160 - high * 0.62 + (28 + high * 0.62) * k
        sketch.band([(x - 6, y + 9), (x + 3, y + 1), (x + 9, y - 1)], 3.2, Ink("lace", 1.0, 0.7))
    sketch.part(
        [
            (33, sole, 1),
            (60, sole + 2),
            (140, sole + 1),
            (208, sole - 6, 1),
            (214, sole + 4),
            (207, base, 1),
            (110, base + 1),
            (40, base, 1),
            (33, base - 7),
        ],
        Ink("sole", 1.0, 0.8),
    )
    sketch.line([(34, base - 7), (120, base - 6), (211, base - 8)], 1.6, -0.14)
    sketch.line([(36, sole + 5), (120, sole + 6), (210, sole)], 0.7, -0.14, dash=1)
    return sketch


def boots(rng: np.random.Generator) -> Sketch:
    """A boot from the side: ankle high or up to the knee, laced, zipped or elastic."""
    sketch = Sketch(standing=True)
    top = rng.uniform(64, 84) if rng.random() < 0.4 else rng.uniform(112, 136)
    base, heel = 248.0, rng.uniform(9, 24)
    style = rng.integers(3)
    sole = base - 8
    sketch.part([(58, top + 2), (84, top - 6), (114, top + 1), (86, top + 9)], Ink("lining", 0.75, 0.3))
    sketch.part(
        [
            (57, top + 2, 1),
            (86, top + 8),
            (115, top + 1, 1),
            (114, (top + 200) / 2),
            (118, 194),
            (140, 206),
            (176, 212),
            (194, 226),
            (195, sole + 3, 1),
            (120, sole + 3),
            (58, sole - heel * 0.2, 1),
            (55, 216),
            (60, 186),
            (58, (top + 200) / 2),
        ],
        Ink("main", 1.0, 1.1, 0.12),
    )
    sketch.line([(58, 218), (84, 212), (104, 200), (117, 196)], 1.0, -0.25)
    sketch.line([(138, 206), (146, 222), (142, sole)], 1.0, -0.2)
    if style == 0:
        sketch.part(
            [(101, top + 8, 1), (114, top + 5, 1), (119, 194), (136, 205, 1), (124, 208), (103, 196)],
            Ink("main", 0.8, 0.5),
        )
        for k in np.linspace(0, 1, int((210 - top) / 15)):
            x, y = 101 + 14 * k**2, top + 14 + (184 - top) * k
            sketch.band([(x, y + 3), (x + 14, y - 1)], 2.8, Ink("lace", 1.0, 0.7))
    elif style == 1:
        sketch.part(
            [(78, top + 9, 1), (96, top + 8, 1), (96, top + 56), (87, top + 66), (79, top + 56)], Ink("dark", 0.95, 0.4)
        )
        for x in np.linspace(80, 94, 6):
            sketch.line([(x, top + 11), (x, top + 58)], 0.8, 0.12)
    else:
        sketch.line([(76, top + 8), (78, 206)], 1.8, -0.4)
        sketch.line([(77, top + 8), (79, 206)], 0.8, 0.3, dash=1)
        sketch.band([(60, 178), (88, 184), (115, 178)], 6, Ink("trim", 0.85, 0.7))
        sketch.part([(96, 176, 1), (106, 175, 1), (106, 187, 1), (96, 188, 1)], Ink("metal", 1.0, 0.8, 0.5))
    sketch.part(
        [(56, sole - heel * 0.4, 1), (92, sole + 1, 1), (88, base + heel * 0.4, 1), (59, base + heel * 0.4, 1)],
        Ink("sole2", 0.9, 0.6),
    )
    sketch.part(
        [
            (56, sole - heel * 0.4, 1),
            (120, sole + 1),
            (196, sole, 1),
            (198, sole + 4),
            (192, base + heel * 0.4, 1),
            (116, base + heel * 0.2, 1),
            (90, sole + 5, 1),
            (58, sole + 3),
        ],
        Ink("sole2", 1.0, 0.6),
    )
    return sketch


def sandals(rng: np.random.Generator) -> Sketch:
    """A pair of sandals from above: footbed, straps, buckle."""
    sketch = Sketch()
    style = rng.integers(3)
    for side in (-1, 1):
        x = 120 + side * 45
        foot: list[Point] = [
            (x - side * 3, 52),
            (x + side * 22, 66),
            (x + side * 30, 112),
            (x + side * 21, 178),
            (x + side * 24, 236),
            (x + side * 2, 266),
            (x - side * 21, 240),
            (x - side * 19, 178),
            (x - side * 28, 108),
            (x - side * 24, 66),
        ]
        wide: list[Point] = [(x + (p[0] - x) * 1.12, 159 + (p[1] - 159) * 1.03) for p in foot]
        sketch.part(wide, Ink("sole2", 1.0, 0.8))
        sketch.part(foot, Ink("skin", 1.0, 0.7))
        sketch.part(ellipse(x + side * 1, 236, 13, 19), Ink("skin", 0.93, 0.3))
        if style == 0:
            for y in (96, 138):
                sketch.band([(x - 25, y + 7), (x, y - 1), (x + 25, y + 7)], 19, Ink("main", 1.0, 1.0, 0.08))
                sketch.part(
                    [
                        (x + side * 10, y - 5, 1),
                        (x + side * 21, y - 1, 1),
                        (x + side * 18, y + 12, 1),
                        (x + side * 7, y + 8, 1),
                    ],
                    Ink("metal", 1.0, 0.9, 0.5),
                )
                sketch.line([(x + side * 15, y - 1), (x + side * 13, y + 8)], 2.2, -0.45)
        elif style == 1:
            sketch.band([(x - 26, 158), (x - 14, 118), (x - side * 5, 84)], 11, Ink("main", 1.0, 1.0, 0.1))
            sketch.band([(x + 26, 158), (x + 14, 118), (x - side * 5, 84)], 11, Ink("main", 1.0, 1.0, 0.1))
            sketch.part(ellipse(x - side * 5, 84, 7, 7, 24), Ink("trim", 0.9, 1.0))
        else:
            sketch.band([(x - 29, 100), (x + 27, 132)], 12, Ink("main", 1.0, 1.0, 0.1))
            sketch.band([(x + 29, 100), (x - 27, 132)], 12, Ink("main", 1.0, 1.0, 0.1))
            sketch.band([(x - 22, 200), (x, 184), (x + 22, 200)], 10, Ink("main", 1.0, 1.0, 0.1))
            sketch.part(ellipse(x + side * 17, 192, 6, 7, 20), Ink("metal", 1.0, 0.9, 0.5))
    return sketch


def handbag(rng: np.random.Generator) -> Sketch:
    """A handbag with a handle, a flap and a clasp; or an open tote."""
    sketch = Sketch(standing=True)
    wide, top, base = rng.uniform(62, 78), rng.uniform(128, 152), 256.0
    tote = rng.random() < 0.4
    arch = top - rng.uniform(56, 84)
    for back in (True, False):
        inset, rise = (0.5, 6.0) if back else (0.56, 0.0)
        sketch.band(
            [
                (120 - wide * inset, top + 12),
                (120 - wide * inset * 0.92, arch + 26 - rise),
                (120, arch - rise),
                (120 + wide * inset * 0.92, arch + 26 - rise),
                (120 + wide * inset, top + 12),
            ],
            7,
            Ink("trim", 0.72 if back else 0.92, 1.0, 0.1),
        )
        if back:
            sketch.part(
                mirrored([(0, top - 3), (wide * 0.84, top + 2), (wide * 0.84, top + 12), (0, top + 14)]),
                Ink("lining", 0.7, 0.4),
            )
            sketch.part(
                mirrored(
                    [
                        (0, top + 5),
                        (wide * 0.86, top, 1),
                        (wide * 0.96, 200),
                        (wide, base - 12),
                        (wide * 0.93, base, 1),
                        (0, base + 2),
                    ]
                ),
                Ink("main", 1.0, 1.0, 0.07),
            )
            sketch.line([(120 - wide * 0.92, base - 16), (120, base - 13), (120 + wide * 0.92, base - 16)], 0.9, -0.22)
    if tote:
        sketch.line([(120 - wide * 0.85, top + 12), (120, top + 16), (120 + wide * 0.85, top + 12)], 0.8, -0.24, dash=1)
        for side in (-1, 1):
            x = 120 + side * wide * 0.56
            sketch.part(
                [
                    (x - 7, top + 8, 1),
                    (x + 7, top + 8, 1),
                    (x + 7, top + 34, 1),
                    (x, top + 40, 1),
                    (x - 7, top + 34, 1),
                ],
                Ink("trim", 0.9, 0.9),
            )
            sketch.part(ellipse(x, top + 16, 2.6, 2.6, 16), Ink("metal", 1.0, 0.8, 0.6))
        sketch.part([(106, 186, 1), (134, 186, 1), (134, 202, 1), (106, 202, 1)], Ink("trim", 0.82, 0.5))
    else:
        low = top + rng.uniform(48, 64)
        sketch.part(
            mirrored(
                [(0, top + 3), (wide * 0.88, top - 2, 1), (wide * 0.93, top + 22), (wide * 0.7, low - 6), (0, low)]
            ),
            Ink("trim", 0.97, 1.0, 0.1),
        )
        sketch.line(
            mirrored(
                [(0, top + 8), (wide * 0.82, top + 6), (wide * 0.87, top + 22), (wide * 0.65, low - 11), (0, low - 6)]
            )[1:5],
            0.8,
            -0.22,
            dash=1,
        )
        sketch.part(
            [(111, low - 10, 1), (129, low - 10, 1), (129, low + 8, 1), (111, low + 8, 1)], Ink("metal", 1.0, 0.9, 0.5)
        )
        sketch.part(ellipse(120, low - 1, 3, 3, 16), Ink("metal", 0.6, 0.6))
    return sketch


def backpack(rng: np.random.Generator) -> Sketch:
    """A backpack with a front pocket, zips, a handle and shoulder straps."""
    sketch = Sketch(standing=True)
    wide, base = rng.uniform(60, 70), 268.0
    roll = rng.random() < 0.35
    sketch.band([(104, 74), (106, 52), (120, 46), (134, 52), (136, 74)], 6, Ink("trim", 0.85))
    for side in (-1, 1):
        sketch.band(
            [(120 + side * 40, 90), (120 + side * (wide + 10), 150), (120 + side * (wide + 3), 236)],
            10,
            Ink("trim", 0.78),
        )
        sketch.part(
            [
                (120 + side * (wide - 4), 184, 1),
                (120 + side * (wide + 12), 192),
                (120 + side * (wide + 12), 250),
                (120 + side * (wide - 4), 258, 1),
            ],
            Ink("main", 0.86, 0.9),
        )
    sketch.part(
        mirrored([(0, 66), (36, 70), (wide - 4, 100), (wide + 1, 180), (wide, 250), (wide - 14, base), (0, base + 2)])
    )
    if roll:
        sketch.part(
            mirrored([(0, 64), (40, 66), (wide, 92), (wide + 3, 134), (wide - 2, 150, 1), (0, 156)]),
            Ink("main", 1.0, 1.0),
        )
        for side in (-1, 1):
            x = 120 + side * 28
            sketch.band([(x, 104), (x, 186)], 8, Ink("accent", 0.9))
            sketch.part(
                [(x - 6, 160, 1), (x + 6, 160, 1), (x + 6, 174, 1), (x - 6, 174, 1)], Ink("metal", 1.0, 0.8, 0.5)
            )
    else:
        zip_: list[Point] = [
            (120 - wide + 6, 168),
            (120 - wide + 12, 112),
            (98, 84),
            (142, 84),
            (120 + wide - 12, 112),
            (120 + wide - 6, 168),
        ]
        sketch.line(zip_, 2.6, -0.3)
        sketch.line(zip_, 0.8, 0.35, dash=1)
        sketch.band([(120 + wide - 8, 166), (120 + wide - 7, 182)], 3.2, Ink("metal", 1.0, 0.8, 0.5))
    sketch.part(
        mirrored([(0, 184), (wide - 14, 186), (wide - 9, 206), (wide - 12, 250), (wide - 22, 256), (0, 258)]),
        Ink("trim", 0.98),
    )
    sketch.line([(120 - wide + 18, 198), (120, 195), (120 + wide - 18, 198)], 2.2, -0.32)
    sketch.line([(120 - wide + 18, 198), (120, 195), (120 + wide - 18, 198)], 0.7, 0.35, dash=1)
    sketch.part([(107, 214, 1), (133, 214, 1), (133, 228, 1), (107, 228, 1)], Ink("accent", 0.8, 0.5))
    return sketch
