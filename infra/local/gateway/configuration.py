"""The functions that `serverless.yml` deploys, as far as the gateway needs to know them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from infra.local.gateway.cors import Cors

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
_REFERENCE = re.compile(r"\$\{self:([\w.\-]+)(?:,\s*(?:'([^']*)'|\"([^\"]*)\"|([\w.\-]+)))?\}")


@dataclass(frozen=True)
class Function:
    """One deployed function.

    `timeout` is in seconds, `memory` in MB, `handler` is `package.module.attribute`, and `code` names the
    folders of its code where they are not the handler's own and `shared`.
    """

    name: str
    handler: str
    timeout: int = DEFAULT_TIMEOUT
    memory: int = DEFAULT_MEMORY
    environment: Mapping[str, str] = field(default_factory=dict)
    has_url: bool = False
    cors: Cors | None = None
    code: tuple[str, ...] = ()

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
    document = yaml.load(text, _Loader) or {}  # noqa: S506 - derives from SafeLoader
    resolved = _resolve(document, document)
    provider = resolved.get("provider") or {}
    return {
        name: _function(name, {**provider, **settings}, provider.get("environment"))
        for name, settings in (resolved.get("functions") or {}).items()
    }


def _function(name: str, settings: Mapping[str, Any], shared_environment: object) -> Function:
    url = settings.get("url")
    return Function(
        name=name,
        handler=str(settings["handler"]).replace("/", "."),
        timeout=_integer(settings.get("timeout"), DEFAULT_TIMEOUT),
        memory=_integer(settings.get("memorySize"), DEFAULT_MEMORY),
        environment={**_literals(shared_environment), **_literals(settings.get("environment"))},
        has_url=bool(url),
        cors=_cors(url.get("cors")) if isinstance(url, dict) else None,
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


def _resolve(node: Any, document: Any, depth: int = 0) -> Any:
    if depth > 50:
        raise ValueError("serverless.yml: a ${self:…} reference leads back to itself")
    if isinstance(node, dict):
        return {key: _resolve(value, document, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_resolve(value, document, depth + 1) for value in node]
    if not isinstance(node, str):
        return node
    if whole := _REFERENCE.fullmatch(node):
        target = _look_up(whole, document)
        return target if target == node else _resolve(target, document, depth + 1)
    return _REFERENCE.sub(lambda match: str(_resolve(_look_up(match, document), document, depth + 1)), node)


def _look_up(reference: re.Match[str], document: Any) -> Any:
    """The value referred to, else the reference's default, else the reference itself."""
    value = document
    for key in reference[1].split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is not None:
        return value
    return next((default for default in reference.groups()[1:] if default is not None), reference[0])


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref`, `!GetAtt`, `!Sub`) as opaque values."""


def _opaque(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, str]:
    return {f"!{suffix}": str(node.value)}


_Loader.add_multi_constructor("!", _opaque)

# The framework reads YAML 1.2, where only these are booleans; to PyYAML `off` and `on` are, too.
_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
