"""From a session's frames and the options of a video to the rows of its clips, and from such a row to the clip."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from shared import pricing
from shared.errors import AppError
from shared.jobs import send_due
from shared.models import Model
from shared.observability import log
from shared.outbound.targets import WebhookUrl
from shared.supabase_access import Access
from shared.timeline import Clip, Motion, Predecessor, Still, Transition, plan
from shared.video.look import Aspect, Fit, Look, Resolution

Row = dict[str, Any]

RENDERER: Final = 1  # to be raised with any change of the picture: no older clip is then taken for an equal one
LONGEST_RENDERING_SECONDS: Final = 500  # by the estimate; a worker may run for 600


class VideoOptions(Model):
    """How a video is to be made."""

    aspect: Aspect = "16:9"
    resolution: Annotated[Resolution, Field(description="Pixels of the shorter side")] = 720
    fps: Literal[24, 25, 30, 60] = 30
    motion: Motion = "auto"
    transition: Transition = "crossfade"
    transition_seconds: Annotated[float, Field(ge=0, le=10)] = 0.5
    fit: Annotated[Fit, Field(description="`contain` shows all of a frame, before a blurred background")] = "cover"
    captions: Literal["none", "sidecar", "burned"] = "none"
    audio_upload_id: Annotated[UUID | None, Field(description="Of a ready `audio` upload; looped or cut to length")] = (
        None
    )
    webhook_url: WebhookUrl | None = None

    def over(self, defaults: Mapping[str, Any]) -> "VideoOptions":
        """Return these options, with defaults for those that were not given."""
        given = self.model_dump(include=self.model_fields_set & VideoOptions.model_fields.keys())
        return VideoOptions.model_validate({**defaults, **given})

    @property
    def look(self) -> Look:
        """Size and rate of the video."""
        return Look.of(self.aspect, self.resolution, self.fps, self.fit)


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """What is to be rendered, as rows of the database, and what was done otherwise than asked."""

    clips: Sequence[Clip]
    look: Look
    rows: Sequence[Row]
    warnings: Sequence[str]

    @property
    def frames(self) -> int:
        """Of output."""
        return sum(clip.length for clip in self.clips)

    @property
    def merge(self) -> pricing.Work:
        """The estimate for joining the clips."""
        return pricing.merging(self.frames, self.look.width, self.look.height)

    def renderings(self, finished: Sequence[int]) -> list[pricing.Work]:
        """The estimates for all clips but those of these numbers."""
        left = [clip for clip in self.clips if clip.number not in set(finished)]
        return [pricing.rendering(clip.length, self.look.width, self.look.height) for clip in left]


def planned_video(frames: Sequence[Row], duration_seconds: float, options: VideoOptions) -> PlannedVideo:
    """Return the plan for these rows of video_frames, in their order.

    Raises what `plan` does, and `clip_too_long` with the `frameNumber` whose clip no worker could finish.
    """
    clips = plan(
        [Still(row["frame_number"], row["timestamp"]) for row in frames],
        duration_seconds=duration_seconds,
        fps=options.fps,
        motion=options.motion,
        transition=options.transition,
        transition_seconds=options.transition_seconds,
    )
    clips = _with_outside_clips(clips, {row["frame_number"] for row in frames if row["clip_path"]})
    burned, warnings = _burned_captions(frames, options)
    rows = [
        _row(clip, options.look, row["description"], burn=row["frame_number"] in burned)
        for clip, row in zip(clips, frames, strict=True)
    ]
    return PlannedVideo(clips, options.look, rows, warnings)


def video_row(video: PlannedVideo, options: VideoOptions, template: tuple[str, int] | None) -> Row:
    """Return a planned video as `start_video` takes it; `template` are id and version of the one that it is made by."""
    template_id, template_version = template or (None, None)
    return {
        "options": VideoOptions.model_validate(options.model_dump()).model_dump(mode="json", by_alias=True),
        "duration_seconds": video.frames / video.look.fps,
        "width": video.look.width,
        "height": video.look.height,
        "fps": video.look.fps,
        "warnings": video.warnings,
        "estimated_cost": video.merge.dollars,
        "audio_upload_id": options.audio_upload_id and str(options.audio_upload_id),
        "template_id": template_id,
        "template_version": template_version,
    }


def release_next(service: Access, video_id: int) -> None:
    """Let the next videos of a batch go, after this one of it has ended; never raises."""
    try:
        due = service.rpc("release_next", {"p_video_id": video_id})
    except AppError as error:
        log("batch_not_released", level=40, error=error)
        return
    if due:
        send_due(due["clips"], due["merges"])


def clip_of(row: Mapping[str, Any]) -> Clip:
    """Return the clip that a claimed row stands for. Its `start` is 0: where it lies in the video changes nothing."""
    made: Row = {**row["spec"]["clip"]}
    if made["previous"]:
        made["previous"] = Predecessor(frame_number=row["previous_frame"], **made["previous"])
    return Clip(number=row["clip_number"], frame_number=row["frame_number"], start=0, **made)


def look_of(row: Mapping[str, Any]) -> Look:
    """Return the look of a claimed clip."""
    return Look(**row["spec"]["look"])


@contextmanager
def blaming(frame_number: int) -> Iterator[None]:
    """Let refusals say which frame is to blame."""
    try:
        yield
    except AppError as error:
        raise AppError(error.code, error.detail, extra={"frameNumber": frame_number, **error.extra}) from error


def _with_outside_clips(clips: Sequence[Clip], outside: set[int]) -> list[Clip]:
    """Return the clips with those frames' cut in as they are; what fades out of one fades out of its last picture."""
    found = []
    for clip in clips:
        if clip.frame_number in outside:
            found.append(
                replace(
                    clip,
                    motion="still",
                    shown=clip.length,
                    transition="cut",
                    transition_length=0,
                    previous=None,
                    fade_out=0,
                )
            )
        elif clip.previous and clip.previous.frame_number in outside:
            found.append(replace(clip, previous=replace(clip.previous, motion="still")))
        else:
            found.append(clip)
    return found


def _burned_captions(frames: Sequence[Row], options: VideoOptions) -> tuple[set[int], list[str]]:
    """Return the numbers of the frames whose captions go into the picture, and a warning where not all can."""
    if options.captions != "burned":
        return set(), []
    from shared.video.captions import can_burn  # noqa: PLC0415 - needs Pillow, which few requests do

    burned = {row["frame_number"] for row in frames if can_burn(row["description"])}
    if len(burned) == len(frames):
        return burned, []
    others = ", ".join(str(row["frame_number"]) for row in frames if row["frame_number"] not in burned)
    return burned, [f"The captions of these frames have characters that cannot be burned, and go beside it: {others}."]


def _row(clip: Clip, look: Look, caption: str, *, burn: bool) -> Row:
    work = pricing.rendering(clip.length, look.width, look.height)
    if work.seconds > LONGEST_RENDERING_SECONDS:
        raise AppError("clip_too_long", extra={"frameNumber": clip.frame_number})
    made = {name: value for name, value in asdict(clip).items() if name not in ("number", "frame_number", "start")}
    if clip.previous:
        del made["previous"]["frame_number"]
    recipe = {"renderer": RENDERER, "clip": made} | ({"caption": caption} if burn else {})
    return {
        "clip_number": clip.number,
        "frame_number": clip.frame_number,
        "previous_frame": clip.previous.frame_number if clip.previous else None,
        "start_seconds": round(clip.start / look.fps, 3),
        "duration_seconds": round(clip.length / look.fps, 3),
        "caption": caption,
        "cost": work.dollars,
        "recipe": recipe,
    }
