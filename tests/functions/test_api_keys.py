"""api_keys: issued, listed, revoked; and what each key may do, everywhere."""

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import product
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from infra.local.keys import Keys, _load
from infra.local.stack import Stack
from shared.errors import AppError
from shared.identity import Credentials, api_keys
from shared.identity.tokens import signed_token
from shared.settings import settings
from tests.client import Answer, Client, event, invoke
from tests.faults import FaultyUpstream
from tests.people import User
from tests.storyboards import frame, png, storyboard, with_frames

Database = psycopg.Connection[Any]
SCOPES = ("read", "write", "render")


class Program(Client):
    """A client that has an API key and nothing else."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def _headers(self, more: Any) -> dict[str, str]:
        return {"X-Api-Key": self.key} | super()._headers(more)


def issue(user: Client, *scopes: str, **more: object) -> Answer:
    headers = more.pop("headers", {})
    body = {"name": "A program", "scopes": list(scopes or SCOPES), **more}
    return user.post("api_keys", body, **headers)  # type: ignore[arg-type]


def program(user: User, *scopes: str, **more: object) -> Program:
    answer = issue(user, *scopes, **more)
    assert answer.status == 200, answer.body
    return Program(answer.json["key"])


def listed(user: Client, **query: Any) -> Answer:
    return user.get("api_keys", **query)


def revoke(user: Client, prefix: str) -> Answer:
    given = event("DELETE", "/api/api_keys", query={"prefix": prefix}, headers=user._headers({}))
    return invoke("api_keys", given)


def prefix_of(key: str) -> str:
    return key.split("_")[1]


# Managing keys.


def test_a_key_is_shown_once_and_only_its_hash_is_kept(alice: User, database: Database) -> None:
    answer = issue(alice, "write", "read", name=" Nightly import ", userId=alice.subject)
    assert answer.status == 200
    key, shown = answer.json["key"], answer.json["apiKey"]
    assert re.fullmatch(r"vm_[a-z0-9]{12}_[A-Za-z0-9]{43}", key)
    assert shown == {
        "prefix": prefix_of(key), "name": "Nightly import", "scopes": ["read", "write"], "expiresAt": None,
        "lastUsedAt": None, "createdAt": shown["createdAt"],
    }  # fmt: skip
    assert listed(alice).json == {"success": True, "apiKeys": [shown], "nextCursor": None}
    everything = "select string_agg(t::text, '') from public.api_keys t where user_id = %s"
    found = database.execute(everything, (alice.subject,)).fetchone()
    assert found
    assert key.split("_")[2] not in found[0]
    assert api_keys._hash(key) in found[0]


def test_no_two_keys_are_alike(alice: User) -> None:
    keys = [program(alice).key for _ in range(5)]
    assert len({key.split("_")[1] for key in keys}) == len({key.split("_")[2] for key in keys}) == 5


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": None}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes[0]"),
        ({"scopes": "read"}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2099-01-01T00:00:00"}, "expiresAt"),
        ({"expiresAt": "9999-12-31T23:59:59-12:00"}, "expiresAt"),
        ({"expiresAt": "soon"}, "expiresAt"),
        ({"expiresAt": "infinity"}, "expiresAt"),
        ({"expiresAt": 1e300}, "expiresAt"),
    ],
)
def test_a_wish_that_makes_no_sense_names_its_field(alice: User, wrong: dict[str, object], path: str) -> None:
    answer = alice.post("api_keys", {"name": "n", "scopes": ["read"], **wrong})
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]
    assert listed(alice).json["apiKeys"] == []


def test_keys_are_listed_newest_first_and_paged(alice: User, bob: User) -> None:
    names = [f"key {number}" for number in range(5)]
    for name in names:
        issue(alice, name=name)
    issue(bob)
    found, cursor = [], None
    while True:
        page = listed(alice, limit=2, **({"cursor": cursor} if cursor else {})).json
        found += [one["name"] for one in page["apiKeys"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == names[::-1]
    assert listed(alice, cursor="nonsense").code == "invalid_cursor"


def test_the_same_idempotency_key_issues_one_key_and_shows_it_once(alice: User) -> None:
    first, again = (issue(alice, "read", headers={"Idempotency_Key": "k"}).json for _ in range(2))
    assert again["apiKey"] == first["apiKey"]
    assert (first["key"] is None, again["key"]) == (False, None)
    assert len(listed(alice).json["apiKeys"]) == 1
    assert issue(alice, "write", headers={"Idempotency_Key": "k"}).code == "idempotency_key_reused"


def test_a_caller_has_as_many_keys_as_its_quota_allows(alice: User, bob: User, database: Database) -> None:
    database.execute("update private.quotas set amount = 2 where name = 'api_keys'")
    try:
        assert [issue(alice).status for _ in range(3)] == [200, 200, 403]
        assert issue(alice).json["quota"] == "api_keys"
        assert issue(bob).status == 200
        revoke(alice, listed(alice).json["apiKeys"][0]["prefix"])
        assert issue(alice).status == 200
    finally:
        database.execute("update private.quotas set amount = 50 where name = 'api_keys'")


def test_keys_are_for_signed_in_users_to_manage(alice: User, guest: Client) -> None:
    prefix = prefix_of(program(alice).key)
    assert [issue(guest).code, listed(guest).code, revoke(guest, prefix).code] == ["authentication_required"] * 3
    named = Client()
    assert issue(named, userId="guest_" + "0" * 32).code == "authentication_required"


def test_a_key_cannot_manage_keys_whatever_its_scopes(alice: User) -> None:
    key = program(alice)
    for answer in (issue(key), listed(key), revoke(key, prefix_of(key.key))):
        assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert len(listed(alice).json["apiKeys"]) == 1


def test_somebody_elses_key_can_be_neither_seen_nor_revoked(alice: User, bob: User) -> None:
    key = program(alice)
    assert listed(bob).json["apiKeys"] == []
    absent, foreign = revoke(bob, "000000000000"), revoke(bob, prefix_of(key.key))
    assert (absent.status, absent.code) == (foreign.status, foreign.code) == (404, "api_key_not_found")
    assert absent.json["detail"] == foreign.json["detail"]
    assert key.read("nothing").code == "session_not_found"
    assert issue(bob, userId=alice.subject).code == "user_mismatch"


# Using keys.


def test_a_key_uploads_saves_and_reads_as_its_owner(alice: User) -> None:
    key = program(alice)
    uploaded = key.upload(png()).json
    assert uploaded["userId"] == alice.subject
    assert f"/{alice.subject}/frames/" in uploaded["imageUrl"]
    data = "data:image/png;base64," + base64.b64encode(png(40, 40)).decode()
    saved = key.save(with_frames([frame(1, uploaded["imageUrl"]), frame(2, data)])).json
    assert key.read(saved["sessionId"], userId=alice.subject).json == alice.read(saved["sessionId"]).json
    ticket = key.post("create_upload", {"files": [{"frameId": 1, "contentType": "image/png", "bytes": 10}]}).json
    upload_id = ticket["uploads"][0]["uploadId"]
    assert key.get("create_upload", uploadId=upload_id).json["status"] == "waiting"
    assert alice.get("create_upload", uploadId=upload_id).status == 200


def test_a_key_sees_nothing_that_its_owner_does_not(alice: User, bob: User) -> None:
    given = storyboard(bob.subject)
    bob.save(given)
    key = program(alice)
    assert key.read(given["sessionId"]).code == "session_not_found"
    assert key.save(given).code == "foreign_image_url" or key.save(given).status == 404
    assert key.read(given["sessionId"], userId=bob.subject).code == "user_mismatch"
    assert key.upload(png(), user_id=bob.subject).code == "user_mismatch"


@dataclass(frozen=True)
class Endpoint:
    """One verb of one function that takes API keys: the scope it needs, and a good request."""

    function: str
    scope: str
    call: Callable[[Client, dict[str, Any]], Answer] = field(repr=False)


ENDPOINTS = [
    Endpoint("upload_image", "write", lambda client, _: client.upload(png())),
    Endpoint("save_frames", "write", lambda client, given: client.save(given)),
    Endpoint(
        "save_frames",
        "write",
        lambda client, _: client.save(
            with_frames([frame(1, "data:image/png;base64," + base64.b64encode(png()).decode())])
        ),
    ),
    Endpoint("get_frames", "read", lambda client, given: client.read(given["sessionId"])),
    Endpoint(
        "create_upload",
        "write",
        lambda client, _: client.post(
            "create_upload", {"files": [{"frameId": 1, "contentType": "image/png", "bytes": 10}]}
        ),
    ),
    Endpoint("create_upload", "read", lambda client, given: client.get("create_upload", uploadId=given["uploadId"])),
]
COMBINATIONS = [("read",), ("write",), ("render",), ("read", "write"), ("write", "render"), ("read", "render"), SCOPES]


@pytest.fixture
def stored(alice: User) -> dict[str, Any]:
    """A saved storyboard, and an upload."""
    given = storyboard(alice.subject)
    alice.save(given)
    files = [{"frameId": 1, "contentType": "image/png", "bytes": 10}]
    upload = alice.post("create_upload", {"files": files}).json["uploads"][0]
    return {**given, "uploadId": upload["uploadId"]}


@pytest.mark.parametrize("scopes", COMBINATIONS, ids="+".join)
def test_each_scope_opens_its_endpoints_and_no_other(alice: User, stored: dict[str, Any], scopes: tuple[str]) -> None:
    key = program(alice, *scopes)
    for endpoint in ENDPOINTS:
        answer = endpoint.call(key, stored)
        if endpoint.scope in scopes:
            assert answer.status == 200, (endpoint, answer.body)
        else:
            assert (answer.status, answer.code) == (403, "insufficient_scope"), endpoint
            assert answer.json["scope"] == endpoint.scope


def test_what_needs_rendering_needs_the_scope_to_render(alice: User) -> None:
    for scopes in COMBINATIONS:
        credentials = Credentials(None, program(alice, *scopes).key)
        if "render" in scopes:
            assert credentials.caller(None, needs="render").subject == alice.subject
        else:
            with pytest.raises(AppError, match="insufficient_scope"):
                credentials.caller(None, needs="render")


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


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.function}-{one.scope}")
def test_a_revoked_key_ends_at_once(alice: User, stored: dict[str, Any], endpoint: Endpoint, *, is_known: bool) -> None:
    key = program(alice)
    if is_known:
        assert endpoint.call(key, stored).status == 200
    assert revoke(alice, prefix_of(key.key)).json == {"success": True, "prefix": prefix_of(key.key)}
    answer = endpoint.call(key, stored)
    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert revoke(alice, prefix_of(key.key)).code == "api_key_not_found"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.function}-{one.scope}")
@pytest.mark.usefixtures("counted_in_redis")
def test_a_revoked_key_does_nothing_even_where_the_database_does_not_count(
    alice: User, stored: dict[str, Any], endpoint: Endpoint
) -> None:
    key = program(alice)
    assert endpoint.call(key, stored).status == 200
    revoke(alice, prefix_of(key.key))
    answer = endpoint.call(key, {**stored, "mood": "another"})
    assert answer.status in (401, 403, 404), answer.body
    api_keys._known.clear()
    assert endpoint.call(key, stored).code == "invalid_api_key"


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
    shown = listed(alice).json["apiKeys"][0]["lastUsedAt"]
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


def program_of_nobody() -> Program:
    return Program(api_keys.new_key().text)


# Limits.


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


@pytest.fixture
def signing_key(keys: Keys, function_environment: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give the functions the project's own ES256 key, as one that was imported, and no legacy secret."""
    jwk = {**ECAlgorithm.to_jwk(_load(keys.es256_private_pem), as_dict=True), "kid": keys.kid, "alg": "ES256"}
    function_environment.setenv("SUPABASE_SIGNING_KEY", json.dumps(jwk))
    function_environment.delenv("SUPABASE_JWT_SECRET")
    settings.cache_clear()
    return jwk


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
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**RSAAlgorithm.to_jwk(private, as_dict=True), "kid": "r1", "alg": "RS256"}
    function_environment.setenv("SUPABASE_SIGNING_KEY", json.dumps(jwk))
    settings.cache_clear()
    token = signed_token({"provider": "api_key", "key": "x"}, sub=alice.subject)
    assert (
        jwt.decode(token, private.public_key(), algorithms=["RS256"], audience="authenticated")["sub"] == alice.subject
    )


# Looking a key up needs more than its hash.


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


# Keys and logs.


@pytest.fixture
def log(function_environment: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """All that the functions write, to the log and elsewhere."""
    from shared import observability  # noqa: PLC0415

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


def test_nobody_issues_a_key_for_another_at_the_database_itself(alice: User, bob: User) -> None:
    url = f"{settings().supabase_url}/rest/v1/api_keys"
    row = {
        "prefix": uuid.uuid4().hex[:12],
        "key_hash": "0" * 64,
        "user_id": alice.subject,
        "name": "n",
        "scopes": ["read"],
    }

    def post(token: str, **changed: object) -> int:
        headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {token}"}
        return httpx.post(url, json=row | changed, headers=headers).status_code

    by_key = Credentials(None, program(alice).key).caller(None).token
    by_guest = Credentials(None, None).caller(None)
    assert post(bob.token or "") == 403
    assert post(by_key) == 403
    assert post(by_guest.token, user_id=by_guest.subject) == 403
    wrongs: list[dict[str, object]] = [
        {"scopes": ["admin"]}, {"scopes": []}, {"prefix": "UPPER"}, {"key_hash": "x"}, {"last_used_at": "now()"},
        {"expires_at": "infinity"},
    ]  # fmt: skip
    for wrong in wrongs:
        assert post(alice.token or "", **wrong) in (400, 403), wrong
    assert post(alice.token or "") == 201
    headers = {"apikey": settings().anon_key, "Authorization": f"Bearer {alice.token}"}
    assert httpx.get(url, params={"select": "key_hash"}, headers=headers).status_code == 403
    assert httpx.patch(url, json={"scopes": ["read"]}, params={"prefix": "neq."}, headers=headers).status_code == 403
