"""The gateway's pure parts: configuration, merging of OpenAPI documents, versions of code."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.gateway.configuration import DEFAULT_CORS_HEADERS, Function, Service, parse
from infra.local.gateway.cors import Cors
from infra.local.gateway.errors import PAYLOAD_LIMIT, PayloadTooLargeError
from infra.local.gateway.events import serialise
from infra.local.gateway.openapi import merge
from infra.local.gateway.sources import Sources

HANDLER = "functions.f.handler.handler"


def function(text: str) -> Function:
    return parse(f"functions:\n  f: {{handler: {HANDLER}, {text}}}")["f"]


def test_a_function_without_settings_has_the_frameworks_defaults() -> None:
    found = parse(f"functions: {{f: {{handler: {HANDLER}}}}}")["f"]
    assert (found.timeout, found.memory, found.has_url, found.cors) == (6, 1024, False, None)


def test_the_provider_sets_defaults_for_all_functions() -> None:
    text = f"provider: {{timeout: 9, memorySize: 256}}\nfunctions: {{f: {{handler: {HANDLER}, timeout: 3}}}}"
    assert (parse(text)["f"].timeout, parse(text)["f"].memory) == (3, 256)


def test_a_handler_may_be_written_as_a_path() -> None:
    found = parse("functions: {f: {handler: functions/f/handler.handler}}")["f"]
    assert (found.module, found.folders) == ("functions.f.handler", ("functions/f", "shared"))


@pytest.mark.parametrize(
    ("url", "cors"),
    [
        ("true", None),
        ("{authorizer: aws_iam}", None),
        ("{cors: true}", Cors(headers=DEFAULT_CORS_HEADERS)),
        ("{cors: {allowedHeaders: [A], maxAge: 5}}", Cors(headers=("A",), max_age=5)),
        (
            "{cors: {allowedOrigins: ['https://a'], allowedHeaders: null, allowCredentials: true}}",
            Cors(origins=("https://a",), credentials=True),
        ),
    ],
)
def test_cors_of_a_function_url(url: str, cors: Cors | None) -> None:
    found = function(f"url: {url}")
    assert found.has_url
    assert found.cors == cors


def test_credentials_are_allowed_in_both_kinds_of_answers() -> None:
    cors = Cors(credentials=True)
    allowed = ("access-control-allow-credentials", "true")
    assert allowed in cors.response_headers("https://a")
    assert allowed in cors.preflight_headers("https://a")


def test_references_to_the_file_itself_are_resolved() -> None:
    text = f"""
    custom: {{timeout: 7, name: cat, nested: {{same: "${{self:custom.timeout}}"}}}}
    functions:
      f:
        handler: {HANDLER}
        timeout: ${{self:custom.nested.same}}
        memorySize: ${{opt:memory}}
        environment:
          PET: a ${{self:custom.name}}
          ELSE: ${{self:custom.missing, 'default'}}
          SECRET: ${{ssm:/secret}}
          STAGE: ${{self:custom.missing}}
          ARN: !GetAtt Queue.Arn
          SWITCH: off
          ENABLED: true
          COUNT: 3
    """
    found = parse(text)["f"]
    assert (found.timeout, found.memory) == (7, 1024)
    assert found.environment == {"PET": "a cat", "ELSE": "default", "SWITCH": "off", "ENABLED": "true", "COUNT": "3"}


def test_a_reference_to_itself_is_an_error() -> None:
    with pytest.raises(ValueError, match="leads back to itself"):
        parse("custom: {a: '${self:custom.b}', b: '${self:custom.a}'}\nfunctions: {}")


def test_the_projects_own_functions_can_be_read() -> None:
    functions = Service(Path(__file__).parents[2] / "serverless.yml").functions
    assert {"upload_image", "save_frames", "get_frames"} <= functions.keys()
    assert all(functions[name].cors for name in ("upload_image", "save_frames", "get_frames"))


def test_an_event_may_have_the_last_byte_of_the_limit_and_no_more() -> None:
    overhead = len(b'{"body":""}')
    assert len(serialise({"body": "x" * (PAYLOAD_LIMIT - overhead)})) == PAYLOAD_LIMIT
    with pytest.raises(PayloadTooLargeError):
        serialise({"body": "x" * (PAYLOAD_LIMIT - overhead + 1)})


def document(path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    return {"paths": {path: {"get": {"operationId": "read"}}}, "components": {"schemas": schemas}}


def test_paths_are_below_the_function_and_not_twice() -> None:
    merged = merge({"a": document("/", {}), "b": document("/api/b", {}), "c": document("/{id}", {})})
    assert list(merged["paths"]) == ["/api/a", "/api/b", "/api/c/{id}"]


def test_a_schema_is_renamed_only_where_it_means_something_else() -> None:
    reference = {"$ref": "#/components/schemas/Inner"}
    first = {"Inner": {"type": "string"}, "Outer": reference, "Same": {"type": "null"}}
    second = {"Inner": {"type": "integer"}, "Outer": reference, "Same": {"type": "null"}}
    schemas = merge({"a": document("/", first), "b": document("/", second)})["components"]["schemas"]
    assert schemas.keys() == {"Inner", "Outer", "Same", "b.Inner", "b.Outer"}
    assert schemas["Outer"] == reference
    assert schemas["b.Outer"] == {"$ref": "#/components/schemas/b.Inner"}


def test_the_version_tells_edits_additions_and_removals(tmp_path: Path) -> None:
    folder = tmp_path / "functions" / "f" / "inner"
    folder.mkdir(parents=True)

    def version() -> object:
        return Sources(tmp_path).version(("functions/f", "shared"))

    seen = [version()]
    for change in (
        lambda: (folder / "a.py").write_text("1"),
        lambda: (folder / "a.py").write_text("22"),
        lambda: (folder / "b.py").write_text(""),
        (folder / "b.py").unlink,
    ):
        change()
        seen.append(version())
    assert seen[2] == seen[4]
    assert len(set(seen)) == 4
    (folder / "notes.txt").write_text("not code")
    assert version() == seen[4]
