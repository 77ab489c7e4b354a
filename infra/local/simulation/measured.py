"""What the functions take, measured on the embedded stack: one storyboard after the other, as a browser makes it."""

import base64
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

import httpx
import psycopg

from infra.local.demo.sample_frames import VIDEO_DURATION, draw_frames
from infra.local.simulation.model import READS, Cost
from infra.local.stack import Stack
from infra.local.traffic.ledger import Json
from shared.pricing import MERGE_MEMORY_MB, worker_dollars

STORYBOARDS = 3  # and one before them, to warm up
VIDEO = {"aspect": "16:9", "resolution": 720, "fps": 30, "motion": "auto", "transition": "crossfade"}
ENDED = ("completed", "failed", "canceled")


@dataclass(frozen=True)
class Measured:
    """What a storyboard of six frames and 30 seconds at 720p takes: by function, and bytes that are stored and sent."""

    costs: Mapping[str, Cost]
    stored_bytes: float
    video_bytes: float


def measure(stack: Stack) -> Measured:
    """Make some storyboards, and return what they took on average."""
    taken: dict[str, list[Cost]] = defaultdict(list)
    for number in range(STORYBOARDS + 1):
        for name, spent in _storyboard(stack).items():
            taken[name] += spent if number else []
    costs = {
        name: Cost(*(mean(getattr(one, part) for one in found) for part in ("total", "database")))
        for name, found in taken.items()
    }
    with psycopg.connect(stack.superuser_url) as connection:
        row = connection.execute(
            "select sum((metadata ->> 'size')::bigint),"
            " avg((metadata ->> 'size')::bigint) filter (where name ~ '/video\\.mp4$')"
            " from storage.objects where bucket_id = 'videomaker'"
        ).fetchone()
    assert row
    return Measured(costs, float(row[0]) / (STORYBOARDS + 1), float(row[1]))


def _storyboard(stack: Stack) -> dict[str, list[Cost]]:
    """Make one as a new user, and return what each invocation took."""
    token = stack.access_token()
    taken: dict[str, list[Cost]] = defaultdict(list)
    with httpx.Client(base_url=stack.info["apiUrl"], headers={"Authorization": f"Bearer {token}"}, timeout=120) as http:

        def ask(method: str, function: str, body: Json | None = None, **query: str) -> Json:
            answer = http.request(method, f"/api/{function}", json=body, params=query).raise_for_status()
            taken[function].append(_cost(answer.headers["server-timing"]))
            found: Json = answer.json()
            return found

        drawn = draw_frames()
        uploads = [
            ask("POST", "upload_image", {"imageData": base64.b64encode(one.png).decode(), "frameId": one.frame_id})
            for one in drawn
        ]
        frames = [
            {"frameId": one.frame_id, "imageUrl": upload["imageUrl"], "description": one.description}
            for one, upload in zip(drawn, uploads, strict=True)
        ]
        saved = ask(
            "POST",
            "save_frames",
            {
                "frames": frames,
                "originalPrompt": "The voyage of a paper boat",
                "videoDuration": VIDEO_DURATION,
                "frameCount": len(frames),
                "style": "painted",
                "mood": "calm",
            },
        )
        for _ in range(READS):
            ask("GET", "get_frames", sessionId=saved["sessionId"])
        made = ask("POST", "generate_video", {"sessionId": saved["sessionId"], **VIDEO})
        while (video := ask("GET", "get_video", videoId=made["videoId"])["video"])["status"] not in ENDED:
            time.sleep(0.5)
        if video["status"] != "completed":
            raise RuntimeError(video["error"])
    taken.pop("get_video")
    return {**taken, **_workers(stack, made["videoId"])}


def _cost(server_timing: str) -> Cost:
    parts = {name: float(ms) / 1000 for name, ms in re.findall(r"(\w+);dur=([\d.]+)", server_timing)}
    # `auth` is the call that counts the request, beside a signature's check of less than a millisecond.
    return Cost(parts["total"], parts.get("db", 0.0) + parts.get("auth", 0.0))


def _workers(stack: Stack, video_id: str) -> dict[str, list[Cost]]:
    """Return how long each clip and the merge were worked on, by what the database notes of them."""
    with psycopg.connect(stack.superuser_url) as connection:
        clips = connection.execute(
            "select c.timings, c.cost from public.video_clips c join public.final_videos v on v.id = c.final_video_id"
            " where v.video_id = %s",
            (video_id,),
        ).fetchall()
        row = connection.execute("select cost from public.final_videos where video_id = %s", (video_id,)).fetchone()
    assert row
    merge = float(row[0]) - sum(float(cost) for _, cost in clips)
    a_second = worker_dollars(1, MERGE_MEMORY_MB) - worker_dollars(0, MERGE_MEMORY_MB)
    return {
        "render_clip": [Cost(timings["render"] + timings["store"]) for timings, _ in clips],
        "merge_clips": [Cost((merge - worker_dollars(0, MERGE_MEMORY_MB)) / a_second)],
    }
