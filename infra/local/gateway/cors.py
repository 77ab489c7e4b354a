"""Cross-origin answers of a function URL, which adds them itself.

As on AWS, the origin is echoed even where every origin is allowed, and what the function itself sends is
kept beside the configured headers: a function that sets its own CORS headers fails in browsers here too.
"""

from dataclasses import dataclass

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Cors:
    """The CORS configuration of one function URL; `max_age` in seconds."""

    origins: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("*",)
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False

    def response_headers(self, origin: str | None) -> Headers:
        """What is added to the answer to a request from `origin`; nothing for one that is not allowed."""
        if not self._allows(origin):
            return []
        assert origin is not None
        headers = [("access-control-allow-origin", origin), ("vary", "Origin")]
        if self.exposed:
            headers.append(("access-control-expose-headers", ",".join(self.exposed)))
        if self.credentials:
            headers.append(("access-control-allow-credentials", "true"))
        return headers

    def preflight_headers(self, origin: str | None) -> Headers:
        """The headers of the answer to a preflight request, to which the function is not invoked."""
        headers = self.response_headers(origin)
        if not headers:
            return []
        headers.append(("access-control-allow-methods", ",".join(self.methods)))
        if self.headers:
            headers.append(("access-control-allow-headers", ",".join(self.headers)))
        if self.max_age is not None:
            headers.append(("access-control-max-age", str(self.max_age)))
        return headers

    def _allows(self, origin: str | None) -> bool:
        return origin is not None and ("*" in self.origins or origin in self.origins)


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a request asks for permission: OPTIONS with an origin and the method it wants to use."""
    names = {name.lower() for name, _ in headers}
    return method == "OPTIONS" and {"origin", "access-control-request-method"} <= names
