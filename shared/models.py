"""The domain's types: camelCase outside, snake_case inside."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

MAX_FRAMES: Final = 1000
MAX_DURATION_SECONDS: Final = 3600

_MAX_INTEGER: Final = 2_147_483_647  # of a Postgres integer
_SLUG: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Model(BaseModel):
    """Camel case on the wire; a field that is not known is ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        defer_build=False,
        json_schema_serialization_defaults_required=True,
    )


def _storable(text: str) -> str:
    """Refuse what JSON can write and Postgres cannot keep."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    return text


def _one_frame_id(value: object) -> int | str:
    """Accept an integer or a slug; a whole float is what JSON may make of an integer."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INTEGER:
        return value
    if isinstance(value, str) and _SLUG.fullmatch(value) and not (value.isdigit() and int(value) > _MAX_INTEGER):
        return value
    raise ValueError("must be an integer from 0 to 2147483647, or 1 to 64 of A-Z a-z 0-9 _ -")


def _as_text(value: object) -> object:
    """Accept a number of seconds where a client does not write it as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError("must be finite")
        return f"{value:g}s"
    return value


Text = Annotated[str, AfterValidator(_storable)]
LongText = Annotated[Text, StringConstraints(max_length=20_000)]
ShortText = Annotated[Text, StringConstraints(max_length=255)]
Words = Annotated[Text, StringConstraints(max_length=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_storable)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_storable)]
FrameId = Annotated[int | str, BeforeValidator(_one_frame_id), Field(examples=[1, "opening-shot"])]
Timestamp = Annotated[
    Text,
    BeforeValidator(_as_text, json_schema_input_type=int | float | str),
    StringConstraints(max_length=50),
    Field(examples=["0-5s", "0:05", 5]),
]
UserId = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
SessionId = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
Role = Literal["owner", "editor", "viewer"]


class FrameInput(Model):
    """One frame of a storyboard to save.

    `frameNumber`, `frameId` and `id` all name it: the first of them that is a number is its place.
    """

    id: FrameId | None = None
    frame_id: FrameId | None = None
    frame_number: FrameId | None = None
    image_url: Annotated[Text, StringConstraints(min_length=1)]
    timestamp: Timestamp | None = None
    description: LongText | None = None
    prompt: LongText | None = None
    scene_story: LongText | None = None
    story_title: ShortText | None = None
    story_overview: LongText | None = None
    style: Words | None = None
    mood: Words | None = None

    @model_validator(mode="after")
    def _is_described(self) -> Self:
        if not (self.description or self.prompt):
            raise ValueError("needs a `description` or a `prompt`")
        return self

    @property
    def number(self) -> int | None:
        """Its place in the storyboard, where the client says one."""
        return next((int(name) for name in self._names() if str(name).isdigit()), None)

    @property
    def slug(self) -> str | None:
        """The client's own name for the frame, where it is not a number."""
        return next((str(name) for name in self._names() if not str(name).isdigit()), None)

    def _names(self) -> list[int | str]:
        return [name for name in (self.frame_number, self.frame_id, self.id) if name is not None]

    @property
    def carries_image(self) -> bool:
        """Whether `image_url` is not an address but the image itself."""
        return self.image_url[:5].lower() == "data:"


class StoryboardInput(Model):
    """A session and its ordered frames, to be saved.

    `originalPrompt`, `videoDuration`, `style` and `mood` may be left out where the template of `templateId` has them.
    """

    frames: Annotated[list[FrameInput], Field(min_length=1, max_length=MAX_FRAMES)]
    user_id: UserId | None = None
    session_id: SessionId | None = None
    original_prompt: LongText | None = None
    video_duration: Annotated[int, Field(ge=1, le=MAX_DURATION_SECONDS, description="Seconds")] | None = None
    frame_count: Annotated[int, Field(ge=1, le=MAX_FRAMES)]
    style: Words | None = None
    mood: Words | None = None
    template_id: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None
    template_data: Annotated[
        dict[str, Any] | None,
        Field(max_length=100, description="Values of the template's merge fields"),
    ] = None

    @model_validator(mode="after")
    def _frames_are_consistent(self) -> Self:
        if self.frame_count != len(self.frames):
            raise FieldError("frameCount", f"must be the number of frames in the list, {len(self.frames)}")
        if self.template_data and self.template_id is None:
            raise FieldError("templateData", "fills the fields of a template: say which one as `templateId`")
        twice = [number for number, times in Counter(self.numbers()).items() if times > 1]
        if twice:
            raise FieldError("frames", f"more than one frame has the number {twice[0]}")
        if 0 in self.numbers():
            raise FieldError("frames", "frames are numbered from 1")
        return self

    def missing(self) -> list[str]:
        """Return the names of what it needs, of itself or from a template, and has not."""
        needed = ("original_prompt", "video_duration", "style", "mood")
        return [to_camel(name) for name in needed if getattr(self, name) is None]

    def numbers(self) -> list[int]:
        """Return each frame's number: the one it names, else its place in the list."""
        return [place if frame.number is None else frame.number for place, frame in enumerate(self.frames, start=1)]


class FieldError(ValueError):
    """A rule about several fields that one of them is to blame for."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def field_errors(errors: Iterable[Mapping[str, Any]], inside: str = "") -> list[dict[str, str]]:
    """Return path and message of validation errors, without the input; the paths begin with `inside`."""
    return [_field_error(error, inside) for error in errors]


def _field_error(error: Mapping[str, Any], inside: str) -> dict[str, str]:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        return {"path": cause.path, "message": cause.message}
    steps = (inside, *error["loc"]) if inside else error["loc"]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    return {"path": path, "message": str(error["msg"]).removeprefix("Value error, ")}


class Frame(Model):
    """One stored frame. What is not known of its image is null: it may lie elsewhere, or be older than this service."""

    id: int
    session_id: str
    frame_number: int
    frame_id: str | None = None
    timestamp: str
    image_url: str
    description: str
    prompt: str
    scene_story: str | None
    story_title: str | None
    story_overview: str | None
    style: str | None
    mood: str | None
    created_at: str | None
    thumbnail_url: str | None = None
    width: Annotated[int | None, Field(description="Pixels")] = None
    height: Annotated[int | None, Field(description="Pixels")] = None
    bytes: int | None = None
    mime_type: str | None = None
    placeholder: Annotated[str | None, Field(description="ThumbHash, base64")] = None


class Session(Model):
    """One stored storyboard without its frames."""

    id: int
    session_id: str
    user_id: Annotated[str, Field(description="Of the owner")]
    role: Annotated[Role, Field(description="What the caller is here")]
    original_prompt: str
    video_duration: int
    frame_count: int
    style: str
    mood: str
    template_id: str | None = None
    template_version: int | None = None
    status: str | None
    version: int
    created_at: str | None
    updated_at: str | None


class Success(Model):
    """What every good answer carries."""

    success: Literal[True] = True


class _WithUrls(Success):
    """An answer with addresses, which in a private bucket work until `expiresAt`; null: for good."""

    expires_at: str | None = None


class StoredFrameImage(_WithUrls):
    """What was made of one uploaded image."""

    image_url: str
    frame_id: FrameId
    user_id: str
    thumbnail_url: str
    width: int
    height: int
    bytes: int
    original_bytes: int
    mime_type: str
    sha256: Annotated[str, Field(description="Of the uploaded bytes, hexadecimal")]
    placeholder: Annotated[str, Field(description="ThumbHash, base64")]


class SavedStoryboard(_WithUrls):
    """A session after saving. `nextCursor` is set where the frames did not fit into one answer."""

    session_id: str
    user_id: str
    frame_count: int
    version: int
    frames: list[Frame]
    next_cursor: str | None = None


class FramesPage(Model):
    """One page of a session's frames. The URLs of a private bucket work until `expiresAt`; null: for good."""

    frames: list[Frame]
    expires_at: str | None = None
    next_cursor: str | None = None


class StoryboardPage(FramesPage, Success):
    """A session and one page of its frames. The URLs of a private bucket work until `expiresAt`; null: for good."""

    session: Session
