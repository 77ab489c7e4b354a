"""Telling the queue which webhook deliveries are due. Their rows are the truth; a message only wakes a worker.

A message that is lost, early, late or double changes nothing: the sweep tells again, and whoever delivers claims first.
"""

from typing import Final

from shared.errors import AppError
from shared.jobs import MOST_DELAY_SECONDS, send
from shared.observability import log
from shared.settings import settings
from shared.supabase_access import Access

_MOST_AT_ONCE: Final = 500


def announce(delivery_id: str, attempts: int, wait_seconds: int = 0) -> None:
    """Send the message for the attempt after `attempts`, so long from now; never raises, the sweep sends it again.

    SQS holds a message back for 15 minutes at most: one that comes before its time is sent again.
    """
    _send([(delivery_id, attempts)], min(max(wait_seconds, 0), MOST_DELAY_SECONDS))


def announce_pending(service: Access) -> int:
    """Send a message for each delivery that nobody is at work on, and return how many; never raises.

    For workers that have just changed something, and for the sweep.
    """
    if not settings().webhook_queue_url:
        return 0
    try:
        due = service.rpc("announce_deliveries", {"p_limit": _MOST_AT_ONCE})
    except AppError as error:
        log("announcement_failed", code=error.code)
        return 0
    _send([(one["delivery_id"], one["attempts"]) for one in due])
    return len(due)


def _send(due: list[tuple[str, int]], delay_seconds: int = 0) -> None:
    if not (settings().webhook_queue_url and due):
        return
    bodies = [{"deliveryId": delivery_id, "attempts": attempts} for delivery_id, attempts in due]
    try:
        send("webhook", bodies, delay_seconds=delay_seconds)
    except AppError as error:
        log("announcement_failed", code=error.code, count=len(due))
