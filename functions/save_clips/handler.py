"""Registers clips that an outside AI model made, so that they are merged in place of rendered ones."""

from typing import Annotated, Any, Self
from uuid import UUID

from mangum import Mangum
from pydantic import Field, StringConstraints, model_validator

from shared.identity import RequestCredentials
from shared.media_urls import media_path
from shared.models import MAX_FRAMES, FrameId, Model, SessionId, Success, Text, UserId
from shared.web import create_app

app = create_app("save_clips", "Register clips that were made elsewhere")


class ClipInput(Model):
    """A clip for the frame of this number or name. Without `uploadId` and `videoUrl` the frame has none any more."""

    frame_number: Annotated[int | None, Field(ge=1)] = None
    frame_id: FrameId | None = None
    upload_id: Annotated[UUID | None, Field(description="Of a ready `clip` upload")] = None
    video_url: Annotated[Text | None, Field(max_length=2048, description="In your folder of the media bucket")] = None
    provider: Annotated[Text, StringConstraints(min_length=1, max_length=50)] = "outside"

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if self.frame_number is None and self.frame_id is None:
            raise ValueError("needs a `frameNumber` or a `frameId`")
        if self.upload_id and self.video_url:
            raise ValueError("give an `uploadId` or a `videoUrl`, not both")
        if self.provider == "render":
            raise ValueError("`provider` names who made the clip; `render` is this service")
        return self


class Clips(Model):
    """Clips for frames of one session."""

    session_id: SessionId
    clips: Annotated[list[ClipInput], Field(min_length=1, max_length=MAX_FRAMES)]
    user_id: UserId | None = None


class SavedClip(Model):
    """A registered clip. It is probed, and re-encoded only where it must be, when a video is made of it."""

    frame_number: int
    frame_id: str | None
    video_url: str | None
    provider: str


class SavedClips(Success):
    """All clips of the session that were made elsewhere."""

    session_id: str
    user_id: str
    clips: list[SavedClip]
    expires_at: str | None = None


@app.post("/", summary="Register clips")
def save_clips(body: Clips, credentials: RequestCredentials) -> SavedClips:
    """Put clips in the place of those that would be rendered, until their frames get another image."""
    caller = credentials.caller(body.user_id)
    access = caller.access()
    rows = access.rpc("save_clips", {"p_session_id": body.session_id, "p_clips": [_row(clip) for clip in body.clips]})
    urls = access.urls([row["clip_path"] for row in rows])
    clips = [
        SavedClip(
            frame_number=row["frame_number"],
            frame_id=row["frame_id"],
            video_url=urls.by_path.get(row["clip_path"]),
            provider=row["clip_provider"],
        )
        for row in rows
    ]
    return SavedClips(session_id=body.session_id, user_id=caller.user_id, clips=clips, expires_at=urls.expires_at)


def _row(clip: ClipInput) -> dict[str, Any]:
    number = clip.frame_number if clip.frame_number is not None or not str(clip.frame_id).isdigit() else clip.frame_id
    return {
        "frame_number": None if number is None else int(number),
        "frame_id": None if clip.frame_id is None else str(clip.frame_id),
        "upload_id": clip.upload_id and str(clip.upload_id),
        "path": None if clip.video_url is None else media_path(clip.video_url) or "",
        "provider": clip.provider,
    }


handler = Mangum(app, lifespan="off")
