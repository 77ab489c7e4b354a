"""Any JSON in gives an answer of the contract, never a 500."""

import base64
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client import Answer, Client
from tests.people import User
from tests.storyboards import frame, image_url, png, with_frames

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("a\0b\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def one_of(*good: object) -> st.SearchStrategy[Any]:
    """Mostly a good value, else anything."""
    return st.sampled_from(good) | JSON


def storyboards(subject: str) -> st.SearchStrategy[dict[str, Any]]:
    frame = st.fixed_dictionaries(
        {},
        optional={
            "id": one_of(1, 2, "a"),
            "frameId": one_of(1, "b", "3"),
            "frameNumber": one_of(1, 2),
            "imageUrl": one_of(image_url(subject), "data:image/png;base64,AAAA", "", "http://[", "data:"),
            "timestamp": one_of("0s", 5, 2.5),
            "description": one_of("words"),
            "prompt": one_of("words"),
            "sceneStory": one_of("words"),
            "storyTitle": one_of("words"),
            "style": one_of("noir"),
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "frames": st.lists(frame | JSON, max_size=3) | JSON,
            "userId": one_of(subject, None),
            "sessionId": one_of("s-1", None),
            "originalPrompt": one_of("words"),
            "videoDuration": one_of(30, "30", 30.0),
            "frameCount": one_of(1, 2),
            "style": one_of("noir"),
            "mood": one_of("calm"),
            "templateId": one_of("anime", None),
            "extra": JSON,
        },
    )


def assert_contract(answer: Answer) -> None:
    assert answer.status < 500, answer.body
    assert answer.json["success"] is (answer.status == 200)
    if answer.status != 200:
        assert answer.json["code"]
        assert answer.json["requestId"] == answer.headers["x-request-id"]


@MANY
@given(data=st.data())
def test_save_frames_takes_any_json(alice: User, data: st.DataObject) -> None:
    assert_contract(alice.save(data.draw(storyboards(alice.subject) | JSON)))


@MANY
@given(data=st.data())
def test_upload_image_takes_any_json(alice: User, data: st.DataObject) -> None:
    good = base64.b64encode(png()).decode()
    body = st.fixed_dictionaries(
        {},
        optional={
            "imageData": one_of(good, good[:40], "data:;base64,", "data:image/png,x"),
            "frameId": one_of(1, "a", 0, 2.0),
            "userId": one_of(alice.subject, None),
        },
    )
    assert_contract(alice.post("upload_image", data.draw(body | JSON)))


@MANY
@given(query=st.dictionaries(st.sampled_from(["sessionId", "userId", "limit", "cursor", "x"]), st.text(max_size=30)))
def test_get_frames_takes_any_query(alice: User, query: dict[str, str]) -> None:
    more: dict[str, Any] = dict(query)
    assert_contract(alice.get("get_frames", **more))


@MANY
@given(data=st.data())
def test_generate_video_takes_any_json(alice: User, data: st.DataObject) -> None:
    session_id = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    body = st.fixed_dictionaries(
        {},
        optional={
            "sessionId": one_of(session_id),
            "retryVideoId": one_of(str(uuid.uuid4())),
            "aspect": one_of("16:9", "4:5"),
            "resolution": one_of(480, "480", 480.0),
            "fps": one_of(24, 60, "24"),
            "motion": one_of("auto", "still"),
            "transition": one_of("fade", "cut"),
            "transitionSeconds": one_of(0.5, "1", 1e-9),
            "fit": one_of("cover"),
            "captions": one_of("burned", "none"),
            "audioUploadId": one_of(str(uuid.uuid4()), None),
            "webhookUrl": one_of("https://example.com/hook", "https://"),
            "dryRun": st.just(True),
            "userId": one_of(alice.subject, None),
        },
    )
    assert_contract(alice.post("generate_video", data.draw(body | JSON)))


@MANY
@given(data=st.data())
def test_save_clips_takes_any_json(alice: User, data: st.DataObject) -> None:
    session_id = alice.save(with_frames([frame(1, image_url(alice.subject))])).json["sessionId"]
    clip = st.fixed_dictionaries(
        {},
        optional={
            "frameNumber": one_of(1, 2, "1"),
            "frameId": one_of(1, "opening"),
            "uploadId": one_of(str(uuid.uuid4()), None),
            "videoUrl": one_of(image_url(alice.subject), "http://[", "", None),
            "provider": one_of("runway"),
        },
    )
    body = {"sessionId": data.draw(one_of(session_id)), "clips": data.draw(st.lists(clip | JSON, max_size=3) | JSON)}
    assert_contract(alice.post("save_clips", body))


@MANY
@given(query=st.dictionaries(st.sampled_from(["videoId", "userId", "x"]), st.text(max_size=40)))
def test_get_video_takes_any_query(alice: User, query: dict[str, str]) -> None:
    more: dict[str, Any] = dict(query)
    for ask in (alice.get, alice.delete):
        assert_contract(ask("get_video", **more))


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


@MANY
@given(authorization=HEADER, if_match=HEADER, key=HEADER)
def test_any_headers_are_answered(guest: Client, authorization: str, if_match: str, key: str) -> None:
    headers = {"Authorization": authorization, "If-Match": if_match, "If-None-Match": if_match, "Idempotency-Key": key}
    assert_contract(guest.read("x", headers=headers))
    assert_contract(guest.post("save_frames", {}, **{name.replace("-", "_"): one for name, one in headers.items()}))


@pytest.mark.parametrize(
    "text", ["'; drop table video_frames; --", "%00", "../..", "${jndi:ldap://x}", "{{7*7}}", "\u202e"]
)
def test_text_is_only_text(alice: User, text: str) -> None:
    given = with_frames(
        [frame(1, image_url(alice.subject), description=text, sceneStory=text)], originalPrompt=text, sessionId=None
    )
    saved = alice.save(given).json
    read = alice.read(saved["sessionId"]).json
    assert read["session"]["originalPrompt"] == text
    assert read["frames"][0]["description"] == text
