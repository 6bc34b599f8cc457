"""What a window says of its shopper's leaning: weights of its events summed by value, and prices beside their category.

Sources that propose by content and features that compare by it read the same numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core.items import Items
from vetrina.core.log import Windows

__all__ = ["log_prices", "preferences", "price_levels", "text_columns", "usual", "value_weights"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Categories are many in a large shop; what else has so many values is a name or a number.
_MOST_CATEGORIES = 10_000


def preferences(windows: Windows, weights: npt.NDArray[np.floating], vectors: Floats) -> Floats:
    """The direction of each window's weighted mean of its items' vectors.

    Parameters
    ----------
    windows : Windows
    weights : float of shape (n_events,)
        Below 0 for what the shopper does not want.
    vectors : float32 of shape (n_items, dim)

    Returns
    -------
    float32 of shape (batch, dim)
        Of unit length; zero where nothing is known, or where it cancels out.
    """
    mean = windows.weighted(weights, len(vectors)) @ vectors
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.asarray(mean / np.where(length > 1e-6, length, np.inf), dtype=np.float32)


def text_columns(items: Items, most_values: int = 500) -> list[str]:
    """Columns in which a shopper may lean to a value: category, brand, colour and the shop's own text attributes.

    Parameters
    ----------
    items : Items
    most_values : int
        A column with more distinct values is left out (of categories 10,000 are a column still), and so is one with
        a single value, which all items share.
    """
    own = [name for name in items.attributes if items.table.schema[name] == pl.String()]
    most = {"category": _MOST_CATEGORIES}
    columns = ["category", "brand", "colour", *own]
    return [name for name in columns if 2 <= len(items.codes(name)[1]) <= most.get(name, most_values)]


def value_weights(
    windows: Windows, weights: npt.NDArray[np.floating], codes: npt.NDArray[np.integer], n_values: int
) -> Doubles:
    """Sum of ``weights`` (one per event) by shopper and by the value that the event's item has.

    Parameters
    ----------
    windows : Windows
    weights : float of shape (n_events,)
    codes : int of shape (n_items,)
        The value of each item, -1 where unknown.
    n_values : int

    Returns
    -------
    float64 of shape (batch, n_values)
    """
    seen = codes[windows.item]
    known = seen >= 0
    places = windows.row[known].astype(np.int64) * n_values + seen[known]
    sums: Doubles = np.bincount(places, weights[known], len(windows) * n_values).astype(np.float64)
    return sums.reshape(len(windows), n_values)


def usual(windows: Windows, weights: npt.NDArray[np.floating], values: Floats) -> Doubles:
    """Weighted mean of what is known of the items of each window.

    Parameters
    ----------
    windows : Windows
    weights : float of shape (n_events,), 0 or more
    values : float of shape (n_items,)
        NaN where unknown.

    Returns
    -------
    float64 of shape (batch,)
        NaN where nothing is known.
    """
    past = values[windows.item]
    known = np.isfinite(past)
    row, weights = windows.row[known], weights[known]
    whole = np.bincount(row, weights, len(windows))
    total = np.bincount(row, weights * past[known], len(windows))
    return np.where(whole > 0, total / np.where(whole > 0, whole, 1), np.nan)


def log_prices(items: Items) -> Floats:
    """Natural logarithm of each item's price, of a hundredth at least; NaN where unknown."""
    return np.log(np.maximum(items.price, np.float32(0.01)))


def price_levels(items: Items) -> Floats:
    """Log price of each item minus the mean log price of its category; NaN where the price is unknown.

    Whoever buys dear shoes also buys dear bags.
    """
    price, category = log_prices(items), items.codes("category")[0]
    known = np.isfinite(price)
    n = int(category.max(initial=-1)) + 2
    count = np.bincount(category[known] + 1, minlength=n)
    total = np.bincount(category[known] + 1, weights=price[known], minlength=n)
    mean = total / np.maximum(count, 1)
    return (price - mean[category + 1]).astype(np.float32)
