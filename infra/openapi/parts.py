"""What the OpenAPI document says of all functions alike."""

from typing import Any, Final

Node = dict[str, Any]

INFO: Final[Node] = {
    "title": "Videomaker",
    "version": "1",
    "summary": "Storyboards and the videos made of them.",
    "description": (
        "Upload images, save them as the frames of a storyboard, read it back, make a video of it.\n\n"
        "Each function is deployed by itself: it answers at `/` of its function URL, at `/api/<function>` of it, and "
        "behind a front end's rewrite.\n\n"
        "A good answer carries `success: true`. Every refusal is `application/problem+json` (RFC 9457) whose `code` is "
        "stable and whose `detail` says what to do next. What is missing and what is somebody else's both answer 404. "
        "Fields that are not known are ignored; new ones may appear in answers.\n\n"
        "A caller is a signed-in user (`accessToken`), a program (`apiKey`), or, where guests are let in, nobody: a "
        "guest is known by its `userId`, a secret that the first answer gives it."
    ),
}
SERVERS: Final[list[Node]] = [
    {
        "url": "{baseUrl}",
        "description": "`make up`, a front end that rewrites `/api/<function>`, or one function's own URL",
        "variables": {"baseUrl": {"default": "http://127.0.0.1:8787", "description": "Without a slash at its end"}},
    }
]
SECURITY_SCHEMES: Final[Node] = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a user signed in with Supabase Auth.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "A key issued by `api_keys`: `vm_<prefix>_<secret>`. Its scopes say what it may do; it counts "
        "before an access token.",
    },
    "webhookSecret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Webhook-Secret",
        "description": "`STORAGE_WEBHOOK_SECRET` of the deployment.",
    },
}
OTHER_SECURITY: Final[dict[str, list[Node]]] = {"storage_webhook": [{"webhookSecret": []}]}
NOT_FOR_GUESTS: Final = frozenset({"batch"})  # the database refuses them
CREDENTIALS: Final = frozenset({"authorization", "x-api-key", "x-webhook-secret"})
HEADER_PARAMETERS: Final = {
    "Idempotency-Key": "Makes the request safe to repeat: for 24 hours the same key and body answer the same again, "
    "and another body `409 idempotency_key_reused`. 1 to 255 printable ASCII characters.",
    "If-Match": 'Write only on top of this version, as in `"3"`, or of this `ETag`; else `412 version_conflict`.',
    "If-None-Match": "The `ETag` of an answer that is at hand: 304 where it is still the same.",
    "X-Webhook-Timestamp": "When the event was sent, in seconds since 1970.",
}
HEADERS: Final[Node] = {
    "X-Request-Id": {"description": "Names the request in logs.", "schema": {"type": "string"}},
    "Server-Timing": {
        "description": "Milliseconds spent on `auth`, `image`, `storage`, `db`, and in `total`.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What is left of each limit: `"user-read";r=599;t=1`.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": 'The limits that count the caller: `"user-read";q=600;w=60`.',
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Strong; begins with the version where there is one.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}},
}
ALWAYS_SENT: Final = ("X-Request-Id", "Server-Timing", "RateLimit", "RateLimit-Policy")
