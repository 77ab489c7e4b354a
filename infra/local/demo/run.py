"""The main job as a browser does it: upload six frames in parallel, save them, read them back, make a video of them.

This client knows what a browser knows: the functions' address, and of itself nothing until it is told a `userId`.
"""

import base64
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from infra.local.demo import sample_frames
from infra.local.demo.contact_sheet import SheetFrame, contact_sheet
from infra.local.stack import Stack
from infra.local.state import StackError, default_folder, running_info

PARALLEL = 6  # connections that a browser opens to one host
SECONDS_PER_FRAME = 5
RESOLUTION = 720
POLL_SECONDS = 0.5
UNFINISHED = ("queued", "rendering", "merging")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"}

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Picture:
    """One image to upload, and what the storyboard says of it."""

    frame_id: int
    data: bytes
    description: str
    prompt: str


@dataclass(frozen=True)
class Story:
    """What the storyboard says of itself, and its pictures."""

    title: str
    overview: str
    prompt: str
    pictures: list[Picture]


def main(_arguments: list[str]) -> int:
    """Run the demo on the stack that runs, or on one of its own; IMAGES names a folder of images to take instead."""
    started = time.perf_counter()
    folder = os.environ.get("IMAGES")
    story = _own_story(Path(folder)) if folder else _sample_story()
    with _stack() as info, httpx.Client(base_url=info["apiUrl"], timeout=60) as api:
        uploads = _upload(api, story.pictures)
        saved = _save(api, story, uploads)
        page = _read(api, saved)
        _show(uploads)
        sheet = _contact_sheet(page, uploads)
        _try_as_a_stranger(api, saved)
        video = _video(api, saved)
        film, poster = _keep(video["videoUrl"], "video.mp4"), _keep(video["posterUrl"], "poster.jpg")
    console.print(f"\nContact sheet: [bold]{sheet}[/]")
    console.print(f"Poster: [bold]{poster}[/]")
    console.print(f"Video: [bold]{film}[/], {_size(video['bytes'])}")
    console.print(f"While a stack runs (`make up`), it is served at {video['videoUrl']}")
    console.print(f"Done in {time.perf_counter() - started:.1f} s.")
    return 0


def _sample_story() -> Story:
    with console.status("Drawing six frames"):
        drawn = sample_frames.draw_frames()
    pictures = [Picture(one.frame_id, one.png, one.description, one.prompt) for one in drawn]
    return Story(sample_frames.STORY_TITLE, sample_frames.STORY_OVERVIEW, sample_frames.ORIGINAL_PROMPT, pictures)


def _own_story(folder: Path) -> Story:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not paths:
        raise StackError(f"No images in {folder}: {', '.join(sorted(SUFFIXES))} are taken.")
    words = [path.stem.replace("_", " ") for path in paths]
    pictures = [
        Picture(number, path.read_bytes(), said, said)
        for number, (path, said) in enumerate(zip(paths, words, strict=True), start=1)
    ]
    title = folder.resolve().name
    return Story(title, f"{len(pictures)} images", f"The images of {title}, in order", pictures)


@contextmanager
def _stack() -> Iterator[dict[str, str]]:
    folder = default_folder()
    with ExitStack() as running:
        info = running_info(folder)
        if info is None:
            with console.status("Starting the stack: PostgreSQL, PostgREST, Storage and Auth, S3 and SQS, functions"):
                info = running.enter_context(Stack(folder)).info
        console.print(f"The functions answer at {info['apiUrl']}/api/<function>.")
        yield info


def _upload(api: httpx.Client, pictures: list[Picture]) -> list[dict[str, Any]]:
    columns = (
        TextColumn("Uploading"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(PARALLEL) as browser:
        bar = progress.add_task("upload", total=len(pictures), last="")
        waiting = [browser.submit(_upload_one, api, picture) for picture in pictures]
        for done in as_completed(waiting):
            answer = done.result()
            progress.update(bar, advance=1, last=f"frame {answer['frameId']}, {_size(answer['bytes'])}")
    return [done.result() for done in waiting]


def _upload_one(api: httpx.Client, picture: Picture) -> dict[str, Any]:
    body = {"imageData": base64.b64encode(picture.data).decode(), "frameId": picture.frame_id}
    return _answer(api.post("/api/upload_image", json=body))


def _save(api: httpx.Client, story: Story, uploads: list[dict[str, Any]]) -> dict[str, Any]:
    frames = [
        {
            "frameId": picture.frame_id,
            "imageUrl": upload["imageUrl"],
            "timestamp": f"{place * SECONDS_PER_FRAME}-{(place + 1) * SECONDS_PER_FRAME}s",
            "description": picture.description,
            "prompt": picture.prompt,
            "storyTitle": story.title,
            "storyOverview": story.overview,
        }
        for place, (picture, upload) in enumerate(zip(story.pictures, uploads, strict=True))
    ]
    storyboard = {
        "frames": frames,
        "originalPrompt": story.prompt,
        "videoDuration": SECONDS_PER_FRAME * len(frames),
        "frameCount": len(frames),
        "style": sample_frames.STYLE,
        "mood": sample_frames.MOOD,
    }
    saved = _answer(api.post("/api/save_frames", json=storyboard))
    console.print(
        f"Saved as session {saved['sessionId']}, version {saved['version']}, of a guest that has its own id now."
    )
    return saved


def _read(api: httpx.Client, saved: dict[str, Any]) -> dict[str, Any]:
    query = {"sessionId": saved["sessionId"], "userId": saved["userId"]}
    page = _answer(api.get("/api/get_frames", params=query))
    console.print(f"Read back {len(page['frames'])} frames of “{page['session']['originalPrompt'][:60]}…”")
    return page


def _try_as_a_stranger(api: httpx.Client, saved: dict[str, Any]) -> None:
    answer = api.get("/api/get_frames", params={"sessionId": saved["sessionId"]})
    if answer.status_code != httpx.codes.NOT_FOUND:
        raise StackError(f"A stranger was answered {answer.status_code} instead of 404.")
    console.print("Another guest who asks for the same session gets 404.")


def _show(uploads: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("frame", "right"), ("pixels", "left"), ("before", "right"), ("after", "right"), ("", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for upload in uploads:
        part = upload["bytes"] / upload["originalBytes"]
        table.add_row(
            str(upload["frameId"]), f"{upload['width']}×{upload['height']}", _size(upload["originalBytes"]),
            _size(upload["bytes"]), f"{part:.0%}",
        )  # fmt: skip
    before, after = (sum(one[name] for one in uploads) for name in ("originalBytes", "bytes"))
    table.add_row("all", "", _size(before), _size(after), f"{after / before:.0%}", style="bold")
    console.print(table)


def _contact_sheet(page: dict[str, Any], uploads: list[dict[str, Any]]) -> Path:
    original = {upload["imageUrl"]: upload["originalBytes"] for upload in uploads}
    shown = [
        SheetFrame(
            number=frame["frameNumber"],
            image=httpx.get(frame["imageUrl"]).raise_for_status().content,
            caption=frame["description"],
            timestamp=frame["timestamp"],
            original_bytes=original[frame["imageUrl"]],
        )
        for frame in page["frames"]
    ]
    session = page["session"]
    subtitle = f"{session['frameCount']} frames, {session['videoDuration']} s, {session['style']}, {session['mood']}"
    path = default_folder() / "demo" / "contact-sheet.png"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(contact_sheet(shown, title=page["frames"][0]["storyTitle"], subtitle=subtitle))
    return path


def _video(api: httpx.Client, saved: dict[str, Any]) -> dict[str, Any]:
    options = {"resolution": RESOLUTION, "motion": "auto", "transition": "crossfade", "transitionSeconds": 1}
    mine = {"sessionId": saved["sessionId"], "userId": saved["userId"]}
    started = _answer(api.post("/api/generate_video", json=mine | options))
    query = {"videoId": started["videoId"], "userId": saved["userId"]}
    columns = (
        TextColumn("Rendering"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("render", total=1, said="")
        while True:
            video: dict[str, Any] = _answer(api.get("/api/get_video", params=query))["video"]
            progress.update(bar, completed=video["progress"], said=_said(video))
            if video["status"] not in UNFINISHED:
                break
            time.sleep(POLL_SECONDS)
    if video["status"] != "completed":
        error = video["error"] or {}
        raise StackError(f"The video {video['status']}: {error.get('code')}: {error.get('detail')}")
    console.print(
        f"Rendered {video['width']}×{video['height']} at {video['fps']} fps, {video['durationSeconds']:g} s, "
        f"for ${video['cost']:.4f} of Lambda."
    )
    return video


def _said(video: dict[str, Any]) -> str:
    eta = video["etaSeconds"]
    return video["status"] if eta is None else f"{video['status']}, {eta:.0f} s left"


def _keep(url: str, name: str) -> Path:
    path = default_folder() / "demo" / name
    path.write_bytes(httpx.get(url).raise_for_status().content)
    return path


def _answer(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if not body.get("success"):
        raise StackError(f"{response.request.url.path}: {body.get('code')}: {body.get('detail')}")
    return body


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
