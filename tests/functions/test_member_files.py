"""members: in a private bucket, files are for those who may read the session."""

from typing import Any

import httpx
import psycopg
import pytest

from infra.local.stack import Stack
from tests.bucket import Bucket
from tests.membership import NewUser, join, people, resave
from tests.people import User
from tests.storyboards import frame, png, with_frames

Database = psycopg.Connection[Any]


def shown(person: User, session_id: str) -> list[int]:
    """Return the statuses that the images of a session are answered with at the URLs that the person was given."""
    frames = person.read(session_id).json["frames"]
    return [httpx.get(one[name]).status_code for one in frames for name in ("imageUrl", "thumbnailUrl")]


@pytest.mark.usefixtures("private_bucket")
@pytest.mark.xdist_group("bucket")
class TestPrivateBucket:
    """BUCKET_ACCESS=private: only who may read a session gets URLs of its images."""

    @pytest.fixture
    def shared(self, alice: User, bob: User) -> str:
        """A session with an image in Alice's folder and one in Bob's, who is an editor of it."""
        first = alice.upload(png(), 1).json["imageUrl"]
        session: str = alice.save(with_frames([frame(1, first)])).json["sessionId"]
        join(alice, session, bob)
        second = bob.upload(png(width=90), 2).json["imageUrl"]
        both = [*bob.read(session).json["frames"], frame(2, second)]
        assert resave(bob, session, frames=both).status == 200
        return session

    def test_members_see_one_anothers_images(self, alice: User, bob: User, new_user: NewUser, shared: str) -> None:
        watcher = new_user()
        join(alice, shared, watcher, "viewer")
        for person in (alice, bob, watcher):
            assert shown(person, shared) == [200] * 4

    def test_images_of_who_has_gone_stay(self, alice: User, bob: User, new_user: NewUser, shared: str) -> None:
        watcher = new_user()
        join(alice, shared, watcher, "viewer")
        bob.delete("members", sessionId=shared)
        for person in (alice, watcher):
            assert shown(person, shared) == [200] * 4
        assert resave(alice, shared, mood="dark").status == 200

    def test_both_owners_see_all_images_after_handing_over(self, alice: User, bob: User, shared: str) -> None:
        member_id = people(alice, shared)[bob.email]["memberId"]
        alice.patch("members", {"memberId": member_id, "role": "owner"})
        assert shown(alice, shared) == shown(bob, shared) == [200] * 4
        alice.delete("members", sessionId=shared)
        assert shown(bob, shared) == [200] * 4
        assert resave(bob, shared, mood="dark").status == 200

    def test_who_has_gone_can_neither_see_nor_change_what_it_gave(
        self, alice: User, bob: User, shared: str, stack: Stack, database: Database
    ) -> None:
        path = database.execute(
            "select image_path from public.video_frames where session_id = %s and frame_number = 2", (shared,)
        ).fetchone()[0]  # type: ignore[index]
        before = Bucket(stack, bob, database).row(path)
        member_id = people(alice, shared)[bob.email]["memberId"]
        bob.delete("members", sessionId=shared)
        assert change_file(stack, bob, path) == [403, 0]
        assert Bucket(stack, bob, database).row(path) == before
        join(alice, shared, bob, "viewer")
        assert change_file(stack, bob, path) == [403, 0]
        member_id = people(alice, shared)[bob.email]["memberId"]
        alice.patch("members", {"memberId": member_id, "role": "editor"})
        assert change_file(stack, bob, path) == [200, 1]

    def test_a_viewer_gave_nothing_and_keeps_its_files_to_itself(
        self, alice: User, bob: User, shared: str, stack: Stack, new_user: NewUser
    ) -> None:
        """Bob shows a session of his to Alice as a viewer; that she copies an image of it does not bind him."""
        owner, copier = bob, new_user()
        url = owner.upload(png(width=80), 1).json["imageUrl"]
        original = owner.save(with_frames([frame(1, url)])).json["sessionId"]
        join(owner, original, copier, "viewer")
        copy = copier.save(with_frames([frame(1, url)]))
        assert copy.status == 200
        join(copier, copy.json["sessionId"], owner, "viewer")
        owner.delete("members", sessionId=copy.json["sessionId"])
        assert change_file(stack, owner, url.partition("/videomaker/")[2].partition("?")[0]) == [200, 1]


def change_file(stack: Stack, person: User, path: str) -> list[int]:
    """Try to replace a file and to remove it; return the status of the one, and how many the other removed."""
    base = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker"
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {person.token}"}
    image = {**headers, "content-type": "image/png"}
    replaced = httpx.put(f"{base}/{path}", content=png(width=70), headers=image)
    removed = httpx.request("DELETE", base, json={"prefixes": [path]}, headers=headers)
    return [int(replaced.json().get("statusCode", replaced.status_code)), len(removed.json())]
