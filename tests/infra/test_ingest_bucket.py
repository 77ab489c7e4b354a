"""The ingest bucket's policy, lifecycle and CORS: each tried with what it forbids.

moto stores bucket policies without enforcing them, so a small evaluator of the parts of IAM that ours uses stands in.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
BUCKET = "arn:aws:s3:::${self:custom.ingestBucket}"
OURS = "arn:aws:iam::123456789012:role/${self:service}-dev-on_upload"
THEIRS = "arn:aws:iam::123456789012:user/curious"
OUTSIDE = "arn:aws:iam::999999999999:role/other"


def load(name: str) -> Any:
    return json.loads((TOP / "infra" / "storage" / name).read_text())


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_denied(action: str, resource: str, principal: str, *, encrypted: bool = True) -> bool:
    """Return whether a statement of the bucket's policy denies it, whatever else would allow it."""
    for statement in load("ingest_policy.json")["Statement"]:
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == "*"
        matches = (
            any(fnmatchcase(action, one) for one in as_list(statement["Action"]))
            and any(fnmatchcase(resource, one) for one in as_list(statement["Resource"]))
            and all(
                holds(operator, condition, principal, encrypted)
                for operator, condition in statement["Condition"].items()
            )
        )
        if matches:
            return True
    return False


def holds(operator: str, condition: dict[str, Any], principal: str, encrypted: bool) -> bool:
    values = {"aws:SecureTransport": str(encrypted).lower(), "aws:PrincipalArn": principal}
    [(key, wanted)] = condition.items()
    if operator == "Bool":
        return bool(values[key] == wanted)
    assert operator == "ArnNotLike"
    return not any(fnmatchcase(values[key], one) for one in as_list(wanted))


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"])
def test_nothing_goes_unencrypted(action: str) -> None:
    resource = BUCKET if action == "s3:ListBucket" else f"{BUCKET}/uploads/x"
    assert is_denied(action, resource, OURS, encrypted=False)
    assert not is_denied(action, resource, OURS, encrypted=True)


@pytest.mark.parametrize("principal", [THEIRS, OUTSIDE])
@pytest.mark.parametrize(
    "action", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject"]
)
def test_only_the_functions_get_at_objects(principal: str, action: str) -> None:
    assert is_denied(action, f"{BUCKET}/uploads/x", principal)


def test_whoever_deploys_can_still_manage_the_bucket() -> None:
    for action in ("s3:PutBucketPolicy", "s3:PutLifecycleConfiguration", "s3:DeleteBucket"):
        assert not is_denied(action, BUCKET, THEIRS)


def test_raw_files_and_unfinished_parts_live_a_day() -> None:
    [rule] = load("ingest_lifecycle.json")["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["ExpirationInDays"] == 1
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1
    assert "Prefix" not in rule and "TagFilters" not in rule


def test_browsers_may_post_and_nothing_else() -> None:
    [rule] = load("ingest_cors.json")["CorsRules"]
    assert rule["AllowedMethods"] == ["POST"]


class Tagged(yaml.SafeLoader):
    """Reads CloudFormation's short tags as plain values."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    return {suffix: loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else None}


Tagged.add_multi_constructor("!", _tagged)


def test_the_deployment_uses_these_files_and_lets_nothing_be_public() -> None:
    text = (TOP / "serverless.yml").read_text()
    resources = yaml.load(text, Tagged)["resources"][0]["Resources"]
    bucket = resources["IngestBucket"]["Properties"]
    assert bucket["CorsConfiguration"] == "${file(infra/storage/ingest_cors.json)}"
    assert bucket["LifecycleConfiguration"] == "${file(infra/storage/ingest_lifecycle.json)}"
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert (
        resources["IngestBucketPolicy"]["Properties"]["PolicyDocument"] == "${file(infra/storage/ingest_policy.json)}"
    )
    assert resources["IngestQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == 3
