"""A caller's sessions and their videos: listed, searched, exported, and deleted for good."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Header, Query, Response
from mangum import Mangum
from pydantic import StringConstraints

from functions.history.erasing import Receipt, erase_account, erase_session
from functions.history.exporting import ZIP, exported
from functions.history.listing import BEST, NEWEST, Asked, HistoryPage, read_history
from shared.errors import AppError
from shared.identity import RequestCredentials
from shared.models import SessionId, Text, UserId, Words
from shared.moments import Moment
from shared.paging import Key, key_behind
from shared.web import RawJson, create_app, etag_matches

app = create_app("history", "Sessions and videos, searched and paged; delete one for good")

LARGEST_ID = 2_147_483_647
RANK = re.compile(r"\d(\.\d{1,12})?(e-\d\d?)?")

EXPORT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}},
    303: {"description": "Where a larger ZIP file lies"},
}

Scope = Literal["own", "shared", "all"]
Status = Literal["frames_generated", "generating", "completed", "failed"]
Search = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


@app.get("/", summary="List or search sessions, or export one", response_model=HistoryPage, responses=EXPORT)
def get_history(  # noqa: PLR0913, PLR0917  # one parameter each of the query
    credentials: RequestCredentials,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    q: Annotated[Search | None, Query(description='Words, "phrases", `or`, and -words to leave out')] = None,
    scope: Annotated[Scope, Query(description="`shared` are those that others have shared with the caller")] = "all",
    status: Annotated[Status | None, Query()] = None,
    style: Annotated[Words | None, Query()] = None,
    mood: Annotated[Words | None, Query()] = None,
    template_id: Annotated[Words | None, Query(alias="templateId")] = None,
    tag: Annotated[Words | None, Query()] = None,
    since: Annotated[Moment | None, Query(description="Made then or later")] = None,
    until: Annotated[Moment | None, Query(description="Made before then")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    export: Annotated[SessionId | None, Query(description="The session to answer as a ZIP file")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return sessions newest first, with `q` those that fit best first, each with its first frames and last videos.

    With `export` the answer is a ZIP file of that session, or a redirection to a larger one.
    """
    caller = credentials.caller(user_id)
    access = caller.access()
    if export is not None:
        return exported(access, caller, export)
    filters = {
        "status": status, "style": style, "mood": mood, "template_id": template_id, "tag": tag,
        "since": since and since.isoformat(), "until": until and until.isoformat(),
    }  # fmt: skip
    wanted = {name: str(value) for name, value in filters.items() if value is not None}
    behind = _behind(cursor, searching=q is not None)
    page = read_history(access, caller, Asked(scope, wanted, q, limit, behind))
    headers = {"ETag": page.etag, "Cache-Control": "private, no-cache"}
    if etag_matches(if_none_match, page.etag):
        return Response(status_code=304, headers=headers)
    return RawJson(page.text(), headers=headers)


@app.delete("/", summary="Delete a session, or everything, for good")
def delete_history(
    credentials: RequestCredentials,
    session_id: Annotated[SessionId | None, Query(alias="sessionId")] = None,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    scope: Annotated[Literal["session", "account"], Query()] = "session",
) -> Receipt:
    """Delete a session that the caller owns, or with `scope=account` all that is the caller's, rows and files.

    The user itself is deleted with Supabase Auth. No API key can delete everything.
    """
    if (scope == "account") == (session_id is not None):
        named = [{"path": "sessionId", "message": "say either a session, or `scope=account` for everything"}]
        raise AppError("validation_failed", errors=named)
    access = credentials.caller(user_id, by_key=session_id is not None).access()
    return erase_account(access) if session_id is None else erase_session(access, session_id)


def _behind(cursor: str | None, *, searching: bool) -> dict[str, Key]:
    if cursor is None:
        return {}
    if searching:
        rank, number = key_behind(BEST, cursor, str, int)
        if not RANK.fullmatch(str(rank)):
            raise AppError("invalid_cursor")
        return {"p_after_rank": rank, "p_after_id": min(int(number), LARGEST_ID)}
    created, number = key_behind(NEWEST, cursor, str, int)
    try:
        moment = datetime.fromisoformat(str(created)).isoformat()
    except ValueError as error:
        raise AppError("invalid_cursor") from error
    return {"p_after_created": moment, "p_after_id": min(int(number), LARGEST_ID)}


handler = Mangum(app, lifespan="off")
