"""The whole local stack: PostgreSQL, PostgREST, the Supabase stand-in, S3 and SQS, and the function gateway."""

import os
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local import postgres, postgrest
from infra.local.keys import Keys
from infra.local.processes import Processes, Program, answers
from infra.local.state import TOP, StackError, State, write_json
from infra.migrate import migrate

DEFAULT_PORT = 8787
TOKEN_SECONDS = 86_400
STOP_ORDER = ("gateway", "supabase", "postgrest", "aws", "postgres")
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
# Settings of the functions that a developer may give on the command line.
SETTINGS = (
    "BUCKET_ACCESS",
    "GUEST_ACCESS",
    "RATE_LIMITS",
    "REDIS_URL",
    "SENTRY_DSN",
    "SIGNED_URL_SECONDS",
    "WATCH_URL",
    "WEBHOOK_ALLOW_PRIVATE",
)
INGEST_BUCKET = "videomaker-ingest"
AWS_ACCOUNT_ID = "123456789012"  # moto's
AWS_ACCOUNT = {  # moto takes any
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Stack:
    """A context manager: the stack serves inside the `with`, and nothing of it runs afterwards.

    `port` is the gateway's: None means the environment's PORT or 8787, 0 any free one. Everything that shall be
    there again at the next start lies in `state`. Entering raises StackError when the stack cannot start.
    """

    def __init__(self, state: Path, port: int | None = None) -> None:
        self.folder = state
        self._port = _chosen_port() if port is None else port

    def __enter__(self) -> Self:
        self._state = State(self.folder)
        with ExitStack() as undo:
            undo.enter_context(self._state.locked())
            self._processes = Processes(self._state.processes_file, self._state.logs)
            self._processes.end_leftovers()
            undo.callback(self._stop)
            self._start()
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def info(self) -> dict[str, str]:
        """What clients need, as written to `<state>/stack.json` while the stack runs."""
        keys = self.keys
        return {
            "apiUrl": self._url("gateway"),
            "supabaseUrl": self._url("supabase"),
            "anonKey": keys.anon_key,
            "serviceKey": keys.service_key,
            "databaseUrl": self._cluster.url("postgres"),
            "awsEndpointUrl": self._url("aws"),
        }

    @property
    def keys(self) -> Keys:
        """The keys that access tokens are signed with."""
        return self._state.keys()

    def access_token(self, subject: str | None = None, **claims: object) -> str:
        """An access token of a day, as Supabase Auth would issue it: of this user, or of one who is new."""
        now = int(time.time())
        common = {"role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + TOKEN_SECONDS}
        issuer = f"{self.info['supabaseUrl']}/auth/v1"
        return self.keys.sign({**common, "iss": issuer, "sub": subject or str(uuid.uuid4()), **claims})

    @property
    def superuser_url(self) -> str:
        """A database URL past all privileges and policies."""
        return self._cluster.url(postgres.SUPERUSER)

    def function_environment(self) -> dict[str, str]:
        """The environment that the functions run in."""
        return function_environment(self._state, self.info)

    def watch(self) -> None:
        """Raises StackError, with the end of its log, if a child has ended by itself."""
        self._processes.raise_for_dead()

    def stop_child(self, name: str) -> None:
        """Ends one of STOP_ORDER, as an outage would."""
        self._processes.stop(name)

    def start_child(self, name: str) -> None:
        """Starts a child again, ending it first where it runs, and returns once it serves."""
        self._processes.stop(name)
        self._processes.start(self._program(name))
        self._processes.wait_ready(name)

    def pid_of(self, name: str) -> int:
        """The process id of a child that runs."""
        return self._processes.pid_of(name)

    def pause_child(self, name: str) -> None:
        """Freezes a child: connections to it open, and nothing answers."""
        self._processes.pause(name)

    def resume_child(self, name: str) -> None:
        """Lets a paused child go on."""
        self._processes.resume(name)

    def _start(self) -> None:
        self._state.stack_file.unlink(missing_ok=True)
        self._state.function_log.unlink(missing_ok=True)
        self._ports = self._state.ports(self._port)
        self._cluster = postgres.open_cluster(self._state, self._ports["postgres"])
        self._launch("aws", "gateway")
        new = self._cluster.create_cluster()
        self._launch("postgres")
        self._processes.wait_ready("postgres")
        self._cluster.bootstrap(self._state.path / "bootstrap.sha256", new=new)
        webhook = f"{self._url('gateway')}/api/storage_webhook", self._state.secrets().storage_webhook_secret
        bucket_access = os.environ.get("BUCKET_ACCESS")
        migrate(self._cluster.url("postgres"), bucket_access=bucket_access, storage_webhook=webhook)
        self._launch("postgrest", "supabase")
        self._processes.wait_ready(*STOP_ORDER)
        write_json(self._state.stack_file, self.info)

    def _stop(self) -> None:
        self._state.stack_file.unlink(missing_ok=True)
        for name in STOP_ORDER:
            self._processes.stop(name)

    def _launch(self, *names: str) -> None:
        for name in names:
            self._processes.start(self._program(name))

    def _program(self, name: str) -> Program:
        match name:
            case "postgres":
                return self._cluster.program()
            case "postgrest":
                url = self._cluster.url("authenticator")
                return postgrest.program(self._state, url, self._ports["postgrest"], self._ports["postgrest_admin"])
            case "aws":
                return self._module("aws", self.function_environment(), "/health")
            case "supabase":
                return self._module("supabase", self._supabase_environment(), "/health")
            case "gateway":
                own = {"PORT": str(self._ports["gateway"]), "GATEWAY_LOG": str(self._state.function_log)}
                environment = {**self.function_environment(), **own}
                return self._module("gateway", environment, "/health")
        raise ValueError(f"The stack has no child {name!r}, only {', '.join(STOP_ORDER)}.")

    def _module(self, name: str, environment: Mapping[str, str], health: str) -> Program:
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        python = {"PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"}
        no_own_aws = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return Program(
            name=name,
            command=[sys.executable, "-m", f"infra.local.{name}"],
            environment={**inherited, **python, **no_own_aws, **environment},
            ready=answers(self._ports[name], health),
            folder=TOP,
        )

    def _supabase_environment(self) -> dict[str, str]:
        return {
            "LISTEN_PORT": str(self._ports["supabase"]),
            "PUBLIC_URL": self._url("supabase"),
            "DATABASE_URL": self._cluster.url("supabase_storage_admin"),
            "AUTH_DATABASE_URL": self._cluster.url("supabase_auth_admin"),
            "POSTGREST_URL": self._url("postgrest"),
            "KEYS_FILE": str(self._state.keys_file),
            "OBJECTS_DIR": str(self._state.objects),
        }

    def _url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._ports[service]}"


def _chosen_port() -> int:
    port = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise StackError(f"PORT={port} is no port number.")
    return int(port)


def function_environment(state: State, info: Mapping[str, str]) -> dict[str, str]:
    """What the functions of a stack with this `info` are given; nothing of the developer's own AWS account is in it."""
    chosen = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    return {
        "SUPABASE_URL": info["supabaseUrl"],
        "SUPABASE_ANON_KEY": info["anonKey"],
        "SUPABASE_SERVICE_KEY": info["serviceKey"],
        "SUPABASE_JWT_SECRET": state.keys().jwt_secret,
        "GUEST_ACCESS": "on",
        "GUEST_SECRET": state.secrets().guest_secret,
        "STORAGE_WEBHOOK_SECRET": state.secrets().storage_webhook_secret,
        "WATCH_URL": f"{info['apiUrl']}/api/watch",
        "AWS_ENDPOINT_URL": info["awsEndpointUrl"],
        "INGEST_BUCKET": INGEST_BUCKET,
        "RENDER_QUEUE_URL": f"{info['awsEndpointUrl']}/{AWS_ACCOUNT_ID}/videomaker-render",
        "MERGE_QUEUE_URL": f"{info['awsEndpointUrl']}/{AWS_ACCOUNT_ID}/videomaker-merge",
        "WEBHOOK_QUEUE_URL": f"{info['awsEndpointUrl']}/{AWS_ACCOUNT_ID}/videomaker-webhooks",
        "WEBHOOK_ALLOW_PRIVATE": "on",
        **AWS_ACCOUNT,
        **chosen,
    }
