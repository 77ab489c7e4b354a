"""Every environment variable, typed, parsed once at first use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, cast

from shared.errors import AppError

MEDIA_BUCKET: Final = "videomaker"

# The first name that is set counts. A front end's own names are understood too.
_SUPABASE_URL: Final = ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL")
_ANON_KEY: Final = ("SUPABASE_ANON_KEY", "NEXT_PUBLIC_SUPABASE_ANON_KEY")


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """Where AWS is, and as whom; Lambda sets all but the endpoint, which is for S3's stand-ins."""

    region: str
    endpoint_url: str | None
    access_key_id: str
    secret_access_key: str
    session_token: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose. Keys may be legacy JWTs or `sb_publishable_…` and `sb_secret_…`."""

    supabase_url: str
    """Base URL of the project, without a trailing slash."""
    anon_key: str
    service_key: str | None
    """Only functions that may pass row level security by have it."""
    jwt_secret: str | None
    """The legacy HS256 secret: verifies HS256 tokens, and signs those of guests and API keys."""
    signing_key: str | None
    """A private JWK that the project trusts: signs the tokens of guests and API keys instead of the legacy secret."""
    jwt_issuer: str
    guest_access: bool
    guest_secret: str | None
    """Turns a guest's id into its subject; changing it cuts all guests off from their data."""
    rate_limits: bool
    redis_url: str | None
    trusted_proxies: int
    """How many proxies in front of the functions name the address that they were asked from."""
    ingest_bucket: str
    """The private S3 bucket for direct uploads."""
    render_queue_url: str | None
    """The SQS queue of clips to render."""
    merge_queue_url: str | None
    """The SQS queue of videos whose clips are all there."""
    storage_webhook_secret: str | None
    """What Supabase's Database Webhook proves itself with."""
    watch_url: str | None
    """Where the public reaches `watch`, without a trailing slash; share links begin with it."""
    webhook_queue_url: str | None
    """The SQS queue of deliveries that are due."""
    webhook_allow_private: bool
    """Whether webhooks may go to private addresses, and unencrypted: for receivers on the machine itself."""
    bucket_access: Literal["public", "private"]
    signed_url_seconds: int
    aws: AwsSettings


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Under which names this process tells of itself, and whom. Read apart: wrong settings cannot silence it."""

    function: str | None
    """The deployed function's name; the code knows its own, shorter one."""
    stage: str | None
    release: str
    """What was deployed: a version or a commit."""
    sentry_dsn: str | None
    """Where failures are told of."""


@lru_cache(maxsize=1)
def telemetry() -> Telemetry:
    """Return under which names this process tells of itself."""
    return read_telemetry(os.environ)


def read_telemetry(environment: Mapping[str, str]) -> Telemetry:
    """Parse what the variables of `environment` say of telemetry; never raises."""
    return Telemetry(
        function=environment.get("AWS_LAMBDA_FUNCTION_NAME") or None,
        stage=environment.get("STAGE") or None,
        release=environment.get("RELEASE") or environment.get("AWS_LAMBDA_FUNCTION_VERSION") or "unknown",
        sentry_dsn=environment.get("SENTRY_DSN") or None,
    )


def trace_header() -> str | None:
    """Return X-Ray's header of the present invocation, which Lambda's runtime keeps in the environment."""
    return os.environ.get("_X_AMZN_TRACE_ID")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process; raises `not_configured` naming what is missing or wrong."""
    return read_settings(os.environ)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Parse the settings from the variables of `environment`."""
    url = _required(environment, _SUPABASE_URL).rstrip("/")
    found = Settings(
        supabase_url=url,
        anon_key=_required(environment, _ANON_KEY),
        service_key=environment.get("SUPABASE_SERVICE_KEY") or None,
        jwt_secret=environment.get("SUPABASE_JWT_SECRET") or None,
        signing_key=environment.get("SUPABASE_SIGNING_KEY") or None,
        jwt_issuer=environment.get("SUPABASE_JWT_ISSUER") or f"{url}/auth/v1",
        guest_access=_choice(environment, "GUEST_ACCESS", "off", ("on", "off")) == "on",
        guest_secret=environment.get("GUEST_SECRET") or None,
        rate_limits=_choice(environment, "RATE_LIMITS", "on", ("on", "off")) == "on",
        redis_url=_redis_url(environment),
        trusted_proxies=_number(environment, "TRUSTED_PROXIES", default=0, least=0),
        ingest_bucket=environment.get("INGEST_BUCKET") or "videomaker-ingest",
        render_queue_url=environment.get("RENDER_QUEUE_URL") or None,
        merge_queue_url=environment.get("MERGE_QUEUE_URL") or None,
        storage_webhook_secret=environment.get("STORAGE_WEBHOOK_SECRET") or None,
        watch_url=(environment.get("WATCH_URL") or "").rstrip("/") or None,
        webhook_queue_url=environment.get("WEBHOOK_QUEUE_URL") or None,
        webhook_allow_private=_choice(environment, "WEBHOOK_ALLOW_PRIVATE", "off", ("on", "off")) == "on",
        bucket_access=cast(
            Literal["public", "private"],
            _choice(environment, "BUCKET_ACCESS", "public", ("public", "private")),
        ),
        signed_url_seconds=_number(environment, "SIGNED_URL_SECONDS", default=3600, least=1),
        aws=AwsSettings(
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
            endpoint_url=(environment.get("AWS_ENDPOINT_URL") or "").rstrip("/") or None,
            access_key_id=environment.get("AWS_ACCESS_KEY_ID") or "",
            secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY") or "",
            session_token=environment.get("AWS_SESSION_TOKEN") or None,
        ),
    )
    if found.guest_access and not (found.guest_secret and (found.jwt_secret or found.signing_key)):
        raise AppError(
            "not_configured", "GUEST_ACCESS=on needs GUEST_SECRET, and SUPABASE_JWT_SECRET or SUPABASE_SIGNING_KEY."
        )
    return found


def _required(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if environment.get(name):
            return environment[name]
    raise AppError("not_configured", f"{names[0]} is not set.")


def _choice(environment: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = environment.get(name) or default
    if value not in choices:
        raise AppError("not_configured", f"{name} must be one of: {', '.join(choices)}.")
    return value


def _redis_url(environment: Mapping[str, str]) -> str | None:
    value = environment.get("REDIS_URL") or None
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise AppError("not_configured", "REDIS_URL must begin with redis://, rediss:// or unix://.")
    return value


def _number(environment: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    value = environment.get(name) or str(default)
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise AppError("not_configured", f"{name} must be a whole number of {least} or more.")
    return int(value)
