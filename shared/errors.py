"""The whole error tree: one class, and one table of stable codes with their HTTP status and safe text."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

TYPE_PREFIX: Final = "urn:videomaker:problem:"


class Problem(NamedTuple):
    """What a client gets to know about one kind of failure: RFC 9457's status and title, and what to do next."""

    status: int
    title: str
    detail: str


PROBLEMS: Final[Mapping[str, Problem]] = {
    # The request
    "invalid_json": Problem(400, "Invalid JSON", "The body must be one JSON object in UTF-8."),
    "invalid_cursor": Problem(
        400, "Invalid cursor", "Pass `nextCursor` of the previous page unchanged, or leave `cursor` out."
    ),
    "invalid_precondition": Problem(
        400,
        "Invalid If-Match",
        'Send the `version` you last read as `If-Match: "3"`, or leave the header out.',
    ),
    "invalid_idempotency_key": Problem(
        400, "Invalid Idempotency-Key", "Use 1 to 255 printable ASCII characters, a UUID for instance."
    ),
    "not_found": Problem(404, "Not found", "There is nothing at this path. Use `/` or `/api/<function>`."),
    "method_not_allowed": Problem(405, "Method not allowed", "The `Allow` header names the methods."),
    "unsupported_media_type": Problem(
        415, "Unsupported media type", "Send the body as `Content-Type: application/json`."
    ),
    "validation_failed": Problem(422, "Validation failed", "Mend the fields named in `errors` and send again."),
    # Who is asking
    "authentication_required": Problem(
        401, "Authentication required", "Send `Authorization: Bearer <access token>` of a signed-in user."
    ),
    "invalid_token": Problem(401, "Invalid access token", "Sign in again and send the new access token."),
    "token_expired": Problem(401, "Access token expired", "Refresh the session and send the new access token."),
    "invalid_api_key": Problem(
        401, "Invalid API key", "Send a key that was not revoked as `X-Api-Key`, or leave it out."
    ),
    "api_key_expired": Problem(401, "API key expired", "Issue a new key, and send it as `X-Api-Key`."),
    "insufficient_scope": Problem(
        403, "Insufficient scope", "The API key lacks the scope named by `scope`. Issue one that has it."
    ),
    "api_key_not_found": Problem(
        404, "API key not found", "No key of yours has this `prefix`. Check it, and who is signed in."
    ),
    "user_mismatch": Problem(
        403, "User mismatch", "`userId` must be the caller's own. Leave it out, or sign in as that user."
    ),
    "forbidden": Problem(403, "Forbidden", "You may see this, but not do this with it."),
    # The storyboard
    "session_not_found": Problem(
        404, "Session not found", "No session of yours has this `sessionId`. Check it, and who is signed in."
    ),
    "idempotency_key_reused": Problem(
        409, "Idempotency-Key reused", "This key was used with another body. Use a new key for a new request."
    ),
    "version_conflict": Problem(
        412, "Version conflict", "The session has changed since you read it. Read it again and save on top."
    ),
    "foreign_image_url": Problem(
        422,
        "Foreign image URL",
        "An `imageUrl` must be one that this service gave you. Upload the image first and save the URL answered.",
    ),
    # How much
    "rate_limited": Problem(429, "Too many requests", "Wait as long as `Retry-After` says, then try again."),
    "quota_exceeded": Problem(
        403,
        "Quota exceeded",
        "This would exceed the quota named by `quota`. Delete something, or let unused tickets expire; "
        "one of a month begins anew at `resetsAt`.",
    ),
    # Images
    "not_an_image": Problem(
        422, "Not an image", "The bytes are not an image. Send PNG, JPEG, WebP, GIF or AVIF, base64-encoded."
    ),
    "unsupported_image_type": Problem(
        415, "Unsupported image type", "Convert the image to PNG, JPEG, WebP, GIF or AVIF."
    ),
    "image_truncated": Problem(
        422, "Image truncated", "The image is damaged or incomplete. Export or download it again."
    ),
    "too_many_pixels": Problem(422, "Too many pixels", "An image may have 40 megapixels at most. Scale it down first."),
    "image_too_large": Problem(
        413,
        "Image too large",
        "An image in the body may have 4 MiB at most once decoded. Use `create_upload` for larger files.",
    ),
    # Direct uploads
    "upload_not_found": Problem(
        404, "Upload not found", "No upload of yours has this `uploadId`. Check it, and who is signed in."
    ),
    "sha256_mismatch": Problem(
        422, "SHA-256 mismatch", "The file that arrived is not the one that was announced. Ask for a new ticket."
    ),
    "not_media": Problem(422, "Not video or audio", "The bytes are not of the kind that was announced."),
    "upload_missing": Problem(410, "Upload missing", "The file was gone before it was processed. Upload it again."),
    "processing_failed": Problem(
        500, "Processing failed", "The file could not be processed in three tries. Upload it again."
    ),
    # Files that an app puts straight into Storage
    "invalid_webhook_secret": Problem(
        401, "Invalid webhook secret", "Send STORAGE_WEBHOOK_SECRET of this service as `X-Webhook-Secret`."
    ),
    "webhook_expired": Problem(
        401, "Webhook expired", "The event is more than five minutes old, or a clock is wrong. Send it at once."
    ),
    "invalid_object_name": Problem(
        422, "Invalid object name", "Name the file without empty, `.` and `..` segments and without `%`."
    ),
    # Video
    "no_frames": Problem(422, "No frames", "The session has no frames to make a video of. Save some first."),
    "video_too_short": Problem(
        422, "Video too short", "Each frame needs one output frame at least. Lengthen the video, or save fewer frames."
    ),
    "frame_unreadable": Problem(
        422, "Frame unreadable", "The stored image of a frame is damaged. Upload it again and save the session."
    ),
    # What this service stands on
    "internal_error": Problem(
        500, "Internal error", "Something broke on our side. Try again, and report `requestId` if it stays."
    ),
    "database_unavailable": Problem(
        503,
        "Database unavailable",
        "Nothing was changed. Wait as long as `Retry-After` says, then try again.",
    ),
    "storage_unavailable": Problem(
        503, "Storage unavailable", "Nothing was saved. Wait as long as `Retry-After` says, then try again."
    ),
    "auth_unavailable": Problem(
        503, "Sign-in unavailable", "The token could not be checked. Wait as long as `Retry-After` says."
    ),
    "not_configured": Problem(503, "Not configured", "The operator of this service must complete its settings."),
}


class AppError(Exception):
    """A failure that the client may know about: `code` is a key of `PROBLEMS`, which gives status and title.

    `detail` replaces the table's text; it must be safe to show, and never echo input, SQL, keys or inner URLs.
    `errors` names fields, `retry_after` is in seconds, `extra` are further members of the problem object.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, str]] | None = None,
        retry_after: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        problem = PROBLEMS[code]
        super().__init__(code)
        self.code = code
        self.status = problem.status
        self.title = problem.title
        self.detail = detail or problem.detail
        self.errors = errors
        self.retry_after = retry_after if retry_after is not None else _default_wait(problem.status)
        self.extra = extra or {}

    def to_problem(self, request_id: str) -> dict[str, object]:
        """Return the RFC 9457 object of the answer."""
        members: dict[str, object] = {
            "success": False,
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        }
        if self.errors:
            members["errors"] = list(self.errors)
        return members | dict(self.extra)


def _default_wait(status: int) -> int | None:
    return 2 if status == 503 else 1 if status == 429 else None
