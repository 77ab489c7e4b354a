"""An uploaded image, wherever it came from -> a stored frame."""

import base64
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from shared.identity import Caller
from shared.images import StoredImage, optimise
from shared.observability import timed
from shared.supabase_access import Access

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
    optimised: StoredImage

    @property
    def placeholder(self) -> str:
        """The ThumbHash in base64."""
        return base64.b64encode(self.optimised.placeholder).decode()

    def store(self, access: Access) -> None:
        """Store image and thumbnail, as the caller. What is there already stays as it is."""
        image, thumbnail = self.optimised.image, self.optimised.thumbnail
        facts = {
            "width": image.width,
            "height": image.height,
            "placeholder": self.placeholder,
            "sha256": self.sha256,
            "thumbnail": "true",
        }
        # The thumbnail travels meanwhile; each has its own copy of the context, for deadline and timings.
        with ThreadPoolExecutor(max_workers=1) as aside:
            small = aside.submit(
                copy_context().run, access.store, self.thumbnail_path, thumbnail.data, thumbnail.mime_type
            )
            access.store(self.path, image.data, image.mime_type, facts)
            small.result()


def prepare_frame(data: bytes, frame_id: int | str, caller: Caller) -> PreparedFrame:
    """Verify and optimise an image; raises what `shared.images` refuses it for."""
    with timed("image"):
        optimised = optimise(data)
    sha256 = hashlib.sha256(data).hexdigest()
    if caller.named_itself:
        folder, key = caller.subject, sha256[:16]
    else:
        # This client does not know yet who it will be: whoever knows the name may save it into a session.
        folder, key = GUESTS_FOLDER, secrets.token_hex(16)
    name = f"frame_{frame_id}_{key}"
    extension = _EXTENSIONS[optimised.image.mime_type]
    return PreparedFrame(
        path=f"{folder}/frames/{name}.{extension}",
        thumbnail_path=f"{folder}/thumbnails/{name}.webp",
        sha256=sha256,
        original_bytes=len(data),
        optimised=optimised,
    )
