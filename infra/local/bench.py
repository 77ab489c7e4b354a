"""Measures what this bundle adds to what it stands on, as ratios within one run: `make bench`.

Contenders take turns, so that both meet the same noise; medians are compared. Nothing here is asserted by tests.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from infra.local import bench_images
from infra.local.figures import Figure, table
from infra.local.gateway.configuration import Service
from infra.local.gateway.context import LambdaContext
from infra.local.gateway.events import HttpRequest, to_event
from infra.local.stack import Stack
from infra.local.state import TOP

# httpx imports its command line where these are installed, which no artifact holds.
ONLY_HERE = "import sys; sys.modules.update(rich=None, click=None, pygments=None)"
FLOOR = "import fastapi, mangum, pydantic"
NAIVE = """
import os
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel
from supabase import create_client
client = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_ANON_KEY"])
app = FastAPI()
@app.get("/")
def read(session_id: str):
    return client.table("video_sessions").select("*, video_frames(*)").eq("session_id", session_id).execute().data
handler = Mangum(app, lifespan="off")
"""
STARTS, READS, SAVES = 15, 300, 15


def main() -> int:
    """Print the table of figures, and write it beside the other results as Markdown and JSON."""
    with tempfile.TemporaryDirectory(prefix="videomaker-bench-") as folder:
        Path(folder).chmod(0o711)
        with Stack(Path(folder) / "state", port=0) as stack:
            os.environ.update(stack.function_environment())
            session = _Session(stack)
            figures = [*_cold_starts(), session.reading(), session.saving()]
    figures += bench_images.measure()
    print(table(figures))
    return 0


def _cold_starts() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "naive_handler.py").write_text(NAIVE)
        contenders = {
            "floor": FLOOR,
            "naive": f"import sys; sys.path.insert(0, {folder!r}); import naive_handler",
            **{name: f"import functions.{name}.handler" for name in ("get_frames", "save_frames", "upload_image")},
        }
        times = _in_turn({name: partial(_start, code) for name, code in contenders.items()}, STARTS)
    return [
        _figure(f"INIT of {name}", times[name], peer, times[key], target)
        for name in ("get_frames", "save_frames", "upload_image")
        for key, peer, target in (
            ("floor", FLOOR, 1.3),
            ("naive", "a handler with create_client", 0.6),
        )
    ]


def _start(code: str) -> None:
    subprocess.run([sys.executable, "-c", f"{ONLY_HERE}; {code}"], cwd=TOP, check=True)


class _Session:
    """Warm calls of one signed-in user, whose handlers run in this process."""

    def __init__(self, stack: Stack) -> None:
        keys = stack.keys
        self._subject = str(uuid.uuid4())
        self._url = stack.info["supabaseUrl"]
        now = int(time.time())
        claims = {"sub": self._subject, "role": "authenticated", "aud": "authenticated", "iat": now, "exp": now + 3600}
        self._token = keys.sign({**claims, "iss": f"{self._url}/auth/v1"})
        headers = {"apikey": keys.anon_key, "Authorization": f"Bearer {self._token}"}
        self._bare = httpx.Client(base_url=f"{self._url}/rest/v1", headers=headers)
        self._functions = Service(TOP / "serverless.yml").functions
        self._handlers = {
            name: importlib.import_module(f"functions.{name}.handler").handler for name in ("get_frames", "save_frames")
        }

    def reading(self) -> Figure:
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
        times = _in_turn(
            {
                "ours": lambda: self._call("get_frames", "GET", query=query),
                "bare": lambda: self._bare.get("/video_sessions", params=select).raise_for_status().json(),
            },
            READS,
        )
        return _figure("warm get_frames, 6 frames", times["ours"], "the same call by httpx", times["bare"], 2.0)

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

        times = _in_turn(
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
        return _figure("warm save_frames, 1,000 frames", times["ours"], "the same RPC by httpx", times["bare"], 1.5)

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

    def _call(self, name: str, method: str, *, query: dict[str, str] | None = None, body: object = None) -> None:
        request = HttpRequest(
            method=method,
            path=f"/api/{name}",
            query=urlencode(query or {}),
            headers=[("authorization", f"Bearer {self._token}"), ("content-type", "application/json")],
            body=b"" if body is None else json.dumps(body).encode(),
            source_ip="127.0.0.1",
        )
        context = LambdaContext(self._functions[name], str(uuid.uuid4()))
        answer = self._handlers[name](to_event(request, name), context)
        if answer["statusCode"] != httpx.codes.OK:
            raise RuntimeError(answer["body"])


def _in_turn(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each contender's times in milliseconds; the first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append((time.perf_counter() - started) * 1000)
    return times


def _figure(name: str, ours: list[float], peer: str, theirs: list[float], target: float) -> Figure:
    value, floor = statistics.median(ours), statistics.median(theirs)
    quartiles = statistics.quantiles(ours, n=4)
    return Figure(
        name=name,
        value=value,
        unit="ms",
        peer=peer,
        peer_value=floor,
        ratio=value / floor,
        target=f"≤ {target}",
        met=value / floor <= target,
        spread=(quartiles[2] - quartiles[0]) / value,
    )


if __name__ == "__main__":
    sys.exit(main())
