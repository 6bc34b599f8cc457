"""The OpenAPI description: whole, and true of the server that gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serve_shop import copy_of_shop, serving

POSTED = ("/v1/search", "/v1/recommend", "/v1/similar", "/v1/rank", "/v1/events")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with copy_of_shop(tmp_path_factory, "described") as shop, serving(shop) as server, server.client() as client:
        yield client


@pytest.fixture(scope="module")
def described(api: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = api.get("/openapi.json").json()
    return told


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, about) for path, methods in described["paths"].items() for method, about in methods.items()]


def resolved(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref")
    if name is None:
        return schema
    found: Any = described
    for part in str(name).removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def example_of(described: dict[str, Any], content: dict[str, Any]) -> Any:
    """What stands as an example beside a schema, or in it."""
    told = content["application/json"]
    if "example" in told:
        return told["example"]
    schema = resolved(described, told["schema"])
    if schema.get("type") == "array":
        return [resolved(described, schema["items"])["examples"][0]]
    return schema["examples"][0]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield str(inner)
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_description_is_whole(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    assert described["info"]["title"]
    assert described["info"]["version"]
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert set(references(described)) == known
    names = [about["operationId"] for _, _, about in operations(described)]
    assert len(set(names)) == len(names)
    for method, path, about in operations(described):
        assert about["summary"], path
        assert about["description"], path
        given = {one["name"] for one in about.get("parameters", []) if one["in"] == "path"}
        assert given == set(re.findall(r"{(\w+)}", path)), path
        assert ("requestBody" in about) is (method == "post")
        for status, answer in about["responses"].items():
            assert answer["description"]
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}


def test_every_route_has_examples_and_takes_them(api: httpx.Client, described: dict[str, Any]) -> None:
    routes = {(method, path) for method, path, _ in operations(described)}
    assert {("post", path) for path in POSTED} | {("get", "/healthz")} <= routes
    for method, path, about in operations(described):
        where = path
        for one in about.get("parameters", []):
            if one["in"] == "path":
                where = where.replace(f"{{{one['name']}}}", one["schema"]["examples"][0])
        body = example_of(described, about["requestBody"]["content"]) if "requestBody" in about else None
        answer = api.request(method, where, json=body) if body is not None else api.request(method, where)
        assert answer.status_code == 200, (path, answer.text)
        content = about["responses"]["200"]["content"]
        if "application/json" in content:
            shown, got = example_of(described, content), answer.json()
            shown, got = (shown[0], got[0]) if isinstance(got, list) else (shown, got)
            assert set(shown) <= set(got), path
            assert set(got) <= set(shown) | {"notes"}, path


def test_search_is_described_as_json_and_as_a_form(described: dict[str, Any]) -> None:
    content = described["paths"]["/v1/search"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    form, body = content["multipart/form-data"]["schema"], resolved(described, content["application/json"]["schema"])
    assert set(form["properties"]) == set(body["properties"]) >= {"text", "photo", "like", "filters"}
    assert form["properties"]["photo"]["format"] == "binary"
    assert body["properties"]["photo"]["contentEncoding"] == "base64"
