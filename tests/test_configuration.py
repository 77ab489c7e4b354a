"""Settings, .env.example, serverless.yml and the folders name the same things."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.errors import AppError
from shared.settings import read_settings, read_telemetry
from tests.infra.test_ingest_bucket import Tagged

TOP = Path(__file__).parents[1]
REQUIRED = {"SUPABASE_URL": "https://x.supabase.co/", "SUPABASE_ANON_KEY": "anon"}


class Recorder(dict[str, str]):
    """An environment that remembers which variables it was asked for."""

    def __init__(self) -> None:
        super().__init__(REQUIRED)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def variables() -> set[str]:
    environment = Recorder()
    read_settings(environment)
    read_telemetry(environment)
    return environment.asked


def serverless() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((TOP / "serverless.yml").read_text(), Tagged)
    return found


def test_the_example_names_every_variable_and_no_other() -> None:
    named = set(re.findall(r"^([A-Z_]+)=", (TOP / ".env.example").read_text(), re.MULTILINE))
    assert named == variables()


def test_the_readmes_table_names_every_variable() -> None:
    text = (TOP / "README.md").read_text()
    assert {name for name in variables() if f"`{name}`" not in text} == set()


def test_the_deployment_sets_only_variables_that_are_read() -> None:
    assert serverless()["provider"]["environment"].keys() <= variables()


def test_each_folder_is_a_function_and_each_function_a_folder() -> None:
    folders = {path.parent.name for path in (TOP / "functions").glob("*/handler.py")}
    functions = serverless()["functions"]
    assert functions.keys() == folders
    for name, function in functions.items():
        assert function["handler"] == f"functions.{name}.handler.handler"
        assert (TOP / "functions" / name / "requirements.txt").exists()


def test_guests_are_not_let_in_by_a_deployment_unless_it_is_asked_to() -> None:
    assert serverless()["provider"]["environment"]["GUEST_ACCESS"] == "${env:GUEST_ACCESS, 'off'}"
    assert read_settings(REQUIRED).guest_access is False


def test_cors_lets_browsers_send_and_read_the_headers_of_the_contract() -> None:
    cors = serverless()["custom"]["cors"]
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"} <= set(
        cors["allowedHeaders"]
    )
    assert {"ETag", "Retry-After", "Server-Timing", "X-Request-Id"} <= set(cors["exposedResponseHeaders"])


def test_each_functions_requirements_are_pinned_at_the_top() -> None:
    pinned = {re.split(r"[=\[ ]", line)[0] for line in (TOP / "requirements.txt").read_text().splitlines()}
    for path in (TOP / "functions").glob("*/requirements.txt"):
        for line in path.read_text().split():
            assert line.partition("[")[0] in pinned, f"{path}: {line}"


def test_a_front_ends_names_are_understood() -> None:
    found = read_settings({f"NEXT_PUBLIC_{name}": value for name, value in REQUIRED.items()})
    assert (found.supabase_url, found.anon_key) == ("https://x.supabase.co", "anon")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SUPABASE_URL": ""}, "SUPABASE_URL"),
        ({"SUPABASE_ANON_KEY": ""}, "SUPABASE_ANON_KEY"),
        ({"GUEST_ACCESS": "yes"}, "GUEST_ACCESS"),
        ({"GUEST_ACCESS": "on"}, "GUEST_SECRET"),
        ({"GUEST_ACCESS": "on", "GUEST_SECRET": "x"}, "SUPABASE_JWT_SECRET"),
        ({"BUCKET_ACCESS": "open"}, "BUCKET_ACCESS"),
        ({"RATE_LIMITS": "no"}, "RATE_LIMITS"),
        ({"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES"),
        ({"SIGNED_URL_SECONDS": "0"}, "SIGNED_URL_SECONDS"),
        ({"SIGNED_URL_SECONDS": "an hour"}, "SIGNED_URL_SECONDS"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(AppError) as refused:
        read_settings(REQUIRED | wrong)
    assert refused.value.code == "not_configured"
    assert named in refused.value.detail
