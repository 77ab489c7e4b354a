"""Verifies files that apps put straight into the media bucket, as a Database Webhook on `storage.objects` tells."""

import hashlib
import hmac
import logging
import re
import time
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Depends, Header
from mangum import Mangum
from pydantic import AwareDatetime, Field

from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.images import StoredImage, optimise, stored_type
from shared.media_formats import HEAD_BYTES, is_playable
from shared.models import Model, Success, Text
from shared.observability import log, timed
from shared.settings import MEDIA_BUCKET, settings
from shared.supabase_access import Access, as_service
from shared.uploads import PreparedFrame, stored_facts
from shared.web import create_app

app = create_app("storage_webhook", "Verify and optimise what was put straight into Supabase Storage")

MAX_IMAGE_BYTES: Final = 50 * 1024 * 1024
MAX_AGE_SECONDS: Final = 300

_FRAME: Final = re.compile(r"(.*/)?frames/([^/]+)\.[a-z]+")
_EXPORT: Final = re.compile(r"[^/]+/exports/[0-9a-f]{32}\.zip")
# HTTP clients resolve such a name to another one.
_UNADDRESSABLE: Final = re.compile(r"(^|/)\.{0,2}(/|$)|%")

Outcome = Literal["ignored", "gone", "kept", "optimised", "rejected"]


class Metadata(Model):
    """The size as Storage has measured it, and the type that the uploader claims, which the file is served with."""

    size: int = 0
    mimetype: Text = ""


class StoredObject(Model):
    """A row of `storage.objects`."""

    id: UUID | None = None
    bucket_id: Text
    name: Text
    version: Text | None = None
    owner_id: Text | None = None
    updated_at: AwareDatetime
    metadata: Metadata | None = None

    @property
    def claims(self) -> Metadata:
        """The metadata; a row that was written by SQL has none."""
        return self.metadata or Metadata()


class Event(Model):
    """What a Database Webhook sends."""

    type: str
    database_schema: Annotated[str, Field(alias="schema")]
    table: str
    record: StoredObject | None = None


class Verdict(Success):
    """What became of the file."""

    outcome: Outcome


# A coroutine, because FastAPI starts a thread for what is none.
async def proven(x_webhook_secret: Annotated[str | None, Header()] = None) -> None:
    """Refuse whoever does not know the shared secret."""
    secret = settings().storage_webhook_secret
    if not secret:
        raise AppError("not_configured", "STORAGE_WEBHOOK_SECRET is not set.")
    if not hmac.compare_digest((x_webhook_secret or "").encode(), secret.encode()):
        raise AppError("invalid_webhook_secret")


@app.post("/", summary="Verify one stored file", dependencies=[Depends(proven)])
def storage_webhook(event: Event, x_webhook_timestamp: Annotated[int | None, Header()] = None) -> Verdict:
    """Return what became of the file; a repeated or late event changes nothing.

    What was announced and has not been answered by 200 is announced again, for a day.
    """
    stored = event.record
    if stored is None or (event.database_schema, event.table) != ("storage", "objects"):
        return Verdict(outcome="ignored")
    # A webhook that was made in the dashboard has fixed headers.
    sent = stored.updated_at.timestamp() if x_webhook_timestamp is None else x_webhook_timestamp
    if abs(time.time() - sent) > MAX_AGE_SECONDS:
        raise AppError("webhook_expired")
    # What has no owner was written with the service key.
    if stored.bucket_id != MEDIA_BUCKET or stored.owner_id is None:
        return Verdict(outcome="ignored")
    service = as_service()
    outcome = _verify(service, stored)
    log("stored_file_verified", outcome=outcome)
    if stored.id:
        _settle(service, stored)
    return Verdict(outcome=outcome)


def _verify(service: Access, stored: StoredObject) -> Outcome:
    if _UNADDRESSABLE.search(stored.name):
        return _reject(service, stored, AppError("invalid_object_name"))
    data = _read(service, stored)
    if data is None:
        return "kept"
    try:
        if len(data) > MAX_IMAGE_BYTES:
            raise AppError("image_too_large", "An image may have 50 MB at most.")
        with timed("image"):
            if stored_type(data) == stored.claims.mimetype:
                return "kept"
            optimised = optimise(data)
    except AppError as refusal:
        return _reject(service, stored, refusal) if _is_current(service, stored) else "gone"
    return _replace(service, stored, data, optimised) if _is_current(service, stored) else "gone"


def _read(service: Access, stored: StoredObject) -> bytes | None:
    """Return the file, of one that is too large as much as shows it; None for video, audio, captions, exports."""
    data = bytearray()
    for chunk in service.chunks(stored.name, stored.version):
        data += chunk
        if is_playable(bytes(data[:HEAD_BYTES])) or _is_export(stored, data):
            return None
        if len(data) > MAX_IMAGE_BYTES:
            break
    return bytes(data)


def _is_export(stored: StoredObject, data: bytearray) -> bool:
    """Tell whether `history` has put it there for the caller to fetch; it goes after a day."""
    return (
        bool(_EXPORT.fullmatch(stored.name)) and data.startswith(b"PK") and stored.claims.mimetype == "application/zip"
    )


def _is_current(service: Access, stored: StoredObject) -> bool:
    """Tell whether the object is still the one that was read. Storage has no conditional write: ask just before."""
    return service.version(stored.name) == stored.version


def _replace(service: Access, stored: StoredObject, data: bytes, optimised: StoredImage) -> Outcome:
    """Put the optimised image in the place of the file, so that its address stays valid."""
    image, thumbnail, sha256 = optimised.image, optimised.thumbnail, hashlib.sha256(data).hexdigest()
    facts, thumbnail_path = stored_facts(optimised, sha256), _thumbnail_path(stored.name)
    if thumbnail_path:
        service.replace(thumbnail_path, thumbnail.data, thumbnail.mime_type, {})
    else:
        facts["thumbnail"] = "false"
    service.replace(stored.name, image.data, image.mime_type, facts)
    result = PreparedFrame(stored.name, thumbnail_path or "", sha256, len(data), optimised).result()
    _record(service, stored, {"p_status": "ready", "p_result": result | {"thumbnail_path": thumbnail_path}})
    return "optimised"


def _thumbnail_path(name: str) -> str | None:
    """Return where the database looks for the thumbnail of a frame; other images have none."""
    match = _FRAME.fullmatch(name)
    return f"{match[1] or ''}thumbnails/{match[2]}.webp" if match else None


def _reject(service: Access, stored: StoredObject, refusal: AppError) -> Outcome:
    """Remove the file, once it is written down why."""
    _record(service, stored, {"p_status": "rejected", "p_code": refusal.code, "p_detail": refusal.detail})
    service.remove([stored.name])
    announce_pending(service)
    return "rejected"


def _record(service: Access, stored: StoredObject, outcome: dict[str, object]) -> None:
    service.rpc(
        "record_storage_upload",
        {
            "p_user_id": stored.owner_id,
            "p_object_name": f"{stored.name}@{stored.version}",
            "p_bytes": stored.claims.size,
            "p_content_type": stored.claims.mimetype,
            **outcome,
        },
    )


def _settle(service: Access, stored: StoredObject) -> None:
    """Let it not be announced again; where that fails it is, which changes nothing more."""
    try:
        service.rpc("settle_announcement", {"p_object_id": str(stored.id), "p_version": stored.version})
    except AppError as error:
        log("announcement_not_settled", level=logging.WARNING, code=error.code)


handler = Mangum(app, lifespan="off")
