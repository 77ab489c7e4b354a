"""The addresses of objects in the media bucket: where they can be read, what the database keeps, and back to paths."""

import re
import time
from typing import Final
from urllib.parse import urlsplit

from shared.settings import MEDIA_BUCKET, settings

_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_./-]{0,499}")  # of what is stored here; needs no escapes
_OBJECT_URLS: Final = ("public", "sign", "authenticated")


def public_url(path: str) -> str:
    """Return the address of an object of the public media bucket."""
    return f"{settings().supabase_url}/storage/v1/object/public/{MEDIA_BUCKET}/{path}"


def stored_url(path: str) -> str:
    """Return what the database keeps of an object: its public URL, in a private bucket its path."""
    return public_url(path) if settings().bucket_access == "public" else path


def media_path(url: str) -> str | None:
    """Return the object's path in the media bucket, for a public or signed URL of it or the path itself, else None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not parts.scheme and not parts.netloc:
        return _plain_path(url)
    base = urlsplit(settings().supabase_url)
    if (parts.scheme, parts.netloc) != (base.scheme, base.netloc):
        return None
    for kind in _OBJECT_URLS:
        prefix = f"{base.path}/storage/v1/object/{kind}/{MEDIA_BUCKET}/"
        if parts.path.startswith(prefix):
            return _plain_path(parts.path.removeprefix(prefix))
    return None


def _plain_path(path: str) -> str | None:
    return path if _PATH.fullmatch(path) else None


def url_epoch() -> tuple[str, int]:
    """Return what an answer's URLs hang on besides their paths: to be part of its ETag.

    In a private bucket it changes twice in a URL's life, so that no 304 leaves a client with expired ones.
    """
    chosen = settings()
    step = int(time.time() / (chosen.signed_url_seconds / 2)) if chosen.bucket_access == "private" else 0
    return chosen.supabase_url, step
