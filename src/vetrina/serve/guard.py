"""What surrounds every answer: headers that keep a browser safe, and the last catch of errors."""

from __future__ import annotations

import logging
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vetrina.serve.problems import problem, too_large

__all__ = ["LOOPBACK", "MAX_BODY", "Guard", "is_form"]

log = logging.getLogger(__name__)

#: Most bytes of a body: 1 MiB.
MAX_BODY = 1 << 20

#: Where a photo may come along, as a file of a form or in base64: path, and most bytes of a body there.
_UPLOADS = {"/v1/search": 12 << 20}

#: Names under which a server on this machine alone is asked.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# Everything that the pages load comes from this server; nobody may frame them.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware around the whole application.

    A body must be JSON: a page of another site can then send one only after a
    CORS preflight, which no route here answers. Search takes forms as well, for
    it changes nothing, and no other site can read what it answers. A body may be
    1 MiB, with a photo 12 MiB, whether it says so beforehand or not. Host names
    are checked where they are known, so that another site's name pointed at this
    machine (DNS rebinding) does not reach a shopper's history.

    Parameters
    ----------
    app : ASGI application
    hosts : collection of str, optional
        Host names that are answered; None for any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None = None) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, read, most = False, 0, _UPLOADS.get(scope["path"], MAX_BODY)

        async def counted() -> Message:
            # A body whose length was not announced is counted while it is read.
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, too_large(most))
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                fixed = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if fixed else "no-store")
            await send(message)

        refusal = self._refusal(scope, most)
        try:
            await (refusal or self.app)(scope, counted, guarded)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            detail = "The error is in the server's log. Nothing that you sent can mend it; tell who runs the server."
            await problem(500, detail, scope["path"])(scope, receive, guarded)

    def _refusal(self, scope: Scope, most: int) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if self.hosts is not None:
            host = headers.get("host", "")
            name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
            if name.strip("[]").lower() not in self.hosts:
                return problem(421, f"Ask for one of {', '.join(sorted(self.hosts))}. Got {host!r}.", scope["path"])
        if scope["method"] == "POST":
            kind, form = _kind(headers), is_form(headers) and scope["path"] in _UPLOADS
            if kind != "application/json" and not form:
                detail = f"Send JSON with the header Content-Type: application/json. Got {kind or 'none'!r}."
                return problem(415, detail, scope["path"])
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > most:
                return problem(413, too_large(most), scope["path"])
        return None


def is_form(headers: Headers) -> bool:
    """Whether a body is a form that may hold files."""
    return _kind(headers) == "multipart/form-data"


def _kind(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
