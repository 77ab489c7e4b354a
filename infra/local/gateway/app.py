"""The gateway as an ASGI application: its routes, and its own pages."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from infra.local.gateway import openapi, pages, playground
from infra.local.gateway.configuration import Service
from infra.local.gateway.environment import Invocation, prepare
from infra.local.gateway.environments import Environments, Limits
from infra.local.gateway.errors import GatewayError
from infra.local.gateway.event_sources import EventSources
from infra.local.gateway.function_url import FunctionUrls
from infra.local.gateway.logs import log


class _Anything(StringConvertor):
    regex = "(?s:.*)"  # line breaks too, which `path` does not take


register_url_convertor("anything", _Anything())


def create_app(service: Service, limits: Limits) -> Starlette:
    """The gateway to all functions of a service: by their URLs, and for the messages of their queues."""
    environments = Environments(service.root, limits)
    sources = EventSources(service, environments)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        prepare()
        sources.start()
        try:
            yield
        finally:
            await sources.close()
            await environments.close()

    async def functions(_request: Request) -> Response:
        return HTMLResponse(pages.index(service.url_functions.values()))

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def describe(_request: Request) -> Response:
        return await _openapi(service, environments)

    return Starlette(
        routes=[
            Route("/", playground.page),
            Route("/assets/{name}", playground.asset),
            Route("/config.json", playground.configuration),
            Route("/functions", functions),
            Route("/health", health),
            Route("/openapi.json", describe),
            Route("/api/{function}{rest:anything}", FunctionUrls(service, environments)),
        ],
        lifespan=lifespan,
    )


async def _openapi(service: Service, environments: Environments) -> Response:
    functions = service.url_functions
    event = json.dumps({name: function.module for name, function in functions.items()}).encode()
    try:
        document = await environments.invoke(openapi.describing_function(functions), Invocation(event, "openapi", ""))
    except GatewayError as error:
        log("openapi", str(error))
        return Response(error.body, error.status)
    return Response(document, media_type="application/json", headers={"access-control-allow-origin": "*"})
