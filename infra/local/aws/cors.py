"""Cross-origin rules of a bucket, as S3 applies them: the first rule counts that allows all that is asked for.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from infra.local.aws.errors import S3Error

VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True)
class CorsRule:
    """Which origins may send which methods and headers, each of them with at most one `*`; `max_age` in seconds."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None

    def allows(self, origin: str, method: str, headers: Sequence[str] = ()) -> bool:
        """Whether a page of this origin may send such a request."""
        return (
            any(fnmatchcase(origin, pattern) for pattern in self.origins)
            and method in self.methods
            and all(any(fnmatchcase(name, pattern.lower()) for pattern in self.headers) for name in headers)
        )

    def response_headers(self, origin: str) -> dict[str, str]:
        """What tells the browser that it may hand an answer to the page."""
        everyone = "*" in self.origins
        told = {
            "Access-Control-Allow-Origin": "*" if everyone else origin,
            "Access-Control-Allow-Methods": ", ".join(self.methods),
            "Access-Control-Expose-Headers": ", ".join(self.exposed),
            "Access-Control-Max-Age": "" if self.max_age is None else str(self.max_age),
            "Access-Control-Allow-Credentials": "" if everyone else "true",
            "Vary": VARY,
        }
        return {name: value for name, value in told.items() if value}


def answer_headers(rules: Sequence[CorsRule], origin: str | None, method: str) -> dict[str, str]:
    """The headers that the answer to a request from `origin` gets; none where no rule allows it."""
    allowing = (rule for rule in rules if origin is not None and rule.allows(origin, method))
    rule = next(allowing, None)
    return rule.response_headers(origin or "") if rule else {}


def preflight_headers(rules: Sequence[CorsRule], origin: str | None, method: str, headers: str) -> dict[str, str]:
    """The headers of the answer to a preflight request. Raises S3Error where no rule allows what it asks for."""
    names = [name.strip().lower() for name in headers.split(",") if name.strip()]
    if not rules:
        raise S3Error(403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.")
    for rule in rules:
        if origin is not None and rule.allows(origin, method, names):
            allowed = {"Access-Control-Allow-Headers": ", ".join(names)} if names else {}
            return rule.response_headers(origin) | allowed
    raise S3Error(
        403,
        "AccessForbidden",
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, "
        "request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted "
        "by the resource's CORS spec.",
    )
