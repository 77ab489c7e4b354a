"""Keeps where a user wants finished work announced, and shows what became of each announcement."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Header, Query, Response
from mangum import Mangum
from pydantic import Field, StringConstraints, field_validator, model_validator

from shared.deliveries import announce
from shared.errors import AppError
from shared.identity import Caller, Credentials, RequestCredentials
from shared.models import FieldError, Model, ShortText, Success, UserId
from shared.outbound.targets import WebhookUrl
from shared.paging import cursor_behind, key_behind
from shared.web import checked_idempotency_key, create_app, json_answer, request_hash

app = create_app("webhooks", "Where finished work is announced")

EventType = Literal["video.completed", "video.failed", "upload.rejected"]
ALL_EVENTS: Final[list[EventType]] = ["video.completed", "video.failed", "upload.rejected"]
NEEDED: Final = {
    "create": ("url",),
    "update": ("endpointId",),
    "ping": ("endpointId",),
    "redeliver": ("deliveryId",),
    "rotate_secret": (),
}


class Action(Model):
    """What to do: each action reads the fields that its description names."""

    action: Annotated[
        Literal["create", "update", "rotate_secret", "ping", "redeliver"],
        Field(
            description="`create`: url, events, description. `update`: endpointId and any of url, events, description, "
            "enabled. `rotate_secret`: endpointId, or none for the secret of `webhookUrl`; overlapHours. "
            "`ping`: endpointId. `redeliver`: deliveryId."
        ),
    ] = "create"
    endpoint_id: UUID | None = None
    delivery_id: UUID | None = None
    url: WebhookUrl | None = None
    events: Annotated[list[EventType], Field(min_length=1, max_length=10)] | None = None
    description: Annotated[ShortText, StringConstraints(strip_whitespace=True)] | None = None
    enabled: bool | None = None
    overlap_hours: Annotated[int, Field(ge=0, le=168, description="How long the old secret still signs")] = 24
    user_id: UserId | None = None

    @field_validator("events")
    @classmethod
    def _once_each(cls, events: list[EventType] | None) -> list[EventType] | None:
        return None if events is None else list(dict.fromkeys(events))

    @model_validator(mode="after")
    def _says_what_is_needed(self) -> "Action":
        given = self.model_dump(by_alias=True)
        for name in NEEDED[self.action]:
            if given[name] is None:
                raise FieldError(name, f"is needed to {self.action}")
        return self


class Endpoint(Model):
    """An address that events are announced to. Its secret is not shown again."""

    endpoint_id: str
    url: str
    events: list[EventType]
    description: str | None
    enabled: bool
    disabled_reason: Annotated[
        Literal["by_owner", "gone", "failing"] | None,
        Field(description="`gone`: it answered 410. `failing`: nothing got through for a day, in 20 attempts or more"),
    ]
    failures: Annotated[int, Field(description="Attempts that failed in a row")]
    failing_since: str | None
    created_at: str
    updated_at: str


class Delivery(Model):
    """One event for one endpoint, or for the `webhookUrl` of one video: how it stands, how the last attempt went."""

    delivery_id: str
    endpoint_id: str | None
    url: Annotated[str | None, Field(description="The `webhookUrl`, where there is no endpoint")]
    video_id: str | None
    event_id: Annotated[str, Field(description="`Webhook-Id`: the same for all deliveries of one event")]
    type: str
    payload: dict[str, Any]
    status: Literal["pending", "delivering", "delivered", "failed"]
    attempts: int
    next_attempt_at: str | None
    attempted_at: str | None
    status_code: int | None
    error: Annotated[
        str | None,
        Field(
            description="Why the last attempt failed: `bad_status`, `redirected`, `timeout`, `name_not_found`, "
            "`connection_failed`, `tls_failed`, `invalid_response`, `refused_address`, `invalid_url`, "
            "`endpoint_disabled`"
        ),
    ]
    response: Annotated[str | None, Field(description="The beginning of the last answer")]
    duration_ms: int | None
    redelivery_of: str | None
    created_at: str


class NewEndpoint(Success):
    """A new endpoint, and the secret that its deliveries are signed with: keep it, it is shown only now."""

    endpoint: Endpoint
    secret: Annotated[str, Field(examples=["whsec_…"])]


class ChangedEndpoint(Success):
    """An endpoint as it is now."""

    endpoint: Endpoint


class NewSecret(Success):
    """A new secret, shown only now. Until the time given, the one before signs too."""

    endpoint_id: str | None
    secret: str
    previous_secret_expires_at: str | None


class NewDelivery(Success):
    """A delivery that is on its way."""

    delivery: Delivery


class Endpoints(Success):
    """A page of endpoints, newest first."""

    endpoints: list[Endpoint]
    next_cursor: str | None


class Log(Success):
    """A page of deliveries, newest first, and their endpoint where one was asked for."""

    endpoint: Endpoint | None
    deliveries: list[Delivery]
    next_cursor: str | None


class Deleted(Success):
    """An endpoint that is gone, with its secrets and its log."""

    endpoint_id: str


@app.post(
    "/",
    summary="Create or change an endpoint, rotate its secret, try it out, deliver again",
    response_model=NewEndpoint | ChangedEndpoint | NewSecret | NewDelivery,
)
def act(
    body: Action, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> Response:
    """Return what the action made. `Idempotency-Key` makes `create` and `rotate_secret` safe to repeat."""
    access = _user(credentials, body.user_id).access()
    key = checked_idempotency_key(idempotency_key)
    once: dict[str, object] = {"p_idempotency_key": key, "p_request_hash": request_hash(body) if key else None}
    answer: Model
    match body.action:
        case "create":
            new = {"p_url": body.url, "p_events": body.events or ALL_EVENTS, "p_description": body.description}
            answer = NewEndpoint.model_validate(access.rpc("create_webhook_endpoint", once | new))
        case "update":
            changes = {"p_endpoint_id": str(body.endpoint_id), "p_changes": _changes(body)}
            answer = ChangedEndpoint.model_validate({"endpoint": access.rpc("update_webhook_endpoint", changes)})
        case "rotate_secret":
            which = {"p_endpoint_id": _text(body.endpoint_id), "p_overlap_hours": body.overlap_hours}
            answer = NewSecret.model_validate(access.rpc("rotate_webhook_secret", once | which))
        case "ping":
            answer = _sent(access.rpc("ping_webhook_endpoint", {"p_endpoint_id": str(body.endpoint_id)}))
        case "redeliver":
            answer = _sent(access.rpc("redeliver_webhook", {"p_delivery_id": str(body.delivery_id)}))
    return json_answer(answer, {"Cache-Control": "no-store"})


@app.get(
    "/",
    summary="List endpoints, or the deliveries of one of them or of one video",
    response_model=Endpoints | Log,
)
def read(  # noqa: PLR0913, PLR0917  # one parameter each of the query
    credentials: RequestCredentials,
    endpoint_id: Annotated[UUID | None, Query(alias="endpointId")] = None,
    video_id: Annotated[UUID | None, Query(alias="videoId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> Response:
    """Return one page, newest first; `nextCursor` leads to the following one."""
    access = _user(credentials, user_id).access()
    kind = "webhook_deliveries" if endpoint_id or video_id else "webhook_endpoints"
    before = key_behind(kind, cursor, int)[0] if cursor else None
    page: dict[str, object] = {"p_before": before, "p_limit": limit + 1}
    answer: Model
    if kind == "webhook_endpoints":
        rows = access.rpc("list_webhook_endpoints", page)
        answer = Endpoints.model_validate({"endpoints": rows[:limit], "next_cursor": _cursor(kind, rows, limit)})
    else:
        about = {"p_endpoint_id": _text(endpoint_id), "p_video_id": _text(video_id)}
        found = access.rpc("webhook_log", page | about)
        rows = found["deliveries"]
        shown = {"deliveries": rows[:limit], "next_cursor": _cursor(kind, rows, limit)}
        answer = Log.model_validate(found | shown)
    return json_answer(answer, {"Cache-Control": "private, no-cache"})


@app.delete("/", summary="Delete an endpoint")
def delete(
    credentials: RequestCredentials,
    endpoint_id: Annotated[UUID, Query(alias="endpointId")],
    user_id: Annotated[UserId | None, Query(alias="userId")] = None,
) -> Deleted:
    """Return that it is gone, with its secrets and its log. What was on its way to it is not delivered."""
    _user(credentials, user_id).access().rpc("delete_webhook_endpoint", {"p_endpoint_id": str(endpoint_id)})
    return Deleted(endpoint_id=str(endpoint_id))


def _user(credentials: Credentials, user_id: str | None) -> Caller:
    caller = credentials.caller(user_id)
    if caller.is_guest:
        raise AppError("authentication_required")
    return caller


def _changes(body: Action) -> dict[str, Any]:
    """Return what is to be changed; only a description can be taken away by null."""
    given = body.model_dump(include={"url", "events", "description", "enabled"}, exclude_unset=True)
    return {name: value for name, value in given.items() if value is not None or name == "description"}


def _sent(delivery: dict[str, Any]) -> NewDelivery:
    announce(delivery["delivery_id"], delivery["attempts"])
    return NewDelivery.model_validate({"delivery": delivery})


def _text(name: UUID | None) -> str | None:
    return None if name is None else str(name)


def _cursor(kind: str, rows: list[dict[str, Any]], limit: int) -> str | None:
    return cursor_behind(kind, rows[limit - 1]["id"]) if len(rows) > limit else None


handler = Mangum(app, lifespan="off")
