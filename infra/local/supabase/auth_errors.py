"""The errors of the auth server."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

API_VERSION_HEADER = "x-supabase-api-version"


class AuthError(Exception):
    """An answer of the auth server other than success."""

    def __init__(self, status: int, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


def bad_json() -> AuthError:
    return AuthError(400, "bad_json", "Could not parse request body as JSON")


def bad_jwt(message: str) -> AuthError:
    return AuthError(403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {message}")


def invalid_credentials() -> AuthError:
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def user_not_found() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")


def weak_password(message: str, reason: str) -> AuthError:
    return AuthError(422, "weak_password", message, weak_password={"reasons": [reason]})


def validation_failed(message: str) -> AuthError:
    return AuthError(400, "validation_failed", message)


async def answer_auth_error(request: Request, error: Exception) -> Response:
    """Clients that name an API version get the shape of that version, and the version back."""
    assert isinstance(error, AuthError)
    version = request.headers.get(API_VERSION_HEADER)
    if version is not None and version >= "2024-01-01":
        body: dict[str, object] = {"code": error.code, "message": error.message, **error.details}
        return JSONResponse(body, error.status, {API_VERSION_HEADER: version})
    return JSONResponse(
        {"code": error.status, "error_code": error.code, "msg": error.message, **error.details},
        error.status,
        {"x-sb-error-code": error.code},
    )
