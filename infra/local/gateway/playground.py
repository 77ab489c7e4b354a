"""The playground as it was built, and what it needs to know of the stack.

Its Content-Security-Policy allows no script and no style but its own, and connections to this gateway, to Supabase and
to the ingest bucket only.
"""

import gzip
import hashlib
import mimetypes
import os
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

BUILT = Path(__file__).parents[1] / "web" / "dist"
COMPRESSED = (".html", ".js", ".css", ".svg", ".json")
AMAZON = "https://*.amazonaws.com"  # where the ingest bucket is without a stand-in


async def page(request: Request) -> Response:
    """The playground; the list of the functions where it is not built."""
    if not (BUILT / "index.html").is_file():
        return RedirectResponse("/functions")
    return _file(request, BUILT / "index.html", {"cache-control": "no-cache", **_protection()})


async def asset(request: Request) -> Response:
    """One of its files; their names change with their content."""
    path = (BUILT / "assets" / request.path_params["name"]).resolve()
    if path.parent != (BUILT / "assets").resolve() or not path.is_file():
        return Response("Not found", 404)
    return _file(request, path, {"cache-control": "public, max-age=31536000, immutable"})


async def configuration(_request: Request) -> Response:
    """What a static deployment has as a file beside it."""
    known = {
        "apiUrl": "",
        "supabaseUrl": os.environ.get("SUPABASE_URL", ""),
        "anonKey": os.environ.get("SUPABASE_ANON_KEY", ""),
        "guests": os.environ.get("GUEST_ACCESS") == "on",
        "pages": {"All functions": "/functions", "OpenAPI": "/openapi.json"},
    }
    return JSONResponse(known, headers={"cache-control": "no-cache"})


def _protection() -> dict[str, str]:
    supabase = os.environ.get("SUPABASE_URL", "")
    ingest = os.environ.get("AWS_ENDPOINT_URL") or AMAZON
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' data: blob: {supabase}",
        "media-src": f"'self' {supabase}",
        "connect-src": f"'self' {supabase} {ingest}",
        "base-uri": "'none'",
        "form-action": "'self'",  # the page of plots is opened by a form
        "frame-ancestors": "'none'",
    }
    policy = "; ".join(f"{name} {value}".strip() for name, value in rules.items())
    return {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


def _file(request: Request, path: Path, headers: dict[str, str]) -> Response:
    packs = path.suffix in COMPRESSED and "gzip" in request.headers.get("accept-encoding", "")
    etag, data = _read(path, path.stat().st_mtime_ns, packs=packs)
    headers |= {"etag": etag, "vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if packs:
        headers["content-encoding"] = "gzip"
    media_type = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    return Response(data, headers=headers, media_type=media_type)


@lru_cache(maxsize=64)
def _read(path: Path, _modified: int, *, packs: bool) -> tuple[str, bytes]:
    data = path.read_bytes()
    if packs:
        data = gzip.compress(data, mtime=0)
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"', data
