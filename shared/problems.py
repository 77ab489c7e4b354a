"""Every failure that a client may get to know: one table of stable codes, with their HTTP status and safe text."""

from collections.abc import Mapping
from typing import Final, NamedTuple


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
    "invalid_api_key": Problem(401, "Invalid API key", "Send a valid key as `X-Api-Key`, or leave it out."),
    "api_key_expired": Problem(401, "API key expired", "Issue a new key, and send it as `X-Api-Key`."),
    "insufficient_scope": Problem(403, "Insufficient scope", "Use an API key that has the scope named by `scope`."),
    "api_key_not_found": Problem(404, "API key not found", "You have no key with this `prefix`. List them again."),
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
        403, "Quota exceeded", "This exceeds the quota named by `quota`. Delete something, or wait until `resetsAt`."
    ),
    # Templates
    "template_not_found": Problem(
        404, "Template not found", "You have no template with this `templateId`. `GET templates` lists them."
    ),
    "template_built_in": Problem(
        403, "Built-in template", "A built-in template cannot be changed. Save a copy of it as a template of your own."
    ),
    "template_limit_reached": Problem(
        403, "Too many templates", "You have as many templates as you may have. Delete one first."
    ),
    "invalid_template": Problem(
        422, "Invalid template", "This template was not written by this service. Replace it, or delete it."
    ),
    "invalid_template_data": Problem(
        422, "Invalid template data", "`templateData` must fit the template's `fields`. Mend what `errors` names."
    ),
    # Share links
    "share_not_found": Problem(
        404, "Share link not found", "There is no such share link, or it was revoked. Check it, and who is signed in."
    ),
    "share_without_video": Problem(404, "Video not ready", "The link shows no video yet. Try again later."),
    "share_password_required": Problem(401, "Password required", "Open the link in a browser and enter its password."),
    "share_ended": Problem(
        410, "Share link ended", "The link has expired or its views are used up. Ask for another one."
    ),
    "unsupported_format": Problem(501, "Unsupported format", "Ask for `format=json`, or leave `format` out."),
    "batch_not_found": Problem(404, "Batch not found", "No batch of yours has this `batchId`. `GET batch` lists them."),
    "budget_too_small": Problem(
        422, "Budget too small", "Nothing was begun. Raise `maxCost` to `estimatedCost` at least, or ask for less."
    ),
    "budget_reached": Problem(
        402, "Budget reached", "Others took all of `maxCost`. Try this batch again with a higher one."
    ),
    "export_too_large": Problem(
        413, "Export too large", "The session has more than 400 MB of files. Download them one by one by their URLs."
    ),
    # Members
    "account_required": Problem(
        403, "Account required", "Guests' sessions are private. Sign in with an account to share a session."
    ),
    "member_not_found": Problem(
        404, "Member not found", "No member or invitation that you may see has this `memberId`. List them again."
    ),
    "invitation_not_found": Problem(
        404,
        "Invitation not found",
        "No invitation to your address has this `memberId`. Sign in with the address that was invited, confirmed.",
    ),
    "invitation_expired": Problem(
        410, "Invitation ended", "The invitation has expired or was declined. Ask the owner for another one."
    ),
    "already_member": Problem(
        409, "Already a member", "This person is in the session already. Change the role with PATCH."
    ),
    "not_a_member": Problem(
        409, "Not a member yet", "A session is handed over to a member. Wait until the invitation is accepted."
    ),
    "owner_cannot_leave": Problem(409, "Owner cannot leave", "Hand the session over to a member first, or delete it."),
    "too_many_members": Problem(
        409, "Too many members", "A session has 100 members and invitations at most. Remove or withdraw some first."
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
    # Webhooks: where finished work is announced
    "webhook_not_found": Problem(
        404, "Webhook not found", "No webhook endpoint of yours has this `endpointId`. Check it, and who is signed in."
    ),
    "delivery_not_found": Problem(
        404, "Delivery not found", "No delivery of yours has this `deliveryId`. Check it, and who is signed in."
    ),
    "too_many_webhooks": Problem(
        403, "Too many webhooks", "You have as many webhook endpoints as one user may have. Delete one first."
    ),
    "webhook_disabled": Problem(
        409, "Webhook disabled", 'Enable the endpoint first: `{"action": "update", "endpointId": …, "enabled": true}`.'
    ),
    # Video
    "no_frames": Problem(422, "No frames", "The session has no frames to make a video of. Save some first."),
    "video_too_short": Problem(
        422, "Video too short", "Each frame needs one output frame at least. Lengthen the video, or save fewer frames."
    ),
    "frame_unreadable": Problem(
        422, "Frame unreadable", "The stored image of a frame is damaged. Upload it again and save the session."
    ),
    "video_not_found": Problem(
        404, "Video not found", "No video of yours has this `videoId`. Check it, and who is signed in."
    ),
    "frame_not_found": Problem(404, "Frame not found", "The session has no such frame. Save the frames first."),
    "frame_image_missing": Problem(
        422,
        "Image of a frame missing",
        "The image of the frame in `frameNumber` is not stored any more. Upload it again and save the session.",
    ),
    "upload_not_usable": Problem(
        422, "Upload not usable", "Name an upload of the right kind, once `create_upload` says that it is `ready`."
    ),
    "foreign_clip_url": Problem(
        422,
        "Foreign clip URL",
        "A `videoUrl` must be that of a video in your own folder of the media bucket. Use `uploadId` after an upload.",
    ),
    "clip_too_long": Problem(
        422,
        "Clip too long",
        "The clip of this frame takes longer than a worker may run. Give it less time, or lower `resolution` or `fps`.",
    ),
    "video_too_large": Problem(
        422, "Video too large", "The video is larger than can be stored. Shorten it, or lower `resolution` or `fps`."
    ),
    "video_finished": Problem(409, "Video finished", "It is completed or has failed, so there is nothing to cancel."),
    "video_not_failed": Problem(
        409, "Video not failed", "Only a video that has failed or was canceled can be tried again. Start a new one."
    ),
    "clip_missing": Problem(
        410, "Clip missing", "A finished clip was removed from Storage. Try the video again: it is rendered anew."
    ),
    "rendering_failed": Problem(
        500,
        "Rendering failed",
        "The clip could not be rendered in three tries. Try the video again: finished clips stay.",
    ),
    "merging_failed": Problem(
        500, "Merging failed", "The clips could not be joined in three tries. Try the video again: finished clips stay."
    ),
    "worker_lost": Problem(
        500,
        "Worker lost",
        "A worker began, and was not heard of for an hour. Try a video again: finished clips stay. Repeat an upload.",
    ),
    "worker_full": Problem(
        507, "Worker full", "A worker's temporary folder was full. Try again, or lower `resolution` or `fps`."
    ),
    "clip_damaged": Problem(422, "Clip damaged", "The clip is damaged or incomplete. Export or download it again."),
    "media_too_large": Problem(
        422, "Media too large", "A clip may have 4096 x 2304 pixels and 240 frames a second at most. Export it smaller."
    ),
    "clip_mismatch": Problem(
        500, "Clips do not match", "A clip was encoded in another way than the others. Render the video again."
    ),
    # What this service stands on
    "queue_unavailable": Problem(
        503, "Queue unavailable", "The job is written down, and is begun as soon as the queue answers again."
    ),
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
