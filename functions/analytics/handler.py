"""Usage, timings, storage and cost of the caller, or of all for an admin: as JSON, as a page with plots, as CSV."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from mangum import Mangum

from functions.analytics.figures import Usage, as_csv, usage
from functions.analytics.page import headers, sign_in_page, usage_page
from shared.errors import AppError
from shared.identity import Caller, Credentials, address_of
from shared.web import create_app, json_answer

app = create_app("analytics", "Usage, timings, storage and cost")

COOKIE: Final = "videomaker_analytics"
SIGNED_IN_SECONDS: Final = 3600
MOST_DAYS: Final = 366
DEFAULT_DAYS: Final = 30

_TEXT: Final = {"schema": {"type": "string"}}
ALSO: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": _TEXT, "text/html": _TEXT}},
    401: {"description": "Unauthorized; for a browser the page to sign in at", "content": {"text/html": _TEXT}},
}

Scope = Literal["own", "all"]
Format = Literal["json", "html", "csv"]


async def entered_key(request: Request) -> str:
    """Return what was entered in the page's form: an access token or an API key."""
    body = (await request.body())[:16384].decode("utf-8", "replace")
    return parse_qs(body).get("key", [""])[0].strip()


@app.get("/", summary="What was used, and what it cost", response_model=Usage, responses=ALSO)
def read_usage(
    request: Request,
    first: Annotated[date | None, Query(alias="from", description="UTC; 29 days before `to` where absent")] = None,
    last: Annotated[date | None, Query(alias="to", description="UTC; today where absent")] = None,
    scope: Annotated[Scope, Query(description="`all`: of all users, for admins")] = "own",
    wanted: Annotated[Format | None, Query(alias="format", description="`html` too where `Accept` asks for it")] = None,
) -> Response:
    """Return the usage of some days, today as it is now. In a browser it is a page, which asks who is there.

    The key that is entered there stays with the browser for an hour.
    """
    kind = wanted or ("html" if "text/html" in request.headers.get("accept", "") else "json")
    try:
        caller = _caller(_credentials(request))
    except AppError as refusal:
        if kind == "html" and refusal.status == 401:
            return HTMLResponse(sign_in_page(failed=COOKIE in request.cookies), 401, headers())
        raise
    first, last = _range(first, last)
    report = caller.access().rpc("usage_report", {"p_from": str(first), "p_to": str(last), "p_all": scope == "all"})
    found = usage(report, scope, first, last)
    if kind == "csv":
        name = f'attachment; filename="usage_{first}_{last}.csv"'
        return Response(as_csv(found), media_type="text/csv", headers={**headers(), "Content-Disposition": name})
    if kind == "html":
        return HTMLResponse(usage_page(found), headers=headers())
    return json_answer(found, {"Cache-Control": "private, no-store"})


@app.post("/", summary="Sign in to the page", include_in_schema=False)
def sign_in(request: Request, key: Annotated[str, Depends(entered_key)]) -> Response:
    """Return to the page, which is open to this browser for an hour, or ask again."""
    try:
        _caller(_given(request, key))
    except AppError as refusal:
        if refusal.status != 401:
            raise
        return HTMLResponse(sign_in_page(failed=True), 401, headers())
    # Relative, as the cookie is: whatever rewrite leads to the page, they fit.
    answer = Response(status_code=303, headers={**headers(), "Location": "?format=html"})
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, key, SIGNED_IN_SECONDS, path=None, secure=secure, httponly=True, samesite="lax")
    return answer


def _credentials(request: Request) -> Credentials:
    """Return the credentials of the headers, else those that the page's form has left with the browser."""
    authorization, api_key = (request.headers.get(name) for name in ("authorization", "x-api-key"))
    if authorization or api_key:
        return Credentials(authorization, api_key, work="read", address=address_of(request))
    return _given(request, request.cookies.get(COOKIE, ""))


def _given(request: Request, key: str) -> Credentials:
    if not key or not key.isascii():
        raise AppError("authentication_required")
    is_key = key.startswith("vm_")
    return Credentials(
        None if is_key else f"Bearer {key}", key if is_key else None, work="read", address=address_of(request)
    )


def _caller(credentials: Credentials) -> Caller:
    caller = credentials.caller(None)
    if caller.is_guest:
        raise AppError("authentication_required")
    return caller


def _range(first: date | None, last: date | None) -> tuple[date, date]:
    """Return the days that are asked for; raises `validation_failed` naming what cannot be."""
    last = last or datetime.now(UTC).date()
    if last.year < 2000 or last.year > 9000:
        raise _wrong("to", "must be a year from 2000 to 9000")
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if first > last:
        raise _wrong("from", "must not be after `to`")
    if (last - first).days >= MOST_DAYS:
        raise _wrong("from", f"must be within {MOST_DAYS} days of `to`")
    return first, last


def _wrong(path: str, message: str) -> AppError:
    return AppError("validation_failed", errors=[{"path": path, "message": message}])


handler = Mangum(app, lifespan="off")
