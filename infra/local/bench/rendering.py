"""What a second worker is worth, and what a second rendering leaves out: twelve clips, by the deployed handlers."""

import base64
import importlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from typing import Any

import boto3
import httpx
import psycopg
from PIL import Image

from infra.local.bench.figures import Figure, compared, in_turn, table
from infra.local.bench.stacks import stack_for_this_process
from infra.local.demo.sample_frames import draw_frames
from infra.local.gateway.configuration import Service
from infra.local.gateway.context import LambdaContext
from infra.local.gateway.events import HttpRequest, to_event
from infra.local.stack import Stack
from infra.local.state import TOP
from shared.settings import settings

CLIPS, SECONDS_EACH = 12, 2
ROUNDS = 2

Pool = ProcessPoolExecutor


def measure() -> list[Figure]:
    """Return what a second worker is worth, and a second rendering."""
    with stack_for_this_process() as stack:
        return _Rendering(stack).measure()


class _Rendering:
    """A storyboard of twelve frames, and workers of one core each, as one Lambda of 1,769 MB has."""

    def __init__(self, stack: Stack) -> None:
        self._database_url = stack.superuser_url
        self._api = httpx.Client(base_url=stack.info["apiUrl"], timeout=60)
        self._functions = Service(TOP / "serverless.yml").functions
        self._urls = [self._uploaded(number, data) for number, data in enumerate(_pictures(), start=1)]
        self._session: dict[str, Any] = {}

    def measure(self) -> list[Figure]:
        """Return two workers beside one, and a rendering with one frame changed beside the first one."""
        with _quiet(), _queue_of_its_own(), _workers(1) as one, _workers(2) as two:
            self._save(self._urls[:CLIPS])
            times = in_turn({"two": partial(self._render_all, two), "one": partial(self._render_all, one)}, ROUNDS)
            first = self._render(two)
            changed = [*self._urls[:5], self._urls[CLIPS], *self._urls[6:CLIPS]]
            self._save(changed)
            second = self._render(two)
        return [
            compared(
                "12 clips, 2 workers", "ms", "1 worker", list(zip(times["two"], times["one"], strict=True)), 0.588
            ),
            compared("clips rendered, 1 of 12 frames changed", "", "all", [(second, first)], 2 / CLIPS),
        ]

    def _render_all(self, workers: Pool) -> None:
        self._render(workers)
        with psycopg.connect(self._database_url) as database:
            database.execute("update public.video_clips set content_hash = null")

    def _render(self, workers: Pool) -> int:
        """Return how many clips had to be rendered."""
        started = self._start()
        with psycopg.connect(self._database_url) as database:
            query = (
                "select c.id from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
                " where v.video_id = %s and c.status = 'queued' order by c.clip_number"
            )
            waiting = [clip for (clip,) in database.execute(query, (started["videoId"],)).fetchall()]
        failures = [answer for answer in workers.map(_render, waiting) if answer["batchItemFailures"]]
        if failures:
            raise RuntimeError(f"{len(failures)} of {len(waiting)} clips were not rendered")
        return len(waiting)

    def _start(self) -> dict[str, Any]:
        body = {"sessionId": self._session["sessionId"], "userId": self._session["userId"], "resolution": 720}
        request = HttpRequest(
            method="POST",
            path="/api/generate_video",
            query="",
            headers=[("content-type", "application/json")],
            body=json.dumps(body).encode(),
            source_ip="127.0.0.1",
        )
        context = LambdaContext(self._functions["generate_video"], str(uuid.uuid4()))
        handler = importlib.import_module("functions.generate_video.handler").handler
        answer = handler(to_event(request, "generate_video"), context)
        if answer["statusCode"] != httpx.codes.ACCEPTED:
            raise RuntimeError(answer["body"])
        started: dict[str, Any] = json.loads(answer["body"])
        return started

    def _uploaded(self, number: int, data: bytes) -> str:
        body = {"imageData": base64.b64encode(data).decode(), "frameId": number}
        return str(self._api.post("/api/upload_image", json=body).raise_for_status().json()["imageUrl"])

    def _save(self, urls: list[str]) -> None:
        frames = [
            {"frameId": number, "imageUrl": url, "description": f"Frame {number}"} for number, url in enumerate(urls, 1)
        ]
        storyboard = {"originalPrompt": "p", "videoDuration": CLIPS * SECONDS_EACH, "frameCount": CLIPS}
        known = {name: self._session[name] for name in ("sessionId", "userId") if name in self._session}
        answer = self._api.post(
            "/api/save_frames", json=storyboard | known | {"style": "s", "mood": "m", "frames": frames}
        )
        self._session = answer.raise_for_status().json()


def _pictures() -> Iterator[bytes]:
    """Yield one picture more than there are clips, each of its own."""
    drawn = [Image.open(BytesIO(one.png)) for one in draw_frames()]
    for number in range(CLIPS + 1):
        out = BytesIO()
        drawn[number % len(drawn)].rotate(number // len(drawn) / 2).save(out, "WEBP", quality=90)
        yield out.getvalue()


@contextmanager
def _queue_of_its_own() -> Iterator[None]:
    """Let the messages go where the stack's own workers do not see them."""
    url = boto3.client("sqs").create_queue(QueueName="bench")["QueueUrl"]
    names = ("RENDER_QUEUE_URL", "MERGE_QUEUE_URL")
    before = {name: os.environ[name] for name in names}
    os.environ.update(dict.fromkeys(names, url))
    settings.cache_clear()
    yield
    os.environ.update(before)
    settings.cache_clear()


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("videomaker")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@contextmanager
def _workers(count: int) -> Iterator[Pool]:
    context = get_context("spawn")
    cores: Any = context.Queue()
    for number in range(count):
        cores.put(number)
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(cores,)) as workers:
        list(workers.map(_import_handler, range(4 * count)))
        yield workers


def _begin(cores: Any) -> None:
    """Keep this worker to a core of its own, where the system lets one choose."""
    core = cores.get()
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def _import_handler(_: int) -> None:
    importlib.import_module("functions.render_clip.handler")
    logging.getLogger("videomaker").setLevel(logging.ERROR)


def _render(clip_id: int) -> dict[str, Any]:
    record = {
        "messageId": str(uuid.uuid4()),
        "body": json.dumps({"clipId": clip_id}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bench-render",
    }
    function = Service(TOP / "serverless.yml").functions["render_clip"]
    handler = importlib.import_module("functions.render_clip.handler").handler
    answer: dict[str, Any] = handler({"Records": [record]}, LambdaContext(function, str(uuid.uuid4())))
    return answer


if __name__ == "__main__":
    print(table(measure()))
