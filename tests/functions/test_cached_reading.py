"""With Redis: what is read is what there is, at every moment and for everybody, whatever happens to Redis."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from infra.local.keys import Keys
from shared import cache
from shared.identity import api_keys
from shared.settings import settings
from tests.client import Answer, Client, JsonObject, in_parallel
from tests.faults import FaultyUpstream
from tests.functions.test_templates import listed as templates_of
from tests.functions.test_templates import made as make_template
from tests.membership import join
from tests.people import Claims, User
from tests.running_redis import Redis
from tests.sharing import Studio, Viewer
from tests.storyboards import frame, image_url, png, storyboard, with_frames

Database = psycopg.Connection[Any]

pytestmark = pytest.mark.usefixtures("counted_in_redis")


def reads_of_frames(upstream: FaultyUpstream) -> int:
    return sum("video_frames" in path for path in upstream.seen)


def said(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.json
    return [one["description"] for one in answer.json["frames"]]


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], Answer]], Answer]]:
    """Ask as if there was none."""

    def ask(call: Callable[[], Answer]) -> Answer:
        with monkeypatch.context() as changed:
            changed.setattr(cache, "is_there", lambda: False)
            return call()

    yield ask


def test_frames_that_have_not_changed_are_not_read_again(alice: User, upstream: FaultyUpstream) -> None:
    given = storyboard(alice.subject, 3)
    alice.save(given)
    first = alice.read(given["sessionId"])
    before = reads_of_frames(upstream)
    assert before == 1
    second = alice.read(given["sessionId"])
    assert (second.json, second.headers["etag"]) == (first.json, first.headers["etag"])
    assert reads_of_frames(upstream) == before


@pytest.mark.parametrize("query", [{}, {"limit": 2}, {"limit": 3}])
def test_answers_are_the_same_as_without_redis(
    alice: User, without_redis: Callable[[Callable[[], Answer]], Answer], query: JsonObject
) -> None:
    given = storyboard(alice.subject, 3)
    alice.save(given)

    def ask() -> Answer:
        return alice.read(given["sessionId"], **query)

    plain = without_redis(ask)
    for answer in (ask(), ask()):
        assert (answer.json, answer.headers["etag"]) == (plain.json, plain.headers["etag"])
        matched = alice.read(given["sessionId"], headers={"If-None-Match": plain.headers["etag"]}, **query)
        assert (matched.status, matched.body) == (304, b"")


CHANGES = {
    "a text": "update public.video_frames set description = 'other' where session_id = %s and frame_number = 2",
    "a facts column": "update public.video_frames set width = 77 where session_id = %s and frame_number = 1",
    "one more": "insert into public.video_frames (session_id, frame_number, timestamp, image_url, description, prompt)"
    " values (%s, 9, '9s', 'x/frames/9.webp', 'ninth', 'p')",
    "one less": "delete from public.video_frames where session_id = %s and frame_number = 3",
    "the session": "update public.video_sessions set status = 'generating' where session_id = %s",
    "its owner's words": "update public.video_sessions set original_prompt = 'another' where session_id = %s",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_passed_the_functions_by_is_seen_at_once(
    alice: User, database: Database, change: str, without_redis: Callable[[Callable[[], Answer]], Answer]
) -> None:
    given = storyboard(alice.subject, 3)
    alice.save(given)
    before = alice.read(given["sessionId"])
    shown = alice.get("history")
    database.execute(CHANGES[change], (given["sessionId"],))
    after = alice.read(given["sessionId"])
    assert after.json != before.json
    assert after.headers["etag"] != before.headers["etag"]
    assert after.json == without_redis(lambda: alice.read(given["sessionId"])).json
    history = alice.get("history")
    assert history.json == without_redis(lambda: alice.get("history")).json
    assert change in ("a text", "one more") or history.json != shown.json


def test_who_saves_reads_what_was_saved(alice: User) -> None:
    given = storyboard(alice.subject, 3)
    for turn in range(5):
        frames = [{**one, "description": f"turn {turn}"} for one in given["frames"]]
        alice.save({**given, "frames": frames})
        assert said(alice.read(given["sessionId"])) == [f"turn {turn}"] * 3


def test_what_changes_while_it_is_read_is_answered_as_one(
    alice: User, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = storyboard(alice.subject, 1)
    alice.save(given)
    find = cache.read_through

    def meanwhile(wanted: str, make: Callable[[], tuple[str, bytes]], *more: int) -> bytes:
        second = {**given, "originalPrompt": "second", "frames": [{**given["frames"][0], "description": "second"}]}
        in_parallel(lambda _: alice.save(second), 1)
        return find(wanted, make, *more)

    with monkeypatch.context() as changed:
        changed.setattr(cache, "read_through", meanwhile)
        torn = alice.read(given["sessionId"]).json
    assert (torn["session"]["originalPrompt"], torn["frames"][0]["description"]) == ("second", "second")
    assert torn["session"]["version"] == 2
    assert alice.read(given["sessionId"]).json == torn


def test_who_may_no_longer_read_gets_nothing_out_of_the_cache(alice: User, bob: User, mallory: User) -> None:
    given = storyboard(alice.subject, 2)
    alice.save(given)
    member = join(alice, given["sessionId"], bob, "viewer")
    for _ in range(2):
        assert bob.read(given["sessionId"]).json["session"]["role"] == "viewer"
        assert alice.read(given["sessionId"]).json["session"]["role"] == "owner"
        assert len(bob.get("history").json["sessions"]) == 1
        assert mallory.read(given["sessionId"]).status == 404
    assert alice.send("PATCH", "members", {"memberId": member, "role": "editor"}).status == 200
    assert bob.read(given["sessionId"]).json["session"]["role"] == "editor"
    assert bob.get("history").json["sessions"][0]["role"] == "editor"
    assert alice.delete("members", memberId=member).status == 200
    assert bob.read(given["sessionId"]).code == "session_not_found"
    assert bob.get("history").json["sessions"] == []


@pytest.fixture
def mallory(new_user: Callable[[], User]) -> User:
    return new_user()


def test_a_deleted_session_is_gone(alice: User) -> None:
    given = storyboard(alice.subject, 2)
    alice.save(given)
    assert alice.read(given["sessionId"]).status == 200
    assert len(alice.get("history").json["sessions"]) == 1
    assert alice.delete("history", sessionId=given["sessionId"]).status == 200
    assert alice.read(given["sessionId"]).code == "session_not_found"
    assert alice.get("history").json["sessions"] == []


def test_the_first_page_of_history_is_read_once_and_follows_each_change(
    alice: User, database: Database, upstream: FaultyUpstream
) -> None:
    given = storyboard(alice.subject, 2)
    alice.save(given)
    pages = [alice.get("history", limit=5) for _ in range(3)]
    assert pages[0].json == pages[2].json
    assert sum("list_history" in path for path in upstream.seen) == 1
    assert alice.get("history", limit=5, style="other").json["sessions"] == []
    database.execute("insert into public.final_videos (session_id, progress) values (%s, 0)", (given["sessionId"],))
    assert alice.get("history", limit=5).json["sessions"][0]["videos"][0]["progress"] == 0
    database.execute("update public.final_videos set progress = 0.5 where session_id = %s", (given["sessionId"],))
    assert alice.get("history", limit=5).json["sessions"][0]["videos"][0]["progress"] == 0.5
    alice.save(storyboard(alice.subject, 1))
    assert len(alice.get("history", limit=5).json["sessions"]) == 2
    assert len(alice.get("history", limit=1).json["sessions"]) == 1


def test_templates_are_read_once_and_follow_each_change(
    alice: User, bob: User, database: Database, upstream: FaultyUpstream
) -> None:
    assert templates_of(alice) == templates_of(alice)
    assert sum("list_templates" in path for path in upstream.seen) == 1
    own = make_template(alice)["templateId"]
    assert own in {one["templateId"] for one in templates_of(alice)}
    assert own not in {one["templateId"] for one in templates_of(bob)}
    database.execute("update public.video_templates set name = 'Renamed' where template_id = %s", (own,))
    assert "Renamed" in {one["name"] for one in templates_of(alice)}
    assert alice.delete("templates", templateId=own).status == 200
    assert own not in {one["templateId"] for one in templates_of(alice)}


def test_a_shared_storyboards_frames_are_said_once_and_follow_each_change(
    studio: Studio, viewer: Viewer, database: Database, counted_in_redis: Redis
) -> None:
    session_id = studio.session(frames=2)
    share = studio.share(session_id)
    first = viewer.open(share)
    assert first.status == 200
    assert any(":share:" in key for key in list(counted_in_redis.keys()))
    again = viewer.open(share)
    assert pictures(again) == pictures(first) == 2
    database.execute("delete from public.video_frames where session_id = %s and frame_number = 2", (session_id,))
    assert pictures(viewer.open(share)) == 1
    assert studio.user.delete("share", shareId=share["shareId"]).status == 200
    assert viewer.open(share).status == 404


def pictures(answer: Answer) -> int:
    assert answer.status == 200
    return answer.text.count("<figure")


def test_where_views_are_limited_a_preview_gets_no_frames_out_of_the_cache(studio: Studio, viewer: Viewer) -> None:
    share = studio.share(studio.session(frames=3), maxViews=5)
    assert pictures(viewer.open(share)) == 3
    assert pictures(Viewer(agent="Twitterbot/1.0").open(share)) == 1
    assert pictures(viewer.open(share)) == 3


def test_signed_addresses_come_out_of_the_cache_for_half_their_life(  # noqa: PLR0917
    alice: User,
    upstream: FaultyUpstream,
    function_environment: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
    keys: Keys,
    claims: Claims,
) -> None:
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    start = 3600 * 500_000 + 10
    alice.token = keys.sign(claims(sub=alice.subject, exp=start + 3600))
    given = with_frames([frame(1, alice.upload(png()).json["imageUrl"])])
    session_id = alice.save(given).json["sessionId"]
    upstream.seen.clear()
    for later, signed in ((0, 1), (60, 1), (1700, 1), (1800, 2)):
        monkeypatch.setattr(time, "time", lambda later=later: start + later)
        assert "token=" in alice.read(session_id).json["frames"][0]["imageUrl"]
        assert sum("/object/sign/" in path for path in upstream.seen) == signed


def test_a_key_is_looked_up_once_and_ends_at_once(alice: User, upstream: FaultyUpstream) -> None:
    issued = alice.post("api_keys", {"name": "robot", "scopes": ["read"]}).json
    given = storyboard(alice.subject, 1)
    alice.save(given)

    def ask() -> Answer:
        api_keys._known.clear()  # as in another environment
        return Client().read(given["sessionId"], headers={"X-Api-Key": issued["key"]})

    assert [ask().status for _ in range(3)] == [200] * 3
    assert sum("find_api_key" in path for path in upstream.seen) == 1
    assert alice.delete("api_keys", prefix=issued["apiKey"]["prefix"]).status == 200
    assert ask().code == "invalid_api_key"


def test_redis_is_told_no_secrets(alice: User, guest: Client, studio: Studio, counted_in_redis: Redis) -> None:
    first = guest.save(with_frames([frame(1, guest.upload(png()).json["imageUrl"])])).json
    guest.read(first["sessionId"], userId=first["userId"])
    guest.get("history", userId=first["userId"])
    key = alice.post("api_keys", {"name": "robot", "scopes": ["read"]}).json["key"]
    Client().get("history", headers={"X-Api-Key": key})
    share = studio.share(studio.session(), password="correct horse battery")
    Viewer().enter(share, "correct horse battery")
    kept = counted_in_redis.values() + "\n".join(counted_in_redis.keys()).encode()
    assert b"imageUrl" in kept
    for secret in (first["userId"], key, key.rpartition("_")[2], share["token"], "correct horse", alice.token or ""):
        assert secret.encode() not in kept


@pytest.mark.timeout(300)
def test_nobody_reads_what_was_before_the_own_write_while_redis_is_killed_frozen_and_flushed(
    new_user: Callable[[], User], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_REST_SECONDS", 0.1)  # so that it is asked again within the test
    ended = threading.Event()
    harms: dict[str, int] = {}

    def harm() -> None:
        chance = random.Random(7)
        while not ended.is_set():
            kind = chance.choice(["kill", "freeze", "flush", "flush"])
            if kind == "kill":
                redis.stop()
                ended.wait(0.1)
                redis.start()
            elif kind == "freeze":
                redis.pause()
                ended.wait(chance.choice([0.02, 0.08, 0.2]))
                redis.resume()
            else:
                redis.empty()
            harms[kind] = harms.get(kind, 0) + 1
            ended.wait(chance.uniform(0.05, 0.3))

    people = [new_user() for _ in range(4)]
    wrong: list[str] = []

    def work(number: int) -> int:
        person = people[number]
        given = storyboard(person.subject, 3)
        for turn in range(40):
            text = f"{number}: turn {turn}"
            saved = person.save({**given, "frames": [{**one, "description": text} for one in given["frames"]]})
            assert saved.status == 200, saved.json
            for _ in range(2):
                if said(person.read(given["sessionId"])) != [text] * 3:
                    wrong.append(text)
                first = person.get("history").json["sessions"][0]
                if (first["version"], first["sessionId"]) != (turn + 1, given["sessionId"]):
                    wrong.append(f"history {text}")
        return 1

    # Linux ends a child when the thread that has started it does, so Redis is harmed from this one.
    failures: list[Exception] = []

    def work_all() -> None:
        try:
            in_parallel(work, 4, at_once=4)
        except Exception as error:  # a thread's own would be lost
            failures.append(error)
        ended.set()

    workers = threading.Thread(target=work_all)
    workers.start()
    harm()
    workers.join(60)
    redis.empty()
    assert failures == []
    assert wrong == []
    assert harms.keys() == {"kill", "freeze", "flush"}


def test_a_session_of_somebody_else_is_not_read_by_its_name(alice: User, bob: User) -> None:
    given = storyboard(alice.subject, 1)
    alice.save(given)
    assert alice.read(given["sessionId"]).status == 200
    assert bob.read(given["sessionId"]).code == "session_not_found"
    assert alice.read(str(uuid.uuid4())).code == "session_not_found"
    assert image_url(alice.subject) in alice.read(given["sessionId"]).text
