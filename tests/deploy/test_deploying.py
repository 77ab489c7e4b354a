"""What `make deploy` does around osls, against moto: secrets are asked for first, and URLs are read at the end."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.deploy import parameters, urls
from infra.deploy.__main__ import main
from infra.deploy.template import Template
from infra.local.gateway.configuration import Service
from infra.local.state import TOP, StackError

REGION = "us-east-1"
WITH_URL = Service(TOP / "serverless.yml").url_functions


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An AWS account, which all tests of a process share; returns its clients by service."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in parameters.required("dev"):
        monkeypatch.delenv(name, raising=False)
    yield lambda service: boto3.client(service, region_name=REGION)
    server.stop()


def put(aws: Any, names: list[str]) -> None:
    for name in names:
        aws("ssm").put_parameter(Name=name, Type="SecureString", Value="secret")


def test_every_missing_secret_is_named_with_the_command_that_puts_it_there(
    aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put(aws, ["/videomaker/asked/supabase-url", "/videomaker/asked/supabase-jwt-secret"])
    assert main(["check", "--stage", "asked"]) == 1
    said = capsys.readouterr().err
    absent = ["supabase-anon-key", "supabase-service-key", "guest-secret", "storage-webhook-secret"]
    for name in absent:
        assert f"aws ssm put-parameter --region {REGION} --type SecureString --name /videomaker/asked/{name} " in said
    assert said.count("put-parameter") == len(absent)


def test_a_variable_takes_the_place_of_a_secret(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = parameters.required("given")
    monkeypatch.setenv("GUEST_SECRET", "x")
    put(aws, [name for variable, name in wanted.items() if variable != "GUEST_SECRET"])
    assert parameters.missing("given", REGION) == [
        "/videomaker/given/supabase-jwt-secret",
        "/videomaker/given/supabase-signing-key",
    ]
    put(aws, ["/videomaker/given/supabase-signing-key"])
    assert main(["check", "--stage", "given"]) == 0


def test_the_environment_of_a_local_stack_is_refused(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:8000")
    with pytest.raises(StackError, match="another shell"):
        parameters.check("dev", REGION)


@pytest.mark.parametrize("stage", ["", "Prod", "a b", "dev;ls"])
def test_a_stage_that_is_no_name_is_refused(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--stage", stage]) == 1
    assert "STAGE" in capsys.readouterr().err


def test_the_urls_of_a_deployed_stage_are_written_to_a_file(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {urls.output_of(name): {"Value": f"https://{name.replace('_', '-')}.on.aws/"} for name in WITH_URL}
    queue = {"Type": "AWS::SQS::Queue"}
    document = json.dumps({"Resources": {"Queue": queue}, "Outputs": outputs})
    aws("cloudformation").create_stack(StackName="videomaker-kept", TemplateBody=document)
    monkeypatch.setattr(urls, "file_of", lambda stage: TOP / "build" / f"test-{tmp_path.name}-{stage}.json")
    file = urls.file_of("kept")
    try:
        assert main(["urls", "--stage", "kept"]) == 0
        found = json.loads(file.read_text())["functionUrls"]
    finally:
        file.unlink(missing_ok=True)
    assert found.keys() == WITH_URL.keys()
    assert found["get_frames"] == "https://get-frames.on.aws/"
    assert "get_frames       https://get-frames.on.aws/" in capsys.readouterr().out


def test_a_stage_that_is_not_deployed_is_named(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["urls", "--stage", "nowhere"]) == 1
    assert "nowhere is not deployed" in capsys.readouterr().err


@pytest.mark.timeout(600)
def test_each_url_is_an_output_of_the_template(template: Template) -> None:
    assert {urls.output_of(name) for name in WITH_URL} <= template.document["Outputs"].keys()


def test_make_deploy_asks_for_a_stage_before_it_builds_anything() -> None:
    run = subprocess.run(["make", "deploy"], cwd=TOP, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "STAGE" in run.stderr
    assert "Artifacts" not in run.stdout
