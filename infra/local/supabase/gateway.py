"""The gateway's rules: which requests need an API key, and what the opaque keys become."""

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local.supabase.tokens import Tokens

_NO_KEY = {
    "message": "No API key found in request",
    "hint": "No `apikey` request header or url param was found.",
}
_BAD_KEY = {
    "message": "Invalid API key",
    "hint": "Double check your Supabase `anon` or `service_role` API key.",
}


class ApiKeyGate:
    """Lets requests with an API key through, as the role that the key stands for unless a user's token is sent."""

    def __init__(self, app: ASGIApp, tokens: Tokens, open_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._tokens = tokens
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        query, in_query = _without_api_key(scope["query_string"])
        key = headers.get(b"apikey", b"").decode("latin-1") or in_query
        if not key:
            await send_json(send, 401, _NO_KEY)
        elif not self._tokens.is_api_key(key):
            await send_json(send, 401, _BAD_KEY)
        else:
            token = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ").strip()
            bearer = f"Bearer {self._tokens.role_token(token or key)}".encode("latin-1")
            kept = [(name, value) for name, value in scope["headers"] if name not in _REPLACED]
            replaced = {"headers": [*kept, (b"authorization", bearer)], "query_string": query}
            await self._app({**scope, **replaced}, receive, send)


_REPLACED = (b"apikey", b"authorization")


def _without_api_key(query: bytes) -> tuple[bytes, str]:
    """The query string without the key that it may carry, and that key."""
    if b"apikey=" not in query:
        return query, ""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    rest = [(name, value) for name, value in pairs if name != "apikey"]
    return urlencode(rest).encode("latin-1"), dict(pairs).get("apikey", "")


async def send_json(send: Send, status: int, body: object) -> None:
    """A whole JSON answer."""
    content = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
