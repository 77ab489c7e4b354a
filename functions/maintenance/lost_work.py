"""Work whose message or worker was lost: told again, and failed with the cause when nobody took it over."""

import logging
from typing import Any, Final, cast

from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.jobs import send
from shared.observability import log, request_id, work_for
from shared.supabase_access import Access

LOST_AFTER: Final = "5 minutes"  # without progress of any kind
FILES_AT_ONCE: Final = 200
STUCK_AFTER: Final = "1 hour"  # after a lease has run out: by then its messages have come again, and were sent again


def send_lost(service: Access) -> int:
    """Send messages for clips and merges that nobody is at, though they wait, also in batches; return how many."""
    lost = service.rpc("lost_renderings", {"p_still_for": LOST_AFTER})
    batches = service.rpc("release_stalled", {})
    clips = [one["id"] for one in lost if one["kind"] == "clip"] + [clip for one in batches for clip in one["clips"]]
    merges = [one["id"] for one in lost if one["kind"] == "merge"] + [
        video for one in batches for video in one["merges"]
    ]
    send("render", [{"clipId": clip} for clip in clips])
    send("merge", [{"videoId": video} for video in merges])
    return len(clips) + len(merges)


def announce_files(service: Access) -> dict[str, int]:
    """Tell `storage_webhook` again of files that it has not answered for; return how many, and how many no longer."""
    return cast(dict[str, int], service.rpc("announce_objects_again", {"p_limit": FILES_AT_ONCE}))


def fail_stuck(service: Access, *, dry_run: bool) -> dict[str, int]:
    """Fail clips, merges and uploads that are stuck for longer than their lease allows; return how many of each."""
    cause = AppError("worker_lost")
    error = {"code": cause.code, "detail": cause.detail}
    failed: dict[str, Any] = service.rpc("fail_stuck", {"p_since": STUCK_AFTER, "p_error": error, "p_dry_run": dry_run})
    requests = failed.pop("requests", [])
    if not dry_run and any(failed.values()):
        announce_pending(service)
    own = request_id()
    for asked in requests:  # whoever looks for a request that came to nothing finds why
        work_for(asked)
        log("work_lost", level=logging.ERROR, code=cause.code)
    work_for(own)
    return cast(dict[str, int], failed)
