"""The command ``vetrina``: the verbs, and how each ends.

Nothing heavy is imported here or at the top of any module of this package, so that
``vetrina --help`` is there at once.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from vetrina.cli import asking, evaluating, making, tending
from vetrina.cli.demo import demo
from vetrina.cli.map import draw_map
from vetrina.cli.recipe import rank
from vetrina.cli.show import one_line

__all__ = ["app", "main"]

FAILED, USAGE, BUG, INTERRUPTED, BROKEN_PIPE = 1, 2, 70, 130, 141

app = typer.Typer(
    name="vetrina",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("vetrina"))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _vetrina(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, help="Print the version.")] = False,
) -> None:
    """Rank a shop's products for each shopper. A shop is a folder; start with: vetrina init"""  # noqa: D400 (printed as help, where a stop would end the command)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("map")(draw_map)
for command in (
    demo,
    making.init,
    making.ingest,
    making.build,
    evaluating.evaluate,
    tending.serve,
    asking.search,
    asking.recommend,
    asking.similar,
    asking.explain,
    tending.events,
    tending.forget,
    making.rollback,
    making.snapshots,
    tending.components,
    rank,
):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The process's own when absent.

    Returns
    -------
    int
        0; 1 when it could not be done, 2 when it was called wrongly, 70 for a bug of ours, 130 when
        interrupted, 141 when nobody reads on. But for 0, and for 130 and 141, stderr holds one line that says why.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter shows a question mark, and is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        code = typer.main.get_command(app).main(
            None if arguments is None else list(arguments), prog_name="vetrina", standalone_mode=False
        )
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_stdout()
        return BROKEN_PIPE
    except SystemExit as stop:
        # Typer's way to end when nobody reads on.
        return BROKEN_PIPE if isinstance(stop.__context__, BrokenPipeError) else _code(stop.code)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help" if context is not None else ""
        said = error.format_message()
        return _fail(f"{said}{'' if said.endswith(('.', '?')) else '.'}{hint}", error.exit_code)
    except Exception as error:  # noqa: BLE001  (the last place that can turn it into words)
        return _explain(error)
    return _code(code)


def _code(value: object) -> int:
    return value if isinstance(value, int) else 0


def _explain(error: Exception) -> int:
    from vetrina.core.errors import VetrinaError

    if isinstance(error, VetrinaError):
        return _fail(str(error), FAILED)
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}.", FAILED)
    if isinstance(error, MemoryError):
        return _fail("there is not enough memory for this.", FAILED)
    log = _keep_traceback()
    kept = f"The traceback is in {log}; please report it with that file." if log else "Please report it."
    return _fail(f"this is a bug in vetrina ({type(error).__name__}: {str(error)[:200]}). {kept}", BUG)


def _fail(message: str, code: int) -> int:
    with suppress(BrokenPipeError):
        typer.echo(f"vetrina: error: {one_line(message)}", err=True)
    return code


def _keep_traceback() -> Path | None:
    """A file of its own that holds the traceback; None where none can be written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "vetrina"
    for folder in (state, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="vetrina-", suffix=".log", dir=folder, text=True)
        except OSError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(traceback.format_exc())
        return Path(name)
    return None


def _let_go_of_stdout() -> None:
    """Nobody reads it: what is still to be written when Python ends must not fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
