"""Writes the reference pages that follow from the code: settings, components, commands, the HTTP and Python APIs.

None of them is kept in the repository, so none of them can be out of date.
"""

from __future__ import annotations

import pkgutil
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import click
import typer
from http_reference import http_page
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import vetrina
from vetrina.core import Component, components


def write(folder: Path) -> None:
    """Write every generated page into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"settings": settings_page(), "components": components_page(), "cli": cli_page(), "http": http_page()}
    pages |= api_pages()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        # Left alone when nothing changed, so that Sphinx does not read it again.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# --- settings -----------------------------------------------------------------


def settings_page() -> str:
    """Every key of shop.toml, from the models that check it."""
    from vetrina.engine.config import ShopConfig

    parts = [
        "# Settings",
        "Every key of `shop.toml`, written from the models that check it. A key that is not here is an error "
        "that names the key and the nearest right one. The options of encoders, retrievers, features and "
        "rankers are under [components](components.md).",
    ]
    for title, model in sections(ShopConfig):
        parts += [f"## `{title}`", _summary(model), _table(model)]
    return "\n\n".join(parts) + "\n"


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(TOML section, its model) for every model nested in ``model``."""
    for name, field in model.model_fields.items():
        here = f"{path}.{name}" if path else name
        for inner, many in _models(field.annotation):
            section = f"{here}.<name>" if many else here
            yield f"[{section}]", inner
            yield from sections(inner, section)


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], bool]]:
    """Models inside a field's type, and whether they are values of a table of tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
    elif isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation) or object, Mapping):
        for model, _ in _models(get_args(annotation)[1]):
            yield model, True
    else:
        for part in get_args(annotation):
            yield from _models(part)


def _table(model: type[BaseModel]) -> str:
    """The plain fields of a model as a Markdown table."""
    rows = [
        f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_cell(_limits(field))} |"
        for name, field in model.model_fields.items()
        if not list(_models(field.annotation))
    ]
    if not rows:
        return "Its tables are listed below."
    return "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not Ellipsis]
    if origin is Literal:
        return " or ".join(f"`{value!r}`" for value in arguments)
    if origin is types.UnionType or str(origin) == "typing.Union":
        return " or ".join(_type(a) for a in arguments if a is not type(None))
    if origin in (list, tuple):
        return f"list of {_type(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {_type(arguments[1])}"
    names = {str: "text", float: "number", int: "whole number", bool: "true or false", Any: "any"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        value = list(value)
    return _cell(f"`{value!r}`".replace("'", '"'))


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(rule, key):g}"
        for rule in field.metadata
        for key, word in words.items()
        if getattr(rule, key, None) is not None
    ]
    text = (field.description or "").rstrip(".")
    return ". ".join(part for part in (text, ", ".join(limits).capitalize()) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _summary(thing: type) -> str:
    return " ".join((thing.__doc__ or "").strip().split("\n\n")[0].split())


# --- components ---------------------------------------------------------------


def components_page() -> str:
    """Every registered component with its licence and options."""
    parts = [
        "# Components",
        "Everything that `shop.toml` can name, from the registry; `vetrina components` prints the same list "
        "with what other packages have added. [How to add one](/how-to/add-a-component.md).",
    ]
    found = components()
    for kind in sorted({key[0] for key in found}):
        parts.append(f"## {kind}")
        for (_, name), cls in ((key, cls) for key, cls in found.items() if key[0] == kind):
            parts += [f"### {kind}: `{name}`", _summary(cls), _facts(cls), _options(cls)]
    return "\n\n".join(parts) + "\n"


def _facts(cls: type[Component]) -> str:
    told = {"licence": cls.licence, **cls.facts()}
    return " ".join(f"{name.capitalize()}: {value or 'nothing more'}." for name, value in told.items())


def _options(cls: type[Component]) -> str:
    return _table(cls.config_type) if cls.config_type.model_fields else "It has no options."


# --- commands -----------------------------------------------------------------


def command() -> click.Group:
    """The command line as Click sees it."""
    app = import_module("vetrina.cli").app
    return cast(click.Group, typer.main.get_command(app))


def cli_page() -> str:
    """Every command with its arguments and options, as `--help` knows them."""
    group = command()
    parts = ["# Commands", "Every command, written from the program itself. `vetrina COMMAND --help` says the same."]
    for name, sub in sorted(group.commands.items()):
        parts += [f"## `vetrina {name}`", (sub.help or "").split("\f")[0].strip(), _parameters(sub)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parameters(sub: click.Command) -> str:
    rows = []
    for parameter in sub.params:
        name = ", ".join(f"`{opt}`" for opt in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            name = f"`{(parameter.name or '').upper()}`"
        meaning = getattr(parameter, "help", None) or ""
        default = parameter.default if isinstance(parameter.default, str | int | float) else None
        shown = f" (default: `{default}`)" if default not in (None, "", False) else ""
        rows.append(f"| {name} | {_cell(meaning)}{shown} |")
    return "\n".join(["| | |", "| --- | --- |", *rows]) if rows else ""


# --- the Python API -----------------------------------------------------------


def api_pages() -> dict[str, str]:
    """A page for each package: its modules, each documented where it is written."""
    pages = {}
    for package in pkgutil.iter_modules(vetrina.__path__, "vetrina."):
        if package.name == "vetrina.__main__":  # nothing in it but the call of the command line
            continue
        module = import_module(package.name)
        inner = pkgutil.walk_packages(module.__path__, f"{package.name}.") if package.ispkg else []
        names = [package.name, *sorted(m.name for m in inner if not m.name.split(".")[-1].startswith("_"))]
        pages[package.name] = f"# `{package.name}`\n\n" + "\n".join(map(_automodule, names))
    return pages


def _automodule(name: str) -> str:
    # A package re-exports what its modules define: say what it is, and leave the rest to them.
    package = hasattr(import_module(name), "__path__")
    heading = "" if name.count(".") == 1 else f"## `{name}`\n\n"
    members = "   :no-members:\n" if package else ""
    return f"{heading}```{{eval-rst}}\n.. automodule:: {name}\n{members}```\n"
