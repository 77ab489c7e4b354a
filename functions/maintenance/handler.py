"""Upkeep on a schedule: sums up, expires, forgets and removes what nobody needs, and sees to work that was lost."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from functions.maintenance.lost_work import announce_files, fail_stuck, send_lost
from functions.maintenance.removal import forget_guests, remove_orphans
from shared.deliveries import announce_pending
from shared.errors import AppError
from shared.observability import log, observed
from shared.supabase_access import Access, as_service

SHOWN = 100


@observed("maintenance")
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Return a report of what was done, or with `{"dryRun": true}` of what would be; that of what was done is kept.

    `{"only": "messages"}`, more often, sends again what was lost on its way to a queue, and nothing else. A step that
    fails is named in the report with its code, and does not keep the others from their turn.
    """
    started = time.monotonic()
    service = as_service()
    if event.get("only") == "messages":
        return {
            "lostRenderings": send_lost(service),
            "announced": announce_pending(service),
            "storedFiles": announce_files(service),
        }
    dry_run = bool(event.get("dryRun"))
    report = {"dryRun": dry_run, **_steps(service, dry_run=dry_run)}
    if not dry_run:
        report["run"] = service.rpc("record_maintenance", {"p_report": report, "p_seconds": time.monotonic() - started})
    shown = {name: value for name, value in report.items() if not name.startswith("missing")}
    log("maintained", **shown)
    return report


def _steps(service: Access, *, dry_run: bool) -> dict[str, Any]:
    """Do all of it, each step by itself; what is stuck is failed before what was lost is sent again."""
    dry = {"p_dry_run": dry_run}
    steps: dict[str, Callable[[], object]] = {
        "usage": lambda: service.rpc("roll_up_usage", dry),
        "stuck": lambda: fail_stuck(service, dry_run=dry_run),
        "lostRenderings": lambda: 0 if dry_run else send_lost(service),
        "storedFiles": lambda: {} if dry_run else announce_files(service),
        "expiredUploads": lambda: service.rpc("expire_uploads", dry),
        "guests": lambda: forget_guests(service, dry_run=dry_run),
        "ended": lambda: service.rpc("forget_ended", dry),
        "forgottenVisits": lambda: 0 if dry_run else service.rpc("forget_share_visits", {}),
        "forgottenCounts": lambda: service.rpc("forget_counts", dry),
        "orphanedFiles": lambda: remove_orphans(service, dry_run=dry_run),
        "webhookDeliveries": lambda: {
            "announced": 0 if dry_run else announce_pending(service),
            "forgotten": service.rpc("forget_deliveries", dry),
        },
        "missingFiles": lambda: service.rpc("missing_files", {"p_limit": SHOWN}),
        "missingVideoFiles": lambda: service.rpc("missing_video_files", {"p_limit": SHOWN}),
    }
    report: dict[str, Any] = {}
    for name, step in steps.items():
        try:
            report[name] = step()
        except AppError as error:
            log("maintenance_step_failed", level=40, step=name, code=error.code)
            report[name] = {"failed": error.code}
    return report
