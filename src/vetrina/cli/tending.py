"""The commands that tend a running shop: serve, events, forget; and the list of components."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vetrina.cli.options import Json, ShopArgument, ShopOption, valid_text
from vetrina.cli.show import one_line, print_json, print_table
from vetrina.cli.where import open_shop

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["components", "events", "forget", "free_port", "serve"]


def serve(
    shop: ShopArgument = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; the default answers this machine alone.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve the storefront and the HTTP API.

    Until it is stopped with Ctrl-C.
    """
    from vetrina.serve import run

    opened = open_shop(shop)
    _ = opened.engine  # what cannot be served is said now, not to the first shopper
    port = free_port(host, port)
    shown = f"[{host}]" if ":" in host else host
    typer.echo(one_line(f"{opened.config.shop.name}: http://{shown}:{port} (Ctrl-C stops it)"), err=True)
    run(opened, host=host, port=port)


def events(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, one event a line; - reads stdin.")],
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Record what shoppers did.

    All of the events or, when one is wrong, none; they count from the next request on.
    """
    opened = open_shop(shop)
    if str(file) == "-":
        recorded = opened.record(_lines(sys.stdin, "stdin"))
    else:
        from vetrina.catalogue.tables import find_file

        with find_file(file).open(encoding="utf-8", errors="replace") as stream:
            recorded = opened.record(_lines(stream, str(file)))
    if as_json:
        print_json({"recorded": recorded})
    else:
        typer.echo(f"Recorded {recorded:,} {'event' if recorded == 1 else 'events'}.")


def forget(
    shopper: Annotated[str, typer.Argument(metavar="SHOPPER", help="The shop's own id.")],
    shop: ShopOption = None,
    as_json: Json = False,
) -> None:
    """Erase what is kept of a shopper."""
    erased = open_shop(shop).forget(valid_text(shopper))
    if as_json:
        print_json(erased)
        return
    typer.echo(f"Erased {erased['window']:,} events from the live window and {erased['log']:,} from the log.")
    typer.echo("What the shop's own files hold of the shopper until now is left out of every later build.")


def components(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="encoder, features, ranker or retriever; default: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the components that shop.toml can name.

    The built-in ones, and those of other packages.
    """
    from vetrina.core import components as registered
    from vetrina.core.errors import ConfigError, nearest

    everything = registered()
    kinds = sorted({key[0] for key in everything})
    if kind is not None and kind not in kinds:
        raise ConfigError(f"There is no kind {kind!r} of component.{nearest(kind, kinds)} Known: {', '.join(kinds)}.")
    rows: list[dict[str, Any]] = [
        {
            "kind": found,
            "name": name,
            "licence": cls.licence,
            **cls.facts(),
            "about": " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split()),
            "options": sorted(cls.config_type.model_fields),
        }
        for (found, name), cls in everything.items()
        if kind in (None, found)
    ]
    if as_json:
        print_json(rows)
        return
    # Kinds differ in what is to be known of them, so each has a table of its own.
    for one in kinds if kind is None else [kind]:
        shown = [{name: cell for name, cell in row.items() if name != "options"} for row in rows if row["kind"] == one]
        header = [name.replace("about", "what it does") for name in shown[0]]
        print_table(header, [list(row.values()) for row in shown])
        typer.echo()


def _lines(stream: Iterable[str], name: str) -> list[dict[str, Any]]:
    """The events of a JSON Lines stream; empty lines are passed over."""
    from vetrina.core.errors import RequestError

    found = []
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            raise RequestError(f"{name} line {number}: not JSON. Expected one object a line.") from None
        if not isinstance(event, dict):
            raise RequestError(f'{name} line {number}: expected an object such as {{"shopper": "ana", …}}.')
        found.append(event)
    return found


def free_port(host: str, port: int) -> int:
    """``port``, or a free one for 0.

    Raises
    ------
    ConfigError
        When it cannot be listened on.
    """
    from vetrina.core.errors import ConfigError

    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host} port {port} ({error.strerror or error}). Name another with --port or --host."
        ) from None
