"""Stores one image that comes base64-encoded in the body: verified, optimised, with a thumbnail."""

from typing import Annotated

from mangum import Mangum
from pydantic import Field

from shared.identity import RequestCredentials
from shared.models import FrameId, Model, StoredFrameImage, UserId
from shared.uploads import answer, prepare_base64
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
    caller = credentials.caller(upload.user_id, needs="upload")
    prepared = prepare_base64(upload.image_data, upload.frame_id, caller.folder)
    access = caller.access()
    prepared.store(access)
    return answer(prepared.result(), upload.frame_id, caller.user_id, access)


handler = Mangum(app, lifespan="off")
