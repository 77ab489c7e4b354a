"""What rendering costs in CPU: beside x264 encoding the same frames when they are ready, and beside moviepy."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from io import BytesIO
from pathlib import Path
from statistics import median

from av.video.frame import VideoFrame
from PIL import Image

from infra.local.bench.figures import Figure, compared, cpu_of, in_turn, table
from infra.local.bench.wheels import installed
from infra.local.demo.sample_frames import draw_frames
from infra.local.state import TOP
from shared.timeline import Clip, Still, plan
from shared.video.clips import render_clip
from shared.video.encoding import Encoder
from shared.video.joining import join
from shared.video.look import Look
from shared.video.motion import Camera
from shared.video.pictures import open_still, scene
from shared.video.scaling import Scaler

_LOOKS = ((Look(1280, 720, 30), 1.35), (Look(1920, 1080, 30), 1.2))
_SECONDS, _CROSSFADE, _CLIPS = 5, 0.5, 3
_ROUNDS, _ROUNDS_OF_PROCESSES = 3, 2
_MOVIEPY = "moviepy==2.2.1"

# The same zoom and the same crossfades, at the same preset, as its documentation would have one write it.
_THEIRS = """
import sys
from moviepy import ImageClip, concatenate_videoclips, vfx
out, width, height, seconds, crossfade, *stills = sys.argv[1:]
width, height, seconds, crossfade = int(width), int(height), float(seconds), float(crossfade)
def clip(path):
    still = ImageClip(path).with_duration(seconds + (crossfade if len(stills) > 1 else 0)).resized((width, height))
    zoomed = still.resized(lambda t: 1 + 0.025 * t)
    return zoomed.cropped(x_center=width / 2, y_center=height / 2, width=width, height=height)
clips = [clip(path) for path in stills]
if len(clips) > 1:
    clips = [clips[0], *(one.with_effects([vfx.CrossFadeIn(crossfade)]) for one in clips[1:])]
whole = concatenate_videoclips(clips, method="compose", padding=-crossfade) if len(clips) > 1 else clips[0]
whole.write_videofile(out, fps=30, codec="libx264", preset="veryfast", audio=False, logger=None)
"""
_OURS = """
import sys
from pathlib import Path
from infra.local.bench.clips import make
out, width, height, *stills = sys.argv[1:]
make(Path(out), int(width), int(height), [Path(still) for still in stills])
"""


def measure() -> list[Figure]:
    """Return the CPU time of a clip against the floor, of a clip and of a crossfaded whole against moviepy."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stills = _stills(folder)
        floors = [_against_floor(folder, stills[0], look, limit) for look, limit in _LOOKS]
        encoding = floors[0].peer_value * _SECONDS
        return [
            *floors,
            _against_moviepy(folder, stills[:1], "clip, zoom, 1280 x 720, process", 1 / 5, encoding),
            _against_moviepy(
                folder, stills, f"{_CLIPS} clips, crossfaded, 1280 x 720, process", 1 / 15, _CLIPS * encoding
            ),
        ]


def make(out: Path, width: int, height: int, stills: list[Path]) -> None:
    """Render a clip of each still, crossfaded where there are several, and join them."""
    look = Look(width, height, 30)
    clips = _planned(len(stills), look)
    files = []
    for clip in clips:
        path = out.with_name(f"{out.stem}-{clip.number}.mp4")
        previous = stills[clip.previous.frame_number - 1].read_bytes() if clip.previous else None
        render_clip(clip, stills[clip.frame_number - 1].read_bytes(), previous, look, path)
        files.append(path)
    join(files, out, fps=look.fps)


def _planned(count: int, look: Look) -> list[Clip]:
    return plan(
        [Still(number, "") for number in range(1, count + 1)],
        duration_seconds=count * _SECONDS,
        fps=look.fps,
        motion="zoom_in",
        transition="crossfade",
        transition_seconds=_CROSSFADE,
    )


def _stills(folder: Path) -> list[Path]:
    """Write pictures of 1920 pixels, as they are stored."""
    found = []
    for drawn in draw_frames()[:_CLIPS]:
        path = folder / f"{drawn.frame_id}.png"
        Image.open(BytesIO(drawn.png)).convert("RGB").resize((1920, 1080), Image.Resampling.LANCZOS).save(path)
        found.append(path)
    return found


def _against_floor(folder: Path, still: Path, look: Look, limit: float) -> Figure:
    (clip,) = _planned(1, look)
    data = still.read_bytes()
    ready = _ready(data, clip, look)

    def floor() -> None:
        with Encoder(folder / "floor.mp4", look) as encoder:
            for frame in ready:
                encoder.add(frame)

    render = partial(render_clip, clip, data, None, look, folder / "ours.mp4")
    times = in_turn({"ours": render, "theirs": floor}, _ROUNDS, cpu_of)
    pairs = [(ours / _SECONDS, theirs / _SECONDS) for ours, theirs in zip(times["ours"], times["theirs"], strict=True)]
    name = f"clip second, {look.width} x {look.height}, CPU"
    cause = "What is over 1 × scales each frame from float crop boxes; x264 takes the rest."
    return compared(name, "ms", "x264 with the frames ready, same settings", pairs, limit, cause=cause)


def _ready(data: bytes, clip: Clip, look: Look) -> list[VideoFrame]:
    camera = Camera(clip.motion, clip.shown / look.fps)
    picture = scene(open_still(data, 1), look, camera)
    scaler = Scaler(picture, (look.width, look.height), camera.box(0), camera.box(1))
    return [scaler.frame(camera.box(index / max(1, clip.shown - 1))) for index in range(clip.length)]


def _against_moviepy(folder: Path, stills: list[Path], name: str, limit: float, encoding: float) -> Figure:
    """`encoding` is the milliseconds that x264 takes for as many frames."""
    peer = {**os.environ, "PYTHONPATH": str(installed(_MOVIEPY))}
    ours: list[str | Path] = [sys.executable, "-c", _OURS, folder / "whole.mp4", "1280", "720", *stills]
    theirs: list[str | Path] = [sys.executable, "-c", _THEIRS, folder / "theirs.mp4", "1280", "720"]
    theirs = [*theirs, str(_SECONDS), str(_CROSSFADE), *stills]
    mine = {**os.environ, "PYTHONPATH": str(TOP)}
    pairs = [
        (
            cpu_of(lambda: subprocess.run(ours, check=True, env=mine)),
            cpu_of(lambda: subprocess.run(theirs, check=True, env=peer)),
        )
        for _ in range(_ROUNDS_OF_PROCESSES)
    ]
    share = encoding / median(moviepy for _, moviepy in pairs)
    cause = f"x264 alone takes {share:.2f} × of moviepy's time for these frames."
    return compared(name, "ms", f"{_MOVIEPY}, the same, preset veryfast", pairs, limit, cause=cause)


if __name__ == "__main__":
    print(table(measure()))
