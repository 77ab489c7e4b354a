"""What the storage routes have in common: callers, names, JSON in and out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse

from infra.local.supabase.database import Database
from infra.local.supabase.errors import access_denied, invalid_bucket_name, invalid_key, invalid_request
from infra.local.supabase.files import FileStore
from infra.local.supabase.tokens import Caller, TokenError, Tokens

ANONYMOUS = Caller({"role": "anon"})

_KEY = re.compile(r"[\w/!\-.*'() &$@=;:+,?]+", re.ASCII)
_BUCKET = re.compile(r"[\w!\-.*'() &$@=;:+,?]{1,63}", re.ASCII)


@dataclass(frozen=True)
class Services:
    """What a storage route works with."""

    database: Database
    files: FileStore
    tokens: Tokens

    def caller(self, request: Request) -> Caller:
        """Who asks; a request without a valid token is refused."""
        token = self._bearer_token(request)
        if token is None:
            raise invalid_request("headers must have required property 'authorization'")
        try:
            return Caller(self.tokens.verify(token))
        except TokenError as error:
            raise access_denied(str(error)) from error

    def optional_caller(self, request: Request) -> Caller | None:
        """Who asks, or None where the token is absent or not valid."""
        token = self._bearer_token(request)
        try:
            return None if token is None else Caller(self.tokens.verify(token))
        except TokenError:
            return None

    def _bearer_token(self, request: Request) -> str | None:
        """An opaque API key counts as a token even if it comes as `apikey` only, as the gateway has it."""
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return self.tokens.role_token(authorization.removeprefix("Bearer ").strip())
        api_key = request.headers.get("apikey", "")
        return self.tokens.role_token(api_key) if self.tokens.is_opaque(api_key) else None


class JsonAnswer(JSONResponse):
    """A storage answer; knows ids and times."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False, default=_encode).encode()


async def json_body(request: Request, *required: str) -> dict[str, Any]:
    """The request's JSON object; refuses one that lacks a required property."""
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise invalid_request("Body is not valid JSON") from error
    if not isinstance(body, dict):
        raise invalid_request("body must be object")
    for name in required:
        if name not in body:
            raise invalid_request(f"body must have required property '{name}'")
    return body


def bucket_name(request: Request) -> str:
    return str(request.path_params["bucket"])


def object_name(request: Request) -> str:
    return valid_key(str(request.path_params["name"]))


def valid_key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise invalid_key(str(key))
    return key


def valid_bucket_name(name: object) -> str:
    if not isinstance(name, str) or not _BUCKET.fullmatch(name) or name in (".", ".."):
        raise invalid_bucket_name()
    return name


def with_blank_owner(row: Mapping[str, Any]) -> dict[str, Any]:
    """Rows show an absent owner as an empty string."""
    blanks = {name: row[name] or "" for name in ("owner", "owner_id") if name in row}
    return {**row, **blanks}


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as JavaScript writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(value: object) -> str:
    match value:
        case datetime():
            return timestamp(value)
        case UUID():
            return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
