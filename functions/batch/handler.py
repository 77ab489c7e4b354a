"""Many videos at once: of stored sessions, or of a template and rows of data, within one budget."""

from collections import Counter
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from fastapi import Header, Query, Response
from mangum import Mangum
from pydantic import Field, model_validator

from functions.batch.planning import Batch, BatchItem, Planner
from shared.errors import AppError
from shared.identity import Credentials, RequestCredentials
from shared.jobs import send_due
from shared.media_urls import media_path
from shared.models import FieldError, Model, Success
from shared.paging import cursor_behind, key_behind
from shared.problems import PROBLEMS
from shared.rate_limits import Work
from shared.renderings import VideoOptions
from shared.supabase_access import Access
from shared.web import checked_idempotency_key, create_app, json_answer, request_hash

app = create_app("batch", "Many sessions at once, one budget, per-item results")

LIST = "batches"
ENDED: Final = frozenset({"completed", "failed", "canceled"})

ItemStatus = Literal["waiting", "queued", "rendering", "merging", "completed", "failed", "canceled"]


class BatchRequest(Batch):
    """A batch; or one whose failed and canceled items are to be tried again, in sessions that there are."""

    retry_batch_id: Annotated[UUID | None, Field(description="Instead of `items`")] = None
    dry_run: Annotated[bool, Field(description="Answer the estimate, and what is wrong with items, only")] = False

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if bool(self.items) == (self.retry_batch_id is not None):
            raise FieldError("items", "name 1 to 100 items, or a `retryBatchId`")
        return self


class ItemState(Model):
    """What became of one item. `waiting` has its turn still to come. Costs are in US dollars."""

    item_number: int
    status: ItemStatus
    session_id: str | None
    video_id: str | None
    progress: Annotated[float, Field(description="0 to 1")]
    video_url: str | None
    estimated_cost: float | None
    cost: float | None
    error: dict[str, Any] | None


class BatchState(Success):
    """A batch and its items. It is `completed` when no item can get any further, whatever became of them."""

    batch_id: str
    status: Literal["running", "completed", "canceled"]
    tags: list[str]
    max_cost: float | None
    estimated_cost: Annotated[float, Field(description="Of what has ended the cost, of the rest the estimate")]
    cost: float
    progress: Annotated[float, Field(description="0 to 1, over the items that could be begun")]
    counts: Annotated[dict[str, int], Field(description="Of items, by their status")]
    items: list[ItemState]
    created_at: str
    expires_at: str | None = None


class Estimate(Success):
    """What a batch would cost at most, in US dollars, and which items could not be begun."""

    dry_run: bool = True
    estimated_cost: float
    item_count: int
    errors: Annotated[dict[int, dict[str, Any]], Field(description="By item number")]


class BatchSummary(Model):
    """One batch of a list."""

    batch_id: str
    tags: list[str]
    max_cost: float | None
    created_at: str


class BatchPage(Success):
    """Batches, newest first."""

    batches: list[BatchSummary]
    next_cursor: str | None = None


@app.post(
    "/", summary="Start a batch", status_code=202, response_model=BatchState, responses={200: {"model": Estimate}}
)
def start_batch(
    body: BatchRequest, credentials: RequestCredentials, idempotency_key: Annotated[str | None, Header()] = None
) -> Response:
    """Begin every item that can be begun, and say of the others why not; none, where `maxCost` is too small."""
    access = _access(credentials, "render")
    key = checked_idempotency_key(idempotency_key)
    items = _items(access, body)
    planner = Planner(access, body, items)
    rows = planner.rows()
    if body.dry_run:
        errors = {row["number"]: row["error"] for row in rows if "error" in row}
        estimate = round(planner.estimated_cost, 6)
        return json_answer(Estimate(estimated_cost=estimate, item_count=len(rows), errors=errors))
    batch: dict[str, object] = {"tags": body.tags, "max_cost": body.max_cost, "parallel": body.parallel}
    if body.retry_batch_id:
        batch = {"batch_id": str(body.retry_batch_id), "max_cost": body.max_cost}
    hashed = request_hash(body) if key else None
    made = access.rpc(
        "start_batch", {"p_batch": batch, "p_items": rows, "p_idempotency_key": key, "p_request_hash": hashed}
    )
    send_due(made.get("clips", []), made.get("merges", []))
    return json_answer(_state(access, made["batch_id"]), status=202)


@app.get("/", summary="Ask how far a batch is, or list batches", response_model=BatchState | BatchPage)
def get_batch(
    credentials: RequestCredentials,
    batch_id: Annotated[UUID | None, Query(alias="batchId")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return a batch as it is now; without `batchId` the caller's batches, newest first."""
    access = _access(credentials, "read")
    if batch_id is not None:
        return json_answer(_state(access, str(batch_id)))
    behind = key_behind(LIST, cursor, int)[0] if cursor else None
    rows = access.rpc("list_batches", {"p_before": behind, "p_limit": limit + 1})
    more = cursor_behind(LIST, rows[limit - 1]["id"]) if len(rows) > limit else None
    summaries = [BatchSummary.model_validate(row) for row in rows[:limit]]
    return json_answer(BatchPage(batches=summaries, next_cursor=more))


@app.delete("/", summary="Cancel a batch", response_model=BatchState)
def cancel_batch(credentials: RequestCredentials, batch_id: Annotated[UUID, Query(alias="batchId")]) -> Response:
    """Cancel all of it that has not ended, and return it as it is then."""
    access = _access(credentials, "render")
    access.rpc("cancel_batch", {"p_batch_id": str(batch_id)})
    return json_answer(_state(access, str(batch_id)))


def _access(credentials: Credentials, needs: Work) -> Access:
    caller = credentials.caller(None, needs=needs)
    if caller.is_guest:
        raise AppError("account_required", "Sign in with an account to make many videos at once.")
    return caller.access()


def _items(access: Access, body: BatchRequest) -> dict[int, BatchItem]:
    """Return what is to be begun, by number; of a batch that is tried again, what has failed in a session."""
    if body.retry_batch_id is None:
        return dict(enumerate(body.items, start=1))
    return {
        item["item_number"]: BatchItem(
            session_id=item["session_id"], video=VideoOptions.model_validate(item["options"])
        )
        for item in _read(access, str(body.retry_batch_id))["items"]
        if item["session_id"] and item["options"] and _status(item) in ("failed", "canceled")
    }


def _read(access: Access, batch_id: str) -> dict[str, Any]:
    row: dict[str, Any] | None = access.rpc("read_batch", {"p_batch_id": batch_id})
    if row is None:
        raise AppError("batch_not_found")
    return row


def _state(access: Access, batch_id: str) -> BatchState:
    row = _read(access, batch_id)
    paths = {item["item_number"]: media_path(item["video_url"] or "") for item in row["items"]}
    urls = access.urls(sorted({path for path in paths.values() if path}))
    items = [_item(item, urls.by_path.get(paths[item["item_number"]] or "")) for item in row["items"]]
    counts: Counter[str] = Counter(item.status for item in items)
    begun = [item.progress if item.status not in ENDED else 1.0 for item in items if item.video_id]
    over: Literal["canceled", "completed"] = "canceled" if row["canceled_at"] else "completed"
    return BatchState(
        batch_id=row["batch_id"],
        status=over if counts.keys() <= ENDED else "running",
        tags=row["tags"],
        max_cost=row["max_cost"],
        estimated_cost=row["estimated_cost"],
        cost=round(row["spent"] + sum(item.cost or 0 for item in items), 6),
        progress=round(sum(begun) / len(begun), 4) if begun else 1.0,
        counts=dict(counts),
        items=items,
        created_at=row["created_at"],
        expires_at=urls.expires_at,
    )


def _status(item: dict[str, Any]) -> ItemStatus:
    if item["video_id"] is None:
        return "failed"
    status: ItemStatus = "waiting" if item["held"] and item["status"] not in ENDED else item["status"]
    return status


def _item(row: dict[str, Any], video_url: str | None) -> ItemState:
    error = row["error"]
    if row["video_id"] is None and error is None:  # its session was deleted since
        error = {"code": "video_not_found"}
    if error and "detail" not in error and error.get("code") in PROBLEMS:
        error = {**error, "detail": PROBLEMS[error["code"]].detail}
    known = row | {"status": _status(row), "progress": row["progress"] or 0, "video_url": video_url, "error": error}
    return ItemState.model_validate(known)


handler = Mangum(app, lifespan="off")
