"""api_keys: issued, listed, revoked, by signed-in users only."""

import re
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from shared.identity import Credentials, api_keys
from shared.settings import settings
from tests.client import Answer, Client
from tests.people import User
from tests.programs import issue, prefix_of, program, revoke

Database = psycopg.Connection[Any]


def listed(user: Client, **query: Any) -> Answer:
    return user.get("api_keys", **query)


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
        ({"expiresAt": "0001-01-01T00:00:00+23:59"}, "expiresAt"),
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


def test_an_end_may_have_any_offset_that_can_be_written(alice: User) -> None:
    answer = alice.post("api_keys", {"name": "x", "scopes": ["read"], "expiresAt": "2979-12-08T08:06:51.4+22:28"})
    assert answer.status == 200, answer.json
    assert answer.json["apiKey"]["expiresAt"] == "2979-12-07T09:38:51.4+00:00"
