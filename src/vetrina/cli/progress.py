"""Progress on stderr: bars on a terminal, one line per finished step elsewhere, nothing with --quiet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from vetrina.core.progress import Progress, Step

__all__ = ["shown_progress"]


@contextmanager
def shown_progress(quiet: bool = False) -> Iterator[Progress]:
    """Progress for the ``with`` block.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """
    if quiet:
        from vetrina.core.progress import Silent

        yield Silent()
        return
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield _Shown(bars)


class _Count:
    """Counts a step that nobody watches."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, amount: int = 1) -> None:
        self.done += amount


class _Lines:
    """One line for each finished step."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        begun, count = time.perf_counter(), _Count()
        yield count
        many = f" ({total:,})" if total else ""
        self._say(f"{title}{many}: {time.perf_counter() - begun:.1f} s")

    def note(self, message: str) -> None:
        self._say(message)

    def _say(self, message: str) -> None:
        self.console.print(message, markup=False, soft_wrap=True)


class _Bar:
    def __init__(self, bars: Bars, title: str, total: int | None) -> None:
        self.bars = bars
        self.task = bars.add_task(title, total=total)

    def advance(self, amount: int = 1) -> None:
        self.bars.advance(self.task, amount)

    def finish(self) -> None:
        task = next(one for one in self.bars.tasks if one.id == self.task)
        total = task.total if task.total is not None else 1
        self.bars.update(self.task, total=total, completed=total)


class _Shown:
    """Bars that stay when they are full."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        bar = _Bar(self.bars, title, total)
        yield bar
        bar.finish()

    def note(self, message: str) -> None:
        self.bars.console.print(message, markup=False, soft_wrap=True)
