"""Calls of deployed functions, each answer held to the OpenAPI document."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from infra.local.state import StackError
from infra.openapi.answers import difference

JsonObject = dict[str, Any]

_SECONDS: Final = 60.0


class SmokeError(Exception):
    """A deployment answered otherwise than it should."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise SmokeError where something does not hold."""
    if not holds:
        raise SmokeError(otherwise)


class Calls:
    """A client of a deployment, by one base URL or by a URL for each function."""

    def __init__(self, base: str, own: Mapping[str, str], credentials: Mapping[str, str]) -> None:
        self._base = base
        self._own = own
        self.is_guest = not credentials
        self._http = httpx.Client(timeout=_SECONDS, headers=dict(credentials))
        self.headers: Mapping[str, str] = {}

    @classmethod
    def of(cls, api_url: str, environment: Mapping[str, str]) -> Self:
        """Return calls to a base URL, or to what a file of `make deploy` names."""
        credentials = {}
        if token := environment.get("ACCESS_TOKEN"):
            credentials["Authorization"] = f"Bearer {token}"
        if key := environment.get("API_KEY"):
            credentials["X-Api-Key"] = key
        if api_url.startswith(("http://", "https://")):
            return cls(api_url.rstrip("/"), {}, credentials)
        try:
            return cls("", json.loads(Path(api_url).read_text())["functionUrls"], credentials)
        except (OSError, ValueError, KeyError) as error:
            raise StackError(f"{api_url} is neither a URL nor a file that `make deploy` wrote: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _where: TracebackType | None) -> None:
        self._http.close()

    def url(self, function: str) -> str:
        """Return where a function answers."""
        base = self._own[function].rstrip("/") if self._own else self._base
        return f"{base}/api/{function}"

    def get(
        self, function: str, status: int = 200, headers: Mapping[str, str] | None = None, **query: Any
    ) -> JsonObject:
        """Return the answer to a GET; raises SmokeError for another status or shape than is described."""
        return self._checked(function, self._http.get(self.url(function), params=query, headers=headers), status)

    def post(
        self, function: str, body: object, headers: Mapping[str, str] | None = None, *, status: int = 200
    ) -> JsonObject:
        """Return the answer to a POST."""
        return self._checked(function, self._http.post(self.url(function), json=body, headers=headers), status)

    def delete(self, function: str, **query: Any) -> JsonObject:
        """Return the answer to a DELETE."""
        return self._checked(function, self._http.delete(self.url(function), params=query), 200)

    def anonymous(self, function: str, **query: Any) -> httpx.Response:
        """Return the answer to a GET without credentials."""
        return httpx.get(self.url(function), params=query, timeout=_SECONDS)

    def _checked(self, function: str, answer: httpx.Response, status: int) -> JsonObject:
        asked = f"{answer.request.method} {function}"
        expect(answer.status_code == status, f"{asked} answered {answer.status_code}: {answer.text[:500]}")
        route = answer.request.method, f"/api/{function}"
        kind = answer.headers.get("content-type", "")
        differs = difference(function, route, answer.status_code, kind, answer.content)
        expect(differs is None, f"{asked} is not as infra/openapi.json describes it: {differs}")
        expect("x-request-id" in answer.headers, f"{asked} has no X-Request-Id")
        self.headers = answer.headers
        return dict(answer.json()) if answer.content else {}
