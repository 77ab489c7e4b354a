"""A page of a caller's sessions, as rows -> as the API answers it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from shared import cache
from shared.identity import Caller
from shared.media_urls import media_path, url_epoch
from shared.models import Model, Session, Success
from shared.paging import Key, cursor_behind
from shared.storyboards import session_of
from shared.supabase_access import Access

Row = dict[str, Any]

NEWEST, BEST = "history", "history search"  # what cursors are made for

BRACKETS = {0xE000: "<", 0xE001: ">"}  # a search would take what stands between them for a tag
VIDEO_FILES = ("video_url", "poster_url", "preview_url", "captions_url")


class Thumbnail(Model):
    """One of a session's first frames; sizes are those of the whole image, in pixels."""

    frame_number: int
    image_url: str | None
    thumbnail_url: str | None
    placeholder: Annotated[str | None, Field(description="ThumbHash, base64")]
    width: int | None
    height: int | None


class VideoSummary(Model):
    """One rendering of a session. The URLs are null until it is completed."""

    video_id: str
    status: str
    progress: Annotated[float, Field(description="0 to 1")]
    video_url: str | None
    poster_url: str | None
    preview_url: str | None
    captions_url: str | None
    duration_seconds: float | None
    width: int | None
    height: int | None
    bytes: int | None
    template_id: str | None = None
    template_version: int | None = None
    error: dict[str, Any] | None
    created_at: str


class Fragment(Model):
    """A piece of text, and whether it is what was searched for."""

    text: str
    match: bool


class Highlight(Model):
    """Where a session fits a search: its prompt, or the frame of this number."""

    frame_number: int | None
    fragments: list[Fragment]


class HistorySession(Session):
    """A session with its first four frames and its last three videos."""

    tags: list[str]
    frames: list[Thumbnail]
    videos: list[VideoSummary]
    highlights: list[Highlight] | None = None


class HistoryPage(Success):
    """A page of sessions. The URLs of a private bucket work until `expiresAt`; null: for good."""

    sessions: list[HistorySession]
    expires_at: str | None = None
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which sessions are wanted: of which scope and kinds, found by which words, how many, behind which key."""

    scope: str
    filters: Mapping[str, str]
    query: str | None
    limit: int
    behind: Mapping[str, Key]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page as it was read."""

    etag: str
    text: Callable[[], str]
    """Returns the JSON of a `HistoryPage`."""


def read_history(access: Access, caller: Caller, asked: Asked) -> ReadPage:
    """Return a page; with Redis the first one of a list, which most visits begin with, only where it has changed."""
    # An answer says a guest's own `userId`, which is its secret, and kept nowhere.
    if asked.query is not None or asked.behind or caller.is_guest or not cache.is_there():
        return _read(access, caller, asked)
    wanted = {"p_scope": asked.scope, "p_filter": asked.filters, "p_limit": asked.limit + 1}
    stamp = access.rpc("history_stamp", wanted)
    shape = [list(model.model_fields) for model in (HistorySession, Thumbnail, VideoSummary)]
    key = cache.key("history", shape, caller.subject, wanted, stamp, url_epoch())

    def make() -> tuple[str, bytes]:
        page = _read(access, caller, asked)
        return key, f"{page.etag}\n{page.text()}".encode()

    etag, _, text = cache.read_through(key, make).decode().partition("\n")
    return ReadPage(etag, lambda: text)


def _read(access: Access, caller: Caller, asked: Asked) -> ReadPage:
    rows = access.rpc(
        "list_history",
        {
            "p_scope": asked.scope,
            "p_filter": asked.filters,
            "p_limit": asked.limit + 1,
            "p_query": asked.query,
            **asked.behind,
        },
    )
    hashed = hashlib.sha256(json.dumps([rows, asked.limit, url_epoch()], sort_keys=True).encode()).hexdigest()
    last = rows[asked.limit - 1] if len(rows) > asked.limit else None
    next_cursor = last and _cursor(last)
    return ReadPage(
        f'"{hashed[:32]}"',
        lambda: _page(rows[: asked.limit], access, caller, next_cursor).model_dump_json(by_alias=True),
    )


def _cursor(row: Row) -> str:
    if row["rank"] is None:
        return cursor_behind(NEWEST, row["created_at"], row["id"])
    return cursor_behind(BEST, str(row["rank"]), row["id"])


def _page(rows: Sequence[Row], access: Access, caller: Caller, next_cursor: str | None) -> HistoryPage:
    """Return the page of these rows, all their URLs made at once."""
    urls = access.urls(sorted({path for row in rows for path in _paths(row)}))
    sessions = [_session(row, urls.by_path, caller) for row in rows]
    return HistoryPage(sessions=sessions, expires_at=urls.expires_at, next_cursor=next_cursor)


def _paths(row: Row) -> list[str]:
    frames = [frame[name] for frame in row["frames"] or [] for name in ("image_path", "thumbnail_path")]
    videos = [media_path(video[name]) for video in row["videos"] or [] for name in VIDEO_FILES if video[name]]
    return [path for path in [*frames, *videos] if path]


def _session(row: Row, urls: Mapping[str, str], caller: Caller) -> HistorySession:
    frames = [
        {**frame, "image_url": urls.get(frame["image_path"]), "thumbnail_url": urls.get(frame["thumbnail_path"])}
        for frame in row["frames"] or []
    ]
    videos = [
        {**video, **{name: urls.get(media_path(video[name] or "") or "") for name in VIDEO_FILES}}
        for video in row["videos"] or []
    ]
    highlights = None if row["highlights"] is None else [_highlight(one) for one in row["highlights"]]
    session = session_of(row, caller).model_dump()
    return HistorySession.model_validate(
        session | {"tags": row["tags"], "frames": frames, "videos": videos, "highlights": highlights}
    )


def _highlight(row: Row) -> Highlight:
    """Return the pieces of a text in which what fits stands between U+0002 and U+0003."""
    fragments = []
    text = row["text"].translate(BRACKETS)
    for number, part in enumerate(text.split("\2")):
        match, _, rest = part.partition("\3") if number else ("", "", part)
        fragments += [Fragment(text=match, match=True), Fragment(text=rest, match=False)]
    return Highlight(frame_number=row["frame_number"], fragments=[one for one in fragments if one.text])
