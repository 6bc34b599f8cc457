"""How good the recipe's lists are, on what was held out."""

from __future__ import annotations

import numpy as np

from vetrina.core import Truth
from vetrina.engine.recipe import Recipe
from vetrina.evaluate.metrics import measure
from vetrina.evaluate.tables import Table, compare

__all__ = ["measure_recipe"]

_METRICS = ("ndcg", "precision", "recall", "f1")


def measure_recipe(recipe: Recipe, k: int) -> Table:
    """The recipe beside popularity at ``k``, with 95% intervals over users.

    What counts as right is what a user liked of the held-out rows; the candidates
    are all items that the user has not met in training. Users who liked nothing
    that was held out have no right answer, and are left out and counted. When
    there are no others the table has n = 0 and means that are not numbers.

    Parameters
    ----------
    recipe : Recipe
    k : int
        Cut-off, 1 or more; no more than the lists' own k is of use.
    """
    data, held = recipe.interactions, ~recipe.held.train
    order = np.flatnonzero(held)  # interactions are in order of user
    offsets = np.searchsorted(data.user[order], np.arange(len(data.users) + 1)).astype(np.int64)
    truth = Truth(offsets, data.item[order], data.gain[order])
    systems = {
        "recipe": measure(recipe.lists, truth, k, _METRICS),
        "popularity": measure(recipe.popular, truth, k, _METRICS),
    }
    users = np.arange(len(data.users))
    return compare("Held-out part", systems, users, "recipe", leaks=recipe.held.leaks)
