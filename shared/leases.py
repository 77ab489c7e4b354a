"""A worker's claim on a row: kept alive while the work goes on, and what is told of work that failed."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread
from typing import Any, Final

from shared.errors import AppError
from shared.observability import log
from shared.problems import PROBLEMS
from shared.supabase_access import Access

LEASE_SECONDS: Final = 60
_RENEWED_EVERY_SECONDS: Final = 5.0
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LeaseLostError(Exception):
    """Somebody else has taken the work over: whatever is done now is done for nothing."""


class Lease:
    """What a worker tells of its work while it goes on; `progress` is 0 to 1."""

    def __init__(self) -> None:
        self.progress = 0.0
        self.lost = False

    def report(self, progress: float) -> None:
        """Say how far the work is; raises LeaseLostError where it need not go on."""
        self.progress = progress
        if self.lost:
            raise LeaseLostError


@contextmanager
def held(service: Access, function: str, claim: Mapping[str, object]) -> Iterator[Lease]:
    """Renew a claim by this database function every few seconds while the block runs."""
    lease, done = Lease(), Event()

    def renew() -> None:
        while not done.wait(_RENEWED_EVERY_SECONDS):
            try:
                parameters = {**claim, "p_progress": lease.progress, "p_lease_seconds": LEASE_SECONDS}
                lease.lost = not service.rpc(function, parameters)
            except AppError as error:  # the lease outlives a few of these
                log("lease_not_renewed", error=error)

    thread = Thread(target=copy_context().run, args=(renew,), daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        done.set()
        thread.join()


def is_final(error: Exception) -> bool:
    """Return whether another try would end like this one: what was given is to blame, not the moment."""
    return isinstance(error, AppError) and (error.status < 500 or "clipNumber" in error.extra)


def cause(error: Exception, otherwise: str) -> dict[str, Any]:
    """Return code, detail and frame of a failure for those who wait, by this code for what has none of its own."""
    if isinstance(error, AppError):
        frame = {name: number for name, number in error.extra.items() if name == "frameNumber"}
        return {"code": error.code, "detail": error.detail, **frame}
    code = "worker_full" if getattr(error, "errno", None) in _FULL else otherwise
    return {"code": code, "detail": PROBLEMS[code].detail}
