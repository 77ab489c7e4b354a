"""Rows of a storyboard as the database returns them -> what the API answers."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared import cache
from shared.errors import AppError
from shared.identity import Caller
from shared.media_urls import media_path, stored_url, url_epoch
from shared.models import Frame, FramesPage, SavedStoryboard, Session, StoryboardInput
from shared.paging import cursor_behind, key_behind
from shared.supabase_access import Access

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


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A session and a page of its frames, as they were read."""

    etag: str
    text: Callable[[], str]
    """Returns the JSON of a `StoryboardPage`."""


def read_page(access: Access, caller: Caller, session_id: str, *, after: int, limit: int) -> ReadPage:
    """Return a session and up to `limit` of its frames behind the number `after`; raises `session_not_found`.

    With Redis the frames are read only where they have changed since somebody did; the session itself always is.
    """
    if not cache.is_there():
        row = _existing(_counted(access, caller, session_id, after, limit))
        return _as_read(session_of(row, caller), _digest(row), (after, limit), lambda: _frames_text(row, access))
    known = [_existing(access.session(session_id))]

    def key(row: Row) -> str:
        shape = list(Frame.model_fields)
        return cache.key("frames", shape, caller.subject, session_id, row["frames_stamp"], after, limit, url_epoch())

    def make() -> tuple[str, bytes]:
        row = _existing(access.session_with_frames(session_id, after=after, limit=limit, stamped=True))
        known.append(row)  # with these frames goes this row, should both have changed
        return key(row), f"{_digest(row)}\n{_frames_text(row, access)}".encode()

    digest, _, frames = cache.read_through(key(known[0]), make).decode().partition("\n")
    return _as_read(session_of(known[-1], caller), digest, (after, limit), lambda: frames)


def _counted(access: Access, caller: Caller, session_id: str, after: int, limit: int) -> Row | None:
    """Return the session with its frames; the caller is counted along with that, where it was not yet."""
    if caller.count is None:
        return access.session_with_frames(session_id, after=after, limit=limit)
    found: Row | None = caller.count.with_reading(
        "read_frames", {"p_session_id": session_id, "p_after": after, "p_limit": limit}
    )
    return found


def _existing(row: Row | None) -> Row:
    if row is None:
        raise AppError("session_not_found")
    return row


def _as_read(session: Session, digest: str, place: tuple[int, int], frames: Callable[[], str]) -> ReadPage:
    said = session.model_dump_json(by_alias=True)
    hashed = hashlib.sha256(f"{said}|{digest}|{place}|{url_epoch()}".encode()).hexdigest()
    return ReadPage(
        # Strong, and begins with the version, so that it also serves as `If-Match` of a save.
        f'"{session.version}-{hashed[:20]}"',
        lambda: f'{{"success":true,"session":{said},{frames()[1:]}',
    )


def _digest(row: Row) -> str:
    return hashlib.sha256(json.dumps([row["frames"], _has_more(row)]).encode()).hexdigest()


def _frames_text(row: Row, access: Access) -> str:
    return _page_of(row["frames"], access, more=_has_more(row)).model_dump_json(by_alias=True)


def _has_more(row: Row) -> bool:
    rows, last = row["frames"], row["last"]
    return bool(rows) and bool(rows[-1]["frame_number"] < last[0]["frame_number"])


def _page_of(rows: Sequence[Row], access: Access, *, more: bool) -> FramesPage:
    """Return as many of these frames as fit into one answer; `more` says that others follow."""
    fitting = _fitting(rows)
    more = more or len(fitting) < len(rows)
    urls = access.urls(sorted({row[name] for row in fitting for name in ("image_path", "thumbnail_path") if row[name]}))
    return FramesPage(
        frames=[_frame(row, urls.by_path) for row in fitting],
        expires_at=urls.expires_at,
        next_cursor=cursor_behind(_FRAMES, fitting[-1]["frame_number"]) if more and fitting else None,
    )


def saved(session: Session, rows: Sequence[Row], access: Access, caller: Caller) -> SavedStoryboard:
    """Return the answer to a save, with as many frames as fit into it."""
    page = _page_of(rows, access, more=False)
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
