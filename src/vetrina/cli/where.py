"""Which shop folder a command means when it is not told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vetrina.engine.shop import Shop

__all__ = ["find_shop", "open_shop"]


def find_shop(given: Path | None) -> Path:
    """The folder ``given``, or this one if it is a shop, or ``$VETRINA_SHOP``, or the only shop just below this one.

    Raises
    ------
    MissingFile
        When there is none of these, or more than one below.
    """
    if given is not None:
        return given
    here = Path()
    if (here / "shop.toml").is_file():
        return here
    named = os.environ.get("VETRINA_SHOP", "")
    if named:
        return Path(named)
    below = sorted(path.parent for path in here.glob("*/shop.toml"))
    if len(below) == 1:
        return below[0]
    from vetrina.core.errors import MissingFile

    if below:
        names = ", ".join(str(path) for path in below[:8]) + (" …" if len(below) > 8 else "")
        raise MissingFile(f"There are {len(below)} shops here: {names}. Say which one, or set VETRINA_SHOP.")
    raise MissingFile(
        "There is no shop here: no shop.toml in this folder or just below it. "
        "Go to one, name it, set VETRINA_SHOP, or make one with: vetrina init myshop --items products.csv"
    )


def open_shop(given: Path | None) -> Shop:
    """The shop that :func:`find_shop` finds, opened."""
    from vetrina.engine.shop import Shop

    return Shop.open(find_shop(given))
