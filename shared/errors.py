"""The error of this service, as it is raised, and as RFC 9457 writes it. The codes stand in `shared.problems`."""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.problems import PROBLEMS

TYPE_PREFIX: Final = "urn:videomaker:problem:"


class AppError(Exception):
    """A failure that the client may know about: `code` is a key of `PROBLEMS`, which gives status and title.

    `detail` replaces the table's text; it must be safe to show, and never echo input, SQL, keys or inner URLs.
    `errors` names fields, `retry_after` is in seconds, `extra` are further members of the problem object.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] | None = None,
        retry_after: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        problem = PROBLEMS[code]
        super().__init__(code)
        self.code = code
        self.status = problem.status
        self.title = problem.title
        self.detail = detail or problem.detail
        self.errors = errors
        self.retry_after = retry_after if retry_after is not None else _default_wait(problem.status)
        self.extra = extra or {}

    def to_problem(self, request_id: str) -> dict[str, object]:
        """Return the RFC 9457 object of the answer."""
        members: dict[str, object] = {
            "success": False,
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        }
        if self.errors:
            members["errors"] = list(self.errors)
        return members | dict(self.extra)


def _default_wait(status: int) -> int | None:
    return 2 if status == 503 else 1 if status == 429 else None
