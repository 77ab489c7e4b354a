"""save_frames: If-Match saves on top of a known version only, Idempotency-Key saves once."""

import psycopg
import pytest

from tests.people import User
from tests.storyboards import frame, image_url, storyboard


def test_if_match_of_an_older_version_is_refused_with_the_current_one(
    alice: User, database: psycopg.Connection
) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    alice.save({**given, "mood": "dark"})
    late = alice.save({**given, "mood": "light"}, If_Match='"1"')
    assert (late.status, late.code) == (412, "version_conflict")
    assert late.json["currentVersion"] == 2
    assert alice.read(given["sessionId"]).json["session"]["mood"] == "dark"


@pytest.mark.parametrize("form", ["1", '"1"', 'W/"1"'])
def test_if_match_takes_the_version_in_every_usual_form(alice: User, form: str) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    assert alice.save({**given, "mood": "dark"}, If_Match=form).json["version"] == 2


def test_if_match_takes_the_etag_of_get_frames(alice: User) -> None:
    given = storyboard(alice.subject)
    alice.save(given)
    etag = alice.read(given["sessionId"]).headers["etag"]
    assert alice.save({**given, "mood": "dark"}, If_Match=etag).status == 200
    assert alice.save({**given, "mood": "light"}, If_Match=etag).status == 412


def test_if_match_for_a_session_that_is_not_there_is_refused(alice: User) -> None:
    assert alice.save(storyboard(alice.subject), If_Match='"1"').code == "version_conflict"


def test_an_unreadable_if_match_is_refused(alice: User) -> None:
    assert alice.save(storyboard(alice.subject), If_Match="yesterday").code == "invalid_precondition"


def test_an_idempotency_key_replays_the_stored_answer(alice: User) -> None:
    given = storyboard(alice.subject)
    del given["sessionId"]
    first = alice.save(given, Idempotency_Key="k-1")
    again = alice.save(given, Idempotency_Key="k-1")
    assert again.json == first.json


def test_an_idempotency_key_with_another_body_is_refused(alice: User) -> None:
    given = storyboard(alice.subject)
    alice.save(given, Idempotency_Key="k-1")
    other = alice.save({**given, "mood": "dark"}, Idempotency_Key="k-1")
    assert (other.status, other.code) == (409, "idempotency_key_reused")


def test_an_idempotency_key_is_forgotten_after_a_day(alice: User, database: psycopg.Connection) -> None:
    given = storyboard(alice.subject)
    alice.save(given, Idempotency_Key="k-1")
    database.execute(
        "update public.idempotency_keys set created_at = now() - interval '25 hours' where user_id = %s",
        (alice.subject,),
    )
    assert alice.save({**given, "mood": "dark"}, Idempotency_Key="k-1").status == 200


def test_a_refused_save_does_not_use_its_idempotency_key_up(alice: User, bob: User) -> None:
    given = storyboard(alice.subject)
    foreign = {**given, "frames": [frame(1, image_url(bob.subject))], "frameCount": 1}
    assert alice.save(foreign, Idempotency_Key="k-1").status == 422
    assert alice.save(given, Idempotency_Key="k-1").status == 200


def test_keys_of_different_callers_do_not_meet(alice: User, bob: User) -> None:
    assert alice.save(storyboard(alice.subject), Idempotency_Key="same").json["userId"] == alice.subject
    assert bob.save(storyboard(bob.subject), Idempotency_Key="same").json["userId"] == bob.subject
