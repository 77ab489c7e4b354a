"""The Storage API, below `/storage/v1`."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase.buckets import Buckets
from infra.local.supabase.changes import Changes
from infra.local.supabase.downloads import Downloads
from infra.local.supabase.errors import StorageError, internal_error
from infra.local.supabase.listing import Listing
from infra.local.supabase.requests import JsonAnswer, Services
from infra.local.supabase.signing import Signing
from infra.local.supabase.uploads import Uploads


def storage_api(services: Services) -> Starlette:
    """The storage server as an ASGI application."""
    return Starlette(
        routes=[
            Route("/status", lambda _: Response()),
            *Buckets(services).routes,
            *Listing(services).routes,
            *Signing(services).routes,
            *Changes(services).routes,
            *Downloads(services).routes,
            *Uploads(services).routes,
        ],
        exception_handlers={
            StorageError: _answer_error,
            HTTPException: _answer_unknown_route,
            ClientDisconnect: _answer_nobody,
            Exception: _answer_failure,
        },
    )


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)
    return JsonAnswer(error.body, error.http_status)


async def _answer_unknown_route(request: Request, error: Exception) -> Response:
    """The real server knows no 405: a path with another method is another route."""
    route = f"{request.method}:{request.url.path}"
    return JsonAnswer({"message": f"Route {route} not found", "error": "Not Found", "statusCode": 404}, 404)


async def _answer_nobody(_: Request, error: Exception) -> Response:
    """The client went away in the middle of its body."""
    return Response(status_code=499)


async def _answer_failure(_: Request, error: Exception) -> Response:
    failure = internal_error()
    return JsonAnswer(failure.body, failure.http_status)
