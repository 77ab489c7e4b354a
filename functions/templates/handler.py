"""Gives the templates that a storyboard and its video can begin with, and keeps a caller's own."""

from typing import Annotated

from fastapi import Header, Query, Response
from mangum import Mangum

from shared import cache
from shared.identity import RequestCredentials
from shared.models import Model, Success
from shared.paging import cursor_behind, key_behind
from shared.supabase_access import Access
from shared.templates import Template, TemplateContent, TemplateId, find_template, template_of, templates_of
from shared.web import RawJson, checked_idempotency_key, create_app, expected_version, json_answer, request_hash

app = create_app("templates", "Built-in and own styles")

LIST = "templates"
MOST = 200

NamedTemplate = Annotated[TemplateId, Query(alias="templateId")]


class TemplateAnswer(Success):
    """One template."""

    template: Template


class TemplatePage(Success):
    """The built-in templates, then the caller's own, oldest first."""

    templates: list[Template]
    next_cursor: str | None = None


class Deleted(Success):
    """The template is gone; sessions and videos that were made with it stay."""

    template_id: str


@app.get("/", summary="List templates, or read one", response_model=TemplatePage | TemplateAnswer)
def get_templates(
    credentials: RequestCredentials,
    template_id: Annotated[TemplateId | None, Query(alias="templateId")] = None,
    version: Annotated[int | None, Query(ge=1, le=2_147_483_647)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return a page of all templates; with `templateId` that one, with `version` as it was then."""
    caller = credentials.caller(None)
    access = caller.access()
    if template_id is not None:
        return _answer(find_template(access, template_id, version))
    if cursor is not None or not cache.is_there():
        return RawJson(_listed(access, cursor, limit))
    shape = list(Template.model_fields)
    key = cache.key("templates", shape, caller.subject, limit, access.rpc("templates_stamp", {}))
    return RawJson(cache.read_through(key, lambda: (key, _listed(access, None, limit).encode())).decode())


@app.post("/", summary="Make a template", status_code=201, response_model=TemplateAnswer)
def create_template(
    content: TemplateContent,
    credentials: RequestCredentials,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a new template of the caller's own. A merge field of its prompt must be among its `fields`."""
    access = credentials.caller(None).access()
    key = checked_idempotency_key(idempotency_key)
    wanted = {
        "p_template": _row(content),
        "p_idempotency_key": key,
        "p_request_hash": request_hash(content) if key else None,
    }
    return _answer(template_of(access.rpc("create_template", wanted)), 201)


@app.put("/", summary="Replace a template", response_model=TemplateAnswer)
def replace_template(
    template_id: NamedTemplate,
    content: TemplateContent,
    credentials: RequestCredentials,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the template as it is now; a change makes a new version, and earlier ones can still be read."""
    access = credentials.caller(None).access()
    wanted = {
        "p_template_id": template_id,
        "p_template": _row(content),
        "p_if_version": expected_version(if_match),
    }
    return _answer(template_of(access.rpc("replace_template", wanted)))


@app.delete("/", summary="Delete a template")
def delete_template(template_id: NamedTemplate, credentials: RequestCredentials) -> Deleted:
    """Delete a template of the caller's own, with all its versions."""
    credentials.caller(None).access().rpc("delete_template", {"p_template_id": template_id})
    return Deleted(template_id=template_id)


def _row(content: TemplateContent) -> dict[str, object]:
    row = content.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json")
    return {"description": "", "video": {}, "storyboard": {}, "fields": {}, **row}


def _listed(access: Access, cursor: str | None, limit: int) -> str:
    own, number = key_behind(LIST, cursor, int, int) if cursor else (0, 0)
    behind = {"p_after_own": bool(own), "p_after_id": min(int(number), 2_147_483_647)}
    rows = access.rpc("list_templates", {**behind, "p_limit": limit + 1})
    page = rows[:limit]
    last = page[-1] if len(rows) > limit else None
    next_cursor = cursor_behind(LIST, int(last["user_id"] is not None), last["id"]) if last else None
    return TemplatePage(templates=templates_of(page), next_cursor=next_cursor).model_dump_json(by_alias=True)


def _answer(template: Template, status: int = 200) -> Response:
    body: Model = TemplateAnswer(template=template)
    answer = json_answer(body, {"ETag": f'"{template.version}"'})
    answer.status_code = status
    return answer


handler = Mangum(app, lifespan="off")
