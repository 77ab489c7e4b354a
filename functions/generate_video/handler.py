"""Plans a video from a session's frames, writes it down, and sends its clips to the renderers."""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Header, Response
from mangum import Mangum
from pydantic import Field, model_validator

from shared.errors import AppError
from shared.identity import RequestCredentials
from shared.jobs import send_due
from shared.models import MAX_FRAMES, Model, SessionId, Success, UserId
from shared.pricing import elapsing
from shared.renderings import PlannedVideo, VideoOptions, planned_video, video_row
from shared.supabase_access import Access
from shared.templates import Template, TemplateId, find_template, template_of_session
from shared.web import checked_idempotency_key, create_app, json_answer, request_hash

app = create_app("generate_video", "Make a video from the stored frames")

TRIES = 3  # of planning, where the session changes meanwhile


class VideoRequest(VideoOptions):
    """A session and how its video is to be made; or a failed video, whose finished clips are kept, to try again."""

    session_id: SessionId | None = None
    retry_video_id: Annotated[UUID | None, Field(description="Instead of `sessionId` and options")] = None
    user_id: UserId | None = None
    template_id: Annotated[
        TemplateId | None, Field(description="Whose looks to begin with, where not those of the session's template")
    ] = None
    dry_run: Annotated[bool, Field(description="Answer plan, time and cost only")] = False

    @model_validator(mode="after")
    def _names_one_source(self) -> Self:
        if (self.session_id is None) == (self.retry_video_id is None):
            raise ValueError("name a `sessionId`, or the `retryVideoId` of a failed video")
        return self


class Estimated(Success):
    """What it will take. `finishedClips` need not be rendered again; the cost is in US dollars."""

    session_id: str
    user_id: str
    duration_seconds: float
    width: int
    height: int
    fps: int
    frame_count: Annotated[int, Field(description="Of output")]
    clip_count: int
    finished_clips: int
    estimated_seconds: float
    estimated_cost: float
    warnings: list[str]


class StartedVideo(Estimated):
    """A video that is under way; `get_video` tells how far it is."""

    video_id: str
    status: str


class PlannedClip(Model):
    """A stretch of the video, its leading transition included."""

    clip_number: int
    frame_number: int
    start_seconds: float
    duration_seconds: float
    motion: str
    transition: str
    transition_seconds: float
    finished: bool


class DryRun(Estimated):
    """The plan; nothing was written."""

    dry_run: bool = True
    clips: list[PlannedClip]


@app.post(
    "/", summary="Start a video", status_code=202, response_model=StartedVideo, responses={200: {"model": DryRun}}
)
def generate_video(
    body: VideoRequest, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> Response:
    """Answer with the id of a video that is being made, or with the plan alone."""
    caller = credentials.caller(body.user_id, needs="render")
    access = caller.access()
    key = checked_idempotency_key(idempotency_key)
    session_id, options = _source(access, body)
    template = find_template(access, body.template_id) if body.template_id else None
    extra = {"p_idempotency_key": key, "p_request_hash": request_hash(body) if key else None, "p_dry_run": body.dry_run}
    video, made = _start(access, session_id, options, template, extra)
    estimated = _estimated(video, made) | {"session_id": session_id, "user_id": caller.user_id}
    if body.dry_run:
        clips = [_shown(video, place, made["finished"]) for place in range(len(video.clips))]
        return json_answer(DryRun.model_validate(estimated | {"clips": clips}))
    send_due(made["clips"], [made["id"]] if made["merge"] else [])
    started = estimated | {
        "estimated_cost": made["estimated_cost"],
        "video_id": made["video_id"],
        "status": made["status"],
    }
    return json_answer(StartedVideo.model_validate(started), status=202)


def _source(access: Access, body: VideoRequest) -> tuple[str, VideoOptions]:
    """Return the session and the options; of a video that is tried again, those that it had."""
    if body.retry_video_id is None:
        return body.session_id or "", body
    failed = access.video(str(body.retry_video_id))
    if failed is None:
        raise AppError("video_not_found")
    if failed["status"] not in ("failed", "canceled"):
        raise AppError("video_not_failed")
    return failed["session_id"], VideoOptions.model_validate(failed["options"])


def _start(
    access: Access, session_id: str, asked: VideoOptions, template: Template | None, extra: Mapping[str, object]
) -> tuple[PlannedVideo, dict[str, Any]]:
    """Return the plan, and what the database made of it; planned anew where the session has changed in between."""
    for attempt in range(1, TRIES + 1):
        found = access.session_with_frames(session_id, after=0, limit=MAX_FRAMES)
        if found is None:
            raise AppError("session_not_found")
        template = template or template_of_session(access, found)
        options = asked.over(template.video.model_dump(exclude_none=True) if template else {})
        video = planned_video(found["frames"], found["video_duration"], options)
        row = video_row(video, options, (template.template_id, template.version) if template else None)
        start = {"p_session_id": session_id, "p_version": found["version"], "p_video": row, "p_clips": video.rows}
        try:
            made = access.rpc("start_video", start | dict(extra))
        except AppError as error:
            if error.code != "version_conflict" or attempt == TRIES:
                raise
        else:
            return video, made
    raise AssertionError


def _estimated(video: PlannedVideo, made: Mapping[str, Any]) -> dict[str, object]:
    look, renderings = video.look, video.renderings(made["finished"])
    return {
        "duration_seconds": round(video.frames / look.fps, 3),
        "width": look.width,
        "height": look.height,
        "fps": look.fps,
        "frame_count": video.frames,
        "clip_count": len(video.clips),
        "finished_clips": len(made["finished"]),
        "estimated_seconds": round(elapsing(renderings, video.merge), 1),
        "estimated_cost": round(sum(work.dollars for work in renderings) + video.merge.dollars, 6),
        "warnings": video.warnings,
    }


def _shown(video: PlannedVideo, place: int, finished: list[int]) -> dict[str, object]:
    clip = video.clips[place]
    return {
        **video.rows[place],
        "motion": clip.motion,
        "transition": clip.transition,
        "transition_seconds": round(clip.transition_length / video.look.fps, 3),
        "finished": clip.number in finished,
    }


handler = Mangum(app, lifespan="off")
