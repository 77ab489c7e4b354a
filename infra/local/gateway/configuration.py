"""The functions that `serverless.yml` deploys, as far as the gateway needs to know them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from infra.local.gateway.cors import Cors
from infra.local.gateway.document import load
from infra.local.gateway.queues import EventSource, event_sources

DEFAULT_TIMEOUT = 6  # seconds; the Serverless Framework's default, as is the memory
DEFAULT_MEMORY = 1024  # MB
DEFAULT_CORS_HEADERS = (
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "X-Amzn-Trace-Id",
)


@dataclass(frozen=True)
class Function:
    """One deployed function.

    `timeout` is in seconds, `memory` in MB, `handler` is `package.module.attribute`, and `code` names the
    folders of its code where they are not the handler's own and `shared`. `sources` are the queues it is invoked for.
    """

    name: str
    handler: str
    timeout: int = DEFAULT_TIMEOUT
    memory: int = DEFAULT_MEMORY
    environment: Mapping[str, str] = field(default_factory=dict)
    has_url: bool = False
    cors: Cors | None = None
    code: tuple[str, ...] = ()
    sources: tuple[EventSource, ...] = ()

    @property
    def module(self) -> str:
        """The dotted name of the module that holds the handler."""
        return self.handler.rpartition(".")[0]

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders, below the task root, whose code the function runs."""
        return self.code or (self.module.rpartition(".")[0].replace(".", "/"), "shared")


class Service:
    """The functions of one `serverless.yml`, read again whenever the file changes; `root` is its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.root = self.path.parent
        self._modified = 0
        self._functions: dict[str, Function] = {}

    @property
    def functions(self) -> Mapping[str, Function]:
        """Every function by its name."""
        modified = self.path.stat().st_mtime_ns
        if modified != self._modified:
            self._functions = parse(self.path.read_text())
            self._modified = modified
        return self._functions

    @property
    def url_functions(self) -> Mapping[str, Function]:
        """The functions that have a URL, by name."""
        return {name: function for name, function in self.functions.items() if function.has_url}


def parse(text: str) -> dict[str, Function]:
    """The functions of a `serverless.yml`, by name; of its variables only `${self:…}` is resolved."""
    document = load(text)
    return {name: _function(name, settings, document) for name, settings in (document.get("functions") or {}).items()}


def _function(name: str, own: Mapping[str, Any], document: Mapping[str, Any]) -> Function:
    provider = document.get("provider") or {}
    settings = {**provider, **own}
    url = settings.get("url")
    return Function(
        name=name,
        handler=str(settings["handler"]).replace("/", "."),
        timeout=_integer(settings.get("timeout"), DEFAULT_TIMEOUT),
        memory=_integer(settings.get("memorySize"), DEFAULT_MEMORY),
        environment={**_literals(provider.get("environment")), **_literals(settings.get("environment"))},
        has_url=bool(url),
        cors=_cors(url.get("cors")) if isinstance(url, dict) else None,
        sources=event_sources(own.get("events") or (), document),
    )


def _cors(settings: object) -> Cors | None:
    if not settings:
        return None
    given: Mapping[str, Any] = settings if isinstance(settings, dict) else {}
    listed = partial(_strings, given)
    return Cors(
        origins=listed("allowedOrigins", ("*",)),
        headers=listed("allowedHeaders", DEFAULT_CORS_HEADERS),
        methods=listed("allowedMethods", ("*",)),
        exposed=listed("exposedResponseHeaders", ()),
        max_age=given.get("maxAge"),
        credentials=given.get("allowCredentials") is True,
    )


def _strings(settings: Mapping[str, Any], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = settings.get(name, default)
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _integer(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _literals(variables: object) -> dict[str, str]:
    """Environment variables whose values need neither CloudFormation nor the command line."""
    if not isinstance(variables, dict):
        return {}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in variables.items()
        if isinstance(value, str | int | float) and "${" not in str(value)
    }
