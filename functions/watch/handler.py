"""The page behind a share link: a player for people without an account, and what link previews read."""

import hashlib
import json
import re
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from mangum import Mangum

from functions.watch.pages import View, embedding, headers, notice_page, password_page, video_page
from shared import cache
from shared.errors import AppError
from shared.identity import address_of, share_visitor
from shared.observability import log, severity
from shared.settings import settings
from shared.shares import is_token, key_hash, password_key, token_hash
from shared.supabase_access import Access
from shared.web import create_app

app = create_app("watch", "The page behind a share link")

UNLOCKED_SECONDS: Final = 3600
# What fetches a link in order to preview it: it is not counted, and gets no video where views are limited.
PREVIEW: Final = re.compile(
    r"(?<!cu)bot\b|crawler|spider|facebookexternalhit|facebookcatalog|whatsapp/|embedly|iframely|skypeuripreview|vkshare",
    re.IGNORECASE,
)
REFUSALS: Final = {  # of oEmbed
    "missing": "share_not_found",
    "expired": "share_ended",
    "used_up": "share_ended",
    "not_ready": "share_without_video",
    "failed": "share_without_video",
    "password_required": "share_password_required",
    "unavailable": "database_unavailable",
}
_PAGE: Final = {"content": {"text/html": {"schema": {"type": "string"}}}}
PAGES: Final[dict[int | str, dict[str, Any]]] = {
    403: {"description": "A page: that is not the password", **_PAGE},
    404: {"description": "A page: this link leads nowhere", **_PAGE},
    410: {"description": "A page: this link has expired, or its views are used up", **_PAGE},
    429: {"description": "A page: too many tries of the password", **_PAGE},
    503: {"description": "A page: try again in a moment", **_PAGE},
}
ENTERED: Final[dict[int | str, dict[str, Any]]] = {
    303: {"description": "Back to the page, with a cookie that opens it"},
}
_FORM: Final = {"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}
FORM: Final = {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": _FORM}}, "required": True}}


async def entered_password(request: Request) -> str:
    """Return the password of the page's form."""
    body = (await request.body())[:4096].decode("utf-8", "replace")
    return parse_qs(body).get("password", [""])[0]


@app.head("/{token}", include_in_schema=False)
@app.get("/{token}", summary="Watch a shared video", response_class=HTMLResponse, responses=PAGES)
def watch(request: Request, token: str) -> Response:
    """Return the page of a share link. It counts as a view, once an hour of each viewer."""
    return _page(request, token, _look(request, token, _unlocked(request, token), counts=True))


@app.head("/{token}/embed", include_in_schema=False)
@app.get(
    "/{token}/embed", summary="Watch a shared video within another page", response_class=HTMLResponse, responses=PAGES
)
def embed(request: Request, token: str) -> Response:
    """Return the player alone, for an iframe; a view as the page is."""
    return _page(request, token, _look(request, token, _unlocked(request, token), counts=True), embedded=True)


@app.post(
    "/{token}",
    summary="Enter the password of a share link",
    response_class=HTMLResponse,
    responses=PAGES | ENTERED,
    openapi_extra=FORM,
)
def unlock(request: Request, token: str, password: Annotated[str, Depends(entered_password)]) -> Response:
    """Return to the page, which is open to this browser for an hour, or ask again."""
    key = password_key(token, password) if is_token(token) and password else None
    view = _look(request, token, key, counts=False)
    if key is None or view.state in ("missing", "wrong_password", "too_many_tries", "unavailable"):
        return _page(request, token, view)
    # Relative, and a cookie without a path: whatever rewrite leads to the page, they fit.
    answer = Response(status_code=303, headers={**headers(), "Location": token})
    secure = request.url.scheme == "https"
    answer.set_cookie(_cookie(token), key, UNLOCKED_SECONDS, path=None, secure=secure, httponly=True, samesite="lax")
    return answer


@app.head("/{token}/oembed", include_in_schema=False)
@app.get("/{token}/oembed", summary="Describe a share link to a page that embeds it (oEmbed)")
def oembed(
    request: Request,
    token: str,
    wanted: Annotated[str, Query(alias="format", max_length=20)] = "json",
    maxwidth: Annotated[int, Query(ge=1)] = 100_000,
    maxheight: Annotated[int, Query(ge=1)] = 100_000,
) -> JSONResponse:
    """Return an oEmbed 1.0 object: a video, or a link where a session has only frames yet. It counts no view."""
    if wanted != "json":
        raise AppError("unsupported_format")
    view = _look(request, token, None, counts=False)
    if view.state != "shown":
        raise AppError(REFUSALS[view.state])
    return JSONResponse(embedding(view, _url(request, token), maxwidth, maxheight), headers=headers())


@app.head("/{path:path}", include_in_schema=False)
@app.get("/{path:path}", include_in_schema=False)
def elsewhere(request: Request, path: str) -> Response:
    """Return what a link that does not exist gets."""
    return _page(request, path, View("missing"))


def _look(request: Request, token: str, key: str | None, *, counts: bool) -> View:
    """Return what the link shows to whoever sent the request, with this key to its password."""
    if not is_token(token):
        return View("missing")
    agent = request.headers.get("user-agent", "")
    counts = counts and request.method == "GET" and not PREVIEW.search(agent)
    try:
        address = address_of(request)
        visit = {
            "p_viewer": _digest(token, address, agent) if counts else None,
            "p_address": _digest(token, address),
            "p_password_hash": key_hash(key) if key else None,
        }
        access = share_visitor(token_hash(token))
        facts = _opened(access, token_hash(token), visit)
        view = View(facts["state"], facts, access.urls(_paths(facts)).by_path)
    except AppError as error:
        log("refused", level=severity(error), error=error, status=error.status)
        return View("unavailable", {"retry_after": error.retry_after})
    log("share_opened", state=view.state, counts=counts)
    is_lost = bool(view.video.get("path")) and view.source is None
    return View("not_ready") if is_lost else view


def _opened(access: Access, link: str, visit: dict[str, Any]) -> dict[str, Any]:
    """Return what the database says of a link; frames that have not changed meanwhile come out of the cache."""
    key = cache.key("share", link)
    known = json.loads(cache.recall(key) or b"{}")
    facts: dict[str, Any] = access.rpc("open_share", {**visit, "p_known_stamp": known.get("stamp")}) or {}
    stamp = facts.get("frames_stamp")
    if stamp is not None and facts["frames"] is None:
        facts["frames"] = known["frames"]
    elif stamp is not None:
        cache.remember(key, json.dumps({"stamp": stamp, "frames": facts["frames"]}).encode())
    return facts or {"state": "missing"}


def _page(request: Request, token: str, view: View, *, embedded: bool = False) -> Response:
    media = ""
    if view.state == "shown":
        media = "{0.scheme}://{0.netloc}".format(urlsplit(settings().supabase_url))
        status, text = 200, video_page(view, _url(request, token), embedded=embedded)
    elif view.state in ("password_required", "wrong_password"):
        wrong = view.state == "wrong_password"
        status, text = password_page(_url(request, token), wrong=wrong, embedded=embedded)
    else:
        status, text = notice_page(view.state)
    wait = view.facts.get("retry_after")
    later = {"Retry-After": str(wait)} if wait else {}
    return HTMLResponse(text, status, headers={**headers(media, embedded=embedded), **later})


def _url(request: Request, token: str) -> str:
    """Return the public address of the page."""
    return f"{settings().watch_url or str(request.base_url).rstrip('/')}/{token}"


def _paths(facts: dict[str, Any]) -> list[str]:
    video = facts.get("video") or {}
    paths = [video.get(name) for name in ("path", "poster", "captions")]
    return [path for path in (*paths, *(one["path"] for one in facts.get("frames", []))) if path]


def _digest(token: str, *parts: str) -> str:
    """Return a hash that gives no address away to whoever lacks the token, as the database does."""
    return hashlib.sha256("\n".join([token, *parts]).encode()).hexdigest()[:32]


def _cookie(token: str) -> str:
    return f"unlocked_{token_hash(token)[:16]}"


def _unlocked(request: Request, token: str) -> str | None:
    """Return the key that an entered password has left with the browser."""
    key = request.cookies.get(_cookie(token), "")
    return key if re.fullmatch(r"[0-9a-f]{64}", key) else None


handler = Mangum(app, lifespan="off")
