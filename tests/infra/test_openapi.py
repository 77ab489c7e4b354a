"""infra/openapi.json says what the code does, is valid, and is good to generate a client from."""

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from infra.local.gateway.configuration import Service
from infra.local.state import TOP
from infra.openapi.answers import described, resolved, validator_of
from infra.openapi.codes import codes_of
from infra.openapi.document import EXAMPLES, FILE, text
from shared.problems import PROBLEMS

SECRETS = {"authorization", "x-api-key", "x-webhook-secret"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def by_id(name: str) -> dict[str, Any]:
    return next(operation for _, _, operation in operations() if operation["operationId"] == name)


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `make openapi`"


def test_it_is_a_valid_document_of_every_function_url() -> None:
    validate(described())
    functions = Service(TOP / "serverless.yml").url_functions
    assert {path.split("/")[2] for path, _, _ in operations()} == functions.keys()
    assert {one["name"] for one in described()["tags"]} == functions.keys()


def test_every_operation_has_a_name_of_its_own_and_is_described() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    for _, _, operation in operations():
        assert operation["operationId"].isidentifier()
        assert operation["summary"] and operation["description"] and operation["tags"]
        assert "security" in operation


def test_credentials_are_schemes_and_no_parameters() -> None:
    schemes = described()["components"]["securitySchemes"]
    assert (schemes["accessToken"]["scheme"], schemes["apiKey"]["name"]) == ("bearer", "X-Api-Key")
    for _, _, operation in operations():
        assert not {resolved(one)["name"].lower() for one in operation.get("parameters", ())} & SECRETS
    assert by_id("getFrames")["security"] == [{"accessToken": []}, {"apiKey": []}, {}]
    assert by_id("listMembers")["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert by_id("listKeys")["security"] == [{"accessToken": []}]
    assert by_id("watch")["security"] == []


@pytest.mark.parametrize("operation", sorted(EXAMPLES))
def test_an_example_fits_its_schema(operation: str) -> None:
    found = by_id(operation)
    if "request" in EXAMPLES[operation]:
        content = found["requestBody"]["content"]["application/json"]
        validator_of(content["schema"]).validate(content["example"])
    for status, example in EXAMPLES[operation].get("responses", {}).items():
        content = found["responses"][status]["content"]["application/json"]
        assert content["example"] == example
        validator_of(content["schema"]).validate(example)


def test_a_refusal_names_its_codes_under_their_status() -> None:
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            problem = resolved(response).get("content", {}).get("application/problem+json")
            if problem:
                codes = problem["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert {PROBLEMS[code].status for code in codes} == {int(status)}, (path, method)


@pytest.mark.parametrize(
    ("function", "route", "code"),
    [
        ("get_frames", "get_frames", "session_not_found"),  # of the route itself
        ("save_frames", "save_frames", "too_many_pixels"),  # of a module that it leads to
        ("save_frames", "save_frames", "foreign_image_url"),  # of the database function that it calls
        ("generate_video", "generate_video", "quota_exceeded"),  # of a trigger behind that
        ("get_video", "cancel_video", "video_finished"),
        ("storage_webhook", "storage_webhook", "invalid_webhook_secret"),  # of what the route depends on
    ],
)
def test_codes_are_found_wherever_they_are_raised(function: str, route: str, code: str) -> None:
    assert code in codes_of(f"functions.{function}.handler", route)


@pytest.mark.parametrize(
    ("function", "route", "code"),
    [
        ("get_frames", "get_frames", "version_conflict"),
        ("upload_image", "upload_image", "session_not_found"),
        ("watch", "watch", "database_unavailable"),  # becomes a page
        ("batch", "start_batch", "too_many_pixels"),
    ],
)
def test_codes_of_others_and_those_that_are_swallowed_are_not(function: str, route: str, code: str) -> None:
    assert code not in codes_of(f"functions.{function}.handler", route)


def test_schemas_have_plain_names_and_no_nulls_where_a_type_will_do() -> None:
    for name, schema in described()["components"]["schemas"].items():
        assert name.isidentifier() and name[0].isupper()
        assert schema.get("description"), name
        for one in schema.get("properties", {}).values():
            assert "title" not in one
            plain = [isinstance(branch.get("type"), str) for branch in one.get("anyOf", ())]
            assert plain != [True, True] or {"type": "null"} not in one["anyOf"], (name, one)


def test_what_an_answer_always_has_is_required() -> None:
    schemas = described()["components"]["schemas"]
    assert {"success", "frames", "nextCursor", "expiresAt"} <= set(schemas["StoryboardPage"]["required"])
    assert schemas["StoryboardPage"]["properties"]["success"]["const"] is True
    assert schemas["ProblemDetails"]["properties"]["success"]["const"] is False
    assert "motion" not in schemas["VideoRequest"].get("required", ())
