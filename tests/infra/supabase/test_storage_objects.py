"""Reading, listing, moving and removing objects of the local Storage server."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from supabase import create_client

from infra.local.stack import Stack
from tests.infra.supabase.storage_calls import upload


@pytest.mark.parametrize(
    ("asked", "content", "content_range"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ],
)
def test_a_range_is_answered_in_part(
    service: httpx.Client, bucket: str, asked: str, content: bytes, content_range: str
) -> None:
    upload(service, f"{bucket}/digits", b"0123456789")

    answer = service.get(f"/object/public/{bucket}/digits", headers={"range": asked})

    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == content_range


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=4-2", "bytes=-0", "bytes=x-", "bytes=-"])
def test_a_range_outside_of_the_object_is_refused(service: httpx.Client, bucket: str, asked: str) -> None:
    upload(service, f"{bucket}/digits", b"0123456789")

    answer = service.get(f"/object/public/{bucket}/digits", headers={"range": asked})

    assert (answer.status_code, answer.json()["code"]) == (416, "InvalidRange")


def test_an_unchanged_object_is_not_sent_again(service: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/a.png")
    url = f"/object/public/{bucket}/a.png"
    first = service.get(url)
    modified = first.headers["last-modified"]
    earlier = format_datetime(parsedate_to_datetime(modified) - timedelta(hours=1), usegmt=True)

    def status(**headers: str) -> int:
        return service.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code

    assert status(if_none_match=first.headers["etag"]) == 304
    assert status(if_none_match=f'"other", W/{first.headers["etag"]}') == 304
    assert status(if_none_match='"other"') == 200
    assert status(if_modified_since=modified) == 304
    assert status(if_modified_since=earlier) == 200
    assert status(if_none_match='"other"', if_modified_since=modified) == 200


def test_head_answers_what_get_would_without_the_bytes(service: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/a.png", b"x" * 500)
    url = f"/object/public/{bucket}/a.png"
    head, get = service.head(url), service.get(url)

    assert head.content == b""
    assert {name: value for name, value in head.headers.items() if name != "date"} == {
        name: value for name, value in get.headers.items() if name != "date"
    }


def test_download_names_the_file(service: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/a.png")

    answer = service.get(f"/object/public/{bucket}/a.png", params={"download": "my file.png"})

    expected = "attachment; filename=my%20file.png; filename*=UTF-8''my%20file.png;"
    assert answer.headers["content-disposition"] == expected


def test_a_page_that_was_uploaded_is_not_served_as_one(service: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/page", b"<script>", **{"content-type": "text/html"})

    assert service.get(f"/object/public/{bucket}/page").headers["content-type"] == "text/plain"


def test_moving_keeps_the_object_and_frees_the_old_name(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    identifier = upload(service, f"{bucket}/old.png", b"bytes").json()["Id"]
    names = {"bucketId": bucket, "sourceKey": "old.png", "destinationKey": "folder/new.png"}

    assert service.post("/object/move", json=names).json() == {"message": "Successfully moved"}
    assert service.get(f"/object/{bucket}/folder/new.png").content == b"bytes"
    assert service.get(f"/object/info/{bucket}/folder/new.png").json()["id"] == identifier
    assert service.get(f"/object/{bucket}/old.png").json()["code"] == "NoSuchKey"
    assert len(stored()) == 1


def test_moving_onto_another_object_changes_nothing(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    for name in ("one", "two"):
        upload(service, f"{bucket}/{name}", name.encode())

    answer = service.post("/object/move", json={"bucketId": bucket, "sourceKey": "one", "destinationKey": "two"})

    assert answer.json()["error"] == "Duplicate"
    assert [service.get(f"/object/{bucket}/{name}").content for name in ("one", "two")] == [b"one", b"two"]
    assert len(stored()) == 2


def test_a_copy_survives_the_removal_of_its_source(service: httpx.Client, bucket: str) -> None:
    metadata = base64.b64encode(json.dumps({"k": "v"}).encode()).decode()
    upload(service, f"{bucket}/one", b"bytes", **{"x-metadata": metadata})
    names = {"bucketId": bucket, "sourceKey": "one", "destinationKey": "two"}

    assert service.post("/object/copy", json=names).json()["Key"] == f"{bucket}/two"
    service.delete(f"/object/{bucket}/one")

    assert service.get(f"/object/{bucket}/two").content == b"bytes"
    assert service.get(f"/object/info/{bucket}/two").json()["metadata"] == {"k": "v"}


def test_pages_of_a_list_are_complete_and_do_not_overlap(service: httpx.Client, bucket: str) -> None:
    names = ["a/1", "a/2", "b", "c/d/e", "f"]
    for name in names:
        upload(service, f"{bucket}/{name}")
    found: list[str] = []
    body: dict[str, Any] = {"limit": 2}
    while True:
        page = service.post(f"/object/list-v2/{bucket}", json=body).json()
        found += [item["key"] for item in page["objects"]]
        if not page["hasNext"]:
            break
        body["cursor"] = page["nextCursor"]

    assert found == names


def test_a_list_with_a_delimiter_keeps_folders_apart(service: httpx.Client, bucket: str) -> None:
    for name in ("a/1", "a/2/3", "a/2/4"):
        upload(service, f"{bucket}/{name}")

    page = service.post(f"/object/list-v2/{bucket}", json={"prefix": "a/", "with_delimiter": True}).json()

    assert [folder["name"] for folder in page["folders"]] == ["a/2/"]
    assert [item["name"] for item in page["objects"]] == ["a/1"]


def test_a_bucket_is_removed_once_it_is_empty(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    upload(service, f"{bucket}/a.png")

    assert service.delete(f"/bucket/{bucket}").json()["statusCode"] == "409"
    assert service.post(f"/bucket/{bucket}/empty").is_success
    assert stored() == []
    assert service.delete(f"/bucket/{bucket}").json() == {"message": "Successfully deleted"}
    assert service.get(f"/bucket/{bucket}").json()["code"] == "NoSuchBucket"


def test_the_client_understands_the_answers_that_were_not_recorded(stack: Stack, bucket: str) -> None:
    client = create_client(stack.info["supabaseUrl"], stack.keys.secret_key)
    files = client.storage.from_(bucket)
    ticket = files.create_signed_upload_url("a/1.png")
    files.upload_to_signed_url("a/1.png", ticket["token"], b"bytes", {"content-type": "image/png"})

    assert files.copy("a/1.png", "a/2.png")["Key"] == f"{bucket}/a/2.png"
    assert files.move("a/2.png", "b.png") == {"message": "Successfully moved"}
    assert (files.exists("b.png"), files.exists("a/2.png")) == (True, False)
    page = files.list_v2({"with_delimiter": True})
    assert ([folder.name for folder in page.folders], [item.name for item in page.objects]) == (["a/"], ["b.png"])
    assert client.storage.update_bucket(bucket, {"public": False}) == {"message": "Successfully updated"}
    assert httpx.get(files.get_public_url("b.png")).json()["code"] == "NoSuchBucket"
    assert client.storage.empty_bucket(bucket).keys() == {"message"}
    assert client.storage.delete_bucket(bucket) == {"message": "Successfully deleted"}
