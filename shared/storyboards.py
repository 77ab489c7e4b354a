"""Rows of a storyboard as the database returns them -> what the API answers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.identity import Caller
from shared.models import Frame, SavedStoryboard, Session, StoryboardInput, StoryboardPage
from shared.paging import cursor_behind, key_behind
from shared.supabase_access import Access, media_path, stored_url, url_epoch

Row = dict[str, Any]

_FRAMES: Final = "frames"
_LAST_NUMBER: Final = 2_147_483_647  # of a Postgres integer

# Lambda's limit is 6,291,556 bytes for the whole answer, in which this JSON stands as a string, escaped once more.
_PAGE_BYTES: Final = 5_900_000
_ADDED_BYTES: Final = 800  # per frame: names in camelCase and two URLs, of which a row holds the paths
_CERTAINLY_FITTING: Final = 500_000  # characters, even if each were a quote


def session_row(storyboard: StoryboardInput, session_id: str, template_version: int | None) -> Row:
    """Return the session as `save_storyboard` takes it."""
    columns = {"original_prompt", "video_duration", "frame_count", "style", "mood", "template_id"}
    return {"session_id": session_id, "template_version": template_version, **storyboard.model_dump(include=columns)}


def frame_rows(storyboard: StoryboardInput, stored: Mapping[int, str]) -> list[Row]:
    """Return the frames as `save_storyboard` takes them; `stored` are the paths of images by their frame's place."""
    return [
        _frame_row(storyboard, place, number, stored.get(place) or media_path(frame.image_url))
        for place, (frame, number) in enumerate(zip(storyboard.frames, storyboard.numbers(), strict=True))
    ]


def _frame_row(storyboard: StoryboardInput, place: int, number: int, path: str | None) -> Row:
    frame = storyboard.frames[place]
    start = (storyboard.video_duration or 0) * place / storyboard.frame_count
    return {
        **frame.model_dump(include={"scene_story", "story_title", "story_overview", "style", "mood"}),
        "frame_number": number,
        "frame_id": frame.slug,
        "timestamp": frame.timestamp or f"{round(start, 3):g}s",  # an even split
        "image_path": path,
        "image_url": stored_url(path or ""),
        "description": frame.description or frame.prompt,
        "prompt": frame.prompt or frame.description,
    }


def session_of(row: Row, caller: Caller) -> Session:
    """Return the session; its owner reads its own `userId`, which for a guest is not what the database holds."""
    owner = caller.user_id if row["user_id"] == caller.subject else row["user_id"]
    return Session.model_validate({**row, "user_id": owner, "role": row["caller_role"]})


def has_more(session_with_frames: Row) -> bool:
    """Return whether frames follow those that were read."""
    rows, last = session_with_frames["frames"], session_with_frames["last"]
    return bool(rows) and rows[-1]["frame_number"] < last[0]["frame_number"]


def page_of(session: Session, rows: Sequence[Row], access: Access, *, more: bool) -> StoryboardPage:
    """Return the session with as many of these frames as fit into one answer; `more` says that others follow."""
    fitting = _fitting(rows)
    more = more or len(fitting) < len(rows)
    urls = access.urls(sorted({row[name] for row in fitting for name in ("image_path", "thumbnail_path") if row[name]}))
    return StoryboardPage(
        session=session,
        frames=[_frame(row, urls.by_path) for row in fitting],
        expires_at=urls.expires_at,
        next_cursor=cursor_behind(_FRAMES, fitting[-1]["frame_number"]) if more and fitting else None,
    )


def saved(session: Session, rows: Sequence[Row], access: Access, caller: Caller) -> SavedStoryboard:
    """Return the answer to a save, with as many frames as fit into it."""
    page = page_of(session, rows, access, more=False)
    return SavedStoryboard(
        session_id=session.session_id,
        user_id=caller.user_id,
        frame_count=session.frame_count,
        version=session.version,
        frames=page.frames,
        expires_at=page.expires_at,
        next_cursor=page.next_cursor,
    )


def frames_behind(cursor: str | None) -> int:
    """Return the number of the frame that a page begins behind; raises `invalid_cursor`."""
    number = key_behind(_FRAMES, cursor, int)[0] if cursor else 0
    return min(int(number), _LAST_NUMBER)


def etag_of(session: Session, rows: Sequence[Row], page: str) -> str:
    """Return a strong ETag that begins with the version, so that it also serves as `If-Match` of a save."""
    digest = hashlib.sha256(f"{session.model_dump_json()}|{page}|{url_epoch()}".encode())
    digest.update(json.dumps(rows).encode())
    return f'"{session.version}-{digest.hexdigest()[:20]}"'


def _fitting(rows: Sequence[Row]) -> Sequence[Row]:
    if sum(len(value) for row in rows for value in row.values() if isinstance(value, str)) < _CERTAINLY_FITTING:
        return rows
    room = _PAGE_BYTES
    for count, row in enumerate(rows):
        escaped = json.dumps(json.dumps(row, ensure_ascii=False), ensure_ascii=False)
        room -= len(escaped.encode()) + _ADDED_BYTES
        if room < 0 and count:
            return rows[:count]
    return rows


def _frame(row: Row, urls: Mapping[str, str]) -> Frame:
    image_url = urls.get(row["image_path"], row["image_url"])
    return Frame.model_validate({**row, "image_url": image_url, "thumbnail_url": urls.get(row["thumbnail_path"])})
