"""Uploads to the local Storage server: at once, refused, cut off, and while the database is away."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.stack import Stack
from tests.infra.supabase.storage_calls import LIMIT, PNG, in_parallel, upload


def test_thirty_uploads_at_once_are_all_stored(service: httpx.Client, bucket: str) -> None:
    answers = in_parallel(30, lambda n: upload(service, f"{bucket}/{n}.png", b"%d" % n * 1000))

    assert [answer.status_code for answer in answers] == [200] * 30
    contents = [service.get(f"/object/{bucket}/{n}.png").content for n in range(30)]
    assert contents == [b"%d" % n * 1000 for n in range(30)]


def test_one_of_several_uploads_of_a_new_object_wins(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    answers = in_parallel(8, lambda n: upload(service, f"{bucket}/same.png", b"%d" % n * 1000))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 7}
    assert {answer.json()["error"] for answer in answers if answer.is_error} == {"Duplicate"}
    winner = next(number for number, answer in enumerate(answers) if answer.is_success)
    assert service.get(f"/object/{bucket}/same.png").content == b"%d" % winner * 1000
    assert len(stored()) == 1


def test_replacing_an_object_many_times_at_once_leaves_one_version(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    answers = in_parallel(8, lambda n: upload(service, f"{bucket}/same.png", b"%d" % n, **{"x-upsert": "true"}))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json()["Id"] for answer in answers}) == 1
    assert len(stored()) == 1


def test_reading_never_fails_while_an_object_is_replaced(service: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/a.png", b"0" * 1000)

    def replace_or_read(number: int) -> httpx.Response:
        if number % 2:
            return service.get(f"/object/public/{bucket}/a.png")
        return upload(service, f"{bucket}/a.png", b"%d" % (number % 10) * 1000, **{"x-upsert": "true"})

    answers = in_parallel(20, replace_or_read)

    assert [answer.status_code for answer in answers] == [200] * 20
    assert all(len(set(answer.content)) == 1 for answer in answers[1::2])


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("%2e%2e/%2e%2e/escaped.png", "InvalidKey"),
        ("a/%2e%2e%2f%2e%2e/escaped.png", "InvalidKey"),
        ("a/%2e/b.png", "InvalidKey"),
        ("caf%C3%A9.png", "InvalidKey"),
        ("back%5Cslash.png", "InvalidKey"),
        ("nul%00.png", "InvalidKey"),
        ("x" * 300, "InvalidKey"),
    ],
)
def test_a_name_that_is_no_valid_key_is_refused(
    stack: Stack, service: httpx.Client, bucket: str, name: str, code: str
) -> None:
    url = httpx.URL(stack.info["supabaseUrl"]).copy_with(raw_path=f"/storage/v1/object/{bucket}/{name}".encode())

    answer = service.post(url, content=b"x", headers=PNG)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_body_without_a_declared_length_is_cut_at_the_limit(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    def endless() -> Iterator[bytes]:
        yield from (b"x" * 10_000 for _ in range(LIMIT // 10_000))
        yield b"x"

    answer = upload(service, f"{bucket}/a.png", endless())

    assert answer.json()["statusCode"] == "413"
    assert stored() == []
    assert service.get(f"/object/{bucket}/a.png").json()["code"] == "NoSuchKey"


def test_a_multipart_body_that_ends_early_stores_nothing(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\nhalf of the fi'

    answer = upload(service, f"{bucket}/a.png", head, **{"content-type": "multipart/form-data; boundary=b"})

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
    assert stored() == []


def test_a_denied_upload_stores_nothing(
    stack: Stack, anyone: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    answer = upload(anyone, f"{bucket}/a.png", authorization=f"Bearer {stack.keys.anon_key}")

    assert answer.json()["statusCode"] == "403"
    assert stored() == []


def test_removing_an_object_removes_its_file(
    service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    upload(service, f"{bucket}/a.png")
    assert len(stored()) == 1

    assert service.delete(f"/object/{bucket}/a.png").json() == {"message": "Successfully deleted"}
    assert stored() == []


def test_the_opaque_secret_key_works_as_api_key_alone(stack: Stack, anyone: httpx.Client, bucket: str) -> None:
    assert upload(anyone, f"{bucket}/a.png", apikey=stack.keys.secret_key).is_success
    denied = upload(anyone, f"{bucket}/b.png", apikey=stack.keys.publishable_key)
    assert denied.json()["statusCode"] == "403"


def test_a_token_signed_with_the_elliptic_key_is_accepted(stack: Stack, anyone: httpx.Client, bucket: str) -> None:
    token = stack.keys.sign({"role": "service_role"}, "ES256")

    assert upload(anyone, f"{bucket}/a.png", authorization=f"Bearer {token}").is_success


def test_a_signed_download_is_no_permission_to_upload(service: httpx.Client, anyone: httpx.Client, bucket: str) -> None:
    upload(service, f"{bucket}/a.png")
    signed = service.post(f"/object/sign/{bucket}/a.png", json={"expiresIn": 60}).json()["signedURL"]
    token = httpx.URL(signed).params["token"]

    answer = anyone.put(f"/object/upload/sign/{bucket}/a.png", params={"token": token}, content=b"x", headers=PNG)

    assert answer.json()["code"] == "InvalidSignature"


def test_storage_answers_an_outage_of_the_database_and_recovers(
    stack: Stack, service: httpx.Client, bucket: str, stored: Callable[[], list[Path]]
) -> None:
    upload(service, f"{bucket}/before.png")
    stack.stop_child("postgres")
    try:
        answers = [upload(service, f"{bucket}/a.png"), service.get(f"/object/public/{bucket}/before.png")]
        left = stored()
    finally:
        stack.start_child("postgres")

    assert [answer.json()["code"] for answer in answers] == ["DatabaseTimeout"] * 2
    assert all(answer.status_code >= 500 for answer in answers)
    assert len(left) == 1
    assert upload(service, f"{bucket}/a.png").is_success
    assert service.get(f"/object/public/{bucket}/before.png").is_success
