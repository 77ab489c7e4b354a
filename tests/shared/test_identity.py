"""identity: who is asking, and whom nobody can pretend to be."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from supabase import create_client

from infra.local.keys import Keys
from shared import identity
from shared.errors import AppError
from shared.identity import Credentials, guest_subject, tokens
from shared.settings import settings
from tests.client import Client
from tests.people import User
from tests.storyboards import storyboard

Claims = Callable[..., dict[str, object]]


def caller(token: str, user_id: str | None = None) -> identity.Caller:
    return Credentials(f"Bearer {token}", None).caller(user_id)


def refusal(token: str) -> str:
    with pytest.raises(AppError) as refused:
        caller(token)
    assert refused.value.status == 401
    return refused.value.code


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(autouse=True)
def _environment(function_environment: pytest.MonkeyPatch) -> None:
    """Every test here runs with the stack's settings."""


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_a_users_token_of_either_kind_makes_its_caller(keys: Keys, claims: Claims, algorithm: str) -> None:
    given = claims()
    found = caller(keys.sign(given, algorithm))  # type: ignore[arg-type]
    assert found.subject == found.user_id == given["sub"]
    assert not found.is_guest


def test_a_real_signed_in_user_saves_and_reads(stack: object, new_user: object) -> None:
    client = create_client(settings().supabase_url, settings().anon_key)
    session = client.auth.sign_up({"email": f"{uuid.uuid4()}@example.com", "password": "correct horse"}).session
    assert session
    user = Client(session.access_token)
    given = storyboard(session.user.id)
    assert user.save(given).status == 200
    assert user.read(given["sessionId"], userId=session.user.id).status == 200


def test_a_real_anonymous_user_saves_and_reads(stack: object) -> None:
    session = create_client(settings().supabase_url, settings().anon_key).auth.sign_in_anonymously().session
    assert session
    given = storyboard(session.user.id)
    assert Client(session.access_token).save(given).status == 200


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"exp": 1_700_000_000}, "token_expired"),
        ({"aud": "other"}, "invalid_token"),
        ({"iss": "https://elsewhere.example/auth/v1"}, "invalid_token"),
        ({"role": "service_role"}, "invalid_token"),
        ({"role": "anon"}, "invalid_token"),
        ({"sub": "not-a-uuid"}, "invalid_token"),
        ({"sub": 5}, "invalid_token"),
        ({"sub": None}, "invalid_token"),
        ({"nbf": 4_000_000_000}, "invalid_token"),
    ],
)
def test_claims_that_do_not_fit_are_refused(keys: Keys, claims: Claims, changed: dict[str, object], code: str) -> None:
    assert refusal(keys.sign(claims(**changed))) == code
    assert refusal(keys.sign(claims(**changed), "HS256")) == code


@pytest.mark.parametrize("missing", ["exp", "aud", "iss", "sub", "role"])
def test_claims_that_are_missing_are_refused(keys: Keys, claims: Claims, missing: str) -> None:
    given = claims()
    del given[missing]
    assert refusal(keys.sign(given)) == "invalid_token"


def test_tokens_of_another_key_are_refused(claims: Claims, keys: Keys) -> None:
    other = Keys.generate()
    assert refusal(other.sign(claims(), "HS256")) == "invalid_token"
    assert refusal(other.sign(claims())) == "invalid_token"
    impostor = jwt.encode(claims(), other.es256_private_pem, algorithm="ES256", headers={"kid": keys.kid})
    assert refusal(impostor) == "invalid_token"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_unsigned_tokens_are_refused(claims: Claims, name: str) -> None:
    for signature in ("", "x"):
        assert refusal(f"{segment({'alg': name, 'typ': 'JWT'})}.{segment(claims())}.{signature}") == "invalid_token"


def test_the_public_key_is_no_hmac_secret(claims: Claims, keys: Keys) -> None:
    private = serialization.load_pem_private_key(keys.es256_private_pem.encode(), None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for header in ({"alg": "HS256", "typ": "JWT", "kid": keys.kid}, {"alg": "HS256", "typ": "JWT"}):
        signed = f"{segment(header)}.{segment(claims())}"
        for secret in (public, public.strip(), json.dumps(keys.public_jwks()).encode()):
            token = f"{signed}.{segment(hmac.new(secret, signed.encode(), sha256).digest())}"
            assert refusal(token) == "invalid_token"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "ES384", "PS256", "EdDSA"])
def test_algorithms_beyond_the_three_are_refused(claims: Claims, keys: Keys, algorithm: str) -> None:
    header = segment({"alg": algorithm, "typ": "JWT", "kid": keys.kid})
    assert refusal(f"{header}.{segment(claims())}.{segment(b'x' * 64)}") == "invalid_token"
    if algorithm.startswith("HS"):
        assert refusal(jwt.encode(claims(), keys.jwt_secret, algorithm=algorithm)) == "invalid_token"


@pytest.mark.parametrize("token", ["a.b.c", "garbage", "é", "..", "a" * 10_000, "e30.e30.e30", segment([]) + ".e30.x"])
def test_garbage_is_refused(token: str) -> None:
    assert refusal(token) == "invalid_token"


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "token"])
def test_an_authorization_header_that_is_no_bearer_token_is_refused(header: str) -> None:
    with pytest.raises(AppError, match="invalid_token"):
        Credentials(header, None).caller(None)


def test_the_projects_public_key_counts_as_no_credentials() -> None:
    for key in (settings().anon_key, "sb_publishable_abc"):
        assert caller(key).is_guest


def test_the_service_key_is_no_caller(stack: object) -> None:
    assert refusal(str(settings().service_key)) == "invalid_token"


def test_an_api_key_is_refused_rather_than_taken_for_a_guest() -> None:
    with pytest.raises(AppError, match="invalid_api_key"):
        Credentials(None, "vm_abc_def").caller(None)


def test_a_user_id_of_another_is_refused(keys: Keys, claims: Claims) -> None:
    with pytest.raises(AppError, match="user_mismatch"):
        caller(keys.sign(claims()), str(uuid.uuid4()))


def test_a_guests_subject_is_stable_and_does_not_tell_its_id() -> None:
    one = Credentials(None, None).caller(None)
    again = Credentials(None, None).caller(one.user_id)
    assert (again.subject, again.named_itself) == (one.subject, True)
    assert guest_subject("guest_" + "0" * 32) != guest_subject("guest_" + "1" * 32)
    assert one.user_id.removeprefix("guest_")[:8] not in one.subject.replace("-", "")


def test_a_guests_subject_depends_on_the_secret(function_environment: pytest.MonkeyPatch) -> None:
    before = guest_subject("guest_" + "0" * 32)
    function_environment.setenv("GUEST_SECRET", "another")
    settings.cache_clear()
    assert guest_subject("guest_" + "0" * 32) != before


@pytest.mark.parametrize("user_id", ["guest_", "guest_123", "guest_" + "0" * 21, "admin", "guest_" + "ü" * 32])
def test_a_guest_id_that_could_be_guessed_is_refused(user_id: str) -> None:
    with pytest.raises(AppError, match="user_mismatch"):
        Credentials(None, None).caller(user_id)


def test_a_guest_token_is_short_lived_and_says_so() -> None:
    token = Credentials(None, None).caller(None).token
    said = jwt.decode(token, str(settings().jwt_secret), algorithms=["HS256"], audience="authenticated")
    assert said["exp"] - said["iat"] == 300
    assert said["app_metadata"]["provider"] == "guest"
    assert said["is_anonymous"] is True


class KeyServer:
    """Answers /auth/v1/.well-known/jwks.json with whatever keys it is given, and counts the asking."""

    def __init__(self) -> None:
        self.keys: list[dict[str, object]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def key_server(function_environment: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    found = KeyServer()
    function_environment.setenv("SUPABASE_URL", found.url)
    function_environment.setenv("RATE_LIMITS", "off")  # it answers nothing but keys
    settings.cache_clear()
    yield found
    found.server.shutdown()
    found.server.server_close()


def own_claims(server: KeyServer) -> dict[str, object]:
    return {
        "sub": str(uuid.uuid4()),
        "role": "authenticated",
        "aud": "authenticated",
        "iss": f"{server.url}/auth/v1",
        "exp": int(time.time()) + 60,
    }


def test_rs256_is_verified_by_the_key_set(key_server: KeyServer) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key_server.keys = [{**RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "r1", "alg": "RS256"}]
    given = own_claims(key_server)
    assert caller(jwt.encode(given, private, algorithm="RS256", headers={"kid": "r1"})).subject == given["sub"]
    mixed_up = f"{segment({'alg': 'ES256', 'kid': 'r1'})}.{segment(given)}.{segment(b'x' * 64)}"
    assert refusal(mixed_up) == "invalid_token"


def test_a_rotated_key_is_fetched_when_its_id_is_unknown(
    key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Keys.generate(), Keys.generate()
    key_server.keys = old.public_jwks()["keys"]
    assert caller(old.sign(own_claims(key_server)))
    assert caller(old.sign(own_claims(key_server)))
    assert key_server.asked == 1
    key_server.keys += new.public_jwks()["keys"]
    clock = time.monotonic() + tokens._REFETCH_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    assert caller(new.sign(own_claims(key_server)))
    assert key_server.asked == 2


def test_made_up_key_ids_do_not_make_us_ask_again_and_again(key_server: KeyServer) -> None:
    key_server.keys = Keys.generate().public_jwks()["keys"]
    for _ in range(20):
        assert refusal(Keys.generate().sign(own_claims(key_server))) == "invalid_token"
    assert key_server.asked == 1


def test_keys_are_fetched_anew_after_ten_minutes(key_server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys.generate()
    key_server.keys = keys.public_jwks()["keys"]
    token = keys.sign(own_claims(key_server))
    caller(token)
    clock = time.monotonic() + 601
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    key_server.keys = []
    assert refusal(token) == "invalid_token"


@pytest.mark.parametrize("algorithm", ["ES256", "HS256"])
def test_a_token_is_verified_once_and_expires_all_the_same(
    keys: Keys, claims: Claims, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified, decode = [], jwt.decode

    def counted(token: str, **how: Any) -> Any:
        verified.append(token)
        return decode(token, **how)

    monkeypatch.setattr(jwt, "decode", counted)
    token = keys.sign(claims(exp=int(time.time()) + 60), algorithm)  # type: ignore[arg-type]
    assert caller(token).subject == caller(token).subject
    assert verified == [token]
    clock = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: clock)
    assert refusal(token) == "token_expired"


def test_a_token_that_was_verified_is_refused_once_its_secret_has_changed(
    keys: Keys, claims: Claims, function_environment: pytest.MonkeyPatch
) -> None:
    token = keys.sign(claims(), "HS256")
    assert caller(token)
    function_environment.setenv("SUPABASE_JWT_SECRET", "another-secret-of-at-least-thirty-two-bytes")
    settings.cache_clear()
    assert refusal(token) == "invalid_token"


def test_without_a_key_server_the_answer_is_503(
    function_environment: pytest.MonkeyPatch, keys: Keys, claims: Claims
) -> None:
    function_environment.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    settings.cache_clear()
    answer = User("", keys.sign(claims())).read("any")
    assert (answer.status, answer.code) == (503, "auth_unavailable")
    assert int(answer.headers["retry-after"]) > 0
