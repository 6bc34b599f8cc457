"""Errors as RFC 9457 problem+json: one shape for whatever goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from reprlib import Repr
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from vetrina.engine import RequestError, Shop, SnapshotError, UnknownItem, VetrinaError

__all__ = ["PROBLEM_RESPONSES", "Problem", "ProblemResponse", "add_problem_handlers", "problem", "too_large"]

log = logging.getLogger(__name__)

_DOCS = "https://www.rfc-editor.org/rfc/rfc9110#section-15"

#: What each of our errors is over HTTP; whatever is not named is the server's own fault, 500.
_STATUS: dict[type[VetrinaError], int] = {UnknownItem: 404, RequestError: 422, SnapshotError: 503}

# What was sent, shown in an answer about it: however long or deep, in a few words.
_SHOWN = Repr()
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxlong, _SHOWN.maxother = 3, 80, 80, 80
_LONGEST = 1000

_TITLES = {
    400: "The request cannot be read",
    404: "Not found",
    405: "This address does not answer that method",
    413: "The request is too large",
    415: "The request is of a kind that is not read here",
    421: "This server does not answer for that host",
    422: "The request cannot be answered as asked",
    500: "Something went wrong on the server",
    503: "The shop has no snapshot that can be served",
}


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Where in the request, for example filters.price_min.")
    message: str


class Problem(BaseModel):
    """What went wrong, in the shape of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "The request cannot be answered as asked",
                    "status": 422,
                    "detail": "k: Input should be less than or equal to 1000. Got 1000000000.",
                    "instance": "/v1/search",
                    "errors": [{"field": "k", "message": "Input should be less than or equal to 1000"}],
                }
            ]
        }
    )

    type: str = Field(default="about:blank", description="about:blank: the status says what kind of problem it is.")
    title: str
    status: int
    detail: str = Field(description="What was wrong, where, what was expected.")
    instance: str = Field(description="The path that was asked.")
    errors: list[FieldError] | None = Field(default=None, description="Every field that is wrong, when fields are.")


class ProblemResponse(JSONResponse):
    """JSON with the media type of a problem."""

    media_type = "application/problem+json"


def problem(
    status: int,
    detail: str,
    instance: str,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """A problem as a response.

    Examples
    --------
    >>> problem(404, "No item 'x'.", "/v1/items/x").status_code
    404
    """
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=detail, instance=instance, errors=errors)
    return ProblemResponse(body.model_dump(exclude_none=True), status_code=status, headers=dict(headers or {}))


def too_large(most: int) -> str:
    """What to say of a body that is larger than it may be."""
    hint = "Send events in several requests." if most == 1 << 20 else "Send the photo smaller: 1,000 pixels are enough."
    return f"A request to this address may be {most >> 20} MiB at most. {hint}"


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _TITLES[status], "content": schema} for status in statuses}


#: For the OpenAPI description: what every route that reads a body may answer besides 200.
PROBLEM_RESPONSES = _documented(400, 404, 413, 415, 422, 503)


def add_problem_handlers(app: FastAPI, shop: Shop) -> None:
    """Answer every error of ``app`` as a problem; folders of the server are not told."""

    def own(request: Request, error: Exception) -> ProblemResponse:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
        if status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        detail = str(error).replace(f"{shop.root}/", "").replace(str(shop.root), shop.root.name)
        detail = detail if len(detail) <= _LONGEST else detail[:_LONGEST] + "…"
        return problem(status, detail, request.url.path, headers={"Retry-After": "30"} if status == 503 else None)

    def http(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        detail = {
            400: _unreadable(error.__cause__) if error.__cause__ else str(error.detail),
            404: f"There is nothing at {request.url.path}. The routes are listed at /openapi.json.",
            405: f"{request.url.path} does not answer {request.method}.",
        }.get(error.status_code, str(error.detail))
        return problem(error.status_code, detail, request.url.path, headers=error.headers)

    def invalid(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        first = found[0]
        if first["type"] == "json_invalid":
            why = f"{first['ctx']['error']} at character {first['loc'][-1]}"
            return problem(400, f"The body is not valid JSON: {why}.", request.url.path)
        fields = [
            FieldError(field=_field(one), message=_plain(str(one["msg"]).removeprefix("Value error, ")))
            for one in found
        ]
        got = "" if first["type"] == "missing" else f" Got {_short(first['input'])}."
        return problem(422, f"{fields[0].field}: {fields[0].message}.{got}", request.url.path, errors=fields[:20])

    app.add_exception_handler(VetrinaError, own)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _unreadable(cause: BaseException | None) -> str:
    """Why a body is no JSON that anybody could have meant."""
    if isinstance(cause, UnicodeDecodeError):
        return f"The body is not UTF-8: the byte at {cause.start} cannot be read."
    if isinstance(cause, RecursionError):
        return "The body is nested too deep."
    return "The body cannot be read as JSON; the longest number that can has 4,300 digits."


def _field(error: Mapping[str, Any]) -> str:
    """``("body", "filters", "price_min")`` as ``filters.price_min``, ``("body", "events", 2)`` as ``events[2]``."""
    place = ""
    for part in error["loc"][1:]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return _plain(place) or str(error["loc"][0])


def _plain(text: str) -> str:
    """Text that UTF-8 can carry: half a surrogate pair from a client must not break the answer about it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _short(value: object) -> str:
    shown = _SHOWN.repr(value)
    return _plain(shown if len(shown) <= 80 else shown[:79] + "…")
