"""Fixtures: Debian's Chromium, what goes wrong in it, and a video to watch, all of it through the local gateway."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import psycopg
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from infra.local.gateway.playground import BUILT
from infra.local.processes import answers
from infra.local.stack import Stack
from infra.local.state import TOP
from shared.settings import settings
from tests.browser.playground import Playground
from tests.browser.tab import Tab
from tests.client import Answer
from tests.infra.running import until
from tests.infra.running_aws import free_port
from tests.people import User
from tests.sharing import Studio

POSTER_COLOUR = (230, 60, 160)
CAPTIONS = "WEBVTT\n\n00:00.000 --> 00:03.000\nA keeper lights the lamp\n"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# The last lets a page of another address embed one of this machine's, as the web does with the web.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
              "--disable-features=LocalNetworkAccessChecks"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium. While it runs, this thread's event loop is taken: no handler can be called in the process."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        reason = "Chromium is not installed: `make browser` does it on Debian, as root."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def new_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Open tabs, each in a profile of its own; keywords are Playwright's for a context."""
    contexts: list[BrowserContext] = []

    def make(**options: Any) -> Tab:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(90_000)
        return Tab(contexts[-1])

    yield make
    for context in contexts:
        context.close()


class RemoteUser(User):
    """A signed-in client that calls the functions over HTTP, as the gateway serves them."""

    def __init__(self, user: User, api_url: str) -> None:
        super().__init__(user.subject, user.token or "")
        self._api_url = api_url

    def post_raw(self, function: str, body: str | bytes, **headers: str) -> Answer:
        named = {"content-type": "application/json", **self._headers(headers)}
        return self._sent("POST", function, content=body, headers=named)

    def get(self, function: str, *, headers: Mapping[str, str] | None = None, **query: object) -> Answer:
        return self._sent("GET", function, params=query, headers=self._headers(headers or {}))

    def delete(self, function: str, **query: object) -> Answer:
        return self._sent("DELETE", function, params=query, headers=self._headers({}))

    def _sent(self, method: str, function: str, **more: Any) -> Answer:
        answer = httpx.request(method, f"{self._api_url}/api/{function}", timeout=60, **more)
        return Answer(answer.status_code, answer.headers, answer.content)


@pytest.fixture
def studio(alice: User, database: psycopg.Connection[Any], stack: Stack) -> Studio:
    return Studio(RemoteUser(alice, stack.info["apiUrl"]), database, stack)


@pytest.fixture
def private_studio(
    alice: User, database: psycopg.Connection[Any], stack: Stack, function_environment: pytest.MonkeyPatch
) -> Iterator[Studio]:
    """The same with a private bucket, behind a gateway of its own."""
    function_environment.setenv("BUCKET_ACCESS", "private")
    settings.cache_clear()
    database.execute("update storage.buckets set public = false where id = 'videomaker'")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {"BUCKET_ACCESS": "private", "PORT": str(port), "WATCH_URL": f"{url}/api/watch"}
    environment = {**os.environ, **stack.function_environment(), **own}
    del environment["AWS_ENDPOINT_URL"]  # the queues are the other gateway's
    gateway = subprocess.Popen([sys.executable, "-m", "infra.local.gateway"], cwd=TOP, env=environment)
    try:
        until(answers(port, "/health"))
        yield Studio(RemoteUser(alice, url), database, stack)
    finally:
        gateway.terminate()
        gateway.wait()
        database.execute("update storage.buckets set public = true where id = 'videomaker'")


@pytest.fixture(scope="session")
def built_playground() -> None:
    if not (BUILT / "index.html").is_file():
        reason = "The playground is not built: `make web` does it."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def open_playground(new_tab: Callable[..., Tab], stack: Stack) -> Callable[..., Playground]:
    """Open the playground in a profile of its own; keywords are Playwright's for a context."""

    def make(**options: Any) -> Playground:
        shown = Playground(new_tab(**options), stack.info["apiUrl"])
        shown.open()
        return shown

    return make


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Four seconds of H.264, as the renderer makes them."""
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    _encode(path)
    return path.read_bytes()


def _encode(path: Path) -> None:
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(96):
            picture = Image.linear_gradient("L").resize((640, 360)).rotate(number * 2)
            frame: av.VideoFrame = av.VideoFrame.from_image(  # type: ignore[no-untyped-call]
                Image.merge("RGB", (picture, picture.rotate(90), picture.rotate(180)))
            )
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
