"""Upkeep on a schedule: expires, forgets and removes what nobody needs, and tells again of work that waits."""

from collections.abc import Mapping
from typing import Any

from shared.deliveries import announce_pending
from shared.jobs import send
from shared.observability import log, observed
from shared.supabase_access import Access, as_service

ORPHANS_AFTER = "1 day"
LOST_AFTER = "5 minutes"  # without progress of any kind
BATCH = 1000  # what the Storage API removes at once
SHOWN = 100


@observed("maintenance")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Return a report of what was done, or with `{"dryRun": true}` of what would be.

    `{"only": "messages"}`, more often, sends again what was lost on its way to a queue, and nothing else.
    """
    dry_run = bool(event.get("dryRun"))
    service = as_service()
    if event.get("only") == "messages":
        return {"lostRenderings": _send_lost(service), "announced": announce_pending(service)}
    report = {
        "dryRun": dry_run,
        "lostRenderings": 0 if dry_run else _send_lost(service),
        "expiredUploads": service.rpc("expire_uploads", {"p_dry_run": dry_run}),
        "forgottenVisits": 0 if dry_run else service.rpc("forget_share_visits", {}),
        "forgottenCounts": service.rpc("forget_counts", {"p_dry_run": dry_run}),
        "orphanedFiles": _remove_orphans(service, dry_run=dry_run),
        "webhookDeliveries": {
            "announced": 0 if dry_run else announce_pending(service),
            "forgotten": service.rpc("forget_deliveries", {"p_dry_run": dry_run}),
        },
        "missingFiles": service.rpc("missing_files", {"p_limit": SHOWN}),
    }
    log("maintained", **{name: value for name, value in report.items() if name != "missingFiles"})
    return report


def _send_lost(service: Access) -> int:
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


def _remove_orphans(service: Access, *, dry_run: bool) -> dict[str, int]:
    """Remove files that no row names, through the Storage API; what failed is found again the next time."""
    count = size = 0
    after = ""
    while found := service.rpc("orphaned_files", {"p_older_than": ORPHANS_AFTER, "p_after": after, "p_limit": BATCH}):
        count += len(found) if dry_run else service.remove([one["name"] for one in found])
        size += sum(one["bytes"] or 0 for one in found)
        after = found[-1]["name"]
    return {"count": count, "bytes": size}
