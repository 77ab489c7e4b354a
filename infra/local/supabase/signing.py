"""URLs that carry their own permission."""

import time
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.supabase import rows
from infra.local.supabase.errors import invalid_jwt, invalid_request, invalid_signature
from infra.local.supabase.requests import JsonAnswer, Services, bucket_name, json_body, object_name
from infra.local.supabase.tokens import TokenError, Tokens

UPLOAD_SECONDS = 7200
_MISSING = "Either the object does not exist or you do not have access to it"


class Signing:
    """The routes that sign."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.routes = [
            Route("/object/sign/{bucket}", self.sign_many, methods=["POST"]),
            Route("/object/sign/{bucket}/{name:path}", self.sign, methods=["POST"]),
            Route("/object/upload/sign/{bucket}/{name:path}", self.sign_upload, methods=["POST"]),
        ]

    async def sign(self, request: Request) -> Response:
        """Whoever may read an object may sign for it."""
        caller = self._services.caller(request)
        bucket, name = bucket_name(request), object_name(request)
        seconds = _seconds(await json_body(request, "expiresIn"))
        async with self._services.database.transaction(caller, "object.sign") as connection:
            await rows.find(connection, bucket, name, "id")
        return JsonAnswer({"signedURL": self._download_url(bucket, name, seconds)})

    async def sign_many(self, request: Request) -> Response:
        caller, bucket = self._services.caller(request), bucket_name(request)
        body = await json_body(request, "expiresIn", "paths")
        seconds, paths = _seconds(body), body["paths"]
        async with self._services.database.transaction(caller, "object.sign_many") as connection:
            cursor = await connection.execute(
                "select name from storage.objects where bucket_id = %s and name = any(%s)", (bucket, paths)
            )
            readable = {row["name"] for row in await cursor.fetchall()}
        return JsonAnswer([self._item(bucket, path, seconds, path in readable) for path in paths])

    async def sign_upload(self, request: Request) -> Response:
        """Whoever may upload an object may let somebody else do so."""
        caller = self._services.caller(request)
        bucket, name = bucket_name(request), object_name(request)
        upsert = request.headers.get("x-upsert") == "true"
        row = rows.ObjectRow(bucket, name, owner=caller.subject)
        async with self._services.database.probe(caller, "object.sign_upload_url") as connection:
            await rows.write(connection, row, upsert)
        owner = {} if caller.subject is None else {"owner": caller.subject}
        claims = {**owner, "url": f"{bucket}/{name}", "upsert": upsert, "scope": "upload"}
        token = self._token(claims, UPLOAD_SECONDS)
        return JsonAnswer({"url": f"/object/upload/sign/{_path(bucket, name)}?token={token}", "token": token})

    def _item(self, bucket: str, path: str, seconds: int, readable: bool) -> dict[str, str | None]:
        if not readable:
            return {"error": _MISSING, "path": path, "signedURL": None}
        return {"error": None, "path": path, "signedURL": self._download_url(bucket, path, seconds)}

    def _download_url(self, bucket: str, name: str, seconds: int) -> str:
        token = self._token({"url": f"{bucket}/{name}", "scope": "download"}, seconds)
        return f"/object/sign/{_path(bucket, name)}?token={token}"

    def _token(self, claims: dict[str, object], seconds: int) -> str:
        now = int(time.time())
        return self._services.tokens.sign_url({**claims, "iat": now, "exp": now + seconds})


def claims_of_url(tokens: Tokens, request: Request, bucket: str, name: str, scope: str) -> dict[str, Any]:
    """The claims of the token in a signed URL, which must have been made for this object and purpose."""
    token = request.query_params.get("token")
    if token is None:
        raise invalid_request("querystring must have required property 'token'")
    try:
        claims = tokens.verify(token)
    except TokenError as error:
        raise invalid_jwt(str(error)) from error
    if claims.get("url") != f"{bucket}/{name}" or claims.get("scope") != scope:
        raise invalid_signature()
    return claims


def _seconds(body: dict[str, Any]) -> int:
    try:
        seconds = int(body["expiresIn"])
    except (TypeError, ValueError) as error:
        raise invalid_request("body/expiresIn must be integer") from error
    if seconds < 1:
        raise invalid_request("body/expiresIn must be >= 1")
    return seconds


def _path(bucket: str, name: str) -> str:
    return quote(f"{bucket}/{name}", safe="/!-.*'()&$@=;:+,")
