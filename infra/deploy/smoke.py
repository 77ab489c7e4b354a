"""`python -m infra.deploy.smoke API_URL`: the main flow against a deployment, each answer checked, all deleted after.

API_URL is a base URL behind which `/api/<function>` is answered, or a file of function URLs that `make deploy` wrote.
The caller is whoever ACCESS_TOKEN or API_KEY says, else a guest. The exit status is 1 where a check fails.
"""

import base64
import io
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
from PIL import Image

from infra.deploy.calls import Calls, SmokeError, expect
from infra.local.state import StackError

PATIENCE_SECONDS: Final = 300  # for a video of two seconds, cold starts included
SIZE: Final = (640, 360)


class Smoke:
    """One run: what it has made so far, and the checks, in their order."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._images = [_image(number) for number in (1, 2, 3)]
        self._who: dict[str, Any] = {}
        self._uploads: list[dict[str, Any]] = []
        self._session: str | None = None
        self._video: dict[str, Any] = {}

    def run(self) -> None:
        """Run all checks, and delete what they made even where one fails."""
        checks: list[Callable[[], None]] = [
            self.browsers_may_call,
            self.a_wrong_request_is_explained,
            self.images_are_stored_in_parallel,
            self.a_large_file_goes_to_the_ingest_bucket,
            self.a_storyboard_is_saved,
            self.it_reads_back_and_is_not_sent_twice,
            self.a_stranger_finds_nothing,
            self.a_video_is_made,
            self.the_video_plays,
            self.history_shows_it,
        ]
        try:
            for check in checks:
                _timed(check)
        finally:
            if self._session:
                _timed(self.everything_is_deleted)

    def browsers_may_call(self) -> None:
        """Ask as a browser does before it posts JSON from another origin."""
        asked = {"Origin": "https://smoke.example", "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization,content-type"
        answer = httpx.options(self._calls.url("save_frames"), headers=asked, timeout=30)
        expect(answer.status_code in (200, 204), f"the preflight was answered {answer.status_code}")
        allowed = answer.headers.get("access-control-allow-origin")
        expect(allowed in ("*", asked["Origin"]), "no other origin is allowed")

    def a_wrong_request_is_explained(self) -> None:
        """Leave out what is needed."""
        problem = self._calls.get("get_frames", status=422)
        expect(problem["code"] == "validation_failed", "the code is another one")
        expect(problem["errors"][0]["path"] == "sessionId", "the field is not named")

    def images_are_stored_in_parallel(self) -> None:
        """Upload two images at once, and the first again."""
        with ThreadPoolExecutor(2) as pool:
            self._uploads = list(pool.map(self._upload, (1, 2)))
        for upload in self._uploads:
            served = httpx.get(upload["imageUrl"], timeout=30)
            expect(served.status_code == 200, f"the image is served with {served.status_code}")
            expect(served.headers["content-type"] == upload["mimeType"], "the image is served as another type")
        self._who = {"userId": self._uploads[0]["userId"]}
        first = self._upload(1)
        expect(self._upload(1)["imageUrl"] == first["imageUrl"], "the same image has another URL")
        self._uploads[0] = first

    def a_large_file_goes_to_the_ingest_bucket(self) -> None:
        """Post an image to S3 by a ticket, and wait until it has been processed."""
        data = self._images[2]
        file = {"frameId": 3, "kind": "frame", "contentType": "image/png", "bytes": len(data)}
        [ticket] = self._calls.post("create_upload", {"files": [file], **self._who})["uploads"]
        posted = httpx.post(ticket["url"], data=ticket["fields"], files={"file": data}, timeout=60)
        expect(posted.status_code == 204, f"the ingest bucket answered {posted.status_code}")
        state = self._until(
            lambda: self._calls.get("create_upload", uploadId=ticket["uploadId"], **self._who),
            lambda one: one["status"] in ("ready", "rejected", "expired"),
        )
        expect(state["status"] == "ready", f"the upload was {state['status']}: {state.get('detail')}")
        self._uploads.append(state)

    def a_storyboard_is_saved(self) -> None:
        """Save the frames, twice under one key."""
        frames = [
            {"frameId": one["frameId"], "imageUrl": one["imageUrl"], "description": f"Smoke test {one['frameId']}"}
            for one in self._uploads
        ]
        words = {"originalPrompt": "Smoke test", "style": "plain", "mood": "calm"}
        body = {**words, "videoDuration": 2, "frameCount": len(frames), "frames": frames, **self._who}
        key = {"Idempotency-Key": f"smoke-{time.time_ns()}"}
        saved = self._calls.post("save_frames", body, key)
        self._session = saved["sessionId"]
        expect(saved["frameCount"] == len(frames), "frames are missing")
        expect(
            self._calls.post("save_frames", body, key)["sessionId"] == self._session, "a repeat made another session"
        )

    def it_reads_back_and_is_not_sent_twice(self) -> None:
        """Read the storyboard, and ask again with its ETag."""
        found = self._calls.get("get_frames", sessionId=self._session, **self._who)
        expect([one["frameNumber"] for one in found["frames"]] == [1, 2, 3], "the frames are others")
        etag = self._calls.headers["etag"]
        self._calls.get("get_frames", 304, {"If-None-Match": etag}, sessionId=self._session, **self._who)

    def a_stranger_finds_nothing(self) -> None:
        """Ask for the session without credentials: not found, or where guests are not let in, not allowed."""
        answer = self._calls.anonymous("get_frames", sessionId=self._session)
        expect(answer.status_code in (401, 404), f"a stranger was answered {answer.status_code}")

    def a_video_is_made(self) -> None:
        """Ask what a video would take, start it, and wait."""
        asked = {"sessionId": self._session, "resolution": 480, "fps": 24, **self._who}
        plan = self._calls.post("generate_video", {**asked, "dryRun": True})
        expect(len(plan["clips"]) == len(self._uploads), "the plan has other clips")
        started = self._calls.post("generate_video", asked, status=202)
        answer = self._until(
            lambda: self._calls.get("get_video", videoId=started["videoId"], **self._who),
            lambda one: one["video"]["status"] in ("completed", "failed", "canceled"),
        )
        self._video = answer["video"]
        expect(self._video["status"] == "completed", f"the video has {self._video['status']}: {self._video['error']}")

    def the_video_plays(self) -> None:
        """Fetch the file's beginning, as a player does."""
        file = httpx.get(self._video["videoUrl"], headers={"Range": "bytes=0-31"}, timeout=30)
        expect(file.status_code in (200, 206), f"the video is served with {file.status_code}")
        expect(file.content[4:8] == b"ftyp", "it is no MP4")

    def history_shows_it(self) -> None:
        """List the caller's newest session."""
        newest = self._calls.get("history", limit=1, **self._who)["sessions"]
        expect([one["sessionId"] for one in newest] == [self._session], "it is not the newest session")

    def everything_is_deleted(self) -> None:
        """Delete the session with its files, and look for it."""
        receipt = self._calls.delete("history", sessionId=self._session, **self._who)
        expect(receipt["rows"]["video_sessions"] == 1, "no session was deleted")
        if not self._calls.is_guest:  # what a guest uploads before it has an id, `maintenance` removes within two days
            expect(receipt["files"]["left"] == 0, "files were left")
        self._calls.get("get_frames", 404, sessionId=self._session, **self._who)

    def _upload(self, number: int) -> dict[str, Any]:
        data = base64.b64encode(self._images[number - 1]).decode()
        return self._calls.post("upload_image", {"imageData": data, "frameId": number, **self._who})

    def _until(self, ask: Callable[[], dict[str, Any]], ended: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ended(answer := ask()):
            expect(time.monotonic() < deadline, f"it did not end within {PATIENCE_SECONDS} seconds")
            time.sleep(1)
        return answer


def _image(number: int) -> bytes:
    """Return a PNG that no earlier run has uploaded."""
    picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    picture.paste((40 * number, *time.time_ns().to_bytes(8)[-2:]), (0, 0, 64, 64))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _timed(check: Callable[[], None]) -> None:
    started = time.perf_counter()
    check()
    words = check.__name__.replace("_", " ")
    print(f"ok  {words:<42} {time.perf_counter() - started:6.1f} s", flush=True)


def main(api_url: str) -> int:
    """Run the smoke test; what was checked goes to standard output, the first failure to standard error."""
    try:
        with Calls.of(api_url, os.environ) as calls:
            Smoke(calls).run()
    except (SmokeError, StackError, httpx.HTTPError, KeyError) as error:
        print(f"FAILED: {error!s} ({type(error).__name__})", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("usage: make smoke API_URL=https://app.example, or the file that `make deploy` wrote")
    sys.exit(main(sys.argv[1]))
