"""storage_webhook: files put straight into Storage are verified, whoever says what they are."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from functions.storage_webhook import handler as function
from infra.local.stack import Stack
from shared.images import optimise
from shared.settings import settings
from tests.bucket import Bucket
from tests.client import Answer, JsonObject, event, invoke
from tests.faults import FaultyUpstream
from tests.people import User
from tests.shared.image_files import GPS_LATITUDE, decoded, encoded, exif, gradient, header_only, noise
from tests.storyboards import frame, png, with_frames

Database = psycopg.Connection[Any]

SECRET = "the secret of this test"
HTML = b"<!doctype html><script>alert(document.cookie)</script>"
MP4 = b"\0\0\0\x18ftypisom\0\0\0\1isomavc1" + bytes(64)


@pytest.fixture(autouse=True)
def only_by_hand(function_environment: pytest.MonkeyPatch, database: Database) -> Iterator[None]:
    """The stack announces nothing meanwhile: the tests do."""
    targets = database.execute("delete from private.webhook_targets returning name, url, secret").fetchall()
    function_environment.setenv("STORAGE_WEBHOOK_SECRET", SECRET)
    settings.cache_clear()
    yield
    for target in targets:
        database.execute("insert into private.webhook_targets (name, url, secret) values (%s, %s, %s)", target)


@pytest.fixture
def bucket(stack: Stack, alice: User, database: Database) -> Bucket:
    return Bucket(stack, alice, database)


def told_of(record: JsonObject | None, **changed: object) -> JsonObject:
    """Return a webhook's body."""
    body = {"type": "INSERT", "table": "objects", "schema": "storage", "record": record, "old_record": None}
    return body | changed


def deliver(body: object, **headers: str) -> Answer:
    """Send a webhook, with the right secret unless another is given."""
    named = {"x-webhook-secret": SECRET} | {name.replace("_", "-"): value for name, value in headers.items()}
    return invoke("storage_webhook", event("POST", "/api/storage_webhook", headers=named, body=json.dumps(body)))


def outcome(body: object, **headers: str) -> str:
    answer = deliver(body, **headers)
    assert answer.status == 200, answer.body
    return str(answer.json["outcome"])


def test_an_image_is_optimised_in_place_and_gets_a_thumbnail(bucket: Bucket, alice: User) -> None:
    name = bucket.put("frames/photo.jpg", encoded(gradient(2400, 1600), "JPEG", exif=exif(6)), "image/jpeg")
    assert GPS_LATITUDE in bucket.get(name).content
    assert outcome(told_of(bucket.row(name))) == "optimised"
    served = bucket.get(name)
    assert served.headers["content-type"] == "image/webp"
    assert GPS_LATITUDE not in served.content
    assert decoded(served.content).size == (1280, 1920)
    assert max(decoded(bucket.get(f"{bucket.subject}/thumbnails/photo.webp").content).size) == 320
    saved = alice.save(with_frames([frame(1, bucket.url(name))])).json["frames"][0]
    assert (saved["width"], saved["height"], saved["mimeType"]) == (1280, 1920, "image/webp")
    assert saved["thumbnailUrl"].endswith("/thumbnails/photo.webp")
    ((status, code, result),) = bucket.uploads()
    assert (status, code, result["path"], result["bytes"]) == ("ready", None, name, len(served.content))


def test_an_image_outside_of_a_frames_folder_gets_no_thumbnail(bucket: Bucket) -> None:
    name = bucket.put("covers/cover.png", png())
    assert outcome(told_of(bucket.row(name))) == "optimised"
    row = bucket.row(name)
    assert row
    assert row["user_metadata"]["thumbnail"] == "false"
    assert bucket.row(f"{bucket.subject}/thumbnails/cover.webp") is None


def test_the_thumbnail_of_a_replaced_image_is_replaced(bucket: Bucket) -> None:
    for width in (400, 300):
        name = bucket.put("frames/one.png", png(width, 100))
        outcome(told_of(bucket.row(name)))
    assert decoded(bucket.get(f"{bucket.subject}/thumbnails/one.webp").content).size == (300, 100)


REFUSED: dict[str, tuple[bytes, str]] = {
    "html": (HTML, "not_an_image"),
    "nothing": (b"", "not_an_image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "unsupported_image_type"),
    "pdf": (b"%PDF-1.7\n" + bytes(64), "unsupported_image_type"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "unsupported_image_type"),
    "truncated": (encoded(noise(200, 200), "PNG")[:5000], "image_truncated"),
    "huge": (header_only("PNG", 60_000, 60_000), "too_many_pixels"),
}


@pytest.mark.parametrize(
    ("name", "data", "mime_type", "verdict"),
    [
        (f"exports/{'0a' * 16}.zip", b"PK\3\4" + bytes(64), "application/zip", "kept"),
        (f"exports/{'0a' * 16}.zip", HTML, "application/zip", "rejected"),
        (f"exports/{'0a' * 16}.zip", b"PK\3\4" + bytes(64), "image/png", "rejected"),
        ("exports/mine.zip", b"PK\3\4" + bytes(64), "application/zip", "rejected"),
        (f"frames/{'0a' * 16}.zip", b"PK\3\4" + bytes(64), "application/zip", "rejected"),
    ],
)
def test_a_zip_file_is_kept_where_history_puts_its_exports(
    bucket: Bucket, name: str, data: bytes, mime_type: str, verdict: str
) -> None:
    assert outcome(told_of(bucket.row(bucket.put(name, data, mime_type)))) == verdict


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_good_image_is_removed_and_noted(bucket: Bucket, kind: str) -> None:
    data, code = REFUSED[kind]
    name = bucket.put("frames/one.png", data)
    told = told_of(bucket.row(name))
    assert outcome(told) == "rejected"
    assert bucket.row(name) is None
    assert bucket.get(name).status_code == 400
    assert [(status, found) for status, found, _ in bucket.uploads()] == [("rejected", code)]
    assert outcome(told) == "gone"
    assert len(bucket.uploads()) == 1


def test_an_image_of_too_many_bytes_is_removed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "MAX_IMAGE_BYTES", 1000)
    name = bucket.put("frames/one.png", encoded(noise(64, 64), "PNG"))
    assert outcome(told_of(bucket.row(name))) == "rejected"
    assert bucket.uploads()[0][1] == "image_too_large"


def translucent() -> bytes:
    image = gradient(200, 100).convert("RGBA")
    image.putalpha(128)
    return encoded(image, "PNG")


KEPT: dict[str, tuple[Callable[[], bytes], str]] = {
    "webp": (lambda: optimise(png(640, 360)).image.data, "image/webp"),
    "thumbnail": (lambda: optimise(png(640, 360)).thumbnail.data, "image/webp"),
    "webp with alpha": (lambda: optimise(translucent()).image.data, "image/webp"),
    "jpeg": (lambda: encoded(noise(64, 64), "JPEG", quality=20, subsampling=2), "image/jpeg"),
    "mp4": (lambda: MP4, "video/mp4"),
    "mp3": (lambda: b"ID3\4\0\0" + bytes(64), "audio/mpeg"),
    "captions": (lambda: b"\xef\xbb\xbfWEBVTT\n\n00:00.000 --> 00:01.000\nHello\n", "text/vtt"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_as_it_should_be_is_left_as_it_is(bucket: Bucket, kind: str) -> None:
    make, mime_type = KEPT[kind]
    name = bucket.put("frames/one.webp", make(), mime_type)
    before = bucket.row(name)
    assert outcome(told_of(before)) == "kept"
    assert bucket.row(name) == before
    assert bucket.get(name).content == make()


def test_what_was_optimised_is_left_as_it_is_even_if_it_had_an_owner(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", png())
    assert outcome(told_of(bucket.row(name))) == "optimised"
    after = bucket.row(name)
    assert after
    assert after["owner_id"] is None
    assert outcome(told_of(after)) == "ignored"
    assert outcome(told_of(after | {"owner_id": bucket.subject})) == "kept"
    assert bucket.row(name) == after


def test_a_good_image_under_a_false_type_gets_its_own(bucket: Bucket) -> None:
    name = bucket.put("frames/one.webp", optimise(png()).image.data, "text/vtt")
    assert outcome(told_of(bucket.row(name))) == "optimised"
    assert bucket.get(name).headers["content-type"] == "image/webp"


def test_a_clean_image_that_is_too_large_is_scaled_down(bucket: Bucket) -> None:
    name = bucket.put("frames/one.webp", encoded(gradient(2500, 500), "WEBP"), "image/webp")
    assert outcome(told_of(bucket.row(name))) == "optimised"
    assert decoded(bucket.get(name).content).size == (1920, 384)


def test_a_clean_image_in_colours_of_print_is_converted(bucket: Bucket) -> None:
    name = bucket.put("frames/one.jpg", encoded(gradient(200, 100).convert("CMYK"), "JPEG"), "image/jpeg")
    assert outcome(told_of(bucket.row(name))) == "optimised"
    assert decoded(bucket.get(name).content).mode == "RGB"


def test_a_used_up_quota_keeps_no_bad_file_alive(bucket: Bucket, database: Database) -> None:
    database.execute(
        "insert into public.uploads (user_id, kind, content_type, bytes, status)"
        " select %s, 'audio', 'audio/mpeg', 524288000, 'ready' from generate_series(1, 30)",
        (bucket.subject,),
    )
    name = bucket.put("frames/one.png", HTML)
    assert outcome(told_of(bucket.row(name))) == "rejected"
    assert bucket.row(name) is None


@pytest.mark.parametrize(
    "changed", [{"name": "a\0b"}, {"name": "\ud800"}, {"metadata": {"size": "many"}}, {"name": None}]
)
def test_a_row_that_cannot_be_is_refused(bucket: Bucket, changed: JsonObject) -> None:
    row = bucket.row(bucket.put("frames/one.png", HTML))
    assert row
    answer = deliver(told_of(row | changed))
    assert (answer.status, answer.code) == (422, "validation_failed")


@pytest.mark.parametrize("path", ["frames/a b.png", "frames/a?b=1.png", "frames/a+b&c;d,e.png", "frames/.hidden.png"])
def test_an_odd_name_hides_nothing_and_touches_no_other_object(bucket: Bucket, path: str) -> None:
    other = bucket.put("frames/a", optimise(png()).image.data, "image/webp")
    name = bucket.put(path, HTML)
    assert outcome(told_of(bucket.row(name))) == "rejected"
    assert bucket.row(name) is None
    assert bucket.row(other) is not None


def test_a_name_that_clients_cannot_ask_for_is_removed(bucket: Bucket) -> None:
    name = bucket.put("frames//one.png", png())
    other = bucket.put("frames/one.png", optimise(png()).image.data, "image/webp")
    assert outcome(told_of(bucket.row(name))) == "rejected"
    assert bucket.row(name) is None
    assert bucket.row(other) is not None
    assert bucket.uploads()[0][1] == "invalid_object_name"


def test_a_late_event_does_not_touch_what_has_come_since(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", HTML)
    late = told_of(bucket.row(name))
    bucket.put("frames/one.png", png())
    after = bucket.row(name)
    assert outcome(late) == "gone"
    bad = bucket.put("frames/two.png", png())
    late = told_of(bucket.row(bad))
    bucket.put("frames/two.png", HTML)
    assert outcome(late) == "gone"
    assert bucket.row(name) == after
    assert bucket.get(bad).content == HTML
    assert bucket.uploads() == []


def test_an_object_that_was_moved_is_verified_where_it_is_now(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", png())
    before, moved = bucket.row(name), f"{bucket.subject}/frames/two.png"
    bucket.move(name, moved)
    assert outcome(told_of(before)) == "gone"
    assert outcome(told_of(bucket.row(moved), type="UPDATE", old_record=before)) == "optimised"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_webhook_secret": ""}, "invalid_webhook_secret"),
        ({"x_webhook_secret": SECRET + "x"}, "invalid_webhook_secret"),
        ({"x_webhook_secret": "sécret"}, "invalid_webhook_secret"),
        ({"x_webhook_timestamp": str(int(time.time()) - 3600)}, "webhook_expired"),
        ({"x_webhook_timestamp": str(int(time.time()) + 3600)}, "webhook_expired"),
    ],
)
def test_a_webhook_without_proof_changes_nothing(bucket: Bucket, headers: dict[str, str], code: str) -> None:
    name = bucket.put("frames/one.png", HTML)
    before = bucket.row(name)
    answer = deliver(told_of(before), **headers)
    assert (answer.status, answer.code) == (401, code)
    assert bucket.row(name) == before
    assert bucket.uploads() == []


def test_without_a_timestamp_of_its_own_a_webhook_is_as_old_as_its_row(bucket: Bucket) -> None:
    row = bucket.row(bucket.put("frames/one.png", HTML))
    assert row
    answer = deliver(told_of(row | {"updated_at": "2020-01-01T00:00:00+00:00"}))
    assert (answer.status, answer.code) == (401, "webhook_expired")
    assert outcome(
        told_of(row | {"updated_at": "2020-01-01T00:00:00+00:00"}), x_webhook_timestamp=str(int(time.time()))
    )


def test_strangers_learn_nothing_of_what_is_expected(function_environment: pytest.MonkeyPatch) -> None:
    answer = deliver({"type": []}, x_webhook_secret="")
    assert (answer.status, answer.code) == (401, "invalid_webhook_secret")
    function_environment.delenv("STORAGE_WEBHOOK_SECRET")
    settings.cache_clear()
    answer = deliver({"type": []}, x_webhook_secret="")
    assert (answer.status, answer.code) == (503, "not_configured")


def test_other_events_are_passed_over(bucket: Bucket) -> None:
    name = bucket.put("frames/one.png", HTML)
    row = bucket.row(name)
    assert row
    assert outcome(told_of(None, type="DELETE", old_record=row)) == "ignored"
    assert outcome(told_of(row, schema="public")) == "ignored"
    assert outcome(told_of(row | {"bucket_id": "other"})) == "ignored"
    assert outcome(told_of(row | {"owner_id": None})) == "ignored"
    assert bucket.row(name) == row


@pytest.mark.parametrize("data", [png(), HTML], ids=["good", "bad"])
@pytest.mark.parametrize("prefix", ["/storage/", "/rest/"])
def test_while_supabase_is_away_nothing_is_lost(
    bucket: Bucket, stack: Stack, function_environment: pytest.MonkeyPatch, prefix: str, data: bytes
) -> None:
    name = bucket.put("frames/one.png", data)
    told, upstream = told_of(bucket.row(name)), FaultyUpstream(stack.info["supabaseUrl"])
    function_environment.setenv("SUPABASE_URL", upstream.url)
    settings.cache_clear()
    with upstream.failing(prefix, "error_500"):
        answer = deliver(told)
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert bucket.row(name) is not None
    assert outcome(told) in ("optimised", "rejected", "gone")
    upstream.close()
    assert bucket.get(name).content != HTML
