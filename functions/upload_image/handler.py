"""Stores one image that comes base64-encoded in the body: verified, optimised, with a thumbnail."""

from typing import Annotated

from mangum import Mangum
from pydantic import Field

from shared.identity import RequestCredentials
from shared.images import decode_base64
from shared.models import FrameId, Model, StoredFrameImage, UserId
from shared.supabase_access import Access
from shared.uploads import MAX_BODY_IMAGE_BYTES, PreparedFrame, prepare_frame
from shared.web import create_app

app = create_app("upload_image", "One base64 image in the body: verify, optimise, store")


class Upload(Model):
    """One image of at most 4 MiB and the frame that it is for."""

    image_data: Annotated[str, Field(min_length=1, description="Base64, or a data: URL")]
    frame_id: FrameId
    user_id: UserId | None = None


@app.post("/", summary="Store one image")
def upload_image(upload: Upload, credentials: RequestCredentials) -> StoredFrameImage:
    """Return where the optimised image lies; the same image again answers the same URL and stores nothing twice."""
    caller = credentials.caller(upload.user_id)
    data = decode_base64(upload.image_data, MAX_BODY_IMAGE_BYTES)
    prepared = prepare_frame(data, upload.frame_id, caller)
    access = caller.access()
    prepared.store(access)
    return _answer(prepared, access, upload.frame_id, caller.user_id)


def _answer(prepared: PreparedFrame, access: Access, frame_id: int | str, user_id: str) -> StoredFrameImage:
    urls = access.urls([prepared.path, prepared.thumbnail_path])
    image = prepared.optimised.image
    return StoredFrameImage(
        image_url=urls[prepared.path],
        thumbnail_url=urls[prepared.thumbnail_path],
        frame_id=frame_id,
        user_id=user_id,
        width=image.width,
        height=image.height,
        bytes=len(image.data),
        original_bytes=prepared.original_bytes,
        mime_type=image.mime_type,
        sha256=prepared.sha256,
        placeholder=prepared.placeholder,
    )


handler = Mangum(app, lifespan="off")
