"""The Auth API, below `/auth/v1`."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import DictRow
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.supabase import users
from infra.local.supabase.auth_errors import (
    AuthError,
    answer_auth_error,
    bad_json,
    bad_jwt,
    invalid_credentials,
    validation_failed,
)
from infra.local.supabase.pool import Connection, Pool
from infra.local.supabase.sessions import Sessions
from infra.local.supabase.tokens import TokenError, Tokens

_EMAIL_METADATA = {"provider": "email", "providers": ["email"]}


class AuthApi:
    """Sign-up, sign-in, and what a user may do with their own account."""

    def __init__(self, pool: Pool, tokens: Tokens, issuer: str) -> None:
        self._pool = pool
        self._tokens = tokens
        self._sessions = Sessions(tokens.keys, issuer)
        self.routes = [
            Route("/signup", self.sign_up, methods=["POST"]),
            Route("/token", self.token, methods=["POST"]),
            Route("/user", self.get_user, methods=["GET"]),
            Route("/user", self.update_user, methods=["PUT"]),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
            Route("/settings", self.settings, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
        ]

    async def sign_up(self, request: Request) -> Response:
        """Without an address and a password the new user is anonymous; every address counts as confirmed."""
        body = await json_object(request)
        values: dict[str, Any] = {"raw_user_meta_data": users.metadata_object(body.get("data"))}
        if body.get("email") or body.get("password"):
            values |= {
                "email": users.valid_email(body.get("email")),
                "encrypted_password": await users.hash_password(str(body.get("password") or "")),
                "email_confirmed_at": datetime.now(UTC),
                "raw_app_meta_data": _EMAIL_METADATA,
            }
        else:
            values["is_anonymous"] = True
        async with self._pool.transaction() as connection:
            if "email" in values and await users.find_by_email(connection, values["email"]):
                raise AuthError(422, "user_already_exists", "User already registered")
            user = await users.insert(connection, values)
            method = "password" if "email" in values else "anonymous"
            return JSONResponse(await self._sessions.open(connection, user, method))

    async def token(self, request: Request) -> Response:
        body = await json_object(request)
        match request.query_params.get("grant_type"):
            case "password":
                return await self._sign_in(body)
            case "refresh_token":
                return await self._refresh(body)
        raise AuthError(400, "invalid_credentials", "unsupported_grant_type")

    async def get_user(self, request: Request) -> Response:
        async with self._pool.transaction() as connection:
            user, _ = await self._signed_in(connection, request)
            return JSONResponse(users.as_json(user))

    async def update_user(self, request: Request) -> Response:
        """An anonymous user who gives an address becomes a permanent one."""
        body = await json_object(request)
        values: dict[str, Any] = {"raw_user_meta_data": users.metadata_object(body.get("data"))}
        if body.get("password"):
            values["encrypted_password"] = await users.hash_password(str(body["password"]))
        if body.get("email"):
            values |= {
                "email": users.valid_email(body["email"]),
                "email_confirmed_at": datetime.now(UTC),
                "raw_app_meta_data": _EMAIL_METADATA,
                "is_anonymous": False,
            }
        async with self._pool.transaction() as connection:
            user, _ = await self._signed_in(connection, request)
            return JSONResponse(users.as_json(await users.update(connection, user["id"], values)))

    async def log_out(self, request: Request) -> Response:
        scope = request.query_params.get("scope", "global")
        if scope not in ("global", "local", "others"):
            raise validation_failed(f'Unsupported logout scope "{scope}"')
        async with self._pool.transaction() as connection:
            _, session = await self._signed_in(connection, request)
            await self._sessions.end(connection, session, scope)
        return Response(status_code=204)

    async def jwks(self, _: Request) -> Response:
        return JSONResponse(self._tokens.keys.public_jwks(), headers={"cache-control": "public, max-age=600"})

    async def settings(self, _: Request) -> Response:
        return JSONResponse(
            {
                "external": {"email": True, "phone": False, "anonymous_users": True},
                "disable_signup": False,
                "mailer_autoconfirm": True,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def health(self, _: Request) -> Response:
        return JSONResponse({"version": "local", "name": "GoTrue", "description": "local stand-in"})

    async def _sign_in(self, body: dict[str, Any]) -> Response:
        async with self._pool.transaction() as connection:
            user = await users.find_by_email(connection, body.get("email", ""))
        stored = user["encrypted_password"] if user else None
        if not await users.is_password(str(body.get("password", "")), stored) or user is None:
            raise invalid_credentials()
        async with self._pool.transaction() as connection:
            return JSONResponse(await self._sessions.open(connection, user, "password"))

    async def _refresh(self, body: dict[str, Any]) -> Response:
        async with self._pool.transaction() as connection:
            session = await self._sessions.renew(connection, str(body.get("refresh_token", "")))
        if session is None:
            raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        return JSONResponse(session)

    async def _signed_in(self, connection: Connection, request: Request) -> tuple[DictRow, DictRow]:
        """The user and session of the request's access token."""
        claims = verified_claims(self._tokens, request)
        try:
            session_id = UUID(str(claims["session_id"]))
        except (KeyError, ValueError) as error:
            raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim") from error
        session = await self._sessions.find(connection, session_id)
        return await users.find(connection, session["user_id"]), session


def auth_api(routes: list[Route]) -> Starlette:
    """The auth server as an ASGI application."""
    return Starlette(
        routes=routes,
        exception_handlers={AuthError: answer_auth_error, psycopg.OperationalError: _answer_unavailable},
    )


async def json_object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise bad_json() from error
    if not isinstance(body, dict):
        raise bad_json()
    return body


def verified_claims(tokens: Tokens, request: Request) -> dict[str, Any]:
    """The claims of the request's bearer token."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not token:
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        return tokens.verify(tokens.role_token(token))
    except TokenError as error:
        raise bad_jwt(str(error)) from error


async def _answer_unavailable(request: Request, _: Exception) -> Response:
    error = AuthError(500, "unexpected_failure", "Database error: the connection failed")
    return await answer_auth_error(request, error)
