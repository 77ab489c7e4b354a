"""The whole stand-in as one ASGI application: Storage, Auth and the Data API below one base URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.keys import Keys
from infra.local.supabase.auth import AuthApi, auth_api
from infra.local.supabase.auth_admin import AuthAdmin
from infra.local.supabase.config import Config
from infra.local.supabase.database import Database
from infra.local.supabase.files import FileStore
from infra.local.supabase.gateway import ApiKeyGate
from infra.local.supabase.net import QueuedRequests
from infra.local.supabase.pool import Pool
from infra.local.supabase.requests import Services
from infra.local.supabase.rest import RestProxy
from infra.local.supabase.storage import storage_api
from infra.local.supabase.tokens import Tokens

_REST_PREFIX = "/rest/v1"
_AUTH_PREFIX = "/auth/v1"
_OPEN_AUTH_PATHS = [f"{_AUTH_PREFIX}/.well-known/jwks.json", f"{_AUTH_PREFIX}/health"]


def create_app(config: Config) -> ASGIApp:
    """The application; its connections are opened and closed by the server's lifespan."""
    tokens = Tokens(Keys.load_or_create(config.keys_file))
    files = FileStore(config.objects_dir)
    storage_pool = Pool(config.database_url, "storage")
    auth_pool = Pool(config.auth_database_url, "auth")
    rest = RestProxy(config.postgrest_url, _REST_PREFIX)
    queued = QueuedRequests(config.database_url)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        files.prepare()
        sending = asyncio.create_task(queued.send_forever())
        yield
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        rest.close()
        await storage_pool.close()
        await auth_pool.close()

    async def health(_: Request) -> Response:
        async with storage_pool.connection() as connection:
            await connection.execute("select 1")
        return JSONResponse({"status": "ok"})

    issuer = f"{config.public_url}{_AUTH_PREFIX}"
    auth_routes = [
        *AuthApi(auth_pool, tokens, issuer).routes,
        *AuthAdmin(auth_pool, tokens).routes,
    ]
    app = Starlette(
        routes=[
            Route("/health", health),
            Mount("/storage/v1", storage_api(Services(Database(storage_pool), files, tokens))),
            Mount(_AUTH_PREFIX, ApiKeyGate(auth_api(auth_routes), tokens, _OPEN_AUTH_PATHS)),
        ],
        lifespan=lifespan,
    )
    return _with_cors(_Dispatch(app, ApiKeyGate(rest, tokens)))


class _Dispatch:
    """Sends the Data API's requests to the proxy without going through the router."""

    def __init__(self, app: ASGIApp, rest: ASGIApp) -> None:
        self._app = app
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_rest = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{_REST_PREFIX}/")
        await (self._rest if is_rest else self._app)(scope, receive, send)


def _with_cors(app: ASGIApp) -> ASGIApp:
    """Any page may call, as with a hosted project."""
    return CORSMiddleware(
        app,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=["content-range", "etag", "x-total-count"],
        max_age=3600,
    )
