"""Tells how far a video is and what became of it; DELETE cancels one."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Response
from mangum import Mangum
from pydantic import Field

from shared.errors import AppError
from shared.identity import RequestCredentials
from shared.jobs import send_due
from shared.media_urls import media_path, url_epoch
from shared.models import Model, Success, UserId
from shared.pricing import elapsing, merging, rendering
from shared.supabase_access import Access
from shared.web import create_app, etag_matches, json_answer

app = create_app("get_video", "How far a video is, and what became of it")

TRUSTED_FROM = 0.25  # of the progress: from here on the pace that was seen says all about the rest
FILES = ("video_url", "poster_url", "preview_url", "captions_url")

VideoId = Annotated[UUID, Query(alias="videoId")]
Asking = Annotated[UserId | None, Query(alias="userId")]


class Failure(Model):
    """Why it failed: a code of this API, what to do, and the frame that is to blame where there is one."""

    code: str
    detail: str
    frame_number: int | None = None


class Video(Model):
    """One rendering of a session. Costs are in US dollars; the URLs are null until it is completed."""

    video_id: str
    session_id: str
    status: str
    progress: Annotated[float, Field(description="0 to 1; never falls")]
    eta_seconds: float | None
    video_url: str | None
    poster_url: str | None
    preview_url: str | None
    captions_url: str | None
    duration_seconds: float | None
    width: int | None
    height: int | None
    fps: int | None
    bytes: int | None
    estimated_cost: float | None
    cost: float | None
    error: Failure | None
    warnings: list[str]
    options: dict[str, Any]
    created_at: str
    started_at: str | None
    finished_at: str | None


class Clip(Model):
    """The stretch of a video that one frame makes."""

    clip_number: int
    frame_number: int
    status: str
    start_seconds: float
    duration_seconds: float
    video_url: str | None
    attempts: int
    error: Failure | None
    provider: str


class VideoAnswer(Success):
    """A video and its clips. The URLs of a private bucket work until `expiresAt`; null: for good."""

    video: Video
    clips: list[Clip]
    expires_at: str | None = None


@app.get("/", summary="Ask how far a video is", response_model=VideoAnswer)
def get_video(
    credentials: RequestCredentials,
    video_id: VideoId,
    user_id: Asking = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the video as it is now."""
    return _answer(credentials.caller(user_id).access(), str(video_id), if_none_match)


@app.delete("/", summary="Cancel a video", response_model=VideoAnswer)
def cancel_video(credentials: RequestCredentials, video_id: VideoId, user_id: Asking = None) -> Response:
    """Cancel what has not been started, and return the video as it is then."""
    access = credentials.caller(user_id, needs="render").access()
    due = access.rpc("cancel_video", {"p_video_id": str(video_id)})
    if due:  # of its batch
        send_due(due["clips"], due["merges"])
    return _answer(access, str(video_id), None)


def _answer(access: Access, video_id: str, if_none_match: str | None) -> Response:
    row = access.video(video_id)
    if row is None:
        raise AppError("video_not_found")
    eta = _eta_seconds(row, datetime.now(UTC))
    etag = _etag(row, eta)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    paths = {name: media_path(row[name]) for name in FILES if row[name]}
    clips = [clip["video_path"] for clip in row["clips"] if clip["video_path"]]
    urls = access.urls(sorted({path for path in [*paths.values(), *clips] if path}))
    files = {name: urls.by_path.get(paths.get(name) or "") for name in FILES}
    return json_answer(
        VideoAnswer(
            video=Video.model_validate(row | files | {"eta_seconds": eta}),
            clips=[
                Clip.model_validate(clip | {"video_url": urls.by_path.get(clip["video_path"] or "")})
                for clip in row["clips"]
            ],
            expires_at=urls.expires_at,
        ),
        headers,
    )


def _eta_seconds(row: Mapping[str, Any], now: datetime) -> float | None:
    """Return the whole seconds that are left: by the estimate at first, then by the pace that was seen."""
    if row["status"] not in ("queued", "rendering", "merging"):
        return None
    pixels = row["width"], row["height"]
    left = [clip for clip in row["clips"] if clip["status"] != "completed"]
    estimate = elapsing(
        [rendering(round(clip["duration_seconds"] * row["fps"] * (1 - clip["progress"])), *pixels) for clip in left],
        merging(round(row["duration_seconds"] * row["fps"]), *pixels),
    )
    if not row["started_at"] or row["progress"] <= 0:
        return float(max(1, round(estimate)))
    elapsed = (now - datetime.fromisoformat(row["started_at"])).total_seconds()
    by_pace = elapsed * (1 - row["progress"]) / row["progress"]
    trust = min(1.0, row["progress"] / TRUSTED_FROM)
    return float(max(1, round(trust * by_pace + (1 - trust) * estimate)))


def _etag(row: Mapping[str, Any], eta: float | None) -> str:
    digest = hashlib.sha256(json.dumps([row, eta, url_epoch()]).encode())
    return f'"{digest.hexdigest()[:32]}"'


handler = Mangum(app, lifespan="off")
