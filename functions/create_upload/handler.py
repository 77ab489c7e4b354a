"""Gives tickets for direct uploads that are too large for a request body, and tells what became of them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Header, Query
from mangum import Mangum
from pydantic import ConfigDict, Field, StringConstraints, model_validator

from shared.errors import AppError
from shared.identity import RequestCredentials
from shared.models import FrameId, Model, Success, UserId
from shared.supabase_access import Access
from shared.tickets import ticket
from shared.uploads import answer
from shared.web import checked_idempotency_key, create_app, request_hash

app = create_app("create_upload", "Tickets for direct uploads, and what became of them")

MEBIBYTE = 1024 * 1024
LIMITS = {"frame": 50 * MEBIBYTE, "clip": 500 * MEBIBYTE, "audio": 50 * MEBIBYTE}
TYPES = {
    "frame": ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"),
    "clip": ("video/mp4", "video/webm", "video/quicktime"),
    "audio": ("audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/ogg", "audio/flac", "audio/webm"),
}


class File(Model):
    """One file to be uploaded: its size and type are what the ticket will let in."""

    frame_id: FrameId | None = None
    content_type: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=100)]
    bytes: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$", to_lower=True)] | None = None
    kind: Literal["frame", "clip", "audio"] = "frame"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "File":
        if self.content_type not in TYPES[self.kind]:
            raise ValueError(f"`contentType` of this kind is one of {', '.join(TYPES[self.kind])}")
        if self.bytes > LIMITS[self.kind]:
            raise ValueError(f"`bytes` of this kind are {LIMITS[self.kind]} at most")
        if self.frame_id is None and self.kind != "audio":
            raise ValueError("`frameId` says what the file is for")
        return self


class Files(Model):
    """Up to 50 files."""

    files: Annotated[list[File], Field(min_length=1, max_length=50)]
    user_id: UserId | None = None


class Ticket(Model):
    """Where to POST one file as multipart/form-data: all `fields` first, the file last, as `file`."""

    upload_id: str
    url: str
    fields: dict[str, str]
    expires_at: str


class Tickets(Success):
    """One ticket per file, in the order of the request."""

    user_id: str
    uploads: list[Ticket]


class UploadState(Success):
    """What became of an upload. When `ready`, a frame has all that `upload_image` answers, other kinds their `url`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)  # what is not known is left out

    upload_id: str
    kind: str
    status: Literal["waiting", "processing", "ready", "rejected", "expired"]
    expires_at: Annotated[str | None, Field(description="Of the ticket; when ready, of the URLs")] = None
    frame_id: FrameId | None = None
    code: str | None = None
    detail: str | None = None
    user_id: str | None = None
    image_url: str | None = None
    thumbnail_url: str | None = None
    url: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    original_bytes: int | None = None
    mime_type: str | None = None
    sha256: str | None = None
    placeholder: str | None = None


@app.post("/", summary="Get tickets for direct uploads")
def create_upload(
    body: Files, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> Tickets:
    """Return an S3 presigned POST for each file, valid for an hour; the sizes count against the caller's quota."""
    caller = credentials.caller(body.user_id, needs="upload")
    key = checked_idempotency_key(idempotency_key)
    rows = caller.access().rpc(
        "announce_uploads",
        {
            "p_files": [_row(file) for file in body.files],
            "p_idempotency_key": key,
            "p_request_hash": request_hash(body) if key else None,
        },
    )
    return Tickets(user_id=caller.user_id, uploads=[_ticket(row) for row in rows])


@app.get("/", summary="Ask what became of an upload", response_model_exclude_none=True)
def get_upload(
    credentials: RequestCredentials,
    upload_id: Annotated[UUID, Query(alias="uploadId")],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> UploadState:
    """Return the state of one upload of the caller's."""
    caller = credentials.caller(user_id)
    access = caller.access()
    row = access.upload(str(upload_id))
    if row is None:
        raise AppError("upload_not_found")
    state = {
        "upload_id": row["id"],
        "kind": row["kind"],
        "status": _status(row),
        "frame_id": _frame_id(row),
        "user_id": caller.user_id,
        "expires_at": row["expires_at"],
        "code": row["code"],
        "detail": row["detail"],
    }
    return UploadState.model_validate(state | (_outcome(row, caller.user_id, access) if row["result"] else {}))


def _outcome(row: dict[str, Any], user_id: str, access: Access) -> dict[str, Any]:
    result = row["result"]
    if row["kind"] == "frame":
        return answer(result, _frame_id(row) or 0, user_id, access).model_dump()
    urls = access.urls([result["path"]])
    return {**result, "url": urls.by_path[result["path"]], "expires_at": urls.expires_at}


def _row(file: File) -> dict[str, Any]:
    return file.model_dump() | {"frame_id": None if file.frame_id is None else str(file.frame_id)}


def _ticket(row: dict[str, Any]) -> Ticket:
    signed = ticket(row["id"], row["content_type"], row["bytes"])
    return Ticket(upload_id=row["id"], url=signed.url, fields=signed.fields, expires_at=row["expires_at"])


def _status(row: dict[str, Any]) -> Any:
    late = row["status"] == "waiting" and datetime.fromisoformat(row["expires_at"]) < datetime.now(UTC)
    return "expired" if late else row["status"]


def _frame_id(row: dict[str, Any]) -> int | str | None:
    name = row["frame_id"]
    return int(name) if name and name.isdigit() else name


handler = Mangum(app, lifespan="off")
