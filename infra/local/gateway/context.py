"""What Lambda gives a function besides its event: the context object and the environment variables."""

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.gateway.configuration import Function

ACCOUNT = "000000000000"
VERSION = "$LATEST"


@dataclass(frozen=True)
class LambdaContext:
    """The second argument of a handler, with the attributes that Lambda's Python runtime documents."""

    function: Function
    aws_request_id: str
    log_stream_name: str = "local"
    client_context: None = None
    identity: None = None
    _started: float = field(default_factory=time.monotonic)

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def function_version(self) -> str:
        """Always the unpublished version."""
        return VERSION

    @property
    def memory_limit_in_mb(self) -> str:
        """The memory in MB: a string, as Lambda has it."""
        return str(self.function.memory)

    @property
    def invoked_function_arn(self) -> str:
        """The function's Amazon resource name, in an account that does not exist."""
        return f"arn:aws:lambda:{region()}:{ACCOUNT}:function:{self.function.name}"

    @property
    def log_group_name(self) -> str:
        """The name of the CloudWatch log group."""
        return f"/aws/lambda/{self.function.name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function times out, never below 0."""
        return max(0, int((self._started + self.function.timeout - time.monotonic()) * 1000))


def environment_variables(function: Function, root: Path) -> dict[str, str]:
    """The variables that Lambda sets, and those of `serverless.yml` that are not set here already."""
    configured = {name: value for name, value in function.environment.items() if name not in os.environ}
    return configured | {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": VERSION,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": region(),
        "LAMBDA_TASK_ROOT": str(root),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }


def region() -> str:
    """The region that the functions believe to be in."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
