"""Verifies and stores each new file of the ingest bucket, and says in its row what became of it."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.ingest_bucket import RawFile, delete_raw, open_raw
from shared.jobs import Message, TryAgainError, consume, is_batch
from shared.media_formats import media_type
from shared.observability import log, measure, observed, severity, work_for
from shared.supabase_access import Access, as_service
from shared.tickets import upload_id_of
from shared.uploads import prepare_frame

LEASE_SECONDS = 150  # longer than this function may run, and far shorter than the queue's visibility timeout


@observed("on_upload")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any] | None:
    """Process an S3 notification: in SQS messages, bare, or EventBridge's; a bare one that must come again raises."""
    if is_batch(event):
        return consume(event, _on_message)
    _process_all(_upload_ids(event), context.aws_request_id, is_dead=False)
    return None


def _on_message(message: Message) -> None:
    _process_all(_upload_ids(message.body), message.id, is_dead=message.is_dead)


def _upload_ids(notification: Mapping[str, Any]) -> list[str]:
    """Return the uploads that a notification tells of; S3 itself encodes keys, EventBridge does not."""
    if "detail" in notification:
        keys = [notification["detail"]["object"]["key"]]
    else:  # without records: the test message of a bucket that has just been connected
        records = notification.get("Records", [])
        keys = [unquote_plus(one["s3"]["object"]["key"]) for one in records if "ObjectCreated" in one["eventName"]]
    found = [upload_id_of(key) for key in keys]
    if None in found:
        log("foreign_key_ignored", count=found.count(None))
    return [one for one in found if one]


def _process_all(upload_ids: list[str], worker: str, *, is_dead: bool) -> None:
    """Process each; one that fails does not keep the others from their turn."""
    service = as_service()
    failures = []
    for upload_id in upload_ids:
        try:
            _process(service, upload_id, worker, is_dead=is_dead)
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _process(service: Access, upload_id: str, worker: str, *, is_dead: bool) -> None:
    claim = {"p_id": upload_id, "p_worker": worker, "p_lease_seconds": LEASE_SECONDS}
    upload = service.rpc("claim_upload", claim)
    if upload is None:
        log("unknown_upload_ignored")
        return
    work_for(upload.get("request_id"))
    if not upload["claimed"]:
        if upload["status"] == "processing":
            raise TryAgainError  # another worker has it, and may yet be lost
        delete_raw(upload_id)
        return
    try:
        if is_dead:
            raise AppError("processing_failed")
        outcome: dict[str, object] = {"p_status": "ready", "p_result": _store(service, upload)}
    except AppError as error:
        if error.status == 503:
            _settle(service, upload, {"p_status": "waiting"})
            raise
        log("upload_refused", level=severity(error), error=error)
        outcome = {"p_status": "rejected", "p_code": error.code, "p_detail": error.detail}
    if _settle(service, upload, outcome):
        delete_raw(upload_id)
    if outcome["p_status"] == "rejected":
        announce_pending(service)


def _store(service: Access, upload: Mapping[str, Any]) -> dict[str, object]:
    """Return where the verified file lies and what is known of it; raises a 4xx `AppError` for a bad one."""
    raw = open_raw(upload["id"])
    if raw is None:
        raise AppError("upload_missing")
    measure("BytesIn", raw.size)
    if raw.size > upload["bytes"]:
        raise AppError("image_too_large", "The file is larger than was announced.")
    return _store_frame(service, upload, raw) if upload["kind"] == "frame" else _store_media(service, upload, raw)


def _store_frame(service: Access, upload: Mapping[str, Any], raw: RawFile) -> dict[str, object]:
    data = raw.read()
    if upload["sha256"] not in (None, hashlib.sha256(data).hexdigest()):
        raise AppError("sha256_mismatch")
    prepared = prepare_frame(data, upload["frame_id"], upload["user_id"])
    prepared.store(service)
    return prepared.result()


def _store_media(service: Access, upload: Mapping[str, Any], raw: RawFile) -> dict[str, object]:
    """Store a clip or an audio file as it is, streaming; what plays in it is verified when it is used."""
    chunks = raw.chunks()
    first = next(chunks)
    mime_type = media_type(first, upload["kind"])
    if mime_type is None:
        raise AppError("not_media")
    folder = "clips" if upload["kind"] == "clip" else "audio"
    path = f"{upload['user_id']}/{folder}/{upload['id']}.{mime_type.partition('/')[2]}"
    digest = hashlib.sha256()
    service.store_stream(path, _hashed(itertools.chain([first], chunks), digest), mime_type, raw.size)
    if upload["sha256"] not in (None, digest.hexdigest()):
        service.remove([path])
        raise AppError("sha256_mismatch")
    return {"path": path, "mime_type": mime_type, "bytes": raw.size, "sha256": digest.hexdigest()}


def _hashed(chunks: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _settle(service: Access, upload: Mapping[str, Any], outcome: Mapping[str, object]) -> bool:
    """Commit what became of an upload; False where another worker has taken it over."""
    log("upload_settled", status=outcome["p_status"], code=outcome.get("p_code"))
    return bool(service.rpc("settle_upload", {"p_id": upload["id"], "p_attempt": upload["attempts"], **outcome}))
