"""Deleting for good: the rows in one transaction, then their files."""

from typing import Annotated, Any

from pydantic import Field

from shared.errors import AppError
from shared.models import Model, Success
from shared.observability import log
from shared.supabase_access import Access


class ErasedFiles(Model):
    """What went from the media bucket. What was left (it lies in another member's folder, or Storage failed) belongs
    to nothing any more, and `maintenance` removes it within a day.
    """

    removed: int
    left: int
    bytes: Annotated[int, Field(description="Of all of them")]


class Receipt(Success):
    """What was deleted: rows by their table, and files."""

    rows: dict[str, int]
    files: ErasedFiles


def erase_session(access: Access, session_id: str) -> Receipt:
    """Delete one session that the caller owns; raises `session_not_found` and `forbidden`."""
    return _receipt(access, access.rpc("erase_session", {"p_session_id": session_id}))


def erase_account(access: Access) -> Receipt:
    """Delete all that is the caller's. What it gave to sessions of others stays theirs."""
    return _receipt(access, access.rpc("erase_account", {}))


def _receipt(access: Access, erased: dict[str, Any]) -> Receipt:
    paths = [file["path"] for file in erased["files"]]
    try:
        removed = access.remove(paths) if paths else 0
    except AppError as error:  # the rows are gone: this request cannot be repeated
        log("files_left", code=error.code, count=len(paths))
        removed = 0
    size = sum(file["bytes"] for file in erased["files"])
    files = ErasedFiles(removed=removed, left=len(paths) - removed, bytes=size)
    return Receipt(rows=erased["rows"], files=files)
