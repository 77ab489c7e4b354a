"""Two people and an API key make a storyboard into a video, share it, watch it in a browser, and take the link back."""

import time
from collections.abc import Callable

import pytest

from infra.local.stack import Stack
from tests.browser.conftest import RemoteUser
from tests.browser.tab import Tab
from tests.client import JsonObject
from tests.membership import join
from tests.people import User
from tests.shared.image_files import encoded
from tests.storyboards import frame, with_frames
from tests.videos import SMALL, picture

pytestmark = pytest.mark.timeout(300)


class Program(RemoteUser):
    """Who acts by an API key instead of a token."""

    def __init__(self, owner: User, key: str, api_url: str) -> None:
        super().__init__(owner, api_url)
        self.token, self._key = None, key

    def _headers(self, more: object) -> dict[str, str]:
        return {**super()._headers(more), "X-Api-Key": self._key}  # type: ignore[arg-type]


def edited(person: User, session_id: str, number: int, url: str) -> JsonObject:
    """Add a frame on top of what the person reads, and return the answer."""
    found = person.read(session_id)
    frames = [frame(one["frameNumber"], one["imageUrl"], timestamp=None) for one in found.json["frames"]]
    frames.append(frame(number, url, timestamp=None))
    given = with_frames(frames, sessionId=session_id, videoDuration=3)
    answer = person.save(given, If_Match=found.headers["etag"])
    assert answer.status == 200, answer.body
    saved: JsonObject = answer.json
    return saved


def finished(person: User, video_id: str) -> JsonObject:
    for _ in range(600):
        video: JsonObject = person.get("get_video", videoId=video_id).json["video"]
        if video["status"] in ("completed", "failed"):
            return video
        time.sleep(0.2)
    raise AssertionError(f"it is still {video['status']}")


def test_a_storyboard_is_edited_by_three_rendered_shared_watched_and_revoked(
    alice: User, bob: User, stack: Stack, new_tab: Callable[..., Tab]
) -> None:
    url = stack.info["apiUrl"]
    owner, editor = RemoteUser(alice, url), RemoteUser(bob, url)
    key = owner.post("api_keys", {"name": "nightly", "scopes": ["read", "write", "render"]}).json["key"]
    program = Program(alice, key, url)

    def image(person: User, number: int) -> str:
        uploaded: str = person.upload(encoded(picture(number), "WEBP"), number).json["imageUrl"]
        return uploaded

    first = [frame(1, image(owner, 1), timestamp=None, storyTitle="Together")]
    session_id = owner.save(with_frames(first, videoDuration=3)).json["sessionId"]
    editor.email = bob.email
    join(owner, session_id, editor)
    assert edited(editor, session_id, 2, image(editor, 2))["version"] == 2
    assert edited(program, session_id, 3, image(program, 3))["version"] == 3
    assert [owner.read(session_id).json["session"]["role"], editor.read(session_id).json["session"]["role"]] == [
        "owner",
        "editor",
    ]
    started = program.post("generate_video", {"sessionId": session_id, **SMALL})
    assert started.status == 202, started.body
    video = finished(editor, started.json["videoId"])
    assert (video["status"], video["durationSeconds"]) == ("completed", 3)
    share = editor.post("share", {"sessionId": session_id}).json
    tab = new_tab()
    tab.page.goto(share["url"])
    player = tab.page.locator("video")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    tab.wait_until("document.querySelector('video').currentTime > 0.5")
    assert player.evaluate("video => [video.videoWidth, video.videoHeight]") == [480, 480]
    assert (tab.violations(), tab.complaints) == ([], [])
    assert owner.delete("share", shareId=share["shareId"]).status == 200
    gone = tab.page.goto(share["url"])
    assert gone is not None
    assert gone.status == 404
    assert tab.page.locator("video").count() == 0
