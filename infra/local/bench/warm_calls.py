"""What a warm function adds to the one call to the database that it stands on."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from mangum import Mangum

from infra.local import redis_server
from infra.local.bench import handlers
from infra.local.bench.figures import Figure, compared, elapsed, in_turn, table
from infra.local.bench.stacks import stack_for_this_process
from infra.local.processes import Processes
from infra.local.stack import Stack
from infra.local.state import State
from shared import usage
from shared.settings import settings

READS, SAVES, CACHED = 300, 21, 60
_AROUND_MS = 2.0


def measure() -> list[Figure]:
    """Return what reading, saving, counting and the cache cost, each beside the same without us, or without it."""
    with stack_for_this_process() as stack:
        calls = _WarmCalls(stack)
        reading, saving, told = calls.reading(), calls.saving(), calls.telling()
        sending = f"{told.value - told.peer_value:.1f} ms are for telling how it went, which is sent before the answer."
        return [*(replace(one, cause=sending) for one in (*reading, told)), saving, *calls.caching()]


class _WarmCalls:
    """Warm calls of one signed-in user, whose handlers run in this process."""

    def __init__(self, stack: Stack) -> None:
        self._subject = str(uuid.uuid4())
        self._url = stack.info["supabaseUrl"]
        self._token = stack.access_token(self._subject)
        headers = {"apikey": stack.keys.anon_key, "Authorization": f"Bearer {self._token}"}
        self._bare = httpx.Client(base_url=f"{self._url}/rest/v1", headers=headers)

    def reading(self) -> list[Figure]:
        """Return a read beside the bare call and beside that in FastAPI and Mangum, and how long the rest may take."""
        storyboard = self._storyboard(6)
        self._call("save_frames", "POST", body=storyboard)
        query = {"sessionId": storyboard["sessionId"]}
        select = {
            "select": "*,frames:video_frames(*),last:video_frames(frame_number)",
            "session_id": f"eq.{storyboard['sessionId']}",
            "last.order": "frame_number.desc",
            "last.limit": "1",
            "frames.frame_number": "gt.0",
            "frames.order": "frame_number.asc",
            "frames.limit": "1000",
        }

        def bare() -> object:
            return self._bare.get("/video_sessions", params=select).raise_for_status().json()

        times = in_turn(
            {
                "ours": lambda: self._call("get_frames", "GET", query=query),
                "bare": bare,
                "alone": partial(self._call, "get_frames", "GET", query=query, handler=_nothing_but(bare)),
            },
            READS,
            _settled,
        )
        pairs = _pairs(times)
        around = [(ours - bare, _AROUND_MS) for ours, bare in pairs]
        return [
            compared("warm get_frames, 6 frames", "ms", "the same call by httpx", pairs, 2.0),
            compared("warm get_frames, 6 frames", "ms", "that in FastAPI and Mangum", _pairs(times, "alone")),
            compared("what it puts around that call", "ms", f"{_AROUND_MS:g} ms", around, 1.0),
        ]

    def saving(self) -> Figure:
        ours, bare = self._storyboard(1000), self._storyboard(1000)
        rows = [
            {
                "frame_number": place,
                "timestamp": "0s",
                "image_url": frame["imageUrl"],
                "image_path": frame["imageUrl"].partition("/videomaker/")[2],
                "description": frame["description"],
                "prompt": frame["prompt"],
            }
            for place, frame in enumerate(bare["frames"], start=1)
        ]
        session = {
            "session_id": bare["sessionId"],
            "original_prompt": bare["originalPrompt"],
            "video_duration": bare["videoDuration"],
            "frame_count": 1000,
            "style": bare["style"],
            "mood": bare["mood"],
        }
        turn = iter(range(10_000))

        def changed(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
            said = f"take {next(turn)}"
            return [{**frame, "description": said} for frame in frames]

        times = in_turn(
            {
                "ours": lambda: self._call("save_frames", "POST", body={**ours, "frames": changed(ours["frames"])}),
                "bare": lambda: (
                    self._bare.post("/rpc/save_storyboard", json={"p_session": session, "p_frames": changed(rows)})
                    .raise_for_status()
                    .json()
                ),
            },
            SAVES,
        )
        return compared(
            "warm save_frames, 1,000 frames",
            "ms",
            "the same RPC by httpx",
            _pairs(times),
            1.5,
        )

    def telling(self) -> Figure:
        """Return what it adds to a warm request that the database is told how it went."""
        storyboard = self._storyboard(6)
        self._call("save_frames", "POST", body=storyboard)
        query = {"sessionId": storyboard["sessionId"]}
        pairs = []
        for _ in range(READS):
            times = []
            for choice in ("on", "off"):
                os.environ["USAGE_EVENTS"] = choice
                settings.cache_clear()
                settings()
                times.append(_settled(partial(self._call, "get_frames", "GET", query=query)))
            pairs.append((times[0], times[1]))
        del os.environ["USAGE_EVENTS"]
        settings.cache_clear()
        return compared("warm get_frames, told", "ms", "the same, not told", pairs, 1.05)

    def caching(self) -> list[Figure]:
        """Return what Redis saves, where nothing has changed since the last call."""
        long = self._storyboard(1000)
        self._call("save_frames", "POST", body=long)
        for _ in range(20):
            self._call("save_frames", "POST", body=self._storyboard(6))
        short = self._storyboard(6)
        self._call("save_frames", "POST", body=short)
        calls = {
            "get_frames, 6 frames": partial(self._call, "get_frames", "GET", query={"sessionId": short["sessionId"]}),
            "get_frames, 1,000 frames": partial(
                self._call, "get_frames", "GET", query={"sessionId": long["sessionId"]}
            ),
            "history, first page": partial(self._call, "history", "GET"),
            "templates": partial(self._call, "templates", "GET"),
        }
        with running_redis() as url:
            ways = {"with": partial(_use_redis, url), "without": partial(_use_redis, "")}
            found = {}
            for name, call in calls.items():
                times = in_turn({way: partial(_both, use, call) for way, use in ways.items()}, CACHED)
                found[name] = list(zip(times["with"], times["without"], strict=True))
            _use_redis("")
        return [compared(f"warm {name}, with Redis", "ms", "without", pairs) for name, pairs in found.items()]

    def _storyboard(self, count: int) -> dict[str, Any]:
        base = f"{self._url}/storage/v1/object/public/videomaker/{self._subject}/frames"
        frames = [
            {
                "frameId": number,
                "imageUrl": f"{base}/frame_{number}_0123456789abcdef.webp",
                "description": f"The keeper climbs the stairs, step {number}",
                "prompt": f"A lighthouse keeper on spiral stairs, lantern light, step {number}, 35 mm, film grain",
            }
            for number in range(1, count + 1)
        ]
        return {
            "sessionId": str(uuid.uuid4()),
            "frames": frames,
            "originalPrompt": "A lighthouse keeper befriends a whale",
            "videoDuration": 60,
            "frameCount": count,
            "style": "cinematic",
            "mood": "hopeful",
        }

    def _call(self, name: str, method: str, **how: Any) -> None:
        handlers.call(name, method, self._token, **how)


def _nothing_but(call: Callable[[], object]) -> handlers.Handler:
    """Return a handler of FastAPI and Mangum that makes this call, and answers always the same."""
    app = FastAPI()

    @app.get("/api/get_frames")
    async def answer() -> dict[str, bool]:
        call()
        return {"success": True}

    return Mangum(app, lifespan="off")


@contextmanager
def running_redis() -> Iterator[str]:
    """Run a Redis of our own, and give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        state = State(Path(folder))
        port = state.ports(0)["gateway"]
        processes = Processes(state.processes_file, state.logs)
        processes.start(redis_server.program(port))
        try:
            processes.wait_ready("redis")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            processes.stop("redis")


def _use_redis(url: str) -> None:
    os.environ["REDIS_URL"] = url
    settings.cache_clear()
    settings()


def _both(first: Callable[[], object], second: Callable[[], object]) -> None:
    first()
    second()


def _settled(run: Callable[[], object]) -> float:
    """Return the milliseconds of a call; what it tells is heard before the next, which on Lambda comes later."""
    spent = elapsed(run)
    usage.settle()
    return spent


def _pairs(times: dict[str, list[float]], peer: str = "bare") -> list[tuple[float, float]]:
    return list(zip(times["ours"], times[peer], strict=True))


if __name__ == "__main__":
    print(table(measure()))
