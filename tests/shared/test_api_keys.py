"""API keys as credentials: whose they are, how long, who signs for them, and that nothing gives one away."""

import json
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import product
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from supabase import create_client

from infra.local.keys import Keys
from infra.local.stack import Stack
from shared import observability
from shared.identity import Credentials, api_keys
from shared.identity.tokens import signed_token
from shared.settings import settings
from tests.client import Client, event, invoke
from tests.faults import FaultyUpstream
from tests.people import User
from tests.programs import Program, prefix_of, program, program_of_nobody, revoke
from tests.storyboards import frame, png, storyboard, with_frames

Database = psycopg.Connection[Any]


def spoiled(key: str) -> list[str]:
    """Return what looks like the key, and is not it."""
    head, prefix, secret = key.split("_")
    other = "x" if secret[0] != "x" else "y"
    return [
        f"{head}_{prefix}_{other}{secret[1:]}",
        f"{head}_{prefix}_{secret[:-1]}{other if secret[-1] != other else 'z'}",
        f"{head}_{prefix}_{secret.swapcase()}",
        f"{head}_{'0' * 12}_{secret}",
        f"{head}_{prefix}_{secret[:-1]}",
        f"{head}_{prefix}_{secret}0",
        f"{head}_{prefix}",
        f"{prefix}_{secret}",
        f"VM_{prefix}_{secret}",
        f" {key[:-1]}",
        "vm__",
        "vm_' or 1=1 --_x",
        "é" * 60,
        "x" * 5000,
        api_keys._hash(key),
    ]


def test_only_the_very_key_is_the_key(alice: User) -> None:
    key = program(alice).key
    for wrong in spoiled(key):
        answer = Program(wrong).read("nothing")
        assert (answer.status, answer.code) == (401, "invalid_api_key"), wrong
        assert wrong not in answer.body.decode()
    assert Program(key).read("nothing").code == "session_not_found"


def test_a_key_counts_before_a_token_and_is_no_token_itself(alice: User, bob: User) -> None:
    key = program(alice)
    answer = alice.read("nothing", headers={"Authorization": f"Bearer {key.key}"})
    given = event("GET", query={"sessionId": "x"}, headers={"Authorization": f"Bearer {key.key}"})
    assert invoke("get_frames", given).code == "invalid_token"
    assert answer.status == 404, "the client's own token overrode the header"
    both = bob.save(storyboard(alice.subject), X_Api_Key=key.key)
    assert both.json["userId"] == alice.subject


def test_a_key_that_has_expired_says_so(alice: User, database: Database) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    key = program(alice, expiresAt=soon)
    assert key.read("nothing").code == "session_not_found"
    database.execute("update public.api_keys set expires_at = now() where prefix = %s", (prefix_of(key.key),))
    assert key.read("nothing").code == "invalid_api_key", "known to this process, refused by the database"
    api_keys._known.clear()
    assert (key.read("nothing").status, key.read("nothing").code) == (401, "api_key_expired")


def test_a_key_expires_in_a_process_that_knows_it(
    alice: User, monkeypatch: pytest.MonkeyPatch, function_environment: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(seconds=100)
    key = program(alice, expiresAt=later.isoformat())
    assert key.read("nothing").code == "session_not_found"
    monkeypatch.setattr(time, "time", later.timestamp)
    assert key.read("nothing").code == "api_key_expired"


def test_a_key_ends_with_its_owner(stack: Stack, keys: Keys, database: Database, new_user: Any) -> None:
    admin = create_client(stack.info["supabaseUrl"], keys.service_key).auth.admin
    for is_known in (True, False):
        session = create_client(stack.info["supabaseUrl"], keys.anon_key).auth.sign_in_anonymously().session
        assert session
        key = program(User(session.user.id, session.access_token))
        assert key.read("nothing").code == "session_not_found"
        banned = "update auth.users set banned_until = now() + %s * interval '1 hour' where id = %s"
        for hours, code in ((1, "invalid_api_key"), (-1, "session_not_found")):
            database.execute(banned, (hours, session.user.id))
            if not is_known:
                api_keys._known.clear()
            assert key.read("nothing").code == code
        admin.delete_user(session.user.id)
        assert key.read("nothing").code == "invalid_api_key"


def test_the_last_use_is_noted_once_a_minute(alice: User, database: Database) -> None:
    key = program(alice)

    def last_used() -> Any:
        api_keys._known.clear()
        assert key.read("nothing").status == 404
        return database.execute(
            "select last_used_at from public.api_keys where prefix = %s", (prefix_of(key.key),)
        ).fetchone()

    first = last_used()
    assert first[0] is not None
    assert last_used() == first
    shown = alice.get("api_keys").json["apiKeys"][0]["lastUsedAt"]
    assert datetime.fromisoformat(shown) == first[0]
    database.execute("update public.api_keys set last_used_at = now() - interval '61 seconds'")
    assert last_used() > first


def test_noting_the_use_waits_for_nobody(alice: User, database: Database) -> None:
    key = program(alice)
    with database.transaction():
        database.execute("select from public.api_keys where prefix = %s for update", (prefix_of(key.key),))
        assert key.read("nothing").status == 404


def test_a_known_key_is_not_looked_up_again(
    alice: User, stack: Stack, function_environment: pytest.MonkeyPatch
) -> None:
    key = program(alice)
    upstream = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_JWT_ISSUER", f"{stack.info['supabaseUrl']}/auth/v1")
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    try:
        for _ in range(3):
            assert key.read("nothing").status == 404
        assert sum("find_api_key" in one for one in upstream.seen) == 1
        with upstream.failing("/rest/v1/rpc/find_api_key", "error_500"):
            assert key.read("nothing").status == 404
            assert program_of_nobody().read("nothing").code == "database_unavailable"
    finally:
        upstream.close()


def test_a_key_counts_by_itself_and_for_its_owner(alice: User, database: Database) -> None:
    one, other = program(alice), program(alice)
    change = "update private.rate_limits set amount = %s, seconds = 86400 where policy = %s and work = 'read'"
    database.execute(change, (2, "key"))
    database.execute(change, (3, "user"))
    try:
        assert [one.read("x").status for _ in range(3)] == [404, 404, 429]
        assert '"key-read";r=0;t=' in one.read("x").headers["ratelimit"]
        assert [other.read("x").status for _ in range(2)] == [404, 429]
        assert '"user-read";r=0;t=' in other.read("x").headers["ratelimit"]
        assert alice.read("x").status == 429
    finally:
        database.execute(
            "update private.rate_limits set amount = 1200000, seconds = 60 where work = 'read' and policy <> 'guest'"
        )


# Who signs for a key.


@pytest.mark.usefixtures("signing_key")
def test_an_imported_key_signs_for_keys_and_guests(alice: User, guest: Client, keys: Keys) -> None:
    key = program(alice)
    token = Credentials(None, key.key).caller(None).token
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": keys.kid, "typ": "JWT"}
    uploaded = key.upload(png()).json
    saved = key.save(with_frames([frame(1, uploaded["imageUrl"])])).json
    assert key.read(saved["sessionId"]).status == 200
    assert guest.upload(png()).status == 200


def test_a_keys_token_lives_five_minutes_and_says_what_it_is(alice: User) -> None:
    key = program(alice, "read")
    token = Credentials(None, key.key).caller(None, needs="read").token
    said = jwt.decode(token, str(settings().jwt_secret), algorithms=["HS256"], audience="authenticated")
    assert said["exp"] - said["iat"] == 300
    assert (said["sub"], said["role"]) == (alice.subject, "authenticated")
    assert said["app_metadata"] == {"provider": "api_key", "key": prefix_of(key.key)}


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "{}", "[]", '{"kty":"oct","k":"c2VjcmV0","kid":"k"}', "public", "without kid", "P-384"],
)
def test_a_signing_key_that_cannot_sign_is_named(
    alice: User, signing_key: dict[str, Any], function_environment: pytest.MonkeyPatch, wrong: str
) -> None:
    changed = {
        "public": {name: value for name, value in signing_key.items() if name != "d"},
        "without kid": {name: value for name, value in signing_key.items() if name != "kid"},
        "P-384": {**signing_key, "alg": "ES384"},
    }
    given = json.dumps(changed[wrong]) if wrong in changed else wrong
    function_environment.setenv("SUPABASE_SIGNING_KEY", given)
    settings.cache_clear()
    answer = program_of_nobody().read("x")
    assert (answer.status, answer.code) == (503, "not_configured")
    assert "SUPABASE_SIGNING_KEY" in answer.json["detail"]


def test_without_anything_to_sign_with_there_are_no_keys(alice: User, function_environment: pytest.MonkeyPatch) -> None:
    function_environment.setenv("GUEST_ACCESS", "off")
    function_environment.delenv("SUPABASE_JWT_SECRET")
    settings.cache_clear()
    answer = program_of_nobody().read("x")
    assert (answer.status, answer.code) == (503, "not_configured")
    assert alice.read("x").status == 404


def test_an_rsa_key_can_sign_too(alice: User, function_environment: pytest.MonkeyPatch) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**RSAAlgorithm.to_jwk(private, as_dict=True), "kid": "r1", "alg": "RS256"}
    function_environment.setenv("SUPABASE_SIGNING_KEY", json.dumps(jwk))
    settings.cache_clear()
    token = signed_token({"provider": "api_key", "key": "x"}, sub=alice.subject)
    assert (
        jwt.decode(token, private.public_key(), algorithms=["RS256"], audience="authenticated")["sub"] == alice.subject
    )


# What gives nothing away.


def test_only_who_signs_tokens_can_look_a_key_up(alice: User, bob: User, keys: Keys, claims: Any) -> None:
    key = program(alice).key
    url = f"{settings().supabase_url}/rest/v1/rpc/find_api_key"
    metadata = {"provider": "api_key", "key": prefix_of(key), "hash": api_keys._hash(key)}

    def look_up(token: str) -> httpx.Response:
        headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {token}"}
        return httpx.post(url, json={}, headers=headers)

    assert look_up(keys.sign(claims(app_metadata=metadata))).json()["user_id"] == alice.subject
    assert look_up(settings().anon_key).status_code == 401
    assert look_up(bob.token or "").status_code == 401
    written_by_users = keys.sign(claims(user_metadata=metadata, app_metadata={"provider": "email"}))
    assert look_up(written_by_users).status_code == 401
    for wrong in ({"hash": "0" * 64}, {"hash": None}, {"key": "0" * 12}, {"key": None}, {"provider": "guest"}):
        assert look_up(keys.sign(claims(app_metadata=metadata | wrong))).status_code == 401, wrong


@pytest.fixture
def log(function_environment: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """All that the functions write, to the log and elsewhere."""
    written = StringIO()
    before = observability._stream.setStream(written)
    with redirect_stdout(written):
        yield written
    if before:
        observability._stream.setStream(before)


def test_a_key_is_in_no_log_line_wherever_it_was_put(
    alice: User, log: StringIO, stack: Stack, function_environment: pytest.MonkeyPatch
) -> None:
    key = program(alice).key
    upstream = FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_JWT_ISSUER", f"{stack.info['supabaseUrl']}/auth/v1")
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    places: list[tuple[Client, dict[str, Any]]] = [
        (Program(key), {}), (Program(f"{key}x"), {}), (Program(f"Bearer {key}"), {}),
        (Client(key), {}), (alice, {"sessionId": key}), (alice, {"userId": key}), (alice, {"cursor": key}),
        (alice, {"apiKey": key}),
    ]  # fmt: skip
    for fault, (client, query) in product((None, "error_500", "error_502_html", "cut_before"), places):
        api_keys._known.clear()
        if fault:
            upstream.faults["/rest/"] = fault
        client.get("get_frames", **{"sessionId": "x", **query})
        client.post("save_frames", {"sessionId": key, "frames": key, "userId": key, key: key})
        client.post("api_keys", {"name": 5, "scopes": [key], "userId": key})
        revoke(client, key)
        upstream.faults.clear()
    upstream.close()
    lines = log.getvalue()
    assert lines.count("\n") > 50
    secret = key.split("_")[2]
    assert secret not in lines
    assert api_keys._hash(key) not in lines
    assert all(one not in lines for one in ("eyJ", str(alice.token)))


def test_a_key_is_in_no_error_answer(alice: User) -> None:
    key = program(alice).key
    for answer in (
        alice.post("api_keys", {"name": "n", "scopes": [key]}),
        Program(f"{key}x").read("x"),
        revoke(alice, key),
        alice.read(key),
        Program(key).read("x", userId=key),
    ):
        assert answer.status >= 400
        assert key.split("_")[2] not in answer.body.decode()
