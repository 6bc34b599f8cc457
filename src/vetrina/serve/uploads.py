"""How a search is read: JSON, with a photo in base64, or a form as browsers send files."""

from __future__ import annotations

import json
import sys
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from vetrina.serve.bodies import SearchRequest
from vetrina.serve.guard import MAX_BODY, is_form

__all__ = ["SEARCH_BODY", "search_request"]


async def search_request(request: Request) -> SearchRequest:
    """The body of a search.

    FastAPI reads a body in one way for each route; this one is read here in both.

    Raises
    ------
    RequestValidationError
        When a field is wrong, or the body is not JSON.
    HTTPException
        When a form cannot be read or a body does not arrive whole, 400, or when it is too large, 413.
    """
    try:
        given: bytes | dict[str, Any] = await (_form(request) if is_form(request.headers) else request.body())
    except ClientDisconnect:
        # Whoever closes the page while a photo travels is no error of ours, and reads no answer.
        raise HTTPException(400, "The connection ended before the body did.") from None
    try:
        # Some megabytes are decoded here: not in the loop that answers everybody.
        return await run_in_threadpool(_checked, given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None


def _checked(given: bytes | dict[str, Any]) -> SearchRequest:
    return SearchRequest.model_validate(_json(given) if isinstance(given, bytes) else given)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except json.JSONDecodeError as error:
        told = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "", "ctx": {"error": error.msg}}
        raise RequestValidationError([told]) from None
    except (ValueError, RecursionError) as error:
        raise HTTPException(400) from error


class _Parser(MultiPartParser):
    """Also tells whether the form came to its end: one that was cut off may have lost its photo."""

    spool_max_size = sys.maxsize  # a shopper's photo is not written to a disk, be it for a moment
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _form(request: Request) -> dict[str, Any]:
    """Fields of the form by name; the photo as bytes, the filters as JSON says them."""
    most = {"max_files": 1, "max_fields": len(SearchRequest.model_fields), "max_part_size": MAX_BODY}
    parser = _Parser(request.headers, request.stream(), **most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from None
    except UnicodeError:  # the header may name any charset that Python knows
        raise HTTPException(400, "The form cannot be read: its text is not of the charset that it names.") from None
    if not parser.ended:
        raise HTTPException(400, "The form cannot be read: it is cut off before its last boundary.")
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise _wrong(name, "is given twice", None)
        if not isinstance(value, UploadFile):
            if value or name != "photo":
                fields[name] = value
        elif name != "photo":
            raise _wrong(name, "only the photo is a file", value.filename)
        elif value.filename or value.size:  # a browser sends an empty one where nobody chose a file
            fields[name] = await value.read()
    if "filters" in fields:
        try:
            fields["filters"] = json.loads(fields["filters"])
        except (ValueError, RecursionError):
            raise _wrong("filters", "expected a JSON object", fields["filters"]) from None
    return fields


def _wrong(field: str, message: str, given: object) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": ("body", field), "msg": message, "input": given}])


def _form_schema() -> dict[str, Any]:
    """The fields of the JSON body as a form has them."""
    fields = dict(SearchRequest.model_json_schema(ref_template="#/components/schemas/{model}")["properties"])
    fields["photo"] = {"type": "string", "format": "binary", "description": "The photo's file."}
    fields["filters"] = {
        "type": "string",
        "contentMediaType": "application/json",
        "description": "The filters as JSON, in the shape that they have in a JSON body.",
    }
    return {"type": "object", "properties": fields, "additionalProperties": False}


#: For the OpenAPI description, which FastAPI would write of a body that it reads itself.
SEARCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SearchRequest"}},
            "multipart/form-data": {"schema": _form_schema()},
        },
    }
}
