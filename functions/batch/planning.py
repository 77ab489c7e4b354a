"""What a batch asks for, item by item -> what the database starts; what is wrong with an item is its own affair."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import uuid4

from pydantic import Field, ValidationError, WrapValidator, model_validator

from shared.errors import AppError
from shared.models import FrameInput, LongText, Model, SessionId, StoryboardInput, Tag, Words, field_errors
from shared.renderings import PlannedVideo, VideoOptions, planned_video, video_row
from shared.storyboards import frame_rows, session_row
from shared.supabase_access import Access
from shared.templates import Template, TemplateId, completed, find_template, template_of_session

Row = dict[str, Any]

MOST_ITEMS = 100


class BatchItem(Model):
    """A stored session; or a row of data, with which a template makes a new one of these frames."""

    session_id: SessionId | None = None
    template_id: TemplateId | None = None
    template_data: Annotated[dict[str, Any] | None, Field(max_length=100)] = None
    frames: Annotated[list[FrameInput] | None, Field(min_length=1, max_length=100)] = None
    original_prompt: LongText | None = None
    video_duration: Annotated[int | None, Field(ge=1, le=3600, description="Seconds")] = None
    style: Words | None = None
    mood: Words | None = None
    video: VideoOptions | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "BatchItem":
        if self.session_id is not None and (self.frames or self.template_data is not None):
            raise ValueError("is either a `sessionId`, or `templateData` and `frames` for a new session")
        return self


class RefusedItem(BatchItem):
    """An item that means nothing, and why."""

    error: dict[str, Any] = Field(exclude=True)


def _or_refused(value: Any, validate: Callable[[Any], BatchItem]) -> BatchItem:
    try:
        return validate(value)
    except ValidationError as error:
        errors = field_errors(error.errors())
        return RefusedItem(error=error_of(AppError("validation_failed", errors=errors)))


Item = Annotated[BatchItem, WrapValidator(_or_refused)]


class Batch(Model):
    """Up to 100 videos. What items leave out is taken from here."""

    items: Annotated[list[Item], Field(max_length=MOST_ITEMS)] = []  # noqa: RUF012 - pydantic copies it
    template_id: TemplateId | None = None
    frames: Annotated[list[FrameInput] | None, Field(min_length=1, max_length=100)] = None
    video: VideoOptions | None = None
    tags: Annotated[
        list[Tag],
        Field(max_length=20, description="Given to the sessions, to find them in `history`"),
    ] = []  # noqa: RUF012 - pydantic copies it
    max_cost: Annotated[float | None, Field(ge=0.000001, le=100_000, description="US dollars for all of them")] = None
    parallel: Annotated[int, Field(ge=1, le=100, description="How many videos are rendered at once")] = 10


class Planner:
    """Plans items of one batch, by their numbers; each template is read once."""

    def __init__(self, access: Access, batch: Batch, items: Mapping[int, BatchItem]) -> None:
        self._access, self._batch, self._items = access, batch, items
        self._templates: dict[str, Template] = {}
        wanted = sorted({item.session_id for item in items.values() if item.session_id})
        self._sessions: dict[str, Row] = access.rpc("read_storyboards", {"p_session_ids": wanted}) if wanted else {}
        self.estimated_cost = 0.0

    def rows(self) -> list[Row]:
        """Return the items as `start_batch` takes them."""
        return [self._row(item) | {"number": number} for number, item in self._items.items()]

    def _row(self, item: BatchItem) -> Row:
        if isinstance(item, RefusedItem):
            return {"error": item.error}
        try:
            return self._stored(item) if item.session_id else self._new(item)
        except AppError as error:
            if error.status >= 500:
                raise
            return {"session_id": item.session_id, "error": error_of(error)}

    def _stored(self, item: BatchItem) -> Row:
        session = self._sessions.get(item.session_id or "")
        if session is None:
            raise AppError("session_not_found")
        named = item.template_id or self._batch.template_id
        template = self._template(named) if named else template_of_session(self._access, session)
        return self._planned(item, session["frames"] or [], session, template) | {"version": session["version"]}

    def _new(self, item: BatchItem) -> Row:
        template_id = item.template_id or self._batch.template_id
        template = self._template(template_id) if template_id else None
        storyboard = self._storyboard(item, template_id)
        if template:
            storyboard = completed(storyboard, template)
        if missing := storyboard.missing():
            errors = [{"path": name, "message": "Field required"} for name in missing]
            raise AppError("validation_failed", errors=errors)
        session = session_row(storyboard, str(uuid4()), template.version if template else None)
        frames = frame_rows(storyboard, {})
        planned = self._planned(item, [{**frame, "clip_path": None} for frame in frames], session, template)
        return planned | {"session": session, "frames": frames}

    def _storyboard(self, item: BatchItem, template_id: str | None) -> StoryboardInput:
        frames = item.frames or self._batch.frames or []
        given = {
            "frames": [frame.model_dump(by_alias=True) for frame in frames],
            "frameCount": len(frames),
            "originalPrompt": item.original_prompt,
            "videoDuration": item.video_duration,
            "style": item.style,
            "mood": item.mood,
            "templateId": template_id,
            "templateData": item.template_data,
        }
        try:
            return StoryboardInput.model_validate(given)
        except ValidationError as error:
            raise AppError("validation_failed", errors=field_errors(error.errors())) from error

    def _planned(self, item: BatchItem, frames: list[Row], session: Row, template: Template | None) -> Row:
        chosen = VideoOptions() if item.video is None else item.video
        defaults = template.video.model_dump(exclude_none=True) if template else {}
        if self._batch.video:
            defaults |= self._batch.video.model_dump(include=self._batch.video.model_fields_set)
        options = chosen.over(defaults)
        video: PlannedVideo = planned_video(frames, session["video_duration"], options)
        self.estimated_cost += sum(work.dollars for work in video.renderings([])) + video.merge.dollars
        row = video_row(video, options, (template.template_id, template.version) if template else None)
        return {"session_id": session["session_id"], "options": row["options"], "video": row, "clips": video.rows}

    def _template(self, template_id: str) -> Template:
        if template_id not in self._templates:
            self._templates[template_id] = find_template(self._access, template_id)
        return self._templates[template_id]


def error_of(error: AppError) -> dict[str, Any]:
    """Return what an item's answer says of a refusal."""
    named: Mapping[str, object] = {"errors": list(error.errors)} if error.errors else {}
    return {"code": error.code, "detail": error.detail, **named, **error.extra}
