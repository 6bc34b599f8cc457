"""The application, and the server process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles
from threadpoolctl import threadpool_limits

from vetrina.engine import Shop, VetrinaError
from vetrina.serve.bodies import SearchRequest
from vetrina.serve.guard import LOOPBACK, Guard
from vetrina.serve.pages import STATIC, page_routes
from vetrina.serve.problems import Problem, add_problem_handlers
from vetrina.serve.routes import api_routes

__all__ = ["create_app", "run"]

log = logging.getLogger(__name__)

_DESCRIPTION = """Products of one shop, ranked for each shopper, each with the reasons that sum to its score.

There is no login here. Whoever can reach this server can ask and record for every shopper: put it
behind your own site, which knows who is asking. Errors are RFC 9457 problem+json."""


def create_app(shop: Shop, hosts: Collection[str] | None = None) -> FastAPI:
    """The HTTP API and the storefront over one shop.

    A snapshot published while it runs is served from the next request on.

    Parameters
    ----------
    shop : Shop
    hosts : collection of str, optional
        Host names that are answered; None for any.

    Examples
    --------
    Under a server of your own choosing::

        app = create_app(Shop.open("myshop"))
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The first shopper need not wait for the snapshot to be read.
        try:
            await run_in_threadpool(lambda: shop.engine)
        except VetrinaError as error:
            log.warning("Nothing can be served yet: %s", error)
        yield

    app = FastAPI(
        title="Vetrina",
        summary="Personalised, multimodal product ranking for one shop.",
        description=_DESCRIPTION,
        version=version("vetrina"),
        # The usual pages for exploring an API load their script from another site.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # Bodies name shoppers: nothing of them leaves through tracing.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    add_problem_handlers(app, shop)
    app.include_router(api_routes(shop))
    app.include_router(page_routes(shop))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, hosts=hosts)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Put the bodies that we read ourselves, and our shape of an error, into the OpenAPI description."""
    schemas = app.openapi()["components"]["schemas"]
    for model in (SearchRequest, Problem):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def run(shop: Shop, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a shop until the process is told to stop.

    One process: the snapshot is memory-mapped and the work leaves Python's lock.

    Parameters
    ----------
    shop : Shop
    host : str
        The default answers this machine alone, and only to its own names.
    port : int
    """
    import uvicorn

    app = create_app(shop, hosts=LOOPBACK if host in LOOPBACK else None)
    # One request is too little work to share out: threads would only wait for one another.
    threadpool_limits(1)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
