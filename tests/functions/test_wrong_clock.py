"""This machine's clock is wrong, so that tokens signed here are refused: that is told as the service's own failure."""

import time
import uuid
from collections.abc import Callable

import psycopg
import pytest

from infra.local.keys import Keys
from shared.settings import settings
from tests.client import Answer, Client
from tests.logs import Lines
from tests.people import Claims, User
from tests.programs import program
from tests.sharing import Studio, Viewer
from tests.storyboards import png, storyboard

SOMEBODY = str(uuid.uuid4())
GUEST = f"guest_{uuid.uuid4().hex}"

Shift = Callable[[float], None]


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Set this process's clock wrong, by seconds: the rest of the stack has another."""
    right = time.time

    def by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: right() + seconds)

    return by


@pytest.fixture(params=[-400, 400], ids=["slow", "fast"])
def wrong_clock(request: pytest.FixtureRequest, shift: Shift) -> Callable[[], None]:
    """Set the clock wrong by more than the database tolerates."""
    return lambda: shift(request.param)


def assert_told_of(logged: Lines, answer: Answer, service: str, cause: str = "clock") -> None:
    """The log says who refused the token, and why, under the id of the request."""
    told = {(one["requestId"], one["service"], one["cause"]) for one in logged.named("own_token_refused")}
    assert (answer.headers["x-request-id"], service, cause) in told


def assert_our_failure(answer: Answer, cause: str = "clock") -> None:
    assert (answer.status, answer.code) == (503, "not_configured")
    assert cause in answer.json["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert "www-authenticate" not in answer.headers


def stored(database: psycopg.Connection) -> object:
    counts = "select (select count(*) from storage.objects), (select count(*) from public.video_sessions)"
    return database.execute(counts).fetchone()


def test_a_guest_is_not_told_to_sign_in(
    guest: Client, wrong_clock: Callable[[], None], logged: Lines, database: psycopg.Connection
) -> None:
    before = stored(database)
    wrong_clock()
    for answer in (guest.save(storyboard(SOMEBODY)), guest.upload(png()), guest.read(SOMEBODY, userId=GUEST)):
        assert_our_failure(answer)
        assert_told_of(logged, answer, "database")
    assert stored(database) == before


def test_a_program_is_not_told_to_sign_in(alice: User, wrong_clock: Callable[[], None], logged: Lines) -> None:
    known, unknown = program(alice), program(alice)
    assert known.get("history").status == 200
    wrong_clock()
    for one in (known, unknown):
        answer = one.save(storyboard(alice.subject))
        assert_our_failure(answer)
        assert_told_of(logged, answer, "database")


def test_whoever_opens_a_share_link_may_try_again(
    studio: Studio, viewer: Viewer, wrong_clock: Callable[[], None], logged: Lines
) -> None:
    share = studio.shared_video()
    wrong_clock()
    answer = viewer.open(share)
    assert answer.status == 503
    assert_told_of(logged, answer, "database")


def test_storage_tolerates_less_than_the_database_and_is_heard_too(guest: Client, shift: Shift, logged: Lines) -> None:
    shift(-310)  # expired for ten seconds, of which the database tolerates thirty
    answer = guest.upload(png())
    assert_our_failure(answer)
    assert_told_of(logged, answer, "storage")


def test_who_sends_an_access_token_is_served(alice: User, wrong_clock: Callable[[], None]) -> None:
    wrong_clock()
    assert alice.save(storyboard(alice.subject)).status == 200


def test_an_access_token_that_only_the_database_knows_to_have_expired_is_the_callers_to_renew(
    function_environment: pytest.MonkeyPatch, keys: Keys, claims: Claims, shift: Shift, logged: Lines
) -> None:
    expired = Client(keys.sign(claims(exp=int(time.time()) - 100)))
    shift(-400)
    answer = expired.save(storyboard(SOMEBODY))
    assert (answer.status, answer.code) == (401, "token_expired")
    assert logged.named("own_token_refused") == []


def test_a_signing_key_that_the_project_does_not_trust_is_our_failure_too(
    guest: Client, function_environment: pytest.MonkeyPatch, logged: Lines
) -> None:
    function_environment.setenv("SUPABASE_JWT_SECRET", "another secret of at least 32 bytes")
    settings.cache_clear()
    answer = guest.save(storyboard(SOMEBODY))
    assert_our_failure(answer, "key")
    assert_told_of(logged, answer, "database", "key")
