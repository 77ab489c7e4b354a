"""Saves a session and its ordered frames in one transaction; frames that carry their image have it stored first."""

import uuid
from typing import Annotated

from fastapi import Header, Response
from mangum import Mangum

from shared.errors import AppError
from shared.identity import Caller, RequestCredentials
from shared.models import SavedStoryboard, StoryboardInput
from shared.storyboards import frame_rows, saved, session_of, session_row
from shared.supabase_access import Access
from shared.uploads import PreparedFrame, prepare_base64
from shared.web import checked_idempotency_key, create_app, expected_version, json_answer, request_hash

app = create_app("save_frames", "Save a session and its ordered frames in one transaction")


@app.post("/", summary="Save a storyboard", response_model=SavedStoryboard)
def save_frames(
    storyboard: StoryboardInput,
    credentials: RequestCredentials,
    if_match: Annotated[str | None, Header()] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the session as stored. Saving again replaces what changed and removes frames beyond the new list."""
    carries_images = any(frame.carries_image for frame in storyboard.frames)
    caller = credentials.caller(storyboard.user_id, needs="upload" if carries_images else "write")
    access = caller.access()
    version = expected_version(if_match)
    key = checked_idempotency_key(idempotency_key)
    session_id = storyboard.session_id or str(uuid.uuid4())
    asked_for = request_hash(storyboard) if key else None
    storyboard, template_version = _filled_in(storyboard, access)
    if missing := storyboard.missing():
        raise AppError("validation_failed", errors=[{"path": name, "message": "Field required"} for name in missing])
    images = _prepared_images(storyboard, caller)
    rows = frame_rows(storyboard, {place: image.path for place, image in images.items()})
    if images:
        # Nothing is stored for a request that the database would refuse.
        access.rpc(
            "check_storyboard",
            {
                "p_session_id": session_id,
                "p_if_version": version,
                "p_image_paths": [row["image_path"] for row in rows],
            },
        )
        for image in images.values():
            image.store(access)
    answer = access.rpc(
        "save_storyboard",
        {
            "p_session": session_row(storyboard, session_id, template_version),
            "p_frames": rows,
            "p_if_version": version,
            "p_idempotency_key": key,
            "p_request_hash": asked_for,
        },
    )
    session = session_of(answer["session"], caller)
    body = saved(session, answer["frames"], access, caller)
    return json_answer(body, {"ETag": f'"{session.version}"'})


def _filled_in(storyboard: StoryboardInput, access: Access) -> tuple[StoryboardInput, int | None]:
    """Return the storyboard with what the template that it names adds to it, and that template's version."""
    if not storyboard.template_id:
        return storyboard, None
    from shared.templates import completed, find_template  # noqa: PLC0415  # few saves name one

    template = find_template(access, storyboard.template_id)
    return completed(storyboard, template), template.version


def _prepared_images(storyboard: StoryboardInput, caller: Caller) -> dict[int, PreparedFrame]:
    """Return the images that came as data: URLs by their place in the list, in the caller's own folder."""
    prepared = {}
    for place, (frame, number) in enumerate(zip(storyboard.frames, storyboard.numbers(), strict=True)):
        if frame.carries_image:
            try:
                prepared[place] = prepare_base64(frame.image_url, frame.slug or number, caller.folder)
            except AppError as error:
                named = [{"path": f"frames[{place}].imageUrl", "message": error.title}]
                raise AppError(error.code, error.detail, errors=named) from error
    return prepared


handler = Mangum(app, lifespan="off")
