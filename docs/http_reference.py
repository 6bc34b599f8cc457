"""The page of the HTTP API, from what the application says of itself at /openapi.json."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

__all__ = ["application", "http_page"]

_TOP = """# HTTP API

`vetrina serve` answers these routes; a running server describes them itself at `/openapi.json`, from which this
page is written. Bodies and answers are JSON, and a `POST` must say so (`Content-Type: application/json`). A key that
is not listed is an error that names it. A body may be 1 MiB at most. Search takes a form as well
(`multipart/form-data`), with the same fields, the photo as a file and the filters as JSON; and a photo makes its body
12 MiB at most. [How to search by a photo](/how-to/search-by-photo.md).
[How to put it behind your site](/how-to/put-it-behind-your-site.md).

There is no login. The server listens to its own machine unless told otherwise: whoever can reach it can ask and
record for every shopper, so your site, which knows who is asking, stands in front.

Besides these, `GET /` is the storefront, with its files below `/static` and `/favicon.ico`."""

_PROBLEMS = """## Problems

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem+json, a [Problem](#problem) whose `detail` says
what was wrong, where, and what was expected. Any route may also answer 405 (the method is not one of the address's),
421 (the server listens to its own machine alone and was asked by another name) and 500 (a bug; the server's log has
it)."""

_SHAPES = """## Shapes

What the routes share. A field whose default is "needed" must be given."""


def application() -> FastAPI:
    """The application over a shop that has nothing yet: its routes do not depend on the shop."""
    from vetrina.engine import Shop
    from vetrina.serve import create_app

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shop.toml").write_text('[items]\nfile = "products.csv"\nitem = "id"\n', encoding="utf-8")
        return create_app(Shop.open(folder))


def http_page() -> str:
    """Every route with its parameters, an example, its answer and its problems; then the shapes they share."""
    about = application().openapi()
    schemas: dict[str, Any] = about["components"]["schemas"]
    parts = [_TOP]
    for path, methods in about["paths"].items():
        for method, route in methods.items():
            parts += _route(method.upper(), path, route, schemas)
    parts += [_PROBLEMS, _problems(about), _SHAPES]
    bodies = {_ref(schema) for schema in _request_bodies(about)}
    for name, schema in sorted(schemas.items()):
        if name not in bodies and schema.get("type") == "object":
            told = " ".join(str(schema.get("description", "")).split("\n\n")[0].split())
            parts += [f"### {name}", told, _fields(schema)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _problems(about: dict[str, Any]) -> str:
    told = {
        status: answer["description"]
        for methods in about["paths"].values()
        for route in methods.values()
        for status, answer in route["responses"].items()
        if status >= "300"
    }
    rows = [f"| {status} | {_cell(text)} |" for status, text in sorted(told.items())]
    return "\n".join(["| status | meaning |", "| --- | --- |", *rows])


def _request_bodies(about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in about["paths"].values():
        for route in methods.values():
            if "requestBody" in route:
                yield route["requestBody"]["content"]["application/json"]["schema"]


def _route(method: str, path: str, route: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    yield f"## `{method} {path}`"
    yield str(route.get("description", ""))
    parameters = route.get("parameters", [])
    if parameters:
        rows = [
            _row(one["name"], one["schema"], one.get("required", False), one.get("description", ""))
            for one in parameters
        ]
        yield _table(rows)
    if "requestBody" in route:
        schema = schemas[_ref(route["requestBody"]["content"]["application/json"]["schema"])]
        yield _fields(schema)
        yield from (_example(one) for one in schema.get("examples", [])[:1])
    yield _answer(route["responses"]["200"], schemas)
    content = route["responses"]["200"].get("content", {}).get("application/json", {})
    name = _ref(content.get("schema", {}))
    examples = [content["example"]] if "example" in content else schemas.get(name, {}).get("examples", [])
    # The same long answer four times over would only hide the differences between the routes.
    if examples and (name != "Ranking" or path == "/v1/search"):
        yield _example(examples[0])
    problems = sorted(status for status in route["responses"] if status != "200")
    if problems:
        yield f"Otherwise: {', '.join(problems)}; [what they mean](#problems)."


def _answer(response: dict[str, Any], schemas: dict[str, Any]) -> str:
    kinds = response.get("content", {})
    schema = kinds.get("application/json", {}).get("schema", {})
    if not schema:
        return f"Answers with `{', '.join(kinds)}`."
    return f"Answers with {_type(schema)}."


def _fields(schema: dict[str, Any]) -> str:
    needed = set(schema.get("required", []))
    rows = [
        _row(name, field, name in needed, field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return _table(rows) if rows else "It has no fields."


def _table(rows: list[str]) -> str:
    return "\n".join(["| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _row(name: str, schema: dict[str, Any], needed: bool, meaning: str) -> str:
    limits = ", ".join(_limits(schema)).capitalize()
    told = ". ".join(part for part in (meaning.strip().rstrip("."), limits) if part)
    return f"| `{name}` | {_type(schema)} | {_default(schema, needed)} | {_cell(told)} |"


def _default(schema: dict[str, Any], needed: bool) -> str:
    if needed:
        return "needed"
    value = schema.get("default")
    return "none" if value in (None, {}, []) or _ref(schema) else f"`{json.dumps(value)}`"


_NAMES = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}


def _type(schema: dict[str, Any]) -> str:
    if reference := _ref(schema):
        return f"[{reference}](#{reference.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"table of {_type(inner)}" if isinstance(inner, dict) and inner else "table"
    return _NAMES.get(str(schema.get("type")), "any")


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "at least {:,.0f}",
        "exclusiveMinimum": "above {:,.0f}",
        "maximum": "at most {:,.0f}",
        "minItems": "at least {:,}",
        "maxItems": "at most {:,} of them",
        "maxLength": "at most {:,} characters",
    }
    for part in (schema, *schema.get("anyOf", [])):
        for key, word in words.items():
            if key in part:
                yield word.format(part[key])


def _ref(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rsplit("/", 1)[-1]


def _example(value: Any) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
