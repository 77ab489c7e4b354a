"""Gives back a session and its frames, a page at a time, in one round trip to the database."""

from typing import Annotated

from fastapi import Header, Query, Response
from mangum import Mangum

from shared.identity import RequestCredentials
from shared.models import MAX_FRAMES, SessionId, StoryboardPage, UserId
from shared.storyboards import frames_behind, read_page
from shared.web import RawJson, create_app, etag_matches

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
    caller = credentials.caller(user_id, counted_with_reading=True)
    page = read_page(caller.access(), caller, session_id, after=frames_behind(cursor), limit=limit)
    headers = {"ETag": page.etag, "Cache-Control": "private, no-cache"}
    if etag_matches(if_none_match, page.etag):
        return Response(status_code=304, headers=headers)
    return RawJson(page.text(), headers=headers)


handler = Mangum(app, lifespan="off")
