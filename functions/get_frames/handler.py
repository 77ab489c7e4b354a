"""Gives back a session and its frames, a page at a time, in one round trip to the database."""

from typing import Annotated

from fastapi import Header, Query, Response
from mangum import Mangum

from shared.errors import AppError
from shared.identity import RequestCredentials
from shared.models import MAX_FRAMES, SessionId, StoryboardPage, UserId
from shared.storyboards import etag_of, frames_behind, has_more, page_of, session_of
from shared.web import create_app, etag_matches, json_answer

app = create_app("get_frames", "The session and its frames, paged")


@app.get("/", summary="Read a storyboard", response_model=StoryboardPage)
def get_frames(  # noqa: PLR0913, PLR0917  # one parameter each of the query
    credentials: RequestCredentials,
    session_id: Annotated[SessionId, Query(alias="sessionId")],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_FRAMES)] = MAX_FRAMES,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the session with up to `limit` frames by number; `nextCursor` leads to the following ones."""
    caller = credentials.caller(user_id)
    access = caller.access()
    after = frames_behind(cursor)
    found = access.session_with_frames(session_id, after=after, limit=limit)
    if found is None:
        raise AppError("session_not_found")
    session, rows, more = session_of(found, caller), found["frames"], has_more(found)
    etag = etag_of(session, rows, page=f"{after}:{limit}")
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    return json_answer(page_of(session, rows, access, more=more), headers)


handler = Mangum(app, lifespan="off")
