"""Documentation that cannot drift: its Python runs, its commands exist, its links resolve, nothing is left out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from vetrina.core import components, errors
from vetrina.core.errors import VetrinaError

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import http_reference  # noqa: E402
import references  # noqa: E402  (docs/references.py, which writes the generated pages)

PAGES = sorted(
    [*ROOT.glob("*.md"), *(p for p in DOCS.rglob("*.md") if "generated" not in p.relative_to(DOCS).parts)],
)
_FENCE = re.compile(r"^(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)


def _label(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """(line, text) of every fenced block in ``language``."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start("body")), match["body"])
        for match in _FENCE.finditer(text)
        if match["info"].strip() == language
    ]


def _prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]+`", "`code`", _FENCE.sub("", page.read_text(encoding="utf-8")))


# --- code ---------------------------------------------------------------------


@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")], ids=_label)
def test_python_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page, one after the other, in an empty folder and a process of its own."""
    lines: list[str] = []
    for start, body in _blocks(page, "python"):
        lines += [""] * (start - len(lines))  # so that a traceback's line is the page's line
        lines += body.splitlines()
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=work, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr


def _commands(page: Path) -> list[str]:
    blocks = [body for language in ("console", "bash", "sh") for _, body in _blocks(page, language)]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip().removeprefix("$ ") for line in lines if re.match(r"\s*(\$ )?vetrina\b", line)]


@pytest.mark.parametrize("page", [p for p in PAGES if _commands(p)], ids=_label)
def test_commands_of_the_page_exist(page: Path) -> None:
    group = references.command()
    for line in _commands(page):
        words = shlex.split(line, comments=True)[1:]
        command: click.Command = group
        if words and not words[0].startswith("-"):
            assert words[0] in group.commands, f"{line}: there is no such command"
            command = group.commands[words[0]]
        known = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)} | {"--help"}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known, f"{line}: no such option"


# --- links --------------------------------------------------------------------


def _slug(heading: str) -> str:
    """The anchor that MyST and GitHub give a heading."""
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {_slug(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


def _is_generated(path: Path) -> bool:
    folder = DOCS / "reference" / "generated"
    return path.parent == folder and (
        path.stem in {"cli", "settings", "components", "http"} or path.stem.startswith("vetrina.")
    )


@pytest.mark.parametrize("page", PAGES, ids=_label)
def test_links_of_the_page_resolve(page: Path) -> None:
    text = _prose(page)
    links = re.findall(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)", text)
    links += re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, flags=re.MULTILINE)
    links += re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            assert link.startswith(("https://", "mailto:", "http://127.0.0.1", "http://localhost")), link
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if _is_generated(path):
            continue
        assert path.exists(), f"{link}: {path} does not exist"
        if anchor and path.suffix == ".md":
            assert anchor in _anchors(path), f"{link}: no such heading in {path.name}"


# --- nothing is left out ------------------------------------------------------


def test_every_dependency_has_its_reason() -> None:
    from test_project import COMPARISON, DEVELOPMENT, OPTIONAL, RUNTIME, _name

    page = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    listed = {"run": RUNTIME, "option": OPTIONAL, "check": DEVELOPMENT - OPTIONAL, "compare": COMPARISON}
    parts = dict(zip(listed, page.split("\n## ")[1:], strict=True))
    for part, wanted in listed.items():
        rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", parts[part], flags=re.MULTILINE)
        assert {_name(package) for package, _ in rows} == wanted
        assert [package for package, reason in rows if len(reason) < 20] == []


def test_every_error_has_a_heading() -> None:
    tree = {name for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, VetrinaError)}
    page = (DOCS / "reference/errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)) == tree


def test_settings_page_holds_every_key_of_shop_toml() -> None:
    from vetrina.engine.config import ShopConfig

    page = references.settings_page()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    schema = ShopConfig.model_json_schema()
    tables = {name: set(model["properties"]) for name, model in schema["$defs"].items() if "properties" in model}
    assert tables
    for name, keys in tables.items():
        assert keys <= rows, f"{name}: {sorted(keys - rows)}"
    for section in schema["properties"]:
        assert f"## `[{section}" in page


def test_components_page_holds_every_component_and_option() -> None:
    page = references.components_page()
    parts: dict[str, str] = dict(re.findall(r"^### (.+)\n((?:(?!^#).*\n?)*)", page, flags=re.MULTILINE))
    found: dict[Any, Any] = {k: c for k, c in components().items() if c.__module__.startswith("vetrina.")}
    assert found
    for (kind, name), cls in found.items():
        part = parts[f"{kind}: `{name}`"]
        assert len(part.strip().splitlines()[0]) > 20, f"{kind} {name} has no docstring"
        assert set(cls.config_type.model_fields) == set(re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE))


def test_http_page_holds_every_route_with_its_fields() -> None:
    app = http_reference.application()
    page = http_reference.http_page()
    parts = dict(re.findall(r"^## `([^`]+)`\n((?:(?!^## ).*\n?)*)", page, flags=re.MULTILINE))
    described = {
        f"{method.upper()} {path}": route
        for path, methods in app.openapi()["paths"].items()
        for method, route in methods.items()
    }
    assert {"POST /v1/search", "POST /v1/events", "GET /healthz"} <= set(described)
    assert set(parts) == set(described)
    for name, part in parts.items():
        assert len(part.strip().splitlines()[0]) > 12, f"{name} has no docstring"
    for name, model in app.openapi()["components"]["schemas"].items():
        rows = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
        assert set(model.get("properties", {})) <= rows, name
    # What stands in no description of the API, such as the storefront, is named above it.
    top = page.partition("\n## ")[0]
    served = {str(getattr(route, "path", "")) for route in app.routes} - set(app.openapi()["paths"]) - {""}
    assert [path for path in served if f"{path}`" not in top] == []


def test_python_page_holds_every_public_name() -> None:
    import vetrina

    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    errors_page = (DOCS / "reference/errors.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)", page)) | set(re.findall(r"^## (\w+)$", errors_page, flags=re.MULTILINE))
    assert set(vetrina.__all__) - {"__version__"} - named == set()
    verbs = {name for name in vars(vetrina.Shop) if not name.startswith("_")}
    assert {name for name in verbs if f"`{name}" not in page and f".{name}" not in page} == set()


def test_formats_page_holds_every_canonical_column() -> None:
    from vetrina.catalogue.tables import QUARANTINE_COLUMNS
    from vetrina.core import EVENT_COLUMNS, ITEM_COLUMNS

    page = (DOCS / "reference/formats.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", page, flags=re.MULTILINE))
    tables = {"Items": ITEM_COLUMNS, "Events": EVENT_COLUMNS, "Quarantine": QUARANTINE_COLUMNS}
    for title, columns in tables.items():
        found = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", parts[title], flags=re.MULTILINE))
        assert list(found) == list(columns), title
        words = {"String": "text", "Int64": "whole number", "Int32": "whole number", "Float64": "number"}
        words |= {"Boolean": "true or false", "List(String)": "list of text"}
        assert found == {name: words[str(kind)] for name, kind in columns.items()}, title


def test_every_page_is_written() -> None:
    empty = [_label(page) for page in PAGES if len(_prose(page).split()) < 10]
    assert empty == []
