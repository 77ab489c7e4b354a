"""The part of the Auth API that takes the service key: any user's account."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.supabase import users
from infra.local.supabase.auth import json_object, verified_claims
from infra.local.supabase.auth_errors import AuthError, validation_failed
from infra.local.supabase.pool import Pool
from infra.local.supabase.tokens import Tokens


class AuthAdmin:
    """Listing, making, changing and removing users."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens
        self.routes = [
            Route("/admin/users", self.list_users, methods=["GET"]),
            Route("/admin/users", self.create, methods=["POST"]),
            Route("/admin/users/{user_id}", self.get, methods=["GET"]),
            Route("/admin/users/{user_id}", self.update, methods=["PUT"]),
            Route("/admin/users/{user_id}", self.delete, methods=["DELETE"]),
        ]

    async def list_users(self, request: Request) -> Response:
        self._require_service(request)
        number, size = _positive(request, "page", 1), _positive(request, "per_page", 50)
        async with self._pool.transaction() as connection:
            found, total = await users.page(connection, number, size)
        body = {"users": [users.as_json(user) for user in found], "aud": "authenticated"}
        return JSONResponse(body, headers={"x-total-count": str(total)})

    async def create(self, request: Request) -> Response:
        self._require_service(request)
        body = await json_object(request)
        values = await _columns(body)
        if "email" not in values:
            raise validation_failed("Cannot create a user without either an email or phone")
        app_metadata = {"provider": "email", "providers": ["email"], **values.get("raw_app_meta_data", {})}
        async with self._pool.transaction() as connection:
            user = await users.insert(connection, {**values, "raw_app_meta_data": app_metadata})
            return JSONResponse(users.as_json(user))

    async def get(self, request: Request) -> Response:
        self._require_service(request)
        async with self._pool.transaction() as connection:
            return JSONResponse(users.as_json(await users.find(connection, _user_id(request))))

    async def update(self, request: Request) -> Response:
        self._require_service(request)
        values = await _columns(await json_object(request))
        async with self._pool.transaction() as connection:
            user = await users.find(connection, _user_id(request))
            return JSONResponse(users.as_json(await users.update(connection, user["id"], values)))

    async def delete(self, request: Request) -> Response:
        self._require_service(request)
        async with self._pool.transaction() as connection:
            user = await users.find(connection, _user_id(request))
            await users.delete(connection, user["id"])
        return JSONResponse({})

    def _require_service(self, request: Request) -> None:
        if verified_claims(self._tokens, request).get("role") not in ("service_role", "supabase_admin"):
            raise AuthError(403, "not_admin", "User not allowed")


async def _columns(body: dict[str, Any]) -> dict[str, Any]:
    """The columns that a request sets."""
    values: dict[str, Any] = {name: body[name] for name in ("id", "role", "phone") if body.get(name)}
    if body.get("email"):
        values["email"] = users.valid_email(body["email"])
    if body.get("email_confirm"):
        values["email_confirmed_at"] = datetime.now(UTC)
    if body.get("password"):
        values["encrypted_password"] = await users.hash_password(str(body["password"]))
    for name in ("user", "app"):
        if f"{name}_metadata" in body:
            values[f"raw_{name}_meta_data"] = users.metadata_object(body[f"{name}_metadata"])
    return values


def _user_id(request: Request) -> str:
    return str(request.path_params["user_id"])


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise validation_failed(f"{name} must be a positive number")
    return int(text)
