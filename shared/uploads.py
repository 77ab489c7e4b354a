"""An uploaded image, wherever it came from -> a stored frame.

Pillow and what goes with it are imported with the first image: most saves carry none, and a cold start is without them.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.models import StoredFrameImage
from shared.observability import timed
from shared.supabase_access import Access

if TYPE_CHECKING:
    from shared.images import StoredImage

MAX_BODY_IMAGE_BYTES: Final = 4 * 1024 * 1024
GUESTS_FOLDER: Final = "guests"

_EXTENSIONS: Final = {"image/webp": "webp", "image/jpeg": "jpg"}


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """An optimised image that knows where it belongs, not stored yet. Paths are names in the media bucket."""

    path: str
    thumbnail_path: str
    sha256: str
    original_bytes: int
    optimised: "StoredImage"

    def store(self, access: Access) -> None:
        """Store image and thumbnail. What is there already stays as it is."""
        image, thumbnail = self.optimised.image, self.optimised.thumbnail
        # The thumbnail travels meanwhile, in a copy of the context, for deadline and timings.
        with ThreadPoolExecutor(max_workers=1) as aside:
            small = aside.submit(
                copy_context().run, access.store, self.thumbnail_path, thumbnail.data, thumbnail.mime_type
            )
            access.store(self.path, image.data, image.mime_type, stored_facts(self.optimised, self.sha256))
            small.result()

    def result(self) -> dict[str, object]:
        """Return what an answer needs, as JSON values; `answer` makes it from this."""
        image = self.optimised.image
        return {
            "path": self.path,
            "thumbnail_path": self.thumbnail_path,
            "width": image.width,
            "height": image.height,
            "bytes": len(image.data),
            "original_bytes": self.original_bytes,
            "mime_type": image.mime_type,
            "sha256": self.sha256,
            "placeholder": base64.b64encode(self.optimised.placeholder).decode(),
        }


def prepare_base64(text: str, frame_id: int | str, subject: str | None) -> PreparedFrame:
    """Return what `prepare_frame` does of an image in a request's body, of 4 MiB at most."""
    from shared.images import decode_base64  # noqa: PLC0415

    return prepare_frame(decode_base64(text, MAX_BODY_IMAGE_BYTES), frame_id, subject)


def prepare_frame(data: bytes, frame_id: int | str, subject: str | None) -> PreparedFrame:
    """Verify and optimise an image for the folder of `subject`; raises what `shared.images` refuses it for.

    Without a subject the client does not know yet who it will be: the image gets a name of 128 random bits among the
    guests', and whoever knows that name may save it into a session.
    """
    from shared.images import optimise  # noqa: PLC0415

    with timed("image"):
        optimised = optimise(data)
    sha256 = hashlib.sha256(data).hexdigest()
    folder, key = (subject, sha256[:16]) if subject else (GUESTS_FOLDER, secrets.token_hex(16))
    name = f"frame_{frame_id}_{key}"
    extension = _EXTENSIONS[optimised.image.mime_type]
    return PreparedFrame(
        path=f"{folder}/frames/{name}.{extension}",
        thumbnail_path=f"{folder}/thumbnails/{name}.webp",
        sha256=sha256,
        original_bytes=len(data),
        optimised=optimised,
    )


def stored_facts(optimised: "StoredImage", sha256: str) -> dict[str, object]:
    """Return the user metadata of a stored image, which saving copies to the frame's row."""
    return {
        "width": optimised.image.width,
        "height": optimised.image.height,
        "placeholder": base64.b64encode(optimised.placeholder).decode(),
        "sha256": sha256,
        "thumbnail": "true",
    }


def answer(result: Mapping[str, Any], frame_id: int | str, user_id: str, access: Access) -> StoredFrameImage:
    """Return what `upload_image` answers, from the result of a stored frame."""
    urls = access.urls([result["path"], result["thumbnail_path"]])
    return StoredFrameImage.model_validate(
        {
            **result,
            "image_url": urls.by_path[result["path"]],
            "thumbnail_url": urls.by_path[result["thumbnail_path"]],
            "frame_id": frame_id,
            "user_id": user_id,
            "expires_at": urls.expires_at,
        }
    )
