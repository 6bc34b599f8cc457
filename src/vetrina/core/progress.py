"""How long work reports itself: silent by default, shown by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Progress", "Silent", "Step"]


class Step(Protocol):
    """One line of progress."""

    def advance(self, amount: int = 1) -> None:
        """Say that ``amount`` more of the step's total is done."""


class Progress(Protocol):
    """Where long work says what it is doing."""

    def step(self, title: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Open a step; leaving the ``with`` block closes it."""

    def note(self, message: str) -> None:
        """A fact the person should see, such as how many rows were quarantined."""


class _Nothing:
    def advance(self, amount: int = 1) -> None:
        return None


class Silent:
    """Progress that shows nothing."""

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        yield _Nothing()

    def note(self, message: str) -> None:
        return None
