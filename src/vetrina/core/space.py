"""What a tuner may try: for each option of a component its choices, or a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vetrina.core.errors import ConfigError

__all__ = ["Choice", "Range", "Real", "Space", "Whole"]


class Choice:
    """One of some values, in no order.

    Parameters
    ----------
    *values
        None, bools, numbers or strings, each once.

    Raises
    ------
    ConfigError
        When there is none, or one stands twice.

    Examples
    --------
    >>> Choice(None, 30, 7).holds(30), Choice(None, 30, 7).holds(8)
    (True, False)
    """

    def __init__(self, *values: Any) -> None:
        if not values:
            raise ConfigError("Choice: there are no values to try; give at least one.")
        if len({repr(value) for value in values}) < len(values):
            raise ConfigError(f"Choice: give every value once. Got {', '.join(map(repr, values))}.")
        self.values = values

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is one of them."""
        return value in self.values


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included: base of :class:`Real` and :class:`Whole`.

    Attributes
    ----------
    low, high : number
    log : bool
        Draw evenly on a logarithmic scale, as suits what matters by its order of magnitude.

    Raises
    ------
    ConfigError
        When ``low`` is not below ``high``, or is not above 0 on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"{type(self).__name__}: low must be below high. Got {self.low} and {self.high}.")
        if self.log and self.low <= 0:
            raise ConfigError(f"{type(self).__name__}: on a logarithmic scale low must be above 0. Got {self.low}.")

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is such a number between the ends."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class Real(Range):
    """A number in a range.

    Examples
    --------
    >>> Real(0.01, 1, log=True).holds(0.5), Real(0, 1).holds(2)
    (True, False)
    """


class Whole(Range):
    """A whole number in a range.

    Examples
    --------
    >>> Whole(8, 128, log=True).holds(31), Whole(1, 9).holds(2.5)
    (True, False)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise ConfigError(f"Whole: low and high must be whole numbers. Got {self.low} and {self.high}.")

    def holds(self, value: Any) -> bool:
        return super().holds(value) and value == int(value)


#: Options by name. What it leaves out stays as it is.
Space: TypeAlias = Mapping[str, Choice | Range]
