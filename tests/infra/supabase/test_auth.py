"""The local Auth server, as the `supabase` package and plain HTTP see it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from supabase import Client, create_client
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from infra.local.stack import Stack

PASSWORD = "correct horse"


@pytest.fixture
def client(stack: Stack) -> Client:
    return create_client(stack.info["supabaseUrl"], stack.keys.publishable_key)


@pytest.fixture
def admin(stack: Stack) -> Any:
    return create_client(stack.info["supabaseUrl"], stack.keys.service_key).auth.admin


@pytest.fixture
def raw(stack: Stack) -> Iterator[httpx.Client]:
    """Plain HTTP with an API key and no API version."""
    headers = {"apikey": stack.keys.anon_key}
    with httpx.Client(base_url=f"{stack.info['supabaseUrl']}/auth/v1", headers=headers) as http:
        yield http


@pytest.fixture
def email() -> str:
    return f"{uuid4().hex}@example.com"


@pytest.fixture
def sign_up(client: Client, email: str) -> Callable[[], Any]:
    return lambda: client.auth.sign_up({"email": email, "password": PASSWORD})


def test_signing_up_opens_a_session_whose_token_the_published_keys_verify(
    stack: Stack, client: Client, email: str
) -> None:
    options: Any = {"data": {"name": "Ada"}}
    answer = client.auth.sign_up({"email": email, "password": PASSWORD, "options": options})
    assert answer.session and answer.user

    url = f"{stack.info['supabaseUrl']}/auth/v1"
    key = jwt.PyJWKClient(f"{url}/.well-known/jwks.json").get_signing_key_from_jwt(answer.session.access_token)
    claims = jwt.decode(answer.session.access_token, key, algorithms=["ES256"], audience="authenticated", issuer=url)

    assert claims["sub"] == answer.user.id
    assert claims["role"] == "authenticated"
    assert claims["email"] == email
    assert claims["user_metadata"] == {"name": "Ada"}
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["is_anonymous"] is False
    assert claims.keys() >= {"aal", "amr", "session_id", "phone", "app_metadata"}
    assert answer.session.expires_at == claims["exp"]
    assert isinstance(answer.user.created_at, datetime)


def test_an_anonymous_user_can_become_a_permanent_one(client: Client, email: str) -> None:
    anonymous = client.auth.sign_in_anonymously().user
    assert anonymous and anonymous.is_anonymous

    permanent = client.auth.update_user({"email": email, "password": PASSWORD}).user
    signed_in = client.auth.sign_in_with_password({"email": email, "password": PASSWORD}).user

    assert permanent and signed_in
    assert permanent.id == signed_in.id == anonymous.id
    assert not signed_in.is_anonymous


def test_an_address_is_taken_whatever_its_case(client: Client, sign_up: Callable[[], Any], email: str) -> None:
    sign_up()

    with pytest.raises(AuthApiError) as caught:
        client.auth.sign_up({"email": email.upper(), "password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (422, "user_already_exists")


@pytest.mark.parametrize("known", [True, False])
def test_wrong_credentials_look_the_same_for_known_and_unknown_addresses(
    client: Client, sign_up: Callable[[], Any], email: str, known: bool
) -> None:
    if known:
        sign_up()

    with pytest.raises(AuthApiError) as caught:
        client.auth.sign_in_with_password({"email": email, "password": "wrong"})
    assert (caught.value.status, caught.value.code) == (400, "invalid_credentials")


def test_a_short_password_is_refused(client: Client, email: str) -> None:
    with pytest.raises(AuthWeakPasswordError) as caught:
        client.auth.sign_up({"email": email, "password": "short"})
    assert caught.value.reasons == ["length"]


def test_a_refresh_token_is_good_for_one_use_and_its_reuse_ends_the_session(
    client: Client, sign_up: Callable[[], Any]
) -> None:
    first = sign_up().session
    second = client.auth.refresh_session(first.refresh_token).session
    assert second and second.refresh_token != first.refresh_token

    with pytest.raises(AuthApiError) as reused:
        client.auth.refresh_session(first.refresh_token)
    with pytest.raises(AuthApiError) as revoked:
        client.auth.refresh_session(second.refresh_token)

    assert str(reused.value.code) == "refresh_token_already_used"
    assert str(revoked.value.code) == "refresh_token_not_found"


def test_of_two_refreshes_at_once_one_succeeds(raw: httpx.Client, sign_up: Callable[[], Any]) -> None:
    token = {"refresh_token": sign_up().session.refresh_token}

    with ThreadPoolExecutor(2) as pool:
        requests = [pool.submit(raw.post, "/token?grant_type=refresh_token", json=token) for _ in range(2)]
        statuses = sorted(request.result().status_code for request in requests)

    assert statuses == [200, 400]


def test_a_user_changes_their_own_metadata(client: Client, sign_up: Callable[[], Any]) -> None:
    sign_up()
    client.auth.update_user({"data": {"name": "Ada"}})
    client.auth.update_user({"data": {"city": "London"}})

    answer = client.auth.get_user()

    assert answer and answer.user.user_metadata == {"name": "Ada", "city": "London"}


@pytest.mark.parametrize(
    ("scope", "ended"), [("global", [True, True]), ("local", [True, False]), ("others", [False, True])]
)
def test_signing_out_ends_the_sessions_of_its_scope(
    raw: httpx.Client, client: Client, sign_up: Callable[[], Any], scope: str, ended: list[bool]
) -> None:
    own = sign_up().session
    other = client.auth.sign_in_with_password({"email": own.user.email, "password": PASSWORD}).session
    assert other
    headers = [{"authorization": f"Bearer {session.access_token}"} for session in (own, other)]

    assert raw.post("/logout", params={"scope": scope}, headers=headers[0]).status_code == 204

    assert [raw.get("/user", headers=each).status_code == 403 for each in headers] == ended


def test_the_service_key_manages_users(admin: Any, client: Client, email: str) -> None:
    created = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user
    changed = admin.update_user_by_id(created.id, {"app_metadata": {"plan": "pro"}, "password": "another one"}).user

    assert admin.get_user_by_id(created.id).user.email == email
    assert changed.app_metadata["plan"] == "pro"
    assert changed.app_metadata["provider"] == "email"
    assert created.id in [user.id for user in admin.list_users(per_page=1000)]
    assert client.auth.sign_in_with_password({"email": email, "password": "another one"}).session
    with pytest.raises(AuthApiError) as taken:
        admin.create_user({"email": email, "password": PASSWORD})
    admin.delete_user(created.id)
    with pytest.raises(AuthApiError) as gone:
        admin.get_user_by_id(created.id)

    assert (taken.value.status, taken.value.code) == (422, "email_exists")
    assert (gone.value.status, gone.value.code) == (404, "user_not_found")


def test_others_do_not_manage_users(raw: httpx.Client, sign_up: Callable[[], Any]) -> None:
    token = sign_up().session.access_token

    answer = raw.get("/admin/users", headers={"authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["error_code"]) == (403, "not_admin")


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "expired", "foreign"])
def test_a_bad_token_is_refused(stack: Stack, raw: httpx.Client, token: str) -> None:
    claims = {"sub": str(uuid4()), "role": "authenticated", "exp": 1}
    made = {"expired": stack.keys.sign(claims), "foreign": jwt.encode(claims, "x" * 32, algorithm="HS256")}

    answer = raw.get("/user", headers={"authorization": f"Bearer {made.get(token, token)}"})

    assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")


def test_an_error_has_the_shape_of_the_api_version_that_was_asked_for(raw: httpx.Client) -> None:
    body = {"email": "nobody@example.com", "password": "wrong"}
    path = "/token?grant_type=password"
    version = {"x-supabase-api-version": "2024-01-01"}

    old, new = raw.post(path, json=body), raw.post(path, json=body, headers=version)

    message = "Invalid login credentials"
    assert old.json() == {"code": 400, "error_code": "invalid_credentials", "msg": message}
    assert new.json() == {"code": "invalid_credentials", "message": message}
    assert new.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize("body", ["[]", "{", '{"email": 1, "password": "long enough"}', '{"data": 7}'])
def test_a_malformed_sign_up_is_refused(raw: httpx.Client, body: str) -> None:
    assert raw.post("/signup", content=body).status_code == 400
