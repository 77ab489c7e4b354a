"""Templates: what they hold, and what is made of a storyboard that names one.

A template gives the words and the looks that a request leaves out, and values to the merge fields of its texts: with
the field `place`, `{{place}}` in a prompt becomes what the request says of it, or the field's default.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from shared.errors import AppError
from shared.models import (
    MAX_DURATION_SECONDS,
    FieldError,
    FrameInput,
    LongText,
    Model,
    Name,
    StoryboardInput,
    Text,
    Words,
    field_errors,
)
from shared.supabase_access import Access
from shared.timeline import Motion, Transition

MAX_FIELDS: Final = 50

_MERGE_FIELD: Final = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]{0,63})\s*\}\}")
_FRAME_TEXTS: Final = ("description", "prompt", "sceneStory", "storyTitle", "storyOverview")

Value = StrictStr | StrictBool | StrictInt | StrictFloat
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
FieldText = Annotated[Text, StringConstraints(max_length=2000)]
TemplateId = Annotated[Text, StringConstraints(min_length=1, max_length=64)]

_TYPES: Final[Mapping[str, Any]] = {
    "string": StrictStr,
    "number": StrictInt | StrictFloat,
    "integer": StrictInt,
    "boolean": StrictBool,
}


class MergeField(Model):
    """What one merge field may be, as a JSON Schema."""

    type: Literal["string", "number", "integer", "boolean"] = "string"
    title: Words | None = None
    description: FieldText | None = None
    default: Value | None = None
    enum: Annotated[list[Value], Field(min_length=1, max_length=100)] | None = None
    min_length: Annotated[int, Field(ge=0, le=2000)] | None = None
    max_length: Annotated[int, Field(ge=0, le=2000)] | None = None
    minimum: FiniteFloat | None = None
    maximum: FiniteFloat | None = None

    @model_validator(mode="after")
    def _default_is_one_of_its_values(self) -> Self:
        if self.default is not None:
            try:
                TypeAdapter(self.annotation()).validate_python(self.default)
            except ValidationError:
                raise ValueError("`default` must be a value that the field itself allows") from None
        return self

    def annotation(self) -> Any:
        """Return the type of its values."""
        if self.enum:
            return Literal[tuple(self.enum)]
        bounds: dict[str, Any] = {}
        if self.type == "string":
            bounds = {"min_length": self.min_length, "max_length": 2000 if self.max_length is None else self.max_length}
        elif self.type == "integer":
            bounds = {
                "ge": None if self.minimum is None else math.ceil(self.minimum),
                "le": None if self.maximum is None else math.floor(self.maximum),
            }
        elif self.type == "number":
            bounds = {"ge": self.minimum, "le": self.maximum}
        return Annotated[_TYPES[self.type], Field(**bounds)]


class MergeFields(Model):
    """The JSON Schema of all merge fields of a template."""

    type: Literal["object"] = "object"
    properties: dict[FieldName, MergeField] = Field(default_factory=dict, max_length=MAX_FIELDS)
    required: list[FieldName] = Field(default_factory=list, max_length=MAX_FIELDS)

    @model_validator(mode="after")
    def _requires_what_there_is(self) -> Self:
        unknown = set(self.required) - self.properties.keys()
        if unknown:
            raise ValueError(f"`required` names a field that is not among `properties`: {min(unknown)}")
        return self

    def values(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the text of every field; raises `invalid_template_data` naming what is missing or wrong."""
        fields: dict[str, Any] = {
            name: (field.annotation(), ...) if name in self.required and field.default is None
            else (field.annotation() | None, field.default)
            for name, field in self.properties.items()
        }  # fmt: skip
        model = create_model("TemplateData", __config__=ConfigDict(extra="forbid"), **fields)
        try:
            found = model.model_validate(dict(data)).model_dump()
        except ValidationError as error:
            errors = field_errors(error.errors(), "templateData")
            raise AppError("invalid_template_data", errors=errors) from error
        return {name: _as_text(value) for name, value in found.items()}


class TemplateVideo(Model):
    """Options of `generate_video` that a request with this template may leave out."""

    aspect: Literal["16:9", "9:16", "1:1", "4:5"] | None = None
    resolution: Literal[480, 720, 1080] | None = None
    fps: Literal[24, 25, 30, 60] | None = None
    motion: Motion | None = None
    transition: Transition | None = None
    transition_seconds: Annotated[float, Field(ge=0, le=10)] | None = None
    fit: Literal["cover", "contain"] | None = None
    captions: Literal["none", "sidecar", "burned"] | None = None


class TemplateStoryboard(Model):
    """What a storyboard with this template may leave out; the prompt has merge fields."""

    style: Words | None = None
    mood: Words | None = None
    prompt: LongText | None = None
    video_duration: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS, description="Seconds")] | None = None


class TemplateContent(Model):
    """What makes a template."""

    name: Name
    description: Annotated[Text, StringConstraints(max_length=500)] = ""
    video: TemplateVideo = TemplateVideo()
    storyboard: TemplateStoryboard = TemplateStoryboard()
    fields: MergeFields = MergeFields()

    @model_validator(mode="after")
    def _prompt_uses_fields_that_there_are(self) -> Self:
        unknown = set(_MERGE_FIELD.findall(self.storyboard.prompt or "")) - self.fields.properties.keys()
        if unknown:
            raise FieldError("storyboard.prompt", f"has a merge field that is not among `fields`: {min(unknown)}")
        return self


class Template(TemplateContent):
    """One stored template in one of its versions."""

    template_id: str
    built_in: bool
    version: int
    created_at: str
    updated_at: str


def template_of(row: Mapping[str, Any]) -> Template:
    """Return a template from its row; raises `invalid_template` for one that was not written by this service."""
    try:
        return Template.model_validate({**row, "built_in": row["user_id"] is None})
    except ValidationError as error:
        raise AppError("invalid_template") from error


def templates_of(rows: Iterable[Mapping[str, Any]]) -> list[Template]:
    """Return the templates of these rows, without those that nobody could use."""
    found = []
    for row in rows:
        with suppress(AppError):
            found.append(template_of(row))
    return found


def find_template(access: Access, template_id: str, version: int | None = None) -> Template:
    """Return a template that the caller may use, in this version or as it is; raises `template_not_found`."""
    row = access.rpc("find_template", {"p_template_id": template_id, "p_version": version})
    if row is None:
        raise AppError("template_not_found")
    return template_of(row)


def template_of_session(access: Access, session: Mapping[str, Any]) -> Template | None:
    """Return the template that a session's row names, as it was then; None where there is none, or none any more."""
    if session["template_id"] is None or session["template_version"] is None:
        return None
    with suppress(AppError):
        return find_template(access, session["template_id"], session["template_version"])
    return None


def completed(storyboard: StoryboardInput, template: Template) -> StoryboardInput:
    """Return the storyboard with what it left out, its merge fields filled; raises `invalid_template_data`."""
    values = template.fields.values(storyboard.template_data or {})
    given = template.storyboard
    whole = {
        **storyboard.model_dump(by_alias=True, exclude={"frames"}),
        "originalPrompt": merged(storyboard.original_prompt or given.prompt or "", values) or None,
        "style": storyboard.style or given.style,
        "mood": storyboard.mood or given.mood,
        "videoDuration": storyboard.video_duration or given.video_duration,
        "frames": [_filled(frame, values) for frame in storyboard.frames],
    }
    try:
        return StoryboardInput.model_validate(whole)
    except ValidationError as error:  # texts that have become too long
        raise AppError("validation_failed", errors=field_errors(error.errors())) from error


def merged(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its merge fields filled; braces around other names stay as they are."""
    return _MERGE_FIELD.sub(lambda match: values.get(match[1], match[0]), text)


def _filled(frame: FrameInput, values: Mapping[str, str]) -> dict[str, Any]:
    found = frame.model_dump(by_alias=True)
    return found | {name: merged(found[name], values) for name in _FRAME_TEXTS if found[name]}


def _as_text(value: Value | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
