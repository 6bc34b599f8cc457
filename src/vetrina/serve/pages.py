"""The storefront's files, and the photos of the catalogue."""

from __future__ import annotations

from email.utils import formatdate
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from vetrina.engine import Shop, UnknownItem
from vetrina.serve.bodies import ItemId
from vetrina.serve.problems import PROBLEM_RESPONSES

__all__ = ["STATIC", "page_routes"]

#: The folder of the storefront's page, script and style.
STATIC = Path(__file__).parent / "static"

# An hour: a photo replaced in the shop is seen the same day, and asking again costs only a 304.
_PHOTO_CACHE = "public, max-age=3600"

_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}


def page_routes(shop: Shop) -> APIRouter:
    """The storefront at ``/`` and every item's photo."""
    pages = APIRouter()

    @pages.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    def storefront() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @pages.get("/favicon.ico", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(STATIC / "icon.svg", headers={"Cache-Control": "public, max-age=86400"})

    @pages.get(
        "/photos/{item:path}",
        response_class=Response,
        responses={
            200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
            304: {"description": "The photo that you have is still the right one"},
            **{status: PROBLEM_RESPONSES[status] for status in (404, 422, 503)},
        },
        tags=["catalogue"],
    )
    def photo(item: ItemId, request: Request) -> Response:
        """An item's photo, as the shop gave it."""
        # Only a path that the catalogue names is ever opened; what was asked is never part of one.
        path = shop.photo_path(item)
        media_type = path and _media_type(path)
        if path is None or not media_type:
            raise UnknownItem(f"Item {item!r} has no photo that can be read.")
        about = path.stat()
        tag = f'"{blake2b(f"{about.st_mtime_ns}-{about.st_size}".encode(), digest_size=8).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": _PHOTO_CACHE, "Last-Modified": formatdate(about.st_mtime, usegmt=True)}
        if tag in [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type=media_type, headers=headers)

    return pages


def _media_type(path: Path) -> str:
    """What kind of photo a file begins like; "" for what is none, whatever its name says."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return ""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _SIGNATURES.items() if head.startswith(mark)), "")
