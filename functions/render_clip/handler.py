"""Renders one clip, or makes one that came from elsewhere fit among the others."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.jobs import Message, TryAgainError, consume, send
from shared.leases import LEASE_SECONDS, Lease, LeaseLostError, cause, held, is_final
from shared.media_urls import stored_url
from shared.observability import log, measure, observed, remaining_seconds, severity, work_for
from shared.pricing import worker_dollars
from shared.renderings import blaming, clip_of, look_of, release_next
from shared.supabase_access import Access, as_service
from shared.timeline import Predecessor
from shared.video.captions import overlay
from shared.video.clips import render_clip
from shared.video.look import Look
from shared.video.outside import conform, last_frame
from shared.workspace import workspace

ENOUGH_SECONDS = 20  # to store a clip and to settle

Row = Mapping[str, Any]


@observed("render_clip")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Render the clip of each message; one that comes again, in whatever order, changes nothing."""
    return consume(event, lambda message: _on_message(message, int(context.memory_limit_in_mb)))


def _on_message(message: Message, memory_mb: int) -> None:
    service = as_service()
    claim = {"p_id": message.body["clipId"], "p_worker": message.id, "p_lease_seconds": LEASE_SECONDS}
    claim["p_is_dead"] = message.is_dead
    row = service.rpc("claim_clip", claim)
    if row is None:
        log("unknown_clip_ignored")
    elif row["claimed"]:
        work_for(row.get("request_id"))
        _process(service, row, memory_mb)
    elif row["busy"]:
        raise TryAgainError  # another worker has it, and may yet be lost
    elif row["merge"]:
        send("merge", [{"videoId": row["final_video_id"]}])


def _process(service: Access, row: Row, memory_mb: int) -> None:
    started = time.perf_counter()
    claim = {"p_id": row["id"], "p_attempt": row["attempts"]}
    failure = None
    try:
        if row["given_up"]:
            raise AppError("rendering_failed")
        outcome = _rendered(service, row, claim)
        status = "completed"
    except LeaseLostError:
        log("clip_left_to_another", clip=row["clip_number"])
        return
    except Exception as error:
        failure = error
        status = "failed" if row["given_up"] or is_final(error) else "queued"
        # Why it was given up is said by the try before.
        outcome = {"error": (row["given_up"] and row["error"]) or cause(error, "rendering_failed")}
    cost = worker_dollars(time.perf_counter() - started, memory_mb)
    settled = service.rpc("settle_clip", claim | {"p_status": status, "p_result": outcome | {"cost": cost}})
    log(
        "clip_settled",
        level=severity(failure),
        error=failure,
        clip=row["clip_number"],
        frame=row["frame_number"],
        status=status,
        **settled,
    )
    if status == "completed" and not settled["settled"]:
        service.remove([outcome["path"]])
    if settled["merge"]:
        send("merge", [{"videoId": row["final_video_id"]}])
    if status == "failed":
        announce_pending(service)
        release_next(service, row["final_video_id"])
    if status == "queued" and failure:
        raise failure


def _rendered(service: Access, row: Row, claim: Mapping[str, object]) -> dict[str, Any]:
    """Return where the clip lies that this worker has made, and how many seconds that took."""
    path = f"{row['owner']}/clips/{row['content_hash'][:32]}_{uuid4().hex[:8]}.mp4"
    started, busy = time.perf_counter(), time.process_time()
    with workspace() as folder, held(service, "renew_clip", claim) as lease:
        out = folder / "out.mp4"
        if "clip" in row["spec"]["source"]:
            _conform(service, row, folder / "in", out, _reporter(row, lease))
        else:
            _render(service, row, folder / "in", out, _reporter(row, lease))
        made = time.perf_counter()
        lease.report(1)
        service.store_file(path, out, "video/mp4")
    timings = {
        "render": round(made - started, 3),
        "store": round(time.perf_counter() - made, 3),
        "cpu": round(time.process_time() - busy, 3),
    }
    measure("RenderTime", timings["render"])
    return {"path": path, "video_url": stored_url(path), "timings": timings}


def _conform(service: Access, row: Row, file: Path, out: Path, on_frame: Callable[[int], None]) -> None:
    _fetch(service, row["spec"]["source"], row["frame_number"], file)
    with blaming(row["frame_number"]):
        conform(file, out, look_of(row), clip_of(row).length, on_frame=on_frame)


def _render(service: Access, row: Row, file: Path, out: Path, on_frame: Callable[[int], None]) -> None:
    spec, look, clip = row["spec"], look_of(row), clip_of(row)
    still = _image(service, spec["source"], clip.frame_number, file)
    previous = None
    if clip.previous:
        previous = _last_picture(service, spec["previousSource"], clip.previous, look, file)
    caption = overlay(spec["caption"], look.width, look.height) if "caption" in spec else None
    render_clip(clip, still, previous, look, out, overlay=caption, on_frame=on_frame)


def _last_picture(service: Access, source: Row, clip: Predecessor, look: Look, file: Path) -> bytes:
    """Return what the next clip fades out of: a frame's image, or the last picture of the clip that it has instead."""
    if "image" in source:
        return _image(service, source, clip.frame_number, file)
    _fetch(service, source, clip.frame_number, file)
    with blaming(clip.frame_number):
        return last_frame(file, look, clip.length)


def _image(service: Access, source: Row, frame_number: int, file: Path) -> bytes:
    _fetch(service, source, frame_number, file)
    return file.read_bytes()


def _fetch(service: Access, source: Row, frame_number: int, file: Path) -> None:
    if not service.fetch(source.get("image") or source["clip"], source["version"], file):
        raise AppError("frame_image_missing", extra={"frameNumber": frame_number})


def _reporter(row: Row, lease: Lease) -> Callable[[int], None]:
    length = clip_of(row).length

    def report(frames: int) -> None:
        lease.report(frames / length)
        if remaining_seconds() < ENOUGH_SECONDS:
            raise AppError("clip_too_long")

    return report
