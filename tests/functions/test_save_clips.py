"""save_clips: clips of outside models, merged in place of rendered ones."""

import io
import uuid
from typing import Any, cast

import av
import httpx
import psycopg
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from infra.local.stack import Stack
from tests.bucket import Bucket
from tests.client import Answer, Client, JsonObject
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames
from tests.videos import Job, Queues, fetched, picture, start, stored_storyboard, watch

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def session(alice: User) -> JsonObject:
    return stored_storyboard(alice, 3, 3)


def movie(
    number: int, *, seconds: float = 1, fps: int = 24, size: tuple[int, int] = (480, 480), codec: str = "libx264"
) -> bytes:
    """Return a video that shows one picture, as some model might make it."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        image = VideoFrame.from_image(picture(number).resize(size))  # type: ignore[no-untyped-call]
        for place in range(round(seconds * fps)):
            image.pts = place
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return out.getvalue()


def uploaded(stack: Stack, user: User, database: Database, data: bytes, *, status: str = "ready") -> str:
    """Store a clip as on_upload does, and return its upload's id."""
    upload_id = str(uuid.uuid4())
    path = f"{user.subject}/clips/{upload_id}.mp4"
    service = {"Authorization": f"Bearer {stack.info['serviceKey']}", "content-type": "video/mp4"}
    url = f"{stack.info['supabaseUrl']}/storage/v1/object/videomaker/{path}"
    assert httpx.post(url, content=data, headers=service).status_code == 200
    database.execute(
        "insert into public.uploads (id, user_id, kind, content_type, bytes, status, result)"
        " values (%s, %s, 'clip', 'video/mp4', 1, %s, jsonb_build_object('path', %s::text))",
        (upload_id, user.subject, status, path),
    )
    return upload_id


def register(user: Client, session_id: str, *clips: JsonObject) -> Answer:
    return user.post("save_clips", {"sessionId": session_id, "clips": list(clips)})


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"fps": 30, "size": (640, 360), "codec": "mpeg4"},
        {"seconds": 0.4},
        {"seconds": 3},
    ],
)
def test_a_registered_clip_takes_the_place_of_a_rendered_one(  # noqa: PLR0917
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject, other: JsonObject
) -> None:
    upload_id = uploaded(stack, alice, database, movie(9, **other))
    answer = register(alice, session["sessionId"], {"frameNumber": 2, "uploadId": upload_id, "provider": "runway"})
    assert answer.status == 200, answer.body
    [clip] = answer.json["clips"]
    assert (clip["frameNumber"], clip["provider"]) == (2, "runway")
    assert clip["videoUrl"].endswith(f"/clips/{upload_id}.mp4")
    job = Job(alice, queues, database, session["sessionId"], fit="cover")
    for message in job.messages:
        assert queues.deliver("render", message)
    queues.work()
    found = job.shown
    assert found["video"]["status"] == "completed", found["video"]["error"]
    assert [one["provider"] for one in found["clips"]] == ["render", "runway", "render"]
    shown = watch(fetched(found["video"]["videoUrl"]), frames=72, fps=24, size=(480, 480))
    seen = picture(9)
    if "size" in other:
        seen = seen.resize((640, 360)).crop((140, 0, 500, 360))
    for middle, expected in ((12, picture(1)), (36, seen), (60, picture(3))):
        assert shown.shows(middle, expected) > 0.8
    assert shown.shows(24, seen) > 0.8
    assert shown.shows(47, seen) > 0.8, "a short one holds its last frame"


def test_what_follows_a_registered_clip_fades_out_of_its_last_picture(
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    upload_id = uploaded(stack, alice, database, movie(9))
    register(alice, session["sessionId"], {"frameNumber": 2, "uploadId": upload_id})
    job = Job(alice, queues, database, session["sessionId"], transition="crossfade", transitionSeconds=0.5)
    for message in job.messages:
        assert queues.deliver("render", message)
    queues.work()
    video = job.shown["video"]
    shown = watch(fetched(video["videoUrl"]), frames=72, fps=24, size=(480, 480))
    halfway = Image.blend(picture(9), picture(3), 0.5)
    assert max(shown.shows(place, halfway) for place in (52, 53, 54)) > 0.85
    assert shown.shows(24, picture(9)) > 0.85, "it is cut in as it is"


def test_registering_one_renders_two_clips_at_most(
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject
) -> None:
    job = Job(alice, queues, database, session["sessionId"], transition="crossfade")
    for message in job.messages:
        assert queues.deliver("render", message)
    register(alice, session["sessionId"], {"frameNumber": 2, "uploadId": uploaded(stack, alice, database, movie(9))})
    assert start(alice, session["sessionId"], transition="crossfade", dryRun=True).json["finishedClips"] == 1
    register(alice, session["sessionId"], {"frameNumber": 2})
    assert start(alice, session["sessionId"], transition="crossfade", dryRun=True).json["finishedClips"] == 3


def test_a_clip_of_ones_own_folder_is_taken_by_its_address(
    stack: Stack, alice: User, database: Database, session: JsonObject
) -> None:
    bucket = Bucket(stack, alice, database)
    name = bucket.put("clips/mine.mp4", movie(9), "video/mp4")
    answer = register(alice, session["sessionId"], {"frameId": 1, "videoUrl": bucket.url(name)})
    assert (answer.status, answer.json["clips"][0]["videoUrl"]) == (200, bucket.url(name))


@pytest.mark.parametrize("where", ["foreign", "missing", "outside", "picture", "nonsense"])
def test_any_other_address_is_refused_and_nothing_is_stored(  # noqa: PLR0917
    stack: Stack, alice: User, bob: User, database: Database, session: JsonObject, where: str
) -> None:
    theirs = Bucket(stack, bob, database)
    url = {
        "foreign": theirs.url(theirs.put("clips/theirs.mp4", movie(9), "video/mp4")),
        "missing": theirs.url(f"{alice.subject}/clips/none.mp4"),
        "outside": "https://example.com/clip.mp4",
        "picture": alice.upload(encoded(picture(1), "WEBP")).json["imageUrl"],
        "nonsense": "../../etc/passwd",
    }[where]
    good = {"frameNumber": 1}
    answer = register(alice, session["sessionId"], good, {"frameNumber": 2, "videoUrl": url})
    assert (answer.status, answer.code) == (422, "foreign_clip_url")
    assert answer.json["errors"][0]["path"] == "clips[1].videoUrl"
    found = database.execute(
        "select count(*) from public.video_frames where session_id = %s and clip_path is not null",
        (session["sessionId"],),
    ).fetchone()
    assert found == (0,)


def test_an_upload_must_be_ready_a_clip_and_ones_own(
    stack: Stack, alice: User, bob: User, database: Database, session: JsonObject
) -> None:
    waiting = uploaded(stack, alice, database, movie(9), status="processing")
    theirs = uploaded(stack, bob, database, movie(9))
    for upload_id, expected in (
        (waiting, (422, "upload_not_usable")),
        (theirs, (404, "upload_not_found")),
        (str(uuid.uuid4()), (404, "upload_not_found")),
    ):
        answer = register(alice, session["sessionId"], {"frameNumber": 1, "uploadId": upload_id})
        assert (answer.status, answer.code) == expected


def test_frames_are_named_by_number_or_slug(alice: User, stack: Stack, database: Database) -> None:
    [stored] = stored_storyboard(alice, 1, 1)["frames"]
    saved = alice.save(with_frames([frame(1, stored["imageUrl"]) | {"frameId": "opening"}])).json
    upload_id = uploaded(stack, alice, database, movie(9))
    found = register(alice, saved["sessionId"], {"frameId": "opening", "uploadId": upload_id})
    assert found.json["clips"][0]["frameId"] == "opening"
    for unknown in ({"frameId": "ending"}, {"frameNumber": 2}, {"frameId": 2}):
        answer = register(alice, saved["sessionId"], {**unknown, "uploadId": upload_id})
        assert (answer.status, answer.code) == (404, "frame_not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"frameNumber": 0},
        {"frameNumber": 1, "uploadId": "x"},
        {"frameNumber": 1, "uploadId": str(uuid.uuid4()), "videoUrl": "x"},
        {"frameNumber": 1, "provider": "render"},
        {"frameNumber": 1, "provider": ""},
    ],
)
def test_what_is_unclear_is_refused(alice: User, session: JsonObject, wrong: JsonObject) -> None:
    answer = register(alice, session["sessionId"], wrong)
    assert (answer.status, answer.code) == (422, "validation_failed")


def test_a_foreign_session_is_not_found(alice: User, bob: User, guest: Client, session: JsonObject) -> None:
    for stranger in (bob, guest):
        assert register(stranger, session["sessionId"], {"frameNumber": 1}).code == "session_not_found"


@pytest.mark.parametrize("data", [b"\0\0\0\x18ftypisom" + bytes(5000), movie(9)[:3000]])
def test_a_clip_that_is_none_fails_the_video_by_the_frames_number(  # noqa: PLR0917
    stack: Stack, alice: User, queues: Queues, database: Database, session: JsonObject, data: bytes
) -> None:
    register(alice, session["sessionId"], {"frameNumber": 3, "uploadId": uploaded(stack, alice, database, data)})
    job = Job(alice, queues, database, session["sessionId"])
    assert queues.deliver("render", job.messages[2])
    error = job.shown["video"]["error"]
    assert (error["code"], error["frameNumber"]) in {("not_media", 3), ("clip_damaged", 3)}
    register(alice, session["sessionId"], {"frameNumber": 3})
    answer = alice.post("generate_video", {"retryVideoId": job.video_id})
    assert answer.status == 202
    queues.work()
    assert alice.get("get_video", videoId=answer.json["videoId"]).json["video"]["status"] == "completed"


def test_a_clip_that_is_gone_is_named_before_anything_is_rendered(
    stack: Stack, alice: User, database: Database, session: JsonObject
) -> None:
    upload_id = uploaded(stack, alice, database, movie(9))
    register(alice, session["sessionId"], {"frameNumber": 3, "uploadId": upload_id})
    with database.transaction():
        database.execute("set local storage.allow_delete_query = 'true'")
        database.execute("delete from storage.objects where name like %s", (f"%{upload_id}%",))
    answer = start(alice, session["sessionId"])
    assert (answer.code, answer.json["frameNumber"]) == ("frame_image_missing", 3)


def test_a_clip_goes_with_the_picture_that_it_was_made_from(
    stack: Stack, alice: User, database: Database, session: JsonObject
) -> None:
    register(alice, session["sessionId"], {"frameNumber": 1, "uploadId": uploaded(stack, alice, database, movie(9))})
    urls = [one["imageUrl"] for one in session["frames"]]
    saved = alice.save(
        with_frames(
            [frame(number, url, description="new words") for number, url in enumerate(urls, 1)],
            sessionId=session["sessionId"],
        )
    )
    assert saved.status == 200
    query = "select clip_path is not null from public.video_frames where session_id = %s and frame_number = 1"
    assert database.execute(query, (session["sessionId"],)).fetchone() == (True,)
    alice.save(
        with_frames(
            [frame(number, url) for number, url in enumerate(reversed(urls), 1)], sessionId=session["sessionId"]
        )
    )
    assert database.execute(query, (session["sessionId"],)).fetchone() == (False,)


def test_the_address_of_a_private_clip_is_no_way_to_read_it(
    stack: Stack, alice: User, bob: User, database: Database, session: JsonObject
) -> None:
    secret = Bucket(stack, bob, database).put("clips/secret.mp4", movie(9), "video/mp4")
    headers = {"apikey": stack.info["anonKey"], "Authorization": f"Bearer {alice.token}"}
    answer = httpx.patch(
        f"{stack.info['supabaseUrl']}/rest/v1/video_frames",
        params={"session_id": f"eq.{session['sessionId']}"},
        json={"clip_path": secret},
        headers=headers,
    )
    assert answer.status_code == 403
