"""upload_image: one base64 image in, an optimised one stored."""

import base64
import hashlib
import re
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from PIL import Image

from shared.settings import settings
from tests.client import Client
from tests.people import User
from tests.shared.image_files import encoded, gradient, noise
from tests.storyboards import frame, png, with_frames


def names(database: psycopg.Connection, user: User) -> list[str]:
    found = database.execute(
        "select name from storage.objects where owner_id = %s order by name", (user.subject,)
    ).fetchall()
    return [name for (name,) in found]


def test_answers_the_contract_and_what_was_stored(alice: User) -> None:
    image = png(640, 360)
    answer = alice.upload(image, 3)
    assert answer.status == 200
    body = answer.json
    sha256 = hashlib.sha256(image).hexdigest()
    assert body["success"] is True
    assert (body["frameId"], body["userId"]) == (3, alice.subject)
    assert (body["width"], body["height"]) == (640, 360)
    assert (body["originalBytes"], body["sha256"]) == (len(image), sha256)
    assert urlsplit(body["imageUrl"]).path.endswith(f"/videomaker/{alice.subject}/frames/frame_3_{sha256[:16]}.webp")
    served = httpx.get(body["imageUrl"])
    assert served.headers["content-type"] == body["mimeType"] == "image/webp"
    assert len(served.content) == body["bytes"]
    assert served.headers["cache-control"] == "max-age=31536000, immutable"
    thumbnail = Image.open(BytesIO(httpx.get(body["thumbnailUrl"]).content))
    assert (thumbnail.format, max(thumbnail.size)) == ("WEBP", 320)
    assert len(base64.b64decode(body["placeholder"])) >= 5


def test_the_same_image_again_answers_the_same_and_stores_nothing(alice: User, database: psycopg.Connection) -> None:
    first, stored = alice.upload(png()), names(database, alice)
    again = alice.upload(png())
    assert again.json == first.json
    assert names(database, alice) == stored
    assert len(stored) == 2


def test_another_image_of_the_same_frame_gets_another_url(alice: User) -> None:
    assert alice.upload(png(96, 64)).json["imageUrl"] != alice.upload(png(96, 65)).json["imageUrl"]


def test_a_data_url_of_any_declared_type_is_understood(alice: User) -> None:
    data = "data:image/jpeg;charset=x;base64," + base64.b64encode(png()).decode()
    answer = alice.post("upload_image", {"imageData": data, "frameId": "opening-shot"})
    assert (answer.status, answer.json["frameId"]) == (200, "opening-shot")
    assert answer.json["mimeType"] == "image/webp"


def test_a_small_clean_jpeg_is_kept_with_its_own_type(alice: User) -> None:
    image = encoded(noise(64, 64), "JPEG", quality=20, subsampling=2)
    body = alice.upload(image).json
    served = httpx.get(body["imageUrl"])
    suffix = {"image/jpeg": ".jpg", "image/webp": ".webp"}[body["mimeType"]]
    assert body["imageUrl"].endswith(suffix)
    assert served.headers["content-type"] == body["mimeType"]
    assert body["bytes"] <= len(image)


def test_guests_without_an_id_upload_under_names_that_nobody_can_guess(guest: Client) -> None:
    one, two = guest.upload(png()).json, guest.upload(png()).json
    pattern = r".*/videomaker/guests/frames/frame_1_[0-9a-f]{32}\.webp"
    assert re.fullmatch(pattern, one["imageUrl"])
    assert re.fullmatch(pattern, two["imageUrl"])
    assert one["imageUrl"] != two["imageUrl"]
    assert re.fullmatch(r"guest_[0-9a-f]{32}", one["userId"])


def test_a_guest_with_an_id_uploads_into_a_folder_that_does_not_give_it_away(guest: Client) -> None:
    user_id = guest.upload(png()).json["userId"]
    first, second = guest.upload(png(), 1, user_id).json, guest.upload(png(), 1, user_id).json
    assert first["imageUrl"] == second["imageUrl"]
    assert first["userId"] == user_id
    assert "guests" not in first["imageUrl"]
    assert user_id.removeprefix("guest_") not in first["imageUrl"]


def test_uploads_made_in_parallel_without_an_id_end_in_one_session(guest: Client) -> None:
    urls = [guest.upload(png(96, 60 + number), number).json["imageUrl"] for number in range(1, 7)]
    saved = guest.save(with_frames([frame(number, url) for number, url in enumerate(urls, 1)])).json
    read = guest.read(saved["sessionId"], userId=saved["userId"]).json
    assert [one["imageUrl"] for one in read["frames"]] == urls
    assert all(one["thumbnailUrl"] for one in read["frames"])


def test_guests_are_refused_where_guest_access_is_off(guest: Client, function_environment: pytest.MonkeyPatch) -> None:
    function_environment.setenv("GUEST_ACCESS", "off")
    settings.cache_clear()
    answer = guest.upload(png())
    assert (answer.status, answer.code) == (401, "authentication_required")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_four_mebibytes_are_the_limit_to_the_byte(alice: User, extra: int) -> None:
    image = encoded(gradient(200, 200), "PNG")
    filler = 4 * 1024 * 1024 + extra - len(image)
    answer = alice.upload(image + b"\0" * filler)  # what follows the image is dropped
    if extra > 0:
        assert (answer.status, answer.code) == (413, "image_too_large")
        assert "create_upload" in answer.json["detail"]
    else:
        assert answer.status == 200
        assert answer.json["originalBytes"] == 4 * 1024 * 1024 + extra


REFUSED = {
    "text": (b"hello, I am no image at all", "not_an_image"),
    "empty": (b"\0", "not_an_image"),
    "html": (b"<!doctype html><script>alert(1)</script>", "not_an_image"),
    "pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" + b"\0" * 64, "unsupported_image_type"),
    "truncated": (encoded(noise(200, 200), "PNG")[:5000], "image_truncated"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_good_image_is_refused_and_nothing_is_stored(
    alice: User, database: psycopg.Connection, name: str
) -> None:
    data, code = REFUSED[name]
    answer = alice.upload(data)
    assert 400 <= answer.status < 500
    assert answer.code == code or (
        name in ("pdf", "html") and answer.code in ("unsupported_image_type", "not_an_image")
    )
    assert names(database, alice) == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"frameId": 1}, "imageData"),
        ({"imageData": "", "frameId": 1}, "imageData"),
        ({"imageData": 5, "frameId": 1}, "imageData"),
        ({"imageData": "aGk="}, "frameId"),
        ({"imageData": "aGk=", "frameId": "../../x"}, "frameId"),
        ({"imageData": "aGk=", "frameId": "x" * 65}, "frameId"),
        ({"imageData": "aGk=", "frameId": None}, "frameId"),
    ],
)
def test_a_refusal_names_the_field(alice: User, body: object, path: str) -> None:
    answer = alice.post("upload_image", body)
    assert (answer.status, answer.code) == (422, "validation_failed")
    assert path in [error["path"] for error in answer.json["errors"]]


def test_data_that_is_not_base64_is_refused(alice: User) -> None:
    answer = alice.post("upload_image", {"imageData": "*** not base64 ***", "frameId": 1})
    assert (answer.status, answer.code) == (422, "not_an_image")


def test_a_user_id_of_somebody_else_is_refused(alice: User, bob: User) -> None:
    answer = alice.upload(png(), 1, bob.subject)
    assert (answer.status, answer.code) == (403, "user_mismatch")


def test_a_guest_cannot_call_itself_by_a_users_id(guest: Client, alice: User) -> None:
    answer = guest.upload(png(), 1, alice.subject)
    assert (answer.status, answer.code) == (403, "user_mismatch")
