"""Personalised, multimodal product ranking for a shop.

What one works with is here; everything else is in the packages. Nothing heavy is
imported before it is used (PEP 562).

Examples
--------
::

    from vetrina import Filters, Shop

    shop = Shop.open("myshop")
    shop.build()
    for result in shop.search("black shoes", shopper="ana", filters=Filters(price_max=50)).results:
        print(result.position, result.title, result.reasons[0].text)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# OpenMP's threads spin while they wait for one another. Where other processes want the cores too, that
# made LightGBM learn five times as slowly; threads that sleep cost nothing measurable where they do not.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from vetrina.core.errors import (
        ConfigError,
        DataError,
        MissingColumn,
        MissingExtra,
        MissingFile,
        NoSupport,
        NotFitted,
        RequestError,
        SnapshotError,
        TooManyBadRows,
        UnknownItem,
        VetrinaError,
    )
    from vetrina.core.query import Filters
    from vetrina.engine.create import create_shop
    from vetrina.engine.events import Event
    from vetrina.engine.explain import Reason
    from vetrina.engine.shop import Ranking, Result, Shop

    __version__: str

__all__ = [
    "ConfigError",
    "DataError",
    "Event",
    "Filters",
    "MissingColumn",
    "MissingExtra",
    "MissingFile",
    "NoSupport",
    "NotFitted",
    "Ranking",
    "Reason",
    "RequestError",
    "Result",
    "Shop",
    "SnapshotError",
    "TooManyBadRows",
    "UnknownItem",
    "VetrinaError",
    "__version__",
    "create_shop",
]

_HOME = {
    "Filters": "vetrina.core.query",
    "create_shop": "vetrina.engine.create",
    "Event": "vetrina.engine.events",
    "Reason": "vetrina.engine.explain",
    "Ranking": "vetrina.engine.shop",
    "Result": "vetrina.engine.shop",
    "Shop": "vetrina.engine.shop",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("vetrina")
    elif name in __all__:
        value = getattr(import_module(_HOME.get(name, "vetrina.core.errors")), name)
    else:
        raise AttributeError(f"module 'vetrina' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
