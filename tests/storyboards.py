"""Storyboards for tests."""

import uuid
from typing import Any

import psycopg

from shared.media_urls import public_url
from tests.shared.image_files import encoded, gradient

JsonObject = dict[str, Any]


def image_url(subject: str, frame: int = 1) -> str:
    """Return an address as `upload_image` answers it."""
    return public_url(f"{subject}/frames/frame_{frame}_0123456789abcdef.webp")


def frame(number: int, url: str, **more: object) -> JsonObject:
    """Return one frame as clients send it."""
    return {
        "frameId": number,
        "imageUrl": url,
        "timestamp": f"{number}s",
        "description": f"Frame {number}",
        "prompt": f"A prompt for {number}",
        **more,
    }


def storyboard(subject: str, count: int = 2, **more: object) -> JsonObject:
    """Return a storyboard of `count` frames in the folder of `subject`, with a session id of its own."""
    frames = [frame(number, image_url(subject, number)) for number in range(1, count + 1)]
    return with_frames(frames, **more)


def with_frames(frames: list[JsonObject], **more: object) -> JsonObject:
    """Return a storyboard of these frames."""
    return {
        "sessionId": str(uuid.uuid4()),
        "frames": frames,
        "originalPrompt": "A lighthouse keeper befriends a whale",
        "videoDuration": 30,
        "frameCount": len(frames),
        "style": "cinematic",
        "mood": "hopeful",
        **more,
    }


def png(width: int = 96, height: int = 64) -> bytes:
    """Return a small picture."""
    return encoded(gradient(width, height), "PNG")


def stored_frames(database: psycopg.Connection[Any], session_id: str) -> list[tuple[int, str]]:
    """Return the numbers and descriptions of a session's frames, as they are stored."""
    return database.execute(
        "select frame_number, description from public.video_frames where session_id = %s order by 1", (session_id,)
    ).fetchall()
