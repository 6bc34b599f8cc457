"""Named colours: what a shop calls a colour, and where that colour lies.

The generated shop paints with these, and the simulated shoppers judge by them
whether "blue" is nearly satisfied by "Navy Blue". Distances are taken in
CIELAB (D65), where equal steps look about equally large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vetrina.core.colour import cielab

__all__ = ["REFERENCES", "SHOP_COLOURS", "near_colours"]

#: sRGB of the colour names that the generated shop sells, far enough apart to be told from a photo.
SHOP_COLOURS: dict[str, tuple[int, int, int]] = {
    "Black": (38, 38, 42),
    "White": (244, 243, 240),
    "Grey": (140, 143, 148),
    "Beige": (214, 196, 166),
    "Brown": (116, 76, 50),
    "Red": (196, 38, 44),
    "Burgundy": (108, 26, 46),
    "Pink": (236, 156, 178),
    "Orange": (230, 122, 44),
    "Yellow": (240, 202, 70),
    "Green": (58, 136, 78),
    "Olive": (112, 112, 60),
    "Teal": (28, 128, 136),
    "Blue": (56, 108, 190),
    "Navy": (30, 42, 82),
    "Purple": (116, 74, 150),
}

#: Further names that shops use, for judging nearness only.
REFERENCES: dict[str, tuple[int, int, int]] = SHOP_COLOURS | {
    "Navy Blue": (30, 42, 82),
    "Turquoise Blue": (48, 190, 200),
    "Turquoise": (48, 190, 200),
    "Sea Green": (46, 139, 110),
    "Lime Green": (130, 200, 50),
    "Off White": (240, 236, 222),
    "Cream": (243, 232, 204),
    "Nude": (226, 190, 160),
    "Skin": (224, 184, 154),
    "Tan": (196, 150, 104),
    "Khaki": (182, 166, 120),
    "Camel": (190, 148, 96),
    "Coffee Brown": (86, 58, 42),
    "Mushroom Brown": (146, 124, 108),
    "Rust": (166, 74, 36),
    "Copper": (176, 106, 66),
    "Bronze": (148, 110, 62),
    "Gold": (206, 166, 78),
    "Mustard": (208, 160, 40),
    "Silver": (190, 192, 196),
    "Steel": (160, 164, 170),
    "Metallic": (160, 164, 170),
    "Charcoal": (66, 68, 74),
    "Grey Melange": (158, 160, 164),
    "Maroon": (104, 26, 40),
    "Rose": (224, 120, 144),
    "Peach": (248, 188, 150),
    "Coral": (240, 116, 96),
    "Magenta": (200, 40, 124),
    "Mauve": (172, 138, 168),
    "Lavender": (182, 164, 214),
    "Violet": (126, 80, 168),
}

# At this distance two colours still pass for one another across a shop floor.
_NEAR = 24.0


def near_colours(names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which colour names pass for one another: bool of shape (n, n), True on the diagonal.

    Two names are near when one contains a whole word of the other ("Navy
    Blue" and "Blue") or their references lie within 24 of each other in CIELAB.

    Examples
    --------
    >>> near_colours(["Blue", "Navy Blue", "Red"])[0].tolist()
    [True, True, False]
    """
    words = [set(name.casefold().split()) for name in names]
    known = {name.casefold(): colour for name, colour in REFERENCES.items()}
    shares = np.array([[bool(a & b) for b in words] for a in words], dtype=bool).reshape(len(names), len(names))
    placed = np.array([name.casefold() in known for name in names], dtype=bool)
    points = cielab(np.array([known.get(name.casefold(), (0, 0, 0)) for name in names]).reshape(-1, 3))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near: npt.NDArray[np.bool_] = shares | ((distance < _NEAR) & placed[:, None] & placed[None])
    np.fill_diagonal(near, True)
    return near
