"""Rows and files that go: what guests have left, and files that belong to nothing."""

from typing import Final

from shared.settings import settings
from shared.supabase_access import Access

ORPHANS_AFTER: Final = "1 day"
BATCH: Final = 1000  # what the Storage API removes at once
SESSIONS_AT_ONCE: Final = 100


def forget_guests(service: Access, *, dry_run: bool) -> dict[str, int]:
    """Delete what guests have left for GUEST_RETENTION_DAYS; a file that stays behind is an orphan after a day."""
    limits = {"p_days": settings().guest_retention_days, "p_limit": SESSIONS_AT_ONCE, "p_dry_run": dry_run}
    counts = {"sessions": 0, "uploads": 0, "files": 0}
    while True:
        erased = service.rpc("forget_guests", limits)
        counts["sessions"] += erased["sessions"]
        counts["uploads"] += erased["uploads"]
        counts["files"] += service.remove([one["path"] for one in erased["files"]])
        if dry_run or not erased["sessions"]:
            return counts


def remove_orphans(service: Access, *, dry_run: bool) -> dict[str, int]:
    """Remove files that no row names, through the Storage API; what failed is found again the next time."""
    count = size = 0
    after = ""
    while found := service.rpc("orphaned_files", {"p_older_than": ORPHANS_AFTER, "p_after": after, "p_limit": BATCH}):
        count += len(found) if dry_run else service.remove([one["name"] for one in found])
        size += sum(one["bytes"] or 0 for one in found)
        after = found[-1]["name"]
    return {"count": count, "bytes": size}
